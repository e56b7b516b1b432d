/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is taken piece by piece and given back all at once.
 *
 * Pieces are aligned to 8 bytes, not cleared, and stay where they are. One
 * thread takes; what it published may be read by others until the end. */
#ifndef TIDEMARK_TSDB_ARENA_H
#define TIDEMARK_TSDB_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first; pieces come from the first */
    size_t block_size;          /* of the next block; doubles up to ARENA_BLOCK_SIZE_MAX */
    size_t size;                /* bytes held, all blocks */
};

enum { ARENA_BLOCK_SIZE_MIN = 4 * 1024, ARENA_BLOCK_SIZE_MAX = 1024 * 1024 };

void arena_deinit(struct arena *a); /* an arena of zeros is empty and ready */
/* All pieces are given back; the newest block is kept for use again. */
void arena_reset(struct arena *a);
void *arena_take(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t count, size_t item_size); /* cleared */
struct bytes arena_copy(struct arena *a, struct bytes b);

#endif
