/* SPDX-License-Identifier: Apache-2.0 */
/* A part of any bytes, the checksums of header, index and footer made right:
 * refused, or read without a crash. */
#include "base/crc32c.h"
#include "tsdb/part.h"
#include "tsdb/test/random_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void repair(struct buf *b, struct part_info *info)
{
    if (b->size < PART_HEADER_SIZE + PART_FOOTER_SIZE) {
        return;
    }
    uint8_t *footer = b->data + b->size - PART_FOOTER_SIZE;
    uint64_t index = bytes_get_u64(footer);
    uint64_t end = b->size - PART_FOOTER_SIZE;
    if (index <= end) {
        bytes_put_u32(footer + 24, crc32c(0, b->data + index, (size_t)(end - index)));
    }
    bytes_put_u32(b->data + 60, crc32c(0, b->data, 60));
    bytes_put_u32(footer + 60, crc32c(0, footer, 60));
    info->vgroup = bytes_get_u16(b->data + 6);
    info->index_from = bytes_get_u64(b->data + 8);
    info->index_until = bytes_get_u64(b->data + 16);
    info->row_count = bytes_get_u64(footer + 16);
}

static void read_all(struct part *p, struct table *t)
{
    struct buf scratch = {0};
    struct rows rows;
    rows_init(&rows, t, all_places, 4);
    for (size_t i = 0; i < part_block_count(p); i++) {
        enum err_code code = part_read(p, i, &scratch, &rows, NULL);
        CHECK(code != ERR_OK || rows.count == part_block(p, i)->row_count);
    }
    enum err_code verified = part_verify(p, NULL);
    CHECK(verified != ERR_OK); /* its name is not its hash */
    rows_deinit(&rows);
    buf_deinit(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct table *t = example_table();
    struct fake_disk *disk = fake_disk_create(1);
    struct io *io = fake_disk_io(disk);
    struct buf b = {0};
    struct part_info info = {.hash = {1, 2}, .size = size};
    char name[PART_NAME_SIZE];
    buf_put(&b, data, size);
    repair(&b, &info);
    part_name(info.hash, name);
    enum err_code code = io_replace_file(io, "/", name, buf_bytes(&b), NULL);
    CHECK(code == ERR_OK);
    struct part *p = NULL;
    struct err e = {0};
    if (part_open(io, "/", &info, &p, &e) == ERR_OK) {
        read_all(p, t);
    } else {
        CHECK(e.text[0] != '\0');
    }
    part_close(p);
    buf_deinit(&b);
    fake_disk_destroy(disk);
    table_unref(t);
    return 0;
}
