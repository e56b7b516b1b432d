/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/bytes.h"
#include "cli/flag_set.h"
#include "cli/table_definition.h"
#include "cli/value_text.h"
#include "testkit/test.h"

static Tidemark__V1__TableDefinition *unpack(struct buf *b)
{
    Tidemark__V1__TableDefinition *t =
        tidemark__v1__table_definition__unpack(NULL, b->size, b->data);
    REQUIRE(t != NULL);
    buf_deinit(b);
    return t;
}

TEST(table_definition, reads_columns_and_tags_as_people_write_them)
{
    struct buf b = {0};
    EXPECT_OK(table_put_column(&b, "value:double", NULL));
    EXPECT_OK(table_put_column(&b, "n:bigint:not_null", NULL));
    EXPECT_OK(table_put_tag(&b, "host:string:primary", NULL));
    EXPECT_OK(table_put_tag(&b, "rack:int:primary:nullable", NULL));
    EXPECT_OK(table_put_tag(&b, "on:bool", NULL));
    Tidemark__V1__TableDefinition *t = unpack(&b);
    REQUIRE_UINT(t->n_columns, 2);
    EXPECT_STR(t->columns[0]->name, "value");
    EXPECT_INT(t->columns[0]->type, TIDEMARK__V1__TYPE__DOUBLE);
    EXPECT(!t->columns[0]->not_null);
    EXPECT_INT(t->columns[1]->type, TIDEMARK__V1__TYPE__INT64);
    EXPECT(t->columns[1]->not_null);
    REQUIRE_UINT(t->n_tags, 3);
    EXPECT(t->tags[0]->primary);
    EXPECT(t->tags[0]->not_null);
    EXPECT(t->tags[1]->primary);
    EXPECT(!t->tags[1]->not_null);
    EXPECT(!t->tags[2]->primary);
    EXPECT(!t->tags[2]->not_null);
    tidemark__v1__table_definition__free_unpacked(t, NULL);
}

TEST(table_definition, every_type_can_be_of_columns_and_tags)
{
    static const char *const types[] = {"timestamp", "int64", "double",  "bool",    "string",
                                        "int16",     "int32", "float32", "bytea(9)"};
    struct buf b = {0};
    for (size_t i = 0; i < 9; i++) {
        char text[40];
        (void)snprintf(text, sizeof text, "n%zu:%s", i, types[i]);
        EXPECT_OK(table_put_column(&b, text, NULL));
        EXPECT_OK(table_put_tag(&b, text, NULL));
    }
    Tidemark__V1__TableDefinition *t = unpack(&b);
    REQUIRE_UINT(t->n_columns, 9);
    REQUIRE_UINT(t->n_tags, 9);
    for (size_t i = 0; i < 9; i++) {
        EXPECT_INT(t->columns[i]->type, (int)i + 1);
        EXPECT_INT(t->tags[i]->type, (int)i + 1);
        EXPECT_UINT(t->columns[i]->size_max, i == 8 ? 9 : 0);
        EXPECT_UINT(t->tags[i]->size_max, i == 8 ? 9 : 0);
    }
    tidemark__v1__table_definition__free_unpacked(t, NULL);
}

TEST(table_definition, refuses_what_it_does_not_understand)
{
    static const char *const columns[] = {"",
                                          "value",
                                          "value:",
                                          ":double",
                                          "v:money",
                                          "v:double:primary",
                                          "v:double:not_null:",
                                          "a:b:c:d:e:f:g:h:i:j"};
    static const char *const tags[] = {"host", "host:string:not_null", "host:string:PRIMARY",
                                       "host:double(5)"};
    struct buf b = {0};
    struct err e = {0};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        EXPECT_ERR(table_put_column(&b, columns[i], &e), ERR_INVALID);
    }
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        EXPECT_ERR(table_put_tag(&b, tags[i], &e), ERR_INVALID);
    }
    EXPECT_UINT(b.size, 0);
    EXPECT_ERR(table_put_column(&b, "v:money", &e), ERR_INVALID);
    EXPECT_STR(e.text, "'v:money': 'money' is no type here: use " VALUE_TEXT_TYPES);
    EXPECT_ERR(table_put_tag(&b, "h", &e), ERR_INVALID);
    EXPECT_STR(e.text, "'h' is not NAME:TYPE[:primary][:nullable]");
    buf_deinit(&b);
}

/* --- changes --- */

static const struct flag_definition alter_flags[] = {
    {.name = "add-column", .type = FLAG_TEXT}, {.name = "add-tag", .type = FLAG_TEXT},
    {.name = "drop", .type = FLAG_TEXT},       {.name = "rename", .type = FLAG_TEXT},
    {.name = "widen", .type = FLAG_TEXT},
};

/* The request for "--FLAG=VALUE ..."; NULL: refused, with 'e'. The caller's. */
static Tidemark__V1__AlterTableRequest *changed(const char *first, const char *second,
                                                enum err_code *echo, struct err *e)
{
    static const struct flag_definition *const tables[] = {alter_flags};
    static const size_t counts[] = {sizeof alter_flags / sizeof alter_flags[0]};
    struct flag_request flags = {.tables = tables, .counts = counts, .table_count = 1};
    char words[3][80] = {"alter", "", ""};
    (void)snprintf(words[1], sizeof words[1], "%s", first == NULL ? "" : first);
    (void)snprintf(words[2], sizeof words[2], "%s", second == NULL ? "" : second);
    char *argv[] = {words[0], words[1], words[2], NULL};
    struct flag_set *f = NULL;
    struct buf b = {0};
    REQUIRE_OK(flag_set_open(&flags, 1 + (first != NULL) + (second != NULL), argv, &f, e));
    enum err_code code = table_put_change(&b, f, echo, e);
    Tidemark__V1__AlterTableRequest *r =
        code == ERR_OK ? tidemark__v1__alter_table_request__unpack(NULL, b.size, b.data) : NULL;
    EXPECT(code == ERR_OK || code == ERR_INVALID);
    flag_set_close(f);
    buf_deinit(&b);
    return r;
}

TEST(table_definition, each_change_of_a_table_has_its_flag)
{
    enum err_code echo = ERR_OK;
    struct err e = {0};
    Tidemark__V1__AlterTableRequest *r = changed("--add-column=n:string(9)", NULL, &echo, &e);
    REQUIRE(r != NULL);
    EXPECT_STR(r->add_column->name, "n");
    EXPECT_UINT(r->add_column->size_max, 9);
    EXPECT_INT(echo, ERR_EXISTS);
    tidemark__v1__alter_table_request__free_unpacked(r, NULL);
    r = changed("--add-tag=zone:string:primary", NULL, &echo, &e);
    REQUIRE(r != NULL);
    EXPECT(r->add_tag->primary);
    EXPECT(!r->add_tag->not_null); /* of the series that are there it is null */
    tidemark__v1__alter_table_request__free_unpacked(r, NULL);
    r = changed("--drop=n", NULL, &echo, &e);
    REQUIRE(r != NULL);
    EXPECT_STR(r->drop, "n");
    EXPECT_INT(echo, ERR_NOT_FOUND);
    tidemark__v1__alter_table_request__free_unpacked(r, NULL);
    r = changed("--rename=a=b=c", NULL, &echo, &e);
    REQUIRE(r != NULL);
    EXPECT_STR(r->rename, "a");
    EXPECT_STR(r->rename_to, "b=c");
    tidemark__v1__alter_table_request__free_unpacked(r, NULL);
    r = changed("--widen=n:bigint", NULL, &echo, &e);
    REQUIRE(r != NULL);
    EXPECT_STR(r->widen, "n");
    EXPECT_INT(r->widen_type, TIDEMARK__V1__TYPE__INT64);
    tidemark__v1__alter_table_request__free_unpacked(r, NULL);
}

TEST(table_definition, a_change_that_is_none_or_two_is_refused)
{
    enum err_code echo = ERR_OK;
    struct err e = {0};
    EXPECT(changed(NULL, NULL, &echo, &e) == NULL);
    EXPECT_STR(e.text,
               "one change at a time: --add-column, --add-tag, --drop, --rename or --widen");
    EXPECT(changed("--drop=a", "--rename=b=c", &echo, &e) == NULL);
    EXPECT(changed("--rename=b", NULL, &echo, &e) == NULL);
    EXPECT_STR(e.text, "--rename: 'b' is not NAME=NEW_NAME");
    EXPECT(changed("--rename=b=", NULL, &echo, &e) == NULL);
    EXPECT(changed("--widen=b", NULL, &echo, &e) == NULL);
    EXPECT(changed("--add-column=b:money", NULL, &echo, &e) == NULL);
}
