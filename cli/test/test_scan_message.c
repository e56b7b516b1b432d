/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/scan_message.h"
#include "proto/wire.h"
#include "testkit/test.h"

enum { TIMESTAMP = 1, INT64, DOUBLE, BOOL, STRING, INT16, INT32, FLOAT, BYTES };

static struct buf message; /* being made */

static void put_column(const char *name, int type, uint32_t field, const void *values, size_t size)
{
    size_t mark = wire_begin(&message, 6);
    wire_put_str(&message, 1, name);
    if (type != STRING && type != BYTES) {
        wire_put_bytes(&message, field, bytes_of(values, size));
    } else {
        for (size_t i = 0; i < size; i++) {
            wire_put_item(&message, 5, bytes_str(((const char *const *)values)[i]));
        }
    }
    wire_put_uint(&message, 7, (uint64_t)type);
    wire_end(&message, mark);
}

static void put_series(const char *a, const char *b)
{
    size_t mark = wire_begin(&message, 4);
    uint8_t null = 2;
    wire_put_item(&message, 1, bytes_str(a));
    wire_put_item(&message, 1, bytes_str(b == NULL ? "" : b));
    if (b == NULL) {
        wire_put_bytes(&message, 2, bytes_of(&null, 1));
    }
    wire_end(&message, mark);
}

static const int64_t times[] = {1000, 2000};
static const double doubles[] = {0.5, -1};
static const int64_t integers[] = {7, INT64_MIN};
static const uint8_t truths[] = {0, 1};
static const char *const strings[] = {"x", ""};
static const uint8_t of_row[] = {1, 0};

static void make_message(void)
{
    buf_reset(&message);
    wire_put_str(&message, 1, "host");
    wire_put_str(&message, 1, "rack");
    wire_put_uint(&message, 3, 42);
    put_series("web", "r1");
    put_series("db", NULL);
    wire_put_bytes(&message, 5, bytes_of(of_row, 2));
    put_column("ts", TIMESTAMP, 2, times, sizeof times);
    put_column("d", DOUBLE, 3, doubles, sizeof doubles);
    put_column("i", INT64, 2, integers, sizeof integers);
    put_column("b", BOOL, 4, truths, sizeof truths);
    put_column("s", STRING, 5, strings, 2);
    wire_put_uint(&message, 7, 2);
    wire_put_uint(&message, 8, 1);
    wire_put_uint(&message, 9, 2);
    wire_put_uint(&message, 10, 30);
}

TEST(scan_message, gives_every_value)
{
    struct scan_message m = {0};
    struct err e = {0};
    make_message();
    for (int again = 0; again < 2; again++) {
        REQUIRE_OK(scan_message_read(&m, buf_bytes(&message), &e));
        REQUIRE_UINT(m.tag_count, 2);
        EXPECT_STR(m.tag_names[1], "rack");
        EXPECT_UINT(m.index, 42);
        REQUIRE_UINT(m.rows, 2);
        REQUIRE_UINT(m.column_count, 5);
        EXPECT_INT(scan_int64(&m, 0, 1), 2000);
        EXPECT_DOUBLE(scan_double(&m, 1, 0), 0.5);
        EXPECT_INT(scan_int64(&m, 2, 1), INT64_MIN);
        EXPECT(!scan_bool(&m, 3, 0));
        EXPECT(scan_bool(&m, 3, 1));
        EXPECT_UINT(scan_string(&m, 4, 0).size, 1);
        EXPECT_UINT(scan_string(&m, 4, 1).size, 0);
        EXPECT(!scan_is_null(&m, 4, 1));
        struct bytes text = {0};
        EXPECT(scan_tag(&m, 0, 0, &text));
        EXPECT_MEM(text.data, "db", 2);
        EXPECT(!scan_tag(&m, 0, 1, &text));
        EXPECT(scan_tag(&m, 1, 1, &text));
        EXPECT_MEM(text.data, "r1", 2);
        EXPECT(!scan_tag(&m, 1, 2, &text));
        EXPECT(m.done);
        EXPECT_UINT(m.rows_total, 2);
        EXPECT_UINT(m.age_ms, 30);
    }
    REQUIRE_OK(scan_message_read(&m, (struct bytes){0}, &e));
    EXPECT_UINT(m.rows, 0);
    EXPECT_UINT(m.tag_count, 0);
    EXPECT(!m.done);
    scan_message_deinit(&m);
}

static void expect_refused(const char *why)
{
    struct scan_message m = {0};
    struct err e = {0};
    EXPECT_ERR(scan_message_read(&m, buf_bytes(&message), &e), ERR_CORRUPT);
    EXPECT_STR(e.text, why);
    scan_message_deinit(&m);
}

TEST(scan_message, refuses_what_does_not_fit_together)
{
    make_message();
    put_column("short", DOUBLE, 3, doubles, 8);
    expect_refused("column 'short' has not a value for every row");
    make_message();
    put_column("few", STRING, 5, strings, 1);
    expect_refused("column 'few' has not a value for every row");
    make_message();
    put_column("other", DOUBLE, 2, integers, sizeof integers);
    expect_refused("column 'other' has not a value for every row");
    make_message();
    put_column("odd", 10, 3, doubles, sizeof doubles);
    expect_refused("the server's answer is no valid scan");
    make_message();
    wire_put_bytes(&message, 5, bytes_of(of_row, 1));
    expect_refused("rows without a series");
    buf_reset(&message);
    wire_put_uint(&message, 7, 2);
    expect_refused("rows without a timestamp");
    buf_reset(&message);
    put_column("ts", TIMESTAMP, 2, times, sizeof times);
    wire_put_uint(&message, 7, 2);
    expect_refused("rows without a series");
    static const uint8_t nowhere[] = {0, 5};
    buf_reset(&message);
    put_column("ts", TIMESTAMP, 2, times, sizeof times);
    put_series("a", "b");
    wire_put_bytes(&message, 5, bytes_of(nowhere, 2));
    wire_put_uint(&message, 7, 2);
    expect_refused("a row of a series that is not there");
    buf_reset(&message);
    wire_put_uint(&message, 7, UINT64_MAX);
    expect_refused("too many rows in one message");
}

TEST(scan_message, every_cut_is_refused_or_holds_less)
{
    struct scan_message m = {0};
    struct err e = {0};
    make_message();
    unsigned refused = 0;
    for (size_t size = 0; size < message.size; size++) {
        refused += scan_message_read(&m, bytes_of(message.data, size), &e) != ERR_OK ? 1 : 0;
    }
    EXPECT(refused > message.size / 2);
    scan_message_deinit(&m);
    buf_deinit(&message);
    message = (struct buf){0};
}

TEST(scan_message, gives_narrow_numbers_floats_and_bytes)
{
    static const float floats[] = {21.57F, -0.0F};
    struct scan_message m = {0};
    struct err e = {0};
    make_message();
    put_column("f", FLOAT, 8, floats, sizeof floats);
    put_column("i16", INT16, 2, integers, sizeof integers);
    put_column("i32", INT32, 2, integers, sizeof integers);
    put_column("y", BYTES, 5, strings, 2);
    REQUIRE_OK(scan_message_read(&m, buf_bytes(&message), &e));
    EXPECT(scan_float(&m, 5, 0) == 21.57F);
    EXPECT_INT(scan_int64(&m, 6, 0), 7);
    EXPECT_INT(scan_int64(&m, 7, 0), 7);
    EXPECT_UINT(scan_string(&m, 8, 0).size, 1);
    make_message();
    put_column("f", FLOAT, 8, floats, 4);
    EXPECT_ERR(scan_message_read(&m, buf_bytes(&message), &e), ERR_CORRUPT);
    scan_message_deinit(&m);
}
