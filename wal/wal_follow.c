/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_follow.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal_outline.h"
#include "wal/wal_scan.h"

struct wal_follow {
    struct io *io;
    char dir[IO_PATH_MAX];
    struct wal_layout layout;
    uint64_t segment;
    struct file *file; /* of that segment, NULL: not open */
    struct wal_reader reader;
    uint64_t offset; /* of the next slot to show */
    struct buf payload;

    /* during a poll */
    const struct wal_visitor *visitor;
    bool followed; /* a later segment was there before this one was read */
    bool blocked;  /* a slot is not whole yet, or the visitor had enough */
    bool stopped;  /* by the visitor */
};

/* --- which segment --- */

/* The lowest segment of at least that number; 0: none. */
static enum err_code find_segment(struct wal_follow *f, uint64_t from, uint64_t *segment,
                                  char path[IO_PATH_MAX], struct err *e)
{
    CHECK(f->layout.segment_size > 0);
    CHECK(segment != NULL);
    struct io_name *names;
    size_t count;
    char best[WAL_SEGMENT_NAME_SIZE] = "";
    *segment = 0;
    enum err_code code = io_list(f->io, f->dir, &names, &count, e);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t timeline;
        uint64_t number;
        if (!names[i].is_dir &&
            wal_segment_name_parse(f->layout.segment_size, names[i].name, &timeline, &number) &&
            number >= from && (*segment == 0 || number < *segment)) {
            *segment = number;
            memcpy(best, names[i].name, sizeof best);
        }
    }
    mem_free(names);
    return *segment == 0 ? ERR_OK : io_join(path, f->dir, best, e);
}

static enum err_code enter(struct wal_follow *f, uint64_t segment, const char *path, struct err *e)
{
    CHECK(segment > f->segment);
    CHECK(path[0] != '\0');
    file_close(f->file);
    f->file = NULL;
    f->segment = segment;
    f->offset = wal_segment_records_at(f->layout.segment_size);
    return io_open(f->io, path, IO_READ, &f->file, e);
}

static void show_missing(struct wal_follow *f, uint64_t first, uint64_t next)
{
    CHECK(first <= next);
    CHECK(f->visitor != NULL);
    for (uint64_t n = first; n < next && f->visitor->problem != NULL; n++) {
        const struct wal_problem problem = {
            .what = "segment missing", .segment = n, .lsn = wal_lsn_of(&f->layout, n, 0)};
        f->visitor->problem(f->visitor->context, &problem);
    }
}

/* --- its slots --- */

/* A segment that was cut is renamed and zeroed while we hold it. */
static bool is_still_there(struct wal_follow *f)
{
    CHECK(f->file != NULL);
    CHECK(f->segment > 0);
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    struct wal_segment_header header;
    return file_read_exact(f->file, 0, bytes, sizeof bytes, NULL) == ERR_OK &&
           wal_segment_header_decode(bytes, &header) == WAL_RECORD_GOOD &&
           header.number == f->segment;
}

static void visit_slot(void *context, const struct wal_found *found)
{
    CHECK(context != NULL);
    CHECK(found->lsn != 0);
    struct wal_follow *f = context;
    bool whole = found->verdict == WAL_WHOLE;
    if (f->blocked || (!whole && (!f->followed || !is_still_there(f)))) {
        f->blocked = true;
        return;
    }
    struct wal_view view = wal_view_of(found, whole ? WAL_SLOT_HELD : WAL_SLOT_LOST);
    uint64_t offset = wal_lsn_offset(&f->layout, found->lsn);
    view.segment = f->segment;
    if (whole) {
        buf_reset(&f->payload);
        wal_reader_copy(&f->reader, offset + WAL_RECORD_HEADER_SIZE, found->record.size,
                        &f->payload);
        view.payload = buf_bytes(&f->payload);
        f->offset = offset + wal_record_span(found->record.size);
    }
    f->stopped = !f->visitor->slot(f->visitor->context, &view);
    f->blocked = f->stopped;
}

/* Nothing was written there yet: no need to look at the whole rest. */
static bool is_idle(struct wal_follow *f)
{
    CHECK(f->file != NULL);
    CHECK(f->offset > 0);
    uint8_t start[WAL_RECORD_ALIGNMENT];
    static const uint8_t zeros[WAL_RECORD_ALIGNMENT];
    if (f->offset + sizeof start > f->layout.segment_size) {
        return true;
    }
    return file_read_exact(f->file, f->offset, start, sizeof start, NULL) != ERR_OK ||
           memcmp(start, zeros, sizeof start) == 0;
}

static enum err_code read_segment(struct wal_follow *f, struct err *e)
{
    CHECK(f->file != NULL);
    CHECK(!f->stopped);
    f->blocked = false;
    if (!f->followed && is_idle(f)) {
        return ERR_OK;
    }
    enum err_code code = wal_reader_start(&f->reader, f->file, f->layout.segment_size, e);
    if (code != ERR_OK) {
        return code;
    }
    const struct wal_scan scan = {
        .layout = f->layout,
        .segment = f->segment,
        .followed = f->followed,
        .lsn_durable = f->followed ? wal_lsn_of(&f->layout, f->segment + 1, 0) : 0,
        .offset = f->offset,
        .reader = &f->reader,
        .visit = visit_slot,
        .context = f,
    };
    struct wal_scan_end end;
    wal_scan_segment(&scan, &end);
    return end.newer ? err_set(e, ERR_UNSUPPORTED, "log %s: a record of a newer program", f->dir)
                     : ERR_OK;
}

/* --- life --- */

enum err_code wal_follow_open(struct io *io, const char *dir, struct wal_follow **out,
                              struct err *e)
{
    CHECK(io != NULL && dir != NULL);
    CHECK(out != NULL);
    struct wal_outline outline;
    enum err_code code = wal_outline_open(&outline, io, dir, e);
    struct wal_layout layout = outline.layout;
    wal_outline_close(&outline);
    if (code != ERR_OK) {
        return code;
    }
    struct wal_follow *f = mem_zalloc(sizeof *f);
    f->io = io;
    f->layout = layout;
    memcpy(f->dir, dir, strlen(dir) + 1); /* a directory that could be listed has no longer path */
    wal_reader_init(&f->reader);
    *out = f;
    return ERR_OK;
}

enum err_code wal_follow_poll(struct wal_follow *f, const struct wal_visitor *visitor,
                              struct err *e)
{
    CHECK(visitor->slot != NULL);
    CHECK(f->layout.log_key != 0);
    f->visitor = visitor;
    f->stopped = false;
    for (;;) {
        char path[IO_PATH_MAX];
        uint64_t next;
        enum err_code code = find_segment(f, f->segment + 1, &next, path, e);
        f->followed = next != 0;
        if (code == ERR_OK && f->file != NULL) {
            code = read_segment(f, e);
        }
        if (code != ERR_OK || f->stopped || next == 0) {
            return code;
        }
        if (f->segment != 0) {
            show_missing(f, f->segment + 1, next);
        }
        code = enter(f, next, path, e);
        if (code == ERR_NOT_FOUND) {
            continue; /* cut between the look and the open: the next one is there */
        }
        if (code != ERR_OK) {
            return code;
        }
    }
}

void wal_follow_close(struct wal_follow *f)
{
    if (f == NULL) {
        return;
    }
    file_close(f->file);
    wal_reader_deinit(&f->reader);
    buf_deinit(&f->payload);
    mem_free(f);
}
