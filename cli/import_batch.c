/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "cli/value_text.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.WriteRequest, RequestId, SeriesTags and Column. */
enum {
    WRITE_ID = 1,
    WRITE_DATABASE,
    WRITE_TABLE,
    WRITE_TAG_NAMES,
    WRITE_SERIES,
    WRITE_SERIES_OF_ROW,
    WRITE_COLUMNS,
};
enum { ID_SESSION = 1, ID_SEQUENCE, ID_SEQUENCE_OPEN };
enum { SERIES_VALUES = 1, SERIES_NULLS };
enum {
    COLUMN_NAME = 1,
    COLUMN_INT64_VALUES,
    COLUMN_DOUBLE_VALUES,
    COLUMN_BOOL_VALUES,
    COLUMN_STRING_VALUES,
    COLUMN_NULLS,
    COLUMN_FLOAT_VALUES = 8,
};

/* A value of the record that is being looked at. */
struct value {
    bool null;
    uint64_t bits; /* numbers and bools */
    struct bytes text;
};

struct column {
    struct buf values; /* as the message wants them: 8 bytes, 1 byte, or encoded strings */
    struct buf nulls;
    bool some_null;
};

struct series {
    uint64_t hash;   /* of the primary tags */
    size_t at, size; /* its key in 'series_keys' */
};

struct import_batch {
    const struct import_plan *plan; /* borrowed */
    size_t rows_max;
    size_t row_count;
    uint64_t line_first, line_last;
    struct column time;
    struct column *columns; /* as in the plan */
    struct value *values;   /* scratch: columns, then tags */
    struct buf key;         /* scratch: all tags of the row */
    struct buf series_keys;
    struct series *series;
    size_t series_count, series_capacity;
    uint32_t *index; /* hash table: 1 + place in 'series', 0: free */
    size_t index_size;
    uint32_t *series_of_row;
    uint64_t *row_hashes;
    uint64_t *series_hashes; /* of each row; when the plan has other tags */
    size_t string_size;      /* of all string values */
    struct buf body;         /* encoded, without the id; empty: not yet */
};

struct import_batch *import_batch_open(const struct import_plan *plan, size_t rows_max)
{
    CHECK(rows_max > 0);
    CHECK(rows_max <= LIMIT_WRITE_ROWS_MAX);
    struct import_batch *b = mem_zalloc(sizeof *b);
    b->plan = plan;
    b->rows_max = rows_max;
    b->columns = mem_array(plan->column_count + 1, sizeof *b->columns);
    b->values = mem_array(plan->column_count + plan->tag_count + 1, sizeof *b->values);
    b->index_size = 16;
    while (b->index_size < rows_max * 2) {
        b->index_size *= 2;
    }
    b->index = mem_array(b->index_size, sizeof *b->index);
    b->series_of_row = mem_array(rows_max, sizeof *b->series_of_row);
    b->row_hashes = mem_array(rows_max, sizeof *b->row_hashes);
    b->series_hashes = plan->has_other_tags ? mem_array(rows_max, sizeof *b->series_hashes) : NULL;
    return b;
}

static void deinit_column(struct column *c)
{
    buf_deinit(&c->values);
    buf_deinit(&c->nulls);
}

void import_batch_close(struct import_batch *b)
{
    if (b == NULL) {
        return;
    }
    for (size_t i = 0; i < b->plan->column_count; i++) {
        deinit_column(&b->columns[i]);
    }
    deinit_column(&b->time);
    buf_deinit(&b->key);
    buf_deinit(&b->series_keys);
    buf_deinit(&b->body);
    mem_free(b->columns);
    mem_free(b->values);
    mem_free(b->series);
    mem_free(b->index);
    mem_free(b->series_of_row);
    mem_free(b->row_hashes);
    mem_free(b->series_hashes);
    mem_free(b);
}

static void reset_column(struct column *c)
{
    buf_reset(&c->values);
    buf_reset(&c->nulls);
    c->some_null = false;
}

void import_batch_reset(struct import_batch *b)
{
    for (size_t i = 0; i < b->plan->column_count; i++) {
        reset_column(&b->columns[i]);
    }
    reset_column(&b->time);
    buf_reset(&b->series_keys);
    buf_reset(&b->body);
    memset(b->index, 0, b->index_size * sizeof *b->index);
    b->series_count = 0;
    b->row_count = 0;
    b->string_size = 0;
}

/* --- one record, value by value --- */

static enum err_code not_a(struct bytes text, const struct import_column *c, const char *kind,
                           struct err *e)
{
    return err_set(e, ERR_INVALID, "%s '%s': '%.*s' is no %s", kind, c->name,
                   text.size > 40 ? 40 : (int)text.size, (const char *)text.data,
                   value_text_type_name(c->type));
}

static enum err_code check_text(struct bytes text, const struct import_column *c, const char *kind,
                                struct err *e)
{
    size_t size_max = c->size_max == 0 ? LIMIT_STRING_SIZE_MAX : c->size_max;
    if (text.size > size_max) {
        return err_set(e, ERR_RANGE, "%s '%s': %zu bytes of text, at most %zu are allowed", kind,
                       c->name, text.size, size_max);
    }
    if (!value_text_is_utf8(text)) {
        return err_set(e, ERR_INVALID, "%s '%s': not UTF-8", kind, c->name);
    }
    return ERR_OK;
}

/* The text of bytes stays what it is until it is encoded; here it is only checked. */
static enum err_code check_bytes(struct bytes text, const struct import_column *c, const char *kind,
                                 struct err *e)
{
    struct buf decoded = {0};
    size_t size_max = c->size_max == 0 ? LIMIT_STRING_SIZE_MAX : c->size_max;
    enum err_code code = value_text_bytes(text, &decoded) ? ERR_OK : not_a(text, c, kind, e);
    if (code == ERR_OK && decoded.size > size_max) {
        code = err_set(e, ERR_RANGE, "%s '%s': %zu bytes, at most %zu are allowed", kind, c->name,
                       decoded.size, size_max);
    }
    buf_deinit(&decoded);
    return code;
}

static bool read_whole(struct bytes text, int64_t least, int64_t greatest, uint64_t *bits)
{
    int64_t number = 0;
    if (!value_text_int64(text, &number) || number < least || number > greatest) {
        return false;
    }
    *bits = (uint64_t)number;
    return true;
}

/* A number or a bool. False: it is none. */
static bool read_word(struct bytes text, int type, uint64_t *bits)
{
    double real = 0;
    float narrow = 0;
    bool truth = false;
    bool good = false;
    switch (type) {
    case TIDEMARK__V1__TYPE__INT64:
        return read_whole(text, INT64_MIN, INT64_MAX, bits);
    case TIDEMARK__V1__TYPE__INT32:
        return read_whole(text, INT32_MIN, INT32_MAX, bits);
    case TIDEMARK__V1__TYPE__INT16:
        return read_whole(text, INT16_MIN, INT16_MAX, bits);
    case TIDEMARK__V1__TYPE__FLOAT:
        good = value_text_float(text, &narrow);
        uint32_t low = 0;
        memcpy(&low, &narrow, sizeof low);
        *bits = low;
        return good;
    case TIDEMARK__V1__TYPE__BOOL:
        good = value_text_bool(text, &truth);
        *bits = truth ? 1 : 0;
        return good;
    default:
        good = value_text_double(text, &real);
        memcpy(bits, &real, sizeof *bits);
        return good;
    }
}

static enum err_code read_text(const struct import_plan *p, struct bytes text,
                               const struct import_column *c, const char *kind, struct value *out,
                               struct err *e)
{
    int64_t time = 0;
    switch (c->type) {
    case TIDEMARK__V1__TYPE__INT64:
    case TIDEMARK__V1__TYPE__INT32:
    case TIDEMARK__V1__TYPE__INT16:
    case TIDEMARK__V1__TYPE__FLOAT:
    case TIDEMARK__V1__TYPE__DOUBLE:
    case TIDEMARK__V1__TYPE__BOOL:
        return read_word(text, c->type, &out->bits) ? ERR_OK : not_a(text, c, kind, e);
    case TIDEMARK__V1__TYPE__TIMESTAMP:
        if (time_text_parse(&p->time_format, text, p->precision, &time, e) != ERR_OK) {
            return err_wrap(e, "%s '%s'", kind, c->name);
        }
        out->bits = (uint64_t)time;
        return ERR_OK;
    case TIDEMARK__V1__TYPE__BYTES:
        out->text = text;
        return check_bytes(text, c, kind, e);
    case TIDEMARK__V1__TYPE__STRING:
        out->text = text;
        return check_text(text, c, kind, e);
    default:
        return err_set(e, ERR_UNSUPPORTED, "%s '%s' has a type that this program does not know",
                       kind, c->name);
    }
}

/* A field without anything is no value; "" is an empty text. */
static enum err_code read_value(const struct import_plan *p, const struct csv_record *record,
                                const struct import_column *c, const char *kind, struct value *out,
                                struct err *e)
{
    *out = (struct value){0};
    struct bytes text = {0};
    bool there = false;
    if (c->field != IMPORT_NO_FIELD) {
        const struct csv_field *field = &record->fields[c->field];
        text = field->text;
        there = text.size > 0 || (field->quoted && c->type == TIDEMARK__V1__TYPE__STRING);
    } else if (c->constant != NULL) {
        text = bytes_str(c->constant);
        there = true;
    }
    if (there) {
        return read_text(p, text, c, kind, out, e);
    }
    out->null = true;
    if (c->not_null) {
        return err_set(e, ERR_INVALID, "%s '%s' has no value", kind, c->name);
    }
    return ERR_OK;
}

/* No two texts may mean the same series, and NaN is no name: finite numbers only. */
static enum err_code check_tag(const struct import_column *c, const struct value *v, struct err *e)
{
    double real = 0;
    if (c->type == TIDEMARK__V1__TYPE__FLOAT) {
        uint32_t low = (uint32_t)v->bits;
        float narrow = 0;
        memcpy(&narrow, &low, sizeof narrow);
        real = (double)narrow;
    } else if (c->type == TIDEMARK__V1__TYPE__DOUBLE) {
        memcpy(&real, &v->bits, sizeof real);
    }
    return real - real == 0 ? ERR_OK
                            : err_set(e, ERR_INVALID, "tag '%s' must be a finite number", c->name);
}

static enum err_code read_record(struct import_batch *b, const struct csv_record *record,
                                 int64_t *time, struct err *e)
{
    const struct import_plan *p = b->plan;
    if (record->count != p->field_count) {
        return err_set(e, ERR_INVALID, "%zu fields, the header has %zu", record->count,
                       p->field_count);
    }
    enum err_code code =
        time_text_parse(&p->time_format, record->fields[p->time_field].text, p->precision, time, e);
    if (code != ERR_OK) {
        return err_wrap(e, "time");
    }
    for (size_t i = 0; i < p->column_count && code == ERR_OK; i++) {
        code = read_value(p, record, &p->columns[i], "column", &b->values[i], e);
    }
    for (size_t i = 0; i < p->tag_count && code == ERR_OK; i++) {
        struct value *v = &b->values[p->column_count + i];
        code = read_value(p, record, &p->tags[i], "tag", v, e);
        if (code == ERR_OK) {
            code = check_tag(&p->tags[i], v, e);
        }
    }
    return code;
}

/* --- series --- */

/* A tag's value in the one form that the key and the request have. */
static struct bytes tag_text(const struct import_column *c, const struct value *v,
                             char number[VALUE_TEXT_DOUBLE_SIZE])
{
    if (value_text_type_is_long(c->type)) {
        return v->text;
    }
    if (c->type == TIDEMARK__V1__TYPE__BOOL) {
        return bytes_str(v->bits != 0 ? "true" : "false");
    }
    if (c->type == TIDEMARK__V1__TYPE__DOUBLE) {
        double real = 0;
        memcpy(&real, &v->bits, sizeof real);
        return bytes_str(value_text_print_double(real, number));
    }
    if (c->type == TIDEMARK__V1__TYPE__FLOAT) {
        uint32_t low = (uint32_t)v->bits;
        float real = 0;
        memcpy(&real, &low, sizeof real);
        return bytes_str(value_text_print_float(real, number));
    }
    (void)snprintf(number, VALUE_TEXT_DOUBLE_SIZE, "%" PRId64, (int64_t)v->bits);
    return bytes_str(number);
}

/* All tags of the row, each as: 0, or 1 and the text with its size. Returns the size of
 * the primary ones, which stand first. */
static size_t make_key(struct import_batch *b)
{
    const struct import_plan *p = b->plan;
    size_t primary = 0;
    buf_reset(&b->key);
    for (size_t i = 0; i < p->tag_count; i++) {
        const struct value *v = &b->values[p->column_count + i];
        char number[VALUE_TEXT_DOUBLE_SIZE];
        buf_put_u8(&b->key, v->null ? 0 : 1);
        if (!v->null) {
            buf_put_blob(&b->key, tag_text(&p->tags[i], v, number));
        }
        primary = p->tags[i].primary ? b->key.size : primary;
    }
    return primary;
}

static uint32_t find_or_add_series(struct import_batch *b, uint64_t primary_hash)
{
    struct bytes key = buf_bytes(&b->key);
    size_t i = (size_t)hash64(key) & (b->index_size - 1);
    for (; b->index[i] != 0; i = (i + 1) & (b->index_size - 1)) {
        const struct series *s = &b->series[b->index[i] - 1];
        if (bytes_equal(bytes_of(b->series_keys.data + s->at, s->size), key)) {
            return b->index[i] - 1;
        }
    }
    b->series = mem_grow(b->series, &b->series_capacity, b->series_count + 1, sizeof *b->series);
    b->series[b->series_count] = (struct series){primary_hash, b->series_keys.size, key.size};
    buf_put_bytes(&b->series_keys, key);
    b->index[i] = (uint32_t)++b->series_count;
    return b->index[i] - 1;
}

/* --- adding --- */

static void put_null(struct column *c, size_t row, bool null)
{
    if (row % 8 == 0) {
        buf_put_u8(&c->nulls, 0);
    }
    if (null) {
        c->nulls.data[row / 8] |= (uint8_t)(1U << (row % 8));
        c->some_null = true;
    }
}

static void put_value(struct import_batch *b, const struct import_column *plan, struct column *c,
                      const struct value *v)
{
    put_null(c, b->row_count, v->null);
    if (plan->type == TIDEMARK__V1__TYPE__STRING) {
        wire_put_item(&c->values, COLUMN_STRING_VALUES, v->text);
        b->string_size += v->text.size + 8;
    } else if (plan->type == TIDEMARK__V1__TYPE__BYTES) {
        size_t mark = wire_begin(&c->values, COLUMN_STRING_VALUES);
        bool good = v->null || value_text_bytes(v->text, &c->values);
        CHECK(good);
        wire_end(&c->values, mark);
        b->string_size += v->text.size + 8;
    } else if (plan->type == TIDEMARK__V1__TYPE__FLOAT) {
        buf_put_u32(&c->values, (uint32_t)v->bits);
    } else if (plan->type == TIDEMARK__V1__TYPE__BOOL) {
        buf_put_u8(&c->values, (uint8_t)v->bits);
    } else {
        buf_put_u64(&c->values, v->bits);
    }
}

enum err_code import_batch_add(struct import_batch *b, const struct csv_record *record,
                               struct err *e)
{
    CHECK(b->body.size == 0);
    CHECK(b->row_count < b->rows_max);
    int64_t time = 0;
    enum err_code code = read_record(b, record, &time, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t primary = make_key(b);
    if (b->key.size > LIMIT_SERIES_KEY_SIZE_MAX) {
        return err_set(e, ERR_RANGE, "the tags together are too long");
    }
    uint64_t primary_hash = hash64(bytes_of(b->key.data, primary));
    uint8_t row[16];
    bytes_put_u64(row, primary_hash);
    bytes_put_u64(row + 8, (uint64_t)time);
    b->row_hashes[b->row_count] = hash64(bytes_of(row, sizeof row));
    if (b->series_hashes != NULL) {
        b->series_hashes[b->row_count] = primary_hash;
    }
    b->series_of_row[b->row_count] = find_or_add_series(b, primary_hash);
    buf_put_u64(&b->time.values, (uint64_t)time);
    for (size_t i = 0; i < b->plan->column_count; i++) {
        put_value(b, &b->plan->columns[i], &b->columns[i], &b->values[i]);
    }
    b->line_first = b->row_count == 0 ? record->line : b->line_first;
    b->line_last = record->line;
    b->row_count++;
    return ERR_OK;
}

size_t import_batch_rows(const struct import_batch *b)
{
    return b->row_count;
}

bool import_batch_is_full(const struct import_batch *b)
{
    size_t size =
        b->string_size + b->series_keys.size + b->row_count * (8 * (b->plan->column_count + 1) + 4);
    return b->row_count == b->rows_max || size >= IMPORT_BATCH_SIZE_MAX;
}

uint64_t import_batch_first_line(const struct import_batch *b)
{
    return b->line_first;
}

uint64_t import_batch_last_line(const struct import_batch *b)
{
    return b->line_last;
}

const uint64_t *import_batch_row_hashes(const struct import_batch *b)
{
    return b->row_hashes;
}

const uint64_t *import_batch_keys(const struct import_batch *b)
{
    return b->series_hashes != NULL ? b->series_hashes : b->row_hashes;
}

/* --- encoding --- */

static void encode_series(const struct import_batch *b, const struct series *s, struct buf *out)
{
    size_t tag_count = b->plan->tag_count;
    struct cursor key = cursor_of(bytes_of(b->series_keys.data + s->at, s->size));
    uint8_t nulls[LIMIT_TAGS_MAX / 8 + 1] = {0};
    bool some_null = false;
    size_t mark = wire_begin(out, WRITE_SERIES);
    for (size_t i = 0; i < tag_count; i++) {
        struct bytes text = {0};
        if (cursor_u8(&key) == 0) {
            CHECK(i / 8 < sizeof nulls);
            nulls[i / 8] |= (uint8_t)(1U << (i % 8));
            some_null = true;
        } else {
            text = cursor_blob(&key);
        }
        wire_put_item(out, SERIES_VALUES, text);
    }
    CHECK(cursor_done(&key));
    if (some_null) {
        wire_put_bytes(out, SERIES_NULLS, bytes_of(nulls, (tag_count + 7) / 8));
    }
    wire_end(out, mark);
}

static void encode_column(const char *name, int type, const struct column *c, struct buf *out)
{
    size_t mark = wire_begin(out, WRITE_COLUMNS);
    wire_put_str(out, COLUMN_NAME, name);
    switch (type) {
    case TIDEMARK__V1__TYPE__DOUBLE:
        wire_put_bytes(out, COLUMN_DOUBLE_VALUES, buf_bytes(&c->values));
        break;
    case TIDEMARK__V1__TYPE__BOOL:
        wire_put_bytes(out, COLUMN_BOOL_VALUES, buf_bytes(&c->values));
        break;
    case TIDEMARK__V1__TYPE__FLOAT:
        wire_put_bytes(out, COLUMN_FLOAT_VALUES, buf_bytes(&c->values));
        break;
    case TIDEMARK__V1__TYPE__STRING: /* its fields are encoded already */
    case TIDEMARK__V1__TYPE__BYTES:
        buf_put_bytes(out, buf_bytes(&c->values));
        break;
    default:
        wire_put_bytes(out, COLUMN_INT64_VALUES, buf_bytes(&c->values));
        break;
    }
    if (c->some_null) {
        wire_put_bytes(out, COLUMN_NULLS, buf_bytes(&c->nulls));
    }
    wire_end(out, mark);
}

static void encode_body(struct import_batch *b)
{
    const struct import_plan *p = b->plan;
    struct buf *out = &b->body;
    wire_put_str(out, WRITE_DATABASE, p->database);
    wire_put_str(out, WRITE_TABLE, p->table);
    for (size_t i = 0; i < p->tag_count; i++) {
        wire_put_str(out, WRITE_TAG_NAMES, p->tags[i].name);
    }
    for (size_t i = 0; i < b->series_count; i++) {
        encode_series(b, &b->series[i], out);
    }
    if (b->series_count > 1) {
        size_t mark = wire_begin(out, WRITE_SERIES_OF_ROW);
        for (size_t i = 0; i < b->row_count; i++) {
            buf_put_varint(out, b->series_of_row[i]);
        }
        wire_end(out, mark);
    }
    encode_column(p->time_name, TIDEMARK__V1__TYPE__TIMESTAMP, &b->time, out);
    for (size_t i = 0; i < p->column_count; i++) {
        encode_column(p->columns[i].name, p->columns[i].type, &b->columns[i], out);
    }
}

void import_batch_encode(struct import_batch *b, const struct import_id *id, struct buf *out)
{
    CHECK(b->row_count > 0);
    if (b->body.size == 0) {
        encode_body(b);
    }
    size_t mark = wire_begin(out, WRITE_ID);
    wire_put_uint(out, ID_SESSION, id->session);
    wire_put_uint(out, ID_SEQUENCE, id->sequence);
    wire_put_uint(out, ID_SEQUENCE_OPEN, id->sequence_open);
    wire_end(out, mark);
    buf_put_bytes(out, buf_bytes(&b->body));
}
