/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_internal.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/repair_text.h"
#include "raft/repair_weak.h"

/* ---- asking and waiting ---- */

/* What was enough before may be enough again; to insist is not repeated at once. */
static void ask_again(struct repair *r, uint64_t now_ms, struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    CHECK(r->state == WAITING);
    repair_ask_all(r, r->effort == EFFORT_NEAR ? EFFORT_NEAR : EFFORT_ALL, now_ms, actions);
}

static void start_waiting(struct repair *r, const struct judge *j, struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    char *text = repair_waiting_text(j);
    CHECK(text != NULL);
    repair_set_state(r, WAITING);
    r->status.index_waiting = j->base_missing ? j->base : judge_first_hole(j);
    if (r->text != NULL && strcmp(r->text, text) == 0) {
        mem_free(text);
        return;
    }
    mem_free(r->text);
    r->text = text;
    struct repair_action *a = repair_add_action(actions, REPAIR_WAITS);
    a->index = r->status.index_waiting;
    a->text = mem_strdup(text);
}

/* ---- doing ---- */

/* Gives the entries fetched to an action. */
static void give_entries(struct repair *r, struct repair_action *a)
{
    CHECK(a->entries == NULL);
    CHECK(r->entry_count > 0);
    a->entries = mem_array(r->entry_count, sizeof(struct entry *));
    a->count = r->entry_count;
    for (size_t i = 0; i < r->entry_count; i++) {
        a->entries[i] = entry_ref(r->entries[i]);
    }
}

static uint64_t term_to_persist(const struct repair *r)
{
    CHECK(r->verdict.kind != VERDICT_WAIT);
    if (r->verdict.kind == VERDICT_FILL) {
        CHECK(r->entry_count > 0);
        return r->entries[r->entry_count - 1]->term; /* terms don't fall in a log */
    }
    /* Above every term named, so that nobody named counts on what we lose; and
     * above our own, in which a leader may remember our acknowledgement. */
    uint64_t own = WEAK(DROP_OWN) ? 0 : r->term;
    return (r->verdict.term > own ? r->verdict.term : own) + 1;
}

static void change(struct repair *r, enum change what, struct repair_actions *actions)
{
    static const enum repair_action_type types[] = {
        [CHANGE_PERSIST] = REPAIR_PERSIST_TERM, [CHANGE_FILL] = REPAIR_FILL,
        [CHANGE_REPLACE] = REPAIR_REPLACE,      [CHANGE_DROP] = REPAIR_DROP,
        [CHANGE_SNAPSHOT] = REPAIR_SNAPSHOT,
    };
    CHECK(what != CHANGE_NONE);
    CHECK(r->change == CHANGE_NONE);
    struct repair_action *a = repair_add_action(actions, types[what]);
    a->rule = r->verdict.rule;
    a->id = r->verdict.id;
    a->index = r->verdict.index;
    a->term = r->verdict.term;
    if (what == CHANGE_PERSIST) {
        a->term = term_to_persist(r);
    }
    if (what == CHANGE_FILL || what == CHANGE_REPLACE) {
        give_entries(r, a);
        a->index = a->entries[0]->index; /* a replacement begins at the log's end */
    }
    r->change = what;
    r->idle = 0;
    repair_set_state(r, CHANGING);
}

static void change_log(struct repair *r, struct repair_actions *actions)
{
    static const enum change changes[] = {
        [VERDICT_FILL] = CHANGE_FILL,
        [VERDICT_DROP] = CHANGE_DROP,
        [VERDICT_REPLACE] = CHANGE_REPLACE,
    };
    CHECK(r->change == CHANGE_NONE);
    CHECK(r->verdict.kind < sizeof changes / sizeof changes[0]);
    change(r, changes[r->verdict.kind], actions);
}

/* A drop or replacement needs a higher term; a fill only one that is not below
 * what it puts into the log. */
static void persist_first(struct repair *r, struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    CHECK(r->verdict.index > r->base);
    bool needed = r->verdict.kind == VERDICT_FILL ? term_to_persist(r) > r->term : !WEAK(DROP_TERM);
    if (needed) {
        change(r, CHANGE_PERSIST, actions);
    } else {
        change_log(r, actions);
    }
}

static void finish(struct repair *r, struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    repair_read_log(r);
    CHECK(!repair_is_needed(&r->log, r->snapshot_index));
    r->status.index_waiting = 0;
    repair_set_state(r, DONE);
    (void)repair_add_action(actions, REPAIR_DONE);
}

/* Acts on what a rule allows. False: what it needs can't be fetched now. */
static bool act(struct repair *r, uint64_t now_ms, struct repair_actions *actions)
{
    switch (r->verdict.kind) {
    case VERDICT_FILL:
    case VERDICT_REPLACE:
        return repair_fetch(r, now_ms, actions);
    case VERDICT_SNAPSHOT:
        change(r, CHANGE_SNAPSHOT, actions);
        return true;
    case VERDICT_DROP:
        persist_first(r, actions);
        return true;
    case VERDICT_WAIT:
        break;
    }
    CHECK(r->verdict.kind != VERDICT_WAIT);
    return false;
}

/* No rule applies to what was said: ask for more, or wait. */
static void ask_more(struct repair *r, const struct judge *j, uint64_t now_ms,
                     struct repair_actions *actions)
{
    CHECK(r->verdict.kind == VERDICT_WAIT);
    CHECK(r->effort <= EFFORT_INSIST);
    bool late = r->state == WAITING; /* an answer that came late changes the text at most */
    bool more = !late && repair_is_connected(r);
    if (more && r->effort == EFFORT_NEAR) {
        repair_ask_all(r, EFFORT_ALL, now_ms, actions);
    } else if (more && r->effort == EFFORT_ALL && judge_leader_is_behind(j)) {
        repair_ask_all(r, EFFORT_INSIST, now_ms, actions);
    } else {
        r->since_ms = late ? r->since_ms : now_ms;
        start_waiting(r, j, actions);
    }
}

/* What can be done with the answers that are there? */
static void go_on(struct repair *r, uint64_t now_ms, struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    CHECK(r->state != DONE);
    struct judge_peer peers[LIMIT_REPAIR_PEERS];
    struct judge j = repair_judge_of(r, peers);
    bool complete = repair_all_answered(r);
    repair_forget_verdict(r);
    if (judge_first_hole(&j) == 0 && !j.base_missing) {
        finish(r, actions);
        return;
    }
    if (judge_fill(&j, &r->verdict) || (complete && judge_rest(&j, &r->verdict))) {
        bool acted = act(r, now_ms, actions);
        CHECK(acted);
    } else if (complete) {
        ask_more(r, &j, now_ms, actions);
    } else {
        repair_set_state(r, ASKING);
    }
}

/* The log has changed in a way that the answers don't fit any more. */
static void start_over(struct repair *r, uint64_t now_ms, struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    CHECK(r->own.count == 0 || r->own.items[0].first > r->base);
    repair_forget_verdict(r);
    if (repair_count_holes(r) == 0 && !repair_base_is_missing(r)) {
        finish(r, actions);
    } else {
        repair_ask_all(r, EFFORT_NEAR, now_ms, actions);
    }
}

/* ---- events ---- */

static void on_fetched(struct repair *r, struct peer *p, struct repair_said *said, uint64_t now_ms,
                       struct repair_actions *actions)
{
    CHECK(r->state == FETCHING);
    CHECK(r->fetch_id == p->id);
    uint64_t index;
    uint64_t term;
    p->fruitless = repair_take_entries(r, said) == 0;
    if (r->verdict.kind == VERDICT_FILL) {
        if (r->entry_count > 0) {
            persist_first(r, actions);
        } else {
            go_on(r, now_ms, actions);
        }
        return;
    }
    if (r->entries_size > LIMIT_REPAIR_REPLACE_SIZE_MAX) {
        r->replace_too_long = true;
        go_on(r, now_ms, actions);
    } else if (!repair_next_target(r, &index, &term)) {
        persist_first(r, actions);
    } else if (!repair_fetch(r, now_ms, actions)) {
        go_on(r, now_ms, actions);
    }
}

static enum err_code on_message(struct repair *r, const struct repair_event *event,
                                struct repair_actions *actions, struct err *e)
{
    CHECK(event->type == REPAIR_MESSAGE);
    struct repair_said said;
    struct peer *p = repair_find_peer(r, event->id);
    CHECK(event->id != 0);
    enum err_code code = repair_said_decode(event->message, &said, e);
    if (code != ERR_OK) {
        return code;
    }
    if (p == NULL || r->state == DONE) {
        repair_said_deinit(&said);
        return ERR_OK;
    }
    if (r->state == FETCHING && said.question == r->fetch_question && p->id == r->fetch_id) {
        on_fetched(r, p, &said, event->now_ms, actions);
        repair_said_deinit(&said);
        return ERR_OK;
    }
    bool open = said.question == r->question && !p->answered;
    if (!open && !WEAK(QUESTION)) {
        repair_said_deinit(&said);
        return ERR_OK;
    }
    repair_said_deinit(&p->said);
    p->said = said;
    p->answered = true;
    if (r->state == ASKING || r->state == WAITING) {
        go_on(r, event->now_ms, actions);
    }
    return ERR_OK;
}

static void on_filled(struct repair *r, uint64_t now_ms, struct repair_actions *actions)
{
    enum change was = r->change;
    CHECK(was == CHANGE_FILL || was == CHANGE_REPLACE || was == CHANGE_DROP);
    CHECK((was == CHANGE_DROP) == (r->entry_count == 0));
    r->change = CHANGE_NONE;
    if (was == CHANGE_FILL) {
        uint64_t first = r->entries[0]->index;
        uint64_t last = r->entries[r->entry_count - 1]->index;
        slot_runs_rescan(&r->own, &r->log, first, last);
        repair_learn_configurations(r);
        r->status.filled += r->entry_count;
        go_on(r, now_ms, actions);
        return;
    }
    repair_drop_configurations(r, r->verdict.index);
    repair_learn_configurations(r);
    repair_read_log(r);
    r->status.replaced += was == CHANGE_REPLACE;
    r->status.dropped += was == CHANGE_DROP;
    start_over(r, now_ms, actions);
}

static void on_persisted(struct repair *r, const struct repair_event *event,
                         struct repair_actions *actions)
{
    CHECK(event->type == REPAIR_PERSISTED);
    CHECK(r->change == CHANGE_PERSIST);
    CHECK(event->term >= term_to_persist(r));
    CHECK(event->term >= r->term);
    r->term = event->term;
    r->change = CHANGE_NONE;
    change_log(r, actions);
}

static void on_installed(struct repair *r, const struct repair_event *event,
                         struct repair_actions *actions)
{
    CHECK(event->type == REPAIR_INSTALLED);
    CHECK(r->change == CHANGE_SNAPSHOT);
    struct peer *p = repair_find_peer(r, r->verdict.id);
    r->change = CHANGE_NONE;
    if (event->index == 0) {
        if (p != NULL) {
            p->fruitless = true;
        }
        go_on(r, event->now_ms, actions);
        return;
    }
    CHECK(event->index >= r->verdict.index);
    CHECK(event->configuration != NULL);
    r->snapshot_index = event->index;
    r->snapshot_term = event->term;
    r->term = event->term > r->term ? event->term : r->term;
    repair_base_configuration(r, event->configuration, event->index);
    repair_read_log(r);
    while (r->configurations[r->configuration_count - 1].index > r->last) {
        r->configuration_count--; /* the log was void: what it named is gone with it */
    }
    r->replace_too_long = false;
    r->status.snapshots++;
    start_over(r, event->now_ms, actions);
}

static void on_peers(struct repair *r, const struct repair_event *event,
                     struct repair_actions *actions)
{
    CHECK(event->type == REPAIR_PEERS);
    CHECK(r->peer_count <= LIMIT_REPAIR_PEERS);
    uint64_t before[LIMIT_REPAIR_PEERS];
    size_t before_count = 0;
    bool more = false;
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].connected) {
            before[before_count++] = r->peers[i].id;
        }
    }
    repair_see_peers(r, event);
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct peer *p = &r->peers[i];
        bool was = false;
        for (size_t k = 0; k < before_count; k++) {
            was = was || before[k] == p->id;
        }
        if (p->connected && !was) {
            more = true;
            if (r->state == ASKING && !p->answered) {
                repair_ask_peer(r, p, actions);
            }
        }
    }
    struct peer *source = r->state == FETCHING ? repair_find_peer(r, r->fetch_id) : NULL;
    if (r->state == WAITING && more) {
        r->idle = 0;
        ask_again(r, event->now_ms, actions);
    } else if (r->state == ASKING || (source != NULL && !source->connected)) {
        go_on(r, event->now_ms, actions);
    }
}

static void on_tick(struct repair *r, uint64_t now_ms, struct repair_actions *actions)
{
    if (now_ms < repair_deadline_ms(r)) {
        return;
    }
    CHECK(r->state != DONE);
    CHECK(r->state != CHANGING);
    if (r->state == WAITING) {
        r->since_ms = now_ms;
        r->idle = r->idle < IDLE_MAX ? r->idle + 1 : IDLE_MAX;
        if (repair_is_connected(r)) {
            ask_again(r, now_ms, actions);
        }
        return;
    }
    if (r->state == FETCHING) {
        struct peer *p = repair_find_peer(r, r->fetch_id);
        CHECK(p != NULL);
        p->fruitless = true;
        r->patience = r->patience < PATIENCE_MAX ? r->patience * 2 : PATIENCE_MAX;
    } else {
        r->timed_out = true;
    }
    go_on(r, now_ms, actions);
}

/* ---- life ---- */

struct repair *repair_start(const struct repair_options *options, uint64_t now_ms,
                            struct repair_actions *actions)
{
    CHECK(options->log.at != NULL);
    CHECK(options->id != 0);
    CHECK(options->term >= options->term_began);
    CHECK(options->ask_interval_ms > 0);
    CHECK(options->ask_interval_ms <= UINT32_MAX);
    CHECK(options->snapshot_index == 0 || options->snapshot_term > 0);
    CHECK(repair_is_needed(&options->log, options->snapshot_index));
    struct repair *r = mem_zalloc(sizeof *r);
    r->id = options->id;
    r->term_began = WEAK(BEGAN) ? options->term : options->term_began;
    r->term = options->term;
    r->ask_interval_ms = options->ask_interval_ms;
    r->patience = PATIENCE_MIN;
    r->log = options->log;
    r->random = random_seeded(options->seed);
    r->snapshot_index = options->snapshot_index;
    r->snapshot_term = options->snapshot_term;
    for (size_t i = 0; i < options->configuration_count; i++) {
        repair_add_configuration(r, &options->configurations[i]);
    }
    repair_read_log(r);
    r->since_ms = now_ms;
    struct judge_peer peers[LIMIT_REPAIR_PEERS];
    struct judge j = repair_judge_of(r, peers);
    start_waiting(r, &j, actions);
    repair_check(r);
    return r;
}

void repair_close(struct repair *r)
{
    if (r == NULL) {
        return;
    }
    repair_forget_verdict(r);
    for (size_t i = 0; i < r->peer_count; i++) {
        repair_said_deinit(&r->peers[i].said);
    }
    slot_runs_deinit(&r->own);
    buf_deinit(&r->message);
    mem_free(r->entries);
    mem_free(r->configurations);
    mem_free(r->text);
    mem_free(r);
}

uint64_t repair_deadline_ms(const struct repair *r)
{
    CHECK(r->idle <= IDLE_MAX);
    CHECK(r->patience >= PATIENCE_MIN && r->patience <= PATIENCE_MAX);
    CHECK(r->since_ms <= UINT64_MAX / 2);
    switch (r->state) {
    case WAITING:
        return r->since_ms + (r->ask_interval_ms << r->idle);
    case ASKING:
        return r->since_ms + r->ask_interval_ms;
    case FETCHING:
        return r->since_ms + r->ask_interval_ms * r->patience;
    case CHANGING:
    case DONE:
        break;
    }
    return UINT64_MAX;
}

enum err_code repair_step(struct repair *r, const struct repair_event *event,
                          struct repair_actions *actions, struct err *e)
{
    CHECK(actions != NULL);
    enum err_code code = ERR_OK;
    repair_check(r);
    switch (event->type) {
    case REPAIR_TICK:
        on_tick(r, event->now_ms, actions);
        break;
    case REPAIR_MESSAGE:
        code = on_message(r, event, actions, e);
        break;
    case REPAIR_PERSISTED:
        on_persisted(r, event, actions);
        break;
    case REPAIR_FILLED:
        on_filled(r, event->now_ms, actions);
        break;
    case REPAIR_INSTALLED:
        on_installed(r, event, actions);
        break;
    case REPAIR_PEERS:
        on_peers(r, event, actions);
        break;
    case REPAIR_RESCAN:
        repair_read_log(r);
        break;
    }
    repair_check(r);
    return code;
}

struct repair_status repair_status(const struct repair *r)
{
    struct repair_status status = r->status;
    CHECK(r->state != DONE || repair_count_holes(r) == 0);
    status.holes = repair_count_holes(r);
    return status;
}
