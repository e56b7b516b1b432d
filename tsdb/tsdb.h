/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated state: catalog, settings, sessions, members, series and rows.
 *
 * tsdb_apply() is a function of the state and the entry alone: the same entries
 * give the same state, answers and bytes on every node. A checkpoint is the
 * state after one index as immutable files in 'dir':
 *
 *   dir/checkpoint-<16 hex digits of the index>   manifest: everything but the rows, and the list of parts
 *   dir/part-<32 hex digits of its content's hash> rows of one VGroup
 *   dir/incoming/                                  a checkpoint on its way from a peer
 *
 *   tsdb_open ──► LIVE ── apply(CHECKPOINT) ──► FROZEN ── checkpoint_finish ──► LIVE ...
 *
 * In FROZEN the rows up to the checkpoint's index are immutable and are being
 * written by tsdb_checkpoint_step(), while later entries are applied to new
 * memory tables. The next CHECKPOINT entry must wait until LIVE (safety.md E2).
 *
 * Threads: one owner, the apply lane. What may run elsewhere says so. Views are
 * pinned by the owner and may be read by any one thread. */
#ifndef TIDEMARK_TSDB_TSDB_H
#define TIDEMARK_TSDB_TSDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "io/io.h"
#include "proto/command.h"

struct tsdb;

struct tsdb_options {
    struct io *io;
    const struct log *log;     /* may be NULL */
    const char *dir;           /* of the checkpoints alone; made if missing */
    uint64_t checkpoint_index; /* what the control file names; 0: none, the state is empty */
    bool forget_sessions;      /* for tests that show why a checkpoint holds them (safety.md E1) */
};

/* Opens the state of a checkpoint. ERR_CORRUPT: the manifest is damaged or gone. Of
 * the parts only headers and indexes are read here; one that is damaged or gone is
 * logged, the rest can be used (see tsdb_damaged()). */
MUST_CHECK enum err_code tsdb_open(const struct tsdb_options *options, struct tsdb **out,
                                   struct err *e);
void tsdb_close(struct tsdb *db); /* NULL is fine; no view may be pinned */

uint64_t tsdb_applied_index(const struct tsdb *db);
uint64_t tsdb_applied_term(const struct tsdb *db);
uint64_t tsdb_checkpoint_index(const struct tsdb *db); /* last finished one */
bool tsdb_frozen(const struct tsdb *db);
/* Owner, or while it is idle: parts of a large change wait for its other parts. */
bool tsdb_has_open_change(const struct tsdb *db);
size_t tsdb_memory_size(const struct tsdb *db); /* bytes in memory tables */

/* --- applying --- */

/* The answer to one command, kept for repeats of its (session, sequence). */
struct tsdb_result {
    enum command_kind kind;
    enum err_code code; /* of the command: the same on every node */
    bool repeated;      /* an earlier answer, given again */
    uint64_t index;     /* where it took effect (first time) */
    uint64_t session;   /* OPEN_SESSION: the new one */
    uint64_t rows;      /* WRITE */
    char text[200];     /* when code != ERR_OK: why */
};

struct tsdb_results {
    struct tsdb_result *items; /* one per command, in order; owned, reused */
    size_t count;
    size_t capacity;
};

void tsdb_results_deinit(struct tsdb_results *r);

/* Applies one COMMAND entry. Entries at or below the applied index are skipped
 * (results->count = 0). An error is never the command's: it means that this
 * node can't go on (an entry that cannot be decoded, a disk that fails). */
MUST_CHECK enum err_code tsdb_apply(struct tsdb *db, uint64_t index, uint64_t term,
                                    struct bytes entry, struct tsdb_results *results,
                                    struct err *e);
/* Any other entry moves the applied index on; a membership entry also replaces
 * the stored configuration (opaque bytes). */
void tsdb_apply_barrier(struct tsdb *db, uint64_t index, uint64_t term);
void tsdb_apply_configuration(struct tsdb *db, uint64_t index, uint64_t term,
                              struct bytes configuration);
/* Borrowed until the next apply; empty: none yet. */
struct bytes tsdb_configuration(const struct tsdb *db, uint64_t *index);

/* Leader, before it proposes: refuses what apply would refuse for certain now
 * (unknown table, wrong type, too large), so that most bad requests cost no log.
 * Apply validates again. Any thread. ERR_FULL: so many rows wait in memory for a
 * checkpoint that no more may come now. */
MUST_CHECK enum err_code tsdb_validate(struct tsdb *db, const struct command *command,
                                       struct err *e);

/* --- members, as the state knows them (identity, safety.md B2) --- */

struct tsdb_node {
    uint64_t directory_id;
    uint64_t start_counter; /* highest that was stored */
    uint64_t nonce;         /* of that start */
    bool removed;
    char name[LIMIT_NAME_SIZE_MAX + 1];
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    char client_address[LIMIT_ADDRESS_SIZE_MAX + 1];
};

/* Borrowed until the next apply. */
const struct tsdb_node *tsdb_nodes(const struct tsdb *db, size_t *count);
bool tsdb_cluster_formed(const struct tsdb *db);

/* --- settings: one table of all (tsdb/settings.h) --- */

/* The canonical text of a setting's value in force. NULL: no such setting. */
const char *tsdb_setting(const struct tsdb *db, const char *name);

/* --- questions for the Admin service, answered from what is applied --- */

enum tsdb_question {
    TSDB_LIST_SETTINGS, /* request and answer: the tidemark.v1 messages, encoded */
    TSDB_GET_SETTING,
    TSDB_LIST_DATABASES,
    TSDB_LIST_TABLES,
};

/* Any thread. */
MUST_CHECK enum err_code tsdb_ask(struct tsdb *db, enum tsdb_question question,
                                  struct bytes request, struct buf *answer, struct err *e);

/* --- reading rows --- */

struct tsdb_view; /* the state after one index; pins what it needs */

/* Owner only. */
struct tsdb_view *tsdb_view_pin(struct tsdb *db);
uint64_t tsdb_view_index(const struct tsdb_view *v);
/* Any thread, after its last use; once. */
void tsdb_view_unpin(struct tsdb_view *v);
/* Any one thread. The hash of the whole state at the view's index: catalog,
 * settings, sessions, members and all rows by decoded content in order. */
MUST_CHECK enum err_code tsdb_view_hash(struct tsdb_view *v, struct hash128 *hash, struct err *e);

struct tsdb_scan;

/* Any one thread. 'request' is an encoded tidemark.v1.ScanRequest; the view must outlive the scan.
 * ERR_NOT_FOUND (table, column, tag), ERR_INVALID. */
MUST_CHECK enum err_code tsdb_scan_open(struct tsdb_view *v, struct bytes request,
                                        struct tsdb_scan **out, struct err *e);
/* Appends the next encoded tidemark.v1.ScanResponse (about size_max bytes) to
 * 'answer'; *done after the last. ERR_CORRUPT: a block failed its checksum. */
MUST_CHECK enum err_code tsdb_scan_next(struct tsdb_scan *s, size_t size_max, struct buf *answer,
                                        bool *done, struct err *e);
void tsdb_scan_close(struct tsdb_scan *s);

/* --- checkpoints --- */

struct tsdb_checkpoint {
    uint64_t index;
    uint64_t term;
    uint64_t bytes_written;
    unsigned parts_written;
    unsigned parts_kept;
    bool unreadable;     /* on failure: a part to be merged is damaged; can be tried again */
    uint64_t rows_done;  /* of the parts to be written; of rows that override each other, one */
    uint64_t rows_total; /* at most so many will be */
};

/* FROZEN. Any one thread at a time (the pool): writes about size_max bytes more of
 * the parts, synced; the last step the manifest too. *done: all is durable. After
 * an error the next step begins anew. */
MUST_CHECK enum err_code tsdb_checkpoint_step(struct tsdb *db, uint64_t size_max,
                                              struct tsdb_checkpoint *out, bool *done,
                                              struct err *e);
/* All in one step. */
MUST_CHECK enum err_code tsdb_checkpoint_write(struct tsdb *db, struct tsdb_checkpoint *out,
                                               struct err *e);
/* FROZEN, not beside a write. For a node that is alone: damaged parts, and those
 * older than them, are kept as they are instead of merged. In a cluster all nodes must write
 * the same parts: there the checkpoint waits for the refill. */
void tsdb_checkpoint_spare(struct tsdb *db);
/* Owner, once the control file names the checkpoint: drops the frozen memory. */
MUST_CHECK enum err_code tsdb_checkpoint_finish(struct tsdb *db, struct err *e);
/* Owner. Removes manifests other than the 'count' given and the parts that none
 * of them, no view and no checkpoint in progress needs. */
MUST_CHECK enum err_code tsdb_clean(struct tsdb *db, const uint64_t *keep, size_t count,
                                    struct err *e);

/* --- a checkpoint as a snapshot (any one thread; files only, no struct tsdb) --- */

/* File name of a manifest. */
enum { TSDB_NAME_SIZE = 64 };
void tsdb_manifest_name(uint64_t index, char dst[TSDB_NAME_SIZE]);
/* Whether a peer may be given a file of that name from 'dir' (no paths, no other files). */
bool tsdb_name_is_valid(const char *name);

struct tsdb_install; /* a checkpoint being fetched into dir/incoming/ */

struct tsdb_file {
    char name[TSDB_NAME_SIZE];
    uint64_t size;
};

/* Takes over what is whole in dir/ and dir/incoming/ (resume). ERR_CORRUPT: the
 * manifest does not verify. */
MUST_CHECK enum err_code tsdb_install_begin(struct io *io, const char *dir, uint64_t index,
                                            struct bytes manifest, struct tsdb_install **out,
                                            struct err *e);
/* The next file to fetch and from which offset; false: all are here. */
bool tsdb_install_next(struct tsdb_install *t, struct tsdb_file *file, uint64_t *offset);
/* Writes a chunk; when the file is complete it is verified against its hash,
 * synced and moved into place. ERR_CORRUPT: fetch that file again from 0. */
MUST_CHECK enum err_code tsdb_install_chunk(struct tsdb_install *t, const char *name,
                                            uint64_t offset, struct bytes data, struct err *e);
/* All files are here: puts the manifest in place, durable. The control file may
 * name the checkpoint after this, and tsdb_open() it. */
MUST_CHECK enum err_code tsdb_install_finish(struct tsdb_install *t, uint64_t *index,
                                             uint64_t *term, struct err *e);
void tsdb_install_close(struct tsdb_install *t);

/* --- parts that are damaged (safety.md E4) --- */

/* A part that failed when it was opened or read, with the rows that can't be had
 * while it is not refilled: those of its blocks that are damaged, or, when its
 * index is, any of its VGroup. */
struct tsdb_damage {
    struct tsdb_file file;
    unsigned vgroup;
    uint64_t row_count;
};

enum { TSDB_DAMAGE_MAX = 64 };

/* Owner. Those found so far, at most TSDB_DAMAGE_MAX: how many. */
size_t tsdb_damaged(struct tsdb *db, struct tsdb_damage out[TSDB_DAMAGE_MAX]);
/* Owner. Another node says that what it was given of this part is wrong. */
void tsdb_suspect(struct tsdb *db, const char *name);
/* Any one thread. Reads the file anew from the disk; when it is whole after all there is
 * nothing to fetch. Then as an install of that one file; finish gives index and term 0. */
MUST_CHECK enum err_code tsdb_refill_begin(struct io *io, const char *dir,
                                           const struct tsdb_file *file, struct tsdb_install **out,
                                           struct err *e);
/* Owner. The file is whole: it is used from now on. ERR_NOT_FOUND: no part is called
 * so any more. */
MUST_CHECK enum err_code tsdb_refilled(struct tsdb *db, const char *name, struct err *e);

/* What tsdb_rescue() could take from a damaged directory. */
struct tsdb_rescued {
    uint64_t index; /* of the checkpoint, 0: none could be read */
    uint64_t term;
    unsigned manifests_bad; /* newer ones */
    unsigned parts_kept;
    unsigned parts_dropped; /* damaged or missing */
    uint64_t rows_kept;
    uint64_t rows_dropped;      /* a dropped row may uncover an older one of its series and time */
    char reason[ERR_TEXT_SIZE]; /* of the last manifest or part that was left out */
};

/* Copies the newest checkpoint of 'from' whose manifest checks to 'to' (which has
 * none), with those of its parts that check, and without members: as the
 * state of a new cluster. Nothing in 'from' is changed. An error is one of 'to'. */
MUST_CHECK enum err_code tsdb_rescue(struct io *io, const char *from, const char *to,
                                     struct tsdb_rescued *out, struct err *e);

/* --- reading all parts in the background, to find damage --- */

struct tsdb_scrub; /* how far it is */

struct tsdb_scrubbed {
    size_t size;   /* bytes read */
    bool damaged;  /* a part failed: see tsdb_damaged() */
    bool all_read; /* the last part was read to its end; the next step begins anew */
};

/* 'start': any number, so that a node that starts often comes to all parts. */
struct tsdb_scrub *tsdb_scrub_open(uint64_t start);
void tsdb_scrub_close(struct tsdb_scrub *s); /* NULL is fine */
/* Any one thread; the tsdb stays open meanwhile. Reads up to size_max bytes more, from
 * the disk, and judges each part by the hash of its name. */
struct tsdb_scrubbed tsdb_scrub_step(struct tsdb_scrub *s, struct tsdb *db, size_t size_max);

/* Reads checkpoint files whole and checks every checksum (tidemark wal verify). */
MUST_CHECK enum err_code tsdb_verify(struct io *io, const char *dir, uint64_t index,
                                     unsigned *parts, struct err *e);

#endif
