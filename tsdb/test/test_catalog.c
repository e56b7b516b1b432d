/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/catalog.h"

#include "testkit/test.h"
#include "tsdb/test/fixture.h"

static struct err err;

enum change { CREATE_DATABASE, DROP_DATABASE, CREATE_TABLE, DROP_TABLE };

static enum err_code run(struct catalog **c, enum change change, struct bytes request)
{
    struct catalog *changed = NULL;
    enum err_code code = ERR_OK;
    err.text[0] = '\0';
    switch (change) {
    case CREATE_DATABASE:
        code = catalog_create_database(*c, request, &changed, &err);
        break;
    case DROP_DATABASE:
        code = catalog_drop_database(*c, request, &changed, &err);
        break;
    case CREATE_TABLE:
        code = catalog_create_table(*c, request, 5, &changed, &err);
        break;
    case DROP_TABLE:
        code = catalog_drop_table(*c, request, &changed, &err);
        break;
    }
    EXPECT((code == ERR_OK) == (changed != NULL));
    if (code == ERR_OK) {
        catalog_unref(*c);
        *c = changed;
    }
    return code;
}

/* 'flag': if_not_exists or cascade. */
static enum err_code database(struct catalog **c, enum change change, const char *name, bool flag)
{
    struct buf b = {0};
    wire_put_str(&b, 1, name);
    wire_put_uint(&b, 2, flag ? 1 : 0);
    enum err_code code = run(c, change, buf_bytes(&b));
    buf_deinit(&b);
    return code;
}

static enum err_code create(struct catalog **c, const char *in, const char *name, bool flag)
{
    struct buf b = {0};
    make_table_request(&b, in, name);
    wire_put_uint(&b, 2, flag ? 1 : 0);
    enum err_code code = run(c, CREATE_TABLE, buf_bytes(&b));
    buf_deinit(&b);
    return code;
}

static enum err_code drop(struct catalog **c, const char *in, const char *name)
{
    struct buf b = {0};
    wire_put_str(&b, 1, in);
    wire_put_str(&b, 2, name);
    enum err_code code = run(c, DROP_TABLE, buf_bytes(&b));
    buf_deinit(&b);
    return code;
}

static struct table *find(const struct catalog *c, const char *in, const char *name)
{
    struct table *t = NULL;
    enum err_code code = catalog_find(c, bytes_str(in), bytes_str(name), &t, &err);
    EXPECT((code == ERR_OK) == (t != NULL));
    return t;
}

TEST(catalog, databases_and_tables_are_made_found_and_dropped)
{
    struct catalog *c = catalog_new();
    EXPECT_OK(database(&c, CREATE_DATABASE, "b", false));
    EXPECT_OK(database(&c, CREATE_DATABASE, "a", false));
    EXPECT_OK(create(&c, "b", "t2", false));
    EXPECT_OK(create(&c, "b", "t1", false));
    EXPECT_OK(create(&c, "a", "t1", false));
    EXPECT_UINT(catalog_database_count(c), 2);
    EXPECT_STR(catalog_database(c, 0), "a");
    EXPECT_UINT(catalog_table_count(c), 3);
    EXPECT_STR(catalog_table(c, 0)->database, "a");
    EXPECT_STR(catalog_table(c, 1)->name, "t1");
    EXPECT_UINT(find(c, "b", "t2")->id, 1);
    EXPECT_UINT(find(c, "a", "t1")->id, 3);
    EXPECT_UINT(find(c, "a", "t1")->index_created, 5);
    EXPECT_OK(drop(&c, "b", "t2"));
    EXPECT(find(c, "b", "t2") == NULL);
    EXPECT_STR(err.text, "no table \"t2\" in database \"b\"");
    EXPECT(find(c, "x", "t2") == NULL);
    EXPECT_STR(err.text, "no database \"x\"");
    /* An id is never used again. */
    EXPECT_OK(create(&c, "b", "t2", false));
    EXPECT_UINT(find(c, "b", "t2")->id, 4);
    catalog_unref(c);
    catalog_unref(NULL);
}

TEST(catalog, refusals_say_why_and_change_nothing)
{
    struct catalog *c = catalog_new();
    EXPECT_OK(database(&c, CREATE_DATABASE, "d", false));
    EXPECT_OK(create(&c, "d", "m", false));
    EXPECT_ERR(database(&c, CREATE_DATABASE, "d", false), ERR_EXISTS);
    EXPECT_STR(err.text, "database \"d\" exists");
    EXPECT_OK(database(&c, CREATE_DATABASE, "d", true));
    EXPECT_ERR(database(&c, CREATE_DATABASE, "D", false), ERR_INVALID);
    EXPECT_ERR(database(&c, CREATE_DATABASE, "", false), ERR_INVALID);
    EXPECT_ERR(create(&c, "d", "m", false), ERR_EXISTS);
    EXPECT_STR(err.text, "table \"m\" exists in database \"d\"");
    EXPECT_OK(create(&c, "d", "m", true));
    EXPECT_ERR(create(&c, "x", "m", true), ERR_NOT_FOUND);
    EXPECT_ERR(drop(&c, "d", "x"), ERR_NOT_FOUND);
    EXPECT_ERR(drop(&c, "x", "m"), ERR_NOT_FOUND);
    EXPECT_ERR(database(&c, DROP_DATABASE, "x", true), ERR_NOT_FOUND);
    EXPECT_ERR(database(&c, DROP_DATABASE, "d", false), ERR_STATE);
    EXPECT_CONTAINS(err.text, "database \"d\" is not empty (1 tables)");
    EXPECT_UINT(catalog_table_count(c), 1);
    EXPECT_UINT(find(c, "d", "m")->id, 1);
    static const uint8_t garbage[] = {0xff, 0xff, 0xff};
    for (int change = CREATE_DATABASE; change <= DROP_TABLE; change++) {
        EXPECT_ERR(run(&c, (enum change)change, bytes_of(garbage, sizeof garbage)), ERR_INVALID);
    }
    catalog_unref(c);
}

TEST(catalog, cascade_drops_a_database_with_its_tables_only)
{
    struct catalog *c = catalog_new();
    EXPECT_OK(database(&c, CREATE_DATABASE, "a", false));
    EXPECT_OK(database(&c, CREATE_DATABASE, "b", false));
    EXPECT_OK(create(&c, "a", "t", false));
    EXPECT_OK(create(&c, "b", "t", false));
    EXPECT_OK(create(&c, "b", "u", false));
    EXPECT_OK(database(&c, DROP_DATABASE, "b", true));
    EXPECT_UINT(catalog_database_count(c), 1);
    EXPECT_UINT(catalog_table_count(c), 1);
    EXPECT(find(c, "a", "t") != NULL);
    EXPECT_OK(drop(&c, "a", "t"));
    EXPECT_OK(database(&c, DROP_DATABASE, "a", false));
    EXPECT_UINT(catalog_database_count(c), 0);
    catalog_unref(c);
}

TEST(catalog, an_older_catalog_stays_as_it_was)
{
    struct catalog *c = catalog_new();
    EXPECT_OK(database(&c, CREATE_DATABASE, "d", false));
    EXPECT_OK(create(&c, "d", "m", false));
    struct catalog *old = catalog_ref(c);
    EXPECT_OK(drop(&c, "d", "m"));
    EXPECT(find(c, "d", "m") == NULL);
    EXPECT_UINT(find(old, "d", "m")->id, 1);
    EXPECT_OK(create(&c, "d", "m", false));
    EXPECT_UINT(find(old, "d", "m")->id, 1);
    EXPECT_UINT(find(c, "d", "m")->id, 2);
    catalog_unref(old);
    catalog_unref(c);
}

TEST(catalog, lists_are_protobuf_answers)
{
    struct catalog *c = catalog_new();
    EXPECT_OK(database(&c, CREATE_DATABASE, "b", false));
    EXPECT_OK(database(&c, CREATE_DATABASE, "a", false));
    EXPECT_OK(create(&c, "b", "t", false));
    EXPECT_OK(create(&c, "a", "u", false));
    struct buf answer = {0};
    catalog_list_databases(c, &answer);
    Tidemark__V1__ListDatabasesResponse *d =
        tidemark__v1__list_databases_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(d != NULL);
    REQUIRE_UINT(d->n_databases, 2);
    EXPECT_STR(d->databases[0], "a");
    tidemark__v1__list_databases_response__free_unpacked(d, NULL);

    struct buf request = {0};
    wire_put_str(&request, 1, "b");
    buf_reset(&answer);
    EXPECT_OK(catalog_list_tables(c, buf_bytes(&request), &answer, &err));
    Tidemark__V1__ListTablesResponse *t =
        tidemark__v1__list_tables_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(t != NULL);
    REQUIRE_UINT(t->n_tables, 1);
    EXPECT_STR(t->tables[0]->table, "t");
    tidemark__v1__list_tables_response__free_unpacked(t, NULL);

    buf_reset(&answer);
    EXPECT_OK(catalog_list_tables(c, (struct bytes){0}, &answer, &err));
    t = tidemark__v1__list_tables_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(t != NULL);
    EXPECT_UINT(t->n_tables, 2);
    tidemark__v1__list_tables_response__free_unpacked(t, NULL);
    buf_reset(&request);
    wire_put_str(&request, 1, "x");
    EXPECT_ERR(catalog_list_tables(c, buf_bytes(&request), &answer, &err), ERR_NOT_FOUND);
    buf_deinit(&request);
    buf_deinit(&answer);
    catalog_unref(c);
}

static struct catalog *decode(struct bytes b, enum err_code *code)
{
    struct cursor in = cursor_of(b);
    struct catalog *c = NULL;
    *code = catalog_decode(&in, &c, &err);
    return c;
}

TEST(catalog, survives_encoding_and_refuses_damage)
{
    struct catalog *c = catalog_new();
    EXPECT_OK(database(&c, CREATE_DATABASE, "a", false));
    EXPECT_OK(database(&c, CREATE_DATABASE, "b", false));
    EXPECT_OK(create(&c, "a", "t", false));
    EXPECT_OK(create(&c, "b", "t", false));
    struct buf b = {0};
    catalog_encode(c, &b);
    enum err_code code = ERR_OK;
    struct catalog *decoded = decode(buf_bytes(&b), &code);
    REQUIRE_OK(code);
    struct buf again = {0};
    catalog_encode(decoded, &again);
    EXPECT(bytes_equal(buf_bytes(&b), buf_bytes(&again)));
    EXPECT_UINT(find(decoded, "b", "t")->id, 2);
    EXPECT_OK(create(&decoded, "b", "u", false));
    EXPECT_UINT(find(decoded, "b", "u")->id, 3);
    catalog_unref(decoded);

    for (size_t size = 0; size < b.size; size++) {
        decoded = decode(bytes_of(b.data, size), &code);
        EXPECT(code == ERR_CORRUPT);
        EXPECT(decoded == NULL);
    }
    for (size_t i = 0; i < b.size; i++) {
        b.data[i] ^= 0x15;
        decoded = decode(buf_bytes(&b), &code);
        EXPECT(code == ERR_OK || code == ERR_CORRUPT);
        catalog_unref(decoded);
        b.data[i] ^= 0x15;
    }
    catalog_unref(c);
    buf_deinit(&b);
    buf_deinit(&again);
}

TEST(catalog, the_limit_of_databases_is_kept)
{
    struct catalog *c = catalog_new();
    char name[16];
    for (int i = 0; i < LIMIT_DATABASES_MAX; i++) {
        (void)snprintf(name, sizeof name, "d%d", i);
        REQUIRE_OK(database(&c, CREATE_DATABASE, name, false));
    }
    EXPECT_ERR(database(&c, CREATE_DATABASE, "one_more", false), ERR_FULL);
    EXPECT_OK(database(&c, DROP_DATABASE, "d7", false));
    EXPECT_OK(database(&c, CREATE_DATABASE, "one_more", false));
    catalog_unref(c);
}

TEST(catalog, the_limit_of_tables_is_kept)
{
    struct catalog *c = catalog_new();
    char name[16];
    EXPECT_OK(database(&c, CREATE_DATABASE, "d", false));
    for (int i = 0; i < LIMIT_TABLES_MAX; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        REQUIRE_OK(create(&c, "d", name, false));
    }
    EXPECT_ERR(create(&c, "d", "one_more", false), ERR_FULL);
    EXPECT_STR(err.text, "there are 4096 tables, no more are allowed");
    EXPECT_OK(drop(&c, "d", "t7"));
    EXPECT_OK(create(&c, "d", "one_more", false));
    catalog_unref(c);
}

static enum err_code create_wide(struct catalog **c, int number)
{
    struct buf b = {0};
    char name[24];
    size_t definition = wire_begin(&b, 1);
    (void)snprintf(name, sizeof name, "wide%d", number);
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, name);
    for (int i = 0; i < LIMIT_COLUMNS_MAX; i++) {
        size_t column = wire_begin(&b, 3);
        (void)snprintf(name, sizeof name, "c%d", i);
        wire_put_str(&b, 1, name);
        wire_put_uint(&b, 2, i == 0 ? VALUE_TIMESTAMP : VALUE_DOUBLE);
        wire_put_uint(&b, 3, i == 0 ? 1 : 0);
        wire_end(&b, column);
    }
    size_t tag = wire_begin(&b, 4);
    wire_put_str(&b, 1, "host");
    wire_put_uint(&b, 2, VALUE_STRING);
    wire_put_uint(&b, 3, 1);
    wire_put_uint(&b, 4, 1);
    wire_end(&b, tag);
    wire_end(&b, definition);
    enum err_code code = run(c, CREATE_TABLE, buf_bytes(&b));
    buf_deinit(&b);
    return code;
}

TEST(catalog, the_limit_of_columns_of_all_tables_is_kept)
{
    struct catalog *c = catalog_new();
    EXPECT_OK(database(&c, CREATE_DATABASE, "d", false));
    int tables = 0;
    while (create_wide(&c, tables) == ERR_OK) {
        tables++;
        REQUIRE(tables < 100);
    }
    EXPECT_INT(tables, LIMIT_CATALOG_COLUMNS_MAX / (LIMIT_COLUMNS_MAX + 1));
    EXPECT_CONTAINS(err.text, "all tables together would have");
    catalog_unref(c);
}
