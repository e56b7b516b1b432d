/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/check.h"
#include "raft/raft_actions.h"
#include "raft/raft_replica.h"

enum err_code raft_change_ask(struct replica *r, const struct configuration *to, struct err *e)
{
    CHECK(to != NULL);
    CHECK(!r->stopped);
    const struct configuration *from = raft_history_last(&r->history);
    if (!r->leading || r->core.state != RAFT_LEADER) {
        return err_set(e, ERR_NOT_LEADER, "this node does not lead");
    }
    if (!raft_lead_ready(r)) {
        return err_set(e, ERR_STATE, "no entry of this leader's term is committed yet");
    }
    if (r->change.wanted || from->index > r->told) {
        return err_set(e, ERR_STATE, "another membership step is under way");
    }
    if (r->transfer.wanted || raft_transferee(&r->core) != 0) {
        return err_set(e, ERR_STATE, "leadership is being handed over");
    }
    if (configuration_check_step(from, to, e) != ERR_OK) {
        return ERR_INVALID;
    }
    r->change.wanted = true;
    r->change.to = *to;
    r->change.deadline_ms = r->now_ms + (uint64_t)RAFT_CHANGE_ELECTIONS * r->options.election_ms;
    r->change.round.running = false;
    r->round_number++;
    raft_round_begin(&r->change.round, r->round_number, r->commit, r->now_ms);
    raft_round_answer(&r->change.round, r->round_number, r->options.id);
    raft_lead_ask(r, &r->change.round, true);
    return ERR_OK;
}

void raft_change_fail(struct replica *r, const char *reason)
{
    CHECK(reason != NULL);
    CHECK(r->actions != NULL);
    if (!r->change.wanted) {
        return;
    }
    r->change.wanted = false;
    r->change.round.running = false;
    raft_actions_put(r->actions, ACTION_CHANGE_FAILED)->reason = reason;
}

/* The majorities of safety.md B5, among those who answered since the step was
 * asked for. What they hold counts as libraft knows it: durable there. */
static bool has_majorities(const struct replica *r)
{
    const struct configuration *from = raft_history_last(&r->history);
    const struct raft_round *round = &r->change.round;
    uint64_t held[LIMIT_NODES_MAX];
    size_t count = 0;
    CHECK(round->running);
    CHECK(round->id_count <= LIMIT_NODES_MAX);
    if (!raft_guard_is_on(&r->guards, RAFT_B5_HELD)) {
        return true;
    }
    for (size_t i = 0; i < round->id_count; i++) {
        if (raft_lead_match(r, round->ids[i]) >= from->index) {
            held[count] = round->ids[i];
            count++;
        }
    }
    return configuration_has_majority(from, held, count) &&
           configuration_has_majority(&r->change.to, held, count);
}

/* A server that becomes a voter must hold nearly all of the log: until it does,
 * it would only make majorities harder to reach. */
static bool is_caught_up(const struct replica *r)
{
    const struct configuration *from = raft_history_last(&r->history);
    const struct configuration *to = &r->change.to;
    CHECK(from->count > 0);
    CHECK(to->count > 0);
    for (size_t i = 0; i < to->count; i++) {
        uint64_t id = to->servers[i].id;
        if (to->servers[i].role == SERVER_VOTER && !configuration_is_voter(from, id) &&
            raft_lead_match(r, id) + RAFT_CATCH_UP_DISTANCE < r->log.last) {
            return false;
        }
    }
    return true;
}

static void propose(struct replica *r)
{
    struct buf payload = {0};
    CHECK(r->change.wanted);
    configuration_encode(&r->change.to, &payload);
    struct entry *entry =
        entry_new(ENTRY_CHANGE, r->log.last + 1, raft_current_term(&r->core), buf_bytes(&payload));
    buf_deinit(&payload);
    int rv = raft_guard_submit(&r->guards, &entry, 1) ? raft_lead_propose(r, &entry, 1) : -1;
    entry_unref(entry);
    if (r->stopped) {
        return;
    }
    if (rv != 0) {
        raft_change_fail(r, "the consensus core refuses the step");
        return;
    }
    r->change.wanted = false;
    r->change.round.running = false;
    CHECK(raft_history_last(&r->history)->index == r->log.last);
}

void raft_change_settle(struct replica *r)
{
    struct raft_change *change = &r->change;
    if (!change->wanted) {
        return;
    }
    CHECK(r->leading);
    CHECK(change->round.running);
    bool held = has_majorities(r);
    bool caught_up = is_caught_up(r);
    if (held && caught_up && raft_lead_ready(r)) {
        propose(r);
        return;
    }
    if (r->now_ms >= change->deadline_ms) {
        raft_change_fail(r, held ? "the server to be promoted lacks too much of the log"
                                 : "no majority of the voters answers and holds the last step");
        return;
    }
    if (r->now_ms - change->round.asked_ms >= r->options.heartbeat_ms) {
        change->round.asked_ms = r->now_ms;
        raft_lead_ask(r, &change->round, true);
    }
}
