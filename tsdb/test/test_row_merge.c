/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/row_merge.h"

#include "testkit/test.h"
#include "tsdb/test/random_batch.h"

enum { TIMES = 200, PLACES_MAX = 6 };

/* What a merge must give, by a plain loop: value by time, of the newest place. */
struct model {
    bool has[TIMES];
    uint64_t value[TIMES];
};

struct world {
    struct fake_disk *disk;
    struct table *table;
    struct series *series;
    struct part *parts[PLACES_MAX]; /* oldest first */
    size_t part_count;
    struct memtable *memory;
    struct model model;
};

static const uint32_t place_of_i[] = {1};
static struct err err;

static void add_part(struct world *w, struct random *r, uint64_t number)
{
    struct part_info info = {
        .vgroup = 0, .index_from = number * 10, .index_until = number * 10 + 9};
    struct part_writer *writer = NULL;
    struct rows rows;
    rows_init(&rows, w->table, place_of_i, 1);
    rows_reserve(&rows, TIMES);
    uint64_t density = 1 + random_below(r, 8);
    for (int64_t time = 0; time < TIMES; time++) {
        if (random_chance(r, 1, density)) {
            rows.times[rows.count] = time;
            rows.columns[0].nulls[rows.count] = 0;
            rows.columns[0].words[rows.count++] = number * 1000 + (uint64_t)time;
            w->model.has[time] = true;
            w->model.value[time] = number * 1000 + (uint64_t)time;
        }
    }
    REQUIRE_OK(part_writer_open(fake_disk_io(w->disk), "/", &info, &writer, &err));
    for (size_t from = 0; from < rows.count;) {
        size_t to = from + 1 + (size_t)random_below(r, 20);
        to = to < rows.count ? to : rows.count;
        EXPECT_OK(part_writer_add(writer, w->series->id, &rows, from, to, &err));
        from = to;
    }
    EXPECT_OK(part_writer_finish(writer, &info, &err));
    part_writer_close(writer);
    if (info.row_count > 0) {
        REQUIRE_OK(part_open(fake_disk_io(w->disk), "/", &info, &w->parts[w->part_count], &err));
        w->part_count++;
    }
    rows_deinit(&rows);
}

static void add_memory(struct world *w, struct random *r)
{
    w->memory = memtable_new(1);
    for (size_t i = 0; i < 60; i++) {
        int64_t time = (int64_t)random_below(r, TIMES);
        append_one(w->memory, w->table, w->series, (struct one_row){100 + i, time, 50000 + i});
        w->model.has[time] = true;
        w->model.value[time] = 50000 + i;
    }
}

static struct world world_open(struct random *r, size_t parts, bool memory)
{
    struct world w = {.disk = fake_disk_create(1), .table = example_table()};
    w.series = add_series(w.table, 1, "a");
    for (size_t i = 0; i < parts; i++) {
        add_part(&w, r, i + 1);
    }
    if (memory) {
        add_memory(&w, r);
    }
    return w;
}

static void world_close(struct world *w)
{
    for (size_t i = 0; i < w->part_count; i++) {
        part_close(w->parts[i]);
    }
    memtable_close(w->memory);
    table_unref(w->table);
    fake_disk_destroy(w->disk);
}

static void add_places(struct world *w, struct row_merge *m)
{
    row_merge_begin(m);
    if (w->memory != NULL) {
        row_merge_add_memory(m, memtable_find(w->memory, w->series), UINT64_MAX);
    }
    for (size_t i = w->part_count; i-- > 0;) {
        row_merge_add_part(m, w->parts[i], w->series->id);
    }
}

static void compare(struct world *w, int64_t from, int64_t until, size_t max)
{
    struct row_range range = {w->table, place_of_i, 1, from, until};
    struct row_merge *m = row_merge_new(&range);
    struct rows out;
    rows_init(&out, w->table, place_of_i, 1);
    for (int again = 0; again < 2; again++) { /* a merge can be used again */
        add_places(w, m);
        rows_clear(&out);
        bool done = false;
        size_t want = max;
        while (!done) {
            EXPECT_OK(row_merge_next(m, &out, want, &done, &err));
            EXPECT(done || out.count == want);
            want = out.count + max;
        }
        size_t at = 0;
        for (int64_t time = 0; time < TIMES; time++) {
            if (w->model.has[time] && time >= from && time <= until) {
                EXPECT(at < out.count && out.times[at] == time);
                EXPECT(at < out.count && out.columns[0].words[at] == w->model.value[time]);
                at++;
            }
        }
        EXPECT_UINT(out.count, at);
    }
    rows_deinit(&out);
    row_merge_close(m);
}

TEST(row_merge, the_newest_place_wins_for_each_time)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct random random = random_seeded(seed);
        size_t places = (size_t)random_below(&random, PLACES_MAX + 1);
        struct world w = world_open(&random, places, random_chance(&random, 1, 2));
        compare(&w, INT64_MIN, INT64_MAX, 1 + (size_t)random_below(&random, 300));
        int64_t from = (int64_t)random_below(&random, TIMES);
        int64_t to = (int64_t)random_below(&random, TIMES);
        compare(&w, from, to, 1 + (size_t)random_below(&random, 20));
        world_close(&w);
    }
}

TEST(row_merge, nothing_gives_nothing)
{
    struct random random = random_seeded(1);
    struct world w = world_open(&random, 0, false);
    compare(&w, INT64_MIN, INT64_MAX, 5);
    row_merge_close(NULL);
    world_close(&w);
}

TEST(row_merge, a_damaged_block_ends_it_with_an_error)
{
    struct random random = random_seeded(2);
    struct world w = world_open(&random, 3, true);
    struct row_range range = {w.table, place_of_i, 1, INT64_MIN, INT64_MAX};
    struct row_merge *m = row_merge_new(&range);
    struct rows out;
    rows_init(&out, w.table, place_of_i, 1);
    add_places(&w, m);
    bool done = false;
    EXPECT_OK(row_merge_next(m, &out, 5, &done, &err));
    fake_disk_fail(w.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_READ, .nth = 1, .for_ever = true, .code = ERR_IO});
    enum err_code code = ERR_OK;
    while (code == ERR_OK && !done) {
        code = row_merge_next(m, &out, out.count + 5, &done, &err);
    }
    EXPECT_INT(code, ERR_IO);
    rows_deinit(&out);
    row_merge_close(m);
    world_close(&w);
}
