/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer_frame.h"

#include "base/mem.h"
#include "testkit/test.h"

static void put(struct buf *b, const char *text)
{
    struct bytes part = bytes_str(text);
    peer_frame_put(b, &part, 1);
}

/* The bytes on the wire are fixed: size, crc32c, message, little-endian. */
TEST(peer_frame, bytes_on_the_wire)
{
    struct buf b = {0};
    struct bytes parts[] = {bytes_str("1234"), bytes_str(""), bytes_str("56789")};
    peer_frame_put(&b, parts, 3);
    EXPECT_UINT(b.size, 17);
    EXPECT_MEM(b.data,
               "\x09\0\0\0\x83\x92\x06\xe3"
               "123456789",
               17);
    buf_reset(&b);
    peer_frame_put(&b, NULL, 0);
    EXPECT_UINT(b.size, 8);
    EXPECT_MEM(b.data, "\0\0\0\0\0\0\0\0", 8);
    buf_deinit(&b);
}

TEST(peer_frame, frames_come_whole_from_any_split)
{
    struct buf stream = {0};
    put(&stream, "first");
    put(&stream, "");
    put(&stream, "third");
    static const char *const want[] = {"first", "", "third"};
    for (size_t cut = 0; cut <= stream.size; cut++) {
        struct peer_inbox inbox = {.size_max = 5};
        size_t seen = 0;
        for (int half = 0; half < 2; half++) {
            peer_inbox_push(&inbox, half == 0 ? bytes_of(stream.data, cut)
                                              : bytes_of(stream.data + cut, stream.size - cut));
            struct bytes message;
            while (peer_inbox_next(&inbox, &message) == PEER_FRAME_MESSAGE) {
                REQUIRE(seen < 3);
                EXPECT(bytes_equal(message, bytes_str(want[seen])));
                seen++;
            }
        }
        EXPECT_UINT(seen, 3);
        peer_inbox_deinit(&inbox);
    }
    buf_deinit(&stream);
}

/* Every single flipped bit of message or checksum is seen. */
TEST(peer_frame, any_flipped_bit_is_seen)
{
    struct buf frame = {0};
    put(&frame, "some bytes");
    for (size_t bit = 32; bit < frame.size * 8; bit++) {
        frame.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        struct peer_inbox inbox = {.size_max = 100};
        struct bytes message;
        peer_inbox_push(&inbox, buf_bytes(&frame));
        EXPECT(peer_inbox_next(&inbox, &message) == PEER_FRAME_BAD_CRC);
        EXPECT(peer_inbox_next(&inbox, &message) == PEER_FRAME_BAD_CRC); /* stays */
        peer_inbox_deinit(&inbox);
        frame.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    buf_deinit(&frame);
}

TEST(peer_frame, size_over_the_limit_takes_no_memory)
{
    struct peer_inbox inbox = {.size_max = 1000};
    struct bytes message;
    peer_inbox_push(&inbox, bytes_of("\xe9\3\0\0\0\0\0\0", 8));
    EXPECT(peer_inbox_next(&inbox, &message) == PEER_FRAME_TOO_LARGE);
    EXPECT(inbox.queue.buf.capacity < 100);
    peer_inbox_deinit(&inbox);
    peer_inbox_push(&inbox, bytes_of("\xe8\3\0\0\0\0\0\0", 8));
    EXPECT(peer_inbox_next(&inbox, &message) == PEER_FRAME_MORE);
    EXPECT(inbox.queue.buf.capacity < 100);
    peer_inbox_deinit(&inbox);
}

TEST(peer_frame, memory_of_a_large_frame_is_given_back)
{
    struct peer_inbox inbox = {.size_max = 1 << 20};
    struct buf frame = {0};
    uint8_t *large = mem_zalloc(1 << 20);
    struct bytes part = bytes_of(large, 1 << 20);
    peer_frame_put(&frame, &part, 1);
    peer_inbox_push(&inbox, buf_bytes(&frame));
    struct bytes message;
    EXPECT(peer_inbox_next(&inbox, &message) == PEER_FRAME_MESSAGE);
    EXPECT(bytes_equal(message, part));
    peer_inbox_push(&inbox, bytes_of("\0", 1));
    EXPECT(inbox.queue.buf.capacity < 100);
    peer_inbox_deinit(&inbox);
    buf_deinit(&frame);
    mem_free(large);
}
