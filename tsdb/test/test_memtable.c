/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/memtable.h"

#include "testkit/test.h"
#include "tsdb/test/random_batch.h"

/* Rows of the state after 'index'. */
static size_t visible(const struct memtable *m, const struct series *s, uint64_t index)
{
    size_t count = 0;
    const struct memory_series *rows = memtable_find(m, s);
    if (rows == NULL) {
        return 0;
    }
    for (struct memory_chunk *c = memory_series_first(rows); c != NULL; c = memory_chunk_next(c)) {
        count += memory_chunk_rows(c, index);
    }
    return count;
}

TEST(memtable, the_state_after_an_index_is_a_prefix_of_the_rows)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    EXPECT(memtable_find(m, s) == NULL);
    /* Index 10 writes one row, 11 two, 12 three ... */
    for (uint64_t i = 1; i <= 100; i++) {
        struct small_batch b;
        small_batch_begin(&b, t);
        for (uint64_t j = 0; j < i; j++) {
            small_batch_put(&b, (int64_t)(i * 1000 + j), i);
        }
        memtable_append(m, s, 9 + i, &b.w, 0, (size_t)i);
        small_batch_end(&b);
    }
    EXPECT_UINT(memtable_row_count(m), 5050);
    EXPECT_UINT(visible(m, s, 9), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        EXPECT_UINT(visible(m, s, 9 + i), i * (i + 1) / 2);
    }
    EXPECT_UINT(visible(m, s, UINT64_MAX), 5050);
    EXPECT(memtable_size(m) > (size_t)5050 * 16);
    memtable_close(m);
    memtable_close(NULL);
    table_unref(t);
}

/* One row written again and again would else be read through each time. */
TEST(memtable, the_newest_row_gives_its_place_to_one_of_the_same_time)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    struct small_batch b;
    small_batch_begin(&b, t);
    small_batch_put(&b, 7, 70);
    small_batch_put(&b, 8, 80);
    small_batch_put(&b, 8, 81);
    small_batch_put(&b, 7, 71);
    EXPECT(!memtable_replace(m, s, 4, &b.w, 0)); /* there is none yet */
    memtable_append(m, s, 4, &b.w, 0, 1);
    EXPECT(!memtable_replace(m, s, 5, &b.w, 1)); /* another time */
    memtable_append(m, s, 5, &b.w, 1, 2);
    EXPECT(memtable_replace(m, s, 6, &b.w, 2));
    EXPECT(!memtable_replace(m, s, 7, &b.w, 3)); /* not the newest */
    EXPECT_UINT(visible(m, s, 4), 1);
    EXPECT_UINT(visible(m, s, 6), 2);
    const struct memory_chunk *c = memory_series_first(memtable_find(m, s));
    EXPECT_INT(memory_chunk_times(c)[1], 8);
    EXPECT_UINT(memory_chunk_word(c, 1, 1), 81);
    EXPECT(memory_chunk_is_null(c, 2, 1));
    EXPECT(memory_series_is_ordered(memtable_find(m, s), 6));
    small_batch_end(&b);
    memtable_close(m);
    table_unref(t);
}

TEST(memtable, values_and_nulls_stand_where_they_were_put)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    struct small_batch b;
    small_batch_begin(&b, t);
    for (uint64_t i = 0; i < 50; i++) {
        small_batch_put(&b, (int64_t)i, i * 7);
    }
    memtable_append(m, s, 5, &b.w, 0, 3);
    memtable_append(m, s, 5, &b.w, 3, 50);
    size_t row = 0;
    for (struct memory_chunk *c = memory_series_first(memtable_find(m, s)); c != NULL;
         c = memory_chunk_next(c)) {
        for (size_t i = 0; i < memory_chunk_rows(c, 5); i++, row++) {
            EXPECT_INT(memory_chunk_times(c)[i], (int64_t)row);
            EXPECT_UINT(memory_chunk_word(c, 1, i), row * 7);
            EXPECT(!memory_chunk_is_null(c, 1, i));
            EXPECT(memory_chunk_is_null(c, 2, i));
            EXPECT(memory_chunk_is_null(c, 4, i));
        }
    }
    EXPECT_UINT(row, 50);
    small_batch_end(&b);
    memtable_close(m);
    table_unref(t);
}

TEST(memtable, indexes_far_apart_begin_a_new_chunk)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    append_one(m, t, s, (struct one_row){5, 1, 1});
    append_one(m, t, s, (struct one_row){5 + UINT64_C(0xffffffff), 2, 2});
    append_one(m, t, s, (struct one_row){6 + UINT64_C(0xffffffff), 3, 3});
    append_one(m, t, s, (struct one_row){UINT64_C(1) << 60, 4, 4});
    EXPECT_UINT(visible(m, s, 5), 1);
    EXPECT_UINT(visible(m, s, 5 + UINT64_C(0xffffffff)), 2);
    EXPECT_UINT(visible(m, s, 6 + UINT64_C(0xffffffff)), 3);
    EXPECT_UINT(visible(m, s, (UINT64_C(1) << 60) - 1), 3);
    EXPECT_UINT(visible(m, s, UINT64_C(1) << 60), 4);
    memtable_close(m);
    table_unref(t);
}

TEST(memtable, notes_from_which_index_on_rows_are_out_of_order)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    append_one(m, t, s, (struct one_row){5, INT64_MIN, 1});
    append_one(m, t, s, (struct one_row){6, 10, 1});
    append_one(m, t, s, (struct one_row){7, 20, 1});
    append_one(m, t, s, (struct one_row){8, 20, 1}); /* the same time again */
    append_one(m, t, s, (struct one_row){9, 30, 1});
    append_one(m, t, s, (struct one_row){10, 5, 1});
    append_one(m, t, s, (struct one_row){11, 5, 1});
    const struct memory_series *rows = memtable_find(m, s);
    EXPECT(memory_series_is_ordered(rows, 9));
    EXPECT(!memory_series_is_ordered(rows, 10));
    EXPECT(!memory_series_is_ordered(rows, 11));
    EXPECT(!memory_series_repeats(rows, 7));
    EXPECT(memory_series_repeats(rows, 8));
    memtable_close(m);
    table_unref(t);
}

/* Rows of a table that is dropped stay readable for who pinned them. */
TEST(memtable, keeps_the_tables_of_its_rows)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    append_one(m, t, s, (struct one_row){5, 1, 1});
    table_unref(t); /* the memory table's is left */
    EXPECT(memtable_first(m)->series == s);
    EXPECT_UINT(s->id, 1);
    memtable_close(m);
}

TEST(memtable, a_series_has_rows_in_each_generation)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct series *other = add_series(t, 2, "b");
    struct memtable *first = memtable_new(1);
    struct memtable *second = memtable_new(2);
    append_one(first, t, s, (struct one_row){5, 1, 1});
    append_one(second, t, s, (struct one_row){6, 2, 2});
    append_one(second, t, s, (struct one_row){7, 3, 3});
    append_one(second, t, other, (struct one_row){7, 3, 3});
    EXPECT_UINT(visible(first, s, 9), 1);
    EXPECT_UINT(visible(second, s, 9), 2);
    EXPECT(memtable_find(first, other) == NULL);
    memtable_close(first);
    EXPECT_UINT(visible(second, s, 9), 2);
    memtable_close(second);
    table_unref(t);
}
