/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_history.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static void check_invariants(const struct raft_history *h)
{
    CHECK(h->count > 0);
    CHECK(h->count <= h->capacity);
    for (size_t i = 1; i < h->count; i++) {
        CHECK(h->items[i - 1].index < h->items[i].index);
        CHECK(h->items[i].count > 0);
    }
}

static void push(struct raft_history *h, const struct configuration *c)
{
    CHECK(c != NULL);
    CHECK(c->count <= LIMIT_NODES_MAX);
    h->items = mem_grow(h->items, &h->capacity, h->count + 1, sizeof *h->items);
    h->items[h->count] = *c;
    h->count++;
}

void raft_history_init(struct raft_history *h, const struct configuration *base)
{
    CHECK(h != NULL);
    CHECK(base == NULL || base->count > 0);
    *h = (struct raft_history){0};
    raft_history_reset(h, base);
}

void raft_history_deinit(struct raft_history *h)
{
    check_invariants(h);
    mem_free(h->items);
    *h = (struct raft_history){0};
    CHECK(h->count == 0);
}

void raft_history_push(struct raft_history *h, const struct configuration *c)
{
    CHECK(c->count > 0);
    CHECK(c->index > raft_history_last(h)->index);
    push(h, c);
    check_invariants(h);
}

bool raft_history_truncate(struct raft_history *h, uint64_t index)
{
    CHECK(index > h->items[0].index);
    CHECK(h->count > 0);
    size_t before = h->count;
    while (h->count > 1 && h->items[h->count - 1].index >= index) {
        h->count--;
    }
    check_invariants(h);
    return h->count != before;
}

void raft_history_cut(struct raft_history *h, uint64_t index)
{
    CHECK(index >= h->items[0].index);
    CHECK(h->count > 0);
    size_t gone = 0;
    while (gone + 1 < h->count && h->items[gone + 1].index <= index) {
        gone++;
    }
    if (gone > 0) {
        memmove(h->items, h->items + gone, (h->count - gone) * sizeof *h->items);
        h->count -= gone;
    }
    check_invariants(h);
}

void raft_history_reset(struct raft_history *h, const struct configuration *base)
{
    static const struct configuration none;
    CHECK(base == NULL || base->count > 0);
    CHECK(base == NULL || base->index > 0);
    h->count = 0;
    push(h, base == NULL ? &none : base);
    check_invariants(h);
}

const struct configuration *raft_history_last(const struct raft_history *h)
{
    CHECK(h->count > 0);
    CHECK(h->items != NULL);
    return &h->items[h->count - 1];
}

const struct configuration *raft_history_at(const struct raft_history *h, uint64_t index)
{
    CHECK(h->count > 0);
    CHECK(index >= h->items[0].index);
    size_t i = h->count - 1;
    while (i > 0 && h->items[i].index > index) {
        i--;
    }
    return &h->items[i];
}
