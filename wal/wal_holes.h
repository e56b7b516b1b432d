/* SPDX-License-Identifier: Apache-2.0 */
/* The holes of a log, in order of index. Those at the front go first as a rule,
 * so the front moves and the rest stays. Memory only. */
#ifndef TIDEMARK_WAL_WAL_HOLES_H
#define TIDEMARK_WAL_WAL_HOLES_H

#include <stddef.h>
#include <stdint.h>

#include "wal/wal.h"
#include "wal/wal_table.h"

struct wal_holes {
    struct wal_hole *items;
    size_t start; /* items before it were removed */
    size_t count;
    size_t capacity;
};

void wal_holes_deinit(struct wal_holes *h);
void wal_holes_clear(struct wal_holes *h);
/* All places of the table that are not whole. */
void wal_holes_rebuild(struct wal_holes *h, const struct wal_table *table);
struct wal_hole wal_hole_of(uint64_t index, const struct wal_place *place);

struct wal_hole *wal_holes_find(const struct wal_holes *h, uint64_t index); /* NULL: none */
void wal_holes_insert(struct wal_holes *h, const struct wal_hole *hole);
void wal_holes_remove(struct wal_holes *h, uint64_t index);
/* Those at or above 'index', or at or below it, are gone. How many. */
size_t wal_holes_drop_from(struct wal_holes *h, uint64_t index);
size_t wal_holes_drop_to(struct wal_holes *h, uint64_t index);

#endif
