/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cluster_client.h"
#include "cli/import_plan.h"
#include "cli/table_definition.h"
#include "cli/value_text.h"
#include "testkit/test.h"

static struct import_request request; /* of the current test */

static void begin(void)
{
    request = (struct import_request){.database = "db", .table = "t", .time_format = "auto"};
}

static struct import_header header_of(const char *text)
{
    struct csv_reader *r = csv_reader_open(',');
    struct csv_record record;
    struct import_header h = {0};
    struct err e = {0};
    csv_reader_feed(r, bytes_str(text));
    csv_reader_end(r);
    REQUIRE_INT(csv_reader_next(r, &record, &e), CSV_RECORD);
    REQUIRE_OK(import_header_read(&record, &h, &e));
    csv_reader_close(r);
    return h;
}

/* Guesses a table from a whole file; NULL: refused, e says why. */
static Tidemark__V1__TableDefinition *guess(const char *text, struct err *e)
{
    struct import_header h = header_of(text);
    struct buf b = {0};
    Tidemark__V1__TableDefinition *t = NULL;
    if (import_guess_table(&request, &h, bytes_str(text), ',', &b, e) == ERR_OK) {
        t = tidemark__v1__table_definition__unpack(NULL, b.size, b.data);
        REQUIRE(t != NULL);
    }
    buf_deinit(&b);
    import_header_deinit(&h);
    return t;
}

static void free_table(Tidemark__V1__TableDefinition *t)
{
    tidemark__v1__table_definition__free_unpacked(t, NULL);
}

TEST(import_plan, guesses_types_and_takes_the_named_tags)
{
    struct err e = {0};
    begin();
    request.tags = "host";
    request.types = "count:int64";
    Tidemark__V1__TableDefinition *t =
        guess("value,time,host,count,on,note,empty\n1.5,2014-02-14 14:30:00,a,7,true,x y,\n"
              "2,2014-02-14 14:35:00,b,8,false,,\n",
              &e);
    REQUIRE(t != NULL);
    EXPECT_STR(t->database, "db");
    EXPECT_STR(t->table, "t");
    EXPECT_UINT(t->precision, 3);
    REQUIRE_UINT(t->n_columns, 6);
    EXPECT_STR(t->columns[0]->name, "time");
    EXPECT_INT(t->columns[0]->type, TIDEMARK__V1__TYPE__TIMESTAMP);
    EXPECT(t->columns[0]->not_null);
    EXPECT_STR(t->columns[1]->name, "value");
    EXPECT_INT(t->columns[1]->type, TIDEMARK__V1__TYPE__DOUBLE);
    EXPECT_INT(t->columns[2]->type, TIDEMARK__V1__TYPE__INT64);
    EXPECT_INT(t->columns[3]->type, TIDEMARK__V1__TYPE__BOOL);
    EXPECT_INT(t->columns[4]->type, TIDEMARK__V1__TYPE__STRING);
    EXPECT_INT(t->columns[5]->type, TIDEMARK__V1__TYPE__STRING);
    EXPECT(!t->columns[5]->not_null);
    REQUIRE_UINT(t->n_tags, 1);
    EXPECT_STR(t->tags[0]->name, "host");
    EXPECT(t->tags[0]->primary);
    EXPECT(t->tags[0]->not_null);
    free_table(t);
}

TEST(import_plan, guesses_the_precision_that_holds_every_time)
{
    struct err e = {0};
    begin();
    request.tags = "h";
    Tidemark__V1__TableDefinition *t = guess("ts,v,h\n1,2,a\n2014-01-01T00:00:00.000001,2,a\n", &e);
    REQUIRE(t != NULL);
    EXPECT_UINT(t->precision, 6);
    free_table(t);
    t = guess("ts,v,h\n2014-01-01T00:00:00.000000001,2,a\n", &e);
    REQUIRE(t != NULL);
    EXPECT_UINT(t->precision, 9);
    free_table(t);
}

TEST(import_plan, a_tag_that_is_sometimes_empty_may_be_null_but_not_all_of_them)
{
    struct err e = {0};
    begin();
    request.tags = "a,b";
    Tidemark__V1__TableDefinition *t = guess("ts,a,b\n1,x,\n2,y,z\n", &e);
    REQUIRE(t != NULL);
    EXPECT(t->tags[0]->not_null);
    EXPECT(!t->tags[1]->not_null);
    free_table(t);
    t = guess("ts,a,b\n1,x,\n2,,z\n", &e);
    REQUIRE(t != NULL);
    EXPECT(t->tags[0]->not_null);
    EXPECT(t->tags[1]->not_null);
    free_table(t);
}

TEST(import_plan, a_file_without_tags_gets_them_from_the_command_line)
{
    static const char *const constants[] = {"symbol=VIX"};
    struct err e = {0};
    begin();
    EXPECT(guess("DATE,OPEN\n1990-01-02,17.24\n", &e) == NULL);
    EXPECT_CONTAINS(e.text, "--tag-value NAME=VALUE");
    request.constants = constants;
    request.constant_count = 1;
    Tidemark__V1__TableDefinition *t = guess("DATE,OPEN\n1990-01-02,17.24\n", &e);
    REQUIRE(t != NULL);
    EXPECT_STR(t->columns[0]->name, "DATE");
    EXPECT_STR(t->tags[0]->name, "symbol");
    free_table(t);
}

static void expect_no_guess(const char *text, const char *why)
{
    struct err e = {0};
    EXPECT(guess(text, &e) == NULL);
    EXPECT_STR(e.text, why);
}

TEST(import_plan, refuses_names_that_are_not_in_the_file)
{
    static const char *const constants[] = {"novalue"};
    begin();
    request.tags = "hots";
    expect_no_guess("ts,host\n", "--tags: the file has no field 'hots'; did you mean 'host'?");
    begin();
    request.tags = "host";
    request.types = "zzzzzzzz:int64";
    expect_no_guess("ts,host\n", "--types: the file has no field 'zzzzzzzz'");
    request.types = "host";
    expect_no_guess("ts,host\n", "--types: 'host' is not NAME:TYPE");
    request.types = "v:decimal";
    expect_no_guess("ts,v,host\n",
                    "--types: 'decimal' is no type of a column: use " VALUE_TEXT_TYPES);
    request.types = NULL;
    request.time_column = "when";
    expect_no_guess("ts,host\n", "--time-column: the file has no field 'when'");
    request.time_column = NULL;
    request.constants = constants;
    request.constant_count = 1;
    expect_no_guess("ts,host\n", "--tag-value: 'novalue' is not NAME=VALUE");
}

TEST(import_plan, refuses_a_header_without_clear_names)
{
    struct csv_field fields[] = {{bytes_str("a"), false}, {{0}, false}, {bytes_str("a"), false}};
    struct csv_record record = {1, fields, 2};
    struct import_header h;
    struct err e = {0};
    EXPECT_ERR(import_header_read(&record, &h, &e), ERR_INVALID);
    EXPECT_STR(e.text, "the header's field 2 has no name");
    fields[1] = fields[2];
    EXPECT_ERR(import_header_read(&record, &h, &e), ERR_INVALID);
    EXPECT_STR(e.text, "the header names 'a' twice");
}

/* --- plans --- */

static Tidemark__V1__TableDefinition *table_of(const char *const *columns, const char *const *tags)
{
    struct buf b = {0};
    Tidemark__V1__TableDefinition start;
    tidemark__v1__table_definition__init(&start);
    Tidemark__V1__ColumnDefinition time;
    tidemark__v1__column_definition__init(&time);
    Tidemark__V1__ColumnDefinition *first = &time;
    time.name = (char *)(uintptr_t)"ts";
    time.type = TIDEMARK__V1__TYPE__TIMESTAMP;
    start.columns = &first;
    start.n_columns = 1;
    cluster_pack(&start.base, &b);
    for (size_t i = 0; columns[i] != NULL; i++) {
        REQUIRE_OK(table_put_column(&b, columns[i], NULL));
    }
    for (size_t i = 0; tags[i] != NULL; i++) {
        REQUIRE_OK(table_put_tag(&b, tags[i], NULL));
    }
    Tidemark__V1__TableDefinition *t = tidemark__v1__table_definition__unpack(NULL, b.size, b.data);
    REQUIRE(t != NULL);
    buf_deinit(&b);
    return t;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static enum err_code plan(struct import_plan *p, const char *header, const char *const *columns,
                          const char *const *tags, struct err *e)
{
    struct import_header h = header_of(header);
    Tidemark__V1__TableDefinition *t = table_of(columns, tags);
    enum err_code code = import_plan_init(p, &request, &h, t, e);
    free_table(t);
    import_header_deinit(&h);
    return code;
}

TEST(import_plan, matches_fields_by_name_with_primary_tags_first)
{
    struct import_plan p;
    struct err e = {0};
    begin();
    request.skip = "junk";
    REQUIRE_OK(plan(&p, "v,site,junk,ts,host,on", LIST("on:bool", "v:double", "more:int64"),
                    LIST("site:string", "host:string:primary", "rack:string:primary:nullable"),
                    &e));
    EXPECT_UINT(p.time_field, 3);
    EXPECT_STR(p.time_name, "ts");
    EXPECT_UINT(p.field_count, 6);
    EXPECT_UINT(p.precision, 3);
    REQUIRE_UINT(p.column_count, 2);
    EXPECT_STR(p.columns[0].name, "v");
    EXPECT_UINT(p.columns[0].field, 0);
    EXPECT_INT(p.columns[1].type, TIDEMARK__V1__TYPE__BOOL);
    REQUIRE_UINT(p.tag_count, 3);
    EXPECT_STR(p.tags[0].name, "host");
    EXPECT(p.tags[0].not_null);
    EXPECT_STR(p.tags[1].name, "rack");
    EXPECT(p.tags[1].field == IMPORT_NO_FIELD);
    EXPECT(p.tags[1].constant == NULL);
    EXPECT_STR(p.tags[2].name, "site");
    EXPECT(p.has_other_tags);
    import_plan_deinit(&p);
}

TEST(import_plan, a_constant_stands_in_for_a_tag)
{
    static const char *const constants[] = {"host=web=1"};
    struct import_plan p;
    struct err e = {0};
    begin();
    request.constants = constants;
    request.constant_count = 1;
    REQUIRE_OK(plan(&p, "ts,v", LIST("v:double"), LIST("host:string:primary"), &e));
    EXPECT_STR(p.tags[0].constant, "web=1");
    EXPECT(!p.has_other_tags);
    import_plan_deinit(&p);
    EXPECT_ERR(plan(&p, "ts,v,host", LIST("v:double"), LIST("host:string:primary"), &e),
               ERR_INVALID);
    EXPECT_CONTAINS(e.text, "has a field 'host' itself");
    import_plan_deinit(&p);
    EXPECT_ERR(plan(&p, "ts,v", LIST("v:double"), LIST("other:string:primary"), &e), ERR_NOT_FOUND);
    import_plan_deinit(&p);
}

TEST(import_plan, says_what_does_not_fit)
{
    struct import_plan p;
    struct err e = {0};
    begin();
    EXPECT_ERR(plan(&p, "ts,x", LIST("v:double"), LIST("host:string:primary"), &e), ERR_NOT_FOUND);
    EXPECT_CONTAINS(e.text, "no column or tag 'x'");
    import_plan_deinit(&p);
    EXPECT_ERR(plan(&p, "ts,v", LIST("v:double"), LIST("host:string:primary"), &e), ERR_INVALID);
    EXPECT_CONTAINS(e.text, "--tag-value host=VALUE");
    import_plan_deinit(&p);
    EXPECT_ERR(plan(&p, "ts,host", LIST("v:double:not_null"), LIST("host:string:primary"), &e),
               ERR_INVALID);
    EXPECT_CONTAINS(e.text, "no field for column 'v'");
    import_plan_deinit(&p);
}
