/* SPDX-License-Identifier: Apache-2.0 */
/* What stands at a range of indexes, as runs of equal slots: a log of a million
 * whole entries of one term is one run.
 *
 * Runs ascend and don't overlap; what lies between them is not known here.
 * WHOLE, DAMAGED and UNKNOWN only: what is cut or was never held follows from
 * where a log begins and ends. */
#ifndef TIDEMARK_RAFT_REPAIR_RUNS_H
#define TIDEMARK_RAFT_REPAIR_RUNS_H

#include "raft/repair.h"

struct slot_run {
    uint64_t first;
    uint64_t count;   /* > 0 */
    struct slot slot; /* the type is 0, or of a DAMAGED one ENTRY_CHANGE: it can be one */
};

struct slot_runs {
    struct slot_run *items;
    size_t count;
    size_t capacity;
};

static inline uint64_t slot_run_last(const struct slot_run *run)
{
    return run->first + run->count - 1;
}

void slot_runs_deinit(struct slot_runs *r);
void slot_runs_reset(struct slot_runs *r); /* keeps the memory */

/* Above all that is there; joins the last run when it continues it. */
void slot_runs_add(struct slot_runs *r, struct slot_run run);
/* The run that holds 'index', or NULL. */
const struct slot_run *slot_runs_find(const struct slot_runs *r, uint64_t index);
/* The first run that ends at or after 'index', or NULL. */
const struct slot_run *slot_runs_from(const struct slot_runs *r, uint64_t index);
/* Adds what the log holds at first .. last, which it must hold. */
void slot_runs_scan(struct slot_runs *r, const struct log_view *log, uint64_t first, uint64_t last);
/* The same for a range that is there already and has changed. */
void slot_runs_rescan(struct slot_runs *r, const struct log_view *log, uint64_t first,
                      uint64_t last);

#endif
