/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/rows.h"

#include "testkit/test.h"
#include "tsdb/test/random_rows.h"

TEST(rows, appended_rows_are_the_same_rows)
{
    struct table *t = example_table();
    struct random random = random_seeded(1);
    struct rows a;
    struct rows b;
    rows_init(&a, t, all_places, 4);
    rows_init(&b, t, all_places, 4);
    add_random_rows(&a, 500, &random);
    rows_append(&b, &a, 0, 100);
    rows_append(&b, &a, 100, 100);
    rows_append(&b, &a, 100, 500);
    EXPECT(same_rows(&a, &b));
    for (size_t i = 0; i < 4; i++) {
        EXPECT(b.columns[i].any_null == a.columns[i].any_null);
    }
    rows_clear(&b);
    EXPECT_UINT(b.count, 0);
    EXPECT_UINT(b.heap.size, 0);
    EXPECT(!b.columns[0].any_null);
    rows_deinit(&a);
    rows_deinit(&b);
    rows_deinit(&b); /* rows of zeros are fine */
    table_unref(t);
}

TEST(rows, keep_leaves_a_range)
{
    struct table *t = example_table();
    struct random random = random_seeded(2);
    struct rows a;
    struct rows b;
    rows_init(&a, t, all_places, 4);
    rows_init(&b, t, all_places, 4);
    add_random_rows(&a, 50, &random);
    rows_append(&b, &a, 0, 50);
    rows_keep(&b, 10, 30);
    EXPECT_UINT(b.count, 20);
    for (size_t i = 0; i < 20; i++) {
        EXPECT(same_row(&b, i, &a, i + 10));
    }
    rows_keep(&b, 0, 5);
    EXPECT_UINT(b.count, 5);
    rows_keep(&b, 5, 5);
    EXPECT_UINT(b.count, 0);
    rows_deinit(&a);
    rows_deinit(&b);
    table_unref(t);
}

TEST(rows, find_is_the_lower_bound)
{
    struct table *t = example_table();
    struct rows r;
    rows_init(&r, t, NULL, 0);
    rows_reserve(&r, 4);
    const int64_t times[] = {INT64_MIN, -5, 7, INT64_MAX};
    memcpy(r.times, times, sizeof times);
    r.count = 4;
    EXPECT_UINT(rows_find(&r, 0, INT64_MIN), 0);
    EXPECT_UINT(rows_find(&r, 0, INT64_MIN + 1), 1);
    EXPECT_UINT(rows_find(&r, 0, 7), 2);
    EXPECT_UINT(rows_find(&r, 0, 8), 3);
    EXPECT_UINT(rows_find(&r, 3, 7), 3);
    EXPECT_UINT(rows_find(&r, 0, INT64_MAX), 3);
    rows_deinit(&r);
    table_unref(t);
}

TEST(rows, fit_counts_the_bytes_of_strings_alone)
{
    struct table *t = example_table();
    const uint32_t places[] = {1, 4};
    struct rows r;
    rows_init(&r, t, places, 2);
    rows_reserve(&r, 10);
    char text[100];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 10; i++) {
        r.times[i] = (int64_t)i;
        r.columns[0].nulls[i] = 0;
        r.columns[0].words[i] = UINT64_MAX;
        r.columns[1].nulls[i] = i == 3 ? 1 : 0;
        r.columns[1].words[i] = i == 3 ? 0 : rows_put_string(&r, bytes_of(text, sizeof text));
        r.count++;
    }
    EXPECT(rows_have_strings(&r));
    EXPECT_UINT(rows_fit(&r, 0, 900), 10);
    EXPECT_UINT(rows_fit(&r, 0, 899), 9);
    EXPECT_UINT(rows_fit(&r, 0, 300), 4); /* the null takes nothing */
    EXPECT_UINT(rows_fit(&r, 5, 250), 7);
    EXPECT_UINT(rows_fit(&r, 5, 0), 6); /* but at least one */
    rows_deinit(&r);
    table_unref(t);
}

TEST(rows, batches_of_wide_tables_have_fewer_rows)
{
    EXPECT_UINT(rows_batch_max(1), LIMIT_BLOCK_ROWS_MAX);
    EXPECT_UINT(rows_batch_max(64), LIMIT_BLOCK_ROWS_MAX);
    EXPECT_UINT(rows_batch_max(128), LIMIT_BLOCK_ROWS_MAX / 2);
    EXPECT_UINT(rows_batch_max(LIMIT_COLUMNS_MAX), 64);
}

TEST(rows, strings_of_every_size_come_back)
{
    struct table *t = example_table();
    struct rows r;
    rows_init(&r, t, all_places, 4);
    char *text = mem_alloc(LIMIT_STRING_SIZE_MAX);
    memset(text, 'y', LIMIT_STRING_SIZE_MAX);
    uint64_t empty = rows_put_string(&r, (struct bytes){0});
    uint64_t one = rows_put_string(&r, bytes_of(text, 1));
    uint64_t most = rows_put_string(&r, bytes_of(text, LIMIT_STRING_SIZE_MAX));
    EXPECT_UINT(rows_string(&r, empty).size, 0);
    EXPECT(bytes_equal(rows_string(&r, one), bytes_str("y")));
    EXPECT(bytes_equal(rows_string(&r, most), bytes_of(text, LIMIT_STRING_SIZE_MAX)));
    mem_free(text);
    rows_deinit(&r);
    table_unref(t);
}
