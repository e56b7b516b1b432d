/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo-random numbers that are the same on every machine for one seed
 * (splitmix64: Steele, Lea, Flood, 2014). Not for secrets: see io_entropy(). */
#ifndef TIDEMARK_BASE_RANDOM_H
#define TIDEMARK_BASE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline struct random random_seeded(uint64_t seed)
{
    return (struct random){seed};
}

uint64_t random_u64(struct random *r);
uint64_t random_below(struct random *r, uint64_t limit); /* 0 .. limit - 1; limit > 0 */
uint64_t random_between(struct random *r, uint64_t low, uint64_t high); /* both included */
bool random_chance(struct random *r, uint64_t numerator, uint64_t denominator);

#endif
