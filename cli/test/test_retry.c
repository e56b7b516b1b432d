/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/retry.h"
#include "testkit/test.h"

TEST(retry, tells_refusals_from_lost_answers)
{
    EXPECT_INT(retry_judge(GRPC_OK), RETRY_DONE);
    EXPECT_INT(retry_judge(GRPC_UNAVAILABLE), RETRY_ELSEWHERE);
    EXPECT_INT(retry_judge(GRPC_ABORTED), RETRY_ELSEWHERE);
    EXPECT_INT(retry_judge(GRPC_DEADLINE_EXCEEDED), RETRY_ELSEWHERE);
    EXPECT_INT(retry_judge(GRPC_RESOURCE_EXHAUSTED), RETRY_LATER);
    EXPECT_INT(retry_judge(GRPC_INVALID_ARGUMENT), RETRY_NEVER);
    EXPECT_INT(retry_judge(GRPC_NOT_FOUND), RETRY_NEVER);
    EXPECT_INT(retry_judge(GRPC_UNIMPLEMENTED), RETRY_NEVER);
}

TEST(retry, only_a_lost_answer_may_hide_an_effect)
{
    EXPECT(retry_may_have_happened(GRPC_UNAVAILABLE, false));
    EXPECT(!retry_may_have_happened(GRPC_UNAVAILABLE, true));
    EXPECT(retry_may_have_happened(GRPC_ABORTED, false));
    EXPECT(retry_may_have_happened(GRPC_RESOURCE_EXHAUSTED, false));
    EXPECT(!retry_may_have_happened(GRPC_INVALID_ARGUMENT, false));
}

TEST(retry, waits_little_at_first_and_never_long)
{
    EXPECT_UINT(retry_delay_ms(0), 0);
    EXPECT_UINT(retry_delay_ms(1), 10);
    EXPECT_UINT(retry_delay_ms(2), 20);
    EXPECT_UINT(retry_delay_ms(3), 40);
    EXPECT_UINT(retry_delay_ms(4), 50);
    EXPECT_UINT(retry_delay_ms(40), 50);
    uint64_t before = 50;
    for (unsigned i = 41; i < 1000; i++) {
        uint64_t delay = retry_delay_ms(i);
        EXPECT(delay >= before);
        EXPECT(delay <= 500);
        before = delay;
    }
    EXPECT_UINT(before, 500);
    EXPECT_UINT(retry_delay_ms(UINT32_MAX), 500);
}
