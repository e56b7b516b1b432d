/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "cli/time_text.h"
#include "testkit/test.h"

static enum err_code parse(const char *format, const char *text, unsigned precision, int64_t *out)
{
    struct time_format f;
    struct err e = {0};
    REQUIRE_OK(time_text_format(format, &f, &e));
    return time_text_parse(&f, bytes_str(text), precision, out, &e);
}

static void expect_time(const char *format, const char *text, unsigned precision, int64_t want)
{
    int64_t v = 0;
    EXPECT_OK(parse(format, text, precision, &v));
    EXPECT_INT(v, want);
}

static void expect_refused(const char *format, const char *text, unsigned precision,
                           enum err_code why)
{
    int64_t v = 77;
    EXPECT_ERR(parse(format, text, precision, &v), why);
    EXPECT_INT(v, 77);
}

TEST(time_text, reads_every_form_of_a_date_with_time)
{
    const int64_t want = INT64_C(1392388200000); /* 2014-02-14T14:30:00Z */
    expect_time("auto", "2014-02-14 14:30:00", 3, want);
    expect_time("auto", "2014-02-14T14:30:00Z", 3, want);
    expect_time("auto", "2014-02-14t14:30z", 3, want);
    expect_time("auto", "2014-02-14T15:30:00+01:00", 3, want);
    expect_time("auto", "2014-02-14T09:00:00.000-0530", 3, want);
    expect_time("auto", "2014-02-14T16:30:00+02", 3, want);
    expect_time("rfc3339", "2014-02-14 14:30:00 +0000", 3, want);
    expect_time("auto", "2014-02-14T14:30:00.250", 3, want + 250);
    expect_time("auto", "2014-02-14T14:30:00.25", 6, want * 1000 + 250000);
    expect_time("auto", "2014-02-14T14:30:00.123456789", 9, want * 1000000 + 123456789);
    expect_time("auto", "2014-02-14T14:30:00.1000000000000", 3, want + 100);
    expect_time("auto", "2014-02-14", 3, INT64_C(1392336000000));
    expect_time("auto", "1969-12-31T23:59:59.999Z", 3, -1);
    expect_time("auto", "2016-12-31T23:59:60Z", 3, INT64_C(1483228800000));
}

TEST(time_text, guesses_the_unit_of_a_bare_number)
{
    expect_time("auto", "1392388200", 3, INT64_C(1392388200000));
    expect_time("auto", "1392388200000", 3, INT64_C(1392388200000));
    expect_time("auto", "1392388200000000", 3, INT64_C(1392388200000));
    expect_time("auto", "1392388200000000000", 3, INT64_C(1392388200000));
    expect_time("auto", "-1", 3, -1000);
    expect_time("epoch_ms", "1392388200", 3, 1392388200);
    expect_time("epoch_us", "-1500", 9, -1500000);
    expect_time("epoch_ns", "-9223372036854775808", 9, INT64_MIN);
}

TEST(time_text, reads_a_pattern)
{
    expect_time("%Y-%m-%d %H:%M:%S", "2014-02-14 14:30:00", 3, INT64_C(1392388200000));
    expect_time("%d/%b/%Y:%T %z", "14/Feb/2014:15:30:00 +0100", 3, INT64_C(1392388200000));
    expect_time("%F", "1990-01-02", 3, INT64_C(631238400000));
    expect_time("%H:%M 100%%", "01:02 100%", 3, 3720000);
    expect_time("%FT%T.%f", "1970-01-01T00:00:00.5", 3, 500);
    expect_refused("%Y-%m-%d", "2014-02-14 14:30", 3, ERR_INVALID);
    expect_refused("%Y-%m-%d", "14-02-2014", 3, ERR_INVALID);
    expect_refused("%d %b %Y", "14 Fex 2014", 3, ERR_INVALID);
}

TEST(time_text, refuses_what_is_no_time)
{
    static const char *const bad[] = {
        "",
        "now",
        "2014",
        "2014-02-30",
        "2014-13-01",
        "2014-00-01",
        "2014-02-14T",
        "2014-02-14 24:00",
        "2014-02-14 14:60",
        "2014-02-14 14:30:61",
        "2014-2-14",
        "2014-02-14 14:30:00.",
        "2014-02-14 14:30:00 UTC",
        "2014-02-14Z",
        "1392388200.5",
        "2014-02-14 14:30:00+1",
        "-",
        "+123-01-01",
        "1900-02-29",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t v = 0;
        if (strcmp(bad[i], "2014") != 0) {
            EXPECT_ERR(parse("auto", bad[i], 3, &v), ERR_INVALID);
        }
        EXPECT_ERR(parse("rfc3339", bad[i], 3, &v), ERR_INVALID);
    }
}

TEST(time_text, never_rounds)
{
    expect_refused("auto", "2014-02-14T14:30:00.0001", 3, ERR_RANGE);
    expect_refused("epoch_us", "1", 3, ERR_RANGE);
    expect_refused("auto", "2014-02-14T14:30:00.0000000001Z", 9, ERR_INVALID);
    expect_time("epoch_us", "2000", 3, 2);
}

TEST(time_text, refuses_times_out_of_range)
{
    expect_refused("auto", "2262-04-12T00:00:00Z", 9, ERR_RANGE);
    expect_refused("epoch_s", "9223372036854775807", 3, ERR_RANGE);
    expect_refused("auto", "99999999999999999999999", 3, ERR_RANGE);
    expect_time("auto", "2262-04-11T23:47:16.854775807Z", 9, INT64_MAX);
    expect_time("auto", "1677-09-21T00:12:43.145224192Z", 9, INT64_MIN);
}

TEST(time_text, every_printed_time_reads_back)
{
    static const int64_t edges[] = {
        0, -1, 1, INT64_MIN, INT64_MAX, -62135596800000, 253402300800000};
    struct random r = random_seeded(5);
    for (unsigned i = 0; i < 20000; i++) {
        int64_t v = i < sizeof edges / sizeof edges[0] ? edges[i] : (int64_t)random_u64(&r);
        if (i % 2 == 1 && i > 10) {
            v >>= (int)random_below(&r, 40);
        }
        for (unsigned precision = 3; precision <= 9; precision += 3) {
            char text[TIME_TEXT_SIZE];
            expect_time("rfc3339", time_text_print(v, precision, text), precision, v);
        }
    }
}

TEST(time_text, prints_as_many_digits_as_the_table_keeps)
{
    char text[TIME_TEXT_SIZE];
    EXPECT_STR(time_text_print(INT64_C(1392388200000), 3, text), "2014-02-14T14:30:00.000Z");
    EXPECT_STR(time_text_print(-1, 6, text), "1969-12-31T23:59:59.999999Z");
    EXPECT_STR(time_text_print(1, 9, text), "1970-01-01T00:00:00.000000001Z");
    EXPECT_STR(time_text_print(951782400, 0, text), "2000-02-29T00:00:00Z");
    EXPECT_STR(time_text_print(INT64_MAX, 3, text), "+292278994-08-17T07:12:55.807Z");
    EXPECT_STR(time_text_print(-62198755200001, 3, text), "-00002-12-31T23:59:59.999Z");
}

TEST(time_text, refuses_unusable_formats)
{
    struct time_format f;
    struct err e = {0};
    EXPECT_ERR(time_text_format("", &f, &e), ERR_INVALID);
    EXPECT_ERR(time_text_format("epoch", &f, &e), ERR_INVALID);
    EXPECT_ERR(time_text_format("%Q", &f, &e), ERR_INVALID);
    EXPECT_ERR(time_text_format("%Y%", &f, &e), ERR_INVALID);
    EXPECT_ERR(time_text_format("%%", &f, &e), ERR_INVALID);
    EXPECT_ERR(
        time_text_format(
            "%Y-%m-%d %H:%M:%S and a very long tail that is too long to be kept at all", &f, &e),
        ERR_INVALID);
    EXPECT_CONTAINS(e.text, "rfc3339");
}
