/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "cli/row_set.h"
#include "testkit/test.h"

TEST(row_set, counts_each_row_once)
{
    struct row_set s = {0};
    uint64_t count = 77;
    EXPECT(row_set_count(&s, &count));
    EXPECT_UINT(count, 0);
    struct random r = random_seeded(1);
    for (unsigned round = 0; round < 2; round++) {
        r = random_seeded(1);
        for (unsigned i = 0; i < 100000; i++) {
            row_set_add(&s, random_u64(&r), ROW_SET_MAX);
        }
        row_set_add(&s, 0, ROW_SET_MAX);
    }
    EXPECT(row_set_count(&s, &count));
    EXPECT_UINT(count, 100001);
    row_set_deinit(&s);
}

TEST(row_set, neighbours_do_not_hide_each_other)
{
    struct row_set s = {0};
    for (uint64_t i = 1; i <= 600; i++) {
        row_set_add(&s, i << 32, ROW_SET_MAX);
        row_set_add(&s, i, ROW_SET_MAX);
    }
    uint64_t count = 0;
    EXPECT(row_set_count(&s, &count));
    EXPECT_UINT(count, 1200);
    row_set_deinit(&s);
}

TEST(row_set, lets_go_when_there_are_too_many)
{
    struct row_set s = {0};
    for (uint64_t i = 1; i <= 10; i++) {
        row_set_add(&s, i, 10);
    }
    uint64_t count = 0;
    EXPECT(row_set_count(&s, &count));
    EXPECT_UINT(count, 10);
    row_set_add(&s, 5, 10);
    EXPECT(row_set_count(&s, &count));
    row_set_add(&s, 11, 10);
    EXPECT(!row_set_count(&s, &count));
    EXPECT(s.slots == NULL);
    row_set_add(&s, 12, 10);
    EXPECT(!row_set_count(&s, &count));
    row_set_deinit(&s);
}
