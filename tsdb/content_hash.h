/* SPDX-License-Identifier: Apache-2.0 */
/* The hash that names a part: of its content in pieces of CONTENT_PIECE_SIZE
 * bytes (the last may be shorter), chained, so that a file is hashed while it is
 * written and read. The same bytes give the same hash however they come. */
#ifndef TIDEMARK_TSDB_CONTENT_HASH_H
#define TIDEMARK_TSDB_CONTENT_HASH_H

#include "base/hash.h"
#include "io/io.h"

enum { CONTENT_PIECE_SIZE = 256 * 1024 };

struct content_hash {
    struct hash128 state;
    struct buf piece; /* not yet hashed */
};

void content_hash_deinit(struct content_hash *h); /* one of zeros is empty and ready */
void content_hash_add(struct content_hash *h, struct bytes b);
/* Of all that was added; nothing may be added after. */
struct hash128 content_hash_end(struct content_hash *h);

/* Of a whole file. */
MUST_CHECK enum err_code content_hash_file(struct file *file, uint64_t size, struct hash128 *out,
                                           struct err *e);

#endif
