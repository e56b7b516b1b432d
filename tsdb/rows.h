/* SPDX-License-Identifier: Apache-2.0 */
/* A run of rows of one series in memory, column by column: what blocks are made
 * from and decoded to, what sources give and a merge collects.
 *
 * A value is one 64-bit word: the number itself, the bits of a double, 0 or 1,
 * or the place of a string in the heap. The timestamp is apart, because every
 * row has it and all else is ordered by it. Owned by one thread. */
#ifndef TIDEMARK_TSDB_ROWS_H
#define TIDEMARK_TSDB_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "tsdb/table.h"

struct rows_column {
    size_t place; /* in the table; never 0, the timestamp */
    enum value_type type;
    bool any_null;
    uint64_t *words; /* of a null: 0 */
    uint8_t *nulls;  /* a byte a row, 0 or 1 */
};

struct rows {
    const struct table *table;
    size_t count;
    size_t capacity;
    int64_t *times;
    size_t column_count;
    struct rows_column *columns;
    struct buf heap; /* strings */
};

/* Where strings of a batch take more than this, it is cut short. */
enum { ROWS_HEAP_SIZE = 1024 * 1024 };

/* Empty rows of the columns at 'places' (without the timestamp). */
void rows_init(struct rows *r, const struct table *table, const uint32_t *places, size_t count);
void rows_deinit(struct rows *r); /* rows of zeros are fine */
void rows_clear(struct rows *r);  /* keeps the memory */
void rows_reserve(struct rows *r, size_t more);
/* Rows [from, to) of 'src', which has the same columns, behind those of dst. */
void rows_append(struct rows *dst, const struct rows *src, size_t from, size_t to);
bool rows_have_strings(const struct rows *r);
/* Leaves only rows [from, to). */
void rows_keep(struct rows *r, size_t from, size_t to);
/* The end of the longest run of rows from 'from' on whose strings together have
 * at most size_max bytes, but at least one row. */
size_t rows_fit(const struct rows *r, size_t from, size_t size_max);
/* The place of the first row, at or after 'from', not before 'time'; times must rise. */
size_t rows_find(const struct rows *r, size_t from, int64_t time);

/* How many rows of so many columns are worked on at a time, and stand in one
 * block: fewer of very wide tables. Part of the format of parts. */
size_t rows_batch_max(size_t column_count);

/* The word of a string that is put on the heap. */
uint64_t rows_put_string(struct rows *r, struct bytes b);
/* Borrowed until the next string is put or the rows are cleared. */
struct bytes rows_string(const struct rows *r, uint64_t word);

#endif
