/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/row_set.h"

#include "base/check.h"
#include "base/mem.h"

enum { SLOTS_MIN = 1024 };

void row_set_deinit(struct row_set *s)
{
    mem_free(s->slots);
    s->slots = NULL;
    s->slot_count = 0;
}

/* The slot that holds the hash, or the free one where it would go. */
static uint64_t *slot_of(const struct row_set *s, uint64_t hash)
{
    size_t i = (size_t)hash & (s->slot_count - 1);
    while (s->slots[i] != 0 && s->slots[i] != hash) {
        i = (i + 1) & (s->slot_count - 1);
    }
    return &s->slots[i];
}

static void grow(struct row_set *s)
{
    struct row_set larger = {.slot_count = s->slot_count == 0 ? SLOTS_MIN : s->slot_count * 2};
    larger.slots = mem_array(larger.slot_count, sizeof *larger.slots);
    for (size_t i = 0; i < s->slot_count; i++) {
        if (s->slots[i] != 0) {
            *slot_of(&larger, s->slots[i]) = s->slots[i];
        }
    }
    mem_free(s->slots);
    s->slots = larger.slots;
    s->slot_count = larger.slot_count;
}

void row_set_add(struct row_set *s, uint64_t hash, size_t count_max)
{
    if (s->full) {
        return;
    }
    if (hash == 0) {
        s->count += s->has_zero ? 0 : 1;
        s->has_zero = true;
        return;
    }
    if (s->count + 1 > s->slot_count / 2) {
        grow(s);
    }
    uint64_t *slot = slot_of(s, hash);
    if (*slot == hash) {
        return;
    }
    if (s->count >= count_max) {
        s->full = true;
        row_set_deinit(s);
        return;
    }
    *slot = hash;
    s->count++;
    CHECK(s->count <= s->slot_count / 2 + 1);
}

bool row_set_count(const struct row_set *s, uint64_t *count)
{
    *count = s->full ? 0 : s->count;
    return !s->full;
}
