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

bool command_is_metadata(enum command_kind kind)
{
    return kind != COMMAND_WRITE && kind != COMMAND_OPEN_SESSION && kind != COMMAND_CHECKPOINT;
}
