/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/block_statistics.h"

#include "base/random.h"
#include "testkit/test.h"

static struct block_statistics statistics_trip(enum value_type type, const uint64_t *words,
                                               size_t n, size_t *size)
{
    struct buf b = {0};
    struct block_statistics s;
    struct block_statistics back;
    block_statistics_of(type, words, n, &s);
    block_statistics_put(&b, type, &s, n);
    struct cursor c = cursor_of(buf_bytes(&b));
    block_statistics_get(&c, type, n, &back);
    EXPECT(cursor_done(&c));
    EXPECT_UINT(back.least, s.least);
    EXPECT_UINT(back.greatest, s.greatest);
    EXPECT_UINT(back.first, s.first);
    EXPECT_UINT(back.last, s.last);
    EXPECT_UINT(back.sum_low, s.sum_low);
    EXPECT_UINT(back.sum_high, s.sum_high);
    *size = b.size;
    buf_deinit(&b);
    return s;
}

static uint64_t word(double v)
{
    uint64_t w = 0;
    memcpy(&w, &v, sizeof w);
    return w;
}

/* As small as a few values: a block of 100 rows is not the larger for them. */
TEST(block_statistics, small_numbers_take_few_bytes)
{
    uint64_t words[500];
    size_t size = 0;
    for (size_t i = 0; i < 500; i++) {
        words[i] = word((double)(4500 + (i * 37) % 200) / 100);
    }
    struct block_statistics s = statistics_trip(VALUE_DOUBLE, words, 500, &size);
    EXPECT_UINT(s.least, word(45));
    EXPECT(size <= 14);
    for (size_t i = 0; i < 500; i++) {
        words[i] = 1000 + i;
    }
    s = statistics_trip(VALUE_INT64, words, 500, &size);
    EXPECT_UINT(s.sum_low, 500 * 1000 + 499 * 250);
    EXPECT(size <= 12);
    words[0] = 7;
    (void)statistics_trip(VALUE_INT64, words, 1, &size);
    EXPECT_UINT(size, 6);
    (void)statistics_trip(VALUE_STRING, words, 1, &size);
    EXPECT_UINT(size, 0);
}

TEST(block_statistics, all_come_back_whatever_the_numbers)
{
    static const uint64_t odd[] = {
        0,
        1,
        UINT64_MAX,
        0x8000000000000000,
        0x7fffffffffffffff,
        0x7ff8000000abcdef,
        0xfff0000000000000,
        0x7ff0000000000000,
        0x7fefffffffffffff,
        0x3ff8000000000000,
    };
    struct random random = random_seeded(1);
    uint64_t words[30];
    for (int round = 0; round < 20000; round++) {
        size_t n = 1 + (size_t)random_below(&random, 30);
        unsigned shift = (unsigned)random_below(&random, 64);
        bool decimal = random_chance(&random, 1, 3);
        for (size_t i = 0; i < n; i++) {
            words[i] = random_chance(&random, 1, 5)
                           ? odd[random_below(&random, 10)]
                           : (uint64_t)((int64_t)random_u64(&random) >> shift);
            if (decimal) {
                words[i] = word((double)random_below(&random, 100000) / 1000);
            }
        }
        size_t size = 0;
        (void)statistics_trip(VALUE_INT64, words, n, &size);
        (void)statistics_trip(VALUE_DOUBLE, words, n, &size);
        EXPECT(!decimal || size < 25);
    }
}

static uint64_t narrow_word(float v)
{
    uint32_t w = 0;
    memcpy(&w, &v, sizeof w);
    return w;
}

/* Their words are those of floats, their sum is that of a double. */
TEST(block_statistics, floats_with_few_decimals_take_few_bytes)
{
    uint64_t words[100];
    size_t size = 0;
    double sum = 0;
    for (size_t i = 0; i < 100; i++) {
        float v = (float)((double)(2100 + (i * 37) % 90) / 100);
        words[i] = narrow_word(v);
        sum += (double)v;
    }
    struct block_statistics s = statistics_trip(VALUE_FLOAT, words, 100, &size);
    EXPECT_UINT(s.least, narrow_word(21.0F));
    EXPECT_UINT(s.greatest, narrow_word(21.89F));
    EXPECT_UINT(s.sum_low, word(sum));
    EXPECT(size <= 16);
    words[0] = 0x7fc000aa; /* a NaN */
    s = statistics_trip(VALUE_FLOAT, words, 1, &size);
    EXPECT_UINT(s.least, 0x7fc00000);
    EXPECT_UINT(s.first, 0x7fc000aa);
    EXPECT_UINT(s.sum_low, 0x7ff8000000000000);
}

TEST(block_statistics, any_bytes_are_taken_or_refused)
{
    struct random random = random_seeded(2);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[60];
        size_t size = (size_t)random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_u64(&random);
        }
        struct cursor c = cursor_of(bytes_of(bytes, size));
        struct block_statistics s;
        block_statistics_get(&c, round % 2 == 0 ? VALUE_DOUBLE : VALUE_INT64, 1 + size, &s);
        EXPECT(c.bad || c.size < size);
    }
}
