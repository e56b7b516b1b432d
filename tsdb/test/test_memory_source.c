/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/memory_source.h"

#include "testkit/test.h"
#include "tsdb/test/random_batch.h"

static const uint32_t place_of_i[] = {1};

/* The last value of each time among rows of index <= 'index', by a plain loop. */
struct plain {
    int64_t times[512];
    uint64_t values[512];
    uint64_t indexes[512];
    size_t count;
};

static size_t expected(const struct plain *p, uint64_t index, int64_t from, int64_t until,
                       int64_t *times, uint64_t *values)
{
    size_t count = 0;
    for (int64_t time = 0; time < 64; time++) {
        bool found = false;
        for (size_t i = 0; i < p->count; i++) {
            if (p->indexes[i] <= index && p->times[i] == time && time >= from && time <= until) {
                times[count] = time;
                values[count] = p->values[i];
                found = true;
            }
        }
        count += found ? 1 : 0;
    }
    return count;
}

/* One question. */
struct question {
    uint64_t index;
    int64_t from;
    int64_t until;
    size_t max; /* rows in a batch */
};

static void compare(struct memtable *m, struct series *s, const struct plain *p,
                    const struct question *q)
{
    int64_t times[64];
    uint64_t values[64];
    size_t count = expected(p, q->index, q->from, q->until, times, values);
    struct memory_source source;
    struct rows rows;
    rows_init(&rows, memtable_find(m, s)->table, place_of_i, 1);
    memory_source_init(&source, memtable_find(m, s), q->index, q->from, q->until);
    size_t at = 0;
    for (;;) {
        memory_source_next(&source, &rows, q->max);
        if (rows.count == 0) {
            break;
        }
        EXPECT(rows.count <= q->max);
        for (size_t i = 0; i < rows.count; i++, at++) {
            EXPECT(at < count && rows.times[i] == times[at]);
            EXPECT(at < count && rows.columns[0].words[i] == values[at]);
        }
    }
    EXPECT_UINT(at, count);
    memory_source_deinit(&source);
    rows_deinit(&rows);
}

enum order { RISING, REPEATED, RANDOM };

static void play(uint64_t seed, enum order order)
{
    struct random random = random_seeded(seed);
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    static struct plain p;
    p.count = 0;
    size_t rows = order == RISING ? 60 : 400;
    for (size_t i = 0; i < rows; i++) {
        int64_t time = (int64_t)(order == RISING ? i : random_below(&random, 64));
        if (order == REPEATED) { /* some times often, over the ends of chunks */
            time = (int64_t)(i / 100 * 16 + i % 100 / 30);
        }
        uint64_t index = 10 + i / 3;
        append_one(m, t, s, (struct one_row){index, time, i});
        p.times[p.count] = time;
        p.values[p.count] = i;
        p.indexes[p.count++] = index;
    }
    for (int round = 0; round < 60; round++) {
        struct question q = {.index = 9 + random_below(&random, rows / 3 + 3)};
        q.from = round % 3 == 0 ? INT64_MIN : (int64_t)random_below(&random, 70) - 3;
        q.until = round % 4 == 0 ? INT64_MAX : (int64_t)random_below(&random, 70) - 3;
        q.max = 1 + (size_t)random_below(&random, 30);
        compare(m, s, &p, &q);
    }
    memtable_close(m);
    table_unref(t);
}

TEST(memory_source, rows_in_order_are_read_as_they_stand)
{
    play(1, RISING);
}

TEST(memory_source, of_rows_that_repeat_a_time_the_last_is_read)
{
    for (uint64_t seed = 2; seed < 6; seed++) {
        play(seed, REPEATED);
    }
}

TEST(memory_source, rows_out_of_order_are_sorted_and_the_last_of_a_time_wins)
{
    for (uint64_t seed = 2; seed < 12; seed++) {
        play(seed, RANDOM);
    }
}

TEST(memory_source, the_ends_of_time_are_included)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    append_one(m, t, s, (struct one_row){5, INT64_MIN, 1});
    append_one(m, t, s, (struct one_row){5, 0, 2});
    append_one(m, t, s, (struct one_row){5, INT64_MAX, 3});
    struct memory_source source;
    struct rows rows;
    rows_init(&rows, t, place_of_i, 1);
    memory_source_init(&source, memtable_find(m, s), 5, INT64_MIN, INT64_MAX);
    memory_source_next(&source, &rows, 10);
    EXPECT_UINT(rows.count, 3);
    EXPECT_INT(rows.times[0], INT64_MIN);
    EXPECT_INT(rows.times[2], INT64_MAX);
    memory_source_deinit(&source);
    rows_deinit(&rows);
    memtable_close(m);
    table_unref(t);
}

/* A batch ends when its strings have taken enough memory. */
TEST(memory_source, batches_of_long_strings_are_short)
{
    struct table *t = example_table();
    struct series *s = add_series(t, 1, "a");
    struct memtable *m = memtable_new(1);
    char *text = mem_alloc(LIMIT_STRING_SIZE_MAX);
    memset(text, 'x', LIMIT_STRING_SIZE_MAX);
    uint8_t times[8 * 60];
    struct bytes strings[60];
    for (size_t i = 0; i < 60; i++) {
        bytes_put_u64(times + 8 * i, i);
        strings[i] = bytes_of(text, LIMIT_STRING_SIZE_MAX);
    }
    struct write_column columns[] = {
        {.place = 0, .type = VALUE_TIMESTAMP, .values = {times, sizeof times}},
        {.place = 4, .type = VALUE_STRING, .strings = strings},
    };
    uint32_t absent[] = {1, 2, 3};
    struct write_batch w = {.table = t,
                            .row_count = 60,
                            .column_count = 2,
                            .columns = columns,
                            .absent_count = 3,
                            .absent = absent};
    memtable_append(m, s, 5, &w, 0, 60);
    for (int ordered = 0; ordered < 2; ordered++) {
        struct memory_source source;
        struct rows rows;
        rows_init(&rows, t, all_places, 4);
        memory_source_init(&source, memtable_find(m, s), 6, INT64_MIN, INT64_MAX);
        size_t total = 0;
        for (;;) {
            memory_source_next(&source, &rows, 4096);
            if (rows.count == 0) {
                break;
            }
            EXPECT(rows.heap.size <= ROWS_HEAP_SIZE + (size_t)16 * LIMIT_STRING_SIZE_MAX);
            total += rows.count;
        }
        EXPECT_UINT(total, 60);
        memory_source_deinit(&source);
        rows_deinit(&rows);
        append_one(m, t, s, (struct one_row){6, 3, 1}); /* from now on it has to sort */
    }
    mem_free(text);
    memtable_close(m);
    table_unref(t);
}
