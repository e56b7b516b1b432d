/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of one direction of a gRPC stream, put together from DATA frames
 * that may split anywhere and hold several messages.
 *
 *   message:  compressed u8 | size u32 | payload[size]     big-endian
 *
 * An embedded value; set size_max, the rest zero. */
#ifndef TIDEMARK_RPC_GRPC_INBOX_H
#define TIDEMARK_RPC_GRPC_INBOX_H

#include "rpc/byte_queue.h"

enum { GRPC_PREFIX_SIZE = 5 };

enum grpc_inbox_result {
    GRPC_INBOX_MORE, /* no whole message is there */
    GRPC_INBOX_MESSAGE,
    GRPC_INBOX_TOO_LARGE,  /* its size is over size_max */
    GRPC_INBOX_COMPRESSED, /* no compression was agreed */
    GRPC_INBOX_BROKEN      /* the flag is neither 0 nor 1 */
};

struct grpc_inbox {
    struct byte_queue queue;
    size_t size_max;
    size_t taken; /* bytes at the front that the last message held */
};

void grpc_inbox_deinit(struct grpc_inbox *inbox);
/* Invalidates the last message. */
void grpc_inbox_push(struct grpc_inbox *inbox, struct bytes b);
/* What next would return; takes nothing. */
enum grpc_inbox_result grpc_inbox_peek(const struct grpc_inbox *inbox, struct bytes *message);
/* The next whole message, borrowed until the next push, next or keep. An error
 * stays. */
enum grpc_inbox_result grpc_inbox_next(struct grpc_inbox *inbox, struct bytes *message);
/* Bytes that are no part of a message given out. */
size_t grpc_inbox_left(const struct grpc_inbox *inbox);
/* Bytes of memory in use. */
size_t grpc_inbox_held(const struct grpc_inbox *inbox);
/* Moves the memory, with the last message in it, to *owner; the inbox is empty
 * after it. The message stays valid as long as *owner. */
void grpc_inbox_keep(struct grpc_inbox *inbox, struct buf *owner);

void grpc_prefix_encode(uint8_t prefix[GRPC_PREFIX_SIZE], size_t size);

#endif
