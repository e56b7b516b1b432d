/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

/* Equal to itself one byte further on, and the first is zero. */
bool bytes_is_zero(struct bytes b)
{
    return b.size == 0 || (b.data[0] == 0 && memcmp(b.data, b.data + 1, b.size - 1) == 0);
}

void buf_deinit(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->size = 0;
}

void buf_reserve(struct buf *b, size_t more)
{
    CHECK(more <= SIZE_MAX / 4 - b->size);
    b->data = mem_grow(b->data, &b->capacity, b->size + more, 1);
}

uint8_t *buf_extend(struct buf *b, size_t size)
{
    buf_reserve(b, size == 0 ? 1 : size); /* an address also for nothing */
    uint8_t *at = b->data + b->size;
    b->size += size;
    return at;
}

void buf_put(struct buf *b, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(buf_extend(b, size), data, size);
    }
}

void buf_put_bytes(struct buf *b, struct bytes bytes)
{
    buf_put(b, bytes.data, bytes.size);
}

void buf_put_zeros(struct buf *b, size_t size)
{
    if (size > 0) {
        memset(buf_extend(b, size), 0, size);
    }
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    *buf_extend(b, 1) = v;
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    bytes_put_u16(buf_extend(b, 2), v);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    bytes_put_u32(buf_extend(b, 4), v);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    bytes_put_u64(buf_extend(b, 8), v);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    while (v >= 0x80) {
        buf_put_u8(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    buf_put_u8(b, (uint8_t)v);
}

void buf_put_blob(struct buf *b, struct bytes bytes)
{
    buf_put_varint(b, bytes.size);
    buf_put_bytes(b, bytes);
}

void buf_put_str(struct buf *b, const char *s)
{
    buf_put_blob(b, bytes_str(s));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    buf_reserve(b, (size_t)size + 1);
    va_start(args, format);
    (void)vsnprintf((char *)b->data + b->size, (size_t)size + 1, format, args);
    va_end(args);
    b->size += (size_t)size;
}

struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){b->data, b->size};
}

struct bytes cursor_take(struct cursor *c, size_t size)
{
    if (c->bad || size > c->size) {
        c->bad = true;
        return (struct bytes){0};
    }
    struct bytes taken = {c->data, size};
    c->data += size;
    c->size -= size;
    return taken;
}

uint8_t cursor_u8(struct cursor *c)
{
    struct bytes b = cursor_take(c, 1);
    return b.size == 0 ? 0 : b.data[0];
}

uint16_t cursor_u16(struct cursor *c)
{
    struct bytes b = cursor_take(c, 2);
    return b.size == 0 ? 0 : bytes_get_u16(b.data);
}

uint32_t cursor_u32(struct cursor *c)
{
    struct bytes b = cursor_take(c, 4);
    return b.size == 0 ? 0 : bytes_get_u32(b.data);
}

uint64_t cursor_u64(struct cursor *c)
{
    struct bytes b = cursor_take(c, 8);
    return b.size == 0 ? 0 : bytes_get_u64(b.data);
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(c);
        if (shift == 63 && byte > 1) {
            break; /* more than 64 bits */
        }
        v |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return c->bad ? 0 : v;
        }
    }
    c->bad = true;
    return 0;
}

struct bytes cursor_blob(struct cursor *c)
{
    uint64_t size = cursor_varint(c);
    if (size > c->size) {
        c->bad = true;
        return (struct bytes){0};
    }
    return cursor_take(c, (size_t)size);
}

void cursor_str(struct cursor *c, char *dst, size_t dst_size)
{
    CHECK(dst_size > 0);
    struct bytes b = cursor_blob(c);
    if (b.size >= dst_size || (b.size > 0 && memchr(b.data, 0, b.size) != NULL)) {
        c->bad = true;
    }
    if (c->bad) {
        dst[0] = '\0';
        return;
    }
    if (b.size > 0) {
        memcpy(dst, b.data, b.size);
    }
    dst[b.size] = '\0';
}

bool cursor_done(const struct cursor *c)
{
    return !c->bad && c->size == 0;
}
