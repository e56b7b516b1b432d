/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_holes.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void wal_holes_deinit(struct wal_holes *h)
{
    CHECK(h != NULL);
    CHECK(h->items != NULL || h->capacity == 0);
    mem_free(h->items);
    *h = (struct wal_holes){0};
}

void wal_holes_clear(struct wal_holes *h)
{
    CHECK(h != NULL);
    CHECK(h->start + h->count <= h->capacity);
    h->start = 0;
    h->count = 0;
}

static struct wal_hole *items(const struct wal_holes *h)
{
    CHECK(h != NULL);
    CHECK(h->items != NULL || h->count == 0);
    return h->items + h->start;
}

/* Position of the first hole at or above 'index'. */
static size_t seek(const struct wal_holes *h, uint64_t index)
{
    CHECK(h->start + h->count <= h->capacity);
    size_t low = 0;
    size_t high = h->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items(h)[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct wal_hole *wal_holes_find(const struct wal_holes *h, uint64_t index)
{
    CHECK(h != NULL);
    size_t i = seek(h, index);
    return i < h->count && items(h)[i].index == index ? &items(h)[i] : NULL;
}

void wal_holes_insert(struct wal_holes *h, const struct wal_hole *hole)
{
    CHECK(hole != NULL);
    size_t i = seek(h, hole->index);
    CHECK(i == h->count || items(h)[i].index != hole->index);
    if (h->start > 0 && h->start >= h->count) {
        memmove(h->items, items(h), h->count * sizeof *h->items);
        h->start = 0;
    }
    h->items = mem_grow(h->items, &h->capacity, h->start + h->count + 1, sizeof *h->items);
    memmove(items(h) + i + 1, items(h) + i, (h->count - i) * sizeof *h->items);
    items(h)[i] = *hole;
    h->count++;
}

void wal_holes_remove(struct wal_holes *h, uint64_t index)
{
    CHECK(h->count > 0);
    size_t i = seek(h, index);
    CHECK(i < h->count && items(h)[i].index == index);
    if (i == 0) {
        h->start++;
    } else {
        memmove(items(h) + i, items(h) + i + 1, (h->count - i - 1) * sizeof *h->items);
    }
    h->count--;
}

size_t wal_holes_drop_from(struct wal_holes *h, uint64_t index)
{
    CHECK(h != NULL);
    size_t kept = seek(h, index);
    size_t dropped = h->count - kept;
    h->count = kept;
    return dropped;
}

size_t wal_holes_drop_to(struct wal_holes *h, uint64_t index)
{
    CHECK(h != NULL);
    CHECK(index < UINT64_MAX);
    size_t dropped = seek(h, index + 1);
    h->start += dropped;
    h->count -= dropped;
    return dropped;
}

struct wal_hole wal_hole_of(uint64_t index, const struct wal_place *place)
{
    CHECK(index > 0);
    CHECK(wal_place_state(place) != WAL_PLACE_WHOLE);
    struct wal_hole hole = {.index = index,
                            .unknown = wal_place_state(place) == WAL_PLACE_UNKNOWN,
                            .lsn = wal_place_lsn(place)};
    if (!hole.unknown) {
        hole.term = place->term;
        hole.type = (enum wal_type)wal_place_type(place);
        hole.size = place->size;
        hole.crc = place->crc;
    }
    return hole;
}

void wal_holes_rebuild(struct wal_holes *h, const struct wal_table *table)
{
    CHECK(table != NULL);
    CHECK(table->count <= table->places_capacity || table->count == 0);
    wal_holes_clear(h);
    for (size_t i = 0; i < table->count; i++) {
        const struct wal_place *place = wal_table_place(table, i);
        if (wal_place_state(place) != WAL_PLACE_WHOLE) {
            struct wal_hole hole = wal_hole_of(wal_table_index(table, i), place);
            h->items = mem_grow(h->items, &h->capacity, h->count + 1, sizeof *h->items);
            h->items[h->count++] = hole;
        }
    }
}
