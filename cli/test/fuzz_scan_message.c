/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message of a scan: refused, or every value of it can be asked for. */
#include "base/check.h"
#include "cli/scan_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t look_at(const struct scan_message *m, size_t column, size_t row)
{
    if (scan_is_null(m, column, row)) {
        return 1;
    }
    switch (m->columns[column].type) {
    case 3:
        return scan_double(m, column, row) > 0 ? 1 : 0;
    case 4:
        return scan_bool(m, column, row) ? 1 : 0;
    case 5: {
        struct bytes text = scan_string(m, column, row);
        return text.size > 0 ? text.data[text.size - 1] : 0;
    }
    default:
        return scan_int64(m, column, row) > 0 ? 1 : 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { ROWS_LOOKED_AT = 1000 };
    struct scan_message m = {0};
    struct err e = {0};
    size_t sum = 0;
    if (scan_message_read(&m, bytes_of(data, size), &e) == ERR_OK) {
        for (size_t row = 0; row < m.rows && row < ROWS_LOOKED_AT; row++) {
            for (size_t column = 0; column < m.column_count; column++) {
                sum += look_at(&m, column, row);
            }
            for (size_t tag = 0; tag <= m.tag_count; tag++) {
                struct bytes text = {0};
                sum += scan_tag(&m, row, tag, &text) && text.size > 0 ? text.data[0] : 0;
            }
        }
    } else {
        CHECK(e.code == ERR_CORRUPT);
    }
    scan_message_deinit(&m);
    return sum == SIZE_MAX ? 1 : 0;
}
