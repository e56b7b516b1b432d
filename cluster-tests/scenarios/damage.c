/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes flipped in the Raft logs of nodes that do not run: a node with a damaged
 * log asks the others for what it lost, and only then takes part. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster-tests/load.h"
#include "cluster-tests/log_damage.h"
#include "testkit/test.h"

enum { ROUNDS = 50, ACKS = 150, INDEXES_MAX = 100000, FLIP_SIZE = 600 };

static struct cluster *open_three(struct load **l)
{
    struct cluster_options options = {.name = "damage", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    *l = load_open(c, &load);
    return c;
}

static uint64_t holes_found(struct cluster *c, size_t node)
{
    struct node_status s = cluster_wait_status(c, node);
    EXPECT_UINT(s.raft.holes, 0);
    EXPECT_UINT(s.raft.holes_found, s.raft.holes_filled + s.raft.holes_dropped);
    return s.raft.holes_found;
}

/* The others serve on; the damaged one repairs what it lost when it is back. */
TEST(damage, a_node_repairs_its_log_while_the_others_serve)
{
    struct load *l = NULL;
    struct cluster *c = open_three(&l);
    uint64_t found = 0;
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        load_run(l, ACKS);
        size_t node = random_below(cluster_random(c), cluster_size(c));
        if (i % 2 == 0) {
            cluster_stop(c, node);
        } else {
            cluster_kill(c, node);
        }
        log_damage(c, node, "raft", 0, 8);
        load_run(l, ACKS);
        cluster_start(c, node, NULL);
        (void)cluster_wait_healthy(c);
        found += holes_found(c, node);
    }
    load_check(l);
    load_print(l, "damaged logs");
    (void)printf("%" PRIu64 " damaged entries repaired\n", found);
    EXPECT(found > 0);
    load_close(l);
    cluster_close(c);
}

/* Nobody has a whole log, but every entry is whole somewhere. */
TEST(damage, two_or_three_nodes_damaged_in_different_places_repair_each_other)
{
    struct load *l = NULL;
    struct cluster *c = open_three(&l);
    uint64_t found = 0;
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        load_run(l, ACKS);
        load_drain(l, CLUSTER_WAIT_MS);
        (void)cluster_wait_healthy(c); /* so that all logs hold the same */
        for (size_t node = 0; node < cluster_size(c); node++) {
            cluster_stop(c, node);
        }
        size_t damaged = i % 2 == 0 ? 2 : 3;
        size_t first = random_below(cluster_random(c), cluster_size(c));
        for (size_t k = 0; k < damaged; k++) {
            /* Not up to the end of its part: logs are not equal to the byte. */
            unsigned from = (unsigned)k * 3;
            log_damage(c, (first + k) % cluster_size(c), "raft", from, from + 1);
        }
        cluster_start_all(c);
        (void)cluster_wait_healthy(c);
        for (size_t node = 0; node < cluster_size(c); node++) {
            found += holes_found(c, node);
        }
        load_check(l);
        load_go(l);
    }
    load_print(l, "logs damaged in different places");
    (void)printf("%" PRIu64 " damaged entries repaired\n", found);
    EXPECT(found > 0);
    load_close(l);
    cluster_close(c);
}

/* One entry that no node has whole: all wait, and say for what. When a copy comes
 * back (here: the damage is undone), they go on. */
TEST(damage, the_same_entry_damaged_everywhere_is_waited_for)
{
    struct load *l = NULL;
    struct cluster *c = open_three(&l);
    load_run(l, ACKS);
    load_drain(l, CLUSTER_WAIT_MS);
    (void)cluster_wait_healthy(c);
    struct log_place u[3];
    for (size_t node = 0; node < 3; node++) {
        cluster_stop(c, node);
        log_place_find(c, node, "raft", &u[node]);
        uint64_t middle = u[node].begin + (u[node].end - u[node].begin) / 2;
        tree_flip(u[node].path, middle - 1500, 3000);
    }
    cluster_start_all(c);
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    for (size_t node = 0; node < 3; node++) {
        struct node_status s = {0};
        while (!cluster_status(c, node, &s) || s.role != NODE_REPAIRING ||
               strstr(s.raft.waiting, "wait") == NULL) {
            if (process_now_us() > end_us) {
                cluster_fail(c, "%s does not wait: role %u, \"%s\"", cluster_name(c, node), s.role,
                             s.raft.waiting);
            }
            cluster_turn(c, 10);
        }
        EXPECT(s.raft.holes > 0);
        EXPECT(!s.healthy);
    }
    struct node_write write = {.series = 50, .count = 1, .value = 1};
    struct err e;
    EXPECT_ERR(node_write(cluster_client(c, 0), &write, &e), ERR_UNAVAILABLE);

    cluster_stop(c, 1);
    uint64_t middle = u[1].begin + (u[1].end - u[1].begin) / 2;
    tree_flip(u[1].path, middle - 1500, 3000);
    cluster_start(c, 1, NULL);
    (void)cluster_wait_healthy(c);
    load_check(l);
    load_go(l);
    load_run(l, ACKS);
    load_check(l);
    load_close(l);
    cluster_close(c);
}

/* Indexes of the records in a node's local WAL that hold a write. */
struct copies {
    bool held[INDEXES_MAX];
    size_t count;
};

static void look_at_copies(struct cluster *c, size_t node, struct copies *out)
{
    char dir[IO_PATH_MAX];
    struct buf output = {0};
    REQUIRE_OK(io_join(dir, cluster_data_dir(c, node), "wal", NULL));
    static const char program[] = TEST_PROGRAM_DIR "/tidemark";
    const char *const argv[] = {program, "wal",    "dump",  dir, "--format",
                                "csv",   "--type", "write", NULL};
    memset(out, 0, sizeof *out);
    EXPECT_INT(cluster_run(c, argv, &output), 0);
    char *rest = NULL;
    (void)strtok_r((char *)output.data, "\n", &rest); /* the names of the columns */
    for (char *line = strtok_r(NULL, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        for (int column = 0; column < 4 && line != NULL; column++) {
            line = strchr(line, ',');
            line = line == NULL ? NULL : line + 1;
        }
        REQUIRE(line != NULL);
        uint64_t index = strtoull(line, NULL, 10);
        REQUIRE(index > 0 && index < INDEXES_MAX);
        out->count += !out->held[index];
        out->held[index] = true;
    }
    buf_deinit(&output);
}

/* At level sync every node keeps a copy of the rows; what its recovery mode dropped of
 * it is there again when the node has caught up. */
TEST(damage, a_local_copy_that_was_cut_short_is_filled_again)
{
    static const char *const modes[] = {"--recovery-mode=skip_any_corrupted_records",
                                        "--recovery-mode=point_in_time_recovery"};
    static struct copies before;
    static struct copies after;
    struct load *l = NULL;
    struct cluster *c = open_three(&l);
    struct err e;
    load_run(l, ACKS);
    (void)cluster_wait_healthy(c);
    look_at_copies(c, 2, &before);
    EXPECT_UINT(before.count, 0); /* level byrl: rows are in the Raft log alone */
    REQUIRE_OK(node_setting_set(cluster_patient(c, 0), "ts.wal.checkpoint_interval", "1h", &e));
    REQUIRE_OK(node_setting_set(cluster_patient(c, 0), "ts.wal.wal_level", "1", &e));
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        load_run(l, ACKS);
        load_drain(l, CLUSTER_WAIT_MS);
        (void)cluster_wait_healthy(c);
        cluster_kill(c, 2);
        look_at_copies(c, 2, &before);
        EXPECT(before.count > 0);
        struct log_place u;
        log_place_find(c, 2, "wal", &u);
        tree_flip(u.path, u.begin + (u.end - u.begin) / 2, FLIP_SIZE);
        look_at_copies(c, 2, &after);
        EXPECT(after.count < before.count);
        cluster_start(c, 2, (const char *const[]){modes[m], NULL});
        (void)cluster_wait_healthy(c);
        EXPECT(cluster_said(c, 2, "wal recovery-mode-decided "));
        cluster_kill(c, 2);
        look_at_copies(c, 2, &after);
        size_t lost = 0;
        for (size_t i = 0; i < INDEXES_MAX; i++) {
            lost += before.held[i] && !after.held[i];
        }
        EXPECT_UINT(lost, 0);
        cluster_start(c, 2, NULL);
        (void)cluster_wait_healthy(c);
        load_check(l);
        load_go(l);
    }
    load_close(l);
    cluster_close(c);
}
