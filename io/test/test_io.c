/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <string.h>

#include "base/mem.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct err err;
};

static struct fixture fixture_open(void)
{
    struct fake_disk *disk = fake_disk_create(1);
    return (struct fixture){disk, fake_disk_io(disk), {ERR_OK, ""}};
}

static void fixture_close(struct fixture *f)
{
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

/* Whether the file is there with exactly this content. */
static bool file_is(struct fixture *f, const char *path, const char *content)
{
    struct buf got = {0};
    bool same = io_read_file(f->io, path, 4096, &got, &f->err) == ERR_OK &&
                bytes_equal(buf_bytes(&got), bytes_str(content));
    buf_deinit(&got);
    return same;
}

TEST(io, joins_paths_with_one_slash)
{
    char path[IO_PATH_MAX];
    struct err e;
    EXPECT_OK(io_join(path, "dir", "name", &e));
    EXPECT_STR(path, "dir/name");
    EXPECT_OK(io_join(path, "dir/", "name", &e));
    EXPECT_STR(path, "dir/name");
    EXPECT_OK(io_join(path, "/", "name", &e));
    EXPECT_STR(path, "/name");
}

TEST(io, refuses_a_path_that_is_too_long)
{
    char path[IO_PATH_MAX];
    char name[IO_PATH_MAX];
    struct err e;
    memset(name, 'n', sizeof name);
    name[IO_PATH_MAX - 3] = '\0';
    EXPECT_OK(io_join(path, "d", name, &e));
    EXPECT_UINT(strlen(path), IO_PATH_MAX - 1);
    name[IO_PATH_MAX - 3] = 'n';
    name[IO_PATH_MAX - 2] = '\0';
    EXPECT_ERR(io_join(path, "d", name, &e), ERR_RANGE);
    EXPECT_STR(e.text, "path of 1024 bytes is too long (at most 1023): d...");
    EXPECT_STR(path, "");
}

TEST(io, says_whether_a_name_exists)
{
    struct fixture f = fixture_open();
    bool exists = true;
    EXPECT_OK(io_exists(f.io, "a", &exists, &f.err));
    EXPECT(!exists);
    EXPECT_OK(io_mkdir(f.io, "a", &f.err));
    EXPECT_OK(io_exists(f.io, "a", &exists, &f.err));
    EXPECT(exists);
    EXPECT_OK(io_replace_file(f.io, "a", "file", bytes_str("x"), &f.err));
    EXPECT_OK(io_exists(f.io, "a/file", &exists, &f.err));
    EXPECT(exists);
    fake_disk_fail_next(f.disk, FAKE_DISK_OPEN, ERR_IO);
    EXPECT_ERR(io_exists(f.io, "a", &exists, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "a: open: injected");
    fixture_close(&f);
}

TEST(io, reads_a_whole_file_behind_what_the_buffer_has)
{
    struct fixture f = fixture_open();
    struct buf out = {0};
    buf_put_u8(&out, '>');
    EXPECT_OK(io_replace_file(f.io, "/", "a", bytes_str("hello"), &f.err));
    EXPECT_OK(io_read_file(f.io, "/a", 5, &out, &f.err));
    EXPECT(bytes_equal(buf_bytes(&out), bytes_str(">hello")));
    EXPECT_ERR(io_read_file(f.io, "/a", 4, &out, &f.err), ERR_RANGE);
    EXPECT_STR(f.err.text, "reading /a: file has 5 bytes, at most 4 are allowed");
    EXPECT_ERR(io_read_file(f.io, "/b", 4, &out, &f.err), ERR_NOT_FOUND);
    EXPECT_OK(io_replace_file(f.io, "/", "empty", bytes_of(NULL, 0), &f.err));
    EXPECT_OK(io_read_file(f.io, "/empty", 0, &out, &f.err));
    EXPECT(bytes_equal(buf_bytes(&out), bytes_str(">hello")));
    buf_deinit(&out);
    fixture_close(&f);
}

TEST(io, a_read_that_fails_leaves_the_buffer_as_it_was)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_OPEN, FAKE_DISK_SIZE, FAKE_DISK_READ};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f = fixture_open();
        struct buf out = {0};
        buf_put_u8(&out, '>');
        EXPECT_OK(io_replace_file(f.io, "/", "a", bytes_str("hello"), &f.err));
        fake_disk_fail_next(f.disk, calls[i], ERR_IO);
        EXPECT_ERR(io_read_file(f.io, "/a", 5, &out, &f.err), ERR_IO);
        EXPECT(bytes_equal(buf_bytes(&out), bytes_str(">")));
        buf_deinit(&out);
        fixture_close(&f);
    }
}

TEST(io, a_file_that_ends_early_is_corrupt)
{
    struct fixture f = fixture_open();
    struct buf out = {0};
    EXPECT_OK(io_replace_file(f.io, "/", "a", bytes_str("hello"), &f.err));
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_READ, .nth = 1, .code = ERR_OK, .done = 2});
    EXPECT_ERR(io_read_file(f.io, "/a", 5, &out, &f.err), ERR_CORRUPT);
    EXPECT_STR(f.err.text, "reading /a: file ends at 2, 3 bytes of 5 are missing");
    buf_deinit(&out);
    fixture_close(&f);
}

/* --- io_replace_file --- */

/* Replaces a shorter or longer file, stopped after 'calls' calls, then each
 * power failure of 'losses'. Returns whether it was completed. */
static bool crash_replace(const char *old, const char *new, uint64_t calls)
{
    struct random r = random_seeded(calls);
    struct fixture f = fixture_open();
    EXPECT_OK(io_replace_file(f.io, "/", "a", bytes_str(old), &f.err));
    fake_disk_stop_after(f.disk, calls);
    bool done = io_replace_file(f.io, "/", "a", bytes_str(new), &f.err) == ERR_OK;
    fake_disk_clear_faults(f.disk);
    struct fake_disk_image *image = fake_disk_snapshot(f.disk);
    for (unsigned i = 0; i < 50; i++) {
        fake_disk_restore(f.disk, image);
        fake_disk_power_fail(f.disk, &r);
        EXPECT(file_is(&f, "a", new) || (!done && file_is(&f, "a", old)));
        /* Whatever was left of the attempt, the next one works. */
        EXPECT_OK(io_replace_file(f.io, "/", "a", bytes_str("!"), &f.err));
        fake_disk_power_fail_lose_all(f.disk);
        EXPECT(file_is(&f, "a", "!"));
    }
    fake_disk_image_free(image);
    fixture_close(&f);
    return done;
}

TEST(io, a_crash_while_replacing_leaves_the_old_or_the_new_content)
{
    char large[3000];
    memset(large, 'L', sizeof large);
    large[sizeof large - 1] = '\0';
    const char *const contents[] = {"small", large, ""};
    for (size_t from = 0; from < 3; from++) {
        for (size_t to = 0; to < 3; to++) {
            uint64_t calls = 0;
            while (from != to && !crash_replace(contents[from], contents[to], calls)) {
                calls++;
            }
            /* open, resize, write, sync, rename, sync of the directory */
            EXPECT_UINT(calls, from == to ? 0 : 6);
        }
    }
}

TEST(io, a_replace_that_fails_removes_its_temporary_file)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_RESIZE, FAKE_DISK_WRITE, FAKE_DISK_SYNC,
                                                FAKE_DISK_RENAME};
    for (size_t i = 0; i < 4; i++) {
        struct fixture f = fixture_open();
        EXPECT_OK(io_replace_file(f.io, "/", "a", bytes_str("old"), &f.err));
        fake_disk_fail_next(f.disk, calls[i], ERR_NO_SPACE);
        EXPECT_ERR(io_replace_file(f.io, "/", "a", bytes_str("new"), &f.err), ERR_NO_SPACE);
        EXPECT_CONTAINS(f.err.text, "replacing /a: ");
        EXPECT_CONTAINS(f.err.text, ": injected");
        EXPECT(!fake_disk_has(f.disk, "a.tmp"));
        EXPECT(file_is(&f, "a", "old"));
        fixture_close(&f);
    }
}

TEST(io, a_replace_whose_directory_is_not_synced_has_failed)
{
    struct fixture f = fixture_open();
    EXPECT_OK(io_replace_file(f.io, "/", "a", bytes_str("old"), &f.err));
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC_DIR, ERR_IO);
    EXPECT_ERR(io_replace_file(f.io, "/", "a", bytes_str("new"), &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "replacing /a: /: fsync: injected");
    fixture_close(&f);
}

TEST(io, a_replace_needs_room_for_the_suffix_in_its_path)
{
    struct fixture f = fixture_open();
    char name[IO_PATH_MAX];
    memset(name, 'n', sizeof name);
    name[IO_PATH_MAX - 4] = '\0';
    EXPECT_ERR(io_replace_file(f.io, "/", name, bytes_str("x"), &f.err), ERR_RANGE);
    EXPECT_UINT(fake_disk_calls(f.disk), 0);
    fixture_close(&f);
}

/* --- misuse --- */

static void open_without_purpose(void *io)
{
    struct file *file = NULL;
    (void)!io_open(io, "a", IO_CREATE, &file, NULL);
}

static void create_for_reading(void *io)
{
    struct file *file = NULL;
    (void)!io_open(io, "a", IO_READ | IO_CREATE, &file, NULL);
}

static void unlink_nothing(void *io)
{
    (void)!io_unlink(io, "", NULL);
}

TEST(io, misuse_is_a_bug_that_stops_the_process)
{
    struct fixture f = fixture_open();
    EXPECT_DIES(open_without_purpose, f.io, "check failed");
    EXPECT_DIES(create_for_reading, f.io, "check failed");
    EXPECT_DIES(unlink_nothing, f.io, "check failed");
    file_close(NULL);
    fixture_close(&f);
}

/* What every disk can do: write, then sync. */
TEST(io, a_write_through_outlives_a_power_failure)
{
    struct fixture f = fixture_open();
    struct file *file = NULL;
    struct random r = random_seeded(1);
    struct bytes part = bytes_str("durable");
    REQUIRE_OK(io_open(f.io, "file", IO_WRITE | IO_CREATE, &file, &f.err));
    REQUIRE_OK(io_sync_dir(f.io, ".", &f.err));
    EXPECT_OK(file_write_through(file, 0, &part, 1, FILE_SYNC_ALL, &f.err));
    fake_disk_power_fail(f.disk, &r);
    file_close(file);
    EXPECT(file_is(&f, "file", "durable"));
    REQUIRE_OK(io_open(f.io, "file", IO_WRITE, &file, &f.err));
    fake_disk_fail(f.disk,
                   (struct fake_disk_fault){.call = FAKE_DISK_SYNC, .nth = 1, .code = ERR_IO});
    EXPECT_ERR(file_write_through(file, 0, &part, 1, FILE_SYNC_DATA, &f.err), ERR_IO);
    file_close(file);
    fixture_close(&f);
}
