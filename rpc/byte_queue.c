/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/byte_queue.h"

#include "base/check.h"

void byte_queue_deinit(struct byte_queue *q)
{
    buf_deinit(&q->buf);
    q->head = 0;
}

void byte_queue_push(struct byte_queue *q, struct bytes b)
{
    CHECK(q->head <= q->buf.size);
    size_t left = q->buf.size - q->head;
    if (left == 0) {
        buf_reset(&q->buf);
        q->head = 0;
    } else if (q->head >= left) {
        /* Moves at most as many bytes as were dropped: linear in total. */
        memcpy(q->buf.data, q->buf.data + q->head, left);
        q->buf.size = left;
        q->head = 0;
    }
    buf_put_bytes(&q->buf, b);
}

struct bytes byte_queue_view(const struct byte_queue *q)
{
    size_t left = q->buf.size - q->head;
    return left == 0 ? (struct bytes){0} : bytes_of(q->buf.data + q->head, left);
}

size_t byte_queue_size(const struct byte_queue *q)
{
    return q->buf.size - q->head;
}

void byte_queue_drop(struct byte_queue *q, size_t size)
{
    CHECK(size <= q->buf.size - q->head);
    q->head += size;
}

void byte_queue_trim(struct byte_queue *q, size_t capacity_max)
{
    if (q->head == q->buf.size && q->buf.capacity > capacity_max) {
        byte_queue_deinit(q);
    }
}
