/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command.h"

#include "base/check.h"

void command_put(struct buf *entry, const struct command *command)
{
    CHECK(command->kind > 0);
    CHECK(command->kind < COMMAND_KIND_COUNT);
    buf_put_u8(entry, (uint8_t)command->kind);
    buf_put_varint(entry, command->session);
    buf_put_varint(entry, command->sequence);
    buf_put_varint(entry, command->sequence_open);
    buf_put_blob(entry, command->body);
}

enum err_code command_next(struct cursor *entry, struct command *out, struct err *e)
{
    uint8_t kind = cursor_u8(entry);
    out->session = cursor_varint(entry);
    out->sequence = cursor_varint(entry);
    out->sequence_open = cursor_varint(entry);
    out->body = cursor_blob(entry);
    if (entry->bad) {
        return err_set(e, ERR_CORRUPT, "a command of the log entry is cut short");
    }
    if (kind == 0 || kind >= COMMAND_KIND_COUNT) {
        return err_set(e, ERR_CORRUPT, "a command of the log entry has unknown kind %u", kind);
    }
    out->kind = (enum command_kind)kind;
    return ERR_OK;
}

static bool part_is_valid(const struct command_part *part)
{
    return part->count >= 2 && part->count <= COMMAND_PARTS_MAX && part->place < part->count &&
           part->piece.size > 0 && part->piece.size <= COMMAND_PART_SIZE_MAX;
}

void command_put_part(struct buf *entry, const struct command_part *part)
{
    CHECK(part_is_valid(part));
    struct buf body = {0};
    buf_put_varint(&body, part->place);
    buf_put_varint(&body, part->count);
    buf_put_bytes(&body, part->piece);
    struct command command = {.kind = COMMAND_PART, .body = buf_bytes(&body)};
    command_put(entry, &command);
    buf_deinit(&body);
}

enum err_code command_read_part(struct bytes body, struct command_part *out, struct err *e)
{
    struct cursor c = cursor_of(body);
    out->place = cursor_varint(&c);
    out->count = cursor_varint(&c);
    out->piece = cursor_take(&c, c.size);
    return !c.bad && part_is_valid(out)
               ? ERR_OK
               : err_set(e, ERR_CORRUPT, "a part of a large command is malformed");
}

bool command_is_metadata(enum command_kind kind)
{
    return kind != COMMAND_WRITE && kind != COMMAND_OPEN_SESSION && kind != COMMAND_CHECKPOINT &&
           kind != COMMAND_PART && /* only writes are large */
           kind != COMMAND_PACKED; /* and metadata is not packed */
}
