/* SPDX-License-Identifier: Apache-2.0 */
/* The configurations that a log holds, oldest first: the base (of the snapshot,
 * or none), then one for each ENTRY_CHANGE after it. The last one is in force,
 * committed or not; truncating the log brings the one before it back. */
#ifndef TIDEMARK_RAFT_RAFT_HISTORY_H
#define TIDEMARK_RAFT_RAFT_HISTORY_H

#include "raft/configuration.h"

struct raft_history {
    struct configuration *items; /* items[0] is the base; its count may be 0 */
    size_t count;
    size_t capacity;
};

/* 'base' is copied; NULL: none. */
void raft_history_init(struct raft_history *h, const struct configuration *base);
void raft_history_deinit(struct raft_history *h);

/* The index is above all others. Copied. */
void raft_history_push(struct raft_history *h, const struct configuration *c);
/* Forgets those of index >= 'index'. True if one was forgotten. */
bool raft_history_truncate(struct raft_history *h, uint64_t index);
/* The newest at or below 'index' becomes the base. */
void raft_history_cut(struct raft_history *h, uint64_t index);
void raft_history_reset(struct raft_history *h, const struct configuration *base);

const struct configuration *raft_history_last(const struct raft_history *h);
/* The newest at or below 'index': the base at least. */
const struct configuration *raft_history_at(const struct raft_history *h, uint64_t index);

#endif
