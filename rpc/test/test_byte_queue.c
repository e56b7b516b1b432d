/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/byte_queue.h"

#include "base/random.h"
#include "testkit/test.h"

TEST(byte_queue, is_empty_at_first)
{
    struct byte_queue q = {0};
    EXPECT_UINT(byte_queue_size(&q), 0);
    EXPECT_UINT(byte_queue_view(&q).size, 0);
    byte_queue_drop(&q, 0);
    byte_queue_deinit(&q);
}

TEST(byte_queue, keeps_the_order_whatever_the_pieces)
{
    struct byte_queue q = {0};
    struct random r = random_seeded(7);
    uint8_t next_in = 0;
    uint8_t next_out = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t piece[300];
        size_t size = (size_t)random_below(&r, sizeof piece);
        for (size_t k = 0; k < size; k++) {
            piece[k] = next_in++;
        }
        byte_queue_push(&q, bytes_of(piece, size));
        struct bytes view = byte_queue_view(&q);
        size_t take = (size_t)random_between(&r, 0, view.size);
        bool same = true;
        for (size_t k = 0; k < take; k++) {
            same = same && view.data[k] == next_out++;
        }
        EXPECT(same);
        byte_queue_drop(&q, take);
        REQUIRE_UINT(byte_queue_size(&q), view.size - take);
    }
    /* Memory follows what is held, not what has passed. */
    EXPECT(q.buf.capacity < (size_t)64 * 1024);
    byte_queue_deinit(&q);
}

TEST(byte_queue, gives_memory_back_when_empty)
{
    struct byte_queue q = {0};
    uint8_t piece[1000] = {0};
    byte_queue_push(&q, bytes_of(piece, sizeof piece));
    byte_queue_trim(&q, 100);
    EXPECT_UINT(byte_queue_size(&q), sizeof piece); /* not empty: kept */
    byte_queue_drop(&q, sizeof piece);
    byte_queue_trim(&q, 2000);
    EXPECT(q.buf.capacity >= sizeof piece);
    byte_queue_trim(&q, 100);
    EXPECT_UINT(q.buf.capacity, 0);
}
