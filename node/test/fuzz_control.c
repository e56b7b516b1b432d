/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a control file: refused, or something that encodes to the same bytes,
 * or, of an older format, to bytes that mean the same. */
#include "base/check.h"
#include "node/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control c;
    struct err e = {0};
    enum err_code code = control_decode(bytes_of(data, size), &c, &e);
    if (code == ERR_OK) {
        struct buf again = {0};
        struct buf twice = {0};
        control_encode(&c, &again);
        CHECK(data[0] != CONTROL_FORMAT || bytes_equal(buf_bytes(&again), bytes_of(data, size)));
        code = control_decode(buf_bytes(&again), &c, &e);
        CHECK(code == ERR_OK);
        control_encode(&c, &twice);
        CHECK(bytes_equal(buf_bytes(&again), buf_bytes(&twice)));
        buf_deinit(&again);
        buf_deinit(&twice);
    } else {
        CHECK(code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        CHECK(e.text[0] != '\0');
    }
    return 0;
}
