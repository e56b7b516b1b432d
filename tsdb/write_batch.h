/* SPDX-License-Identifier: Apache-2.0 */
/* One write request (tidemark.v1.WriteRequest), read in place and checked whole.
 *
 * Nothing is copied that need not be: numbers stay where they are in the
 * request, strings are views of it. Everything is checked before the first row
 * is stored (names, types, counts, nulls, UTF-8), so that a request takes effect
 * wholly or not at all. The same request and catalog give the same answer on
 * every node.
 *
 * A batch is used again for the next request; it borrows from request and
 * catalog until then. It belongs to one thread. */
#ifndef TIDEMARK_TSDB_WRITE_BATCH_H
#define TIDEMARK_TSDB_WRITE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tsdb/arena.h"
#include "tsdb/catalog.h"
#include "tsdb/series.h"

struct write_column {
    size_t place; /* in the table */
    enum value_type type;
    struct bytes values;         /* 8 bytes a row, as words of rows; BOOL: 1 */
    const struct bytes *strings; /* STRING, BYTES: one a row */
    struct bytes nulls;          /* a bit a row; empty: none is null */
};

struct write_series {
    struct bytes key;
    struct bytes tags;
    uint64_t hash;         /* of the key */
    bool used;             /* some row is of it */
    struct series *series; /* set by the one who stores the rows */
};

struct write_batch {
    struct table *table;
    size_t row_count;
    size_t column_count;
    struct write_column *columns; /* the first is the timestamp */
    size_t absent_count;
    uint32_t *absent; /* places of the table's columns that the request leaves out */
    size_t series_count;
    struct write_series *series;
    const uint32_t *series_of_row; /* NULL: all rows are of series[0] */
    struct arena arena;
};

void write_batch_deinit(struct write_batch *w); /* a batch of zeros is empty and ready */
/* ERR_NOT_FOUND: database, table, column, tag. ERR_INVALID, ERR_RANGE: says what is wrong. */
MUST_CHECK enum err_code write_batch_read(struct write_batch *w, const struct catalog *catalog,
                                          struct bytes request, struct err *e);

static inline bool write_column_is_null(const struct write_column *c, size_t row)
{
    return c->nulls.size > 0 && (c->nulls.data[row / 8] >> (row % 8) & 1) != 0;
}

#endif
