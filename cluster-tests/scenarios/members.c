/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes added, promoted and removed, and leadership handed over, under load. */
#include <string.h>

#include "cluster-tests/load.h"
#include "testkit/test.h"

enum { ACKS = 100, ROUNDS = 20, GAP_LIMIT_MS = 5000 };

static bool leads(struct cluster *c, void *context)
{
    return cluster_leader(c) == *(const size_t *)context;
}

static void hand_over(struct cluster *c, size_t node)
{
    cluster_change(c, "TransferLeadership", node, leads, &node);
}

static bool is_healthy_of_three(struct cluster *c, void *context)
{
    (void)context;
    struct node_cluster_status status;
    struct err e;
    size_t leader = cluster_leader(c);
    return leader < cluster_size(c) &&
           node_cluster_status_get(cluster_client(c, leader), &status, &e) == ERR_OK &&
           status.count == 3 && status.healthy;
}

static struct cluster *open_three(const char *name, size_t nodes, struct load **l)
{
    struct cluster_options options = {.name = name, .founders = 3, .nodes = nodes};
    struct cluster *c = cluster_open(&options);
    for (size_t i = 0; i < 3; i++) {
        cluster_start(c, i, NULL);
    }
    struct load_options load = {.reads = true};
    *l = load_open(c, &load);
    load_run(*l, ACKS);
    return c;
}

/* A fourth and a fifth node join; then the founders leave, the leader last. */
TEST(members, a_cluster_moves_to_other_nodes_under_load)
{
    struct load *l = NULL;
    struct cluster *c = open_three("move", 5, &l);
    for (size_t node = 3; node < 5; node++) {
        cluster_start(c, node, NULL);
        cluster_wait_kind(c, node, "spare");
        load_run(l, ACKS);
        cluster_promote(c, node);
        (void)cluster_wait_healthy(c);
    }
    load_run(l, ACKS);
    for (size_t node = 0; node < 2; node++) {
        size_t leader = cluster_wait_healthy(c);
        if (leader == node) {
            hand_over(c, 3);
            (void)cluster_wait_healthy(c);
        }
        cluster_remove(c, node);
        cluster_kill(c, node);
        load_run(l, ACKS);
    }
    cluster_wait(c, is_healthy_of_three, NULL, 0, "the leader does not show three healthy nodes");
    /* A majority of the new voters is enough. */
    size_t leader = cluster_wait_healthy(c);
    cluster_kill(c, leader);
    load_run(l, ACKS);
    cluster_start(c, leader, NULL);
    (void)cluster_wait_healthy(c);
    load_check(l);
    load_print(l, "moved to other nodes");
    load_close(l);
    cluster_close(c);
}

/* A removed node's directory may not come back as what it was. */
TEST(members, a_removed_node_comes_back_only_as_a_newcomer)
{
    struct load *l = NULL;
    struct cluster *c = open_three("removed", 3, &l);
    size_t leader = cluster_wait_healthy(c);
    size_t node = (leader + 1) % 3;
    struct node_status before = cluster_wait_status(c, node);
    cluster_stop(c, node);
    cluster_remove(c, node);
    load_run(l, ACKS);
    cluster_start(c, node, NULL);
    cluster_wait_kind(c, node, "spare");
    struct node_status after = cluster_wait_status(c, node);
    EXPECT(after.id != before.id);
    cluster_promote(c, node);
    (void)cluster_wait_healthy(c);
    load_check(l);
    load_close(l);
    cluster_close(c);
}

TEST(members, leadership_is_handed_over_under_load)
{
    struct load *l = NULL;
    struct cluster *c = open_three("transfer", 3, &l);
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        size_t to = (cluster_wait_healthy(c) + 1) % 3;
        load_gap_begin(l);
        hand_over(c, to);
        load_run(l, ACKS);
        (void)load_gap_end(l);
    }
    load_expect_gaps(l, "lead handed over", GAP_LIMIT_MS);
    load_check(l);
    load_close(l);
    cluster_close(c);
}

/* By the node that leads from before the call until after it. */
static void expect_refused(struct cluster *c, const char *method, const char *name,
                           enum err_code want, const char *part)
{
    struct err e = {0};
    size_t leader = 0;
    enum err_code code = ERR_OK;
    test_context("%s %s", method, name);
    do {
        leader = cluster_wait_leader(c);
        struct node_client *client = cluster_client(c, leader);
        code = strcmp(method, "AddNode") == 0 ? node_add(client, name, 0, "127.0.0.1:1", &e)
                                              : node_change(client, method, name, &e);
    } while (cluster_wait_leader(c) != leader);
    EXPECT_STR(err_name(code), err_name(want));
    EXPECT_CONTAINS(e.text, part);
}

TEST(members, impossible_changes_are_refused_with_the_reason)
{
    struct load *l = NULL;
    struct cluster *c = open_three("impossible", 3, &l);
    struct err e;
    expect_refused(c, "PromoteNode", "nobody", ERR_NOT_FOUND, "nobody");
    expect_refused(c, "RemoveNode", "nobody", ERR_NOT_FOUND, "nobody");
    expect_refused(c, "ReplaceNode", "n1", ERR_NOT_FOUND, "n1");
    expect_refused(c, "TransferLeadership", "nobody", ERR_NOT_FOUND, "nobody");
    expect_refused(c, "RemoveNode", "", ERR_INVALID, "name");
    expect_refused(c, "AddNode", "n9", ERR_INVALID, "directory id");
    size_t leader = 0;
    do { /* a follower names the leader, if that is the same before and after */
        leader = cluster_wait_healthy(c);
        struct node_client *follower = cluster_client(c, (leader + 1) % 3);
        EXPECT(node_change(follower, "RemoveNode", "nobody", &e) != ERR_OK);
    } while (cluster_wait_healthy(c) != leader);
    EXPECT_STR(err_name(e.code), err_name(ERR_UNAVAILABLE));
    EXPECT_STR(cluster_client(c, (leader + 1) % 3)->outcome.leader,
               cluster_client_address(c, leader));
    load_run(l, ACKS);
    load_check(l);
    load_close(l);
    cluster_close(c);
}
