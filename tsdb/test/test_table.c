/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/table.h"

#include "base/mem.h"
#include "proto/wire.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

/* A definition made field by field: "name:type[!][*]" words; "!" not null, "*" primary. */
static void put_members(struct buf *b, uint32_t field, const char *words)
{
    char copy[512];
    (void)snprintf(copy, sizeof copy, "%s", words);
    char *at = NULL;
    for (char *word = strtok_r(copy, " ", &at); word != NULL; word = strtok_r(NULL, " ", &at)) {
        char *colon = strchr(word, ':');
        size_t m = wire_begin(b, field);
        wire_put_bytes(b, 1, bytes_of(word, (size_t)(colon - word)));
        wire_put_uint(b, 2, (uint64_t)(colon[1] - '0'));
        if (field == 3) {
            wire_put_uint(b, 3, strchr(colon, '!') != NULL ? 1 : 0);
        } else {
            wire_put_uint(b, 3, strchr(colon, '*') != NULL ? 1 : 0);
            wire_put_uint(b, 4, strchr(colon, '!') != NULL ? 1 : 0);
        }
        wire_end(b, m);
    }
}

static struct err err;

static struct table *parse(const char *columns, const char *tags, uint32_t precision)
{
    struct buf b = {0};
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, "t");
    put_members(&b, 3, columns);
    put_members(&b, 4, tags);
    wire_put_uint(&b, 5, precision);
    struct table *t = NULL;
    err.text[0] = '\0';
    enum err_code code = table_parse(buf_bytes(&b), &t, &err);
    EXPECT((code == ERR_OK) == (t != NULL));
    buf_deinit(&b);
    return t;
}

static const char *refused(const char *columns, const char *tags)
{
    struct table *t = parse(columns, tags, 0);
    EXPECT(t == NULL);
    table_unref(t);
    return err.text;
}

TEST(table, a_definition_is_read)
{
    struct table *t = parse("time:1! v:3 flag:4 n:2! s:5", "host:5!* rack:2* up:4", 6);
    REQUIRE(t != NULL);
    EXPECT_STR(t->database, "d");
    EXPECT_STR(t->name, "t");
    EXPECT_UINT(t->column_count, 5);
    EXPECT_UINT(t->tag_count, 3);
    EXPECT_UINT(t->primary_count, 2);
    EXPECT_UINT(t->precision, 6);
    EXPECT_INT(t->columns[3].type, VALUE_INT64);
    EXPECT(t->columns[3].not_null);
    EXPECT_UINT(t->columns[3].id, 3);
    EXPECT(t->tags[1].primary && !t->tags[1].not_null);
    EXPECT(!t->tags[2].primary);
    /* Wide values first, so that they are aligned; the bool behind them. */
    EXPECT_UINT(t->row_size, 4 * 8 + 1);
    EXPECT_UINT(t->row_offsets[0], 0);
    EXPECT_UINT(t->row_offsets[2], 32);
    EXPECT_UINT(t->row_offsets[4], 24);
    table_unref(t);
}

TEST(table, the_precision_is_milliseconds_unless_said)
{
    struct table *t = parse("time:1!", "host:5!*", 0);
    REQUIRE(t != NULL);
    EXPECT_UINT(t->precision, 3);
    table_unref(t);
    EXPECT(parse("time:1!", "host:5!*", 4) == NULL);
    EXPECT_CONTAINS(err.text, "the precision is 4");
}

TEST(table, what_a_table_must_have_is_said)
{
    EXPECT_STR(refused("", "host:5!*"), "the table has no columns; the first is its timestamp");
    EXPECT_STR(refused("v:3 time:1!", "host:5!*"),
               "the first column, \"v\", must be a timestamp, not null");
    EXPECT_STR(refused("time:1", "host:5!*"),
               "the first column, \"time\", must be a timestamp, not null");
    EXPECT_STR(refused("time:1!", ""), "the table has 0 primary tags: 1 to 32 are needed");
    EXPECT_STR(refused("time:1!", "host:5!"), "the table has 0 primary tags: 1 to 32 are needed");
    EXPECT_STR(refused("time:1!", "host:5*"), "at least one primary tag must be not null");
    EXPECT_STR(refused("time:1! v:3 v:3", "host:5!*"), "two columns or tags have the name \"v\"");
    EXPECT_STR(refused("time:1! host:3", "host:5!*"), "two columns or tags have the name \"host\"");
    EXPECT_CONTAINS(refused("time:1! v:0", "host:5!*"), "the definition of column 2 (\"v\")");
    EXPECT_CONTAINS(refused("time:1! :3", "host:5!*"), "the column has no name");
    EXPECT_CONTAINS(refused("time:1!", "host:5!* x:0"), "the definition of tag 2 (\"x\")");
}

TEST(table, names_over_the_limit_are_refused_not_cut)
{
    char columns[200] = "time:1! ";
    memset(columns + 8, 'x', 64);
    memcpy(columns + 72, ":3", 3);
    EXPECT_CONTAINS(refused(columns, "host:5!*"), "a name of at most 63 bytes");
}

static void put_many(struct buf *b, uint32_t field, unsigned count, bool tag)
{
    for (unsigned i = 0; i < count; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%s%u", tag ? "t" : "c", i);
        size_t m = wire_begin(b, field);
        wire_put_str(b, 1, name);
        wire_put_uint(b, 2, tag ? 5 : i == 0 ? 1 : 3);
        wire_put_uint(b, 3, tag || i == 0 ? 1 : 0);
        wire_put_uint(b, 4, tag ? 1 : 0);
        wire_end(b, m);
    }
}

static enum err_code parse_many(unsigned columns, unsigned tags, struct table **t)
{
    struct buf b = {0};
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, "t");
    put_many(&b, 3, columns, false);
    put_many(&b, 4, tags, true);
    enum err_code code = table_parse(buf_bytes(&b), t, &err);
    buf_deinit(&b);
    return code;
}

TEST(table, the_limits_of_columns_and_tags_are_met_and_kept)
{
    struct table *t = NULL;
    REQUIRE_OK(parse_many(LIMIT_COLUMNS_MAX, LIMIT_PRIMARY_TAGS_MAX, &t));
    EXPECT_UINT(t->column_count, LIMIT_COLUMNS_MAX);
    EXPECT_UINT(table_find_column(t, bytes_str("c4095"), 0), 4095);
    EXPECT_UINT(table_find_column(t, bytes_str("c17"), 17), 17);
    EXPECT(table_find_column(t, bytes_str("t1"), 0) == SIZE_MAX);
    EXPECT_UINT(table_find_tag(t, bytes_str("t31"), 3), 31);
    EXPECT(table_find_tag(t, bytes_str("c1"), 0) == SIZE_MAX);
    EXPECT(table_find_tag(t, bytes_str(""), 99) == SIZE_MAX);
    table_unref(t);
    EXPECT_ERR(parse_many(LIMIT_COLUMNS_MAX + 1, 1, &t), ERR_RANGE);
    EXPECT_STR(err.text, "at most 4096 columns are allowed");
    EXPECT_ERR(parse_many(1, LIMIT_PRIMARY_TAGS_MAX + 1, &t), ERR_INVALID);
    EXPECT_ERR(parse_many(1, LIMIT_TAGS_MAX + 1, &t), ERR_RANGE);
}

TEST(table, encoding_and_definition_come_back_equal)
{
    struct table *t = parse("time:1! v:3 flag:4 n:2! s:5", "host:5!* rack:2* up:4", 9);
    REQUIRE(t != NULL);
    t->id = 77;
    t->index_created = 12;
    struct buf b = {0};
    table_encode(t, &b);
    struct cursor c = cursor_of(buf_bytes(&b));
    struct table *decoded = NULL;
    REQUIRE_OK(table_decode(&c, &decoded, &err));
    EXPECT(cursor_done(&c));
    EXPECT_UINT(decoded->id, 77);
    EXPECT_UINT(decoded->index_created, 12);
    struct buf again = {0};
    table_encode(decoded, &again);
    EXPECT(bytes_equal(buf_bytes(&b), buf_bytes(&again)));

    struct buf answer = {0};
    table_put_definition(decoded, &answer, 1);
    Tidemark__V1__ListTablesResponse *m =
        tidemark__v1__list_tables_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(m != NULL);
    REQUIRE_UINT(m->n_tables, 1);
    EXPECT_UINT(m->tables[0]->n_columns, 5);
    EXPECT_UINT(m->tables[0]->id, 77);
    EXPECT_UINT(m->tables[0]->precision, 9);
    EXPECT(m->tables[0]->columns[3]->not_null);
    EXPECT(m->tables[0]->tags[1]->primary && !m->tables[0]->tags[1]->not_null);
    tidemark__v1__list_tables_response__free_unpacked(m, NULL);
    table_unref(decoded);

    for (size_t size = 0; size < b.size; size++) {
        c = cursor_of(bytes_of(b.data, size));
        EXPECT_ERR(table_decode(&c, &decoded, &err), ERR_CORRUPT);
    }
    table_unref(t);
    buf_deinit(&b);
    buf_deinit(&again);
    buf_deinit(&answer);
}

/* Each byte changed in turn: refused, or another table, never a crash. */
TEST(table, damaged_bytes_are_decoded_safely)
{
    struct table *t = parse("time:1! v:3", "host:5!* rack:2*", 3);
    REQUIRE(t != NULL);
    t->id = 1;
    struct buf b = {0};
    table_encode(t, &b);
    for (size_t i = 0; i < b.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1U << bit);
            struct cursor c = cursor_of(buf_bytes(&b));
            struct table *decoded = NULL;
            enum err_code code = table_decode(&c, &decoded, &err);
            EXPECT(code == ERR_OK || code == ERR_CORRUPT);
            table_unref(decoded);
            b.data[i] ^= (uint8_t)(1U << bit);
        }
    }
    table_unref(t);
    buf_deinit(&b);
}

/* --- sizes --- */

static enum err_code parse_sized(int type, uint32_t size_max, bool is_tag, struct table **t)
{
    static const char *const names[] = {"time", "v", "host"};
    struct buf b = {0};
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, "t");
    for (uint32_t i = 0; i < 3; i++) {
        bool sized = i == (is_tag ? 2 : 1);
        size_t m = wire_begin(&b, i < 2 ? 3 : 4);
        wire_put_str(&b, 1, names[i]);
        wire_put_uint(&b, 2, i == 0 ? VALUE_TIMESTAMP : sized ? (uint64_t)type : VALUE_STRING);
        wire_put_uint(&b, 3, i == 1 ? 0 : 1);
        wire_put_uint(&b, 4, i == 2 ? 1 : i == 1 && sized ? size_max : 0);
        wire_put_uint(&b, 5, i == 2 && sized ? size_max : 0);
        wire_end(&b, m);
    }
    enum err_code code = table_parse(buf_bytes(&b), t, &err);
    buf_deinit(&b);
    return code;
}

TEST(table, only_strings_and_bytes_have_a_greatest_size)
{
    for (int is_tag = 0; is_tag < 2; is_tag++) {
        struct table *t = NULL;
        for (int type = VALUE_TIMESTAMP; type < VALUE_TYPE_END; type++) {
            bool sized = value_is_long((enum value_type)type);
            EXPECT_INT(parse_sized(type, 10, is_tag == 1, &t), sized ? ERR_OK : ERR_INVALID);
            table_unref(t);
            REQUIRE_OK(parse_sized(type, 0, is_tag == 1, &t));
            uint32_t have = is_tag == 1 ? t->tags[0].size_max : t->columns[1].size_max;
            EXPECT_UINT(have, sized ? LIMIT_STRING_SIZE_MAX : 0);
            table_unref(t);
        }
        REQUIRE_OK(parse_sized(VALUE_BYTES, 10, is_tag == 1, &t));
        struct buf b = {0};
        struct table *decoded = NULL;
        t->id = 1;
        table_encode(t, &b);
        struct cursor c = cursor_of(buf_bytes(&b));
        REQUIRE_OK(table_decode(&c, &decoded, &err));
        EXPECT_UINT(is_tag == 1 ? decoded->tags[0].size_max : decoded->columns[1].size_max, 10);
        table_unref(t);
        table_unref(decoded);
        buf_deinit(&b);
        EXPECT_ERR(parse_sized(VALUE_STRING, LIMIT_STRING_SIZE_MAX + 1, is_tag == 1, &t),
                   ERR_RANGE);
    }
}
