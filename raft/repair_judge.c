/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_judge.h"

#include "base/check.h"
#include "raft/repair_voters.h"
#include "raft/repair_weak.h"

enum { REPLACE_ENTRIES_MAX = LIMIT_REPAIR_REPLACE_SIZE_MAX / sizeof(struct entry) };

void verdict_deinit(struct verdict *v)
{
    CHECK(v->kind <= VERDICT_REPLACE);
    slot_runs_deinit(&v->targets);
    *v = (struct verdict){0};
}

static void check_judge(const struct judge *j)
{
    CHECK(j->own != NULL);
    CHECK(j->last >= j->base);
    CHECK(j->peer_count <= LIMIT_REPAIR_PEERS);
    CHECK(j->own->count == 0 || j->own->items[0].first > j->base);
    CHECK(j->own->count == 0 || slot_run_last(&j->own->items[j->own->count - 1]) == j->last);
}

/* ---- what we and others hold ---- */

/* UNKNOWN also right after an unknown end; NEVER_HAD: at or below the base, or
 * after the end. */
static struct slot own_slot(const struct judge *j, uint64_t index)
{
    const struct slot_run *run = slot_runs_find(j->own, index);
    if (run != NULL) {
        return run->slot;
    }
    bool lost = j->end_unknown && index == j->last + 1;
    return (struct slot){.kind = lost ? SLOT_UNKNOWN : SLOT_NEVER_HAD};
}

static bool is_known(struct slot slot)
{
    CHECK(slot.kind <= SLOT_CUT);
    return slot.kind == SLOT_WHOLE || slot.kind == SLOT_DAMAGED;
}

static bool is_hole(struct slot slot)
{
    CHECK(slot.kind <= SLOT_CUT);
    return slot.kind == SLOT_DAMAGED || slot.kind == SLOT_UNKNOWN;
}

static bool unknown_from(const struct judge *j, uint64_t index)
{
    CHECK(index > j->base);
    if (j->end_unknown) {
        return true;
    }
    for (size_t i = j->own->count; i > 0; i--) {
        const struct slot_run *run = &j->own->items[i - 1];
        if (slot_run_last(run) < index) {
            return false;
        }
        if (run->slot.kind == SLOT_UNKNOWN) {
            return true;
        }
    }
    return false;
}

static uint64_t last_known_term(const struct judge *j)
{
    CHECK(j->own != NULL);
    for (size_t i = j->own->count; i > 0; i--) {
        if (is_known(j->own->items[i - 1].slot)) {
            return j->own->items[i - 1].slot.term;
        }
    }
    return 0;
}

uint64_t judge_our_term(const struct judge *j, uint64_t index)
{
    CHECK(j->own != NULL);
    CHECK(index > j->base);
    uint64_t term = last_known_term(j);
    /* What was filled since the repair began can be of a higher term. */
    if (unknown_from(j, index) && term < j->term_began && !WEAK(C23_TAIL)) {
        return j->term_began;
    }
    return term;
}

uint64_t judge_first_hole(const struct judge *j)
{
    check_judge(j);
    for (size_t i = 0; i < j->own->count; i++) {
        if (is_hole(j->own->items[i].slot)) {
            return j->own->items[i].first;
        }
    }
    return j->end_unknown ? j->last + 1 : 0;
}

/* False: not asked or no answer. */
static bool peer_slot(const struct judge_peer *p, uint64_t index, struct slot *out)
{
    CHECK(p->id != 0);
    CHECK(index > 0);
    return p->said != NULL && repair_said_slot(p->said, index, out);
}

/* The peer's identity there is known and of this term. A cut whose term is known will do. */
static bool peer_agrees(const struct judge_peer *p, uint64_t index, uint64_t term)
{
    CHECK(index > 0);
    CHECK(term > 0);
    struct slot slot;
    return peer_slot(p, index, &slot) && (is_known(slot) || slot.kind == SLOT_CUT) &&
           slot.term == term;
}

const struct judge_peer *judge_holder(const struct judge *j, uint64_t index, uint64_t term)
{
    CHECK(index > 0);
    CHECK(term > 0);
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        struct slot slot;
        if (p->source && peer_slot(p, index, &slot) && slot.kind == SLOT_WHOLE &&
            slot.term == term) {
            return p;
        }
    }
    return NULL;
}

static bool is_leading(const struct judge_peer *p)
{
    CHECK(p->id != 0);
    return p->said != NULL && p->said->leader == p->id;
}

bool judge_leader_is_behind(const struct judge *j)
{
    check_judge(j);
    uint64_t hole = judge_first_hole(j);
    if (hole == 0) {
        return false;
    }
    uint64_t ours = judge_our_term(j, hole);
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct repair_said *said = j->peers[i].said;
        if (said != NULL && said->leader != 0 && said->leader_term < ours) {
            return true;
        }
    }
    return false;
}

/* ---- C1, and C3 where the identity can be told ---- */

/* The holes of one run, with what stands beside them. */
struct gap {
    uint64_t first;
    uint64_t last;
    struct slot slot;  /* of the holes */
    struct slot below; /* at first - 1 when known and above the base, else NEVER_HAD */
    struct slot next;  /* at last + 1 when known, else NEVER_HAD */
};

static struct gap gap_of(const struct judge *j, const struct slot_run *run)
{
    CHECK(run->count > 0);
    struct gap g = {.first = run->first, .last = slot_run_last(run), .slot = run->slot};
    CHECK(is_hole(g.slot));
    CHECK(g.first > j->base);
    if (g.first - 1 > j->base) {
        g.below = own_slot(j, g.first - 1);
    }
    if (g.last < j->last) {
        g.next = own_slot(j, g.last + 1);
    }
    return g;
}

/* Log Matching: who holds our next known entry has the same ones before it. */
static bool is_pinned_by(const struct gap *g, const struct judge_peer *p)
{
    CHECK(g->first <= g->last);
    CHECK(p->id != 0);
    if (WEAK(PIN)) {
        return p->said != NULL;
    }
    return is_known(g->next) && peer_agrees(p, g->last + 1, g->next.term);
}

/* No entry of ours is of a term above the one stored when the repair began. So
 * one of that term or a later one, in a log that agrees below, is ours or
 * follows on ours. */
static bool is_at_top(const struct judge *j, const struct gap *g, const struct judge_peer *p,
                      struct slot at)
{
    CHECK(g->first > j->base);
    CHECK(g->slot.kind == SLOT_UNKNOWN);
    if (at.kind != SLOT_WHOLE || (at.term < j->term_began && !WEAK(TOP_TERM))) {
        return false;
    }
    if (is_known(g->next) && g->next.term != at.term && !WEAK(TOP_NEXT)) {
        return false;
    }
    if (g->below.kind == SLOT_NEVER_HAD || WEAK(TOP_BELOW)) {
        return true;
    }
    return peer_agrees(p, g->first - 1, g->below.term);
}

/* Terms of an entry at 'index' that is held whole, weaker than any rule. */
static uint64_t weak_term(const struct judge *j, uint64_t index)
{
    CHECK(index > j->base);
    CHECK(j->peer_count <= LIMIT_REPAIR_PEERS);
    uint64_t highest = 0;
    for (size_t i = 0; i < j->peer_count; i++) {
        struct slot a;
        if (!peer_slot(&j->peers[i], index, &a) || a.kind != SLOT_WHOLE) {
            continue;
        }
        for (size_t k = 0; k < i && WEAK(C3_TWO); k++) {
            struct slot b;
            if (peer_slot(&j->peers[k], index, &b) && b.kind == SLOT_WHOLE && b.term == a.term) {
                return a.term;
            }
        }
        highest = a.term > highest ? a.term : highest;
    }
    return WEAK(C3_TWO) ? 0 : highest;
}

/* The term of the entry that belongs at a hole, 0: can't be told. */
static uint64_t target_term(const struct judge *j, const struct gap *g, uint64_t index,
                            const char **rule)
{
    CHECK(index >= g->first);
    CHECK(index <= g->last);
    *rule = "C1";
    if (g->slot.kind == SLOT_DAMAGED) {
        return WEAK(C1_TERM) ? weak_term(j, index) : g->slot.term;
    }
    if (WEAK(C3_TWO) || WEAK(C3_HIGHEST)) {
        return weak_term(j, index);
    }
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        struct slot at;
        if (!peer_slot(p, index, &at) || !is_known(at)) {
            continue;
        }
        if (is_pinned_by(g, p)) {
            *rule = "C3 next known entry";
            return at.term;
        }
        if (is_at_top(j, g, p, at)) {
            *rule = "C3 term at least ours";
            return at.term;
        }
    }
    return 0;
}

static void fill_gap(const struct judge *j, const struct gap *g, struct verdict *out,
                     uint64_t *room)
{
    CHECK(out->kind == VERDICT_WAIT);
    CHECK(g->first <= g->last);
    for (uint64_t i = g->first; i <= g->last && *room > 0; i++) {
        const char *rule;
        uint64_t term = target_term(j, g, i, &rule);
        if (term == 0 || judge_holder(j, i, term) == NULL) {
            continue;
        }
        slot_runs_add(&out->targets, (struct slot_run){i, 1, {.kind = SLOT_WHOLE, .term = term}});
        out->rule = out->rule == NULL ? rule : out->rule;
        (*room)--;
    }
}

bool judge_fill(const struct judge *j, struct verdict *out)
{
    check_judge(j);
    *out = (struct verdict){0};
    if (j->base_missing) {
        return false;
    }
    uint64_t room = LIMIT_REPAIR_ENTRIES;
    for (size_t i = 0; i < j->own->count && room > 0; i++) {
        if (is_hole(j->own->items[i].slot)) {
            struct gap g = gap_of(j, &j->own->items[i]);
            fill_gap(j, &g, out, &room);
        }
    }
    if (out->targets.count == 0) {
        verdict_deinit(out);
        return false;
    }
    out->kind = VERDICT_FILL;
    out->index = out->targets.items[0].first;
    return true;
}

/* ---- C2 ---- */

static bool set_drop(struct verdict *out, const char *rule, uint64_t index, uint64_t term)
{
    CHECK(rule != NULL);
    CHECK(index > 0);
    CHECK(out->kind == VERDICT_WAIT);
    out->kind = VERDICT_DROP;
    out->rule = rule;
    out->index = index;
    out->term = term;
    return true;
}

/* Never had (index, term): nothing there, or another term. */
static bool lacks(struct slot slot, uint64_t term)
{
    CHECK(term > 0);
    CHECK(slot.kind <= SLOT_CUT);
    return slot.kind == SLOT_NEVER_HAD || (is_known(slot) && slot.term != term);
}

static bool drop_by_leader(const struct judge *j, uint64_t index, uint64_t term,
                           struct verdict *out)
{
    CHECK(index > j->base);
    CHECK(term > 0);
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        struct slot slot;
        bool decides =
            is_leading(p) && (p->said->leader_term >= judge_our_term(j, index) || WEAK(C21_TERM));
        if (decides && peer_slot(p, index, &slot) && lacks(slot, term)) {
            return set_drop(out, "C2.1", index, p->said->leader_term);
        }
    }
    return false;
}

static bool drop_by_later_term(const struct judge *j, uint64_t index, uint64_t term,
                               struct verdict *out)
{
    CHECK(index > j->base);
    CHECK(term > 0);
    if (unknown_from(j, index) && !WEAK(C22_UNKNOWN)) {
        return false;
    }
    uint64_t ours = WEAK(C22_HOLE)      ? term
                    : WEAK(C22_UNKNOWN) ? last_known_term(j)
                                        : judge_our_term(j, index);
    for (size_t i = 0; i < j->peer_count; i++) {
        struct slot slot;
        if (peer_slot(&j->peers[i], index, &slot) && is_known(slot) && slot.term > ours) {
            return set_drop(out, "C2.2", index, slot.term);
        }
    }
    return false;
}

static bool drop_by_voters(const struct judge *j, uint64_t index, uint64_t term,
                           struct verdict *out)
{
    CHECK(index > j->base);
    CHECK(term > 0);
    uint32_t counted = 0;
    uint64_t named = 0;
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        struct slot slot = {0};
        bool silent = p->said == NULL && WEAK(C23_SILENT);
        if (!silent && (!voters_may_count(j, p, index) || !peer_slot(p, index, &slot))) {
            continue;
        }
        bool weak = (WEAK(C23_DAMAGED) && slot.kind == SLOT_DAMAGED) ||
                    (WEAK(C23_UNKNOWN) && slot.kind == SLOT_UNKNOWN);
        if (!silent && !weak && !lacks(slot, term)) {
            continue;
        }
        counted |= UINT32_C(1) << i;
        named = !silent && p->said->term > named ? p->said->term : named;
    }
    if (!voters_are_enough(j, counted, index)) {
        return false;
    }
    return set_drop(out, "C2.3", index, named);
}

/* ---- C3: one log decides ---- */

static bool set_snapshot(struct verdict *out, const struct judge_peer *p)
{
    CHECK(p->said->snapshot_term > 0);
    CHECK(p->said != NULL);
    CHECK(p->said->snapshot_index > 0);
    out->kind = VERDICT_SNAPSHOT;
    out->rule = "C5";
    out->id = p->id;
    out->index = p->said->snapshot_index;
    out->term = p->said->snapshot_term;
    return true;
}

/* Entries that stand between our log's end and our checkpoint, which holds them:
 * who holds the checkpoint's own entry has the same ones before it. */
static bool add_gap(const struct judge *j, const struct judge_peer *p, struct verdict *out)
{
    CHECK(j->gap_first > 0 && j->gap_first <= j->base);
    CHECK(out->targets.count == 0);
    bool all = peer_agrees(p, j->base, j->base_term);
    for (uint64_t i = j->gap_first; i <= j->base && all; i++) {
        struct slot slot;
        all = peer_slot(p, i, &slot) && is_known(slot) && judge_holder(j, i, slot.term) != NULL;
        if (all) {
            slot.kind = SLOT_WHOLE;
            slot_runs_add(&out->targets, (struct slot_run){i, 1, slot});
        }
    }
    if (!all) {
        slot_runs_reset(&out->targets);
    }
    return all;
}

/* The same from anybody who has them; or a later checkpoint than ours, when they are
 * cut away there. */
static bool close_gap(const struct judge *j, struct verdict *out)
{
    CHECK(j->peer_count <= LIMIT_REPAIR_PEERS);
    for (size_t i = 0; i < j->peer_count; i++) {
        if (j->peers[i].said != NULL && add_gap(j, &j->peers[i], out)) {
            return true;
        }
    }
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        if (p->said != NULL && p->source && p->said->snapshot_index > j->base) {
            return set_snapshot(out, p);
        }
    }
    return false;
}

/* Everything from 'from' to the deciding log's end, if its identities are known
 * and each entry stands whole somewhere. */
static bool set_replace(const struct judge *j, const struct judge_peer *p, uint64_t from,
                        struct verdict *out)
{
    CHECK(from >= p->said->first);
    CHECK(from <= p->said->last);
    uint64_t last = WEAK(C3_SLOT) ? from : p->said->last;
    for (uint64_t i = from; i <= last; i++) {
        struct slot slot;
        if (!peer_slot(p, i, &slot) || !is_known(slot) || judge_holder(j, i, slot.term) == NULL) {
            verdict_deinit(out);
            return false;
        }
        slot.kind = SLOT_WHOLE;
        slot_runs_add(&out->targets, (struct slot_run){i, 1, slot});
    }
    return true;
}

enum compared { COMPARED_FROM, COMPARED_CUT, COMPARED_NOT };

/* The first index at or before 'index' from which our log and the peer's
 * differ: down from 'index' over what we know, to the first slot in common. */
static enum compared compare_below(const struct judge *j, const struct judge_peer *p,
                                   uint64_t index, uint64_t *from)
{
    CHECK(p->said != NULL);
    CHECK(index > j->base);
    *from = index;
    for (uint64_t i = index - 1; i > j->base && !WEAK(C3_BELOW); i--) {
        struct slot mine = own_slot(j, i);
        struct slot theirs;
        if (!is_known(mine)) {
            continue;
        }
        if (peer_agrees(p, i, mine.term)) {
            return COMPARED_FROM;
        }
        if (!peer_slot(p, i, &theirs)) {
            return COMPARED_NOT;
        }
        if (theirs.kind == SLOT_CUT) {
            return COMPARED_CUT;
        }
        if (theirs.kind == SLOT_UNKNOWN) {
            return WEAK(C3_COMPARE) ? COMPARED_FROM : COMPARED_NOT;
        }
        *from = i;
    }
    return COMPARED_FROM;
}

/* The peer holds our next known entry after the holes at 'index'. */
static bool agrees_after(const struct judge *j, const struct judge_peer *p, uint64_t index)
{
    CHECK(p->said != NULL);
    const struct slot_run *run = slot_runs_find(j->own, index);
    if (run == NULL || slot_run_last(run) == j->last) {
        return false;
    }
    CHECK(is_hole(run->slot));
    uint64_t next = slot_run_last(run) + 1;
    struct slot slot = own_slot(j, next);
    return is_known(slot) && peer_agrees(p, next, slot.term);
}

struct decider {
    const struct judge_peer *peer;
    uint64_t term;    /* the highest that was named */
    uint32_t counted; /* 0: a leader, needs nobody */
    const char *rule;
};

/* Ours becomes the deciding log from 'from' on. */
static bool take_log(const struct judge *j, const struct decider *d, uint64_t from,
                     struct verdict *out)
{
    CHECK(out->kind == VERDICT_WAIT);
    CHECK(out->targets.count == 0);
    if (j->gap_first != 0 && from == j->base + 1 && !close_gap(j, out)) {
        return false;
    }
    if (out->kind == VERDICT_SNAPSHOT) {
        return true;
    }
    if (d->peer->said->last >= from && !set_replace(j, d->peer, from, out)) {
        return false;
    }
    out->kind = WEAK(C3_SLOT) ? VERDICT_FILL : VERDICT_REPLACE;
    out->index = from;
    out->rule = d->rule;
    out->term = d->term;
    return true;
}

static bool decide(const struct judge *j, const struct decider *d, uint64_t index,
                   struct verdict *out)
{
    CHECK(out->kind == VERDICT_WAIT);
    const struct judge_peer *p = d->peer;
    CHECK(p->said != NULL);
    uint64_t from;
    switch (compare_below(j, p, index, &from)) {
    case COMPARED_NOT:
        return false;
    case COMPARED_CUT:
        return p->source && p->said->snapshot_index > j->base && set_snapshot(out, p);
    case COMPARED_FROM:
        break;
    }
    if (d->counted != 0 && !voters_are_enough(j, d->counted, from)) {
        return false;
    }
    bool nothing = p->said->last < from;
    if ((nothing && j->gap_first == 0) || WEAK(C3_AFTER)) {
        return set_drop(out, d->rule, from, d->term);
    }
    if (from == index && agrees_after(j, p, index)) {
        return false; /* only these holes differ: judge_fill() waits for the entries */
    }
    bool too_long = !nothing && p->said->last - from >= REPLACE_ENTRIES_MAX;
    if (j->replace_too_long || too_long) {
        return p->source && p->said->snapshot_index > j->base && set_snapshot(out, p);
    }
    return take_log(j, d, from, out);
}

/* The log of a peer can decide at 'index': it holds something or nothing there. */
static bool can_decide(const struct judge_peer *p, uint64_t index)
{
    CHECK(index > 0);
    CHECK(p->id != 0);
    struct slot slot;
    return p->said != NULL && peer_slot(p, index, &slot) &&
           (is_known(slot) || slot.kind == SLOT_NEVER_HAD);
}

static bool decide_by_leader(const struct judge *j, uint64_t index, struct verdict *out)
{
    CHECK(index > j->base);
    CHECK(out->kind == VERDICT_WAIT);
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        if (!is_leading(p) || !can_decide(p, index)) {
            continue;
        }
        if (p->said->leader_term < judge_our_term(j, index) && !WEAK(C21_TERM)) {
            continue;
        }
        struct decider d = {p, p->said->leader_term, 0, "C3 leader"};
        if (decide(j, &d, index, out)) {
            return true;
        }
    }
    return false;
}

static uint64_t last_of(const struct repair_said *said)
{
    CHECK(said->first > 0);
    CHECK(said->last + 1 >= said->first);
    return said->last > said->snapshot_index ? said->last : said->snapshot_index;
}

/* Term of the peer's last entry. False: its log may go on, or what it ends in is lost. */
static bool last_term_of(const struct repair_said *said, uint64_t *term)
{
    CHECK(said->last + 1 >= said->first);
    CHECK(said->first > 0);
    struct slot slot;
    if (said->end_unknown && !WEAK(C3_END)) {
        return false;
    }
    if (said->last < said->first && said->snapshot_index < said->last) {
        return false; /* nothing is left of what it held */
    }
    uint64_t last = last_of(said);
    *term = 0;
    if (last == 0) {
        return true;
    }
    if (!repair_said_slot(said, last, &slot)) {
        return false;
    }
    *term = slot.term;
    return is_known(slot) || (slot.kind == SLOT_CUT && slot.term > 0) || WEAK(C3_END);
}

static bool is_later(const struct judge_peer *a, const struct judge_peer *b)
{
    CHECK(a != b);
    uint64_t term_a = 0;
    uint64_t term_b = 0;
    bool known = last_term_of(a->said, &term_a);
    known = last_term_of(b->said, &term_b) && known;
    CHECK(known);
    if (WEAK(C3_BEST)) {
        return false;
    }
    return term_a > term_b || (term_a == term_b && last_of(a->said) > last_of(b->said));
}

static bool decide_by_voters(const struct judge *j, uint64_t index, struct verdict *out)
{
    CHECK(index > j->base);
    CHECK(out->kind == VERDICT_WAIT);
    struct decider d = {.rule = "C3 voters"};
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        uint64_t term;
        if (!voters_may_count(j, p, index) || !can_decide(p, index) ||
            !last_term_of(p->said, &term)) {
            continue;
        }
        d.counted |= UINT32_C(1) << i;
        d.term = p->said->term > d.term ? p->said->term : d.term;
        d.peer = d.peer == NULL || is_later(p, d.peer) ? p : d.peer;
    }
    if (d.peer == NULL || !voters_are_enough(j, d.counted, index)) {
        return false;
    }
    return decide(j, &d, index, out);
}

/* ---- C5, and the order of it all ---- */

static bool take_snapshot(const struct judge *j, uint64_t index, struct verdict *out)
{
    CHECK(index > j->base);
    CHECK(out->kind == VERDICT_WAIT);
    const struct judge_peer *best = NULL;
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        struct slot slot;
        if (!p->source || p->said->snapshot_index < index || !peer_slot(p, index, &slot)) {
            continue;
        }
        bool gone = slot.kind == SLOT_CUT || is_hole(slot);
        if (gone && (best == NULL || p->said->snapshot_index > best->said->snapshot_index)) {
            best = p;
        }
    }
    return best != NULL && set_snapshot(out, best);
}

/* The log is cut above our checkpoint: any that reaches the cut will do. */
static bool take_base(const struct judge *j, struct verdict *out)
{
    CHECK(j->base > 0);
    CHECK(j->base_missing);
    const struct judge_peer *best = NULL;
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct judge_peer *p = &j->peers[i];
        if (p->source && p->said->snapshot_index >= j->base && p->said->snapshot_index > 0 &&
            (best == NULL || p->said->snapshot_index > best->said->snapshot_index)) {
            best = p;
        }
    }
    return best != NULL && set_snapshot(out, best);
}

/* The index after 'index' at which any peer says something else, or last + 1:
 * between, the rules say the same. */
static uint64_t next_index(const struct judge *j, uint64_t index, uint64_t last)
{
    CHECK(index > j->base);
    CHECK(index <= last);
    uint64_t next = last + 1;
    for (size_t i = 0; i < j->peer_count; i++) {
        const struct repair_said *said = j->peers[i].said;
        if (said == NULL) {
            continue;
        }
        const struct slot_run *run = slot_runs_from(&said->runs, index);
        uint64_t edges[] = {
            said->first,
            said->last + 1,
            said->snapshot_index + 1,
            run == NULL ? 0 : run->first,
            run == NULL ? 0 : slot_run_last(run) + 1,
        };
        for (size_t k = 0; k < sizeof edges / sizeof edges[0]; k++) {
            next = edges[k] > index && edges[k] < next ? edges[k] : next;
        }
    }
    return next;
}

static bool judge_hole(const struct judge *j, uint64_t index, struct slot slot, struct verdict *out)
{
    CHECK(out->kind == VERDICT_WAIT);
    CHECK(is_hole(slot));
    CHECK(index > j->base);
    if (take_snapshot(j, index, out)) {
        return true;
    }
    if (slot.kind == SLOT_UNKNOWN) {
        return decide_by_leader(j, index, out) || decide_by_voters(j, index, out);
    }
    return drop_by_leader(j, index, slot.term, out) ||
           drop_by_later_term(j, index, slot.term, out) || drop_by_voters(j, index, slot.term, out);
}

bool judge_rest(const struct judge *j, struct verdict *out)
{
    check_judge(j);
    *out = (struct verdict){0};
    if (j->base_missing) {
        return take_base(j, out);
    }
    for (size_t i = 0; i < j->own->count; i++) {
        const struct slot_run *run = &j->own->items[i];
        uint64_t last = slot_run_last(run);
        for (uint64_t at = run->first; is_hole(run->slot) && at <= last;
             at = next_index(j, at, last)) {
            if (judge_hole(j, at, run->slot, out)) {
                return true;
            }
        }
    }
    return j->end_unknown && judge_hole(j, j->last + 1, (struct slot){.kind = SLOT_UNKNOWN}, out);
}
