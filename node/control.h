/* SPDX-License-Identifier: Apache-2.0 */
/* The control file: what opening a data directory must know before it reads a
 * log (safety.md A7, D3, F2): the format, whose directory it is, the size of
 * segments, which log was in force over which indexes, the newest checkpoint.
 *
 * Kept in the io_twin "control" of the data directory:
 *
 *   payload: format u32 | cluster_id u64 | directory_id u64 | segment_size u64
 *          | timeline u32 | wal_level u8 | recovery_mode u8 | flags u8
 *          | checkpoint_index u64 | checkpoint_term u64 | local_extent 8 x u64
 *          | local_applied u64 | era_count u16 | { log u8, index_first u64, term_first u64 } ...
 *          | checkpoint_time_ms u64 | checkpoint_duration_ms u64 | checkpoint_bytes u64
 *
 * little-endian. Format 1 ends with the eras and is still read. Order between the two twins: hard state is made first, so a
 * directory with hard state and without a control file is one whose making a
 * crash cut short.
 *
 *   control_create / control_open ──► get, write ... ──► control_close
 *
 * After a failed write the file refuses all further ones (ERR_STATE): stop the process.
 * A file belongs to one thread. */
#ifndef TIDEMARK_NODE_CONTROL_H
#define TIDEMARK_NODE_CONTROL_H

#include "base/limits.h"
#include "io/io.h"
#include "wal/wal.h"

enum { CONTROL_FORMAT = 2, CONTROL_ERAS_MAX = 64 };

enum wal_level { WAL_LEVEL_OFF = 0, WAL_LEVEL_SYNC = 1, WAL_LEVEL_FLUSH = 2, WAL_LEVEL_BYRL = 3 };

/* Which log commits. */
enum control_log { CONTROL_LOG_RAFT = 1, CONTROL_LOG_LOCAL = 2 };

/* A stretch of the one history: from index_first on, changes were committed by
 * this log, until the next era begins. Only the era's own log is replayed. */
struct control_era {
    enum control_log log;
    uint64_t index_first; /* rises from era to era */
    uint64_t term_first;  /* never falls */
};

/* Plain data, copied by value. */
struct control {
    uint64_t cluster_id;   /* 0: empty; set once, never changed */
    uint64_t directory_id; /* that of hard state */
    uint64_t segment_size; /* of both logs, fixed when the directory was made */
    uint32_t timeline;
    enum wal_level wal_level;             /* mirror of ts.wal.wal_level (D3) */
    enum wal_recovery_mode recovery_mode; /* mirror of ts.wal.recovery_mode (D3) */
    bool clean;                           /* stopped cleanly, and not started since (E6) */
    uint64_t checkpoint_index;            /* newest durable checkpoint; 0: none */
    uint64_t checkpoint_term;
    uint64_t checkpoint_time_ms;     /* when it became durable, since 1970; 0: not known */
    uint64_t checkpoint_duration_ms; /* how long that took */
    uint64_t checkpoint_bytes;       /* and how much was written */
    struct wal_extent local_extent;  /* of the local WAL (A7) */
    uint64_t local_applied;          /* last index of a local era that was applied */
    size_t era_count;                /* at least 1 once something was written */
    struct control_era eras[CONTROL_ERAS_MAX];
};

struct control_file;

/* What an attempt left behind that a crash cut short is overwritten.
 * ERR_EXISTS: the directory is in use. */
MUST_CHECK enum err_code control_create(struct io *io, const char *dir, const struct control *first,
                                        struct control_file **out, struct err *e);
/* 'directory_id' is that of hard state. ERR_NOT_FOUND: none was made.
 * ERR_INVALID: of another directory. ERR_UNSUPPORTED: "... was written by a newer
 * tidemarkd (format N, this one knows up to M)". ERR_CORRUPT: neither copy is whole. */
MUST_CHECK enum err_code control_open(struct io *io, const char *dir, uint64_t directory_id,
                                      struct control_file **out, struct err *e);
/* Borrowed; changes with each write. */
const struct control *control_get(const struct control_file *f);
/* Durable in both copies on return. A bug, so the process stops: another
 * directory id or segment size, another cluster id than the one held, a checkpoint that goes back (but to none:
 * it was lost). */
MUST_CHECK enum err_code control_write(struct control_file *f, const struct control *next,
                                       struct err *e);
unsigned control_bad_copies(const struct control_file *f);
void control_close(struct control_file *f); /* NULL is fine */

/* --- eras; changes to the plain data, durable only by control_write(), which
 * comes before an era's first write --- */

/* An era that begins where the last one did replaces it: that one is empty.
 * ERR_INVALID: index or term goes back. ERR_FULL: forget some first. */
MUST_CHECK enum err_code control_add_era(struct control *c, const struct control_era *era,
                                         struct err *e);
/* The era that holds an index; NULL: before the first. */
const struct control_era *control_era_at(const struct control *c, uint64_t index);
/* The log of the last era; CONTROL_LOG_RAFT when there is none. */
enum control_log control_log(const struct control *c);
/* Forgets eras that end at or below 'index' (a durable checkpoint); never the last. */
void control_forget_eras(struct control *c, uint64_t index);

/* --- the bytes, for tests and offline tools --- */

void control_encode(const struct control *c, struct buf *out);
MUST_CHECK enum err_code control_decode(struct bytes b, struct control *out, struct err *e);

#endif
