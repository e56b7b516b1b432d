/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/arena.h"

#include "testkit/test.h"

TEST(arena, pieces_are_aligned_and_apart)
{
    struct arena a = {0};
    uint8_t *pieces[300];
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = arena_take(&a, i + 1);
        EXPECT_UINT((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], (int)(i & 0xff), i + 1);
    }
    for (size_t i = 0; i < 300; i++) {
        EXPECT(pieces[i][0] == (uint8_t)i && pieces[i][i] == (uint8_t)i);
    }
    arena_deinit(&a);
    EXPECT_UINT(a.size, 0);
}

TEST(arena, a_piece_larger_than_a_block_has_its_own)
{
    struct arena a = {0};
    uint8_t *large = arena_take(&a, 5 * ARENA_BLOCK_SIZE_MAX);
    memset(large, 1, 5 * ARENA_BLOCK_SIZE_MAX);
    uint8_t *small = arena_take(&a, 1);
    *small = 2;
    EXPECT_UINT(large[5 * ARENA_BLOCK_SIZE_MAX - 1], 1);
    EXPECT(a.size > 5 * ARENA_BLOCK_SIZE_MAX);
    arena_deinit(&a);
}

TEST(arena, blocks_grow_to_their_limit)
{
    struct arena a = {0};
    size_t total = 0;
    while (total < 8 * ARENA_BLOCK_SIZE_MAX) {
        (void)arena_take(&a, 1000);
        total += 1000;
    }
    EXPECT_UINT(a.block_size, ARENA_BLOCK_SIZE_MAX);
    EXPECT(a.size < total + 2 * ARENA_BLOCK_SIZE_MAX);
    arena_deinit(&a);
}

TEST(arena, a_reset_keeps_one_block_for_use_again)
{
    struct arena a = {0};
    for (int i = 0; i < 1000; i++) {
        (void)arena_take(&a, 1000);
    }
    arena_reset(&a);
    size_t size = a.size;
    EXPECT(size > 0);
    EXPECT(size < 1000 * 1000);
    (void)arena_take(&a, 1000);
    EXPECT_UINT(a.size, size);
    arena_deinit(&a);
    arena_reset(&a); /* an empty one may be reset */
    EXPECT_UINT(a.size, 0);
}

TEST(arena, arrays_are_cleared_and_copies_are_copies)
{
    struct arena a = {0};
    memset(arena_take(&a, 4000), 0xff, 4000);
    arena_reset(&a);
    const uint8_t *items = arena_array(&a, 500, 8);
    EXPECT(bytes_is_zero(bytes_of(items, 4000)));
    char text[] = "text";
    struct bytes copy = arena_copy(&a, bytes_str(text));
    text[0] = 'T';
    EXPECT(bytes_equal(copy, bytes_str("text")));
    EXPECT_UINT(arena_copy(&a, (struct bytes){0}).size, 0);
    arena_deinit(&a);
}
