/* SPDX-License-Identifier: Apache-2.0 */
/* A tsdb on a fake disk, spoken to in text, as most tests of this room use it.
 *
 *   table d.m:  time timestamp, i int64, x double, b bool, s string
 *               tags host string (primary, not null), rack int64 (primary), up bool
 *
 * Rows are written and scanned as lines "TIME I X B S", "-" for null; doubles
 * of few digits come back as they were. Requests are made and answers are read
 * with the generated protobuf code, which the room itself does not use. */
#ifndef TIDEMARK_TSDB_TEST_FIXTURE_H
#define TIDEMARK_TSDB_TEST_FIXTURE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/tidemark/log/v1/log.pb-c.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "proto/wire.h"
#include "testkit/fake_disk.h"
#include "testkit/test.h"
#include "tsdb/tsdb.h"

#define UNUSED_OK __attribute__((unused))

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct tsdb *db;
    uint64_t index; /* of the last entry applied */
    uint64_t term;
    struct tsdb_results results;
    struct tsdb_result result; /* of the last command */
    struct buf text;           /* of the last scan */
    struct err err;
};

/* --- requests --- */

#define PACK(out, message, type)                                                                   \
    do {                                                                                           \
        size_t size_ = type##__get_packed_size(message);                                           \
        (void)type##__pack(message, buf_extend(out, size_));                                       \
    } while (0)

UNUSED_OK static void make_table_request(struct buf *out, const char *database, const char *table)
{
    static char *names[] = {"time", "i", "x", "b", "s"};
    static char *tag_names[] = {"host", "rack", "up"};
    static const Tidemark__V1__Type tag_types[] = {
        TIDEMARK__V1__TYPE__STRING, TIDEMARK__V1__TYPE__INT64, TIDEMARK__V1__TYPE__BOOL};
    Tidemark__V1__ColumnDefinition columns[5];
    Tidemark__V1__ColumnDefinition *column_list[5];
    for (int i = 0; i < 5; i++) {
        tidemark__v1__column_definition__init(&columns[i]);
        columns[i].name = names[i];
        columns[i].type = (Tidemark__V1__Type)(i + 1);
        columns[i].not_null = i == 0;
        column_list[i] = &columns[i];
    }
    Tidemark__V1__TagDefinition tags[3];
    Tidemark__V1__TagDefinition *tag_list[3];
    for (int i = 0; i < 3; i++) {
        tidemark__v1__tag_definition__init(&tags[i]);
        tags[i].name = tag_names[i];
        tags[i].type = tag_types[i];
        tags[i].primary = i < 2;
        tags[i].not_null = i == 0;
        tag_list[i] = &tags[i];
    }
    Tidemark__V1__TableDefinition definition;
    tidemark__v1__table_definition__init(&definition);
    definition.database = (char *)(uintptr_t)database;
    definition.table = (char *)(uintptr_t)table;
    definition.columns = column_list;
    definition.n_columns = 5;
    definition.tags = tag_list;
    definition.n_tags = 3;
    Tidemark__V1__CreateTableRequest request;
    tidemark__v1__create_table_request__init(&request);
    request.definition = &definition;
    PACK(out, &request, tidemark__v1__create_table_request);
}

/* The rows of a text, as columns. */
struct text_rows {
    size_t count;
    int64_t times[512], ints[512];
    double doubles[512];
    uint8_t bools[512];
    ProtobufCBinaryData strings[512];
    uint8_t nulls[4][64];
    char copy[64 * 1024];
};

UNUSED_OK static void parse_rows(const char *text, struct text_rows *r)
{
    memset(r, 0, sizeof *r);
    CHECK(strlen(text) < sizeof r->copy);
    memcpy(r->copy, text, strlen(text) + 1);
    char *line_at = NULL;
    for (char *line = strtok_r(r->copy, "\n", &line_at); line != NULL;
         line = strtok_r(NULL, "\n", &line_at)) {
        size_t row = r->count++;
        CHECK(row < 512);
        char *field_at = NULL;
        char *field = strtok_r(line, " ", &field_at);
        r->times[row] = strtoll(field, NULL, 10);
        r->strings[row].data = (uint8_t *)(uintptr_t)"";
        for (int column = 0; column < 4; column++) {
            field = strtok_r(NULL, " ", &field_at);
            if (field == NULL || strcmp(field, "-") == 0) {
                r->nulls[column][row / 8] |= (uint8_t)(1U << (row % 8));
            } else if (column == 0) {
                r->ints[row] = strtoll(field, NULL, 10);
            } else if (column == 1) {
                r->doubles[row] = strtod(field, NULL);
            } else if (column == 2) {
                r->bools[row] = strcmp(field, "true") == 0;
            } else {
                r->strings[row].data = (uint8_t *)field;
                r->strings[row].len = strlen(field);
            }
        }
    }
}

UNUSED_OK static bool any_bit(const uint8_t *bits, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bits[i] != 0) {
            return true;
        }
    }
    return false;
}

/* 'tags' is "HOST RACK UP" with "-" for null. */
UNUSED_OK static void make_write_request(struct buf *out, const char *table, const char *tags,
                                         const char *rows)
{
    static char *names[] = {"time", "i", "x", "b", "s"};
    static char *tag_names[] = {"host", "rack", "up"};
    struct text_rows *r = mem_alloc(sizeof *r);
    parse_rows(rows, r);

    char words[200];
    char null_text[] = "-";
    char *values[] = {null_text, null_text, null_text};
    char *word_at = NULL;
    (void)snprintf(words, sizeof words, "%s", tags);
    for (int i = 0; i < 3; i++) {
        char *word = strtok_r(i == 0 ? words : NULL, " ", &word_at);
        values[i] = word == NULL ? null_text : word;
    }
    ProtobufCBinaryData tag_values[3];
    uint8_t tag_nulls = 0;
    for (int i = 0; i < 3; i++) {
        bool null = strcmp(values[i], "-") == 0;
        tag_values[i].data = (uint8_t *)values[i];
        tag_values[i].len = null ? 0 : strlen(values[i]);
        tag_nulls |= (uint8_t)(null ? 1U << i : 0);
    }
    Tidemark__V1__SeriesTags series;
    tidemark__v1__series_tags__init(&series);
    Tidemark__V1__SeriesTags *series_list[] = {&series};
    series.n_values = 3;
    series.values = tag_values;
    series.nulls.data = &tag_nulls;
    series.nulls.len = tag_nulls != 0 ? 1 : 0;

    Tidemark__V1__Column columns[5];
    Tidemark__V1__Column *column_list[5];
    for (int i = 0; i < 5; i++) {
        tidemark__v1__column__init(&columns[i]);
        columns[i].name = names[i];
        column_list[i] = &columns[i];
        size_t size = (r->count + 7) / 8;
        if (i > 0 && any_bit(r->nulls[i - 1], size)) {
            columns[i].nulls.data = r->nulls[i - 1];
            columns[i].nulls.len = size;
        }
    }
    columns[0].int64_values = r->times;
    columns[0].n_int64_values = r->count;
    columns[1].int64_values = r->ints;
    columns[1].n_int64_values = r->count;
    columns[2].double_values = r->doubles;
    columns[2].n_double_values = r->count;
    columns[3].bool_values.data = r->bools;
    columns[3].bool_values.len = r->count;
    columns[4].string_values = r->strings;
    columns[4].n_string_values = r->count;

    Tidemark__V1__WriteRequest request;
    tidemark__v1__write_request__init(&request);
    request.database = (char *)(uintptr_t)"d";
    request.table = (char *)(uintptr_t)table;
    request.tag_names = tag_names;
    request.n_tag_names = 3;
    request.series = series_list;
    request.n_series = 1;
    request.columns = column_list;
    request.n_columns = 5;
    PACK(out, &request, tidemark__v1__write_request);
    mem_free(r);
}

/* --- applying --- */

/* Applies one entry and keeps its first result. */
UNUSED_OK static enum err_code apply_entry(struct fixture *f, struct bytes entry)
{
    enum err_code code = tsdb_apply(f->db, f->index + 1, f->term, entry, &f->results, &f->err);
    if (code == ERR_OK) {
        f->index++;
        if (f->results.count > 0) {
            f->result = f->results.items[0];
        }
    }
    return code;
}

UNUSED_OK static enum err_code apply_command_of(struct fixture *f, struct command c)
{
    struct buf entry = {0};
    command_put(&entry, &c);
    enum err_code code = apply_entry(f, buf_bytes(&entry));
    buf_deinit(&entry);
    return code != ERR_OK ? code : f->result.code;
}

UNUSED_OK static enum err_code apply_body(struct fixture *f, enum command_kind kind,
                                          struct bytes body)
{
    return apply_command_of(f, (struct command){.kind = kind, .body = body});
}

/* The result of the write; 'tags' as in make_write_request(). */
UNUSED_OK static enum err_code put_in(struct fixture *f, const char *table, const char *tags,
                                      const char *rows)
{
    struct buf body = {0};
    make_write_request(&body, table, tags, rows);
    enum err_code code = apply_body(f, COMMAND_WRITE, buf_bytes(&body));
    buf_deinit(&body);
    return code;
}

UNUSED_OK static enum err_code put(struct fixture *f, const char *tags, const char *rows)
{
    return put_in(f, "m", tags, rows);
}

UNUSED_OK static enum err_code create_database(struct fixture *f, const char *name)
{
    struct buf body = {0};
    wire_put_str(&body, 1, name);
    enum err_code code = apply_body(f, COMMAND_CREATE_DATABASE, buf_bytes(&body));
    buf_deinit(&body);
    return code;
}

UNUSED_OK static enum err_code create_table(struct fixture *f, const char *name)
{
    struct buf body = {0};
    make_table_request(&body, "d", name);
    enum err_code code = apply_body(f, COMMAND_CREATE_TABLE, buf_bytes(&body));
    buf_deinit(&body);
    return code;
}

UNUSED_OK static enum err_code drop_table(struct fixture *f, const char *name)
{
    struct buf body = {0};
    wire_put_str(&body, 1, "d");
    wire_put_str(&body, 2, name);
    enum err_code code = apply_body(f, COMMAND_DROP_TABLE, buf_bytes(&body));
    buf_deinit(&body);
    return code;
}

UNUSED_OK static enum err_code set_setting(struct fixture *f, const char *name, const char *value)
{
    struct buf body = {0};
    wire_put_str(&body, 1, name);
    wire_put_str(&body, 2, value == NULL ? "" : value);
    wire_put_uint(&body, 3, value == NULL ? 1 : 0);
    enum err_code code = apply_body(f, COMMAND_SET_SETTING, buf_bytes(&body));
    buf_deinit(&body);
    return code;
}

UNUSED_OK static uint64_t open_session(struct fixture *f, uint64_t close_session)
{
    struct buf body = {0};
    wire_put_uint(&body, 1, close_session);
    wire_put_fixed64(&body, 2, 77 + f->index);
    EXPECT_OK(apply_body(f, COMMAND_OPEN_SESSION, buf_bytes(&body)));
    buf_deinit(&body);
    return f->result.session;
}

/* --- life --- */

UNUSED_OK static enum err_code open_at(struct fixture *f, uint64_t checkpoint_index)
{
    struct tsdb_options options = {
        .io = f->io, .dir = "tsdb", .checkpoint_index = checkpoint_index};
    enum err_code code = tsdb_open(&options, &f->db, &f->err);
    if (code == ERR_OK) {
        f->index = tsdb_applied_index(f->db);
    }
    return code;
}

/* Empty; with the table d.m unless 'bare'. */
UNUSED_OK static struct fixture fixture_open(bool bare)
{
    struct fixture f = {.disk = fake_disk_create(1), .term = 1};
    f.io = fake_disk_io(f.disk);
    REQUIRE_OK(open_at(&f, 0));
    if (!bare) {
        EXPECT_OK(create_database(&f, "d"));
        EXPECT_OK(create_table(&f, "m"));
    }
    return f;
}

UNUSED_OK static void fixture_close(struct fixture *f)
{
    tsdb_close(f->db);
    tsdb_results_deinit(&f->results);
    buf_deinit(&f->text);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

UNUSED_OK static enum err_code freeze(struct fixture *f)
{
    return apply_body(f, COMMAND_CHECKPOINT, (struct bytes){0});
}

/* A whole checkpoint; its index is f->index. */
UNUSED_OK static enum err_code checkpoint(struct fixture *f, struct tsdb_checkpoint *out)
{
    struct tsdb_checkpoint unused;
    enum err_code code = freeze(f);
    if (code == ERR_OK) {
        code = tsdb_checkpoint_write(f->db, out == NULL ? &unused : out, &f->err);
    }
    return code == ERR_OK ? tsdb_checkpoint_finish(f->db, &f->err) : code;
}

UNUSED_OK static struct hash128 state_hash(struct fixture *f)
{
    struct hash128 hash = {0};
    struct tsdb_view *v = tsdb_view_pin(f->db);
    EXPECT_OK(tsdb_view_hash(v, &hash, &f->err));
    tsdb_view_unpin(v);
    return hash;
}

#define EXPECT_SAME_HASH(a, b)                                                                     \
    do {                                                                                           \
        struct hash128 a_ = (a);                                                                   \
        struct hash128 b_ = (b);                                                                   \
        EXPECT_UINT(a_.low, b_.low);                                                               \
        EXPECT_UINT(a_.high, b_.high);                                                             \
    } while (0)

/* --- scanning --- */

UNUSED_OK static bool is_null(const Tidemark__V1__Column *c, size_t row)
{
    return c->nulls.len > 0 && (c->nulls.data[row / 8] >> (row % 8) & 1) != 0;
}

UNUSED_OK static void print_value(const Tidemark__V1__Column *c, size_t row, struct buf *out)
{
    if (is_null(c, row)) {
        buf_printf(out, " -");
    } else if (c->type == TIDEMARK__V1__TYPE__BOOL) {
        buf_printf(out, " %s", c->bool_values.data[row] != 0 ? "true" : "false");
    } else if (c->type == TIDEMARK__V1__TYPE__DOUBLE) {
        buf_printf(out, " %.15g", c->double_values[row]);
    } else if (c->type == TIDEMARK__V1__TYPE__FLOAT) {
        uint32_t bits = 0;
        memcpy(&bits, &c->float_values[row], sizeof bits);
        buf_printf(out, " %08" PRIx32, bits);
    } else if (c->n_string_values > 0) {
        buf_printf(out, " %.*s", (int)c->string_values[row].len,
                   (const char *)c->string_values[row].data);
    } else {
        buf_printf(out, " %" PRId64, c->int64_values[row]);
    }
}

UNUSED_OK static void print_tags(const Tidemark__V1__SeriesTags *s, struct buf *out)
{
    for (size_t i = 0; i < s->n_values; i++) {
        bool null = s->nulls.len > 0 && (s->nulls.data[i / 8] >> (i % 8) & 1) != 0;
        buf_printf(out, "%s%.*s", i > 0 ? "," : "", null ? 1 : (int)s->values[i].len,
                   null ? "-" : (const char *)s->values[i].data);
    }
}

/* "HOST,RACK,UP TIME I X B S\n" for each row. */
UNUSED_OK static void print_response(const Tidemark__V1__ScanResponse *r, struct buf *out)
{
    for (size_t row = 0; row < r->rows; row++) {
        size_t series = r->n_series_of_row > 0 ? r->series_of_row[row] : 0;
        print_tags(r->series[series], out);
        for (size_t i = 0; i < r->n_columns; i++) {
            print_value(r->columns[i], row, out);
        }
        buf_printf(out, "\n");
    }
}

struct scan_totals {
    size_t messages;
    size_t size_max;
    uint64_t rows;
    uint64_t rows_total; /* as the last message says */
    uint64_t index;
};

/* Scans a view; text of all rows to f->text. */
UNUSED_OK static enum err_code scan_view(struct fixture *f, struct tsdb_view *v,
                                         struct bytes request, size_t size_max,
                                         struct scan_totals *totals)
{
    struct tsdb_scan *s = NULL;
    *totals = (struct scan_totals){0};
    buf_reset(&f->text);
    enum err_code code = tsdb_scan_open(v, request, &s, &f->err);
    bool done = false;
    while (code == ERR_OK && !done) {
        struct buf answer = {0};
        code = tsdb_scan_next(s, size_max, &answer, &done, &f->err);
        if (code == ERR_OK) {
            Tidemark__V1__ScanResponse *r =
                tidemark__v1__scan_response__unpack(NULL, answer.size, answer.data);
            REQUIRE(r != NULL);
            EXPECT(r->done == done);
            totals->index = totals->messages == 0 ? r->index : totals->index;
            totals->messages++;
            totals->rows += r->rows;
            totals->rows_total = r->rows_total;
            totals->size_max = totals->size_max > answer.size ? totals->size_max : answer.size;
            print_response(r, &f->text);
            tidemark__v1__scan_response__free_unpacked(r, NULL);
        }
        buf_deinit(&answer);
    }
    tsdb_scan_close(s);
    buf_put_u8(&f->text, 0);
    return code;
}

UNUSED_OK static const char *scan_text(struct fixture *f, struct bytes request)
{
    struct tsdb_view *v = tsdb_view_pin(f->db);
    struct scan_totals totals;
    enum err_code code = scan_view(f, v, request, 1 << 20, &totals);
    tsdb_view_unpin(v);
    if (code != ERR_OK) {
        return f->err.text;
    }
    EXPECT_UINT(totals.rows, totals.rows_total);
    EXPECT_UINT(totals.index, f->index);
    return (const char *)f->text.data;
}

UNUSED_OK static void scan_of(struct buf *request, const char *table)
{
    wire_put_str(request, 1, "d");
    wire_put_str(request, 2, table);
}

/* All rows of d.m. */
UNUSED_OK static const char *scan_all(struct fixture *f)
{
    struct buf request = {0};
    scan_of(&request, "m");
    const char *text = scan_text(f, buf_bytes(&request));
    buf_deinit(&request);
    return text;
}

/* All of a table of database "d", in one message that the caller frees. */
UNUSED_OK static Tidemark__V1__ScanResponse *scan_table(struct fixture *f, const char *table)
{
    struct buf b = {0};
    struct buf answer = {0};
    struct tsdb_scan *s = NULL;
    bool done = false;
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, table);
    struct tsdb_view *v = tsdb_view_pin(f->db);
    REQUIRE_OK(tsdb_scan_open(v, buf_bytes(&b), &s, &f->err));
    REQUIRE_OK(tsdb_scan_next(s, 1 << 20, &answer, &done, &f->err));
    EXPECT(done);
    Tidemark__V1__ScanResponse *r =
        tidemark__v1__scan_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(r != NULL);
    tsdb_scan_close(s);
    tsdb_view_unpin(v);
    buf_deinit(&b);
    buf_deinit(&answer);
    return r;
}

#endif
