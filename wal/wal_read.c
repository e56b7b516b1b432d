/* SPDX-License-Identifier: Apache-2.0 */
/* Reading entries back: wal_read() and wal_scrub(). */
#include <inttypes.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wal/wal_directory.h"
#include "wal/wal_state.h"

/* Neighbours in index may have a MARK or the like between them: read across that. */
enum { GAP_SIZE_MAX = 4096 };

/* Entries that one read of a file can bring. */
struct run {
    uint64_t segment;
    uint64_t offset;
    size_t size;
    size_t position; /* in the table, of the first */
    size_t count;
    bool side;
};

static void make_hole(struct wal *w, uint64_t index)
{
    CHECK(w->holes.count < w->table.count);
    CHECK(index > w->table.cut);
    CHECK(index <= w->table.last);
    struct wal_place *place = wal_table_at(&w->table, index);
    CHECK(place != NULL && wal_place_state(place) == WAL_PLACE_WHOLE);
    place->packed = wal_place_pack(wal_place_lsn(place), wal_place_type(place),
                                   wal_place_side(place), WAL_PLACE_DAMAGED);
    struct wal_hole hole = wal_hole_of(index, place);
    wal_holes_insert(&w->holes, &hole);
    w->holes_found++;
    char position[WAL_LSN_TEXT_SIZE];
    log_warn(w->log, "wal", "slot-damaged",
             "dir=%s lsn=%s index=%" PRIu64 " term=%" PRIu64 " size=%" PRIu32 " found=running",
             w->dir, wal_lsn_text(hole.lsn, position), index, hole.term, hole.size);
}

/* The run from a whole place on, within limits. */
static struct run plan(const struct wal *w, size_t position, size_t count_max, size_t size_max)
{
    CHECK(count_max > 0);
    CHECK(position < w->table.count);
    CHECK(wal_place_state(wal_table_place(&w->table, position)) == WAL_PLACE_WHOLE);
    const struct wal_place *first = wal_table_place(&w->table, position);
    uint64_t start = wal_place_lsn(first);
    uint64_t segment = wal_lsn_segment(&w->layout, start);
    uint64_t end = start + wal_record_span(first->size);
    uint64_t read_end = start + WAL_RECORD_HEADER_SIZE + first->size; /* without padding */
    size_t payload = first->size;
    size_t count = 1;
    while (count < count_max && position + count < w->table.count && !wal_place_side(first)) {
        const struct wal_place *next = wal_table_place(&w->table, position + count);
        uint64_t at = wal_place_lsn(next);
        if (wal_place_state(next) != WAL_PLACE_WHOLE || wal_place_side(next) ||
            wal_lsn_segment(&w->layout, at) != segment || at < end || at - end > GAP_SIZE_MAX ||
            payload + next->size > size_max) {
            break;
        }
        end = at + wal_record_span(next->size);
        read_end = at + WAL_RECORD_HEADER_SIZE + next->size;
        payload += next->size;
        count++;
    }
    return (struct run){.segment = segment,
                        .offset = wal_lsn_offset(&w->layout, start),
                        .size = (size_t)(read_end - start),
                        .position = position,
                        .count = count,
                        .side = wal_place_side(first)};
}

static bool read_exact(struct file *file, const struct run *run, uint8_t *dst)
{
    CHECK(file != NULL);
    CHECK(run->size >= WAL_RECORD_HEADER_SIZE);
    return file_read_exact(file, run->offset, dst, run->size, NULL) == ERR_OK;
}

/* False: the bytes can't be had; which entries are to blame is found one by one. */
static bool read_run(struct wal *w, const struct run *run, uint8_t *dst)
{
    CHECK(run->segment >= w->set.first);
    CHECK(run->segment <= wal_set_last(&w->set));
    struct file *file;
    if (run->side) {
        if (wal_directory_open_side(w, run->segment, false, &file, NULL) != ERR_OK) {
            return false;
        }
        bool read = read_exact(file, run, dst);
        file_close(file);
        return read;
    }
    return wal_set_file(&w->set, run->segment, &file, NULL) == ERR_OK && read_exact(file, run, dst);
}

/* Whether the record at 'bytes' is what the table says, and intact. */
static bool intact(const struct wal *w, size_t position, const uint8_t *bytes,
                   struct wal_record *record)
{
    CHECK(position < w->table.count);
    CHECK(bytes != NULL);
    const struct wal_place *place = wal_table_place(&w->table, position);
    if (wal_record_decode(bytes, record) != WAL_RECORD_GOOD ||
        record->log_key != w->layout.log_key ||
        record->index != wal_table_index(&w->table, position) || record->term != place->term ||
        record->size != place->size || record->payload_crc != place->crc ||
        (unsigned)record->type != wal_place_type(place)) {
        return false;
    }
    bool stands = wal_place_side(place)
                      ? record->sequence == wal_lsn_offset(&w->layout, wal_place_lsn(place))
                      : record->lsn == wal_place_lsn(place);
    return stands && crc32c(0, bytes + WAL_RECORD_HEADER_SIZE, record->size) == place->crc;
}

static enum err_code damaged(struct wal *w, uint64_t index, struct err *e)
{
    CHECK(wal_table_at(&w->table, index) != NULL);
    CHECK(index > 0);
    make_hole(w, index);
    return err_set(e, ERR_CORRUPT, "log %s: entry %" PRIu64 " is damaged", w->dir, index);
}

/* Fills entries from the bytes of a run; *count: how many are intact. */
static void take_run(const struct wal *w, const struct run *run, const uint8_t *bytes,
                     struct wal_entry *entries, size_t *count)
{
    CHECK(bytes != NULL && entries != NULL);
    CHECK(run->count > 0);
    CHECK(run->position + run->count <= w->table.count);
    uint64_t base = wal_place_lsn(wal_table_place(&w->table, run->position));
    for (*count = 0; *count < run->count; (*count)++) {
        size_t position = run->position + *count;
        const uint8_t *at =
            bytes + (size_t)(wal_place_lsn(wal_table_place(&w->table, position)) - base);
        struct wal_record record;
        if (!intact(w, position, at, &record)) {
            return;
        }
        entries[*count] = (struct wal_entry){
            .index = record.index,
            .term = record.term,
            .type = (enum wal_type)record.type,
            .vgroups = record.vgroups,
            .payload = bytes_of(at + WAL_RECORD_HEADER_SIZE, record.size),
        };
    }
}

/* The table position where a read of 'index' begins; the count of places: nowhere. */
static size_t first_position(const struct wal *w, uint64_t index)
{
    CHECK(w->table.sparse == (w->role == WAL_LOCAL));
    CHECK(w->role == WAL_RAFT || w->role == WAL_LOCAL);
    size_t position = wal_table_seek(&w->table, index);
    if (position < w->table.count && w->role == WAL_RAFT &&
        wal_table_index(&w->table, position) != index) {
        return w->table.count;
    }
    return position;
}

/* NOLINTNEXTLINE(readability-function-size): what is asked for, and where it goes */
enum err_code wal_read(struct wal *w, uint64_t index, size_t count_max, size_t size_max,
                       struct buf *storage, struct wal_entry *entries, size_t *count, struct err *e)
{
    CHECK(w != NULL && storage != NULL);
    CHECK(entries != NULL && count != NULL);
    CHECK(count_max > 0);
    *count = 0;
    size_t position = first_position(w, index);
    if (position >= w->table.count ||
        wal_place_state(wal_table_place(&w->table, position)) != WAL_PLACE_WHOLE) {
        return ERR_OK;
    }
    struct run run = plan(w, position, count_max, size_max);
    buf_reset(storage);
    bool read = read_run(w, &run, buf_extend(storage, run.size));
    if (!read && run.count > 1) {
        run = plan(w, position, 1, 0); /* which one is to blame? */
        read = read_run(w, &run, storage->data);
    }
    if (!read) {
        return damaged(w, wal_table_index(&w->table, position), e);
    }
    take_run(w, &run, storage->data, entries, count);
    if (*count == 0) {
        return damaged(w, wal_table_index(&w->table, position), e);
    }
    return ERR_OK;
}

/* --- scrub --- */

/* The disk is to be read, not what the cache has of it. */
static void forget_run(struct wal *w, const struct run *run)
{
    CHECK(run->size > 0);
    CHECK(run->segment <= wal_set_last(&w->set));
    struct file *file;
    if (run->side) {
        if (wal_directory_open_side(w, run->segment, false, &file, NULL) == ERR_OK) {
            file_forget(file, run->offset, run->size);
            file_close(file);
        }
    } else if (wal_set_file(&w->set, run->segment, &file, NULL) == ERR_OK) {
        file_forget(file, run->offset, run->size);
    }
}

/* Checks one run. How many slots were found bad. */
static unsigned scrub_run(struct wal *w, const struct run *run)
{
    CHECK(run->size >= WAL_RECORD_HEADER_SIZE);
    CHECK(run->count > 0);
    CHECK(run->position + run->count <= w->table.count);
    buf_reset(&w->scratch);
    uint64_t base = wal_place_lsn(wal_table_place(&w->table, run->position));
    forget_run(w, run);
    bool read = read_run(w, run, buf_extend(&w->scratch, run->size));
    unsigned found = 0;
    for (size_t i = 0; i < run->count; i++) {
        size_t position = run->position + i;
        uint64_t at = wal_place_lsn(wal_table_place(&w->table, position)) - base;
        struct wal_record record;
        struct run one = plan(w, position, 1, 0);
        bool good = read || read_run(w, &one, w->scratch.data + at);
        if (!good || !intact(w, position, w->scratch.data + at, &record)) {
            make_hole(w, wal_table_index(&w->table, position));
            found++;
        }
    }
    return found;
}

/* What is not synced is nowhere but in the cache. */
static bool scrubbable(const struct wal *w, size_t position)
{
    CHECK(position < w->table.count);
    const struct wal_place *place = wal_table_place(&w->table, position);
    return wal_place_state(place) == WAL_PLACE_WHOLE &&
           (wal_place_side(place) || wal_place_lsn(place) < w->writer.lsn_durable);
}

static struct run plan_scrub(const struct wal *w, size_t position, size_t size_max)
{
    struct run run = plan(w, position, SIZE_MAX, size_max);
    uint64_t base = wal_place_lsn(wal_table_place(&w->table, position));
    size_t count = 1;
    while (count < run.count && scrubbable(w, position + count)) {
        count++;
    }
    const struct wal_place *last = wal_table_place(&w->table, position + count - 1);
    run.size = (size_t)(wal_place_lsn(last) - base) + WAL_RECORD_HEADER_SIZE + last->size;
    run.count = count;
    return run;
}

enum err_code wal_scrub(struct wal *w, size_t size_max, size_t *scanned, unsigned *found,
                        struct err *e)
{
    CHECK(w != NULL && scanned != NULL && found != NULL);
    CHECK(size_max > 0);
    *scanned = 0;
    *found = 0;
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t position = wal_table_seek(&w->table, w->scrub_index);
    while (position < w->table.count && *scanned < size_max) {
        if (!scrubbable(w, position)) {
            position++;
            continue;
        }
        struct run run = plan_scrub(w, position, size_max - *scanned);
        *found += scrub_run(w, &run);
        *scanned += run.size;
        position += run.count;
    }
    uint64_t end =
        *scanned < size_max ? 0 : w->table.last + 1; /* that a round ended is said once */
    w->scrub_index = position < w->table.count ? wal_table_index(&w->table, position)
                                               : end; /* round and round */
    return ERR_OK;
}
