/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_inspect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wal/wal_outline.h"
#include "wal/wal_replay.h"

/* A position that something missing is known by. */
struct loss {
    uint64_t lsn;
    bool shown; /* a slot stands there */
};

/* A slot that lost its identity: the headers around it tell what may have stood
 * there. */
struct unknown {
    uint64_t lsn;
    uint64_t above; /* index of the header before it */
    uint64_t below; /* of the header behind it; 0: none yet */
};

struct wal_inspection {
    struct io *io;
    const char *dir;
    const struct wal_visitor *visitor;
    struct wal_report *report;

    struct wal_outline outline;
    struct wal_table table;
    struct wal_replay replay;
    struct wal_side_list sides;
    size_t side_next;
    struct loss *losses; /* by LSN */
    size_t loss_count;
    size_t loss_capacity;
    struct unknown *unknowns; /* by LSN */
    size_t unknown_count;
    size_t unknown_capacity;
    uint64_t index_header; /* of the last header seen */
    struct wal_reader reader;
    struct wal_scan_end end;
    struct buf payload;
    uint64_t segment;
    uint64_t lsn_durable;
    uint64_t commit;
    uint64_t index_low; /* lowest index of the first records found */
    size_t position;    /* in the table, of the next entry to give */
    struct file *file;  /* of the last entry given, NULL: none */
    bool in_side;       /* it is a side file */
    bool stopped;
    bool replayed; /* the table is complete: slots are shown now */
};

/* --- reading --- */

static enum err_code open_segment(struct wal_inspection *s, uint64_t segment, struct file **file,
                                  struct err *e)
{
    CHECK(file != NULL);
    CHECK(segment >= s->outline.set.first && segment <= wal_set_last(&s->outline.set));
    char path[IO_PATH_MAX];
    *file = NULL;
    if (!wal_set_at(&s->outline.set, segment)->present) {
        return wal_reader_start(&s->reader, NULL, s->outline.layout.segment_size, e);
    }
    enum err_code code = wal_set_path(&s->outline.set, segment, path, e);
    if (code == ERR_OK) {
        code = io_open(s->io, path, IO_READ, file, e);
    }
    if (code == ERR_OK) {
        code = wal_reader_start(&s->reader, *file, s->outline.layout.segment_size, e);
        if (code != ERR_OK) {
            file_close(*file);
        }
    }
    return code;
}

static void fill_sides(struct wal_inspection *s, uint64_t before)
{
    CHECK(s->side_next <= s->sides.count);
    CHECK(!s->replayed);
    while (s->side_next < s->sides.count && s->sides.items[s->side_next].record.lsn <= before) {
        if (s->outline.role == WAL_RAFT) {
            wal_replay_fill(&s->replay, &s->sides.items[s->side_next]);
        }
        s->side_next++;
    }
}

/* --- in which state a slot is --- */

static int compare_losses(const void *a, const void *b)
{
    CHECK(a != NULL && b != NULL);
    uint64_t x = ((const struct loss *)a)->lsn;
    uint64_t y = ((const struct loss *)b)->lsn;
    return x < y ? -1 : x > y;
}

static void add_loss(struct wal_inspection *s, uint64_t lsn)
{
    CHECK(s->loss_count <= s->loss_capacity);
    CHECK(!s->replayed);
    if (lsn != 0) {
        s->losses = mem_grow(s->losses, &s->loss_capacity, s->loss_count + 1, sizeof *s->losses);
        s->losses[s->loss_count++] = (struct loss){.lsn = lsn};
    }
}

static void sort_losses(struct wal_inspection *s)
{
    CHECK(s->loss_count > 0);
    CHECK(s->losses != NULL);
    qsort(s->losses, s->loss_count, sizeof *s->losses, compare_losses);
    size_t kept = 1;
    for (size_t i = 1; i < s->loss_count; i++) {
        if (s->losses[i].lsn != s->losses[kept - 1].lsn) {
            s->losses[kept++] = s->losses[i];
        }
    }
    s->loss_count = kept;
}

/* The replay has ended: what is missing now. */
static void find_losses(struct wal_inspection *s)
{
    CHECK(s->loss_count == 0);
    CHECK(s->side_next == s->sides.count);
    if (s->outline.role == WAL_LOCAL) {
        for (size_t i = 0; i < s->replay.loss_count; i++) {
            add_loss(s, s->replay.losses[i]);
        }
    } else {
        for (size_t i = 0; i < s->table.count; i++) {
            const struct wal_place *place = wal_table_place(&s->table, i);
            if (wal_place_state(place) != WAL_PLACE_WHOLE) {
                add_loss(s, wal_place_lsn(place));
            }
        }
        if (s->replay.pending) {
            add_loss(s, s->replay.lsn_pending);
        }
    }
    if (s->loss_count > 0) {
        sort_losses(s);
    }
}

static struct loss *loss_at(const struct wal_inspection *s, uint64_t lsn)
{
    CHECK(lsn != 0);
    const struct loss key = {.lsn = lsn};
    return s->loss_count == 0
               ? NULL
               : bsearch(&key, s->losses, s->loss_count, sizeof *s->losses, compare_losses);
}

static bool in_side_file(const struct wal_inspection *s, uint64_t lsn)
{
    CHECK(lsn != 0);
    for (size_t i = 0; i < s->sides.count; i++) {
        if (s->sides.items[i].record.frame == lsn) {
            return true;
        }
    }
    return false;
}

static void note_header(struct wal_inspection *s, const struct wal_found *found)
{
    CHECK(!s->replayed);
    CHECK(found->lsn != 0);
    if (found->verdict == WAL_UNKNOWN) {
        s->unknowns =
            mem_grow(s->unknowns, &s->unknown_capacity, s->unknown_count + 1, sizeof *s->unknowns);
        s->unknowns[s->unknown_count++] =
            (struct unknown){.lsn = found->lsn, .above = s->index_header};
        return;
    }
    for (size_t i = s->unknown_count; i > 0 && s->unknowns[i - 1].below == 0; i--) {
        s->unknowns[i - 1].below = found->record.index;
    }
    s->index_header = found->record.index;
}

static const struct unknown *unknown_at(const struct wal_inspection *s, uint64_t lsn)
{
    CHECK(lsn != 0);
    for (size_t i = 0; i < s->unknown_count; i++) {
        if (s->unknowns[i].lsn == lsn) {
            return &s->unknowns[i];
        }
    }
    return NULL;
}

/* A hole of which the log knows neither place nor more than its term, between the
 * headers around a slot: that slot is where it stood. */
static bool stood_there(const struct unknown *u, uint64_t index, const struct wal_place *place)
{
    CHECK(u->lsn != 0);
    CHECK(index > 0);
    return wal_place_state(place) != WAL_PLACE_WHOLE &&
           (wal_place_lsn(place) == u->lsn ||
            (wal_place_lsn(place) == 0 && index > u->above && index < u->below));
}

/* Whether something that stood in the slot is missing now (its indexes go into the
 * view), or was filled from outside. */
static enum wal_slot_state state_of_unknown(const struct wal_inspection *s, struct wal_view *view)
{
    CHECK(s->replayed);
    CHECK(view->lsn != 0);
    const struct unknown *u = unknown_at(s, view->lsn);
    bool side = in_side_file(s, view->lsn);
    for (size_t i = 0; u != NULL && i < s->table.count; i++) {
        uint64_t index = wal_table_index(&s->table, i);
        const struct wal_place *place = wal_table_place(&s->table, i);
        if (stood_there(u, index, place)) {
            view->index = view->index == 0 ? index : view->index;
            view->index_last = index;
        }
        side = side || (wal_place_side(place) && index > u->above && index < u->below);
    }
    struct loss *loss = loss_at(s, view->lsn);
    if (loss != NULL) {
        loss->shown = true;
    }
    return loss != NULL || view->index != 0 ? WAL_SLOT_LOST
           : side                           ? WAL_SLOT_REPAIRED
                                            : WAL_SLOT_SETTLED;
}

/* Of a whole entry: whether it is what the log has at its index, here or as a copy
 * in a side file. */
static enum wal_slot_state state_of_whole(const struct wal_inspection *s,
                                          const struct wal_found *found)
{
    CHECK(found->verdict == WAL_WHOLE);
    CHECK(wal_record_is_entry(found->record.type));
    const struct wal_place *place = wal_table_at(&s->table, found->record.index);
    if (place == NULL) {
        return WAL_SLOT_REPLACED;
    }
    if (wal_place_state(place) == WAL_PLACE_UNKNOWN) {
        return WAL_SLOT_DOUBTED;
    }
    bool same = wal_place_side(place)
                    ? place->term == found->record.term && place->size == found->record.size &&
                          place->crc == found->record.payload_crc
                    : wal_place_lsn(place) == found->lsn;
    return same ? WAL_SLOT_HELD : WAL_SLOT_REPLACED;
}

static enum wal_slot_state state_of(const struct wal_inspection *s, const struct wal_found *found)
{
    CHECK(found->verdict != WAL_UNKNOWN);
    CHECK(s->replayed);
    if (found->verdict == WAL_TORN) {
        return WAL_SLOT_TORN;
    }
    if (found->verdict == WAL_WHOLE) {
        if (!wal_record_is_entry(found->record.type)) {
            return WAL_SLOT_HELD;
        }
        return state_of_whole(s, found);
    }
    struct loss *loss = loss_at(s, found->lsn);
    if (loss != NULL) {
        loss->shown = true;
        return WAL_SLOT_LOST;
    }
    return in_side_file(s, found->lsn) ? WAL_SLOT_REPAIRED : WAL_SLOT_SETTLED;
}

/* --- showing --- */

static struct bytes payload_of(struct wal_inspection *s, uint64_t lsn, uint32_t size)
{
    CHECK(wal_lsn_segment(&s->outline.layout, lsn) == s->segment);
    CHECK(size <= WAL_RECORD_SIZE_MAX);
    buf_reset(&s->payload);
    wal_reader_copy(&s->reader, wal_lsn_offset(&s->outline.layout, lsn) + WAL_RECORD_HEADER_SIZE,
                    size, &s->payload);
    return buf_bytes(&s->payload);
}

static void show(struct wal_inspection *s, const struct wal_found *found)
{
    CHECK(s->replayed);
    CHECK(found->lsn != 0);
    struct wal_view view = wal_view_of(found, WAL_SLOT_LOST);
    view.segment = s->segment;
    view.state = found->verdict == WAL_UNKNOWN ? state_of_unknown(s, &view) : state_of(s, found);
    if (s->visitor->slot == NULL || s->stopped) {
        return;
    }
    if (found->verdict == WAL_WHOLE) {
        view.payload = payload_of(s, found->lsn, found->record.size);
    }
    s->stopped = !s->visitor->slot(s->visitor->context, &view);
}

static void show_problem(const struct wal_inspection *s, const struct wal_problem *problem)
{
    CHECK(problem->what != NULL);
    CHECK(s->replayed);
    if (s->visitor->problem != NULL && !s->stopped) {
        s->visitor->problem(s->visitor->context, problem);
    }
}

static void show_segment(struct wal_inspection *s, uint64_t segment, const char *what)
{
    CHECK(segment > 0);
    CHECK(what != NULL);
    const struct wal_problem problem = {
        .what = what, .segment = segment, .lsn = wal_lsn_of(&s->outline.layout, segment, 0)};
    show_problem(s, &problem);
}

static void visit_slot(void *context, const struct wal_found *found)
{
    CHECK(found->lsn != 0);
    CHECK(context != NULL);
    CHECK(found->verdict <= WAL_UNKNOWN);
    struct wal_inspection *s = context;
    if (s->replayed) {
        show(s, found);
        return;
    }
    note_header(s, found);
    fill_sides(s, found->lsn);
    wal_replay_slot(&s->replay, found);
}

static void visit_lowest(void *context, const struct wal_found *found)
{
    CHECK(found->lsn != 0);
    CHECK(context != NULL);
    CHECK(found->verdict <= WAL_UNKNOWN);
    struct wal_inspection *s = context;
    if (found->verdict != WAL_UNKNOWN && found->record.index > 0 &&
        found->record.index < s->index_low) {
        s->index_low = found->record.index;
    }
}

static enum err_code scan_segment(struct wal_inspection *s, uint64_t segment,
                                  void (*visit)(void *context, const struct wal_found *found),
                                  struct err *e)
{
    CHECK(segment >= s->outline.set.first && segment <= wal_set_last(&s->outline.set));
    CHECK(visit != NULL);
    struct file *file;
    s->segment = segment;
    enum err_code code = open_segment(s, segment, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    const struct wal_scan scan = {
        .layout = s->outline.layout,
        .segment = segment,
        .followed = segment < wal_set_last(&s->outline.set),
        .lsn_durable = s->lsn_durable,
        .reader = &s->reader,
        .visit = visit,
        .context = s,
    };
    if (file == NULL) {
        const struct wal_found unknown = {.verdict = WAL_UNKNOWN,
                                          .lsn = wal_lsn_first(&s->outline.layout, segment)};
        visit(s, &unknown);
        return ERR_OK;
    }
    if (s->replayed && !wal_reader_complete(&s->reader)) {
        show_segment(s, segment, "segment short");
    }
    wal_scan_segment(&scan, &s->end);
    if (s->replayed && s->end.torn) {
        const struct wal_found torn = {
            .verdict = WAL_TORN, .lsn = wal_lsn_of(&s->outline.layout, segment, s->end.offset)};
        show(s, &torn);
    }
    if (s->end.newer) {
        code = err_set(e, ERR_UNSUPPORTED, "log %s: a record of a newer program at offset %" PRIu64,
                       s->dir, s->end.offset);
    }
    file_close(file);
    return code;
}

static enum err_code scan_all(struct wal_inspection *s,
                              void (*visit)(void *context, const struct wal_found *found),
                              struct err *e)
{
    CHECK(visit != NULL);
    CHECK(s->outline.set.count > 0);
    for (uint64_t n = s->outline.set.first; n <= wal_set_last(&s->outline.set) && !s->stopped;
         n++) {
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

static enum err_code state_durable(struct wal_inspection *s, struct err *e)
{
    CHECK(s->outline.set.count > 0);
    CHECK(s->lsn_durable == 0);
    struct file *file;
    uint64_t last = wal_set_last(&s->outline.set);
    enum err_code code = open_segment(s, last, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    s->lsn_durable = wal_lsn_of(&s->outline.layout, last, 0);
    const struct wal_scan scan = {
        .layout = s->outline.layout, .segment = last, .reader = &s->reader};
    wal_scan_statements(&scan, &s->lsn_durable, &s->commit);
    file_close(file);
    return ERR_OK;
}

static enum err_code load_sides(struct wal_inspection *s, struct err *e)
{
    CHECK(s->outline.layout.log_key != 0);
    CHECK(s->sides.count == 0);
    for (uint64_t n = s->outline.set.first; n <= wal_set_last(&s->outline.set); n++) {
        if (!wal_set_at(&s->outline.set, n)->side) {
            continue;
        }
        char path[IO_PATH_MAX];
        char side[IO_PATH_MAX];
        struct file *file;
        uint64_t end;
        enum err_code code = wal_set_path(&s->outline.set, n, path, e);
        if (code == ERR_OK) {
            code = wal_side_path(path, side, e);
        }
        if (code == ERR_OK) {
            code = io_open(s->io, side, IO_READ, &file, e);
        }
        if (code != ERR_OK) {
            return code;
        }
        code = wal_side_load(file, n, s->outline.layout.log_key, &s->sides, &end, e);
        file_close(file);
        if (code != ERR_OK) {
            return code;
        }
    }
    wal_side_list_sort(&s->sides);
    return ERR_OK;
}

static void fill_report(struct wal_inspection *s)
{
    CHECK(s->side_next == s->sides.count);
    CHECK(s->outline.set.count > 0);
    const struct wal_first_loss *loss = &s->replay.first_loss;
    *s->report = (struct wal_report){
        .loss_found = loss->found,
        .lsn_lost = loss->lsn,
        .index_kept = loss->index_kept,
        .lsn_first = wal_lsn_first(&s->outline.layout, s->outline.set.first),
        .lsn_end =
            s->end.unknown
                ? wal_lsn_first(&s->outline.layout, wal_set_last(&s->outline.set) + 1)
                : wal_lsn_of(&s->outline.layout, wal_set_last(&s->outline.set), s->end.offset),
        .lsn_durable = s->lsn_durable,
        .records_whole = s->replay.records_whole,
        .records_torn = s->end.torn ? s->end.torn_records : 0,
        .bytes_torn = s->end.torn ? s->end.torn_bytes : 0,
        .records_damaged = s->replay.records_damaged,
        .records_unknown = s->replay.records_unknown,
        .segments_missing = s->outline.headers_bad,
        .segments = (unsigned)s->outline.set.count,
        .commit_stated = s->commit > s->replay.commit ? s->commit : s->replay.commit,
    };
    for (uint64_t n = s->outline.set.first; n <= wal_set_last(&s->outline.set); n++) {
        s->report->segments_missing += !wal_set_at(&s->outline.set, n)->present;
    }
}

/* --- problems: what is missing without a slot --- */

static enum err_code show_segments(struct wal_inspection *s, struct err *e)
{
    CHECK(s->replayed);
    CHECK(s->outline.set.count > 0);
    for (uint64_t n = s->outline.set.first; n <= wal_set_last(&s->outline.set); n++) {
        if (!wal_set_at(&s->outline.set, n)->present) {
            show_segment(s, n, "segment missing");
            continue;
        }
        bool good;
        enum err_code code = wal_outline_header(&s->outline, n, &good, e);
        if (code != ERR_OK) {
            return code;
        }
        if (!good) {
            show_segment(s, n, "segment header damaged");
        }
    }
    return ERR_OK;
}

static bool is_shown(const struct wal_inspection *s, uint64_t index, const struct wal_place *place)
{
    CHECK(s->replayed);
    CHECK(wal_place_state(place) != WAL_PLACE_WHOLE);
    uint64_t lsn = wal_place_lsn(place);
    const struct loss *loss = lsn == 0 ? NULL : loss_at(s, lsn);
    bool shown = loss != NULL && loss->shown;
    for (size_t i = 0; i < s->unknown_count && !shown; i++) {
        shown = stood_there(&s->unknowns[i], index, place);
    }
    return shown;
}

/* Holes of the Raft log that no slot stands for, neighbours as one. */
static void show_holes(struct wal_inspection *s)
{
    CHECK(s->outline.role == WAL_RAFT);
    CHECK(s->replayed);
    struct wal_problem gap = {0};
    for (size_t i = 0; i <= s->table.count; i++) {
        const struct wal_place *place = i < s->table.count ? wal_table_place(&s->table, i) : NULL;
        bool hole = place != NULL && wal_place_state(place) != WAL_PLACE_WHOLE &&
                    !is_shown(s, wal_table_index(&s->table, i), place);
        uint64_t term = hole && wal_place_state(place) == WAL_PLACE_DAMAGED ? place->term : 0;
        if (gap.what != NULL && (!hole || gap.lsn != wal_place_lsn(place) || gap.term != term)) {
            show_problem(s, &gap);
            gap = (struct wal_problem){0};
        }
        if (hole && gap.what == NULL) {
            gap = (struct wal_problem){.what = "gap",
                                       .lsn = wal_place_lsn(place),
                                       .index_first = wal_table_index(&s->table, i),
                                       .term = term};
        }
        if (hole) {
            gap.index_last = wal_table_index(&s->table, i);
        }
    }
}

static void show_gaps(struct wal_inspection *s)
{
    CHECK(s->replayed);
    CHECK(s->outline.role == WAL_RAFT || s->outline.role == WAL_LOCAL);
    if (s->outline.role == WAL_RAFT) {
        show_holes(s);
        return;
    }
    for (size_t i = 0; i < s->loss_count; i++) {
        if (!s->losses[i].shown) {
            const struct wal_problem gap = {
                .what = "gap",
                .lsn = s->losses[i].lsn,
                .segment = wal_lsn_segment(&s->outline.layout, s->losses[i].lsn)};
            show_problem(s, &gap);
        }
    }
}

/* --- entries: what the log holds --- */

static enum err_code open_place(struct wal_inspection *s, const struct wal_place *place,
                                struct file **file, struct err *e)
{
    CHECK(wal_place_state(place) == WAL_PLACE_WHOLE);
    CHECK(*file == NULL);
    uint64_t segment = wal_lsn_segment(&s->outline.layout, wal_place_lsn(place));
    char path[IO_PATH_MAX];
    char side[IO_PATH_MAX];
    s->segment = segment;
    if (!wal_place_side(place)) {
        return open_segment(s, segment, file, e);
    }
    enum err_code code = wal_set_path(&s->outline.set, segment, path, e);
    if (code == ERR_OK) {
        code = wal_side_path(path, side, e);
    }
    if (code == ERR_OK) {
        code = io_open(s->io, side, IO_READ, file, e);
    }
    if (code == ERR_OK) {
        code = wal_reader_start(&s->reader, *file, s->outline.layout.segment_size, e);
    }
    return code;
}

/* The file that a place is in, kept open until another one is needed. */
static enum err_code go_to(struct wal_inspection *s, const struct wal_place *place, struct err *e)
{
    CHECK(s->replayed);
    CHECK(wal_place_state(place) == WAL_PLACE_WHOLE);
    uint64_t segment = wal_lsn_segment(&s->outline.layout, wal_place_lsn(place));
    if (s->file != NULL && segment == s->segment && s->in_side == wal_place_side(place)) {
        return ERR_OK;
    }
    file_close(s->file);
    s->file = NULL;
    s->in_side = wal_place_side(place);
    return open_place(s, place, &s->file, e);
}

enum err_code wal_inspection_next(struct wal_inspection *s, struct wal_entry *entry, bool *found,
                                  struct err *e)
{
    CHECK(s->replayed);
    CHECK(entry != NULL && found != NULL);
    *found = false;
    while (s->position < s->table.count) {
        size_t at = s->position++;
        const struct wal_place *place = wal_table_place(&s->table, at);
        if (wal_place_state(place) != WAL_PLACE_WHOLE) {
            continue;
        }
        enum err_code code = go_to(s, place, e);
        if (code != ERR_OK) {
            return code;
        }
        *entry = (struct wal_entry){.index = wal_table_index(&s->table, at),
                                    .term = place->term,
                                    .type = (enum wal_type)wal_place_type(place),
                                    .payload = payload_of(s, wal_place_lsn(place), place->size)};
        /* What held a moment ago and fails now is left out. */
        if (crc32c(0, entry->payload.data, entry->payload.size) == place->crc) {
            *found = true;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

/* --- all of it --- */

static enum err_code replay(struct wal_inspection *s, struct err *e)
{
    CHECK(!s->replayed);
    CHECK(s->outline.set.count > 0);
    enum err_code code = load_sides(s, e);
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
    const struct wal_extent segments = {.segment_first = s->outline.set.first,
                                        .segment_last = wal_set_last(&s->outline.set)};
    wal_table_init(&s->table, s->outline.role == WAL_LOCAL, cut);
    wal_replay_init(&s->replay, &s->outline.layout, s->outline.role == WAL_LOCAL, &s->table,
                    &segments);
    code = scan_all(s, visit_slot, e);
    if (code != ERR_OK) {
        return code;
    }
    fill_sides(s, UINT64_MAX);
    wal_replay_end(&s->replay);
    fill_report(s);
    find_losses(s);
    s->replayed = true;
    return ERR_OK;
}

static enum err_code inspect(struct wal_inspection *s, struct err *e)
{
    CHECK(!s->replayed);
    CHECK(s->outline.layout.log_key == 0);
    const struct wal_visitor *v = s->visitor;
    enum err_code code = wal_outline_open(&s->outline, s->io, s->dir, e);
    if (code == ERR_OK) {
        code = replay(s, e);
    }
    if (code == ERR_OK && (v->slot != NULL || v->problem != NULL)) {
        code = scan_all(s, visit_slot, e);
    }
    if (code == ERR_OK && v->problem != NULL && !s->stopped) {
        code = show_segments(s, e);
        show_gaps(s);
    }
    return code;
}

struct wal_view wal_view_of(const struct wal_found *found, enum wal_slot_state state)
{
    CHECK(found->lsn != 0);
    CHECK(found->verdict != WAL_END);
    const struct wal_record *r = &found->record;
    bool known = found->verdict == WAL_WHOLE || found->verdict == WAL_DAMAGED;
    return (struct wal_view){
        .lsn = found->lsn,
        .sequence = r->sequence,
        .index = r->index,
        .index_last = r->index,
        .term = r->term,
        .commit = r->commit,
        .lsn_durable = r->lsn_durable,
        .vgroups = r->vgroups,
        .size = r->size,
        .kind = known ? wal_record_type_name(r->type) : "unknown",
        .verdict = wal_verdict_name(found->verdict),
        .state = state,
    };
}

const char *wal_slot_state_name(enum wal_slot_state state)
{
    static const char *const names[] = {
        [WAL_SLOT_HELD] = "held",       [WAL_SLOT_REPLACED] = "replaced",
        [WAL_SLOT_DOUBTED] = "doubted", [WAL_SLOT_TORN] = "torn",
        [WAL_SLOT_LOST] = "lost",       [WAL_SLOT_REPAIRED] = "repaired",
        [WAL_SLOT_SETTLED] = "settled",
    };
    CHECK((size_t)state < sizeof names / sizeof names[0]);
    return names[state];
}

enum err_code wal_inspection_open(struct io *io, const char *dir, const struct wal_visitor *visitor,
                                  struct wal_report *report, struct wal_inspection **out,
                                  struct err *e)
{
    CHECK(io != NULL && dir != NULL);
    CHECK(report != NULL && visitor != NULL);
    struct wal_inspection *s = mem_zalloc(sizeof *s);
    s->io = io;
    s->dir = dir;
    s->visitor = visitor;
    s->report = report;
    s->index_low = UINT64_MAX;
    *report = (struct wal_report){0};
    wal_reader_init(&s->reader);
    enum err_code code = inspect(s, e);
    if (code != ERR_OK) {
        wal_inspection_close(s);
        s = NULL;
    }
    *out = s;
    return code;
}

enum wal_role wal_inspection_role(const struct wal_inspection *s)
{
    CHECK(s->outline.role == WAL_RAFT || s->outline.role == WAL_LOCAL);
    CHECK(s->replayed);
    return s->outline.role;
}

void wal_inspection_close(struct wal_inspection *s)
{
    if (s == NULL) {
        return;
    }
    file_close(s->file);
    wal_reader_deinit(&s->reader);
    wal_replay_deinit(&s->replay);
    wal_table_deinit(&s->table);
    wal_side_list_deinit(&s->sides);
    wal_outline_close(&s->outline);
    buf_deinit(&s->payload);
    mem_free(s->losses);
    mem_free(s->unknowns);
    mem_free(s);
}

enum err_code wal_inspect(struct io *io, const char *dir, const struct wal_visitor *visitor,
                          struct wal_report *report, struct err *e)
{
    CHECK(visitor != NULL);
    CHECK(report != NULL);
    struct wal_inspection *s;
    enum err_code code = wal_inspection_open(io, dir, visitor, report, &s, e);
    wal_inspection_close(s);
    return code;
}
