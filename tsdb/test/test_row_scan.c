/* SPDX-License-Identifier: Apache-2.0 */
/* Scans of a whole tsdb: rows in memory, in parts, and in both. */
#include "base/random.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"
#include "tsdb/value.h"

static void put_filter(struct buf *b, const char *tag, const char *value)
{
    size_t m = wire_begin(b, 8);
    wire_put_str(b, 1, tag);
    if (value != NULL) {
        wire_put_item(b, 2, bytes_str(value));
    }
    wire_end(b, m);
}

static void put_range(struct buf *b, int64_t from, int64_t until)
{
    wire_put_uint(b, 4, 1);
    wire_put_fixed64(b, 5, (uint64_t)from);
    wire_put_uint(b, 6, 1);
    wire_put_fixed64(b, 7, (uint64_t)until);
}

/* Part of the rows in a part, part in frozen memory, part in memory. */
static struct fixture world_open(void)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a 1 true", "10 1 1.5 true one\n20 2 - - -\n30 3 3.5 false three"));
    EXPECT_OK(put(&f, "b 1", "10 4 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    EXPECT_OK(put(&f, "a 1", "20 5 - - later\n40 6 - - -"));
    EXPECT_OK(put(&f, "b 2", "15 7 - - -"));
    EXPECT_OK(freeze(&f));
    EXPECT_OK(put(&f, "a 1", "25 8 - - -\n20 9 9 true last"));
    EXPECT_OK(put(&f, "c", "10 10 - - -"));
    return f;
}

static const char *scan_bytes(struct fixture *f, struct buf *b)
{
    const char *text = scan_text(f, buf_bytes(b));
    buf_reset(b);
    return text;
}

TEST(row_scan, rows_of_all_places_come_series_by_series_by_time)
{
    struct fixture f = world_open();
    EXPECT_STR(scan_all(&f), "a,1,true 10 1 1.5 true one\n"
                             "a,1,true 20 9 9 true last\n"
                             "a,1,true 25 8 - - -\n"
                             "a,1,true 30 3 3.5 false three\n"
                             "a,1,true 40 6 - - -\n"
                             "b,1,- 10 4 - - -\n"
                             "b,2,- 15 7 - - -\n"
                             "c,-,- 10 10 - - -\n");
    fixture_close(&f);
}

TEST(row_scan, time_columns_and_tags_can_be_chosen)
{
    struct fixture f = world_open();
    struct buf b = {0};
    scan_of(&b, "m");
    put_range(&b, 20, 40);
    wire_put_str(&b, 3, "s");
    EXPECT_STR(scan_bytes(&f, &b), "a,1,true 20 last\na,1,true 25 -\na,1,true 30 three\n");
    scan_of(&b, "m");
    put_filter(&b, "rack", "1");
    put_filter(&b, "host", "b");
    wire_put_str(&b, 3, "i");
    EXPECT_STR(scan_bytes(&f, &b), "b,1,- 10 4\n");
    scan_of(&b, "m");
    put_filter(&b, "host", "b");
    wire_put_str(&b, 3, "i");
    EXPECT_STR(scan_bytes(&f, &b), "b,1,- 10 4\nb,2,- 15 7\n");
    scan_of(&b, "m");
    put_filter(&b, "rack", NULL);
    wire_put_str(&b, 3, "i");
    EXPECT_STR(scan_bytes(&f, &b), "c,-,- 10 10\n");
    scan_of(&b, "m");
    put_filter(&b, "up", "true");
    wire_put_str(&b, 3, "time");
    EXPECT_STR(scan_bytes(&f, &b), "a,1,true 10\na,1,true 20\na,1,true 25\na,1,true 30\n"
                                   "a,1,true 40\n");
    scan_of(&b, "m");
    put_filter(&b, "host", "nobody");
    put_filter(&b, "rack", "1");
    EXPECT_STR(scan_bytes(&f, &b), "");
    scan_of(&b, "m");
    put_range(&b, 5, 5);
    EXPECT_STR(scan_bytes(&f, &b), "");
    buf_deinit(&b);
    fixture_close(&f);
}

TEST(row_scan, a_limit_ends_it_and_counting_counts)
{
    struct fixture f = world_open();
    struct buf b = {0};
    for (uint64_t limit = 1; limit < 12; limit++) {
        scan_of(&b, "m");
        wire_put_uint(&b, 9, limit);
        struct tsdb_view *v = tsdb_view_pin(f.db);
        struct scan_totals totals;
        EXPECT_OK(scan_view(&f, v, buf_bytes(&b), 64, &totals));
        EXPECT_UINT(totals.rows_total, limit < 8 ? limit : 8);
        EXPECT_UINT(totals.rows, totals.rows_total);
        buf_reset(&b);
        scan_of(&b, "m");
        wire_put_uint(&b, 9, limit);
        wire_put_uint(&b, 12, 1);
        EXPECT_OK(scan_view(&f, v, buf_bytes(&b), 64, &totals));
        EXPECT_UINT(totals.rows_total, limit < 8 ? limit : 8);
        EXPECT_UINT(totals.rows, 0);
        EXPECT_UINT(totals.messages, 1);
        buf_reset(&b);
        tsdb_view_unpin(v);
    }
    scan_of(&b, "m");
    put_range(&b, 10, 16);
    wire_put_uint(&b, 12, 1);
    struct tsdb_view *v = tsdb_view_pin(f.db);
    struct scan_totals totals;
    EXPECT_OK(scan_view(&f, v, buf_bytes(&b), 64, &totals));
    EXPECT_UINT(totals.rows_total, 4);
    tsdb_view_unpin(v);
    buf_deinit(&b);
    fixture_close(&f);
}

/* However small the messages, they hold the same rows. */
TEST(row_scan, messages_of_any_size_hold_the_same_rows)
{
    struct fixture f = world_open();
    struct buf b = {0};
    char *want = mem_strdup(scan_all(&f));
    scan_of(&b, "m");
    struct tsdb_view *v = tsdb_view_pin(f.db);
    for (size_t size = 0; size < 600; size += 7) {
        struct scan_totals totals;
        EXPECT_OK(scan_view(&f, v, buf_bytes(&b), size, &totals));
        EXPECT_STR((const char *)f.text.data, want);
        EXPECT(totals.messages <= 9);
        EXPECT(size > 90 || totals.messages > 4);
    }
    tsdb_view_unpin(v);
    EXPECT_OK(set_setting(&f, "ts.scan.batch_size", "3"));
    v = tsdb_view_pin(f.db);
    struct scan_totals totals;
    EXPECT_OK(scan_view(&f, v, buf_bytes(&b), 1 << 20, &totals));
    EXPECT_STR((const char *)f.text.data, want);
    EXPECT_UINT(totals.messages, 3);
    tsdb_view_unpin(v);
    mem_free(want);
    buf_deinit(&b);
    fixture_close(&f);
}

TEST(row_scan, the_first_message_names_the_tags_and_each_column_its_type)
{
    struct fixture f = world_open();
    struct buf b = {0};
    struct buf answer = {0};
    struct tsdb_scan *s = NULL;
    bool done = false;
    scan_of(&b, "m");
    struct tsdb_view *v = tsdb_view_pin(f.db);
    REQUIRE_OK(tsdb_scan_open(v, buf_bytes(&b), &s, &f.err));
    REQUIRE_OK(tsdb_scan_next(s, 1 << 20, &answer, &done, &f.err));
    Tidemark__V1__ScanResponse *r =
        tidemark__v1__scan_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(r != NULL);
    REQUIRE_UINT(r->n_tag_names, 3);
    EXPECT_STR(r->tag_names[1], "rack");
    REQUIRE_UINT(r->n_tag_types, 3);
    EXPECT_INT(r->tag_types[1], TIDEMARK__V1__TYPE__INT64);
    REQUIRE_UINT(r->n_columns, 5);
    for (size_t i = 0; i < 5; i++) {
        EXPECT_INT(r->columns[i]->type, (int)i + 1);
    }
    EXPECT_UINT(r->n_series, 4);
    EXPECT_UINT(r->n_series_of_row, 8);
    EXPECT_UINT(r->columns[4]->n_string_values, 8);
    EXPECT_UINT(r->columns[3]->bool_values.len, 8);
    tidemark__v1__scan_response__free_unpacked(r, NULL);
    /* After the end: nothing more, still done. */
    buf_reset(&answer);
    EXPECT_OK(tsdb_scan_next(s, 1 << 20, &answer, &done, &f.err));
    EXPECT(done);
    tsdb_scan_close(s);
    tsdb_scan_close(NULL);
    tsdb_view_unpin(v);
    buf_deinit(&b);
    buf_deinit(&answer);
    fixture_close(&f);
}

TEST(row_scan, a_table_that_is_not_there_is_said)
{
    struct fixture f = world_open();
    struct buf b = {0};
    scan_of(&b, "x");
    EXPECT_STR(scan_bytes(&f, &b), "no table \"x\" in database \"d\"");
    EXPECT_STR(scan_bytes(&f, &b), "no database \"\"");
    buf_deinit(&b);
    fixture_close(&f);
}

/* A scan over damage ends with what is damaged, never with wrong rows. */
TEST(row_scan, a_damaged_block_is_told_by_file_and_place)
{
    struct fixture f = world_open();
    struct io_name *names = NULL;
    size_t count = 0;
    REQUIRE_OK(io_list(f.io, "tsdb", &names, &count, &f.err));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        struct file *file = NULL;
        struct bytes one = bytes_of("\x55", 1);
        if (strncmp(names[i].name, "part-", 5) == 0) {
            REQUIRE_OK(io_join(path, "tsdb", names[i].name, &f.err));
            REQUIRE_OK(io_open(f.io, path, IO_WRITE, &file, &f.err));
            REQUIRE_OK(file_write_at(file, 90, &one, 1, &f.err));
            file_close(file);
        }
    }
    mem_free(names);
    struct buf b = {0};
    struct scan_totals totals;
    scan_of(&b, "m");
    struct tsdb_view *v = tsdb_view_pin(f.db);
    EXPECT_ERR(scan_view(&f, v, buf_bytes(&b), 1 << 20, &totals), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "part part-");
    EXPECT_CONTAINS(f.err.text, "block 0 at 64: a block's checksum is");
    struct hash128 hash;
    EXPECT_ERR(tsdb_view_hash(v, &hash, &f.err), ERR_CORRUPT);
    tsdb_view_unpin(v);
    buf_reset(&b);
    scan_of(&b, "m");
    put_filter(&b, "host", "c"); /* memory alone: served */
    wire_put_str(&b, 3, "i");
    EXPECT_STR(scan_bytes(&f, &b), "c,-,- 10 10\n");
    buf_deinit(&b);
    fixture_close(&f);
}

/* Random rows, random questions, beside a plain model. */
struct model_row {
    bool there;
    int64_t value;
};

static void expect_model(struct fixture *f, struct model_row model[5][50], int64_t from,
                         int64_t until, int only)
{
    struct buf b = {0};
    struct buf want = {0};
    scan_of(&b, "m");
    put_range(&b, from, until);
    wire_put_str(&b, 3, "i");
    char host[8];
    if (only >= 0) {
        (void)snprintf(host, sizeof host, "h%d", only);
        put_filter(&b, "host", host);
    }
    for (int s = 0; s < 5; s++) {
        for (int64_t t = from > 0 ? from : 0; t < until && t < 50 && (only < 0 || only == s); t++) {
            if (model[s][t].there) {
                buf_printf(&want, "h%d,-,- %d %d\n", s, (int)t, (int)model[s][t].value);
            }
        }
    }
    buf_put_u8(&want, 0);
    EXPECT_STR(scan_text(f, buf_bytes(&b)), (const char *)want.data);
    buf_deinit(&b);
    buf_deinit(&want);
}

TEST(row_scan, random_rows_and_questions_agree_with_a_plain_model)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        static struct model_row model[5][50];
        memset(model, 0, sizeof model);
        struct random random = random_seeded(seed);
        struct fixture f = fixture_open(false);
        for (int s = 0; s < 5; s++) { /* ids in the order of names */
            char tags[8];
            (void)snprintf(tags, sizeof tags, "h%d", s);
            EXPECT_OK(put(&f, tags, "0 0 - - -"));
            model[s][0] = (struct model_row){true, 0};
        }
        for (int step = 1; step < 150; step++) {
            char tags[8];
            char row[32];
            int s = (int)random_below(&random, 5);
            int64_t t = (int64_t)random_below(&random, 50);
            (void)snprintf(tags, sizeof tags, "h%d", s);
            (void)snprintf(row, sizeof row, "%d %d - - -", (int)t, step);
            EXPECT_OK(put(&f, tags, row));
            model[s][t] = (struct model_row){true, step};
            if (random_chance(&random, 1, 10)) {
                EXPECT_OK(checkpoint(&f, NULL));
            }
            if (random_chance(&random, 1, 10)) {
                int64_t from = (int64_t)random_below(&random, 60) - 5;
                int64_t to = from + (int64_t)random_below(&random, 60);
                expect_model(&f, model, from, to, (int)random_below(&random, 6) - 1);
            }
        }
        expect_model(&f, model, INT64_MIN + 1, INT64_MAX, -1);
        fixture_close(&f);
    }
}

/* --- every type --- */

enum { KINDS = 9, KIND_ROWS = 70 };

static void make_kinds_table(struct buf *b)
{
    size_t definition = wire_begin(b, 1);
    wire_put_str(b, 1, "d");
    wire_put_str(b, 2, "kinds");
    for (uint64_t i = 1; i <= KINDS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "c%u", (unsigned)i);
        size_t column = wire_begin(b, 3);
        wire_put_str(b, 1, name);
        wire_put_uint(b, 2, i);
        wire_put_uint(b, 3, i == 1 ? 1 : 0);
        wire_end(b, column);
        size_t tag = wire_begin(b, 4);
        name[0] = 't';
        wire_put_str(b, 1, name);
        wire_put_uint(b, 2, i);
        wire_put_uint(b, 3, 1);
        wire_put_uint(b, 4, i == 5 ? 1 : 0); /* all primary, but one may be null */
        wire_end(b, tag);
    }
    wire_end(b, definition);
}

/* Values that come back only if every layer keeps all bits. */
static void put_kind(struct buf *b, int type, size_t row)
{
    static const uint64_t doubles[] = {0x7ff8000000abcdef, 0x8000000000000000, 0xfff0000000000000,
                                       0x3fb999999999999a};
    static const uint32_t floats[] = {0x7fa00001, 0x80000000, 0xff800000, 0x41ac8f5c};
    switch (type) {
    case VALUE_DOUBLE:
        buf_put_u64(b, doubles[row % 4]);
        break;
    case VALUE_FLOAT:
        buf_put_u32(b, floats[row % 4]);
        break;
    case VALUE_BOOL:
        buf_put_u8(b, row % 3 == 0 ? 1 : 0);
        break;
    case VALUE_INT16:
        buf_put_u64(b, (uint64_t)(int64_t)(row % 2 == 0 ? INT16_MIN : INT16_MAX - (int)row));
        break;
    case VALUE_INT32:
        buf_put_u64(b, (uint64_t)(int64_t)(row % 2 == 0 ? INT32_MIN : INT32_MAX - (int)row));
        break;
    default:
        buf_put_u64(b, row % 2 == 0 ? 0x8000000000000000 : row);
        break;
    }
}

static void make_kinds_write(struct buf *b)
{
    static const uint32_t fields[] = {0, 2, 2, 3, 4, 5, 2, 2, 8, 5};
    static const char *const tags[] = {"-7", "5",     "0.25", "true", "x",
                                       "-3", "70000", "1.5",  "\\x00"};
    uint8_t nulls[(KIND_ROWS + 7) / 8] = {0};
    nulls[1] = 0x24;
    wire_put_str(b, 2, "d");
    wire_put_str(b, 3, "kinds");
    size_t series = wire_begin(b, 5);
    for (size_t i = 0; i < KINDS; i++) {
        wire_put_item(b, 1, bytes_str(tags[i]));
    }
    wire_end(b, series);
    for (int i = 1; i <= KINDS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "t%d", i);
        wire_put_str(b, 4, name);
        name[0] = 'c';
        size_t column = wire_begin(b, 7);
        wire_put_str(b, 1, name);
        size_t packed = value_is_long((enum value_type)i) ? 0 : wire_begin(b, fields[i]);
        for (size_t row = 0; row < KIND_ROWS; row++) {
            if (i == 1) {
                buf_put_u64(b, 1000 + row);
            } else if (value_is_long((enum value_type)i)) {
                wire_put_item(b, 5,
                              i == VALUE_BYTES ? bytes_of("\xff\0\x80", row % 4)
                                               : bytes_of("text", row % 5));
            } else {
                put_kind(b, i, row);
            }
        }
        if (packed != 0) {
            wire_end(b, packed);
        }
        if (i > 1) {
            wire_put_bytes(b, 6, bytes_of(nulls, sizeof nulls));
        }
        wire_end(b, column);
    }
}

/* The value of a row as it was put, in the bytes of the message. */
static bool is_as_put(const Tidemark__V1__Column *c, size_t row)
{
    struct buf want = {0};
    put_kind(&want, (int)c->type, row);
    const void *have = NULL;
    switch ((int)c->type) {
    case VALUE_DOUBLE:
        have = &c->double_values[row];
        break;
    case VALUE_FLOAT:
        have = &c->float_values[row];
        break;
    case VALUE_BOOL:
        have = &c->bool_values.data[row];
        break;
    case VALUE_STRING:
    case VALUE_BYTES:
        have = c->string_values[row].data;
        buf_reset(&want);
        buf_put(&want, (int)c->type == VALUE_BYTES ? "\xff\0\x80" : "text",
                (int)c->type == VALUE_BYTES ? row % 4 : row % 5);
        if (want.size != c->string_values[row].len) {
            want.size = 0;
            have = NULL;
        }
        break;
    default:
        have = &c->int64_values[row];
        break;
    }
    bool same = have != NULL && (want.size == 0 || memcmp(have, want.data, want.size) == 0);
    same = same || (value_is_long((enum value_type)c->type) && want.size == 0 &&
                    c->string_values[row].len == 0);
    buf_deinit(&want);
    return same;
}

static void expect_kinds(struct fixture *f)
{
    static const char *const tags[] = {"-7", "5",     "0.25", "true", "x",
                                       "-3", "70000", "1.5",  "\\x00"};
    Tidemark__V1__ScanResponse *r = scan_table(f, "kinds");
    REQUIRE_UINT(r->rows, KIND_ROWS);
    REQUIRE_UINT(r->n_columns, KINDS);
    REQUIRE_UINT(r->n_series, 1);
    for (size_t i = 0; i < KINDS; i++) {
        EXPECT_UINT(r->series[0]->values[i].len, strlen(tags[i]));
        EXPECT_MEM(r->series[0]->values[i].data, tags[i], strlen(tags[i]));
        const Tidemark__V1__Column *c = r->columns[i];
        EXPECT_INT(c->type, (int)i + 1);
        for (size_t row = 0; row < KIND_ROWS && i > 0; row++) {
            EXPECT_INT(is_null(c, row), row == 10 || row == 13);
            EXPECT(is_null(c, row) || is_as_put(c, row));
        }
    }
    tidemark__v1__scan_response__free_unpacked(r, NULL);
}

TEST(row_scan, every_type_comes_back_from_memory_and_from_parts)
{
    struct fixture f = fixture_open(false);
    struct buf b = {0};
    make_kinds_table(&b);
    EXPECT_OK(apply_body(&f, COMMAND_CREATE_TABLE, buf_bytes(&b)));
    buf_reset(&b);
    make_kinds_write(&b);
    EXPECT_OK(apply_body(&f, COMMAND_WRITE, buf_bytes(&b)));
    expect_kinds(&f);
    struct hash128 before = state_hash(&f);
    EXPECT_OK(checkpoint(&f, NULL));
    expect_kinds(&f);
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    expect_kinds(&f);
    EXPECT_SAME_HASH(state_hash(&f), before);
    buf_deinit(&b);
    fixture_close(&f);
}
