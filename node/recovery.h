/* SPDX-License-Identifier: Apache-2.0 */
/* How far the recovery of a node alone is, and what it was when it has ended:
 * for the log and for NodeStatus. Plain data of the loop thread.
 *
 *   ANALYSIS   control file, logs, slots (storage_open(); before anybody can ask)
 *   REDO       entries of the local WAL behind the checkpoint are applied
 *   DONE       a large change of which the last parts never came is undone (safety.md
 *              G2): it never took effect. The figures stay until the next start
 *
 *   recovery_begin ──► REDO ── recovery_advance ... ──► recovery_end ──► DONE */
#ifndef TIDEMARK_NODE_RECOVERY_H
#define TIDEMARK_NODE_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

enum recovery_phase { RECOVERY_ANALYSIS, RECOVERY_REDO, RECOVERY_DONE };

struct recovery {
    enum recovery_phase phase;
    uint64_t analysis_ms; /* how long it took */
    uint64_t began_ms;    /* REDO, on the loop's clock */
    uint64_t redo_ms;     /* how long it took */
    uint64_t said_ms;     /* when the log last heard of it */
    uint64_t lsn_first;   /* where REDO began, 0: nowhere yet */
    uint64_t lsn;         /* read up to here */
    uint64_t lsn_end;
    uint64_t index;   /* of the last entry read */
    uint64_t entries; /* read */
    uint64_t undone;  /* large changes without an end */
};

/* What can be said at a moment. */
struct recovery_view {
    uint64_t bytes_done;
    uint64_t bytes_left;
    uint64_t bytes_per_second; /* 0: not known yet */
    uint64_t remaining_ms;     /* 0: over, or not known yet */
};

const char *recovery_phase_name(enum recovery_phase phase);
void recovery_begin(struct recovery *r, uint64_t now_ms, uint64_t analysis_ms);
/* Entries from 'lsn_first' up to 'lsn' of a log that ends at 'lsn_end' were read. */
struct recovery_step {
    uint64_t lsn_first, lsn, lsn_end;
    uint64_t index;
    uint64_t entries;
};
void recovery_advance(struct recovery *r, const struct recovery_step *step);
/* Everything is applied; 'undone' changes had no end. */
void recovery_end(struct recovery *r, uint64_t now_ms, uint64_t undone);
struct recovery_view recovery_look(const struct recovery *r, uint64_t now_ms);
/* Whether the log should hear of it, once a second. */
bool recovery_line_due(struct recovery *r, uint64_t now_ms);

#endif
