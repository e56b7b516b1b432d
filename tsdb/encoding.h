/* SPDX-License-Identifier: Apache-2.0 */
/* How the values of one column of a block become bytes, nulls left out. The
 * smallest of a few forms is taken; the choice depends on the values alone.
 *
 *   PLAIN       word u64 ...                                         n words
 *   CONSTANT    word u64                                             all n are it
 *   OFFSETS     least i64 | width u8 | bits ...                      word - least
 *   DELTAS      first u64 | least i64 | width u8 | bits ...          (word - one before) - least
 *   STRINGS     size varint ... | bytes ...                          n sizes, then all bytes
 *   DICTIONARY  count varint | (size varint) ... | bytes ... | width u8 | bits ...
 *                                                                    sorted strings, n places
 *
 * Bits are packed from the lowest up, 'width' (0..64) for each value, zeros at
 * the end. Arithmetic is modulo 2^64, so that every word comes back, INT64_MIN
 * and the payload of a NaN included. Decoders take any bytes from outside. */
#ifndef TIDEMARK_TSDB_ENCODING_H
#define TIDEMARK_TSDB_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* In files. */
enum encoding {
    ENCODING_PLAIN = 0,
    ENCODING_CONSTANT = 1,
    ENCODING_OFFSETS = 2,
    ENCODING_DELTAS = 3,
    ENCODING_STRINGS = 16,
    ENCODING_DICTIONARY = 17,
};

/* Appends n > 0 words; 'packable': try more than PLAIN and CONSTANT (whole numbers). */
enum encoding encoding_put_words(struct buf *out, const uint64_t *words, size_t n, bool packable);
/* False: the bytes are not n words of that encoding. */
bool encoding_get_words(uint8_t encoding, struct bytes data, uint64_t *words, size_t n);

enum encoding encoding_put_strings(struct buf *out, const struct bytes *strings, size_t n);
/* The strings are views of 'data'. */
bool encoding_get_strings(uint8_t encoding, struct bytes data, struct bytes *strings, size_t n);

#endif
