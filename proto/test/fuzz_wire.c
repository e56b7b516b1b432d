/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message and as a log entry: fields and commands lie inside
 * what was given, and what was read can be written and read again. */
#include "base/check.h"
#include "proto/command.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct bytes whole, struct bytes part)
{
    if (part.size > 0) {
        CHECK(part.data >= whole.data);
        CHECK(part.data + part.size <= whole.data + whole.size);
    }
}

/* The same field, written the shortest way. */
static void check_again(const struct wire_field *f)
{
    struct buf b = {0};
    wire_put_tag(&b, f->number, f->type);
    if (f->type == WIRE_BYTES) {
        buf_put_blob(&b, f->bytes);
    } else if (f->type == WIRE_VARINT) {
        buf_put_varint(&b, f->value);
    } else if (f->type == WIRE_FIXED64) {
        buf_put_u64(&b, f->value);
    } else {
        buf_put_u32(&b, (uint32_t)f->value);
    }
    struct cursor c = cursor_of(buf_bytes(&b));
    struct wire_field again;
    bool found = wire_next(&c, &again);
    CHECK(found);
    CHECK(again.number == f->number);
    CHECK(again.type == f->type);
    CHECK(again.value == f->value);
    CHECK(bytes_equal(again.bytes, f->bytes));
    CHECK(cursor_done(&c));
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes whole = bytes_of(data, size);
    struct cursor c = cursor_of(whole);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        check_inside(whole, f.bytes);
        check_again(&f);
    }
    c = cursor_of(whole);
    struct command command;
    while (c.size > 0 && command_next(&c, &command, NULL) == ERR_OK) {
        check_inside(whole, command.body);
        CHECK(command.kind > 0);
        CHECK(command.kind < COMMAND_KIND_COUNT);
    }
    return 0;
}
