/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as hard state: refused, or something that encodes to the same bytes. */
#include "base/check.h"
#include "base/mem.h"
#include "node/hard_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hard_state *s = mem_alloc(sizeof *s);
    struct err e = {0};
    enum err_code code = hard_state_decode(bytes_of(data, size), s, &e);
    if (code == ERR_OK) {
        struct buf again = {0};
        struct hard_state *back = mem_alloc(sizeof *back);
        hard_state_encode(s, &again);
        CHECK(hard_state_decode(buf_bytes(&again), back, &e) == ERR_OK);
        CHECK(again.size <= size); /* a varint may have been longer than needed */
        buf_deinit(&again);
        mem_free(back);
    } else {
        CHECK(code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        CHECK(e.text[0] != '\0');
    }
    mem_free(s);
    return 0;
}
