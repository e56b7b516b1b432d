/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_set.h"

static const struct wal_layout layout = {64 * 1024, 1};

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct wal_set set;
    struct err err;
};

static void fixture_init(struct fixture *f, uint64_t first)
{
    *f = (struct fixture){.disk = fake_disk_create(1)};
    f->io = fake_disk_io(f->disk);
    REQUIRE_OK(io_mkdir(f->io, "log", &f->err));
    wal_set_init(&f->set, f->io, "log", &layout, first);
}

static void fixture_deinit(struct fixture *f)
{
    wal_set_deinit(&f->set);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

/* Adds the next number with a file that holds it, not open. */
static void push(struct fixture *f, uint32_t timeline)
{
    const struct wal_set_item item = {.timeline = timeline, .present = true};
    wal_set_push(&f->set, &item);
    uint64_t number = wal_set_last(&f->set);
    char path[IO_PATH_MAX];
    uint8_t bytes[8];
    struct file *file;
    bytes_put_u64(bytes, number);
    struct bytes part = bytes_of(bytes, sizeof bytes);
    REQUIRE_OK(wal_set_path(&f->set, number, path, &f->err));
    REQUIRE_OK(io_open(f->io, path, IO_WRITE | IO_CREATE, &file, &f->err));
    REQUIRE_OK(file_write_at(file, 0, &part, 1, &f->err));
    file_close(file);
}

/* The number that the file of a segment holds. */
static uint64_t read_number(struct fixture *f, uint64_t number)
{
    struct file *file = NULL;
    uint8_t bytes[8] = {0};
    REQUIRE_OK(wal_set_file(&f->set, number, &file, &f->err));
    REQUIRE_OK(file_read_exact(file, 0, bytes, sizeof bytes, &f->err));
    return bytes_get_u64(bytes);
}

TEST(wal_set, an_empty_set_ends_before_its_first)
{
    struct fixture f;
    fixture_init(&f, 5);
    EXPECT_UINT(f.set.first, 5);
    EXPECT_UINT(wal_set_last(&f.set), 4);
    EXPECT_UINT(f.set.count, 0);
    fixture_deinit(&f);
}

TEST(wal_set, numbers_rise_by_one_with_each_push)
{
    struct fixture f;
    fixture_init(&f, 5);
    for (uint64_t number = 5; number < 50; number++) {
        push(&f, 3);
        EXPECT_UINT(wal_set_last(&f.set), number);
        EXPECT_UINT(wal_set_at(&f.set, number)->timeline, 3);
    }
    EXPECT_UINT(f.set.first, 5);
    fixture_deinit(&f);
}

TEST(wal_set, each_file_is_that_of_its_number)
{
    struct fixture f;
    fixture_init(&f, 9);
    for (unsigned i = 0; i < 100; i++) {
        push(&f, 1);
    }
    for (uint64_t number = 9; number < 109; number++) {
        EXPECT_UINT(read_number(&f, number), number);
    }
    for (uint64_t number = 108; number >= 9; number--) {
        EXPECT_UINT(read_number(&f, number), number);
    }
    fixture_deinit(&f);
}

TEST(wal_set, few_files_are_open_however_many_there_are)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (unsigned i = 0; i < 200; i++) {
        push(&f, 1);
    }
    for (uint64_t n = 0; n < 1000; n++) {
        uint64_t number = 1 + n * 37 % 200;
        EXPECT_UINT(read_number(&f, number), number);
        EXPECT(f.set.open_files <= WAL_SET_OPEN_FILES_MAX);
        EXPECT_UINT(fake_disk_open_files(f.disk), f.set.open_files);
    }
    EXPECT_UINT(f.set.open_files, WAL_SET_OPEN_FILES_MAX);
    fixture_deinit(&f);
}

/* The writer holds on to the last file between two calls. */
TEST(wal_set, the_last_file_stays_open)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (unsigned i = 0; i < 100; i++) {
        push(&f, 1);
    }
    struct file *last = NULL;
    struct file *again = NULL;
    REQUIRE_OK(wal_set_file(&f.set, 100, &last, &f.err));
    for (uint64_t number = 1; number < 100; number++) {
        (void)read_number(&f, number);
        EXPECT(wal_set_at(&f.set, 100)->file == last);
    }
    REQUIRE_OK(wal_set_file(&f.set, 100, &again, &f.err));
    EXPECT(again == last);
    fixture_deinit(&f);
}

TEST(wal_set, the_file_used_longest_ago_is_closed)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (unsigned i = 0; i < WAL_SET_OPEN_FILES_MAX + 2; i++) {
        push(&f, 1);
    }
    for (uint64_t number = 1; number <= WAL_SET_OPEN_FILES_MAX; number++) {
        (void)read_number(&f, number);
    }
    (void)read_number(&f, 1); /* now 2 is the oldest */
    (void)read_number(&f, WAL_SET_OPEN_FILES_MAX + 1);
    EXPECT(wal_set_at(&f.set, 1)->file != NULL);
    EXPECT(wal_set_at(&f.set, 2)->file == NULL);
    EXPECT(wal_set_at(&f.set, 3)->file != NULL);
    fixture_deinit(&f);
}

TEST(wal_set, shift_takes_the_first_and_closes_it)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (unsigned i = 0; i < 10; i++) {
        push(&f, 1);
        (void)read_number(&f, i + 1);
    }
    for (uint64_t first = 2; first <= 10; first++) {
        wal_set_shift(&f.set);
        EXPECT_UINT(f.set.first, first);
        EXPECT_UINT(wal_set_last(&f.set), 10);
        EXPECT_UINT(f.set.open_files, 11 - first);
        EXPECT_UINT(fake_disk_open_files(f.disk), f.set.open_files);
        EXPECT_UINT(read_number(&f, first), first);
    }
    fixture_deinit(&f);
}

TEST(wal_set, a_window_that_moves_on_takes_no_more_memory)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (unsigned i = 0; i < 4; i++) {
        push(&f, 1);
    }
    for (unsigned i = 0; i < 500; i++) {
        push(&f, 1);
        wal_set_shift(&f.set);
        EXPECT_UINT(f.set.count, 4);
    }
    EXPECT(f.set.capacity < 64);
    for (uint64_t number = f.set.first; number <= wal_set_last(&f.set); number++) {
        EXPECT_UINT(read_number(&f, number), number);
    }
    fixture_deinit(&f);
}

TEST(wal_set, clear_starts_again_elsewhere)
{
    struct fixture f;
    fixture_init(&f, 1);
    for (unsigned i = 0; i < 5; i++) {
        push(&f, 1);
        (void)read_number(&f, i + 1);
    }
    wal_set_clear(&f.set, 70);
    EXPECT_UINT(f.set.count, 0);
    EXPECT_UINT(f.set.open_files, 0);
    EXPECT_UINT(wal_set_last(&f.set), 69);
    push(&f, 2);
    EXPECT_UINT(read_number(&f, 70), 70);
    fixture_deinit(&f);
}

TEST(wal_set, push_takes_an_open_file)
{
    struct fixture f;
    fixture_init(&f, 1);
    struct wal_set_item item = {.timeline = 1, .present = true};
    REQUIRE_OK(io_open(f.io, "log/x", IO_WRITE | IO_CREATE, &item.file, &f.err));
    wal_set_push(&f.set, &item);
    EXPECT_UINT(f.set.open_files, 1);
    struct file *file = NULL;
    REQUIRE_OK(wal_set_file(&f.set, 1, &file, &f.err));
    EXPECT(file == item.file);
    fixture_deinit(&f);
}

TEST(wal_set, a_missing_file_is_told_by_its_name)
{
    struct fixture f;
    fixture_init(&f, 1);
    const struct wal_set_item missing = {.timeline = 1};
    wal_set_push(&f.set, &missing);
    struct file *file = NULL;
    EXPECT_ERR(wal_set_file(&f.set, 1, &file, &f.err), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.err.text, "log/000000010000000000000001");
    EXPECT(file == NULL);
    EXPECT_UINT(f.set.open_files, 0);
    fixture_deinit(&f);
}

TEST(wal_set, a_file_that_does_not_open_is_asked_for_again)
{
    struct fixture f;
    fixture_init(&f, 1);
    push(&f, 1);
    struct file *file = NULL;
    fake_disk_fail_next(f.disk, FAKE_DISK_OPEN, ERR_IO);
    EXPECT_ERR(wal_set_file(&f.set, 1, &file, &f.err), ERR_IO);
    EXPECT_UINT(f.set.open_files, 0);
    EXPECT_UINT(read_number(&f, 1), 1);
    fixture_deinit(&f);
}

TEST(wal_set, paths_have_the_timeline_of_their_segment)
{
    struct fixture f;
    fixture_init(&f, 0x10000);
    push(&f, 1);
    push(&f, 2);
    char path[IO_PATH_MAX];
    REQUIRE_OK(wal_set_path(&f.set, 0x10000, path, &f.err));
    EXPECT_STR(path, "log/000000010000000100000000");
    REQUIRE_OK(wal_set_path(&f.set, 0x10001, path, &f.err));
    EXPECT_STR(path, "log/000000020000000100000001");
    fixture_deinit(&f);
}

static void at_below(void *arg)
{
    struct wal_set *s = arg;
    (void)wal_set_at(s, s->first - 1);
}

static void at_above(void *arg)
{
    struct wal_set *s = arg;
    (void)wal_set_at(s, s->first + s->count);
}

static void shift_empty(void *arg)
{
    struct wal_set *s = arg;
    wal_set_clear(s, 1);
    wal_set_shift(s);
}

TEST(wal_set, a_number_outside_stops_the_process)
{
    struct fixture f;
    fixture_init(&f, 5);
    push(&f, 1);
    EXPECT_DIES(at_below, &f.set, "number");
    EXPECT_DIES(at_above, &f.set, "number");
    EXPECT_DIES(shift_empty, &f.set, "count");
    fixture_deinit(&f);
}
