/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/index_map.h"

#include "base/check.h"
#include "base/mem.h"

enum { CAPACITY_MIN = 16 };

struct slot {
    uint64_t hash;        /* written before the item is published */
    _Atomic(void *) item; /* NULL: free */
};

struct index_table {
    struct index_table *older;
    size_t capacity; /* a power of two; at most 3/4 are in use */
    struct slot slots[];
};

void index_map_deinit(struct index_map *m)
{
    struct index_table *t = atomic_load_explicit(&m->current, memory_order_acquire);
    while (t != NULL) {
        struct index_table *older = t->older;
        mem_free(t);
        t = older;
    }
    atomic_store_explicit(&m->current, NULL, memory_order_release);
    m->count = 0;
    m->size = 0;
}

static void table_put(struct index_table *t, uint64_t hash, void *item)
{
    size_t i = (size_t)hash & (t->capacity - 1);
    while (atomic_load_explicit(&t->slots[i].item, memory_order_relaxed) != NULL) {
        i = (i + 1) & (t->capacity - 1);
    }
    t->slots[i].hash = hash;
    atomic_store_explicit(&t->slots[i].item, item, memory_order_release);
}

/* Twice as large. Items of one hash keep their order only by chance: keys of
 * items are unique, so that it does not matter. */
static struct index_table *grow(struct index_map *m, struct index_table *old)
{
    size_t capacity = old == NULL ? CAPACITY_MIN : old->capacity * 2;
    size_t size = sizeof *old + capacity * sizeof old->slots[0];
    struct index_table *t = mem_zalloc(size);
    t->older = old;
    t->capacity = capacity;
    for (size_t i = 0; old != NULL && i < old->capacity; i++) {
        void *item = atomic_load_explicit(&old->slots[i].item, memory_order_relaxed);
        if (item != NULL) {
            table_put(t, old->slots[i].hash, item);
        }
    }
    m->size += size;
    atomic_store_explicit(&m->current, t, memory_order_release);
    return t;
}

void index_map_put(struct index_map *m, uint64_t hash, void *item)
{
    CHECK(item != NULL);
    struct index_table *t = atomic_load_explicit(&m->current, memory_order_relaxed);
    if (t == NULL || m->count + 1 > t->capacity / 4 * 3) {
        t = grow(m, t);
    }
    table_put(t, hash, item);
    m->count++;
}

void *index_map_find(const struct index_map *m, uint64_t hash,
                     bool (*match)(const void *item, const void *key), const void *key)
{
    struct index_table *t = atomic_load_explicit(&m->current, memory_order_acquire);
    if (t == NULL) {
        return NULL;
    }
    for (size_t i = (size_t)hash;; i++) {
        struct slot *slot = &t->slots[i & (t->capacity - 1)];
        void *item = atomic_load_explicit(&slot->item, memory_order_acquire);
        if (item == NULL) {
            return NULL;
        }
        if (slot->hash == hash && match(item, key)) {
            return item;
        }
    }
}
