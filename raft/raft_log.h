/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica knows of its log: the term of every index that the log keeps,
 * and the entries themselves as far as memory goes.
 *
 *   first ........................ cache_first ................. last
 *     term known, entry on disk        term known, entry in memory
 *
 * Terms are kept as runs (one per term), so a long log costs a few words.
 * Entries leave memory from the front, only those at or below the index that
 * the owner calls free to go (durable and applied); the rest is pinned.
 *
 * Belongs to one replica; no threads. */
#ifndef TIDEMARK_RAFT_RAFT_LOG_H
#define TIDEMARK_RAFT_RAFT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raft/entry.h"

struct raft_log_run {
    uint64_t index; /* first index of this term */
    uint64_t term;
};

struct raft_log {
    uint64_t first;       /* lowest index kept; last + 1 when the log is empty */
    uint64_t term_before; /* of the entry before it, 0: not known */
    uint64_t last;
    uint64_t cache_first;      /* lowest index in memory; last + 1 when there is none */
    struct raft_log_run *runs; /* oldest first */
    size_t run_count;
    size_t run_capacity;
    struct entry **slots; /* a ring; index i is in slots[i % slot_capacity] */
    size_t slot_capacity; /* a power of two, or 0 */
    size_t bytes;         /* of the entries in memory */
};

void raft_log_init(struct raft_log *l, uint64_t first);
void raft_log_deinit(struct raft_log *l);

/* Takes its own reference. The index is last + 1, the term not below the last one. */
void raft_log_append(struct raft_log *l, struct entry *e);
void raft_log_truncate(struct raft_log *l, uint64_t index); /* forgets entries >= index */
void raft_log_cut(struct raft_log *l, uint64_t index);      /* forgets entries <= index */
void raft_log_reset(struct raft_log *l, uint64_t first);    /* forgets all; the next is 'first' */

/* Also of first - 1, if it was known when the log was cut there. */
/* Also of first - 1, if it was known when the log was cut there. */
bool raft_log_term(const struct raft_log *l, uint64_t index, uint64_t *term);
/* The lowest index kept that has the term of 'index'. 'index' is kept. */
uint64_t raft_log_term_first(const struct raft_log *l, uint64_t index);
struct entry *raft_log_entry(const struct raft_log *l, uint64_t index); /* NULL: not in memory */
size_t raft_log_cached(const struct raft_log *l);

/* Drops entries <= 'free_to' from memory while all together take more than 'bytes_max'. */
void raft_log_evict(struct raft_log *l, size_t bytes_max, uint64_t free_to);
/* The memory of an entry, as bytes_max counts it. */
size_t raft_log_entry_bytes(const struct entry *e);

#endif
