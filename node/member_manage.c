/* SPDX-License-Identifier: Apache-2.0 */
/* Membership, one server and one step at a time (safety.md B3, B5). A change is
 * a goal; at each tick the leader compares it with the configuration that is
 * committed and proposes the next step towards it:
 *
 *   add      ─► spare
 *   promote  spare ─► standby ─(has caught up)─► voter
 *   remove   ─► gone
 *   replace  promote the new directory of a name, then remove its old one */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/member_internal.h"
#include "proto/tidemark/log/v1/log.pb-c.h"
#include "tsdb/settings.h"

enum {
    CAUGHT_UP_ENTRIES = 64, /* behind the leader at most, to become a voter */
    CHANGE_LIMIT_MS = 60000,
    STEP_INTERVAL_MS = 50,
    GONE_AGAIN_MS = 1000,
};

struct manage {
    struct member_request *request; /* NULL: our own wish */
    struct request_list waiting;    /* holds the request, so that it can be cancelled */
    enum member_change change;
    uint64_t id;                              /* ADD, PROMOTE, REMOVE; REPLACE: the new one */
    uint64_t old_id;                          /* REPLACE */
    char address[LIMIT_ADDRESS_SIZE_MAX + 1]; /* ADD: "name@host:port" */
    uint64_t give_up_ms;
    uint64_t step_ms;
    char problem[ERR_TEXT_SIZE]; /* of the last step that was refused */
};

static bool has_name(const struct server *s, const char *name)
{
    size_t size = strlen(name);
    return strncmp(s->address, name, size) == 0 && s->address[size] == '@';
}

/* --- the goal --- */

static void end(struct member *m, enum err_code code, const char *text)
{
    struct manage *g = m->manage;
    struct member_request *r = g->waiting.first; /* NULL: none, or cancelled */
    if (r != NULL) {
        list_remove(&g->waiting, r);
    }
    uint64_t index = m->committed.index;
    m->manage = NULL;
    mem_free(g);
    if (r != NULL && code == ERR_OK) {
        member_reply_ok(r, index);
    } else if (r != NULL) {
        member_reply_error(r, code, "%s", text);
    }
}

static bool propose(struct member *m, const struct configuration *next)
{
    struct event ev = {.type = EVENT_CHANGE, .configuration = next};
    struct err e;
    if (member_raft_step(m, &ev, &e) == ERR_OK) {
        return true;
    }
    if (m->manage != NULL) {
        memcpy(m->manage->problem, e.text, sizeof m->manage->problem);
    }
    return false;
}

static void propose_removed(struct member *m, uint64_t id)
{
    Tidemark__Log__V1__NodeRemoved removed;
    tidemark__log__v1__node_removed__init(&removed);
    removed.directory_id = id;
    struct buf body = {0};
    tidemark__log__v1__node_removed__pack(
        &removed, buf_extend(&body, tidemark__log__v1__node_removed__get_packed_size(&removed)));
    member_propose_own(m, COMMAND_NODE_REMOVED, buf_bytes(&body));
    buf_deinit(&body);
}

static bool has_caught_up(const struct member *m, uint64_t id)
{
    uint64_t match = 0;
    uint64_t silent_ms = 0;
    return replica_peer(m->replica, id, &match, &silent_ms) &&
           match + CAUGHT_UP_ENTRIES >= replica_status(m->replica).last_index;
}

/* Each returns true when the goal is reached. */

static bool step_add(struct member *m, const struct manage *g)
{
    if (configuration_find(&m->committed, g->id) != NULL) {
        return true;
    }
    struct configuration next = m->committed;
    if (next.count == LIMIT_NODES_MAX) {
        end(m, ERR_FULL, "the cluster has as many members as it can have");
        return false;
    }
    struct server *s = &next.servers[next.count++];
    *s = (struct server){.id = g->id, .role = SERVER_SPARE};
    memcpy(s->address, g->address, sizeof s->address);
    (void)propose(m, &next);
    return false;
}

static bool step_promote(struct member *m, uint64_t id)
{
    struct configuration next = m->committed;
    for (size_t i = 0; i < next.count; i++) {
        struct server *s = &next.servers[i];
        if (s->id != id) {
            continue;
        }
        if (s->role == SERVER_VOTER) {
            return true;
        }
        if (s->role == SERVER_STANDBY && !has_caught_up(m, id)) {
            return false;
        }
        s->role = s->role == SERVER_SPARE ? SERVER_STANDBY : SERVER_VOTER;
        (void)propose(m, &next);
        return false;
    }
    end(m, ERR_NOT_FOUND, "that node is no longer a member");
    return false;
}

static bool step_remove(struct member *m, uint64_t id)
{
    const struct server *found = configuration_find(&m->committed, id);
    if (found == NULL) {
        return true;
    }
    struct configuration next = m->committed;
    size_t i = (size_t)(found - m->committed.servers);
    memmove(&next.servers[i], &next.servers[i + 1], (next.count - i - 1) * sizeof next.servers[0]);
    next.count--;
    (void)propose(m, &next);
    return false;
}

static bool step_goal(struct member *m, struct manage *g)
{
    switch (g->change) {
    case MEMBER_ADD:
        return step_add(m, g);
    case MEMBER_PROMOTE:
        return step_promote(m, g->id);
    case MEMBER_REMOVE:
        return step_remove(m, g->id);
    case MEMBER_REPLACE:
        return step_promote(m, g->id) && m->manage == g && step_remove(m, g->old_id);
    }
    return false;
}

static void reached(struct member *m, const struct manage *g)
{
    log_info(m->log, "node", "membership", "change=%d id=%016" PRIx64, (int)g->change, g->id);
    end(m, ERR_OK, "");
}

/* --- automatic replacement (safety.md B3, node.replace = auto) --- */

/* Not heard for an election timeout, and we have led for that long. */
static bool is_silent(const struct member *m, uint64_t id)
{
    uint64_t match = 0;
    uint64_t silent_ms = 0;
    uint64_t limit_ms = m->settings.election_ms;
    bool heard = replica_peer(m->replica, id, &match, &silent_ms);
    return m->now_ms > m->led_ms + limit_ms && (!heard || silent_ms > limit_ms) &&
           !member_peer_connected(m, id);
}

/* The older voter of a newcomer's name that it is to replace. A newcomer that is
 * a voter already goes on to the end, whoever led when it began: its old self
 * is removed silent or not. */
static const struct server *voter_to_replace(const struct member *m, const struct server *newcomer)
{
    const char *at = strchr(newcomer->address, '@');
    size_t size = at == NULL ? 0 : (size_t)(at - newcomer->address) + 1;
    for (const struct server *s = m->committed.servers; size > 0 && s < newcomer; s++) {
        bool same = s->role == SERVER_VOTER && strncmp(s->address, newcomer->address, size) == 0;
        bool may_go = newcomer->role == SERVER_VOTER || is_silent(m, s->id);
        if (same && may_go && s->id != m->hard.directory_id) {
            return s;
        }
    }
    return NULL;
}

static void begin(struct member *m, const struct manage *goal)
{
    CHECK(m->manage == NULL);
    m->manage = mem_dup(goal, sizeof *goal);
    m->manage->give_up_ms = m->now_ms + CHANGE_LIMIT_MS;
    if (goal->request != NULL) {
        list_push(&m->manage->waiting, goal->request);
    }
}

static void replace_by_newcomer(struct member *m)
{
    enum { REPLACE_AUTO = 0 };
    if (settings_value(m->values, "node.replace") != REPLACE_AUTO) {
        return;
    }
    for (size_t i = m->committed.count; i-- > 0;) {
        const struct server *s = &m->committed.servers[i];
        const struct server *old = voter_to_replace(m, s);
        if (old == NULL || !member_peer_connected(m, s->id)) {
            continue;
        }
        log_warn(m->log, "node", "replace", "old=%016" PRIx64 " new=%016" PRIx64 " address=%s",
                 old->id, s->id, s->address);
        struct manage goal = {.change = MEMBER_REPLACE, .id = s->id, .old_id = old->id};
        begin(m, &goal);
        return;
    }
}

/* --- time --- */

/* Only what the state knows to be removed never comes back under its id (safety.md
 * B3). Whoever leads sees to it: the one who removed it may be gone by then. */
static void tell_state_of_gone(struct member *m)
{
    if (m->gone_count == 0 || m->now_ms < m->gone_ms) {
        return;
    }
    m->gone_ms = m->now_ms + GONE_AGAIN_MS;
    for (size_t i = 0; i < m->gone_count; i++) {
        propose_removed(m, m->gone[i]);
    }
}

void member_manage_tick(struct member *m)
{
    /* Also while forming: a founder that lost its disk is replaced like any other. */
    bool ready = m->replica != NULL && replica_status(m->replica).leader_ready;
    if (!ready) {
        return;
    }
    tell_state_of_gone(m);
    struct manage *g = m->manage;
    if (g == NULL && m->level == NULL) {
        replace_by_newcomer(m);
    }
    if (g == NULL) {
        return;
    }
    if (m->now_ms >= g->give_up_ms) {
        char text[ERR_TEXT_SIZE];
        (void)snprintf(text, sizeof text, "not done in %u s: %.400s", CHANGE_LIMIT_MS / 1000,
                       g->problem[0] != '\0' ? g->problem : "the node has not caught up");
        end(m, ERR_DEADLINE, text);
        return;
    }
    bool pending = m->configuration.index != m->committed.index;
    if (pending || m->now_ms < g->step_ms) {
        return;
    }
    g->step_ms = m->now_ms + STEP_INTERVAL_MS;
    if (step_goal(m, g) && m->manage == g && m->gone_count == 0) {
        reached(m, g);
    }
}

void member_manage_failed(struct member *m, const char *reason)
{
    if (m->manage != NULL) {
        (void)snprintf(m->manage->problem, sizeof m->manage->problem, "%s", reason);
    }
}

void member_manage_role(struct member *m)
{
    m->led_ms = m->now_ms;
    if (m->manage != NULL && !member_is_leader(m)) {
        end(m, ERR_UNKNOWN_OUTCOME, "this node no longer leads: look at the status, then retry");
    }
}

void member_manage_close(struct member *m)
{
    if (m->manage != NULL) {
        end(m, ERR_UNKNOWN_OUTCOME, "the node is stopping");
    }
}

/* --- requests --- */

/* The newest non-voter of a name for PROMOTE and REPLACE, the one voter for REMOVE. */
static const struct server *pick(const struct member *m, const char *name, bool voter)
{
    const struct server *found = NULL;
    for (size_t i = 0; i < m->configuration.count; i++) {
        const struct server *s = &m->configuration.servers[i]; /* as the status shows it */
        if (has_name(s, name) && (s->role == SERVER_VOTER) == voter) {
            found = s;
        }
    }
    return found;
}

static enum err_code goal_remove(const struct member *m, const struct member_change_request *c,
                                 struct manage *g, struct err *e)
{
    const struct server *voter = pick(m, c->name, true);
    const struct server *other = pick(m, c->name, false);
    const struct server *named = voter != NULL ? voter : other;
    if (c->id == 0 && voter != NULL && other != NULL) {
        return err_set(e, ERR_INVALID, "two members are named '%s': give the id too", c->name);
    }
    if (m->committed.count == 2 && m->settings.wal_level != WAL_LEVEL_BYRL) {
        return err_set(e, ERR_STATE,
                       "the last but one is removed at ts.wal.wal_level = 3 alone, it is %u: set "
                       "it first",
                       m->settings.wal_level);
    }
    g->id = c->id != 0 ? c->id : named != NULL ? named->id : 0;
    if (configuration_find(&m->committed, g->id) == NULL) {
        return err_set(e, ERR_NOT_FOUND, "no member is named '%s'", c->name);
    }
    if (g->id == m->hard.directory_id) {
        return err_set(e, ERR_STATE, "'%s' leads: transfer leadership first", c->name);
    }
    return ERR_OK;
}

static enum err_code goal_replace(const struct member *m, const struct member_change_request *c,
                                  struct manage *g, struct err *e)
{
    const struct server *voter = pick(m, c->name, true);
    const struct server *other = pick(m, c->name, false);
    if (voter == NULL || other == NULL) {
        return err_set(e, ERR_NOT_FOUND,
                       "'%s' can be replaced once a new directory of that name has joined: %s",
                       c->name, voter == NULL ? "no voter has that name" : "none has");
    }
    if (voter->id == m->hard.directory_id) {
        return err_set(e, ERR_STATE, "'%s' leads: transfer leadership first", c->name);
    }
    g->id = other->id;
    g->old_id = voter->id;
    return ERR_OK;
}

static enum err_code make_goal(const struct member *m, const struct member_change_request *c,
                               struct manage *g, struct err *e)
{
    const struct server *other = pick(m, c->name, false);
    g->change = c->change;
    switch (c->change) {
    case MEMBER_ADD:
        if (c->id == 0) {
            return err_set(e, ERR_INVALID, "a directory id is needed to add a node");
        }
        if (m->settings.wal_level != WAL_LEVEL_BYRL) {
            return err_set(e, ERR_STATE,
                           "a member is added at ts.wal.wal_level = 3 alone, it is %u: set it "
                           "first",
                           m->settings.wal_level);
        }
        g->id = c->id;
        (void)snprintf(g->address, sizeof g->address, "%s@%s", c->name, c->peer_address);
        return ERR_OK;
    case MEMBER_PROMOTE:
        if (other == NULL) {
            return err_set(e, ERR_NOT_FOUND, "no spare or standby is named '%s'", c->name);
        }
        g->id = other->id;
        return ERR_OK;
    case MEMBER_REMOVE:
        return goal_remove(m, c, g, e);
    case MEMBER_REPLACE:
        return goal_replace(m, c, g, e);
    }
    return err_set(e, ERR_INVALID, "unknown change");
}

void member_change(struct member *m, const struct member_change_request *change,
                   struct member_request *r)
{
    member_start_request(m, r);
    struct manage goal = {.request = r};
    struct err e;
    if (m->state == MEMBER_LOCAL) {
        member_reply_error(r, ERR_STATE,
                           "this node commits without Raft: set ts.wal.wal_level = 3 first");
    } else if (!member_is_leader(m) || !m->formed) {
        member_reply_error(r, ERR_NOT_LEADER, "membership is changed at the leader");
    } else if (m->level != NULL || m->applied_index < replica_status(m->replica).commit_index) {
        member_reply_error(r, ERR_UNAVAILABLE, "a change of ts.wal.wal_level is under way: retry");
    } else if (m->manage != NULL && m->manage->waiting.first != NULL) {
        member_reply_error(r, ERR_STATE, "another membership change is under way: retry");
    } else if (make_goal(m, change, &goal, &e) != ERR_OK) {
        member_reply_error(r, e.code, "%s", e.text);
    } else {
        if (m->manage != NULL) {
            end(m, ERR_CANCELLED, ""); /* a person's wish goes before our own */
        }
        begin(m, &goal);
    }
}

void member_join_request(struct member *m, uint64_t peer_id, const char *name,
                         const char *peer_address)
{
    bool ready = member_is_leader(m) && m->manage == NULL && m->level == NULL;
    /* At another level a cluster takes back its own, it does not grow (safety.md F1). */
    ready = ready && (m->settings.wal_level == WAL_LEVEL_BYRL || pick(m, name, true) != NULL);
    if (!ready || configuration_find(&m->configuration, peer_id) != NULL) {
        return;
    }
    struct manage goal = {.change = MEMBER_ADD, .id = peer_id};
    (void)snprintf(goal.address, sizeof goal.address, "%s@%s", name, peer_address);
    log_info(m->log, "node", "join", "id=%016" PRIx64 " name=%s", peer_id, name);
    begin(m, &goal);
}

void member_transfer(struct member *m, const char *name, struct member_request *r)
{
    member_start_request(m, r);
    uint64_t id = 0;
    if (m->state == MEMBER_LOCAL) {
        member_reply_error(r, ERR_STATE, "this node commits without Raft: it leads nobody");
        return;
    }
    if (name[0] != '\0') {
        const struct server *s = pick(m, name, true);
        if (s == NULL) {
            member_reply_error(r, ERR_NOT_FOUND, "no voter is named '%s'", name);
            return;
        }
        id = s->id;
    }
    if (m->level != NULL) {
        member_reply_error(r, ERR_UNAVAILABLE, "a change of ts.wal.wal_level is under way: retry");
        return;
    }
    if (!member_is_leader(m)) {
        member_reply_error(r, ERR_NOT_LEADER, "leadership is handed over by the leader");
        return;
    }
    struct event ev = {.type = EVENT_TRANSFER, .id = id};
    struct err e;
    if (member_raft_step(m, &ev, &e) != ERR_OK) {
        member_reply_error(r, e.code, "%s", e.text);
    } else {
        member_reply_ok(r, 0);
    }
}
