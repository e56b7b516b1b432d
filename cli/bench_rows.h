/* SPDX-License-Identifier: Apache-2.0 */
/* The rows that a bench writes: made from their number alone. Row k is of series
 * k % series, at start + k / series; so requests one behind the other never repeat a row. */
#ifndef TIDEMARK_CLI_BENCH_ROWS_H
#define TIDEMARK_CLI_BENCH_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct bench_rows {
    const char *database;
    const char *table;
    unsigned rows; /* of one request */
    unsigned columns;
    unsigned series;
    int64_t start_ms;
    bool may_exist; /* the table, before the bench */
};

/* Appends an encoded tidemark.v1.CreateTableRequest: ts, v0 ... as double, tag series;
 * precision 3. */
void bench_rows_table(const struct bench_rows *b, struct buf *out);
/* Appends the WriteRequest of rows first .. first + rows - 1. */
void bench_rows_encode(const struct bench_rows *b, uint64_t first, struct buf *out);

#endif
