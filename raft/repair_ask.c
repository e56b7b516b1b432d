/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_internal.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/repair_weak.h"

/* ---- asking ---- */

static uint64_t draw(struct repair *r)
{
    CHECK(r->id != 0);
    uint64_t id = random_u64(&r->random);
    return id == 0 ? 1 : id;
}

static void add_range(struct repair_question *q, uint64_t first, uint64_t last)
{
    CHECK(q->range_count <= LIMIT_REPAIR_RANGES);
    CHECK(first <= last);
    if (q->range_count > 0) {
        struct repair_range *before = &q->ranges[q->range_count - 1];
        if (first <= before->first + before->count) {
            before->count = last - before->first + 1;
            return;
        }
    }
    if (q->range_count < LIMIT_REPAIR_RANGES) {
        q->ranges[q->range_count++] = (struct repair_range){first, last - first + 1};
    }
}

/* The first holes and what we know beside them. */
static void ask_near(const struct repair *r, struct repair_question *q)
{
    CHECK(!repair_base_is_missing(r));
    CHECK(q->range_count == 0);
    for (size_t i = 0; i < r->own.count; i++) {
        const struct slot_run *run = &r->own.items[i];
        if (run->slot.kind != SLOT_WHOLE) {
            uint64_t first = run->first - 1 > r->base ? run->first - 1 : run->first;
            add_range(q, first, slot_run_last(run) + 1);
        }
    }
    if (r->end_unknown) {
        add_range(q, r->last > 0 ? r->last : 1, r->last + 1);
    }
}

void repair_ask_peer(const struct repair *r, const struct peer *p, struct repair_actions *actions)
{
    CHECK(!p->answered);
    CHECK(p->connected);
    CHECK(r->message.size > 0);
    struct repair_action *a = repair_add_action(actions, REPAIR_ASK);
    a->id = p->id;
    buf_put_bytes(&a->message, buf_bytes(&r->message));
}

void repair_ask_all(struct repair *r, enum effort effort, uint64_t now_ms,
                    struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    CHECK(effort <= EFFORT_INSIST);
    repair_forget_verdict(r);
    repair_forget_answers(r);
    r->effort = effort;
    r->question = draw(r);
    r->timed_out = false;
    r->since_ms = now_ms;
    struct repair_question q = {.question = r->question, .insist = effort == EFFORT_INSIST};
    if (!repair_base_is_missing(r) && effort == EFFORT_NEAR) {
        ask_near(r, &q);
    } else if (!repair_base_is_missing(r)) {
        struct judge_peer peers[LIMIT_REPAIR_PEERS];
        struct judge j = repair_judge_of(r, peers);
        q.term_above = judge_our_term(&j, judge_first_hole(&j));
        uint64_t first = r->gap_first != 0 ? r->gap_first : r->base + 1;
        q.ranges[q.range_count++] = (struct repair_range){.first = first};
    }
    buf_reset(&r->message);
    repair_question_encode(&q, &r->message);
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].connected) {
            repair_ask_peer(r, &r->peers[i], actions);
        }
    }
    repair_set_state(r, ASKING);
}

/* ---- fetching ---- */

bool repair_next_target(const struct repair *r, uint64_t *index, uint64_t *term)
{
    CHECK(r->verdict.kind == VERDICT_FILL || r->verdict.kind == VERDICT_REPLACE);
    CHECK(r->verdict.targets.count > 0);
    uint64_t from = r->entry_count == 0 ? 0 : r->entries[r->entry_count - 1]->index + 1;
    const struct slot_run *run = slot_runs_from(&r->verdict.targets, from);
    if (run == NULL) {
        return false;
    }
    *index = run->first > from ? run->first : from;
    *term = run->slot.term;
    return true;
}

/* Those of the targets from 'index' on that this peer has whole. */
static void compose_wants(const struct repair *r, const struct judge_peer *p, uint64_t index,
                          struct repair_question *q)
{
    CHECK(p->said != NULL);
    CHECK(p->source);
    uint64_t count = 0;
    const struct slot_run *end = r->verdict.targets.items + r->verdict.targets.count;
    for (const struct slot_run *run = slot_runs_from(&r->verdict.targets, index);
         run != NULL && run < end; run++) {
        uint64_t i = run->first > index ? run->first : index;
        for (; i <= slot_run_last(run) && count < LIMIT_REPAIR_ENTRIES; i++) {
            struct slot slot;
            if (!repair_said_slot(p->said, i, &slot) || slot.kind != SLOT_WHOLE ||
                slot.term != run->slot.term) {
                continue;
            }
            struct repair_want *w = q->want_count == 0 ? NULL : &q->wants[q->want_count - 1];
            if (w != NULL && w->index + w->count == i && w->term == slot.term) {
                w->count++;
            } else if (q->want_count < LIMIT_REPAIR_WANTS) {
                q->wants[q->want_count++] = (struct repair_want){i, 1, slot.term};
            } else {
                return;
            }
            count++;
        }
    }
}

bool repair_fetch(struct repair *r, uint64_t now_ms, struct repair_actions *actions)
{
    CHECK(r->change == CHANGE_NONE);
    CHECK(r->verdict.targets.count > 0);
    struct judge_peer peers[LIMIT_REPAIR_PEERS];
    struct judge j = repair_judge_of(r, peers);
    uint64_t index;
    uint64_t term;
    bool more = repair_next_target(r, &index, &term);
    CHECK(more);
    const struct judge_peer *p = judge_holder(&j, index, term);
    if (p == NULL) {
        return false;
    }
    r->fetch_question = draw(r);
    r->fetch_id = p->id;
    r->since_ms = now_ms;
    struct repair_question q = {.question = r->fetch_question};
    compose_wants(r, p, index, &q);
    struct repair_action *a = repair_add_action(actions, REPAIR_ASK);
    a->id = p->id;
    repair_question_encode(&q, &a->message);
    repair_set_state(r, FETCHING);
    return true;
}

/* An entry that is the next target, or for a fill any later one. */
static bool is_good(const struct repair *r, const struct entry *entry)
{
    CHECK(r->verdict.targets.count > 0);
    uint64_t index;
    uint64_t term;
    CHECK(entry->index > 0);
    if (!repair_next_target(r, &index, &term) || entry->index < index) {
        return false;
    }
    const struct slot_run *run = slot_runs_find(&r->verdict.targets, entry->index);
    bool wanted = run != NULL && run->slot.term == entry->term;
    if (!wanted && !WEAK(IDENTITY)) {
        return false;
    }
    if (r->verdict.kind == VERDICT_REPLACE && entry->index != index) {
        return false;
    }
    struct configuration c;
    return entry->type != ENTRY_CHANGE ||
           configuration_decode(entry_payload(entry), entry->index, &c, NULL) == ERR_OK;
}

size_t repair_take_entries(struct repair *r, struct repair_said *said)
{
    CHECK(r->state == FETCHING);
    size_t before = r->entry_count;
    for (size_t i = 0; i < said->entry_count; i++) {
        struct entry *entry = said->entries[i];
        if (r->entry_count - before < LIMIT_REPAIR_ENTRIES && is_good(r, entry)) {
            r->entries = mem_grow(r->entries, &r->entry_capacity, r->entry_count + 1,
                                  sizeof(struct entry *));
            r->entries[r->entry_count++] = entry_ref(entry);
            r->entries_size += sizeof *entry + entry->size;
        }
    }
    CHECK(r->entry_count >= before);
    return r->entry_count - before;
}
