/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/entry_content.h"

#include <string.h>

#include "proto/command.h"
#include "proto/packed.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "testkit/test.h"

static void put(struct buf *entry, enum command_kind kind, struct bytes body)
{
    const struct command command = {.kind = kind, .session = 7, .sequence = 1, .body = body};
    command_put(entry, &command);
}

static void put_write(struct buf *entry, char *database, char *table)
{
    Tidemark__V1__WriteRequest write;
    tidemark__v1__write_request__init(&write);
    write.database = database;
    write.table = table;
    struct buf body = {0};
    size_t size = tidemark__v1__write_request__get_packed_size(&write);
    (void)tidemark__v1__write_request__pack(&write, buf_extend(&body, size));
    put(entry, COMMAND_WRITE, buf_bytes(&body));
    buf_deinit(&body);
}

static void put_create(struct buf *entry, char *database, char *table)
{
    Tidemark__V1__CreateTableRequest create;
    Tidemark__V1__TableDefinition definition;
    tidemark__v1__create_table_request__init(&create);
    tidemark__v1__table_definition__init(&definition);
    definition.database = database;
    definition.table = table;
    create.definition = &definition;
    struct buf body = {0};
    size_t size = tidemark__v1__create_table_request__get_packed_size(&create);
    (void)tidemark__v1__create_table_request__pack(&create, buf_extend(&body, size));
    put(entry, COMMAND_CREATE_TABLE, buf_bytes(&body));
    buf_deinit(&body);
}

static bool is(const struct buf *list, const char *text)
{
    return bytes_equal(buf_bytes(list), bytes_str(text));
}

TEST(entry_content, names_each_command_and_each_table_once)
{
    char metrics[] = "metrics";
    char cpu[] = "cpu";
    char memory[] = "memory";
    struct buf entry = {0};
    struct entry_content c = {0};
    put_create(&entry, metrics, memory);
    put_write(&entry, metrics, cpu);
    put_write(&entry, metrics, memory);
    put_write(&entry, metrics, cpu);
    entry_content_read(&c, buf_bytes(&entry));
    EXPECT(c.readable);
    EXPECT(is(&c.commands, "create_table, write"));
    EXPECT(is(&c.tables, "metrics.memory, metrics.cpu"));
    EXPECT(entry_content_has_table(&c, "metrics.cpu"));
    EXPECT(!entry_content_has_table(&c, "metrics.cp"));
    EXPECT(!entry_content_has_table(&c, "metrics"));
    EXPECT(entry_content_has_command(&c, "write"));
    EXPECT(!entry_content_has_command(&c, "create"));
    entry_content_deinit(&c);
    buf_deinit(&entry);
}

TEST(entry_content, a_part_says_which_it_is_and_names_no_table)
{
    struct buf entry = {0};
    struct entry_content c = {0};
    const struct command_part part = {.place = 1, .count = 3, .piece = bytes_str("abc")};
    command_put_part(&entry, &part);
    entry_content_read(&c, buf_bytes(&entry));
    EXPECT(is(&c.commands, "part 2/3"));
    EXPECT(entry_content_has_command(&c, "part"));
    EXPECT(is(&c.tables, ""));
    entry_content_deinit(&c);
    buf_deinit(&entry);
}

TEST(entry_content, packed_commands_are_named_as_if_they_were_not)
{
    char metrics[] = "metrics";
    char cpu[] = "cpu";
    struct buf commands = {0};
    struct buf entry = {0};
    struct entry_content c = {0};
    for (int i = 0; i < 30; i++) {
        put_write(&commands, metrics, cpu);
    }
    REQUIRE(packed_put(&entry, PACKED_ZSTD, buf_bytes(&commands)));
    entry_content_read(&c, buf_bytes(&entry));
    EXPECT(c.readable);
    EXPECT(is(&c.commands, "packed, write"));
    EXPECT(is(&c.tables, "metrics.cpu"));
    entry.data[entry.size - 1] ^= 1;
    entry.size--;
    entry_content_read(&c, buf_bytes(&entry));
    EXPECT(!c.readable);
    entry_content_deinit(&c);
    buf_deinit(&entry);
    buf_deinit(&commands);
}

TEST(entry_content, what_is_no_command_is_not_readable)
{
    struct entry_content c = {0};
    entry_content_read(&c, bytes_str("bbbbbbbbbbbbbbbbbbbb"));
    EXPECT(!c.readable);
    entry_content_read(&c, bytes_str(""));
    EXPECT(c.readable);
    EXPECT(is(&c.commands, ""));
    entry_content_deinit(&c);
}

TEST(entry_content, a_body_that_can_not_be_read_names_no_table)
{
    struct buf entry = {0};
    struct entry_content c = {0};
    put(&entry, COMMAND_WRITE, bytes_str("\xff\xff\xff"));
    entry_content_read(&c, buf_bytes(&entry));
    EXPECT(is(&c.commands, "write"));
    EXPECT(is(&c.tables, ""));
    entry_content_deinit(&c);
    buf_deinit(&entry);
}
