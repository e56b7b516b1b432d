/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the log of a stopped node: wal_inspect(). Nothing is written, no
 * extent is known: the log is what its segments say. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal.h"
#include "wal/wal_replay.h"
#include "wal/wal_set.h"

struct inspected {
    uint64_t number;
    uint32_t timeline;
    bool side;
};

struct inspection {
    struct io *io;
    const char *dir;
    struct wal_report *report;
    bool (*visit)(void *context, const struct wal_view *view);
    void *context;

    struct io_name *names;
    size_t name_count;
    struct wal_layout layout;
    unsigned role;
    unsigned headers_bad;
    struct wal_set set;
    struct wal_table table;
    struct wal_replay replay;
    struct wal_side_list sides;
    size_t side_next;
    struct wal_reader reader;
    struct wal_scan_end end;
    struct buf payload;
    uint64_t segment;
    uint64_t lsn_durable;
    uint64_t commit;
    uint64_t index_low; /* lowest index of the first records found */
    bool stopped;
    bool replayed; /* the table is complete: slots are shown now */
};

/* --- which log is it --- */

static enum err_code read_header(struct inspection *s, const char *name,
                                 struct wal_segment_header *header, enum wal_record_check *check,
                                 struct err *e)
{
    CHECK(header != NULL && check != NULL);
    CHECK(strlen(name) == WAL_SEGMENT_NAME_SIZE - 1);
    char path[IO_PATH_MAX];
    struct file *file;
    enum err_code code = io_join(path, s->dir, name, e);
    if (code == ERR_OK) {
        code = io_open(s->io, path, IO_READ, &file, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    *check = file_read_exact(file, 0, bytes, sizeof bytes, NULL) == ERR_OK
                 ? wal_segment_header_decode(bytes, header)
                 : WAL_RECORD_BAD;
    file_close(file);
    return ERR_OK;
}

static bool is_segment_name(const struct io_name *name)
{
    CHECK(name != NULL);
    CHECK(name->name[0] != '\0');
    return !name->is_dir && strlen(name->name) == WAL_SEGMENT_NAME_SIZE - 1 &&
           strspn(name->name, "0123456789ABCDEF") == WAL_SEGMENT_NAME_SIZE - 1;
}

/* Any intact segment header tells size, role and key of the log. */
static enum err_code identify(struct inspection *s, struct err *e)
{
    CHECK(s->layout.log_key == 0);
    CHECK(s->names != NULL || s->name_count == 0);
    unsigned segments = 0;
    for (size_t i = 0; i < s->name_count; i++) {
        if (!is_segment_name(&s->names[i])) {
            continue;
        }
        segments++;
        struct wal_segment_header h;
        enum wal_record_check check;
        enum err_code code = read_header(s, s->names[i].name, &h, &check, e);
        if (code != ERR_OK) {
            return code;
        }
        if (check == WAL_RECORD_NEWER) {
            return err_set(e, ERR_UNSUPPORTED, "log %s: segment %s has a newer format", s->dir,
                           s->names[i].name);
        }
        if (check == WAL_RECORD_BAD) {
            s->headers_bad++;
        } else if (s->layout.log_key == 0) {
            s->role = h.role;
            s->layout = (struct wal_layout){h.segment_size, wal_log_key(h.directory_id, h.role)};
        }
    }
    if (segments == 0) {
        return err_set(e, ERR_NOT_FOUND, "log %s: no segment", s->dir);
    }
    if (s->layout.log_key == 0) {
        return err_set(e, ERR_CORRUPT, "log %s: none of %u segment headers is intact", s->dir,
                       segments);
    }
    return ERR_OK;
}

static int compare(const void *a, const void *b)
{
    CHECK(a != NULL && b != NULL);
    uint64_t x = ((const struct inspected *)a)->number;
    uint64_t y = ((const struct inspected *)b)->number;
    return x < y ? -1 : x > y;
}

static bool has_side(const struct inspection *s, const char *segment)
{
    CHECK(s->names != NULL);
    CHECK(strlen(segment) == WAL_SEGMENT_NAME_SIZE - 1);
    for (size_t i = 0; i < s->name_count; i++) {
        if (strncmp(s->names[i].name, segment, WAL_SEGMENT_NAME_SIZE - 1) == 0 &&
            strcmp(s->names[i].name + WAL_SEGMENT_NAME_SIZE - 1, ".side") == 0) {
            return true;
        }
    }
    return false;
}

/* Numbers between the lowest and the highest that have no file are missing. */
static enum err_code fill_set(struct inspection *s, struct err *e)
{
    CHECK(s->set.count == 0);
    CHECK(wal_segment_size_valid(s->layout.segment_size));
    struct inspected *found = mem_array(s->name_count + 1, sizeof *found);
    size_t count = 0;
    for (size_t i = 0; i < s->name_count; i++) {
        struct inspected *item = &found[count];
        if (is_segment_name(&s->names[i]) &&
            wal_segment_name_parse(s->layout.segment_size, s->names[i].name, &item->timeline,
                                   &item->number)) {
            item->side = has_side(s, s->names[i].name);
            count++;
        }
    }
    qsort(found, count, sizeof *found, compare);
    enum err_code code = ERR_OK;
    if (count == 0 || found[count - 1].number - found[0].number > s->name_count + UINT16_MAX) {
        code =
            err_set(e, ERR_CORRUPT, "log %s: the names of its segments don't make a log", s->dir);
    } else {
        wal_set_clear(&s->set, found[0].number);
    }
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        struct wal_set_item missing = {.timeline = found[i].timeline};
        while (wal_set_last(&s->set) + 1 < found[i].number) {
            wal_set_push(&s->set, &missing);
        }
        if (s->set.count > 0 && wal_set_last(&s->set) == found[i].number) {
            code = err_set(e, ERR_CORRUPT, "log %s: two files are segment %" PRIu64, s->dir,
                           found[i].number);
            break;
        }
        struct wal_set_item item = missing;
        item.present = true;
        item.side = found[i].side;
        wal_set_push(&s->set, &item);
    }
    mem_free(found);
    return code;
}

/* --- reading --- */

static enum err_code open_segment(struct inspection *s, uint64_t segment, struct file **file,
                                  struct err *e)
{
    CHECK(file != NULL);
    CHECK(segment >= s->set.first && segment <= wal_set_last(&s->set));
    char path[IO_PATH_MAX];
    *file = NULL;
    if (!wal_set_at(&s->set, segment)->present) {
        return wal_reader_start(&s->reader, NULL, s->layout.segment_size, e);
    }
    enum err_code code = wal_set_path(&s->set, segment, path, e);
    if (code == ERR_OK) {
        code = io_open(s->io, path, IO_READ, file, e);
    }
    if (code == ERR_OK) {
        code = wal_reader_start(&s->reader, *file, s->layout.segment_size, e);
        if (code != ERR_OK) {
            file_close(*file);
        }
    }
    return code;
}

static void fill_sides(struct inspection *s, uint64_t before)
{
    CHECK(s->side_next <= s->sides.count);
    CHECK(!s->replayed);
    while (s->side_next < s->sides.count && s->sides.items[s->side_next].record.lsn <= before) {
        if (s->role == WAL_RAFT) {
            wal_replay_fill(&s->replay, &s->sides.items[s->side_next]);
        }
        s->side_next++;
    }
}

static bool replaced(const struct inspection *s, const struct wal_found *found)
{
    CHECK(found->lsn != 0);
    CHECK(s->replayed);
    if (found->verdict == WAL_UNKNOWN || !wal_record_is_entry(found->record.type)) {
        return false;
    }
    const struct wal_place *place = wal_table_at(&s->table, found->record.index);
    if (place == NULL) {
        return true;
    }
    return wal_place_state(place) != WAL_PLACE_UNKNOWN && !wal_place_side(place) &&
           wal_place_lsn(place) != found->lsn;
}

static struct bytes payload_of(struct inspection *s, const struct wal_found *found)
{
    CHECK(found->verdict == WAL_WHOLE);
    CHECK(wal_lsn_segment(&s->layout, found->lsn) == s->segment);
    buf_reset(&s->payload);
    uint64_t at = wal_lsn_offset(&s->layout, found->lsn) + WAL_RECORD_HEADER_SIZE;
    for (uint32_t left = found->record.size; left > 0;) {
        size_t part = left < WAL_READER_SPAN_MAX ? left : WAL_READER_SPAN_MAX;
        buf_put(&s->payload, wal_reader_at(&s->reader, at, part), part);
        at += part;
        left -= (uint32_t)part;
    }
    return buf_bytes(&s->payload);
}

static void show(struct inspection *s, const struct wal_found *found, const char *verdict)
{
    CHECK(s->replayed);
    CHECK(found->lsn != 0);
    if (s->visit == NULL || s->stopped) {
        return;
    }
    const struct wal_record *r = &found->record;
    bool known = found->verdict == WAL_WHOLE || found->verdict == WAL_DAMAGED;
    struct wal_view view = {
        .lsn = found->lsn,
        .sequence = r->sequence,
        .index = r->index,
        .term = r->term,
        .commit = r->commit,
        .lsn_durable = r->lsn_durable,
        .segment = s->segment,
        .vgroups = r->vgroups,
        .size = r->size,
        .kind = known ? wal_record_type_name(r->type) : "unknown",
        .verdict = verdict,
        .replaced = replaced(s, found),
    };
    if (found->verdict == WAL_WHOLE) {
        view.payload = payload_of(s, found);
    }
    s->stopped = !s->visit(s->context, &view);
}

static void visit_slot(void *context, const struct wal_found *found)
{
    CHECK(found->lsn != 0);
    CHECK(context != NULL);
    CHECK(found->verdict <= WAL_UNKNOWN);
    struct inspection *s = context;
    if (s->replayed) {
        show(s, found, wal_verdict_name(found->verdict));
        return;
    }
    fill_sides(s, found->lsn);
    wal_replay_slot(&s->replay, found);
}

static void visit_lowest(void *context, const struct wal_found *found)
{
    CHECK(found->lsn != 0);
    CHECK(context != NULL);
    CHECK(found->verdict <= WAL_UNKNOWN);
    struct inspection *s = context;
    if (found->verdict != WAL_UNKNOWN && found->record.index > 0 &&
        found->record.index < s->index_low) {
        s->index_low = found->record.index;
    }
}

static enum err_code scan_segment(struct inspection *s, uint64_t segment,
                                  void (*visit)(void *context, const struct wal_found *found),
                                  struct err *e)
{
    CHECK(segment >= s->set.first && segment <= wal_set_last(&s->set));
    CHECK(visit != NULL);
    struct file *file;
    s->segment = segment;
    enum err_code code = open_segment(s, segment, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    const struct wal_scan scan = {
        .layout = s->layout,
        .segment = segment,
        .followed = segment < wal_set_last(&s->set),
        .lsn_durable = s->lsn_durable,
        .reader = &s->reader,
        .visit = visit,
        .context = s,
    };
    if (file == NULL) {
        const struct wal_found unknown = {.verdict = WAL_UNKNOWN,
                                          .lsn = wal_lsn_first(&s->layout, segment)};
        visit(s, &unknown);
        return ERR_OK;
    }
    wal_scan_segment(&scan, &s->end);
    if (s->replayed && s->end.torn) {
        const struct wal_found torn = {.verdict = WAL_TORN,
                                       .lsn = wal_lsn_of(&s->layout, segment, s->end.offset)};
        show(s, &torn, "torn");
    }
    if (s->end.newer) {
        code = err_set(e, ERR_UNSUPPORTED, "log %s: a record of a newer program at offset %" PRIu64,
                       s->dir, s->end.offset);
    }
    file_close(file);
    return code;
}

static enum err_code scan_all(struct inspection *s,
                              void (*visit)(void *context, const struct wal_found *found),
                              struct err *e)
{
    CHECK(visit != NULL);
    CHECK(s->set.count > 0);
    for (uint64_t n = s->set.first; n <= wal_set_last(&s->set) && !s->stopped; n++) {
        enum err_code code = scan_segment(s, n, visit, e);
        if (code != ERR_OK) {
            return code;
        }
        if (visit == visit_lowest && s->index_low != UINT64_MAX) {
            return ERR_OK; /* the first records are enough */
        }
    }
    return ERR_OK;
}

static enum err_code state_durable(struct inspection *s, struct err *e)
{
    CHECK(s->set.count > 0);
    CHECK(s->lsn_durable == 0);
    struct file *file;
    uint64_t last = wal_set_last(&s->set);
    enum err_code code = open_segment(s, last, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    s->lsn_durable = wal_lsn_of(&s->layout, last, 0);
    const struct wal_scan scan = {.layout = s->layout, .segment = last, .reader = &s->reader};
    wal_scan_statements(&scan, &s->lsn_durable, &s->commit);
    file_close(file);
    return ERR_OK;
}

static enum err_code load_sides(struct inspection *s, struct err *e)
{
    CHECK(s->layout.log_key != 0);
    CHECK(s->sides.count == 0);
    for (uint64_t n = s->set.first; n <= wal_set_last(&s->set); n++) {
        if (!wal_set_at(&s->set, n)->side) {
            continue;
        }
        char path[IO_PATH_MAX];
        char side[IO_PATH_MAX];
        struct file *file;
        uint64_t end;
        enum err_code code = wal_set_path(&s->set, n, path, e);
        if (code == ERR_OK) {
            code = wal_side_path(path, side, e);
        }
        if (code == ERR_OK) {
            code = io_open(s->io, side, IO_READ, &file, e);
        }
        if (code != ERR_OK) {
            return code;
        }
        code = wal_side_load(file, n, s->layout.log_key, &s->sides, &end, e);
        file_close(file);
        if (code != ERR_OK) {
            return code;
        }
    }
    wal_side_list_sort(&s->sides);
    return ERR_OK;
}

static void fill_report(struct inspection *s)
{
    CHECK(s->side_next == s->sides.count);
    CHECK(s->set.count > 0);
    *s->report = (struct wal_report){
        .lsn_first = wal_lsn_first(&s->layout, s->set.first),
        .lsn_end = s->end.unknown ? wal_lsn_first(&s->layout, wal_set_last(&s->set) + 1)
                                  : wal_lsn_of(&s->layout, wal_set_last(&s->set), s->end.offset),
        .lsn_durable = s->lsn_durable,
        .records_whole = s->replay.records_whole,
        .records_torn = s->end.torn ? s->end.torn_records : 0,
        .bytes_torn = s->end.torn ? s->end.torn_bytes : 0,
        .records_damaged = s->replay.records_damaged,
        .records_unknown = s->replay.records_unknown,
        .segments_missing = s->headers_bad,
        .segments = (unsigned)s->set.count,
        .commit_stated = s->commit > s->replay.commit ? s->commit : s->replay.commit,
    };
    for (uint64_t n = s->set.first; n <= wal_set_last(&s->set); n++) {
        s->report->segments_missing += !wal_set_at(&s->set, n)->present;
    }
}

static enum err_code inspect(struct inspection *s, struct err *e)
{
    CHECK(!s->replayed);
    CHECK(s->layout.log_key == 0);
    enum err_code code = io_list(s->io, s->dir, &s->names, &s->name_count, e);
    if (code == ERR_OK) {
        code = identify(s, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    wal_set_init(&s->set, s->io, s->dir, &s->layout, 1);
    code = fill_set(s, e);
    if (code == ERR_OK) {
        code = load_sides(s, e);
    }
    if (code == ERR_OK) {
        code = state_durable(s, e);
    }
    if (code == ERR_OK) {
        code = scan_all(s, visit_lowest, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    uint64_t cut = s->index_low == UINT64_MAX ? 0 : s->index_low - 1;
    const struct wal_extent segments = {.segment_first = s->set.first,
                                        .segment_last = wal_set_last(&s->set)};
    wal_table_init(&s->table, s->role == WAL_LOCAL, cut);
    wal_replay_init(&s->replay, &s->layout, s->role == WAL_LOCAL, &s->table, &segments);
    code = scan_all(s, visit_slot, e);
    if (code != ERR_OK) {
        return code;
    }
    fill_sides(s, UINT64_MAX);
    wal_replay_end(&s->replay);
    fill_report(s);
    s->replayed = true;
    return s->visit == NULL ? ERR_OK : scan_all(s, visit_slot, e);
}

enum err_code wal_inspect(struct io *io, const char *dir, struct wal_report *report,
                          bool (*visit)(void *context, const struct wal_view *view), void *context,
                          struct err *e)
{
    CHECK(io != NULL && dir != NULL);
    CHECK(report != NULL);
    struct inspection s = {.io = io,
                           .dir = dir,
                           .report = report,
                           .visit = visit,
                           .context = context,
                           .index_low = UINT64_MAX};
    *report = (struct wal_report){0};
    wal_reader_init(&s.reader);
    enum err_code code = inspect(&s, e);
    wal_reader_deinit(&s.reader);
    wal_replay_deinit(&s.replay);
    wal_table_deinit(&s.table);
    wal_side_list_deinit(&s.sides);
    if (s.layout.log_key != 0) {
        wal_set_deinit(&s.set);
    }
    buf_deinit(&s.payload);
    mem_free(s.names);
    return code;
}
