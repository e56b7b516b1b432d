/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wal/wal_directory.h"
#include "wal/wal_mutation.h"
#include "wal/wal_recovery.h"
#include "wal/wal_state.h"

/* --- shared by the sources of the log --- */

enum err_code wal_check_open(const struct wal *w, struct err *e)
{
    CHECK(w != NULL);
    CHECK(w->dir != NULL);
    return w->writer.broken ? err_set(e, ERR_IO, "log %s: broken by an earlier failure", w->dir)
                            : ERR_OK;
}

enum err_code wal_break(struct wal *w, struct err *e)
{
    CHECK(w != NULL);
    CHECK(w->dir != NULL);
    w->writer.broken = true;
    (void)err_wrap(e, "log %s", w->dir);
    if (e != NULL) {
        e->code = ERR_IO;
    }
    return ERR_IO;
}

uint64_t wal_before(const struct wal *w, uint64_t index)
{
    CHECK(w->role == WAL_LOCAL || index > w->table.cut);
    CHECK(index > 0);
    if (w->role == WAL_LOCAL) {
        return w->table.last;
    }
    uint64_t term = 0;
    (void)wal_term_at(w, index - 1, &term);
    return term;
}

struct wal_draft wal_draft_of(const struct wal_entry *entry)
{
    CHECK(entry->type >= WAL_COMMAND && entry->type <= WAL_METADATA);
    CHECK(entry->index > 0);
    return (struct wal_draft){.record = {.type = (enum wal_record_type)entry->type,
                                         .index = entry->index,
                                         .term = entry->term,
                                         .vgroups = entry->vgroups},
                              .payload = entry->payload};
}

struct wal_place wal_place_of(const struct wal_record *record)
{
    CHECK(record->lsn % WAL_RECORD_ALIGNMENT == 0);
    CHECK(wal_record_is_entry(record->type));
    CHECK(record->lsn != 0);
    return (struct wal_place){
        .packed = wal_place_pack(record->lsn, (unsigned)record->type, false, WAL_PLACE_WHOLE),
        .term = record->term,
        .size = record->size,
        .crc = record->payload_crc,
    };
}

struct wal_draft *wal_drafts(struct wal *w, size_t count)
{
    CHECK(count > 0);
    w->drafts = mem_grow(w->drafts, &w->drafts_capacity, count, sizeof *w->drafts);
    return w->drafts;
}

void wal_note_end(struct wal *w)
{
    CHECK(w->table.sparse == (w->role == WAL_LOCAL));
    CHECK(w->table.last >= w->table.cut);
    w->writer.index_last = w->table.last;
    w->writer.term_last = 0;
    (void)wal_term_at(w, w->table.last, &w->writer.term_last);
}

static void check_invariants(const struct wal *w)
{
    CHECK(w->table.cut == w->writer.extent.index_cut);
    CHECK(w->set.first == w->writer.extent.segment_first);
    CHECK(wal_set_last(&w->set) == w->writer.extent.segment_last);
    CHECK(w->index_durable <= w->table.last);
    CHECK(w->table.last == w->writer.index_last);
    CHECK(w->holes.count <= w->table.count);
}

/* --- life --- */

static enum err_code check_options(const struct wal_options *o, struct err *e)
{
    CHECK(o->io != NULL && o->dir != NULL && o->extent_changed != NULL);
    CHECK(o->role == WAL_RAFT || o->role == WAL_LOCAL);
    if (!wal_segment_size_valid(o->segment_size)) {
        return err_set(e, ERR_INVALID,
                       "log %s: segment size %" PRIu64 " is no power of two from %d to %d", o->dir,
                       o->segment_size, WAL_SEGMENT_SIZE_MIN, WAL_SEGMENT_SIZE_MAX);
    }
    return ERR_OK;
}

static struct wal *make(const struct wal_options *o)
{
    CHECK(o->dir[0] != '\0');
    CHECK(wal_segment_size_valid(o->segment_size));
    struct wal *w = mem_zalloc(sizeof *w);
    w->io = o->io;
    w->log = o->log;
    w->dir = mem_strdup(o->dir);
    w->role = o->role;
    w->recovery_mode = o->recovery_mode;
    w->layout = (struct wal_layout){
        .segment_size = o->segment_size,
        .log_key = wal_log_key(o->directory_id, (unsigned)o->role),
    };
    wal_set_init(&w->set, o->io, w->dir, &w->layout, 1);
    w->segments_min = o->segments_min;
    wal_pool_init(&w->pool, o->io, w->dir, o->segment_size, o->segments_min);
    wal_table_init(&w->table, o->role == WAL_LOCAL, 0);
    w->writer = (struct wal_writer){
        .set = &w->set,
        .pool = &w->pool,
        .io = o->io,
        .dir = w->dir,
        .layout = w->layout,
        .role = o->role,
        .cluster_id = o->cluster_id,
        .directory_id = o->directory_id,
        .timeline = o->timeline,
        .extent_changed = o->extent_changed,
        .context = o->context,
        .sync_method = o->sync_method,
        .buffer_size = o->buffer_size,
    };
    wal_writer_init(&w->writer);
    return w;
}

enum err_code wal_open(const struct wal_options *options, struct wal **out,
                       struct wal_report *report, struct err *e)
{
    CHECK(options != NULL);
    CHECK(out != NULL && report != NULL);
    enum err_code code = check_options(options, e);
    if (code != ERR_OK) {
        return code;
    }
    struct wal *w = make(options);
    code = wal_recover(w, options, report, e);
    if (code != ERR_OK) {
        wal_abandon(w);
        return code;
    }
    w->index_durable = w->table.last;
    w->holes_found = w->holes.count;
    check_invariants(w);
    *out = w;
    return ERR_OK;
}

void wal_abandon(struct wal *w)
{
    CHECK(w == NULL || w->dir != NULL);
    if (w == NULL) {
        return;
    }
    wal_writer_deinit(&w->writer);
    wal_set_deinit(&w->set);
    wal_pool_deinit(&w->pool);
    wal_table_deinit(&w->table);
    wal_holes_deinit(&w->holes);
    mem_free(w->lost);
    mem_free(w->drafts);
    buf_deinit(&w->scratch);
    mem_free(w->dir);
    mem_free(w);
}

enum err_code wal_close(struct wal *w, struct err *e)
{
    CHECK(w != NULL);
    CHECK(w->set.count > 0);
    enum err_code code = wal_mark(w, w->writer.commit, e);
    if (code == ERR_NO_SPACE) {
        code = wal_sync(w, e); /* a MARK that finds no room is no failure */
    }
    wal_abandon(w);
    return code == ERR_OK ? ERR_OK : ERR_IO;
}

/* --- what it holds --- */

uint64_t wal_index_first(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->table.last >= w->table.cut);
    return w->role == WAL_LOCAL && w->table.count > 0 ? wal_table_index(&w->table, 0)
                                                      : w->table.cut + 1;
}

uint64_t wal_index_last(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->table.last >= w->table.cut);
    return w->table.last;
}

bool wal_term_at(const struct wal *w, uint64_t index, uint64_t *term)
{
    CHECK(w != NULL && term != NULL);
    if (index == w->table.cut && index != 0) {
        *term = w->writer.extent.term_cut;
        return true;
    }
    const struct wal_place *place = wal_table_at(&w->table, index);
    if (place == NULL || wal_place_state(place) == WAL_PLACE_UNKNOWN) {
        return false;
    }
    *term = place->term;
    return true;
}

uint64_t wal_lsn_at(const struct wal *w, uint64_t index)
{
    CHECK(w != NULL);
    CHECK(w->set.count > 0);
    const struct wal_place *place = wal_table_at(&w->table, index);
    return place == NULL || wal_place_side(place) ? 0 : wal_place_lsn(place);
}

bool wal_type_at(const struct wal *w, uint64_t index, enum wal_type *type)
{
    CHECK(w != NULL && type != NULL);
    const struct wal_place *place = wal_table_at(&w->table, index);
    if (place == NULL || wal_place_state(place) == WAL_PLACE_UNKNOWN ||
        wal_place_type(place) == 0) {
        return false;
    }
    *type = (enum wal_type)wal_place_type(place);
    return true;
}

const struct wal_hole *wal_holes(const struct wal *w, size_t *count)
{
    CHECK(w != NULL && count != NULL);
    CHECK(w->holes.count <= w->table.count);
    *count = w->holes.count;
    return w->holes.count == 0 ? NULL : w->holes.items + w->holes.start;
}

const struct wal_hole *wal_hole_at(const struct wal *w, uint64_t index)
{
    CHECK(w != NULL);
    CHECK(w->holes.count <= w->table.count);
    return wal_holes_find(&w->holes, index);
}

bool wal_end_unknown(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(!w->end_unknown || w->role == WAL_RAFT);
    return w->end_unknown;
}

uint64_t wal_lsn_end(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->set.count > 0);
    return wal_writer_lsn_end(&w->writer);
}

uint64_t wal_lsn_durable(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->writer.lsn_durable <= wal_writer_lsn_end(&w->writer));
    return w->writer.lsn_durable;
}

uint64_t wal_index_durable(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->index_durable <= w->table.last);
    return w->index_durable;
}

struct wal_extent wal_extent(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->writer.extent.segment_first <= w->writer.extent.segment_last);
    return w->writer.extent;
}

uint32_t wal_payload_max(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->layout.segment_size / 2 <= WAL_RECORD_SIZE_MAX);
    return (uint32_t)(w->layout.segment_size / 2 - WAL_RECORD_HEADER_SIZE);
}

/* --- writing --- */

static void raise_commit(struct wal *w, uint64_t commit)
{
    CHECK(w != NULL);
    if (commit > w->writer.commit) {
        w->writer.commit = commit;
    }
}

static void check_entries(const struct wal *w, const struct wal_entry *entries, size_t count)
{
    CHECK(entries != NULL && count > 0);
    CHECK(entries[0].index > w->table.cut);
    CHECK(w->role == WAL_LOCAL || entries[0].index <= w->table.last + 1);
    CHECK(w->role == WAL_RAFT || entries[0].index > w->table.last);
    for (size_t i = 0; i < count; i++) {
        CHECK(entries[i].type >= WAL_COMMAND && entries[i].type <= WAL_METADATA);
        CHECK(entries[i].payload.size <= wal_payload_max(w));
        CHECK(w->role == WAL_LOCAL || entries[i].term > 0);
        CHECK(i == 0 || (w->role == WAL_RAFT ? entries[i].index == entries[i - 1].index + 1
                                             : entries[i].index > entries[i - 1].index));
    }
}

/* The records were written: what the log holds now. */
static void take_entries(struct wal *w, const struct wal_draft *drafts, size_t count)
{
    CHECK(count > 0);
    CHECK(drafts[count - 1].record.index >= drafts[0].record.index);
    CHECK(drafts[0].record.lsn != 0);
    uint64_t first = drafts[0].record.index;
    w->holes_dropped += wal_holes_drop_from(&w->holes, first);
    for (size_t i = 0; i < count; i++) {
        struct wal_place place = wal_place_of(&drafts[i].record);
        wal_table_put(&w->table, drafts[i].record.index, &place);
    }
    if (w->index_durable >= first) {
        w->index_durable = first - 1;
    }
    wal_note_end(w);
}

enum err_code wal_append(struct wal *w, const struct wal_entry *entries, size_t count,
                         uint64_t commit, struct err *e)
{
    CHECK(w != NULL);
    CHECK(entries != NULL || count == 0);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK || count == 0) {
        return code;
    }
    if (w->end_unknown) {
        return err_set(e, ERR_STATE, "log %s: its end is unknown; repair comes first", w->dir);
    }
    check_entries(w, entries, count);
    struct wal_draft *drafts = wal_drafts(w, count);
    for (size_t i = 0; i < count; i++) {
        drafts[i] = wal_draft_of(&entries[i]);
        if (i == 0) {
            drafts[i].record.before = wal_before(w, entries[0].index);
        } else {
            drafts[i].record.before =
                w->role == WAL_RAFT ? entries[i - 1].term : entries[i - 1].index;
        }
    }
    code = wal_writer_reserve(&w->writer, drafts, count, e);
    if (code != ERR_OK) {
        return code;
    }
    raise_commit(w, commit);
    code = wal_writer_append(&w->writer, drafts, count, e);
    if (code != ERR_OK) {
        return code;
    }
    w->appends++;
    w->written = true;
    take_entries(w, drafts, count);
    if (wal_lsn_durable(w) == wal_lsn_end(w)) {
        w->index_durable = w->table.last; /* it was written through */
    }
    check_invariants(w);
    return ERR_OK;
}

enum err_code wal_drop(struct wal *w, uint64_t index, uint64_t commit, struct err *e)
{
    CHECK(w != NULL);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(index > w->table.cut);
    CHECK(index <= w->table.last + 1);
    struct wal_draft drop = {
        .record = {.type = WAL_RECORD_DROP,
                   .index = index,
                   .before = w->role == WAL_LOCAL ? index - 1 : wal_before(w, index)}};
    code = wal_writer_reserve(&w->writer, &drop, 1, e);
    if (code != ERR_OK) {
        return code;
    }
    raise_commit(w, commit);
    code = wal_writer_append(&w->writer, &drop, 1, e);
    if (code != ERR_OK) {
        return code;
    }
    w->written = true;
    w->end_unknown = false;
    w->holes_dropped += wal_holes_drop_from(&w->holes, index);
    wal_table_drop(&w->table, index);
    if (w->index_durable >= index) {
        w->index_durable = index - 1;
    }
    wal_note_end(w);
    check_invariants(w);
    return ERR_OK;
}

enum err_code wal_sync(struct wal *w, struct err *e)
{
    CHECK(w != NULL);
    CHECK(w->index_durable <= w->table.last);
    enum err_code code = wal_writer_sync(&w->writer, e);
    if (code != ERR_OK) {
        return err_wrap(e, "log %s", w->dir);
    }
    w->index_durable = w->table.last;
    return ERR_OK;
}

enum err_code wal_set_sync_method(struct wal *w, enum wal_sync_method method, struct err *e)
{
    CHECK(w != NULL);
    CHECK(method <= WAL_OPEN_SYNC);
    enum err_code code = wal_writer_set_sync_method(&w->writer, method, e);
    if (code != ERR_OK) {
        return err_wrap(e, "log %s", w->dir);
    }
    w->index_durable = w->table.last;
    return ERR_OK;
}

void wal_set_buffer_size(struct wal *w, size_t size)
{
    CHECK(w != NULL);
    CHECK(w->set.count > 0);
    w->writer.buffer_size = size;
}

enum err_code wal_mark(struct wal *w, uint64_t commit, struct err *e)
{
    CHECK(w != NULL);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK || !w->written || w->end_unknown) {
        return code;
    }
    CHECK(w->table.last == w->writer.index_last);
    code = wal_sync(w, e); /* the MARK can only state what is already durable */
    if (code != ERR_OK) {
        return code;
    }
    struct wal_draft mark = {.record = {.type = WAL_RECORD_MARK,
                                        .index = w->table.last,
                                        .term = w->writer.term_last,
                                        .before = w->role == WAL_LOCAL ? w->table.last : 0}};
    code = wal_writer_reserve(&w->writer, &mark, 1, e);
    if (code != ERR_OK) {
        return code;
    }
    raise_commit(w, commit);
    code = wal_writer_append(&w->writer, &mark, 1, e);
    if (code == ERR_OK) {
        code = wal_writer_sync_identifiers(&w->writer, e);
    }
    w->written = code != ERR_OK;
    return code;
}

/* --- cutting --- */

/* Removes the segments before 'first' from the set and the directory. The extent
 * no longer names them. */
static enum err_code remove_segments(struct wal *w, uint64_t first, struct err *e)
{
    CHECK(first <= wal_set_last(&w->set));
    CHECK(first == w->writer.extent.segment_first || WAL_MUTATED(CUT_FIRST));
    bool any = false;
    uint64_t used = wal_set_last(&w->set) - first + 1;
    if (wal_pool_keep(&w->pool, used < w->segments_min ? w->segments_min - used : 0, e) != ERR_OK) {
        return wal_break(w, e);
    }
    while (w->set.first < first) {
        char path[IO_PATH_MAX];
        char side[IO_PATH_MAX];
        const struct wal_set_item item = *wal_set_at(&w->set, w->set.first);
        enum err_code code = wal_set_path(&w->set, w->set.first, path, e);
        if (code == ERR_OK) {
            code = wal_side_path(path, side, e);
        }
        wal_set_shift(&w->set);
        if (code == ERR_OK && item.present) {
            code = wal_pool_add(&w->pool, path, e);
        }
        if (code == ERR_OK && item.side) {
            code = io_unlink(w->io, side, e);
        }
        if (code != ERR_OK) {
            return wal_break(w, e);
        }
        any = true;
    }
    if (any && io_sync_dir(w->io, w->dir, e) != ERR_OK) {
        return wal_break(w, e);
    }
    return ERR_OK;
}

/* The first segment that holds something above the cut. Cutting goes in order of
 * LSN: a record that replaces others stays as long as those do. */
static uint64_t segment_needed(const struct wal *w)
{
    CHECK(w->set.count > 0);
    uint64_t needed = wal_set_last(&w->set);
    if (w->end_unknown && wal_lsn_segment(&w->layout, w->lsn_unknown) < needed) {
        needed = wal_lsn_segment(&w->layout, w->lsn_unknown);
    }
    for (size_t i = 0; i < w->table.count; i++) {
        uint64_t at = wal_place_lsn(wal_table_place(&w->table, i));
        if (at != 0 && wal_lsn_segment(&w->layout, at) < needed) {
            needed = wal_lsn_segment(&w->layout, at);
        }
    }
    return needed > w->set.first ? needed : w->set.first;
}

enum err_code wal_cut(struct wal *w, uint64_t index, uint64_t term, struct err *e)
{
    CHECK(w != NULL);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK || index <= w->table.cut) {
        return code;
    }
    CHECK(w->table.cut == w->writer.extent.index_cut);
    if (index > w->table.last && !w->end_unknown) {
        return wal_reset(w, index, term, e);
    }
    /* What the records not yet synced replace is still needed if they are lost. */
    code = WAL_MUTATED(CUT_SYNC) ? ERR_OK : wal_sync(w, e);
    if (code != ERR_OK) {
        return code;
    }
    wal_table_cut(&w->table, index);
    w->holes_dropped += wal_holes_drop_to(&w->holes, index);
    if (w->index_durable < index) {
        w->index_durable = index; /* what a checkpoint holds is durable there */
    }
    struct wal_extent extent = w->writer.extent;
    extent.index_cut = index;
    extent.term_cut = term;
    extent.segment_first = segment_needed(w);
    if (WAL_MUTATED(CUT_FIRST)) {
        code = remove_segments(w, extent.segment_first, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    code = wal_writer_set_extent(&w->writer, &extent, e);
    if (code != ERR_OK) {
        return err_wrap(e, "log %s: cutting", w->dir);
    }
    code = remove_segments(w, extent.segment_first, e);
    if (code == ERR_OK) {
        wal_note_end(w);
        check_invariants(w);
    }
    return code;
}

void wal_keep_segments(struct wal *w, unsigned segments)
{
    CHECK(w != NULL);
    w->segments_min = segments;
}

enum err_code wal_rotate(struct wal *w, struct err *e)
{
    CHECK(w != NULL);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK || w->writer.sealed || w->writer.offset < w->layout.segment_size / 2) {
        return code;
    }
    bool done;
    code = wal_pool_step(&w->pool, 1, UINT64_MAX, &done, e);
    if (code == ERR_NO_SPACE) {
        return ERR_OK; /* it goes on in this one */
    }
    if (code != ERR_OK) {
        return wal_break(w, e);
    }
    code = wal_writer_switch(&w->writer, e);
    if (code != ERR_OK) {
        return err_wrap(e, "log %s: the next segment", w->dir);
    }
    w->index_durable = w->table.last; /* the one that ended is synced */
    check_invariants(w);
    return ERR_OK;
}

enum err_code wal_reset(struct wal *w, uint64_t index, uint64_t term, struct err *e)
{
    CHECK(w != NULL);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(w->table.cut == w->writer.extent.index_cut);
    CHECK(index >= w->table.cut);
    bool done;
    code = wal_pool_step(&w->pool, 1, UINT64_MAX, &done, e);
    if (code != ERR_OK) {
        return code == ERR_NO_SPACE ? code : wal_break(w, e);
    }
    code = wal_writer_restart(&w->writer, index, term, e);
    if (code != ERR_OK) {
        return err_wrap(e, "log %s: starting anew at %" PRIu64, w->dir, index);
    }
    w->holes_dropped += w->holes.count;
    wal_holes_clear(&w->holes);
    wal_table_reset(&w->table, index);
    w->end_unknown = false;
    w->index_durable = index;
    w->written = false;
    wal_note_end(w);
    code = remove_segments(w, w->writer.extent.segment_first, e);
    if (code == ERR_OK) {
        check_invariants(w);
    }
    return code;
}

/* --- room --- */

/* Records are not split: at the end of a segment less than one is left over. */
static uint64_t largest_record(const struct wal *w)
{
    uint64_t half = w->layout.segment_size / 2;
    uint64_t limit = (uint64_t)LIMIT_ENTRY_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX;
    CHECK(half > 0);
    return half < limit ? half : limit;
}

static uint64_t whole_records(const struct wal *w, uint64_t size)
{
    uint64_t largest = largest_record(w);
    CHECK(largest < w->layout.segment_size);
    return size > largest ? size - largest : 0;
}

static uint64_t rest_of_segment(const struct wal *w)
{
    CHECK(w->set.count > 0);
    CHECK(w->writer.offset <= w->layout.segment_size);
    return w->writer.sealed ? 0 : w->layout.segment_size - w->writer.offset;
}

uint64_t wal_record_room(size_t payload_size)
{
    /* A segment has so many identifiers that smaller records use them up first. */
    enum { SMALLEST = 256 };
    uint64_t size = WAL_RECORD_HEADER_SIZE + (uint64_t)payload_size + WAL_RECORD_ALIGNMENT;
    CHECK(size > payload_size);
    return size < SMALLEST ? SMALLEST : size;
}

uint64_t wal_room(const struct wal *w, uint64_t *unit)
{
    CHECK(w != NULL);
    uint64_t area = w->layout.segment_size - wal_segment_records_at(w->layout.segment_size);
    CHECK(area < w->layout.segment_size);
    uint64_t each = whole_records(w, area);
    CHECK(w->set.count > 0);
    CHECK(each > 0);
    if (unit != NULL) {
        *unit = each;
    }
    return whole_records(w, rest_of_segment(w)) + wal_pool_ready(&w->pool) * each;
}

enum err_code wal_prepare(struct wal *w, uint64_t size_max, bool *done, struct err *e)
{
    CHECK(w != NULL && done != NULL);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t spares = rest_of_segment(w) > w->layout.segment_size / 2 ? 1 : 2;
    code = wal_pool_step(&w->pool, spares, size_max, done, e);
    return code == ERR_OK || code == ERR_NO_SPACE ? code : wal_break(w, e);
}

/* --- small things --- */

const char *wal_lsn_text(uint64_t lsn, char dst[WAL_LSN_TEXT_SIZE])
{
    CHECK(dst != NULL);
    (void)snprintf(dst, WAL_LSN_TEXT_SIZE, "%" PRIX32 "/%08" PRIX32, (uint32_t)(lsn >> 32),
                   (uint32_t)lsn);
    return dst;
}

struct wal_stats wal_stats(const struct wal *w)
{
    CHECK(w != NULL);
    CHECK(w->set.count > 0);
    return (struct wal_stats){
        .appends = w->appends,
        .records = w->writer.records,
        .bytes = w->writer.bytes,
        .buffers_full = w->writer.buffers_full,
        .writes = w->writer.writes,
        .syncs = w->writer.syncs,
        .holes_found = w->holes_found,
        .holes_filled = w->holes_filled,
        .holes_dropped = w->holes_dropped,
        .segments = (unsigned)w->set.count,
        .segments_recycled = (unsigned)w->pool.recycled,
    };
}

/* Of holes nothing may be known, not even where they stood. */
static uint64_t lsn_behind(const struct wal *w, uint64_t index)
{
    CHECK(w->table.last >= w->table.cut);
    size_t i = wal_table_seek(&w->table, index + 1);
    while (i < w->table.count && wal_place_lsn(wal_table_place(&w->table, i)) == 0) {
        i++;
    }
    CHECK(i <= w->table.count);
    return i < w->table.count ? wal_place_lsn(wal_table_place(&w->table, i))
                              : wal_writer_lsn_end(&w->writer);
}

struct wal_position wal_position(const struct wal *w, uint64_t index)
{
    CHECK(w != NULL);
    CHECK(w->set.count > 0);
    uint64_t lsn = lsn_behind(w, index);
    uint64_t segment = wal_lsn_segment(&w->layout, lsn);
    uint64_t last = wal_set_last(&w->set);
    segment = segment < last ? segment : last; /* a sealed log ends where its next one begins */
    segment = segment > w->set.first ? segment : w->set.first;
    return (struct wal_position){
        .lsn = lsn,
        .segments_current = (unsigned)(last - segment + 1),
        .segments_checkpoint = (unsigned)(segment - w->set.first),
        .segments_recycled = (unsigned)w->pool.count,
    };
}

uint64_t wal_index_back(const struct wal *w, uint64_t segments)
{
    CHECK(w != NULL);
    CHECK(w->set.count > 0);
    uint64_t last = wal_set_last(&w->set);
    uint64_t first = segments < last ? last - segments : 0;
    size_t i = w->table.count;
    while (i > 0) {
        uint64_t at = wal_place_lsn(wal_table_place(&w->table, i - 1));
        if (at != 0 && wal_lsn_segment(&w->layout, at) < first) {
            break;
        }
        i--;
    }
    return i < w->table.count ? wal_table_index(&w->table, i) : w->table.last + 1;
}
