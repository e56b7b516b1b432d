/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>

#include "base/random.h"
#include "cli/value_text.h"
#include "testkit/test.h"

TEST(value_text, reads_whole_numbers_to_their_limits)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"0012", true, 12},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x10", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t v = 7;
        EXPECT_INT(value_text_int64(bytes_str(cases[i].text), &v), cases[i].good);
        EXPECT_INT(v, cases[i].good ? cases[i].value : 7);
    }
    uint64_t u = 7;
    EXPECT(value_text_uint64(bytes_str("18446744073709551615"), &u));
    EXPECT_UINT(u, UINT64_MAX);
    EXPECT(!value_text_uint64(bytes_str("18446744073709551616"), &u));
    EXPECT(!value_text_uint64(bytes_str("-1"), &u));
}

TEST(value_text, reads_hexadecimal_identities)
{
    uint64_t v = 0;
    EXPECT(value_text_hex64(bytes_str("0xDEADbeef"), &v));
    EXPECT_UINT(v, 0xdeadbeef);
    EXPECT(value_text_hex64(bytes_str("ffffffffffffffff"), &v));
    EXPECT_UINT(v, UINT64_MAX);
    EXPECT(!value_text_hex64(bytes_str(""), &v));
    EXPECT(!value_text_hex64(bytes_str("0x"), &v));
    EXPECT(!value_text_hex64(bytes_str("1ffffffffffffffff"), &v));
    EXPECT(!value_text_hex64(bytes_str("12g"), &v));
}

TEST(value_text, reads_decimal_numbers_only)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0", 0},
        {"-0.0", -0.0},
        {"1.5", 1.5},
        {".5", 0.5},
        {"5.", 5},
        {"1e3", 1000},
        {"-2E-3", -0.002},
        {"+7", 7},
        {"1e-400", 0},
        {"inf", (double)INFINITY},
        {"-Infinity", -(double)INFINITY},
        {"nAn", (double)NAN},
    };
    static const char *const bad[] = {
        "",    ".",    "-",  "e5",    "1e",   "1e+",   "0x1p3",
        "1,5", "1.5 ", " 1", "1.5.5", "1e5x", "infin", "1e999",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double v = 77;
        EXPECT(value_text_double(bytes_str(good[i].text), &v));
        EXPECT_DOUBLE(v, good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double v = 77;
        EXPECT(!value_text_double(bytes_str(bad[i]), &v));
        EXPECT_DOUBLE(v, 77);
    }
}

TEST(value_text, refuses_a_number_of_absurd_length)
{
    char text[VALUE_TEXT_NUMBER_SIZE_MAX + 1];
    memset(text, '1', sizeof text);
    double v = 0;
    EXPECT(!value_text_double(bytes_of(text, VALUE_TEXT_NUMBER_SIZE_MAX), &v));
    EXPECT(value_text_double(bytes_of(text, 300), &v));
}

TEST(value_text, a_printed_double_reads_back_as_the_same_bits)
{
    struct random r = random_seeded(11);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t bits = random_u64(&r);
        double v = 0;
        memcpy(&v, &bits, sizeof v);
        if (isnan(v)) {
            continue;
        }
        char text[VALUE_TEXT_DOUBLE_SIZE];
        double back = 0;
        EXPECT(value_text_double(bytes_str(value_text_print_double(v, text)), &back));
        EXPECT_DOUBLE(back, v);
    }
}

TEST(value_text, prints_the_shortest_form)
{
    char text[VALUE_TEXT_DOUBLE_SIZE];
    EXPECT_STR(value_text_print_double(0.1, text), "0.1");
    EXPECT_STR(value_text_print_double(0.132, text), "0.132");
    EXPECT_STR(value_text_print_double(42, text), "42");
    EXPECT_STR(value_text_print_double(-0.0, text), "-0");
    EXPECT_STR(value_text_print_double(0.1 + 0.2, text), "0.30000000000000004");
    EXPECT_STR(value_text_print_double(DBL_MAX, text), "1.7976931348623157e+308");
    EXPECT_STR(value_text_print_double((double)NAN, text), "NaN");
    EXPECT_STR(value_text_print_double(-(double)INFINITY, text), "-Infinity");
}

TEST(value_text, reads_truth_values)
{
    bool v = false;
    EXPECT(value_text_bool(bytes_str("True"), &v));
    EXPECT(v);
    EXPECT(value_text_bool(bytes_str("off"), &v));
    EXPECT(!v);
    EXPECT(value_text_bool(bytes_str("1"), &v));
    EXPECT(v);
    EXPECT(!value_text_bool(bytes_str("2"), &v));
    EXPECT(!value_text_bool(bytes_str(""), &v));
}

TEST(value_text, reads_durations)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t ms;
    } cases[] = {
        {"500ms", true, 500},
        {"10s", true, 10000},
        {"1m30s", true, 90000},
        {"2h", true, 7200000},
        {"1d", true, 86400000},
        {"3", true, 3000},
        {"0s", true, 0},
        {"", false, 0},
        {"s", false, 0},
        {"10x", false, 0},
        {"1.5s", false, 0},
        {"-1s", false, 0},
        {"99999999999999999999s", false, 0},
        {"1m 30s", false, 0},
        {"10s5", false, 0},
        {"9999999999999d", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 7;
        EXPECT_INT(value_text_duration_ms(bytes_str(cases[i].text), &ms), cases[i].good);
        EXPECT_UINT(ms, cases[i].good ? cases[i].ms : 7);
    }
}

TEST(value_text, knows_good_utf8_from_bad)
{
    static const char *const good[] = {"", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    static const char *const bad[] = {
        "\x80", "\xc3",   "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xff", "a\xc3z",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        EXPECT(value_text_is_utf8(bytes_str(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT(!value_text_is_utf8(bytes_str(bad[i])));
    }
    EXPECT_UINT(value_text_utf8_size(bytes_str("")), 0);
    EXPECT_UINT(value_text_utf8_size(bytes_str("\xe2\x82\xac!")), 3);
}

TEST(value_text, knows_types_by_their_names)
{
    EXPECT_INT(value_text_type(bytes_str("double")), 3);
    EXPECT_INT(value_text_type(bytes_str("BIGINT")), 2);
    EXPECT_INT(value_text_type(bytes_str("varchar")), 5);
    EXPECT_INT(value_text_type(bytes_str("decimal")), 0);
    EXPECT_STR(value_text_type_name(4), "bool");
    EXPECT_STR(value_text_type_name(0), "?");
    EXPECT_STR(value_text_type_name(10), "?");
    for (int i = 1; i <= 9; i++) {
        EXPECT_INT(value_text_type(bytes_str(value_text_type_name(i))), i);
    }
}

TEST(value_text, a_type_may_have_a_greatest_size)
{
    uint32_t size = 7;
    EXPECT_INT(value_text_sized_type(bytes_str("varchar(100)"), &size), 5);
    EXPECT_UINT(size, 100);
    EXPECT_INT(value_text_sized_type(bytes_str("varbytes(16)"), &size), 9);
    EXPECT_UINT(size, 16);
    EXPECT_INT(value_text_sized_type(bytes_str("int16"), &size), 6);
    EXPECT_UINT(size, 0);
    static const char *const bad[] = {
        "varchar()",   "varchar(0)", "varchar(1", "varchar(x)",   "varchar(-1)",
        "varchar(1)x", "double(4)",  "(4)",       "varchar((1))", "varchar(4294967296)"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        EXPECT_INT(value_text_sized_type(bytes_str(bad[i]), &size), 0);
    }
}

TEST(value_text, floats_read_back_as_the_same_bits)
{
    static const uint32_t words[] = {0,          0x80000000, 1,          0x007fffff, 0x00800000,
                                     0x7f7fffff, 0x3dcccccd, 0x41ac8f5c, 0x4b800000, 0x7f800000};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char text[VALUE_TEXT_DOUBLE_SIZE];
        float v = 0;
        float back = 0;
        memcpy(&v, &words[i], sizeof v);
        EXPECT(value_text_float(bytes_str(value_text_print_float(v, text)), &back));
        uint32_t word = 0;
        memcpy(&word, &back, sizeof word);
        EXPECT_UINT(word, words[i]);
    }
    float v = 0;
    char text[VALUE_TEXT_DOUBLE_SIZE];
    EXPECT(value_text_float(bytes_str("21.57"), &v));
    EXPECT_STR(value_text_print_float(v, text), "21.57");
    EXPECT(!value_text_float(bytes_str("1e39"), &v));
    EXPECT(!value_text_float(bytes_str("one"), &v));
}

TEST(value_text, bytes_are_hexadecimal)
{
    struct buf b = {0};
    struct buf text = {0};
    EXPECT(value_text_bytes(bytes_str("\\x00fFa9"), &b));
    EXPECT_UINT(b.size, 3);
    value_text_print_bytes(buf_bytes(&b), &text);
    EXPECT_UINT(text.size, 8);
    EXPECT_MEM(text.data, "\\x00ffa9", 8);
    buf_reset(&b);
    EXPECT(value_text_bytes(bytes_str("\\x"), &b));
    EXPECT_UINT(b.size, 0);
    EXPECT(!value_text_bytes(bytes_str(""), &b));
    EXPECT(!value_text_bytes(bytes_str("\\x0"), &b));
    EXPECT(!value_text_bytes(bytes_str("\\xzz"), &b));
    EXPECT(!value_text_bytes(bytes_str("00ff"), &b));
    buf_deinit(&b);
    buf_deinit(&text);
}
