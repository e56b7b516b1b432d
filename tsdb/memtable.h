/* SPDX-License-Identifier: Apache-2.0 */
/* The newest rows of one VGroup, in memory: for each series a list of chunks,
 * column by column, in the order in which the rows came.
 *
 * The apply lane appends; any thread may read meanwhile, without a lock. Each
 * row carries the log index that wrote it, and indexes only rise, so the state
 * after index V is a prefix of each series' rows. Rows out of time order, and
 * several of one time, are left as they came; who reads sorts them
 * (row_source.h), the last of one time wins.
 *
 *   chunk:  times and columns[capacity] each | index deltas | null bits per column
 *
 * A chunk's row is written before the chunk's count says so. Memory is given
 * back all at once, when nobody reads the table any more. */
#ifndef TIDEMARK_TSDB_MEMTABLE_H
#define TIDEMARK_TSDB_MEMTABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "tsdb/series.h"
#include "tsdb/table.h"
#include "tsdb/write_batch.h"

struct memory_chunk {
    _Atomic(struct memory_chunk *) next;
    struct table *table; /* version of its rows; a reference, if not that of the series */
    uint64_t index_base; /* of its first row */
    uint32_t capacity;   /* rows; a multiple of 8 */
    atomic_uint count;   /* rows that are whole */
    uint32_t *index_deltas;
    uint8_t *values; /* column place p begins at capacity * table->row_offsets[p] */
    uint8_t *nulls;  /* capacity / 8 bytes for each column */
};

/* The rows of one series in one memory table. */
struct memory_series {
    struct series *series;
    struct table *table;        /* one reference, of some version: the series lives as long
                                   as its rows */
    struct memory_series *next; /* in the memory table, newest first */
    _Atomic(struct memory_chunk *) first;
    /* Index of the first row at the time of the one before it, and of the first
     * before that one; or max. Each is set once. */
    _Atomic uint64_t repeated_index;
    _Atomic uint64_t unordered_index;
    struct memory_chunk *last; /* apply lane only */
    int64_t last_time;         /* apply lane only; of the last row */
};

struct memtable;

/* 'generation' differs from that of every memory table before. */
struct memtable *memtable_new(uint64_t generation);
void memtable_close(struct memtable *m); /* NULL is fine */

/* Apply lane only. Rows [from, to) of the batch, all of 'series'. */
void memtable_append(struct memtable *m, struct series *series, uint64_t index,
                     const struct write_batch *w, size_t from, size_t to);
/* Apply lane only, while nobody reads the table: if the newest row of 'series' has
 * the time of row 'at' of the batch, that row takes its place. False: not done, append it.
 * Keeps a row that is written again and again from being kept each time. */
bool memtable_replace(struct memtable *m, struct series *series, uint64_t index,
                      const struct write_batch *w, size_t at);
size_t memtable_size(const struct memtable *m);        /* bytes; apply lane */
uint64_t memtable_row_count(const struct memtable *m); /* appended; apply lane */
/* All series that have rows, in no order. Once the table is frozen. */
struct memory_series *memtable_first(const struct memtable *m);

/* --- any thread --- */

/* NULL: the series has no rows here. */
struct memory_series *memtable_find(const struct memtable *m, const struct series *series);
/* Rows of a chunk that belong to the state after 'index'. */
size_t memory_chunk_rows(const struct memory_chunk *c, uint64_t index);
struct memory_chunk *memory_chunk_next(const struct memory_chunk *c);
/* Whether the rows of the state after 'index' came by time, none before the one
 * before it; and whether some of them have the same time. */
bool memory_series_is_ordered(const struct memory_series *s, uint64_t index);
bool memory_series_repeats(const struct memory_series *s, uint64_t index);
struct memory_chunk *memory_series_first(const struct memory_series *s);

static inline const int64_t *memory_chunk_times(const struct memory_chunk *c)
{
    const void *times = c->values;
    return times;
}

bool memory_chunk_is_null(const struct memory_chunk *c, size_t place, size_t row);
/* Of a whole column: 8 bytes a row, BOOL 1. Not for strings. */
const uint8_t *memory_chunk_values(const struct memory_chunk *c, size_t place);
/* As in rows. Not for strings and bytes, nor for nulls. */
uint64_t memory_chunk_word(const struct memory_chunk *c, size_t place, size_t row);
struct bytes memory_chunk_string(const struct memory_chunk *c, size_t place, size_t row);

#endif
