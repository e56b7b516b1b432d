/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_internal.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/repair_weak.h"

static const unsigned allowed[] = {
    [WAITING] = 1U << WAITING | 1U << ASKING | 1U << FETCHING | 1U << CHANGING | 1U << DONE,
    [ASKING] = 1U << WAITING | 1U << ASKING | 1U << FETCHING | 1U << CHANGING | 1U << DONE,
    [FETCHING] = 1U << WAITING | 1U << ASKING | 1U << FETCHING | 1U << CHANGING,
    [CHANGING] = 1U << WAITING | 1U << ASKING | 1U << FETCHING | 1U << CHANGING | 1U << DONE,
    [DONE] = 0,
};

/* ---- actions ---- */

static void action_deinit(struct repair_action *a)
{
    CHECK(a->type <= REPAIR_DONE);
    buf_deinit(&a->message);
    for (size_t i = 0; i < a->count && a->entries != NULL; i++) {
        entry_unref(a->entries[i]);
    }
    mem_free(a->entries);
    mem_free(a->text);
}

void repair_actions_reset(struct repair_actions *a)
{
    CHECK(a->count <= a->capacity);
    for (size_t i = 0; i < a->count; i++) {
        action_deinit(&a->items[i]);
    }
    a->count = 0;
}

void repair_actions_deinit(struct repair_actions *a)
{
    repair_actions_reset(a);
    mem_free(a->items);
    *a = (struct repair_actions){0};
}

struct repair_action *repair_add_action(struct repair_actions *a, enum repair_action_type type)
{
    CHECK(a->count <= a->capacity);
    a->items = mem_grow(a->items, &a->capacity, a->count + 1, sizeof *a->items);
    struct repair_action *action = &a->items[a->count++];
    *action = (struct repair_action){.type = type};
    return action;
}

/* ---- state ---- */

void repair_check(const struct repair *r)
{
    CHECK((r->state == CHANGING) == (r->change != CHANGE_NONE));
    CHECK((r->state == FETCHING) == (r->fetch_id != 0));
    CHECK(r->last >= r->base);
    CHECK(r->peer_count <= LIMIT_REPAIR_PEERS);
    CHECK(r->entry_count == 0 || r->state == FETCHING || r->state == CHANGING);
    CHECK(r->verdict.kind == VERDICT_WAIT || r->state == FETCHING || r->state == CHANGING);
}

void repair_set_state(struct repair *r, enum state next)
{
    CHECK(next <= DONE);
    CHECK((allowed[r->state] & 1U << next) != 0);
    CHECK(r->change == CHANGE_NONE || next == CHANGING);
    r->state = next;
    r->fetch_id = next == FETCHING ? r->fetch_id : 0;
}

void repair_forget_verdict(struct repair *r)
{
    CHECK(r->entry_count <= r->entry_capacity);
    for (size_t i = 0; i < r->entry_count; i++) {
        entry_unref(r->entries[i]);
    }
    r->entry_count = 0;
    r->entries_size = 0;
    verdict_deinit(&r->verdict);
}

static uint64_t log_base(const struct log_view *log, uint64_t snapshot_index)
{
    CHECK(log->first(log->context) > 0);
    uint64_t cut = log->first(log->context) - 1;
    return cut > snapshot_index ? cut : snapshot_index;
}

bool repair_base_is_missing(const struct repair *r)
{
    CHECK(r->base >= r->snapshot_index);
    return r->base > r->snapshot_index;
}

void repair_read_log(struct repair *r)
{
    CHECK(r->change == CHANGE_NONE || r->state == CHANGING);
    r->base = log_base(&r->log, r->snapshot_index);
    uint64_t last = r->log.last(r->log.context);
    r->last = last > r->base ? last : r->base;
    r->gap_first = last < r->base ? last + 1 : 0;
    r->end_unknown = r->log.end_unknown(r->log.context);
    slot_runs_reset(&r->own);
    if (r->last > r->base) {
        slot_runs_scan(&r->own, &r->log, r->base + 1, r->last);
    }
    CHECK(r->last >= r->base);
}

uint64_t repair_count_holes(const struct repair *r)
{
    CHECK(r->own.count == 0 || r->last > r->base);
    uint64_t holes = r->end_unknown ? 1 : 0;
    for (size_t i = 0; i < r->own.count; i++) {
        holes += r->own.items[i].slot.kind == SLOT_WHOLE ? 0 : r->own.items[i].count;
    }
    return holes;
}

struct judge repair_judge_of(const struct repair *r, struct judge_peer *peers)
{
    CHECK(r->last >= r->base);
    CHECK(r->peer_count <= LIMIT_REPAIR_PEERS);
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct peer *p = &r->peers[i];
        peers[i] = (struct judge_peer){
            .id = p->id,
            .said = p->answered ? &p->said : NULL,
            .source = p->answered && p->connected && !p->fruitless,
        };
    }
    return (struct judge){
        .id = r->id,
        .term_began = r->term_began,
        .base = r->base,
        .last = r->last,
        .gap_first = r->gap_first,
        .base_term = r->snapshot_term,
        .base_missing = repair_base_is_missing(r),
        .end_unknown = r->end_unknown,
        .replace_too_long = r->replace_too_long,
        .own = &r->own,
        .configurations = r->configurations,
        .configuration_count = r->configuration_count,
        .peers = peers,
        .peer_count = r->peer_count,
    };
}

bool repair_is_needed(const struct log_view *log, uint64_t snapshot_index)
{
    uint64_t first = log->first(log->context);
    uint64_t last = log->last(log->context);
    CHECK(first > 0);
    CHECK(last + 1 >= first);
    if (first > snapshot_index + 1 || log->end_unknown(log->context)) {
        return true;
    }
    for (uint64_t i = snapshot_index + 1; i <= last; i++) {
        if (log->at(log->context, i).kind != SLOT_WHOLE) {
            return true;
        }
    }
    return false;
}

bool repair_keeps_later(const struct log_view *log, uint64_t index, uint64_t term)
{
    CHECK(log->at != NULL);
    CHECK(index > 0);
    CHECK(term > 0);
    if (WEAK(C5_LATER) || WEAK(C5_IDENTITY)) {
        return WEAK(C5_IDENTITY);
    }
    if (index < log->first(log->context)) {
        return true;
    }
    if (index > log->last(log->context)) {
        return log->end_unknown(log->context);
    }
    struct slot slot = log->at(log->context, index);
    return slot.kind == SLOT_UNKNOWN || slot.term == term;
}

/* ---- configurations ---- */

void repair_add_configuration(struct repair *r, const struct configuration *c)
{
    CHECK(c->count > 0);
    r->configurations = mem_grow(r->configurations, &r->configuration_capacity,
                                 r->configuration_count + 1, sizeof *r->configurations);
    size_t at = r->configuration_count;
    while (at > 0 && r->configurations[at - 1].index > c->index) {
        at--;
    }
    if (at > 0 && r->configurations[at - 1].index == c->index) {
        r->configurations[at - 1] = *c; /* known from hard state before its entry was filled */
        return;
    }
    for (size_t i = r->configuration_count; i > at; i--) {
        r->configurations[i] = r->configurations[i - 1];
    }
    r->configurations[at] = *c;
    r->configuration_count++;
    CHECK(r->configuration_count <= r->configuration_capacity);
}

void repair_drop_configurations(struct repair *r, uint64_t from)
{
    CHECK(r->configuration_count <= r->configuration_capacity);
    CHECK(from > r->base);
    while (r->configuration_count > 0 &&
           r->configurations[r->configuration_count - 1].index >= from) {
        r->configuration_count--;
    }
}

void repair_base_configuration(struct repair *r, const struct configuration *c, uint64_t index)
{
    CHECK(index > 0);
    size_t kept = 0;
    CHECK(c->index <= index);
    for (size_t i = 0; i < r->configuration_count; i++) {
        if (r->configurations[i].index > index) {
            r->configurations[kept++] = r->configurations[i];
        }
    }
    r->configuration_count = kept;
    repair_add_configuration(r, c);
}

void repair_learn_configurations(struct repair *r)
{
    CHECK(r->entry_count <= r->entry_capacity);
    for (size_t i = 0; i < r->entry_count; i++) {
        const struct entry *entry = r->entries[i];
        struct configuration c;
        if (entry->type == ENTRY_CHANGE) {
            enum err_code code = configuration_decode(entry_payload(entry), entry->index, &c, NULL);
            CHECK(code == ERR_OK); /* is_good() saw to it */
            repair_add_configuration(r, &c);
        }
    }
}

/* ---- peers ---- */

struct peer *repair_find_peer(struct repair *r, uint64_t id)
{
    CHECK(id != 0);
    CHECK(r->peer_count <= LIMIT_REPAIR_PEERS);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].id == id) {
            return &r->peers[i];
        }
    }
    return NULL;
}

void repair_forget_answers(struct repair *r)
{
    CHECK(r->peer_count <= LIMIT_REPAIR_PEERS);
    for (size_t i = 0; i < r->peer_count; i++) {
        struct peer *p = &r->peers[i];
        repair_said_deinit(&p->said);
        p->answered = false;
        p->fruitless = false;
    }
}

static void see_peer(struct repair *r, uint64_t id)
{
    CHECK(id != 0);
    CHECK(id != r->id);
    struct peer *p = repair_find_peer(r, id);
    for (size_t i = 0; i < r->peer_count && p == NULL && r->peer_count == LIMIT_REPAIR_PEERS; i++) {
        if (!r->peers[i].connected) {
            p = &r->peers[i];
            repair_said_deinit(&p->said);
            *p = (struct peer){.id = id};
        }
    }
    if (p == NULL && r->peer_count < LIMIT_REPAIR_PEERS) {
        p = &r->peers[r->peer_count++];
        *p = (struct peer){.id = id};
    }
    if (p != NULL) {
        p->connected = true;
    }
}

/* Members first: room is bounded. */
void repair_see_peers(struct repair *r, const struct repair_event *event)
{
    CHECK(event->type == REPAIR_PEERS);
    CHECK(event->peer_count == 0 || event->peers != NULL);
    for (size_t i = 0; i < r->peer_count; i++) {
        r->peers[i].connected = false;
    }
    for (int members = 1; members >= 0; members--) {
        for (size_t i = 0; i < event->peer_count; i++) {
            bool member = r->configuration_count > 0 &&
                          configuration_find(&r->configurations[r->configuration_count - 1],
                                             event->peers[i]) != NULL;
            if (member == (members == 1)) {
                see_peer(r, event->peers[i]);
            }
        }
    }
}

bool repair_is_connected(const struct repair *r)
{
    CHECK(r->peer_count <= LIMIT_REPAIR_PEERS);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].connected) {
            return true;
        }
    }
    return false;
}

bool repair_all_answered(const struct repair *r)
{
    CHECK(r->peer_count <= LIMIT_REPAIR_PEERS);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].connected && !r->peers[i].answered) {
            return r->timed_out;
        }
    }
    return true;
}
