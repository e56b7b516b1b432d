/* SPDX-License-Identifier: Apache-2.0 */
/* From slots in order of LSN to what the log holds: an index -> place table with
 * holes (safety.md A1, A5, A7).
 *
 * Every intact header says more than its own record: the sequence number tells
 * whether a record before it is gone, 'before' what must stand below it, 'commit'
 * what no lost record can have replaced. So:
 *
 *   loss noticed ──► PENDING ── a header whose 'before' agrees ──► nothing was lost that counts
 *                       ├────── a header whose 'before' differs ─► the slot below it is a hole of
 *                       │       that term, the others that lost records may have replaced are unknown
 *                       └────── the log ends ────────────────────► everything above the commit
 *                               index stated before the loss is unknown
 *
 * Records of a frame (wal_replace()) are set aside until their END; a record
 * outside voids them. */
#ifndef TIDEMARK_WAL_WAL_REPLAY_H
#define TIDEMARK_WAL_WAL_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wal/wal.h"
#include "wal/wal_scan.h"
#include "wal/wal_side.h"
#include "wal/wal_table.h"

/* What is needed to write a lost header again in its old place. */
struct wal_lost {
    uint64_t lsn;
    uint64_t sequence;
    uint64_t before;
    uint64_t commit;
    uint64_t lsn_durable;
};

struct wal_replay_frame {
    bool open;
    bool lost;      /* something was lost since it opened */
    bool begun;     /* its BEGIN was found intact: 'before' is valid */
    uint64_t id;    /* sequence of its BEGIN, 0: not known */
    uint64_t first; /* first index, 0: not known */
    uint64_t before;
    bool pending_before; /* a loss was pending when it began */
    uint64_t commit_before;
    struct wal_found *members; /* in order */
    size_t count;
    size_t capacity;
};

/* The local WAL's first real loss, which its recovery mode answers. Losses that
 * an earlier open answered (with a DROP record behind them) don't count. */
struct wal_first_loss {
    bool found;
    uint64_t lsn;
    uint64_t index_kept;    /* of the last whole entry before it */
    uint64_t entries_after; /* whole entries behind it */
    uint64_t index_after_first;
    uint64_t index_after_last;
};

struct wal_replay {
    struct wal_layout layout;
    struct wal_table *table;
    bool local;
    bool extent_checked;
    struct wal_extent extent;
    uint64_t index_max; /* more entries than this can't be in the log */

    uint64_t sequence;          /* of the last record, 0: not known */
    uint64_t segment_last_seen; /* of the last slot */
    uint64_t commit;            /* highest stated so far */
    uint64_t lsn_durable;       /* highest stated so far by a header */
    bool pending;               /* something was lost, not yet known what */
    bool marked;                /* ... and the table shows it already */
    uint64_t commit_pending;    /* commit index when it was noticed */
    uint64_t lsn_pending;
    struct wal_replay_frame frame;

    struct wal_lost *lost; /* in order of LSN */
    size_t lost_count;
    size_t lost_capacity;

    /* Local WAL. */
    uint64_t index_seen; /* of the last entry, cut ones included */
    struct wal_first_loss first_loss;
    uint64_t *losses; /* where each loss was noticed, the answered ones left out */
    size_t loss_count;
    size_t loss_capacity;

    uint64_t records_whole;
    uint64_t records_damaged;
    uint64_t records_unknown;
};

/* Borrows 'table', which must be empty. Of 'extent' the segments are needed; what
 * it says about the last change is not checked if sequence_last is 0. */
void wal_replay_init(struct wal_replay *r, const struct wal_layout *layout, bool local,
                     struct wal_table *table, const struct wal_extent *extent);
void wal_replay_deinit(struct wal_replay *r);
/* Slots in order of LSN. */
void wal_replay_slot(struct wal_replay *r, const struct wal_found *found);
/* An entry of a side file, in order of LSN among the slots. */
void wal_replay_fill(struct wal_replay *r, const struct wal_side_entry *side);
/* No slot follows. */
void wal_replay_end(struct wal_replay *r);

/* For wal_replay_local.c. */
void wal_replay_lose(struct wal_replay *r, uint64_t lsn);
struct wal_place wal_replay_place(const struct wal_found *s);

/* What was lost at this LSN, if its header can be written again. */
const struct wal_lost *wal_replay_lost(const struct wal_replay *r, uint64_t lsn);

#endif
