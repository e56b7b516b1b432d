/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/value.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "testkit/test.h"

#define UTF8(text) value_is_utf8(bytes_of(text, sizeof(text) - 1))

TEST(value, types_are_those_of_the_public_api)
{
    EXPECT(!value_type_is_valid(0));
    EXPECT(!value_type_is_valid(10));
    EXPECT(!value_type_is_valid(UINT64_MAX));
    static const char *const names[] = {"timestamp", "int64", "double", "bool", "string"};
    for (int i = 0; i < 5; i++) {
        EXPECT(value_type_is_valid((uint64_t)i + 1));
        EXPECT_STR(value_type_name((enum value_type)(i + 1)), names[i]);
    }
}

TEST(value, valid_utf8_is_accepted)
{
    EXPECT(value_is_utf8((struct bytes){0}));
    EXPECT(UTF8("plain text, longer than eight bytes"));
    EXPECT(UTF8("M\xc3\xbcnchen"));
    EXPECT(UTF8("\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"));
    EXPECT(UTF8("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    EXPECT(UTF8("12345678\xe2\x82\xac 12345678"));
}

/* Overlong forms, surrogates, beyond U+10FFFF, cut short, stray bytes. */
TEST(value, invalid_utf8_is_refused)
{
    EXPECT(!UTF8("\x80"));
    EXPECT(!UTF8("\xc0\xaf"));
    EXPECT(!UTF8("\xc1\xbf"));
    EXPECT(!UTF8("\xe0\x9f\xbf"));
    EXPECT(!UTF8("\xed\xa0\x80"));
    EXPECT(!UTF8("\xf0\x8f\xbf\xbf"));
    EXPECT(!UTF8("\xf4\x90\x80\x80"));
    EXPECT(!UTF8("\xf5\x80\x80\x80"));
    EXPECT(!UTF8("\xff"));
    EXPECT(!UTF8("12345678\xc3"));
    EXPECT(!UTF8("\xe2\x82"));
    EXPECT(!UTF8("\xf0\x90\x80"));
    EXPECT(!UTF8("\xe2\x82 "));
    EXPECT(!UTF8("\xc3\xc3"));
}

static const char *check_name(const char *name)
{
    static struct err e;
    e.text[0] = '\0';
    return value_check_name("column", bytes_str(name), &e) == ERR_OK ? "ok" : e.text;
}

TEST(value, names_are_short_text_without_control_characters)
{
    EXPECT_STR(check_name("usage_user"), "ok");
    EXPECT_STR(check_name("CPU load (5 min)"), "ok");
    EXPECT_STR(check_name("Stra\xc3\x9f"
                          "e"),
               "ok");
    EXPECT_STR(check_name(""), "the column has no name");
    EXPECT_STR(check_name("a\nb"), "the name of the column holds a quote or a control character");
    EXPECT_STR(check_name("a\"b"), "the name of the column holds a quote or a control character");
    EXPECT_STR(check_name("a\x7f"), "the name of the column holds a quote or a control character");
    EXPECT_STR(check_name(" a"), "the name of the column begins or ends with a blank");
    EXPECT_STR(check_name("a "), "the name of the column begins or ends with a blank");
    EXPECT_STR(check_name("\xff"), "the name of the column is not UTF-8");
    char longest[LIMIT_NAME_SIZE_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[LIMIT_NAME_SIZE_MAX] = '\0';
    EXPECT_STR(check_name(longest), "ok");
    longest[LIMIT_NAME_SIZE_MAX] = 'x';
    longest[LIMIT_NAME_SIZE_MAX + 1] = '\0';
    EXPECT_STR(check_name(longest), "the name of the column has 64 bytes, at most 63 are allowed");
}

TEST(value, databases_have_plain_names)
{
    struct err e;
    EXPECT_OK(value_check_identifier("database", bytes_str("metrics_2"), &e));
    EXPECT_OK(value_check_identifier("database", bytes_str("_x"), &e));
    EXPECT_ERR(value_check_identifier("database", bytes_str("2x"), &e), ERR_INVALID);
    EXPECT_ERR(value_check_identifier("database", bytes_str("Metrics"), &e), ERR_INVALID);
    EXPECT_ERR(value_check_identifier("database", bytes_str("a-b"), &e), ERR_INVALID);
    EXPECT_ERR(value_check_identifier("database", bytes_str(""), &e), ERR_INVALID);
    EXPECT_STR(e.text, "the database has no name");
}

static const char *round_trip(enum value_type type, const char *text)
{
    static char printed[64];
    struct buf stored = {0};
    struct buf out = {0};
    struct err e;
    enum err_code code = value_parse_tag(type, LIMIT_STRING_SIZE_MAX, bytes_str(text), &stored, &e);
    (void)snprintf(printed, sizeof printed, "%s", err_name(code));
    if (code == ERR_OK) {
        EXPECT(value_print_tag(type, buf_bytes(&stored), &out));
        (void)snprintf(printed, sizeof printed, "%.*s", (int)out.size,
                       out.data == NULL ? "" : (const char *)out.data);
    }
    buf_deinit(&stored);
    buf_deinit(&out);
    return printed;
}

TEST(value, tags_come_back_in_their_one_form)
{
    EXPECT_STR(round_trip(VALUE_STRING, "a b"), "a b");
    EXPECT_STR(round_trip(VALUE_STRING, ""), "");
    EXPECT_STR(round_trip(VALUE_STRING, "\xff"), "INVALID");
    EXPECT_STR(round_trip(VALUE_BOOL, "true"), "true");
    EXPECT_STR(round_trip(VALUE_BOOL, "false"), "false");
    EXPECT_STR(round_trip(VALUE_BOOL, "1"), "INVALID");
    EXPECT_STR(round_trip(VALUE_INT64, "007"), "7");
    EXPECT_STR(round_trip(VALUE_INT64, "-0"), "0");
    EXPECT_STR(round_trip(VALUE_INT64, "9223372036854775807"), "9223372036854775807");
    EXPECT_STR(round_trip(VALUE_INT64, "-9223372036854775808"), "-9223372036854775808");
    EXPECT_STR(round_trip(VALUE_INT64, "9223372036854775808"), "RANGE");
    EXPECT_STR(round_trip(VALUE_INT64, "-9223372036854775809"), "RANGE");
    EXPECT_STR(round_trip(VALUE_INT64, "99999999999999999999999"), "RANGE");
    EXPECT_STR(round_trip(VALUE_INT64, ""), "INVALID");
    EXPECT_STR(round_trip(VALUE_INT64, "-"), "INVALID");
    EXPECT_STR(round_trip(VALUE_INT64, "1.5"), "INVALID");
    EXPECT_STR(round_trip(VALUE_INT64, " 1"), "INVALID");
}

TEST(value, tags_of_narrow_and_floating_types_come_back)
{
    EXPECT_STR(round_trip(VALUE_INT16, "-32768"), "-32768");
    EXPECT_STR(round_trip(VALUE_INT16, "32768"), "RANGE");
    EXPECT_STR(round_trip(VALUE_INT32, "2147483647"), "2147483647");
    EXPECT_STR(round_trip(VALUE_INT32, "-2147483649"), "RANGE");
    EXPECT_STR(round_trip(VALUE_TIMESTAMP, "1700000000000"), "1700000000000");
    EXPECT_STR(round_trip(VALUE_DOUBLE, "0.10"), "0.1");
    EXPECT_STR(round_trip(VALUE_DOUBLE, "-1.5e3"), "-1500");
    EXPECT_STR(round_trip(VALUE_DOUBLE, ".5"), "0.5");
    EXPECT_STR(round_trip(VALUE_DOUBLE, "-0"), "0");
    EXPECT_STR(round_trip(VALUE_DOUBLE, "0.1000000000000000055511151231257827"), "0.1");
    EXPECT_STR(round_trip(VALUE_DOUBLE, "2.2250738585072014e-308"), "2.2250738585072014e-308");
    EXPECT_STR(round_trip(VALUE_DOUBLE, "1e400"), "RANGE");
    EXPECT_STR(round_trip(VALUE_FLOAT, "21.57"), "21.57");
    EXPECT_STR(round_trip(VALUE_FLOAT, "16777217"), "16777216");
    EXPECT_STR(round_trip(VALUE_FLOAT, "1e39"), "RANGE");
    static const char *const wrong[] = {"",    "-",   ".",    "1.", "e5", "1e",  "1e+",
                                        "nan", "inf", "0x10", " 1", "1 ", "1,5", "+1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bool digits_follow = strcmp(wrong[i], "1.") == 0;
        EXPECT_STR(round_trip(VALUE_DOUBLE, wrong[i]), digits_follow ? "1" : "INVALID");
    }
}

TEST(value, tags_of_bytes_are_hexadecimal)
{
    EXPECT_STR(round_trip(VALUE_BYTES, "\\x"), "\\x");
    EXPECT_STR(round_trip(VALUE_BYTES, "\\x00fFa9"), "\\x00ffa9");
    EXPECT_STR(round_trip(VALUE_BYTES, ""), "INVALID");
    EXPECT_STR(round_trip(VALUE_BYTES, "\\x0"), "INVALID");
    EXPECT_STR(round_trip(VALUE_BYTES, "\\x0g"), "INVALID");
    EXPECT_STR(round_trip(VALUE_BYTES, "0x00"), "INVALID");
    struct buf stored = {0};
    struct err e;
    EXPECT_OK(value_parse_tag(VALUE_BYTES, 2, bytes_str("\\x0102"), &stored, &e));
    EXPECT_UINT(stored.size, 2);
    EXPECT_ERR(value_parse_tag(VALUE_BYTES, 2, bytes_str("\\x010203"), &stored, &e), ERR_RANGE);
    EXPECT_STR(e.text, "3 bytes, at most 2 are allowed");
    EXPECT_ERR(value_parse_tag(VALUE_STRING, 2, bytes_str("abc"), &stored, &e), ERR_RANGE);
    buf_deinit(&stored);
}

TEST(value, a_word_is_a_value_of_its_type_or_not)
{
    EXPECT(value_word_is_valid(VALUE_INT16, 0xffffffffffff8000));
    EXPECT(!value_word_is_valid(VALUE_INT16, 0xffff8000));
    EXPECT(!value_word_is_valid(VALUE_INT16, 0x8000));
    EXPECT(value_word_is_valid(VALUE_INT32, 0x7fffffff));
    EXPECT(!value_word_is_valid(VALUE_INT32, 0x80000000));
    EXPECT(value_word_is_valid(VALUE_FLOAT, 0xffffffff));
    EXPECT(!value_word_is_valid(VALUE_FLOAT, 0x100000000));
    EXPECT(value_word_is_valid(VALUE_BOOL, 1));
    EXPECT(!value_word_is_valid(VALUE_BOOL, 2));
    EXPECT(value_word_is_valid(VALUE_DOUBLE, UINT64_MAX));
}

TEST(value, types_widen_to_those_that_hold_all_their_values)
{
    for (int from = VALUE_TIMESTAMP; from < VALUE_TYPE_END; from++) {
        for (int to = VALUE_TIMESTAMP; to < VALUE_TYPE_END; to++) {
            bool want = from == to || (from == VALUE_FLOAT && to == VALUE_DOUBLE) ||
                        (from == VALUE_INT16 && to == VALUE_INT32) ||
                        (from == VALUE_INT16 && to == VALUE_INT64) ||
                        (from == VALUE_INT32 && to == VALUE_INT64);
            EXPECT_INT(value_can_widen((enum value_type)from, (enum value_type)to), want);
        }
    }
    static const uint64_t pairs[][2] = {
        {0x3fc00000, 0x3ff8000000000000}, {0x80000000, 0x8000000000000000}, /* 1.5, -0 */
        {0x7f800000, 0x7ff0000000000000}, {0xff800000, 0xfff0000000000000}, /* infinities */
        {0x7fa00001, 0x7ff4000020000000}, {0xffc00002, 0xfff8000040000000}, /* NaN */
        {0x00000001, 0x36a0000000000000}, {0x7f7fffff, 0x47efffffe0000000}, /* the ends */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        EXPECT_UINT(value_widen(VALUE_FLOAT, VALUE_DOUBLE, pairs[i][0]), pairs[i][1]);
    }
    EXPECT_UINT(value_widen(VALUE_INT16, VALUE_INT64, UINT64_MAX), UINT64_MAX);
}

TEST(value, a_string_tag_over_the_limit_is_refused)
{
    struct err e;
    struct buf stored = {0};
    char *text = mem_zalloc(LIMIT_STRING_SIZE_MAX + 1);
    memset(text, 'x', LIMIT_STRING_SIZE_MAX + 1);
    EXPECT_OK(value_parse_tag(VALUE_STRING, LIMIT_STRING_SIZE_MAX,
                              bytes_of(text, LIMIT_STRING_SIZE_MAX), &stored, &e));
    EXPECT_ERR(value_parse_tag(VALUE_STRING, LIMIT_STRING_SIZE_MAX,
                               bytes_of(text, LIMIT_STRING_SIZE_MAX + 1), &stored, &e),
               ERR_RANGE);
    mem_free(text);
    buf_deinit(&stored);
}

TEST(value, stored_bytes_that_are_no_tag_are_not_printed)
{
    struct buf out = {0};
    EXPECT(!value_print_tag(VALUE_BOOL, bytes_of("\x02", 1), &out));
    EXPECT(!value_print_tag(VALUE_BOOL, bytes_of("", 0), &out));
    EXPECT(!value_print_tag(VALUE_INT64, bytes_of("1234567", 7), &out));
    buf_deinit(&out);
}
