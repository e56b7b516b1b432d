/* SPDX-License-Identifier: Apache-2.0 */
/* Words in as few bits each as most of them need; the others are patched.
 *
 *   packed:     base zigzag varint | width u8 | exceptions varint | exception ...
 *               | slots: n times 'width' bits, from the lowest up, zeros at the end
 *   exception:  how many places after the one before varint | high bits zigzag varint
 *
 * A word is base + slot + (high << width); high is 0 but for exceptions. The
 * base is the least word, or below the median where that makes fewer bits.
 * Arithmetic is modulo 2^64, so that every word comes back. */
#ifndef TIDEMARK_TSDB_PACKING_H
#define TIDEMARK_TSDB_PACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct packing {
    uint64_t base;
    unsigned width; /* 0..64 */
    size_t size;    /* in bytes, about: exceptions are estimated */
};

/* How to pack n > 0 words; the same on every machine. */
struct packing packing_plan(const uint64_t *words, size_t n);
void packing_put(struct buf *out, const struct packing *p, const uint64_t *words, size_t n);
/* False: the bytes are not n packed words, to the last byte. */
bool packing_get(struct bytes data, uint64_t *words, size_t n);

/* Small numbers of either sign as small numbers without one. */
static inline uint64_t packing_zigzag(uint64_t word)
{
    return word << 1 ^ (0 - (word >> 63));
}

static inline uint64_t packing_unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

/* n values of 'width' bits. 'data' holds packing_bits_size() bytes. */
size_t packing_bits_size(size_t n, unsigned width);
void packing_put_bits(uint8_t *data, const uint64_t *values, size_t n, unsigned width);
void packing_get_bits(const uint8_t *data, uint64_t *values, size_t n, unsigned width);

#endif
