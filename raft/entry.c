/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/entry.h"

#include <limits.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

struct entry *entry_new(enum entry_type type, uint64_t index, uint64_t term, struct bytes payload)
{
    CHECK(payload.size <= LIMIT_ENTRY_SIZE_MAX);
    CHECK(type == ENTRY_COMMAND || type == ENTRY_BARRIER || type == ENTRY_CHANGE);
    struct entry *e = mem_alloc(sizeof *e + payload.size);
    atomic_init(&e->references, 1);
    e->type = type;
    e->index = index;
    e->term = term;
    e->size = (uint32_t)payload.size;
    if (payload.data != NULL && payload.size > 0) {
        memcpy(e->payload, payload.data, payload.size);
    }
    return e;
}

struct entry *entry_ref(struct entry *e)
{
    CHECK(e != NULL);
    /* The caller holds a reference, so nothing needs to be ordered by this one. */
    unsigned before = atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return e;
}

void entry_unref(struct entry *e)
{
    if (e == NULL) {
        return;
    }
    /* Release: what this thread read or wrote is done. Acquire: whoever frees sees it. */
    unsigned before = atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    CHECK(before < UINT_MAX / 2); /* a freed entry given back again */
    if (before == 1) {
        mem_free(e);
    }
}

struct bytes entry_payload(const struct entry *e)
{
    CHECK(e != NULL);
    CHECK(e->size <= LIMIT_ENTRY_SIZE_MAX);
    return bytes_of(e->payload, e->size);
}
