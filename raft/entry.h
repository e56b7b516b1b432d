/* SPDX-License-Identifier: Apache-2.0 */
/* One entry of the Raft log in memory: immutable, counted, shared by the cache,
 * the log lane and the apply lane without a copy. Counts are atomic; the rest
 * is written before the entry is shared. */
#ifndef TIDEMARK_RAFT_ENTRY_H
#define TIDEMARK_RAFT_ENTRY_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"

enum entry_type {
    ENTRY_COMMAND = 1, /* proto/command.h */
    ENTRY_BARRIER = 2, /* empty: first entry of a leader's term */
    ENTRY_CHANGE = 3,  /* an encoded configuration */
};

struct entry {
    atomic_uint references;
    enum entry_type type;
    uint64_t index;
    uint64_t term;
    uint32_t size;
    uint8_t payload[];
};

/* One reference, the caller's. The payload is copied; 'payload.data' may be
 * NULL to get an entry whose payload the caller fills before sharing it. */
struct entry *entry_new(enum entry_type type, uint64_t index, uint64_t term, struct bytes payload);
struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e); /* NULL is fine */
struct bytes entry_payload(const struct entry *e);

#endif
