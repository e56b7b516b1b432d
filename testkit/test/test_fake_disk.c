/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk.h"

#include <string.h>

#include "base/mem.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { SECTOR = FAKE_DISK_SECTOR_SIZE };

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

static struct file *open_new(struct fixture *f, const char *path)
{
    struct file *file = NULL;
    REQUIRE_OK(io_open(f->io, path, IO_WRITE | IO_CREATE, &file, &f->err));
    return file;
}

static void write_text(struct fixture *f, struct file *file, uint64_t offset, const char *text)
{
    struct bytes part = bytes_str(text);
    EXPECT_OK(file_write_at(file, offset, &part, 1, &f->err));
}

/* Fills whole sectors with one letter. */
static void write_sectors(struct fixture *f, struct file *file, uint64_t first, size_t count,
                          char letter)
{
    uint8_t *data = mem_alloc(count * SECTOR);
    memset(data, (unsigned char)letter, count * SECTOR);
    struct bytes part = bytes_of(data, count * SECTOR);
    EXPECT_OK(file_write_at(file, first * SECTOR, &part, 1, &f->err));
    mem_free(data);
}

/* The content of a file, as one letter for each sector: '.' zero, '?' mixed. */
static const char *sectors_of(struct fixture *f, const char *path, char text[64])
{
    uint8_t data[SECTOR];
    size_t count = 0;
    for (; fake_disk_peek(f->disk, path, count * SECTOR, data, SECTOR) == SECTOR; count++) {
        bool same = memcmp(data, data + 1, SECTOR - 1) == 0;
        text[count] = '?';
        if (same && data[0] == 0) {
            text[count] = '.';
        } else if (same) {
            text[count] = (char)data[0];
        }
    }
    text[count] = '\0';
    return text;
}

static const char *text_of(struct fixture *f, const char *path, char text[64])
{
    size_t size = fake_disk_peek(f->disk, path, 0, text, 63);
    text[size] = '\0';
    return text;
}

/* A durable file of sectors "aaaa". */
static void make_durable(struct fixture *f, const char *path, size_t count, char letter)
{
    struct file *file = open_new(f, path);
    write_sectors(f, file, 0, count, letter);
    EXPECT_OK(file_sync(file, &f->err));
    file_close(file);
    EXPECT_OK(io_sync_dir(f->io, "/", &f->err));
}

/* --- layers --- */

TEST(fake_disk, a_kill_keeps_what_was_written_and_closes_files)
{
    struct fixture f = fixture_open();
    char text[64];
    struct file *file = open_new(&f, "a");
    write_text(&f, file, 0, "hello");
    fake_disk_kill(f.disk);
    EXPECT_STR(text_of(&f, "a", text), "hello");
    EXPECT_ERR(file_sync(file, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "a: fdatasync: killed");
    file_close(file);
    EXPECT(fake_disk_pending(f.disk) > 0);
    fixture_close(&f);
}

TEST(fake_disk, a_power_failure_may_lose_all_that_was_not_synced)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 2, 'a');
    struct file *file = open_new(&f, "a");
    write_sectors(&f, file, 0, 4, 'b');
    EXPECT_STR(sectors_of(&f, "a", text), "bbbb");
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_STR(sectors_of(&f, "a", text), "aa");
    EXPECT_UINT(fake_disk_pending(f.disk), 0);
    file_close(file);
    fixture_close(&f);
}

TEST(fake_disk, synced_bytes_and_size_survive)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 1, 'a');
    struct file *file = open_new(&f, "a");
    write_sectors(&f, file, 2, 1, 'b');
    EXPECT_OK(file_resize(file, UINT64_C(4) * SECTOR, &f.err));
    EXPECT_OK(file_sync(file, &f.err));
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_STR(sectors_of(&f, "a", text), "a.b.");
    file_close(file);
    fixture_close(&f);
}

/* Goes through all subsets of two writes that overlap in one sector. */
TEST(fake_disk, each_sector_is_kept_or_lost_by_itself)
{
    /* Choices: b at 0, b at 1, c at 1, c at 2, growth by c. */
    static const struct {
        bool keep[5];
        const char *want;
    } cases[] = {
        {{false, false, false, false, false}, "aa"}, {{true, false, false, false, false}, "ba"},
        {{false, true, false, false, false}, "ab"},  {{false, true, true, false, false}, "ac"},
        {{false, false, true, false, false}, "ac"},  {{false, false, false, true, false}, "aac"},
        {{false, false, false, false, true}, "aa."}, {{true, true, true, true, true}, "bcc"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f = fixture_open();
        char text[64];
        make_durable(&f, "a", 2, 'a');
        struct file *file = open_new(&f, "a");
        write_sectors(&f, file, 0, 2, 'b');
        write_sectors(&f, file, 1, 2, 'c');
        REQUIRE_UINT(fake_disk_pending(f.disk), 5);
        fake_disk_power_fail_keep(f.disk, cases[i].keep, 0);
        EXPECT_STR(sectors_of(&f, "a", text), cases[i].want);
        file_close(file);
        fixture_close(&f);
    }
}

/* A sector carries the bytes around those written, as a page cache has them. */
TEST(fake_disk, a_small_write_is_torn_only_between_sectors)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 2, 'a');
    struct file *file = open_new(&f, "a");
    write_text(&f, file, SECTOR - 2, "bbbb");
    REQUIRE_UINT(fake_disk_pending(f.disk), 2);
    fake_disk_power_fail_keep(f.disk, (bool[]){true, false}, 0);
    (void)fake_disk_peek(f.disk, "a", SECTOR - 4, text, 8);
    EXPECT_MEM(text, "aabbaaaa", 8);
    file_close(file);
    fixture_close(&f);
}

TEST(fake_disk, a_resize_is_kept_or_lost_as_one)
{
    for (unsigned keep = 0; keep < 2; keep++) {
        struct fixture f = fixture_open();
        char text[64];
        make_durable(&f, "a", 3, 'a');
        struct file *file = open_new(&f, "a");
        EXPECT_OK(file_resize(file, SECTOR, &f.err));
        REQUIRE_UINT(fake_disk_pending(f.disk), 1);
        fake_disk_power_fail_keep(f.disk, (bool[]){keep == 1}, 0);
        EXPECT_STR(sectors_of(&f, "a", text), keep == 1 ? "a" : "aaa");
        file_close(file);
        fixture_close(&f);
    }
}

TEST(fake_disk, a_failed_sync_cleans_pages_that_the_platter_lacks)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 3, 'a');
    struct file *file = open_new(&f, "a");
    write_sectors(&f, file, 0, 3, 'b');
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_SYNC, .nth = 1, .code = ERR_IO, .done = 1});
    EXPECT_ERR(file_sync(file, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, "a: fdatasync: injected");
    EXPECT_STR(sectors_of(&f, "a", text), "bbb");
    EXPECT_OK(file_sync(file, &f.err)); /* the lie that makes a second sync worthless */
    fake_disk_evict(f.disk);
    EXPECT_STR(sectors_of(&f, "a", text), "baa");
    file_close(file);
    fixture_close(&f);
}

TEST(fake_disk, after_a_failed_sync_later_writes_are_synced_alone)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 3, 'a');
    struct file *file = open_new(&f, "a");
    write_sectors(&f, file, 0, 2, 'b');
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(file_sync(file, &f.err), ERR_IO);
    write_sectors(&f, file, 1, 2, 'c');
    EXPECT_OK(file_sync(file, &f.err));
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_STR(sectors_of(&f, "a", text), "acc");
    file_close(file);
    fixture_close(&f);
}

TEST(fake_disk, evicting_keeps_what_is_pending)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 2, 'a');
    struct file *file = open_new(&f, "a");
    write_sectors(&f, file, 0, 1, 'b');
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(file_sync(file, &f.err), ERR_IO);
    write_sectors(&f, file, 1, 1, 'c');
    fake_disk_evict(f.disk);
    EXPECT_STR(sectors_of(&f, "a", text), "ac");
    file_close(file);
    fixture_close(&f);
}

/* What the cache alone has is kept, what it shows in place of the disk is given up. */
TEST(fake_disk, a_file_can_be_read_from_the_disk_itself)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 3, 'a');
    struct file *file = open_new(&f, "a");
    write_sectors(&f, file, 0, 1, 'b');
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(file_sync(file, &f.err), ERR_IO);
    write_sectors(&f, file, 1, 1, 'c');
    EXPECT_STR(sectors_of(&f, "a", text), "bca");
    file_forget(file, 0, 3 * (uint64_t)FAKE_DISK_SECTOR_SIZE);
    EXPECT_STR(sectors_of(&f, "a", text), "aca");
    file_close(file);
    fixture_close(&f);
}

TEST(fake_disk, old_unsynced_sectors_are_written_back_beyond_the_limit)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 4, 'a');
    fake_disk_set_write_back(f.disk, 2);
    struct file *file = open_new(&f, "a");
    write_sectors(&f, file, 0, 1, 'b');
    write_sectors(&f, file, 1, 1, 'b');
    EXPECT_UINT(fake_disk_pending(f.disk), 2);
    write_sectors(&f, file, 2, 1, 'b');
    EXPECT_UINT(fake_disk_pending(f.disk), 2);
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_STR(sectors_of(&f, "a", text), "baaa");
    file_close(file);
    fixture_close(&f);
}

/* --- names --- */

TEST(fake_disk, a_name_is_durable_only_after_its_directory_was_synced)
{
    struct fixture f = fixture_open();
    struct file *file = open_new(&f, "a");
    EXPECT_OK(file_sync(file, &f.err));
    file_close(file);
    EXPECT_UINT(fake_disk_pending_names(f.disk), 1);
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT(!fake_disk_has(f.disk, "a"));

    make_durable(&f, "b", 1, 'b');
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT(fake_disk_has(f.disk, "b"));
    fixture_close(&f);
}

TEST(fake_disk, a_renamed_file_has_the_old_or_the_new_name)
{
    for (unsigned kept = 0; kept < 2; kept++) {
        struct fixture f = fixture_open();
        char text[64];
        make_durable(&f, "new", 1, 'n');
        make_durable(&f, "old", 1, 'o');
        EXPECT_OK(io_rename(f.io, "new", "old", &f.err));
        EXPECT_STR(sectors_of(&f, "old", text), "n");
        EXPECT(!fake_disk_has(f.disk, "new"));
        fake_disk_power_fail_keep(f.disk, NULL, kept);
        EXPECT_STR(sectors_of(&f, "old", text), kept == 1 ? "n" : "o");
        EXPECT(fake_disk_has(f.disk, "new") == (kept == 0));
        fixture_close(&f);
    }
}

TEST(fake_disk, an_unlinked_file_comes_back_if_its_directory_was_not_synced)
{
    struct fixture f = fixture_open();
    char text[64];
    make_durable(&f, "a", 1, 'a');
    EXPECT_OK(io_unlink(f.io, "a", &f.err));
    EXPECT(!fake_disk_has(f.disk, "a"));
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_STR(sectors_of(&f, "a", text), "a");
    EXPECT_OK(io_unlink(f.io, "a", &f.err));
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT(!fake_disk_has(f.disk, "a"));
    fixture_close(&f);
}

TEST(fake_disk, of_each_directory_a_prefix_of_its_changes_survives)
{
    for (unsigned kept = 0; kept <= 3; kept++) {
        struct fixture f = fixture_open();
        for (unsigned i = 0; i < 3; i++) {
            char name[2] = {(char)('a' + i), '\0'};
            file_close(open_new(&f, name));
        }
        fake_disk_power_fail_keep(f.disk, NULL, kept);
        EXPECT(fake_disk_has(f.disk, "a") == (kept > 0));
        EXPECT(fake_disk_has(f.disk, "b") == (kept > 1));
        EXPECT(fake_disk_has(f.disk, "c") == (kept > 2));
        fixture_close(&f);
    }
}

TEST(fake_disk, syncing_a_directory_says_nothing_about_its_parent)
{
    struct fixture f = fixture_open();
    EXPECT_OK(io_mkdir(f.io, "dir", &f.err));
    file_close(open_new(&f, "dir/a"));
    EXPECT_OK(io_sync_dir(f.io, "dir", &f.err));
    EXPECT_UINT(fake_disk_pending_names(f.disk), 1);
    struct fake_disk_image *image = fake_disk_snapshot(f.disk);
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT(!fake_disk_has(f.disk, "dir"));

    fake_disk_restore(f.disk, image);
    EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT(fake_disk_has(f.disk, "dir/a"));
    fake_disk_image_free(image);
    fixture_close(&f);
}

/* A rename between directories is one step: no state has both names or none. */
TEST(fake_disk, a_rename_between_directories_is_atomic)
{
    static const char *const synced[] = {"from", "to"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = fixture_open();
        EXPECT_OK(io_mkdir(f.io, "from", &f.err));
        EXPECT_OK(io_mkdir(f.io, "to", &f.err));
        EXPECT_OK(io_sync_dir(f.io, "/", &f.err));
        file_close(open_new(&f, "from/a"));
        EXPECT_OK(io_rename(f.io, "from/a", "to/a", &f.err));
        file_close(open_new(&f, "from/later"));
        EXPECT_OK(io_sync_dir(f.io, synced[i], &f.err));
        fake_disk_power_fail_lose_all(f.disk);
        EXPECT(!fake_disk_has(f.disk, "from/a"));
        EXPECT(fake_disk_has(f.disk, "to/a"));
        EXPECT(fake_disk_has(f.disk, "from/later") == (i == 0));
        fixture_close(&f);
    }
}

TEST(fake_disk, random_failures_reach_every_outcome)
{
    bool seen[2][2][2] = {{{false}}}; /* first sector, second sector, name */
    struct random r = random_seeded(11);
    for (unsigned i = 0; i < 300; i++) {
        struct fixture f = fixture_open();
        char text[64] = "";
        make_durable(&f, "a", 2, 'a');
        struct file *file = open_new(&f, "a");
        write_sectors(&f, file, 0, 2, 'b');
        file_close(file);
        EXPECT_OK(io_rename(f.io, "a", "b", &f.err));
        fake_disk_power_fail(f.disk, &r);
        bool renamed = fake_disk_has(f.disk, "b");
        EXPECT(fake_disk_has(f.disk, "a") != renamed);
        (void)sectors_of(&f, renamed ? "b" : "a", text);
        seen[text[0] == 'b'][text[1] == 'b'][renamed] = true;
        fixture_close(&f);
    }
    for (unsigned i = 0; i < 8; i++) {
        EXPECT(seen[i & 1][i >> 1 & 1][i >> 2 & 1]);
    }
}
