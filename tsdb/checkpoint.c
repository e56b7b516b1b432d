/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tsdb/manifest.h"
#include "tsdb/row_merge.h"

enum { MERGE_GROWTH = 2 };

/* --- what is to be written --- */

/* The newest part is the smallest, as a rule. It takes in the next older one
 * while that is at most twice what was gathered: each row is written again only
 * a logarithmic number of times. */
size_t checkpoint_merge_count(const uint64_t *sizes, size_t count)
{
    if (count < LIMIT_PARTS_PER_VGROUP || sizes[0] >= LIMIT_MERGE_SIZE_MAX) {
        return 0;
    }
    uint64_t total = sizes[0];
    size_t merged = 1;
    while (merged < count && sizes[merged] < LIMIT_MERGE_SIZE_MAX &&
           (merged < 2 || sizes[merged] <= MERGE_GROWTH * total)) {
        total += sizes[merged++];
    }
    return merged;
}

static void note_changed(struct freeze *f, unsigned vgroup)
{
    f->changed[vgroup] =
        f->merge_counts[vgroup] > 0 || memtable_row_count(f->version->frozen->tables[vgroup]) > 0;
}

static void plan(struct freeze *f, unsigned vgroup)
{
    const struct part_set *parts = f->version->parts;
    size_t count = parts->counts[vgroup];
    uint64_t *sizes = mem_array(count + 1, sizeof *sizes);
    for (size_t i = 0; i < count; i++) {
        sizes[i] = part_info(parts->items[vgroup][i])->size;
    }
    f->merge_counts[vgroup] = checkpoint_merge_count(sizes, count);
    note_changed(f, vgroup);
    mem_free(sizes);
}

/* --- writing one VGroup's part --- */

/* One series that may have rows to write. */
struct item {
    const struct series *series;
    const struct table *table;          /* its version at the index of the checkpoint */
    const struct memory_series *memory; /* NULL: none */
};

/* One VGroup being written. */
struct flush {
    const struct freeze *freeze;
    unsigned vgroup;
    bool unreadable; /* a part that was to be merged */
    struct part_writer *writer;
    struct part_info info;
    struct item *items; /* by rising id */
    size_t count;
    size_t capacity;
    size_t at;             /* the item that is written */
    bool begun;            /* its rows are being merged */
    uint64_t rows_counted; /* in the freeze's progress */
    /* Kept while series of one table follow each other. */
    const struct table *table;
    uint32_t *places;
    struct row_merge *merge;
    struct rows rows;
    struct rows rest;
};

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    return x->series->id < y->series->id ? -1 : x->series->id > y->series->id;
}

static void add_item(struct flush *x, const struct series *series, const struct table *table,
                     const struct memory_series *memory)
{
    x->items = mem_grow(x->items, &x->capacity, x->count + 1, sizeof *x->items);
    x->items[x->count++] = (struct item){series, table, memory};
}

/* With parts to merge, any series may have rows; else those in memory have. Rows
 * of tables that are gone are left behind. */
static void list_items(struct flush *x)
{
    const struct freeze *f = x->freeze;
    const struct catalog *catalog = f->version->catalog;
    const struct memtable *memory = f->version->frozen->tables[x->vgroup];
    if (f->merge_counts[x->vgroup] == 0) {
        for (struct memory_series *s = memtable_first(memory); s != NULL; s = s->next) {
            const struct table *t = catalog_version(catalog, s->table);
            if (t != NULL) {
                add_item(x, s->series, t, s);
            }
        }
    }
    for (size_t i = 0; f->merge_counts[x->vgroup] > 0 && i < catalog_table_count(catalog); i++) {
        const struct table *t = catalog_table(catalog, i);
        const struct series_set *set = t->series;
        size_t count = series_set_count(set);
        for (size_t j = 0; j < count; j++) {
            struct series *s = series_set_at(set, j);
            if (s->vgroup == x->vgroup && s->index_created <= f->index) {
                add_item(x, s, t, memtable_find(memory, s));
            }
        }
    }
    if (x->count > 0) {
        qsort(x->items, x->count, sizeof *x->items, compare_items);
    }
}

static void leave_table(struct flush *x)
{
    row_merge_close(x->merge);
    rows_deinit(&x->rows);
    rows_deinit(&x->rest);
    mem_free(x->places);
    x->merge = NULL;
    x->places = NULL;
    x->table = NULL;
}

static void enter_table(struct flush *x, const struct table *t)
{
    if (x->table == t) {
        return;
    }
    leave_table(x);
    x->table = t;
    size_t count = t->column_count - 1;
    x->places = mem_array(count + 1, sizeof *x->places);
    for (size_t i = 0; i < count; i++) {
        x->places[i] = (uint32_t)i + 1;
    }
    struct row_range all = {t, x->places, count, INT64_MIN, INT64_MAX};
    x->merge = row_merge_new(&all);
    rows_init(&x->rows, t, x->places, count);
    rows_init(&x->rest, t, x->places, count);
}

/* Writes what is gathered, as far as it makes whole blocks: the place of a cut
 * depends on the rows alone, never on the batches in which they came. */
static enum err_code write_blocks(struct flush *x, uint64_t series_id, bool done, struct err *e)
{
    size_t max = rows_batch_max(x->table->column_count);
    size_t from = 0;
    while (from < x->rows.count) {
        size_t to = rows_fit(&x->rows, from, ROWS_HEAP_SIZE);
        to = to - from < max ? to : from + max;
        if (to == x->rows.count && to - from < max && !done) {
            break; /* more rows may join this block */
        }
        enum err_code code = part_writer_add(x->writer, series_id, &x->rows, from, to, e);
        if (code != ERR_OK) {
            return code;
        }
        from = to;
    }
    rows_clear(&x->rest);
    rows_append(&x->rest, &x->rows, from, x->rows.count);
    struct rows swap = x->rows;
    x->rows = x->rest;
    x->rest = swap;
    return ERR_OK;
}

static void begin_series(struct flush *x, const struct item *item)
{
    const struct freeze *f = x->freeze;
    enter_table(x, item->table);
    row_merge_begin(x->merge);
    if (item->memory != NULL) {
        row_merge_add_memory(x->merge, item->memory, f->index);
    }
    for (size_t i = 0; i < f->merge_counts[x->vgroup]; i++) {
        row_merge_add_part(x->merge, f->version->parts->items[x->vgroup][i], item->series->id);
    }
    rows_clear(&x->rows);
    x->begun = true;
}

/* The next batch of rows of the series that is written. */
static enum err_code write_batch(struct flush *x, struct err *e)
{
    const struct item *item = &x->items[x->at];
    if (!x->begun) {
        begin_series(x, item);
    }
    bool done = false;
    enum err_code code =
        row_merge_next(x->merge, &x->rows, rows_batch_max(x->table->column_count), &done, e);
    x->unreadable = code == ERR_CORRUPT || code == ERR_IO;
    if (code == ERR_OK) {
        code = write_blocks(x, item->series->id, done, e);
    }
    if (code == ERR_OK && done) {
        x->begun = false;
        x->at++;
    }
    return code;
}

/* Which entries' rows the new part holds. */
static void range_of(const struct freeze *f, unsigned vgroup, struct part_info *info)
{
    size_t merged = f->merge_counts[vgroup];
    const struct part_set *parts = f->version->parts;
    info->vgroup = vgroup;
    info->index_until = f->index;
    /* Parts of a VGroup follow each other: this one begins behind the next older. */
    info->index_from = 1;
    if (merged < parts->counts[vgroup]) {
        info->index_from = part_info(parts->items[vgroup][merged])->index_until + 1;
    }
}

static void flush_close(struct flush *x)
{
    if (x == NULL) {
        return;
    }
    part_writer_close(x->writer);
    leave_table(x);
    mem_free(x->items);
    mem_free(x);
}

static enum err_code flush_open(struct tsdb *db, struct freeze *f, struct err *e)
{
    struct flush *x = mem_zalloc(sizeof *x);
    x->freeze = f;
    x->vgroup = f->vgroup;
    range_of(f, x->vgroup, &x->info);
    enum err_code code = part_writer_open(db->io, db->dir, &x->info, &x->writer, e);
    if (code != ERR_OK) {
        flush_close(x);
        return code;
    }
    list_items(x);
    f->flush = x;
    return ERR_OK;
}

/* --- freezing --- */

static void close_made(struct freeze *f)
{
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        part_close(f->made[i]);
        f->made[i] = NULL;
    }
}

/* What was written is given up: the writing begins anew. */
static void rewind_writing(struct freeze *f)
{
    flush_close(f->flush);
    close_made(f);
    f->flush = NULL;
    f->vgroup = 0;
    f->progress = (struct tsdb_checkpoint){.index = f->index, .term = f->term};
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        const struct part_set *parts = f->version->parts;
        f->progress.parts_kept += (unsigned)(parts->counts[i] - f->merge_counts[i]);
        f->progress.rows_total += memtable_row_count(f->version->frozen->tables[i]);
        for (size_t j = 0; j < f->merge_counts[i]; j++) {
            f->progress.rows_total += part_info(parts->items[i][j])->row_count;
        }
    }
}

void tsdb_checkpoint_spare(struct tsdb *db)
{
    struct freeze *f = db->freeze;
    CHECK(f != NULL);
    CHECK(!f->written);
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        for (size_t j = 0; j < f->merge_counts[i]; j++) {
            if (part_is_damaged(f->version->parts->items[i][j])) {
                f->merge_counts[i] = j;
            }
        }
        note_changed(f, i);
    }
    rewind_writing(f);
}

void checkpoint_freeze(struct tsdb *db)
{
    CHECK(db->freeze == NULL);
    CHECK(db->versions.current->frozen == NULL);
    struct version v = versions_copy(&db->versions);
    v.frozen = v.active;
    v.active = memory_new(db->generation_next++);
    versions_put(&db->versions, v);

    struct freeze *f = mem_zalloc(sizeof *f);
    f->index = tsdb_applied_index(db);
    f->term = tsdb_applied_term(db);
    f->version = versions_pin(&db->versions);
    manifest_put_members(&f->members, &db->nodes, buf_bytes(&db->configuration),
                         db->configuration_index);
    manifest_put_sessions(&f->sessions, db->sessions, db->series_id_next);
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        plan(f, i);
    }
    rewind_writing(f);
    db->freeze = f;
    atomic_store_explicit(&db->frozen, true, memory_order_release);
}

void checkpoint_drop(struct tsdb *db)
{
    struct freeze *f = db->freeze;
    if (f == NULL) {
        return;
    }
    flush_close(f->flush);
    close_made(f);
    version_unpin(f->version);
    buf_deinit(&f->members);
    buf_deinit(&f->sessions);
    mem_free(f);
    db->freeze = NULL;
    atomic_store_explicit(&db->frozen, false, memory_order_release);
}

/* --- writing the whole --- */

static void put_parts(const struct freeze *f, struct buf *out)
{
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        if (f->made[i] != NULL) {
            manifest_put_part(out, part_info(f->made[i]));
        }
        for (size_t j = f->merge_counts[i]; j < f->version->parts->counts[i]; j++) {
            manifest_put_part(out, part_info(f->version->parts->items[i][j]));
        }
    }
}

static enum err_code write_manifest(struct tsdb *db, struct freeze *f, struct tsdb_checkpoint *out,
                                    struct err *e)
{
    struct buf b = {0};
    manifest_begin(&b, f->index, f->term, out->parts_written + out->parts_kept);
    put_parts(f, &b);
    manifest_put_catalog(&b, f->version->catalog, f->version->settings);
    buf_put_bytes(&b, buf_bytes(&f->members));
    buf_put_bytes(&b, buf_bytes(&f->sessions));
    manifest_put_series(&b, f->version->catalog, f->index);
    manifest_end(&b);
    char name[TSDB_NAME_SIZE];
    tsdb_manifest_name(f->index, name);
    enum err_code code = ERR_OK;
    if (b.size > LIMIT_MANIFEST_SIZE_MAX) {
        code = err_set(e, ERR_FULL, "the manifest has %zu bytes, at most %d are allowed", b.size,
                       LIMIT_MANIFEST_SIZE_MAX);
    }
    if (code == ERR_OK) {
        code = io_replace_file(db->io, db->dir, name, buf_bytes(&b), e);
    }
    out->bytes_written += b.size;
    buf_deinit(&b);
    return code;
}

/* The part is whole: closes it under its name. */
static enum err_code finish_part(struct tsdb *db, struct freeze *f, struct err *e)
{
    struct flush *x = f->flush;
    enum err_code code = part_writer_finish(x->writer, &x->info, e);
    bool rows = code == ERR_OK && x->info.row_count > 0;
    if (rows) {
        code = part_open(db->io, db->dir, &x->info, &f->made[x->vgroup], e);
    }
    if (code != ERR_OK) {
        return code;
    }
    f->progress.parts_written += rows ? 1 : 0;
    f->progress.bytes_written += rows ? x->info.size : 0;
    flush_close(x);
    f->flush = NULL;
    f->vgroup++;
    return ERR_OK;
}

/* Writes on at the part of the current VGroup, about *budget bytes at most. */
static enum err_code write_part(struct tsdb *db, struct freeze *f, uint64_t *budget, struct err *e)
{
    enum err_code code = f->flush == NULL ? flush_open(db, f, e) : ERR_OK;
    if (code != ERR_OK) {
        return code;
    }
    struct flush *x = f->flush;
    uint64_t begin = part_writer_size(x->writer);
    while (code == ERR_OK && x->at < x->count && part_writer_size(x->writer) - begin < *budget) {
        code = write_batch(x, e);
    }
    uint64_t wrote = part_writer_size(x->writer) - begin;
    bool whole = x->at == x->count;
    *budget -= wrote < *budget ? wrote : *budget;
    if (code != ERR_OK) {
        return code;
    }
    f->progress.rows_done += part_writer_rows(x->writer) - x->rows_counted;
    x->rows_counted = part_writer_rows(x->writer);
    return whole ? finish_part(db, f, e) : part_writer_sync(x->writer, e);
}

static enum err_code write_parts(struct tsdb *db, struct freeze *f, uint64_t size_max,
                                 struct err *e)
{
    uint64_t budget = size_max;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && f->vgroup < VGROUP_COUNT && budget > 0) {
        if (f->changed[f->vgroup]) {
            code = write_part(db, f, &budget, e);
        } else {
            f->vgroup++;
        }
    }
    return code;
}

enum err_code tsdb_checkpoint_step(struct tsdb *db, uint64_t size_max, struct tsdb_checkpoint *out,
                                   bool *done, struct err *e)
{
    struct freeze *f = db->freeze;
    CHECK(f != NULL);
    CHECK(!f->written);
    CHECK(size_max > 0);
    *done = false;
    enum err_code code = write_parts(db, f, size_max, e);
    bool whole = f->vgroup == VGROUP_COUNT;
    if (code == ERR_OK && whole) {
        code = io_sync_dir(db->io, db->dir, e); /* the parts' names, before the manifest */
    }
    if (code == ERR_OK && whole) {
        code = write_manifest(db, f, &f->progress, e);
    }
    if (code != ERR_OK) {
        bool unreadable = f->flush != NULL && f->flush->unreadable;
        rewind_writing(f);
        *out = f->progress;
        out->unreadable = unreadable;
        (void)err_wrap(e, "writing checkpoint %" PRIu64, f->index);
        return code;
    }
    *out = f->progress;
    *done = whole;
    f->written = whole;
    if (whole) {
        log_info(db->log, "tsdb", "checkpoint-written",
                 "index=%" PRIu64 " parts-written=%u parts-kept=%u bytes=%" PRIu64, f->index,
                 out->parts_written, out->parts_kept, out->bytes_written);
    }
    return ERR_OK;
}

enum err_code tsdb_checkpoint_write(struct tsdb *db, struct tsdb_checkpoint *out, struct err *e)
{
    bool done = false;
    enum err_code code = tsdb_checkpoint_step(db, UINT64_MAX, out, &done, e);
    CHECK(code != ERR_OK || done);
    return code;
}

/* The parts as they are from now on. */
static struct part_set *parts_after(struct freeze *f)
{
    struct part_set *s = part_set_new();
    const struct part_set *before = f->version->parts;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        for (size_t j = before->counts[i]; j > f->merge_counts[i]; j--) {
            part_set_put(s, i, part_ref(before->items[i][j - 1]));
        }
        if (f->made[i] != NULL) {
            part_set_put(s, i, f->made[i]);
            f->made[i] = NULL;
        }
    }
    return s;
}

enum err_code tsdb_checkpoint_finish(struct tsdb *db, struct err *e)
{
    struct freeze *f = db->freeze;
    if (f == NULL || !f->written) {
        return err_set(e, ERR_STATE, "there is no written checkpoint to finish");
    }
    struct version v = versions_copy(&db->versions);
    part_set_unref(v.parts);
    v.parts = parts_after(f);
    memory_unref(v.frozen);
    v.frozen = NULL;
    atomic_store_explicit(&db->checkpoint_index, f->index, memory_order_release);
    checkpoint_drop(db);
    versions_put(&db->versions, v);
    db_update_memory_size(db);
    return ERR_OK;
}
