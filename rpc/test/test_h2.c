/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/h2.h"

#include "base/mem.h"
#include "testkit/test.h"

TEST(h2, sessions_count_in_our_memory)
{
    size_t before = mem_in_use();
    nghttp2_session_callbacks *callbacks = NULL;
    REQUIRE_INT(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session *session = NULL;
    REQUIRE_INT(nghttp2_session_server_new3(&session, callbacks, NULL, NULL, h2_mem()), 0);
    EXPECT(mem_in_use() > before);
    nghttp2_session_del(session);
    nghttp2_session_callbacks_del(callbacks);
    EXPECT_UINT(mem_in_use(), before);
}

TEST(h2, grpc_content_types)
{
    EXPECT(h2_is_grpc_content(bytes_str("application/grpc")));
    EXPECT(h2_is_grpc_content(bytes_str("application/grpc+proto")));
    EXPECT(h2_is_grpc_content(bytes_str("application/grpc;charset=utf-8")));
    EXPECT(!h2_is_grpc_content(bytes_str("application/grpc-web")));
    EXPECT(!h2_is_grpc_content(bytes_str("application/json")));
    EXPECT(!h2_is_grpc_content(bytes_str("")));
}

TEST(h2, pairs_find_the_first_of_a_name)
{
    struct buf pairs = {0};
    EXPECT(h2_pairs_find(&pairs, "a") == NULL);
    h2_pairs_put(&pairs, bytes_str("a"), bytes_str("1"));
    h2_pairs_put(&pairs, bytes_str("b"), bytes_str(""));
    h2_pairs_put(&pairs, bytes_str("a"), bytes_str("2"));
    EXPECT_STR(h2_pairs_find(&pairs, "a"), "1");
    EXPECT_STR(h2_pairs_find(&pairs, "b"), "");
    EXPECT(h2_pairs_find(&pairs, "1") == NULL); /* a value is no name */
    buf_deinit(&pairs);
}

TEST(h2, allowance_is_a_burst_and_then_a_rate)
{
    struct h2_allowance a = {.burst = 3, .per_second = 2};
    EXPECT(h2_allowance_use(&a, 0));
    EXPECT(h2_allowance_use(&a, 0));
    EXPECT(h2_allowance_use(&a, 0));
    EXPECT(!h2_allowance_use(&a, 0));
    EXPECT(!h2_allowance_use(&a, 499));
    EXPECT(h2_allowance_use(&a, 500));
    EXPECT(!h2_allowance_use(&a, 500));
    EXPECT(h2_allowance_use(&a, 10000)); /* never more than the burst is saved up */
    EXPECT(h2_allowance_use(&a, 10000));
    EXPECT(h2_allowance_use(&a, 10000));
    EXPECT(!h2_allowance_use(&a, 10000));
}
