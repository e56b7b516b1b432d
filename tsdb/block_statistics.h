/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a column's values in a block without decoding them, in about
 * as few bytes as some of the values: all is told by its distance from the least.
 *
 *   whole    least zigzag varint | greatest, first, last less least: varints
 *            | sum of (each less least): low varint, high varint
 *   double,  exponent u8 | least zigzag varint | greatest, first, last less least: varints
 *   float    | sum zigzag varint | fix zigzag varint
 *            whole numbers m of decimals m / 10^exponent; 'fix' is what the sum's word is
 *            above that of its decimal
 *     or     255 u8 | least, greatest, first, last, sum: u64
 *   string, bytes   nothing
 *
 * Of values that are not null, in row order. Least and greatest of doubles pass
 * over NaN (and are the one NaN 7ff8000000000000, or 7fc00000, where all are), so does no sum; a
 * sum that is NaN is that one, so that the bytes are the same on all machines. */
#ifndef TIDEMARK_TSDB_BLOCK_STATISTICS_H
#define TIDEMARK_TSDB_BLOCK_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "tsdb/value.h"

struct block_statistics {
    uint64_t least, greatest, first, last; /* words */
    uint64_t sum_low;                      /* DOUBLE, FLOAT: the word of the sum, a double */
    uint64_t sum_high;                     /* else: upper half of the i128 */
};

/* Of n > 0 words; of strings all is 0. */
void block_statistics_of(enum value_type type, const uint64_t *words, size_t n,
                         struct block_statistics *out);
void block_statistics_put(struct buf *out, enum value_type type, const struct block_statistics *s,
                          size_t n);
/* Takes any bytes. */
void block_statistics_get(struct cursor *c, enum value_type type, size_t n,
                          struct block_statistics *out);

#endif
