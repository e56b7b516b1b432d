/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of one series in one memory table, by rising time, each time once:
 * of several rows of one time the last one that came.
 *
 * Rows that came in order are read where they stand, the last of several of one
 * time; others are sorted by a list of their places. Any one thread; the memory table must outlive it. */
#ifndef TIDEMARK_TSDB_MEMORY_SOURCE_H
#define TIDEMARK_TSDB_MEMORY_SOURCE_H

#include "tsdb/memtable.h"
#include "tsdb/rows.h"

struct memory_place {
    int64_t time;
    uint32_t chunk;
    uint32_t row;
};

struct memory_piece {
    const struct memory_chunk *chunk;
    size_t from; /* rows [from, to) of it */
    size_t to;
};

struct memory_source {
    bool repeats;                /* in order: some rows have the same time */
    struct memory_piece *pieces; /* in order: what is left to read. Else: all chunks */
    size_t piece_count;
    size_t piece_at;
    struct memory_place *places; /* not in order: the rows, sorted; NULL: in order */
    size_t place_count;
    size_t place_at;
};

/* Rows of the state after 'index' with time in [from, until]. */
void memory_source_init(struct memory_source *s, const struct memory_series *series, uint64_t index,
                        int64_t from, int64_t until);
void memory_source_deinit(struct memory_source *s);
/* Puts the next rows, at most 'max', into 'rows', which is cleared first. None:
 * that was all. */
void memory_source_next(struct memory_source *s, struct rows *rows, size_t max);

#endif
