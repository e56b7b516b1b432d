/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, crashes, damage, checkpoints and cuts of the nodes of repair_cluster.h. */
#ifndef TIDEMARK_RAFT_TEST_REPAIR_CLUSTER_LIFE_H
#define TIDEMARK_RAFT_TEST_REPAIR_CLUSTER_LIFE_H

#include "raft/test/repair_cluster.h"

static inline void tell_peers(struct cluster *c)
{
    for (size_t a = 0; a < c->nodes; a++) {
        for (size_t b = 0; b < c->nodes; b++) {
            c->lab->cut[a][b] = !cluster_linked(c, a, b);
        }
    }
    for (size_t x = 0; x < c->nodes; x++) {
        lab_tell_peers(c->lab, c->members[x].lab);
    }
}

static inline void launch(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    uint64_t term = 0;
    m->running = true;
    member_calm(m);
    member_settle(c, m);
    m->commit = m->lab->snapshot_index;
    m->applied = m->lab->snapshot_index;
    for (uint64_t i = member_base(m) + 1; i <= m->lab->last; i++) {
        if (m->lab->log[i].slot.term < term) {
            cluster_fail(c, "terms fall in the log of a node that starts", i);
        }
        term = m->lab->log[i].slot.term;
    }
    if (term > m->lab->term) {
        cluster_fail(c, "an entry is of a term above the stored one", term);
    }
    CLUSTER_TRACE(c, "    %zu starts\n", x);
}

/* After anything that a repair may have done. */
static inline void notice(struct cluster *c)
{
    cluster_notice_terms(c);
    for (size_t x = 0; x < c->nodes; x++) {
        struct member *m = &c->members[x];
        if (m->lab->snapshot_index > m->snapshot_best) {
            m->snapshot_best = m->lab->snapshot_index;
        }
        if (m->lab->up && !m->running) {
            member_settle(c, m); /* a repair writes durably */
            if (m->lab->repair == NULL) {
                c->repairs++;
                launch(c, x);
            }
        }
    }
}

static inline void start(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    member_sync(m); /* safety.md A6 */
    member_calm(m);
    member_read_changes(c, m);
    bool whole = lab_is_whole(m->lab);
    lab_start(c->lab, m->lab);
    if (whole) {
        launch(c, x);
    } else {
        CLUSTER_TRACE(c, "    %zu repairs\n", x);
    }
    tell_peers(c);
    notice(c);
}

static inline void forget_messages_to(struct cluster *c, size_t x)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->message_count; i++) {
        if (c->messages[i].to != x) {
            c->messages[kept++] = c->messages[i];
        }
    }
    c->message_count = kept;
}

static inline void stop(struct cluster *c, size_t x, bool power)
{
    struct member *m = &c->members[x];
    if (power) { /* what was not synced may be gone */
        for (uint64_t i = 0; i <= CLUSTER_LOG; i++) {
            m->lab->log[i] = m->disk[i];
        }
        m->lab->last = m->disk_last;
        member_read_changes(c, m);
    }
    if (m->lab->up) {
        CLUSTER_TRACE(c, "    %zu: %s\n", x, power ? "power failure" : "killed");
        forget_messages_to(c, x);
        lab_stop(m->lab);
        member_calm(m);
        m->running = false;
        tell_peers(c);
        notice(c);
    }
}

/* Of a node that is down: one slot goes bad, or the end is lost. */
static inline void damage(struct cluster *c, size_t x, uint64_t unknown_of_3)
{
    struct member *m = &c->members[x];
    struct lab_node *n = m->lab;
    uint64_t base = member_base(m);
    if (n->last <= base) {
        return;
    }
    uint64_t i = below(c, 2) == 0 ? n->last : base + 1 + below(c, n->last - base);
    bool unknown = below(c, 3) < unknown_of_3;
    m->was_damaged = true;
    if (unknown && below(c, 6) == 0) { /* all from there on, and that there was any */
        if (below(c, 3) == 0) {        /* of what is in the checkpoint too */
            i = n->first + below(c, n->last - n->first + 1);
        }
        CLUSTER_TRACE(c, "    %zu: what followed %" PRIu64 " is lost\n", x, i - 1);
        for (uint64_t k = i; k <= n->last; k++) {
            n->log[k] = (struct lab_slot){0};
        }
        n->last = i - 1;
        n->end_unknown = true;
        member_sync(m);
        return;
    }
    if (n->log[i].slot.kind == SLOT_WHOLE) {
        m->truth[i] = n->log[i];
    }
    if (unknown) {
        lab_lose(n, i);
    } else if (n->log[i].slot.kind == SLOT_WHOLE) {
        lab_damage(n, i);
    }
    CLUSTER_TRACE(c, "    %zu: %" PRIu64 " is %s\n", x, i, unknown ? "lost" : "damaged");
    member_sync(m);
}

static inline void checkpoint(struct cluster *c, struct member *m)
{
    if (m->applied > member_base(m) && m->applied <= m->persisted) {
        m->lab->snapshot_term = member_term_at(m, m->applied);
        m->lab->snapshot_index = m->applied;
        m->snapshot_best = m->applied > m->snapshot_best ? m->applied : m->snapshot_best;
        CLUSTER_TRACE(c, "    %zu takes checkpoint %" PRIu64 "\n", m->lab->number, m->applied);
    }
}

/* Up to what a majority of voters has in durable checkpoints (safety.md E3). */
static inline void cut(struct cluster *c, struct member *m)
{
    for (uint64_t i = m->lab->snapshot_index; i >= m->lab->first && i > 0; i--) {
        unsigned holders = 0;
        for (size_t p = 0; p < c->nodes; p++) {
            holders |= c->members[p].snapshot_best >= i ? 1U << p : 0;
        }
        uint64_t term = member_term_at(m, i);
        if (member_sees_majority(c, m, holders) && term != CLUSTER_NO_TERM && i <= m->lab->last) {
            m->lab->first = i + 1;
            m->lab->cut_term = term;
            CLUSTER_TRACE(c, "    %zu cuts its log up to %" PRIu64 "\n", m->lab->number, i);
            return;
        }
    }
}

#endif
