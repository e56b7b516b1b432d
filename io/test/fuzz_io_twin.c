/* SPDX-License-Identifier: Apache-2.0 */
/* A twin whose two files hold anything: it is refused, or from then on both
 * copies hold what it answered. The first byte of the input says which copies
 * get a checksum that matches, so that headers are reached that chance would
 * not find; the rest is the two copies, half each. */
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "io/io_twin.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"

enum { MAGIC = 0x31535754, OFFSET_SIZE = 16, OFFSET_CRC = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_checksum_match(uint8_t *copy, size_t size)
{
    if (size < IO_TWIN_HEADER_SIZE) {
        return;
    }
    uint32_t payload_size = bytes_get_u32(copy + OFFSET_SIZE);
    if (payload_size <= size - IO_TWIN_HEADER_SIZE) {
        uint32_t crc = crc32c(0, copy, OFFSET_CRC);
        bytes_put_u32(copy + OFFSET_CRC, crc32c(crc, copy + IO_TWIN_HEADER_SIZE, payload_size));
    }
}

static void make_copy(struct io *io, const char *path, struct bytes content, bool checksum)
{
    uint8_t *copy = mem_dup(content.data, content.size);
    if (checksum) {
        make_checksum_match(copy, content.size);
    }
    struct file *file = NULL;
    struct bytes part = bytes_of(copy, content.size);
    CHECK(io_open(io, path, IO_WRITE | IO_CREATE, &file, NULL) == ERR_OK);
    CHECK(file_write_at(file, 0, &part, 1, NULL) == ERR_OK);
    file_close(file);
    mem_free(copy);
}

static void check_copies_are_the_same(const struct fake_disk *disk)
{
    static uint8_t copies[2][IO_TWIN_SIZE + 1];
    size_t size = fake_disk_peek_platter(disk, "t.0", 0, copies[0], sizeof copies[0]);
    CHECK(size >= IO_TWIN_SIZE);
    CHECK(fake_disk_peek_platter(disk, "t.1", 0, copies[1], sizeof copies[1]) >= IO_TWIN_SIZE);
    CHECK(memcmp(copies[0], copies[1], IO_TWIN_SIZE) == 0);
}

static void check_answer(struct fake_disk *disk, struct io_twin *twin)
{
    struct bytes payload = io_twin_payload(twin);
    CHECK(payload.size <= IO_TWIN_SIZE - IO_TWIN_HEADER_SIZE);
    check_copies_are_the_same(disk);
    struct buf answer = {0};
    buf_put_bytes(&answer, payload);
    io_twin_close(twin);

    fake_disk_power_fail_lose_all(disk);
    struct io_twin *again = NULL;
    CHECK(io_twin_open(fake_disk_io(disk), "/", "t", MAGIC, &again, NULL) == ERR_OK);
    CHECK(io_twin_bad_copies(again) == 0);
    CHECK(bytes_equal(io_twin_payload(again), buf_bytes(&answer)));
    CHECK(io_twin_write(again, bytes_str("next"), NULL) == ERR_OK);
    io_twin_close(again);
    check_copies_are_the_same(disk);
    buf_deinit(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct fake_disk *disk = fake_disk_create(1);
    struct io *io = fake_disk_io(disk);
    size_t half = (size - 1) / 2;
    make_copy(io, "t.0", bytes_of(data + 1, half), (data[0] & 1) != 0);
    make_copy(io, "t.1", bytes_of(data + 1 + half, size - 1 - half), (data[0] & 2) != 0);

    struct io_twin *twin = NULL;
    struct err e;
    enum err_code code = io_twin_open(io, "/", "t", MAGIC, &twin, &e);
    if (code == ERR_OK) {
        check_answer(disk, twin);
    } else {
        CHECK(code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        CHECK(twin == NULL);
    }
    fake_disk_destroy(disk);
    return 0;
}
