/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command.h"

#include "base/random.h"
#include "testkit/test.h"

static struct command example(enum command_kind kind, const char *body)
{
    return (struct command){
        .kind = kind, .session = 300, .sequence = 7, .sequence_open = 5, .body = bytes_str(body)};
}

TEST(command, commands_of_an_entry_come_back_in_order)
{
    struct buf entry = {0};
    for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
        struct command c = example((enum command_kind)kind, kind % 2 == 0 ? "" : "body");
        command_put(&entry, &c);
    }
    struct cursor cursor = cursor_of(buf_bytes(&entry));
    struct err e;
    for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
        struct command c;
        REQUIRE_OK(command_next(&cursor, &c, &e));
        EXPECT_INT(c.kind, kind);
        EXPECT_UINT(c.session, 300);
        EXPECT_UINT(c.sequence, 7);
        EXPECT_UINT(c.sequence_open, 5);
        EXPECT(bytes_equal(c.body, bytes_str(kind % 2 == 0 ? "" : "body")));
    }
    EXPECT(cursor_done(&cursor));
    buf_deinit(&entry);
}

/* Logs hold these bytes: they may not change. */
TEST(command, bytes_are_as_documented)
{
    struct buf entry = {0};
    struct command c = example(COMMAND_OPEN_SESSION, "xy");
    command_put(&entry, &c);
    static const uint8_t want[] = {2, 0xac, 0x02, 7, 5, 2, 'x', 'y'};
    EXPECT_UINT(entry.size, sizeof want);
    EXPECT_MEM(entry.data, want, sizeof want);
    buf_deinit(&entry);
}

TEST(command, every_cut_is_refused)
{
    struct buf entry = {0};
    struct command c = example(COMMAND_WRITE, "some body");
    command_put(&entry, &c);
    for (size_t size = 0; size < entry.size; size++) {
        struct cursor cursor = cursor_of(bytes_of(entry.data, size));
        struct command got;
        struct err e;
        EXPECT_ERR(command_next(&cursor, &got, &e), ERR_CORRUPT);
        EXPECT_STR(e.text, "a command of the log entry is cut short");
    }
    buf_deinit(&entry);
}

TEST(command, unknown_kinds_are_refused)
{
    for (unsigned kind = 0; kind < 256; kind++) {
        if (kind > 0 && kind < COMMAND_KIND_COUNT) {
            continue;
        }
        const uint8_t bytes[] = {(uint8_t)kind, 0, 0, 0, 0};
        struct cursor cursor = cursor_of(bytes_of(bytes, sizeof bytes));
        struct command got;
        struct err e;
        EXPECT_ERR(command_next(&cursor, &got, &e), ERR_CORRUPT);
        EXPECT_CONTAINS(e.text, "unknown kind");
    }
}

TEST(command, random_bytes_never_read_outside)
{
    struct random random = random_seeded(7);
    for (int round = 0; round < 2000; round++) {
        uint8_t bytes[40];
        size_t size = (size_t)random_below(&random, sizeof bytes);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_below(&random, i == 0 ? 14 : 256);
        }
        struct cursor cursor = cursor_of(bytes_of(bytes, size));
        struct command c;
        while (cursor.size > 0 && command_next(&cursor, &c, NULL) == ERR_OK) {
            EXPECT(c.body.size <= size);
            EXPECT(c.kind < COMMAND_KIND_COUNT);
        }
    }
    EXPECT(true); /* the sanitizers judge the rest */
}

/* Rows and sessions follow the durability level; all else is always synced. */
TEST(command, metadata_is_everything_but_rows_sessions_and_checkpoints)
{
    for (int kind = 1; kind < COMMAND_KIND_COUNT; kind++) {
        bool data = kind == COMMAND_WRITE || kind == COMMAND_OPEN_SESSION ||
                    kind == COMMAND_CHECKPOINT || kind == COMMAND_PART || kind == COMMAND_PACKED;
        EXPECT(command_is_metadata((enum command_kind)kind) == !data);
    }
}

TEST(command, a_part_says_its_place)
{
    struct buf entry = {0};
    struct command_part part = {.place = 2, .count = 3, .piece = bytes_str("piece")};
    command_put_part(&entry, &part);
    struct cursor cursor = cursor_of(buf_bytes(&entry));
    struct command command;
    struct command_part found;
    struct err e;
    REQUIRE_OK(command_next(&cursor, &command, &e));
    EXPECT_UINT(cursor.size, 0);
    EXPECT_INT(command.kind, COMMAND_PART);
    EXPECT_UINT(command.session, 0);
    EXPECT_OK(command_read_part(command.body, &found, &e));
    EXPECT_UINT(found.place, 2);
    EXPECT_UINT(found.count, 3);
    EXPECT(bytes_equal(found.piece, bytes_str("piece")));
    buf_deinit(&entry);
}

TEST(command, a_malformed_part_is_corrupt)
{
    static const char *const bodies[] = {"",          "\x01",      "\x03\x03x",
                                         "\x01\x01x", "\x01\x7fx", "\x01\x02"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct command_part part;
        struct err e;
        EXPECT_ERR(command_read_part(bytes_str(bodies[i]), &part, &e), ERR_CORRUPT);
    }
}

/* The largest request fits in the parts that there may be. */
TEST(command, parts_hold_the_largest_request)
{
    EXPECT((uint64_t)COMMAND_PARTS_MAX * COMMAND_PART_SIZE_MAX >=
           (uint64_t)LIMIT_MESSAGE_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX);
    struct buf piece = {0};
    struct buf entry = {0};
    buf_put_zeros(&piece, COMMAND_PART_SIZE_MAX);
    struct command_part part = {.place = 0, .count = 2, .piece = buf_bytes(&piece)};
    command_put_part(&entry, &part);
    EXPECT(entry.size <= LIMIT_ENTRY_SIZE_MAX);
    buf_deinit(&piece);
    buf_deinit(&entry);
}

static void put_no_kind(void *arg)
{
    struct command c = {.kind = COMMAND_KIND_COUNT};
    command_put(arg, &c);
}

TEST(command, a_kind_out_of_range_is_a_bug)
{
    struct buf entry = {0};
    EXPECT_DIES(put_no_kind, &entry, "command->kind < COMMAND_KIND_COUNT");
}
