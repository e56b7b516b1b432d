/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/log_damage.h"

#include <stdio.h>
#include <string.h>

#include "io/io_posix.h"
#include "testkit/test.h"

enum { SEGMENT_SIZE_MAX = 8 * LIMIT_MIB };

static void read_segment(const struct log_place *p, struct buf *out)
{
    struct err e;
    buf_reset(out);
    REQUIRE_OK(io_read_file(io_posix(), p->path, SEGMENT_SIZE_MAX, out, &e));
}

TEST(log_damage, flips_bytes_of_records_in_the_part_that_is_asked_for)
{
    struct cluster *c = cluster_open(&(struct cluster_options){.name = "log-damage"});
    struct err e;
    cluster_start_all(c);
    EXPECT_OK(node_make_table(cluster_patient(c, cluster_wait_healthy(c)), &e));
    for (uint64_t i = 0; i < 100; i++) {
        struct node_write write = {.series = 1, .first = i, .count = 5, .value = i};
        EXPECT_OK(node_write(cluster_patient(c, 0), &write, &e));
    }
    cluster_kill(c, 0);
    struct log_place p;
    log_place_find(c, 0, "wal", &p);
    struct buf before = {0};
    struct buf after = {0};
    read_segment(&p, &before);
    EXPECT(p.begin > 0 && p.end > p.begin + 5000);
    EXPECT(before.data[p.begin] != 0 && before.data[p.end - 1] != 0);
    log_damage(c, 0, "wal", 2, 6);
    read_segment(&p, &after);
    REQUIRE(after.size == before.size);
    uint64_t size = p.end - p.begin;
    size_t inside = 0;
    size_t outside = 0;
    for (uint64_t i = 0; i < before.size; i++) {
        bool in = i >= p.begin + size / 4 && i < p.begin + size * 6 / 8;
        inside += in && before.data[i] != after.data[i];
        outside += !in && before.data[i] != after.data[i];
    }
    EXPECT(inside > 0);
    EXPECT_UINT(outside, 0);
    buf_deinit(&before);
    buf_deinit(&after);
    cluster_close(c);
}
