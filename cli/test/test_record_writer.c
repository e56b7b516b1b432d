/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cli/record_writer.h"
#include "testkit/test.h"

static const char *const columns[] = {"name", "count", "note"};

static struct record_writer *begin(struct text_sink *out, enum output_format format,
                                   enum record_kind kind)
{
    struct record_style style = {format, kind, false, "things"};
    text_sink_init(out, NULL);
    return record_open(out, &style, columns, 3);
}

static void put(struct record_writer *w, const char *name, uint64_t count, const char *note)
{
    record_str(w, name);
    record_uint(w, count);
    if (note == NULL) {
        record_null(w);
    } else {
        record_str(w, note);
    }
}

static void expect_out(struct text_sink *out, struct record_writer *w, const char *want)
{
    record_close(w);
    EXPECT_STR(text_sink_text(out), want);
    text_sink_deinit(out);
}

TEST(record_writer, a_table_aligns_columns_and_numbers)
{
    struct text_sink out;
    struct record_writer *w = begin(&out, FORMAT_TABLE, RECORD_LIST);
    put(w, "a", 7, "x");
    put(w, "l\xc3\xa4nger", 12345, NULL);
    EXPECT_UINT(record_count(w), 2);
    expect_out(&out, w,
               "name    count  note\n"
               "a           7  x\n"
               "l\xc3\xa4nger  12345  \n");
}

TEST(record_writer, an_empty_table_still_has_its_header)
{
    struct text_sink out;
    struct record_writer *w = begin(&out, FORMAT_TABLE, RECORD_LIST);
    expect_out(&out, w, "name  count  note\n");
}

TEST(record_writer, a_table_shows_no_control_characters)
{
    struct text_sink out;
    struct record_writer *w = begin(&out, FORMAT_TABLE, RECORD_LIST);
    put(w, "a\x1b[31m\n", 1, "\x7f");
    expect_out(&out, w,
               "name     count  note\n"
               "a?[31m?      1  ?\n");
}

TEST(record_writer, colors_only_where_asked)
{
    struct text_sink out;
    text_sink_init(&out, NULL);
    struct record_style style = {FORMAT_TABLE, RECORD_LIST, true, "things"};
    struct record_writer *w = record_open(&out, &style, columns, 1);
    record_mark(w);
    record_str(w, "bad");
    record_str(w, "good");
    expect_out(&out, w, "\x1b[1mname\x1b[0m\n\x1b[31mbad\x1b[0m\ngood\n");
}

TEST(record_writer, a_single_record_is_a_list_of_fields)
{
    struct text_sink out;
    struct record_writer *w = begin(&out, FORMAT_TABLE, RECORD_SINGLE);
    put(w, "a", 7, "x");
    expect_out(&out, w, "name   a\ncount  7\nnote   x\n");
    w = begin(&out, FORMAT_CSV, RECORD_SINGLE);
    put(w, "a", 7, NULL);
    expect_out(&out, w, "name,count,note\na,7,\n");
    w = begin(&out, FORMAT_JSON, RECORD_SINGLE);
    put(w, "a", 7, NULL);
    expect_out(&out, w, "{\n  \"name\": \"a\",\n  \"count\": 7,\n  \"note\": null\n}\n");
}

TEST(record_writer, csv_quotes_what_needs_it)
{
    struct text_sink out;
    struct record_writer *w = begin(&out, FORMAT_CSV, RECORD_LIST);
    put(w, "a,b", 1, "say \"x\"");
    put(w, "two\nlines", 2, "");
    put(w, " blank", 3, NULL);
    put(w, "plain", 4, "caf\xc3\xa9");
    expect_out(&out, w,
               "name,count,note\n"
               "\"a,b\",1,\"say \"\"x\"\"\"\n"
               "\"two\nlines\",2,\"\"\n"
               "\" blank\",3,\n"
               "plain,4,caf\xc3\xa9\n");
}

TEST(record_writer, csv_without_records_is_a_header)
{
    struct text_sink out;
    struct record_writer *w = begin(&out, FORMAT_CSV, RECORD_LIST);
    EXPECT(record_json(w) == NULL);
    expect_out(&out, w, "name,count,note\n");
}

TEST(record_writer, json_has_fields_around_the_records)
{
    struct text_sink out;
    struct record_writer *w = begin(&out, FORMAT_JSON, RECORD_LIST);
    json_put_uint(record_json(w), "index", 9);
    put(w, "a", 1, NULL);
    put(w, "b", 2, "x");
    json_put_bool(record_json(w), "done", true);
    expect_out(&out, w,
               "{\n"
               "  \"index\": 9,\n"
               "  \"things\": [\n"
               "    {\"name\": \"a\", \"count\": 1, \"note\": null},\n"
               "    {\"name\": \"b\", \"count\": 2, \"note\": \"x\"}\n"
               "  ],\n"
               "  \"done\": true\n"
               "}\n");
    w = begin(&out, FORMAT_JSON, RECORD_LIST);
    expect_out(&out, w, "{\n  \"things\": []\n}\n");
}

TEST(record_writer, keeps_types)
{
    static const char *const names[] = {"i", "d", "f", "b"};
    struct record_style style = {FORMAT_JSON, RECORD_SINGLE, false, NULL};
    struct text_sink out;
    text_sink_init(&out, NULL);
    struct record_writer *w = record_open(&out, &style, names, 4);
    record_int(w, -5);
    record_double(w, 0.5);
    record_float(w, 0.1F);
    record_bool(w, true);
    expect_out(&out, w, "{\n  \"i\": -5,\n  \"d\": 0.5,\n  \"f\": 0.1,\n  \"b\": true\n}\n");
}

TEST(record_writer, a_long_table_is_not_held)
{
    FILE *file = fopen("/dev/null", "w");
    REQUIRE(file != NULL);
    struct text_sink out;
    text_sink_init(&out, file);
    struct record_style style = {FORMAT_TABLE, RECORD_LIST, false, "things"};
    struct record_writer *w = record_open(&out, &style, columns, 3);
    size_t before = mem_in_use();
    size_t most = 0;
    for (unsigned i = 0; i < 50000; i++) {
        put(w, "name", i, "note");
        most = mem_in_use() > most ? mem_in_use() : most;
    }
    EXPECT(most - before < (size_t)256 * 1024);
    EXPECT_UINT(record_count(w), 50000);
    record_close(w);
    EXPECT(text_sink_flush(&out));
    text_sink_deinit(&out);
    (void)fclose(file);
}
