/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/series.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/index_map.h"

/* The list is in pages of 64, 128, 256 ... places, which never move. */
enum { PAGE_FIRST = 64, PAGES = 26 };

struct series_set {
    atomic_uint references;
    struct index_map by_key;
    _Atomic(struct series **) pages[PAGES];
    atomic_size_t count;
    size_t size;
};

struct series_set *series_set_new(void)
{
    struct series_set *s = mem_zalloc(sizeof *s);
    atomic_init(&s->references, 1);
    return s;
}

struct series_set *series_set_ref(struct series_set *s)
{
    unsigned before = atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return s;
}

/* The page of place i, and the place in it. */
static size_t page_of(size_t i, size_t *place)
{
    size_t page = 0;
    size_t first = PAGE_FIRST;
    while (i >= first) {
        i -= first;
        first *= 2;
        page++;
    }
    CHECK(page < PAGES);
    *place = i;
    return page;
}

void series_set_unref(struct series_set *s)
{
    if (s == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1) {
        return;
    }
    for (size_t i = 0; i < series_set_count(s); i++) {
        mem_free(series_set_at(s, i));
    }
    for (size_t i = 0; i < PAGES; i++) {
        mem_free(atomic_load_explicit(&s->pages[i], memory_order_relaxed));
    }
    index_map_deinit(&s->by_key);
    mem_free(s);
}

static struct series *make_series(struct bytes key, struct bytes tags)
{
    bool shared = bytes_equal(key, tags); /* no other tags: the usual case */
    struct series *series = mem_zalloc(sizeof *series + key.size + (shared ? 0 : tags.size));
    uint8_t *data = (uint8_t *)(series + 1);
    memcpy(data, key.data, key.size);
    series->key = bytes_of(data, key.size);
    series->tags = series->key;
    if (!shared) {
        memcpy(data + key.size, tags.data, tags.size);
        series->tags = bytes_of(data + key.size, tags.size);
    }
    return series;
}

struct series *series_set_add(struct series_set *s, uint64_t id, uint64_t index, struct bytes key,
                              struct bytes tags)
{
    CHECK(id > 0);
    CHECK(key.size > 0);
    CHECK(tags.size >= key.size);
    uint64_t hash = series_key_hash(key);
    VERIFY(series_set_find(s, hash, key) == NULL);
    struct series *series = make_series(key, tags);
    series->id = id;
    series->index_created = index;
    series->hash = hash;
    series->vgroup = series_vgroup(hash);

    size_t count = atomic_load_explicit(&s->count, memory_order_relaxed);
    size_t place = 0;
    size_t page = page_of(count, &place);
    struct series **items = atomic_load_explicit(&s->pages[page], memory_order_relaxed);
    if (items == NULL) {
        items = mem_array((size_t)PAGE_FIRST << page, sizeof(struct series *));
        atomic_store_explicit(&s->pages[page], items, memory_order_release);
    }
    items[place] = series;
    /* Readers look at a place only below the count. */
    atomic_store_explicit(&s->count, count + 1, memory_order_release);
    index_map_put(&s->by_key, hash, series);
    s->size += key.size + tags.size;
    return series;
}

static bool has_key(const void *item, const void *key)
{
    const struct series *series = item;
    return bytes_equal(series->key, *(const struct bytes *)key);
}

struct series *series_set_find(const struct series_set *s, uint64_t hash, struct bytes key)
{
    return index_map_find(&s->by_key, hash, has_key, &key);
}

size_t series_set_count(const struct series_set *s)
{
    return atomic_load_explicit(&s->count, memory_order_acquire);
}

struct series *series_set_at(const struct series_set *s, size_t i)
{
    CHECK(i < series_set_count(s));
    size_t place = 0;
    size_t page = page_of(i, &place);
    return atomic_load_explicit(&s->pages[page], memory_order_acquire)[place];
}

size_t series_set_size(const struct series_set *s)
{
    return s->size;
}

uint64_t series_key_hash(struct bytes key)
{
    return hash64(key);
}

/* The high bits: the low ones pick the place in hash tables. */
unsigned series_vgroup(uint64_t hash)
{
    return (unsigned)(hash >> 32) % VGROUP_COUNT;
}

void tags_put(struct buf *b, uint32_t id, struct bytes value)
{
    buf_put_varint(b, id);
    buf_put_blob(b, value);
}

bool tags_next(struct cursor *tags, uint32_t *id, struct bytes *value)
{
    if (tags->bad || tags->size == 0) {
        return false;
    }
    uint64_t v = cursor_varint(tags);
    *value = cursor_blob(tags);
    if (v > UINT32_MAX) {
        tags->bad = true;
    }
    *id = (uint32_t)v;
    return !tags->bad;
}

bool tags_find(struct bytes tags, uint32_t id, struct bytes *value)
{
    struct cursor c = cursor_of(tags);
    uint32_t have = 0;
    while (tags_next(&c, &have, value)) {
        if (have == id) {
            return true;
        }
    }
    return false;
}
