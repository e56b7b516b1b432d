/* SPDX-License-Identifier: Apache-2.0 */
#include "node/control.h"

#include <stdio.h>

#include "base/mem.h"
#include "io/io_posix.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { GOLDEN_SIZE_MAX = 4096, DIRECTORY = 0xd1 };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct control_file *file;
    struct control next; /* scratch */
    struct err err;
};

static struct control fresh(void)
{
    return (struct control){
        .directory_id = DIRECTORY,
        .segment_size = 16 * LIMIT_MIB,
        .timeline = 1,
        .wal_level = WAL_LEVEL_FLUSH,
        .recovery_mode = WAL_POINT_IN_TIME_RECOVERY,
    };
}

static struct fixture fixture_open(void)
{
    struct fixture f = {.disk = fake_disk_create(3)};
    f.io = fake_disk_io(f.disk);
    f.next = fresh();
    REQUIRE_OK(control_create(f.io, "/", &f.next, &f.file, &f.err));
    return f;
}

static void fixture_close(struct fixture *f)
{
    control_close(f->file);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static enum err_code reopen(struct fixture *f)
{
    control_close(f->file);
    f->file = NULL;
    return control_open(f->io, "/", DIRECTORY, &f->file, &f->err);
}

static bool same(const struct control *a, const struct control *b)
{
    struct buf x = {0};
    struct buf y = {0};
    control_encode(a, &x);
    control_encode(b, &y);
    bool equal = bytes_equal(buf_bytes(&x), buf_bytes(&y));
    buf_deinit(&x);
    buf_deinit(&y);
    return equal;
}

/* Every field has a value of its own. */
static struct control example(void)
{
    return (struct control){
        .cluster_id = 0xc1c2c3c4c5c6c7c8,
        .directory_id = DIRECTORY,
        .segment_size = 4 * LIMIT_MIB,
        .timeline = 3,
        .wal_level = WAL_LEVEL_BYRL,
        .recovery_mode = WAL_ABSOLUTE_CONSISTENCY,
        .clean = true,
        .checkpoint_index = 77,
        .checkpoint_term = 5,
        .checkpoint_time_ms = 1700000000001,
        .checkpoint_duration_ms = 88,
        .checkpoint_bytes = 99,
        .local_extent = {1, 2, 300, 4, 500, 600, 70, 3},
        .local_applied = 66,
        .era_count = 2,
        .eras = {{CONTROL_LOG_LOCAL, 1, 0}, {CONTROL_LOG_RAFT, 70, 5}},
    };
}

static void read_golden(const char *name, struct buf *golden)
{
    char path[256];
    struct err e = {0};
    (void)snprintf(path, sizeof path, TEST_DATA_DIR "/corpus/control/%s", name);
    REQUIRE_OK(io_read_file(io_posix(), path, GOLDEN_SIZE_MAX, golden, &e));
}

/* Written once by that version; a change of the format is a new version. */
TEST(control, the_bytes_of_version_2_stay)
{
    struct control c = example();
    struct buf bytes = {0};
    struct buf golden = {0};
    control_encode(&c, &bytes);
    read_golden("version-2", &golden);
    EXPECT_UINT(bytes.size, golden.size);
    EXPECT_MEM(bytes.data, golden.data, golden.size);
    buf_deinit(&bytes);
    buf_deinit(&golden);
}

/* It did not know when the last checkpoint was made. */
TEST(control, version_1_is_still_read)
{
    struct control c = example();
    struct control back;
    struct buf golden = {0};
    struct err e = {0};
    read_golden("version-1", &golden);
    REQUIRE_OK(control_decode(buf_bytes(&golden), &back, &e));
    c.checkpoint_time_ms = 0;
    c.checkpoint_duration_ms = 0;
    c.checkpoint_bytes = 0;
    EXPECT(same(&c, &back));
    for (size_t size = 0; size < golden.size; size++) {
        EXPECT_ERR(control_decode(bytes_of(golden.data, size), &back, NULL), ERR_CORRUPT);
    }
    buf_deinit(&golden);
}

TEST(control, decodes_what_it_encoded_and_nothing_cut)
{
    struct control c = example();
    struct control back;
    struct buf bytes = {0};
    struct err e = {0};
    control_encode(&c, &bytes);
    REQUIRE_OK(control_decode(buf_bytes(&bytes), &back, &e));
    EXPECT(same(&c, &back));
    EXPECT_UINT(back.eras[1].index_first, 70);
    EXPECT_UINT(back.local_extent.lsn_durable, 600);
    EXPECT(back.clean);
    for (size_t size = 0; size < bytes.size; size++) {
        EXPECT_ERR(control_decode(bytes_of(bytes.data, size), &back, NULL), ERR_CORRUPT);
    }
    buf_put_u8(&bytes, 0);
    EXPECT_ERR(control_decode(buf_bytes(&bytes), &back, NULL), ERR_CORRUPT);
    buf_deinit(&bytes);
}

TEST(control, a_newer_format_is_refused_with_both_numbers)
{
    struct control back;
    struct err e = {0};
    static const uint8_t newer[] = {9, 0, 0, 0};
    EXPECT_ERR(control_decode(bytes_of(newer, sizeof newer), &back, &e), ERR_UNSUPPORTED);
    EXPECT_STR(e.text, "the control file was written by a newer tidemarkd (format 9, this one "
                       "knows up to 2)");
}

/* One byte of the example changed to a value that can't be. */
static void expect_corrupt(size_t offset, uint8_t value, const char *why)
{
    struct control c = example();
    struct control back;
    struct buf bytes = {0};
    struct err e = {0};
    control_encode(&c, &bytes);
    bytes.data[offset] = value;
    EXPECT_ERR(control_decode(buf_bytes(&bytes), &back, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, why);
    buf_deinit(&bytes);
}

TEST(control, impossible_values_are_refused)
{
    enum { SEGMENT = 20, LEVEL = 32, MODE, FLAGS, CHECKPOINT_TERM = 43, ERAS = 123 };
    expect_corrupt(SEGMENT, 1, "segments of 4194305 bytes");
    expect_corrupt(LEVEL, 4, "WAL level 4");
    expect_corrupt(MODE, 4, "recovery mode 4");
    expect_corrupt(FLAGS, 2, "flags 2");
    expect_corrupt(CHECKPOINT_TERM, 0, "checkpoint at index 77, term 0");
    expect_corrupt(ERAS, CONTROL_ERAS_MAX + 1, "65 eras");
    expect_corrupt(ERAS + 2, 3, "era 0: log 3");
    expect_corrupt(ERAS + 2 + 17 + 1, 1, "era 1: log 1, index 1");
}

TEST(control, holds_what_was_written)
{
    struct fixture f = fixture_open();
    EXPECT_OK(reopen(&f));
    EXPECT(same(control_get(f.file), &f.next));
    f.next.cluster_id = 5;
    f.next.clean = true;
    f.next.checkpoint_index = 10;
    f.next.checkpoint_term = 2;
    EXPECT_OK(control_write(f.file, &f.next, &f.err));
    EXPECT_OK(reopen(&f));
    EXPECT(same(control_get(f.file), &f.next));
    EXPECT_UINT(control_bad_copies(f.file), 0);
    fixture_close(&f);
}

TEST(control, files_of_two_directories_are_told_apart)
{
    struct fixture f = fixture_open();
    struct control_file *out = NULL;
    EXPECT_ERR(control_open(f.io, "/", 0xd2, &out, &f.err), ERR_INVALID);
    EXPECT_STR(f.err.text, "the control file is of directory 00000000000000d1, hard state of "
                           "00000000000000d2: files of two directories were mixed");
    EXPECT(out == NULL);
    fixture_close(&f);
}

TEST(control, a_missing_one_is_told_from_a_damaged_one)
{
    struct fixture f = fixture_open();
    struct control_file *out = NULL;
    REQUIRE_OK(io_mkdir(f.io, "/empty", &f.err));
    EXPECT_ERR(control_open(f.io, "/empty", DIRECTORY, &out, &f.err), ERR_NOT_FOUND);
    fake_disk_flip_bit(f.disk, "control.1", 40, 3);
    EXPECT_OK(reopen(&f));
    EXPECT_UINT(control_bad_copies(f.file), 1);
    fake_disk_flip_bit(f.disk, "control.1", 40, 3);
    fake_disk_flip_bit(f.disk, "control.0", 30, 1);
    EXPECT_ERR(reopen(&f), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "control: no copy is whole");
    fixture_close(&f);
}

static void write_next(void *fixture)
{
    struct fixture *f = fixture;
    (void)!control_write(f->file, &f->next, &f->err);
}

TEST(control, what_is_fixed_never_changes)
{
    struct fixture f = fixture_open();
    f.next = example();
    f.next.segment_size = 16 * LIMIT_MIB;
    EXPECT_OK(control_write(f.file, &f.next, &f.err));
    struct control good = f.next;
    f.next.directory_id++;
    EXPECT_DIES(write_next, &f, "directory_id");
    f.next = good;
    f.next.segment_size /= 2;
    EXPECT_DIES(write_next, &f, "segment_size");
    f.next = good;
    f.next.cluster_id++;
    EXPECT_DIES(write_next, &f, "cluster_id");
    f.next = good;
    f.next.checkpoint_index--;
    EXPECT_DIES(write_next, &f, "checkpoint_index");
    f.next.checkpoint_index = 0; /* but to none it may: it was lost */
    f.next.checkpoint_term = 0;
    EXPECT_OK(control_write(f.file, &f.next, &f.err));
    f.next = good;
    f.next.timeline--;
    EXPECT_DIES(write_next, &f, "timeline");
    fixture_close(&f);
}

TEST(control, after_a_failed_write_there_is_no_further_one)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_WRITE, FAKE_DISK_SYNC};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f = fixture_open();
        f.next.clean = true;
        fake_disk_fail_next(f.disk, calls[i], ERR_NO_SPACE);
        EXPECT_ERR(control_write(f.file, &f.next, &f.err), ERR_NO_SPACE);
        EXPECT_CONTAINS(f.err.text, "control file: copy 0");
        EXPECT(!control_get(f.file)->clean);
        EXPECT_ERR(control_write(f.file, &f.next, &f.err), ERR_STATE);
        fixture_close(&f);
    }
}

static void crash_in_write(uint64_t calls, uint64_t seed)
{
    struct fixture f = fixture_open();
    struct random r = random_seeded(seed);
    struct control old = f.next;
    struct control_era era = {CONTROL_LOG_RAFT, 1, 1};
    EXPECT_OK(control_add_era(&f.next, &era, &f.err));
    f.next.cluster_id = 8;
    fake_disk_stop_after(f.disk, calls);
    enum err_code code = control_write(f.file, &f.next, &f.err);
    fake_disk_power_fail(f.disk, &r);
    fake_disk_clear_faults(f.disk);
    REQUIRE_OK(reopen(&f));
    EXPECT(same(control_get(f.file), &f.next) ||
           (code != ERR_OK && same(control_get(f.file), &old)));
    struct control believed = *control_get(f.file);
    fake_disk_power_fail_lose_all(f.disk);
    REQUIRE_OK(reopen(&f));
    EXPECT(same(control_get(f.file), &believed));
    fixture_close(&f);
}

TEST(control, a_power_failure_leaves_the_old_or_the_new_content)
{
    for (uint64_t calls = 0; calls <= 5; calls++) {
        for (uint64_t seed = 1; seed <= 12; seed++) {
            crash_in_write(calls, seed);
        }
    }
}

/* --- eras --- */

TEST(control, an_index_belongs_to_the_era_that_began_last_before_it)
{
    struct control c = fresh();
    struct err e = {0};
    EXPECT_INT(control_log(&c), CONTROL_LOG_RAFT);
    EXPECT(control_era_at(&c, 1) == NULL);
    static const struct control_era eras[] = {
        {CONTROL_LOG_LOCAL, 5, 0}, {CONTROL_LOG_RAFT, 10, 1}, {CONTROL_LOG_LOCAL, 20, 3}};
    for (size_t i = 0; i < 3; i++) {
        EXPECT_OK(control_add_era(&c, &eras[i], &e));
        EXPECT_INT(control_log(&c), eras[i].log);
    }
    EXPECT(control_era_at(&c, 4) == NULL);
    EXPECT_UINT(control_era_at(&c, 5)->index_first, 5);
    EXPECT_UINT(control_era_at(&c, 9)->index_first, 5);
    EXPECT_UINT(control_era_at(&c, 10)->index_first, 10);
    EXPECT_UINT(control_era_at(&c, 19)->index_first, 10);
    EXPECT_UINT(control_era_at(&c, 1000)->index_first, 20);
}

TEST(control, an_era_without_a_change_is_replaced)
{
    struct control c = fresh();
    struct err e = {0};
    static const struct control_era eras[] = {
        {CONTROL_LOG_RAFT, 1, 1}, {CONTROL_LOG_LOCAL, 8, 2}, {CONTROL_LOG_RAFT, 8, 3}};
    for (size_t i = 0; i < 3; i++) {
        EXPECT_OK(control_add_era(&c, &eras[i], &e));
    }
    EXPECT_UINT(c.era_count, 2);
    EXPECT_INT(control_era_at(&c, 8)->log, CONTROL_LOG_RAFT);
    EXPECT_UINT(control_era_at(&c, 8)->term_first, 3);
}

TEST(control, index_and_term_of_eras_never_go_back)
{
    struct control c = fresh();
    struct err e = {0};
    struct control_era era = {CONTROL_LOG_RAFT, 10, 4};
    EXPECT_OK(control_add_era(&c, &era, &e));
    era.index_first = 9;
    EXPECT_ERR(control_add_era(&c, &era, &e), ERR_INVALID);
    EXPECT_STR(e.text, "an era at index 9, term 4 can't follow one at 10, 4");
    era = (struct control_era){CONTROL_LOG_RAFT, 11, 3};
    EXPECT_ERR(control_add_era(&c, &era, &e), ERR_INVALID);
    EXPECT_UINT(c.era_count, 1);
}

TEST(control, eras_below_a_checkpoint_are_forgotten)
{
    struct control c = fresh();
    struct err e = {0};
    for (uint64_t i = 0; i < CONTROL_ERAS_MAX; i++) {
        struct control_era era = {i % 2 == 0 ? CONTROL_LOG_RAFT : CONTROL_LOG_LOCAL, 10 * (i + 1),
                                  i};
        EXPECT_OK(control_add_era(&c, &era, &e));
    }
    struct control_era more = {CONTROL_LOG_RAFT, 10000, 100};
    EXPECT_ERR(control_add_era(&c, &more, &e), ERR_FULL);
    control_forget_eras(&c, 28); /* index 29 still belongs to the second */
    EXPECT_UINT(c.eras[0].index_first, 20);
    control_forget_eras(&c, 29);
    EXPECT_UINT(c.eras[0].index_first, 30);
    EXPECT_UINT(c.era_count, CONTROL_ERAS_MAX - 2);
    EXPECT_OK(control_add_era(&c, &more, &e));
    control_forget_eras(&c, UINT64_MAX - 1);
    EXPECT_UINT(c.era_count, 1);
    EXPECT_UINT(c.eras[0].index_first, 10000);
}
