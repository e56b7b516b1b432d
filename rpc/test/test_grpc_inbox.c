/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_inbox.h"

#include "testkit/test.h"

static void put_message(struct buf *b, const char *text)
{
    grpc_prefix_encode(buf_extend(b, GRPC_PREFIX_SIZE), strlen(text));
    buf_put(b, text, strlen(text));
}

TEST(grpc_inbox, prefix_is_big_endian)
{
    uint8_t prefix[GRPC_PREFIX_SIZE];
    grpc_prefix_encode(prefix, 0x01020304);
    EXPECT_MEM(prefix, "\0\1\2\3\4", sizeof prefix);
}

/* The stream "abc", "", "de" cut in two at every place. */
TEST(grpc_inbox, puts_messages_together_from_any_split)
{
    struct buf stream = {0};
    put_message(&stream, "abc");
    put_message(&stream, "");
    put_message(&stream, "de");
    static const char *const want[] = {"abc", "", "de"};
    for (size_t cut = 0; cut <= stream.size; cut++) {
        struct grpc_inbox inbox = {.size_max = 3};
        size_t seen = 0;
        for (int half = 0; half < 2; half++) {
            struct bytes piece = half == 0 ? bytes_of(stream.data, cut)
                                           : bytes_of(stream.data + cut, stream.size - cut);
            grpc_inbox_push(&inbox, piece);
            struct bytes message;
            while (grpc_inbox_next(&inbox, &message) == GRPC_INBOX_MESSAGE) {
                REQUIRE(seen < 3);
                EXPECT(bytes_equal(message, bytes_str(want[seen])));
                seen++;
            }
        }
        EXPECT_UINT(seen, 3);
        EXPECT_UINT(grpc_inbox_left(&inbox), 0);
        grpc_inbox_deinit(&inbox);
    }
    buf_deinit(&stream);
}

TEST(grpc_inbox, peek_takes_nothing)
{
    struct grpc_inbox inbox = {.size_max = 10};
    struct buf stream = {0};
    put_message(&stream, "ab");
    grpc_inbox_push(&inbox, buf_bytes(&stream));
    struct bytes message;
    for (int i = 0; i < 2; i++) {
        EXPECT(grpc_inbox_peek(&inbox, &message) == GRPC_INBOX_MESSAGE);
        EXPECT_UINT(grpc_inbox_left(&inbox), stream.size);
    }
    EXPECT(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_MESSAGE);
    EXPECT_UINT(grpc_inbox_left(&inbox), 0);
    EXPECT(grpc_inbox_peek(&inbox, &message) == GRPC_INBOX_MORE);
    grpc_inbox_deinit(&inbox);
    buf_deinit(&stream);
}

/* The size alone decides: nobody waits for bytes that would be refused. */
TEST(grpc_inbox, refuses_a_message_that_is_too_large_before_it_comes)
{
    struct grpc_inbox inbox = {.size_max = 1000};
    struct bytes message;
    grpc_inbox_push(&inbox, bytes_of("\0\0\0\3\xe9", 5));
    EXPECT(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_TOO_LARGE);
    EXPECT(inbox.queue.buf.capacity < 100);
    grpc_inbox_deinit(&inbox);
    grpc_inbox_push(&inbox, bytes_of("\0\0\0\3\xe8", 5));
    EXPECT(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_MORE);
    grpc_inbox_deinit(&inbox);
    grpc_inbox_push(&inbox, bytes_of("\0\xff\xff\xff\xff", 5));
    EXPECT(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_TOO_LARGE);
    grpc_inbox_deinit(&inbox);
}

TEST(grpc_inbox, tells_compressed_from_broken)
{
    struct grpc_inbox inbox = {.size_max = 1000};
    struct bytes message;
    grpc_inbox_push(&inbox, bytes_of("\1\0\0\0\0", 5));
    EXPECT(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_COMPRESSED);
    grpc_inbox_deinit(&inbox);
    grpc_inbox_push(&inbox, bytes_of("\2\0\0\0\0", 5));
    EXPECT(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_BROKEN);
    EXPECT(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_BROKEN);
    grpc_inbox_deinit(&inbox);
}

TEST(grpc_inbox, a_kept_message_outlives_the_inbox)
{
    struct grpc_inbox inbox = {.size_max = 10};
    struct buf stream = {0};
    put_message(&stream, "keep me");
    grpc_inbox_push(&inbox, buf_bytes(&stream));
    struct bytes message;
    REQUIRE(grpc_inbox_next(&inbox, &message) == GRPC_INBOX_MESSAGE);
    struct buf owner = {0};
    grpc_inbox_keep(&inbox, &owner);
    EXPECT_UINT(grpc_inbox_held(&inbox), 0);
    grpc_inbox_deinit(&inbox);
    EXPECT(bytes_equal(message, bytes_str("keep me")));
    buf_deinit(&owner);
    buf_deinit(&stream);
}
