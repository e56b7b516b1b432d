/* SPDX-License-Identifier: Apache-2.0 */
/* What a cluster may and must hold, kept by the client that wrote it; and the
 * judgement of a scan against it.
 *
 * A write puts 'count' rows, keys (series, first) to (series, first + count - 1),
 * all with the write's number as their value. Numbers are 1, 2, 3 ... Writes of
 * one key follow each other: the next is begun only when the one before is acknowledged.
 *
 *   row_book_begin ──► OPEN ── row_book_acked ────► ACKED
 *                        ├──── row_book_refused ──► REFUSED  (never took effect)
 *                        └──── nothing ───────────► OPEN     (outcome unknown)
 *
 * Judged are the rows of a whole scan:
 *   - an acknowledged write's rows are there with its value, unless a later write
 *     of the key was acknowledged, or may have taken effect;
 *   - a row's value is that of a write of its key that may be the last one;
 *   - a write is there with all of its rows or with none. */
#ifndef TIDEMARK_CLUSTER_TESTS_ROW_BOOK_H
#define TIDEMARK_CLUSTER_TESTS_ROW_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct row_book;

enum { ROW_BOOK_SERIES_MAX = 64, ROW_BOOK_ROWS_MAX = 64 * 1024 /* of one write */ };

struct row_book *row_book_open(void);
void row_book_close(struct row_book *b);

/* Returns the number of the write. */
uint64_t row_book_begin(struct row_book *b, unsigned series, uint64_t first, uint64_t count);
void row_book_acked(struct row_book *b, uint64_t write);
void row_book_refused(struct row_book *b, uint64_t write);
/* The next unused key of a series. */
uint64_t row_book_next_key(const struct row_book *b, unsigned series);
/* A key whose last write is acknowledged; false: none among those looked at. 'chance' is random. */
bool row_book_acked_key(const struct row_book *b, unsigned series, uint64_t chance, uint64_t *key);

uint64_t row_book_acked_writes(const struct row_book *b);
uint64_t row_book_acked_rows(const struct row_book *b); /* distinct keys */
uint64_t row_book_unknown_writes(const struct row_book *b);

/* --- judging: begin, every row of the scan, end --- */

struct row_book_verdict {
    uint64_t found;   /* rows */
    uint64_t lost;    /* keys of acknowledged rows that were not found */
    uint64_t wrong;   /* rows with a value that they can't have */
    uint64_t phantom; /* rows that nobody wrote, or twice in the scan */
    uint64_t torn;    /* writes of which only a part was found */
    char first[256];  /* the first of them, in words; "": none */
};

void row_book_scan_begin(struct row_book *b);
void row_book_scan_row(struct row_book *b, unsigned series, uint64_t key, uint64_t value);
struct row_book_verdict row_book_scan_end(struct row_book *b);
bool row_book_is_good(const struct row_book_verdict *v);

#endif
