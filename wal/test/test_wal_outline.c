/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_outline.h"

#include "wal/test/wal_fixture.h"

static struct fixture f;

enum { SIZE = 900, COUNT = 120 }; /* three segments */

static void build(void)
{
    fixture_init(&f, WAL_LOCAL);
    REQUIRE_OK(fixture_open(&f));
    fixture_fill(&f, 1, COUNT, 0, SIZE);
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
}

TEST(wal_outline, says_which_log_it_is_and_what_segments_it_has)
{
    build();
    struct wal_outline o;
    REQUIRE_OK(wal_outline_open(&o, f.options.io, "log", &f.err));
    EXPECT_INT(o.role, WAL_LOCAL);
    EXPECT_UINT(o.layout.segment_size, FIXTURE_SEGMENT_SIZE);
    EXPECT_UINT(o.set.first, 1);
    EXPECT_UINT(wal_set_last(&o.set), 3);
    EXPECT_UINT(o.headers_bad, 0);
    wal_outline_close(&o);
    fixture_deinit(&f);
}

TEST(wal_outline, a_number_without_a_file_between_others_is_missing)
{
    build();
    fake_disk_remove(f.disk, fixture_segment(2));
    struct wal_outline o;
    REQUIRE_OK(wal_outline_open(&o, f.options.io, "log", &f.err));
    EXPECT(wal_set_at(&o.set, 1)->present);
    EXPECT(!wal_set_at(&o.set, 2)->present);
    EXPECT(wal_set_at(&o.set, 3)->present);
    wal_outline_close(&o);
    fixture_deinit(&f);
}

TEST(wal_outline, one_intact_header_is_enough)
{
    build();
    bool good;
    struct wal_outline o;
    fake_disk_flip_bit(f.disk, fixture_segment(1), 9, 1);
    fake_disk_read_error(f.disk, fixture_segment(2), 0, 512);
    REQUIRE_OK(wal_outline_open(&o, f.options.io, "log", &f.err));
    EXPECT_UINT(o.headers_bad, 2);
    EXPECT_OK(wal_outline_header(&o, 1, &good, &f.err));
    EXPECT(!good);
    EXPECT_OK(wal_outline_header(&o, 3, &good, &f.err));
    EXPECT(good);
    wal_outline_close(&o);
    fake_disk_flip_bit(f.disk, fixture_segment(3), 9, 1);
    EXPECT_ERR(wal_outline_open(&o, f.options.io, "log", &f.err), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "none of 3 segment headers");
    wal_outline_close(&o);
    fixture_deinit(&f);
}

TEST(wal_outline, two_files_of_one_number_are_no_log)
{
    build();
    struct file *file;
    struct wal_outline o;
    REQUIRE_OK(
        io_open(f.options.io, "log/000000020000000000000002", IO_WRITE | IO_CREATE, &file, &f.err));
    file_close(file);
    EXPECT_ERR(wal_outline_open(&o, f.options.io, "log", &f.err), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "two files are segment 2");
    wal_outline_close(&o);
    fixture_deinit(&f);
}

TEST(wal_outline, a_directory_without_segments_is_no_log)
{
    fixture_init(&f, WAL_LOCAL);
    struct wal_outline o;
    EXPECT_ERR(wal_outline_open(&o, f.options.io, "log", &f.err), ERR_NOT_FOUND);
    wal_outline_close(&o);
    REQUIRE_OK(io_mkdir(f.options.io, "log", &f.err));
    EXPECT_ERR(wal_outline_open(&o, f.options.io, "log", &f.err), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.err.text, "no segment");
    wal_outline_close(&o);
    fixture_deinit(&f);
}
