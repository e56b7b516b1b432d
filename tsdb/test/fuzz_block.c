/* SPDX-License-Identifier: Apache-2.0 */
/* A block of any bytes, its size and checksum made right: refused, or rows that
 * can be encoded and decoded again to the same. */
#include "base/crc32c.h"
#include "tsdb/block.h"
#include "tsdb/test/random_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct rows *rows, const struct block_header *h, struct table *t)
{
    struct buf b = {0};
    struct rows decoded;
    struct block_header again;
    rows_init(&decoded, t, all_places, EXAMPLE_COLUMNS);
    block_encode(h->series_id, rows, 0, rows->count, &b);
    enum err_code code = block_decode(buf_bytes(&b), &again, &decoded, NULL);
    CHECK(code == ERR_OK);
    CHECK(same_rows(rows, &decoded));
    rows_deinit(&decoded);
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct table *t = example_table();
    struct rows rows;
    struct block_header h;
    struct err e = {0};
    rows_init(&rows, t, all_places, EXAMPLE_COLUMNS);
    struct buf b = {0};
    buf_put(&b, data, size);
    if (size >= 9) {
        bytes_put_u32(b.data, (uint32_t)size);
        bytes_put_u32(b.data + 4, crc32c(0, b.data + 8, size - 8));
        b.data[8] = BLOCK_VERSION;
    }
    if (block_decode(buf_bytes(&b), &h, &rows, &e) == ERR_OK) {
        CHECK(rows.count == h.row_count);
        check_again(&rows, &h, t);
    } else {
        CHECK(e.text[0] != '\0');
        CHECK(rows.count == 0);
    }
    buf_deinit(&b);
    rows_deinit(&rows);
    table_unref(t);
    return 0;
}
