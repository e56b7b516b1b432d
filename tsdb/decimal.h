/* SPDX-License-Identifier: Apache-2.0 */
/* Floating-point numbers as whole numbers of a decimal fraction: v = m / 10^e.
 *
 * What people and sensors write has few decimals: 21.57 is 2157 / 10^2, and the
 * division gives exactly the double (or float) nearest to 21.57. A number for
 * which it does not give the very same bits (also -0.0, NaN, infinities) is no
 * decimal here. |m| is at most 2^51, so that no other m gives the same double
 * and the result does not depend on the machine. */
#ifndef TIDEMARK_TSDB_DECIMAL_H
#define TIDEMARK_TSDB_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DECIMAL_EXPONENT_MAX = 18 };

/* What the bits of a word mean. */
enum decimal_kind {
    DECIMAL_DOUBLE,
    DECIMAL_FLOAT, /* in the low half; the upper half is 0 */
};

extern const double decimal_powers[DECIMAL_EXPONENT_MAX + 1]; /* 10^e, exact */

/* m as a double, |m| <= 2^51: several at once, which the processor's own conversion is not. Of
 * other m, which only bytes of a stranger hold, some double. */
static inline double decimal_of(int64_t m)
{
    uint64_t word = (uint64_t)m + UINT64_C(0x4338000000000000); /* that of 1.5 * 2^52 */
    double v = 0;
    memcpy(&v, &word, sizeof v);
    return v - 6755399441055744.0;
}

static inline uint64_t decimal_word(enum decimal_kind kind, int64_t m, unsigned exponent)
{
    double v = decimal_of(m) / decimal_powers[exponent];
    if (kind == DECIMAL_FLOAT) {
        float narrow = (float)v;
        uint32_t low = 0;
        memcpy(&low, &narrow, sizeof low);
        return low;
    }
    uint64_t word = 0;
    memcpy(&word, &v, sizeof word);
    return word;
}

double decimal_value(enum decimal_kind kind, uint64_t word);
/* The m nearest to v * 10^exponent. False: it is too large, or v is NaN. */
bool decimal_nearest(double v, unsigned exponent, int64_t *m);
/* False: the word is no decimal of that exponent. */
bool decimal_exact(enum decimal_kind kind, uint64_t word, unsigned exponent, int64_t *m);
/* The least exponent with which most of the words are decimals; false: less than
 * three quarters of some of them are with any. */
bool decimal_exponent(enum decimal_kind kind, const uint64_t *words, size_t n, unsigned *exponent);

#endif
