/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include "base/random.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "testkit/test.h"

/* What we write, the generated decoder reads. */
TEST(wire, written_messages_are_protobuf)
{
    struct buf b = {0};
    size_t definition = wire_begin(&b, 1);
    wire_put_str(&b, 1, "metrics");
    wire_put_str(&b, 2, "cpu");
    for (int i = 0; i < 40; i++) {
        size_t column = wire_begin(&b, 3);
        wire_put_str(&b, 1, "a_column_of_the_table");
        wire_put_uint(&b, 2, 3);
        wire_end(&b, column);
    }
    wire_put_uint(&b, 5, 9);
    wire_put_fixed64(&b, 6, UINT64_MAX);
    wire_end(&b, definition);
    wire_put_uint(&b, 2, 1);

    Tidemark__V1__CreateTableRequest *m =
        tidemark__v1__create_table_request__unpack(NULL, b.size, b.data);
    REQUIRE(m != NULL);
    EXPECT_STR(m->definition->database, "metrics");
    EXPECT_UINT(m->definition->n_columns, 40);
    EXPECT_STR(m->definition->columns[39]->name, "a_column_of_the_table");
    EXPECT_INT(m->definition->columns[39]->type, TIDEMARK__V1__TYPE__DOUBLE);
    EXPECT_UINT(m->definition->precision, 9);
    EXPECT_UINT(m->definition->id, UINT64_MAX);
    EXPECT(m->if_not_exists);

    /* And byte for byte as the generated encoder writes it. */
    size_t size = tidemark__v1__create_table_request__get_packed_size(m);
    REQUIRE_UINT(b.size, size);
    uint8_t *packed = buf_extend(&b, size);
    (void)tidemark__v1__create_table_request__pack(m, packed);
    EXPECT_MEM(b.data, packed, size);
    tidemark__v1__create_table_request__free_unpacked(m, NULL);
    buf_deinit(&b);
}

TEST(wire, sizes_of_nested_messages_of_every_length_are_right)
{
    static const size_t sizes[] = {0, 1, 127, 128, 129, 16383, 16384, 16385, 2097151, 2097152};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf b = {0};
        size_t outer = wire_begin(&b, 1);
        size_t inner = wire_begin(&b, 2);
        memset(buf_extend(&b, sizes[i]), 'x', sizes[i]);
        wire_end(&b, inner);
        wire_end(&b, outer);

        struct cursor c = cursor_of(buf_bytes(&b));
        struct wire_field f;
        REQUIRE(wire_next(&c, &f));
        struct cursor nested = cursor_of(wire_bytes(&c, &f));
        EXPECT(!wire_next(&c, &f));
        REQUIRE(wire_next(&nested, &f));
        EXPECT_UINT(f.number, 2);
        EXPECT_UINT(f.bytes.size, sizes[i]);
        EXPECT(sizes[i] == 0 || (f.bytes.data[0] == 'x' && f.bytes.data[sizes[i] - 1] == 'x'));
        EXPECT(!wire_next(&nested, &f));
        EXPECT(!nested.bad);
        EXPECT(!c.bad);
        buf_deinit(&b);
    }
}

TEST(wire, zero_and_empty_values_are_left_out)
{
    struct buf b = {0};
    wire_put_uint(&b, 1, 0);
    wire_put_fixed64(&b, 2, 0);
    wire_put_bytes(&b, 3, (struct bytes){0});
    wire_put_str(&b, 4, "");
    EXPECT_UINT(b.size, 0);
    wire_put_item(&b, 5, (struct bytes){0});
    EXPECT_UINT(b.size, 2);
    buf_deinit(&b);
}

TEST(wire, a_field_of_another_type_makes_the_message_bad)
{
    struct buf b = {0};
    wire_put_uint(&b, 1, 5);
    struct cursor c = cursor_of(buf_bytes(&b));
    struct wire_field f;
    REQUIRE(wire_next(&c, &f));
    EXPECT_UINT(wire_uint(&c, &f), 5);
    EXPECT(!c.bad);
    EXPECT_UINT(wire_fixed64(&c, &f), 0);
    EXPECT(c.bad);
    c.bad = false;
    EXPECT_UINT(wire_bytes(&c, &f).size, 0);
    EXPECT(c.bad);
    buf_deinit(&b);
}

TEST(wire, numbers_over_32_bits_are_refused_where_32_are_meant)
{
    struct buf b = {0};
    wire_put_uint(&b, 1, UINT32_MAX);
    wire_put_uint(&b, 1, (uint64_t)UINT32_MAX + 1);
    struct cursor c = cursor_of(buf_bytes(&b));
    struct wire_field f;
    REQUIRE(wire_next(&c, &f));
    EXPECT_UINT(wire_uint32(&c, &f), UINT32_MAX);
    REQUIRE(wire_next(&c, &f));
    EXPECT_UINT(wire_uint32(&c, &f), 0);
    EXPECT(c.bad);
    buf_deinit(&b);
}

TEST(wire, text_that_does_not_fit_or_holds_a_zero_is_refused)
{
    struct buf b = {0};
    wire_put_bytes(&b, 1, bytes_of("abcd", 4));
    wire_put_bytes(&b, 1, bytes_of("a\0b", 3));
    struct cursor c = cursor_of(buf_bytes(&b));
    struct wire_field f;
    char text[5];
    REQUIRE(wire_next(&c, &f));
    wire_str(&c, &f, text, 5);
    EXPECT_STR(text, "abcd");
    EXPECT(!c.bad);
    wire_str(&c, &f, text, 4);
    EXPECT_STR(text, "");
    EXPECT(c.bad);
    c.bad = false;
    REQUIRE(wire_next(&c, &f));
    wire_str(&c, &f, text, 5);
    EXPECT_STR(text, "");
    EXPECT(c.bad);
    buf_deinit(&b);
}

static bool is_bad(const uint8_t *bytes, size_t size)
{
    struct cursor c = cursor_of(bytes_of(bytes, size));
    struct wire_field f;
    while (wire_next(&c, &f)) {
    }
    return c.bad;
}

TEST(wire, malformed_messages_are_bad)
{
    EXPECT(is_bad((const uint8_t[]){0x00}, 1));                      /* field number 0 */
    EXPECT(is_bad((const uint8_t[]){0x0b}, 1));                      /* a group */
    EXPECT(is_bad((const uint8_t[]){0x0e, 1}, 2));                   /* type 6 */
    EXPECT(is_bad((const uint8_t[]){0x08}, 1));                      /* no value */
    EXPECT(is_bad((const uint8_t[]){0x09, 1, 2, 3, 4, 5, 6, 7}, 8)); /* 7 of 8 bytes */
    EXPECT(is_bad((const uint8_t[]){0x0d, 1, 2, 3}, 4));             /* 3 of 4 bytes */
    EXPECT(is_bad((const uint8_t[]){0x0a, 2, 'x'}, 3));              /* 1 of 2 bytes */
    EXPECT(is_bad((const uint8_t[]){0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0}, 7)); /* number */
    EXPECT(!is_bad((const uint8_t[]){0x0d, 1, 2, 3, 4}, 5));
    EXPECT(!is_bad(NULL, 0));
}

TEST(wire, random_bytes_never_read_outside)
{
    struct random random = random_seeded(11);
    unsigned fields = 0;
    for (int round = 0; round < 5000; round++) {
        uint8_t bytes[32];
        size_t size = (size_t)random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_u64(&random);
        }
        struct cursor c = cursor_of(bytes_of(bytes, size));
        struct wire_field f;
        while (wire_next(&c, &f)) {
            EXPECT(f.bytes.size <= size);
            fields++;
        }
    }
    EXPECT(fields > 1000);
}

TEST(wire, fields_of_every_type_come_back_in_order)
{
    struct buf b = {0};
    wire_put_uint(&b, 1, UINT64_MAX);
    wire_put_fixed64(&b, 2, 7);
    wire_put_str(&b, 536870911, "the highest number");
    struct cursor c = cursor_of(buf_bytes(&b));
    struct wire_field f;
    REQUIRE(wire_next(&c, &f));
    EXPECT_UINT(wire_uint(&c, &f), UINT64_MAX);
    EXPECT(wire_bool(&c, &f));
    REQUIRE(wire_next(&c, &f));
    EXPECT_UINT(wire_fixed64(&c, &f), 7);
    REQUIRE(wire_next(&c, &f));
    EXPECT_UINT(f.number, 536870911);
    EXPECT(bytes_equal(wire_bytes(&c, &f), bytes_str("the highest number")));
    EXPECT(!wire_next(&c, &f));
    EXPECT(cursor_done(&c));
    buf_deinit(&b);
}
