/* SPDX-License-Identifier: Apache-2.0 */
/* Counts times by size, so that percentiles of millions of them cost little memory
 * and are right within 1/64 (1.6 %): 64 steps for each power of two. */
#ifndef TIDEMARK_CLI_LATENCY_HISTOGRAM_H
#define TIDEMARK_CLI_LATENCY_HISTOGRAM_H

#include <stdint.h>

enum { LATENCY_STEPS = 64, LATENCY_POWERS = 32 }; /* up to 2^37 us: a day and a half */

struct latency_histogram {
    uint64_t counts[LATENCY_POWERS * LATENCY_STEPS];
    uint64_t count;
    uint64_t sum_us;
    uint64_t max_us;
};

void latency_add(struct latency_histogram *h, uint64_t us);
/* The time that 'per_mille' of 1,000 did not exceed; 0 when nothing was counted. */
uint64_t latency_percentile(const struct latency_histogram *h, unsigned per_mille);
uint64_t latency_mean(const struct latency_histogram *h);

#endif
