/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "cli/json_writer.h"
#include "testkit/test.h"

TEST(json_writer, lays_out_two_levels_in_lines)
{
    struct text_sink out;
    struct json_writer j;
    text_sink_init(&out, NULL);
    json_init(&j, &out);
    json_begin_object(&j);
    json_put_str(&j, "name", "n1");
    json_put_uint(&j, "count", 2);
    json_key(&j, "rows");
    json_begin_array(&j);
    for (int i = 0; i < 2; i++) {
        json_begin_object(&j);
        json_key(&j, "v");
        json_int(&j, -i);
        json_put_bool(&j, "odd", i % 2 == 1);
        json_end(&j);
    }
    json_end(&j);
    json_key(&j, "none");
    json_begin_array(&j);
    json_end(&j);
    json_end(&j);
    json_finish(&j);
    EXPECT_STR(text_sink_text(&out), "{\n"
                                     "  \"name\": \"n1\",\n"
                                     "  \"count\": 2,\n"
                                     "  \"rows\": [\n"
                                     "    {\"v\": 0, \"odd\": false},\n"
                                     "    {\"v\": -1, \"odd\": true}\n"
                                     "  ],\n"
                                     "  \"none\": []\n"
                                     "}\n");
    text_sink_deinit(&out);
}

static void expect_value(struct bytes text, const char *want)
{
    struct text_sink out;
    struct json_writer j;
    text_sink_init(&out, NULL);
    json_init(&j, &out);
    json_text(&j, text);
    json_finish(&j);
    EXPECT_STR(text_sink_text(&out), want);
    text_sink_deinit(&out);
}

TEST(json_writer, escapes_what_must_be_escaped)
{
    expect_value(bytes_str("a\"b\\c\n1\t2\x01\x7f"), "\"a\\\"b\\\\c\\n1\\t2\\u0001\\u007f\"\n");
    expect_value(bytes_str("\xc3\xa4\xe2\x82\xac"), "\"\xc3\xa4\xe2\x82\xac\"\n");
    expect_value(bytes_str("x\xff\xc3y"), "\"x\xef\xbf\xbd\xef\xbf\xbdy\"\n");
    expect_value(bytes_of("a\0b", 3), "\"a\\u0000b\"\n");
    expect_value((struct bytes){0}, "\"\"\n");
}

TEST(json_writer, writes_numbers_as_numbers_where_json_has_them)
{
    struct text_sink out;
    struct json_writer j;
    text_sink_init(&out, NULL);
    json_init(&j, &out);
    json_begin_array(&j);
    json_int(&j, INT64_MIN);
    json_uint(&j, UINT64_MAX);
    json_double(&j, 0.25);
    json_double(&j, (double)NAN);
    json_double(&j, -(double)INFINITY);
    json_null(&j);
    json_end(&j);
    json_finish(&j);
    EXPECT_STR(text_sink_text(&out), "[\n  -9223372036854775808,\n  18446744073709551615,\n"
                                     "  0.25,\n  \"NaN\",\n  \"-Infinity\",\n  null\n]\n");
    text_sink_deinit(&out);
}

static void value_without_key(void *arg)
{
    struct json_writer *j = arg;
    json_begin_object(j);
    json_null(j);
}

static void unfinished(void *arg)
{
    struct json_writer *j = arg;
    json_begin_object(j);
    json_finish(j);
}

TEST(json_writer, wrong_nesting_stops_the_process)
{
    struct text_sink out;
    struct json_writer j;
    text_sink_init(&out, NULL);
    json_init(&j, &out);
    EXPECT_DIES(value_without_key, &j, "after_key");
    EXPECT_DIES(unfinished, &j, "depth == 0");
    text_sink_deinit(&out);
}
