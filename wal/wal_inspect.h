/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a log from outside: tidemark wal verify and dump, salvage. Nothing
 * is written, no lock is taken, no extent is known: the log is what its segments
 * say. Of a log that is in use the end may look torn; wal_follow.h reads along.
 *
 * Each slot is in one state:
 *
 *   held      whole, and what the log holds
 *   replaced  whole, but a later record took its index
 *   doubted   whole, but a lost record may have taken its index
 *   torn      a write that no sync covered: never acknowledged
 *   lost      damaged or unknown: what stood here is missing now
 *   repaired  damaged or unknown, but the entry stands in the segment's side file
 *   settled   damaged or unknown, and nothing is missing: a later record replaced
 *             it, a recovery mode has answered it, or it was no entry
 *
 * What is missing without a slot of its own (a gap in the numbers, a segment that
 * is not there) is shown as a problem. */
#ifndef TIDEMARK_WAL_WAL_INSPECT_H
#define TIDEMARK_WAL_WAL_INSPECT_H

#include "wal/wal.h"

struct wal_found;

enum wal_slot_state {
    WAL_SLOT_HELD,
    WAL_SLOT_REPLACED,
    WAL_SLOT_DOUBTED,
    WAL_SLOT_TORN,
    WAL_SLOT_LOST,
    WAL_SLOT_REPAIRED,
    WAL_SLOT_SETTLED
};

const char *wal_slot_state_name(enum wal_slot_state state);

struct wal_view {
    uint64_t lsn;
    uint64_t sequence;
    uint64_t index;      /* of an unknown slot: the first that is missing here, 0: not known */
    uint64_t index_last; /* the last; elsewhere as 'index' */
    uint64_t term;
    uint64_t commit;
    uint64_t lsn_durable;
    uint64_t segment;
    uint64_t vgroups;
    uint32_t size;
    const char *kind;    /* "command", "mark", "drop", ... */
    const char *verdict; /* "whole", "torn", "damaged", "unknown" */
    enum wal_slot_state state;
    struct bytes payload; /* of whole records; borrowed for the call */
};

struct wal_problem {
    const char *what;     /* "segment missing", "segment short", "segment header damaged", "gap" */
    uint64_t lsn;         /* 0: not known */
    uint64_t segment;     /* 0: not known */
    uint64_t index_first; /* of a gap; 0: not known */
    uint64_t index_last;
    uint64_t term; /* 0: not known */
};

struct wal_visitor {
    /* Per slot, in order of LSN; false: stop. May be NULL. */
    bool (*slot)(void *context, const struct wal_view *view);
    /* The others, after the slots. May be NULL. */
    void (*problem)(void *context, const struct wal_problem *problem);
    void *context;
};

struct wal_inspection;

/* Looks at the whole log and shows it; the caller owns *out (NULL after an error).
 * Borrows 'dir', 'visitor' and 'report'. ERR_NOT_FOUND: no segment. ERR_CORRUPT: no
 * segment header is intact. ERR_UNSUPPORTED: a newer format. */
MUST_CHECK enum err_code wal_inspection_open(struct io *io, const char *dir,
                                             const struct wal_visitor *visitor,
                                             struct wal_report *report, struct wal_inspection **out,
                                             struct err *e);
enum wal_role wal_inspection_role(const struct wal_inspection *s);
/* The next entry that the log holds, in order of index, repaired ones too; *found
 * false: no more. Holes are left out. The payload is borrowed until the next call. */
MUST_CHECK enum err_code wal_inspection_next(struct wal_inspection *s, struct wal_entry *entry,
                                             bool *found, struct err *e);
void wal_inspection_close(struct wal_inspection *s); /* NULL is fine */

/* Open, look, close. */
MUST_CHECK enum err_code wal_inspect(struct io *io, const char *dir,
                                     const struct wal_visitor *visitor, struct wal_report *report,
                                     struct err *e);

/* A slot as it is shown, without segment and payload; for wal_follow.c. */
struct wal_view wal_view_of(const struct wal_found *found, enum wal_slot_state state);

#endif
