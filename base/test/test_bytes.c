/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

TEST(bytes, compare_like_memcmp_and_the_shorter_first)
{
    EXPECT(bytes_compare(bytes_str("a"), bytes_str("b")) < 0);
    EXPECT(bytes_compare(bytes_str("b"), bytes_str("a")) > 0);
    EXPECT(bytes_compare(bytes_str("ab"), bytes_str("a")) > 0);
    EXPECT(bytes_compare(bytes_str("a"), bytes_str("ab")) < 0);
    EXPECT(bytes_compare(bytes_str("\x80"), bytes_str("\x7f")) > 0);
    EXPECT_INT(bytes_compare(bytes_str("ab"), bytes_str("ab")), 0);
    EXPECT_INT(bytes_compare(bytes_of(NULL, 0), bytes_of(NULL, 0)), 0);
    EXPECT(bytes_compare(bytes_of(NULL, 0), bytes_str("a")) < 0);
}

TEST(bytes, are_equal_when_size_and_content_are)
{
    EXPECT(bytes_equal(bytes_str("ab"), bytes_str("ab")));
    EXPECT(!bytes_equal(bytes_str("ab"), bytes_str("ac")));
    EXPECT(!bytes_equal(bytes_str("ab"), bytes_str("abc")));
    EXPECT(bytes_equal(bytes_of(NULL, 0), bytes_str("")));
}

TEST(bytes, one_bit_anywhere_is_not_zero)
{
    uint8_t data[67] = {0};
    EXPECT(bytes_is_zero(bytes_of(NULL, 0)));
    for (size_t size = 1; size <= sizeof data; size++) {
        EXPECT(bytes_is_zero(bytes_of(data, size)));
        for (size_t i = 0; i < size; i++) {
            data[i] = (uint8_t)(1U << i % 8);
            EXPECT(!bytes_is_zero(bytes_of(data, size)));
            data[i] = 0;
        }
    }
}

TEST(bytes, integers_are_little_endian)
{
    uint8_t data[8];
    bytes_put_u16(data, 0x0102);
    EXPECT_MEM(data, "\x02\x01", 2);
    EXPECT_UINT(bytes_get_u16(data), 0x0102);
    bytes_put_u32(data, 0x01020304);
    EXPECT_MEM(data, "\x04\x03\x02\x01", 4);
    EXPECT_UINT(bytes_get_u32(data), 0x01020304);
    bytes_put_u64(data, UINT64_C(0xf102030405060708));
    EXPECT_MEM(data, "\x08\x07\x06\x05\x04\x03\x02\xf1", 8);
    EXPECT_UINT(bytes_get_u64(data), UINT64_C(0xf102030405060708));
    bytes_put_u64(data, UINT64_MAX);
    EXPECT_UINT(bytes_get_u16(data), UINT16_MAX);
    EXPECT_UINT(bytes_get_u32(data), UINT32_MAX);
    EXPECT_UINT(bytes_get_u64(data), UINT64_MAX);
}

/* --- buf --- */

TEST(bytes, a_buffer_grows_and_keeps_its_memory_over_a_reset)
{
    size_t before = mem_in_use();
    struct buf b = {0};
    for (unsigned i = 0; i < 1000; i++) {
        buf_put_u8(&b, (uint8_t)i);
    }
    EXPECT_UINT(b.size, 1000);
    EXPECT_UINT(b.data[999], 999 % 256);
    const uint8_t *data = b.data;
    buf_reset(&b);
    EXPECT_UINT(b.size, 0);
    buf_put_zeros(&b, 1000);
    EXPECT(b.data == data);
    EXPECT(bytes_is_zero(buf_bytes(&b)));
    buf_deinit(&b);
    EXPECT_UINT(mem_in_use(), before);
    buf_deinit(&b); /* twice does no harm */
}

TEST(bytes, printing_appends_text_without_a_zero)
{
    struct buf b = {0};
    buf_put_u8(&b, '<');
    buf_printf(&b, "%d-%s", 42, "x");
    buf_printf(&b, "%s", "");
    buf_put_u8(&b, '>');
    EXPECT(bytes_equal(buf_bytes(&b), bytes_str("<42-x>")));
    buf_deinit(&b);
}

TEST(bytes, nothing_is_a_fine_thing_to_put)
{
    struct buf b = {0};
    buf_put(&b, NULL, 0);
    buf_put_bytes(&b, bytes_of(NULL, 0));
    buf_put_zeros(&b, 0);
    EXPECT_UINT(b.size, 0);
    EXPECT(b.data == NULL);
    buf_deinit(&b);
}

/* --- varint --- */

static const struct {
    uint64_t value;
    size_t size;
    uint8_t bytes[10];
} varints[] = {
    {0, 1, {0}},
    {1, 1, {1}},
    {127, 1, {0x7f}},
    {128, 2, {0x80, 1}},
    {300, 2, {0xac, 2}},
    {16383, 2, {0xff, 0x7f}},
    {16384, 3, {0x80, 0x80, 1}},
    {UINT32_MAX, 5, {0xff, 0xff, 0xff, 0xff, 0x0f}},
    {UINT64_C(1) << 63, 10, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}},
    {UINT64_MAX, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
};

TEST(bytes, varints_have_these_bytes)
{
    for (size_t i = 0; i < sizeof varints / sizeof varints[0]; i++) {
        struct buf b = {0};
        buf_put_varint(&b, varints[i].value);
        EXPECT(bytes_equal(buf_bytes(&b), bytes_of(varints[i].bytes, varints[i].size)));
        struct cursor c = cursor_of(buf_bytes(&b));
        EXPECT_UINT(cursor_varint(&c), varints[i].value);
        EXPECT(cursor_done(&c));
        buf_deinit(&b);
    }
}

TEST(bytes, a_varint_of_more_than_64_bits_is_bad)
{
    static const uint8_t too_large[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
    static const uint8_t too_long[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                       0x80, 0x80, 0x80, 0x80, 0};
    struct cursor c = cursor_of(bytes_of(too_large, sizeof too_large));
    EXPECT_UINT(cursor_varint(&c), 0);
    EXPECT(c.bad);
    c = cursor_of(bytes_of(too_long, sizeof too_long));
    EXPECT_UINT(cursor_varint(&c), 0);
    EXPECT(c.bad);
}

/* --- cursor --- */

struct record {
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    uint64_t e; /* varint */
    struct bytes blob;
    char text[8];
    struct bytes taken;
};

static void encode_record(struct buf *b)
{
    buf_put_u8(b, 0xa1);
    buf_put_u16(b, 0xb1b2);
    buf_put_u32(b, 0xc1c2c3c4);
    buf_put_u64(b, UINT64_C(0xd1d2d3d4d5d6d7d8));
    buf_put_varint(b, 300);
    buf_put_blob(b, bytes_str("blob"));
    buf_put_str(b, "text567");
    buf_put_bytes(b, bytes_str("tail"));
}

static struct record decode_record(struct cursor *c)
{
    struct record r;
    r.a = cursor_u8(c);
    r.b = cursor_u16(c);
    r.c = cursor_u32(c);
    r.d = cursor_u64(c);
    r.e = cursor_varint(c);
    r.blob = cursor_blob(c);
    cursor_str(c, r.text, sizeof r.text);
    r.taken = cursor_take(c, 4);
    return r;
}

TEST(bytes, a_cursor_reads_back_what_a_buffer_put)
{
    struct buf b = {0};
    encode_record(&b);
    struct cursor c = cursor_of(buf_bytes(&b));
    struct record r = decode_record(&c);
    EXPECT(cursor_done(&c));
    EXPECT_UINT(r.a, 0xa1);
    EXPECT_UINT(r.b, 0xb1b2);
    EXPECT_UINT(r.c, 0xc1c2c3c4);
    EXPECT_UINT(r.d, UINT64_C(0xd1d2d3d4d5d6d7d8));
    EXPECT_UINT(r.e, 300);
    EXPECT(bytes_equal(r.blob, bytes_str("blob")));
    EXPECT_STR(r.text, "text567");
    EXPECT(bytes_equal(r.taken, bytes_str("tail")));
    buf_deinit(&b);
}

/* Cut at every byte; the copy has exactly that size, so that a sanitizer sees a
 * read behind it. */
TEST(bytes, a_cursor_refuses_every_truncation)
{
    struct buf b = {0};
    encode_record(&b);
    for (size_t size = 0; size < b.size; size++) {
        uint8_t *cut = mem_dup(b.data, size);
        struct cursor c = cursor_of(bytes_of(cut, size));
        struct record r = decode_record(&c);
        EXPECT(c.bad);
        EXPECT(!cursor_done(&c));
        EXPECT_UINT(r.taken.size, 0);
        mem_free(cut);
    }
    buf_deinit(&b);
}

TEST(bytes, a_bad_cursor_stays_bad_and_reads_nothing)
{
    struct cursor c = cursor_of(bytes_str("\x01\x02\x03"));
    EXPECT_UINT(cursor_u32(&c), 0);
    EXPECT(c.bad);
    EXPECT_UINT(cursor_u8(&c), 0);
    EXPECT_UINT(cursor_u16(&c), 0);
    EXPECT_UINT(cursor_u64(&c), 0);
    EXPECT_UINT(cursor_varint(&c), 0);
    EXPECT_UINT(cursor_blob(&c).size, 0);
    EXPECT_UINT(cursor_take(&c, 0).size, 0);
    char text[4] = "xyz";
    cursor_str(&c, text, sizeof text);
    EXPECT_STR(text, "");
    EXPECT_UINT(c.size, 3);
}

TEST(bytes, a_blob_larger_than_the_rest_is_bad)
{
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'x'};
    struct cursor c = cursor_of(bytes_of(huge, sizeof huge));
    EXPECT(cursor_blob(&c).data == NULL);
    EXPECT(c.bad);
    c = cursor_of(bytes_str("\x03xy"));
    EXPECT_UINT(cursor_blob(&c).size, 0);
    EXPECT(c.bad);
}

TEST(bytes, text_that_is_too_long_or_has_a_zero_inside_is_bad)
{
    char text[4];
    struct cursor c = cursor_of(bytes_str("\x03xyz"));
    cursor_str(&c, text, sizeof text);
    EXPECT_STR(text, "xyz");
    EXPECT(cursor_done(&c));
    c = cursor_of(bytes_str("\x04wxyz"));
    cursor_str(&c, text, sizeof text);
    EXPECT(c.bad);
    EXPECT_STR(text, "");
    c = cursor_of(bytes_of("\x03x\0z", 4));
    cursor_str(&c, text, sizeof text);
    EXPECT(c.bad);
    c = cursor_of(bytes_of("\0", 1));
    cursor_str(&c, text, sizeof text);
    EXPECT(cursor_done(&c));
    EXPECT_STR(text, "");
}

TEST(bytes, something_left_over_is_not_done)
{
    struct cursor c = cursor_of(bytes_str("ab"));
    EXPECT_UINT(cursor_u8(&c), 'a');
    EXPECT(!cursor_done(&c));
    EXPECT_UINT(cursor_u8(&c), 'b');
    EXPECT(cursor_done(&c));
}

TEST(bytes, random_varints_come_back)
{
    struct random r = random_seeded(5);
    struct buf b = {0};
    uint64_t values[500];
    for (size_t i = 0; i < 500; i++) {
        values[i] = random_u64(&r);
        values[i] >>= random_below(&r, 64);
        buf_put_varint(&b, values[i]);
    }
    struct cursor c = cursor_of(buf_bytes(&b));
    for (size_t i = 0; i < 500; i++) {
        EXPECT_UINT(cursor_varint(&c), values[i]);
    }
    EXPECT(cursor_done(&c));
    buf_deinit(&b);
}

/* Packers write a message of no bytes "there": there must be a there. */
TEST(bytes, extending_by_nothing_gives_an_address)
{
    struct buf b = {0};
    EXPECT(buf_extend(&b, 0) != NULL);
    EXPECT_UINT(b.size, 0);
    buf_deinit(&b);
}
