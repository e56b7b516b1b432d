/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_actions.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static void release(struct action *a)
{
    CHECK(a != NULL);
    CHECK(a->count <= LIMIT_APPEND_ENTRIES_MAX);
    if (a->entries != NULL) {
        for (size_t i = 0; i < a->count; i++) {
            entry_unref(a->entries[i]);
        }
    }
    mem_free((void *)a->entries);
    buf_deinit(&a->message);
    mem_free(a->configuration);
}

void actions_reset(struct actions *a)
{
    CHECK(a != NULL);
    CHECK(a->count <= a->capacity);
    for (size_t i = 0; i < a->count; i++) {
        release(&a->items[i]);
    }
    a->count = 0;
}

void actions_deinit(struct actions *a)
{
    actions_reset(a);
    CHECK(a->count == 0);
    mem_free(a->items);
    *a = (struct actions){0};
    CHECK(a->items == NULL);
}

struct action *raft_actions_put(struct actions *a, enum action_type type)
{
    CHECK(a != NULL);
    CHECK(a->count <= a->capacity);
    a->items = mem_grow(a->items, &a->capacity, a->count + 1, sizeof *a->items);
    struct action *item = &a->items[a->count];
    memset(item, 0, sizeof *item);
    item->type = type;
    a->count++;
    return item;
}

void raft_actions_entries(struct action *a, struct entry *const *entries, size_t count)
{
    CHECK(a->entries == NULL);
    CHECK(count > 0);
    a->entries = mem_array(count, sizeof(struct entry *));
    for (size_t i = 0; i < count; i++) {
        a->entries[i] = entry_ref(entries[i]);
    }
    a->count = count;
    a->index = entries[0]->index;
    a->term = entries[count - 1]->term;
}

void raft_actions_configuration(struct action *a, const struct configuration *c)
{
    CHECK(a->configuration == NULL);
    CHECK(c != NULL);
    a->configuration = mem_dup(c, sizeof *c);
}
