/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_log.h"

#include "base/check.h"
#include "base/mem.h"

enum { SLOTS_MIN = 64 };

static void check_invariants(const struct raft_log *l)
{
    CHECK(l->first > 0);
    CHECK(l->last + 1 >= l->first);
    CHECK(l->cache_first >= l->first);
    CHECK(l->cache_first <= l->last + 1);
    CHECK((l->run_count == 0) == (l->last + 1 == l->first));
    CHECK(l->run_count == 0 || l->runs[0].index == l->first);
    CHECK(l->last + 1 - l->cache_first <= l->slot_capacity);
}

static struct entry **slot(const struct raft_log *l, uint64_t index)
{
    CHECK(index >= l->cache_first);
    CHECK(l->slot_capacity > 0);
    return &l->slots[index & (l->slot_capacity - 1)];
}

size_t raft_log_entry_bytes(const struct entry *e)
{
    CHECK(e != NULL);
    CHECK(atomic_load_explicit(&e->references, memory_order_relaxed) > 0);
    return sizeof *e + e->size;
}

void raft_log_init(struct raft_log *l, uint64_t first)
{
    CHECK(l != NULL);
    CHECK(first > 0);
    *l = (struct raft_log){.first = first, .last = first - 1, .cache_first = first};
    check_invariants(l);
}

/* Forgets the entry of 'index' in memory. */
static void drop_slot(struct raft_log *l, uint64_t index)
{
    struct entry **at = slot(l, index);
    CHECK(*at != NULL);
    CHECK((*at)->index == index);
    size_t bytes = raft_log_entry_bytes(*at);
    CHECK(l->bytes >= bytes);
    l->bytes -= bytes;
    entry_unref(*at);
    *at = NULL;
}

void raft_log_deinit(struct raft_log *l)
{
    check_invariants(l);
    for (uint64_t i = l->cache_first; i <= l->last; i++) {
        drop_slot(l, i);
    }
    CHECK(l->bytes == 0);
    mem_free(l->runs);
    mem_free((void *)l->slots);
    *l = (struct raft_log){0};
}

static void grow_slots(struct raft_log *l)
{
    size_t capacity = l->slot_capacity == 0 ? SLOTS_MIN : l->slot_capacity * 2;
    CHECK(capacity > l->slot_capacity);
    CHECK((capacity & (capacity - 1)) == 0);
    struct entry **slots = mem_array(capacity, sizeof(struct entry *));
    for (uint64_t i = l->cache_first; i <= l->last; i++) {
        slots[i & (capacity - 1)] = *slot(l, i);
    }
    mem_free((void *)l->slots);
    l->slots = slots;
    l->slot_capacity = capacity;
}

void raft_log_append(struct raft_log *l, struct entry *e)
{
    CHECK(e->index == l->last + 1);
    CHECK(e->term > 0);
    if (l->run_count == 0 || l->runs[l->run_count - 1].term != e->term) {
        CHECK(l->run_count == 0 || l->runs[l->run_count - 1].term < e->term);
        l->runs = mem_grow(l->runs, &l->run_capacity, l->run_count + 1, sizeof *l->runs);
        l->runs[l->run_count] = (struct raft_log_run){e->index, e->term};
        l->run_count++;
    }
    if (l->last + 1 - l->cache_first == l->slot_capacity) {
        grow_slots(l);
    }
    l->last++;
    *slot(l, e->index) = entry_ref(e);
    l->bytes += raft_log_entry_bytes(e);
    check_invariants(l);
}

void raft_log_truncate(struct raft_log *l, uint64_t index)
{
    CHECK(index >= l->first);
    CHECK(index <= l->last + 1);
    while (l->last >= index) {
        if (l->last >= l->cache_first) {
            drop_slot(l, l->last);
        } else {
            l->cache_first = l->last;
        }
        l->last--;
    }
    while (l->run_count > 0 && l->runs[l->run_count - 1].index >= index) {
        l->run_count--;
    }
    check_invariants(l);
}

void raft_log_cut(struct raft_log *l, uint64_t index)
{
    CHECK(index <= l->last);
    CHECK(index + 1 >= l->first);
    uint64_t term = 0;
    l->term_before = raft_log_term(l, index, &term) ? term : 0;
    while (l->cache_first <= index) {
        drop_slot(l, l->cache_first);
        l->cache_first++;
    }
    l->first = index + 1;
    size_t gone = 0;
    while (gone + 1 < l->run_count && l->runs[gone + 1].index <= l->first) {
        gone++;
    }
    if (l->first > l->last) {
        gone = l->run_count;
    }
    for (size_t i = gone; i < l->run_count; i++) {
        l->runs[i - gone] = l->runs[i];
    }
    l->run_count -= gone;
    if (l->run_count > 0) {
        l->runs[0].index = l->first;
    }
    check_invariants(l);
}

void raft_log_reset(struct raft_log *l, uint64_t first)
{
    CHECK(first > 0);
    for (uint64_t i = l->cache_first; i <= l->last; i++) {
        drop_slot(l, i);
    }
    CHECK(l->bytes == 0);
    l->run_count = 0;
    l->term_before = 0;
    l->first = first;
    l->last = first - 1;
    l->cache_first = first;
    check_invariants(l);
}

/* The run that holds 'index'. */
static const struct raft_log_run *find_run(const struct raft_log *l, uint64_t index)
{
    CHECK(index >= l->first);
    CHECK(index <= l->last);
    size_t low = 0;
    size_t high = l->run_count; /* runs[low].index <= index < runs[high].index */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (l->runs[middle].index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    CHECK(l->runs[low].index <= index);
    return &l->runs[low];
}

bool raft_log_term(const struct raft_log *l, uint64_t index, uint64_t *term)
{
    CHECK(term != NULL);
    if (index + 1 == l->first && l->term_before != 0) {
        *term = l->term_before;
        return true;
    }
    if (index < l->first || index > l->last) {
        return false;
    }
    *term = find_run(l, index)->term;
    CHECK(*term > 0);
    return true;
}

uint64_t raft_log_term_first(const struct raft_log *l, uint64_t index)
{
    CHECK(index >= l->first);
    CHECK(index <= l->last);
    return find_run(l, index)->index;
}

struct entry *raft_log_entry(const struct raft_log *l, uint64_t index)
{
    if (index < l->cache_first || index > l->last) {
        return NULL;
    }
    struct entry *e = *slot(l, index);
    CHECK(e != NULL);
    CHECK(e->index == index);
    return e;
}

size_t raft_log_cached(const struct raft_log *l)
{
    CHECK(l->cache_first <= l->last + 1);
    CHECK(l->last + 1 - l->cache_first <= SIZE_MAX);
    return (size_t)(l->last + 1 - l->cache_first);
}

void raft_log_evict(struct raft_log *l, size_t bytes_max, uint64_t free_to)
{
    CHECK(free_to <= l->last);
    CHECK(l->bytes > 0 || raft_log_cached(l) == 0);
    while (l->bytes > bytes_max && l->cache_first <= free_to && l->cache_first <= l->last) {
        drop_slot(l, l->cache_first);
        l->cache_first++;
    }
    check_invariants(l);
}
