/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_side.h"

enum { LOG_KEY = 77, SEGMENT = 3, PAYLOAD_MAX = 200 * 1024 };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct file *file;
    struct wal_side_list list;
    uint64_t end;
    struct err err;
};

static uint8_t payload[PAYLOAD_MAX];

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.disk = fake_disk_create(1)};
    f->io = fake_disk_io(f->disk);
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(i * 7 + 1);
    }
    REQUIRE_OK(io_open(f->io, "x.side", IO_WRITE | IO_CREATE, &f->file, &f->err));
    REQUIRE_OK(io_sync_dir(f->io, ".", &f->err));
}

static void fixture_deinit(struct fixture *f)
{
    wal_side_list_deinit(&f->list);
    file_close(f->file);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static struct wal_record record_of(uint64_t index)
{
    return (struct wal_record){.type = WAL_RECORD_COMMAND,
                               .log_key = LOG_KEY,
                               .index = index,
                               .term = index + 100,
                               .frame = index * 8,
                               .lsn = 8000 + index * 8};
}

static enum err_code append(struct fixture *f, uint64_t index, size_t size)
{
    struct wal_record r = record_of(index);
    enum err_code code = wal_side_append(f->file, f->end, &r, bytes_of(payload, size), &f->err);
    if (code == ERR_OK) {
        f->end += wal_record_span((uint32_t)size);
    }
    return code;
}

static enum err_code load(struct fixture *f)
{
    f->list.count = 0;
    return wal_side_load(f->file, SEGMENT, LOG_KEY, &f->list, &f->end, &f->err);
}

static bool loaded(const struct fixture *f, uint64_t index)
{
    for (size_t i = 0; i < f->list.count; i++) {
        if (f->list.items[i].record.index == index) {
            return true;
        }
    }
    return false;
}

TEST(wal_side, an_empty_file_has_no_entries)
{
    struct fixture f;
    fixture_init(&f);
    EXPECT_OK(load(&f));
    EXPECT_UINT(f.list.count, 0);
    EXPECT_UINT(f.end, 0);
    fixture_deinit(&f);
}

TEST(wal_side, what_is_appended_is_loaded)
{
    static const size_t sizes[] = {0, 1, 7, 8, 96, 511, 4096, 65536, 65537, PAYLOAD_MAX};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    struct fixture f;
    fixture_init(&f);
    uint64_t offsets[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        offsets[i] = f.end;
        REQUIRE_OK(append(&f, i + 1, sizes[i]));
    }
    uint64_t end = f.end;
    REQUIRE_OK(load(&f));
    EXPECT_UINT(f.end, end);
    REQUIRE_UINT(f.list.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const struct wal_record *r = &f.list.items[i].record;
        test_context("entry %zu", i);
        EXPECT_UINT(f.list.items[i].segment, SEGMENT);
        EXPECT_UINT(r->index, i + 1);
        EXPECT_UINT(r->term, i + 101);
        EXPECT_UINT(r->size, sizes[i]);
        EXPECT_UINT(r->size_plain, sizes[i]);
        EXPECT_UINT(r->sequence, offsets[i]);
        EXPECT_UINT(r->frame, (i + 1) * 8);
        EXPECT_UINT(r->flags, WAL_RECORD_SIDE);
        EXPECT_UINT(r->payload_crc, crc32c(0, payload, sizes[i]));
    }
    fixture_deinit(&f);
}

/* safety.md A8: written, synced, read back, then counted. */
TEST(wal_side, an_entry_survives_a_power_failure_that_keeps_nothing)
{
    struct fixture f;
    fixture_init(&f);
    REQUIRE_OK(append(&f, 1, 5000));
    fake_disk_power_fail_lose_all(f.disk);
    file_close(f.file);
    REQUIRE_OK(io_open(f.io, "x.side", IO_WRITE, &f.file, &f.err));
    REQUIRE_OK(load(&f));
    EXPECT(loaded(&f, 1));
    fixture_deinit(&f);
}

TEST(wal_side, every_byte_of_damage_loses_its_entry_and_no_other)
{
    enum { SIZE = 40 };
    struct fixture f;
    fixture_init(&f);
    for (uint64_t i = 1; i <= 3; i++) {
        REQUIRE_OK(append(&f, i, SIZE));
    }
    uint64_t span = wal_record_span(SIZE);
    for (uint64_t at = 0; at < 3 * span; at++) {
        fake_disk_flip_bit(f.disk, "x.side", at, (unsigned)(at % 8));
        REQUIRE_OK(load(&f));
        test_context("byte %u", (unsigned)at);
        for (uint64_t i = 1; i <= 3; i++) {
            EXPECT(loaded(&f, i) == (at / span != i - 1));
        }
        fake_disk_flip_bit(f.disk, "x.side", at, (unsigned)(at % 8));
    }
    fixture_deinit(&f);
}

TEST(wal_side, a_file_cut_anywhere_keeps_the_entries_before_the_cut)
{
    enum { SIZE = 40 };
    uint64_t span = wal_record_span(SIZE);
    for (uint64_t size = 0; size <= 3 * span; size++) {
        struct fixture f;
        fixture_init(&f);
        for (uint64_t i = 1; i <= 3; i++) {
            REQUIRE_OK(append(&f, i, SIZE));
        }
        fake_disk_truncate(f.disk, "x.side", size);
        REQUIRE_OK(load(&f));
        test_context("cut at %u", (unsigned)size);
        EXPECT_UINT(f.list.count, size / span);
        fixture_deinit(&f);
    }
}

TEST(wal_side, a_damaged_payload_still_takes_its_place)
{
    struct fixture f;
    fixture_init(&f);
    REQUIRE_OK(append(&f, 1, 100));
    uint64_t end = f.end;
    fake_disk_flip_bit(f.disk, "x.side", WAL_RECORD_HEADER_SIZE + 50, 1);
    REQUIRE_OK(load(&f));
    EXPECT_UINT(f.list.count, 0);
    EXPECT_UINT(f.end, end); /* the next one goes behind it */
    REQUIRE_OK(append(&f, 2, 100));
    REQUIRE_OK(load(&f));
    EXPECT(loaded(&f, 2));
    fixture_deinit(&f);
}

TEST(wal_side, records_that_are_not_of_this_place_do_not_count)
{
    static const struct {
        const char *what;
        struct wal_record record;
    } cases[] = {
        {"another log", {.type = WAL_RECORD_COMMAND, .flags = WAL_RECORD_SIDE, .log_key = 78}},
        {"a segment's record", {.type = WAL_RECORD_COMMAND, .log_key = LOG_KEY}},
        {"another place",
         {.type = WAL_RECORD_COMMAND, .flags = WAL_RECORD_SIDE, .log_key = LOG_KEY, .sequence = 8}},
        {"no entry", {.type = WAL_RECORD_MARK, .flags = WAL_RECORD_SIDE, .log_key = LOG_KEY}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct wal_record r = cases[i].record;
        uint8_t header[WAL_RECORD_HEADER_SIZE];
        r.lsn = 8000;
        r.index = 5;
        wal_record_encode(&r, header);
        struct bytes part = bytes_of(header, sizeof header);
        REQUIRE_OK(file_write_at(f.file, 0, &part, 1, &f.err));
        REQUIRE_OK(load(&f));
        test_context("%s", cases[i].what);
        EXPECT_UINT(f.list.count, 0);
        fixture_deinit(&f);
    }
}

/* --- failures --- */

TEST(wal_side, a_failed_write_or_sync_or_read_is_told)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_WRITE, FAKE_DISK_SYNC, FAKE_DISK_READ};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        fake_disk_fail_next(f.disk, calls[i], ERR_IO);
        test_context("call %d", (int)calls[i]);
        EXPECT_ERR(append(&f, 1, 100), ERR_IO);
        EXPECT_OK(append(&f, 1, 100));
        REQUIRE_OK(load(&f));
        EXPECT(loaded(&f, 1));
        fixture_deinit(&f);
    }
}

TEST(wal_side, an_entry_that_does_not_read_back_is_not_filled)
{
    struct fixture f;
    fixture_init(&f);
    /* The second read is that of the payload. */
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_READ, .nth = 2, .code = ERR_OK, .done = 10});
    EXPECT_ERR(append(&f, 9, 100), ERR_IO);
    EXPECT_CONTAINS(f.err.text, "entry 9");
    fixture_deinit(&f);
}

TEST(wal_side, a_size_that_cannot_be_had_is_an_error)
{
    struct fixture f;
    fixture_init(&f);
    fake_disk_fail_next(f.disk, FAKE_DISK_SIZE, ERR_IO);
    EXPECT_ERR(load(&f), ERR_IO);
    fake_disk_fail_next(f.disk, FAKE_DISK_SIZE, ERR_IO);
    EXPECT_ERR(wal_side_settle(f.file, &f.err), ERR_IO);
    EXPECT_OK(wal_side_settle(f.file, &f.err));
    fixture_deinit(&f);
}

/* --- settle --- */

/* safety.md A6: killed between write and sync, the cache shows what no disk has. */
TEST(wal_side, settle_makes_durable_what_was_only_in_memory)
{
    struct fixture f;
    fixture_init(&f);
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_SYNC, .nth = 1, .code = ERR_IO, .done = 0});
    EXPECT_ERR(append(&f, 1, 3000), ERR_IO);
    REQUIRE_OK(load(&f));
    EXPECT(loaded(&f, 1)); /* seen, and yet not safe */
    EXPECT_OK(wal_side_settle(f.file, &f.err));
    fake_disk_power_fail_lose_all(f.disk);
    file_close(f.file);
    REQUIRE_OK(io_open(f.io, "x.side", IO_WRITE, &f.file, &f.err));
    REQUIRE_OK(load(&f));
    EXPECT(loaded(&f, 1));
    fixture_deinit(&f);
}

TEST(wal_side, settle_tells_of_a_failed_write_or_sync)
{
    struct fixture f;
    fixture_init(&f);
    REQUIRE_OK(append(&f, 1, 3000));
    fake_disk_fail_next(f.disk, FAKE_DISK_WRITE, ERR_IO);
    EXPECT_ERR(wal_side_settle(f.file, &f.err), ERR_IO);
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(wal_side_settle(f.file, &f.err), ERR_IO);
    fixture_deinit(&f);
}

/* --- the list --- */

TEST(wal_side, entries_are_sorted_by_position_then_index)
{
    static const uint64_t keys[][2] = {{5, 1}, {1, 9}, {5, 0}, {3, 3}, {1, 2}, {9, 1}, {1, 1}};
    enum { COUNT = sizeof keys / sizeof keys[0] };
    struct wal_side_list list = {
        .items = mem_alloc(COUNT * sizeof *list.items), .count = COUNT, .capacity = COUNT};
    for (size_t i = 0; i < COUNT; i++) {
        list.items[i] = (struct wal_side_entry){.record = {.lsn = keys[i][0], .index = keys[i][1]}};
    }
    wal_side_list_sort(&list);
    for (size_t i = 1; i < COUNT; i++) {
        const struct wal_record *a = &list.items[i - 1].record;
        const struct wal_record *b = &list.items[i].record;
        EXPECT(a->lsn < b->lsn || (a->lsn == b->lsn && a->index < b->index));
    }
    wal_side_list_deinit(&list);
    wal_side_list_sort(&list);
    EXPECT_UINT(list.count, 0);
}

TEST(wal_side, a_path_is_that_of_the_segment_and_a_suffix)
{
    char path[IO_PATH_MAX];
    char base[IO_PATH_MAX];
    struct err e;
    EXPECT_OK(wal_side_path("log/000000010000000000000001", path, &e));
    EXPECT_STR(path, "log/000000010000000000000001.side");
    memset(base, 'x', sizeof base);
    base[IO_PATH_MAX - 6] = '\0';
    EXPECT_OK(wal_side_path(base, path, &e));
    base[IO_PATH_MAX - 6] = 'x';
    base[IO_PATH_MAX - 5] = '\0';
    EXPECT_ERR(wal_side_path(base, path, &e), ERR_RANGE);
}
