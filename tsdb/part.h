/* SPDX-License-Identifier: Apache-2.0 */
/* A part: rows of one VGroup in an immutable file, named by its content's hash.
 *
 *   file:    header[64] | block ... | index | footer[64]
 *   header:  magic u32 "TMPT" | version u16 | vgroup u16 | index_from u64 | index_until u64
 *            | zeros | crc32c u32
 *   index:   (series id u64 | first time i64 | last time i64 | offset u64 | size u32
 *            | rows u32) ...          a block each, by series and time, without gaps in offset
 *   footer:  index offset u64 | blocks u64 | rows u64 | index crc32c u32 | zeros
 *            | magic u32 | crc32c u32
 *
 * The rows are what log entries index_from ... index_until left of their series:
 * of two parts with a row of the same series and time, the one with higher
 * indexes holds the newer. Ranges of a VGroup's parts do not overlap.
 *
 *   part_writer_open ──► WRITING ── finish ──► (a durable file under its name)
 *                           └── close ──► (removed)
 *
 * Version 1 held blocks of version 1 and is refused.
 *
 * A part whose file fails a read is damaged (safety.md E4): what is read well of
 * it counts still, until its file is whole again and opened anew.
 *
 *   part_open ──► WHOLE ── a read failed ──► DAMAGED ── part_reopen ──► WHOLE
 *                  part_lost ──────────────────┘
 *
 * A part may be read by several threads; one thread at a time opens, reopens and
 * closes it. */
#ifndef TIDEMARK_TSDB_PART_H
#define TIDEMARK_TSDB_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "io/io.h"
#include "tsdb/block.h"
#include "tsdb/rows.h"

enum {
    PART_VERSION = 2,
    PART_HEADER_SIZE = 64,
    PART_FOOTER_SIZE = 64,
    PART_NAME_SIZE = 64,
    PART_INDEX_ITEM_SIZE = 40
};

/* A part as a manifest lists it. */
struct part_info {
    struct hash128 hash;
    uint64_t size; /* of the file */
    uint64_t row_count;
    uint64_t index_from;
    uint64_t index_until;
    unsigned vgroup;
};

struct part_block {
    uint64_t series_id;
    int64_t time_first;
    int64_t time_last;
    uint64_t offset;
    uint32_t size;
    uint32_t row_count;
};

/* "part-<32 hex digits>" */
void part_name(struct hash128 hash, char dst[PART_NAME_SIZE]);
/* The hash in such a name; false: it is none. */
bool part_hash(const char *name, struct hash128 *hash);

/* --- reading --- */

struct part;

/* Reads header, footer and index. ERR_CORRUPT names the file. */
MUST_CHECK enum err_code part_open(struct io *io, const char *dir, const struct part_info *info,
                                   struct part **out, struct err *e);
/* One whose file can't be opened stands in for it: every read of its VGroup fails
 * with ERR_CORRUPT, because it may have rows of any series. */
struct part *part_lost(const struct part_info *info);
/* Its file is whole again: opened anew. On failure the part is as before. */
MUST_CHECK enum err_code part_reopen(struct io *io, const char *dir, struct part *p, struct err *e);
bool part_is_damaged(const struct part *p); /* any thread */
void part_set_damaged(struct part *p);      /* any thread */
struct part *part_ref(struct part *p);      /* references are counted by one thread */
void part_close(struct part *p);            /* gives one back; NULL is fine */
const struct part_info *part_info(const struct part *p);
size_t part_block_count(const struct part *p);
const struct part_block *part_block(const struct part *p, size_t i);
/* Blocks [*first, *end) of a series. */
void part_find(const struct part *p, uint64_t series_id, size_t *first, size_t *end);
/* Reads a block into 'scratch' and decodes it into 'rows'. ERR_CORRUPT names the file. */
MUST_CHECK enum err_code part_read(struct part *p, size_t block, struct buf *scratch,
                                   struct rows *rows, struct err *e);
/* Bytes of the file as the disk has them, whatever is cached. A failure is damage. */
MUST_CHECK enum err_code part_read_raw(struct part *p, uint64_t offset, void *dst, size_t size,
                                       struct err *e);
/* Reads the whole file, checks its hash and every block. */
MUST_CHECK enum err_code part_verify(struct part *p, struct err *e);

/* --- the rows of one series, by rising time --- */

struct part_source {
    struct part *part;
    bool lost; /* it had no index when this began */
    size_t at;
    size_t end;
    int64_t from; /* both included */
    int64_t until;
    struct buf scratch;
};

void part_source_init(struct part_source *s, struct part *p, uint64_t series_id, int64_t from,
                      int64_t until);
void part_source_deinit(struct part_source *s);
/* The next rows in place of what 'rows' holds. None: that was all. */
MUST_CHECK enum err_code part_source_next(struct part_source *s, struct rows *rows, struct err *e);

/* --- writing --- */

struct part_writer;

/* 'info': vgroup, index_from and index_until are set. */
MUST_CHECK enum err_code part_writer_open(struct io *io, const char *dir,
                                          const struct part_info *info, struct part_writer **out,
                                          struct err *e);
/* Series by rising id, rows by rising time. */
MUST_CHECK enum err_code part_writer_add(struct part_writer *w, uint64_t series_id,
                                         const struct rows *rows, size_t from, size_t to,
                                         struct err *e);
/* Bytes so far, those that are not written yet included. */
uint64_t part_writer_size(const struct part_writer *w);
uint64_t part_writer_rows(const struct part_writer *w);
/* Writes and syncs what is there so far, so that the last sync has little to do. */
MUST_CHECK enum err_code part_writer_sync(struct part_writer *w, struct err *e);
/* The file is synced and has its name; the directory is not yet synced. A part
 * without rows leaves no file, and info->row_count is 0. */
MUST_CHECK enum err_code part_writer_finish(struct part_writer *w, struct part_info *info,
                                            struct err *e);
void part_writer_close(struct part_writer *w); /* removes what is unfinished; NULL is fine */

#endif
