/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes flipped in the files of a node that runs: its scrubber finds them, and what
 * was lost comes back from the others while it serves on, without a restart. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cluster-tests/load.h"
#include "cluster-tests/log_damage.h"
#include "io/io_posix.h"
#include "testkit/test.h"

enum { ROUNDS = 6, ACKS = 150, FLIPS = 6, WAIT_MS = 3 * CLUSTER_WAIT_MS };

/* One byte in the middle of each part. How many there are. */
static unsigned flip_parts(struct cluster *c, size_t node)
{
    char dir[IO_PATH_MAX];
    struct io_name *names = NULL;
    size_t count = 0;
    unsigned flipped = 0;
    struct err e;
    REQUIRE_OK(io_join(dir, cluster_data_dir(c, node), "tsdb", &e));
    REQUIRE_OK(io_list(io_posix(), dir, &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        struct file *file = NULL;
        uint64_t size = 0;
        REQUIRE_OK(io_join(path, dir, names[i].name, &e));
        if (strncmp(names[i].name, "part-", 5) != 0 ||
            io_open(io_posix(), path, IO_READ, &file, &e) != ERR_OK) {
            continue; /* removed meanwhile */
        }
        REQUIRE_OK(file_size(file, &size, &e));
        file_close(file);
        tree_flip(path, size / 2, 1);
        flipped++;
    }
    mem_free(names);
    return flipped;
}

/* A few bytes among the older entries: those that are written just now are left alone. */
static void flip_log(struct cluster *c, size_t node)
{
    struct log_place place;
    log_place_find(c, node, "raft", &place);
    uint64_t size = (place.end - place.begin) / 2;
    for (unsigned i = 0; i < FLIPS; i++) {
        tree_flip(place.path, place.begin + random_below(cluster_random(c), size), 1);
    }
}

/* Until everything was read since 'before' was asked for, and nothing is left to be
 * repaired. */
static struct node_status wait_until_read(struct cluster *c, size_t node,
                                          const struct node_damage *before)
{
    enum { AGAIN = 2 }; /* rounds: the first had begun before */
    uint64_t end_us = process_now_us() + UINT64_C(1000) * WAIT_MS;
    for (;;) {
        struct node_status s = cluster_wait_status(c, node);
        const struct node_damage *d = &s.damage;
        if (d->rounds_parts >= before->rounds_parts + AGAIN &&
            d->rounds_logs >= before->rounds_logs + AGAIN && d->parts_waiting == 0 &&
            s.raft.holes == 0) {
            return s;
        }
        if (process_now_us() > end_us) {
            cluster_fail(c,
                         "%s: rounds %" PRIu64 " %" PRIu64 " parts waiting %" PRIu64
                         " holes %" PRIu64 ": %s",
                         cluster_name(c, node), d->rounds_parts, d->rounds_logs, d->parts_waiting,
                         s.raft.holes, s.message);
        }
        cluster_turn(c, 50);
    }
}

TEST(scrub, damage_in_the_files_of_a_running_node_is_repaired)
{
    struct cluster_options options = {.name = "scrub", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    struct load *l = load_open(c, &load);
    struct err e;
    uint64_t parts = 0;
    uint64_t slots = 0;
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        size_t node = i % cluster_size(c);
        load_run(l, ACKS);
        uint64_t index = 0;
        REQUIRE_OK(node_checkpoint(cluster_patient(c, cluster_wait_healthy(c)), &index, &e));
        load_run(l, ACKS);
        struct node_status before = cluster_wait_status(c, node);
        EXPECT(flip_parts(c, node) > 0);
        flip_log(c, node);
        struct node_status after = wait_until_read(c, node, &before.damage);
        const struct node_damage *d = &after.damage;
        EXPECT_UINT(d->parts_found, d->parts_refilled + d->parts_dropped);
        EXPECT_UINT(after.raft.holes_found, after.raft.holes_filled + after.raft.holes_dropped);
        EXPECT(after.healthy);
        parts += d->parts_refilled - before.damage.parts_refilled;
        slots += after.raft.holes_filled - before.raft.holes_filled;
        EXPECT(!cluster_said(c, node, "damage-found")); /* it took part all the time */
        EXPECT(!cluster_said(c, node, "checkpoint-lost"));
    }
    load_check(l);
    load_print(l, "damage while running");
    (void)printf("%" PRIu64 " parts refilled, %" PRIu64 " entries of logs written anew\n", parts,
                 slots);
    EXPECT(parts > 0);
    EXPECT(slots > 0);
    load_close(l);
    cluster_close(c);
}
