/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of one series from all places that hold some, by rising time, each
 * time once: where several places have a row of one time, the newest place wins
 * (dedup rule "override": the whole row).
 *
 * Memory is bounded by one batch per place. Any one thread; the places must
 * outlive the merge. */
#ifndef TIDEMARK_TSDB_ROW_MERGE_H
#define TIDEMARK_TSDB_ROW_MERGE_H

#include "tsdb/memory_source.h"
#include "tsdb/part.h"
#include "tsdb/rows.h"

/* Which rows and columns are wanted. */
struct row_range {
    const struct table *table;
    const uint32_t *places; /* of columns, without the timestamp */
    size_t place_count;
    int64_t from; /* both included */
    int64_t until;
};

struct row_merge;

struct row_merge *row_merge_new(const struct row_range *range); /* 'places' is borrowed */
void row_merge_close(struct row_merge *m);                      /* NULL is fine */
/* Places of rows, newest first. A merge can be used for one series after the other. */
void row_merge_begin(struct row_merge *m);
void row_merge_add_memory(struct row_merge *m, const struct memory_series *series, uint64_t index);
void row_merge_add_part(struct row_merge *m, struct part *part, uint64_t series_id);
/* Appends the next rows to 'out', until it holds 'max', or more than ROWS_HEAP_SIZE of
 * strings, or there are no more.
 * *done: there are no more. ERR_CORRUPT, ERR_IO: a block can't be read. */
MUST_CHECK enum err_code row_merge_next(struct row_merge *m, struct rows *out, size_t max,
                                        bool *done, struct err *e);

#endif
