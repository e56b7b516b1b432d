/* SPDX-License-Identifier: Apache-2.0 */
/* Damage to the disks of nodes that are down, and what it took: an oracle that
 * knows the logs as they stand on all disks and nothing of how nodes repair.
 *
 *   damage_look(w, &before)
 *   damage_block(...), or anything else that hurts a disk
 *   damage_look(w, &after)
 *   damage_lost(w, &before, &after)     0: a copy of every committed entry is left */
#ifndef TIDEMARK_SIM_DAMAGE_H
#define TIDEMARK_SIM_DAMAGE_H

#include "sim/world.h"

enum { DAMAGE_BLOCK_SIZE = 4096 }; /* of a file system */

enum damage_kind { DAMAGE_GARBAGE, DAMAGE_READ_ERROR };
enum damage_place { DAMAGE_ANYWHERE, DAMAGE_AT_END };

/* What stands whole in the Raft log of each node. */
struct damage_view {
    uint64_t count; /* indexes are below */
    uint64_t *terms[WORLD_NODES_MAX];
    bool unknown[WORLD_NODES_MAX]; /* something is there whose identity is lost */
};

/* Any node of which a log can't be read holds nothing. */
void damage_look(struct world *w, struct damage_view *v);
void damage_view_deinit(struct damage_view *v);

/* The lowest entry that was committed, stood whole in a log and stands in none now,
 * and that is in no checkpoint. 0: none. */
uint64_t damage_lost(const struct world *w, const struct damage_view *before,
                     const struct damage_view *after);

/* A block of the Raft log that is not all zeros: a random one, or the last one. False:
 * there is none. */
bool damage_block(struct node *n, enum damage_kind kind, enum damage_place place);

#endif
