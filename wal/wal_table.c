/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_table.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void wal_table_init(struct wal_table *t, bool sparse, uint64_t cut)
{
    CHECK(cut < UINT64_MAX);
    CHECK(t != NULL);
    *t = (struct wal_table){.sparse = sparse, .cut = cut, .last = cut};
}

void wal_table_deinit(struct wal_table *t)
{
    CHECK(t != NULL);
    mem_free(t->places);
    mem_free(t->indexes);
    *t = (struct wal_table){0};
}

void wal_table_reset(struct wal_table *t, uint64_t cut)
{
    CHECK(cut < UINT64_MAX);
    CHECK(t->start + t->count <= t->places_capacity || t->count == 0);
    t->start = 0;
    t->count = 0;
    t->cut = cut;
    t->last = cut;
}

static void check_invariants(const struct wal_table *t)
{
    CHECK(t->start + t->count <= t->places_capacity || t->count == 0);
    if (t->sparse) {
        CHECK(t->count == 0 || t->indexes[t->start + t->count - 1] == t->last);
    } else {
        CHECK(t->count == (t->last > t->cut ? t->last - t->cut : 0));
    }
}

/* Room for one more at the end; what was cut at the front is reused when it is
 * at least half, so that the cost of moving stays constant per entry. */
static void reserve(struct wal_table *t)
{
    CHECK(t->places_capacity >= t->count);
    if (t->start > 0 && t->start >= t->count && t->start + t->count == t->places_capacity) {
        memmove(t->places, t->places + t->start, t->count * sizeof *t->places);
        if (t->sparse) {
            memmove(t->indexes, t->indexes + t->start, t->count * sizeof *t->indexes);
        }
        t->start = 0;
    }
    size_t need = t->start + t->count + 1;
    t->places = mem_grow(t->places, &t->places_capacity, need, sizeof *t->places);
    if (t->sparse) {
        t->indexes = mem_grow(t->indexes, &t->indexes_capacity, need, sizeof *t->indexes);
    }
}

static void push(struct wal_table *t, uint64_t index, const struct wal_place *place)
{
    CHECK(place != NULL);
    CHECK(index > t->cut);
    reserve(t);
    t->places[t->start + t->count] = *place;
    if (t->sparse) {
        t->indexes[t->start + t->count] = index;
    }
    t->count++;
}

void wal_table_drop(struct wal_table *t, uint64_t index)
{
    CHECK(t != NULL);
    CHECK(index > 0);
    size_t position = wal_table_seek(t, index);
    t->count = position;
    if (t->last >= index) {
        t->last = index - 1;
    }
    if (t->sparse) {
        t->last = t->count > 0 ? t->indexes[t->start + t->count - 1] : t->cut;
    }
    check_invariants(t);
}

void wal_table_extend(struct wal_table *t, uint64_t last)
{
    CHECK(last < UINT64_MAX);
    CHECK(!t->sparse);
    const struct wal_place unknown = {.packed = WAL_PLACE_UNKNOWN};
    while (t->last < last) {
        t->last++;
        if (t->last > t->cut) {
            push(t, t->last, &unknown);
        }
    }
    check_invariants(t);
}

void wal_table_put(struct wal_table *t, uint64_t index, const struct wal_place *place)
{
    CHECK(index < UINT64_MAX);
    CHECK(index > 0);
    CHECK(wal_place_lsn(place) < UINT64_C(1) << 56);
    wal_table_drop(t, index);
    if (!t->sparse && index > t->last + 1) {
        wal_table_extend(t, index - 1);
    }
    if (index > t->cut) {
        push(t, index, place);
        t->last = index;
    } else if (!t->sparse) {
        t->last = index;
    }
    check_invariants(t);
}

void wal_table_forget(struct wal_table *t, uint64_t low, uint64_t high, uint64_t lsn)
{
    CHECK(!t->sparse);
    uint64_t from = low > t->cut ? low : t->cut + 1;
    uint64_t to = high < t->last ? high : t->last;
    for (uint64_t index = from; index <= to; index++) {
        t->places[t->start + (size_t)(index - t->cut - 1)] =
            (struct wal_place){.packed = wal_place_pack(lsn, 0, false, WAL_PLACE_UNKNOWN)};
    }
}

void wal_table_cut(struct wal_table *t, uint64_t index)
{
    CHECK(index < UINT64_MAX);
    if (index <= t->cut) {
        return;
    }
    size_t position = wal_table_seek(t, index + 1);
    t->start += position;
    t->count -= position;
    t->cut = index;
    if (t->last < index) {
        t->last = index;
    }
    check_invariants(t);
}

size_t wal_table_remove_holes(struct wal_table *t)
{
    CHECK(t->count <= t->places_capacity || t->count == 0);
    CHECK(t->sparse);
    size_t kept = 0;
    size_t before = t->count;
    for (size_t i = 0; i < before; i++) {
        if (wal_place_state(&t->places[t->start + i]) == WAL_PLACE_WHOLE) {
            t->places[t->start + kept] = t->places[t->start + i];
            t->indexes[t->start + kept] = t->indexes[t->start + i];
            kept++;
        }
    }
    t->count = kept;
    t->last = kept > 0 ? t->indexes[t->start + kept - 1] : t->cut;
    check_invariants(t);
    return before - kept;
}

size_t wal_table_seek(const struct wal_table *t, uint64_t index)
{
    CHECK(t->count <= t->places_capacity || t->count == 0);
    if (!t->sparse) {
        if (index <= t->cut + 1) {
            return 0;
        }
        uint64_t position = index - t->cut - 1;
        return position < t->count ? (size_t)position : t->count;
    }
    if (index > t->last) {
        return t->count; /* of a log that only grows, the usual question */
    }
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->indexes[t->start + middle] < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct wal_place *wal_table_place(const struct wal_table *t, size_t position)
{
    CHECK(t->places != NULL);
    CHECK(position < t->count);
    return &t->places[t->start + position];
}

uint64_t wal_table_index(const struct wal_table *t, size_t position)
{
    CHECK(!t->sparse || t->indexes != NULL);
    CHECK(position < t->count);
    return t->sparse ? t->indexes[t->start + position] : t->cut + 1 + position;
}

struct wal_place *wal_table_at(const struct wal_table *t, uint64_t index)
{
    CHECK(t != NULL);
    size_t position = wal_table_seek(t, index);
    if (position >= t->count || wal_table_index(t, position) != index) {
        return NULL;
    }
    return wal_table_place(t, position);
}
