/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/register.h"

#include "testkit/test.h"

TEST(register, a_read_sees_what_was_acknowledged_before_it_began_or_something_newer)
{
    struct reg_bounds b = {.low = 5, .sent = 7};
    EXPECT(reg_bounds_judge(&b, 5, 5));
    EXPECT_UINT(b.low, 5);
    EXPECT(!reg_bounds_judge(&b, 5, 4));
    EXPECT(!reg_bounds_judge(&b, 5, 0)); /* no row at all */
    EXPECT(!reg_bounds_judge(&b, 5, 8)); /* never sent */
}

TEST(register, a_read_is_not_older_than_one_that_ended_before_it_began)
{
    struct reg_bounds b = {.low = 5, .sent = 7};
    uint64_t began_before = b.low;
    EXPECT(reg_bounds_judge(&b, b.low, 7)); /* not acknowledged, but seen */
    EXPECT(!reg_bounds_judge(&b, b.low, 6));
    EXPECT(reg_bounds_judge(&b, began_before, 6)); /* the two reads overlap */
    EXPECT_UINT(b.low, 7);
}

TEST(register, an_empty_one_may_be_read)
{
    struct reg_bounds b = {0};
    EXPECT(reg_bounds_judge(&b, 0, 0));
    EXPECT(!reg_bounds_judge(&b, 0, 1));
}
