/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_replay.h"

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal_mutation.h"
#include "wal/wal_replay_local.h"

/* The highest index that an entry can have, so that the one after it is a number too. */
static const uint64_t INDEX_TOP = UINT64_MAX - 2;

void wal_replay_init(struct wal_replay *r, const struct wal_layout *layout, bool local,
                     struct wal_table *table, const struct wal_extent *extent)
{
    CHECK(layout->log_key != 0);
    CHECK(extent->segment_first <= extent->segment_last);
    CHECK(table->sparse == local);
    CHECK(table->count == 0);
    *r = (struct wal_replay){
        .layout = *layout,
        .table = table,
        .local = local,
        .extent = *extent,
        .commit = table->cut,
        .index_seen = table->cut,
    };
    uint64_t from = extent->index_last > table->cut ? extent->index_last : table->cut;
    uint64_t segments = extent->segment_last - extent->segment_first + 1;
    uint64_t more = segments * (layout->segment_size / WAL_RECORD_HEADER_SIZE);
    r->index_max = from < INDEX_TOP && more < INDEX_TOP - from ? from + more : INDEX_TOP;
    r->extent_checked = extent->segment_last == extent->segment_first || extent->sequence_last == 0;
}

void wal_replay_deinit(struct wal_replay *r)
{
    CHECK(r != NULL);
    CHECK(r->lost_count <= r->lost_capacity);
    mem_free(r->frame.members);
    mem_free(r->lost);
    mem_free(r->losses);
    *r = (struct wal_replay){0};
}

static void raise(uint64_t *value, uint64_t to)
{
    CHECK(value != NULL);
    if (to > *value) {
        *value = to;
    }
}

void wal_replay_lose(struct wal_replay *r, uint64_t lsn)
{
    CHECK(r->table != NULL);
    CHECK(lsn != 0);
    if (!r->pending) {
        r->pending = true;
        r->commit_pending = r->commit;
        r->lsn_pending = lsn;
    }
    r->marked = false;
    r->frame.lost = r->frame.open;
}

struct wal_place wal_replay_place(const struct wal_found *s)
{
    CHECK(s->verdict == WAL_WHOLE || s->verdict == WAL_DAMAGED);
    CHECK(s->lsn != 0);
    return (struct wal_place){
        .packed = wal_place_pack(s->lsn, (unsigned)s->record.type, false,
                                 s->verdict == WAL_WHOLE ? WAL_PLACE_WHOLE : WAL_PLACE_DAMAGED),
        .term = s->record.term,
        .size = s->record.size,
        .crc = s->record.payload_crc,
    };
}

static bool agrees(const struct wal_place *place, uint64_t term)
{
    CHECK(term != 0);
    return place != NULL && wal_place_state(place) != WAL_PLACE_UNKNOWN && place->term == term;
}

/* A hole of which nothing but index and term is known. */
static void put_hole(struct wal_replay *r, uint64_t index, uint64_t term)
{
    CHECK(index > 0);
    CHECK(!r->local);
    wal_table_extend(r->table, index);
    struct wal_place *place = wal_table_at(r->table, index);
    if (place != NULL) {
        *place = (struct wal_place){.packed = WAL_PLACE_DAMAGED, .term = term};
    }
}

/* What an intact header at 'index' says about the slot below it (safety.md A5).
 * 'before' is that slot's term, 0: the header doesn't say. By Log Matching,
 * where the term agrees everything below is as we have it, whatever was lost. */
static void link_below(struct wal_replay *r, uint64_t index, uint64_t before)
{
    CHECK(!r->local);
    CHECK(index > 0);
    bool pending = r->pending;
    uint64_t safe = pending ? r->commit_pending : r->commit;
    r->pending = false;
    if (index <= 1 || index - 1 <= r->table->cut) {
        return;
    }
    uint64_t below = index - 1;
    if (WAL_MUTATED(NO_BEFORE)) {
        before = 0;
    }
    if (before != 0 ? agrees(wal_table_at(r->table, below), before) : !pending) {
        return;
    }
    wal_table_extend(r->table, below);
    wal_table_forget(r->table, (safe < below ? safe : below) + 1, below, r->lsn_pending);
    if (before != 0) {
        put_hole(r, below, before);
    }
}

/* --- frames --- */

static void close_frame(struct wal_replay *r)
{
    CHECK(r->frame.count <= r->frame.capacity);
    struct wal_replay_frame *f = &r->frame;
    *f = (struct wal_replay_frame){.members = f->members, .capacity = f->capacity};
}

static void open_frame(struct wal_replay *r, uint64_t id)
{
    CHECK(r->frame.members != NULL || r->frame.capacity == 0);
    CHECK(!r->local);
    close_frame(r);
    r->frame.open = true;
    r->frame.id = id;
}

/* An intact header names the frame that it belongs to. */
static void adopt_frame(struct wal_replay *r, uint64_t id)
{
    CHECK(id != 0);
    CHECK(!r->local);
    struct wal_replay_frame *f = &r->frame;
    if (!f->open || (f->id != 0 && f->id != id)) {
        open_frame(r, id);
        return;
    }
    if (f->id == id) {
        return;
    }
    /* What identifiers named so far may belong to an earlier frame that was given up. */
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (f->members[i].record.sequence > id) {
            f->members[kept++] = f->members[i];
        }
    }
    f->count = kept;
    f->id = id;
    f->first = 0;
}

static void add_member(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(!r->local);
    CHECK(wal_record_is_entry(s->record.type));
    CHECK(s->record.frame != 0);
    struct wal_replay_frame *f = &r->frame;
    if (!f->open) {
        open_frame(r, 0);
    }
    f->members = mem_grow(f->members, &f->capacity, f->count + 1, sizeof *f->members);
    f->members[f->count++] = *s;
}

static void begin_frame(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(s->record.type == WAL_RECORD_BEGIN);
    CHECK(s->record.index > 0);
    bool pending = r->pending;
    open_frame(r, s->record.sequence);
    r->frame.first = s->record.index;
    r->frame.begun = s->by_header;
    r->frame.before = s->record.before;
    r->frame.pending_before = pending;
    r->frame.commit_before = pending ? r->commit_pending : r->commit;
}

/* The link below the first entry of a frame that takes effect. */
static void link_frame(struct wal_replay *r, uint64_t first)
{
    CHECK(first <= r->index_max);
    CHECK(first > 0);
    CHECK(r->frame.open || r->frame.count == 0);
    const struct wal_replay_frame *f = &r->frame;
    if (f->begun && f->first == first) {
        /* What was lost inside the frame was a part of it and touches nothing below. */
        r->pending = f->pending_before;
        r->commit_pending = f->commit_before;
        link_below(r, first, f->before);
    } else if (f->count > 0 && f->members[0].by_header && f->members[0].record.index == first) {
        link_below(r, first, f->members[0].record.before);
    } else {
        link_below(r, first, 0);
    }
}

static void put_members(struct wal_replay *r, uint64_t first, const struct wal_found *end)
{
    CHECK(first > 0);
    CHECK(first <= end->record.index);
    const struct wal_replay_frame *f = &r->frame;
    uint64_t last = end->record.index;
    wal_table_drop(r->table, first);
    wal_table_extend(r->table, first - 1);
    for (size_t i = 0; i < f->count; i++) {
        const struct wal_found *m = &f->members[i];
        uint64_t index = m->record.index;
        if (index > last || index <= r->table->last) {
            continue; /* indexes rise inside a frame */
        }
        wal_table_extend(r->table, index - 1);
        if (m->by_header && m->record.before != 0 && index > first && index - 1 > r->table->cut &&
            !agrees(wal_table_at(r->table, index - 1), m->record.before)) {
            put_hole(r, index - 1, m->record.before);
        }
        struct wal_place place = wal_replay_place(m);
        wal_table_put(r->table, index, &place);
    }
    if (r->table->last < last) {
        put_hole(r, last, end->record.term);
    }
}

static void end_frame(struct wal_replay *r, const struct wal_found *end)
{
    CHECK(end->record.type == WAL_RECORD_END);
    CHECK(end->record.index > 0);
    struct wal_replay_frame *f = &r->frame;
    uint64_t first = end->by_header ? end->record.before : f->first;
    if (first == 0 && f->open && f->count > 0) {
        first = f->members[0].record.index;
    }
    if ((!end->by_header && (f->lost || !f->open)) || first == 0 || first > end->record.index) {
        /* Which records were in it can't be told. */
        uint64_t safe = r->pending ? r->commit_pending : r->commit;
        wal_table_drop(r->table, end->record.index + 1);
        wal_table_extend(r->table, end->record.index);
        wal_table_forget(r->table, safe + 1, end->record.index, end->lsn);
        put_hole(r, end->record.index, end->record.term);
    } else {
        link_frame(r, first);
        put_members(r, first, end);
    }
    r->pending = false;
    close_frame(r);
}

/* --- the Raft log --- */

static void drop_from(struct wal_replay *r, uint64_t index, uint64_t before)
{
    CHECK(index > 0);
    CHECK(!r->local);
    link_below(r, index, before);
    wal_table_drop(r->table, index);
}

static void replay_outside(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(s->record.type != WAL_RECORD_BEGIN);
    CHECK(s->record.type != WAL_RECORD_END);
    const struct wal_record *record = &s->record;
    close_frame(r);
    if (record->type == WAL_RECORD_MARK) {
        /* What the log held then: identifiers say it as well as headers. */
        drop_from(r, record->index + 1, record->term);
    } else if (record->type == WAL_RECORD_DROP) {
        if (WAL_MUTATED(NO_DROP)) {
            return;
        }
        drop_from(r, record->index, s->by_header ? record->before : 0);
    } else {
        link_below(r, record->index, s->by_header ? record->before : 0);
        struct wal_place place = wal_replay_place(s);
        wal_table_put(r->table, record->index, &place);
    }
}

static void replay_raft(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(!r->local);
    CHECK(s->verdict == WAL_WHOLE || s->verdict == WAL_DAMAGED);
    const struct wal_record *record = &s->record;
    bool framed = record->frame != 0;
    if (WAL_MUTATED(BELOW_CUT) && record->index <= r->table->cut) {
        return;
    }
    if (WAL_MUTATED(FRAME_AT_ONCE) && wal_record_is_entry(record->type)) {
        replay_outside(r, s);
        return;
    }
    if (framed && s->by_header && record->type != WAL_RECORD_BEGIN) {
        adopt_frame(r, record->frame);
    }
    if (record->type == WAL_RECORD_BEGIN) {
        begin_frame(r, s);
    } else if (record->type == WAL_RECORD_END) {
        end_frame(r, s);
    } else if (framed) {
        add_member(r, s);
    } else {
        replay_outside(r, s);
    }
}

/* --- slots --- */

/* The last segment is reached: what the log held when it was begun (safety.md A7). */
static void check_extent(struct wal_replay *r)
{
    CHECK(r->extent.segment_first <= r->extent.segment_last);
    CHECK(r->table != NULL);
    if (r->extent_checked) {
        return;
    }
    r->extent_checked = true;
    if (WAL_MUTATED(NO_EXTENT_CHECK)) {
        return;
    }
    const struct wal_extent *x = &r->extent;
    if (r->sequence >= x->sequence_last) {
        return;
    }
    bool held = false;
    if (r->local) {
        held = r->index_seen == x->index_last;
    } else if (r->table->last == x->index_last) {
        const struct wal_place *place = wal_table_at(r->table, x->index_last);
        held = x->index_last <= r->table->cut || x->term_last == 0 ||
               (place != NULL &&
                (wal_place_state(place) == WAL_PLACE_UNKNOWN || place->term == x->term_last));
    }
    if (!held) {
        wal_replay_lose(r, wal_lsn_of(&r->layout, x->segment_last, 0));
    }
}

/* Keeps what it takes to write this header again, where it is certain. */
static void remember_lost(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(!s->by_header);
    CHECK(r->lost_count == 0 || r->lost[r->lost_count - 1].lsn < s->lsn);
    const struct wal_record *record = &s->record;
    if (r->local || record->sequence == 0 || record->frame != 0 || r->pending ||
        !wal_record_is_entry(record->type) ||
        wal_lsn_segment(&r->layout, s->lsn) != r->segment_last_seen) {
        return;
    }
    const struct wal_place *below = wal_table_at(r->table, record->index - 1);
    r->lost = mem_grow(r->lost, &r->lost_capacity, r->lost_count + 1, sizeof *r->lost);
    r->lost[r->lost_count++] = (struct wal_lost){
        .lsn = s->lsn,
        .sequence = record->sequence,
        .before = below != NULL ? below->term : 0, /* an unknown hole's term is 0 too */
        .commit = r->commit,
        .lsn_durable = r->lsn_durable,
    };
}

/* A header that is intact and yet can't be: taken for lost, so that no index from
 * the disk decides how much memory is asked for. */
static bool plausible(const struct wal_replay *r, const struct wal_record *record)
{
    CHECK(r->index_max <= INDEX_TOP);
    CHECK(wal_record_type_known((unsigned)record->type));
    bool mark = record->type == WAL_RECORD_MARK;
    if ((record->index == 0 && !mark) ||
        (record->frame != 0 && (mark || record->type == WAL_RECORD_DROP))) {
        return false;
    }
    return record->index <= (r->local ? INDEX_TOP : r->index_max);
}

void wal_replay_slot(struct wal_replay *r, const struct wal_found *found)
{
    CHECK(r->table != NULL);
    CHECK(found->lsn != 0);
    CHECK(found->verdict <= WAL_UNKNOWN);
    uint64_t segment = wal_lsn_segment(&r->layout, found->lsn);
    if (segment >= r->extent.segment_last) {
        check_extent(r);
    }
    struct wal_found s = *found;
    if (s.verdict == WAL_UNKNOWN || !plausible(r, &s.record)) {
        r->records_unknown++;
        wal_replay_lose(r, s.lsn);
        r->sequence = 0;
        r->segment_last_seen = segment;
        return;
    }
    CHECK(s.verdict == WAL_WHOLE || s.verdict == WAL_DAMAGED);
    if (s.verdict == WAL_WHOLE) {
        r->records_whole++;
    } else {
        r->records_damaged++;
    }
    if (s.by_header) {
        if (r->sequence != 0 && s.record.sequence != r->sequence + 1 && !WAL_MUTATED(NO_SEQUENCE)) {
            wal_replay_lose(r, s.lsn);
        }
        r->sequence = s.record.sequence;
        raise(&r->commit, s.record.commit);
        raise(&r->lsn_durable, s.record.lsn_durable);
    } else {
        r->sequence += r->sequence != 0;
        s.record.sequence = r->sequence;
        remember_lost(r, &s);
    }
    r->segment_last_seen = segment;
    if (r->local) {
        wal_replay_local_slot(r, &s);
    } else {
        replay_raft(r, &s);
    }
}

/* Shows in the table that lost records may have replaced what stands there. */
static void mark_pending(struct wal_replay *r)
{
    CHECK(r->table != NULL);
    CHECK(!r->local);
    if (r->pending && !r->marked) {
        wal_table_forget(r->table, r->commit_pending + 1, r->table->last, r->lsn_pending);
        r->marked = true;
    }
}

void wal_replay_fill(struct wal_replay *r, const struct wal_side_entry *side)
{
    CHECK((side->record.flags & WAL_RECORD_SIDE) != 0);
    CHECK(wal_record_is_entry(side->record.type));
    CHECK(!r->local);
    const struct wal_record *record = &side->record;
    if (!plausible(r, record)) {
        return;
    }
    mark_pending(r);
    /* There was a hole at this index then. What the table knew of it before may
     * have been cut away with the segment of an entry that stood there earlier. */
    wal_table_extend(r->table, record->index);
    struct wal_place *place = wal_table_at(r->table, record->index);
    if (place == NULL || wal_place_state(place) == WAL_PLACE_WHOLE ||
        (wal_place_state(place) == WAL_PLACE_DAMAGED && place->term != record->term)) {
        return;
    }
    *place = (struct wal_place){
        .packed = wal_place_pack(wal_lsn_of(&r->layout, side->segment, record->sequence),
                                 (unsigned)record->type, true, WAL_PLACE_WHOLE),
        .term = record->term,
        .size = record->size,
        .crc = record->payload_crc,
    };
}

void wal_replay_end(struct wal_replay *r)
{
    CHECK(r->frame.count <= r->frame.capacity);
    CHECK(r->table != NULL);
    check_extent(r);
    close_frame(r);
    if (WAL_MUTATED(END_KNOWN)) {
        r->pending = false;
    }
    if (r->local) {
        wal_replay_local_end(r);
    } else {
        mark_pending(r);
        if (r->table->last < r->table->cut) {
            wal_table_reset(r->table, r->table->cut);
        }
    }
}

const struct wal_lost *wal_replay_lost(const struct wal_replay *r, uint64_t lsn)
{
    CHECK(r->lost_count <= r->lost_capacity);
    CHECK(lsn != 0);
    size_t low = 0;
    size_t high = r->lost_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->lost[middle].lsn < lsn) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < r->lost_count && r->lost[low].lsn == lsn ? &r->lost[low] : NULL;
}
