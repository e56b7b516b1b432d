/* SPDX-License-Identifier: Apache-2.0 */
/* With one real node alone. */
#include "cluster-tests/cluster.h"

#include <signal.h>

#include "testkit/test.h"

TEST(cluster, starts_stops_and_restarts_a_node)
{
    struct cluster_options options = {.name = "harness"};
    struct cluster *c = cluster_open(&options);
    EXPECT_UINT(cluster_size(c), 1);
    EXPECT(!cluster_runs(c, 0));
    cluster_start_all(c);
    EXPECT_UINT(cluster_wait_healthy(c), 0);
    struct node_status before;
    EXPECT(cluster_status(c, 0, &before));
    EXPECT_UINT(before.role, NODE_STANDALONE);
    EXPECT_STR(before.name, "n1");
    cluster_stop(c, 0);
    EXPECT(!cluster_runs(c, 0));
    EXPECT(!cluster_status(c, 0, &before));
    EXPECT(cluster_said(c, 0, "stopped code=0"));
    EXPECT(!cluster_said(c, 0, "words that no node says"));

    cluster_start(c, 0, NULL);
    EXPECT_UINT(cluster_wait_healthy(c), 0);
    struct node_status after;
    EXPECT(cluster_status(c, 0, &after));
    EXPECT_UINT(after.id, before.id);
    EXPECT(after.start_counter > before.start_counter);
    cluster_pause(c, 0);
    EXPECT(!cluster_status(c, 0, &after));
    cluster_resume(c, 0);
    cluster_expect_equal_state(c);
    cluster_kill(c, 0);
    EXPECT(!cluster_runs(c, 0));
    cluster_close(c);
}

static bool works(void *context)
{
    return *(bool *)context;
}

static void expect_equal_state(void *c)
{
    cluster_expect_equal_state(c);
}

/* Else it would pass or fail by luck. */
TEST(cluster, states_are_compared_only_when_nobody_writes)
{
    struct cluster_options options = {.name = "harness"};
    struct cluster *c = cluster_open(&options);
    bool busy = true;
    cluster_on_turn(c, works, &busy);
    EXPECT_DIES(expect_equal_state, c, "!cluster_works(c)");
    busy = false;
    cluster_start_all(c);
    cluster_expect_equal_state(c);
    cluster_on_turn(c, NULL, NULL);
    cluster_close(c);
}

TEST(cluster, a_patient_client_waits_for_a_node_that_starts)
{
    struct cluster_options options = {.name = "harness"};
    struct cluster *c = cluster_open(&options);
    struct node_status s;
    struct err e;
    EXPECT_ERR(node_status_get(cluster_client(c, 0), &s, &e), ERR_UNAVAILABLE);
    cluster_start_all(c);
    EXPECT_OK(node_status_get(cluster_patient(c, 0), &s, &e));
    EXPECT_STR(s.name, "n1");
    cluster_kill(c, 0);
    struct node_client patient = *cluster_patient(c, 0);
    patient.patience_ms = 1; /* it ends */
    EXPECT_ERR(node_status_get(&patient, &s, &e), ERR_UNAVAILABLE);
    cluster_close(c);
}

TEST(cluster, shows_what_a_refused_start_says)
{
    struct cluster_options options = {.name = "harness"};
    struct cluster *c = cluster_open(&options);
    const char *const flags[] = {"--no-such-flag", NULL};
    struct buf output = {0};
    EXPECT_INT(cluster_try(c, flags, &output), 2);
    EXPECT_CONTAINS((const char *)output.data, "--no-such-flag");
    buf_deinit(&output);
    cluster_close(c);
}

TEST(cluster, finds_a_node_by_its_address)
{
    struct cluster_options options = {.name = "harness", .founders = 3, .nodes = 4};
    struct cluster *c = cluster_open(&options);
    EXPECT_UINT(cluster_size(c), 4);
    EXPECT_UINT(cluster_find(c, cluster_client_address(c, 2)), 2);
    EXPECT_UINT(cluster_find(c, "127.0.0.1:1"), 4);
    EXPECT_UINT(cluster_leader(c), 4);
    cluster_close(c);
}

TEST(cluster, runs_a_tenth_of_the_rounds_and_at_least_one)
{
    EXPECT(cluster_rounds(100) == 10 || cluster_rounds(100) == 100);
    EXPECT_UINT(cluster_rounds(1), 1);
}
