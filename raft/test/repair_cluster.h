/* SPDX-License-Identifier: Apache-2.0 */
/* Plain Raft on the nodes of repair_lab.h, with an observer that knows
 * everything: who committed, voted, led and applied what. For random tests of
 * repair.h; a model, not the replica: one message at a time, messages late or
 * lost, members that change by one step. A leader is as stubborn as libraft's:
 * what a follower once acknowledged it counts for ever.
 *
 * Include repair_weakened.h before. The first broken rule is in 'failure'. */
#ifndef TIDEMARK_RAFT_TEST_REPAIR_CLUSTER_H
#define TIDEMARK_RAFT_TEST_REPAIR_CLUSTER_H

#include "raft/test/repair_cluster_node.h"

/* ---- the observer ---- */

static inline void observe_commit(struct cluster *c, struct member *m, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        if (i <= member_base(m)) {
            continue;
        }
        if (c->committed[i].value == 0) {
            c->committed[i] = m->lab->log[i];
            c->committed_in[i] = m->lab->term;
            if (c->committed[i].slot.type == ENTRY_CHANGE) {
                c->change_committed = find_change(c, i, c->committed[i].slot.term);
            }
        } else if (!same_entry(c->committed[i], m->lab->log[i])) {
            cluster_fail(c, "two entries committed at one index", i);
        }
    }
}

static inline void observe_leader(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    size_t *leader = &c->leader_of[m->lab->term];
    if (*leader != 0 && *leader != x + 1) {
        cluster_fail(c, "two leaders in one term", m->lab->term);
    }
    *leader = x + 1;
    for (uint64_t i = 1; i <= CLUSTER_LOG; i++) {
        bool earlier = c->committed[i].value != 0 && c->committed_in[i] < m->lab->term;
        if (earlier && i > member_base(m) && !member_holds(m, i, c->committed[i])) {
            cluster_fail(c, "a leader lacks a committed entry", i);
        }
    }
}

static inline void observe_vote(struct cluster *c, size_t x, size_t candidate)
{
    size_t *vote = &c->voted[x][c->members[x].lab->term];
    if (*vote != 0 && *vote != candidate + 1) {
        cluster_fail(c, "two votes in one term", c->members[x].lab->term);
    }
    *vote = candidate + 1;
}

static inline void member_apply(struct cluster *c, struct member *m)
{
    uint64_t to = m->commit < m->persisted ? m->commit : m->persisted;
    for (uint64_t i = m->applied + 1; i <= to; i++) {
        m->applied = i;
        if (i <= member_base(m)) {
            continue;
        }
        struct lab_slot slot = m->lab->log[i];
        if (c->applied[i].value != 0 && !same_entry(c->applied[i], slot)) {
            cluster_fail(c, "another entry applied than before", i);
        }
        if (c->committed[i].value != 0 && !same_entry(c->committed[i], slot)) {
            cluster_fail(c, "another entry applied than committed", i);
        }
        c->applied[i] = slot;
    }
}

/* ---- terms ---- */

static inline void member_calm(struct member *m)
{
    m->role = CLUSTER_FOLLOWER;
    m->votes = 0;
    m->acknowledged = 0;
    m->lab->leader = 0;
    m->lab->leader_term = 0;
}

static inline void member_set_term(struct member *m, uint64_t term, uint64_t vote)
{
    CHECK(term >= m->lab->term);
    m->lab->term = term;
    m->term_seen = term;
    m->vote = vote;
}

static inline void member_see_term(struct member *m, uint64_t term)
{
    if (term > m->lab->term) {
        member_set_term(m, term, 0);
        member_calm(m);
    }
}

static inline void member_follow(struct member *m, size_t leader)
{
    if (m->lab->leader != leader + 1) {
        m->acknowledged = 0;
    }
    m->role = CLUSTER_FOLLOWER;
    m->votes = 0;
    m->lab->leader = leader + 1;
    m->lab->leader_term = m->lab->term;
}

/* A repair may have raised the term: of the node asked, or its own. */
static inline void cluster_notice_terms(struct cluster *c)
{
    for (size_t x = 0; x < c->nodes; x++) {
        struct member *m = &c->members[x];
        if (m->lab->term != m->term_seen) {
            CLUSTER_TRACE(c, "    %zu stores term %" PRIu64 "\n", x, m->lab->term);
            CHECK(m->lab->term > m->term_seen);
            m->term_seen = m->lab->term;
            m->vote = 0;
            member_calm(m);
        }
    }
}

/* ---- network ---- */

static inline bool cluster_linked(const struct cluster *c, size_t a, size_t b)
{
    return c->group[a] == c->group[b];
}

/* Most arrive at once, see cluster_settle(), the others later or never; what is
 * overtaken is lost. */
static inline void cluster_post(struct cluster *c, const struct cluster_message *m)
{
    bool linked = cluster_linked(c, m->from, m->to);
    if (!c->healing && (!linked || below(c, 8) < 2)) {
        if (c->message_count < CLUSTER_MESSAGES) {
            c->messages[c->message_count++] = *m;
        }
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < c->message_count; i++) {
        if (c->messages[i].from != m->from || c->messages[i].to != m->to) {
            c->messages[kept++] = c->messages[i];
        }
    }
    c->message_count = kept;
    CHECK(c->direct_count < CLUSTER_DIRECT);
    c->direct[c->direct_count++] = *m;
}

/* One of the late ones arrives, and those before it on its link never do. */
static inline void cluster_post_late(struct cluster *c)
{
    if (c->message_count == 0) {
        return;
    }
    size_t at = below(c, c->message_count);
    struct cluster_message m = c->messages[at];
    size_t kept = 0;
    if (!cluster_linked(c, m.from, m.to)) {
        return;
    }
    for (size_t i = 0; i < c->message_count; i++) {
        bool before = i <= at && c->messages[i].from == m.from && c->messages[i].to == m.to;
        if (!before) {
            c->messages[kept++] = c->messages[i];
        }
    }
    c->message_count = kept;
    CLUSTER_TRACE(c, "    late message %zu to %zu\n", m.from, m.to);
    CHECK(c->direct_count < CLUSTER_DIRECT);
    c->direct[c->direct_count++] = m;
}

/* ---- elections ---- */

static inline void cluster_lead(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    m->role = CLUSTER_LEADER;
    m->lab->leader = x + 1;
    m->lab->leader_term = m->lab->term;
    CLUSTER_TRACE(c, "    %zu leads term %" PRIu64 "\n", x, m->lab->term);
    observe_leader(c, x);
    for (size_t p = 0; p < c->nodes; p++) {
        m->match[p] = 0;
        m->next[p] = member_last(m) + 1;
    }
}

static inline struct lab_slot new_entry(const struct member *m, size_t x, uint64_t index)
{
    return (struct lab_slot){{.kind = SLOT_WHOLE, .term = m->lab->term, .type = ENTRY_COMMAND},
                             index * 1000000 + m->lab->term * 1000 + x + 1};
}

static inline void cluster_submit(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    if (member_last(m) + 1 < CLUSTER_LOG) {
        uint64_t index = member_last(m) + 1;
        member_put(c, m, index, new_entry(m, x, index));
        CLUSTER_TRACE(c, "    %zu appends %" PRIu64 ":%" PRIu64 "\n", x, index, m->lab->term);
    }
}

/* A majority makes it the leader. */
static inline void on_votes(struct cluster *c, struct member *m)
{
    if (m->role == CLUSTER_CANDIDATE && member_sees_majority(c, m, m->votes)) {
        cluster_lead(c, m->lab->number);
        cluster_submit(c, m->lab->number); /* the barrier of a new leader */
    }
}

static inline void cluster_elect(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    if (m->lab->term >= CLUSTER_TERMS - 10 || !m->running || !member_sees_voter(m, x)) {
        return;
    }
    member_set_term(m, m->lab->term + 1, x + 1);
    member_calm(m);
    observe_vote(c, x, x);
    m->role = CLUSTER_CANDIDATE;
    m->votes = 1U << x;
    struct cluster_message request = {.type = VOTE,
                                      .from = x,
                                      .term = m->lab->term,
                                      .index = member_last(m),
                                      .index_term = member_term_at(m, member_last(m))};
    CLUSTER_TRACE(c, "    %zu stands in term %" PRIu64 "\n", x, request.term);
    for (size_t p = 0; p < c->nodes; p++) {
        if (p != x && member_sees_voter(m, p)) {
            request.to = p;
            cluster_post(c, &request);
        }
    }
    on_votes(c, m);
}

static inline void on_vote(struct cluster *c, const struct cluster_message *v)
{
    struct member *m = &c->members[v->to];
    member_see_term(m, v->term);
    uint64_t last = member_last(m);
    uint64_t last_term = member_term_at(m, last);
    bool later = v->index_term > last_term || (v->index_term == last_term && v->index >= last);
    bool grant = v->term == m->lab->term && (m->vote == 0 || m->vote == v->from + 1) &&
                 m->role == CLUSTER_FOLLOWER && later;
    if (grant) {
        m->vote = v->from + 1;
        observe_vote(c, v->to, v->from);
        CLUSTER_TRACE(c, "    %zu votes for %zu\n", v->to, v->from);
    }
    struct cluster_message result = {
        .type = VOTE_RESULT, .from = v->to, .to = v->from, .term = m->lab->term, .ok = grant};
    cluster_post(c, &result);
}

static inline void on_vote_result(struct cluster *c, const struct cluster_message *r)
{
    struct member *m = &c->members[r->to];
    member_see_term(m, r->term);
    if (m->role != CLUSTER_CANDIDATE || r->term != m->lab->term || !r->ok) {
        return;
    }
    m->votes |= 1U << r->from;
    on_votes(c, m);
}

/* ---- replication ---- */

static inline void leader_advance(struct cluster *c, struct member *m)
{
    m->match[m->lab->number] = m->persisted;
    for (uint64_t i = member_last(m); i > m->commit; i--) {
        unsigned holders = 0;
        if (member_term_at(m, i) != m->lab->term) {
            return;
        }
        for (size_t p = 0; p < c->nodes; p++) {
            holders |= m->match[p] >= i ? 1U << p : 0;
        }
        if (member_sees_majority(c, m, holders)) {
            CLUSTER_TRACE(c, "    %zu commits up to %" PRIu64 "\n", m->lab->number, i);
            observe_commit(c, m, m->commit + 1, i);
            m->commit = i;
            member_apply(c, m);
            return;
        }
    }
}

static inline void member_acknowledge(struct cluster *c, struct member *m, uint64_t index)
{
    struct cluster_message result = {.type = APPEND_RESULT,
                                     .from = m->lab->number,
                                     .to = m->lab->leader - 1,
                                     .term = m->lab->term,
                                     .ok = true,
                                     .index = index};
    cluster_post(c, &result);
}

static inline void cluster_sync(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    member_sync(m);
    member_apply(c, m);
    if (m->role == CLUSTER_LEADER) {
        leader_advance(c, m);
    } else if (m->lab->leader != 0 && m->acknowledged > 0) {
        member_acknowledge(c, m, m->acknowledged);
    }
}

static inline void cluster_replicate(struct cluster *c, size_t x, size_t to)
{
    struct member *m = &c->members[x];
    uint64_t last = member_last(m);
    uint64_t next = m->next[to] < 1 ? 1 : m->next[to];
    next = next > last + 1 ? last + 1 : next;
    struct cluster_message a = {.type = APPEND,
                                .from = x,
                                .to = to,
                                .term = m->lab->term,
                                .index = next - 1,
                                .commit = m->commit};
    a.index_term = member_term_at(m, next - 1);
    bool gone = next < m->lab->first || a.index_term == CLUSTER_NO_TERM;
    while (!gone && a.count < CLUSTER_BATCH && next + a.count <= last) {
        a.entries[a.count] = m->lab->log[next + a.count];
        if (a.entries[a.count].slot.kind != SLOT_WHOLE) {
            gone = a.count == 0; /* a hole below the checkpoint */
            break;
        }
        a.count++;
    }
    if (gone) {
        if (m->lab->snapshot_index == 0) {
            return;
        }
        a.type = INSTALL;
        a.index = m->lab->snapshot_index;
        a.index_term = m->lab->snapshot_term;
    } else if (a.count > 0 && m->match[to] > 0) {
        m->next[to] = next + a.count;
    }
    cluster_post(c, &a);
}

/* Of a checkpoint at 'index' that this node has. */
static inline const struct configuration *snapshot_configuration(const struct member *m,
                                                                 uint64_t index)
{
    const struct configuration *best = NULL;
    for (size_t i = 0; i < m->lab->configuration_count; i++) {
        const struct configuration *at = &m->lab->configurations[i];
        best = at->index <= index ? at : best;
    }
    CHECK(best != NULL);
    return best;
}

static inline void on_install(struct cluster *c, const struct cluster_message *a)
{
    struct member *m = &c->members[a->to];
    struct lab_node *n = m->lab;
    bool has = a->index <= n->last && member_term_at(m, a->index) == a->index_term;
    if (a->index > member_base(m) && !has) {
        CLUSTER_TRACE(c, "    %zu installs snapshot %" PRIu64 "\n", a->to, a->index);
        for (uint64_t i = 1; i <= CLUSTER_LOG; i++) {
            n->log[i] = (struct lab_slot){0};
        }
        n->snapshot_index = a->index;
        n->snapshot_term = a->index_term;
        n->first = a->index + 1;
        n->cut_term = a->index_term;
        n->last = a->index;
        n->configuration_count = 0;
        lab_add_configuration(n, snapshot_configuration(&c->members[a->from], a->index));
        member_sync(m);
        m->snapshot_best = a->index > m->snapshot_best ? a->index : m->snapshot_best;
        m->applied = a->index;
        m->commit = m->commit > a->index ? m->commit : a->index;
    }
    m->acknowledged = m->acknowledged > a->index ? m->acknowledged : a->index;
    if (m->persisted >= a->index) {
        member_acknowledge(c, m, a->index);
    }
}

static inline void reject(struct cluster *c, struct member *m, const struct cluster_message *a)
{
    struct cluster_message result = {.type = APPEND_RESULT,
                                     .from = a->to,
                                     .to = a->from,
                                     .term = m->lab->term,
                                     .rejected = a->index,
                                     .last = member_last(m)};
    cluster_post(c, &result);
}

/* False: a conflict at or below what is committed here. */
static inline bool take_appended(struct cluster *c, struct member *m,
                                 const struct cluster_message *a, bool *fresh)
{
    for (size_t k = 0; k < a->count; k++) {
        uint64_t i = a->index + 1 + k;
        if (i <= member_base(m) ||
            (i <= m->lab->last && member_term_at(m, i) == a->entries[k].slot.term)) {
            continue;
        }
        if (i <= m->lab->last && i <= m->commit) {
            cluster_fail(c, "an entry is sent for one that is committed", i);
            return false;
        }
        member_put(c, m, i, a->entries[k]);
        *fresh = true;
    }
    return true;
}

static inline void on_append(struct cluster *c, const struct cluster_message *a)
{
    struct member *m = &c->members[a->to];
    if (a->term < m->lab->term) {
        reject(c, m, a);
        return;
    }
    member_see_term(m, a->term);
    if (m->role == CLUSTER_LEADER) {
        return;
    }
    member_follow(m, a->from);
    if (a->type == INSTALL) {
        on_install(c, a);
        return;
    }
    uint64_t base = member_base(m);
    uint64_t last = member_last(m);
    if (a->index > last || (a->index >= base && member_term_at(m, a->index) != a->index_term)) {
        if (a->index <= last && a->index <= m->commit) {
            cluster_fail(c, "a leader contradicts what is committed", a->index);
        }
        reject(c, m, a);
        return;
    }
    bool fresh = false;
    if (!take_appended(c, m, a, &fresh)) {
        return;
    }
    uint64_t end = a->index + a->count;
    m->acknowledged = end > m->acknowledged ? end : m->acknowledged;
    uint64_t commit = a->commit < end ? a->commit : end;
    m->commit = commit > m->commit ? commit : m->commit;
    member_apply(c, m);
    if (m->persisted >= end) {
        member_acknowledge(c, m, end);
    } else if (fresh && (c->healing || below(c, 4) > 0)) {
        cluster_sync(c, a->to);
    }
}

static inline void on_append_result(struct cluster *c, const struct cluster_message *r)
{
    struct member *m = &c->members[r->to];
    member_see_term(m, r->term);
    if (m->role != CLUSTER_LEADER || r->term < m->lab->term) {
        return;
    }
    uint64_t *match = &m->match[r->from];
    uint64_t *next = &m->next[r->from];
    if (r->ok) {
        *match = r->index > *match ? r->index : *match;
        *next = *next <= r->index ? r->index + 1 : *next;
        leader_advance(c, m);
    } else if (r->rejected > *match) { /* what was once acknowledged is not asked for again */
        *next = r->rejected < r->last + 1 ? r->rejected : r->last + 1;
        *next = *next <= *match ? *match + 1 : *next;
    }
}

static inline void cluster_deliver(struct cluster *c, const struct cluster_message *m)
{
    if (!c->members[m->to].running || c->failure != NULL) {
        return;
    }
    switch (m->type) {
    case VOTE:
        on_vote(c, m);
        break;
    case VOTE_RESULT:
        on_vote_result(c, m);
        break;
    case APPEND:
    case INSTALL:
        on_append(c, m);
        break;
    case APPEND_RESULT:
        on_append_result(c, m);
        break;
    }
}

/* One step from what is in force: adds a standby, moves a server up or down, or
 * removes it; never the leader itself. False: this step can't be made. */
static inline bool change_of(const struct member *m, const struct member *target, uint64_t choice,
                             struct configuration *next)
{
    uint64_t id = target->lab->id;
    size_t at = 0;
    const struct configuration *now = member_configuration(m);
    if (now == NULL) {
        return false;
    }
    *next = *now;
    while (at < next->count && next->servers[at].id != id) {
        at++;
    }
    if (at == next->count) {
        if (!target->was_removed) {
            lab_add_server(next, id, SERVER_STANDBY);
        }
        return !target->was_removed;
    }
    if (choice > 0) {
        bool voter = next->servers[at].role == SERVER_VOTER;
        next->servers[at].role = voter ? SERVER_STANDBY : SERVER_VOTER;
        return true;
    }
    for (size_t i = at; i + 1 < next->count; i++) {
        next->servers[i] = next->servers[i + 1];
    }
    next->count--;
    return true;
}

/* The last change is committed and at a majority of the old and the new voters
 * (safety.md B5), and so is an entry of this leader. */
static inline void cluster_change_members(struct cluster *c, size_t x, size_t target)
{
    struct member *m = &c->members[x];
    struct configuration next;
    uint64_t index = member_last(m) + 1;
    uint64_t latest = member_configuration(m) == NULL ? 0 : member_configuration(m)->index;
    bool ready = x != target && c->change_count < CLUSTER_CHANGES && index + 1 < CLUSTER_LOG &&
                 latest <= m->commit && member_term_at(m, m->commit) == m->lab->term;
    if (!ready || !change_of(m, &c->members[target], below(c, 3), &next)) {
        return;
    }
    unsigned holders = 0;
    for (size_t p = 0; p < c->nodes; p++) {
        holders |= m->match[p] >= latest ? 1U << p : 0;
    }
    next.index = index;
    size_t found = 0;
    for (size_t p = 0; p < c->nodes; p++) {
        found += configuration_is_voter(&next, p + 1) && (holders >> p & 1U) != 0;
    }
    if (!member_sees_majority(c, m, holders) || found <= configuration_voters(&next) / 2) {
        return;
    }
    c->members[target].was_removed |= configuration_find(&next, target + 1) == NULL;
    c->changes[c->change_count++] = (struct cluster_change){m->lab->term, next};
    struct lab_slot slot = {{.kind = SLOT_WHOLE, .term = m->lab->term, .type = ENTRY_CHANGE},
                            lab_value(index, m->lab->term)};
    member_put(c, m, index, slot);
    CLUSTER_TRACE(c, "    %zu changes members at %" PRIu64 ":%" PRIu64 ", %zu voters\n", x, index,
                  m->lab->term, configuration_voters(&next));
}

/* Delivers what arrives at once, and what is sent in answer. */
static inline void cluster_settle(struct cluster *c)
{
    while (c->direct_count > 0) {
        struct cluster_message m = c->direct[0];
        c->direct_count--;
        memmove(c->direct, c->direct + 1, c->direct_count * sizeof c->direct[0]);
        cluster_deliver(c, &m);
    }
}

#endif
