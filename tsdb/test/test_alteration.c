/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that change while they hold rows, in memory and in parts. */
#include "tsdb/alteration.h"

#include "testkit/test.h"
#include "tsdb/test/fixture.h"
#include "tsdb/value.h"

enum { ADD_COLUMN = 4, ADD_TAG = 5, DROP = 6, RENAME = 7, RENAME_TO = 8, WIDEN = 9 };
enum { WIDEN_TYPE = 10, WIDEN_SIZE_MAX = 11 };

static struct buf request;

static void begin_change(void)
{
    buf_reset(&request);
    wire_put_str(&request, 1, "d");
    wire_put_str(&request, 2, "m");
}

static enum err_code alter(struct fixture *f)
{
    return apply_body(f, COMMAND_ALTER_TABLE, buf_bytes(&request));
}

/* A column, or with 'primary' 0 or 1 a tag. */
static enum err_code add(struct fixture *f, uint32_t field, const char *name, int type,
                         bool primary)
{
    begin_change();
    size_t m = wire_begin(&request, field);
    wire_put_str(&request, 1, name);
    wire_put_uint(&request, 2, (uint64_t)type);
    wire_put_uint(&request, 3, primary ? 1 : 0); /* of a column: not null */
    wire_end(&request, m);
    return alter(f);
}

static enum err_code drop(struct fixture *f, const char *name)
{
    begin_change();
    wire_put_str(&request, DROP, name);
    return alter(f);
}

static enum err_code rename_to(struct fixture *f, const char *name, const char *name_new)
{
    begin_change();
    wire_put_str(&request, RENAME, name);
    wire_put_str(&request, RENAME_TO, name_new);
    return alter(f);
}

static enum err_code widen(struct fixture *f, const char *name, int type, uint32_t size_max)
{
    begin_change();
    wire_put_str(&request, WIDEN, name);
    wire_put_uint(&request, WIDEN_TYPE, (uint64_t)type);
    wire_put_uint(&request, WIDEN_SIZE_MAX, size_max);
    return alter(f);
}

/* A row of series "a" at 'time' with one column: of INT64 field 2, of FLOAT field 8, else 5. */
static enum err_code put_one(struct fixture *f, int64_t time, const char *column, uint32_t field,
                             uint64_t word)
{
    struct buf b = {0};
    wire_put_str(&b, 2, "d");
    wire_put_str(&b, 3, "m");
    wire_put_str(&b, 4, "host");
    wire_put_str(&b, 4, "rack");
    size_t series = wire_begin(&b, 5);
    uint8_t nulls = 2;
    wire_put_item(&b, 1, bytes_str("a"));
    wire_put_item(&b, 1, bytes_str(""));
    wire_put_bytes(&b, 2, bytes_of(&nulls, 1));
    wire_end(&b, series);
    for (int i = 0; i < 2; i++) {
        size_t m = wire_begin(&b, 7);
        wire_put_str(&b, 1, i == 0 ? "time" : column);
        size_t p = wire_begin(&b, i == 0 ? 2 : field);
        if (i == 0) {
            buf_put_u64(&b, (uint64_t)time);
        } else if (field == 8) {
            buf_put_u32(&b, (uint32_t)word);
        } else {
            buf_put_u64(&b, word);
        }
        wire_end(&b, p);
        wire_end(&b, m);
    }
    enum err_code code = apply_body(f, COMMAND_WRITE, buf_bytes(&b));
    buf_deinit(&b);
    return code;
}

/* "-" for null; whole numbers, doubles and floats of column 'name', row by row. */
static const char *column_text(struct fixture *f, const char *name)
{
    static char text[1000];
    struct buf b = {0};
    Tidemark__V1__ScanResponse *r = scan_table(f, "m");
    bool found = false;
    for (size_t i = 0; i < r->n_columns; i++) {
        const Tidemark__V1__Column *c = r->columns[i];
        if (strcmp(c->name, name) != 0) {
            continue;
        }
        found = true;
        for (size_t row = 0; row < r->rows; row++) {
            bool null = is_null(c, row);
            if (null) {
                buf_printf(&b, "- ");
            } else if (c->n_double_values > 0) {
                buf_printf(&b, "%g ", c->double_values[row]);
            } else if (c->n_float_values > 0) {
                buf_printf(&b, "%gf ", (double)c->float_values[row]);
            } else {
                buf_printf(&b, "%lld ", (long long)c->int64_values[row]);
            }
        }
    }
    tidemark__v1__scan_response__free_unpacked(r, NULL);
    (void)snprintf(text, sizeof text, "%.*s", (int)b.size, found ? (const char *)b.data : "");
    buf_deinit(&b);
    return found ? text : "none";
}

static void reopen(struct fixture *f)
{
    struct hash128 before = state_hash(f);
    EXPECT_OK(checkpoint(f, NULL));
    EXPECT_SAME_HASH(state_hash(f), before);
    uint64_t at = f->index;
    tsdb_close(f->db);
    REQUIRE_OK(open_at(f, at));
    EXPECT_SAME_HASH(state_hash(f), before);
}

/* Each change with rows of older versions in memory, then all of them in parts. */
TEST(alteration, rows_of_every_version_are_read_through_the_newest)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "10 1 1.5 - -\n20 2 2.5 - -"));
    EXPECT_STR(column_text(&f, "n"), "none");
    EXPECT_OK(add(&f, ADD_COLUMN, "n", VALUE_INT16, false));
    EXPECT_STR(column_text(&f, "n"), "- - ");
    EXPECT_OK(put_one(&f, 30, "n", 2, (uint64_t)-7));
    EXPECT_ERR(put_one(&f, 31, "n", 2, 40000), ERR_RANGE);
    EXPECT_STR(column_text(&f, "n"), "- - -7 ");
    EXPECT_OK(widen(&f, "n", VALUE_INT32, 0));
    EXPECT_OK(put_one(&f, 40, "n", 2, 40000));
    EXPECT_STR(column_text(&f, "n"), "- - -7 40000 ");
    EXPECT_OK(drop(&f, "i"));
    EXPECT_STR(column_text(&f, "i"), "none");
    EXPECT_STR(column_text(&f, "x"), "1.5 2.5 - - ");
    EXPECT_STR(column_text(&f, "n"), "- - -7 40000 ");
    EXPECT_ERR(put(&f, "a", "50 1 1.5 - -"), ERR_NOT_FOUND); /* made for the older version */
    EXPECT_CONTAINS(f.result.text, "no column \"i\"");
    reopen(&f);
    EXPECT_STR(column_text(&f, "n"), "- - -7 40000 ");
    EXPECT_OK(add(&f, ADD_COLUMN, "i", VALUE_INT64, false)); /* another one of that name */
    EXPECT_STR(column_text(&f, "i"), "- - - - ");
    EXPECT_OK(put(&f, "a", "50 5 1.5 - -"));
    EXPECT_OK(rename_to(&f, "i", "j"));
    EXPECT_STR(column_text(&f, "j"), "- - - - 5 ");
    reopen(&f);
    EXPECT_STR(column_text(&f, "j"), "- - - - 5 ");
    EXPECT_STR(column_text(&f, "n"), "- - -7 40000 - ");
    fixture_close(&f);
}

/* The same after parts were merged: dropped values are left behind, no other is. */
TEST(alteration, merged_parts_have_the_newest_version)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(add(&f, ADD_COLUMN, "f", VALUE_FLOAT, false));
    for (int round = 0; round < 20; round++) {
        EXPECT_OK(put_one(&f, 100 + round, "f", round < 5 ? 8 : 3,
                          round < 5 ? 0x3fc00000 : 0x4004000000000000));
        if (round == 4) {
            EXPECT_ERR(put_one(&f, 99, "f", 3, 0), ERR_INVALID);
            EXPECT_OK(widen(&f, "f", VALUE_DOUBLE, 0));
            EXPECT_ERR(put_one(&f, 99, "f", 8, 0), ERR_INVALID);
        }
        reopen(&f);
    }
    EXPECT_STR(column_text(&f, "f"), "1.5 1.5 1.5 1.5 1.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 "
                                     "2.5 2.5 2.5 2.5 2.5 ");
    fixture_close(&f);
}

TEST(alteration, a_pinned_view_keeps_the_version_that_it_began_with)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "10 1 1.5 true x"));
    struct buf b = {0};
    struct buf answer = {0};
    struct tsdb_scan *s = NULL;
    bool done = false;
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, "m");
    struct tsdb_view *v = tsdb_view_pin(f.db);
    REQUIRE_OK(tsdb_scan_open(v, buf_bytes(&b), &s, &f.err));
    EXPECT_OK(drop(&f, "i"));
    EXPECT_OK(drop(&f, "up"));
    EXPECT_OK(add(&f, ADD_COLUMN, "i", VALUE_FLOAT, false));
    EXPECT_OK(put_one(&f, 20, "i", 8, 0));
    EXPECT_OK(checkpoint(&f, NULL));
    REQUIRE_OK(tsdb_scan_next(s, 1 << 20, &answer, &done, &f.err));
    Tidemark__V1__ScanResponse *r =
        tidemark__v1__scan_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(r != NULL);
    EXPECT_UINT(r->rows, 1);
    EXPECT_UINT(r->n_tag_names, 3);
    REQUIRE_UINT(r->n_columns, 5);
    EXPECT_INT(r->columns[1]->int64_values[0], 1);
    tidemark__v1__scan_response__free_unpacked(r, NULL);
    tsdb_scan_close(s);
    tsdb_view_unpin(v);
    EXPECT_STR(column_text(&f, "i"), "- 0f ");
    buf_deinit(&b);
    buf_deinit(&answer);
    fixture_close(&f);
}

TEST(alteration, tags_are_added_dropped_renamed_and_widened)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a 1 true", "10 1 - - -"));
    EXPECT_OK(add(&f, ADD_TAG, "zone", VALUE_STRING, true)); /* primary: null of what is there */
    EXPECT_ERR(put(&f, "a 1 true", "20 2 - - -"), ERR_INVALID);
    EXPECT_CONTAINS(f.result.text, "the primary tag \"zone\" is missing");
    EXPECT_OK(rename_to(&f, "host", "machine"));
    EXPECT_OK(drop(&f, "up"));
    reopen(&f);
    Tidemark__V1__ScanResponse *r = scan_table(&f, "m");
    REQUIRE_UINT(r->n_tag_names, 3);
    EXPECT_STR(r->tag_names[0], "machine");
    EXPECT_STR(r->tag_names[1], "rack");
    EXPECT_STR(r->tag_names[2], "zone");
    REQUIRE_UINT(r->n_series, 1);
    EXPECT_MEM(r->series[0]->values[0].data, "a", 1);
    REQUIRE_UINT(r->series[0]->nulls.len, 1);
    EXPECT_UINT(r->series[0]->nulls.data[0], 4);
    tidemark__v1__scan_response__free_unpacked(r, NULL);
    fixture_close(&f);
}

TEST(alteration, changes_that_can_not_be_are_refused_with_the_reason)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "10 1 1.5 - x"));
    struct hash128 before = state_hash(&f);
    EXPECT_ERR(drop(&f, "time"), ERR_INVALID);
    EXPECT_CONTAINS(f.result.text, "\"time\" is the table's timestamp");
    EXPECT_ERR(drop(&f, "host"), ERR_INVALID);
    EXPECT_CONTAINS(f.result.text, "several series would be one");
    EXPECT_ERR(drop(&f, "none"), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.result.text, "no column or tag \"none\" in table \"m\"");
    EXPECT_ERR(add(&f, ADD_COLUMN, "n", VALUE_INT64, true), ERR_INVALID);
    EXPECT_CONTAINS(f.result.text, "it can't be not null");
    EXPECT_ERR(add(&f, ADD_COLUMN, "x", VALUE_INT64, false), ERR_EXISTS);
    EXPECT_CONTAINS(f.result.text, "column \"x\" exists in table \"m\"");
    EXPECT_ERR(add(&f, ADD_COLUMN, "rack", VALUE_INT64, false), ERR_EXISTS);
    EXPECT_ERR(add(&f, ADD_TAG, "x", VALUE_INT64, false), ERR_EXISTS);
    EXPECT_ERR(add(&f, ADD_COLUMN, "", VALUE_INT64, false), ERR_INVALID);
    EXPECT_ERR(add(&f, ADD_COLUMN, "n", 99, false), ERR_INVALID);
    EXPECT_ERR(rename_to(&f, "x", "i"), ERR_EXISTS);
    EXPECT_ERR(rename_to(&f, "x", ""), ERR_INVALID);
    EXPECT_ERR(rename_to(&f, "none", "n"), ERR_NOT_FOUND);
    EXPECT_ERR(widen(&f, "i", VALUE_INT32, 0), ERR_INVALID);
    EXPECT_CONTAINS(f.result.text, "\"i\" is a int64: it can't be widened to int32");
    EXPECT_ERR(widen(&f, "i", VALUE_INT64, 0), ERR_EXISTS);
    EXPECT_ERR(widen(&f, "s", 0, 10), ERR_INVALID);
    EXPECT_CONTAINS(f.result.text, "10 are not more");
    EXPECT_ERR(widen(&f, "s", VALUE_BYTES, 0), ERR_INVALID);
    EXPECT_ERR(widen(&f, "i", 99, 0), ERR_INVALID);
    begin_change();
    EXPECT_ERR(alter(&f), ERR_INVALID);
    EXPECT_CONTAINS(f.result.text, "asks for 0 changes");
    wire_put_str(&request, DROP, "x");
    wire_put_str(&request, RENAME, "i");
    EXPECT_ERR(alter(&f), ERR_INVALID);
    begin_change();
    wire_put_uint(&request, 3, 7);
    wire_put_str(&request, DROP, "x");
    EXPECT_ERR(alter(&f), ERR_STATE);
    EXPECT_CONTAINS(f.result.text, "table \"m\" has version 1, the change is meant for 7");
    EXPECT_SAME_HASH(state_hash(&f), before);
    fixture_close(&f);
}

/* Each change makes one version more, and a request may insist on the one it knows. */
TEST(alteration, versions_rise)
{
    struct fixture f = fixture_open(false);
    for (int round = 0; round < 5; round++) {
        EXPECT_OK(add(&f, ADD_COLUMN, "n", VALUE_STRING, false));
        EXPECT_OK(drop(&f, "n"));
    }
    reopen(&f);
    for (int again = 0; again < 2; again++) {
        begin_change();
        wire_put_uint(&request, 3, 11);
        wire_put_str(&request, RENAME, again == 0 ? "x" : "y");
        wire_put_str(&request, RENAME_TO, again == 0 ? "y" : "x");
        EXPECT_INT(alter(&f), again == 0 ? ERR_OK : ERR_STATE);
    }
    fixture_close(&f);
}

/* A string may be longer afterwards, as the definition says. */
TEST(alteration, a_greater_size_lets_longer_values_in)
{
    struct fixture f = fixture_open(false);
    begin_change();
    size_t m = wire_begin(&request, ADD_COLUMN);
    wire_put_str(&request, 1, "name");
    wire_put_uint(&request, 2, VALUE_STRING);
    wire_put_uint(&request, 4, 7);
    wire_end(&request, m);
    EXPECT_OK(alter(&f));
    EXPECT_ERR(put_one(&f, 1, "name", 5, 0), ERR_RANGE); /* eight bytes */
    EXPECT_OK(widen(&f, "name", 0, 8));
    EXPECT_OK(put_one(&f, 1, "name", 5, 0));
    EXPECT_OK(widen(&f, "name", VALUE_STRING, 0));
    EXPECT_ERR(widen(&f, "name", VALUE_STRING, 8), ERR_INVALID);
    fixture_close(&f);
}
