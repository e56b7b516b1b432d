/* SPDX-License-Identifier: Apache-2.0 */
/* How the values of one column of a block become bytes, nulls left out. The
 * smallest of a few forms is taken, tried on the data; the choice depends on the
 * values alone.
 *
 *   PLAIN       word u64 ...                                  n words
 *   CONSTANT    word zigzag varint                            all n are it
 *   OFFSETS     packed                                        the words
 *   DELTAS      first zigzag varint | packed                  each less the one before
 *   DELTAS_2    first, first delta: zigzag varints | packed   each delta less the one before
 *   DECIMAL     exponent u8 | exceptions varint | (gap varint | word u64) ... | numbers
 *               doubles m / 10^exponent; of exceptions: how many places after the one
 *               before, and the word itself (NaN, -0.0, what has too many digits)
 *   DECIMAL_32  the same of floats
 *   XOR         first u64 | shift u8 | packed                 (each ^ the one before) >> shift
 *   STRINGS     sizes blob of numbers | bytes ...             n strings
 *   DICTIONARY  count varint | sizes blob of numbers | bytes ... | numbers
 *               strings in order of appearance, then n places among them
 *
 *   packed      see packing.h
 *   numbers     encoding u8, PLAIN to DELTAS_2 | its bytes
 *
 * Arithmetic is modulo 2^64, so that every word comes back, INT64_MIN and the
 * payload of a NaN included. Decoders take any bytes from outside. */
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
    ENCODING_DELTAS_2 = 4,
    ENCODING_DECIMAL = 5,
    ENCODING_DECIMAL_32 = 6,
    ENCODING_XOR = 7,
    ENCODING_STRINGS = 16,
    ENCODING_DICTIONARY = 17,
};

/* What words are. */
enum encoding_kind {
    ENCODING_OF_NUMBERS, /* whole ones */
    ENCODING_OF_DOUBLES,
    ENCODING_OF_FLOATS, /* 32 bits; the upper half of the word is 0 */
};

/* Appends n > 0 words, at most LIMIT_BLOCK_ROWS_MAX. */
enum encoding encoding_put_words(struct buf *out, const uint64_t *words, size_t n,
                                 enum encoding_kind kind);
/* False: the bytes are not n words of that encoding. */
bool encoding_get_words(uint8_t encoding, struct bytes data, uint64_t *words, size_t n);

enum encoding encoding_put_strings(struct buf *out, const struct bytes *strings, size_t n);
/* The strings are views of 'data'. */
bool encoding_get_strings(uint8_t encoding, struct bytes data, struct bytes *strings, size_t n);

#endif
