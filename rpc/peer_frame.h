/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between nodes, as bytes come and go.
 *
 *   frame:  size u32 | crc32c u32 | message[size]     little-endian, crc over message
 *
 * Memory grows with the bytes that have come, never with what 'size' says. An
 * embedded value; set size_max, the rest zero. */
#ifndef TIDEMARK_RPC_PEER_FRAME_H
#define TIDEMARK_RPC_PEER_FRAME_H

#include "rpc/byte_queue.h"

enum { PEER_FRAME_HEADER_SIZE = 8 };

enum peer_frame_result {
    PEER_FRAME_MORE, /* no whole frame is there */
    PEER_FRAME_MESSAGE,
    PEER_FRAME_TOO_LARGE, /* size is over size_max */
    PEER_FRAME_BAD_CRC
};

struct peer_inbox {
    struct byte_queue queue;
    size_t size_max;
    size_t taken; /* bytes at the front that the last message held */
};

void peer_inbox_deinit(struct peer_inbox *inbox);
/* Invalidates the last message. */
void peer_inbox_push(struct peer_inbox *inbox, struct bytes b);
/* The next message, borrowed until the next push or next. An error stays. */
enum peer_frame_result peer_inbox_next(struct peer_inbox *inbox, struct bytes *message);

/* Appends one frame with the parts one behind the other. */
void peer_frame_put(struct buf *out, const struct bytes *parts, size_t count);

#endif
