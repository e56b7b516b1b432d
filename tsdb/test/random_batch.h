/* SPDX-License-Identifier: Apache-2.0 */
/* Write batches made directly, for tests of what stores their rows: the columns
 * of d.m (fixture.h) without the string, all of one series. */
#ifndef TIDEMARK_TSDB_TEST_RANDOM_BATCH_H
#define TIDEMARK_TSDB_TEST_RANDOM_BATCH_H

#include "tsdb/memtable.h"
#include "tsdb/test/random_rows.h"

/* A batch of rows (time, i = value): the other columns are left out. */
struct small_batch {
    struct write_batch w;
    struct write_column columns[2];
    uint32_t absent[3];
    struct buf times;
    struct buf values;
};

UNUSED_OK static void small_batch_begin(struct small_batch *b, struct table *t)
{
    *b = (struct small_batch){.absent = {2, 3, 4}};
    b->w.table = t;
    b->w.column_count = 2;
    b->w.columns = b->columns;
    b->w.absent_count = 3;
    b->w.absent = b->absent;
}

UNUSED_OK static void small_batch_put(struct small_batch *b, int64_t time, uint64_t value)
{
    buf_put_u64(&b->times, (uint64_t)time);
    buf_put_u64(&b->values, value);
    b->columns[0] =
        (struct write_column){.place = 0, .type = VALUE_TIMESTAMP, .values = buf_bytes(&b->times)};
    b->columns[1] =
        (struct write_column){.place = 1, .type = VALUE_INT64, .values = buf_bytes(&b->values)};
    b->w.row_count++;
}

UNUSED_OK static void small_batch_end(struct small_batch *b)
{
    buf_deinit(&b->times);
    buf_deinit(&b->values);
}

struct one_row {
    uint64_t index;
    int64_t time;
    uint64_t value;
};

/* One row into a memory table. */
UNUSED_OK static void append_one(struct memtable *m, struct table *t, struct series *s,
                                 struct one_row row)
{
    struct small_batch b;
    small_batch_begin(&b, t);
    small_batch_put(&b, row.time, row.value);
    memtable_append(m, s, row.index, &b.w, 0, 1);
    small_batch_end(&b);
}

UNUSED_OK static struct series *add_series(struct table *t, uint64_t id, const char *host)
{
    struct buf key = {0};
    tags_put(&key, 0, bytes_str(host));
    struct series *s = series_set_add(t->series, id, 1, buf_bytes(&key), buf_bytes(&key));
    buf_deinit(&key);
    return s;
}

#endif
