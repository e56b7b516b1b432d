/* SPDX-License-Identifier: Apache-2.0 */
/* Scans: rows of a view, series by series, as encoded answers. */
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "tsdb/scan_request.h"
#include "tsdb/view.h"

/* Fields of tidemark.v1.ScanResponse. */
enum {
    FIELD_TAG_NAMES = 1,
    FIELD_TAG_TYPES = 2,
    FIELD_INDEX = 3,
    FIELD_SERIES = 4,
    FIELD_SERIES_OF_ROW = 5,
    FIELD_COLUMNS = 6,
    FIELD_ROWS = 7,
    FIELD_DONE = 8,
    FIELD_ROWS_TOTAL = 9,
};

/* Fields of tidemark.v1.Column. */
enum {
    COLUMN_NAME = 1,
    COLUMN_INT64 = 2,
    COLUMN_DOUBLE = 3,
    COLUMN_BOOL = 4,
    COLUMN_STRING = 5,
    COLUMN_NULLS = 6,
    COLUMN_TYPE = 7,
    COLUMN_FLOAT = 8,
};

enum { COUNT_ROWS_MAX = 1024 * 1024 }; /* of one step of a scan that only counts */

/* Rows of the message being made that are of one series, from 'row' on. */
struct segment {
    const struct series *series;
    size_t row;
};

struct tsdb_scan {
    struct tsdb_view *view;
    struct scan_request request;
    size_t batch_rows; /* ts.scan.batch_size */
    /* Where it is. */
    bool single;      /* the filters leave one series: 'series', if there is it */
    size_t series_at; /* next place in the table's series */
    size_t series_end;
    const struct series *series; /* being read; NULL: none */
    struct row_merge *merge;
    bool ended;
    bool started; /* the first message is out */
    uint64_t total;
    /* The message being made. */
    struct rows rows;
    struct segment *segments;
    size_t segment_count;
    size_t segment_capacity;
};

/* --- opening --- */

static void find_single(struct tsdb_scan *s)
{
    struct buf key = {0};
    if (scan_request_key(&s->request, &key)) {
        const struct series *series = NULL;
        if (key.size > 0) {
            series = series_set_find(s->request.table->series, series_key_hash(buf_bytes(&key)),
                                     buf_bytes(&key));
        }
        s->single = true;
        s->series_end = 0;
        if (series != NULL && series->index_created <= s->view->index &&
            scan_request_matches(&s->request, series)) {
            s->series = series;
        }
    }
    buf_deinit(&key);
}

static void begin_series(struct tsdb_scan *s)
{
    row_merge_begin(s->merge);
    view_add_sources(s->view, s->series, s->merge);
}

enum err_code tsdb_scan_open(struct tsdb_view *v, struct bytes request, struct tsdb_scan **out,
                             struct err *e)
{
    *out = NULL;
    struct tsdb_scan *s = mem_zalloc(sizeof *s);
    s->view = v;
    enum err_code code = scan_request_read(&s->request, v->version->catalog, request, e);
    if (code != ERR_OK) {
        mem_free(s);
        return code;
    }
    const struct scan_request *r = &s->request;
    s->batch_rows = (size_t)settings_value(v->version->settings, "ts.scan.batch_size");
    struct row_range range = {r->table, r->places, r->place_count, r->from, r->until};
    s->merge = row_merge_new(&range);
    rows_init(&s->rows, r->table, r->places, r->place_count);
    s->series_end = r->empty ? 0 : view_series_count(v, r->table);
    if (!r->empty) {
        find_single(s);
    }
    if (s->series != NULL) {
        begin_series(s);
    }
    *out = s;
    return ERR_OK;
}

void tsdb_scan_close(struct tsdb_scan *s)
{
    if (s == NULL) {
        return;
    }
    row_merge_close(s->merge);
    rows_deinit(&s->rows);
    mem_free(s->segments);
    scan_request_deinit(&s->request);
    mem_free(s);
}

/* --- collecting rows --- */

/* The next series that matches; false: there is none. */
static bool next_series(struct tsdb_scan *s)
{
    s->series = NULL;
    while (s->series_at < s->series_end) {
        const struct series *series = series_set_at(s->request.table->series, s->series_at++);
        if (scan_request_matches(&s->request, series)) {
            s->series = series;
            begin_series(s);
            return true;
        }
    }
    return false;
}

static void add_segment(struct tsdb_scan *s, size_t row)
{
    s->segments =
        mem_grow(s->segments, &s->segment_capacity, s->segment_count + 1, sizeof *s->segments);
    s->segments[s->segment_count++] = (struct segment){s->series, row};
}

/* Up to 'max' rows, or as many as 'size_max' bytes of strings allow. */
static enum err_code collect(struct tsdb_scan *s, size_t max, size_t size_max, struct err *e)
{
    rows_clear(&s->rows);
    s->segment_count = 0;
    uint64_t left = s->request.limit - s->total;
    max = max < left ? max : (size_t)left;
    while (s->rows.count < max && s->rows.heap.size < size_max) {
        if (s->series == NULL && !next_series(s)) {
            s->ended = true;
            break;
        }
        size_t before = s->rows.count;
        bool done = false;
        enum err_code code = row_merge_next(s->merge, &s->rows, max, &done, e);
        if (code != ERR_OK) {
            return code;
        }
        if (s->rows.count > before) {
            add_segment(s, before);
        }
        if (done) {
            s->series = NULL;
        }
    }
    s->total += s->rows.count;
    s->ended = s->ended || s->total == s->request.limit ||
               (s->series == NULL && s->series_at == s->series_end);
    return ERR_OK;
}

static enum err_code count_rows(struct tsdb_scan *s, struct err *e)
{
    uint64_t until = s->total + COUNT_ROWS_MAX;
    enum err_code code = ERR_OK;
    while (!s->ended && s->total < until && code == ERR_OK) {
        code = collect(s, LIMIT_BLOCK_ROWS_MAX, SIZE_MAX, e);
    }
    rows_clear(&s->rows);
    s->segment_count = 0;
    return code;
}

/* --- encoding --- */

static size_t varint_size(uint64_t v)
{
    size_t size = 1;
    for (; v >= 0x80; v >>= 7) {
        size++;
    }
    return size;
}

static void put_head(const struct tsdb_scan *s, struct buf *b)
{
    const struct table *t = s->request.table;
    for (size_t i = 0; i < t->tag_count; i++) {
        wire_put_item(b, FIELD_TAG_NAMES, bytes_str(t->tags[i].name));
    }
    size_t types = wire_begin(b, FIELD_TAG_TYPES);
    for (size_t i = 0; i < t->tag_count; i++) {
        buf_put_varint(b, (uint64_t)t->tags[i].type);
    }
    wire_end(b, types);
    wire_put_uint(b, FIELD_INDEX, s->view->index);
}

static void put_series(const struct tsdb_scan *s, const struct series *series, struct buf *b)
{
    const struct table *t = s->request.table;
    uint8_t nulls[(LIMIT_TAGS_MAX + 7) / 8] = {0};
    bool any_null = false;
    struct buf text = {0};
    size_t mark = wire_begin(b, FIELD_SERIES);
    for (size_t i = 0; i < t->tag_count; i++) {
        struct bytes value;
        buf_reset(&text);
        if (tags_find(series->tags, t->tags[i].id, &value)) {
            bool good = value_print_tag(t->tags[i].type, value, &text);
            CHECK(good);
        } else {
            nulls[i / 8] |= (uint8_t)(1U << (i % 8));
            any_null = true;
        }
        wire_put_item(b, 1, buf_bytes(&text));
    }
    if (any_null) {
        wire_put_item(b, 2, bytes_of(nulls, (t->tag_count + 7) / 8));
    }
    wire_end(b, mark);
    buf_deinit(&text);
}

static void put_series_of_rows(const struct tsdb_scan *s, struct buf *b)
{
    size_t size = 0;
    for (size_t i = 0; i < s->segment_count; i++) {
        size_t end = i + 1 < s->segment_count ? s->segments[i + 1].row : s->rows.count;
        size += varint_size(i) * (end - s->segments[i].row);
    }
    wire_put_tag(b, FIELD_SERIES_OF_ROW, WIRE_BYTES);
    buf_put_varint(b, size);
    buf_reserve(b, size);
    for (size_t i = 0; i < s->segment_count; i++) {
        size_t end = i + 1 < s->segment_count ? s->segments[i + 1].row : s->rows.count;
        for (size_t row = s->segments[i].row; row < end; row++) {
            buf_put_varint(b, i);
        }
    }
}

static void put_words(struct buf *b, uint32_t field, const uint64_t *words, size_t count)
{
    wire_put_tag(b, field, WIRE_BYTES);
    buf_put_varint(b, count * 8);
    uint8_t *p = buf_extend(b, count * 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(p, words, count * 8);
#else
    for (size_t i = 0; i < count; i++) {
        bytes_put_u64(p + i * 8, words[i]);
    }
#endif
}

static void put_floats(struct buf *b, const uint64_t *words, size_t count)
{
    wire_put_tag(b, COLUMN_FLOAT, WIRE_BYTES);
    buf_put_varint(b, count * 4);
    uint8_t *p = buf_extend(b, count * 4);
    for (size_t i = 0; i < count; i++) {
        bytes_put_u32(p + i * 4, (uint32_t)words[i]);
    }
}

static void put_bools(struct buf *b, const uint64_t *words, size_t count)
{
    wire_put_tag(b, COLUMN_BOOL, WIRE_BYTES);
    buf_put_varint(b, count);
    uint8_t *p = buf_extend(b, count);
    for (size_t i = 0; i < count; i++) {
        p[i] = (uint8_t)words[i];
    }
}

static void put_nulls(struct buf *b, const uint8_t *nulls, size_t count)
{
    size_t size = (count + 7) / 8;
    wire_put_tag(b, COLUMN_NULLS, WIRE_BYTES);
    buf_put_varint(b, size);
    uint8_t *p = buf_extend(b, size);
    memset(p, 0, size);
    for (size_t i = 0; i < count; i++) {
        p[i / 8] |= (uint8_t)((nulls[i] != 0 ? 1U : 0U) << (i % 8));
    }
}

static void put_column(const struct tsdb_scan *s, const struct rows_column *c, struct buf *b)
{
    size_t count = s->rows.count;
    size_t mark = wire_begin(b, FIELD_COLUMNS);
    wire_put_str(b, COLUMN_NAME, s->request.table->columns[c->place].name);
    switch (c->type) {
    case VALUE_TIMESTAMP:
    case VALUE_INT64:
    case VALUE_INT32:
    case VALUE_INT16:
        put_words(b, COLUMN_INT64, c->words, count);
        break;
    case VALUE_DOUBLE:
        put_words(b, COLUMN_DOUBLE, c->words, count);
        break;
    case VALUE_FLOAT:
        put_floats(b, c->words, count);
        break;
    case VALUE_BOOL:
        put_bools(b, c->words, count);
        break;
    case VALUE_STRING:
    case VALUE_BYTES:
        for (size_t i = 0; i < count; i++) {
            wire_put_item(b, COLUMN_STRING,
                          c->nulls[i] != 0 ? (struct bytes){0}
                                           : rows_string(&s->rows, c->words[i]));
        }
        break;
    case VALUE_TYPE_END:
        break;
    }
    if (c->any_null) {
        put_nulls(b, c->nulls, count);
    }
    wire_put_uint(b, COLUMN_TYPE, (uint64_t)c->type);
    wire_end(b, mark);
}

static void put_times(const struct tsdb_scan *s, struct buf *b)
{
    size_t mark = wire_begin(b, FIELD_COLUMNS);
    wire_put_str(b, COLUMN_NAME, s->request.table->columns[0].name);
    put_words(b, COLUMN_INT64, (const uint64_t *)s->rows.times, s->rows.count);
    wire_put_uint(b, COLUMN_TYPE, VALUE_TIMESTAMP);
    wire_end(b, mark);
}

static void put_rows(const struct tsdb_scan *s, struct buf *b)
{
    if (s->rows.count == 0) {
        return;
    }
    for (size_t i = 0; i < s->segment_count; i++) {
        put_series(s, s->segments[i].series, b);
    }
    if (s->segment_count > 1) {
        put_series_of_rows(s, b);
    }
    put_times(s, b);
    for (size_t i = 0; i < s->rows.column_count; i++) {
        put_column(s, &s->rows.columns[i], b);
    }
    wire_put_uint(b, FIELD_ROWS, s->rows.count);
}

enum err_code tsdb_scan_next(struct tsdb_scan *s, size_t size_max, struct buf *answer, bool *done,
                             struct err *e)
{
    size_max = size_max > 0 ? size_max : 1; /* a row at least */
    size_t row_size = 8 + 9 * s->request.place_count;
    size_t max = size_max / row_size < s->batch_rows ? size_max / row_size : s->batch_rows;
    enum err_code code = ERR_OK;
    *done = false;
    if (s->request.count_only) {
        code = count_rows(s, e);
    } else if (!s->ended) {
        code = collect(s, max > 0 ? max : 1, size_max, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (!s->started) {
        put_head(s, answer);
        s->started = true;
    }
    put_rows(s, answer);
    if (s->ended) {
        wire_put_uint(answer, FIELD_DONE, 1);
        wire_put_uint(answer, FIELD_ROWS_TOTAL, s->total);
        *done = true;
    }
    return ERR_OK;
}
