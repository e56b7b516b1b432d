/* SPDX-License-Identifier: Apache-2.0 */
/* Files that wait to become segments: "spare-XXXXXXXX" in the log's directory.
 *
 *   cut segment ── add ──► DIRTY ── zeroed and synced ──► READY ── take ──► segment
 *   (nothing)  ── step ──► DIRTY
 *
 * A file that was found at open is DIRTY, zeros or not: what the cache shows may
 * never have reached the disk (safety.md A2). Zeroing goes in steps, so that a
 * busy log can do it between batches.
 *
 * A pool belongs to the thread of its log. */
#ifndef TIDEMARK_WAL_WAL_POOL_H
#define TIDEMARK_WAL_WAL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

struct wal_spare {
    uint32_t number;   /* in its name */
    struct file *file; /* open while it is being zeroed and when READY */
    uint64_t zeroed;   /* bytes written with zeros so far */
    bool ready;        /* all zero and synced */
};

struct wal_pool {
    struct io *io;   /* borrowed */
    const char *dir; /* borrowed */
    uint64_t file_size;
    size_t keep_max; /* spares kept beyond the one that is always prepared */
    struct wal_spare *spares;
    size_t count;
    size_t capacity;
    uint32_t number_next;
    uint64_t recycled; /* segments that came back through add */
};

void wal_pool_init(struct wal_pool *p, struct io *io, const char *dir, uint64_t file_size,
                   size_t keep_max);
void wal_pool_deinit(struct wal_pool *p); /* closes, leaves the files */

/* If 'name' is a spare's, takes it in (or removes it, if there are too many). */
MUST_CHECK enum err_code wal_pool_adopt(struct wal_pool *p, const char *name, bool *adopted,
                                        struct err *e);
/* Renames the file at 'path' into the pool, or removes it if the pool is full.
 * Nobody may have it open. The caller syncs the directory. */
MUST_CHECK enum err_code wal_pool_add(struct wal_pool *p, const char *path, struct err *e);

/* So many beyond the one that is always prepared; removes what is more. */
MUST_CHECK enum err_code wal_pool_keep(struct wal_pool *p, size_t keep_max, struct err *e);

/* Up to size_max bytes of work towards 'count' ready spares, made new if there
 * are not enough. *done: they are ready. ERR_NO_SPACE: the unfinished file is gone. */
MUST_CHECK enum err_code wal_pool_step(struct wal_pool *p, size_t count, uint64_t size_max,
                                       bool *done, struct err *e);
/* Renames a ready spare to 'path' and gives its open file to the caller. The
 * caller syncs the directory. A ready one must be there. */
MUST_CHECK enum err_code wal_pool_take(struct wal_pool *p, const char *path, struct file **out,
                                       struct err *e);
size_t wal_pool_ready(const struct wal_pool *p);

#endif
