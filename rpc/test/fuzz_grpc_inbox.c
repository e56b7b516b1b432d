/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a gRPC stream from arbitrary bytes in arbitrary pieces: the result
 * does not depend on the pieces, and no memory is taken for what is only claimed.
 *
 * The first byte is the size of a piece. */
#include "base/check.h"
#include "rpc/grpc_inbox.h"

enum { SIZE_MAX_OF_MESSAGE = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum grpc_inbox_result last;
    unsigned messages;
    size_t bytes;
    uint32_t sum;
};

static struct outcome run(const uint8_t *data, size_t size, size_t piece)
{
    struct grpc_inbox inbox = {.size_max = SIZE_MAX_OF_MESSAGE};
    struct outcome o = {.last = GRPC_INBOX_MORE};
    for (size_t at = 0; at < size && o.last == GRPC_INBOX_MORE; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        grpc_inbox_push(&inbox, bytes_of(data + at, n));
        CHECK(inbox.queue.buf.capacity <= 4 * (size + 8));
        struct bytes message;
        while ((o.last = grpc_inbox_next(&inbox, &message)) == GRPC_INBOX_MESSAGE) {
            CHECK(message.size <= SIZE_MAX_OF_MESSAGE);
            o.messages++;
            o.bytes += message.size;
            for (size_t i = 0; i < message.size; i++) {
                o.sum = o.sum * 31 + message.data[i];
            }
        }
    }
    grpc_inbox_deinit(&inbox);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct outcome whole = run(data + 1, size - 1, size);
    struct outcome pieces = run(data + 1, size - 1, (size_t)data[0] + 1);
    CHECK(whole.last == pieces.last);
    CHECK(whole.messages == pieces.messages);
    CHECK(whole.bytes == pieces.bytes);
    CHECK(whole.sum == pieces.sum);
    return 0;
}
