/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/memtable.h"

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/arena.h"
#include "tsdb/index_map.h"

enum {
    CHUNK_ROWS_FIRST = 8,
    CHUNK_ROWS_MAX = 4096,
    CHUNK_GROWTH = 2,
    CHUNK_SIZE_MAX = 1024 * 1024, /* of wide tables; but at least CHUNK_ROWS_FIRST rows */
};

struct memtable {
    uint64_t generation;
    struct arena arena; /* series, chunks, strings */
    struct index_map by_series;
    struct memory_series *first;
    uint64_t row_count;
};

struct memtable *memtable_new(uint64_t generation)
{
    CHECK(generation > 0);
    struct memtable *m = mem_zalloc(sizeof *m);
    m->generation = generation;
    return m;
}

void memtable_close(struct memtable *m)
{
    if (m == NULL) {
        return;
    }
    for (struct memory_series *s = m->first; s != NULL; s = s->next) {
        for (struct memory_chunk *c = memory_series_first(s); c != NULL; c = memory_chunk_next(c)) {
            table_unref(c->table == s->table ? NULL : c->table);
        }
        table_unref(s->table);
    }
    index_map_deinit(&m->by_series);
    arena_deinit(&m->arena);
    mem_free(m);
}

size_t memtable_size(const struct memtable *m)
{
    return m->arena.size + m->by_series.size;
}

uint64_t memtable_row_count(const struct memtable *m)
{
    return m->row_count;
}

struct memory_series *memtable_first(const struct memtable *m)
{
    return m->first;
}

static bool is_of_series(const void *item, const void *key)
{
    return ((const struct memory_series *)item)->series == key;
}

struct memory_series *memtable_find(const struct memtable *m, const struct series *series)
{
    return index_map_find(&m->by_series, series->hash, is_of_series, series);
}

/* --- appending --- */

static struct memory_series *series_rows(struct memtable *m, struct series *series,
                                         struct table *table)
{
    if (series->memory_generation == m->generation) {
        return series->memory;
    }
    struct memory_series *s = arena_array(&m->arena, 1, sizeof *s);
    s->series = series;
    s->table = table_ref(table);
    atomic_init(&s->repeated_index, UINT64_MAX);
    atomic_init(&s->unordered_index, UINT64_MAX);
    s->next = m->first;
    m->first = s;
    series->memory = s;
    series->memory_generation = m->generation;
    index_map_put(&m->by_series, series->hash, s);
    return s;
}

static size_t chunk_size(const struct table *t, size_t capacity)
{
    return sizeof(struct memory_chunk) + capacity * (t->row_size + sizeof(uint32_t)) +
           capacity / 8 * t->column_count;
}

static size_t next_capacity(const struct table *t, const struct memory_chunk *last)
{
    size_t capacity = CHUNK_ROWS_FIRST;
    if (last != NULL) {
        capacity = (size_t)last->capacity * CHUNK_GROWTH;
        capacity = capacity < CHUNK_ROWS_MAX ? capacity : CHUNK_ROWS_MAX;
    }
    while (capacity > CHUNK_ROWS_FIRST && chunk_size(t, capacity) > CHUNK_SIZE_MAX) {
        capacity /= 2;
    }
    return capacity;
}

/* An empty chunk at the end of the series' list. */
static struct memory_chunk *add_chunk(struct memtable *m, struct memory_series *s, struct table *t,
                                      uint64_t index)
{
    size_t capacity = next_capacity(t, s->last);
    struct memory_chunk *c = arena_take(&m->arena, chunk_size(t, capacity));
    uint8_t *data = (uint8_t *)(c + 1);
    memset(c, 0, sizeof *c);
    c->table = t == s->table ? t : table_ref(t);
    c->index_base = index;
    c->capacity = (uint32_t)capacity;
    c->values = data;
    void *deltas = data + capacity * t->row_size; /* aligned: the capacity is a multiple of 8 */
    c->index_deltas = deltas;
    c->nulls = data + capacity * (t->row_size + sizeof(uint32_t));
    memset(c->nulls, 0, capacity / 8 * t->column_count);
    if (s->last == NULL) {
        atomic_store_explicit(&s->first, c, memory_order_release);
    } else {
        atomic_store_explicit(&s->last->next, c, memory_order_release);
    }
    s->last = c;
    return c;
}

static uint8_t *column_values(const struct memory_chunk *c, size_t place)
{
    return c->values + (size_t)c->capacity * c->table->row_offsets[place];
}

/* Readers look at the bits of earlier rows in the same byte meanwhile. */
static void set_null(struct memory_chunk *c, size_t place, size_t row)
{
    uint8_t *byte = c->nulls + c->capacity / 8 * place + row / 8;
    uint8_t bits = __atomic_load_n(byte, __ATOMIC_RELAXED);
    __atomic_store_n(byte, (uint8_t)(bits | 1U << (row % 8)), __ATOMIC_RELAXED);
}

/* Numbers in the request are little-endian, here they are the machine's. */
static void copy_words(void *dst, const uint8_t *src, size_t count)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(dst, src, count * 8);
#else
    for (size_t i = 0; i < count; i++) {
        uint64_t word = bytes_get_u64(src + i * 8);
        memcpy((uint8_t *)dst + i * 8, &word, sizeof word);
    }
#endif
}

/* A string stands in the arena behind its size; the chunk has its address. */
static const uint8_t *store_string(struct memtable *m, struct bytes b)
{
    uint32_t size = (uint32_t)b.size;
    uint8_t *p = arena_take(&m->arena, sizeof size + b.size);
    memcpy(p, &size, sizeof size);
    if (b.size > 0) {
        memcpy(p + sizeof size, b.data, b.size);
    }
    return p;
}

static void append_strings(struct memtable *m, struct memory_chunk *c,
                           const struct write_column *column, size_t from, size_t count)
{
    size_t row = atomic_load_explicit(&c->count, memory_order_relaxed);
    uint8_t *dst = column_values(c, column->place) + row * sizeof(uint8_t *);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = NULL;
        if (!write_column_is_null(column, from + i)) {
            p = store_string(m, column->strings[from + i]);
        }
        memcpy(dst + i * sizeof p, &p, sizeof p);
    }
}

static void append_column(struct memtable *m, struct memory_chunk *c,
                          const struct write_column *column, size_t from, size_t count)
{
    size_t row = atomic_load_explicit(&c->count, memory_order_relaxed);
    if (column->nulls.size > 0) {
        for (size_t i = 0; i < count; i++) {
            if (write_column_is_null(column, from + i)) {
                set_null(c, column->place, row + i);
            }
        }
    }
    switch (column->type) {
    case VALUE_TIMESTAMP:
    case VALUE_INT64:
    case VALUE_DOUBLE:
    case VALUE_INT16:
    case VALUE_INT32:
    case VALUE_FLOAT:
        copy_words(column_values(c, column->place) + row * 8, column->values.data + from * 8,
                   count);
        return;
    case VALUE_BOOL:
        memcpy(column_values(c, column->place) + row, column->values.data + from, count);
        return;
    case VALUE_STRING:
    case VALUE_BYTES:
        append_strings(m, c, column, from, count);
        return;
    case VALUE_TYPE_END:
        break;
    }
    PANIC("column of type %d", (int)column->type);
}

static void note_index(_Atomic uint64_t *first, uint64_t index)
{
    if (atomic_load_explicit(first, memory_order_relaxed) == UINT64_MAX) {
        atomic_store_explicit(first, index, memory_order_relaxed);
    }
}

/* Noted before the rows are published: who sees them sees this. */
static void note_order(struct memory_series *s, uint64_t index, const struct write_batch *w,
                       size_t from, size_t to)
{
    int64_t last = s->last == NULL ? INT64_MIN : s->last_time;
    bool repeated = false;
    bool unordered = false;
    for (size_t i = from; i < to; i++) {
        int64_t time = (int64_t)bytes_get_u64(w->columns[0].values.data + i * 8);
        repeated = repeated || (time == last && (s->last != NULL || i > from));
        unordered = unordered || time < last;
        last = time;
    }
    s->last_time = last;
    if (repeated) {
        note_index(&s->repeated_index, index);
    }
    if (unordered) {
        note_index(&s->unordered_index, index);
    }
}

/* As many rows as fit in the chunk; they must. */
static void append_rows(struct memtable *m, struct memory_chunk *c, uint64_t index,
                        const struct write_batch *w, size_t from, size_t count)
{
    size_t row = atomic_load_explicit(&c->count, memory_order_relaxed);
    CHECK(row + count <= c->capacity);
    for (size_t i = 0; i < w->column_count; i++) {
        append_column(m, c, &w->columns[i], from, count);
    }
    for (size_t i = 0; i < w->absent_count; i++) {
        for (size_t j = 0; j < count; j++) {
            set_null(c, w->absent[i], row + j);
        }
    }
    uint32_t delta = (uint32_t)(index - c->index_base);
    for (size_t j = 0; j < count; j++) {
        c->index_deltas[row + j] = delta;
    }
    atomic_store_explicit(&c->count, (unsigned)(row + count), memory_order_release);
}

void memtable_append(struct memtable *m, struct series *series, uint64_t index,
                     const struct write_batch *w, size_t from, size_t to)
{
    CHECK(from < to);
    CHECK(to <= w->row_count);
    struct memory_series *s = series_rows(m, series, w->table);
    m->row_count += to - from;
    note_order(s, index, w, from, to);
    while (from < to) {
        struct memory_chunk *c = s->last;
        size_t used = c == NULL ? 0 : atomic_load_explicit(&c->count, memory_order_relaxed);
        if (c == NULL || used == c->capacity || c->table != w->table ||
            index - c->index_base > UINT32_MAX) {
            c = add_chunk(m, s, w->table, index);
            used = 0;
        }
        CHECK(index >= c->index_base);
        size_t count = to - from < c->capacity - used ? to - from : c->capacity - used;
        append_rows(m, c, index, w, from, count);
        from += count;
    }
}

static void clear_nulls(struct memory_chunk *c, size_t row)
{
    for (size_t place = 0; place < c->table->column_count; place++) {
        c->nulls[c->capacity / 8 * place + row / 8] &= (uint8_t)~(1U << (row % 8));
    }
}

bool memtable_replace(struct memtable *m, struct series *series, uint64_t index,
                      const struct write_batch *w, size_t at)
{
    CHECK(at < w->row_count);
    struct memory_series *s = memtable_find(m, series);
    int64_t time = (int64_t)bytes_get_u64(w->columns[0].values.data + at * 8);
    if (s == NULL || s->last == NULL || s->last_time != time || s->last->table != w->table) {
        return false;
    }
    struct memory_chunk *c = s->last;
    unsigned count = atomic_load_explicit(&c->count, memory_order_relaxed);
    if (count == 0 || index - c->index_base > UINT32_MAX) {
        return false;
    }
    atomic_store_explicit(&c->count, count - 1, memory_order_relaxed);
    clear_nulls(c, count - 1);
    append_rows(m, c, index, w, at, 1);
    return true;
}

/* --- reading --- */

/* For rows up to a pinned index these were set before the view was pinned; what
 * is set meanwhile is above it, seen or not. */
bool memory_series_is_ordered(const struct memory_series *s, uint64_t index)
{
    return atomic_load_explicit(&s->unordered_index, memory_order_relaxed) > index;
}

bool memory_series_repeats(const struct memory_series *s, uint64_t index)
{
    return atomic_load_explicit(&s->repeated_index, memory_order_relaxed) <= index;
}

struct memory_chunk *memory_series_first(const struct memory_series *s)
{
    return atomic_load_explicit(&s->first, memory_order_acquire);
}

struct memory_chunk *memory_chunk_next(const struct memory_chunk *c)
{
    return atomic_load_explicit(&c->next, memory_order_acquire);
}

size_t memory_chunk_rows(const struct memory_chunk *c, uint64_t index)
{
    size_t count = atomic_load_explicit(&c->count, memory_order_acquire);
    if (index < c->index_base) {
        return 0;
    }
    uint64_t delta = index - c->index_base;
    if (count == 0 || c->index_deltas[count - 1] <= delta) {
        return count;
    }
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (c->index_deltas[middle] <= delta) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

bool memory_chunk_is_null(const struct memory_chunk *c, size_t place, size_t row)
{
    const uint8_t *byte = c->nulls + c->capacity / 8 * place + row / 8;
    return (__atomic_load_n(byte, __ATOMIC_RELAXED) >> (row % 8) & 1) != 0;
}

const uint8_t *memory_chunk_values(const struct memory_chunk *c, size_t place)
{
    return column_values(c, place);
}

uint64_t memory_chunk_word(const struct memory_chunk *c, size_t place, size_t row)
{
    const uint8_t *values = column_values(c, place);
    if (c->table->columns[place].type == VALUE_BOOL) {
        return values[row];
    }
    uint64_t word = 0;
    memcpy(&word, values + row * 8, sizeof word);
    return word;
}

struct bytes memory_chunk_string(const struct memory_chunk *c, size_t place, size_t row)
{
    CHECK(value_is_long(c->table->columns[place].type));
    const uint8_t *p = NULL;
    memcpy(&p, column_values(c, place) + row * sizeof p, sizeof p);
    CHECK(p != NULL);
    uint32_t size = 0;
    memcpy(&size, p, sizeof size);
    return bytes_of(p + sizeof size, size);
}
