/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_pool.h"

enum { FILE_SIZE = 64 * 1024, KEEP_MAX = 2 };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct wal_pool pool;
    struct err err;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.disk = fake_disk_create(1)};
    f->io = fake_disk_io(f->disk);
    REQUIRE_OK(io_mkdir(f->io, "log", &f->err));
    REQUIRE_OK(io_sync_dir(f->io, ".", &f->err));
    wal_pool_init(&f->pool, f->io, "log", FILE_SIZE, KEEP_MAX);
}

static void fixture_deinit(struct fixture *f)
{
    wal_pool_deinit(&f->pool);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static void make_file(struct fixture *f, const char *path, uint8_t value, size_t size)
{
    static uint8_t content[2 * FILE_SIZE];
    struct file *file;
    memset(content, value, sizeof content);
    struct bytes part = bytes_of(content, size);
    REQUIRE_OK(io_open(f->io, path, IO_WRITE | IO_CREATE, &file, &f->err));
    REQUIRE_OK(file_write_at(file, 0, &part, 1, &f->err));
    REQUIRE_OK(file_sync(file, &f->err));
    file_close(file);
    REQUIRE_OK(io_sync_dir(f->io, "log", &f->err));
}

/* What a power failure that keeps nothing would leave. */
static bool zero_on_platter(struct fixture *f, const char *path)
{
    static uint8_t content[FILE_SIZE];
    memset(content, 1, sizeof content);
    return fake_disk_peek_platter(f->disk, path, 0, content, sizeof content) == FILE_SIZE &&
           bytes_is_zero(bytes_of(content, sizeof content));
}

static void prepare(struct fixture *f, size_t count)
{
    bool done = false;
    REQUIRE_OK(wal_pool_step(&f->pool, count, UINT64_MAX, &done, &f->err));
    REQUIRE(done);
}

TEST(wal_pool, a_new_spare_is_zeroed_in_full)
{
    struct fixture f;
    fixture_init(&f);
    prepare(&f, 1);
    EXPECT_UINT(wal_pool_ready(&f.pool), 1);
    EXPECT_UINT(fake_disk_file_size(f.disk, "log/spare-00000001"), FILE_SIZE);
    REQUIRE_OK(io_sync_dir(f.io, "log", &f.err));
    EXPECT(zero_on_platter(&f, "log/spare-00000001"));
    fixture_deinit(&f);
}

TEST(wal_pool, zeroing_goes_in_steps)
{
    static const uint64_t steps[] = {1, 7, 512, 4096, FILE_SIZE / 2, FILE_SIZE - 1, FILE_SIZE};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        uint64_t calls = 0;
        uint64_t size = steps[i] < 512 ? 512 * steps[i] : steps[i];
        for (bool done = false; !done; calls++) {
            REQUIRE(calls <= FILE_SIZE / size + 1);
            REQUIRE_OK(wal_pool_step(&f.pool, 1, size, &done, &f.err));
            EXPECT(done == (wal_pool_ready(&f.pool) == 1));
        }
        test_context("step of %u", (unsigned)size);
        EXPECT_UINT(calls, (FILE_SIZE + size - 1) / size);
        fixture_deinit(&f);
    }
}

TEST(wal_pool, a_step_without_budget_does_nothing)
{
    struct fixture f;
    fixture_init(&f);
    bool done = true;
    uint64_t calls = fake_disk_calls(f.disk);
    EXPECT_OK(wal_pool_step(&f.pool, 1, 0, &done, &f.err));
    EXPECT(!done);
    EXPECT_UINT(fake_disk_calls(f.disk), calls);
    EXPECT_OK(wal_pool_step(&f.pool, 0, 100, &done, &f.err));
    EXPECT(done);
    EXPECT_UINT(fake_disk_calls(f.disk), calls);
    fixture_deinit(&f);
}

TEST(wal_pool, take_gives_the_file_under_its_new_name)
{
    struct fixture f;
    fixture_init(&f);
    prepare(&f, 1);
    struct file *file;
    REQUIRE_OK(wal_pool_take(&f.pool, "log/segment", &file, &f.err));
    EXPECT_UINT(wal_pool_ready(&f.pool), 0);
    EXPECT(fake_disk_has(f.disk, "log/segment"));
    EXPECT(!fake_disk_has(f.disk, "log/spare-00000001"));
    uint64_t size = 0;
    EXPECT_OK(file_size(file, &size, &f.err));
    EXPECT_UINT(size, FILE_SIZE);
    file_close(file);
    fixture_deinit(&f);
}

/* safety.md A2: an old segment is full of records whose checksums hold. */
TEST(wal_pool, a_recycled_segment_is_zeroed_before_it_is_taken)
{
    struct fixture f;
    fixture_init(&f);
    make_file(&f, "log/old", 0xaa, FILE_SIZE);
    REQUIRE_OK(wal_pool_add(&f.pool, "log/old", &f.err));
    EXPECT(!fake_disk_has(f.disk, "log/old"));
    EXPECT_UINT(wal_pool_ready(&f.pool), 0);
    EXPECT_UINT(f.pool.recycled, 1);
    prepare(&f, 1);
    struct file *file;
    REQUIRE_OK(wal_pool_take(&f.pool, "log/segment", &file, &f.err));
    file_close(file);
    REQUIRE_OK(io_sync_dir(f.io, "log", &f.err));
    EXPECT(zero_on_platter(&f, "log/segment"));
    fixture_deinit(&f);
}

/* The zeros of a spare are durable before it can be taken, whatever the disk keeps. */
TEST(wal_pool, a_ready_spare_is_zero_after_any_power_failure)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct fixture f;
        struct random r = random_seeded(seed);
        fixture_init(&f);
        make_file(&f, "log/old", 0xaa, FILE_SIZE);
        REQUIRE_OK(wal_pool_add(&f.pool, "log/old", &f.err));
        REQUIRE_OK(io_sync_dir(f.io, "log", &f.err));
        prepare(&f, 1);
        fake_disk_power_fail(f.disk, &r);
        test_context("seed %u", (unsigned)seed);
        EXPECT(zero_on_platter(&f, "log/spare-00000001"));
        fixture_deinit(&f);
    }
}

TEST(wal_pool, a_file_longer_than_a_segment_is_cut)
{
    struct fixture f;
    fixture_init(&f);
    make_file(&f, "log/old", 0xaa, FILE_SIZE + 4096);
    REQUIRE_OK(wal_pool_add(&f.pool, "log/old", &f.err));
    prepare(&f, 1);
    EXPECT_UINT(fake_disk_file_size(f.disk, "log/spare-00000001"), FILE_SIZE);
    fixture_deinit(&f);
}

TEST(wal_pool, more_than_the_pool_keeps_are_removed)
{
    struct fixture f;
    fixture_init(&f);
    for (unsigned i = 0; i < 6; i++) {
        make_file(&f, "log/old", 0xaa, 4096);
        REQUIRE_OK(wal_pool_add(&f.pool, "log/old", &f.err));
        test_context("file %u", i);
        EXPECT_UINT(f.pool.count, i < KEEP_MAX + 1 ? i + 1 : KEEP_MAX + 1);
        EXPECT(!fake_disk_has(f.disk, "log/old"));
    }
    EXPECT_UINT(f.pool.recycled, 6);
    fixture_deinit(&f);
}

TEST(wal_pool, a_smaller_pool_removes_those_that_are_not_ready_first)
{
    struct fixture f;
    fixture_init(&f);
    make_file(&f, "log/a", 0xaa, 4096);
    make_file(&f, "log/b", 0xaa, 4096);
    prepare(&f, 1);
    REQUIRE_OK(wal_pool_add(&f.pool, "log/a", &f.err));
    REQUIRE_OK(wal_pool_add(&f.pool, "log/b", &f.err));
    REQUIRE_OK(wal_pool_keep(&f.pool, 1, &f.err));
    EXPECT_UINT(f.pool.count, 2);
    REQUIRE_OK(wal_pool_keep(&f.pool, 0, &f.err));
    EXPECT_UINT(f.pool.count, 1);
    EXPECT_UINT(wal_pool_ready(&f.pool), 1);
    EXPECT(fake_disk_has(f.disk, "log/spare-00000001"));
    EXPECT(!fake_disk_has(f.disk, "log/spare-00000002"));
    EXPECT(!fake_disk_has(f.disk, "log/spare-00000003"));
    prepare(&f, 2);
    fake_disk_fail_next(f.disk, FAKE_DISK_UNLINK, ERR_IO);
    EXPECT_ERR(wal_pool_keep(&f.pool, 0, &f.err), ERR_IO);
    fixture_deinit(&f);
}

TEST(wal_pool, several_spares_get_names_of_their_own)
{
    struct fixture f;
    fixture_init(&f);
    prepare(&f, 3);
    EXPECT_UINT(wal_pool_ready(&f.pool), 3);
    EXPECT(fake_disk_has(f.disk, "log/spare-00000001"));
    EXPECT(fake_disk_has(f.disk, "log/spare-00000002"));
    EXPECT(fake_disk_has(f.disk, "log/spare-00000003"));
    fixture_deinit(&f);
}

/* --- at open --- */

TEST(wal_pool, only_names_of_spares_are_adopted)
{
    static const struct {
        const char *name;
        bool adopted;
    } cases[] = {
        {"spare-00000001", true},
        {"spare-000000ff", true},
        {"spare-7fffffff", true},
        {"spare-80000000", false}, /* numbers rise from the highest one found */
        {"spare-fffffffe", false},
        {"spare-ffffffff", false},
        {"spare-00000000", false},
        {"spare-0000001", false},
        {"spare-000000001", false},
        {"spare-0000000g", false},
        {"Spare-00000001", false},
        {"spare_00000001", false},
        {"spare-", false},
        {"", false},
        {"lost", false},
        {"000000010000000000000001", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        bool adopted = !cases[i].adopted;
        test_context("\"%s\"", cases[i].name);
        EXPECT_OK(wal_pool_adopt(&f.pool, cases[i].name, &adopted, &f.err));
        EXPECT(adopted == cases[i].adopted);
        EXPECT_UINT(f.pool.count, cases[i].adopted);
        fixture_deinit(&f);
    }
}

/* Its zeros may be in memory only. */
TEST(wal_pool, an_adopted_spare_is_not_ready)
{
    struct fixture f;
    fixture_init(&f);
    make_file(&f, "log/spare-00000007", 0xbb, FILE_SIZE);
    bool adopted = false;
    REQUIRE_OK(wal_pool_adopt(&f.pool, "spare-00000007", &adopted, &f.err));
    EXPECT(adopted);
    EXPECT_UINT(wal_pool_ready(&f.pool), 0);
    prepare(&f, 1);
    EXPECT_UINT(f.pool.count, 1);
    EXPECT(zero_on_platter(&f, "log/spare-00000007"));
    prepare(&f, 2);
    EXPECT(fake_disk_has(f.disk, "log/spare-00000008"));
    fixture_deinit(&f);
}

TEST(wal_pool, the_highest_number_that_is_adopted_leaves_room_for_more)
{
    struct fixture f;
    fixture_init(&f);
    bool adopted = false;
    REQUIRE_OK(wal_pool_adopt(&f.pool, "spare-7fffffff", &adopted, &f.err));
    EXPECT(adopted);
    prepare(&f, 2);
    EXPECT(fake_disk_has(f.disk, "log/spare-80000000"));
    fixture_deinit(&f);
}

TEST(wal_pool, too_many_found_at_open_are_removed)
{
    struct fixture f;
    fixture_init(&f);
    for (unsigned i = 1; i <= 6; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "log/spare-%08x", i);
        make_file(&f, path, 0, 512);
        bool adopted = false;
        REQUIRE_OK(wal_pool_adopt(&f.pool, path + 4, &adopted, &f.err));
        test_context("spare %u", i);
        EXPECT(adopted);
        EXPECT(fake_disk_has(f.disk, path) == (i <= KEEP_MAX + 1));
    }
    EXPECT_UINT(f.pool.count, KEEP_MAX + 1);
    fixture_deinit(&f);
}

/* --- failures --- */

TEST(wal_pool, a_disk_without_space_leaves_no_half_file)
{
    struct fixture f;
    fixture_init(&f);
    fake_disk_set_capacity(f.disk, FILE_SIZE / 2);
    bool done = true;
    EXPECT_ERR(wal_pool_step(&f.pool, 1, UINT64_MAX, &done, &f.err), ERR_NO_SPACE);
    EXPECT(!done);
    EXPECT_UINT(f.pool.count, 0);
    EXPECT(!fake_disk_has(f.disk, "log/spare-00000001"));
    EXPECT_UINT(fake_disk_open_files(f.disk), 0);
    fake_disk_set_capacity(f.disk, 0);
    prepare(&f, 1);
    EXPECT_UINT(wal_pool_ready(&f.pool), 1);
    fixture_deinit(&f);
}

/* safety.md A2: zeros that no sync covered are no zeros. */
TEST(wal_pool, a_spare_whose_sync_failed_is_not_ready)
{
    struct fixture f;
    fixture_init(&f);
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    bool done = true;
    EXPECT_ERR(wal_pool_step(&f.pool, 1, UINT64_MAX, &done, &f.err), ERR_IO);
    EXPECT(!done);
    EXPECT_UINT(wal_pool_ready(&f.pool), 0);
    fixture_deinit(&f);
}

TEST(wal_pool, one_that_could_not_be_removed_is_zeroed_from_its_start)
{
    struct fixture f;
    fixture_init(&f);
    make_file(&f, "log/old", 0xaa, FILE_SIZE);
    REQUIRE_OK(wal_pool_add(&f.pool, "log/old", &f.err));
    bool done;
    REQUIRE_OK(wal_pool_step(&f.pool, 1, FILE_SIZE / 2, &done, &f.err));
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    fake_disk_fail_next(f.disk, FAKE_DISK_UNLINK, ERR_IO);
    EXPECT_ERR(wal_pool_step(&f.pool, 1, UINT64_MAX, &done, &f.err), ERR_IO);
    EXPECT_UINT(f.pool.count, 1);
    EXPECT_UINT(f.pool.spares[0].zeroed, 0);
    prepare(&f, 1);
    EXPECT_UINT(f.pool.spares[0].zeroed, FILE_SIZE);
    REQUIRE_OK(io_sync_dir(f.io, "log", &f.err));
    EXPECT(zero_on_platter(&f, "log/spare-00000001"));
    fixture_deinit(&f);
}

TEST(wal_pool, a_failed_rename_keeps_the_spare)
{
    struct fixture f;
    fixture_init(&f);
    prepare(&f, 1);
    struct file *file = NULL;
    fake_disk_fail_next(f.disk, FAKE_DISK_RENAME, ERR_IO);
    EXPECT_ERR(wal_pool_take(&f.pool, "log/segment", &file, &f.err), ERR_IO);
    EXPECT(file == NULL);
    EXPECT_UINT(wal_pool_ready(&f.pool), 1);
    REQUIRE_OK(wal_pool_take(&f.pool, "log/segment", &file, &f.err));
    file_close(file);
    fixture_deinit(&f);
}

/* Each call of the disk fails in turn: never a ready spare that isn't zero. */
TEST(wal_pool, no_failure_makes_a_spare_ready_that_is_not_zero)
{
    for (uint64_t calls = 0; calls < 12; calls++) {
        struct fixture f;
        fixture_init(&f);
        make_file(&f, "log/old", 0xaa, FILE_SIZE);
        fake_disk_stop_after(f.disk, calls);
        bool done = false;
        enum err_code code = wal_pool_add(&f.pool, "log/old", &f.err);
        if (code == ERR_OK) {
            code = wal_pool_step(&f.pool, 1, UINT64_MAX, &done, &f.err);
        }
        test_context("after %u calls", (unsigned)calls);
        EXPECT(done == (code == ERR_OK));
        EXPECT_UINT(wal_pool_ready(&f.pool), done);
        EXPECT(code == ERR_OK || calls < 8);
        fake_disk_clear_faults(f.disk);
        REQUIRE_OK(io_sync_dir(f.io, "log", &f.err));
        EXPECT(!done || zero_on_platter(&f, "log/spare-00000001"));
        fixture_deinit(&f);
    }
}

static void take_from_empty(void *arg)
{
    struct fixture *f = arg;
    struct file *file;
    (void)!wal_pool_take(&f->pool, "log/segment", &file, &f->err);
}

TEST(wal_pool, taking_what_is_not_ready_stops_the_process)
{
    struct fixture f;
    fixture_init(&f);
    EXPECT_DIES(take_from_empty, &f, "count");
    fixture_deinit(&f);
}
