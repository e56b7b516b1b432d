/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "base/check.h"

uint64_t random_u64(struct random *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = r->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t random_below(struct random *r, uint64_t limit)
{
    CHECK(limit > 0);
    return random_u64(r) % limit;
}

uint64_t random_between(struct random *r, uint64_t low, uint64_t high)
{
    CHECK(low <= high);
    uint64_t span = high - low;
    return span == UINT64_MAX ? random_u64(r) : low + random_below(r, span + 1);
}

bool random_chance(struct random *r, uint64_t numerator, uint64_t denominator)
{
    return random_below(r, denominator) < numerator;
}
