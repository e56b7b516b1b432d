/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_actions.h"
#include "raft/raft_replica.h"

/* Settling ends when libraft has nothing new to say; each round of it either
 * applies, or changes the role, so a few are enough. */
enum { SETTLE_ROUNDS_MAX = 64 };

static void check_invariants(const struct replica *r)
{
    CHECK(r->applied <= r->apply_given);
    CHECK(r->outbox.durable <= r->outbox.asked);
    if (r->stopped || r->installing) {
        return;
    }
    CHECK(r->durable == r->core.last_stored);
    CHECK(r->durable <= r->log.last);
    CHECK(r->apply_given <= r->durable || r->apply_given == r->snapshot.index);
    CHECK(r->log.first == r->core.trail.offset + 1);
    VERIFY(raft_core_matches(&r->core.configuration, raft_history_last(&r->history)));
}

static void put_configuration(struct replica *r)
{
    const struct configuration *c = raft_history_last(&r->history);
    struct action *a = raft_actions_put(r->actions, ACTION_CONFIGURATION);
    raft_actions_configuration(a, c);
    a->index = c->index;
    CHECK(a->configuration != NULL);
    CHECK(c->count > 0);
}

/* The entries from 'index' on are replaced by a leader's. */
static void truncate_log(struct replica *r, uint64_t index)
{
    CHECK(index >= r->log.first);
    CHECK(index <= r->log.last);
    if (index <= r->apply_given || index <= r->told) {
        raft_stop(r, "a committed entry would be replaced");
        return;
    }
    raft_log_truncate(&r->log, index);
    for (size_t i = 0; i < r->append_count; i++) {
        if (r->appends[i].valid >= index) {
            r->appends[i].valid = index - 1;
        }
    }
    if (r->durable >= index) {
        r->durable = index - 1;
    }
    if (raft_history_truncate(&r->history, index)) {
        put_configuration(r);
    }
}

static void append_one(struct replica *r, struct entry *e)
{
    CHECK(e->index == r->log.last + 1);
    raft_log_append(&r->log, e);
    if (e->type != ENTRY_CHANGE) {
        return;
    }
    struct configuration c;
    enum err_code code = configuration_decode(entry_payload(e), e->index, &c, NULL);
    CHECK(code == ERR_OK);
    raft_history_push(&r->history, &c);
    put_configuration(r);
}

static void append_entries(struct replica *r, struct entry *const *entries, size_t count)
{
    CHECK(count > 0);
    CHECK(entries[0]->index == r->log.last + 1);
    for (size_t i = 0; i < count; i++) {
        append_one(r, entries[i]);
    }
    r->token++;
    r->appends = mem_grow(r->appends, &r->append_capacity, r->append_count + 1, sizeof *r->appends);
    r->appends[r->append_count] = (struct raft_append_out){
        .token = r->token,
        .last = r->log.last,
        .term = entries[count - 1]->term,
        .valid = r->log.last,
    };
    r->append_count++;
    struct action *a = raft_actions_put(r->actions, ACTION_APPEND);
    raft_actions_entries(a, entries, count);
    a->token = r->token;
}

/* RAFT_UPDATE_ENTRIES: some of the entries behind the event, from some point on,
 * or the barrier that libraft makes when it wins an election. */
static void perform_entries(struct replica *r, const struct raft_input *input,
                            const struct raft_update *u)
{
    CHECK(u->entries.n > 0);
    if (u->entries.index <= r->log.last) {
        truncate_log(r, u->entries.index);
        if (r->stopped) {
            return;
        }
    }
    CHECK(u->entries.index == r->log.last + 1);
    if (input->count > 0) {
        CHECK(u->entries.n <= input->count);
        append_entries(r, input->entries + (input->count - u->entries.n), u->entries.n);
        return;
    }
    CHECK(u->entries.n == 1);
    CHECK(u->entries.batch[0].type == RAFT_BARRIER);
    struct entry *barrier =
        entry_new(ENTRY_BARRIER, u->entries.index, u->entries.batch[0].term, (struct bytes){0});
    raft_free(u->entries.batch[0].batch);
    append_entries(r, &barrier, 1);
    entry_unref(barrier);
}

/* RAFT_UPDATE_SNAPSHOT: from here on there is no log, until the install is done. */
static void perform_install(struct replica *r, struct raft_update *u)
{
    CHECK(!r->installing);
    CHECK(u->snapshot.last);
    raft_configuration_close(&u->snapshot.metadata.configuration);
    raft_free(u->snapshot.chunk.base);
    r->installing = true;
    CHECK(r->install.index == u->snapshot.metadata.index);
    CHECK(r->install.term == u->snapshot.metadata.term);
    for (size_t i = 0; i < r->append_count; i++) {
        r->appends[i].valid = 0;
    }
    r->durable = 0;
    raft_log_reset(&r->log, r->install.index + 1);
    raft_id leader = 0;
    const char *address = NULL;
    raft_leader(&r->core, &leader, &address);
    struct action *a = raft_actions_put(r->actions, ACTION_INSTALL);
    a->id = leader;
    a->index = r->install.index;
    a->term = r->install.term;
    raft_actions_configuration(a, &r->install.configuration);
}

static void perform_hard_state(struct replica *r)
{
    uint64_t term = raft_current_term(&r->core);
    uint64_t vote = raft_voted_for(&r->core);
    CHECK(term > r->hard_term ||
          (term == r->hard_term && (r->hard_vote == 0 || vote == r->hard_vote)));
    if (term == r->hard_term && vote == r->hard_vote) {
        return;
    }
    CHECK(term > 0);
    if (term != r->hard_term) {
        r->leader_id = 0;
        r->leader_heard_ms = 0;
    }
    r->hard_term = term;
    r->hard_vote = vote;
    raft_outbox_hard_state(&r->outbox, term, vote, r->actions);
}

/* In libraft's order: what a message says must be asked for before it. */
static void perform(struct replica *r, const struct raft_input *input, struct raft_update *u)
{
    CHECK(r->actions != NULL);
    if ((u->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) != 0) {
        perform_hard_state(r);
    }
    if ((u->flags & (RAFT_UPDATE_ENTRIES)) != 0) {
        perform_entries(r, input, u);
    }
    if (r->stopped) {
        return;
    }
    if ((u->flags & (RAFT_UPDATE_SNAPSHOT)) != 0) {
        perform_install(r, u);
    }
    if ((u->flags & (RAFT_UPDATE_MESSAGES)) == 0) {
        return;
    }
    for (unsigned i = 0; i < u->messages.n; i++) {
        CHECK(u->messages.batch[i].server_id != r->options.id);
        raft_send_core(r, &u->messages.batch[i]);
    }
}

static bool is_refusal(int rv)
{
    return rv == RAFT_NOTLEADER || rv == RAFT_CANTCHANGE || rv == RAFT_BADID ||
           rv == RAFT_NOTFOUND || rv == RAFT_NOSPACE;
}

int raft_update_step(struct replica *r, struct raft_input *input)
{
    CHECK(!r->stopped);
    CHECK(input->event.type != 0);
    struct raft_update update;
    memset(&update, 0, sizeof update);
    input->event.time = r->now_ms;
    input->event.capacity = 0;
    r->steps++;
    int rv = raft_step(&r->core, &input->event, &update);
    bool received = input->event.type == RAFT_RECEIVE;
    if (input->core != NULL && received &&
        (rv != 0 || (update.flags & (RAFT_UPDATE_ENTRIES)) == 0)) {
        input->core->token = NULL; /* freed by libraft, or lost with a node that stops */
    }
    if (rv != 0 && is_refusal(rv)) {
        return rv;
    }
    if (rv != 0) {
        raft_stop(r, raft_strerror(rv));
        return -1;
    }
    perform(r, input, &update);
    if (r->stopped) {
        return -1;
    }
    check_invariants(r);
    return 0;
}

/* The log as libraft's START wants it: terms, and the payloads of changes. */
static void start_entries(const struct replica *r, struct raft_core_entries *out)
{
    CHECK(r->log.last >= r->log.first);
    raft_core_entries_reserve(out, (size_t)(r->log.last - r->log.first + 1));
    for (uint64_t i = r->log.first; i <= r->log.last; i++) {
        uint64_t term = 0;
        bool known = raft_log_term(&r->log, i, &term);
        CHECK(known);
        const struct configuration *c =
            i < r->history.items[0].index ? NULL : raft_history_at(&r->history, i);
        if (c != NULL && c->index == i && c->count > 0) {
            raft_core_entries_put_change(out, term, c);
        } else {
            raft_core_entries_put_term(out, term);
        }
    }
}

int raft_update_start(struct replica *r, uint64_t term, uint64_t voted_for)
{
    CHECK(r->append_count == 0);
    CHECK(!r->installing);
    char address[RAFT_CORE_ADDRESS_SIZE];
    raft_core_address(r->options.id, address);
    int rv = raft_init(&r->core, NULL, NULL, r->options.id, address);
    CHECK(rv == 0);
    r->starts++;
    r->core.tracer = NULL; /* the default one prints to one static buffer */
    raft_seed(&r->core, (unsigned)random_below(&r->random, UINT_MAX));
    raft_set_pre_vote(&r->core, true);
    raft_set_heartbeat_timeout(&r->core, r->options.heartbeat_ms);
    raft_set_max_inflight_entries(&r->core, LIMIT_APPEND_ENTRIES_MAX);
    raft_set_election_timeout(&r->core, r->options.election_ms);
    raft_set_install_snapshot_timeout(
        &r->core, raft_guard_install_timeout(&r->guards, r->options.election_ms));

    struct raft_snapshot_metadata metadata;
    struct raft_core_entries entries = {0};
    struct raft_input input = {.event = {.type = RAFT_START}};
    input.event.start.term = term;
    input.event.start.voted_for = voted_for;
    input.event.start.start_index = r->log.first;
    if (r->snapshot.index > 0) {
        metadata.index = r->snapshot.index;
        metadata.term = r->snapshot.term;
        metadata.configuration_index = r->snapshot.configuration.index;
        raft_core_configuration(&r->snapshot.configuration, &metadata.configuration);
        input.event.start.metadata = &metadata;
    }
    if (r->log.last >= r->log.first) {
        start_entries(r, &entries);
        input.event.start.entries = entries.items;
        input.event.start.n_entries = (unsigned)entries.count;
    }
    r->hard_term = term;
    r->hard_vote = voted_for;
    r->told = r->snapshot.configuration.index;
    rv = raft_update_step(r, &input);
    raft_core_entries_deinit(&entries);
    return rv;
}

void raft_update_tell(struct replica *r, const struct configuration *c)
{
    CHECK(c->count > 0);
    CHECK(c->index <= r->log.last);
    if (c->index <= r->told || r->stopped) {
        return;
    }
    r->told = c->index;
    struct raft_input input = {.event = {.type = RAFT_CONFIGURATION}};
    input.event.configuration.index = c->index;
    raft_core_configuration(c, &input.event.configuration.conf);
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
}

/* Up to what is committed *and* durable here: both leader and follower can hear
 * of a commit before their own write is done. */
static void apply_committed(struct replica *r)
{
    CHECK(r->actions != NULL);
    if (r->installing) {
        return;
    }
    uint64_t commit = raft_commit_index(&r->core);
    r->commit = commit > r->commit ? commit : r->commit;
    uint64_t limit = r->commit < r->durable ? r->commit : r->durable;
    while (r->apply_given < limit && !r->stopped) {
        struct entry *batch[RAFT_APPLY_ENTRIES];
        size_t count = 0;
        while (count < RAFT_APPLY_ENTRIES && r->apply_given + count < limit) {
            batch[count] = raft_log_entry(&r->log, r->apply_given + 1 + count);
            CHECK(batch[count] != NULL);
            count++;
        }
        raft_actions_entries(raft_actions_put(r->actions, ACTION_APPLY), batch, count);
        r->apply_given += count;
        CHECK(r->apply_given <= limit);
        for (size_t i = 0; i < count; i++) {
            if (batch[i]->type == ENTRY_CHANGE && batch[i]->index > r->told) {
                raft_update_tell(r, raft_history_at(&r->history, batch[i]->index));
            }
        }
    }
}

static enum replica_role role_of(const struct replica *r)
{
    switch (r->core.state) {
    case RAFT_CANDIDATE:
        return REPLICA_CANDIDATE;
    case RAFT_LEADER:
        return REPLICA_LEADER;
    default:
        break;
    }
    CHECK(r->core.state == RAFT_FOLLOWER);
    return REPLICA_FOLLOWER;
}

static void report_role(struct replica *r)
{
    enum replica_role role = role_of(r);
    uint64_t term = raft_current_term(&r->core);
    uint64_t leader = role == REPLICA_LEADER ? r->options.id : 0;
    if (role == REPLICA_FOLLOWER) {
        leader = r->leader_id;
    }
    if (role == r->role && term == r->role_term && leader == r->role_leader) {
        return;
    }
    CHECK(term >= r->role_term);
    CHECK(term == r->hard_term);
    r->role = role;
    r->role_term = term;
    r->role_leader = leader;
    struct action *a = raft_actions_put(r->actions, ACTION_ROLE);
    a->role = role;
    a->term = term;
    a->id = leader;
}

static void note_leadership(struct replica *r)
{
    bool leader = raft_state(&r->core) == RAFT_LEADER;
    if (r->leading && (!leader || r->lead_term != raft_current_term(&r->core))) {
        raft_lead_end(r);
        CHECK(!r->leading);
    }
    if (leader && !r->leading) {
        raft_lead_begin(r);
        CHECK(r->leading || r->stopped);
    }
}

void raft_settle(struct replica *r)
{
    CHECK(r->actions != NULL);
    uint64_t steps = 0;
    unsigned rounds = 0;
    do {
        CHECK(rounds < SETTLE_ROUNDS_MAX);
        rounds++;
        steps = r->steps;
        if (!r->stopped) {
            note_leadership(r);
        }
        if (!r->stopped) {
            apply_committed(r);
        }
        if (!r->stopped) {
            note_leadership(r);
            raft_lead_settle(r);
        }
        if (!r->stopped) {
            raft_follow_settle(r);
        }
    } while (!r->stopped && r->steps != steps);
    if (r->stopped) {
        return;
    }
    report_role(r);
    uint64_t free_to = r->applied < r->durable ? r->applied : r->durable;
    raft_log_evict(&r->log, r->options.cache_size_max, free_to);
    check_invariants(r);
}
