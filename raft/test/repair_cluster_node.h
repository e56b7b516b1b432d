/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of repair_cluster.h: logs with a tail that is not synced, and the
 * membership that they see. */
#ifndef TIDEMARK_RAFT_TEST_REPAIR_CLUSTER_NODE_H
#define TIDEMARK_RAFT_TEST_REPAIR_CLUSTER_NODE_H

#include "raft/test/repair_lab.h"

enum {
    CLUSTER_NODES = 7,
    CLUSTER_LOG = 40,
    CLUSTER_TERMS = 250,
    CLUSTER_MESSAGES = 24,
    CLUSTER_BATCH = 4,
    CLUSTER_ECHOES = 8,
    CLUSTER_DIRECT = 64,
    CLUSTER_CHANGES = 32,
};

#define CLUSTER_NO_TERM UINT64_MAX

enum cluster_role { CLUSTER_FOLLOWER, CLUSTER_CANDIDATE, CLUSTER_LEADER };

struct member {
    struct lab_node *lab;
    bool running; /* Raft; else it is down, or repairs */
    enum cluster_role role;
    uint64_t term_seen; /* of lab->term: a higher one there means a promise to a repair */
    uint64_t vote;
    uint64_t commit;
    uint64_t applied;
    uint64_t persisted;
    uint64_t acknowledged; /* to the leader followed */
    unsigned votes;        /* bits */
    uint64_t match[CLUSTER_NODES];
    uint64_t next[CLUSTER_NODES];
    struct lab_slot disk[CLUSTER_LOG + 2]; /* what is synced */
    uint64_t disk_last;
    struct lab_slot truth[CLUSTER_LOG + 2]; /* what a hole held */
    uint64_t snapshot_best;                 /* highest that was ever durable */
    bool was_damaged;
    bool was_rotten;
    bool was_removed; /* its id never comes back (safety.md B3) */
};

/* A membership entry: what the entry (index, term) says. */
struct cluster_change {
    uint64_t term;
    struct configuration configuration;
};

enum cluster_type { VOTE, VOTE_RESULT, APPEND, APPEND_RESULT, INSTALL };

struct cluster_message {
    enum cluster_type type;
    size_t from;
    size_t to;
    uint64_t term;
    uint64_t index; /* VOTE: last. APPEND: before the entries. INSTALL. RESULT: accepted up to */
    uint64_t index_term;
    uint64_t commit;
    bool ok;
    uint64_t rejected;
    uint64_t last;
    size_t count;
    struct lab_slot entries[CLUSTER_BATCH];
};

struct cluster {
    struct lab *lab;
    struct random random;
    size_t voters; /* at the begin */
    size_t nodes;
    bool changing; /* membership */
    struct cluster_change changes[CLUSTER_CHANGES];
    size_t change_count;
    const struct cluster_change *change_committed; /* the latest; NULL: none */
    uint64_t log_cap;
    bool stubborn; /* old leaders live on; see test_repair_cluster.c */
    bool healing;  /* no more faults: messages arrive at once */
    bool lazy;     /* what a repair writes counts before it is synced (safety.md C7 taken out) */
    struct member members[CLUSTER_NODES];
    struct cluster_message messages[CLUSTER_MESSAGES];
    size_t message_count;
    struct cluster_message direct[CLUSTER_DIRECT]; /* that arrive at once */
    size_t direct_count;
    unsigned group[CLUSTER_NODES];             /* links inside a group work */
    struct lab_message echoes[CLUSTER_ECHOES]; /* answers to repairs, to come once more */

    struct lab_slot committed[CLUSTER_LOG + 2];
    uint64_t committed_in[CLUSTER_LOG + 2]; /* term of the leader that committed it */
    struct lab_slot applied[CLUSTER_LOG + 2];
    size_t leader_of[CLUSTER_TERMS + 1]; /* node + 1 */
    size_t voted[CLUSTER_NODES][CLUSTER_TERMS + 1];
    const char *failure;
    uint64_t failure_index;
    bool trace;
    unsigned repairs; /* that ended */
};

#define CLUSTER_TRACE(c, ...) ((c)->trace ? (void)printf(__VA_ARGS__) : (void)0)

static inline void cluster_fail(struct cluster *c, const char *failure, uint64_t index)
{
    if (c->failure == NULL) {
        c->failure = failure;
        c->failure_index = index;
    }
}

static inline uint64_t below(struct cluster *c, uint64_t limit)
{
    return random_below(&c->random, limit);
}

/* ---- a node's log ---- */

static inline uint64_t member_base(const struct member *m)
{
    uint64_t cut = m->lab->first - 1;
    return m->lab->snapshot_index > cut ? m->lab->snapshot_index : cut;
}

static inline uint64_t member_last(const struct member *m)
{
    uint64_t base = member_base(m);
    return m->lab->last > base ? m->lab->last : base;
}

static inline uint64_t member_term_at(const struct member *m, uint64_t index)
{
    const struct lab_node *n = m->lab;
    if (index == 0) {
        return 0;
    }
    if (index == n->snapshot_index) {
        return n->snapshot_term;
    }
    if (index == n->first - 1) {
        return n->cut_term;
    }
    bool known = index >= n->first && index <= n->last &&
                 (n->log[index].slot.kind == SLOT_WHOLE || n->log[index].slot.kind == SLOT_DAMAGED);
    return known ? n->log[index].slot.term : CLUSTER_NO_TERM;
}

static inline void member_sync(struct member *m)
{
    for (uint64_t i = 0; i <= CLUSTER_LOG; i++) {
        m->disk[i] = m->lab->log[i];
    }
    m->disk_last = m->lab->last;
    m->persisted = member_last(m);
}

/* What a repair has written is read back from the disk. */
static inline void member_settle(const struct cluster *c, struct member *m)
{
    if (c->lazy) {
        m->persisted = member_last(m);
    } else {
        member_sync(m);
    }
}

static inline bool same_entry(struct lab_slot a, struct lab_slot b)
{
    return a.slot.term == b.slot.term && a.value == b.value;
}

/* The entry, whole in the log or inside a checkpoint. */
static inline bool member_holds(const struct member *m, uint64_t index, struct lab_slot slot)
{
    const struct lab_node *n = m->lab;
    if (n->snapshot_index >= index) {
        return true;
    }
    return index >= n->first && index <= n->last && n->log[index].slot.kind == SLOT_WHOLE &&
           same_entry(n->log[index], slot);
}

/* ---- membership ---- */

static inline const struct cluster_change *find_change(const struct cluster *c, uint64_t index,
                                                       uint64_t term)
{
    for (size_t i = 0; i < c->change_count; i++) {
        const struct cluster_change *found = &c->changes[i];
        if (found->configuration.index == index && found->term == term) {
            return found;
        }
    }
    return NULL;
}

/* In force at this node: the latest in its log; NULL: it knows none. */
static inline const struct configuration *member_configuration(const struct member *m)
{
    const struct lab_node *n = m->lab;
    return n->configuration_count == 0 ? NULL : &n->configurations[n->configuration_count - 1];
}

static inline bool member_sees_voter(const struct member *m, size_t x)
{
    const struct configuration *now = member_configuration(m);
    return now != NULL && configuration_is_voter(now, x + 1);
}

static inline bool member_sees(const struct member *m, size_t x)
{
    const struct configuration *now = member_configuration(m);
    return now != NULL && configuration_find(now, x + 1) != NULL;
}

/* 'nodes' (bits) are a majority of the voters that this node sees. */
static inline bool member_sees_majority(const struct cluster *c, const struct member *m,
                                        unsigned nodes)
{
    size_t voters = 0;
    size_t found = 0;
    for (size_t x = 0; x < c->nodes; x++) {
        bool voter = member_sees_voter(m, x);
        voters += voter;
        found += voter && (nodes >> x & 1U) != 0;
    }
    return found > voters / 2;
}

/* After its log was changed from 'index' on by anything but a repair. */
static inline void member_forget_changes(struct member *m, uint64_t index)
{
    struct lab_node *n = m->lab;
    while (n->configuration_count > 0 &&
           n->configurations[n->configuration_count - 1].index >= index) {
        n->configuration_count--;
    }
}

/* At a start: what its checkpoint holds and what is whole in its log. */
static inline void member_read_changes(const struct cluster *c, struct member *m)
{
    struct lab_node *n = m->lab;
    size_t kept = 0;
    for (size_t i = 0; i < n->configuration_count; i++) {
        uint64_t index = n->configurations[i].index;
        bool held =
            index <= n->snapshot_index && (index > 0 || n->first == 1 || n->snapshot_index > 0);
        if (held) {
            n->configurations[kept++] = n->configurations[i];
        }
    }
    n->configuration_count = kept;
    for (uint64_t i = n->first; i <= n->last; i++) {
        if (n->log[i].slot.kind == SLOT_WHOLE && n->log[i].slot.type == ENTRY_CHANGE) {
            const struct cluster_change *found = find_change(c, i, n->log[i].slot.term);
            CHECK(found != NULL);
            lab_add_configuration(n, &found->configuration);
        }
    }
}

static inline void member_put(const struct cluster *c, struct member *m, uint64_t index,
                              struct lab_slot slot)
{
    struct lab_node *n = m->lab;
    CHECK(index <= CLUSTER_LOG);
    CHECK(index == n->first || index <= n->last + 1);
    for (uint64_t i = index; i <= n->last; i++) {
        n->log[i] = (struct lab_slot){0};
    }
    member_forget_changes(m, index);
    if (slot.slot.type == ENTRY_CHANGE) {
        const struct cluster_change *found = find_change(c, index, slot.slot.term);
        CHECK(found != NULL);
        lab_add_configuration(n, &found->configuration);
    }
    n->log[index] = slot;
    n->last = index;
    m->persisted = m->persisted >= index ? index - 1 : m->persisted;
    m->acknowledged = m->acknowledged >= index ? index - 1 : m->acknowledged;
}

#endif
