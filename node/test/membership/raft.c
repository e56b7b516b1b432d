/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/check.h"
#include "node/test/membership/world.h"

/* --- the log --- */

size_t members_index(const struct directory *d, size_t index)
{
    while (index > 0 && d->log[index - 1].kind != ENTRY_MEMBERS) {
        index--;
    }
    return index;
}

struct members members_at(const struct directory *d, size_t index)
{
    size_t at = members_index(d, index);
    return at == 0 ? (struct members){0, 0} : d->log[at - 1].members;
}

struct members members_of(const struct directory *d)
{
    return members_at(d, d->count);
}

bool is_voter(const struct directory *d)
{
    return has(members_of(d).voters, d->hard.directory_id);
}

static unsigned size_of(uint32_t set)
{
    unsigned size = 0;
    for (; set != 0; set &= set - 1) {
        size++;
    }
    return size;
}

bool is_quorum(uint32_t set, uint32_t voters)
{
    return size_of(set & voters) >= size_of(voters) / 2 + 1;
}

/* UINT64_MAX: not held. */
uint64_t term_at(const struct directory *d, size_t index)
{
    if (index == 0) {
        return 0;
    }
    return index > d->count ? UINT64_MAX : d->log[index - 1].term;
}

void raft_append(struct world *w, struct directory *d, struct entry entry)
{
    if (d->count == LOG_MAX) {
        w->ended = true;
        return;
    }
    entry.term = d->hard.term;
    d->log[d->count++] = entry;
}

/* --- what is committed --- */

static struct tsdb_node *node_of(struct directory *d, uint64_t id)
{
    for (size_t i = 0; i < d->node_count; i++) {
        if (d->nodes[i].directory_id == id) {
            return &d->nodes[i];
        }
    }
    CHECK(d->node_count < IDS);
    struct tsdb_node *node = &d->nodes[d->node_count++];
    memset(node, 0, sizeof *node);
    node->directory_id = id;
    return node;
}

static void apply_members(struct directory *d, size_t index)
{
    struct members now = d->log[index - 1].members;
    uint32_t gone = members_at(d, index - 1).voters & ~now.voters & ~now.spares;
    for (uint64_t id = 1; id < IDS; id++) {
        if (has(gone, id)) {
            node_of(d, id)->removed = true;
        }
    }
}

static void apply(struct directory *d, size_t index)
{
    const struct entry *entry = &d->log[index - 1];
    struct tsdb_node *node = NULL;
    switch (entry->kind) {
    case ENTRY_BARRIER:
    case ENTRY_WRITE:
        break;
    case ENTRY_MEMBERS:
        apply_members(d, index);
        break;
    case ENTRY_START:
        node = node_of(d, entry->value);
        if (entry->start.counter > node->start_counter) {
            node->start_counter = entry->start.counter;
            node->nonce = entry->start.nonce;
        }
        break;
    case ENTRY_FORMED:
        d->hard.cluster_formed = true;
        break;
    }
}

void raft_commit(struct world *w, struct directory *d, size_t index)
{
    while (d->commit < index) {
        d->commit++;
        oracle_committed(w, d, d->commit);
        apply(d, d->commit);
    }
}

void raft_advance(struct world *w, struct directory *d)
{
    uint32_t voters = members_of(d).voters; /* in force when appended */
    for (size_t i = d->count; i > d->commit && term_at(d, i) == d->hard.term; i--) {
        uint32_t holders = 0;
        for (uint64_t id = 1; id < IDS; id++) {
            size_t held = id == d->hard.directory_id ? d->count : d->match[id];
            holders |= held >= i ? 1U << id : 0;
        }
        if (is_quorum(holders, voters)) {
            raft_commit(w, d, i);
            break;
        }
    }
    if (d->role == LEADER && !is_voter(d) && members_index(d, d->count) <= d->commit) {
        d->role = FOLLOWER;
    }
}

/* --- elections --- */

static void lead(struct world *w, struct directory *d)
{
    d->role = LEADER;
    d->leader = d->hard.directory_id;
    w->counts->elections++;
    oracle_voted(w, d, d->hard.directory_id);
    oracle_leads(w, d);
    trace(w, "disk %zu id %" PRIu64 " leads term %" PRIu64 ", last %zu", disk_of(w, d),
          d->hard.directory_id, d->hard.term, d->count);
    for (size_t i = 0; i < IDS; i++) {
        d->match[i] = 0;
        d->next[i] = d->count + 1;
        d->heard[i] = w->now;
    }
    raft_append(w, d, (struct entry){.kind = ENTRY_BARRIER});
    raft_advance(w, d);
}

static void new_term(struct directory *d, uint64_t term)
{
    if (term > d->hard.term) {
        d->hard.term = term;
        d->hard.voted_for = 0;
        d->role = FOLLOWER;
        d->votes = 0;
    }
}

void raft_campaign(struct world *w, struct directory *d)
{
    if (!d->up || d->hard.cluster_id == 0 || d->role == LEADER || d->gated || !is_voter(d)) {
        return;
    }
    uint64_t own = d->hard.directory_id;
    new_term(d, d->hard.term + 1);
    d->role = CANDIDATE;
    d->leader = 0;
    d->hard.voted_for = own;
    d->votes = 1U << own;
    uint32_t voters = members_of(d).voters;
    if (is_quorum(d->votes, voters)) {
        lead(w, d);
        return;
    }
    for (uint64_t id = 1; id < IDS; id++) {
        size_t to = id != own && has(voters, id) ? disk_with_id(w, id) : DISKS;
        if (to < DISKS) {
            struct message *m = message_new(w, d, MESSAGE_VOTE);
            m->index = d->count;
            m->log_term = term_at(d, d->count);
            message_send(w, m, to);
        }
    }
}

static void take_vote_request(struct world *w, struct directory *d, const struct message *m)
{
    if (d->leader != 0 && d->role != LEADER) {
        return; /* follows a leader */
    }
    if (d->role == LEADER && m->term > d->hard.term && below(w, 3) != 0) {
        return;
    }
    if (!is_voter(d) && d->count == 0) {
        return; /* one whose log does not name it yet votes, an empty one does not */
    }
    new_term(d, m->term);
    uint64_t last_term = term_at(d, d->count);
    bool newer = m->log_term > last_term || (m->log_term == last_term && m->index >= d->count);
    uint64_t candidate = m->hello.directory_id;
    bool free_vote = d->hard.voted_for == 0 || d->hard.voted_for == candidate;
    struct message *r = message_new(w, d, MESSAGE_VOTE_RESULT);
    r->good = m->term == d->hard.term && free_vote && newer;
    if (r->good) {
        d->hard.voted_for = candidate;
    }
    message_send(w, r, m->from);
}

static void take_vote(struct world *w, struct directory *d, const struct message *m)
{
    new_term(d, m->term);
    if (d->role != CANDIDATE || m->term != d->hard.term || !m->good) {
        return;
    }
    oracle_voted(w, d, m->hello.directory_id);
    d->votes |= 1U << m->hello.directory_id;
    if (is_quorum(d->votes, members_of(d).voters)) {
        lead(w, d);
    }
}

/* --- replication --- */

void raft_replicate(struct world *w, struct directory *d)
{
    struct members members = members_of(d);
    uint32_t all = members.voters | members.spares;
    for (uint64_t id = 1; id < IDS; id++) {
        size_t to = id != d->hard.directory_id && has(all, id) ? disk_with_id(w, id) : DISKS;
        if (to == DISKS) {
            continue;
        }
        size_t next = d->next[id] > d->count + 1 ? d->count + 1 : d->next[id];
        next = next < 1 ? 1 : next;
        struct message *m = message_new(w, d, MESSAGE_APPEND);
        m->index = next - 1;
        m->log_term = term_at(d, next - 1);
        m->commit = d->commit;
        while (m->entry_count < 2 && next + m->entry_count <= d->count) {
            m->entries[m->entry_count] = d->log[next - 1 + m->entry_count];
            m->entry_count++;
        }
        message_send(w, m, to);
    }
}

static void reply(struct world *w, struct directory *d, const struct message *to, bool good,
                  size_t index)
{
    struct message *r = message_new(w, d, MESSAGE_APPEND_RESULT);
    r->good = good;
    r->index = index;
    message_send(w, r, to->from);
}

static void take_entries(struct world *w, struct directory *d, const struct message *m)
{
    for (size_t k = 0; k < m->entry_count; k++) {
        size_t index = m->index + 1 + k;
        if (term_at(d, index) == m->entries[k].term) {
            continue;
        }
        if (index <= d->commit) {
            wrong(w, "disk %zu replaces committed entry %zu", disk_of(w, d), index);
            return;
        }
        if (index > LOG_MAX) {
            w->ended = true;
            return;
        }
        d->log[index - 1] = m->entries[k];
        d->count = index;
    }
}

static void take_append(struct world *w, struct directory *d, const struct message *m)
{
    if (m->term < d->hard.term) {
        reply(w, d, m, false, 0);
        return;
    }
    new_term(d, m->term);
    d->role = FOLLOWER;
    d->leader = m->hello.directory_id;
    if (term_at(d, m->index) != m->log_term) {
        reply(w, d, m, false, d->count < m->index ? d->count : m->index - 1);
        return;
    }
    take_entries(w, d, m);
    size_t last = m->index + m->entry_count;
    if (!w->ended && w->wrong[0] == '\0') {
        raft_commit(w, d, m->commit < last ? m->commit : last);
    }
    if (d->count > 0 && d->hard.cluster_id != 0 && founding_is_settled(d->founding)) {
        founding_set_holds_entries(d->founding);
    }
    reply(w, d, m, true, last);
}

static void take_append_result(struct world *w, struct directory *d, const struct message *m)
{
    uint64_t id = m->hello.directory_id;
    new_term(d, m->term);
    if (d->role != LEADER || m->term != d->hard.term) {
        return;
    }
    if (m->good) {
        d->match[id] = m->index > d->match[id] ? m->index : d->match[id];
        d->next[id] = d->next[id] <= m->index ? m->index + 1 : d->next[id];
        raft_advance(w, d);
    } else if (m->index < d->next[id] && m->index >= d->match[id]) {
        size_t back = d->next[id] > 0 ? d->next[id] - 1 : 0;
        d->next[id] = m->index > 0 && m->index < back ? m->index + 1 : back;
    }
}

void raft_message(struct world *w, struct directory *d, const struct message *m)
{
    switch (m->kind) {
    case MESSAGE_VOTE:
        take_vote_request(w, d, m);
        break;
    case MESSAGE_VOTE_RESULT:
        take_vote(w, d, m);
        break;
    case MESSAGE_APPEND:
        take_append(w, d, m);
        break;
    case MESSAGE_APPEND_RESULT:
        take_append_result(w, d, m);
        break;
    case MESSAGE_QUESTION:
    case MESSAGE_ANSWER:
    case MESSAGE_HELLO:
    case MESSAGE_WELCOME:
    case MESSAGE_REFUSAL:
    case MESSAGE_JOIN:
        CHECK(false);
        break;
    }
}
