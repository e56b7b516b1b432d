/* SPDX-License-Identifier: Apache-2.0 */
/* The leader is killed while clients write: another one leads at once, and no
 * acknowledged row is lost. */
#include <inttypes.h>
#include <stdio.h>

#include "cluster-tests/load.h"
#include "testkit/test.h"

enum { ROUNDS = 100, ACKS_BEFORE_MAX = 300, ACKS_AFTER = 50, GAP_LIMIT_MS = 5000 };

static uint64_t one_round(struct cluster *c, struct load *l)
{
    load_run(l, 1 + random_below(cluster_random(c), ACKS_BEFORE_MAX));
    size_t leader = cluster_wait_leader(c);
    load_gap_begin(l);
    cluster_kill(c, leader);
    load_run(l, ACKS_AFTER);
    uint64_t gap_ms = load_gap_end(l);
    cluster_start(c, leader, NULL);
    (void)cluster_wait_healthy(c);
    return gap_ms;
}

TEST(failover, a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost)
{
    struct cluster_options options = {.name = "failover", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    struct load *l = load_open(c, &load);
    unsigned rounds = cluster_rounds(ROUNDS);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t gap_ms = one_round(c, l);
        (void)printf("round %u: no write for %" PRIu64 " ms\n", i + 1, gap_ms);
    }
    load_check(l);
    load_print(l, "leader killed");
    load_expect_gaps(l, "leader killed", GAP_LIMIT_MS);
    EXPECT(load_reads(l) > 0);
    load_close(l);
    cluster_close(c);
}
