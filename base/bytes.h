/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on disk and wire: little-endian, field by field, bounded.
 *
 *   struct bytes   borrowed, read-only view
 *   struct buf     owned, growing output
 *   struct cursor  input; the first read past the end makes it bad for good,
 *                  so a decoder reads all its fields and checks once
 *
 * Nothing here trusts a length: a cursor never reads outside its view. */
#ifndef TIDEMARK_BASE_BYTES_H
#define TIDEMARK_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

static inline struct bytes bytes_str(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

bool bytes_equal(struct bytes a, struct bytes b);
int bytes_compare(struct bytes a, struct bytes b); /* like memcmp, shorter first */
bool bytes_is_zero(struct bytes b);

static inline void bytes_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void bytes_put_u32(uint8_t *p, uint32_t v)
{
    bytes_put_u16(p, (uint16_t)v);
    bytes_put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void bytes_put_u64(uint8_t *p, uint64_t v)
{
    bytes_put_u32(p, (uint32_t)v);
    bytes_put_u32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t bytes_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)(p[1] << 8));
}

static inline uint32_t bytes_get_u32(const uint8_t *p)
{
    return (uint32_t)bytes_get_u16(p) | (uint32_t)bytes_get_u16(p + 2) << 16;
}

static inline uint64_t bytes_get_u64(const uint8_t *p)
{
    return (uint64_t)bytes_get_u32(p) | (uint64_t)bytes_get_u32(p + 4) << 32;
}

struct buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void buf_deinit(struct buf *b);
void buf_reset(struct buf *b); /* keeps the memory */
void buf_reserve(struct buf *b, size_t more);
uint8_t *buf_extend(struct buf *b, size_t size); /* grows by 'size' bytes, not cleared */
void buf_put(struct buf *b, const void *data, size_t size);
void buf_put_bytes(struct buf *b, struct bytes bytes);
void buf_put_zeros(struct buf *b, size_t size);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, uint64_t v);         /* LEB128, 1..10 bytes */
void buf_put_blob(struct buf *b, struct bytes bytes);   /* varint size, then the bytes */
void buf_put_str(struct buf *b, const char *s);         /* as a blob, without the zero */
void buf_printf(struct buf *b, const char *format, ...) /* appends text, no zero */
    ERR_FORMAT(2, 3);
struct bytes buf_bytes(const struct buf *b);

struct cursor {
    const uint8_t *data;
    size_t size; /* what is left */
    bool bad;    /* a read went past the end, or a varint was too long */
};

static inline struct cursor cursor_of(struct bytes b)
{
    return (struct cursor){b.data, b.size, false};
}

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c);
struct bytes cursor_take(struct cursor *c, size_t size); /* borrowed; empty when bad */
struct bytes cursor_blob(struct cursor *c);
/* A blob as text into dst, always terminated. Too long, or with a zero inside: bad. */
void cursor_str(struct cursor *c, char *dst, size_t dst_size);
bool cursor_done(const struct cursor *c); /* good, and nothing is left */

#endif
