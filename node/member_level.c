/* SPDX-License-Identifier: Apache-2.0 */
/* Changing ts.wal.wal_level (level.h says what each change takes). Writes that
 * come meanwhile wait here; what was open ends first, then:
 *
 *   PREPARE ──► CHECKPOINT ──┬───────────────────────► SETTING ──► (done)
 *                            └─► ERA ─┬──────────────────▲
 *                                     └─► STARTING ──────┘
 *
 *   PREPARE     nothing is open any more; what Raft starts from is in the state
 *   CHECKPOINT  everything is in parts, by a checkpoint that this node holds
 *   ERA         the control file names the new era (safety.md F2), in one write
 *   STARTING    Raft leads, alone
 *   SETTING     the setting is applied: the first change of the new era
 *
 * Until the control file has named the era, or the setting is committed, the old
 * level is in force, after a crash too. A crash between the two leaves an era
 * whose setting is missing: the next start proposes it.
 *
 * No write is lost or doubled by waiting: what waits was not proposed yet, and
 * is proposed in the order in which it came, or refused. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/level.h"
#include "node/member_internal.h"
#include "proto/tidemark/log/v1/log.pb-c.h"
#include "tsdb/settings.h"

enum { SWITCH_LIMIT_MS = 60000 };

static const char setting_name[] = "ts.wal.wal_level";

enum phase { PREPARE, CHECKPOINT, ERA, STARTING, SETTING };

#define BIT(phase) (1U << (phase))

static const unsigned allowed[] = {
    [PREPARE] = BIT(CHECKPOINT),
    [CHECKPOINT] = BIT(ERA) | BIT(SETTING),
    [ERA] = BIT(STARTING) | BIT(SETTING),
    [STARTING] = BIT(SETTING),
    [SETTING] = 0,
};

/* What waits to be proposed. */
struct held {
    uint64_t token; /* of its request in held_requests; 0: our own wish */
    struct buf command;
};

struct level_switch {
    struct member_request own; /* first: of what we have proposed ourselves */
    bool asked;                /* it is out ... */
    bool answered;             /* ... and came back: */
    struct member_reply reply;
    char text[ERR_TEXT_SIZE];

    enum phase phase;
    struct level_plan plan;
    enum wal_level to;
    bool locked; /* writes wait */
    bool prepared;
    uint64_t began_ms;
    uint64_t checkpoint_index;
    struct buf command;          /* the change of the setting */
    struct request_list waiting; /* who asked for it: one, or none */

    struct held *held;
    size_t held_count, held_capacity;
    size_t held_size;
    struct request_list held_requests;
};

static void set_phase(struct member *m, enum phase next)
{
    struct level_switch *l = m->level;
    CHECK((allowed[l->phase] & BIT(next)) != 0);
    CHECK(!l->asked);
    l->phase = next;
}

static bool is_alone(const struct member *m)
{
    return m->state == MEMBER_LOCAL || is_weakened(m->weaken, WEAKEN_ALONE) ||
           (m->configuration.count == 1 && m->committed.count == 1 &&
            m->configuration.servers[0].id == m->hard.directory_id);
}

/* --- what waits --- */

bool member_level_holds(const struct member *m)
{
    return m->level != NULL && m->level->locked;
}

/* Nobody else commits while writes wait, so what is applied here is all there is. */
bool member_level_reads_here(const struct member *m)
{
    return member_level_holds(m) &&
           (m->level->plan.step == LEVEL_RAFT || m->level->plan.step == LEVEL_LOCAL);
}

void member_level_hold(struct member *m, const struct command *command, struct member_request *r)
{
    struct level_switch *l = m->level;
    CHECK(l->locked);
    bool full = l->held_count >= LIMIT_HELD_COMMANDS ||
                l->held_size + command->body.size > LIMIT_HELD_SIZE_MAX;
    if (full && r != NULL) {
        member_reply_error(r, ERR_FULL, "%zu changes wait until ts.wal.wal_level is changed: retry",
                           l->held_count);
        return;
    }
    l->held = mem_grow(l->held, &l->held_capacity, l->held_count + 1, sizeof *l->held);
    struct held *h = &l->held[l->held_count++];
    *h = (struct held){0};
    command_put(&h->command, command);
    l->held_size += command->body.size;
    if (r != NULL) {
        h->token = m->token_next++;
        r->token = h->token;
        list_push(&l->held_requests, r);
    }
}

static void propose_held(struct member *m, struct level_switch *l, const struct held *h)
{
    struct member_request *r = h->token == 0 ? NULL : list_find(&l->held_requests, h->token);
    if (r != NULL) {
        list_remove(&l->held_requests, r);
    } else if (h->token != 0) {
        return; /* cancelled, or its deadline has passed */
    }
    struct cursor c = cursor_of(buf_bytes(&h->command));
    struct command command;
    enum err_code code = command_next(&c, &command, NULL);
    CHECK(code == ERR_OK);
    if (r != NULL) {
        member_propose(m, &command, r);
    } else if (m->state == MEMBER_LOCAL || m->replica != NULL) {
        member_propose_own(m, command.kind, command.body);
    }
}

static void free_switch(struct level_switch *l)
{
    for (size_t i = 0; i < l->held_count; i++) {
        buf_deinit(&l->held[i].command);
    }
    mem_free(l->held);
    buf_deinit(&l->command);
    mem_free(l);
}

/* --- the end --- */

static void reply_to_asker(struct member *m, struct level_switch *l, struct member_reply *reply)
{
    struct member_request *r = l->waiting.first;
    if (r == NULL) {
        return; /* cancelled, past its deadline, or our own wish */
    }
    list_remove(&l->waiting, r);
    reply->blocked_ms = l->locked ? m->now_ms - l->began_ms : 0;
    r->done(r, reply);
}

static void end(struct member *m, struct member_reply *reply)
{
    struct level_switch *l = m->level;
    if (l->asked && !l->answered) {
        member_cancel(m, &l->own);
    }
    log_info(m->log, "node", "level", "to=%d outcome=%s blocked_ms=%" PRIu64 " text=\"%s\"",
             (int)l->to, err_name(reply->code), l->locked ? m->now_ms - l->began_ms : 0,
             reply->text);
    m->level = NULL;
    reply_to_asker(m, l, reply);
    for (size_t i = 0; i < l->held_count; i++) {
        propose_held(m, l, &l->held[i]);
    }
    free_switch(l);
}

static void fail(struct member *m, enum err_code code, const char *why)
{
    char text[ERR_TEXT_SIZE + 64];
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    if (code == ERR_UNKNOWN_OUTCOME) {
        (void)snprintf(text, sizeof text, "ts.wal.wal_level may be changed: %s", why);
    } else {
        (void)snprintf(text, sizeof text, "ts.wal.wal_level stays %u: %s", m->settings.wal_level,
                       why);
    }
    struct member_reply reply = {
        .code = code, .text = text, .leader = member_leader_address(m, address)};
    end(m, &reply);
}

/* The new era is named, or the setting on its way: a restart tells. */
static bool is_past_return(const struct level_switch *l)
{
    return l->phase == ERA || l->phase == STARTING || l->phase == SETTING;
}

void member_level_close(struct member *m)
{
    struct level_switch *l = m->level;
    if (l == NULL) {
        return;
    }
    const char *why = m->reason[0] != '\0' ? m->reason : "the node is stopping";
    fail(m, is_past_return(l) ? ERR_UNKNOWN_OUTCOME : ERR_UNAVAILABLE, why);
}

void member_level_stop(struct member *m)
{
    if (m->level != NULL && !is_past_return(m->level)) {
        fail(m, ERR_UNAVAILABLE, "the node is stopping");
    }
}

void member_level_expire(struct member *m, uint64_t *next)
{
    if (m->level != NULL) {
        member_expire_list(m, &m->level->held_requests, next);
    }
    if (m->level != NULL) {
        member_expire_list(m, &m->level->waiting, next);
    }
}

/* --- our own proposals --- */

static void on_own(struct member_request *r, const struct member_reply *reply)
{
    struct level_switch *l = (struct level_switch *)r;
    l->answered = true;
    l->reply = *reply;
    (void)snprintf(l->text, sizeof l->text, "%s", reply->text);
    l->reply.text = l->text;
    l->reply.leader = "";
}

static void propose(struct member *m, const struct command *command)
{
    struct level_switch *l = m->level;
    CHECK(!l->asked);
    l->asked = true;
    l->answered = false;
    l->own = (struct member_request){.done = on_own};
    member_propose_now(m, command, &l->own);
}

static void propose_setting(struct member *m)
{
    struct cursor c = cursor_of(buf_bytes(&m->level->command));
    struct command command;
    enum err_code code = command_next(&c, &command, NULL);
    CHECK(code == ERR_OK);
    set_phase(m, SETTING);
    propose(m, &command);
}

/* --- PREPARE --- */

/* Nothing that was begun before is open: not in the log, the state or a local copy. */
static bool is_quiet(const struct member *m)
{
    const struct entry_queue *q = &m->apply_queue;
    bool idle = m->proposals_first == NULL && m->gathered_count == 0 && m->applying == NULL &&
                q->head == q->count && m->log_jobs_out == 0 && !m->checkpoint_running;
    if (!idle || m->replica == NULL) {
        return idle;
    }
    struct replica_status s = replica_status(m->replica);
    return s.applied_index == s.last_index && s.durable_index == s.last_index &&
           m->reads_asked.first == NULL;
}

/* A node that founded its cluster without Raft, or whose address is another now. */
static bool is_prepared(const struct member *m)
{
    struct configuration own;
    member_own_configuration(m, &own);
    const struct server *s = &m->committed.servers[0];
    return tsdb_cluster_formed(m->db) && m->committed.count == 1 && s->id == own.servers[0].id &&
           s->role == SERVER_VOTER && strcmp(s->address, own.servers[0].address) == 0;
}

static void prepare(struct member *m)
{
    struct configuration own;
    member_own_configuration(m, &own);
    m->level->prepared = true;
    m->level->locked = false; /* for these two, which are ours */
    if (!tsdb_cluster_formed(m->db)) {
        member_propose_formed(m);
    }
    member_propose_configuration(m, &own);
    m->level->locked = true;
}

/* Each returns true when there is more to do at once. */

static bool tick_prepare(struct member *m)
{
    struct level_switch *l = m->level;
    if (!is_quiet(m)) {
        return false;
    }
    if (l->plan.step == LEVEL_RAFT && !is_prepared(m)) {
        if (l->prepared) {
            fail(m, ERR_NO_SPACE, "what Raft starts from could not be logged");
            return false;
        }
        prepare(m);
        return true;
    }
    set_phase(m, CHECKPOINT);
    struct command command = {.kind = COMMAND_CHECKPOINT};
    propose(m, &command);
    return true;
}

/* --- CHECKPOINT --- */

static void begin_era(struct member *m);

static bool tick_checkpoint(struct member *m)
{
    struct level_switch *l = m->level;
    if (l->asked) {
        if (!l->answered) {
            return false;
        }
        l->asked = false;
        if (l->reply.code != ERR_OK) {
            fail(m, l->reply.code, l->text);
            return false;
        }
        l->checkpoint_index = l->reply.index;
    }
    if (m->control.checkpoint_index < l->checkpoint_index || !is_quiet(m)) {
        return false;
    }
    if (l->plan.step == LEVEL_SWITCH) {
        propose_setting(m);
        return true;
    }
    if (m->applied_index != m->control.checkpoint_index) {
        fail(m, ERR_UNAVAILABLE, "something was committed behind the checkpoint: retry");
        return false;
    }
    begin_era(m);
    return false;
}

/* --- ERA --- */

struct era_job {
    struct job job;
    struct member *member;
    struct hard_state hard;
    struct control control;
    bool raft;
    uint64_t index, term; /* of the checkpoint */
    uint64_t term_first;  /* of the era */
    enum err_code code;   /* ERR_NO_SPACE: nothing has changed */
    struct err err;
};

/* The Raft log goes on behind the checkpoint: what it held is in there. */
static enum err_code restart_raft_log(struct storage *s, uint64_t index, uint64_t term,
                                      struct err *e)
{
    struct wal *w = storage_wal(s, STORAGE_RAFT);
    return w == NULL ? storage_make_log(s, STORAGE_RAFT, index, term, e)
                     : wal_reset(w, index, term, e);
}

static enum err_code change_era(const struct era_job *j, struct err *e)
{
    struct storage *s = j->member->storage;
    enum err_code code = ERR_OK;
    if (j->raft) {
        code = storage_put_hard(s, &j->hard, e);
        if (code == ERR_OK) {
            code = restart_raft_log(s, j->index, j->term, e);
        }
    }
    /* Synced before the era's first entry (safety.md F2). */
    return code == ERR_OK ? storage_put_control(s, &j->control, e) : code;
}

static void work_era(struct job *job)
{
    struct era_job *j = (struct era_job *)job;
    struct storage *s = j->member->storage;
    if (storage_failed(s) != NULL) {
        return;
    }
    j->code = change_era(j, &j->err);
    if (j->code != ERR_OK && j->code != ERR_NO_SPACE) {
        (void)storage_fail(s, &j->err);
    }
}

static void enter_local(struct member *m, const struct era_job *j)
{
    member_raft_close(m);
    member_set_state(m, MEMBER_LOCAL);
    m->local_index = j->index;
    m->local_term = j->term_first;
    m->local_ready = true;
    propose_setting(m);
}

static void enter_raft(struct member *m, const struct era_job *j)
{
    m->term_durable = j->hard.term;
    m->local_ready = false;
    set_phase(m, STARTING);
    member_raft_load(m);
}

static void done_era(struct job *job)
{
    struct era_job *j = (struct era_job *)job;
    struct member *m = j->member;
    bool go = member_job_ended(m, job);
    if (go && j->code != ERR_OK) {
        fail(m, j->code, j->err.text);
    } else if (go) {
        m->hard.term = j->hard.term;
        m->hard.voted_for = j->hard.voted_for;
        m->control = j->control;
        if (j->raft) {
            enter_raft(m, j);
        } else {
            enter_local(m, j);
        }
    }
    mem_free(j);
}

/* Terms never start again (safety.md F2): an era's first one is above all that
 * were stored before. */
static void begin_era(struct member *m)
{
    struct level_switch *l = m->level;
    struct era_job *j = mem_zalloc(sizeof *j);
    j->member = m;
    j->raft = l->plan.step == LEVEL_RAFT;
    j->index = m->control.checkpoint_index;
    j->term = m->control.checkpoint_term;
    j->hard = m->hard;
    j->term_first = 1 + (m->hard.term > j->term ? m->hard.term : j->term);
    if (j->raft) {
        j->hard.term = j->term_first;
        j->hard.voted_for = 0;
    }
    struct control_era era = {
        .log = j->raft ? CONTROL_LOG_RAFT : CONTROL_LOG_LOCAL,
        .index_first = j->index + 1,
        .term_first = j->term_first,
    };
    j->control = m->control;
    j->control.wal_level = l->to;
    control_forget_eras(&j->control, j->index);
    struct err e;
    if (!is_weakened(m->weaken, WEAKEN_ERAS) && control_add_era(&j->control, &era, &e) != ERR_OK) {
        mem_free(j);
        fail(m, e.code, e.text);
        return;
    }
    set_phase(m, ERA);
    member_submit(m, &j->job, LANE_LOG, work_era, done_era);
}

/* --- STARTING, SETTING --- */

static bool tick_starting(struct member *m)
{
    if (m->replica == NULL || !replica_status(m->replica).leader_ready) {
        return false;
    }
    propose_setting(m);
    return true;
}

static bool tick_setting(struct member *m)
{
    struct level_switch *l = m->level;
    if (!l->answered) {
        return false;
    }
    if (l->reply.code != ERR_OK) {
        bool era = l->plan.step == LEVEL_RAFT || l->plan.step == LEVEL_LOCAL;
        fail(m, era ? ERR_UNKNOWN_OUTCOME : l->reply.code, l->text);
        return false;
    }
    struct member_reply reply = l->reply;
    reply.text = l->plan.note;
    end(m, &reply);
    return false;
}

/* --- time --- */

/* In a cluster the lead may be lost; a node alone keeps it. */
static bool is_lost(const struct member *m)
{
    bool between = m->level->phase == ERA || m->level->phase == STARTING;
    return !between && m->state != MEMBER_LOCAL && !member_is_leader(m);
}

static bool tick_once(struct member *m)
{
    const struct level_switch *l = m->level;
    if (is_lost(m)) {
        fail(m, l->phase == SETTING ? ERR_UNKNOWN_OUTCOME : ERR_UNAVAILABLE,
             "this node no longer leads: look at the setting, then retry");
        return false;
    }
    if (!is_past_return(l) && m->now_ms >= l->began_ms + SWITCH_LIMIT_MS) {
        fail(m, ERR_DEADLINE, "its checkpoint was not made in time");
        return false;
    }
    switch (l->phase) {
    case PREPARE:
        return tick_prepare(m);
    case CHECKPOINT:
        return tick_checkpoint(m);
    case ERA:
        return false; /* done_era() */
    case STARTING:
        return tick_starting(m);
    case SETTING:
        return tick_setting(m);
    }
    return false;
}

static void begin(struct member *m, enum wal_level to, struct level_plan plan)
{
    struct level_switch *l = mem_zalloc(sizeof *l);
    l->to = to;
    l->plan = plan;
    l->phase = plan.step == LEVEL_SETTING ? SETTING : PREPARE;
    l->locked = plan.step != LEVEL_SETTING;
    l->began_ms = m->now_ms;
    m->level = l;
}

/* An era was entered whose setting a crash has cut off (above). */
static bool is_unfinished(const struct member *m)
{
    bool byrl = m->settings.wal_level == WAL_LEVEL_BYRL;
    return m->state == MEMBER_LOCAL ? byrl : m->formed && is_alone(m) && !byrl;
}

static bool may_finish(const struct member *m)
{
    return m->state == MEMBER_LOCAL ? m->local_ready
                                    : m->replica != NULL && replica_status(m->replica).leader_ready;
}

static void finish_unfinished(struct member *m)
{
    enum wal_level to = m->state == MEMBER_LOCAL ? m->control.wal_level : WAL_LEVEL_BYRL;
    begin(m, to, (struct level_plan){LEVEL_SETTING, "a change that a crash had cut off"});
    struct buf body = {0};
    member_put_level(&body, to);
    struct command command = {.kind = COMMAND_SET_SETTING, .body = buf_bytes(&body)};
    propose(m, &command);
    buf_deinit(&body);
}

void member_level_tick(struct member *m)
{
    if (m->level == NULL && !m->stop_asked && is_unfinished(m) && may_finish(m)) {
        finish_unfinished(m);
    }
    while (m->level != NULL && !member_is_ending(m) && tick_once(m)) {
    }
}

/* --- requests --- */

/* False: it is no change of the level, or one that does not say to what. */
static bool read_target(const struct member *m, const struct command *command, enum wal_level *to)
{
    if (command->kind != COMMAND_SET_SETTING) {
        return false;
    }
    Tidemark__Log__V1__SetSetting *set =
        tidemark__log__v1__set_setting__unpack(NULL, command->body.size, command->body.data);
    bool level = set != NULL && strcmp(set->name, setting_name) == 0;
    struct settings *next = NULL;
    if (level) {
        struct bytes value = bytes_str(set->value);
        level = settings_change(m->values, bytes_str(set->name), set->reset ? NULL : &value, 0,
                                &next, NULL) == ERR_OK;
    }
    if (level) {
        *to = (enum wal_level)settings_value(next, setting_name);
        settings_unref(next);
    }
    if (set != NULL) {
        tidemark__log__v1__set_setting__free_unpacked(set, NULL);
    }
    return level;
}

static const char *why_not_now(const struct member *m)
{
    if (m->level != NULL || is_unfinished(m)) {
        return "another change of it is under way: retry";
    }
    if (m->manage != NULL || m->gone_count > 0 || m->configuration.index != m->committed.index) {
        return "a change of members is under way: retry";
    }
    if (m->install != NULL) {
        return "a checkpoint of another node is being installed: retry";
    }
    return NULL;
}

bool member_level_take(struct member *m, const struct command *command, struct member_request *r)
{
    enum wal_level to = WAL_LEVEL_OFF;
    if (!read_target(m, command, &to)) {
        return false;
    }
    enum wal_level from = (enum wal_level)m->settings.wal_level;
    struct level_plan plan = level_plan(from, to, is_alone(m));
    const char *not_now = why_not_now(m);
    if (not_now != NULL) {
        member_reply_error(r, ERR_UNAVAILABLE, "ts.wal.wal_level stays %d: %s", (int)from, not_now);
        return true;
    }
    if (plan.step == LEVEL_NOTHING) {
        struct member_reply reply = {.code = ERR_OK,
                                     .text = plan.note,
                                     .index = m->applied_index,
                                     .leader = "",
                                     .result = {.kind = command->kind, .index = m->applied_index}};
        r->done(r, &reply);
        return true;
    }
    begin(m, to, plan);
    struct level_switch *l = m->level;
    command_put(&l->command, command);
    list_push(&l->waiting, r);
    if (plan.step == LEVEL_SETTING) {
        propose(m, command);
    } else {
        member_flush(m, m->now_ms); /* what came before goes before */
    }
    return true;
}
