/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 of one node and of all, at any moment under load: what was acknowledged
 * is there, on every node, with every node in the same state. Also when all
 * unsynced writes are lost with the process, as a power failure would. */
#include <inttypes.h>
#include <stdio.h>

#include "cluster-tests/load.h"
#include "testkit/test.h"

enum {
    ROUNDS = 100,
    ACKS_MAX = 200,
    CHECK_EVERY = 5,
    KILL_SPAN_US = 30000, /* in which all nodes are killed, one after the other */
    SETTLE_ACKS = 20,
    LARGE_ROWS = 40000,
    ROW_SIZE_MIN = 28, /* three values and the shortest note */
};

_Static_assert((int)LARGE_ROWS *(int)ROW_SIZE_MIN > (int)LIMIT_ENTRY_SIZE_MAX,
               "a large write is several entries, which a kill can part");

static void turn_for(struct cluster *c, uint64_t us)
{
    uint64_t end_us = process_now_us() + us;
    while (process_now_us() < end_us) {
        cluster_turn(c, 1);
    }
}

/* Some nodes, or all, in an order of chance and with a moment in between. */
static void kill_some(struct cluster *c)
{
    struct random *random = cluster_random(c);
    size_t count = cluster_size(c);
    size_t first = random_below(random, count);
    size_t killed = random_chance(random, 1, 2) ? count : 1;
    for (size_t i = 0; i < killed; i++) {
        cluster_kill(c, (first + i) % count);
        if (random_chance(random, 1, 2)) {
            turn_for(c, random_below(random, KILL_SPAN_US / count));
        }
    }
}

/* Checkpoints, and cuts of the log, come between any two kills. */
static void run_rounds(struct cluster *c, const struct load_options *options, const char *title)
{
    struct err e;
    cluster_start_all(c);
    struct load *l = load_open(c, options);
    EXPECT_OK(node_setting_set(cluster_patient(c, cluster_wait_healthy(c)),
                               "ts.wal.checkpoint_interval", "1s", &e));
    unsigned rounds = cluster_rounds(ROUNDS);
    for (unsigned i = 1; i <= rounds; i++) {
        load_run(l, 1 + random_below(cluster_random(c), ACKS_MAX));
        kill_some(c);
        cluster_start_all(c);
        (void)cluster_wait_healthy(c);
        load_run(l, SETTLE_ACKS);
        if (i % CHECK_EVERY == 0 || i == rounds) {
            load_check(l);
            load_go(l);
        }
    }
    (void)printf("%u rounds; ", rounds);
    load_print(l, title);
    load_close(l);
    cluster_close(c);
}

TEST(kill, three_nodes)
{
    struct cluster_options options = {.name = "kill", .founders = 3};
    struct load_options load = {.reads = true, .large_rows = LARGE_ROWS};
    run_rounds(cluster_open(&options), &load, "kill -9 of three nodes");
}

TEST(kill, three_nodes_that_lose_what_is_not_synced)
{
    struct cluster_options options = {.name = "kill-lossy", .founders = 3, .faulty = true};
    struct load_options load = {.reads = true, .large_rows = LARGE_ROWS};
    run_rounds(cluster_open(&options), &load, "power failure of three nodes");
}

TEST(kill, a_node_alone_at_level_sync_that_loses_what_is_not_synced)
{
    struct cluster_options options = {
        .name = "kill-sync", .faulty = true, .flags = {"--wal-level=sync"}};
    struct load_options load = {.large_rows = LARGE_ROWS};
    run_rounds(cluster_open(&options), &load, "power failure at level sync");
}

TEST(kill, a_node_alone_at_level_flush)
{
    struct cluster_options options = {.name = "kill-flush", .flags = {"--wal-level=flush"}};
    struct load_options load = {.large_rows = LARGE_ROWS};
    run_rounds(cluster_open(&options), &load, "kill -9 at level flush");
}

TEST(kill, a_node_alone_at_level_byrl_that_loses_what_is_not_synced)
{
    struct cluster_options options = {
        .name = "kill-byrl", .faulty = true, .flags = {"--wal-level=byrl"}};
    struct load_options load = {.large_rows = LARGE_ROWS};
    run_rounds(cluster_open(&options), &load, "power failure at level byrl, alone");
}

/* That the lossy disk loses and the check sees it: at level flush nothing is
 * synced before the answer, so a power failure takes acknowledged rows with it. */
TEST(kill, a_power_failure_at_level_flush_is_seen_to_lose_rows)
{
    struct cluster_options options = {
        .name = "kill-loses", .faulty = true, .flags = {"--wal-level=flush"}};
    struct load_options load = {0};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load *l = load_open(c, &load);
    load_run(l, ACKS_MAX);
    cluster_kill(c, 0);
    load_drain(l, 0);
    cluster_start(c, 0, NULL);
    (void)cluster_wait_healthy(c);
    struct row_book_verdict v = load_scan(l, 0, false);
    EXPECT(v.lost > 0);
    load_close(l);
    cluster_close(c);
}
