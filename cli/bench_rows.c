/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_rows.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "proto/wire.h"

/* Fields of the messages of tidemark.v1. */
enum { CREATE_DEFINITION = 1, CREATE_IF_NOT_EXISTS };
enum { TABLE_DATABASE = 1, TABLE_NAME, TABLE_COLUMNS, TABLE_TAGS, TABLE_PRECISION };
enum { DEFINITION_NAME = 1, DEFINITION_TYPE, DEFINITION_NOT_NULL };
enum { TAG_PRIMARY = 3, TAG_NOT_NULL = 4 };
enum {
    WRITE_DATABASE = 2,
    WRITE_TABLE,
    WRITE_TAG_NAMES,
    WRITE_SERIES,
    WRITE_SERIES_OF_ROW,
    WRITE_COLUMNS,
};
enum { COLUMN_NAME = 1, COLUMN_INT64, COLUMN_DOUBLE };

enum { PRECISION = 3 };

static void put_definition(struct buf *out, const char *name, int type, bool not_null)
{
    size_t mark = wire_begin(out, TABLE_COLUMNS);
    wire_put_str(out, DEFINITION_NAME, name);
    wire_put_uint(out, DEFINITION_TYPE, (uint64_t)type);
    wire_put_uint(out, DEFINITION_NOT_NULL, not_null ? 1 : 0);
    wire_end(out, mark);
}

void bench_rows_table(const struct bench_rows *b, struct buf *out)
{
    size_t definition = wire_begin(out, CREATE_DEFINITION);
    wire_put_str(out, TABLE_DATABASE, b->database);
    wire_put_str(out, TABLE_NAME, b->table);
    put_definition(out, "ts", TIDEMARK__V1__TYPE__TIMESTAMP, true);
    for (unsigned i = 0; i < b->columns; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "v%u", i);
        put_definition(out, name, TIDEMARK__V1__TYPE__DOUBLE, false);
    }
    size_t tag = wire_begin(out, TABLE_TAGS);
    wire_put_str(out, DEFINITION_NAME, "series");
    wire_put_uint(out, DEFINITION_TYPE, TIDEMARK__V1__TYPE__STRING);
    wire_put_uint(out, TAG_PRIMARY, 1);
    wire_put_uint(out, TAG_NOT_NULL, 1);
    wire_end(out, tag);
    wire_put_uint(out, TABLE_PRECISION, PRECISION);
    wire_end(out, definition);
    wire_put_uint(out, CREATE_IF_NOT_EXISTS, b->may_exist ? 1 : 0);
}

/* Two decimals, as a sensor would give. */
static double value_of(uint64_t row, unsigned column)
{
    uint64_t x = (row * 64 + column) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return (double)(x % 100000) / 100;
}

static void put_series(const struct bench_rows *b, uint64_t first, unsigned count, struct buf *out)
{
    for (unsigned i = 0; i < count; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "s%" PRIu64, (first + i) % b->series);
        size_t mark = wire_begin(out, WRITE_SERIES);
        wire_put_str(out, 1, name);
        wire_end(out, mark);
    }
    if (count == 1) {
        return;
    }
    size_t mark = wire_begin(out, WRITE_SERIES_OF_ROW);
    for (unsigned i = 0; i < b->rows; i++) {
        buf_put_varint(out, i % b->series);
    }
    wire_end(out, mark);
}

static void put_times(const struct bench_rows *b, uint64_t first, struct buf *out)
{
    size_t column = wire_begin(out, WRITE_COLUMNS);
    wire_put_str(out, COLUMN_NAME, "ts");
    size_t values = wire_begin(out, COLUMN_INT64);
    for (unsigned i = 0; i < b->rows; i++) {
        buf_put_u64(out, (uint64_t)b->start_ms + (first + i) / b->series);
    }
    wire_end(out, values);
    wire_end(out, column);
}

static void put_values(const struct bench_rows *b, uint64_t first, unsigned column, struct buf *out)
{
    char name[24];
    (void)snprintf(name, sizeof name, "v%u", column);
    size_t mark = wire_begin(out, WRITE_COLUMNS);
    wire_put_str(out, COLUMN_NAME, name);
    size_t values = wire_begin(out, COLUMN_DOUBLE);
    for (unsigned i = 0; i < b->rows; i++) {
        double v = value_of(first + i, column);
        uint64_t bits = 0;
        memcpy(&bits, &v, sizeof bits);
        buf_put_u64(out, bits);
    }
    wire_end(out, values);
    wire_end(out, mark);
}

void bench_rows_encode(const struct bench_rows *b, uint64_t first, struct buf *out)
{
    CHECK(b->rows > 0);
    CHECK(b->series > 0);
    wire_put_str(out, WRITE_DATABASE, b->database);
    wire_put_str(out, WRITE_TABLE, b->table);
    wire_put_str(out, WRITE_TAG_NAMES, "series");
    put_series(b, first, b->rows < b->series ? b->rows : b->series, out);
    put_times(b, first, out);
    for (unsigned i = 0; i < b->columns; i++) {
        put_values(b, first, i, out);
    }
}
