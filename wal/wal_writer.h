/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a log: where records are appended, identifiers collected, and one
 * segment follows the other.
 *
 * Order at a segment's end (safety.md A3), never to be changed:
 *
 *   identifiers and records of the full segment ── synced
 *   the next segment: zeros synced, named, header ── synced, directory synced
 *   the extent names it ── durable
 *   its first record
 *
 * After a failed write or sync a writer is BROKEN and refuses everything: the
 * kernel may have dropped the dirty pages, and a second sync could report success
 * for bytes that are not on disk.
 *
 * A writer belongs to the thread of its log. */
#ifndef TIDEMARK_WAL_WAL_WRITER_H
#define TIDEMARK_WAL_WAL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wal/wal.h"
#include "wal/wal_pool.h"
#include "wal/wal_record.h"
#include "wal/wal_set.h"

/* A record to be written. The caller sets type, index, term, before, vgroups, and
 * frame to 1 for a record of a frame (BEGIN and END too); the writer the rest. */
struct wal_draft {
    struct wal_record record;
    struct bytes payload; /* borrowed */
};

struct wal_writer {
    struct wal_set *set; /* borrowed, as the others */
    struct wal_pool *pool;
    struct io *io;
    const char *dir;
    struct wal_layout layout;
    enum wal_role role;
    uint64_t cluster_id;
    uint64_t directory_id;
    uint32_t timeline; /* of new segments */
    enum err_code (*extent_changed)(void *context, const struct wal_extent *extent, struct err *e);
    void *context;

    struct wal_extent extent; /* as last made durable */
    bool broken;
    bool sealed;          /* nothing can follow in the last segment */
    uint64_t offset;      /* of the next record in the last segment */
    uint64_t sequence;    /* of the last record */
    uint64_t frame;       /* sequence of the BEGIN written last */
    uint64_t commit;      /* highest commit index known */
    uint64_t lsn_durable; /* everything below is synced */
    uint64_t index_last;  /* what the log holds after the records written so far */
    uint64_t term_last;

    uint8_t *pages; /* of identifiers: the one that is being filled, and its neighbours */
    /* How many full pages are written together: one alone, far from the records, is one
     * more place that the disk visits in the next sync. In a small segment it is 1. */
    uint32_t pages_together;
    uint32_t identifiers; /* in this segment so far */
    bool page_dirty;      /* there are identifiers that were not written yet */
    uint32_t page_first;  /* if so: the page of the first of them */

    struct buf encoded; /* headers and small payloads of one write */
    struct bytes *parts;
    size_t parts_capacity;

    enum wal_sync_method sync_method;
    size_t buffer_size; /* bytes of one write; 0: no limit */

    uint64_t records, bytes, buffers_full;
    struct wal_latency writes, syncs;
};

void wal_writer_init(struct wal_writer *w);
void wal_writer_deinit(struct wal_writer *w);

/* Where the next record goes, if it fits. */
uint64_t wal_writer_lsn_end(const struct wal_writer *w);

/* Makes sure that the records find room. ERR_NO_SPACE: the log is as before. */
MUST_CHECK enum err_code wal_writer_reserve(struct wal_writer *w, const struct wal_draft *drafts,
                                            size_t count, struct err *e);
/* Writes the records and fills in their lsn, sequence, size and crc. After
 * wal_writer_reserve() every error is ERR_IO and means BROKEN. */
MUST_CHECK enum err_code wal_writer_append(struct wal_writer *w, struct wal_draft *drafts,
                                           size_t count, struct err *e);
MUST_CHECK enum err_code wal_writer_sync(struct wal_writer *w, struct err *e);
/* Syncs what was written in the old way first. */
MUST_CHECK enum err_code wal_writer_set_sync_method(struct wal_writer *w,
                                                    enum wal_sync_method method, struct err *e);
/* Where a page of this segment is kept in memory; it shares its place with others that
 * were written before it is filled. */
uint8_t *wal_writer_page(const struct wal_writer *w, uint32_t page);
/* Writes the pages that are not written yet, the one that is being filled too; not
 * synced. */
MUST_CHECK enum err_code wal_writer_write_identifiers(struct wal_writer *w, struct err *e);
/* Writes it and syncs the segment, also when its records were written through: pages
 * never are. */
MUST_CHECK enum err_code wal_writer_sync_identifiers(struct wal_writer *w, struct err *e);
/* Begins the next segment; a ready spare must be there. */
MUST_CHECK enum err_code wal_writer_switch(struct wal_writer *w, struct err *e);
/* The same, and the log begins with it: entries at or below 'index' are cut. The
 * caller removes the older segments. */
MUST_CHECK enum err_code wal_writer_restart(struct wal_writer *w, uint64_t index, uint64_t term,
                                            struct err *e);
/* Makes 'extent' durable and then the current one. */
MUST_CHECK enum err_code wal_writer_set_extent(struct wal_writer *w,
                                               const struct wal_extent *extent, struct err *e);
/* One page of identifiers as it stands on disk, for the writer and for open. */
void wal_writer_encode_page(const struct wal_writer *w, uint64_t segment, uint32_t page,
                            uint8_t dst[WAL_IDENTIFIER_PAGE_SIZE]);

#endif
