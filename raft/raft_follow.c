/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>

#include "base/check.h"
#include "raft/raft_actions.h"
#include "raft/raft_replica.h"

void raft_follow_heard(struct replica *r, uint64_t leader)
{
    CHECK(leader != 0);
    CHECK(leader != r->options.id);
    r->leader_id = leader;
    r->leader_heard_ms = r->now_ms;
    r->gone.wanted = false;
}

/* --- a leader that is gone (safety.md I) --- */

static enum err_code check_leader_gone(const struct replica *r, uint64_t id, struct err *e)
{
    const struct raft_gone *gone = &r->gone;
    CHECK(r->actions != NULL);
    if (r->core.state != RAFT_FOLLOWER || r->leader_id == 0) {
        return err_set(e, ERR_STATE, "this node follows no leader of its term");
    }
    if (id != 0 && id != r->leader_id) {
        return err_set(e, ERR_STATE, "%016" PRIx64 " leads no more", id);
    }
    if (!configuration_is_voter(raft_history_last(&r->history), r->options.id)) {
        return err_set(e, ERR_STATE, "this node has no vote");
    }
    CHECK(r->hard_term > 0);
    if (gone->done_leader == r->leader_id && gone->done_term == r->hard_term) {
        return err_set(e, ERR_STATE, "done once for this leader");
    }
    uint64_t pause_ms = (uint64_t)RAFT_GONE_ELECTIONS * r->options.election_ms;
    if (gone->done_ms != 0 && r->now_ms - gone->done_ms < pause_ms) {
        return err_set(e, ERR_STATE, "done for another leader a moment ago");
    }
    return ERR_OK;
}

enum err_code raft_follow_leader_gone(struct replica *r, uint64_t id, struct err *e)
{
    enum err_code code = check_leader_gone(r, id, e);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(r->leader_id != r->options.id);
    CHECK(r->leader_id != 0);
    r->gone.wanted = true;
    r->gone.leader = r->leader_id;
    r->gone.term = r->hard_term;
    r->gone.deadline_ms = r->now_ms + r->options.election_ms;
    return ERR_OK;
}

/* Says in the leader's name what it would say to hand over: begin at once, and
 * disturb whoever still believes in me. Votes go by term and log as ever.
 * libraft ignores it while own writes are out, so it waits for them. */
void raft_follow_settle(struct replica *r)
{
    struct raft_gone *gone = &r->gone;
    CHECK(!r->stopped);
    if (!gone->wanted) {
        return;
    }
    if (r->core.state != RAFT_FOLLOWER || r->hard_term != gone->term ||
        r->leader_id != gone->leader || r->now_ms >= gone->deadline_ms) {
        gone->wanted = false;
        return;
    }
    uint64_t term = 0;
    if (r->installing || r->durable != r->log.last || !raft_term_at(r, r->log.last, &term)) {
        return;
    }
    gone->wanted = false;
    char address[RAFT_CORE_ADDRESS_SIZE];
    raft_core_address(gone->leader, address);
    struct raft_message m = {.type = RAFT_TIMEOUT_NOW};
    m.server_id = gone->leader;
    m.server_address = address;
    m.timeout_now.term = gone->term;
    m.timeout_now.last_log_index = r->log.last;
    m.timeout_now.last_log_term = term;
    struct raft_input input = {.event = {.type = RAFT_RECEIVE}};
    input.event.receive.message = &m;
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
    if (r->core.state != RAFT_FOLLOWER) {
        gone->done_leader = gone->leader;
        gone->done_term = gone->term;
        gone->done_ms = r->now_ms;
    }
}

/* --- the vote of a server that doesn't know that it has one (safety.md B5) --- */

static void reply_to_vote(struct replica *r, const struct raft_request_vote *request)
{
    CHECK(request->candidate_id != r->options.id);
    CHECK(request->pre_vote || request->term == r->hard_term);
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
    p.core.type = RAFT_REQUEST_VOTE_RESULT;
    p.core.server_id = request->candidate_id;
    p.core.request_vote_result = (struct raft_request_vote_result){
        .version = RAFT_MESSAGE_VOTE_VERSION,
        .term = request->term,
        .vote_granted = true,
        .pre_vote = request->pre_vote,
        .features = RAFT_MESSAGE_FEATURES,
    };
    raft_send_packet(r, request->candidate_id, &p);
}

/* libraft has no way to be told of a vote, but it starts from one: it is closed,
 * and begins again from what is durable here, which is all there is. */
static void start_anew(struct replica *r, uint64_t term, uint64_t voted_for)
{
    CHECK(r->core.state == RAFT_FOLLOWER);
    CHECK(term > r->hard_term || (term == r->hard_term && r->hard_vote == 0));
    raft_close(&r->core, NULL);
    r->leader_id = 0;
    r->leader_heard_ms = 0;
    raft_outbox_hard_state(&r->outbox, term, voted_for, r->actions);
    int rv = raft_update_start(r, term, voted_for);
    CHECK(rv == 0 || r->stopped);
    for (size_t i = 0; i < r->history.count && !r->stopped; i++) {
        const struct configuration *c = &r->history.items[i];
        if (c->count > 0 && c->index <= r->apply_given) {
            raft_update_tell(r, c);
        }
    }
}

bool raft_follow_vote(struct replica *r, const struct raft_packet *p)
{
    const struct raft_request_vote *request = &p->core.request_vote;
    CHECK(p->core.type == RAFT_REQUEST_VOTE);
    CHECK(request->candidate_id == p->core.server_id);
    struct raft_guard_voter self = {
        .knows_itself = configuration_is_voter(raft_history_last(&r->history), r->options.id) ||
                        r->core.state != RAFT_FOLLOWER,
        .settled = !r->installing && r->append_count == 0 && r->durable == r->log.last,
        .hears_leader =
            r->leader_id != 0 && r->now_ms - r->leader_heard_ms < r->options.election_ms,
        .term = r->hard_term,
        .voted_for = r->hard_vote,
        .last_index = r->log.last,
    };
    if (r->log.last > 0 && !raft_term_at(r, r->log.last, &self.last_term)) {
        return false;
    }
    if (raft_guard_unaware(&r->guards, &self, request) != RAFT_VOTE_GRANT) {
        return false;
    }
    if (!request->pre_vote && (request->term > r->hard_term || r->hard_vote == 0)) {
        start_anew(r, request->term, request->candidate_id);
    }
    if (!r->stopped) {
        reply_to_vote(r, request);
    }
    return true;
}

/* --- snapshots --- */

enum err_code raft_follow_installed(struct replica *r, const struct event *event, struct err *e)
{
    CHECK(event->type == EVENT_INSTALLED);
    if (!r->installing || event->index != r->install.index || event->term != r->install.term) {
        return err_set(e, ERR_STATE, "snapshot %" PRIu64 " is not being installed", event->index);
    }
    CHECK(r->log.last == r->install.index);
    r->installing = false;
    r->snapshot = r->install;
    r->durable = r->snapshot.index;
    r->apply_given = r->snapshot.index;
    r->applied = r->snapshot.index;
    r->commit = r->commit > r->snapshot.index ? r->commit : r->snapshot.index;
    r->told = r->snapshot.configuration.index;
    raft_history_reset(&r->history, &r->snapshot.configuration);
    struct action *a = raft_actions_put(r->actions, ACTION_CONFIGURATION);
    raft_actions_configuration(a, &r->snapshot.configuration);
    a->index = r->snapshot.configuration.index;

    struct raft_input input = {.event = {.type = RAFT_PERSISTED_SNAPSHOT}};
    struct raft_snapshot_metadata *metadata = &input.event.persisted_snapshot.metadata;
    metadata->index = r->snapshot.index;
    metadata->term = r->snapshot.term;
    metadata->configuration_index = r->snapshot.configuration.index;
    raft_core_configuration(&r->snapshot.configuration, &metadata->configuration);
    input.event.persisted_snapshot.last = true;
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
    return ERR_OK;
}

/* libraft forgets entries <= cut, exactly as our log does. */
static void tell_checkpoint(struct replica *r, const struct event *event, uint64_t cut)
{
    const struct configuration *c = raft_history_at(&r->history, event->index);
    CHECK(c->count > 0);
    CHECK(cut <= event->index);
    r->snapshot.index = event->index;
    r->snapshot.term = event->term;
    r->snapshot.configuration = *c;
    struct raft_input input = {.event = {.type = RAFT_SNAPSHOT}};
    input.event.snapshot.metadata.index = event->index;
    input.event.snapshot.metadata.term = event->term;
    input.event.snapshot.metadata.configuration_index = c->index;
    raft_core_configuration(c, &input.event.snapshot.metadata.configuration);
    input.event.snapshot.trailing = (unsigned)(event->index - cut);
    if (cut >= r->log.first) {
        raft_log_cut(&r->log, cut);
        struct action *a = raft_actions_put(r->actions, ACTION_CUT_OK);
        a->index = cut;
        bool known = raft_log_term(&r->log, cut, &a->term);
        CHECK(known);
    }
    raft_history_cut(&r->history, event->index);
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
}

enum err_code raft_follow_checkpoint(struct replica *r, const struct event *event, struct err *e)
{
    CHECK(event->type == EVENT_CHECKPOINT);
    if (event->index == 0 || event->term == 0 || event->cut > event->index ||
        event->index - event->cut > UINT_MAX) {
        return err_set(e, ERR_INVALID, "checkpoint at %" PRIu64 ", cut at %" PRIu64, event->index,
                       event->cut);
    }
    if (!r->installing && event->index > r->applied && event->index <= r->apply_given) {
        r->applied = event->index; /* what a checkpoint holds is applied */
    }
    struct raft_guard_checkpoint check = {
        .index = event->index,
        .term = event->term,
        .snapshot_index = r->snapshot.index,
        .durable = r->durable,
        .applied = r->applied,
        .installing = r->installing,
    };
    if (!raft_guard_checkpoint(&r->guards, &r->log, &check)) {
        return ERR_OK; /* overtaken by an install, or by a newer checkpoint */
    }
    const struct configuration *ours = raft_history_at(&r->history, event->index);
    if (event->configuration != NULL && event->configuration->index != ours->index) {
        return err_set(e, ERR_INVALID,
                       "checkpoint %" PRIu64 " holds configuration %" PRIu64 ", the log %" PRIu64,
                       event->index, event->configuration->index, ours->index);
    }
    CHECK(ours->count > 0);
    tell_checkpoint(r, event, event->cut);
    return ERR_OK;
}
