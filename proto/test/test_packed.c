/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/packed.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "proto/command.h"
#include "testkit/test.h"

static const enum packed_method methods[] = {PACKED_LZ4, PACKED_ZSTD};

/* Bytes as writes have them: much that repeats, something that doesn't. */
static struct buf writes_of(size_t size, uint64_t seed)
{
    struct buf b = {0};
    struct random r = random_seeded(seed);
    uint8_t *p = buf_extend(&b, size);
    for (size_t i = 0; i < size; i++) {
        p[i] = i % 8 < 6 ? (uint8_t)(i % 8) : (uint8_t)random_below(&r, 16);
    }
    return b;
}

/* The body of the one PACKED command that the entry is. */
static struct bytes body_of(const struct buf *entry)
{
    struct cursor c = cursor_of(buf_bytes(entry));
    struct command command;
    struct err e;
    REQUIRE_OK(command_next(&c, &command, &e));
    EXPECT_INT(command.kind, COMMAND_PACKED);
    EXPECT(cursor_done(&c));
    return command.body;
}

TEST(packed, gives_back_what_was_packed_at_any_size)
{
    static const size_t sizes[] = {PACKED_SIZE_MIN, 257, 1000, 65536, 1000000, PACKED_SIZE_MAX};
    struct buf got = {0};
    struct err e;
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct buf commands = writes_of(sizes[i], i);
            struct buf entry = {0};
            REQUIRE(packed_put(&entry, methods[m], buf_bytes(&commands)));
            EXPECT(entry.size < commands.size);
            EXPECT_OK(packed_read(body_of(&entry), &got, &e));
            EXPECT(bytes_equal(buf_bytes(&got), buf_bytes(&commands)));
            buf_deinit(&entry);
            buf_deinit(&commands);
        }
    }
    buf_deinit(&got);
}

TEST(packed, leaves_alone_what_is_not_worth_it)
{
    struct buf small = writes_of(PACKED_SIZE_MIN - 1, 1);
    struct buf good = writes_of(4096, 1);
    struct buf large = writes_of(PACKED_SIZE_MAX + 1, 1);
    struct buf noise = {0};
    struct buf entry = {0};
    struct random r = random_seeded(9);
    uint8_t *p = buf_extend(&noise, 4096);
    for (size_t i = 0; i < 4096; i++) {
        p[i] = (uint8_t)random_u64(&r);
    }
    EXPECT(!packed_put(&entry, PACKED_OFF, buf_bytes(&good)));
    for (size_t m = 0; m < 2; m++) {
        EXPECT(!packed_put(&entry, methods[m], buf_bytes(&small)));
        EXPECT(!packed_put(&entry, methods[m], buf_bytes(&large)));
        EXPECT(!packed_put(&entry, methods[m], buf_bytes(&noise)));
    }
    EXPECT_UINT(entry.size, 0);
    buf_deinit(&small);
    buf_deinit(&good);
    buf_deinit(&large);
    buf_deinit(&noise);
}

static void expect_refused(struct bytes body)
{
    struct buf got = {0};
    struct err e;
    EXPECT_ERR(packed_read(body, &got, &e), ERR_CORRUPT);
    EXPECT_UINT(got.size, 0);
    buf_deinit(&got);
}

TEST(packed, a_body_cut_or_extended_anywhere_is_refused)
{
    for (size_t m = 0; m < 2; m++) {
        struct buf commands = writes_of(2000, 3);
        struct buf entry = {0};
        REQUIRE(packed_put(&entry, methods[m], buf_bytes(&commands)));
        struct bytes body = body_of(&entry);
        for (size_t size = 0; size < body.size; size++) {
            /* In memory of exactly that size, so that a sanitizer sees a read behind it. */
            uint8_t *cut = mem_dup(body.data, size + (size == 0));
            expect_refused(bytes_of(cut, size));
            mem_free(cut);
        }
        struct buf longer = {0};
        buf_put_bytes(&longer, body);
        buf_put_zeros(&longer, 5);
        expect_refused(buf_bytes(&longer));
        buf_deinit(&longer);
        buf_deinit(&entry);
        buf_deinit(&commands);
    }
}

/* A few bytes must not be able to ask for gigabytes. */
TEST(packed, a_size_outside_the_limits_is_refused_before_memory_is_taken)
{
    static const uint64_t sizes[] = {
        0, 1, PACKED_SIZE_MIN - 1, PACKED_SIZE_MAX + 1, UINT32_MAX, UINT64_MAX};
    for (uint8_t method = 0; method < 5; method++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct buf body = {0};
            buf_put_u8(&body, method);
            buf_put_varint(&body, sizes[i]);
            buf_put_zeros(&body, 20);
            size_t before = mem_in_use();
            struct buf got = {0};
            struct err e;
            EXPECT_ERR(packed_read(buf_bytes(&body), &got, &e), ERR_CORRUPT);
            EXPECT_UINT(mem_in_use(), before);
            buf_deinit(&got);
            buf_deinit(&body);
        }
    }
}

/* 'packed' under each head but the right one. */
static void expect_refused_but_as(uint64_t size_right, uint8_t method_right, struct bytes packed)
{
    for (uint64_t size = size_right - 1; size <= size_right + 1; size++) {
        for (uint8_t method = 0; method < 4; method++) {
            struct buf body = {0};
            buf_put_u8(&body, method);
            buf_put_varint(&body, size);
            buf_put_bytes(&body, packed);
            if (size != size_right || method != method_right) {
                expect_refused(buf_bytes(&body));
            }
            buf_deinit(&body);
        }
    }
}

TEST(packed, a_wrong_size_or_method_is_refused)
{
    for (size_t m = 0; m < 2; m++) {
        struct buf commands = writes_of(2000, 3);
        struct buf entry = {0};
        REQUIRE(packed_put(&entry, methods[m], buf_bytes(&commands)));
        struct cursor c = cursor_of(body_of(&entry));
        (void)cursor_u8(&c);
        uint64_t size = cursor_varint(&c);
        EXPECT_UINT(size, commands.size);
        expect_refused_but_as(size, (uint8_t)methods[m], cursor_take(&c, c.size));
        buf_deinit(&entry);
        buf_deinit(&commands);
    }
}

TEST(packed, flipped_bits_never_harm)
{
    struct random r = random_seeded(11);
    struct buf got = {0};
    for (size_t m = 0; m < 2; m++) {
        struct buf commands = writes_of(1500, 5);
        struct buf entry = {0};
        REQUIRE(packed_put(&entry, methods[m], buf_bytes(&commands)));
        struct bytes body = body_of(&entry);
        for (unsigned i = 0; i < 3000; i++) {
            uint8_t *bad = mem_dup(body.data, body.size);
            for (uint64_t flips = 1 + random_below(&r, 4); flips > 0; flips--) {
                bad[random_below(&r, body.size)] ^= (uint8_t)(1U << random_below(&r, 8));
            }
            struct err e;
            if (packed_read(bytes_of(bad, body.size), &got, &e) == ERR_OK) {
                EXPECT(got.size >= PACKED_SIZE_MIN && got.size <= PACKED_SIZE_MAX);
            }
            mem_free(bad);
        }
        buf_deinit(&entry);
        buf_deinit(&commands);
    }
    buf_deinit(&got);
}
