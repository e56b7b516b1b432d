/* SPDX-License-Identifier: Apache-2.0 */
/* The last resort: tidemarkd salvage takes what still checks out of a node's
 * directory, and a node alone in a new cluster serves it. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cluster-tests/cluster.h"
#include "io/io_posix.h"
#include "testkit/test.h"

enum {
    WRITES = 40,
    ROWS = 5, /* of each write */
    SEGMENT_SIZE_MAX = 64 * LIMIT_MIB
};

static void write_rows(struct cluster *c, uint64_t first, uint64_t count)
{
    struct err e;
    for (uint64_t i = first; i < first + count; i++) {
        struct node_write write = {.series = 1, .first = i * ROWS, .count = ROWS, .value = i};
        REQUIRE_OK(node_write(cluster_patient(c, 0), &write, &e));
    }
}

static struct {
    uint64_t rows;
    uint64_t wrong;
} seen;

static void note_row(void *context, unsigned series, uint64_t key, uint64_t value)
{
    (void)context;
    seen.rows++;
    seen.wrong += series != 1 || key / ROWS != value;
}

static uint64_t count_rows(struct cluster *c)
{
    const struct node_scan scan = {.series = -1, .row = note_row};
    struct err e;
    seen.rows = 0;
    seen.wrong = 0;
    REQUIRE_OK(node_scan(cluster_patient(c, 0), &scan, &e));
    EXPECT_UINT(seen.wrong, 0);
    return seen.rows;
}

/* Runs the command; its exit code and what it said. */
static int salvage(struct cluster *c, const char *to, struct buf *output)
{
    static const char program[] = TEST_PROGRAM_DIR "/tidemarkd";
    const char *const argv[] = {
        program, "salvage", cluster_data_dir(c, 0), to, "--wal-segment-size=4MiB", NULL};
    return cluster_run(c, argv, output);
}

/* A few bytes in the middle of what the first segment of the Raft log holds. */
static void damage(struct cluster *c)
{
    char dir[IO_PATH_MAX];
    char path[IO_PATH_MAX];
    struct buf content = {0};
    struct err e;
    REQUIRE_OK(io_join(dir, cluster_data_dir(c, 0), "raft", &e));
    REQUIRE_OK(io_join(path, dir, "000000010000000000000001", &e));
    REQUIRE_OK(io_read_file(io_posix(), path, SEGMENT_SIZE_MAX, &content, &e));
    size_t begin = content.size / 8;
    size_t end = content.size;
    while (end > begin && content.data[end - 1] == 0) {
        end--;
    }
    REQUIRE(end > begin + 1000);
    tree_flip(path, begin + (end - begin) / 2, 8);
    buf_deinit(&content);
}

TEST(salvage, rows_of_a_node_that_no_other_can_help_are_served_again)
{
    struct cluster_options three = {.name = "salvage", .founders = 3};
    struct cluster_options alone = {.name = "salvaged"};
    struct cluster *c = cluster_open(&three);
    struct cluster *saved = cluster_open(&alone);
    struct buf output = {0};
    struct err e;
    cluster_start_all(c);
    (void)cluster_wait_healthy(c);
    REQUIRE_OK(node_make_table(cluster_patient(c, 0), &e));
    write_rows(c, 0, WRITES);
    (void)cluster_wait_healthy(c); /* node 0 has applied them all */
    EXPECT_INT(salvage(c, cluster_data_dir(saved, 0), &output), 1);
    EXPECT_CONTAINS((const char *)output.data, "a node runs in ");
    for (size_t node = 0; node < cluster_size(c); node++) {
        cluster_kill(c, node);
    }
    damage(c);
    EXPECT_INT(salvage(c, cluster_data_dir(saved, 0), &output), 0);
    EXPECT_CONTAINS((const char *)output.data, "dropped: Raft log: damaged at 0/");
    EXPECT_CONTAINS((const char *)output.data, "kept: Raft log: ");
    EXPECT_INT(salvage(c, cluster_data_dir(saved, 0), &output), 1);
    EXPECT_CONTAINS((const char *)output.data, "is not empty");

    cluster_start(saved, 0, NULL);
    (void)cluster_wait_healthy(saved);
    uint64_t rows = count_rows(saved);
    EXPECT(rows >= (uint64_t)(WRITES - 1) * ROWS); /* at most one entry is lost */
    EXPECT(rows <= (uint64_t)WRITES * ROWS);
    write_rows(saved, WRITES, 3);
    cluster_kill(saved, 0);
    cluster_start(saved, 0, NULL);
    (void)cluster_wait_healthy(saved);
    EXPECT_UINT(count_rows(saved), rows + (uint64_t)3 * ROWS);
    static const char program[] = TEST_PROGRAM_DIR "/tidemark";
    const char *const status[] = {program,  "--endpoints", cluster_client_address(saved, 0),
                                  "status", "--local",     "--format",
                                  "json",   NULL};
    EXPECT_INT(cluster_run(saved, status, &output), 0);
    EXPECT_CONTAINS((const char *)output.data, "\"recovery\": {\"phase\": \"done\"");
    EXPECT_CONTAINS((const char *)output.data, "\"entries\": 3, ");

    /* The old directory is as it was: its cluster repairs it. */
    cluster_start_all(c);
    (void)cluster_wait_healthy(c);
    EXPECT_UINT(count_rows(c), (uint64_t)WRITES * ROWS);
    buf_deinit(&output);
    cluster_close(saved);
    cluster_close(c);
}
