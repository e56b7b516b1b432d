/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/random.h"
#include "cli/csv_reader.h"
#include "testkit/test.h"

/* Everything a reader says about 'text', as one line per result, fed in pieces of
 * 'piece' bytes: "1:[a][b]" a record, "2!why" a bad one; quoted fields in "". */
static void read_all(struct bytes text, size_t piece, struct buf *said)
{
    struct csv_reader *r = csv_reader_open(',');
    size_t fed = 0;
    for (;;) {
        struct csv_record record;
        struct err e = {0};
        enum csv_result result = csv_reader_next(r, &record, &e);
        if (result == CSV_END) {
            break;
        }
        if (result == CSV_MORE) {
            size_t size = text.size - fed < piece ? text.size - fed : piece;
            if (size == 0) {
                csv_reader_end(r);
            } else {
                csv_reader_feed(r, bytes_of(text.data + fed, size));
            }
            fed += size;
            continue;
        }
        buf_printf(said, "%u%s", (unsigned)record.line, result == CSV_BAD ? "!" : ":");
        if (result == CSV_BAD) {
            buf_printf(said, "%s", e.text);
        }
        for (size_t i = 0; result == CSV_RECORD && i < record.count; i++) {
            const char *mark = record.fields[i].quoted ? "\"" : "";
            buf_printf(said, "[%s%.*s%s]", mark, (int)record.fields[i].text.size,
                       (const char *)record.fields[i].text.data, mark);
        }
        buf_printf(said, "\n");
    }
    csv_reader_close(r);
    buf_put_u8(said, 0);
}

static void expect_read(const char *text, const char *want)
{
    static const size_t pieces[] = {1, 2, 3, 7, 1000};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct buf said = {0};
        read_all(bytes_str(text), pieces[i], &said);
        EXPECT_STR((const char *)said.data, want);
        buf_deinit(&said);
    }
}

TEST(csv_reader, reads_plain_lines)
{
    expect_read("a,b\n1,2\n", "1:[a][b]\n2:[1][2]\n");
    expect_read("a,b\r\n1,2\r\n", "1:[a][b]\n2:[1][2]\n");
    expect_read("a,b\n1,2", "1:[a][b]\n2:[1][2]\n");
    expect_read("a,b\n1,", "1:[a][b]\n2:[1][]\n");
    expect_read(",\n,,\n", "1:[][]\n2:[][][]\n");
    expect_read(" a , b\n", "1:[ a ][ b]\n");
    expect_read("", "");
}

TEST(csv_reader, skips_the_byte_order_mark_and_empty_lines)
{
    expect_read("\xef\xbb\xbf"
                "a\n\n\r\nb\n",
                "1:[a]\n4:[b]\n");
    expect_read("\xef\xbb\xbf", "");
    expect_read("\xef", "1:[\xef]\n");
}

TEST(csv_reader, reads_quoted_fields_whatever_is_in_them)
{
    expect_read("\"a,b\",\"c\"\"d\"\n", "1:[\"a,b\"][\"c\"d\"]\n");
    expect_read("\"two\nlines\",x\ny,z\n", "1:[\"two\nlines\"][x]\n3:[y][z]\n");
    expect_read("\"\",\"\"\"\"\r\n", "1:[\"\"][\"\"\"]\n");
    expect_read("a,\"b\"", "1:[a][\"b\"]\n");
    expect_read("\"cr\r\nlf\"\n", "1:[\"cr\r\nlf\"]\n");
}

TEST(csv_reader, a_malformed_line_costs_that_line_alone)
{
    expect_read("a\n\"b\"c\n7\n", "1:[a]\n2!text after a closing quote\n3:[7]\n");
    expect_read("a\nb\"c\n7\n", "1:[a]\n2!a quote inside a field that is not quoted\n3:[7]\n");
    expect_read("a\rb\nc\n", "1!a carriage return inside a line\n2:[c]\n");
    expect_read("a\n\"open\nb\nc\n", "1:[a]\n2!a quote is not closed\n3:[b]\n4:[c]\n");
    expect_read("\"", "1!a quote is not closed\n");
}

TEST(csv_reader, refuses_zero_bytes)
{
    struct buf said = {0};
    read_all(bytes_of("a\0b\nc\n", 6), 2, &said);
    EXPECT_STR((const char *)said.data, "1!a zero byte\n2:[c]\n");
    buf_deinit(&said);
}

TEST(csv_reader, a_line_too_long_is_skipped_in_bounded_memory)
{
    struct csv_reader *r = csv_reader_open(',');
    static uint8_t piece[64 * 1024];
    memset(piece, 'x', sizeof piece);
    struct csv_record record;
    struct err e = {0};
    size_t before = mem_in_use();
    unsigned bad = 0;
    for (unsigned i = 0; i < 100; i++) {
        csv_reader_feed(r, bytes_of(piece, sizeof piece));
        while (csv_reader_next(r, &record, &e) == CSV_BAD) {
            bad++;
        }
        EXPECT(mem_in_use() - before < 4 * CSV_RECORD_SIZE_MAX);
    }
    EXPECT_UINT(bad, 1);
    EXPECT_STR(e.text, "longer than 256 KiB");
    csv_reader_feed(r, bytes_str("\nnext,line\n"));
    REQUIRE_INT(csv_reader_next(r, &record, &e), CSV_RECORD);
    EXPECT_UINT(record.line, 2);
    EXPECT_UINT(record.count, 2);
    csv_reader_close(r);
}

TEST(csv_reader, a_quote_never_closed_is_given_up_after_the_limit)
{
    struct csv_reader *r = csv_reader_open(',');
    csv_reader_feed(r, bytes_str("\"open\n"));
    struct csv_record record;
    struct err e = {0};
    size_t fed = 0;
    while (csv_reader_next(r, &record, &e) == CSV_MORE) {
        csv_reader_feed(r, bytes_str("line of text\n"));
        fed += 13;
        REQUIRE(fed < (size_t)2 * CSV_RECORD_SIZE_MAX);
    }
    EXPECT_UINT(record.line, 1);
    EXPECT_STR(e.text, "a quote is not closed within 256 KiB");
    REQUIRE_INT(csv_reader_next(r, &record, &e), CSV_RECORD);
    EXPECT_UINT(record.line, 2);
    csv_reader_close(r);
}

TEST(csv_reader, refuses_more_fields_than_a_table_can_have)
{
    struct buf text = {0};
    for (unsigned i = 0; i < CSV_FIELDS_MAX; i++) {
        buf_put_u8(&text, ',');
    }
    buf_put_u8(&text, '\n');
    struct buf said = {0};
    read_all(buf_bytes(&text), 100, &said);
    EXPECT_STR((const char *)said.data, "1!too many fields\n");
    buf_deinit(&said);
    buf_deinit(&text);
}

TEST(csv_reader, another_separator_leaves_commas_alone)
{
    struct csv_reader *r = csv_reader_open('\t');
    csv_reader_feed(r, bytes_str("a,b\tc\n"));
    struct csv_record record;
    struct err e = {0};
    REQUIRE_INT(csv_reader_next(r, &record, &e), CSV_RECORD);
    REQUIRE_UINT(record.count, 2);
    EXPECT_UINT(record.fields[0].text.size, 3);
    csv_reader_close(r);
    csv_reader_close(NULL);
}

/* However the bytes are cut into pieces, the answer is the same. */
TEST(csv_reader, pieces_do_not_change_what_is_read)
{
    static const char alphabet[] = "a,\"\n\r b";
    struct random r = random_seeded(3);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t text[40];
        size_t size = (size_t)random_below(&r, sizeof text);
        for (size_t i = 0; i < size; i++) {
            text[i] = (uint8_t)alphabet[random_below(&r, sizeof alphabet - 1)];
        }
        struct buf whole = {0};
        struct buf pieces = {0};
        read_all(bytes_of(text, size), 1000, &whole);
        read_all(bytes_of(text, size), 1 + (size_t)random_below(&r, 5), &pieces);
        EXPECT_STR((const char *)pieces.data, (const char *)whole.data);
        buf_deinit(&whole);
        buf_deinit(&pieces);
    }
}
