/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_directory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal_settle.h"

static const char SIDE_SUFFIX[] = ".side";
static const char LOST_NAME[] = "lost";

enum { COPY_CHUNK_SIZE = 256 * 1024 };

void wal_directory_deinit(struct wal_directory *d)
{
    CHECK(d != NULL);
    mem_free(d->entries);
    *d = (struct wal_directory){0};
}

/* --- what is there --- */

static struct wal_directory_entry *entry_of(struct wal_directory *d, const char *name,
                                            uint32_t timeline, uint64_t number)
{
    CHECK(d->count <= d->capacity);
    CHECK(strlen(name) >= WAL_SEGMENT_NAME_SIZE - 1);
    CHECK(number > 0);
    for (size_t i = 0; i < d->count; i++) {
        if (d->entries[i].number == number && d->entries[i].timeline == timeline) {
            return &d->entries[i];
        }
    }
    d->entries = mem_grow(d->entries, &d->capacity, d->count + 1, sizeof *d->entries);
    struct wal_directory_entry *entry = &d->entries[d->count++];
    *entry =
        (struct wal_directory_entry){.timeline = timeline, .number = number, .only_side = true};
    memcpy(entry->name, name, WAL_SEGMENT_NAME_SIZE - 1);
    return entry;
}

static bool looks_like_segment(const char *name)
{
    CHECK(name != NULL);
    return strlen(name) == WAL_SEGMENT_NAME_SIZE - 1 &&
           strspn(name, "0123456789ABCDEF") == WAL_SEGMENT_NAME_SIZE - 1;
}

/* A name of the directory, unless it is a spare's. */
static enum err_code take_name(struct wal_directory *d, const struct wal *w, const char *name,
                               struct err *e)
{
    CHECK(name[0] != '\0');
    CHECK(strlen(name) <= IO_NAME_MAX);
    char base[WAL_SEGMENT_NAME_SIZE] = "";
    size_t size = strlen(name);
    bool side = size == sizeof base - 1 + sizeof SIDE_SUFFIX - 1 &&
                strcmp(name + sizeof base - 1, SIDE_SUFFIX) == 0;
    if (!side && size != sizeof base - 1) {
        return ERR_OK;
    }
    memcpy(base, name, sizeof base - 1);
    uint32_t timeline;
    uint64_t number;
    if (!wal_segment_name_parse(w->layout.segment_size, base, &timeline, &number)) {
        return looks_like_segment(base)
                   ? err_set(e, ERR_INVALID, "log %s: %s is no segment of size %" PRIu64, w->dir,
                             name, w->layout.segment_size)
                   : ERR_OK;
    }
    struct wal_directory_entry *entry = entry_of(d, base, timeline, number);
    if (side) {
        entry->side = true;
    } else {
        entry->only_side = false;
    }
    return ERR_OK;
}

static int compare(const void *a, const void *b)
{
    CHECK(a != NULL && b != NULL);
    const struct wal_directory_entry *x = a;
    const struct wal_directory_entry *y = b;
    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }
    return x->timeline < y->timeline ? -1 : x->timeline > y->timeline;
}

static enum err_code list(struct wal_directory *d, struct wal *w, struct err *e)
{
    CHECK(w->dir[0] != '\0');
    CHECK(d->count == 0);
    struct io_name *names;
    size_t count;
    enum err_code code = io_list(w->io, w->dir, &names, &count, e);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        if (!names[i].is_dir) {
            code = take_name(d, w, names[i].name, e);
        }
    }
    mem_free(names);
    if (d->count > 1) {
        qsort(d->entries, d->count, sizeof *d->entries, compare);
    }
    return code;
}

static enum err_code adopt_spares(struct wal *w, struct err *e)
{
    CHECK(wal_pool_ready(&w->pool) == 0);
    CHECK(w->pool.count == 0);
    struct io_name *names;
    size_t count;
    enum err_code code = io_list(w->io, w->dir, &names, &count, e);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        bool adopted;
        if (!names[i].is_dir) {
            code = wal_pool_adopt(&w->pool, names[i].name, &adopted, e);
        }
    }
    mem_free(names);
    return code;
}

/* --- whose it is --- */

static enum err_code check_header(const struct wal *w, struct wal_directory_entry *entry,
                                  const uint8_t *bytes, struct err *e)
{
    CHECK(!entry->only_side);
    CHECK(w->role == WAL_RAFT || w->role == WAL_LOCAL);
    struct wal_segment_header h;
    switch (wal_segment_header_decode(bytes, &h)) {
    case WAL_RECORD_NEWER:
        return err_set(e, ERR_UNSUPPORTED, "log %s: segment %s has a newer format", w->dir,
                       entry->name);
    case WAL_RECORD_BAD:
        return ERR_OK;
    case WAL_RECORD_GOOD:
        break;
    }
    if (h.segment_size != w->layout.segment_size) {
        return err_set(e, ERR_INVALID,
                       "log %s: segment %s was made with size %" PRIu64 ", not %" PRIu64, w->dir,
                       entry->name, h.segment_size, w->layout.segment_size);
    }
    if (h.role != (unsigned)w->role || h.cluster_id != w->writer.cluster_id ||
        h.directory_id != w->writer.directory_id) {
        return err_set(e, ERR_INVALID,
                       "log %s: segment %s belongs to another log (role %u, cluster %016" PRIx64
                       ", directory %016" PRIx64 ")",
                       w->dir, entry->name, h.role, h.cluster_id, h.directory_id);
    }
    entry->header_good = h.number == entry->number && h.timeline == entry->timeline;
    return ERR_OK;
}

static enum err_code entry_path(const struct wal *w, const struct wal_directory_entry *entry,
                                char dst[IO_PATH_MAX], struct err *e)
{
    CHECK(w->dir[0] != '\0');
    CHECK(strlen(entry->name) == WAL_SEGMENT_NAME_SIZE - 1);
    return io_join(dst, w->dir, entry->name, e);
}

static enum err_code check_headers(struct wal_directory *d, const struct wal *w, struct err *e)
{
    CHECK(d->count <= d->capacity);
    CHECK(w->set.count == 0);
    for (size_t i = 0; i < d->count; i++) {
        struct wal_directory_entry *entry = &d->entries[i];
        if (entry->only_side) {
            continue;
        }
        char path[IO_PATH_MAX];
        struct file *file;
        enum err_code code = entry_path(w, entry, path, e);
        if (code == ERR_OK) {
            code = io_open(w->io, path, IO_READ, &file, e);
        }
        if (code != ERR_OK) {
            return err_wrap(e, "log %s", w->dir);
        }
        uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
        if (file_read_exact(file, 0, bytes, sizeof bytes, NULL) == ERR_OK) {
            code = check_header(w, entry, bytes, e);
        }
        file_close(file);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code has_records(struct wal *w, const struct wal_directory_entry *entry,
                                 bool *found, struct err *e)
{
    CHECK(!entry->only_side);
    CHECK(entry->number > 0);
    *found = false;
    char path[IO_PATH_MAX];
    struct file *file;
    enum err_code code = entry_path(w, entry, path, e);
    if (code == ERR_OK) {
        code = io_open(w->io, path, IO_READ, &file, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct wal_reader reader;
    wal_reader_init(&reader);
    code = wal_reader_start(&reader, file, w->layout.segment_size, e);
    if (code == ERR_OK) {
        const struct wal_scan scan = {
            .layout = w->layout, .segment = entry->number, .reader = &reader};
        *found = wal_scan_has_records(&scan);
    }
    wal_reader_deinit(&reader);
    file_close(file);
    return code;
}

/* --- what belongs to it --- */

static bool outside(const struct wal_directory_entry *entry, const struct wal_extent *x)
{
    CHECK(x->segment_first > 0);
    CHECK(entry->number > 0);
    return entry->number < x->segment_first || entry->number > x->segment_last;
}

static enum err_code check_outside(struct wal_directory *d, struct wal *w,
                                   const struct wal_options *o, struct err *e)
{
    CHECK(d->count <= d->capacity);
    CHECK(o->fresh || o->extent.segment_first > 0);
    for (size_t i = 0; i < d->count; i++) {
        const struct wal_directory_entry *entry = &d->entries[i];
        if (entry->only_side || (!o->fresh && entry->number <= o->extent.segment_last)) {
            continue;
        }
        bool found;
        enum err_code code = has_records(w, entry, &found, e);
        if (code != ERR_OK) {
            return code;
        }
        if (found) {
            return err_set(e, ERR_CORRUPT,
                           "log %s: segment %s has records, but the log is said to %s", w->dir,
                           entry->name, o->fresh ? "be new" : "end before it");
        }
    }
    return ERR_OK;
}

static enum err_code recycle(struct wal *w, const struct wal_directory_entry *entry, struct err *e)
{
    CHECK(outside(entry, &w->writer.extent));
    CHECK(entry->side || !entry->only_side);
    char path[IO_PATH_MAX];
    char side[IO_PATH_MAX];
    enum err_code code = entry_path(w, entry, path, e);
    if (code == ERR_OK && !entry->only_side) {
        code = wal_pool_add(&w->pool, path, e);
    }
    if (code == ERR_OK && entry->side) {
        code = wal_side_path(path, side, e);
        if (code == ERR_OK) {
            code = io_unlink(w->io, side, e);
        }
    }
    return code;
}

/* Fills the set with first .. last, whatever is missing. */
static enum err_code fill_set(struct wal_directory *d, struct wal *w, struct err *e)
{
    CHECK(w->set.count == 0);
    CHECK(w->set.first == w->writer.extent.segment_first);
    const struct wal_extent *x = &w->writer.extent;
    size_t i = 0;
    for (uint64_t number = x->segment_first; number <= x->segment_last; number++) {
        struct wal_set_item item = {.timeline = w->writer.timeline};
        unsigned files = 0;
        while (i < d->count && d->entries[i].number <= number) {
            const struct wal_directory_entry *entry = &d->entries[i++];
            if (entry->number < number) {
                continue;
            }
            files += !entry->only_side;
            item.timeline = entry->timeline;
            item.present = item.present || !entry->only_side;
            item.side = item.side || entry->side;
            if (!entry->only_side && !entry->header_good && d->headers_bad++ == 0) {
                d->header_bad_first = number;
            }
        }
        if (files > 1) {
            return err_set(e, ERR_CORRUPT, "log %s: two files are segment %" PRIu64, w->dir,
                           number);
        }
        if (item.timeline > w->writer.timeline) {
            w->writer.timeline = item.timeline;
        }
        wal_set_push(&w->set, &item);
    }
    return ERR_OK;
}

static enum err_code remove_outside(struct wal_directory *d, struct wal *w, struct err *e)
{
    CHECK(d->count <= d->capacity);
    CHECK(w->writer.extent.segment_first > 0);
    bool any = false;
    for (size_t i = 0; i < d->count; i++) {
        if (outside(&d->entries[i], &w->writer.extent)) {
            any = true;
            enum err_code code = recycle(w, &d->entries[i], e);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return any ? io_sync_dir(w->io, w->dir, e) : ERR_OK;
}

/* --- a new log --- */

static enum err_code sync_parent(struct wal *w, struct err *e)
{
    CHECK(strlen(w->dir) < IO_PATH_MAX);
    const char *slash = strrchr(w->dir, '/');
    if (slash == NULL) {
        return io_sync_dir(w->io, ".", e);
    }
    char parent[IO_PATH_MAX];
    size_t size = slash == w->dir ? 1 : (size_t)(slash - w->dir);
    CHECK(size < sizeof parent);
    memcpy(parent, w->dir, size);
    parent[size] = '\0';
    return io_sync_dir(w->io, parent, e);
}

static enum err_code make_first_segment(struct wal *w, struct err *e)
{
    CHECK(w->set.count == 0);
    CHECK(w->table.count == 0);
    bool done;
    w->writer.extent = (struct wal_extent){.segment_first = 1, .segment_last = 1};
    w->writer.sealed = true; /* there is none before it */
    enum err_code code = wal_pool_step(&w->pool, 1, UINT64_MAX, &done, e);
    if (code == ERR_OK) {
        code = wal_writer_restart(&w->writer, 0, 0, e);
    }
    return code;
}

static enum err_code make_directory(struct wal *w, bool fresh, struct err *e)
{
    CHECK(w->set.count == 0);
    CHECK(w->dir[0] != '\0');
    if (strlen(w->dir) >= IO_PATH_MAX) {
        return err_set(e, ERR_RANGE, "path too long: %s", w->dir);
    }
    enum err_code code = io_mkdir(w->io, w->dir, e);
    if (code != ERR_OK && code != ERR_EXISTS) {
        return code;
    }
    /* Also when it exists: an earlier start may have been killed before this. */
    return fresh || code == ERR_OK ? sync_parent(w, e) : ERR_OK;
}

static enum err_code check_extent(const struct wal *w, const struct wal_extent *x, struct err *e)
{
    CHECK(w->set.count == 0);
    CHECK(wal_segment_size_valid(w->layout.segment_size));
    if (x->segment_first == 0 || x->segment_last < x->segment_first ||
        x->lsn_durable > wal_lsn_of(&w->layout, x->segment_last + 1, 0)) {
        return err_set(e, ERR_INVALID,
                       "log %s: extent %" PRIu64 " .. %" PRIu64 " with durable position %" PRIu64
                       " can't be right",
                       w->dir, x->segment_first, x->segment_last, x->lsn_durable);
    }
    return ERR_OK;
}

enum err_code wal_directory_find(struct wal_directory *d, struct wal *w,
                                 const struct wal_options *o, struct err *e)
{
    CHECK(d->count == 0);
    CHECK(w->set.count == 0);
    enum err_code code = make_directory(w, o->fresh, e);
    if (code == ERR_OK && !o->fresh) {
        code = check_extent(w, &o->extent, e);
    }
    if (code == ERR_OK) {
        code = list(d, w, e);
    }
    if (code == ERR_OK) {
        code = check_headers(d, w, e);
    }
    if (code == ERR_OK) {
        code = check_outside(d, w, o, e);
    }
    if (code == ERR_OK) {
        code = adopt_spares(w, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (o->fresh) {
        w->writer.extent = (struct wal_extent){.segment_first = 1};
        code = remove_outside(d, w, e);
        return code == ERR_OK ? make_first_segment(w, e) : code;
    }
    w->writer.extent = o->extent;
    wal_set_clear(&w->set, o->extent.segment_first);
    wal_table_reset(&w->table, o->extent.index_cut);
    code = fill_set(d, w, e);
    return code == ERR_OK ? remove_outside(d, w, e) : code;
}

/* --- side files, headers, what is set aside --- */

enum err_code wal_directory_open_side(struct wal *w, uint64_t segment, bool create,
                                      struct file **out, struct err *e)
{
    CHECK(segment >= w->set.first);
    CHECK(segment <= wal_set_last(&w->set));
    char path[IO_PATH_MAX];
    char side[IO_PATH_MAX];
    enum err_code code = wal_set_path(&w->set, segment, path, e);
    if (code == ERR_OK) {
        code = wal_side_path(path, side, e);
    }
    return code == ERR_OK ? io_open(w->io, side, create ? IO_WRITE | IO_CREATE : IO_WRITE, out, e)
                          : code;
}

enum err_code wal_directory_load_sides(const struct wal_directory *d, struct wal *w,
                                       struct wal_side_list *sides, struct err *e)
{
    CHECK(w->set.count > 0);
    CHECK(sides->count == 0);
    CHECK(d->count <= d->capacity);
    for (uint64_t segment = w->set.first; segment <= wal_set_last(&w->set); segment++) {
        if (!wal_set_at(&w->set, segment)->side) {
            continue;
        }
        struct file *file;
        uint64_t end;
        enum err_code code = wal_directory_open_side(w, segment, false, &file, e);
        if (code != ERR_OK) {
            return code;
        }
        code = wal_side_load(file, segment, w->layout.log_key, sides, &end, e);
        file_close(file);
        if (code != ERR_OK) {
            return code;
        }
    }
    wal_side_list_sort(sides);
    return ERR_OK;
}

static enum err_code remove_side(struct wal *w, uint64_t segment, struct err *e)
{
    CHECK(segment <= wal_set_last(&w->set));
    CHECK(wal_set_at(&w->set, segment)->side);
    char path[IO_PATH_MAX];
    char side[IO_PATH_MAX];
    enum err_code code = wal_set_path(&w->set, segment, path, e);
    if (code == ERR_OK) {
        code = wal_side_path(path, side, e);
    }
    if (code == ERR_OK) {
        code = io_unlink(w->io, side, e);
    }
    if (code == ERR_OK) {
        wal_set_at(&w->set, segment)->side = false;
    }
    return code;
}

static enum err_code settle_side(struct wal *w, uint64_t segment, struct err *e)
{
    CHECK(segment <= wal_set_last(&w->set));
    CHECK(wal_set_at(&w->set, segment)->side);
    struct file *file;
    uint64_t size = 0;
    enum err_code code = wal_directory_open_side(w, segment, false, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    code = file_size(file, &size, e);
    if (code == ERR_OK) {
        code = wal_side_settle(file, e);
    }
    file_close(file);
    if (code == ERR_OK && wal_set_at(&w->set, segment)->present) {
        code = wal_set_file(&w->set, segment, &file, e);
        if (code == ERR_OK) {
            code = wal_settle_records(file, w->layout.segment_size, e);
        }
    }
    return code == ERR_OK && size == 0 ? remove_side(w, segment, e) : code;
}

enum err_code wal_directory_settle_sides(struct wal *w, struct err *e)
{
    CHECK(w->set.count > 0);
    bool any = false;
    for (uint64_t segment = w->set.first; segment <= wal_set_last(&w->set); segment++) {
        if (wal_set_at(&w->set, segment)->side) {
            any = true;
            enum err_code code = settle_side(w, segment, e);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return any ? io_sync_dir(w->io, w->dir, e) : ERR_OK;
}

enum err_code wal_directory_make_side(struct wal *w, uint64_t segment, struct err *e)
{
    CHECK(segment >= w->set.first);
    CHECK(segment <= wal_set_last(&w->set));
    if (wal_set_at(&w->set, segment)->side) {
        return ERR_OK;
    }
    struct file *file;
    enum err_code code = wal_directory_open_side(w, segment, true, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    file_close(file);
    code = io_sync_dir(w->io, w->dir, e);
    wal_set_at(&w->set, segment)->side = code == ERR_OK;
    return code;
}

enum err_code wal_directory_settle_headers(const struct wal_directory *d, struct wal *w,
                                           struct err *e)
{
    CHECK(d->count <= d->capacity);
    CHECK(w->set.count > 0);
    for (size_t i = 0; i < d->count; i++) {
        const struct wal_directory_entry *entry = &d->entries[i];
        if (entry->header_good || entry->only_side || outside(entry, &w->writer.extent)) {
            continue;
        }
        log_warn(w->log, "wal", "segment-header-bad", "dir=%s segment=%s", w->dir, entry->name);
        struct file *file;
        enum err_code code = wal_set_file(&w->set, entry->number, &file, e);
        if (code == ERR_OK) {
            code = wal_settle_header(&w->writer, file, entry->number, entry->timeline, e);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code copy(struct file *from, struct file *to, struct err *e)
{
    CHECK(from != NULL && to != NULL);
    CHECK(from != to);
    uint64_t size;
    enum err_code code = file_size(from, &size, e);
    uint8_t *chunk = mem_alloc(COPY_CHUNK_SIZE);
    for (uint64_t at = 0; code == ERR_OK && at < size; at += COPY_CHUNK_SIZE) {
        size_t part = size - at < COPY_CHUNK_SIZE ? (size_t)(size - at) : COPY_CHUNK_SIZE;
        if (file_read_exact(from, at, chunk, part, NULL) == ERR_OK) {
            struct bytes bytes = bytes_of(chunk, part);
            code = file_write_at(to, at, &bytes, 1, e);
        }
    }
    mem_free(chunk);
    return code == ERR_OK ? file_sync(to, e) : code;
}

static enum err_code copy_segment(struct wal *w, uint64_t segment, const char *lost, struct err *e)
{
    CHECK(lost != NULL);
    CHECK(wal_set_at(&w->set, segment)->present);
    struct file *from;
    struct file *to;
    char name[WAL_SEGMENT_NAME_SIZE];
    char path[IO_PATH_MAX];
    wal_segment_name(&w->layout, wal_set_at(&w->set, segment)->timeline, segment, name);
    enum err_code code = io_join(path, lost, name, e);
    if (code == ERR_OK) {
        code = wal_set_file(&w->set, segment, &from, e);
    }
    if (code == ERR_OK) {
        code = io_open(w->io, path, IO_WRITE | IO_CREATE, &to, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    code = copy(from, to, e);
    file_close(to);
    return code;
}

enum err_code wal_directory_set_aside(struct wal *w, uint64_t first, uint64_t last, struct err *e)
{
    CHECK(w->role == WAL_LOCAL);
    CHECK(first >= w->set.first && first <= last);
    CHECK(last <= wal_set_last(&w->set));
    char lost[IO_PATH_MAX];
    enum err_code code = io_join(lost, w->dir, LOST_NAME, e);
    if (code == ERR_OK) {
        code = io_mkdir(w->io, lost, e);
        code = code == ERR_EXISTS ? ERR_OK : code;
    }
    if (code == ERR_OK) {
        code = io_sync_dir(w->io, w->dir, e);
    }
    for (uint64_t segment = first; code == ERR_OK && segment <= last; segment++) {
        if (wal_set_at(&w->set, segment)->present) {
            log_warn(w->log, "wal", "set-aside", "dir=%s segment=%" PRIu64, w->dir, segment);
            code = copy_segment(w, segment, lost, e);
        }
    }
    return code == ERR_OK ? io_sync_dir(w->io, lost, e) : code;
}
