/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/mem.h"
#include "node/toml.h"
#include "testkit/test.h"

static struct toml *parse(const char *text)
{
    struct toml *t = NULL;
    struct err e = {0};
    REQUIRE_OK(toml_parse(bytes_str(text), &t, &e));
    return t;
}

static const struct toml_entry *only(const struct toml *t)
{
    size_t count = 0;
    const struct toml_entry *entries = toml_entries(t, &count);
    REQUIRE_UINT(count, 1);
    return entries;
}

static void expect_refused(const char *text, const char *why)
{
    struct toml *t = NULL;
    struct err e = {0};
    EXPECT_ERR(toml_parse(bytes_str(text), &t, &e), ERR_INVALID);
    EXPECT_STR(e.text, why);
    EXPECT(t == NULL);
}

static void expect_string(const char *text, const char *want)
{
    struct toml *t = parse(text);
    EXPECT_INT(only(t)->type, TOML_STRING);
    EXPECT_STR(only(t)->string, want);
    toml_close(t);
}

static void expect_integer(const char *text, int64_t want)
{
    struct toml *t = parse(text);
    EXPECT_INT(only(t)->type, TOML_INTEGER);
    EXPECT_INT(only(t)->integer, want);
    toml_close(t);
}

TEST(toml, an_empty_file_has_no_entries)
{
    static const char *const texts[] = {"", "\n\n", "# only a comment", "  \t\r\n#x\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct toml *t = parse(texts[i]);
        size_t count = 9;
        (void)toml_entries(t, &count);
        EXPECT_UINT(count, 0);
        toml_close(t);
    }
    toml_close(NULL);
}

TEST(toml, reads_every_type_in_order)
{
    struct toml *t = parse("name = \"n1\" # the first\n"
                           "port = 7070\n"
                           "on = true\n"
                           "off=false\n"
                           "peers = [ 'a:1', \"b:2\", # two\n  'c:3',\n]\n"
                           "none = []\n");
    size_t count = 0;
    const struct toml_entry *e = toml_entries(t, &count);
    REQUIRE_UINT(count, 6);
    EXPECT_STR(e[0].key, "name");
    EXPECT_STR(e[0].string, "n1");
    EXPECT_INT(e[1].integer, 7070);
    EXPECT_INT(e[2].type, TOML_BOOLEAN);
    EXPECT(e[2].boolean);
    EXPECT(!e[3].boolean);
    EXPECT_INT(e[4].type, TOML_ARRAY);
    REQUIRE_UINT(e[4].item_count, 3);
    EXPECT_STR(e[4].items[0], "a:1");
    EXPECT_STR(e[4].items[1], "b:2");
    EXPECT_STR(e[4].items[2], "c:3");
    EXPECT_UINT(e[4].line, 5);
    EXPECT_UINT(e[5].item_count, 0);
    EXPECT_UINT(e[5].line, 8);
    toml_close(t);
}

TEST(toml, tables_and_dots_make_one_flat_key)
{
    struct toml *t = parse("top = 1\n[wal]\nsize = 2\n[ a . \"b c\" ]\n'd'.e = 3\n");
    size_t count = 0;
    const struct toml_entry *e = toml_entries(t, &count);
    REQUIRE_UINT(count, 3);
    EXPECT_STR(e[0].key, "top");
    EXPECT_STR(e[1].key, "wal.size");
    EXPECT_STR(e[2].key, "a.b c.d.e");
    toml_close(t);
}

TEST(toml, decodes_escapes_in_basic_strings_only)
{
    expect_string("s = \"a\\b\\t\\n\\f\\r\\\"\\\\z\"", "a\b\t\n\f\r\"\\z");
    expect_string("s = 'C:\\dir\\n'", "C:\\dir\\n");
    expect_string("s = \"\\u0041\\u00e9\\u20AC\\U0001F600\"",
                  "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    expect_string("s = \"\"", "");
    expect_string("s = \"# no comment\" # but this\n", "# no comment");
    expect_string("s = \"\xc3\xa9\"", "\xc3\xa9");
}

TEST(toml, reads_integers_in_every_base_up_to_the_last)
{
    expect_integer("i = 0", 0);
    expect_integer("i = -0", 0);
    expect_integer("i = +17", 17);
    expect_integer("i = 1_000_000", 1000000);
    expect_integer("i = 0xdead_BEEF", 0xdeadbeef);
    expect_integer("i = 0o755", 0755);
    expect_integer("i = 0b1101", 13);
    expect_integer("i = 9223372036854775807", INT64_MAX);
    expect_integer("i = -9223372036854775808", INT64_MIN);
}

TEST(toml, refuses_numbers_that_are_no_integers)
{
    expect_refused("i = 9223372036854775808", "line 1, column 5: the number is too large");
    expect_refused("i = -9223372036854775809", "line 1, column 6: the number is too large");
    expect_refused("i = 99999999999999999999999", "line 1, column 5: the number is too large");
    expect_refused("i = 010", "line 1, column 5: a number must not begin with 0");
    expect_refused("i = 1__0", "line 1, column 5: only strings, integers, true and false are "
                               "supported");
    expect_refused("i = 1_", "line 1, column 5: only strings, integers, true and false are "
                             "supported");
    expect_refused("i = 0x", "line 1, column 7: expected a digit");
    expect_refused("i = -", "line 1, column 6: expected a digit");
    expect_refused("i = 1.5", "line 1, column 5: only strings, integers, true and false are "
                              "supported");
    expect_refused("i = 1e3", "line 1, column 5: only strings, integers, true and false are "
                              "supported");
    expect_refused("d = 2024-01-01", "line 1, column 5: only strings, integers, true and false "
                                     "are supported");
}

TEST(toml, refuses_strings_that_do_not_end_or_hold_controls)
{
    expect_refused("s = \"abc", "line 1, column 5: the string does not end on its line");
    expect_refused("s = 'abc\n'", "line 1, column 5: the string does not end on its line");
    expect_refused("s = \"a\x01\"", "line 1, column 7: control character in a string");
    expect_refused("s = \"a\x7f\"", "line 1, column 7: control character in a string");
    expect_refused("# a\x02", "line 1, column 4: control character in a comment");
    expect_refused("s = \"\\x\"", "line 1, column 7: unknown escape");
    expect_refused("s = \"\\", "line 1, column 7: unknown escape");
    expect_refused("s = \"\\u12\"", "line 1, column 10: expected 4 hexadecimal digits");
    expect_refused("s = \"\\ud800\"",
                   "line 1, column 8: U+D800 is not a character that can stand here");
    expect_refused("s = \"\\u0000\"",
                   "line 1, column 8: U+0000 is not a character that can stand here");
    expect_refused("s = \"\\U00110000\"",
                   "line 1, column 8: U+110000 is not a character that can stand here");
    expect_refused("s = \"\"\"abc\"\"\"",
                   "line 1, column 5: strings over several lines are not supported");
}

TEST(toml, refuses_what_it_does_not_know_with_line_and_column)
{
    expect_refused("a = 1\nb = {x=1}\n", "line 2, column 5: expected a string, an integer, true, "
                                         "false or an array");
    expect_refused("a =", "line 1, column 4: expected a string, an integer, true, false or an "
                          "array");
    expect_refused("a", "line 1, column 2: expected '=' after 'a'");
    expect_refused("= 1", "line 1, column 1: expected a key");
    expect_refused("a. = 1", "line 1, column 4: expected a key");
    expect_refused("a = 1 b = 2", "line 1, column 7: expected the end of the line");
    expect_refused("a = truefalse",
                   "line 1, column 5: only strings, integers, true and false are supported");
    expect_refused("[[a]]", "line 1, column 1: arrays of tables are not supported");
    expect_refused("[a", "line 1, column 3: expected ']'");
    expect_refused("[]", "line 1, column 2: expected a key");
    expect_refused("\"a.b\" = 1", "line 1, column 1: a dot inside a quoted key is not supported");
    expect_refused("x = [1]", "line 1, column 6: only arrays of strings are supported");
    expect_refused("x = ['a' 'b']", "line 1, column 10: expected ',' or ']'");
    expect_refused("x = ['a',\n", "line 2, column 1: the array does not end");
    expect_refused("x = [,]", "line 1, column 6: only arrays of strings are supported");
    expect_refused("x = [\"a]", "line 1, column 6: the string does not end on its line");
    expect_refused("a\r = 1", "line 1, column 2: expected '=' after 'a'");
}

TEST(toml, counts_columns_in_characters)
{
    expect_refused("s = '\xc3\xa9\xe2\x82\xac' x",
                   "line 1, column 10: expected the end of the line");
}

TEST(toml, refuses_bytes_that_are_not_utf8)
{
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\xaf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf0\x80\x80\xaf",
                                      "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "\ns = '%s'", bad[i]);
        expect_refused(text, "line 2, column 6: not UTF-8");
    }
}

TEST(toml, refuses_a_key_or_a_table_given_twice)
{
    expect_refused("a = 1\n\na = 2\n", "line 3, column 1: 'a' is given twice, first on line 1");
    expect_refused("[t]\na = 1\n[u]\n[t]\n",
                   "line 4, column 1: table 't' is given twice, first on line 1");
    expect_refused("[t]\na = 1\na=1\n", "line 3, column 1: 't.a' is given twice, first on line 2");
    expect_refused("a = 1\na.b = 2\n", "line 2, column 1: 'a.b' does not go with 'a' on line 1");
    expect_refused("a.b = 1\na = 2\n", "line 2, column 1: 'a' does not go with 'a.b' on line 1");
    expect_refused("a = 1\n[a]\n", "line 2, column 1: 'a' is a value, given on line 1");
}

/* "BEFORE<n>AFTER" for each n. The caller's, to be given to mem_free(). */
static char *many(const char *before, const char *after, unsigned count)
{
    struct buf b = {0};
    for (unsigned i = 0; i < count; i++) {
        buf_printf(&b, "%s%u%s", before, i, after);
    }
    buf_put_u8(&b, 0);
    return (char *)b.data;
}

TEST(toml, limits_are_errors)
{
    char *text = many("k", " = 1\n", TOML_KEYS_MAX);
    struct toml *t = parse(text);
    size_t count = 0;
    (void)toml_entries(t, &count);
    EXPECT_UINT(count, TOML_KEYS_MAX);
    toml_close(t);
    mem_free(text);

    text = many("k", " = 1\n", TOML_KEYS_MAX + 1);
    expect_refused(text, "line 257, column 1: more than 256 keys");
    mem_free(text);

    text = many("[t", "]\n", TOML_KEYS_MAX + 1);
    expect_refused(text, "line 257, column 1: more than 256 tables");
    mem_free(text);

    char key[TOML_KEY_SIZE_MAX + 8];
    memset(key, 'k', sizeof key);
    memcpy(key + TOML_KEY_SIZE_MAX, "=1", 3);
    t = parse(key);
    EXPECT_UINT(strlen(only(t)->key), TOML_KEY_SIZE_MAX);
    toml_close(t);
    memcpy(key + TOML_KEY_SIZE_MAX, "k=1", 4);
    expect_refused(key, "line 1, column 1: the key has more than 127 bytes");
}

TEST(toml, an_array_is_limited_too)
{
    char *items = many("'", "',", TOML_ITEMS_MAX);
    struct buf text = {0};
    buf_printf(&text, "x = [%s]", items);
    struct toml *t = NULL;
    struct err e = {0};
    REQUIRE_OK(toml_parse(buf_bytes(&text), &t, &e));
    EXPECT_UINT(only(t)->item_count, TOML_ITEMS_MAX);
    EXPECT_STR(only(t)->items[TOML_ITEMS_MAX - 1], "63");
    toml_close(t);
    buf_reset(&text);
    buf_printf(&text, "x = [\n%s'one more']", items);
    EXPECT_ERR(toml_parse(buf_bytes(&text), &t, &e), ERR_INVALID);
    EXPECT_CONTAINS(e.text, "more than 64 items");
    buf_deinit(&text);
    mem_free(items);
}
