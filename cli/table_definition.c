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

/* Of tidemark.v1.AlterTableRequest. */
enum {
    ALTER_ADD_COLUMN = 4,
    ALTER_ADD_TAG,
    ALTER_DROP,
    ALTER_RENAME,
    ALTER_RENAME_TO,
    ALTER_WIDEN,
    ALTER_WIDEN_TYPE,
    ALTER_WIDEN_SIZE_MAX,
};

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

static enum err_code put_column(struct buf *out, uint32_t field, const char *text, struct err *e)
{
    struct parts parts;
    enum err_code code = read_parts(text, "NAME:TYPE[:not_null]", "not_null", &parts, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t mark = wire_begin(out, field);
    wire_put_bytes(out, COLUMN_NAME, parts.items[0]);
    wire_put_uint(out, COLUMN_TYPE, (uint64_t)parts.type);
    wire_put_uint(out, COLUMN_NOT_NULL, has_word(&parts, "not_null") ? 1 : 0);
    wire_put_uint(out, COLUMN_SIZE_MAX, parts.size_max);
    wire_end(out, mark);
    return ERR_OK;
}

/* 'added': to a table with rows, where it can't be not null. */
static enum err_code put_tag(struct buf *out, uint32_t field, const char *text, bool added,
                             struct err *e)
{
    struct parts parts;
    enum err_code code =
        read_parts(text, "NAME:TYPE[:primary][:nullable]", "primary|nullable", &parts, e);
    if (code != ERR_OK) {
        return code;
    }
    bool primary = has_word(&parts, "primary");
    bool not_null = primary && !added && !has_word(&parts, "nullable");
    size_t mark = wire_begin(out, field);
    wire_put_bytes(out, TAG_NAME, parts.items[0]);
    wire_put_uint(out, TAG_TYPE, (uint64_t)parts.type);
    wire_put_uint(out, TAG_PRIMARY, primary ? 1 : 0);
    wire_put_uint(out, TAG_NOT_NULL, not_null ? 1 : 0);
    wire_put_uint(out, TAG_SIZE_MAX, parts.size_max);
    wire_end(out, mark);
    return ERR_OK;
}

enum err_code table_put_column(struct buf *definition, const char *text, struct err *e)
{
    return put_column(definition, TABLE_COLUMNS, text, e);
}

enum err_code table_put_tag(struct buf *definition, const char *text, struct err *e)
{
    return put_tag(definition, TABLE_TAGS, text, false, e);
}

/* --- changes in flags --- */

static enum err_code put_rename(struct buf *out, const char *text, struct err *e)
{
    size_t size = strcspn(text, "=");
    if (size == 0 || text[size] == '\0' || text[size + 1] == '\0') {
        return err_set(e, ERR_INVALID, "'%.100s' is not NAME=NEW_NAME", text);
    }
    wire_put_bytes(out, ALTER_RENAME, bytes_of(text, size));
    wire_put_str(out, ALTER_RENAME_TO, text + size + 1);
    return ERR_OK;
}

static enum err_code put_widen(struct buf *out, const char *text, struct err *e)
{
    struct parts parts;
    enum err_code code = read_parts(text, "NAME:TYPE", "", &parts, e);
    if (code != ERR_OK) {
        return code;
    }
    wire_put_bytes(out, ALTER_WIDEN, parts.items[0]);
    wire_put_uint(out, ALTER_WIDEN_TYPE, (uint64_t)parts.type);
    wire_put_uint(out, ALTER_WIDEN_SIZE_MAX, parts.size_max);
    return ERR_OK;
}

static enum err_code put_change(struct buf *out, uint32_t field, const char *text, struct err *e)
{
    switch (field) {
    case ALTER_ADD_COLUMN:
        return put_column(out, field, text, e);
    case ALTER_ADD_TAG:
        return put_tag(out, field, text, true, e);
    case ALTER_RENAME:
        return put_rename(out, text, e);
    case ALTER_WIDEN:
        return put_widen(out, text, e);
    default:
        wire_put_str(out, field, text);
        return ERR_OK;
    }
}

enum err_code table_put_change(struct buf *request, const struct flag_set *flags,
                               enum err_code *echo, struct err *e)
{
    static const struct {
        const char *flag;
        uint32_t field;
        enum err_code echo;
    } changes[] = {
        {"add-column", ALTER_ADD_COLUMN, ERR_EXISTS}, {"add-tag", ALTER_ADD_TAG, ERR_EXISTS},
        {"drop", ALTER_DROP, ERR_NOT_FOUND},          {"rename", ALTER_RENAME, ERR_NOT_FOUND},
        {"widen", ALTER_WIDEN, ERR_EXISTS},
    };
    size_t count = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0] && code == ERR_OK; i++) {
        if (flag_text(flags, changes[i].flag) != NULL) {
            count++;
            *echo = changes[i].echo;
            code = put_change(request, changes[i].field, flag_text(flags, changes[i].flag), e);
            if (code != ERR_OK) {
                (void)err_wrap(e, "--%s", changes[i].flag);
            }
        }
    }
    if (code == ERR_OK && count != 1) {
        code =
            err_set(e, ERR_INVALID,
                    "one change at a time: --add-column, --add-tag, --drop, --rename or --widen");
    }
    return code;
}
