/* SPDX-License-Identifier: Apache-2.0 */
/* What an open log is made of; shared by the sources that implement wal.h. */
#ifndef TIDEMARK_WAL_WAL_STATE_H
#define TIDEMARK_WAL_WAL_STATE_H

#include "wal/wal.h"
#include "wal/wal_holes.h"
#include "wal/wal_pool.h"
#include "wal/wal_replay.h"
#include "wal/wal_set.h"
#include "wal/wal_table.h"
#include "wal/wal_writer.h"

struct wal {
    struct io *io;
    const struct log *log;
    char *dir; /* owned */
    enum wal_role role;
    enum wal_recovery_mode recovery_mode;
    struct wal_layout layout;

    unsigned segments_min; /* cut files become spare ones below this */
    struct wal_set set;
    struct wal_pool pool;
    struct wal_writer writer;
    struct wal_table table;
    struct wal_holes holes;
    struct wal_lost *lost; /* headers that can be written again, in order of LSN */
    size_t lost_count;

    bool end_unknown;
    uint64_t lsn_unknown; /* where the unknown end begins */
    uint64_t index_durable;
    bool written; /* since the last MARK */

    struct wal_draft *drafts; /* reused from one append to the next */
    size_t drafts_capacity;
    struct buf scratch;
    uint64_t scrub_index;  /* where the next scrub begins */
    uint64_t side_segment; /* whose side file a repair last added to; 0: none */
    uint64_t side_end;     /* where the next entry of it goes */

    uint64_t appends;
    uint64_t holes_found;
    uint64_t holes_filled;
    uint64_t holes_dropped;
};

/* ERR_IO when the log is BROKEN. */
MUST_CHECK enum err_code wal_check_open(const struct wal *w, struct err *e);
/* Something failed after which nothing can be promised: BROKEN from now on.
 * Returns ERR_IO, whatever failed, and keeps the story. */
enum err_code wal_break(struct wal *w, struct err *e);

/* What a record at 'index' states about the entry before it (wal_record.h). */
uint64_t wal_before(const struct wal *w, uint64_t index);
/* A draft of an entry, with its place in 'drafts'. Borrows the payload. */
struct wal_draft wal_draft_of(const struct wal_entry *entry);
/* The place of a record that was just written. */
struct wal_place wal_place_of(const struct wal_record *record);
/* Room for 'count' drafts, reused from call to call. */
struct wal_draft *wal_drafts(struct wal *w, size_t count);
/* The table changed: tells the writer what the log holds now. */
void wal_note_end(struct wal *w);

#endif
