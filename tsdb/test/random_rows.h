/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of every type with values that encodings get wrong: NaN payloads, -0.0,
 * infinities, the ends of int64, empty and long strings, nulls. */
#ifndef TIDEMARK_TSDB_TEST_RANDOM_ROWS_H
#define TIDEMARK_TSDB_TEST_RANDOM_ROWS_H

#include "base/random.h"
#include "tsdb/rows.h"
#include "tsdb/test/fixture.h"

enum { EXAMPLE_COLUMNS = 9 };

/* d.m of fixture.h with more columns behind its four, one of each type; one reference. */
UNUSED_OK static struct table *example_table(void)
{
    static const int types[] = {VALUE_TIMESTAMP, VALUE_INT64,    VALUE_DOUBLE, VALUE_BOOL,
                                VALUE_STRING,    VALUE_INT16,    VALUE_INT32,  VALUE_FLOAT,
                                VALUE_BYTES,     VALUE_TIMESTAMP};
    static const char *const names[] = {"time", "i", "x", "b", "s", "i16", "i32", "f", "y", "t2"};
    struct buf b = {0};
    struct table *t = NULL;
    struct err e;
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, "m");
    for (size_t i = 0; i <= EXAMPLE_COLUMNS; i++) {
        size_t mark = wire_begin(&b, 3);
        wire_put_str(&b, 1, names[i]);
        wire_put_uint(&b, 2, (uint64_t)types[i]);
        wire_put_uint(&b, 3, i == 0 ? 1 : 0);
        wire_end(&b, mark);
    }
    size_t mark = wire_begin(&b, 4);
    wire_put_str(&b, 1, "host");
    wire_put_uint(&b, 2, VALUE_STRING);
    wire_put_uint(&b, 3, 1);
    wire_put_uint(&b, 4, 1);
    wire_end(&b, mark);
    enum err_code code = table_parse(buf_bytes(&b), &t, &e);
    CHECK(code == ERR_OK);
    t->id = 1;
    buf_deinit(&b);
    return t;
}

static const uint32_t all_places[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

UNUSED_OK static uint64_t odd_double(struct random *r)
{
    static const uint64_t odd[] = {
        0x0000000000000000, 0x8000000000000000, /* 0, -0 */
        0x7ff0000000000000, 0xfff0000000000000, /* infinities */
        0x7ff8000000000000, 0x7ff8000000abcdef, /* NaN, with a payload */
        0xfff8000000000001, 0x7ff0000000000001, /* negative, signalling */
        0x0000000000000001, 0x7fefffffffffffff, /* least and greatest positive */
        0x3ff8000000000000, 0x4059000000000000, /* 1.5, 100 */
    };
    return odd[random_below(r, sizeof odd / sizeof odd[0])];
}

UNUSED_OK static uint64_t odd_int(struct random *r)
{
    static const uint64_t odd[] = {0, 1, UINT64_MAX, 0x8000000000000000, 0x7fffffffffffffff, 42};
    return random_chance(r, 1, 3) ? random_u64(r) : odd[random_below(r, 6)];
}

UNUSED_OK static uint64_t odd_string(struct random *r, struct rows *rows)
{
    static const char *const odd[] = {"", "a", "a longer string than the others", "\xc3\xa9", "b"};
    if (random_chance(r, 1, 20)) {
        char text[300];
        size_t size = (size_t)random_below(r, sizeof text);
        memset(text, 'a' + (int)random_below(r, 26), size);
        return rows_put_string(rows, bytes_of(text, size));
    }
    return rows_put_string(rows, bytes_str(odd[random_below(r, 5)]));
}

UNUSED_OK static uint64_t odd_value(struct random *r, struct rows *rows, enum value_type type)
{
    if (type == VALUE_DOUBLE) {
        return odd_double(r);
    }
    if (value_is_long(type)) {
        return odd_string(r, rows);
    }
    uint64_t word = odd_int(r);
    if (type == VALUE_BOOL) {
        return word & 1;
    }
    if (type == VALUE_INT16) {
        return (uint64_t)(int64_t)(int16_t)word;
    }
    if (type == VALUE_INT32) {
        return (uint64_t)(int64_t)(int32_t)word;
    }
    if (type == VALUE_FLOAT) { /* often a decimal, sometimes a NaN with a payload */
        word = random_chance(r, 1, 2) ? 0x41ac8f5c : word & UINT32_MAX;
        return random_chance(r, 1, 9) ? 0xff800001 : word;
    }
    return word;
}

/* 'count' rows by rising time behind what 'rows' holds. 'style' picks how regular they are. */
UNUSED_OK static void add_random_rows(struct rows *rows, size_t count, struct random *r)
{
    int64_t time = rows->count > 0 ? rows->times[rows->count - 1] : (int64_t)random_below(r, 1000);
    uint64_t null_of = random_below(r, 5); /* 4: none */
    bool regular = random_chance(r, 1, 2);
    bool constant = random_chance(r, 1, 4);
    rows_reserve(rows, count);
    for (size_t i = 0; i < count; i++) {
        time += regular ? 10 : 1 + (int64_t)random_below(r, 1000);
        size_t row = rows->count++;
        rows->times[row] = time;
        for (size_t j = 0; j < rows->column_count; j++) {
            struct rows_column *c = &rows->columns[j];
            bool null = null_of == j ? random_chance(r, 9, 10) : random_chance(r, 1, 10);
            null = null && null_of < 4;
            c->nulls[row] = null ? 1 : 0;
            c->any_null = c->any_null || null;
            c->words[row] = null ? 0 : odd_value(r, rows, c->type);
            if (constant && row > 0 && !null && c->nulls[row - 1] == 0) {
                c->words[row] = c->words[row - 1];
            }
        }
    }
}

UNUSED_OK static bool same_value(const struct rows *a, size_t i, const struct rows *b, size_t j,
                                 size_t column)
{
    const struct rows_column *x = &a->columns[column];
    const struct rows_column *y = &b->columns[column];
    if (x->nulls[i] != y->nulls[j]) {
        return false;
    }
    if (x->nulls[i] != 0 || !value_is_long(x->type)) {
        return x->words[i] == y->words[j];
    }
    return bytes_equal(rows_string(a, x->words[i]), rows_string(b, y->words[j]));
}

UNUSED_OK static bool same_row(const struct rows *a, size_t i, const struct rows *b, size_t j)
{
    bool same = a->times[i] == b->times[j];
    for (size_t column = 0; column < a->column_count && same; column++) {
        same = same_value(a, i, b, j, column);
    }
    return same;
}

UNUSED_OK static bool same_rows(const struct rows *a, const struct rows *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        same = same_row(a, i, b, i);
    }
    return same;
}

#endif
