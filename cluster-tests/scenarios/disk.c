/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that fail while clients write: a sync that says EIO, and one that hangs. The node
 * ends and says why, another one leads, and what the failed sync left in memory never
 * counts: the lossy disk loses it with the process. And disks that are full. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cluster-tests/load.h"
#include "testkit/test.h"

enum { ROUNDS = 20, ACKS_BEFORE_MAX = 200, ACKS_AFTER = 50, GAP_LIMIT_MS = 5000, EXIT_FAILED = 1 };

struct fault {
    const char *what; /* as cluster_fault() takes it */
    const char *said; /* by the node whose disk it is */
    bool leader;      /* else a follower */
};

static void one_round(struct cluster *c, struct load *l, const struct fault *fault)
{
    load_run(l, 1 + random_below(cluster_random(c), ACKS_BEFORE_MAX));
    size_t leader = cluster_wait_healthy(c);
    size_t node = fault->leader ? leader : (leader + 1) % cluster_size(c);
    load_gap_begin(l);
    cluster_fault(c, node, fault->what);
    EXPECT_INT(cluster_wait_exit(c, node), EXIT_FAILED);
    load_run(l, ACKS_AFTER);
    uint64_t gap_ms = load_gap_end(l);
    (void)printf("no write for %" PRIu64 " ms\n", gap_ms);
    EXPECT(cluster_said(c, node, fault->said));
    cluster_fault(c, node, NULL);
    cluster_start(c, node, NULL);
    (void)cluster_wait_healthy(c);
}

static void run_rounds(const struct fault *fault, const char *title)
{
    struct cluster_options options = {.name = "disk", .founders = 3, .faulty = true};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    struct load *l = load_open(c, &load);
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        one_round(c, l, fault);
    }
    load_check(l);
    load_print(l, title);
    load_expect_gaps(l, title, GAP_LIMIT_MS);
    load_close(l);
    cluster_close(c);
}

TEST(disk, a_leader_whose_sync_fails_is_replaced)
{
    static const struct fault fault = {"eio", "fdatasync: injected", true};
    run_rounds(&fault, "sync of the leader fails");
}

TEST(disk, a_follower_whose_sync_fails_stops_alone)
{
    static const struct fault fault = {"eio", "fdatasync: injected", false};
    run_rounds(&fault, "sync of a follower fails");
}

/* The sync ends while the node is on its way out: it counts no more. */
TEST(disk, a_leader_whose_sync_takes_5_s_is_replaced)
{
    static const struct fault fault = {"hang 5000", "has not finished a write", true};
    run_rounds(&fault, "sync of the leader takes 5 s");
}

/* It would end long after the cluster has gone on: the process does not wait. */
TEST(disk, a_leader_whose_sync_takes_60_s_is_replaced)
{
    static const struct fault fault = {"hang 60000", "has not finished a write", true};
    run_rounds(&fault, "sync of the leader takes 60 s");
}

/* --- disks that are full (safety.md H1) --- */

static bool writes_are_refused(struct cluster *c, void *context)
{
    struct err e;
    struct node_write write = {.series = 50, .count = 1, .value = 1};
    enum err_code code = node_write(cluster_client(c, *(size_t *)context), &write, &e);
    if (code == ERR_OK) {
        return false;
    }
    bool says = strstr(e.text, "disk full: /") != NULL && strstr(e.text, " bytes free") != NULL;
    return code == ERR_FULL && says; /* RESOURCE_EXHAUSTED, on its way */
}

static bool writes_are_taken(struct cluster *c, void *context)
{
    struct err e;
    struct node_write write = {.series = 50, .count = 1, .value = 1};
    return node_write(cluster_client(c, *(size_t *)context), &write, &e) == ERR_OK;
}

static bool leads_elsewhere(struct cluster *c, void *context)
{
    size_t leader = cluster_leader(c);
    return leader < cluster_size(c) && leader != *(size_t *)context;
}

static bool says_full(struct cluster *c, void *context)
{
    struct node_status s;
    return cluster_status(c, *(size_t *)context, &s) && strstr(s.message, "disk full") != NULL;
}

static void expect_full(struct cluster *c, size_t node)
{
    cluster_wait(c, says_full, &node, 0, "a node does not say that its disk is full");
    struct node_status s = cluster_wait_status(c, node);
    EXPECT_CONTAINS(s.message, "disk full: writes are refused; ");
    EXPECT_CONTAINS(s.message, cluster_data_dir(c, node));
    EXPECT(cluster_runs(c, node));
}

TEST(disk, a_leader_whose_disk_is_full_hands_over)
{
    struct cluster_options options = {.name = "full", .founders = 3, .faulty = true};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    struct load *l = load_open(c, &load);
    load_run(l, ACKS_BEFORE_MAX);
    size_t leader = cluster_wait_healthy(c);
    load_gap_begin(l);
    cluster_fault(c, leader, "room 0");
    cluster_wait(c, leads_elsewhere, &leader, GAP_LIMIT_MS, "the lead stays at a full disk");
    load_run(l, ACKS_BEFORE_MAX);
    (void)load_gap_end(l);
    expect_full(c, leader);
    cluster_fault(c, leader, NULL);
    (void)cluster_wait_healthy(c);
    load_check(l);
    load_print(l, "disk of the leader full");
    load_expect_gaps(l, "disk of the leader full", GAP_LIMIT_MS);
    load_close(l);
    cluster_close(c);
}

/* Nobody can take writes: they are refused with the reason, reads go on, no node ends;
 * and all is well again within 10 s of space. */
TEST(disk, when_all_disks_are_full_reads_go_on_and_space_is_enough)
{
    enum { HEALTHY_MS = 10000 };
    struct cluster_options options = {.name = "all-full", .founders = 3, .faulty = true};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    struct load *l = load_open(c, &load);
    load_run(l, ACKS_BEFORE_MAX);
    load_drain(l, CLUSTER_WAIT_MS);
    size_t leader = cluster_wait_healthy(c);
    for (size_t i = 0; i < 3; i++) {
        cluster_fault(c, i, "room 0");
    }
    cluster_wait(c, writes_are_refused, &leader, 0, "writes to full disks are not refused");
    struct row_book_verdict verdict = load_scan(l, leader, false);
    EXPECT_UINT(verdict.lost, 0);
    leader = cluster_wait_leader(c);
    cluster_kill(c, (leader + 1) % 3);
    cluster_start(c, (leader + 1) % 3, NULL);
    leader = cluster_wait_leader(c); /* votes are given */
    expect_full(c, leader);
    for (size_t i = 0; i < 3; i++) {
        cluster_fault(c, i, NULL);
    }
    cluster_wait(c, writes_are_taken, &leader, HEALTHY_MS, "space does not help");
    load_go(l);
    load_run(l, ACKS_AFTER);
    load_drain(l, CLUSTER_WAIT_MS);
    cluster_expect_equal_state(c);
    load_close(l);
    cluster_close(c);
}

TEST(disk, a_node_alone_on_a_full_disk_refuses_writes_until_there_is_space)
{
    enum { HEALTHY_MS = 10000 };
    struct cluster_options options = {.name = "alone-full", .faulty = true};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {0};
    struct load *l = load_open(c, &load);
    load_run(l, ACKS_BEFORE_MAX);
    load_drain(l, CLUSTER_WAIT_MS);
    size_t node = 0;
    cluster_fault(c, node, "room 0");
    cluster_wait(c, writes_are_refused, &node, 0, "writes to a full disk are not refused");
    expect_full(c, node);
    struct row_book_verdict verdict = load_scan(l, node, false);
    EXPECT_UINT(verdict.lost, 0);
    cluster_fault(c, node, NULL);
    cluster_wait(c, writes_are_taken, &node, HEALTHY_MS, "space does not help");
    cluster_stop(c, node);
    load_close(l);
    cluster_close(c);
}
