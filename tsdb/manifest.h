/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a checkpoint: all replicated state but the rows, and the list
 * of the parts that hold those.
 *
 *   file:    magic u32 "TMCK" | version u16 | zero u16 | size u64 | crc32c u32 | body[size - 20]
 *   body:    index u64 | term u64
 *            | parts varint | (vgroup u8, hash u128, size varint, rows varint,
 *                              index_from varint, index_until varint) ...   by vgroup, newest first
 *            | catalog (catalog.h) | settings (settings.h)
 *            | nodes (nodes.h) | configuration index varint | configuration blob
 *            | sessions (sessions.h) | next series id varint
 *            | series of each table of the catalog, in its order:
 *                count varint | (id varint, index_created varint, tags blob) ...    by rising id
 *
 * The crc covers magic, version, zero, size and body. Equal states are equal bytes. */
#ifndef TIDEMARK_TSDB_MANIFEST_H
#define TIDEMARK_TSDB_MANIFEST_H

#include "base/bytes.h"
#include "base/err.h"
#include "io/io.h"
#include "tsdb/catalog.h"
#include "tsdb/nodes.h"
#include "tsdb/part.h"
#include "tsdb/sessions.h"
#include "tsdb/settings.h"

enum { MANIFEST_VERSION = 2 };

/* A manifest read. Owns what it holds; a reader that keeps a piece sets it to NULL. */
struct manifest {
    uint64_t index;
    uint64_t term;
    struct part_info *parts;
    size_t part_count;
    struct catalog *catalog; /* with its series */
    struct settings *settings;
    struct nodes nodes;
    struct sessions *sessions;
    struct buf configuration;
    uint64_t configuration_index;
    uint64_t series_id_next;
};

void manifest_deinit(struct manifest *m); /* one of zeros is fine */
/* ERR_CORRUPT; ERR_UNSUPPORTED: a newer version wrote it. */
MUST_CHECK enum err_code manifest_decode(struct bytes file, struct manifest *out, struct err *e);
/* Only index, term and parts; checks the whole all the same. */
MUST_CHECK enum err_code manifest_decode_parts(struct bytes file, struct manifest *out,
                                               struct err *e);
/* Reads the file of that index. ERR_NOT_FOUND, ERR_CORRUPT; names the file. */
MUST_CHECK enum err_code manifest_read(struct io *io, const char *dir, uint64_t index,
                                       bool only_parts, struct manifest *out, struct err *e);

/* --- writing: begin, parts, the rest in this order, end --- */

void manifest_begin(struct buf *out, uint64_t index, uint64_t term, size_t part_count);
void manifest_put_part(struct buf *out, const struct part_info *p);
void manifest_put_catalog(struct buf *out, const struct catalog *c, const struct settings *s);
/* What changes with every entry, and so is encoded at once when the state is frozen. */
void manifest_put_members(struct buf *out, const struct nodes *n, struct bytes configuration,
                          uint64_t configuration_index);
void manifest_put_sessions(struct buf *out, const struct sessions *s, uint64_t series_id_next);
/* Series made up to 'index'; may run beside the apply lane. */
void manifest_put_series(struct buf *out, const struct catalog *c, uint64_t index);
void manifest_end(struct buf *out);

#endif
