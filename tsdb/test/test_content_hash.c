/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/content_hash.h"

#include "base/mem.h"
#include "base/random.h"
#include "testkit/fake_disk.h"
#include "testkit/test.h"

enum { SIZE_MAX_TESTED = 2 * CONTENT_PIECE_SIZE + 1 };

static struct hash128 hash_by(const uint8_t *data, size_t size, size_t step)
{
    struct content_hash h = {0};
    for (size_t at = 0; at < size; at += step) {
        content_hash_add(&h, bytes_of(data + at, size - at < step ? size - at : step));
    }
    struct hash128 hash = content_hash_end(&h);
    content_hash_deinit(&h);
    return hash;
}

TEST(content_hash, the_same_bytes_give_the_same_hash_however_they_come)
{
    uint8_t *data = mem_alloc(SIZE_MAX_TESTED);
    struct random random = random_seeded(1);
    for (size_t i = 0; i < SIZE_MAX_TESTED; i++) {
        data[i] = (uint8_t)random_u64(&random);
    }
    static const size_t sizes[] = {
        0, 1, CONTENT_PIECE_SIZE - 1, CONTENT_PIECE_SIZE, CONTENT_PIECE_SIZE + 1, SIZE_MAX_TESTED};
    struct fake_disk *disk = fake_disk_create(1);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct hash128 whole = hash_by(data, sizes[i], SIZE_MAX_TESTED);
        struct hash128 pieces = hash_by(data, sizes[i], 1000);
        EXPECT_UINT(pieces.low, whole.low);
        EXPECT_UINT(pieces.high, whole.high);

        struct file *file = NULL;
        struct err e;
        struct bytes part = bytes_of(data, sizes[i]);
        struct hash128 from_file = {0};
        REQUIRE_OK(io_open(fake_disk_io(disk), "f", IO_WRITE | IO_CREATE, &file, &e));
        EXPECT_OK(file_write_at(file, 0, &part, 1, &e));
        EXPECT_OK(content_hash_file(file, sizes[i], &from_file, &e));
        EXPECT_UINT(from_file.low, whole.low);
        EXPECT_ERR(content_hash_file(file, sizes[i] + 1, &from_file, &e), ERR_CORRUPT);
        file_close(file);
    }
    fake_disk_destroy(disk);
    mem_free(data);
}

/* Names of files are made of it: it may not change. */
TEST(content_hash, is_fixed)
{
    struct hash128 hash = hash_by((const uint8_t *)"tidemark", 8, 8);
    struct hash128 want = hash128_chain((struct hash128){0}, bytes_str("tidemark"));
    EXPECT_UINT(hash.low, want.low);
    EXPECT_UINT(hash.high, want.high);
    EXPECT(hash.low != 0);
}

TEST(content_hash, a_changed_byte_changes_it)
{
    uint8_t *data = mem_zalloc(SIZE_MAX_TESTED);
    struct hash128 before = hash_by(data, SIZE_MAX_TESTED, SIZE_MAX_TESTED);
    for (size_t at = 0; at < SIZE_MAX_TESTED; at += CONTENT_PIECE_SIZE) {
        data[at] = 1;
        struct hash128 after = hash_by(data, SIZE_MAX_TESTED, SIZE_MAX_TESTED);
        EXPECT(after.low != before.low || after.high != before.high);
        data[at] = 0;
    }
    mem_free(data);
}
