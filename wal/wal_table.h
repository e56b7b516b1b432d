/* SPDX-License-Identifier: Apache-2.0 */
/* Which index stands where: the log's content as of now, in memory.
 *
 * One place of 24 bytes per index held, whole or hole. Dense (Raft log): every
 * index from cut + 1 to last has a place. Sparse (local WAL): indexes may skip,
 * and are kept beside the places.
 *
 *   cut        entries at or below are gone by wal_cut() and have no place
 *   last       the last index held. During a replay it may be below the cut for a
 *              while: records at or below a cut still replace older ones
 *
 * A table is memory only and belongs to the thread of its log. */
#ifndef TIDEMARK_WAL_WAL_TABLE_H
#define TIDEMARK_WAL_WAL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wal_place_state {
    WAL_PLACE_WHOLE = 0,
    WAL_PLACE_DAMAGED = 1, /* a hole of known term; lsn 0: nothing else is known of it */
    WAL_PLACE_UNKNOWN = 2  /* a hole that may have been any entry */
};

struct wal_place {
    uint64_t packed; /* lsn << 8 | type << 4 | side << 3 | state */
    uint64_t term;
    uint32_t size; /* of the payload */
    uint32_t crc;  /* of the payload */
};

/* 'side': the lsn's offset is one in the side file of the lsn's segment. */
static inline uint64_t wal_place_pack(uint64_t lsn, unsigned type, bool side,
                                      enum wal_place_state state)
{
    return lsn << 8 | (uint64_t)type << 4 | (side ? 8U : 0U) | (uint64_t)state;
}

static inline uint64_t wal_place_lsn(const struct wal_place *p)
{
    return p->packed >> 8;
}

static inline unsigned wal_place_type(const struct wal_place *p)
{
    return (unsigned)(p->packed >> 4) & 15;
}

static inline bool wal_place_side(const struct wal_place *p)
{
    return (p->packed & 8) != 0;
}

static inline enum wal_place_state wal_place_state(const struct wal_place *p)
{
    return (enum wal_place_state)(p->packed & 3);
}

struct wal_table {
    bool sparse;
    uint64_t cut;
    uint64_t last;
    struct wal_place *places;
    uint64_t *indexes; /* sparse only */
    size_t start;      /* places before it were cut away */
    size_t count;      /* of places held */
    size_t places_capacity;
    size_t indexes_capacity;
};

void wal_table_init(struct wal_table *t, bool sparse, uint64_t cut);
void wal_table_deinit(struct wal_table *t);
/* Nothing is held; the next entry is cut + 1. */
void wal_table_reset(struct wal_table *t, uint64_t cut);

/* Replaces everything from 'index' on by this place. Dense: indexes between the
 * last one and this become unknown holes. */
void wal_table_put(struct wal_table *t, uint64_t index, const struct wal_place *place);
/* Everything from 'index' on is gone; last becomes index - 1 if it was not lower. */
void wal_table_drop(struct wal_table *t, uint64_t index);
/* Dense: unknown holes up to 'last', if the table ends before. */
void wal_table_extend(struct wal_table *t, uint64_t last);
/* Dense: every index in low .. high that is held becomes an unknown hole caused at 'lsn'. */
void wal_table_forget(struct wal_table *t, uint64_t low, uint64_t high, uint64_t lsn);
/* Entries at or below 'index' are gone from the front. Last is raised to it. */
void wal_table_cut(struct wal_table *t, uint64_t index);
/* Sparse: takes all holes out. How many places went. */
size_t wal_table_remove_holes(struct wal_table *t);

/* NULL: not held. Borrowed until the table changes. */
struct wal_place *wal_table_at(const struct wal_table *t, uint64_t index);

/* Places by position, 0 .. count - 1, in order of index. */
struct wal_place *wal_table_place(const struct wal_table *t, size_t position);
uint64_t wal_table_index(const struct wal_table *t, size_t position);
/* The position of the first place of index >= 'index'; count: none. */
size_t wal_table_seek(const struct wal_table *t, uint64_t index);

#endif
