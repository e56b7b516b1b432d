/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/import_batch.h"
#include "testkit/test.h"

/* Fields: 0 time, 1 double, 2 int64, 3 bool, 4 string, 5 tag host, 6 tag rack (nullable). */
static struct import_column columns[] = {
    {.name = (char *)(uintptr_t)"d", .type = TIDEMARK__V1__TYPE__DOUBLE, .field = 1},
    {.name = (char *)(uintptr_t)"i", .type = TIDEMARK__V1__TYPE__INT64, .field = 2},
    {.name = (char *)(uintptr_t)"b", .type = TIDEMARK__V1__TYPE__BOOL, .field = 3},
    {.name = (char *)(uintptr_t)"s", .type = TIDEMARK__V1__TYPE__STRING, .field = 4},
};
static struct import_column tags[] = {
    {.name = (char *)(uintptr_t)"host",
     .type = TIDEMARK__V1__TYPE__STRING,
     .not_null = true,
     .primary = true,
     .field = 5},
    {.name = (char *)(uintptr_t)"rack",
     .type = TIDEMARK__V1__TYPE__INT64,
     .primary = true,
     .field = 6},
};
static struct import_plan plan = {
    .database = (char *)(uintptr_t)"db",
    .table = (char *)(uintptr_t)"t",
    .precision = 3,
    .time_name = (char *)(uintptr_t)"ts",
    .field_count = 7,
    .columns = columns,
    .column_count = 4,
    .tags = tags,
    .tag_count = 2,
};

static enum err_code add_line(struct import_batch *b, uint64_t line, const char *text,
                              struct err *e)
{
    struct csv_reader *r = csv_reader_open(',');
    struct csv_record record;
    csv_reader_feed(r, bytes_str(text));
    csv_reader_end(r);
    REQUIRE_INT(csv_reader_next(r, &record, e), CSV_RECORD);
    record.line = line;
    enum err_code code = import_batch_add(b, &record, e);
    csv_reader_close(r);
    return code;
}

static Tidemark__V1__WriteRequest *encoded(struct import_batch *b)
{
    struct import_id id = {7, 8, 9};
    struct buf out = {0};
    import_batch_encode(b, &id, &out);
    Tidemark__V1__WriteRequest *w = tidemark__v1__write_request__unpack(NULL, out.size, out.data);
    REQUIRE(w != NULL);
    buf_deinit(&out);
    return w;
}

TEST(import_batch, encodes_every_type_with_its_nulls)
{
    struct import_batch *b = import_batch_open(&plan, 10);
    struct err e = {0};
    EXPECT_OK(add_line(b, 2, "1,0.5,-7,true,text,web,3", &e));
    EXPECT_OK(add_line(b, 3, "2,,,,\"\",web,03", &e));
    EXPECT_OK(add_line(b, 4, "3,nan,1,0,,db,", &e));
    EXPECT_UINT(import_batch_rows(b), 3);
    EXPECT_UINT(import_batch_first_line(b), 2);
    EXPECT_UINT(import_batch_last_line(b), 4);
    Tidemark__V1__WriteRequest *w = encoded(b);
    EXPECT_UINT(w->id->session, 7);
    EXPECT_UINT(w->id->sequence, 8);
    EXPECT_UINT(w->id->sequence_open, 9);
    EXPECT_STR(w->database, "db");
    EXPECT_STR(w->table, "t");
    REQUIRE_UINT(w->n_tag_names, 2);
    EXPECT_STR(w->tag_names[1], "rack");
    REQUIRE_UINT(w->n_series, 2);
    REQUIRE_UINT(w->n_series_of_row, 3);
    EXPECT_UINT(w->series_of_row[1], 0);
    EXPECT_UINT(w->series_of_row[2], 1);
    EXPECT_MEM(w->series[0]->values[1].data, "3", 1);
    EXPECT_UINT(w->series[0]->nulls.len, 0);
    REQUIRE_UINT(w->series[1]->nulls.len, 1);
    EXPECT_UINT(w->series[1]->nulls.data[0], 2);
    REQUIRE_UINT(w->n_columns, 5);
    EXPECT_STR(w->columns[0]->name, "ts");
    EXPECT_INT(w->columns[0]->int64_values[2], 3000);
    EXPECT_UINT(w->columns[0]->nulls.len, 0);
    EXPECT_DOUBLE(w->columns[1]->double_values[0], 0.5);
    EXPECT(isnan(w->columns[1]->double_values[2]));
    EXPECT_UINT(w->columns[1]->nulls.data[0], 2);
    EXPECT_INT(w->columns[2]->int64_values[0], -7);
    EXPECT_UINT(w->columns[3]->bool_values.data[0], 1);
    REQUIRE_UINT(w->columns[4]->n_string_values, 3);
    EXPECT_UINT(w->columns[4]->nulls.data[0], 4);
    tidemark__v1__write_request__free_unpacked(w, NULL);
    import_batch_close(b);
    import_batch_close(NULL);
}

TEST(import_batch, a_refused_row_leaves_no_trace)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"1,2,3", "3 fields, the header has 7"},
        {"then,1,1,1,x,web,1", "time: 'then' is not a time of the expected form"},
        {",1,1,1,x,web,1", "time: '' is not a time of the expected form"},
        {"1970-01-01T00:00:00.0001,1,1,1,x,web,1",
         "time: finer than the table's precision (3 digits of a second)"},
        {"1,one,1,1,x,web,1", "column 'd': 'one' is no double"},
        {"1,1,1.5,1,x,web,1", "column 'i': '1.5' is no int64"},
        {"1,1,1,maybe,x,web,1", "column 'b': 'maybe' is no bool"},
        {"1,1,1,1,\xff,web,1", "column 's': not UTF-8"},
        {"1,1,1,1,x,,1", "tag 'host' has no value"},
        {"1,1,1,1,x,web,one", "tag 'rack': 'one' is no int64"},
    };
    struct import_batch *b = import_batch_open(&plan, 10);
    struct err e = {0};
    EXPECT_OK(add_line(b, 2, "1,1,1,1,x,web,1", &e));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        EXPECT(add_line(b, 3, cases[i].line, &e) != ERR_OK);
        EXPECT_STR(e.text, cases[i].why);
    }
    EXPECT_UINT(import_batch_rows(b), 1);
    EXPECT_OK(add_line(b, 9, "2,1,1,1,x,web,1", &e));
    Tidemark__V1__WriteRequest *w = encoded(b);
    for (size_t i = 0; i < 1; i++) {
        EXPECT_UINT(w->columns[0]->n_int64_values, 2);
        EXPECT_UINT(w->columns[1]->n_double_values, 2);
        EXPECT_UINT(w->columns[4]->n_string_values, 2);
        EXPECT_UINT(w->n_series, 1);
    }
    tidemark__v1__write_request__free_unpacked(w, NULL);
    import_batch_close(b);
}

TEST(import_batch, refuses_text_that_is_too_long)
{
    struct import_batch *b = import_batch_open(&plan, 10);
    struct err e = {0};
    struct buf line = {0};
    buf_printf(&line, "1,1,1,1,");
    memset(buf_extend(&line, LIMIT_STRING_SIZE_MAX + 1), 'x', LIMIT_STRING_SIZE_MAX + 1);
    buf_printf(&line, ",web,1");
    buf_put_u8(&line, 0);
    EXPECT_ERR(add_line(b, 2, (const char *)line.data, &e), ERR_RANGE);
    EXPECT_CONTAINS(e.text, "65537 bytes of text, at most 65536 are allowed");
    buf_deinit(&line);
    import_batch_close(b);
}

TEST(import_batch, is_full_by_rows_or_by_size)
{
    struct import_batch *b = import_batch_open(&plan, 3);
    struct err e = {0};
    for (int i = 0; i < 3; i++) {
        EXPECT(!import_batch_is_full(b));
        EXPECT_OK(add_line(b, 2, "1,1,1,1,x,web,1", &e));
    }
    EXPECT(import_batch_is_full(b));
    import_batch_close(b);

    b = import_batch_open(&plan, 10000);
    struct buf line = {0};
    buf_printf(&line, "1,1,1,1,%060000d,web,1", 1);
    buf_put_u8(&line, 0);
    unsigned rows = 0;
    while (!import_batch_is_full(b)) {
        EXPECT_OK(add_line(b, 2, (const char *)line.data, &e));
        rows++;
        REQUIRE(rows < 20);
    }
    EXPECT_UINT(rows, 9);
    buf_deinit(&line);
    import_batch_close(b);
}

TEST(import_batch, a_batch_used_again_is_empty)
{
    struct import_batch *b = import_batch_open(&plan, 10);
    struct err e = {0};
    EXPECT_OK(add_line(b, 2, "1,,1,1,x,web,1", &e));
    tidemark__v1__write_request__free_unpacked(encoded(b), NULL);
    import_batch_reset(b);
    EXPECT_UINT(import_batch_rows(b), 0);
    EXPECT_OK(add_line(b, 7, "5,1,1,1,y,db,", &e));
    Tidemark__V1__WriteRequest *w = encoded(b);
    REQUIRE_UINT(w->n_series, 1);
    EXPECT_UINT(w->n_series_of_row, 0);
    EXPECT_MEM(w->series[0]->values[0].data, "db", 2);
    EXPECT_UINT(w->columns[1]->nulls.len, 0);
    EXPECT_UINT(import_batch_first_line(b), 7);
    tidemark__v1__write_request__free_unpacked(w, NULL);
    import_batch_close(b);
}

/* The same series and time give the same hash, however the tag is written. */
TEST(import_batch, row_hashes_name_series_and_time)
{
    struct import_batch *b = import_batch_open(&plan, 10);
    struct err e = {0};
    EXPECT_OK(add_line(b, 2, "1,1,1,1,x,web,3", &e));
    EXPECT_OK(add_line(b, 3, "1970-01-01T00:00:01Z,2,2,1,y,web,003", &e));
    EXPECT_OK(add_line(b, 4, "2,1,1,1,x,web,3", &e));
    EXPECT_OK(add_line(b, 5, "1,1,1,1,x,web,", &e));
    EXPECT_OK(add_line(b, 6, "1,1,1,1,x,wex,3", &e));
    const uint64_t *h = import_batch_row_hashes(b);
    EXPECT_UINT(h[0], h[1]);
    EXPECT(h[0] != h[2]);
    EXPECT(h[0] != h[3]);
    EXPECT(h[0] != h[4]);
    EXPECT(import_batch_keys(b) == h);
    import_batch_close(b);
}

/* The first row of a series sets its other tags: the order of its rows counts whole. */
TEST(import_batch, with_other_tags_the_key_is_the_series)
{
    struct import_plan other = plan;
    tags[1].primary = false;
    other.has_other_tags = true;
    struct import_batch *b = import_batch_open(&other, 10);
    struct err e = {0};
    EXPECT_OK(add_line(b, 2, "1,1,1,1,x,web,3", &e));
    EXPECT_OK(add_line(b, 3, "2,1,1,1,x,web,4", &e));
    EXPECT_OK(add_line(b, 3, "2,1,1,1,x,db,4", &e));
    const uint64_t *k = import_batch_keys(b);
    EXPECT_UINT(k[0], k[1]);
    EXPECT(k[0] != k[2]);
    import_batch_close(b);
    tags[1].primary = true;
}

/* --- narrow types, floats, bytes, further times --- */

static struct import_column narrow_columns[] = {
    {.name = (char *)(uintptr_t)"i16", .type = TIDEMARK__V1__TYPE__INT16, .field = 1},
    {.name = (char *)(uintptr_t)"i32", .type = TIDEMARK__V1__TYPE__INT32, .field = 2},
    {.name = (char *)(uintptr_t)"f", .type = TIDEMARK__V1__TYPE__FLOAT, .field = 3},
    {.name = (char *)(uintptr_t)"y", .type = TIDEMARK__V1__TYPE__BYTES, .size_max = 2, .field = 4},
    {.name = (char *)(uintptr_t)"t", .type = TIDEMARK__V1__TYPE__TIMESTAMP, .field = 5},
};
static struct import_column narrow_tags[] = {
    {.name = (char *)(uintptr_t)"level",
     .type = TIDEMARK__V1__TYPE__FLOAT,
     .not_null = true,
     .primary = true,
     .field = 6},
};
static struct import_plan narrow_plan = {
    .database = (char *)(uintptr_t)"db",
    .table = (char *)(uintptr_t)"t",
    .precision = 3,
    .time_name = (char *)(uintptr_t)"ts",
    .field_count = 7,
    .columns = narrow_columns,
    .column_count = 5,
    .tags = narrow_tags,
    .tag_count = 1,
};

TEST(import_batch, encodes_narrow_numbers_floats_and_bytes)
{
    struct import_batch *b = import_batch_open(&narrow_plan, 10);
    struct err e = {0};
    EXPECT_OK(add_line(b, 2, "1,-32768,2147483647,21.57,\\x00ff,5,0.10", &e));
    EXPECT_OK(add_line(b, 3, "2,,,,,,.1", &e));
    EXPECT_ERR(add_line(b, 4, "3,32768,,,,,0.1", &e), ERR_INVALID);
    EXPECT_STR(e.text, "column 'i16': '32768' is no int16");
    EXPECT_ERR(add_line(b, 4, "3,,-2147483649,,,,0.1", &e), ERR_INVALID);
    EXPECT_ERR(add_line(b, 4, "3,,,1e39,,,0.1", &e), ERR_INVALID);
    EXPECT_ERR(add_line(b, 4, "3,,,,00,,0.1", &e), ERR_INVALID);
    EXPECT_ERR(add_line(b, 4, "3,,,,\\x010203,,0.1", &e), ERR_RANGE);
    EXPECT_STR(e.text, "column 'y': 3 bytes, at most 2 are allowed");
    EXPECT_ERR(add_line(b, 4, "3,,,,,soon,0.1", &e), ERR_INVALID);
    EXPECT_ERR(add_line(b, 4, "3,,,,,,nan", &e), ERR_INVALID);
    EXPECT_STR(e.text, "tag 'level' must be a finite number");
    Tidemark__V1__WriteRequest *w = encoded(b);
    REQUIRE_UINT(w->n_columns, 6);
    EXPECT_INT(w->columns[1]->int64_values[0], -32768);
    EXPECT_INT(w->columns[2]->int64_values[0], 2147483647);
    REQUIRE_UINT(w->columns[3]->n_float_values, 2);
    EXPECT(w->columns[3]->float_values[0] == 21.57F);
    REQUIRE_UINT(w->columns[4]->n_string_values, 2);
    EXPECT_UINT(w->columns[4]->string_values[0].len, 2);
    EXPECT_MEM(w->columns[4]->string_values[0].data, "\x00\xff", 2);
    EXPECT_INT(w->columns[5]->int64_values[0], 5000);
    for (size_t i = 1; i < 6; i++) {
        REQUIRE_UINT(w->columns[i]->nulls.len, 1);
        EXPECT_UINT(w->columns[i]->nulls.data[0], 2);
    }
    EXPECT_UINT(w->n_series, 1); /* 0.10 and .1 are one value */
    tidemark__v1__write_request__free_unpacked(w, NULL);
    import_batch_close(b);
}
