/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/test/cluster_trace.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "raft/raft_message.h"

static void trace_range(uint64_t first, size_t count, struct buf *out)
{
    if (count == 1) {
        buf_printf(out, "%" PRIu64, first);
    } else {
        buf_printf(out, "%" PRIu64 "..%" PRIu64, first, first + count - 1);
    }
}

static void trace_core(const struct raft_packet *p, struct buf *out)
{
    const struct raft_message *m = &p->core;
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        if (p->count == 0 && m->append_entries.prev_log_index == 0) {
            buf_printf(out, "heartbeat of term %llu", m->append_entries.term);
        } else if (p->count == 0) {
            buf_printf(out, "heartbeat of term %llu after %llu, commit %llu",
                       m->append_entries.term, m->append_entries.prev_log_index,
                       m->append_entries.leader_commit);
        } else {
            buf_printf(out, "append of term %llu: ", m->append_entries.term);
            trace_range(p->entries[0]->index, p->count, out);
            buf_printf(out, ", commit %llu", m->append_entries.leader_commit);
        }
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        if (m->append_entries_result.rejected != 0) {
            buf_printf(out, "refusal of term %llu: %llu, holds up to %llu",
                       m->append_entries_result.term, m->append_entries_result.rejected,
                       m->append_entries_result.last_log_index);
        } else {
            buf_printf(out, "holds up to %llu in term %llu",
                       m->append_entries_result.last_log_index, m->append_entries_result.term);
        }
        break;
    case RAFT_REQUEST_VOTE:
        buf_printf(out, "asks for %s in term %llu, log ends at %llu of term %llu%s",
                   m->request_vote.pre_vote ? "a pre-vote" : "the vote", m->request_vote.term,
                   m->request_vote.last_log_index, m->request_vote.last_log_term,
                   m->request_vote.disrupt_leader ? ", leader is gone" : "");
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        buf_printf(out, "%s %s in term %llu",
                   m->request_vote_result.vote_granted ? "gives" : "denies",
                   m->request_vote_result.pre_vote ? "its pre-vote" : "its vote",
                   m->request_vote_result.term);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        buf_printf(out, "offers snapshot %llu in term %llu", m->install_snapshot.last_index,
                   m->install_snapshot.term);
        break;
    case RAFT_TIMEOUT_NOW:
        buf_printf(out, "hands over in term %llu", m->timeout_now.term);
        break;
    }
}

static void trace_send(const struct action *a, uint64_t node, struct buf *out)
{
    struct raft_packet p;
    buf_printf(out, "to n%" PRIu64 ": ", a->id);
    enum err_code code = raft_packet_decode(buf_bytes(&a->message), node, &p, NULL);
    CHECK(code == ERR_OK);
    switch (p.kind) {
    case RAFT_MESSAGE_CORE:
        trace_core(&p, out);
        break;
    case RAFT_MESSAGE_PING:
        buf_printf(out, "do I lead in term %" PRIu64 "?", p.term);
        break;
    case RAFT_MESSAGE_PONG:
        buf_printf(out, "you lead in term %" PRIu64, p.term);
        break;
    }
    raft_packet_deinit(&p);
}

static void trace_configuration(const struct configuration *c, struct buf *out)
{
    static const char *const names[] = {"spare", "standby", "voter"};
    for (size_t i = 0; i < c->count; i++) {
        CHECK((size_t)c->servers[i].role < sizeof names / sizeof names[0]);
        buf_printf(out, "%sn%" PRIu64 " %s", i == 0 ? "" : ", ", c->servers[i].id,
                   names[c->servers[i].role]);
    }
}

static void trace_role(const struct action *a, struct buf *out)
{
    static const char *const names[] = {"follows", "stands for election", "leads"};
    buf_printf(out, "%s in term %" PRIu64, names[a->role], a->term);
    if (a->role == REPLICA_FOLLOWER && a->id != 0) {
        buf_printf(out, ": n%" PRIu64, a->id);
    }
}

void cluster_trace_action(const struct action *a, uint64_t node, struct buf *out)
{
    switch (a->type) {
    case ACTION_HARD_STATE:
        buf_printf(out, "persists term %" PRIu64, a->term);
        if (a->id != 0) {
            buf_printf(out, ", vote for n%" PRIu64, a->id);
        }
        break;
    case ACTION_APPEND:
        buf_printf(out, "writes ");
        trace_range(a->index, a->count, out);
        buf_printf(out, " of term %" PRIu64, a->term);
        break;
    case ACTION_SEND:
        trace_send(a, node, out);
        break;
    case ACTION_READ_LOG:
        buf_printf(out, "reads ");
        trace_range(a->index, a->count, out);
        buf_printf(out, " from disk");
        break;
    case ACTION_APPLY:
        buf_printf(out, "applies ");
        trace_range(a->index, a->count, out);
        break;
    case ACTION_READ_READY:
        buf_printf(out, "may serve read %" PRIu64 " at %" PRIu64, a->token, a->index);
        break;
    case ACTION_READ_FAILED:
        buf_printf(out, "refuses read %" PRIu64, a->token);
        break;
    case ACTION_INSTALL:
        buf_printf(out, "installs snapshot %" PRIu64 " of n%" PRIu64, a->index, a->id);
        break;
    case ACTION_ROLE:
        trace_role(a, out);
        break;
    case ACTION_CONFIGURATION:
        buf_printf(out, "configuration %" PRIu64 ": ", a->index);
        trace_configuration(a->configuration, out);
        break;
    case ACTION_CHANGE_FAILED:
        buf_printf(out, "gives the step up: %s", a->reason);
        break;
    case ACTION_CUT_OK:
        buf_printf(out, "cuts up to %" PRIu64, a->index);
        break;
    case ACTION_STOP:
        buf_printf(out, "stops: %s", a->reason);
        break;
    }
}

static const char *const topics[TRACE_TOPICS] = {
    [TRACE_ROLES] = "roles",         [TRACE_VOTES] = "votes",
    [TRACE_PROMISES] = "promises",   [TRACE_WRITES] = "writes",
    [TRACE_APPLIES] = "applies",     [TRACE_APPENDS] = "appends",
    [TRACE_ACKS] = "acks",           [TRACE_HEARTBEATS] = "heartbeats",
    [TRACE_ROUNDS] = "rounds",       [TRACE_READS] = "reads",
    [TRACE_SNAPSHOTS] = "snapshots", [TRACE_CONFIGURATIONS] = "configurations",
    [TRACE_DISK] = "disk",           [TRACE_FAULTS] = "faults",
};

bool cluster_trace_topic(const char *name, enum trace_topic *out)
{
    for (size_t i = 0; i < TRACE_TOPICS; i++) {
        if (strcmp(topics[i], name) == 0) {
            *out = (enum trace_topic)i;
            return true;
        }
    }
    return false;
}

static enum trace_topic topic_of_message(const struct action *a, uint64_t node)
{
    struct raft_packet p;
    enum err_code code = raft_packet_decode(buf_bytes(&a->message), node, &p, NULL);
    CHECK(code == ERR_OK);
    size_t count = p.count;
    raft_packet_deinit(&p);
    if (p.kind != RAFT_MESSAGE_CORE) {
        return TRACE_ROUNDS;
    }
    switch (p.core.type) {
    case RAFT_APPEND_ENTRIES:
        return count > 0 ? TRACE_APPENDS : TRACE_HEARTBEATS;
    case RAFT_APPEND_ENTRIES_RESULT:
        return TRACE_ACKS;
    case RAFT_INSTALL_SNAPSHOT:
        return TRACE_SNAPSHOTS;
    case RAFT_REQUEST_VOTE:
    case RAFT_REQUEST_VOTE_RESULT:
    case RAFT_TIMEOUT_NOW:
        break;
    }
    return TRACE_VOTES;
}

enum trace_topic cluster_trace_topic_of(const struct action *a, uint64_t node)
{
    switch (a->type) {
    case ACTION_HARD_STATE:
        return TRACE_PROMISES;
    case ACTION_APPEND:
        return TRACE_WRITES;
    case ACTION_SEND:
        return topic_of_message(a, node);
    case ACTION_READ_LOG:
        return TRACE_DISK;
    case ACTION_APPLY:
        return TRACE_APPLIES;
    case ACTION_READ_READY:
    case ACTION_READ_FAILED:
        return TRACE_READS;
    case ACTION_INSTALL:
    case ACTION_CUT_OK:
        return TRACE_SNAPSHOTS;
    case ACTION_CONFIGURATION:
    case ACTION_CHANGE_FAILED:
        return TRACE_CONFIGURATIONS;
    case ACTION_ROLE:
    case ACTION_STOP:
        break;
    }
    return TRACE_ROLES;
}
