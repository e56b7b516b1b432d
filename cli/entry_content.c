/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/entry_content.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "proto/command.h"
#include "proto/packed.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"

enum { ITEM_SIZE_MAX = 2 * (LIMIT_NAME_SIZE_MAX + 1) };

static const char *const kind_names[COMMAND_KIND_COUNT] = {
    [COMMAND_WRITE] = "write",
    [COMMAND_OPEN_SESSION] = "open_session",
    [COMMAND_SET_SETTING] = "set_setting",
    [COMMAND_CREATE_DATABASE] = "create_database",
    [COMMAND_DROP_DATABASE] = "drop_database",
    [COMMAND_CREATE_TABLE] = "create_table",
    [COMMAND_DROP_TABLE] = "drop_table",
    [COMMAND_ALTER_TABLE] = "alter_table",
    [COMMAND_CHECKPOINT] = "checkpoint",
    [COMMAND_NODE_START] = "node_start",
    [COMMAND_CLUSTER_FORMED] = "cluster_formed",
    [COMMAND_NODE_REMOVED] = "node_removed",
    [COMMAND_PART] = "part",
    [COMMAND_PACKED] = "packed",
};

static const char SEPARATOR[] = ", ";

/* The item at *at, which goes on to the next one; size 0: no more. */
static struct bytes next_item(struct bytes list, size_t *at)
{
    size_t end = *at;
    while (end < list.size && list.data[end] != (uint8_t)SEPARATOR[0]) {
        end++;
    }
    struct bytes item = bytes_of(list.data + *at, end - *at);
    *at = end < list.size ? end + sizeof SEPARATOR - 1 : end;
    return item;
}

static bool has(const struct buf *list, const char *text, bool first_word)
{
    struct bytes all = buf_bytes(list);
    size_t size = strlen(text);
    for (size_t at = 0; at < all.size;) {
        struct bytes item = next_item(all, &at);
        bool begins = item.size >= size && memcmp(item.data, text, size) == 0;
        if (begins && (item.size == size || (first_word && item.data[size] == ' '))) {
            return true;
        }
    }
    return false;
}

static void add(struct buf *list, const char *item)
{
    CHECK(strlen(item) > 0);
    if (has(list, item, false)) {
        return;
    }
    if (list->size > 0) {
        buf_put(list, SEPARATOR, sizeof SEPARATOR - 1);
    }
    buf_put(list, item, strlen(item));
}

static void add_table(struct entry_content *c, const char *database, const char *table)
{
    char name[ITEM_SIZE_MAX];
    (void)snprintf(name, sizeof name, "%s.%s", database, table);
    add(&c->tables, name);
}

/* A body that can't be read names no table: what it is was said all the same. */
static void read_tables(struct entry_content *c, const struct command *command)
{
    size_t size = command->body.size;
    const uint8_t *data = command->body.data;
    if (command->kind == COMMAND_WRITE) {
        Tidemark__V1__WriteRequest *write = tidemark__v1__write_request__unpack(NULL, size, data);
        if (write != NULL) {
            add_table(c, write->database, write->table);
            tidemark__v1__write_request__free_unpacked(write, NULL);
        }
    } else if (command->kind == COMMAND_CREATE_TABLE) {
        Tidemark__V1__CreateTableRequest *create =
            tidemark__v1__create_table_request__unpack(NULL, size, data);
        if (create != NULL && create->definition != NULL) {
            add_table(c, create->definition->database, create->definition->table);
        }
        tidemark__v1__create_table_request__free_unpacked(create, NULL);
    } else if (command->kind == COMMAND_DROP_TABLE) {
        Tidemark__V1__DropTableRequest *drop =
            tidemark__v1__drop_table_request__unpack(NULL, size, data);
        if (drop != NULL) {
            add_table(c, drop->database, drop->table);
            tidemark__v1__drop_table_request__free_unpacked(drop, NULL);
        }
    } else if (command->kind == COMMAND_ALTER_TABLE) {
        Tidemark__V1__AlterTableRequest *alter =
            tidemark__v1__alter_table_request__unpack(NULL, size, data);
        if (alter != NULL) {
            add_table(c, alter->database, alter->table);
            tidemark__v1__alter_table_request__free_unpacked(alter, NULL);
        }
    }
}

static void add_command(struct entry_content *c, const struct command *command)
{
    struct command_part part;
    if (command->kind == COMMAND_PART && command_read_part(command->body, &part, NULL) == ERR_OK) {
        char text[64];
        (void)snprintf(text, sizeof text, "part %" PRIu64 "/%" PRIu64, part.place + 1, part.count);
        add(&c->commands, text);
        return;
    }
    add(&c->commands, kind_names[command->kind]);
}

/* The last command that is read goes to *last. */
static void read_commands(struct entry_content *c, struct bytes commands, struct command *last)
{
    struct cursor cursor = cursor_of(commands);
    while (cursor.size > 0 && c->readable) {
        c->readable = command_next(&cursor, last, NULL) == ERR_OK;
        if (c->readable) {
            add_command(c, last);
            read_tables(c, last);
        }
    }
}

void entry_content_read(struct entry_content *c, struct bytes payload)
{
    struct command last = {.kind = COMMAND_WRITE};
    struct buf unpacked = {0};
    entry_content_clear(c);
    c->readable = true;
    read_commands(c, payload, &last);
    if (c->readable && last.kind == COMMAND_PACKED) { /* it is alone: what it holds follows */
        c->readable = packed_read(last.body, &unpacked, NULL) == ERR_OK;
        read_commands(c, buf_bytes(&unpacked), &last);
    }
    buf_deinit(&unpacked);
}

void entry_content_clear(struct entry_content *c)
{
    buf_reset(&c->commands);
    buf_reset(&c->tables);
    c->readable = false;
}

void entry_content_deinit(struct entry_content *c)
{
    buf_deinit(&c->commands);
    buf_deinit(&c->tables);
    *c = (struct entry_content){0};
}

bool entry_content_has_command(const struct entry_content *c, const char *name)
{
    return has(&c->commands, name, true);
}

bool entry_content_has_table(const struct entry_content *c, const char *table)
{
    return has(&c->tables, table, false);
}
