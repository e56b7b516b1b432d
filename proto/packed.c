/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/packed.h"

#include <lz4.h>
#include <zstd.h>

#include "base/check.h"
#include "proto/command.h"

/* The fastest of zstd's usual levels: entries are packed while clients wait. */
enum { ZSTD_LEVEL = 1, HEADER_SIZE_MAX = 1 + 10 };

_Static_assert(PACKED_SIZE_MAX < LZ4_MAX_INPUT_SIZE, "lz4 counts in int");

/* How many bytes were written to 'dst'; 0: they don't fit. */
static size_t pack(enum packed_method method, struct bytes src, uint8_t *dst, size_t room)
{
    if (method == PACKED_LZ4) {
        int size =
            LZ4_compress_default((const char *)src.data, (char *)dst, (int)src.size, (int)room);
        return size > 0 ? (size_t)size : 0;
    }
    CHECK(method == PACKED_ZSTD);
    size_t size = ZSTD_compress(dst, room, src.data, src.size, ZSTD_LEVEL);
    return ZSTD_isError(size) != 0 ? 0 : size;
}

bool packed_put(struct buf *entry, enum packed_method method, struct bytes commands)
{
    if (method == PACKED_OFF || commands.size < PACKED_SIZE_MIN ||
        commands.size > PACKED_SIZE_MAX) {
        return false;
    }
    struct buf body = {0};
    buf_put_u8(&body, (uint8_t)method);
    buf_put_varint(&body, commands.size);
    size_t header = body.size;
    CHECK(header <= HEADER_SIZE_MAX);
    /* An eighth must be won: less is not worth what unpacking costs every replica. */
    size_t room = commands.size - commands.size / 8;
    size_t size = pack(method, commands, buf_extend(&body, room), room);
    if (size > 0) {
        body.size = header + size;
        const struct command command = {.kind = COMMAND_PACKED, .body = buf_bytes(&body)};
        command_put(entry, &command);
    }
    buf_deinit(&body);
    return size > 0;
}

/* Whether 'src' decodes to exactly 'size' bytes. */
static bool unpack(uint8_t method, struct bytes src, uint8_t *dst, size_t size)
{
    switch (method) {
    case PACKED_LZ4:
        return LZ4_decompress_safe((const char *)src.data, (char *)dst, (int)src.size, (int)size) ==
               (int)size;
    case PACKED_ZSTD:
        return ZSTD_decompress(dst, size, src.data, src.size) == size;
    default:
        return false;
    }
}

enum err_code packed_read(struct bytes body, struct buf *commands, struct err *e)
{
    struct cursor c = cursor_of(body);
    uint8_t method = cursor_u8(&c);
    uint64_t size = cursor_varint(&c);
    struct bytes src = cursor_take(&c, c.size);
    buf_reset(commands);
    if (c.bad || size < PACKED_SIZE_MIN || size > PACKED_SIZE_MAX || src.size == 0 ||
        src.size >= size) {
        return err_set(e, ERR_CORRUPT, "the header of packed commands is malformed");
    }
    if (!unpack(method, src, buf_extend(commands, (size_t)size), (size_t)size)) {
        buf_reset(commands);
        return err_set(e, ERR_CORRUPT, "packed commands can't be unpacked by method %u", method);
    }
    return ERR_OK;
}
