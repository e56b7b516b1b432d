/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/packing.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

enum { N_MAX = LIMIT_BLOCK_ROWS_MAX };

static uint64_t words[N_MAX];
static uint64_t decoded[N_MAX];

/* Packs the first n words, unpacks them from memory of exactly that size; the size. */
static size_t packing_trip(size_t n, struct packing *p)
{
    struct buf b = {0};
    *p = packing_plan(words, n);
    packing_put(&b, p, words, n);
    uint8_t *copy = mem_dup(b.data, b.size); /* so that a read beyond it is seen */
    memset(decoded, 0xaa, n * sizeof decoded[0]);
    EXPECT(packing_get(bytes_of(copy, b.size), decoded, n));
    EXPECT(memcmp(decoded, words, n * sizeof words[0]) == 0);
    EXPECT(!packing_get(bytes_of(copy, b.size - 1), decoded, n));
    size_t size = b.size;
    mem_free(copy);
    buf_deinit(&b);
    return size;
}

TEST(packing, bits_of_every_width_and_count_come_back)
{
    struct random random = random_seeded(1);
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t n = 1; n < 70; n++) {
            uint64_t mask = width == 0 ? 0 : UINT64_MAX >> (64 - width);
            for (size_t i = 0; i < n; i++) {
                words[i] = random_u64(&random) & mask;
            }
            size_t size = packing_bits_size(n, width);
            EXPECT_UINT(size, (n * width + 7) / 8);
            uint8_t *data = mem_array(size + 1, 1);
            data[size] = 0x5a;
            packing_put_bits(data, words, n, width);
            EXPECT_UINT(data[size], 0x5a);
            packing_get_bits(data, decoded, n, width);
            EXPECT(memcmp(decoded, words, n * sizeof words[0]) == 0);
            mem_free(data);
        }
    }
}

TEST(packing, words_close_to_each_other_take_the_bits_of_their_range)
{
    struct packing p;
    struct random random = random_seeded(2);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = 100 + random_below(&random, 128);
    }
    words[0] = 100;
    words[1] = 227;
    EXPECT_UINT(packing_trip(1000, &p), 2 + 1 + 1 + 875);
    EXPECT_UINT(p.width, 7);
    EXPECT_UINT(p.base, 100);
}

/* A few far away, on both sides, must not make all the others wide. */
TEST(packing, outliers_are_exceptions)
{
    struct packing p;
    struct random random = random_seeded(3);
    for (size_t i = 0; i < 1000; i++) {
        words[i] = random_below(&random, 16) - 8;
    }
    words[10] = 1000000;
    words[500] = 0 - UINT64_C(1000000);
    words[999] = 0x8000000000000000;
    size_t size = packing_trip(1000, &p);
    EXPECT_UINT(p.width, 4);
    EXPECT(size < 500 + 40);
    EXPECT(p.size + 20 > size);
    EXPECT(p.size < size + 20);
}

TEST(packing, the_ends_of_int64_come_back)
{
    struct packing p;
    static const uint64_t ends[] = {0x8000000000000000, 0x7fffffffffffffff, 0, UINT64_MAX, 1};
    for (size_t i = 0; i < 5; i++) {
        for (size_t j = 0; j < 5; j++) {
            for (size_t at = 0; at < 100; at++) {
                words[at] = at % 9 == 0 ? ends[i] : ends[j];
            }
            (void)packing_trip(1, &p);
            (void)packing_trip(2, &p);
            (void)packing_trip(100, &p);
        }
    }
}

/* Clusters of any width, at any place, with outliers of any width. */
TEST(packing, random_words_come_back)
{
    struct random random = random_seeded(4);
    for (int round = 0; round < 3000; round++) {
        struct packing p;
        size_t n = 1 + (size_t)random_below(&random, round % 50 == 0 ? N_MAX : 200);
        unsigned narrow = (unsigned)random_below(&random, 64);
        unsigned wide = (unsigned)random_below(&random, 64);
        uint64_t base = random_u64(&random);
        for (size_t i = 0; i < n; i++) {
            unsigned shift = random_chance(&random, 1, 20) ? wide : narrow;
            words[i] = base + (uint64_t)((int64_t)random_u64(&random) >> shift);
        }
        size_t size = packing_trip(n, &p);
        EXPECT(size <= n * 8 + 24);
    }
}

TEST(packing, bytes_that_are_not_packed_words_are_refused)
{
    struct random random = random_seeded(5);
    unsigned good = 0;
    for (int round = 0; round < 50000; round++) {
        uint8_t bytes[40];
        size_t size = (size_t)random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_below(&random, round % 2 == 0 ? 256 : 8);
        }
        uint8_t *copy = mem_dup(bytes, size);
        good += packing_get(bytes_of(copy, size), decoded, 1 + (size_t)random_below(&random, 20))
                    ? 1
                    : 0;
        mem_free(copy);
    }
    EXPECT(good > 0);
    EXPECT(good < 25000);
}
