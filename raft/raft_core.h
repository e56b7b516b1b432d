/* SPDX-License-Identifier: Apache-2.0 */
/* Our entries and configurations in libraft's own objects, and back.
 *
 * Ownership in 0.22.1: libraft frees the 'batch' block of received entries, or
 * hands it back, and never reads it. So the batch is a token of one byte, and
 * payloads stay in our counted entries: nothing is copied for libraft. It reads
 * the payload of changes only; those get its encoding, with the id in hex as
 * the address, because it refuses two servers at one address (a replaced
 * node's old and new id) and has no use for addresses. */
#ifndef TIDEMARK_RAFT_RAFT_CORE_H
#define TIDEMARK_RAFT_RAFT_CORE_H

#include <raft.h>

#include "raft/configuration.h"
#include "raft/entry.h"

enum { RAFT_CORE_ADDRESS_SIZE = 17 };

void raft_core_address(uint64_t id, char out[RAFT_CORE_ADDRESS_SIZE]);

/* In memory of raft_malloc(); raft_configuration_close() ends it, or libraft. */
void raft_core_configuration(const struct configuration *c, struct raft_configuration *out);
/* Whether libraft's configuration has the same servers, in the same order and roles. */
bool raft_core_matches(const struct raft_configuration *r, const struct configuration *c);

struct raft_core_entries {
    struct raft_entry *items; /* raft_malloc() */
    size_t count;
    void *token; /* the batch of all of them; NULL once libraft has freed it */
};

/* Borrows the entries while 'out' lives. */
void raft_core_entries_init(struct raft_core_entries *out, struct entry *const *entries,
                            size_t count);
/* One more item, for the start: an entry of which only the term is known. */
void raft_core_entries_put_term(struct raft_core_entries *out, uint64_t term);
void raft_core_entries_put_change(struct raft_core_entries *out, uint64_t term,
                                  const struct configuration *c);
void raft_core_entries_reserve(struct raft_core_entries *out, size_t capacity);
void raft_core_entries_deinit(struct raft_core_entries *c);

#endif
