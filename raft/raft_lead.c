/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_actions.h"
#include "raft/raft_replica.h"

uint64_t raft_lead_match(const struct replica *r, uint64_t id)
{
    CHECK(id != 0);
    if (id == r->options.id) {
        return r->durable;
    }
    raft_index match = 0;
    if (raft_match_index(&r->core, id, &match) != 0) {
        return 0;
    }
    CHECK(match <= r->log.last);
    return match;
}

bool raft_lead_ready(const struct replica *r)
{
    CHECK(r != NULL);
    if (!r->leading || r->core.state != RAFT_LEADER) {
        return false;
    }
    CHECK(r->lead_term == raft_current_term(&r->core));
    if (!raft_guard_is_on(&r->guards, RAFT_BARRIER_FIRST)) {
        return true;
    }
    return r->lead_index != 0 && raft_commit_index(&r->core) >= r->lead_index;
}

/* Gives the entries to libraft; they have the index and term that come next. */
int raft_lead_propose(struct replica *r, struct entry *const *entries, size_t count)
{
    CHECK(count > 0);
    CHECK(entries[0]->index == r->log.last + 1);
    struct raft_core_entries core;
    raft_core_entries_init(&core, entries, count);
    struct raft_input input = {
        .event = {.type = RAFT_SUBMIT},
        .entries = entries,
        .count = count,
        .core = &core,
    };
    input.event.submit.entries = core.items;
    input.event.submit.n = (unsigned)count;
    int rv = raft_update_step(r, &input);
    CHECK(rv != 0 || r->log.last == entries[count - 1]->index);
    raft_core_entries_deinit(&core);
    return rv;
}

static enum err_code check_submit(const struct replica *r, const struct event *event, struct err *e)
{
    CHECK(event->count > 0);
    CHECK(event->entries != NULL);
    if (r->core.state != RAFT_LEADER || !r->leading) {
        return err_set(e, ERR_NOT_LEADER, "this node does not lead");
    }
    if (r->transfer.wanted || raft_transferee(&r->core) != 0) {
        return err_set(e, ERR_STATE, "leadership is being handed over");
    }
    uint64_t open = r->log.last - raft_commit_index(&r->core);
    if (open + event->count > LIMIT_UNCOMMITTED_ENTRIES) {
        return err_set(e, ERR_FULL, "%" PRIu64 " entries are not committed yet", open);
    }
    if (!raft_guard_submit(&r->guards, event->entries, event->count)) {
        return err_set(e, ERR_INVALID, "a change among other entries");
    }
    size_t bytes = r->log.bytes;
    for (size_t i = 0; i < event->count; i++) {
        enum entry_type type = event->entries[i]->type;
        if (type == ENTRY_BARRIER || (type == ENTRY_CHANGE && event->count == 1)) {
            return err_set(e, ERR_INVALID, "only commands are submitted");
        }
        bytes += raft_log_entry_bytes(event->entries[i]);
    }
    if (bytes > r->options.cache_size_max + LIMIT_UNAPPLIED_SIZE_MAX) {
        return err_set(e, ERR_FULL, "%zu bytes are not applied yet", r->log.bytes);
    }
    return ERR_OK;
}

enum err_code raft_lead_submit(struct replica *r, struct event *event, struct err *e)
{
    CHECK(event->type == EVENT_SUBMIT);
    enum err_code code = check_submit(r, event, e);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < event->count; i++) {
        event->entries[i]->index = r->log.last + 1 + i;
        event->entries[i]->term = raft_current_term(&r->core);
    }
    int rv = raft_lead_propose(r, event->entries, event->count);
    CHECK(rv != 0 || r->log.last == event->entries[event->count - 1]->index);
    return rv == 0 ? ERR_OK : err_set(e, ERR_STATE, "the consensus core refuses the entries");
}

/* libraft makes the barrier itself if its log goes on past what it knows as
 * committed; else nothing of this term would ever be committed by itself. */
void raft_lead_begin(struct replica *r)
{
    uint64_t term = raft_current_term(&r->core);
    uint64_t last_term = 0;
    CHECK(!r->leading);
    CHECK(r->core.state == RAFT_LEADER);
    r->leading = true;
    r->lead_term = term;
    r->lead_index = 0;
    if (raft_log_term(&r->log, r->log.last, &last_term) && last_term == term) {
        r->lead_index = raft_log_term_first(&r->log, r->log.last);
        return;
    }
    struct entry *barrier = entry_new(ENTRY_BARRIER, r->log.last + 1, term, (struct bytes){0});
    int rv = raft_lead_propose(r, &barrier, 1);
    CHECK(rv == 0 || r->stopped);
    r->lead_index = barrier->index;
    entry_unref(barrier);
}

static void fail_reads(struct replica *r)
{
    struct raft_reads *reads = &r->reads;
    CHECK(r->actions != NULL);
    for (size_t i = 0; i < reads->served_count; i++) {
        raft_actions_put(r->actions, ACTION_READ_FAILED)->token = reads->served[i];
    }
    for (size_t i = 0; i < reads->waiting_count; i++) {
        raft_actions_put(r->actions, ACTION_READ_FAILED)->token = reads->waiting[i];
    }
    reads->served_count = 0;
    reads->waiting_count = 0;
    reads->round.running = false;
    CHECK(reads->waiting_capacity + reads->served_capacity <= 4 * (size_t)LIMIT_READS_WAITING);
}

void raft_lead_end(struct replica *r)
{
    CHECK(r->leading);
    r->leading = false;
    r->lead_index = 0;
    r->transfer.wanted = false;
    for (size_t i = 0; i < r->peer_count; i++) {
        r->peers[i].feed = (struct raft_feed){0};
        r->peers[i].transfer = (struct raft_guard_transfer){0};
    }
    fail_reads(r);
    raft_change_fail(r, "this node does not lead any more");
    CHECK(!r->change.wanted);
}

/* --- reads --- */

void raft_lead_ask(struct replica *r, const struct raft_round *round, bool all)
{
    const struct configuration *c = raft_history_last(&r->history);
    CHECK(round->running);
    CHECK(r->leading);
    for (size_t i = 0; i < c->count; i++) {
        uint64_t id = c->servers[i].id;
        if (id == r->options.id || raft_round_has(round, id) ||
            (!all && c->servers[i].role != SERVER_VOTER)) {
            continue;
        }
        struct raft_packet ping = {.kind = RAFT_MESSAGE_PING};
        ping.term = r->lead_term;
        ping.round = round->number;
        raft_send_packet(r, id, &ping);
    }
}

void raft_lead_pong(struct replica *r, uint64_t sender, uint64_t term, uint64_t round)
{
    CHECK(sender != 0);
    CHECK(sender != r->options.id);
    if (!r->leading || term != r->lead_term || term != raft_current_term(&r->core)) {
        return;
    }
    raft_round_answer(&r->reads.round, round, sender);
    raft_round_answer(&r->change.round, round, sender);
}

enum err_code raft_lead_read(struct replica *r, uint64_t token, struct err *e)
{
    CHECK(r->actions != NULL);
    CHECK(!r->stopped);
    if (!r->leading || r->core.state != RAFT_LEADER) {
        return err_set(e, ERR_NOT_LEADER, "this node does not lead");
    }
    if (!raft_lead_ready(r)) {
        return err_set(e, ERR_STATE, "no entry of this leader's term is committed yet");
    }
    return raft_reads_add(&r->reads, token, e);
}

static bool round_has_majority(const struct replica *r, const struct raft_round *round)
{
    CHECK(round->running);
    CHECK(round->id_count <= LIMIT_NODES_MAX);
    if (!raft_guard_is_on(&r->guards, RAFT_READS)) {
        return true;
    }
    return configuration_has_majority(raft_history_last(&r->history), round->ids, round->id_count);
}

static void settle_reads(struct replica *r)
{
    struct raft_reads *reads = &r->reads;
    CHECK(r->leading);
    while (reads->round.running || (reads->waiting_count > 0 && raft_lead_ready(r))) {
        struct raft_round *round = &reads->round;
        if (!round->running) {
            r->round_number++;
            raft_reads_begin(reads, r->round_number, r->commit, r->now_ms);
            CHECK(round->index >= r->lead_index);
            raft_round_answer(round, round->number, r->options.id);
            raft_lead_ask(r, round, false);
        }
        if (!round_has_majority(r, round)) {
            break;
        }
        for (size_t i = 0; i < reads->served_count; i++) {
            struct action *a = raft_actions_put(r->actions, ACTION_READ_READY);
            a->token = reads->served[i];
            a->index = round->index;
        }
        reads->served_count = 0;
        round->running = false;
    }
    if (reads->round.running && r->now_ms - reads->round.asked_ms >= r->options.heartbeat_ms) {
        reads->round.asked_ms = r->now_ms;
        raft_lead_ask(r, &reads->round, false);
    }
}

/* --- transfer --- */

/* The other voter that holds most of our log and was heard lately; 0: none. */
static uint64_t best_target(const struct replica *r)
{
    const struct configuration *c = raft_history_last(&r->history);
    uint64_t best = 0;
    uint64_t best_match = 0;
    CHECK(c->count > 0);
    for (size_t i = 0; i < c->count; i++) {
        uint64_t match = 0;
        uint64_t silent_ms = 0;
        uint64_t id = c->servers[i].id;
        if (c->servers[i].role != SERVER_VOTER || id == r->options.id ||
            !replica_peer(r, id, &match, &silent_ms) || silent_ms >= r->options.election_ms) {
            continue;
        }
        if (best == 0 || match > best_match) {
            best = id;
            best_match = match;
        }
    }
    CHECK(best != r->options.id);
    return best;
}

enum err_code raft_lead_transfer(struct replica *r, uint64_t target, struct err *e)
{
    const struct configuration *c = raft_history_last(&r->history);
    CHECK(!r->stopped);
    if (!r->leading || r->core.state != RAFT_LEADER) {
        return err_set(e, ERR_NOT_LEADER, "this node does not lead");
    }
    if (r->transfer.wanted || r->change.wanted || raft_transferee(&r->core) != 0) {
        return err_set(e, ERR_STATE, "a transfer or a membership step is under way");
    }
    if (target != 0 && (target == r->options.id || !configuration_is_voter(c, target))) {
        return err_set(e, ERR_INVALID, "server %016" PRIx64 " is no other voter", target);
    }
    if (target == 0) {
        target = best_target(r);
    }
    if (target == 0) {
        return err_set(e, ERR_STATE, "no other voter was heard lately");
    }
    CHECK(configuration_is_voter(c, target));
    r->transfer.wanted = true;
    r->transfer.target = target;
    r->transfer.deadline_ms =
        r->now_ms + (uint64_t)RAFT_TRANSFER_ELECTIONS * r->options.election_ms;
    return ERR_OK;
}

/* No entry is taken while a transfer is wanted, so the target catches up; then
 * libraft tells it to begin. That message may be lost: libraft gives up after an
 * election timeout, and it starts again here. */
static void settle_transfer(struct replica *r)
{
    if (!r->transfer.wanted) {
        return;
    }
    CHECK(r->leading);
    if (r->now_ms >= r->transfer.deadline_ms) {
        r->transfer.wanted = false;
        return;
    }
    uint64_t match = raft_lead_match(r, r->transfer.target);
    if (raft_transferee(&r->core) != 0 || !raft_guard_hand_over(&r->guards, match, r->log.last)) {
        return;
    }
    struct raft_input input = {.event = {.type = RAFT_TRANSFER}};
    input.event.transfer.server_id = r->transfer.target;
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || rv == RAFT_BADID || r->stopped);
    r->transfer.wanted = rv == 0;
}

void raft_lead_settle(struct replica *r)
{
    CHECK(!r->stopped);
    if (!r->leading) {
        return;
    }
    CHECK(r->core.state == RAFT_LEADER);
    settle_reads(r);
    settle_transfer(r);
    if (!r->stopped && r->core.state == RAFT_LEADER) {
        raft_change_settle(r);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t raft_lead_deadline(const struct replica *r)
{
    uint64_t due = UINT64_MAX;
    CHECK(r != NULL);
    if (!r->leading) {
        return due;
    }
    if (r->reads.round.running) {
        due = earlier(due, r->reads.round.asked_ms + r->options.heartbeat_ms);
    }
    if (r->change.wanted) {
        due = earlier(due, r->change.deadline_ms);
        due = earlier(due, r->change.round.asked_ms + r->options.heartbeat_ms);
    }
    if (r->transfer.wanted) {
        due = earlier(due, r->transfer.deadline_ms);
    }
    CHECK(due > 0);
    return due;
}
