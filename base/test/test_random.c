/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include "testkit/test.h"

/* Recorded seeds mean something only while these stay. The first five values of
 * seed 1234567 are those published with the reference implementation. */
TEST(random, a_seed_gives_the_same_numbers_for_ever)
{
    static const uint64_t want[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    struct random r = random_seeded(1234567);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        EXPECT_UINT(random_u64(&r), want[i]);
    }
    r = random_seeded(0);
    EXPECT_UINT(random_u64(&r), UINT64_C(0xe220a8397b1dcdaf));
}

TEST(random, numbers_stay_in_their_range_and_reach_both_ends)
{
    struct random r = random_seeded(1);
    bool low = false;
    bool high = false;
    for (unsigned i = 0; i < 1000; i++) {
        EXPECT(random_below(&r, 7) < 7);
        uint64_t n = random_between(&r, 5, 9);
        EXPECT(n >= 5 && n <= 9);
        low = low || n == 5;
        high = high || n == 9;
    }
    EXPECT(low);
    EXPECT(high);
    EXPECT_UINT(random_between(&r, 4, 4), 4);
    EXPECT_UINT(random_below(&r, 1), 0);
}

TEST(random, the_whole_range_is_a_range)
{
    struct random a = random_seeded(9);
    struct random b = random_seeded(9);
    EXPECT_UINT(random_between(&a, 0, UINT64_MAX), random_u64(&b));
}

TEST(random, chances_are_kept)
{
    struct random r = random_seeded(2);
    unsigned hits = 0;
    for (unsigned i = 0; i < 10000; i++) {
        hits += random_chance(&r, 1, 4);
        EXPECT(random_chance(&r, 3, 3));
        EXPECT(!random_chance(&r, 0, 3));
    }
    EXPECT(hits > 2300);
    EXPECT(hits < 2700);
}

static void ask_below_zero(void *r)
{
    (void)random_below(r, 0);
}

TEST(random, an_empty_range_is_a_bug)
{
    struct random r = random_seeded(1);
    EXPECT_DIES(ask_below_zero, &r, "check failed: limit > 0");
}
