/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32c.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_reader.h"

enum { SIZE = 4 * 1024 * 1024, SECTOR = 512 };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct file *file;
    struct wal_reader reader;
    struct err err;
    uint8_t content[SIZE];
};

static struct fixture fixture;

/* A file of 'size' bytes; no byte is zero or poison. */
static struct fixture *fixture_open(size_t size)
{
    struct fixture *f = &fixture;
    f->disk = fake_disk_create(1);
    f->io = fake_disk_io(f->disk);
    for (size_t i = 0; i < SIZE; i++) {
        f->content[i] = (uint8_t)(1 + (i / 3 + i / 4096) % 200);
    }
    struct bytes part = bytes_of(f->content, size);
    REQUIRE_OK(io_open(f->io, "file", IO_WRITE | IO_CREATE, &f->file, &f->err));
    if (size > 0) {
        REQUIRE_OK(file_write_at(f->file, 0, &part, 1, &f->err));
    }
    wal_reader_init(&f->reader);
    REQUIRE_OK(wal_reader_start(&f->reader, f->file, SIZE, &f->err));
    return f;
}

static void fixture_close(struct fixture *f)
{
    wal_reader_deinit(&f->reader);
    file_close(f->file);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static bool poison(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (p[i] != WAL_READER_POISON) {
            return false;
        }
    }
    return true;
}

TEST(wal_reader, every_range_reads_as_it_is)
{
    static const size_t sizes[] = {0, 1, 8, 96, 511, 512, 4096, 4097, WAL_READER_SPAN_MAX};
    struct fixture *f = fixture_open(SIZE);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint64_t at = 0; at + sizes[i] <= SIZE; at += 77777) {
            const uint8_t *p = wal_reader_at(&f->reader, at, sizes[i]);
            test_context("%zu bytes at %zu", sizes[i], (size_t)at);
            EXPECT_MEM(p, f->content + at, sizes[i]);
        }
    }
    EXPECT_MEM(wal_reader_at(&f->reader, SIZE - 96, 96), f->content + SIZE - 96, 96);
    EXPECT(wal_reader_complete(&f->reader));
    EXPECT_UINT(f->reader.unreadable, 0);
    fixture_close(f);
}

TEST(wal_reader, reading_backwards_is_fine)
{
    struct fixture *f = fixture_open(SIZE);
    for (uint64_t at = SIZE - 1024; at > 100000; at -= 99999) {
        test_context("at %zu", (size_t)at);
        EXPECT_MEM(wal_reader_at(&f->reader, at, 1024), f->content + at, 1024);
    }
    fixture_close(f);
}

TEST(wal_reader, a_window_is_read_at_once)
{
    struct fixture *f = fixture_open(SIZE);
    uint64_t before = fake_disk_calls_of(f->disk, FAKE_DISK_READ);
    for (uint64_t at = 0; at < SIZE; at += 4096) {
        (void)wal_reader_at(&f->reader, at, 4096);
    }
    EXPECT_UINT(fake_disk_calls_of(f->disk, FAKE_DISK_READ) - before,
                SIZE / WAL_READER_WINDOW_SIZE);
    fixture_close(f);
}

/* safety.md A7: what a short file lacks is lost, not the end of the log. */
TEST(wal_reader, behind_the_end_of_a_short_file_is_poison)
{
    static const size_t sizes[] = {0, 1, 100, 511, 512, 4096, 100000, SIZE / 2, SIZE - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture *f = fixture_open(sizes[i]);
        size_t there = sizes[i] < 64 ? sizes[i] : 64;
        test_context("file of %zu", sizes[i]);
        EXPECT(!wal_reader_complete(&f->reader));
        EXPECT_UINT(f->reader.file_size, sizes[i]);
        EXPECT_MEM(wal_reader_at(&f->reader, sizes[i] - there, there),
                   f->content + sizes[i] - there, there);
        size_t rest = SIZE - sizes[i] < 5000 ? SIZE - sizes[i] : 5000;
        EXPECT(poison(wal_reader_at(&f->reader, sizes[i], rest), rest));
        EXPECT(poison(wal_reader_at(&f->reader, SIZE - 1, 1), 1));
        fixture_close(f);
    }
}

TEST(wal_reader, a_file_that_is_too_long_is_read_up_to_the_segment)
{
    struct fixture *f = fixture_open(SIZE);
    REQUIRE_OK(file_resize(f->file, SIZE + 4096, &f->err));
    REQUIRE_OK(wal_reader_start(&f->reader, f->file, SIZE, &f->err));
    EXPECT(wal_reader_complete(&f->reader));
    EXPECT_UINT(f->reader.file_size, SIZE);
    fixture_close(f);
}

TEST(wal_reader, a_missing_file_is_all_poison)
{
    struct fixture *f = fixture_open(SIZE);
    REQUIRE_OK(wal_reader_start(&f->reader, NULL, SIZE, &f->err));
    EXPECT(!wal_reader_complete(&f->reader));
    for (uint64_t at = 0; at < SIZE; at += WAL_READER_SPAN_MAX) {
        EXPECT(poison(wal_reader_at(&f->reader, at, WAL_READER_SPAN_MAX), WAL_READER_SPAN_MAX));
    }
    EXPECT_UINT(wal_reader_next_nonzero(&f->reader, 0), 0);
    fixture_close(f);
}

TEST(wal_reader, a_size_that_cannot_be_had_is_an_error)
{
    struct fixture *f = fixture_open(SIZE);
    fake_disk_fail_next(f->disk, FAKE_DISK_SIZE, ERR_IO);
    EXPECT_ERR(wal_reader_start(&f->reader, f->file, SIZE, &f->err), ERR_IO);
    EXPECT_OK(wal_reader_start(&f->reader, f->file, SIZE, &f->err));
    fixture_close(f);
}

/* --- sectors that can't be read --- */

TEST(wal_reader, one_bad_sector_costs_no_other)
{
    static const uint64_t bad[] = {0, 1, 7, 8, 2047, 2048, 4000, SIZE / SECTOR - 1};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fixture *f = fixture_open(SIZE);
        fake_disk_read_error(f->disk, "file", bad[i] * SECTOR, SECTOR);
        test_context("sector %u", (unsigned)bad[i]);
        for (uint64_t sector = bad[i] < 9 ? 0 : bad[i] - 9;
             sector < SIZE / SECTOR && sector < bad[i] + 9; sector++) {
            const uint8_t *p = wal_reader_at(&f->reader, sector * SECTOR, SECTOR);
            if (sector == bad[i]) {
                EXPECT(poison(p, SECTOR));
            } else {
                EXPECT_MEM(p, f->content + sector * SECTOR, SECTOR);
            }
        }
        EXPECT(f->reader.unreadable >= SECTOR);
        EXPECT(wal_reader_complete(&f->reader));
        fixture_close(f);
    }
}

/* A read error must never look like the zeros behind the end of the log. */
TEST(wal_reader, a_bad_sector_among_zeros_is_not_zero)
{
    struct fixture *f = fixture_open(SIZE);
    fake_disk_zero(f->disk, "file", 0, SIZE);
    fake_disk_read_error(f->disk, "file", UINT64_C(1000) * SECTOR, SECTOR);
    EXPECT_UINT(wal_reader_next_nonzero(&f->reader, 0), 1000 * SECTOR);
    EXPECT_UINT(wal_reader_next_nonzero(&f->reader, 1001 * SECTOR), SIZE);
    EXPECT(!wal_reader_zero_sector(&f->reader, UINT64_C(1000) * SECTOR, SECTOR));
    EXPECT(wal_reader_zero_sector(&f->reader, UINT64_C(999) * SECTOR, SECTOR));
    fixture_close(f);
}

/* --- zeros --- */

TEST(wal_reader, the_next_byte_that_is_not_zero_is_found_wherever_it_is)
{
    static const uint64_t places[] = {
        0,       1,       7,        8,        511,    512,
        4095,    4096,    65535,    65536,    131071, (1 << 20) - 1,
        1 << 20, 3000001, SIZE - 2, SIZE - 1,
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct fixture *f = fixture_open(SIZE);
        const uint8_t one = 1;
        fake_disk_zero(f->disk, "file", 0, SIZE);
        fake_disk_overwrite(f->disk, "file", places[i], bytes_of(&one, 1));
        test_context("at %zu", (size_t)places[i]);
        EXPECT_UINT(wal_reader_next_nonzero(&f->reader, 0), places[i]);
        EXPECT_UINT(wal_reader_next_nonzero(&f->reader, places[i]), places[i]);
        EXPECT_UINT(wal_reader_next_nonzero(&f->reader, places[i] + 1), SIZE);
        fixture_close(f);
    }
}

TEST(wal_reader, nothing_is_found_among_zeros_or_at_the_end)
{
    struct fixture *f = fixture_open(SIZE);
    EXPECT_UINT(wal_reader_next_nonzero(&f->reader, SIZE), SIZE);
    fake_disk_zero(f->disk, "file", 0, SIZE);
    REQUIRE_OK(wal_reader_start(&f->reader, f->file, SIZE, &f->err));
    EXPECT_UINT(wal_reader_next_nonzero(&f->reader, 0), SIZE);
    EXPECT_UINT(wal_reader_next_nonzero(&f->reader, SIZE - 1), SIZE);
    fixture_close(f);
}

/* safety.md A4: a slot is torn only if all its bytes within one sector are zero. */
TEST(wal_reader, a_zero_sector_is_one_whose_bytes_of_the_slot_are_all_zero)
{
    static const struct {
        uint64_t zero_at;
        uint64_t zero_size;
        uint64_t slot_at;
        uint64_t slot_size;
        bool want;
    } cases[] = {
        {512, 512, 512, 512, true},    /* exactly one sector */
        {512, 511, 512, 512, false},   /* its last byte is there */
        {513, 511, 512, 512, false},   /* its first byte is there */
        {512, 512, 0, 2048, true},     /* in the middle */
        {600, 512, 0, 2048, false},    /* as many zeros, over two sectors */
        {600, 1000, 0, 2048, true},    /* enough for a whole one */
        {0, 512, 500, 100, true},      /* the slot's bytes of the first sector */
        {0, 512, 500, 12, true},       /* all of them in it */
        {512, 88, 500, 100, true},     /* the slot's bytes of the second one */
        {512, 87, 500, 100, false},    /* all but one of these */
        {0, 500, 500, 100, false},     /* zeros before the slot */
        {600, 1000, 500, 100, false},  /* zeros behind it */
        {501, 11, 500, 100, false},    /* all but the first byte of the first */
        {4096, 512, 4000, 96, false},  /* next to it */
        {4000, 96, 4000, 96, true},    /* a whole header */
        {4001, 95, 4000, 96, false},   /* a header but its first byte */
        {4096, 64, 4064, 96, true},    /* the part of a header in its second sector */
        {4064, 32, 4064, 96, true},    /* the part in its first */
        {0, 0, 0, 100000, false},      /* no zeros */
        {99328, 512, 0, 100000, true}, /* far inside */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_open(SIZE);
        if (cases[i].zero_size > 0) {
            fake_disk_zero(f->disk, "file", cases[i].zero_at, cases[i].zero_size);
        }
        test_context("case %zu", i);
        EXPECT(wal_reader_zero_sector(&f->reader, cases[i].slot_at, cases[i].slot_size) ==
               cases[i].want);
        fixture_close(f);
    }
}

/* --- crc --- */

TEST(wal_reader, the_crc_of_any_range_is_that_of_its_bytes)
{
    static const uint64_t sizes[] = {0, 1, 100, 65536, 65537, 1000000, 2500000};
    struct fixture *f = fixture_open(SIZE);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint64_t at = 0; at + sizes[i] <= SIZE; at += 1234567) {
            test_context("%zu bytes at %zu", (size_t)sizes[i], (size_t)at);
            EXPECT_UINT(wal_reader_crc(&f->reader, at, sizes[i]),
                        crc32c(0, f->content + at, (size_t)sizes[i]));
        }
    }
    fixture_close(f);
}

TEST(wal_reader, the_crc_of_a_range_with_a_bad_sector_differs)
{
    struct fixture *f = fixture_open(SIZE);
    uint32_t whole = crc32c(0, f->content, 100000);
    EXPECT_UINT(wal_reader_crc(&f->reader, 0, 100000), whole);
    fake_disk_read_error(f->disk, "file", 51200, SECTOR);
    REQUIRE_OK(wal_reader_start(&f->reader, f->file, SIZE, &f->err));
    EXPECT(wal_reader_crc(&f->reader, 0, 100000) != whole);
    fixture_close(f);
}

static void read_behind_the_segment(void *arg)
{
    (void)wal_reader_at(arg, SIZE - 8, 9);
}

static void read_too_much(void *arg)
{
    (void)wal_reader_at(arg, 0, WAL_READER_SPAN_MAX + 1);
}

TEST(wal_reader, wrong_use_stops_the_process)
{
    struct fixture *f = fixture_open(SIZE);
    EXPECT_DIES(read_behind_the_segment, &f->reader, "size");
    EXPECT_DIES(read_too_much, &f->reader, "SPAN_MAX");
    fixture_close(f);
}
