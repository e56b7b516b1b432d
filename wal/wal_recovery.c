/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_recovery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal_directory.h"
#include "wal/wal_mutation.h"
#include "wal/wal_settle.h"

const char *const wal_recovery_mode_names[] = {
    [WAL_TOLERATE_CORRUPTED_TAIL_RECORDS] = "tolerate_corrupted_tail_records",
    [WAL_ABSOLUTE_CONSISTENCY] = "absolute_consistency",
    [WAL_POINT_IN_TIME_RECOVERY] = "point_in_time_recovery",
    [WAL_SKIP_ANY_CORRUPTED_RECORDS] = "skip_any_corrupted_records",
    NULL,
};

struct recovery {
    struct wal *w;
    const struct wal_options *options;
    struct wal_report *report;
    struct wal_directory directory;
    struct wal_side_list sides;
    size_t side_next; /* the first one not replayed yet */
    struct wal_reader reader;
    struct wal_replay replay;
    struct wal_scan_end end; /* of the last segment */
    struct buf identifiers;  /* of the slots in the last segment */
    uint64_t segment;        /* being scanned */
    uint64_t began_us;       /* when the replay began */
    uint64_t said_us;        /* when the log last heard of it */
    bool last_incomplete;    /* the last segment's file is missing or short */
    uint64_t segment_known;  /* last one with a slot of known sequence */
    uint64_t sequence_known;
    uint64_t lsn_durable;
    uint64_t commit;
};

static const char *lsn(uint64_t value, char *dst)
{
    CHECK(dst != NULL);
    return wal_lsn_text(value, dst);
}

/* --- state: the durable position --- */

static enum err_code start_reader(struct recovery *r, uint64_t segment, struct err *e)
{
    CHECK(segment >= r->w->set.first);
    CHECK(segment <= wal_set_last(&r->w->set));
    struct file *file = NULL;
    if (wal_set_at(&r->w->set, segment)->present &&
        wal_set_file(&r->w->set, segment, &file, e) != ERR_OK) {
        return err_wrap(e, "log %s", r->w->dir);
    }
    return wal_reader_start(&r->reader, file, r->w->layout.segment_size, e);
}

static enum err_code state_durable(struct recovery *r, struct err *e)
{
    CHECK(r->lsn_durable == 0);
    CHECK(r->w->set.count > 0);
    struct wal_writer *writer = &r->w->writer;
    uint64_t last = wal_set_last(&r->w->set);
    enum err_code code = start_reader(r, last, e);
    if (code != ERR_OK) {
        return code;
    }
    /* A segment is synced before the next one is named. */
    r->lsn_durable = wal_lsn_of(&r->w->layout, last, 0);
    if (writer->extent.lsn_durable > r->lsn_durable) {
        r->lsn_durable = writer->extent.lsn_durable;
    }
    const struct wal_scan scan = {.layout = r->w->layout, .segment = last, .reader = &r->reader};
    wal_scan_statements(&scan, &r->lsn_durable, &r->commit);
    writer->lsn_durable = r->lsn_durable;
    if (r->lsn_durable == writer->extent.lsn_durable || WAL_MUTATED(EXTENT_DURABLE)) {
        return ERR_OK;
    }
    struct wal_extent extent = writer->extent;
    extent.lsn_durable = r->lsn_durable;
    return wal_writer_set_extent(writer, &extent, e);
}

/* --- replay --- */

static void fill_sides(struct recovery *r, uint64_t before)
{
    CHECK(r->side_next <= r->sides.count);
    CHECK(before > 0);
    while (r->side_next < r->sides.count && r->sides.items[r->side_next].record.lsn <= before) {
        if (r->w->role == WAL_RAFT) {
            wal_replay_fill(&r->replay, &r->sides.items[r->side_next]);
        } /* a local log never wrote one */
        r->side_next++;
    }
}

static void keep_identifier(struct recovery *r, const struct wal_found *found)
{
    CHECK(wal_lsn_segment(&r->w->layout, found->lsn) == r->segment);
    CHECK(found->verdict <= WAL_UNKNOWN);
    if (r->segment != wal_set_last(&r->w->set) || found->verdict == WAL_UNKNOWN) {
        return;
    }
    size_t max = (size_t)wal_segment_identifiers_max(r->w->layout.segment_size);
    if (r->identifiers.size >= max * WAL_IDENTIFIER_SIZE) {
        return;
    }
    const struct wal_identifier id = {
        .index = found->record.index,
        .term = found->record.term,
        .offset = (uint32_t)wal_lsn_offset(&r->w->layout, found->lsn),
        .type = found->record.type,
        .framed = found->record.frame != 0 && !WAL_MUTATED(NO_FRAME_BIT),
        .size = found->record.size,
        .payload_crc = found->record.payload_crc,
    };
    wal_identifier_encode(&id, wal_identifier_seed(r->segment, r->w->layout.log_key),
                          buf_extend(&r->identifiers, WAL_IDENTIFIER_SIZE));
}

static void log_slot(const struct recovery *r, const struct wal_found *found)
{
    CHECK(found->verdict <= WAL_UNKNOWN);
    CHECK(found->lsn != 0);
    char position[WAL_LSN_TEXT_SIZE];
    if (found->verdict == WAL_DAMAGED) {
        log_warn(r->w->log, "wal", "slot-damaged",
                 "dir=%s lsn=%s kind=%s index=%" PRIu64 " term=%" PRIu64 " size=%" PRIu32,
                 r->w->dir, lsn(found->lsn, position), wal_record_type_name(found->record.type),
                 found->record.index, found->record.term, found->record.size);
    } else if (found->verdict == WAL_UNKNOWN) {
        log_warn(r->w->log, "wal", "slot-unknown", "dir=%s lsn=%s", r->w->dir,
                 lsn(found->lsn, position));
    }
}

static void visit_slot(void *context, const struct wal_found *found)
{
    CHECK(context != NULL);
    CHECK(found->verdict <= WAL_UNKNOWN);
    struct recovery *r = context;
    fill_sides(r, found->lsn);
    wal_replay_slot(&r->replay, found);
    if (found->by_header) {
        r->segment_known = r->segment;
        r->sequence_known = found->record.sequence;
    }
    keep_identifier(r, found);
    log_slot(r, found);
}

/* How far the analysis is, at most once a second. */
static void say_progress(struct recovery *r)
{
    CHECK(r->began_us <= r->said_us);
    CHECK(r->segment >= r->w->set.first);
    enum { SECOND_US = 1000 * 1000, MS_US = 1000 };
    const struct wal *w = r->w;
    uint64_t now = io_monotonic_us(w->io);
    if (now < r->said_us + SECOND_US) {
        return;
    }
    r->said_us = now;
    uint64_t done = r->segment - w->set.first;
    uint64_t left = wal_set_last(&w->set) - r->segment + 1;
    uint64_t us = now - r->began_us;
    char position[WAL_LSN_TEXT_SIZE];
    log_info(w->log, "wal", "analysis",
             "dir=%s lsn=%s bytes_left=%" PRIu64 " bytes_per_second=%" PRIu64
             " remaining_ms=%" PRIu64,
             w->dir, lsn(wal_lsn_of(&w->layout, r->segment, 0), position),
             left * w->layout.segment_size, done * w->layout.segment_size * MS_US / (us / MS_US),
             done == 0 ? 0 : us * left / done / MS_US);
}

static enum err_code replay_segment(struct recovery *r, uint64_t segment, struct err *e)
{
    CHECK(r->lsn_durable >= wal_lsn_of(&r->w->layout, wal_set_last(&r->w->set), 0));
    CHECK(segment > r->segment);
    struct wal *w = r->w;
    r->segment = segment;
    say_progress(r);
    enum err_code code = start_reader(r, segment, e);
    if (code != ERR_OK) {
        return code;
    }
    if (!wal_set_at(&w->set, segment)->present || !wal_reader_complete(&r->reader)) {
        r->report->segments_missing++;
        r->last_incomplete = segment == wal_set_last(&w->set);
        log_warn(w->log, "wal", "segment-missing", "dir=%s segment=%" PRIu64 " size=%" PRIu64,
                 w->dir, segment, r->reader.file_size);
    }
    if (r->reader.file == NULL && WAL_MUTATED(MISSING_IS_EMPTY)) {
        return ERR_OK;
    }
    if (r->reader.file == NULL) {
        const struct wal_found unknown = {.verdict = WAL_UNKNOWN,
                                          .lsn = wal_lsn_first(&w->layout, segment)};
        visit_slot(r, &unknown);
        r->end = (struct wal_scan_end){.unknown = true};
        return ERR_OK;
    }
    const struct wal_scan scan = {
        .layout = w->layout,
        .segment = segment,
        .followed = segment < wal_set_last(&w->set),
        .lsn_durable = r->lsn_durable,
        .reader = &r->reader,
        .visit = visit_slot,
        .context = r,
    };
    wal_scan_segment(&scan, &r->end);
    if (r->end.newer) {
        return err_set(e, ERR_UNSUPPORTED,
                       "log %s: segment %" PRIu64
                       " has a record of a newer program at offset %" PRIu64,
                       w->dir, segment, r->end.offset);
    }
    return ERR_OK;
}

static enum err_code replay_all(struct recovery *r, struct err *e)
{
    CHECK(r->sides.count == 0);
    CHECK(r->w->table.count == 0);
    struct wal *w = r->w;
    enum err_code code = wal_directory_load_sides(&r->directory, w, &r->sides, e);
    if (code != ERR_OK) {
        return code;
    }
    wal_replay_init(&r->replay, &w->layout, w->role == WAL_LOCAL, &w->table, &w->writer.extent);
    r->began_us = io_monotonic_us(w->io);
    r->said_us = r->began_us;
    for (uint64_t segment = w->set.first; segment <= wal_set_last(&w->set); segment++) {
        code = replay_segment(r, segment, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    fill_sides(r, UINT64_MAX);
    wal_replay_end(&r->replay);
    return ERR_OK;
}

/* --- decide: the local WAL's recovery modes --- */

static void segment_name(const struct wal *w, uint64_t position, char dst[WAL_SEGMENT_NAME_SIZE])
{
    CHECK(position != 0);
    CHECK(w->set.count > 0);
    uint64_t segment = wal_lsn_segment(&w->layout, position);
    uint32_t timeline = segment >= w->set.first && segment <= wal_set_last(&w->set)
                            ? wal_set_at(&w->set, segment)->timeline
                            : w->writer.timeline;
    wal_segment_name(&w->layout, timeline, segment, dst);
}

static enum err_code refuse_position(const struct recovery *r, uint64_t position, const char *what,
                                     struct err *e)
{
    CHECK(position != 0);
    CHECK(what != NULL);
    const struct wal *w = r->w;
    char name[WAL_SEGMENT_NAME_SIZE];
    char text[WAL_LSN_TEXT_SIZE];
    segment_name(w, position, name);
    return err_set(e, ERR_CORRUPT,
                   "log %s: segment %s, offset %" PRIu64 " (LSN %s): %s; the recovery mode refuses "
                   "to open it",
                   w->dir, name, wal_lsn_offset(&w->layout, position), lsn(position, text), what);
}

/* Nothing whole stands behind the loss, in the last segment, which is all there. */
static bool at_the_end(const struct recovery *r, const struct wal_first_loss *loss)
{
    CHECK(loss->lsn != 0);
    CHECK(loss->found);
    return loss->entries_after == 0 && !r->last_incomplete &&
           wal_lsn_segment(&r->w->layout, loss->lsn) == wal_set_last(&r->w->set);
}

static enum err_code decide(struct recovery *r, struct err *e)
{
    CHECK(r->replay.table == &r->w->table);
    CHECK(r->side_next == r->sides.count);
    const struct wal_first_loss *loss = &r->replay.first_loss;
    struct wal *w = r->w;
    if (w->role != WAL_LOCAL) {
        return ERR_OK;
    }
    switch (w->recovery_mode) {
    case WAL_ABSOLUTE_CONSISTENCY:
        if (loss->found) {
            return refuse_position(r, loss->lsn, "damaged", e);
        }
        if (r->directory.headers_bad > 0) {
            return refuse_position(r, wal_lsn_of(&w->layout, r->directory.header_bad_first, 0),
                                   "a damaged segment header", e);
        }
        if (r->end.torn) {
            return refuse_position(r, wal_lsn_of(&w->layout, wal_set_last(&w->set), r->end.offset),
                                   "an incomplete record", e);
        }
        return ERR_OK;
    case WAL_TOLERATE_CORRUPTED_TAIL_RECORDS:
        if (loss->found && !at_the_end(r, loss)) {
            return refuse_position(r, loss->lsn, "damaged, and not at the end of the log", e);
        }
        break;
    case WAL_POINT_IN_TIME_RECOVERY:
        break;
    case WAL_SKIP_ANY_CORRUPTED_RECORDS:
        if (loss->found) {
            (void)wal_table_remove_holes(&w->table);
        }
        return ERR_OK;
    }
    if (loss->found) {
        wal_table_drop(&w->table, loss->index_kept + 1);
        r->report->stopped_at_damage = true;
        r->report->records_dropped = loss->entries_after;
        r->report->index_dropped_first = loss->index_after_first;
        r->report->index_dropped_last = loss->index_after_last;
    }
    return ERR_OK;
}

/* The answer to a loss, for every later open: in a new segment of the next
 * timeline, after what was dropped has been set aside (safety.md A9). */
static enum err_code answer_loss(struct recovery *r, struct err *e)
{
    CHECK(r->w->role == WAL_LOCAL);
    CHECK(r->replay.first_loss.found);
    struct wal *w = r->w;
    struct wal_writer *writer = &w->writer;
    uint64_t first = wal_lsn_segment(&w->layout, r->replay.first_loss.lsn);
    if (WAL_MUTATED(NO_ANSWER)) {
        return ERR_OK;
    }
    enum err_code code = wal_directory_set_aside(w, first, wal_set_last(&w->set), e);
    if (code != ERR_OK) {
        return code;
    }
    struct wal_draft drop = {
        .record = {.type = WAL_RECORD_DROP, .index = w->table.last + 1, .before = w->table.last}};
    writer->timeline++;
    writer->sealed = true;
    code = wal_writer_reserve(writer, &drop, 1, e);
    if (code == ERR_OK) {
        code = wal_writer_append(writer, &drop, 1, e);
    }
    if (code == ERR_OK) {
        code = wal_writer_sync(writer, e);
    }
    return code;
}

/* --- settle and go on --- */

/* The next record's number must be above those of all records that were lost. */
static uint64_t sequence_last(const struct recovery *r)
{
    CHECK(r->segment_known <= wal_set_last(&r->w->set));
    CHECK(r->w->set.count > 0);
    const struct wal *w = r->w;
    uint64_t least = w->writer.extent.sequence_last;
    if (r->replay.sequence != 0) {
        return r->replay.sequence > least ? r->replay.sequence : least;
    }
    uint64_t known = r->sequence_known > least ? r->sequence_known : least;
    if (r->replay.records_unknown == 0) {
        return known;
    }
    uint64_t from = r->segment_known != 0 ? r->segment_known : w->set.first;
    return known +
           (wal_set_last(&w->set) - from + 1) * (w->layout.segment_size / WAL_RECORD_HEADER_SIZE);
}

static enum err_code settle(struct recovery *r, struct err *e)
{
    CHECK(r->lsn_durable >= wal_lsn_of(&r->w->layout, wal_set_last(&r->w->set), 0));
    CHECK(r->identifiers.size % WAL_IDENTIFIER_SIZE == 0);
    struct wal *w = r->w;
    uint64_t last = wal_set_last(&w->set);
    enum err_code code = wal_directory_settle_sides(w, e);
    if (code == ERR_OK) {
        code = wal_directory_settle_headers(&r->directory, w, e);
    }
    if (code != ERR_OK || !wal_set_at(&w->set, last)->present) {
        return code;
    }
    struct file *file;
    code = wal_set_file(&w->set, last, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    uint64_t records = wal_segment_records_at(w->layout.segment_size);
    uint64_t from = r->lsn_durable - wal_lsn_of(&w->layout, last, 0);
    const struct wal_settle s = {
        .file = file,
        .segment = last,
        .from = from > records ? from : records,
        .end = r->end.offset,
        .end_unknown = r->end.unknown,
        .identifiers = r->identifiers.data,
        .identifier_count = (uint32_t)(r->identifiers.size / WAL_IDENTIFIER_SIZE),
    };
    return wal_settle_segment(&w->writer, &s, e);
}

static enum err_code go_on(struct recovery *r, struct err *e)
{
    CHECK(r->w->set.count > 0);
    CHECK(!r->w->writer.broken);
    struct wal *w = r->w;
    struct wal_writer *writer = &w->writer;
    writer->sealed = r->end.unknown;
    writer->offset = r->end.unknown ? w->layout.segment_size : r->end.offset;
    writer->sequence = sequence_last(r);
    writer->commit = r->replay.commit > r->commit ? r->replay.commit : r->commit;
    w->end_unknown = w->role == WAL_RAFT && r->replay.pending;
    w->lsn_unknown = r->replay.lsn_pending;
    w->lost = r->replay.lost;
    w->lost_count = r->replay.lost_count;
    r->replay.lost = NULL;
    wal_note_end(w);
    if (!writer->sealed) {
        writer->lsn_durable = wal_writer_lsn_end(writer);
        struct wal_extent extent = writer->extent;
        extent.lsn_durable = writer->lsn_durable;
        if (extent.lsn_durable > writer->extent.lsn_durable) {
            enum err_code code = wal_writer_set_extent(writer, &extent, e);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    if (r->replay.first_loss.found) {
        return answer_loss(r, e);
    }
    return ERR_OK;
}

static void fill_report(struct recovery *r)
{
    CHECK(r->w->set.count > 0);
    CHECK(r->replay.table == &r->w->table);
    struct wal *w = r->w;
    struct wal_report *report = r->report;
    report->loss_found = r->replay.first_loss.found;
    report->lsn_lost = r->replay.first_loss.lsn;
    report->index_kept = r->replay.first_loss.index_kept;
    report->lsn_first = wal_lsn_first(&w->layout, w->set.first);
    report->lsn_end = wal_writer_lsn_end(&w->writer);
    report->lsn_durable = r->lsn_durable;
    report->records_whole = r->replay.records_whole;
    report->records_torn = r->end.torn ? r->end.torn_records : 0;
    report->bytes_torn = r->end.torn ? r->end.torn_bytes : 0;
    report->records_damaged = r->replay.records_damaged;
    report->records_unknown = r->replay.records_unknown;
    report->segments = (unsigned)w->set.count;
    report->commit_stated = w->writer.commit;
}

static void log_report(const struct recovery *r)
{
    CHECK(r->report->lsn_first != 0);
    char first[WAL_LSN_TEXT_SIZE];
    char end[WAL_LSN_TEXT_SIZE];
    const struct wal_report *p = r->report;
    enum log_level level =
        p->records_damaged + p->records_unknown + p->segments_missing > 0 ? LOG_WARN : LOG_INFO;
    log_line(r->w->log, level, "wal", "opened",
             "dir=%s first=%s end=%s index_first=%" PRIu64 " index_last=%" PRIu64 " whole=%" PRIu64
             " torn=%" PRIu64 " damaged=%" PRIu64 " unknown=%" PRIu64 " dropped=%" PRIu64
             " missing=%u",
             r->w->dir, lsn(p->lsn_first, first), lsn(p->lsn_end, end), wal_index_first(r->w),
             wal_index_last(r->w), p->records_whole, p->records_torn, p->records_damaged,
             p->records_unknown, p->records_dropped, p->segments_missing);
}

/* No mode loses silently. */
static void log_decision(const struct recovery *r)
{
    CHECK(r->w->role == WAL_LOCAL);
    CHECK(r->report->loss_found);
    const struct wal_report *p = r->report;
    char name[WAL_SEGMENT_NAME_SIZE];
    char position[WAL_LSN_TEXT_SIZE];
    segment_name(r->w, p->lsn_lost, name);
    log_warn(r->w->log, "wal", "recovery-mode-decided",
             "dir=%s mode=%s segment=%s offset=%" PRIu64 " lsn=%s index_kept=%" PRIu64
             " index_last=%" PRIu64 " dropped=%" PRIu64 " dropped_first=%" PRIu64
             " dropped_last=%" PRIu64 " set_aside=lost",
             r->w->dir, wal_recovery_mode_names[r->w->recovery_mode], name,
             wal_lsn_offset(&r->w->layout, p->lsn_lost), lsn(p->lsn_lost, position), p->index_kept,
             wal_index_last(r->w), p->records_dropped, p->index_dropped_first,
             p->index_dropped_last);
}

static enum err_code recover(struct recovery *r, struct err *e)
{
    CHECK(r->w != NULL && r->options != NULL);
    CHECK(r->report != NULL);
    enum err_code code = wal_directory_find(&r->directory, r->w, r->options, e);
    if (code == ERR_OK) {
        r->report->segments_missing += r->directory.headers_bad;
        code = state_durable(r, e);
    }
    if (code == ERR_OK) {
        code = replay_all(r, e);
    }
    if (code == ERR_OK) {
        code = decide(r, e);
    }
    if (code == ERR_OK) {
        code = settle(r, e);
    }
    if (code == ERR_OK) {
        code = go_on(r, e);
    }
    if (code == ERR_OK) {
        wal_holes_rebuild(&r->w->holes, &r->w->table);
        fill_report(r);
        log_report(r);
        if (r->report->loss_found) {
            log_decision(r);
        }
    }
    return code;
}

enum err_code wal_recover(struct wal *w, const struct wal_options *options,
                          struct wal_report *report, struct err *e)
{
    CHECK(options->io != NULL && report != NULL);
    CHECK(w->set.count == 0);
    CHECK(w->table.count == 0);
    struct recovery r = {.w = w, .options = options, .report = report};
    *report = (struct wal_report){0};
    wal_reader_init(&r.reader);
    enum err_code code = recover(&r, e);
    wal_reader_deinit(&r.reader);
    wal_replay_deinit(&r.replay);
    wal_side_list_deinit(&r.sides);
    wal_directory_deinit(&r.directory);
    buf_deinit(&r.identifiers);
    return code;
}
