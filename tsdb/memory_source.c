/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/memory_source.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

void memory_source_deinit(struct memory_source *s)
{
    mem_free(s->pieces);
    mem_free(s->places);
    *s = (struct memory_source){0};
}

/* The place of the first of 'count' rising times not before 'time'. */
static size_t lower_bound(const int64_t *times, size_t count, int64_t time)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (times[middle] < time) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

static void add_piece(struct memory_source *s, size_t *capacity, const struct memory_chunk *c,
                      size_t from, size_t to)
{
    s->pieces = mem_grow(s->pieces, capacity, s->piece_count + 1, sizeof *s->pieces);
    s->pieces[s->piece_count++] = (struct memory_piece){c, from, to};
}

/* The place of the first of 'count' rising times after 'time'. */
static size_t upper_bound(const int64_t *times, size_t count, int64_t time)
{
    return time == INT64_MAX ? count : lower_bound(times, count, time + 1);
}

/* Rows in order: each chunk's part of the time range. */
static void list_ordered(struct memory_source *s, const struct memory_series *series,
                         uint64_t index, int64_t from, int64_t until)
{
    size_t capacity = 0;
    for (const struct memory_chunk *c = memory_series_first(series); c != NULL;
         c = memory_chunk_next(c)) {
        size_t rows = memory_chunk_rows(c, index);
        if (rows == 0) {
            return;
        }
        const int64_t *times = memory_chunk_times(c);
        if (times[0] > until) {
            return;
        }
        size_t first = lower_bound(times, rows, from);
        size_t end = times[rows - 1] <= until ? rows : upper_bound(times, rows, until);
        if (first < end) {
            add_piece(s, &capacity, c, first, end);
        }
    }
}

/* Equal times keep the order in which they came: chunk and row rise. */
static int compare_places(const void *a, const void *b)
{
    const struct memory_place *x = a;
    const struct memory_place *y = b;
    if (x->time != y->time) {
        return x->time < y->time ? -1 : 1;
    }
    if (x->chunk != y->chunk) {
        return x->chunk < y->chunk ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row;
}

static void sort_places(struct memory_source *s)
{
    if (s->place_count == 0) {
        return;
    }
    qsort(s->places, s->place_count, sizeof *s->places, compare_places);
    size_t kept = 0;
    for (size_t i = 1; i < s->place_count; i++) {
        if (s->places[i].time != s->places[kept].time) {
            kept++;
        }
        s->places[kept] = s->places[i]; /* the last one of a time stays */
    }
    s->place_count = kept + 1;
}

static void list_unordered(struct memory_source *s, const struct memory_series *series,
                           uint64_t index, int64_t from, int64_t until)
{
    size_t capacity = 0;
    size_t place_capacity = 8;
    s->places = mem_array(place_capacity, sizeof *s->places);
    for (const struct memory_chunk *c = memory_series_first(series); c != NULL;
         c = memory_chunk_next(c)) {
        size_t rows = memory_chunk_rows(c, index);
        const int64_t *times = memory_chunk_times(c);
        for (size_t row = 0; row < rows; row++) {
            if (times[row] < from || times[row] > until) {
                continue;
            }
            s->places = mem_grow(s->places, &place_capacity, s->place_count + 1, sizeof *s->places);
            s->places[s->place_count++] =
                (struct memory_place){times[row], (uint32_t)s->piece_count, (uint32_t)row};
        }
        add_piece(s, &capacity, c, 0, rows);
    }
    sort_places(s);
}

void memory_source_init(struct memory_source *s, const struct memory_series *series, uint64_t index,
                        int64_t from, int64_t until)
{
    *s = (struct memory_source){0};
    if (from > until) {
        return;
    }
    if (memory_series_is_ordered(series, index)) {
        s->repeats = memory_series_repeats(series, index);
        list_ordered(s, series, index, from, until);
    } else {
        list_unordered(s, series, index, from, until);
    }
}

/* --- copying rows out --- */

/* Where a column stands in the chunk's version of the table. SIZE_MAX: nowhere. */
static size_t place_in(const struct memory_chunk *c, const struct rows *rows,
                       const struct rows_column *column)
{
    return c->table == rows->table
               ? column->place
               : table_place_of_id(c->table, rows->table->columns[column->place].id);
}

/* 'place': in the chunk. */
static void put_value(struct rows *rows, struct rows_column *column, const struct memory_chunk *c,
                      size_t place, size_t from, size_t to)
{
    if (place == SIZE_MAX || memory_chunk_is_null(c, place, from)) {
        column->words[to] = 0;
        column->nulls[to] = 1;
        column->any_null = true;
        return;
    }
    column->nulls[to] = 0;
    column->words[to] = value_is_long(column->type)
                            ? rows_put_string(rows, memory_chunk_string(c, place, from))
                            : value_widen(c->table->columns[place].type, column->type,
                                          memory_chunk_word(c, place, from));
}

static void put_row(struct rows *rows, const struct memory_chunk *c, size_t row)
{
    rows->times[rows->count] = memory_chunk_times(c)[row];
    for (size_t i = 0; i < rows->column_count; i++) {
        struct rows_column *column = &rows->columns[i];
        put_value(rows, column, c, place_in(c, rows, column), row, rows->count);
    }
    rows->count++;
}

/* A column that does not exist in the chunk's version of the table is null. */
static void put_column(struct rows *rows, struct rows_column *column, const struct memory_chunk *c,
                       size_t from, size_t to)
{
    size_t place = place_in(c, rows, column);
    bool simple = !value_is_long(column->type) && column->type != VALUE_BOOL;
    if (!simple || place == SIZE_MAX || c->table->columns[place].type != column->type) {
        for (size_t row = from; row < to; row++) {
            put_value(rows, column, c, place, row, rows->count + row - from);
        }
        return;
    }
    uint64_t *words = column->words + rows->count;
    uint8_t *nulls = column->nulls + rows->count;
    memcpy(words, memory_chunk_values(c, place) + from * 8, (to - from) * 8);
    for (size_t i = 0; i < to - from; i++) {
        nulls[i] = memory_chunk_is_null(c, place, from + i) ? 1 : 0;
        if (nulls[i] != 0) {
            words[i] = 0;
            column->any_null = true;
        }
    }
}

static void put_piece(struct rows *rows, const struct memory_chunk *c, size_t from, size_t to)
{
    memcpy(rows->times + rows->count, memory_chunk_times(c) + from,
           (to - from) * sizeof *rows->times);
    for (size_t i = 0; i < rows->column_count; i++) {
        put_column(rows, &rows->columns[i], c, from, to);
    }
    rows->count += to - from;
}

/* Strings are copied in small steps, so that a batch can end in time. */
enum { STRING_STEP = 16 };

static void next_ordered(struct memory_source *s, struct rows *rows, size_t max)
{
    size_t step = rows_have_strings(rows) ? STRING_STEP : max;
    while (s->piece_at < s->piece_count && rows->count < max && rows->heap.size < ROWS_HEAP_SIZE) {
        struct memory_piece *p = &s->pieces[s->piece_at];
        size_t left = max - rows->count < step ? max - rows->count : step;
        size_t count = p->to - p->from < left ? p->to - p->from : left;
        rows_reserve(rows, count);
        put_piece(rows, p->chunk, p->from, p->from + count);
        p->from += count;
        s->piece_at += p->from == p->to ? 1 : 0;
    }
}

/* Whether the piece behind 'at' begins with 'time'. */
static bool goes_on(const struct memory_source *s, size_t at, int64_t time)
{
    if (at + 1 == s->piece_count) {
        return false;
    }
    const struct memory_piece *next = &s->pieces[at + 1];
    return memory_chunk_times(next->chunk)[next->from] == time;
}

/* As above; of rows of one time, which follow each other, the last. */
static void next_repeated(struct memory_source *s, struct rows *rows, size_t max)
{
    while (s->piece_at < s->piece_count && rows->count < max && rows->heap.size < ROWS_HEAP_SIZE) {
        struct memory_piece *p = &s->pieces[s->piece_at];
        const int64_t *times = memory_chunk_times(p->chunk);
        int64_t time = times[p->from];
        p->from += upper_bound(times + p->from, p->to - p->from, time);
        if (p->from < p->to || !goes_on(s, s->piece_at, time)) {
            rows_reserve(rows, 1);
            put_row(rows, p->chunk, p->from - 1);
        }
        s->piece_at += p->from == p->to ? 1 : 0;
    }
}

static void next_sorted(struct memory_source *s, struct rows *rows, size_t max)
{
    size_t left = s->place_count - s->place_at;
    rows_reserve(rows, left < max ? left : max);
    while (s->place_at < s->place_count && rows->count < max && rows->heap.size < ROWS_HEAP_SIZE) {
        const struct memory_place *p = &s->places[s->place_at++];
        put_row(rows, s->pieces[p->chunk].chunk, p->row);
    }
}

void memory_source_next(struct memory_source *s, struct rows *rows, size_t max)
{
    CHECK(max > 0);
    rows_clear(rows);
    if (s->places != NULL) {
        next_sorted(s, rows, max);
    } else if (s->repeats) {
        next_repeated(s, rows, max);
    } else {
        next_ordered(s, rows, max);
    }
}
