/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/view.h"

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/db.h"

struct tsdb_view *tsdb_view_pin(struct tsdb *db)
{
    struct tsdb_view *v = mem_zalloc(sizeof *v);
    v->version = versions_pin_reader(&db->versions);
    v->index = tsdb_applied_index(db);
    v->series_id_next = db->series_id_next;
    v->sessions_hash = sessions_hash(db->sessions);
    v->nodes_hash = db->nodes_hash;
    v->configuration_hash = hash128(buf_bytes(&db->configuration));
    return v;
}

uint64_t tsdb_view_index(const struct tsdb_view *v)
{
    return v->index;
}

void tsdb_view_unpin(struct tsdb_view *v)
{
    version_unpin_reader(v->version);
    mem_free(v);
}

size_t view_series_count(const struct tsdb_view *v, const struct table *t)
{
    size_t low = 0;
    size_t high = series_set_count(t->series);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (series_set_at(t->series, middle)->index_created <= v->index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void add_memory(const struct tsdb_view *v, const struct memory *memory,
                       const struct series *s, struct row_merge *m)
{
    const struct memory_series *rows = memtable_find(memory->tables[s->vgroup], s);
    if (rows != NULL) {
        row_merge_add_memory(m, rows, v->index);
    }
}

void view_add_sources(const struct tsdb_view *v, const struct series *s, struct row_merge *m)
{
    add_memory(v, v->version->active, s, m);
    if (v->version->frozen != NULL) {
        add_memory(v, v->version->frozen, s, m);
    }
    const struct part_set *parts = v->version->parts;
    for (size_t i = 0; i < parts->counts[s->vgroup]; i++) {
        row_merge_add_part(m, parts->items[s->vgroup][i], s->id);
    }
}

/* --- the hash of the whole state --- */

enum { HASH_PIECE_SIZE = 64 * 1024 };

/* Content in the order of catalog, series and time, in pieces that end where
 * the content says, never where a batch or a block ended. */
struct state_hash {
    struct hash128 state;
    struct buf piece;
};

static void end_piece(struct state_hash *h)
{
    h->state = hash128_chain(h->state, buf_bytes(&h->piece));
    buf_reset(&h->piece);
}

static void add_hash(struct state_hash *h, struct hash128 x)
{
    buf_put_u64(&h->piece, x.low);
    buf_put_u64(&h->piece, x.high);
}

static void add_row(struct state_hash *h, const struct rows *rows, size_t row)
{
    buf_put_u64(&h->piece, (uint64_t)rows->times[row]);
    for (size_t i = 0; i < rows->column_count; i++) {
        const struct rows_column *c = &rows->columns[i];
        buf_put_u8(&h->piece, c->nulls[row]);
        if (c->nulls[row] != 0) {
            continue;
        }
        if (value_is_long(c->type)) {
            buf_put_blob(&h->piece, rows_string(rows, c->words[row]));
        } else {
            buf_put_u64(&h->piece, c->words[row]);
        }
    }
    if (h->piece.size >= HASH_PIECE_SIZE) {
        end_piece(h);
    }
}

static enum err_code add_series(struct state_hash *h, const struct tsdb_view *v,
                                const struct series *s, struct row_merge *m, struct rows *rows,
                                struct err *e)
{
    buf_put_u64(&h->piece, s->id);
    buf_put_u64(&h->piece, s->index_created);
    buf_put_blob(&h->piece, s->tags);
    row_merge_begin(m);
    view_add_sources(v, s, m);
    uint64_t count = 0;
    bool done = false;
    while (!done) {
        rows_clear(rows);
        enum err_code code =
            row_merge_next(m, rows, rows_batch_max(rows->column_count + 1), &done, e);
        if (code != ERR_OK) {
            return code;
        }
        for (size_t row = 0; row < rows->count; row++) {
            add_row(h, rows, row);
        }
        count += rows->count;
    }
    buf_put_u64(&h->piece, count);
    end_piece(h);
    return ERR_OK;
}

static enum err_code add_table(struct state_hash *h, const struct tsdb_view *v,
                               const struct table *t, struct err *e)
{
    size_t place_count = t->column_count - 1;
    uint32_t *places = mem_array(place_count + 1, sizeof *places);
    for (size_t i = 0; i < place_count; i++) {
        places[i] = (uint32_t)i + 1;
    }
    struct row_range all = {t, places, place_count, INT64_MIN, INT64_MAX};
    struct row_merge *m = row_merge_new(&all);
    struct rows rows;
    rows_init(&rows, t, places, place_count);
    size_t count = view_series_count(v, t);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        code = add_series(h, v, series_set_at(t->series, i), m, &rows, e);
    }
    rows_deinit(&rows);
    row_merge_close(m);
    mem_free(places);
    return code;
}

enum err_code tsdb_view_hash(struct tsdb_view *v, struct hash128 *hash, struct err *e)
{
    struct state_hash h = {{0}, {0}};
    catalog_encode(v->version->catalog, &h.piece);
    settings_encode(v->version->settings, &h.piece);
    add_hash(&h, v->sessions_hash);
    add_hash(&h, v->nodes_hash);
    add_hash(&h, v->configuration_hash);
    buf_put_u64(&h.piece, v->series_id_next);
    end_piece(&h);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < catalog_table_count(v->version->catalog) && code == ERR_OK; i++) {
        code = add_table(&h, v, catalog_table(v->version->catalog, i), e);
    }
    *hash = h.state;
    buf_deinit(&h.piece);
    return code;
}
