/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/replica.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_actions.h"
#include "raft/raft_replica.h"

/* --- shared inside --- */

struct raft_peer *raft_peer_find(struct replica *r, uint64_t id)
{
    CHECK(id != 0);
    CHECK(r->peer_count <= LIMIT_NODES_MAX);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id == id) {
            return &r->peers[i];
        }
    }
    return NULL;
}

struct raft_peer *raft_peer_get(struct replica *r, uint64_t id)
{
    CHECK(id != r->options.id);
    struct raft_peer *peer = raft_peer_find(r, id);
    const struct configuration *c = raft_history_last(&r->history);
    if (peer != NULL || configuration_find(c, id) == NULL) {
        return peer;
    }
    /* Who left the cluster makes room for who joined. */
    for (size_t i = r->peer_count; i > 0; i--) {
        if (configuration_find(c, r->peers[i - 1].id) == NULL) {
            r->peer_count--;
            r->peers[i - 1] = r->peers[r->peer_count];
        }
    }
    CHECK(r->peer_count < LIMIT_NODES_MAX);
    peer = &r->peers[r->peer_count];
    r->peer_count++;
    *peer = (struct raft_peer){.id = id};
    return peer;
}

void raft_stop(struct replica *r, const char *reason)
{
    CHECK(reason != NULL);
    CHECK(r->actions != NULL);
    if (r->stopped) {
        return;
    }
    r->stopped = true;
    raft_actions_put(r->actions, ACTION_STOP)->reason = reason;
}

bool raft_term_at(const struct replica *r, uint64_t index, uint64_t *term)
{
    CHECK(term != NULL);
    if (raft_log_term(&r->log, index, term)) {
        return true;
    }
    if (index == 0 || index != r->snapshot.index) {
        return false;
    }
    CHECK(r->snapshot.term > 0);
    *term = r->snapshot.term;
    return true;
}

/* --- start --- */

static enum err_code check_snapshot(const struct replica_state *s, struct err *e)
{
    CHECK(s != NULL);
    CHECK(s->entries != NULL || s->count == 0);
    if (s->snapshot_index == 0) {
        if (s->count > 0 && (s->log_first != 1 || s->entries[0]->type != ENTRY_CHANGE)) {
            return err_set(e, ERR_CORRUPT,
                           "without a snapshot the log begins with entry 1, a configuration");
        }
        return ERR_OK;
    }
    if (s->snapshot_term == 0 || s->snapshot_term > s->term) {
        return err_set(e, ERR_CORRUPT, "snapshot of term %" PRIu64 ", but the term is %" PRIu64,
                       s->snapshot_term, s->term);
    }
    const struct configuration *c = &s->snapshot_configuration;
    if (c->count == 0 || c->index == 0 || c->index > s->snapshot_index) {
        return err_set(e, ERR_CORRUPT, "snapshot %" PRIu64 " without its configuration",
                       s->snapshot_index);
    }
    if (s->count > 0 && (s->log_first == 0 || s->log_first > s->snapshot_index + 1)) {
        return err_set(e, ERR_CORRUPT, "snapshot %" PRIu64 ", but the log begins at %" PRIu64,
                       s->snapshot_index, s->log_first);
    }
    return ERR_OK;
}

static enum err_code check_entries(const struct replica_state *s, struct err *e)
{
    uint64_t term = 1;
    CHECK(s->count == 0 || s->log_first > 0);
    for (size_t i = 0; i < s->count; i++) {
        const struct entry *entry = s->entries[i];
        CHECK(entry != NULL);
        if (entry->index != s->log_first + i) {
            return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " where %" PRIu64 " belongs",
                           entry->index, s->log_first + i);
        }
        if (entry->term < term || entry->term > s->term) {
            return err_set(e, ERR_CORRUPT,
                           "entry %" PRIu64 " has term %" PRIu64 " after %" PRIu64
                           ", the stored term is %" PRIu64,
                           entry->index, entry->term, term, s->term);
        }
        if (entry->index == s->snapshot_index && entry->term != s->snapshot_term) {
            return err_set(e, ERR_CORRUPT, "entry %" PRIu64 " and the snapshot differ in term",
                           entry->index);
        }
        term = entry->term;
    }
    return ERR_OK;
}

static enum err_code check_state(const struct replica_state *s, struct err *e)
{
    CHECK(s != NULL);
    if (s->term == 0 && (s->voted_for != 0 || s->snapshot_index != 0 || s->count != 0)) {
        return err_set(e, ERR_CORRUPT, "a log, a snapshot or a vote, but no term");
    }
    enum err_code code = check_snapshot(s, e);
    CHECK(code == ERR_OK || code == ERR_CORRUPT);
    return code != ERR_OK ? code : check_entries(s, e);
}

/* The log, and the configurations in it after the snapshot's. */
static enum err_code load_entries(struct replica *r, const struct replica_state *s, struct err *e)
{
    uint64_t last = s->count == 0 ? 0 : s->log_first + s->count - 1;
    CHECK(r->snapshot.index == s->snapshot_index);
    if (s->count == 0 || last < s->snapshot_index) {
        /* Nothing beyond the snapshot: the log begins anew behind it. */
        raft_log_init(&r->log, s->snapshot_index + 1);
        return ERR_OK;
    }
    raft_log_init(&r->log, s->log_first);
    for (size_t i = 0; i < s->count; i++) {
        struct entry *entry = s->entries[i];
        raft_log_append(&r->log, entry);
        if (entry->type != ENTRY_CHANGE || entry->index <= r->history.items[0].index) {
            continue;
        }
        struct configuration c;
        if (configuration_decode(entry_payload(entry), entry->index, &c, e) != ERR_OK) {
            return err_wrap(e, "entry %" PRIu64, entry->index);
        }
        raft_history_push(&r->history, &c);
    }
    CHECK(r->log.last == last);
    return ERR_OK;
}

static void begin(struct replica *r, const struct replica_state *s, uint64_t now_ms)
{
    CHECK(r->log.first > 0);
    r->now_ms = now_ms;
    r->timeout_ms = now_ms;
    r->durable = r->log.last;
    r->apply_given = s->snapshot_index;
    r->applied = s->snapshot_index;
    r->commit = s->snapshot_index;
    int rv = raft_update_start(r, s->term, s->voted_for);
    CHECK(rv == 0 || r->stopped);
    const struct configuration *c = raft_history_last(&r->history);
    if (c->count > 0) {
        struct action *a = raft_actions_put(r->actions, ACTION_CONFIGURATION);
        raft_actions_configuration(a, c);
        a->index = c->index;
    }
    raft_settle(r);
}

enum err_code replica_start(const struct replica_options *options,
                            const struct replica_state *state, uint64_t now_ms,
                            struct replica **out, struct actions *actions, struct err *e)
{
    CHECK(options->id != 0);
    CHECK(options->heartbeat_ms > 0);
    CHECK(options->election_ms > options->heartbeat_ms);
    *out = NULL;
    enum err_code code = check_state(state, e);
    if (code != ERR_OK) {
        return code;
    }
    struct replica *r = mem_zalloc(sizeof *r);
    r->options = *options;
    if (r->options.append_size == 0) {
        r->options.append_size = RAFT_APPEND_SIZE;
    }
    r->random = random_seeded(options->seed);
    r->snapshot.index = state->snapshot_index;
    r->snapshot.term = state->snapshot_term;
    const struct configuration *base =
        state->snapshot_index == 0 ? NULL : &state->snapshot_configuration;
    if (base != NULL) {
        r->snapshot.configuration = *base;
    }
    raft_history_init(&r->history, base);
    code = load_entries(r, state, e);
    if (code != ERR_OK) {
        raft_log_deinit(&r->log);
        raft_history_deinit(&r->history);
        mem_free(r);
        return code;
    }
    r->actions = actions;
    begin(r, state, now_ms);
    r->actions = NULL;
    *out = r;
    return ERR_OK;
}

void replica_close(struct replica *r)
{
    if (r == NULL) {
        return;
    }
    CHECK(r->actions == NULL);
    CHECK(r->log.first > 0);
    raft_close(&r->core, NULL);
    raft_log_deinit(&r->log);
    raft_history_deinit(&r->history);
    raft_outbox_deinit(&r->outbox);
    raft_reads_deinit(&r->reads);
    mem_free(r->appends);
    mem_free(r);
}

/* --- events --- */

static uint64_t core_deadline(const struct replica *r)
{
    uint64_t timeout = raft_timeout(&r->core);
    CHECK(r->options.heartbeat_ms > 0);
    CHECK(r->options.election_ms > r->options.heartbeat_ms);
    return raft_guard_timeout(&r->guards, timeout, r->timeout_ms, r->options.heartbeat_ms);
}

static void on_tick(struct replica *r)
{
    CHECK(r->timeout_ms <= r->now_ms);
    if (r->now_ms < core_deadline(r)) {
        return;
    }
    r->timeout_ms = r->now_ms;
    raft_guard_candidate(&r->guards, &r->core);
    struct raft_input input = {.event = {.type = RAFT_TIMEOUT}};
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
}

/* How many of the appends that are out end with this one; 0: it is not out. */
static size_t find_append(const struct replica *r, const struct event *event)
{
    CHECK(r->append_count <= r->append_capacity);
    CHECK(event->type == EVENT_APPEND_DURABLE);
    for (size_t i = 0; i < r->append_count; i++) {
        const struct raft_append_out *out = &r->appends[i];
        if (event->token != 0 ? out->token == event->token
                              : out->last == event->index && out->term == event->term) {
            return i + 1;
        }
    }
    return 0;
}

static enum err_code on_append_durable(struct replica *r, const struct event *event, struct err *e)
{
    size_t done = find_append(r, event);
    CHECK(done <= r->append_count);
    if (done == 0) {
        return err_set(e, ERR_STATE, "append %" PRIu64 " (%" PRIu64 ", %" PRIu64 ") is not out",
                       event->token, event->index, event->term);
    }
    uint64_t durable = 0;
    for (size_t i = 0; i < done; i++) {
        durable = r->appends[i].valid > durable ? r->appends[i].valid : durable;
    }
    memmove(r->appends, r->appends + done, (r->append_count - done) * sizeof *r->appends);
    r->append_count -= done;
    if (r->installing || durable <= r->durable) {
        return ERR_OK;
    }
    CHECK(durable <= r->log.last);
    r->durable = durable;
    struct raft_input input = {.event = {.type = RAFT_PERSISTED_ENTRIES}};
    input.event.persisted_entries.index = durable;
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
    return ERR_OK;
}

static enum err_code on_applied(struct replica *r, const struct event *event, struct err *e)
{
    CHECK(r->applied <= r->apply_given);
    if (event->index > r->apply_given) {
        return err_set(e, ERR_INVALID, "entry %" PRIu64 " was not given out to be applied",
                       event->index);
    }
    r->applied = event->index > r->applied ? event->index : r->applied;
    CHECK(r->applied <= r->apply_given);
    return ERR_OK;
}

static enum err_code on_snapshot_ended(struct replica *r, const struct event *event, struct err *e)
{
    if (event->id == 0) {
        return err_set(e, ERR_INVALID, "the transfer of a snapshot to nobody");
    }
    struct raft_peer *peer = raft_peer_find(r, event->id);
    CHECK(peer == NULL || peer->id == event->id);
    if (peer != NULL) {
        peer->transfer.running = false;
    }
    return ERR_OK;
}

static enum err_code on_timers(struct replica *r, const struct event *event, struct err *e)
{
    if (event->heartbeat_ms == 0 || event->election_ms <= event->heartbeat_ms) {
        return err_set(e, ERR_INVALID, "heartbeat %u ms, election timeout %u ms",
                       event->heartbeat_ms, event->election_ms);
    }
    r->options.heartbeat_ms = event->heartbeat_ms;
    r->options.election_ms = event->election_ms;
    raft_set_heartbeat_timeout(&r->core, event->heartbeat_ms);
    raft_set_election_timeout(&r->core, event->election_ms);
    raft_set_install_snapshot_timeout(&r->core,
                                      raft_guard_install_timeout(&r->guards, event->election_ms));
    CHECK(r->options.heartbeat_ms > 0);
    return ERR_OK;
}

static enum err_code dispatch(struct replica *r, struct event *event, struct err *e)
{
    CHECK(!r->stopped);
    CHECK(r->actions != NULL);
    switch (event->type) {
    case EVENT_TICK:
        on_tick(r);
        return ERR_OK;
    case EVENT_MESSAGE:
        return raft_receive(r, event, e);
    case EVENT_SUBMIT:
        return raft_lead_submit(r, event, e);
    case EVENT_HARD_STATE_DURABLE:
        return raft_outbox_durable(&r->outbox, r->actions, e);
    case EVENT_APPEND_DURABLE:
        return on_append_durable(r, event, e);
    case EVENT_LOG_READ:
        return raft_send_log_read(r, event, e);
    case EVENT_APPLIED:
        return on_applied(r, event, e);
    case EVENT_CHECKPOINT:
        return raft_follow_checkpoint(r, event, e);
    case EVENT_INSTALLED:
        return raft_follow_installed(r, event, e);
    case EVENT_READ:
        return raft_lead_read(r, event->token, e);
    case EVENT_TRANSFER:
        return raft_lead_transfer(r, event->id, e);
    case EVENT_CHANGE:
        return raft_change_ask(r, event->configuration, e);
    case EVENT_LEADER_GONE:
        return raft_follow_leader_gone(r, event->id, e);
    case EVENT_SNAPSHOT_ENDED:
        return on_snapshot_ended(r, event, e);
    case EVENT_TIMERS:
        return on_timers(r, event, e);
    }
    PANIC("event %d", (int)event->type);
}

enum err_code replica_step(struct replica *r, struct event *event, struct actions *actions,
                           struct err *e)
{
    CHECK(r->actions == NULL);
    CHECK(event->now_ms >= r->now_ms);
    if (r->stopped) {
        return err_set(e, ERR_STATE, "the replica has stopped");
    }
    r->now_ms = event->now_ms;
    r->actions = actions;
    enum err_code code = dispatch(r, event, e);
    if (!r->stopped) {
        raft_settle(r);
    }
    r->actions = NULL;
    return code;
}

uint64_t replica_deadline_ms(const struct replica *r)
{
    CHECK(r != NULL);
    if (r->stopped) {
        return UINT64_MAX;
    }
    uint64_t due = core_deadline(r);
    uint64_t lead = raft_lead_deadline(r);
    due = lead < due ? lead : due;
    if (r->gone.wanted && r->gone.deadline_ms < due) {
        due = r->gone.deadline_ms;
    }
    CHECK(due > 0);
    return due;
}

/* --- looking --- */

struct replica_status replica_status(const struct replica *r)
{
    CHECK(r != NULL);
    struct replica_status s = {
        .role = r->role,
        .term = r->hard_term,
        .leader = r->role_leader,
        .last_index = r->log.last,
        .commit_index = r->commit,
        .durable_index = r->durable,
        .applied_index = r->applied,
        .first_index = r->log.first,
        .leader_ready = raft_lead_ready(r),
        .installing = r->installing,
        .transferee = r->transfer.wanted ? r->transfer.target : raft_transferee(&r->core),
        .cache_bytes = r->log.bytes,
        .cache_entries = raft_log_cached(&r->log),
    };
    (void)replica_term_at(r, s.last_index, &s.last_term);
    CHECK(s.applied_index <= s.last_index || s.installing);
    return s;
}

const struct configuration *replica_configuration(const struct replica *r)
{
    CHECK(r != NULL);
    return raft_history_last(&r->history);
}

bool replica_peer(const struct replica *r, uint64_t id, uint64_t *match_index, uint64_t *silent_ms)
{
    CHECK(match_index != NULL);
    CHECK(silent_ms != NULL);
    raft_index match = 0;
    if (r->stopped || raft_match_index(&r->core, id, &match) != 0) {
        return false;
    }
    if (id == r->options.id) {
        *match_index = r->durable;
        *silent_ms = 0;
        return true;
    }
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id == id && r->peers[i].heard_ms != 0) {
            *match_index = match;
            *silent_ms = r->now_ms - r->peers[i].heard_ms;
            return true;
        }
    }
    return false;
}

bool replica_term_at(const struct replica *r, uint64_t index, uint64_t *term)
{
    CHECK(r != NULL);
    CHECK(term != NULL);
    return raft_term_at(r, index, term);
}

struct entry *replica_entry(const struct replica *r, uint64_t index)
{
    CHECK(r != NULL);
    return raft_log_entry(&r->log, index);
}
