/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of logs of nodes that crashed at random moments before (experiment P4): they
 * lag, or hold what was never committed. Some of that is lost too, and dropped. */
#include "sim/test/damage_case.h"

/* Published: 5,000 cases, all correct. */
TEST(damage_crashes, blocks_of_nodes_that_crashed_and_lag_are_made_good)
{
    struct tally t =
        play((struct experiment){.cases = 5000, .kind = DAMAGE_GARBAGE, .crashes = true});
    EXPECT(t.correct * 100 >= t.cases * 97);
    EXPECT(t.dropped > 0 || TEST_SANITIZED);
    EXPECT(t.replaced > 0 || TEST_SANITIZED);
}
