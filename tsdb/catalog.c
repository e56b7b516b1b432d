/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/catalog.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "tsdb/alteration.h"

struct name {
    char text[LIMIT_NAME_SIZE_MAX + 1];
};

struct catalog {
    atomic_uint references;
    uint64_t table_id_next;
    size_t database_count;
    struct name *databases; /* sorted */
    size_t table_count;
    struct table **tables; /* one reference each; sorted by database, then name */
};

/* The fields that requests about databases and tables share. */
struct request {
    struct bytes database;
    struct bytes table;
    bool flag; /* if_not_exists, cascade */
};

static void check_invariants(const struct catalog *c)
{
    CHECK(c->database_count <= LIMIT_DATABASES_MAX);
    CHECK(c->table_count <= LIMIT_TABLES_MAX);
    for (size_t i = 1; i < c->database_count; i++) {
        VERIFY(strcmp(c->databases[i - 1].text, c->databases[i].text) < 0);
    }
    for (size_t i = 0; i < c->table_count; i++) {
        VERIFY(c->tables[i]->id < c->table_id_next);
        VERIFY(catalog_has_database(c, bytes_str(c->tables[i]->database)));
    }
}

/* Empty, with room for so many. */
static struct catalog *catalog_with_room(size_t databases, size_t tables)
{
    struct catalog *c = mem_zalloc(sizeof *c);
    atomic_init(&c->references, 1);
    c->table_id_next = 1;
    c->databases = mem_array(databases + 1, sizeof *c->databases);
    c->tables = mem_array(tables + 1, sizeof *c->tables);
    return c;
}

struct catalog *catalog_new(void)
{
    return catalog_with_room(0, 0);
}

struct catalog *catalog_ref(struct catalog *c)
{
    unsigned before = atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return c;
}

void catalog_unref(struct catalog *c)
{
    if (c == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1) {
        return;
    }
    for (size_t i = 0; i < c->table_count; i++) {
        table_unref(c->tables[i]);
    }
    mem_free(c->databases);
    mem_free(c->tables);
    mem_free(c);
}

size_t catalog_database_count(const struct catalog *c)
{
    return c->database_count;
}

const char *catalog_database(const struct catalog *c, size_t i)
{
    CHECK(i < c->database_count);
    return c->databases[i].text;
}

size_t catalog_table_count(const struct catalog *c)
{
    return c->table_count;
}

struct table *catalog_table(const struct catalog *c, size_t i)
{
    CHECK(i < c->table_count);
    return c->tables[i];
}

/* The place of a name, or where it would stand. */
static bool find_database(const struct catalog *c, struct bytes name, size_t *place)
{
    size_t low = 0;
    size_t high = c->database_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(bytes_str(c->databases[middle].text), name);
        if (order == 0) {
            *place = middle;
            return true;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    *place = low;
    return false;
}

static int compare_table(const struct table *t, struct bytes database, struct bytes name)
{
    int order = bytes_compare(bytes_str(t->database), database);
    return order != 0 ? order : bytes_compare(bytes_str(t->name), name);
}

static bool find_table(const struct catalog *c, struct bytes database, struct bytes name,
                       size_t *place)
{
    size_t low = 0;
    size_t high = c->table_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_table(c->tables[middle], database, name);
        if (order == 0) {
            *place = middle;
            return true;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    *place = low;
    return false;
}

bool catalog_has_database(const struct catalog *c, struct bytes name)
{
    size_t place = 0;
    return find_database(c, name, &place);
}

static enum err_code no_database(struct bytes name, struct err *e)
{
    int shown = (int)(name.size < LIMIT_NAME_SIZE_MAX ? name.size : LIMIT_NAME_SIZE_MAX);
    return err_set(e, ERR_NOT_FOUND, "no database \"%.*s\"", shown, (const char *)name.data);
}

enum err_code catalog_find(const struct catalog *c, struct bytes database, struct bytes table,
                           struct table **out, struct err *e)
{
    *out = NULL;
    size_t place = 0;
    if (find_table(c, database, table, &place)) {
        *out = c->tables[place];
        return ERR_OK;
    }
    if (!catalog_has_database(c, database)) {
        return no_database(database, e);
    }
    int shown = (int)(table.size < LIMIT_NAME_SIZE_MAX ? table.size : LIMIT_NAME_SIZE_MAX);
    return err_set(e, ERR_NOT_FOUND, "no table \"%.*s\" in database \"%.*s\"", shown,
                   (const char *)table.data, (int)database.size, (const char *)database.data);
}

struct table *catalog_version(const struct catalog *c, const struct table *t)
{
    size_t place = 0;
    bool found = find_table(c, bytes_str(t->database), bytes_str(t->name), &place);
    return found && c->tables[place]->id == t->id ? c->tables[place] : NULL;
}

/* --- changes --- */

/* Field 1 database, 2 table (or the flag, where there is no table), 2 flag. */
static enum err_code read_request(struct bytes message, bool has_table, struct request *r,
                                  struct err *e)
{
    *r = (struct request){0};
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            r->database = wire_bytes(&c, &f);
        } else if (f.number == 2 && has_table) {
            r->table = wire_bytes(&c, &f);
        } else if (f.number == 2) {
            r->flag = wire_bool(&c, &f);
        }
    }
    return c.bad ? err_set(e, ERR_INVALID, "the request is malformed") : ERR_OK;
}

/* The same databases and tables with room for one more of each. */
static struct catalog *copy(const struct catalog *c)
{
    struct catalog *n = catalog_with_room(c->database_count + 1, c->table_count + 1);
    n->table_id_next = c->table_id_next;
    n->database_count = c->database_count;
    memcpy(n->databases, c->databases, c->database_count * sizeof *c->databases);
    n->table_count = c->table_count;
    for (size_t i = 0; i < c->table_count; i++) {
        n->tables[i] = table_ref(c->tables[i]);
    }
    return n;
}

static void insert_database(struct catalog *c, size_t place, struct bytes name)
{
    CHECK(name.size <= LIMIT_NAME_SIZE_MAX);
    memmove(c->databases + place + 1, c->databases + place,
            (c->database_count - place) * sizeof *c->databases);
    c->databases[place] = (struct name){{0}};
    memcpy(c->databases[place].text, name.data, name.size);
    c->database_count++;
}

/* Takes the table. */
static void insert_table(struct catalog *c, size_t place, struct table *table)
{
    memmove(c->tables + place + 1, c->tables + place,
            (c->table_count - place) * sizeof(struct table *));
    c->tables[place] = table;
    c->table_count++;
}

static void remove_table(struct catalog *c, size_t place)
{
    CHECK(place < c->table_count);
    table_unref(c->tables[place]);
    c->table_count--;
    memmove(c->tables + place, c->tables + place + 1,
            (c->table_count - place) * sizeof(struct table *));
}

enum err_code catalog_create_database(struct catalog *c, struct bytes request, struct catalog **out,
                                      struct err *e)
{
    *out = NULL;
    struct request r;
    enum err_code code = read_request(request, false, &r, e);
    if (code == ERR_OK) {
        code = value_check_identifier("database", r.database, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    size_t place = 0;
    if (find_database(c, r.database, &place)) {
        if (r.flag) {
            *out = catalog_ref(c);
            return ERR_OK;
        }
        return err_set(e, ERR_EXISTS, "database \"%.*s\" exists", (int)r.database.size,
                       (const char *)r.database.data);
    }
    if (c->database_count == LIMIT_DATABASES_MAX) {
        return err_set(e, ERR_FULL, "there are %d databases, no more are allowed",
                       LIMIT_DATABASES_MAX);
    }
    *out = copy(c);
    insert_database(*out, place, r.database);
    check_invariants(*out);
    return ERR_OK;
}

static size_t tables_of(const struct catalog *c, struct bytes database)
{
    size_t count = 0;
    for (size_t i = 0; i < c->table_count; i++) {
        count += bytes_equal(bytes_str(c->tables[i]->database), database) ? 1 : 0;
    }
    return count;
}

static void remove_database(struct catalog *c, size_t place)
{
    struct bytes name = bytes_str(c->databases[place].text);
    for (size_t i = c->table_count; i-- > 0;) {
        if (bytes_equal(bytes_str(c->tables[i]->database), name)) {
            remove_table(c, i);
        }
    }
    c->database_count--;
    memmove(c->databases + place, c->databases + place + 1,
            (c->database_count - place) * sizeof *c->databases);
}

enum err_code catalog_drop_database(struct catalog *c, struct bytes request, struct catalog **out,
                                    struct err *e)
{
    *out = NULL;
    struct request r;
    enum err_code code = read_request(request, false, &r, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t place = 0;
    if (!find_database(c, r.database, &place)) {
        return no_database(r.database, e);
    }
    size_t tables = tables_of(c, r.database);
    if (tables > 0 && !r.flag) {
        return err_set(e, ERR_STATE,
                       "database \"%.*s\" is not empty (%zu tables): drop them first, or use "
                       "cascade",
                       (int)r.database.size, (const char *)r.database.data, tables);
    }
    *out = copy(c);
    remove_database(*out, place);
    check_invariants(*out);
    return ERR_OK;
}

static size_t columns_of_all(const struct catalog *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->table_count; i++) {
        count += c->tables[i]->column_count + c->tables[i]->tag_count;
    }
    return count;
}

static enum err_code too_many_columns(size_t columns, struct err *e)
{
    return err_set(e, ERR_FULL,
                   "all tables together would have %zu columns and tags, at most %d are "
                   "allowed",
                   columns, LIMIT_CATALOG_COLUMNS_MAX);
}

/* Whether 'table' may be added; *exists: one of that name is there. */
static enum err_code check_new_table(const struct catalog *c, const struct table *table,
                                     size_t *place, bool *exists, struct err *e)
{
    struct bytes database = bytes_str(table->database);
    *exists = find_table(c, database, bytes_str(table->name), place);
    if (!catalog_has_database(c, database)) {
        return no_database(database, e);
    }
    if (*exists) {
        return err_set(e, ERR_EXISTS, "table \"%s\" exists in database \"%s\"", table->name,
                       table->database);
    }
    if (c->table_count == LIMIT_TABLES_MAX) {
        return err_set(e, ERR_FULL, "there are %d tables, no more are allowed", LIMIT_TABLES_MAX);
    }
    size_t columns = columns_of_all(c) + table->column_count + table->tag_count;
    if (columns > LIMIT_CATALOG_COLUMNS_MAX) {
        return too_many_columns(columns, e);
    }
    return ERR_OK;
}

/* Takes 'table'. */
static enum err_code add_table(struct catalog *c, struct table *table, bool if_not_exists,
                               struct catalog **out, struct err *e)
{
    size_t place = 0;
    bool exists = false;
    enum err_code code = check_new_table(c, table, &place, &exists, e);
    if (code != ERR_OK) {
        table_unref(table);
        if (exists && if_not_exists) {
            *out = catalog_ref(c);
            return ERR_OK;
        }
        return code;
    }
    *out = copy(c);
    table->id = (*out)->table_id_next++;
    insert_table(*out, place, table);
    check_invariants(*out);
    return ERR_OK;
}

enum err_code catalog_create_table(struct catalog *c, struct bytes request, uint64_t index,
                                   struct catalog **out, struct err *e)
{
    *out = NULL;
    struct bytes definition = {0};
    bool if_not_exists = false;
    struct cursor in = cursor_of(request);
    struct wire_field f;
    while (wire_next(&in, &f)) {
        if (f.number == 1) {
            definition = wire_bytes(&in, &f);
        } else if (f.number == 2) {
            if_not_exists = wire_bool(&in, &f);
        }
    }
    if (in.bad) {
        return err_set(e, ERR_INVALID, "the request is malformed");
    }
    struct table *table = NULL;
    enum err_code code = table_parse(definition, &table, e);
    if (code != ERR_OK) {
        return code;
    }
    table->index_created = index;
    return add_table(c, table, if_not_exists, out, e);
}

enum err_code catalog_drop_table(struct catalog *c, struct bytes request, struct catalog **out,
                                 struct err *e)
{
    *out = NULL;
    struct request r;
    struct table *table = NULL;
    enum err_code code = read_request(request, true, &r, e);
    if (code == ERR_OK) {
        code = catalog_find(c, r.database, r.table, &table, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    size_t place = 0;
    bool found = find_table(c, r.database, r.table, &place);
    CHECK(found);
    *out = copy(c);
    remove_table(*out, place);
    check_invariants(*out);
    return ERR_OK;
}

enum err_code catalog_alter_table(struct catalog *c, struct bytes request, struct catalog **out,
                                  struct err *e)
{
    *out = NULL;
    struct request r;
    struct table *table = NULL;
    struct table *altered = NULL;
    enum err_code code = read_request(request, true, &r, e);
    if (code == ERR_OK) {
        code = catalog_find(c, r.database, r.table, &table, e);
    }
    if (code == ERR_OK) {
        code = alteration_make(table, request, &altered, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    CHECK(table != NULL);
    size_t before = table->column_count + table->tag_count;
    size_t columns = columns_of_all(c) - before + altered->column_count + altered->tag_count;
    if (columns > LIMIT_CATALOG_COLUMNS_MAX) {
        table_unref(altered);
        return too_many_columns(columns, e);
    }
    size_t place = 0;
    bool found = find_table(c, r.database, r.table, &place);
    CHECK(found);
    *out = copy(c);
    table_unref((*out)->tables[place]);
    (*out)->tables[place] = altered;
    check_invariants(*out);
    return ERR_OK;
}

/* --- answers and files --- */

void catalog_list_databases(const struct catalog *c, struct buf *answer)
{
    for (size_t i = 0; i < c->database_count; i++) {
        wire_put_item(answer, 1, bytes_str(c->databases[i].text));
    }
}

enum err_code catalog_list_tables(const struct catalog *c, struct bytes request, struct buf *answer,
                                  struct err *e)
{
    struct request r;
    enum err_code code = read_request(request, true, &r, e);
    if (code != ERR_OK) {
        return code;
    }
    if (r.database.size > 0 && !catalog_has_database(c, r.database)) {
        return no_database(r.database, e);
    }
    for (size_t i = 0; i < c->table_count; i++) {
        const struct table *t = c->tables[i];
        if (r.database.size == 0 || bytes_equal(r.database, bytes_str(t->database))) {
            table_put_definition(t, answer, 1);
        }
    }
    return ERR_OK;
}

void catalog_encode(const struct catalog *c, struct buf *out)
{
    buf_put_varint(out, c->table_id_next);
    buf_put_varint(out, c->database_count);
    for (size_t i = 0; i < c->database_count; i++) {
        buf_put_str(out, c->databases[i].text);
    }
    buf_put_varint(out, c->table_count);
    for (size_t i = 0; i < c->table_count; i++) {
        table_encode(c->tables[i], out);
    }
}

/* Names must come sorted, so that equal catalogs are equal bytes. */
static void decode_databases(struct cursor *in, struct catalog *c, uint64_t count)
{
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        struct name name;
        cursor_str(in, name.text, sizeof name.text);
        size_t place = 0;
        bool wrong =
            in->bad || value_check_identifier("database", bytes_str(name.text), NULL) != ERR_OK;
        if (wrong || find_database(c, bytes_str(name.text), &place) || place != i) {
            in->bad = true;
            return;
        }
        insert_database(c, place, bytes_str(name.text));
    }
}

static enum err_code decode_tables(struct cursor *in, struct catalog *c, uint64_t count,
                                   struct err *e)
{
    for (uint64_t i = 0; i < count; i++) {
        struct table *t = NULL;
        enum err_code code = table_decode(in, &t, e);
        if (code != ERR_OK) {
            return code;
        }
        size_t place = 0;
        bool exists = false;
        code = check_new_table(c, t, &place, &exists, e);
        if (code != ERR_OK || place != i || t->id >= c->table_id_next) {
            table_unref(t);
            return err_set(e, ERR_CORRUPT, "a table of the catalog stands where it can't");
        }
        insert_table(c, place, t);
    }
    return ERR_OK;
}

enum err_code catalog_decode(struct cursor *in, struct catalog **out, struct err *e)
{
    *out = NULL;
    struct catalog *c = catalog_with_room(LIMIT_DATABASES_MAX, LIMIT_TABLES_MAX);
    c->table_id_next = cursor_varint(in);
    uint64_t databases = cursor_varint(in);
    in->bad = in->bad || databases > LIMIT_DATABASES_MAX;
    decode_databases(in, c, databases);
    uint64_t tables = cursor_varint(in);
    in->bad = in->bad || tables > LIMIT_TABLES_MAX;
    enum err_code code = ERR_OK;
    if (in->bad) {
        code = err_set(e, ERR_CORRUPT, "the catalog is cut short or malformed");
    } else {
        code = decode_tables(in, c, tables, e);
    }
    if (code != ERR_OK) {
        catalog_unref(c);
        return code;
    }
    check_invariants(c);
    *out = c;
    return ERR_OK;
}
