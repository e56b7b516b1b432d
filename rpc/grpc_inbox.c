/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_inbox.h"

#include "base/check.h"

void grpc_inbox_deinit(struct grpc_inbox *inbox)
{
    byte_queue_deinit(&inbox->queue);
    inbox->taken = 0;
}

static void drop_taken(struct grpc_inbox *inbox)
{
    byte_queue_drop(&inbox->queue, inbox->taken);
    inbox->taken = 0;
}

void grpc_inbox_push(struct grpc_inbox *inbox, struct bytes b)
{
    drop_taken(inbox);
    byte_queue_push(&inbox->queue, b);
}

enum grpc_inbox_result grpc_inbox_peek(const struct grpc_inbox *inbox, struct bytes *message)
{
    struct bytes view = byte_queue_view(&inbox->queue);
    if (inbox->taken > 0) {
        view = bytes_of(view.data + inbox->taken, view.size - inbox->taken);
    }
    if (view.size < GRPC_PREFIX_SIZE) {
        return GRPC_INBOX_MORE;
    }
    uint8_t flag = view.data[0];
    if (flag != 0) {
        return flag == 1 ? GRPC_INBOX_COMPRESSED : GRPC_INBOX_BROKEN;
    }
    size_t size = (size_t)view.data[1] << 24 | (size_t)view.data[2] << 16 |
                  (size_t)view.data[3] << 8 | (size_t)view.data[4];
    if (size > inbox->size_max) {
        return GRPC_INBOX_TOO_LARGE;
    }
    if (view.size - GRPC_PREFIX_SIZE < size) {
        return GRPC_INBOX_MORE;
    }
    *message = bytes_of(view.data + GRPC_PREFIX_SIZE, size);
    return GRPC_INBOX_MESSAGE;
}

enum grpc_inbox_result grpc_inbox_next(struct grpc_inbox *inbox, struct bytes *message)
{
    drop_taken(inbox);
    enum grpc_inbox_result result = grpc_inbox_peek(inbox, message);
    if (result == GRPC_INBOX_MESSAGE) {
        inbox->taken = GRPC_PREFIX_SIZE + message->size;
    }
    return result;
}

size_t grpc_inbox_left(const struct grpc_inbox *inbox)
{
    return byte_queue_size(&inbox->queue) - inbox->taken;
}

size_t grpc_inbox_held(const struct grpc_inbox *inbox)
{
    return inbox->queue.buf.size;
}

void grpc_inbox_keep(struct grpc_inbox *inbox, struct buf *owner)
{
    CHECK(owner->data == NULL);
    *owner = inbox->queue.buf;
    inbox->queue = (struct byte_queue){0};
    inbox->taken = 0;
}

void grpc_prefix_encode(uint8_t prefix[GRPC_PREFIX_SIZE], size_t size)
{
    CHECK(size <= UINT32_MAX);
    prefix[0] = 0;
    prefix[1] = (uint8_t)(size >> 24);
    prefix[2] = (uint8_t)(size >> 16);
    prefix[3] = (uint8_t)(size >> 8);
    prefix[4] = (uint8_t)size;
}
