/* SPDX-License-Identifier: Apache-2.0 */
/* Clean stops (SIGTERM): the exit code is 0, the last words say so, no write
 * fails, and everything is there afterwards. */
#include <string.h>

#include "cluster-tests/load.h"
#include "testkit/test.h"

enum { ROUNDS = 20, ACKS = 100, GAP_LIMIT_MS = 5000 };

static void stop_and_look(struct cluster *c, size_t node)
{
    cluster_stop(c, node);
    EXPECT(cluster_said(c, node, "node stopped code=0"));
    EXPECT(!cluster_said(c, node, "at the drain limit"));
}

/* Each node in turn, the leader among them; the load goes on, and a write that
 * is refused for another reason than "not now" fails the test. */
TEST(restart, one_node_after_the_other_under_load)
{
    struct cluster_options options = {.name = "rolling", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    struct load *l = load_open(c, &load);
    load_run(l, ACKS);
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        for (size_t node = 0; node < cluster_size(c); node++) {
            load_gap_begin(l);
            stop_and_look(c, node);
            load_run(l, ACKS);
            cluster_start(c, node, NULL);
            (void)cluster_wait_healthy(c);
            (void)load_gap_end(l);
        }
    }
    load_check(l);
    load_print(l, "rolling restart");
    load_expect_gaps(l, "rolling restart", GAP_LIMIT_MS);
    load_close(l);
    cluster_close(c);
}

TEST(restart, all_nodes_at_once)
{
    struct cluster_options options = {.name = "restart", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {0};
    struct load *l = load_open(c, &load);
    load_run(l, ACKS);
    load_drain(l, CLUSTER_WAIT_MS);
    for (size_t node = 0; node < cluster_size(c); node++) {
        stop_and_look(c, node);
    }
    cluster_start_all(c);
    (void)cluster_wait_healthy(c);
    load_check(l);
    load_go(l);
    load_run(l, ACKS);
    load_check(l);
    load_close(l);
    cluster_close(c);
}

/* The leader stops right after one of the others: it hands over to the third, and
 * does not wait for the one that has just gone. */
TEST(restart, the_leader_hands_over_to_a_node_that_is_there)
{
    struct cluster_options options = {.name = "hand-over", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    for (size_t i = 1; i <= 2; i++) { /* the one and the other follower */
        size_t leader = cluster_wait_healthy(c);
        stop_and_look(c, (leader + i) % 3);
        stop_and_look(c, leader);
        cluster_start_all(c);
    }
    (void)cluster_wait_healthy(c);
    cluster_expect_equal_state(c);
    cluster_close(c);
}

TEST(restart, a_node_logs_json_when_asked_to)
{
    struct cluster_options options = {.name = "json", .flags = {"--log-format=json"}};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    (void)cluster_wait_healthy(c);
    cluster_stop(c, 0);
    EXPECT(cluster_said(c, 0, "\"room\":\"node\",\"verb\":\"start\",\"version\":"));
    EXPECT(cluster_said(c, 0, "\"verb\":\"stopped\",\"code\":0,\"reason\":\"stopped\"}\n"));
    EXPECT(!cluster_said(c, 0, " info node=n1 ")); /* no line is text */
    cluster_close(c);
}

/* A clean stop makes a checkpoint: nothing is left to replay. */
TEST(restart, a_node_alone_has_nothing_to_replay)
{
    static const char *const levels[] = {"--wal-level=off", "--wal-level=sync", "--wal-level=flush",
                                         "--wal-level=byrl"};
    for (size_t i = 0; i < 4; i++) {
        struct cluster_options options = {.name = "alone", .flags = {levels[i]}};
        struct cluster *c = cluster_open(&options);
        test_context("%s", levels[i]);
        cluster_start_all(c);
        struct load_options load = {0};
        struct load *l = load_open(c, &load);
        load_run(l, ACKS);
        load_drain(l, CLUSTER_WAIT_MS);
        struct node_status before = cluster_wait_status(c, 0);
        stop_and_look(c, 0);
        cluster_start_all(c);
        (void)cluster_wait_healthy(c);
        struct node_status after = cluster_wait_status(c, 0);
        EXPECT(after.checkpoint_index >= before.applied_index);
        load_check(l);
        load_close(l);
        cluster_close(c);
    }
}

struct away_case {
    const char *segments; /* wal_keep_segments */
    const char *slots;    /* max_slot_wal_keep_size */
    const char *retained_by;
    bool gets_checkpoint;
};

static void come_back(const struct away_case *a)
{
    enum { CHECKPOINTS_MAX = 50, MANY_ACKS = 1500 /* more entries than are kept anyway */ };
    struct cluster_options options = {
        .name = "away",
        .founders = 3,
        .flags = {"--test-small-segments", "--wal-segment-size=64KiB"}};
    struct cluster *c = cluster_open(&options);
    struct err e;
    cluster_start_all(c);
    struct load_options load = {.writers = 1, .depth = 1}; /* an entry each */
    struct load *l = load_open(c, &load);
    size_t leader = cluster_wait_healthy(c);
    size_t away = (leader + 1) % 3;
    EXPECT_OK(node_setting_set(cluster_patient(c, leader), "wal_keep_segments", a->segments, &e));
    EXPECT_OK(node_setting_set(cluster_patient(c, leader), "max_slot_wal_keep_size", a->slots, &e));
    cluster_kill(c, away);
    struct node_status s = {0};
    /* At last, when a majority is known to hold the one before, a checkpoint cuts the log. */
    for (unsigned i = 0; i < CHECKPOINTS_MAX && strstr(s.raft.retained_by, a->retained_by) == NULL;
         i++) {
        uint64_t index = 0;
        load_run(l, i < 2 ? MANY_ACKS : 10);
        leader = cluster_wait_healthy(c);
        EXPECT_OK(node_checkpoint(cluster_patient(c, leader), &index, &e));
        EXPECT(index > 0);
        s = cluster_wait_status(c, leader);
    }
    EXPECT_CONTAINS(s.raft.retained_by, a->retained_by);
    cluster_start(c, away, NULL);
    (void)cluster_wait_healthy(c);
    EXPECT(cluster_said(c, away, "node installed") == a->gets_checkpoint);
    load_check(l);
    load_print(l, a->retained_by);
    load_close(l);
    cluster_close(c);
}

/* Every checkpoint cuts the log, as far as it is not kept for who is slow: a node
 * that was away for too many entries needs a checkpoint instead. */
TEST(restart, a_node_that_was_away_too_long_gets_a_checkpoint)
{
    static const struct away_case cases[] = {
        {"0", "0", "the last 1024 entries, for slow replicas", true},
        {"0", "16MiB", "slow replica n", false},
        {"0", "384KiB", ", as far as max_slot_wal_keep_size", true},
        {"1000", "0", "wal_keep_segments, 1000", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_context("max_slot_wal_keep_size %s, wal_keep_segments %s", cases[i].slots,
                     cases[i].segments);
        come_back(&cases[i]);
    }
}
