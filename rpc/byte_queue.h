/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from a connection, in order, until a whole message is there: pushed at
 * the end, viewed and dropped at the front. Memory grows with what has come,
 * never with what a length field says.
 *
 * An embedded value; zero is an empty queue. */
#ifndef TIDEMARK_RPC_BYTE_QUEUE_H
#define TIDEMARK_RPC_BYTE_QUEUE_H

#include "base/bytes.h"

struct byte_queue {
    struct buf buf;
    size_t head; /* bytes of 'buf' that are dropped */
};

void byte_queue_deinit(struct byte_queue *q);
/* Invalidates every view. */
void byte_queue_push(struct byte_queue *q, struct bytes b);
/* All that is there; valid until the next push. */
struct bytes byte_queue_view(const struct byte_queue *q);
size_t byte_queue_size(const struct byte_queue *q);
/* Views stay valid. */
void byte_queue_drop(struct byte_queue *q, size_t size);
/* When it is empty: gives memory beyond 'capacity_max' back. Invalidates views. */
void byte_queue_trim(struct byte_queue *q, size_t capacity_max);

#endif
