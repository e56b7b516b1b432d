/* SPDX-License-Identifier: Apache-2.0 */
#include "node/level.h"

#include <string.h>

#include "testkit/test.h"

enum { LEVELS = 4 };

TEST(level, every_change_is_defined_and_says_what_it_means)
{
    for (unsigned i = 0; i < 2 * LEVELS * LEVELS; i++) {
        enum wal_level from = (enum wal_level)(i / LEVELS % LEVELS);
        enum wal_level to = (enum wal_level)(i % LEVELS);
        bool alone = i >= LEVELS * LEVELS;
        test_context("from %u to %u, %s", (unsigned)from, (unsigned)to,
                     alone ? "alone" : "cluster");
        struct level_plan plan = level_plan(from, to, alone);
        EXPECT((plan.step == LEVEL_NOTHING) == (from == to));
        REQUIRE(plan.note != NULL);
        EXPECT(plan.note[0] != '\0');
        EXPECT((strstr(plan.note, "nothing was done") != NULL) == (from == to));
        EXPECT((strstr(plan.note, "in a cluster") != NULL) == (!alone && from != to));
    }
}

/* safety.md F1 */
TEST(level, only_a_node_alone_changes_the_way_it_commits)
{
    for (unsigned i = 0; i < LEVELS * LEVELS; i++) {
        enum wal_level from = (enum wal_level)(i / LEVELS);
        enum wal_level to = (enum wal_level)(i % LEVELS);
        bool begins = from != WAL_LEVEL_BYRL && to == WAL_LEVEL_BYRL;
        bool ends = from == WAL_LEVEL_BYRL && to != WAL_LEVEL_BYRL;
        test_context("from %u to %u", (unsigned)from, (unsigned)to);
        EXPECT((level_plan(from, to, true).step == LEVEL_RAFT) == begins);
        EXPECT((level_plan(from, to, true).step == LEVEL_LOCAL) == ends);
        enum level_step step = level_plan(from, to, false).step;
        EXPECT(step != LEVEL_RAFT && step != LEVEL_LOCAL);
    }
}

/* In a cluster 0 is as 3, so there is nothing to be made safe first. */
TEST(level, copies_change_behind_a_checkpoint)
{
    EXPECT(level_plan(WAL_LEVEL_OFF, WAL_LEVEL_BYRL, false).step == LEVEL_SETTING);
    EXPECT(level_plan(WAL_LEVEL_BYRL, WAL_LEVEL_OFF, false).step == LEVEL_SETTING);
    EXPECT(level_plan(WAL_LEVEL_BYRL, WAL_LEVEL_SYNC, false).step == LEVEL_SWITCH);
    EXPECT(level_plan(WAL_LEVEL_FLUSH, WAL_LEVEL_OFF, false).step == LEVEL_SWITCH);
    EXPECT(level_plan(WAL_LEVEL_FLUSH, WAL_LEVEL_SYNC, true).step == LEVEL_SWITCH);
}
