/* SPDX-License-Identifier: Apache-2.0 */
/* Turning the state after one index into files, while later entries are applied.
 *
 *   LIVE ── checkpoint_freeze (apply lane, at the command) ──► FROZEN
 *   FROZEN ── tsdb_checkpoint_step (any thread) ... : parts, then manifest, durable
 *   FROZEN ── tsdb_checkpoint_finish (apply lane) ──► LIVE
 *
 * What is written is decided when the state is frozen, from the state alone, so
 * that every node writes the same bytes: for each VGroup one new part from the
 * frozen memory, joined with its newest parts where there are too many of them.
 * A crash at any point leaves the checkpoint before it, whole: parts get their
 * names when they are whole and synced, the manifest last. */
#ifndef TIDEMARK_TSDB_CHECKPOINT_H
#define TIDEMARK_TSDB_CHECKPOINT_H

#include "tsdb/db.h"

struct flush; /* one VGroup's part being written */

struct freeze {
    uint64_t index;
    uint64_t term;
    struct version *version; /* pinned: catalog, settings, parts, and the frozen memory */
    struct buf members;      /* encoded pieces of the manifest that change with every entry */
    struct buf sessions;
    size_t merge_counts[VGROUP_COUNT]; /* newest parts that become one with the new rows */
    bool changed[VGROUP_COUNT];        /* there is something to write */
    /* The writer's. */
    struct part *made[VGROUP_COUNT]; /* NULL: no rows */
    unsigned vgroup;                 /* those before it are done */
    struct flush *flush;             /* of this VGroup; NULL: not begun */
    struct tsdb_checkpoint progress;
    bool written;
};

/* Apply lane, LIVE, after the checkpoint's entry was noted as applied. */
void checkpoint_freeze(struct tsdb *db);
void checkpoint_drop(struct tsdb *db); /* at close: gives up what is frozen */
/* How many of the newest parts (sizes given, newest first) are merged. */
size_t checkpoint_merge_count(const uint64_t *sizes, size_t count);

#endif
