/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/decimal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "testkit/test.h"

static uint64_t double_word(double v)
{
    uint64_t w = 0;
    memcpy(&w, &v, sizeof w);
    return w;
}

static uint64_t float_word(float v)
{
    uint32_t w = 0;
    memcpy(&w, &v, sizeof w);
    return w;
}

/* What a program reads from "21.57" is 2157 / 10^2. */
TEST(decimal, every_number_of_few_digits_comes_back)
{
    struct random random = random_seeded(1);
    for (int round = 0; round < 20000; round++) {
        unsigned decimals = (unsigned)random_below(&random, 10);
        int64_t m = (int64_t)random_below(&random, 2000001) - 1000000;
        m = m == 0 ? 1 : m;
        char text[64];
        (void)snprintf(text, sizeof text, "%llde-%u", (long long)m, decimals);
        int64_t back = 0;
        uint64_t word = double_word(strtod(text, NULL));
        EXPECT(decimal_exact(DECIMAL_DOUBLE, word, decimals, &back));
        EXPECT_INT(back, m);
        EXPECT_UINT(decimal_word(DECIMAL_DOUBLE, m, decimals), word);
        word = float_word(strtof(text, NULL));
        if (decimal_exact(DECIMAL_FLOAT, word, decimals, &back)) {
            EXPECT_UINT(decimal_word(DECIMAL_FLOAT, back, decimals), word);
        }
    }
    int64_t m = 0;
    EXPECT(decimal_exact(DECIMAL_FLOAT, float_word(21.57F), 2, &m));
    EXPECT_INT(m, 2157);
}

TEST(decimal, what_has_other_bits_is_no_decimal)
{
    static const uint64_t odd[] = {
        0x8000000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
        0x7ff8000000abcdef, 0x7ff0000000000001, 0x0000000000000001, 0x7fefffffffffffff,
    };
    int64_t m = 0;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        for (unsigned e = 0; e <= DECIMAL_EXPONENT_MAX; e++) {
            EXPECT(!decimal_exact(DECIMAL_DOUBLE, odd[i], e, &m));
        }
    }
    EXPECT(!decimal_exact(DECIMAL_DOUBLE, double_word(0.125), 2, &m));
    EXPECT(decimal_exact(DECIMAL_DOUBLE, double_word(0.125), 3, &m));
    EXPECT(decimal_exact(DECIMAL_DOUBLE, double_word(2251799813685248.0), 0, &m)); /* 2^51 */
    EXPECT(!decimal_exact(DECIMAL_DOUBLE, double_word(2251799813685249.0), 0, &m));
    EXPECT(!decimal_exact(DECIMAL_FLOAT, float_word(-0.0F), 0, &m));
    EXPECT(!decimal_exact(DECIMAL_FLOAT, 0x7fc00001, 0, &m)); /* a NaN */
}

TEST(decimal, the_least_exponent_that_fits_most_is_found)
{
    uint64_t words[40];
    unsigned exponent = 99;
    for (size_t i = 0; i < 40; i++) {
        words[i] = double_word((double)(1000 + i * 7) / 100);
    }
    EXPECT(decimal_exponent(DECIMAL_DOUBLE, words, 40, &exponent));
    EXPECT_UINT(exponent, 2);
    words[3] = 0x7ff8000000000000; /* one that no exponent fits */
    EXPECT(decimal_exponent(DECIMAL_DOUBLE, words, 40, &exponent));
    EXPECT_UINT(exponent, 2);
    EXPECT(decimal_exponent(DECIMAL_DOUBLE, words, 1, &exponent));
    EXPECT_UINT(exponent, 0); /* 10.00 */
    struct random random = random_seeded(2);
    for (size_t i = 0; i < 40; i++) {
        words[i] = 0x3ff0000000000000 | random_u64(&random) >> 12;
    }
    EXPECT(!decimal_exponent(DECIMAL_DOUBLE, words, 40, &exponent));
}
