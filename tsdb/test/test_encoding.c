/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/encoding.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

enum { N_MAX = LIMIT_BLOCK_ROWS_MAX };

static uint64_t words[N_MAX];
static uint64_t decoded[N_MAX];

/* Encodes the first n words and compares; the size taken. */
static size_t round_trip(size_t n, enum encoding_kind kind, enum encoding *encoding)
{
    struct buf b = {0};
    *encoding = encoding_put_words(&b, words, n, kind);
    memset(decoded, 0xaa, n * sizeof decoded[0]);
    uint8_t *copy = mem_dup(b.data, b.size); /* so that a read beyond it is seen */
    EXPECT(encoding_get_words((uint8_t)*encoding, bytes_of(copy, b.size), decoded, n));
    EXPECT(memcmp(decoded, words, n * sizeof words[0]) == 0);
    mem_free(copy);
    size_t size = b.size;
    /* A byte less or more is noticed. */
    EXPECT(!encoding_get_words((uint8_t)*encoding, bytes_of(b.data, size - 1), decoded, n));
    buf_put_u8(&b, 0);
    EXPECT(!encoding_get_words((uint8_t)*encoding, buf_bytes(&b), decoded, n));
    buf_deinit(&b);
    return size;
}

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

TEST(encoding, the_smallest_form_of_whole_numbers_is_taken)
{
    enum encoding encoding;
    for (size_t i = 0; i < 1000; i++) {
        words[i] = 7;
    }
    EXPECT_UINT(round_trip(1, ENCODING_OF_NUMBERS, &encoding), 1);
    EXPECT_UINT(round_trip(1000, ENCODING_OF_NUMBERS, &encoding), 1);
    EXPECT_INT(encoding, ENCODING_CONSTANT);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = 1700000000000 + i * 10000;
    }
    EXPECT_UINT(round_trip(1000, ENCODING_OF_NUMBERS, &encoding), 6 + 3 + 1 + 1);
    EXPECT_INT(encoding, ENCODING_DELTAS); /* regular times: no bits at all */
    for (size_t i = 0; i < 1000; i++) {
        words[i] = i * i;
    }
    EXPECT_UINT(round_trip(1000, ENCODING_OF_NUMBERS, &encoding), 1 + 1 + 1 + 1 + 1);
    EXPECT_INT(encoding, ENCODING_DELTAS_2);
    struct random random = random_seeded(1);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = 100 + random_below(&random, 128);
    }
    EXPECT(round_trip(1000, ENCODING_OF_NUMBERS, &encoding) <= 4 + 875); /* 7 bits each */
    EXPECT_INT(encoding, ENCODING_OFFSETS);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = random_u64(&random);
    }
    EXPECT_UINT(round_trip(1000, ENCODING_OF_NUMBERS, &encoding), 8000);
    EXPECT_INT(encoding, ENCODING_PLAIN);
}

/* A missed sample or two must not cost bits in every other. */
TEST(encoding, gaps_in_regular_times_are_cheap)
{
    enum encoding encoding;
    for (size_t i = 0; i < 4000; i++) {
        words[i] = 1700000000000 + (i + (i > 1000 ? 1 : 0) + (i > 3000 ? 5 : 0)) * 10000;
    }
    EXPECT(round_trip(4000, ENCODING_OF_NUMBERS, &encoding) < 30);
    EXPECT_INT(encoding, ENCODING_DELTAS);
}

TEST(encoding, doubles_with_few_decimals_are_whole_numbers)
{
    enum encoding encoding;
    struct random random = random_seeded(2);
    int64_t m = 5000;
    for (size_t i = 0; i < 4000; i++) {
        m += (int64_t)random_below(&random, 201) - 100;
        words[i] = double_word((double)m / 100);
    }
    EXPECT(round_trip(4000, ENCODING_OF_DOUBLES, &encoding) < 4000 + 20);
    EXPECT_INT(encoding, ENCODING_DECIMAL);
    /* Exceptions, from the first one on. */
    words[0] = words[1] = words[500] = 0x7ff8000000abcdef;
    words[501] = words[3999] = 0x8000000000000000;
    EXPECT(round_trip(4000, ENCODING_OF_DOUBLES, &encoding) < 4000 + 80);
    EXPECT_INT(encoding, ENCODING_DECIMAL);
    words[0] = double_word(42.5);
    EXPECT_UINT(round_trip(1, ENCODING_OF_DOUBLES, &encoding), 1 + 1 + 1 + 2);
    for (size_t i = 0; i < 4000; i++) {
        words[i] = float_word((float)((double)m / 10));
        m += (int64_t)random_below(&random, 21) - 10;
    }
    EXPECT(round_trip(4000, ENCODING_OF_FLOATS, &encoding) < 2500 + 20);
    EXPECT_INT(encoding, ENCODING_DECIMAL_32);
}

TEST(encoding, other_doubles_keep_only_the_bits_that_change)
{
    enum encoding encoding;
    struct random random = random_seeded(3);
    for (size_t i = 0; i < 1000; i++) { /* floats that were widened */
        words[i] = double_word((double)(float)(1 + (double)random_below(&random, 1U << 29) / 1e9));
    }
    EXPECT(round_trip(1000, ENCODING_OF_DOUBLES, &encoding) < 1000 * 3 + 30);
    EXPECT_INT(encoding, ENCODING_XOR);
    for (size_t i = 0; i < 1000; i++) { /* noise: all of the mantissa */
        words[i] = 0x3ff0000000000000 | random_u64(&random) >> 12;
    }
    EXPECT(round_trip(1000, ENCODING_OF_DOUBLES, &encoding) <= 6500 + 20);
    EXPECT_INT(encoding, ENCODING_OFFSETS);
    for (size_t i = 0; i < 1000; i++) { /* it changes seldom */
        words[i] = i % 100 == 0 ? 0x3ff0000000000000 | random_u64(&random) >> 12 : words[i - 1];
    }
    EXPECT(round_trip(1000, ENCODING_OF_DOUBLES, &encoding) < 200);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = random_u64(&random);
    }
    EXPECT_UINT(round_trip(1000, ENCODING_OF_DOUBLES, &encoding), 8000);
    EXPECT_INT(encoding, ENCODING_PLAIN);
}

TEST(encoding, the_ends_of_int64_come_back)
{
    enum encoding encoding;
    words[0] = 0x8000000000000000;
    words[1] = 0x7fffffffffffffff;
    (void)round_trip(2, ENCODING_OF_NUMBERS, &encoding);
    words[0] = 0x7fffffffffffffff;
    words[1] = 0x8000000000000000; /* one more, modulo 2^64 */
    words[2] = 0x8000000000000001;
    (void)round_trip(3, ENCODING_OF_NUMBERS, &encoding);
    for (size_t i = 0; i < 100; i++) {
        words[i] = 0x8000000000000000 + i % 3;
    }
    (void)round_trip(100, ENCODING_OF_NUMBERS, &encoding);
    EXPECT_INT(encoding, ENCODING_OFFSETS);
}

/* Values of each kind that encodings get wrong, among ones that they get right. */
TEST(encoding, random_words_of_every_kind_and_shape_come_back)
{
    static const uint64_t odd[] = {
        0,
        1,
        0x8000000000000000,
        0x7fffffffffffffff,
        UINT64_MAX,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0x7ff8000000abcdef,
        0x7ff0000000000001,
        0x7fefffffffffffff,
    };
    struct random random = random_seeded(4);
    for (int round = 0; round < 6000; round++) {
        size_t n = 1 + (size_t)random_below(&random, round % 100 == 0 ? N_MAX : 60);
        unsigned shift = (unsigned)random_below(&random, 64);
        uint64_t base = random_u64(&random);
        enum encoding_kind kind = (enum encoding_kind)(round % 3);
        uint64_t shape = random_below(&random, 4);
        uint64_t odd_ones = random_below(&random, 4);
        for (size_t i = 0; i < n; i++) {
            words[i] = base + (random_u64(&random) >> shift) * (shape == 0 ? i : 1);
            if (shape == 1) {
                words[i] = double_word((double)(int64_t)(random_u64(&random) >> shift) / 1000);
            } else if (shape == 2) {
                words[i] = i > 0 && random_chance(&random, 9, 10) ? words[i - 1] : words[i];
            }
            if (random_below(&random, 20) < odd_ones) {
                words[i] = odd[random_below(&random, sizeof odd / sizeof odd[0])];
            }
            words[i] = kind == ENCODING_OF_FLOATS ? words[i] & UINT32_MAX : words[i];
        }
        enum encoding encoding;
        EXPECT(round_trip(n, kind, &encoding) <= n * 8 + 12);
    }
}

/* Files hold these bytes: they may not change. */
TEST(encoding, bytes_are_as_documented)
{
    struct buf b = {0};
    words[0] = 5;
    words[1] = 2;
    words[2] = 3;
    words[3] = 9;
    EXPECT_INT(encoding_put_words(&b, words, 4, ENCODING_OF_NUMBERS), ENCODING_OFFSETS);
    static const uint8_t offsets[] = {4, 3, 0, 0x43, 0x0e};
    EXPECT_UINT(b.size, sizeof offsets);
    EXPECT_MEM(b.data, offsets, sizeof offsets);
    buf_reset(&b);
    for (size_t i = 0; i < 40; i++) {
        words[i] = 1000 * i + (i >= 3 ? 100000 : 0);
    }
    EXPECT_INT(encoding_put_words(&b, words, 40, ENCODING_OF_NUMBERS), ENCODING_DELTAS);
    /* first 0, base 1000, width 0, one exception at the third delta, 100000 more */
    static const uint8_t deltas[] = {0, 0xd0, 0x0f, 0, 1, 2, 0xc0, 0x9a, 0x0c};
    EXPECT_UINT(b.size, sizeof deltas);
    EXPECT_MEM(b.data, deltas, sizeof deltas);
    buf_reset(&b);
    for (size_t i = 0; i < 5; i++) {
        words[i] = double_word((double)(11 + i) / 10);
    }
    words[2] = 0x8000000000000000;
    EXPECT_INT(encoding_put_words(&b, words, 5, ENCODING_OF_DOUBLES), ENCODING_DECIMAL);
    /* exponent 1, one exception at 2, numbers 11 12 12 14 15 as offsets of 3 bits */
    static const uint8_t decimals[] = {1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0x80, 2, 22, 3, 0, 0x48, 0x46};
    EXPECT_UINT(b.size, sizeof decimals);
    EXPECT_MEM(b.data, decimals, sizeof decimals);
    buf_deinit(&b);
}

static bool same_strings(const struct bytes *a, const struct bytes *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!bytes_equal(a[i], b[i])) {
            return false;
        }
    }
    return true;
}

static size_t string_round_trip(const struct bytes *strings, size_t n, enum encoding want)
{
    static struct bytes out[N_MAX];
    struct buf b = {0};
    enum encoding encoding = encoding_put_strings(&b, strings, n);
    EXPECT_INT(encoding, want);
    EXPECT(encoding_get_strings((uint8_t)encoding, buf_bytes(&b), out, n));
    EXPECT(same_strings(strings, out, n));
    EXPECT(!encoding_get_strings((uint8_t)encoding, bytes_of(b.data, b.size - 1), out, n));
    size_t size = b.size;
    buf_put_u8(&b, 0);
    EXPECT(!encoding_get_strings((uint8_t)encoding, buf_bytes(&b), out, n));
    buf_deinit(&b);
    return size;
}

TEST(encoding, repeated_strings_become_a_dictionary)
{
    static struct bytes strings[N_MAX];
    static char texts[N_MAX][8];
    for (size_t i = 0; i < N_MAX; i++) {
        strings[i] = bytes_str(i % 3 == 0 ? "red" : i % 3 == 1 ? "" : "green");
    }
    EXPECT_UINT(string_round_trip(strings, N_MAX, ENCODING_DICTIONARY),
                1 + 1 + 6 + 8 + 4 + N_MAX / 4);
    EXPECT_UINT(string_round_trip(strings, 1, ENCODING_STRINGS), 1 + 2 + 3);
    for (size_t i = 0; i < N_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%zu", i);
        strings[i] = bytes_str(texts[i]);
    }
    (void)string_round_trip(strings, N_MAX, ENCODING_STRINGS);
    for (size_t i = 0; i < 100; i++) {
        strings[i] = bytes_str("same");
    }
    EXPECT_UINT(string_round_trip(strings, 100, ENCODING_DICTIONARY), 1 + 1 + 2 + 4 + 2);
    strings[0] = (struct bytes){0};
    (void)string_round_trip(strings, 1, ENCODING_STRINGS);
}

TEST(encoding, bytes_that_are_no_encoding_are_refused)
{
    struct random random = random_seeded(4);
    static struct bytes strings[N_MAX];
    static const uint8_t encodings[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 18, 255};
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t size = (size_t)random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_below(&random, round % 2 == 0 ? 256 : 4);
        }
        uint8_t *copy = mem_dup(bytes, size); /* so that a read beyond it is seen */
        uint8_t encoding = encodings[random_below(&random, sizeof encodings)];
        size_t n = 1 + (size_t)random_below(&random, 20);
        bool known = encoding <= 7 || encoding == 16 || encoding == 17;
        bool good = encoding_get_words(encoding, bytes_of(copy, size), decoded, n);
        EXPECT(known || !good);
        good = encoding_get_strings(encoding, bytes_of(copy, size), strings, n);
        EXPECT(encoding >= 16 || !good);
        mem_free(copy);
    }
}
