/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/decimal.h"

#include "base/check.h"

enum { SAMPLES_MAX = 32 };

#define M_MAX 2251799813685248.0 /* 2^51 */

const double decimal_powers[DECIMAL_EXPONENT_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
    1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
};

double decimal_value(enum decimal_kind kind, uint64_t word)
{
    if (kind == DECIMAL_FLOAT) {
        uint32_t low = (uint32_t)word;
        float v = 0;
        memcpy(&v, &low, sizeof v);
        return (double)v;
    }
    double v = 0;
    memcpy(&v, &word, sizeof v);
    return v;
}

bool decimal_nearest(double v, unsigned exponent, int64_t *m)
{
    double scaled = v * decimal_powers[exponent];
    if (!(scaled <= M_MAX && scaled >= -M_MAX)) {
        return false;
    }
    *m = (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
    return true;
}

bool decimal_exact(enum decimal_kind kind, uint64_t word, unsigned exponent, int64_t *m)
{
    return decimal_nearest(decimal_value(kind, word), exponent, m) &&
           decimal_word(kind, *m, exponent) == word;
}

bool decimal_exponent(enum decimal_kind kind, const uint64_t *words, size_t n, unsigned *exponent)
{
    CHECK(n > 0);
    size_t samples = n < SAMPLES_MAX ? n : SAMPLES_MAX;
    size_t best = 0;
    for (unsigned e = 0; e <= DECIMAL_EXPONENT_MAX && best < samples; e++) {
        size_t exact = 0;
        for (size_t i = 0; i < samples; i++) {
            int64_t m = 0;
            exact += decimal_exact(kind, words[i * n / samples], e, &m) ? 1 : 0;
        }
        if (exact > best) {
            best = exact;
            *exponent = e;
        }
    }
    return best * 4 >= samples * 3;
}
