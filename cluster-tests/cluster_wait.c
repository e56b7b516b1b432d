/* SPDX-License-Identifier: Apache-2.0 */
/* The part of cluster.h that waits for what nodes say about themselves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cluster-tests/cluster.h"

enum {
    STATUS_LIMIT_MS = 3000,
    TURN_MS = 10,
    HASH_SIZE = 64,
    HASH_LIMIT_MS = 60000, /* every row is decoded, by a program that checks itself */
};

bool cluster_status(struct cluster *c, size_t node, struct node_status *out)
{
    const struct process *p = cluster_process(c, node);
    struct err e;
    if (p->id == 0 || p->paused) {
        return false;
    }
    struct node_client client = *cluster_client(c, node);
    client.timeout_ms = STATUS_LIMIT_MS;
    return node_status_get(&client, out, &e) == ERR_OK;
}

void cluster_wait(struct cluster *c, cluster_condition *condition, void *context, unsigned limit_ms,
                  const char *what)
{
    unsigned limit = limit_ms == 0 ? (unsigned)CLUSTER_WAIT_MS : limit_ms;
    uint64_t end_us = process_now_us() + UINT64_C(1000) * limit;
    while (!condition(c, context)) {
        if (process_now_us() > end_us) {
            cluster_fail(c, "after %u ms: %s", limit, what);
        }
        cluster_turn(c, TURN_MS);
    }
}

struct asked {
    size_t node;
    struct node_status status;
};

static bool has_answered(struct cluster *c, void *context)
{
    struct asked *a = context;
    return cluster_status(c, a->node, &a->status);
}

struct node_status cluster_wait_status(struct cluster *c, size_t node)
{
    struct asked a = {.node = node};
    cluster_wait(c, has_answered, &a, 0, "a node does not tell its status");
    return a.status;
}

size_t cluster_leader(struct cluster *c)
{
    size_t leader = cluster_size(c);
    uint64_t term = 0;
    for (size_t i = 0; i < cluster_size(c); i++) {
        struct node_status s;
        if (cluster_status(c, i, &s) &&
            ((s.role == NODE_LEADER && s.term > term) || s.role == NODE_STANDALONE)) {
            leader = i;
            term = s.term;
        }
    }
    return leader;
}

struct survey {
    size_t count; /* nodes that run and are not paused */
    struct node_status nodes[CLUSTER_NODES_MAX];
    size_t leader; /* as in cluster_leader() */
    bool complete; /* all have answered */
    uint64_t
        target; /* index that all must apply: what was committed when a leader was first seen */
    char why[1024];
};

static void ask_all(struct cluster *c, struct survey *s)
{
    uint64_t term = 0;
    s->count = 0;
    s->leader = cluster_size(c);
    s->complete = true;
    for (size_t i = 0; i < cluster_size(c); i++) {
        const struct process *p = cluster_process(c, i);
        if (p->id == 0 || p->paused) {
            continue;
        }
        struct node_status *n = &s->nodes[s->count];
        if (!cluster_status(c, i, n)) {
            s->complete = false;
            continue;
        }
        s->count++;
        if ((n->role == NODE_LEADER && n->term > term) || n->role == NODE_STANDALONE) {
            s->leader = i;
            term = n->term;
        }
    }
}

static bool is_healthy(const struct node_status *n, const struct node_status *leader,
                       uint64_t target)
{
    return n->healthy && n->raft.holes == 0 && n->local.holes == 0 &&
           (n->role == NODE_STANDALONE ||
            (n->leader_id == leader->id && n->term == leader->term && n->applied_index >= target &&
             n->cluster_id == leader->cluster_id));
}

static const struct node_status *find(const struct survey *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->nodes[i].name, name) == 0) {
            return &s->nodes[i];
        }
    }
    return NULL;
}

static void describe(struct survey *s)
{
    size_t used = 0;
    s->why[0] = '\0';
    for (size_t i = 0; i < s->count && used < sizeof s->why; i++) {
        const struct node_status *n = &s->nodes[i];
        used += (size_t)snprintf(s->why + used, sizeof s->why - used,
                                 "; %s role=%u term=%" PRIu64 " commit=%" PRIu64 " applied=%" PRIu64
                                 " holes=%" PRIu64 " healthy=%d %s",
                                 n->name, n->role, n->term, n->commit_index, n->applied_index,
                                 n->raft.holes, n->healthy, n->message);
    }
}

static bool all_healthy(struct cluster *c, void *context)
{
    struct survey *s = context;
    ask_all(c, s);
    describe(s);
    if (!s->complete || s->leader == cluster_size(c)) {
        return false;
    }
    const struct node_status *leader = find(s, cluster_name(c, s->leader));
    if (leader == NULL) {
        return false;
    }
    s->target = s->target == 0 ? leader->commit_index : s->target;
    for (size_t i = 0; i < s->count; i++) {
        if (!is_healthy(&s->nodes[i], leader, s->target)) {
            return false;
        }
    }
    return s->count > 0;
}

size_t cluster_wait_healthy(struct cluster *c)
{
    struct survey s = {0};
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    while (!all_healthy(c, &s)) {
        if (process_now_us() > end_us) {
            cluster_fail(c, "not healthy after %u ms%s", (unsigned)CLUSTER_WAIT_MS, s.why);
        }
        cluster_turn(c, TURN_MS);
    }
    return s.leader;
}

/* Voters that the node shows; 0: it does not answer. */
static size_t count_voters(struct cluster *c, size_t node)
{
    struct node_cluster_status status;
    struct err e;
    size_t voters = 0;
    if (node_cluster_status_get(cluster_client(c, node), &status, &e) == ERR_OK) {
        for (size_t i = 0; i < status.count; i++) {
            voters += strcmp(status.nodes[i].kind, "voter") == 0;
        }
    }
    return voters;
}

static bool has_leader(struct cluster *c, void *context)
{
    struct survey *s = context;
    ask_all(c, s);
    describe(s);
    const struct node_status *leader =
        s->leader < cluster_size(c) ? find(s, cluster_name(c, s->leader)) : NULL;
    if (leader == NULL || leader->role == NODE_STANDALONE) {
        return leader != NULL;
    }
    size_t followers = 0; /* among them the leader itself */
    for (size_t i = 0; i < s->count; i++) {
        followers += s->nodes[i].leader_id == leader->id && s->nodes[i].term == leader->term &&
                     strcmp(s->nodes[i].kind, "voter") == 0;
    }
    size_t voters = count_voters(c, s->leader);
    return voters > 0 && followers > voters / 2;
}

size_t cluster_wait_leader(struct cluster *c)
{
    struct survey s = {0};
    cluster_wait(c, has_leader, &s, 0, "no leader that a majority follows");
    return s.leader;
}

static bool may_be_tried_again(enum err_code code)
{
    return code == ERR_OK || code == ERR_UNAVAILABLE || code == ERR_UNKNOWN_OUTCOME ||
           code == ERR_DEADLINE;
}

void cluster_change(struct cluster *c, const char *method, size_t node, cluster_condition *done,
                    void *context)
{
    struct err e = {0};
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    enum err_code code = ERR_OK;
    size_t leader = cluster_wait_leader(c);
    while (!done(c, context)) {
        if (!may_be_tried_again(code) || process_now_us() > end_us) {
            cluster_fail(c, "%s %s: %s", method, cluster_name(c, node), e.text);
        }
        code = node_change(cluster_client(c, leader), method, cluster_name(c, node), &e);
        cluster_turn(c, TURN_MS);
        leader = cluster_wait_leader(c);
    }
}

/* --- state hashes --- */

struct hashes {
    uint64_t at[CLUSTER_NODES_MAX];
    char text[CLUSTER_NODES_MAX][HASH_SIZE];
    size_t first;   /* node that was asked first */
    struct err err; /* of the last one that did not answer */
};

/* All at one index, whatever it is: only then can they be compared. Who is behind
 * the first answers when it has applied as much. */
static bool are_at_one_index(struct cluster *c, void *context)
{
    struct hashes *h = context;
    bool one = true;
    uint64_t index = 0;
    h->first = cluster_size(c);
    for (size_t i = 0; i < cluster_size(c); i++) {
        const struct process *p = cluster_process(c, i);
        if (p->id == 0 || p->paused) {
            continue;
        }
        struct node_client client = *cluster_client(c, i);
        client.timeout_ms = HASH_LIMIT_MS;
        if (node_state_hash(&client, index, &h->at[i], h->text[i], &h->err) != ERR_OK) {
            return false;
        }
        if (h->first == cluster_size(c)) {
            h->first = i;
            index = h->at[i];
        }
        one = one && h->at[i] == h->at[h->first];
    }
    return one && h->first < cluster_size(c);
}

void cluster_expect_equal_state(struct cluster *c)
{
    struct hashes h = {0};
    cluster_turn(c, 0);
    CHECK(!cluster_works(c));
    (void)cluster_wait_healthy(c);
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    while (!are_at_one_index(c, &h)) {
        if (process_now_us() > end_us) {
            cluster_fail(c,
                         "no index at which all nodes give their state's hash (%" PRIu64
                         ", %" PRIu64 ", %" PRIu64 "); %s",
                         h.at[0], h.at[1], h.at[2], h.err.text);
        }
        cluster_turn(c, TURN_MS);
    }
    for (size_t i = 0; i < cluster_size(c); i++) {
        const struct process *p = cluster_process(c, i);
        if (p->id != 0 && !p->paused && strcmp(h.text[i], h.text[h.first]) != 0) {
            cluster_fail(c, "state of %s at index %" PRIu64 " is %s, of %s it is %s",
                         cluster_name(c, i), h.at[i], h.text[i], cluster_name(c, h.first),
                         h.text[h.first]);
        }
    }
}

/* --- members --- */

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

void cluster_wait_kind(struct cluster *c, size_t node, const char *kind)
{
    struct kind k = {node, kind};
    cluster_wait(c, is_of_kind, &k, 0, kind == NULL ? "still a member" : kind);
}

void cluster_promote(struct cluster *c, size_t node)
{
    struct kind voter = {node, "voter"};
    cluster_change(c, "PromoteNode", node, is_of_kind, &voter);
}

void cluster_remove(struct cluster *c, size_t node)
{
    struct kind gone = {node, NULL};
    cluster_change(c, "RemoveNode", node, is_of_kind, &gone);
}
