/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stddef.h>

#include "testkit/test.h"

static void fail_a_check(void *number)
{
    CHECK(*(int *)number == 7);
}

static void panic(void *number)
{
    PANIC("the disk has %d problems", *(int *)number);
}

TEST(check, a_false_fact_stops_the_process_with_place_and_fact)
{
    int number = 8;
    EXPECT_DIES(fail_a_check, &number, "test_check.c:10: check failed: *(int *)number == 7");
    EXPECT_DIES(fail_a_check, &number, "tidemark: ");
}

TEST(check, a_true_fact_does_nothing)
{
    int number = 7;
    fail_a_check(&number);
    EXPECT_INT(number, 7);
}

TEST(check, a_panic_says_why)
{
    int number = 3;
    EXPECT_DIES(panic, &number, "test_check.c:15: the disk has 3 problems\n");
}

/* Off in release builds, and then it must not even evaluate its argument. */
TEST(check, verify_is_on_only_where_asked_for)
{
    int evaluated = 0;
    VERIFY(++evaluated > 0);
#ifdef TIDEMARK_VERIFY
    EXPECT_INT(evaluated, 1);
#else
    EXPECT_INT(evaluated, 0);
#endif
}
