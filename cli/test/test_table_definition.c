/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/bytes.h"
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
