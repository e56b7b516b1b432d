/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/arena.h"

#include "base/check.h"
#include "base/mem.h"

enum { ALIGNMENT = 8 };

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    size_t used;
    uint8_t data[];
};

_Static_assert(sizeof(struct arena_block) % ALIGNMENT == 0, "the first piece is aligned");

static void free_blocks(struct arena_block *b)
{
    while (b != NULL) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
}

void arena_deinit(struct arena *a)
{
    free_blocks(a->blocks);
    *a = (struct arena){0};
}

void arena_reset(struct arena *a)
{
    if (a->blocks == NULL) {
        return;
    }
    free_blocks(a->blocks->next);
    a->blocks->next = NULL;
    a->blocks->used = 0;
    a->size = sizeof *a->blocks + a->blocks->capacity;
}

static void add_block(struct arena *a, size_t size_min)
{
    if (a->block_size == 0) {
        a->block_size = ARENA_BLOCK_SIZE_MIN;
    }
    size_t capacity = a->block_size > size_min ? a->block_size : size_min;
    struct arena_block *b = mem_alloc(sizeof *b + capacity);
    *b = (struct arena_block){.next = a->blocks, .capacity = capacity};
    a->blocks = b;
    a->size += sizeof *b + capacity;
    if (a->block_size < ARENA_BLOCK_SIZE_MAX) {
        a->block_size *= 2;
    }
}

void *arena_take(struct arena *a, size_t size)
{
    CHECK(size <= SIZE_MAX / 2);
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (a->blocks == NULL || a->blocks->capacity - a->blocks->used < size) {
        add_block(a, size);
    }
    void *piece = a->blocks->data + a->blocks->used;
    a->blocks->used += size;
    return piece;
}

void *arena_array(struct arena *a, size_t count, size_t item_size)
{
    CHECK(item_size > 0);
    CHECK(count <= SIZE_MAX / 4 / item_size);
    void *items = arena_take(a, count * item_size);
    memset(items, 0, count * item_size);
    return items;
}

struct bytes arena_copy(struct arena *a, struct bytes b)
{
    uint8_t *copy = arena_take(a, b.size);
    if (b.size > 0) {
        memcpy(copy, b.data, b.size);
    }
    return bytes_of(copy, b.size);
}
