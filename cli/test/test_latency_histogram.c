/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "cli/latency_histogram.h"
#include "testkit/test.h"

TEST(latency_histogram, an_empty_one_says_zero)
{
    struct latency_histogram *h = mem_zalloc(sizeof *h);
    EXPECT_UINT(latency_percentile(h, 500), 0);
    EXPECT_UINT(latency_mean(h), 0);
    mem_free(h);
}

TEST(latency_histogram, small_times_are_exact)
{
    struct latency_histogram *h = mem_zalloc(sizeof *h);
    for (uint64_t us = 1; us <= 100; us++) {
        latency_add(h, us);
    }
    EXPECT_UINT(latency_percentile(h, 0), 1);
    EXPECT_UINT(latency_percentile(h, 500), 50);
    EXPECT_UINT(latency_percentile(h, 990), 99);
    EXPECT_UINT(latency_percentile(h, 1000), 100);
    EXPECT_UINT(latency_mean(h), 50);
    EXPECT_UINT(h->max_us, 100);
    mem_free(h);
}

TEST(latency_histogram, a_time_beyond_all_is_still_counted)
{
    struct latency_histogram *h = mem_zalloc(sizeof *h);
    latency_add(h, UINT64_MAX);
    latency_add(h, 0);
    EXPECT_UINT(h->count, 2);
    EXPECT_UINT(latency_percentile(h, 500), 0);
    EXPECT(latency_percentile(h, 1000) > UINT64_C(100000000000));
    mem_free(h);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

TEST(latency_histogram, percentiles_are_right_within_a_sixtyfourth)
{
    enum { COUNT = 20000 };
    struct latency_histogram *h = mem_zalloc(sizeof *h);
    uint64_t *times = mem_array(COUNT, sizeof *times);
    struct random r = random_seeded(9);
    for (unsigned i = 0; i < COUNT; i++) {
        times[i] = random_u64(&r);
        times[i] >>= 28 + random_below(&r, 34);
        latency_add(h, times[i]);
    }
    qsort(times, COUNT, sizeof *times, compare);
    static const unsigned shares[] = {1, 100, 500, 900, 990, 999, 1000};
    for (unsigned i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        uint64_t want = times[(uint64_t)COUNT * shares[i] / 1000 - 1];
        uint64_t is = latency_percentile(h, shares[i]);
        EXPECT(is >= want);
        EXPECT(is <= want + want / 64 + 1);
    }
    mem_free(times);
    mem_free(h);
}
