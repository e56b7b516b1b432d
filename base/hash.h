/* SPDX-License-Identifier: Apache-2.0 */
/* Content hashes (XXH3, libxxhash): names of parts, state hashes, hash of a
 * series key. Stable across machines and versions: they are in files. */
#ifndef TIDEMARK_BASE_HASH_H
#define TIDEMARK_BASE_HASH_H

#include "base/bytes.h"

struct hash128 {
    uint64_t low;
    uint64_t high;
};

enum { HASH128_TEXT_SIZE = 33 };

uint64_t hash64(struct bytes b);
struct hash128 hash128(struct bytes b);
/* Folds b into a running state, order matters. Start from {0, 0}. */
struct hash128 hash128_chain(struct hash128 state, struct bytes b);
void hash128_text(struct hash128 h, char dst[HASH128_TEXT_SIZE]); /* 32 hex digits */

#endif
