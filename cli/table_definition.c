/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table_definition.h"

#include <string.h>

#include "base/mem.h"
#include "cli/suggestion.h"
#include "cli/value_text.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.TableDefinition, ColumnDefinition and TagDefinition. */
enum { TABLE_COLUMNS = 3, TABLE_TAGS = 4 };
enum { COLUMN_NAME = 1, COLUMN_TYPE, COLUMN_NOT_NULL, COLUMN_SIZE_MAX };
enum { TAG_NAME = 1, TAG_TYPE, TAG_PRIMARY, TAG_NOT_NULL, TAG_SIZE_MAX };

static enum err_code no_table(const struct cli_table *name,
                              const Tidemark__V1__ListTablesResponse *answer, struct err *e)
{
    const char **words = mem_array(answer->n_tables + 1, sizeof *words);
    for (size_t i = 0; i < answer->n_tables; i++) {
        words[i] = answer->tables[i]->table;
    }
    const char *near = suggestion_find(name->table, words, answer->n_tables);
    mem_free(words);
    if (near != NULL) {
        return err_set(e, ERR_NOT_FOUND, "no table '%s.%s'; did you mean '%s.%s'?", name->database,
                       name->table, name->database, near);
    }
    return err_set(e, ERR_NOT_FOUND, "no table '%s.%s'", name->database, name->table);
}

enum err_code table_lookup(struct cli *cli, const struct cli_table *name, struct table_lookup *out,
                           struct err *e)
{
    Tidemark__V1__ListTablesRequest request;
    tidemark__v1__list_tables_request__init(&request);
    request.database = (char *)(uintptr_t)name->database;
    ProtobufCMessage *message = NULL;
    *out = (struct table_lookup){0};
    enum err_code code = cli_ask(cli, "/tidemark.v1.Admin/ListTables", &request.base,
                                 &tidemark__v1__list_tables_response__descriptor, &message, e);
    if (code != ERR_OK) {
        return code;
    }
    out->answer = (Tidemark__V1__ListTablesResponse *)message;
    for (size_t i = 0; i < out->answer->n_tables; i++) {
        const Tidemark__V1__TableDefinition *t = out->answer->tables[i];
        if (strcmp(t->database, name->database) == 0 && strcmp(t->table, name->table) == 0) {
            out->table = t;
            return ERR_OK;
        }
    }
    code = no_table(name, out->answer, e);
    table_lookup_deinit(out);
    return code;
}

void table_lookup_deinit(struct table_lookup *l)
{
    if (l->answer != NULL) {
        tidemark__v1__list_tables_response__free_unpacked(l->answer, NULL);
    }
    *l = (struct table_lookup){0};
}

/* --- definitions in flags --- */

/* "name:type:word:word" */
struct parts {
    struct bytes items[8];
    size_t count;
    int type; /* items[1] */
    uint32_t size_max;
};

static bool split(const char *text, struct parts *out)
{
    *out = (struct parts){0};
    for (const char *p = text;;) {
        size_t size = strcspn(p, ":");
        if (out->count == sizeof out->items / sizeof out->items[0] || size == 0) {
            return false;
        }
        out->items[out->count++] = bytes_of(p, size);
        if (p[size] == '\0') {
            return out->count >= 2;
        }
        p += size + 1;
    }
}

static bool has_word(const struct parts *p, const char *word)
{
    for (size_t i = 2; i < p->count; i++) {
        if (bytes_equal(p->items[i], bytes_str(word))) {
            return true;
        }
    }
    return false;
}

static enum err_code read_parts(const char *text, const char *form, const char *words,
                                struct parts *out, struct err *e)
{
    if (!split(text, out)) {
        return err_set(e, ERR_INVALID, "'%.100s' is not %s", text, form);
    }
    out->type = value_text_sized_type(out->items[1], &out->size_max);
    if (out->type == 0) {
        return err_set(e, ERR_INVALID, "'%.100s': '%.*s' is no type here: use " VALUE_TEXT_TYPES,
                       text, out->items[1].size > 40 ? 40 : (int)out->items[1].size,
                       (const char *)out->items[1].data);
    }
    for (size_t i = 2; i < out->count; i++) {
        char word[24] = "";
        if (out->items[i].size < sizeof word) {
            memcpy(word, out->items[i].data, out->items[i].size);
        }
        if (!flag_is_choice(words, word)) {
            return err_set(e, ERR_INVALID, "'%.100s' is not %s", text, form);
        }
    }
    return ERR_OK;
}

enum err_code table_put_column(struct buf *definition, const char *text, struct err *e)
{
    struct parts parts;
    enum err_code code = read_parts(text, "NAME:TYPE[:not_null]", "not_null", &parts, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t mark = wire_begin(definition, TABLE_COLUMNS);
    wire_put_bytes(definition, COLUMN_NAME, parts.items[0]);
    wire_put_uint(definition, COLUMN_TYPE, (uint64_t)parts.type);
    wire_put_uint(definition, COLUMN_NOT_NULL, has_word(&parts, "not_null") ? 1 : 0);
    wire_put_uint(definition, COLUMN_SIZE_MAX, parts.size_max);
    wire_end(definition, mark);
    return ERR_OK;
}

enum err_code table_put_tag(struct buf *definition, const char *text, struct err *e)
{
    struct parts parts;
    enum err_code code =
        read_parts(text, "NAME:TYPE[:primary][:nullable]", "primary|nullable", &parts, e);
    if (code != ERR_OK) {
        return code;
    }
    bool primary = has_word(&parts, "primary");
    size_t mark = wire_begin(definition, TABLE_TAGS);
    wire_put_bytes(definition, TAG_NAME, parts.items[0]);
    wire_put_uint(definition, TAG_TYPE, (uint64_t)parts.type);
    wire_put_uint(definition, TAG_PRIMARY, primary ? 1 : 0);
    wire_put_uint(definition, TAG_NOT_NULL, primary && !has_word(&parts, "nullable") ? 1 : 0);
    wire_put_uint(definition, TAG_SIZE_MAX, parts.size_max);
    wire_end(definition, mark);
    return ERR_OK;
}
