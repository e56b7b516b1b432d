/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the body of a PACKED command: refused, or a number of bytes within
 * the limits; and what the bytes hold, packed, reads back as it was. */
#include "base/check.h"
#include "proto/command.h"
#include "proto/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf got = {0};
    struct err e;
    struct bytes whole = bytes_of(data, size);
    if (packed_read(whole, &got, &e) == ERR_OK) {
        CHECK(got.size >= PACKED_SIZE_MIN);
        CHECK(got.size <= PACKED_SIZE_MAX);
    } else {
        CHECK(e.code == ERR_CORRUPT);
        CHECK(got.size == 0);
    }
    for (int method = PACKED_LZ4; method <= PACKED_ZSTD; method++) {
        struct buf entry = {0};
        if (packed_put(&entry, (enum packed_method)method, whole)) {
            struct cursor c = cursor_of(buf_bytes(&entry));
            struct command command;
            enum err_code code = command_next(&c, &command, NULL);
            CHECK(code == ERR_OK);
            CHECK(command.kind == COMMAND_PACKED);
            code = packed_read(command.body, &got, NULL);
            CHECK(code == ERR_OK);
            CHECK(bytes_equal(buf_bytes(&got), whole));
        }
        buf_deinit(&entry);
    }
    buf_deinit(&got);
    return 0;
}
