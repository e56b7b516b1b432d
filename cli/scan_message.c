/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/scan_message.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.ScanResponse, SeriesTags and Column. */
enum {
    SCAN_TAG_NAMES = 1,
    SCAN_TAG_TYPES,
    SCAN_INDEX,
    SCAN_SERIES,
    SCAN_SERIES_OF_ROW,
    SCAN_COLUMNS,
    SCAN_ROWS,
    SCAN_DONE,
    SCAN_ROWS_TOTAL,
    SCAN_AGE_MS,
};
enum { SERIES_VALUES = 1, SERIES_NULLS };
enum {
    COLUMN_NAME = 1,
    COLUMN_INT64,
    COLUMN_DOUBLE,
    COLUMN_BOOL,
    COLUMN_STRING,
    COLUMN_NULLS,
    COLUMN_TYPE,
    COLUMN_FLOAT,
    COLUMN_FIELDS,
};

void scan_message_deinit(struct scan_message *m)
{
    mem_free(m->tag_names);
    mem_free(m->columns);
    mem_free(m->series);
    mem_free(m->series_of_row);
    mem_free(m->strings);
    *m = (struct scan_message){0};
}

/* Which of the values fields a column of that type uses. */
static uint32_t field_of_type(int type)
{
    switch (type) {
    case TIDEMARK__V1__TYPE__TIMESTAMP:
    case TIDEMARK__V1__TYPE__INT64:
    case TIDEMARK__V1__TYPE__INT32:
    case TIDEMARK__V1__TYPE__INT16:
        return COLUMN_INT64;
    case TIDEMARK__V1__TYPE__FLOAT:
        return COLUMN_FLOAT;
    case TIDEMARK__V1__TYPE__DOUBLE:
        return COLUMN_DOUBLE;
    case TIDEMARK__V1__TYPE__BOOL:
        return COLUMN_BOOL;
    case TIDEMARK__V1__TYPE__STRING:
    case TIDEMARK__V1__TYPE__BYTES:
        return COLUMN_STRING;
    default:
        return 0;
    }
}

static void add_string(struct scan_message *m, struct bytes text)
{
    m->strings = mem_grow(m->strings, &m->string_capacity, m->string_count + 1, sizeof *m->strings);
    m->strings[m->string_count++] = text;
}

static void read_column(struct scan_message *m, struct cursor *outer, struct bytes message)
{
    m->columns = mem_grow(m->columns, &m->column_capacity, m->column_count + 1, sizeof *m->columns);
    struct scan_column *c = &m->columns[m->column_count++];
    *c = (struct scan_column){.strings_at = m->string_count};
    struct bytes values[COLUMN_FIELDS] = {0};
    struct cursor in = cursor_of(message);
    struct wire_field f;
    while (wire_next(&in, &f)) {
        switch (f.number) {
        case COLUMN_NAME:
            wire_str(&in, &f, c->name, sizeof c->name);
            break;
        case COLUMN_INT64:
        case COLUMN_DOUBLE:
        case COLUMN_BOOL:
        case COLUMN_FLOAT:
            values[f.number] = wire_bytes(&in, &f); /* packed, in one piece */
            break;
        case COLUMN_STRING:
            add_string(m, wire_bytes(&in, &f));
            break;
        case COLUMN_NULLS:
            c->nulls = wire_bytes(&in, &f);
            break;
        case COLUMN_TYPE:
            c->type = (int)wire_uint32(&in, &f) & 0xffff;
            break;
        default:
            break;
        }
    }
    uint32_t field = field_of_type(c->type);
    outer->bad = outer->bad || in.bad || field == 0;
    c->values = field == 0 || field == COLUMN_STRING ? (struct bytes){0} : values[field];
}

static void read_series(struct scan_message *m, struct cursor *outer, struct bytes message)
{
    if (m->series_count == SCAN_SERIES_MAX) {
        outer->bad = true;
        return;
    }
    m->series = mem_grow(m->series, &m->series_capacity, m->series_count + 1, sizeof *m->series);
    struct scan_series *s = &m->series[m->series_count++];
    *s = (struct scan_series){.values_at = m->string_count};
    struct cursor in = cursor_of(message);
    struct wire_field f;
    while (wire_next(&in, &f)) {
        if (f.number == SERIES_VALUES) {
            add_string(m, wire_bytes(&in, &f));
            s->count++;
        } else if (f.number == SERIES_NULLS) {
            s->nulls = wire_bytes(&in, &f);
        }
    }
    bool nulls_fit = s->nulls.size == 0 || s->nulls.size >= (s->count + 7) / 8;
    outer->bad = outer->bad || in.bad || !nulls_fit;
}

static void read_series_of_row(struct scan_message *m, struct cursor *outer, struct bytes packed)
{
    struct cursor in = cursor_of(packed);
    while (in.size > 0 && !in.bad && m->of_row_count < SCAN_ROWS_MAX) {
        uint64_t v = cursor_varint(&in);
        m->series_of_row = mem_grow(m->series_of_row, &m->of_row_capacity, m->of_row_count + 1,
                                    sizeof *m->series_of_row);
        m->series_of_row[m->of_row_count++] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    }
    outer->bad = outer->bad || in.bad || in.size > 0;
}

static void read_tag_name(struct scan_message *m, struct cursor *in, const struct wire_field *f)
{
    if (m->tag_count == LIMIT_TAGS_MAX) {
        in->bad = true;
        return;
    }
    m->tag_names = mem_grow(m->tag_names, &m->tag_capacity, m->tag_count + 1, sizeof *m->tag_names);
    wire_str(in, f, m->tag_names[m->tag_count], sizeof m->tag_names[0]);
    m->tag_count++;
}

static void read_field(struct scan_message *m, struct cursor *in, const struct wire_field *f)
{
    switch (f->number) {
    case SCAN_TAG_NAMES:
        read_tag_name(m, in, f);
        break;
    case SCAN_INDEX:
        m->index = wire_uint(in, f);
        break;
    case SCAN_SERIES:
        read_series(m, in, wire_bytes(in, f));
        break;
    case SCAN_SERIES_OF_ROW:
        read_series_of_row(m, in, wire_bytes(in, f));
        break;
    case SCAN_COLUMNS:
        read_column(m, in, wire_bytes(in, f));
        break;
    case SCAN_ROWS:
        m->rows = (size_t)wire_uint(in, f);
        break;
    case SCAN_DONE:
        m->done = wire_bool(in, f);
        break;
    case SCAN_ROWS_TOTAL:
        m->rows_total = wire_uint(in, f);
        break;
    case SCAN_AGE_MS:
        m->age_ms = wire_uint(in, f);
        break;
    default:
        break;
    }
}

/* --- what must hold of the whole --- */

static bool column_fits(const struct scan_message *m, size_t i)
{
    const struct scan_column *c = &m->columns[i];
    size_t next_string = m->string_count;
    for (size_t j = i + 1; j < m->column_count && next_string == m->string_count; j++) {
        next_string = m->columns[j].strings_at;
    }
    if (c->nulls.size > 0 && c->nulls.size < (m->rows + 7) / 8) {
        return false;
    }
    switch (field_of_type(c->type)) {
    case COLUMN_STRING:
        return next_string - c->strings_at >= m->rows;
    case COLUMN_BOOL:
        return c->values.size == m->rows;
    case COLUMN_FLOAT:
        return c->values.size == m->rows * 4;
    default:
        return c->values.size == m->rows * 8;
    }
}

static enum err_code check_whole(const struct scan_message *m, struct err *e)
{
    if (m->rows > SCAN_ROWS_MAX) {
        return err_set(e, ERR_CORRUPT, "too many rows in one message");
    }
    if (m->rows > 0 &&
        (m->column_count == 0 || m->columns[0].type != TIDEMARK__V1__TYPE__TIMESTAMP)) {
        return err_set(e, ERR_CORRUPT, "rows without a timestamp");
    }
    for (size_t i = 0; i < m->column_count; i++) {
        if (!column_fits(m, i)) {
            return err_set(e, ERR_CORRUPT, "column '%s' has not a value for every row",
                           m->columns[i].name);
        }
    }
    if (m->of_row_count > 0 ? m->of_row_count != m->rows : m->rows > 0 && m->series_count == 0) {
        return err_set(e, ERR_CORRUPT, "rows without a series");
    }
    for (size_t i = 0; i < m->of_row_count; i++) {
        if (m->series_of_row[i] >= m->series_count) {
            return err_set(e, ERR_CORRUPT, "a row of a series that is not there");
        }
    }
    return ERR_OK;
}

enum err_code scan_message_read(struct scan_message *m, struct bytes message, struct err *e)
{
    m->tag_count = 0;
    m->index = 0;
    m->rows = 0;
    m->column_count = 0;
    m->series_count = 0;
    m->of_row_count = 0;
    m->string_count = 0;
    m->done = false;
    m->rows_total = 0;
    m->age_ms = 0;
    struct cursor in = cursor_of(message);
    struct wire_field f;
    while (wire_next(&in, &f)) {
        read_field(m, &in, &f);
    }
    if (in.bad) {
        return err_set(e, ERR_CORRUPT, "the server's answer is no valid scan");
    }
    return check_whole(m, e);
}

/* --- values --- */

static bool bit(struct bytes bits, size_t i)
{
    return bits.size > 0 && (bits.data[i / 8] >> (i % 8) & 1) != 0;
}

bool scan_is_null(const struct scan_message *m, size_t column, size_t row)
{
    CHECK(column < m->column_count);
    CHECK(row < m->rows);
    return bit(m->columns[column].nulls, row);
}

static uint64_t fixed(const struct scan_message *m, size_t column, size_t row)
{
    CHECK(column < m->column_count);
    CHECK(row < m->rows);
    const struct scan_column *c = &m->columns[column];
    CHECK(c->values.size == m->rows * 8);
    return bytes_get_u64(c->values.data + row * 8);
}

int64_t scan_int64(const struct scan_message *m, size_t column, size_t row)
{
    return (int64_t)fixed(m, column, row);
}

double scan_double(const struct scan_message *m, size_t column, size_t row)
{
    uint64_t bits = fixed(m, column, row);
    double v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

float scan_float(const struct scan_message *m, size_t column, size_t row)
{
    CHECK(column < m->column_count);
    CHECK(m->columns[column].type == TIDEMARK__V1__TYPE__FLOAT);
    CHECK(row < m->rows);
    uint32_t bits = bytes_get_u32(m->columns[column].values.data + row * 4);
    float v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

bool scan_bool(const struct scan_message *m, size_t column, size_t row)
{
    CHECK(column < m->column_count);
    CHECK(m->columns[column].type == TIDEMARK__V1__TYPE__BOOL);
    CHECK(row < m->rows);
    return m->columns[column].values.data[row] != 0;
}

struct bytes scan_string(const struct scan_message *m, size_t column, size_t row)
{
    CHECK(column < m->column_count);
    CHECK(field_of_type(m->columns[column].type) == COLUMN_STRING);
    CHECK(row < m->rows);
    return m->strings[m->columns[column].strings_at + row];
}

bool scan_tag(const struct scan_message *m, size_t row, size_t tag, struct bytes *text)
{
    CHECK(row < m->rows);
    const struct scan_series *s = &m->series[m->of_row_count > 0 ? m->series_of_row[row] : 0];
    if (tag >= s->count || bit(s->nulls, tag)) {
        return false;
    }
    *text = m->strings[s->values_at + tag];
    return true;
}
