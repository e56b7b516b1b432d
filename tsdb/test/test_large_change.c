/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/large_change.h"

#include "testkit/test.h"

static enum large_verdict add(struct large_change *l, uint64_t place, uint64_t index, uint64_t term)
{
    struct command_part part = {.place = place, .count = 3, .piece = bytes_str("ab")};
    return large_change_add(l, &part, index, term);
}

TEST(large_change, is_whole_with_its_last_part)
{
    struct large_change l = {0};
    EXPECT_INT(add(&l, 0, 7, 2), LARGE_MORE);
    EXPECT_INT(add(&l, 1, 8, 2), LARGE_MORE);
    EXPECT_INT(add(&l, 2, 9, 2), LARGE_WHOLE);
    EXPECT(bytes_equal(buf_bytes(&l.bytes), bytes_str("ababab")));
    large_change_drop(&l);
    EXPECT_UINT(l.bytes.size, 0);
}

TEST(large_change, begins_anew_with_a_first_part)
{
    struct large_change l = {0};
    EXPECT_INT(add(&l, 0, 7, 2), LARGE_MORE);
    EXPECT_INT(add(&l, 1, 8, 2), LARGE_MORE);
    EXPECT_INT(add(&l, 0, 9, 3), LARGE_MORE); /* another leader's retry */
    EXPECT_INT(add(&l, 1, 10, 3), LARGE_MORE);
    EXPECT_INT(add(&l, 2, 11, 3), LARGE_WHOLE);
    EXPECT_UINT(l.bytes.size, 6);
    large_change_drop(&l);
}

TEST(large_change, is_void_when_something_stands_between_its_parts)
{
    static const struct {
        uint64_t place, index, term;
    } next[] = {{1, 9, 2}, {1, 8, 3}, {2, 8, 2}};
    for (size_t i = 0; i < sizeof next / sizeof next[0]; i++) {
        struct large_change l = {0};
        EXPECT_INT(add(&l, 0, 7, 2), LARGE_MORE);
        EXPECT_INT(add(&l, next[i].place, next[i].index, next[i].term), LARGE_VOID);
        EXPECT_UINT(l.bytes.size, 0);
        EXPECT_INT(add(&l, 1, next[i].index + 1, next[i].term), LARGE_VOID);
    }
}

TEST(large_change, is_void_after_a_part_of_another_change)
{
    struct large_change l = {0};
    EXPECT_INT(add(&l, 0, 7, 2), LARGE_MORE);
    struct command_part other = {.place = 1, .count = 2, .piece = bytes_str("x")};
    EXPECT_INT(large_change_add(&l, &other, 8, 2), LARGE_VOID);
}
