/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_status.h"

#include "testkit/test.h"

TEST(grpc_status, numbers_are_those_of_the_wire)
{
    EXPECT_INT(GRPC_OK, 0);
    EXPECT_INT(GRPC_NOT_FOUND, 5);
    EXPECT_INT(GRPC_UNIMPLEMENTED, 12);
    EXPECT_INT(GRPC_UNAVAILABLE, 14);
    EXPECT_INT(GRPC_UNAUTHENTICATED, 16);
    EXPECT_STR(grpc_status_name(GRPC_UNAVAILABLE), "UNAVAILABLE");
    for (int i = 0; i < GRPC_STATUS_COUNT; i++) {
        EXPECT(grpc_status_name((enum grpc_status)i) != NULL);
    }
}

/* What a client concludes from an answer must mean what the server meant. */
TEST(grpc_status, errors_survive_the_way_there_and_back)
{
    for (int i = 0; i < ERR_CODE_COUNT; i++) {
        enum grpc_status status = grpc_status_of_err((enum err_code)i);
        EXPECT((status == GRPC_OK) == (i == ERR_OK));
        EXPECT_INT(grpc_status_of_err(grpc_status_to_err(status)), status);
    }
    for (int i = 0; i < GRPC_STATUS_COUNT; i++) {
        enum err_code code = grpc_status_to_err((enum grpc_status)i);
        EXPECT((code == ERR_OK) == (i == GRPC_OK));
    }
    EXPECT_INT(grpc_status_of_err(ERR_NOT_LEADER), GRPC_UNAVAILABLE);
    EXPECT_INT(grpc_status_of_err(ERR_UNKNOWN_OUTCOME), GRPC_ABORTED);
    EXPECT_INT(grpc_status_to_err(GRPC_ABORTED), ERR_UNKNOWN_OUTCOME);
}

TEST(grpc_status, answers_without_one_get_one)
{
    EXPECT_INT(grpc_status_of_http(404), GRPC_UNIMPLEMENTED);
    EXPECT_INT(grpc_status_of_http(503), GRPC_UNAVAILABLE);
    EXPECT_INT(grpc_status_of_http(200), GRPC_UNKNOWN);
    EXPECT_INT(grpc_status_of_http2_error(7), GRPC_UNAVAILABLE);
    EXPECT_INT(grpc_status_of_http2_error(8), GRPC_CANCELLED);
    EXPECT_INT(grpc_status_of_http2_error(11), GRPC_RESOURCE_EXHAUSTED);
    EXPECT_INT(grpc_status_of_http2_error(2), GRPC_INTERNAL);
}
