/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include "base/check.h"

enum { NUMBER_MAX = (1 << 29) - 1, VARINT_SIZE_MAX = 10 };

/* Nearly all tags and sizes are one byte. */
static uint64_t read_varint(struct cursor *c)
{
    if (!c->bad && c->size > 0 && c->data[0] < 0x80) {
        uint8_t v = c->data[0];
        c->data++;
        c->size--;
        return v;
    }
    return cursor_varint(c);
}

static void read_value(struct cursor *message, struct wire_field *field)
{
    uint64_t size = 0;
    switch (field->type) {
    case WIRE_VARINT:
        field->value = read_varint(message);
        return;
    case WIRE_FIXED64:
        field->value = cursor_u64(message);
        return;
    case WIRE_BYTES:
        size = read_varint(message);
        message->bad = message->bad || size > message->size;
        field->bytes = cursor_take(message, message->bad ? 0 : (size_t)size);
        return;
    case WIRE_FIXED32:
        field->value = cursor_u32(message);
        return;
    }
    message->bad = true; /* a group, or no type at all */
}

bool wire_next(struct cursor *message, struct wire_field *field)
{
    if (message->bad || message->size == 0) {
        return false;
    }
    uint64_t tag = read_varint(message);
    uint64_t number = tag >> 3;
    if (number == 0 || number > NUMBER_MAX) {
        message->bad = true;
        return false;
    }
    *field = (struct wire_field){.number = (uint32_t)number, .type = (enum wire_type)(tag & 7)};
    read_value(message, field);
    return !message->bad;
}

static bool has_type(struct cursor *message, const struct wire_field *field, enum wire_type type)
{
    if (field->type != type) {
        message->bad = true;
    }
    return !message->bad;
}

uint64_t wire_uint(struct cursor *message, const struct wire_field *field)
{
    return has_type(message, field, WIRE_VARINT) ? field->value : 0;
}

uint32_t wire_uint32(struct cursor *message, const struct wire_field *field)
{
    uint64_t v = wire_uint(message, field);
    if (v > UINT32_MAX) {
        message->bad = true;
        return 0;
    }
    return (uint32_t)v;
}

bool wire_bool(struct cursor *message, const struct wire_field *field)
{
    return wire_uint(message, field) != 0;
}

uint64_t wire_fixed64(struct cursor *message, const struct wire_field *field)
{
    return has_type(message, field, WIRE_FIXED64) ? field->value : 0;
}

struct bytes wire_bytes(struct cursor *message, const struct wire_field *field)
{
    return has_type(message, field, WIRE_BYTES) ? field->bytes : (struct bytes){0};
}

void wire_str(struct cursor *message, const struct wire_field *field, char *dst, size_t dst_size)
{
    CHECK(dst_size > 0);
    struct bytes b = wire_bytes(message, field);
    if (b.size >= dst_size || (b.size > 0 && memchr(b.data, 0, b.size) != NULL)) {
        message->bad = true;
        b.size = 0;
    }
    if (b.size > 0) {
        memcpy(dst, b.data, b.size);
    }
    dst[b.size] = '\0';
}

void wire_put_tag(struct buf *b, uint32_t number, enum wire_type type)
{
    CHECK(number > 0);
    CHECK(number <= NUMBER_MAX);
    buf_put_varint(b, (uint64_t)number << 3 | (uint64_t)type);
}

void wire_put_uint(struct buf *b, uint32_t number, uint64_t v)
{
    if (v != 0) {
        wire_put_tag(b, number, WIRE_VARINT);
        buf_put_varint(b, v);
    }
}

void wire_put_fixed64(struct buf *b, uint32_t number, uint64_t v)
{
    if (v != 0) {
        wire_put_tag(b, number, WIRE_FIXED64);
        buf_put_u64(b, v);
    }
}

void wire_put_item(struct buf *b, uint32_t number, struct bytes v)
{
    wire_put_tag(b, number, WIRE_BYTES);
    buf_put_blob(b, v);
}

void wire_put_bytes(struct buf *b, uint32_t number, struct bytes v)
{
    if (v.size > 0) {
        wire_put_item(b, number, v);
    }
}

void wire_put_str(struct buf *b, uint32_t number, const char *v)
{
    wire_put_bytes(b, number, bytes_str(v));
}

/* One byte is kept for the size, enough for most; wire_end() moves the message
 * on when it needs more. */
size_t wire_begin(struct buf *b, uint32_t number)
{
    wire_put_tag(b, number, WIRE_BYTES);
    buf_put_u8(b, 0);
    return b->size;
}

static size_t varint_encode(uint8_t dst[VARINT_SIZE_MAX], uint64_t v)
{
    size_t size = 0;
    while (v >= 0x80) {
        dst[size++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    dst[size++] = (uint8_t)v;
    return size;
}

void wire_end(struct buf *b, size_t mark)
{
    CHECK(mark > 0);
    CHECK(mark <= b->size);
    size_t size = b->size - mark;
    uint8_t prefix[VARINT_SIZE_MAX];
    size_t prefix_size = varint_encode(prefix, size);
    if (prefix_size > 1) {
        (void)buf_extend(b, prefix_size - 1);
        memmove(b->data + mark - 1 + prefix_size, b->data + mark, size);
    }
    memcpy(b->data + mark - 1, prefix, prefix_size);
}
