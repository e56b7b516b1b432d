/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/replica.h"

#include "raft/test/cluster.h"
#include "testkit/test.h"

static struct cluster *open_three(uint64_t seed)
{
    struct cluster_options options = {.seed = seed,
                                      .nodes = 3,
                                      .voters = 3,
                                      .net_min_ms = 1,
                                      .net_max_ms = 3,
                                      .disk_min_ms = 1,
                                      .disk_max_ms = 2,
                                      .cache_size_max = 1 << 20};
    return cluster_open(&options);
}

TEST(replica, three_nodes_elect_a_leader_and_replicate)
{
    struct cluster *c = open_three(1);
    uint64_t leader = cluster_run_to_leader(c, 5000);
    REQUIRE(leader != 0);
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(cluster_submit(c, leader, 4, 100));
        cluster_run(c, 5);
    }
    EXPECT_OK(cluster_read(c, leader));
    cluster_run(c, 500);
    EXPECT_UINT(cluster_totals(c)->acknowledged, 200);
    EXPECT_UINT(cluster_totals(c)->reads, 1);
    cluster_check_equal(c);
    cluster_close(c);
}
