/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of a log entry, compressed: the body of a PACKED command (command.h).
 *
 *   body:  method u8 (1 lz4, 2 zstd) | size varint, of the commands | compressed bytes
 *
 * An entry is packed once, by the node that accepted the writes. What it became is
 * the payload that the log checks and that every replica stores; nobody packs it again,
 * and any node reads it whatever its own wal_compression says.
 *
 * Nothing in a body is believed: its size is bounded before memory is taken, and
 * no decoder writes outside of it. */
#ifndef TIDEMARK_PROTO_PACKED_H
#define TIDEMARK_PROTO_PACKED_H

#include "base/bytes.h"
#include "base/limits.h"

/* The values of wal_compression, in its order. */
enum packed_method {
    PACKED_OFF = 0,
    PACKED_LZ4 = 1,
    PACKED_ZSTD = 2,
};

enum {
    PACKED_SIZE_MIN = 256, /* of commands that are worth it */
    /* A large write may become one entry. */
    PACKED_SIZE_MAX = LIMIT_MESSAGE_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX,
};

/* Appends a PACKED command that holds 'commands' to 'entry'. False, and nothing
 * appended: off, too small or too large, or no smaller that way. */
bool packed_put(struct buf *entry, enum packed_method method, struct bytes commands);
/* Sets *commands to what the body of a PACKED command holds. ERR_CORRUPT. */
MUST_CHECK enum err_code packed_read(struct bytes body, struct buf *commands, struct err *e);

#endif
