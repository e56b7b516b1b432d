/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf's wire format read and written by hand, for the paths where a tree of
 * objects per message would cost too much: rows of writes and scans, log commands.
 *
 *   message:  field | field | ...
 *   field:    tag varint (number << 3 | type) | value
 *   value:    varint | 8 bytes | size varint, bytes | 4 bytes, by type 0, 1, 2, 5
 *
 * Reading borrows from the message and takes no memory. A field of another type
 * than asked for makes the cursor bad, as does anything cut short: the caller
 * reads all fields and looks once. Groups (types 3, 4) are not supported.
 *
 *   struct cursor c = cursor_of(message);
 *   struct wire_field f;
 *   while (wire_next(&c, &f)) {
 *       switch (f.number) {
 *       case 1: name = wire_bytes(&c, &f); break;
 *   ...
 *   if (c.bad) return err_set(...)
 *
 * Writing follows proto3: a zero or empty scalar is left out. */
#ifndef TIDEMARK_PROTO_WIRE_H
#define TIDEMARK_PROTO_WIRE_H

#include "base/bytes.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* VARINT, FIXED64, FIXED32 */
    struct bytes bytes; /* BYTES; borrowed from the message */
};

/* The next field; false at the end of the message, or when it is bad. */
bool wire_next(struct cursor *message, struct wire_field *field);

/* The value of a field that must have the type; else the message is bad and
 * the value zero. */
uint64_t wire_uint(struct cursor *message, const struct wire_field *field);
uint32_t wire_uint32(struct cursor *message, const struct wire_field *field); /* larger: bad */
bool wire_bool(struct cursor *message, const struct wire_field *field);
uint64_t wire_fixed64(struct cursor *message, const struct wire_field *field);
struct bytes wire_bytes(struct cursor *message, const struct wire_field *field);
/* As text into dst, always terminated. Too long, or with a zero inside: bad. */
void wire_str(struct cursor *message, const struct wire_field *field, char *dst, size_t dst_size);

void wire_put_tag(struct buf *b, uint32_t number, enum wire_type type);
void wire_put_uint(struct buf *b, uint32_t number, uint64_t v);
void wire_put_fixed64(struct buf *b, uint32_t number, uint64_t v);
void wire_put_bytes(struct buf *b, uint32_t number, struct bytes v);
void wire_put_str(struct buf *b, uint32_t number, const char *v);
/* An element of a repeated field: written also when empty. */
void wire_put_item(struct buf *b, uint32_t number, struct bytes v);

/* A message inside: begin, put its fields, end. Nests. */
size_t wire_begin(struct buf *b, uint32_t number);
void wire_end(struct buf *b, size_t mark);

#endif
