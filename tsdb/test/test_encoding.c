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
static size_t round_trip(size_t n, bool packable, enum encoding want)
{
    struct buf b = {0};
    enum encoding encoding = encoding_put_words(&b, words, n, packable);
    EXPECT_INT(encoding, want);
    memset(decoded, 0xaa, n * sizeof decoded[0]);
    EXPECT(encoding_get_words((uint8_t)encoding, buf_bytes(&b), decoded, n));
    EXPECT(memcmp(decoded, words, n * sizeof words[0]) == 0);
    size_t size = b.size;
    /* A byte less or more is noticed. */
    EXPECT(!encoding_get_words((uint8_t)encoding, bytes_of(b.data, size - 1), decoded, n));
    buf_put_u8(&b, 0);
    EXPECT(!encoding_get_words((uint8_t)encoding, buf_bytes(&b), decoded, n));
    buf_deinit(&b);
    return size;
}

TEST(encoding, the_smallest_form_is_taken)
{
    for (size_t i = 0; i < 1000; i++) {
        words[i] = 7;
    }
    EXPECT_UINT(round_trip(1, true, ENCODING_CONSTANT), 8);
    EXPECT_UINT(round_trip(1000, true, ENCODING_CONSTANT), 8);
    EXPECT_UINT(round_trip(1000, false, ENCODING_CONSTANT), 8);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = 1700000000000 + i * 10;
    }
    EXPECT_UINT(round_trip(1000, true, ENCODING_DELTAS), 17); /* regular times: no bits at all */
    EXPECT_UINT(round_trip(1000, false, ENCODING_PLAIN), 8000);
    struct random random = random_seeded(1);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = 100 + random_below(&random, 128);
    }
    words[0] = 100;
    words[1] = 227;
    EXPECT_UINT(round_trip(1000, true, ENCODING_OFFSETS), 9 + 875); /* 7 bits each */
    for (size_t i = 0; i < 1000; i++) {
        words[i] = random_u64(&random);
    }
    EXPECT_UINT(round_trip(1000, true, ENCODING_PLAIN), 8000);
}

TEST(encoding, the_ends_of_int64_come_back)
{
    words[0] = 0x8000000000000000;
    words[1] = 0x7fffffffffffffff;
    (void)round_trip(2, true, ENCODING_PLAIN);
    words[0] = 0x7fffffffffffffff;
    words[1] = 0x8000000000000000; /* one more, modulo 2^64 */
    words[2] = 0x8000000000000001;
    (void)round_trip(3, true, ENCODING_DELTAS);
    for (size_t i = 0; i < 100; i++) {
        words[i] = 0x8000000000000000 + i % 3;
    }
    (void)round_trip(100, true, ENCODING_OFFSETS);
}

/* Every width of bits, with values that use all of them. */
TEST(encoding, every_width_of_bits_comes_back)
{
    struct random random = random_seeded(2);
    for (unsigned width = 1; width < 64; width++) {
        for (size_t n = 2; n < 40; n += 1 + n / 4) {
            uint64_t mask = (UINT64_C(1) << width) - 1;
            for (size_t i = 0; i < n; i++) {
                words[i] = random_u64(&random) & mask;
            }
            words[0] = 0;
            words[n - 1] = mask;
            struct buf b = {0};
            enum encoding encoding = encoding_put_words(&b, words, n, true);
            EXPECT(encoding_get_words((uint8_t)encoding, buf_bytes(&b), decoded, n));
            EXPECT(memcmp(decoded, words, n * sizeof words[0]) == 0);
            buf_deinit(&b);
        }
    }
}

TEST(encoding, random_words_of_every_shape_come_back)
{
    struct random random = random_seeded(3);
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + (size_t)random_below(&random, round % 10 == 0 ? N_MAX : 50);
        unsigned shift = (unsigned)random_below(&random, 64);
        uint64_t base = random_u64(&random);
        for (size_t i = 0; i < n; i++) {
            words[i] = base + (random_u64(&random) >> shift) * (round % 3 == 0 ? i : 1);
        }
        struct buf b = {0};
        enum encoding encoding = encoding_put_words(&b, words, n, round % 2 == 0);
        EXPECT(encoding_get_words((uint8_t)encoding, buf_bytes(&b), decoded, n));
        EXPECT(memcmp(decoded, words, n * sizeof words[0]) == 0);
        EXPECT(b.size <= n * 8);
        buf_deinit(&b);
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
    EXPECT_INT(encoding_put_words(&b, words, 4, true), ENCODING_OFFSETS);
    static const uint8_t offsets[] = {2, 0, 0, 0, 0, 0, 0, 0, 3, 0x43, 0x0e};
    EXPECT_UINT(b.size, sizeof offsets);
    EXPECT_MEM(b.data, offsets, sizeof offsets);
    buf_reset(&b);
    for (size_t i = 0; i < 40; i++) {
        words[i] = 1000 * i + (i == 3 ? 1 : 0);
    }
    EXPECT_INT(encoding_put_words(&b, words, 40, true), ENCODING_DELTAS);
    static const uint8_t deltas[] = {0,    0,    0,    0,    0,    0,    0,    0, /* first */
                                     0xe7, 0x03, 0,    0,    0,    0,    0,    0, /* 999 */
                                     2,    0x25, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55,
                                     0x55, 0x55, 0x15};
    EXPECT_UINT(b.size, sizeof deltas);
    EXPECT_MEM(b.data, deltas, sizeof deltas);
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
    EXPECT_UINT(string_round_trip(strings, N_MAX, ENCODING_DICTIONARY), 1 + 3 + 8 + 1 + N_MAX / 4);
    EXPECT_UINT(string_round_trip(strings, 1, ENCODING_STRINGS), 4);
    for (size_t i = 0; i < N_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%zu", i);
        strings[i] = bytes_str(texts[i]);
    }
    (void)string_round_trip(strings, N_MAX, ENCODING_STRINGS);
    for (size_t i = 0; i < 100; i++) {
        strings[i] = bytes_str("same");
    }
    EXPECT_UINT(string_round_trip(strings, 100, ENCODING_DICTIONARY), 1 + 1 + 4 + 1);
    strings[0] = (struct bytes){0};
    (void)string_round_trip(strings, 1, ENCODING_STRINGS);
}

TEST(encoding, bytes_that_are_no_encoding_are_refused)
{
    struct random random = random_seeded(4);
    static struct bytes strings[N_MAX];
    static const uint8_t encodings[] = {0, 1, 2, 3, 4, 15, 16, 17, 18, 255};
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t size = (size_t)random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_below(&random, round % 2 == 0 ? 256 : 4);
        }
        uint8_t *copy = mem_dup(bytes, size); /* so that a read beyond it is seen */
        uint8_t encoding = encodings[random_below(&random, sizeof encodings)];
        size_t n = 1 + (size_t)random_below(&random, 20);
        bool known = encoding <= 3 || encoding == 16 || encoding == 17;
        bool good = encoding_get_words(encoding, bytes_of(copy, size), decoded, n);
        EXPECT(known || !good);
        good = encoding_get_strings(encoding, bytes_of(copy, size), strings, n);
        EXPECT(encoding >= 16 || !good);
        mem_free(copy);
    }
}
