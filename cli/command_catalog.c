/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark db create, drop, list; table create, alter, drop, list, describe */
#include <inttypes.h>
#include <string.h>

#include "base/limits.h"
#include "cli/commands.h"
#include "cli/table_definition.h"
#include "cli/value_text.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.TableDefinition and CreateTableRequest. */
enum { TABLE_DATABASE = 1, TABLE_NAME, TABLE_COLUMNS, TABLE_TAGS, TABLE_PRECISION };
enum { CREATE_DEFINITION = 1, CREATE_IF_NOT_EXISTS };
enum { COLUMN_NAME = 1, COLUMN_TYPE, COLUMN_NOT_NULL };

enum { ALTER_DATABASE = 1, ALTER_TABLE, ALTER_VERSION };

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* 'echo' is what the answer is when an earlier, lost attempt of this very command
 * has already done it. */
static enum cli_exit change(struct cli *cli, const char *path, struct bytes message,
                            enum err_code echo, const char *done)
{
    enum cli_exit exit = CLI_OK;
    if (cli_cluster(cli, &exit) == NULL) {
        return exit;
    }
    struct cluster_request request = {.path = path, .message = message};
    struct buf reply = {0};
    struct err e = {0};
    bool ambiguous = false;
    uint64_t index = 0;
    enum err_code code = cluster_call(cli->cluster, &request, &reply, &ambiguous, &e);
    if (code == ERR_OK) {
        struct cursor c = cursor_of(buf_bytes(&reply));
        struct wire_field f;
        while (wire_next(&c, &f)) {
            index = f.number == 1 ? wire_uint(&c, &f) : index;
        }
    }
    buf_deinit(&reply);
    if (code != ERR_OK && !(ambiguous && code == echo)) {
        return cli_fail(cli, &e);
    }
    static const char *const columns[] = {"done", "index"};
    struct record_writer *w = cli_single(cli, columns, 2);
    record_str(w, done);
    if (code == ERR_OK) {
        record_uint(w, index);
    } else {
        record_null(w);
    }
    record_close(w);
    return cli_done(cli);
}

/* --- databases --- */

static enum cli_exit run_db_create(struct cli *cli)
{
    Tidemark__V1__CreateDatabaseRequest request;
    tidemark__v1__create_database_request__init(&request);
    request.database = (char *)(uintptr_t)cli_argument(cli, 0);
    request.if_not_exists = flag_switch(cli->flags, "if-not-exists");
    struct buf message = {0};
    cluster_pack(&request.base, &message);
    enum cli_exit exit = change(cli, "/tidemark.v1.Admin/CreateDatabase", buf_bytes(&message),
                                ERR_EXISTS, "created");
    buf_deinit(&message);
    return exit;
}

static enum cli_exit run_db_drop(struct cli *cli)
{
    Tidemark__V1__DropDatabaseRequest request;
    tidemark__v1__drop_database_request__init(&request);
    request.database = (char *)(uintptr_t)cli_argument(cli, 0);
    request.cascade = flag_switch(cli->flags, "cascade");
    char question[200];
    (void)snprintf(question, sizeof question, "Drop database '%.80s'%s?", request.database,
                   request.cascade ? " with all its tables and rows" : "");
    if (!flag_switch(cli->flags, "yes") && !cli_confirm(cli, question)) {
        cli_note(cli, "nothing was dropped");
        return CLI_FAILED;
    }
    struct buf message = {0};
    cluster_pack(&request.base, &message);
    enum cli_exit exit = change(cli, "/tidemark.v1.Admin/DropDatabase", buf_bytes(&message),
                                ERR_NOT_FOUND, "dropped");
    buf_deinit(&message);
    return exit;
}

static enum cli_exit run_db_list(struct cli *cli)
{
    static const char *const columns[] = {"database"};
    Tidemark__V1__ListDatabasesRequest request;
    tidemark__v1__list_databases_request__init(&request);
    ProtobufCMessage *message = NULL;
    struct err e = {0};
    if (cli_ask(cli, "/tidemark.v1.Admin/ListDatabases", &request.base,
                &tidemark__v1__list_databases_response__descriptor, &message, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    Tidemark__V1__ListDatabasesResponse *answer = (Tidemark__V1__ListDatabasesResponse *)message;
    struct record_writer *w = cli_list(cli, "databases", columns, 1);
    for (size_t i = 0; i < answer->n_databases; i++) {
        record_str(w, answer->databases[i]);
    }
    record_close(w);
    tidemark__v1__list_databases_response__free_unpacked(answer, NULL);
    return cli_done(cli);
}

/* --- tables --- */

static enum err_code make_definition(struct cli *cli, const struct cli_table *name, struct buf *out,
                                     struct err *e)
{
    const struct flag_set *flags = cli->flags;
    wire_put_str(out, TABLE_DATABASE, name->database);
    wire_put_str(out, TABLE_NAME, name->table);
    size_t mark = wire_begin(out, TABLE_COLUMNS);
    wire_put_str(out, COLUMN_NAME, flag_text(flags, "timestamp"));
    wire_put_uint(out, COLUMN_TYPE, TIDEMARK__V1__TYPE__TIMESTAMP);
    wire_put_uint(out, COLUMN_NOT_NULL, 1);
    wire_end(out, mark);
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < flag_list_count(flags, "column"); i++) {
        code = table_put_column(out, flag_list_item(flags, "column", i), e);
    }
    if (code != ERR_OK) {
        return err_wrap(e, "--column");
    }
    for (size_t i = 0; code == ERR_OK && i < flag_list_count(flags, "tag"); i++) {
        code = table_put_tag(out, flag_list_item(flags, "tag", i), e);
    }
    if (code != ERR_OK) {
        return err_wrap(e, "--tag");
    }
    wire_put_uint(out, TABLE_PRECISION, (uint64_t)(flag_text(flags, "precision")[0] - '0'));
    return ERR_OK;
}

static enum cli_exit run_table_create(struct cli *cli)
{
    struct cli_table name;
    struct err e = {0};
    struct buf message = {0};
    enum err_code code = cli_table_name(cli_argument(cli, 0), &name, &e);
    if (code == ERR_OK) {
        size_t mark = wire_begin(&message, CREATE_DEFINITION);
        code = make_definition(cli, &name, &message, &e);
        wire_end(&message, mark);
        wire_put_uint(&message, CREATE_IF_NOT_EXISTS,
                      flag_switch(cli->flags, "if-not-exists") ? 1 : 0);
    }
    enum cli_exit exit = code != ERR_OK ? cli_usage(cli, "%s", e.text)
                                        : change(cli, "/tidemark.v1.Admin/CreateTable",
                                                 buf_bytes(&message), ERR_EXISTS, "created");
    buf_deinit(&message);
    return exit;
}

static enum cli_exit run_table_alter(struct cli *cli)
{
    struct cli_table name;
    struct err e = {0};
    struct buf message = {0};
    enum err_code echo = ERR_OK;
    enum err_code code = cli_table_name(cli_argument(cli, 0), &name, &e);
    if (code == ERR_OK) {
        wire_put_str(&message, ALTER_DATABASE, name.database);
        wire_put_str(&message, ALTER_TABLE, name.table);
        wire_put_uint(&message, ALTER_VERSION,
                      flag_is_set(cli->flags, "version") ? flag_uint(cli->flags, "version") : 0);
        code = table_put_change(&message, cli->flags, &echo, &e);
    }
    enum cli_exit exit = code != ERR_OK ? cli_usage(cli, "%s", e.text)
                                        : change(cli, "/tidemark.v1.Admin/AlterTable",
                                                 buf_bytes(&message), echo, "altered");
    buf_deinit(&message);
    return exit;
}

static enum cli_exit run_table_drop(struct cli *cli)
{
    struct cli_table name;
    struct err e = {0};
    if (cli_table_name(cli_argument(cli, 0), &name, &e) != ERR_OK) {
        return cli_usage(cli, "%s", e.text);
    }
    char question[300];
    (void)snprintf(question, sizeof question, "Drop table '%s.%s' with all its rows?",
                   name.database, name.table);
    if (!flag_switch(cli->flags, "yes") && !cli_confirm(cli, question)) {
        cli_note(cli, "nothing was dropped");
        return CLI_FAILED;
    }
    Tidemark__V1__DropTableRequest request;
    tidemark__v1__drop_table_request__init(&request);
    request.database = (char *)(uintptr_t)name.database;
    request.table = (char *)(uintptr_t)name.table;
    struct buf message = {0};
    cluster_pack(&request.base, &message);
    enum cli_exit exit =
        change(cli, "/tidemark.v1.Admin/DropTable", buf_bytes(&message), ERR_NOT_FOUND, "dropped");
    buf_deinit(&message);
    return exit;
}

static enum cli_exit run_table_list(struct cli *cli)
{
    static const char *const columns[] = {"database", "table", "columns", "tags", "precision"};
    Tidemark__V1__ListTablesRequest request;
    tidemark__v1__list_tables_request__init(&request);
    request.database = (char *)(uintptr_t)text_or_empty(cli_argument(cli, 0));
    ProtobufCMessage *message = NULL;
    struct err e = {0};
    if (cli_ask(cli, "/tidemark.v1.Admin/ListTables", &request.base,
                &tidemark__v1__list_tables_response__descriptor, &message, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    Tidemark__V1__ListTablesResponse *answer = (Tidemark__V1__ListTablesResponse *)message;
    struct record_writer *w = cli_list(cli, "tables", columns, 5);
    for (size_t i = 0; i < answer->n_tables; i++) {
        const Tidemark__V1__TableDefinition *t = answer->tables[i];
        record_str(w, t->database);
        record_str(w, t->table);
        record_uint(w, t->n_columns);
        record_uint(w, t->n_tags);
        record_uint(w, t->precision == 0 ? 3 : t->precision);
    }
    record_close(w);
    tidemark__v1__list_tables_response__free_unpacked(answer, NULL);
    return cli_done(cli);
}

/* "double", "string(100)" */
static void put_type(struct record_writer *w, int type, uint32_t size_max)
{
    char text[40];
    if (value_text_type_is_long(type) && size_max > 0 && size_max < LIMIT_STRING_SIZE_MAX) {
        (void)snprintf(text, sizeof text, "%s(%" PRIu32 ")", value_text_type_name(type), size_max);
        record_str(w, text);
    } else {
        record_str(w, value_text_type_name(type));
    }
}

static void put_definition(struct record_writer *w, const Tidemark__V1__TableDefinition *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        record_str(w, t->columns[i]->name);
        record_str(w, i == 0 ? "timestamp" : "column");
        put_type(w, (int)t->columns[i]->type, t->columns[i]->size_max);
        record_bool(w, t->columns[i]->not_null != 0);
    }
    for (size_t i = 0; i < t->n_tags; i++) {
        record_str(w, t->tags[i]->name);
        record_str(w, t->tags[i]->primary ? "primary tag" : "tag");
        put_type(w, (int)t->tags[i]->type, t->tags[i]->size_max);
        record_bool(w, t->tags[i]->not_null != 0);
    }
}

static enum cli_exit run_table_describe(struct cli *cli)
{
    static const char *const columns[] = {"name", "kind", "type", "not_null"};
    struct cli_table name;
    struct table_lookup lookup;
    struct err e = {0};
    if (cli_table_name(cli_argument(cli, 0), &name, &e) != ERR_OK) {
        return cli_usage(cli, "%s", e.text);
    }
    if (table_lookup(cli, &name, &lookup, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    unsigned precision = lookup.table->precision == 0 ? 3 : lookup.table->precision;
    struct record_writer *w = cli_list(cli, "definition", columns, 4);
    struct json_writer *json = record_json(w);
    if (json != NULL) {
        char id[17];
        (void)snprintf(id, sizeof id, "%016" PRIx64, lookup.table->id);
        json_put_str(json, "database", name.database);
        json_put_str(json, "table", name.table);
        json_put_str(json, "id", id);
        json_put_uint(json, "precision", precision);
        json_put_uint(json, "version", lookup.table->version);
    }
    put_definition(w, lookup.table);
    record_close(w);
    if (cli->format == FORMAT_TABLE) {
        cli_note(cli, "version %" PRIu32 ", times have %u digits of a second",
                 lookup.table->version, precision);
    }
    table_lookup_deinit(&lookup);
    return cli_done(cli);
}

static const struct flag_definition db_create_flags[] = {
    {.name = "if-not-exists", .type = FLAG_SWITCH, .help = "it is fine if it is there already"},
};

static const struct flag_definition db_drop_flags[] = {
    {.name = "cascade", .type = FLAG_SWITCH, .help = "also its tables with all rows"},
    {.name = "yes", .type = FLAG_SWITCH, .help = "do not ask (only a terminal is asked)"},
};

static const struct flag_definition table_create_flags[] = {
    {.name = "column",
     .type = FLAG_LIST,
     .value_name = "NAME:TYPE[:not_null]",
     .help = "a column; types are int16, int32, int64, float32, double, bool, string, varbytes, "
             "timestamp; string(100) has at most 100 bytes"},
    {.name = "tag",
     .type = FLAG_LIST,
     .value_name = "NAME:TYPE[:primary][:nullable]",
     .help = "a tag; types as of columns; primary tags name a series and must have a "
             "value unless nullable"},
    {.name = "timestamp",
     .type = FLAG_TEXT,
     .value_name = "NAME",
     .default_value = "ts",
     .help = "name of the column with the time"},
    {.name = "precision",
     .type = FLAG_CHOICE,
     .choices = "3|6|9",
     .default_value = "3",
     .help = "digits of a second that times have"},
    {.name = "if-not-exists", .type = FLAG_SWITCH, .help = "it is fine if it is there already"},
};

static const struct flag_definition table_alter_flags[] = {
    {.name = "add-column",
     .type = FLAG_TEXT,
     .value_name = "NAME:TYPE",
     .help = "one more column, null in the rows that are there"},
    {.name = "add-tag",
     .type = FLAG_TEXT,
     .value_name = "NAME:TYPE[:primary]",
     .help = "one more tag, null of the series that are there"},
    {.name = "drop",
     .type = FLAG_TEXT,
     .value_name = "NAME",
     .help = "remove a column, or a tag that is not primary, with its values"},
    {.name = "rename",
     .type = FLAG_TEXT,
     .value_name = "NAME=NEW_NAME",
     .help = "give a column or tag another name"},
    {.name = "widen",
     .type = FLAG_TEXT,
     .value_name = "NAME:TYPE",
     .help = "int16 to int32 or int64, int32 to int64, float32 to double (columns), a greater "
             "size: string(200)"},
    {.name = "version",
     .type = FLAG_UINT,
     .value_name = "N",
     .min = 1,
     .max = UINT32_MAX,
     .help = "only if the table has this version (table describe shows it)"},
};

static const struct flag_definition table_drop_flags[] = {
    {.name = "yes", .type = FLAG_SWITCH, .help = "do not ask (only a terminal is asked)"},
};

#define ONE_ARGUMENT .arguments_min = 1, .arguments_max = 1

static const struct cli_command db_commands[] = {
    {.path = "db create",
     .arguments = "NAME",
     ONE_ARGUMENT,
     .summary = "make a database",
     .flags = db_create_flags,
     .flag_count = 1,
     .run = run_db_create},
    {.path = "db drop",
     .arguments = "NAME",
     ONE_ARGUMENT,
     .summary = "remove a database",
     .flags = db_drop_flags,
     .flag_count = 2,
     .run = run_db_drop},
    {.path = "db list", .arguments = "", .summary = "the databases", .run = run_db_list},
};

static const struct cli_command table_commands[] = {
    {.path = "table create",
     .arguments = "DB.TABLE",
     ONE_ARGUMENT,
     .summary = "make a table",
     .details = "  Example:\n    tidemark table create metrics.cpu --column usage:double "
                "--tag host:string:primary",
     .flags = table_create_flags,
     .flag_count = sizeof table_create_flags / sizeof table_create_flags[0],
     .run = run_table_create},
    {.path = "table alter",
     .arguments = "DB.TABLE",
     ONE_ARGUMENT,
     .summary = "change a column or tag of a table",
     .details = "  Examples:\n    tidemark table alter metrics.cpu --add-column idle:float32\n"
                "    tidemark table alter metrics.cpu --widen count:int64\n",
     .flags = table_alter_flags,
     .flag_count = sizeof table_alter_flags / sizeof table_alter_flags[0],
     .run = run_table_alter},
    {.path = "table drop",
     .arguments = "DB.TABLE",
     ONE_ARGUMENT,
     .summary = "remove a table with its rows",
     .flags = table_drop_flags,
     .flag_count = 1,
     .run = run_table_drop},
    {.path = "table list",
     .arguments = "[DB]",
     .arguments_max = 1,
     .summary = "the tables",
     .run = run_table_list},
    {.path = "table describe",
     .arguments = "DB.TABLE",
     ONE_ARGUMENT,
     .summary = "columns and tags of a table",
     .run = run_table_describe},
};

struct cli_commands commands_of_databases(void)
{
    return (struct cli_commands){db_commands, sizeof db_commands / sizeof db_commands[0]};
}

struct cli_commands commands_of_tables(void)
{
    return (struct cli_commands){table_commands, sizeof table_commands / sizeof table_commands[0]};
}
