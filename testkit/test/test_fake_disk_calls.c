/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk_calls.h"

#include <string.h>

#include "base/mem.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { SECTOR = FAKE_DISK_SECTOR_SIZE, PAGE = SPARSE_PAGE_SIZE };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct file *file; /* "a", with "0123456789" */
    struct err err;
};

static struct fixture fixture_open(void)
{
    struct fake_disk *disk = fake_disk_create(1);
    struct fixture f = {disk, fake_disk_io(disk), NULL, {ERR_OK, ""}};
    REQUIRE_OK(io_open(f.io, "a", IO_WRITE | IO_CREATE, &f.file, &f.err));
    struct bytes part = bytes_str("0123456789");
    EXPECT_OK(file_write_at(f.file, 0, &part, 1, &f.err));
    return f;
}

static void fixture_close(struct fixture *f)
{
    file_close(f->file);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static const char *text_of(struct fixture *f, const char *path, char text[64])
{
    size_t size = fake_disk_peek(f->disk, path, 0, text, 63);
    text[size] = '\0';
    return text;
}

/* --- what calls answer --- */

TEST(fake_disk_calls, refuse_what_a_file_system_refuses)
{
    struct fixture f = fixture_open();
    struct file *file = NULL;
    EXPECT_ERR(io_open(f.io, "b", IO_READ, &file, &f.err), ERR_NOT_FOUND);
    EXPECT_STR(f.err.text, "b: open: No such file or directory");
    EXPECT_ERR(io_open(f.io, "no/b", IO_WRITE | IO_CREATE, &file, &f.err), ERR_NOT_FOUND);
    EXPECT_ERR(io_open(f.io, "a", IO_WRITE | IO_CREATE | IO_EXCL, &file, &f.err), ERR_EXISTS);
    EXPECT_ERR(io_open(f.io, "a/b", IO_READ, &file, &f.err), ERR_NOT_FOUND);
    EXPECT_ERR(io_unlink(f.io, "b", &f.err), ERR_NOT_FOUND);
    EXPECT_ERR(io_rename(f.io, "b", "c", &f.err), ERR_NOT_FOUND);
    EXPECT_ERR(io_mkdir(f.io, "a", &f.err), ERR_EXISTS);
    EXPECT_ERR(io_mkdir(f.io, "no/dir", &f.err), ERR_NOT_FOUND);
    EXPECT_OK(io_mkdir(f.io, "dir", &f.err));
    EXPECT_ERR(io_open(f.io, "dir", IO_WRITE, &file, &f.err), ERR_IO);
    EXPECT_ERR(io_unlink(f.io, "dir", &f.err), ERR_IO);
    EXPECT_ERR(io_rmdir(f.io, "a", &f.err), ERR_IO);
    EXPECT_ERR(io_rename(f.io, "dir", "dir/below", &f.err), ERR_IO);
    EXPECT_ERR(io_sync_dir(f.io, "a", &f.err), ERR_IO);
    EXPECT_ERR(io_sync_dir(f.io, "no", &f.err), ERR_NOT_FOUND);
    EXPECT_OK(io_rename(f.io, "a", "dir/a", &f.err));
    EXPECT_ERR(io_rmdir(f.io, "dir", &f.err), ERR_STATE);
    EXPECT_OK(io_unlink(f.io, "dir/a", &f.err));
    EXPECT_OK(io_rmdir(f.io, "./dir/", &f.err));
    EXPECT(!fake_disk_has(f.disk, "dir"));
    fixture_close(&f);
}

TEST(fake_disk_calls, list_names_in_order_with_their_kind)
{
    struct fixture f = fixture_open();
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_OK(io_mkdir(f.io, "Z", &f.err));
    EXPECT_OK(io_list(f.io, "/", &names, &count, &f.err));
    REQUIRE_UINT(count, 2);
    EXPECT_STR(names[0].name, "Z");
    EXPECT(names[0].is_dir);
    EXPECT_STR(names[1].name, "a");
    EXPECT(!names[1].is_dir);
    mem_free(names);
    EXPECT_OK(io_list(f.io, "Z", &names, &count, &f.err));
    EXPECT_UINT(count, 0);
    EXPECT(names == NULL);
    EXPECT_ERR(io_list(f.io, "none", &names, &count, &f.err), ERR_NOT_FOUND);
    fixture_close(&f);
}

TEST(fake_disk_calls, an_unlinked_file_lives_as_long_as_it_is_open)
{
    struct fixture f = fixture_open();
    uint8_t got[4];
    size_t size = 0;
    EXPECT_OK(io_unlink(f.io, "a", &f.err));
    EXPECT_OK(file_read_at(f.file, 8, got, sizeof got, &size, &f.err));
    EXPECT_UINT(size, 2);
    EXPECT_MEM(got, "89", 2);
    EXPECT(fake_disk_used(f.disk) > 0);
    file_close(f.file);
    f.file = NULL;
    EXPECT_UINT(fake_disk_used(f.disk), 0);
    fixture_close(&f);
}

TEST(fake_disk_calls, a_lock_is_held_until_close_kill_or_power_failure)
{
    struct fixture f = fixture_open();
    struct file *locks[4] = {NULL};
    EXPECT_OK(io_lock(f.io, "lock", &locks[0], &f.err));
    EXPECT_ERR(io_lock(f.io, "lock", &locks[3], &f.err), ERR_STATE);
    EXPECT_ERR(io_lock_read(f.io, "lock", &locks[3], &f.err), ERR_STATE);
    EXPECT_ERR(io_lock_read(f.io, "no lock", &locks[3], &f.err), ERR_NOT_FOUND);
    file_close(locks[0]);
    EXPECT_OK(io_lock(f.io, "lock", &locks[1], &f.err));
    fake_disk_kill(f.disk);
    EXPECT_OK(io_lock(f.io, "lock", &locks[2], &f.err));
    file_close(locks[1]); /* of the dead process: must not release the new lock */
    EXPECT_ERR(io_lock(f.io, "lock", &locks[3], &f.err), ERR_STATE);
    fake_disk_power_fail_keep_all(f.disk);
    EXPECT_OK(io_lock(f.io, "lock", &locks[3], &f.err));
    file_close(locks[2]);
    file_close(locks[3]);
    fixture_close(&f);
}

TEST(fake_disk_calls, writes_of_several_parts_are_one_behind_the_other)
{
    struct fixture f = fixture_open();
    char text[64];
    struct bytes parts[] = {bytes_str("ab"), bytes_of(NULL, 0), bytes_str("cde")};
    EXPECT_OK(file_write_at(f.file, 2, parts, 3, &f.err));
    EXPECT_STR(text_of(&f, "a", text), "01abcde789");
    EXPECT_OK(file_write_at(f.file, 2, NULL, 0, &f.err));
    EXPECT_STR(text_of(&f, "a", text), "01abcde789");
    fixture_close(&f);
}

TEST(fake_disk_calls, time_stands_still_until_set_and_entropy_follows_the_seed)
{
    struct fixture f = fixture_open();
    struct fixture g = fixture_open();
    struct fake_disk *other = fake_disk_create(2);
    EXPECT_UINT(io_monotonic_us(f.io), 0);
    fake_disk_set_monotonic(f.disk, 5);
    fake_disk_set_wall(f.disk, -7);
    EXPECT_UINT(io_monotonic_us(f.io), 5);
    EXPECT_INT(io_wall_us(f.io), -7);
    uint64_t first = io_entropy_u64(f.io);
    EXPECT_UINT(io_entropy_u64(g.io), first);
    EXPECT(io_entropy_u64(fake_disk_io(other)) != first);
    EXPECT(io_entropy_u64(f.io) != first);
    fake_disk_destroy(other);
    fixture_close(&g);
    fixture_close(&f);
}

/* --- faults --- */

TEST(fake_disk_calls, the_nth_call_fails_once)
{
    struct fixture f = fixture_open();
    struct bytes part = bytes_str("x");
    fake_disk_fail(
        f.disk, (struct fake_disk_fault){.call = FAKE_DISK_WRITE, .nth = 2, .code = ERR_NO_SPACE});
    EXPECT_OK(file_write_at(f.file, 0, &part, 1, &f.err));
    EXPECT_ERR(file_write_at(f.file, 1, &part, 1, &f.err), ERR_NO_SPACE);
    EXPECT_STR(f.err.text, "a: pwrite at 1: injected");
    EXPECT_UINT(fake_disk_faults_seen(f.disk), 1);
    EXPECT_OK(file_write_at(f.file, 2, &part, 1, &f.err));
    char text[64];
    EXPECT_STR(text_of(&f, "a", text), "x1x3456789");
    fixture_close(&f);
}

/* A disk, or a driver, that says synced and is not. */
TEST(fake_disk_calls, a_sync_can_lie)
{
    struct fixture f = fixture_open();
    static const enum fake_disk_call calls[] = {FAKE_DISK_SYNC, FAKE_DISK_SYNC_DIR};
    for (size_t i = 0; i < 2; i++) {
        fake_disk_fail(f.disk, (struct fake_disk_fault){
                                   .call = calls[i], .nth = 1, .for_ever = true, .code = ERR_OK});
    }
    uint64_t pending = fake_disk_pending(f.disk);
    EXPECT(pending > 0);
    EXPECT_OK(file_sync(f.file, &f.err));
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    EXPECT_UINT(fake_disk_pending(f.disk), pending);
    EXPECT_UINT(fake_disk_pending_names(f.disk), 1);
    fake_disk_clear_faults(f.disk);
    EXPECT_OK(file_sync(f.file, &f.err)); /* nothing was forgotten meanwhile */
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    EXPECT_UINT(fake_disk_pending(f.disk), 0);
    EXPECT_UINT(fake_disk_pending_names(f.disk), 0);
    fixture_close(&f);
}

struct seen {
    const struct fake_disk *disk;
    uint64_t calls;
    uint64_t pending;
};

static void see(void *context)
{
    struct seen *seen = context;
    seen->calls++;
    seen->pending = fake_disk_pending(seen->disk);
}

TEST(fake_disk_calls, a_watcher_sees_the_disk_before_each_call)
{
    struct fixture f = fixture_open();
    EXPECT_OK(file_sync(f.file, &f.err));
    struct seen seen = {.disk = f.disk};
    fake_disk_watch(f.disk, see, &seen);
    struct bytes part = bytes_str("x");
    EXPECT_OK(file_write_at(f.file, 0, &part, 1, &f.err));
    EXPECT_UINT(seen.pending, 0);
    EXPECT_OK(file_sync(f.file, &f.err));
    EXPECT_UINT(seen.pending, 1);
    EXPECT_UINT(seen.calls, 2);
    fake_disk_watch(f.disk, NULL, NULL);
    EXPECT_OK(file_sync(f.file, &f.err));
    EXPECT_UINT(seen.calls, 2);
    fixture_close(&f);
}

TEST(fake_disk_calls, a_fault_for_ever_ends_when_cleared)
{
    struct fixture f = fixture_open();
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_SYNC, .nth = 1, .for_ever = true, .code = ERR_IO});
    EXPECT_ERR(file_sync(f.file, &f.err), ERR_IO);
    EXPECT_ERR(file_sync(f.file, &f.err), ERR_IO);
    fake_disk_clear_faults(f.disk);
    EXPECT_OK(file_sync(f.file, &f.err));
    fixture_close(&f);
}

TEST(fake_disk_calls, a_fault_for_one_path_leaves_others_alone)
{
    struct fixture f = fixture_open();
    struct file *b = NULL;
    EXPECT_OK(io_open(f.io, "b", IO_WRITE | IO_CREATE, &b, &f.err));
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_SYNC, .path = "b", .nth = 1, .code = ERR_IO});
    EXPECT_OK(file_sync(f.file, &f.err));
    EXPECT_ERR(file_sync(b, &f.err), ERR_IO);
    file_close(b);
    fixture_close(&f);
}

TEST(fake_disk_calls, a_failed_write_may_leave_a_prefix)
{
    struct fixture f = fixture_open();
    char text[64];
    struct bytes parts[] = {bytes_str("ab"), bytes_str("cd")};
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_WRITE, .nth = 1, .code = ERR_IO, .done = 3});
    EXPECT_ERR(file_write_at(f.file, 0, parts, 2, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "a: pwrite at 3: injected");
    EXPECT_STR(text_of(&f, "a", text), "abc3456789");
    fixture_close(&f);
}

TEST(fake_disk_calls, reads_can_be_short_or_fail_in_the_middle)
{
    struct fixture f = fixture_open();
    uint8_t got[10];
    size_t size = 0;
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_READ, .nth = 1, .code = ERR_OK, .done = 4});
    EXPECT_OK(file_read_at(f.file, 0, got, sizeof got, &size, &f.err));
    EXPECT_UINT(size, 4);
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_READ, .nth = 1, .code = ERR_IO, .done = 4});
    EXPECT_ERR(file_read_at(f.file, 1, got, sizeof got, &size, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "a: pread at 5: injected");
    EXPECT_OK(file_read_exact(f.file, 0, got, sizeof got, &f.err));
    EXPECT_ERR(file_read_exact(f.file, 5, got, sizeof got, &f.err), ERR_CORRUPT);
    EXPECT_STR(f.err.text, "file ends at 10, 5 bytes of 10 are missing");
    fixture_close(&f);
}

/* Each call that changes a name fails without effect, then with it. */
TEST(fake_disk_calls, calls_on_names_fail_with_or_without_effect)
{
    for (uint64_t done = 0; done < 2; done++) {
        struct fixture f = fixture_open();
        struct file *file = NULL;
        for (enum fake_disk_call call = 0; call < FAKE_DISK_CALL_COUNT; call++) {
            fake_disk_fail(
                f.disk,
                (struct fake_disk_fault){
                    .call = call, .nth = 1, .for_ever = true, .code = ERR_IO, .done = done});
        }
        bool happened = done == 1;
        EXPECT_ERR(io_open(f.io, "b", IO_WRITE | IO_CREATE, &file, &f.err), ERR_IO);
        EXPECT(fake_disk_has(f.disk, "b") == happened);
        EXPECT_ERR(io_rename(f.io, "a", "c", &f.err), ERR_IO);
        EXPECT_STR(f.err.text, "a: rename: injected");
        EXPECT(fake_disk_has(f.disk, "c") == happened);
        EXPECT_ERR(io_mkdir(f.io, "dir", &f.err), ERR_IO);
        EXPECT(fake_disk_has(f.disk, "dir") == happened);
        EXPECT_ERR(io_rmdir(f.io, "dir", &f.err), ERR_IO);
        EXPECT(!fake_disk_has(f.disk, "dir"));
        EXPECT_ERR(io_unlink(f.io, happened ? "c" : "a", &f.err), ERR_IO);
        EXPECT(fake_disk_has(f.disk, "c") == false);
        EXPECT_ERR(io_sync_dir(f.io, "/", &f.err), ERR_IO);
        EXPECT((fake_disk_pending_names(f.disk) == 0) == happened);
        fixture_close(&f);
    }
}

TEST(fake_disk_calls, calls_that_only_ask_fail_too)
{
    struct fixture f = fixture_open();
    static const enum fake_disk_call asking[] = {FAKE_DISK_SIZE, FAKE_DISK_RESIZE, FAKE_DISK_LIST,
                                                 FAKE_DISK_LOCK, FAKE_DISK_SPACE,  FAKE_DISK_OPEN};
    for (size_t i = 0; i < sizeof asking / sizeof asking[0]; i++) {
        fake_disk_fail_next(f.disk, asking[i], ERR_IO);
    }
    uint64_t size = 0;
    size_t count = 0;
    bool exists = false;
    struct io_name *names = NULL;
    struct file *lock = NULL;
    EXPECT_ERR(file_size(f.file, &size, &f.err), ERR_IO);
    EXPECT_ERR(file_resize(f.file, 3, &f.err), ERR_IO);
    EXPECT_ERR(io_list(f.io, "/", &names, &count, &f.err), ERR_IO);
    EXPECT_ERR(io_lock(f.io, "lock", &lock, &f.err), ERR_IO);
    EXPECT_ERR(io_space(f.io, "/", &size, &f.err), ERR_IO);
    EXPECT_ERR(io_exists(f.io, "a", &exists, &f.err), ERR_IO);
    EXPECT_UINT(fake_disk_faults_seen(f.disk), 6);
    EXPECT_OK(file_size(f.file, &size, &f.err));
    EXPECT_UINT(size, 10);
    EXPECT(!fake_disk_has(f.disk, "lock"));
    fixture_close(&f);
}

TEST(fake_disk_calls, all_calls_stop_after_a_number_of_calls)
{
    struct fixture f = fixture_open();
    struct bytes part = bytes_str("x");
    EXPECT_UINT(fake_disk_calls(f.disk), 2);
    EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_WRITE), 1);
    fake_disk_stop_after(f.disk, 1);
    EXPECT_OK(file_write_at(f.file, 0, &part, 1, &f.err));
    EXPECT_ERR(file_write_at(f.file, 1, &part, 1, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "a: pwrite: stopped");
    EXPECT_ERR(file_sync(f.file, &f.err), ERR_IO);
    EXPECT_ERR(io_unlink(f.io, "a", &f.err), ERR_IO);
    char text[64];
    EXPECT_STR(text_of(&f, "a", text), "x123456789");
    fake_disk_clear_faults(f.disk);
    EXPECT_OK(file_sync(f.file, &f.err));
    fixture_close(&f);
}

/* --- space --- */

TEST(fake_disk_calls, a_full_disk_takes_what_fits)
{
    struct fixture f = fixture_open();
    uint64_t space = 0;
    fake_disk_set_capacity(f.disk, 3 * PAGE);
    EXPECT_UINT(fake_disk_used(f.disk), PAGE);
    EXPECT_OK(io_space(f.io, "/", &space, &f.err));
    EXPECT_UINT(space, 2 * PAGE);

    uint8_t zeros[3 * PAGE] = {0};
    struct bytes part = bytes_of(zeros, sizeof zeros);
    EXPECT_ERR(file_write_at(f.file, 100, &part, 1, &f.err), ERR_NO_SPACE);
    EXPECT_STR(f.err.text, "a: pwrite at 12288: No space left on device");
    EXPECT_UINT(fake_disk_file_size(f.disk, "a"), 3 * PAGE);
    EXPECT_OK(io_space(f.io, "/", &space, &f.err));
    EXPECT_UINT(space, 0);
    EXPECT_OK(file_write_at(f.file, 0, &part, 1, &f.err)); /* in place needs no space */

    EXPECT_OK(file_resize(f.file, 10 * PAGE, &f.err)); /* sparse: takes none */
    EXPECT_ERR(file_write_at(f.file, 5 * PAGE, &part, 1, &f.err), ERR_NO_SPACE);
    EXPECT_OK(file_resize(f.file, 0, &f.err));
    EXPECT_OK(file_write_at(f.file, 5 * PAGE, &part, 1, &f.err));
    fixture_close(&f);
}

/* --- snapshots --- */

TEST(fake_disk_calls, a_restored_disk_has_pending_writes_again)
{
    struct fixture f = fixture_open();
    char text[64];
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    struct fake_disk_image *image = fake_disk_snapshot(f.disk);
    uint64_t pending = fake_disk_pending(f.disk);
    EXPECT_UINT(pending, 2);
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_UINT(fake_disk_file_size(f.disk, "a"), 0);
    for (unsigned i = 0; i < 2; i++) {
        fake_disk_restore(f.disk, image);
        EXPECT_UINT(fake_disk_pending(f.disk), pending);
        EXPECT_STR(text_of(&f, "a", text), "0123456789");
        fake_disk_power_fail_keep_all(f.disk);
        EXPECT_STR(text_of(&f, "a", text), "0123456789");
    }
    fake_disk_image_free(image);
    fixture_close(&f);
}

TEST(fake_disk_calls, a_snapshot_of_an_unlinked_open_file_forgets_it)
{
    struct fixture f = fixture_open();
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    EXPECT_OK(io_unlink(f.io, "a", &f.err));
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    struct fake_disk_image *image = fake_disk_snapshot(f.disk);
    fake_disk_restore(f.disk, image);
    EXPECT_UINT(fake_disk_used(f.disk), 0);
    EXPECT_UINT(fake_disk_pending(f.disk), 0);
    fake_disk_image_free(image);
    fixture_close(&f);
}

/* --- damage --- */

TEST(fake_disk_calls, damage_is_there_for_readers_and_after_a_power_failure)
{
    struct fixture f = fixture_open();
    char text[64];
    struct random r = random_seeded(3);
    EXPECT_OK(file_sync(f.file, &f.err));
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    struct fake_disk_image *image = fake_disk_snapshot(f.disk);
    fake_disk_flip_bit(f.disk, "a", 0, 0);
    EXPECT_STR(text_of(&f, "a", text), "1123456789");
    fake_disk_misdirect(f.disk, (struct fake_disk_place){"a", 7}, (struct fake_disk_place){"a", 1},
                        2);
    EXPECT_STR(text_of(&f, "a", text), "1783456789");
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_STR(text_of(&f, "a", text), "1783456789");
    fake_disk_stale(f.disk, image, "a", 0, 2);
    EXPECT_STR(text_of(&f, "a", text), "0183456789");
    fake_disk_zero(f.disk, "a", 4, 6);
    EXPECT_STR(text_of(&f, "a", text), "0183");
    fake_disk_garbage(f.disk, "a", 0, 10, &r);
    EXPECT(memcmp(text_of(&f, "a", text), "0183", 4) != 0);
    fake_disk_truncate(f.disk, "a", 3);
    EXPECT_UINT(fake_disk_file_size(f.disk, "a"), 3);
    fake_disk_remove(f.disk, "a");
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT(!fake_disk_has(f.disk, "a"));
    fake_disk_image_free(image);
    fixture_close(&f);
}

TEST(fake_disk_calls, an_unreadable_sector_fails_reads_until_it_is_written)
{
    struct fixture f = fixture_open();
    uint8_t got[2 * SECTOR];
    size_t size = 0;
    EXPECT_OK(file_resize(f.file, 3 * SECTOR, &f.err));
    EXPECT_OK(file_sync(f.file, &f.err));
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    fake_disk_read_error(f.disk, "a", SECTOR, 1);
    fake_disk_power_fail_lose_all(f.disk);
    file_close(f.file);
    EXPECT_OK(io_open(f.io, "a", IO_WRITE, &f.file, &f.err));
    EXPECT_ERR(file_read_at(f.file, 2, got, sizeof got, &size, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "a: pread at 512: Input/output error");
    EXPECT_UINT(size, SECTOR - 2);
    EXPECT_OK(file_read_at(f.file, 0, got, SECTOR, &size, &f.err));
    EXPECT_OK(file_read_at(f.file, 2 * SECTOR, got, SECTOR, &size, &f.err));
    struct bytes part = bytes_of(got, SECTOR);
    EXPECT_OK(file_write_at(f.file, SECTOR, &part, 1, &f.err));
    EXPECT_OK(file_read_at(f.file, 0, got, sizeof got, &size, &f.err));
    fixture_close(&f);
}

static void damage_a_missing_file(void *disk)
{
    fake_disk_flip_bit(disk, "none", 0, 0);
}

TEST(fake_disk_calls, damage_to_a_missing_file_is_an_error_of_the_test)
{
    struct fixture f = fixture_open();
    EXPECT_DIES(damage_a_missing_file, f.disk, "none: no such file on the fake disk");
    fixture_close(&f);
}
