/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that fail while clients write: a sync that says EIO, and one that hangs. The node
 * ends and says why, another one leads, and what the failed sync left in memory never
 * counts: the lossy disk loses it with the process. */
#include <inttypes.h>
#include <stdio.h>

#include "cluster-tests/load.h"
#include "testkit/test.h"

enum { ROUNDS = 30, ACKS_BEFORE_MAX = 200, ACKS_AFTER = 50, GAP_LIMIT_MS = 5000, EXIT_FAILED = 1 };

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
