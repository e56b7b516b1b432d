/* SPDX-License-Identifier: Apache-2.0 */
/* A log: an append-only sequence of entries on disk that knows, after any
 * crash or damage, what it holds, what it lost, and what it can't tell.
 *
 * The same module is the Raft log and the local write-ahead log. It is made of
 * segments (wal_segment.h), records (wal_record.h), identifiers
 * (wal_identifier.h) and the decision table (wal_slot.h); this header is what
 * the rest of the program uses.
 *
 *   wal_open ──► OPEN ── append, sync, cut, repair ... ──► wal_close
 *                  └── a write or sync failed ─► BROKEN ── wal_close
 *
 * BROKEN is final: every further call but reads and close returns ERR_IO.
 *
 * Entries have an index. In a Raft log an appended entry of index i replaces
 * every earlier entry of index >= i (nothing is cut in place; the new record
 * counts because it stands later). In a local WAL the index only rises and may skip.
 *
 * A log belongs to one thread, the log lane; it starts no thread. */
#ifndef TIDEMARK_WAL_WAL_H
#define TIDEMARK_WAL_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "io/io.h"

struct wal;

enum wal_role { WAL_RAFT = 1, WAL_LOCAL = 2 };

/* What an entry is. The log gives no meaning to the payload. */
enum wal_type {
    WAL_COMMAND = 1,  /* Raft: commands for the state machine. Local: data */
    WAL_BARRIER = 2,  /* Raft: empty entry of a new leader */
    WAL_CHANGE = 3,   /* Raft: membership */
    WAL_METADATA = 4, /* Local: a change of the catalog or of settings */
};

struct wal_entry {
    uint64_t index;
    uint64_t term;
    enum wal_type type;
    uint64_t vgroups;     /* a bit per VGroup touched; 0 = unknown or none */
    struct bytes payload; /* at most wal_payload_max() bytes */
};

/* How far a log reaches, as hard state (Raft log) or the control file (local
 * WAL) keep it, so that a vanished segment is noticed (safety.md A7). */
struct wal_extent {
    uint64_t segment_first;
    uint64_t segment_last;
    uint64_t index_last;    /* at the last segment change */
    uint64_t term_last;     /* at the last segment change */
    uint64_t sequence_last; /* record sequence number at the last segment change */
    uint64_t lsn_durable;   /* as found at the last open, raised at each segment change */
    uint64_t index_cut;     /* entries at or below are cut away (0: none) */
    uint64_t term_cut;      /* term of the entry at index_cut */
};

enum wal_recovery_mode {
    WAL_TOLERATE_CORRUPTED_TAIL_RECORDS = 0,
    WAL_ABSOLUTE_CONSISTENCY = 1,
    WAL_POINT_IN_TIME_RECOVERY = 2, /* default */
    WAL_SKIP_ANY_CORRUPTED_RECORDS = 3,
};

/* How the records of a log become durable, by PostgreSQL's names for it. The open_
 * methods write each record through, so that wal_sync() finds nothing to do: for
 * a log whose every append is synced. */
enum wal_sync_method {
    WAL_FDATASYNC = 0, /* default */
    WAL_FSYNC = 1,
    WAL_OPEN_DATASYNC = 2,
    WAL_OPEN_SYNC = 3,
};

struct wal_options {
    struct io *io;
    const struct log *log; /* may be NULL */
    const char *dir;       /* of this log alone; made if missing */
    enum wal_role role;
    uint64_t cluster_id;
    uint64_t directory_id;
    uint32_t timeline;     /* of new segments; at least that of those found */
    uint64_t segment_size; /* a power of two, 64 KiB .. 1 GiB; must be that of the segments found */
    enum wal_recovery_mode
        recovery_mode;        /* local role; the Raft log always keeps everything whole */
    bool fresh;               /* the directory has never held a log: 'extent' is ignored */
    struct wal_extent extent; /* the last one that extent_changed() made durable */
    unsigned segments_min;    /* see wal_keep_segments() */
    enum wal_sync_method sync_method;
    size_t buffer_size; /* bytes gathered into one write, a larger record alone; 0: no limit */

    /* Makes the new extent durable before it returns; called by wal_open(),
     * at a segment change and by a cut, on the log's thread (safety.md A3, A7). */
    enum err_code (*extent_changed)(void *context, const struct wal_extent *extent, struct err *e);
    void *context;
};

/* One index that the log held and can't give back now. */
struct wal_hole {
    uint64_t index;
    uint64_t term;      /* 0: not known */
    bool unknown;       /* identity lost: what stood here may have been any entry */
    enum wal_type type; /* valid unless unknown */
    uint64_t lsn;       /* where it stood, 0: not known */
    uint32_t size;      /* of the payload, valid unless unknown */
    uint32_t crc;       /* of the stored payload, valid unless unknown */
};

/* What wal_open() found and did. Positions are LSNs; see wal_lsn_text(). */
struct wal_report {
    uint64_t lsn_first;
    uint64_t lsn_end;     /* where the next record goes */
    uint64_t lsn_durable; /* highest durable position that was stated anywhere */
    uint64_t records_whole;
    uint64_t records_torn; /* dropped: never acknowledged */
    uint64_t bytes_torn;
    uint64_t records_damaged; /* identity known: holes */
    uint64_t records_unknown; /* identity lost */
    uint64_t records_dropped; /* whole, but dropped by the recovery mode; set aside under lost/ */
    uint64_t index_dropped_first, index_dropped_last; /* 0: none */
    unsigned segments_missing;                        /* or short, or with a bad header */
    unsigned segments;
    bool stopped_at_damage; /* point-in-time: the log ends before a hole */
    bool loss_found;        /* local WAL: something was lost, and the recovery mode answered it */
    uint64_t lsn_lost;      /* ... here first */
    uint64_t index_kept;    /* ... behind this entry */
    uint64_t commit_stated; /* highest commit index that a whole header states */
};

/* --- life --- */

/* Opens or founds a log: reads every segment, classifies every slot, rewrites
 * and syncs what is not provably durable (safety.md A6), zeroes a torn tail.
 * Opening twice gives the same answer.
 * Local role: ERR_CORRUPT when the recovery mode refuses, naming segment and offset.
 * ERR_UNSUPPORTED: a newer format. ERR_INVALID: a segment of another log, cluster
 * or directory, or another segment size. */
MUST_CHECK enum err_code wal_open(const struct wal_options *options, struct wal **out,
                                  struct wal_report *report, struct err *e);
/* Clean: syncs, writes identifiers and a MARK, syncs. ERR_IO: closed all the same. */
MUST_CHECK enum err_code wal_close(struct wal *w, struct err *e);
/* As a crash would: releases memory and files, writes nothing. NULL is fine. */
void wal_abandon(struct wal *w);

/* --- what it holds --- */

/* Indexes held are wal_index_first() .. wal_index_last(), without gaps in a Raft
 * log; whole ones can be read, others are holes. Empty: last = first - 1. */
uint64_t wal_index_first(const struct wal *w);
uint64_t wal_index_last(const struct wal *w);
/* Identity at an index. False: not held, or a hole without known identity.
 * At first - 1 gives the term of the cut. */
bool wal_term_at(const struct wal *w, uint64_t index, uint64_t *term);
bool wal_type_at(const struct wal *w, uint64_t index, enum wal_type *type);
/* Where the entry at an index stands; 0: not held, or not known. */
uint64_t wal_lsn_at(const struct wal *w, uint64_t index);
/* Holes in order of index. Borrowed until the next call that changes the log. */
const struct wal_hole *wal_holes(const struct wal *w, size_t *count);
const struct wal_hole *wal_hole_at(const struct wal *w, uint64_t index); /* NULL: none */
/* An unknown record stands at the end: the log may have gone on past index_last. */
bool wal_end_unknown(const struct wal *w);
uint64_t wal_lsn_end(const struct wal *w);
uint64_t wal_lsn_durable(const struct wal *w);
uint64_t wal_index_durable(const struct wal *w); /* highest index whose record is synced */
struct wal_extent wal_extent(const struct wal *w);
uint32_t wal_payload_max(const struct wal *w);

/* Reads whole entries from 'index' on, at most count_max and about size_max
 * payload bytes (at least one entry); fewer where a file ends. Stops before a hole. Payloads point into
 * 'storage'. *count = 0: not held or a hole. In a local WAL the first one read is
 * the first of index >= 'index'. A checksum that fails now makes
 * the slot a new hole (wal_holes()) and returns ERR_CORRUPT naming it. */
MUST_CHECK enum err_code wal_read(struct wal *w, uint64_t index, size_t count_max, size_t size_max,
                                  struct buf *storage, struct wal_entry *entries, size_t *count,
                                  struct err *e);

/* --- writing. Nothing is durable before wal_sync(). --- */

/* Appends entries of rising index (Raft: consecutive; the first is at most
 * last + 1 and above the cut). 'commit' is the commit index known now. The bytes are with the file system on
 * return (they survive a kill, not a power failure).
 * ERR_NO_SPACE: nothing was appended and the log is as before. ERR_IO: BROKEN. */
MUST_CHECK enum err_code wal_append(struct wal *w, const struct wal_entry *entries, size_t count,
                                    uint64_t commit, struct err *e);
/* Entries of index >= 'index' are gone, without a successor (a DROP record). */
MUST_CHECK enum err_code wal_drop(struct wal *w, uint64_t index, uint64_t commit, struct err *e);
MUST_CHECK enum err_code wal_sync(struct wal *w, struct err *e);
/* From now on. What was written before is synced first. */
MUST_CHECK enum err_code wal_set_sync_method(struct wal *w, enum wal_sync_method method,
                                             struct err *e);
void wal_set_buffer_size(struct wal *w, size_t size);
/* To be called when the log was written to and then idle for 50 ms: identifier
 * page and a MARK record that states the durable position; synced. No-op when nothing was
 * written since the last one. */
MUST_CHECK enum err_code wal_mark(struct wal *w, uint64_t commit, struct err *e);

/* --- cutting --- */

/* Everything at or below 'index' (whose term is given) is no longer needed:
 * whole segments that hold nothing else are recycled or removed. The holes at or below are gone. */
MUST_CHECK enum err_code wal_cut(struct wal *w, uint64_t index, uint64_t term, struct err *e);
/* From the next cut on: files that are cut become spare ones while the log has
 * fewer than 'segments' files, those among them; more are removed. One spare is
 * always kept. */
void wal_keep_segments(struct wal *w, unsigned segments);
/* Ends the segment that is written to, if at least half of it is used: behind an
 * entry that frees everything up to itself, so that it is freed, too. (A lesser
 * one stays: an idle log would fill the disk with zeros.) */
MUST_CHECK enum err_code wal_rotate(struct wal *w, struct err *e);
/* After a snapshot of (index, term) was installed in place of the log: nothing
 * is held, the next entry is index + 1; old segments are removed. */
MUST_CHECK enum err_code wal_reset(struct wal *w, uint64_t index, uint64_t term, struct err *e);

/* Up to size_max bytes of work towards zeroed files: one for the next segment, so that no
 * append has to wait for it (safety.md A2), and in the second half of a segment one more, so that
 * one is always left (H1). To be called between batches until *done.
 * ERR_NO_SPACE: there is no room for it; what is ready stays. */
MUST_CHECK enum err_code wal_prepare(struct wal *w, uint64_t size_max, bool *done, struct err *e);

/* Bytes of records, each counted by wal_record_room(), that can be appended for certain
 * without any more space of the file system: the rest of the last segment and the files
 * that are ready. 'unit', if not NULL: what one more file adds. */
uint64_t wal_room(const struct wal *w, uint64_t *unit);
uint64_t wal_record_room(size_t payload_size);

/* --- repair (safety.md A8, C1, C3) --- */

/* Raft role. Fills the hole at entry->index. When index, term, size and crc are those of the
 * lost record it is written in its old place, else into the segment's side file.
 * Written, synced, read back: on ERR_OK the hole is gone. ERR_STATE: no hole there. */
MUST_CHECK enum err_code wal_repair(struct wal *w, const struct wal_entry *entry, struct err *e);
/* Raft role. Replaces everything from entries[0].index on by 'entries' in one atomic step
 * (framed; counts only with its END); synced on return. Holes from there on are gone, and so is an unknown end. */
MUST_CHECK enum err_code wal_replace(struct wal *w, const struct wal_entry *entries, size_t count,
                                     uint64_t commit, struct err *e);
/* Reads up to size_max bytes of what is synced from the disk, from where the last call
 * stopped, round and round; a slot that fails becomes a hole. *scanned: bytes read,
 * fewer than size_max when a round ended. */
MUST_CHECK enum err_code wal_scrub(struct wal *w, size_t size_max, size_t *scanned, unsigned *found,
                                   struct err *e);

/* By enum wal_recovery_mode, as ts.wal.recovery_mode spells them; then NULL. */
extern const char *const wal_recovery_mode_names[];

/* "X/XXXXXXXX", as PostgreSQL prints positions. */
enum { WAL_LSN_TEXT_SIZE = 24 };
const char *wal_lsn_text(uint64_t lsn, char dst[WAL_LSN_TEXT_SIZE]);

/* --- counters, for status and metrics --- */

/* How long calls took. buckets[i]: how many took less than 2^i microseconds and no
 * less than half of that; the last one: all that took longer. */
enum { WAL_LATENCY_BUCKETS = 24 };

struct wal_latency {
    uint64_t count;
    uint64_t us;
    uint64_t us_max;
    uint64_t buckets[WAL_LATENCY_BUCKETS];
};

struct wal_stats {
    uint64_t appends, records, bytes;
    uint64_t buffers_full;     /* writes that were made because the buffer was full */
    struct wal_latency writes; /* of records; with an open_ method the sync is in it */
    struct wal_latency syncs;
    uint64_t holes_found, holes_filled, holes_dropped;
    unsigned segments, segments_recycled;
};

struct wal_stats wal_stats(const struct wal *w);

/* How a log stands towards a checkpoint that holds everything up to 'index'.
 *
 *   first .. segments_checkpoint | segments_current .. last     segments_recycled
 *   only what it holds too       | lsn: a replay begins here    spare files */
struct wal_position {
    uint64_t lsn;
    unsigned segments_current; /* at least the one that is written to */
    unsigned segments_checkpoint;
    unsigned segments_recycled;
};

struct wal_position wal_position(const struct wal *w, uint64_t index);
/* The lowest index that is held by a log cut so that it keeps 'segments' files
 * before the one that is written to; last + 1: none would be. */
uint64_t wal_index_back(const struct wal *w, uint64_t segments);

#endif
