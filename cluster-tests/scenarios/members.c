/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes added, promoted and removed, and leadership handed over, under load. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cluster-tests/load.h"
#include "testkit/test.h"

enum { ACKS = 100, ROUNDS = 20, GAP_LIMIT_MS = 5000 };

struct kind {
    size_t node;
    const char *kind; /* NULL: not a member */
};

static bool is_of_kind(struct cluster *c, void *context)
{
    const struct kind *k = context;
    struct node_cluster_status status;
    struct err e;
    size_t leader = cluster_leader(c);
    if (leader == cluster_size(c) ||
        node_cluster_status_get(cluster_client(c, leader), &status, &e) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < status.count; i++) {
        if (strcmp(status.nodes[i].name, cluster_name(c, k->node)) == 0) {
            return k->kind != NULL && strcmp(status.nodes[i].kind, k->kind) == 0;
        }
    }
    return k->kind == NULL;
}

static void wait_kind(struct cluster *c, size_t node, const char *kind)
{
    struct kind k = {node, kind};
    cluster_wait(c, is_of_kind, &k, 0, kind == NULL ? "still a member" : kind);
}

/* At the leader; again when the lead has moved. */
static void change(struct cluster *c, const char *method, size_t node)
{
    struct err e = {0};
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    enum err_code code = ERR_UNAVAILABLE;
    while (code == ERR_UNAVAILABLE && process_now_us() < end_us) {
        struct node_client *leader = cluster_client(c, cluster_wait_leader(c));
        code = node_change(leader, method, cluster_name(c, node), &e);
        cluster_turn(c, 10);
    }
    if (code != ERR_OK) {
        cluster_fail(c, "%s %s: %s", method, cluster_name(c, node), e.text);
    }
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
        wait_kind(c, node, "spare");
        load_run(l, ACKS);
        change(c, "PromoteNode", node);
        wait_kind(c, node, "voter");
        (void)cluster_wait_healthy(c);
    }
    load_run(l, ACKS);
    for (size_t node = 0; node < 2; node++) {
        size_t leader = cluster_wait_healthy(c);
        if (leader == node) {
            change(c, "TransferLeadership", 3);
            (void)cluster_wait_healthy(c);
        }
        change(c, "RemoveNode", node);
        wait_kind(c, node, NULL);
        cluster_kill(c, node);
        load_run(l, ACKS);
    }
    struct node_cluster_status status;
    struct err e;
    EXPECT_OK(node_cluster_status_get(cluster_client(c, cluster_wait_healthy(c)), &status, &e));
    EXPECT_UINT(status.count, 3);
    EXPECT(status.healthy);
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
    change(c, "RemoveNode", node);
    wait_kind(c, node, NULL);
    load_run(l, ACKS);
    cluster_start(c, node, NULL);
    wait_kind(c, node, "spare");
    struct node_status after = cluster_wait_status(c, node);
    EXPECT(after.id != before.id);
    change(c, "PromoteNode", node);
    wait_kind(c, node, "voter");
    (void)cluster_wait_healthy(c);
    load_check(l);
    load_close(l);
    cluster_close(c);
}

static bool leads(struct cluster *c, void *context)
{
    return cluster_leader(c) == *(const size_t *)context;
}

TEST(members, leadership_is_handed_over_under_load)
{
    struct load *l = NULL;
    struct cluster *c = open_three("transfer", 3, &l);
    uint64_t gap_max = 0;
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        size_t to = (cluster_wait_healthy(c) + 1) % 3;
        load_gap_begin(l);
        change(c, "TransferLeadership", to);
        cluster_wait(c, leads, &to, 0, "the lead is not where it was handed to");
        load_run(l, ACKS);
        gap_max = load_gap_ms(l) > gap_max ? load_gap_ms(l) : gap_max;
    }
    (void)printf("lead handed over: no write for %" PRIu64 " ms at most\n", gap_max);
    EXPECT(gap_max <= GAP_LIMIT_MS);
    load_check(l);
    load_close(l);
    cluster_close(c);
}

TEST(members, impossible_changes_are_refused_with_the_reason)
{
    struct load *l = NULL;
    struct cluster *c = open_three("impossible", 3, &l);
    struct err e;
    size_t leader = cluster_wait_healthy(c);
    struct node_client *client = cluster_client(c, leader);
    EXPECT_ERR(node_change(client, "PromoteNode", "nobody", &e), ERR_NOT_FOUND);
    EXPECT_CONTAINS(e.text, "nobody");
    EXPECT_ERR(node_change(client, "RemoveNode", "nobody", &e), ERR_NOT_FOUND);
    EXPECT_ERR(node_change(client, "ReplaceNode", "n1", &e), ERR_NOT_FOUND);
    EXPECT_ERR(node_change(client, "TransferLeadership", "nobody", &e), ERR_NOT_FOUND);
    EXPECT_ERR(node_change(client, "RemoveNode", "", &e), ERR_INVALID);
    EXPECT_ERR(node_add(client, "n9", 0, "127.0.0.1:1", &e), ERR_INVALID);
    EXPECT_ERR(node_change(cluster_client(c, (leader + 1) % 3), "RemoveNode", "n1", &e),
               ERR_UNAVAILABLE);
    EXPECT_STR(cluster_client(c, (leader + 1) % 3)->outcome.leader,
               cluster_client_address(c, leader));
    load_run(l, ACKS);
    load_check(l);
    load_close(l);
    cluster_close(c);
}
