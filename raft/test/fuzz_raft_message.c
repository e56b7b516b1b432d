/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from a peer, given to a replica: refused or taken, never a crash. The
 * first byte says whether the replica follows or leads, the second who speaks. */
#include "raft/test/single.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct single s;
    struct single_options o = {.count = 5, .cache_size_max = 1 << 16};
    single_open(&s, &o);
    if (data[0] % 2 == 1) {
        single_lead(&s);
        (void)single_round(&s, 2, RAFT_MESSAGE_PONG, single_status(&s).term, 1);
    }
    struct event e = {
        .type = EVENT_MESSAGE, .id = 2 + data[1] % 3U, .message = bytes_of(data + 2, size - 2)};
    (void)single_step(&s, &e);
    if (single_count(&s, ACTION_STOP) == 0) {
        (void)single_tick(&s, 1000);
    }
    single_close(&s);
    return 0;
}
