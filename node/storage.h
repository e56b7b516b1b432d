/* SPDX-License-Identifier: Apache-2.0 */
/* The data directory of a node:
 *
 *   DIR/lock           held while the node runs
 *   DIR/hard-state.*   promises (hard_state.h)
 *   DIR/control.*      what recovery starts from (control.h)
 *   DIR/raft/          the Raft log
 *   DIR/wal/           the local write-ahead log
 *   DIR/tsdb/          checkpoints
 *   DIR/lost/          what was set aside, never erased
 *
 *   storage_open ──► OPEN ── a write or sync failed ──► FAILED
 *                      └───────────── storage_close ◄─────┘
 *
 * After storage_open() it belongs to LANE_LOG; storage_close() runs when no job
 * is out. FAILED is final: jobs report storage_failed() and the node stops. */
#ifndef TIDEMARK_NODE_STORAGE_H
#define TIDEMARK_NODE_STORAGE_H

#include "base/limits.h"
#include "base/log.h"
#include "io/io.h"
#include "node/control.h"
#include "node/hard_state.h"
#include "wal/wal.h"

struct storage;

struct storage_options {
    struct io *io;
    const struct log *log;
    const char *dir;
    const char *name;        /* of the node */
    uint64_t segment_size;   /* of a new directory */
    bool segment_size_given; /* and the one that an older one must have */
    int recovery_mode;       /* enum wal_recovery_mode for this start, -1: what control says */
};

enum storage_log { STORAGE_RAFT, STORAGE_LOCAL };

/* Makes or opens the directory, takes its lock, raises the start counter, and
 * opens the logs that it has.
 * ERR_STATE: another process has it. ERR_UNSUPPORTED: a newer format.
 * ERR_CORRUPT: hard state or control file lost, or the recovery mode refuses the local WAL. */
MUST_CHECK enum err_code storage_open(const struct storage_options *options, struct storage **out,
                                      struct err *e);
/* 'clean': marks, syncs and says so in the control file. */
MUST_CHECK enum err_code storage_close(struct storage *s, bool clean, struct err *e);

/* As found by storage_open(); for the loop to copy before the lanes run. */
const struct hard_state *storage_hard(const struct storage *s);
const struct control *storage_control(const struct storage *s);
const struct wal_report *storage_report(const struct storage *s, enum storage_log log);
bool storage_has(const struct storage *s, enum storage_log log);
bool storage_was_clean(const struct storage *s);
uint64_t storage_analysis_ms(const struct storage *s); /* how long storage_open() took */
struct io *storage_io(const struct storage *s);
const char *storage_dir(const struct storage *s);
const char *storage_tsdb_dir(const struct storage *s);
uint64_t storage_segment_size(const struct storage *s);

/* --- on LANE_LOG --- */

/* Founds a log that the directory does not have yet, starting behind (index, term). */
MUST_CHECK enum err_code storage_make_log(struct storage *s, enum storage_log log, uint64_t index,
                                          uint64_t term, struct err *e);
struct wal *storage_wal(struct storage *s, enum storage_log log); /* NULL: does not have it */
/* Behind the entry of a checkpoint: see wal_rotate(). On failure: FAILED. */
void storage_rotate(struct storage *s, enum storage_log log);
/* Durable on return. The Raft log's extent and the starts in it stay the storage's own. */
MUST_CHECK enum err_code storage_put_hard(struct storage *s, const struct hard_state *h,
                                          struct err *e);
/* A new start counter, durable on return; see storage_hard(). */
MUST_CHECK enum err_code storage_raise_counter(struct storage *s, struct err *e);
/* Durable on return. The local WAL's extent in it stays the storage's own. */
MUST_CHECK enum err_code storage_put_control(struct storage *s, const struct control *c,
                                             struct err *e);
/* Until the cluster's settings are known: the default of wal_buffers. */
enum { STORAGE_BUFFER_SIZE = LIMIT_MIB, STORAGE_SIZE_MIN = 80 * LIMIT_MIB };

/* How both logs write from now on, one that is made later too. FAILED on ERR_IO. */
struct storage_log_settings {
    enum wal_sync_method sync_method[2]; /* by enum storage_log */
    size_t buffer_size;                  /* bytes of one write; 0: no limit */
    uint64_t size_min;                   /* of a log: while it takes less, files that are cut
                                            are kept for new use */
};
MUST_CHECK enum err_code storage_set_log_settings(struct storage *s,
                                                  const struct storage_log_settings *settings,
                                                  struct err *e);
/* The log was appended to; storage_sync() has to sync it. */
void storage_want_sync(struct storage *s, enum storage_log log);
/* What there is room for in the directory (safety.md H1). Sizes are of records, each
 * counted by wal_record_room(), or (free, segment) of the file system. */
struct storage_room {
    uint64_t taken;   /* in space that the logs have already; of the one with less */
    uint64_t unit;    /* what one more segment adds; 0: no log yet */
    uint64_t free;    /* of the file system */
    uint64_t segment; /* what one more segment takes of it */
    bool done;        /* no work is left towards the next segments */
};

/* Some work towards the next segments, so that appends needn't wait for it and one is
 * always left. A failure other than a full disk: FAILED. */
void storage_prepare(struct storage *s, struct storage_room *out);
/* The lane's whole queue was worked on: syncs what wants it. On failure: FAILED. */
void storage_sync(struct storage *s);
/* NULL while all is well. */
const char *storage_failed(const struct storage *s);
/* Notes a failure and returns its code, for jobs. */
enum err_code storage_fail(struct storage *s, const struct err *e);

/* The id of this directory may never vote again (safety.md B3): promises and logs
 * go to DIR/lost/, parts stay, the cluster id is kept. The storage is FAILED after
 * it, with the reason; open it again as a new directory. */
MUST_CHECK enum err_code storage_give_up_identity(struct storage *s, struct err *e);

/* Moves DIR/name to DIR/lost/ under a name that was not used yet, durably. */
MUST_CHECK enum err_code storage_set_aside(struct storage *s, const char *name, struct err *e);

#endif
