/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer_frame.h"

#include "base/check.h"
#include "base/crc32c.h"

enum { KEEP_CAPACITY_MAX = 64 * 1024 };

void peer_inbox_deinit(struct peer_inbox *inbox)
{
    byte_queue_deinit(&inbox->queue);
    inbox->taken = 0;
}

static void drop_taken(struct peer_inbox *inbox)
{
    byte_queue_drop(&inbox->queue, inbox->taken);
    inbox->taken = 0;
}

void peer_inbox_push(struct peer_inbox *inbox, struct bytes b)
{
    drop_taken(inbox);
    byte_queue_trim(&inbox->queue, KEEP_CAPACITY_MAX);
    byte_queue_push(&inbox->queue, b);
}

enum peer_frame_result peer_inbox_next(struct peer_inbox *inbox, struct bytes *message)
{
    drop_taken(inbox);
    struct bytes view = byte_queue_view(&inbox->queue);
    if (view.size < PEER_FRAME_HEADER_SIZE) {
        return PEER_FRAME_MORE;
    }
    size_t size = bytes_get_u32(view.data);
    if (size > inbox->size_max) {
        return PEER_FRAME_TOO_LARGE;
    }
    if (view.size - PEER_FRAME_HEADER_SIZE < size) {
        return PEER_FRAME_MORE;
    }
    struct bytes found = bytes_of(view.data + PEER_FRAME_HEADER_SIZE, size);
    if (crc32c_bytes(found) != bytes_get_u32(view.data + 4)) {
        return PEER_FRAME_BAD_CRC;
    }
    *message = found;
    inbox->taken = PEER_FRAME_HEADER_SIZE + size;
    return PEER_FRAME_MESSAGE;
}

void peer_frame_put(struct buf *out, const struct bytes *parts, size_t count)
{
    size_t size = 0;
    uint32_t crc = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].size;
        crc = crc32c(crc, parts[i].data, parts[i].size);
    }
    CHECK(size <= UINT32_MAX);
    buf_reserve(out, PEER_FRAME_HEADER_SIZE + size);
    buf_put_u32(out, (uint32_t)size);
    buf_put_u32(out, crc);
    for (size_t i = 0; i < count; i++) {
        buf_put_bytes(out, parts[i]);
    }
}
