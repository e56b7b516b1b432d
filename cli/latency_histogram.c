/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/latency_histogram.h"

#include <stddef.h>

#include "base/check.h"

/* Times below 2 * STEPS have a place each; above, the power of two and its step. */
static size_t place_of(uint64_t us)
{
    if (us < 2 * LATENCY_STEPS) {
        return (size_t)us;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(us); /* at least 7 */
    unsigned shift = power - 6;                          /* leaves 64 .. 127 */
    size_t place = (size_t)shift * LATENCY_STEPS + (size_t)(us >> shift);
    size_t last = (size_t)LATENCY_POWERS * LATENCY_STEPS - 1;
    return place < last ? place : last;
}

/* The largest time that goes there. */
static uint64_t time_at(size_t place)
{
    if (place < (size_t)2 * LATENCY_STEPS) {
        return place;
    }
    size_t shift = place / LATENCY_STEPS - 1;
    uint64_t step = place % LATENCY_STEPS + LATENCY_STEPS;
    return ((step + 1) << shift) - 1;
}

void latency_add(struct latency_histogram *h, uint64_t us)
{
    h->counts[place_of(us)]++;
    h->count++;
    h->sum_us += us;
    h->max_us = us > h->max_us ? us : h->max_us;
}

uint64_t latency_percentile(const struct latency_histogram *h, unsigned per_mille)
{
    CHECK(per_mille <= 1000);
    if (h->count == 0) {
        return 0;
    }
    uint64_t rank = (h->count * per_mille + 999) / 1000;
    rank = rank == 0 ? 1 : rank;
    uint64_t seen = 0;
    for (size_t i = 0; i < (size_t)LATENCY_POWERS * LATENCY_STEPS; i++) {
        seen += h->counts[i];
        if (seen >= rank) {
            return time_at(i) < h->max_us ? time_at(i) : h->max_us;
        }
    }
    return h->max_us;
}

uint64_t latency_mean(const struct latency_histogram *h)
{
    return h->count == 0 ? 0 : h->sum_us / h->count;
}
