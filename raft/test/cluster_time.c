/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "raft/test/cluster_inside.h"

static bool before(const struct happen *a, const struct happen *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void swap(struct happen *a, struct happen *b)
{
    struct happen x = *a;
    *a = *b;
    *b = x;
}

void cluster_schedule(struct cluster *c, struct happen *h)
{
    h->sequence = c->sequence++;
    c->heap = mem_grow(c->heap, &c->heap_capacity, c->heap_count + 1, sizeof *c->heap);
    size_t i = c->heap_count++;
    c->heap[i] = *h;
    while (i > 0 && before(&c->heap[i], &c->heap[(i - 1) / 2])) {
        swap(&c->heap[i], &c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

struct happen cluster_take_next(struct cluster *c)
{
    struct happen first = c->heap[0];
    c->heap[0] = c->heap[--c->heap_count];
    for (size_t i = 0;;) {
        size_t child = 2 * i + 1;
        if (child >= c->heap_count) {
            break;
        }
        if (child + 1 < c->heap_count && before(&c->heap[child + 1], &c->heap[child])) {
            child++;
        }
        if (!before(&c->heap[child], &c->heap[i])) {
            break;
        }
        swap(&c->heap[child], &c->heap[i]);
        i = child;
    }
    return first;
}

void cluster_drop_entries(struct entry **entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entry_unref(entries[i]);
    }
    mem_free((void *)entries);
}

void cluster_happen_deinit(struct happen *h)
{
    buf_deinit(&h->message);
    cluster_drop_entries(h->entries, h->count);
}

struct happen cluster_happens_in(const struct cluster *c, enum happening kind,
                                 const struct cluster_node *n, uint64_t delay_ms)
{
    return (struct happen){
        .at_ms = c->now_ms + delay_ms, .kind = kind, .node = n->id, .life = n->life};
}
