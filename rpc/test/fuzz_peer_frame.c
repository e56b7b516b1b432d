/* SPDX-License-Identifier: Apache-2.0 */
/* Frames between nodes, and the Hello or Welcome inside, from arbitrary bytes: no
 * crash, no memory for what is only claimed, and what was understood is said again
 * in the same way.
 *
 * The first byte: 0 = a bare Hello, 1 = a bare Welcome (fuzzers don't find crcs),
 * else the size of a piece of a stream of frames. */
#include <string.h>

#include "base/check.h"
#include "rpc/peer_frame.h"
#include "rpc/peer_hello.h"

enum { SIZE_MAX_OF_FRAME = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_hello(struct bytes b)
{
    struct peer_hello hello;
    if (peer_hello_decode(b, &hello, NULL) != ERR_OK) {
        return;
    }
    struct buf encoded = {0};
    peer_hello_encode(&hello, &encoded);
    struct peer_hello again;
    CHECK(peer_hello_decode(buf_bytes(&encoded), &again, NULL) == ERR_OK);
    CHECK(strcmp(hello.name, again.name) == 0);
    CHECK(hello.directory_id == again.directory_id);
    CHECK(hello.known_counter == again.known_counter);
    buf_deinit(&encoded);
}

static void fuzz_welcome(struct bytes b)
{
    struct peer_welcome welcome;
    if (peer_welcome_decode(b, &welcome, NULL) != ERR_OK) {
        return;
    }
    struct buf encoded = {0};
    peer_welcome_encode(&welcome, &encoded);
    struct peer_welcome again;
    CHECK(peer_welcome_decode(buf_bytes(&encoded), &again, NULL) == ERR_OK);
    CHECK(welcome.accepted == again.accepted);
    CHECK(welcome.has_hello == again.has_hello);
    CHECK(strcmp(welcome.refusal.reason, again.refusal.reason) == 0);
    buf_deinit(&encoded);
}

static void fuzz_stream(const uint8_t *data, size_t size, size_t piece)
{
    struct peer_inbox inbox = {.size_max = SIZE_MAX_OF_FRAME};
    for (size_t at = 0; at < size; at += piece) {
        peer_inbox_push(&inbox, bytes_of(data + at, size - at < piece ? size - at : piece));
        CHECK(inbox.queue.buf.capacity <= 4 * (size + 8));
        struct bytes message;
        while (peer_inbox_next(&inbox, &message) == PEER_FRAME_MESSAGE) {
            CHECK(message.size <= SIZE_MAX_OF_FRAME);
            fuzz_hello(message);
            fuzz_welcome(message);
        }
    }
    peer_inbox_deinit(&inbox);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    if (data[0] == 0) {
        fuzz_hello(bytes_of(data + 1, size - 1));
    } else if (data[0] == 1) {
        fuzz_welcome(bytes_of(data + 1, size - 1));
    } else {
        fuzz_stream(data + 1, size - 1, data[0]);
    }
    return 0;
}
