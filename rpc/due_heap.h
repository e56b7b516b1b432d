/* SPDX-License-Identifier: Apache-2.0 */
/* Things with a time at which they are due, the earliest first: a binary heap
 * in which each item knows its place, so that it can be taken out again.
 *
 * Borrows its items. */
#ifndef TIDEMARK_RPC_DUE_HEAP_H
#define TIDEMARK_RPC_DUE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is due; zero is "not in a heap". */
struct due_item {
    void *owner; /* for who takes it out; not looked at here */
    uint64_t due_ms;
    size_t place; /* index in the heap + 1; 0: not in it */
};

/* Zero is an empty heap. */
struct due_heap {
    struct due_item **items;
    size_t count;
    size_t capacity;
};

void due_heap_deinit(struct due_heap *h); /* forgets its items */
/* Adds, or moves to another time. */
void due_heap_set(struct due_heap *h, struct due_item *item, uint64_t due_ms);
/* Not in it is fine. */
void due_heap_remove(struct due_heap *h, struct due_item *item);
/* The earliest, or NULL. */
struct due_item *due_heap_first(const struct due_heap *h);

#endif
