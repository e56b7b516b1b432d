/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/due_heap.h"

#include "base/check.h"
#include "base/mem.h"

void due_heap_deinit(struct due_heap *h)
{
    for (size_t i = 0; i < h->count; i++) {
        h->items[i]->place = 0;
    }
    mem_free(h->items);
    *h = (struct due_heap){0};
}

static void put(struct due_heap *h, size_t i, struct due_item *item)
{
    h->items[i] = item;
    item->place = i + 1;
}

static void sift_up(struct due_heap *h, size_t i)
{
    struct due_item *item = h->items[i];
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (h->items[parent]->due_ms <= item->due_ms) {
            break;
        }
        put(h, i, h->items[parent]);
        i = parent;
    }
    put(h, i, item);
}

static void sift_down(struct due_heap *h, size_t i)
{
    struct due_item *item = h->items[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && h->items[child + 1]->due_ms < h->items[child]->due_ms) {
            child++;
        }
        if (item->due_ms <= h->items[child]->due_ms) {
            break;
        }
        put(h, i, h->items[child]);
        i = child;
    }
    put(h, i, item);
}

void due_heap_set(struct due_heap *h, struct due_item *item, uint64_t due_ms)
{
    item->due_ms = due_ms;
    if (item->place == 0) {
        h->items = mem_grow(h->items, &h->capacity, h->count + 1, sizeof(struct due_item *));
        put(h, h->count, item);
        h->count++;
    }
    CHECK(h->items[item->place - 1] == item);
    sift_up(h, item->place - 1);
    sift_down(h, item->place - 1);
}

void due_heap_remove(struct due_heap *h, struct due_item *item)
{
    if (item->place == 0) {
        return;
    }
    size_t i = item->place - 1;
    CHECK(h->items[i] == item);
    item->place = 0;
    h->count--;
    if (i == h->count) {
        return;
    }
    struct due_item *moved = h->items[h->count];
    put(h, i, moved);
    sift_up(h, i);
    sift_down(h, moved->place - 1);
}

struct due_item *due_heap_first(const struct due_heap *h)
{
    return h->count == 0 ? NULL : h->items[0];
}
