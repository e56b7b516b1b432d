/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/rows.h"

#include "base/check.h"
#include "base/mem.h"

enum {
    STRING_SIZE_BITS = 20,
    STRING_SIZE_MASK = (1 << STRING_SIZE_BITS) - 1,
    COLUMNS_FULL = 64, /* up to so many columns a batch is full-size */
    BATCH_MIN = 64
};

_Static_assert(LIMIT_STRING_SIZE_MAX < 1 << STRING_SIZE_BITS, "a size fits in its bits");

void rows_init(struct rows *r, const struct table *table, const uint32_t *places, size_t count)
{
    *r = (struct rows){.table = table, .column_count = count};
    r->columns = mem_array(count + 1, sizeof *r->columns);
    for (size_t i = 0; i < count; i++) {
        CHECK(places[i] > 0);
        CHECK(places[i] < table->column_count);
        r->columns[i].place = places[i];
        r->columns[i].type = table->columns[places[i]].type;
    }
}

void rows_deinit(struct rows *r)
{
    for (size_t i = 0; i < r->column_count; i++) {
        mem_free(r->columns[i].words);
        mem_free(r->columns[i].nulls);
    }
    mem_free(r->columns);
    mem_free(r->times);
    buf_deinit(&r->heap);
    *r = (struct rows){0};
}

void rows_clear(struct rows *r)
{
    r->count = 0;
    for (size_t i = 0; i < r->column_count; i++) {
        r->columns[i].any_null = false;
    }
    buf_reset(&r->heap);
}

void rows_reserve(struct rows *r, size_t more)
{
    size_t need = r->count + more;
    if (need <= r->capacity) {
        return;
    }
    size_t capacity = r->capacity * 2 > need ? r->capacity * 2 : need;
    r->times = mem_resize(r->times, capacity * sizeof *r->times);
    for (size_t i = 0; i < r->column_count; i++) {
        struct rows_column *c = &r->columns[i];
        c->words = mem_resize(c->words, capacity * sizeof *c->words);
        c->nulls = mem_resize(c->nulls, capacity);
    }
    r->capacity = capacity;
}

uint64_t rows_put_string(struct rows *r, struct bytes b)
{
    CHECK(b.size <= LIMIT_STRING_SIZE_MAX);
    uint64_t word = (uint64_t)r->heap.size << STRING_SIZE_BITS | b.size;
    buf_put_bytes(&r->heap, b);
    return word;
}

struct bytes rows_string(const struct rows *r, uint64_t word)
{
    size_t offset = (size_t)(word >> STRING_SIZE_BITS);
    size_t size = (size_t)(word & STRING_SIZE_MASK);
    CHECK(offset + size <= r->heap.size);
    return size == 0 ? bytes_of("", 0) : bytes_of(r->heap.data + offset, size);
}

static void append_column(struct rows *dst, const struct rows *src, size_t column, size_t from,
                          size_t count)
{
    struct rows_column *to = &dst->columns[column];
    const struct rows_column *c = &src->columns[column];
    CHECK(to->place == c->place);
    memcpy(to->nulls + dst->count, c->nulls + from, count);
    to->any_null = to->any_null || c->any_null;
    if (!value_is_long(c->type)) {
        memcpy(to->words + dst->count, c->words + from, count * sizeof *c->words);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        bool null = c->nulls[from + i] != 0;
        to->words[dst->count + i] =
            null ? 0 : rows_put_string(dst, rows_string(src, c->words[from + i]));
    }
}

void rows_append(struct rows *dst, const struct rows *src, size_t from, size_t to)
{
    CHECK(from <= to);
    CHECK(to <= src->count);
    CHECK(dst->column_count == src->column_count);
    size_t count = to - from;
    if (count == 0) {
        return;
    }
    rows_reserve(dst, count);
    memcpy(dst->times + dst->count, src->times + from, count * sizeof *src->times);
    for (size_t i = 0; i < src->column_count; i++) {
        append_column(dst, src, i, from, count);
    }
    dst->count += count;
}

bool rows_have_strings(const struct rows *r)
{
    for (size_t i = 0; i < r->column_count; i++) {
        if (value_is_long(r->columns[i].type)) {
            return true;
        }
    }
    return false;
}

void rows_keep(struct rows *r, size_t from, size_t to)
{
    CHECK(from <= to);
    CHECK(to <= r->count);
    r->count = to - from;
    if (from == 0) {
        return;
    }
    memmove(r->times, r->times + from, r->count * sizeof *r->times);
    for (size_t i = 0; i < r->column_count; i++) {
        struct rows_column *c = &r->columns[i];
        memmove(c->words, c->words + from, r->count * sizeof *c->words);
        memmove(c->nulls, c->nulls + from, r->count);
    }
}

static size_t string_bytes(const struct rows *r, size_t row)
{
    size_t size = 0;
    for (size_t i = 0; i < r->column_count; i++) {
        const struct rows_column *c = &r->columns[i];
        if (value_is_long(c->type) && c->nulls[row] == 0) {
            size += (size_t)(c->words[row] & STRING_SIZE_MASK);
        }
    }
    return size;
}

size_t rows_fit(const struct rows *r, size_t from, size_t size_max)
{
    CHECK(from < r->count);
    if (r->heap.size <= size_max) {
        return r->count;
    }
    size_t size = string_bytes(r, from);
    size_t to = from + 1;
    while (to < r->count) {
        size += string_bytes(r, to);
        if (size > size_max) {
            break;
        }
        to++;
    }
    return to;
}

size_t rows_find(const struct rows *r, size_t from, int64_t time)
{
    size_t low = from;
    size_t high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (r->times[middle] < time) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t rows_batch_max(size_t column_count)
{
    if (column_count <= COLUMNS_FULL) {
        return LIMIT_BLOCK_ROWS_MAX;
    }
    size_t rows = (size_t)LIMIT_BLOCK_ROWS_MAX * COLUMNS_FULL / column_count;
    return rows > BATCH_MIN ? rows : BATCH_MIN;
}
