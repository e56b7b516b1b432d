/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_directory.h"

#include "base/crc32c.h"
#include "wal/test/wal_fixture.h"

enum { SIZE = 900 };

static struct fixture f;

static void open_new(void)
{
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(fixture_open(&f));
}

/* A stopped log of so many segments and the entries up to the returned index. */
static uint64_t build_segments(uint64_t segments)
{
    open_new();
    uint64_t last = 0;
    while (f.extent.segment_last < segments) {
        last++;
        fixture_fill(&f, last, last, 1, SIZE);
    }
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    return last;
}

static uint64_t build(void)
{
    return build_segments(3);
}

static void write_file(const char *path, const void *data, size_t size)
{
    struct file *file;
    REQUIRE_OK(io_open(f.options.io, path, IO_WRITE | IO_CREATE, &file, &f.err));
    struct bytes part = bytes_of(data, size);
    REQUIRE_OK(file_write_at(file, 0, &part, 1, &f.err));
    REQUIRE_OK(file_sync(file, &f.err));
    file_close(file);
    REQUIRE_OK(io_sync_dir(f.options.io, "log", &f.err));
}

/* --- founding --- */

TEST(wal_directory, a_new_log_survives_a_power_failure_at_once)
{
    open_new();
    fake_disk_power_fail_lose_all(f.disk);
    fixture_abandon(&f);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 0);
    EXPECT_UINT(f.report.segments, 1);
    EXPECT_UINT(f.report.segments_missing, 0);
    fixture_deinit(&f);
}

TEST(wal_directory, founding_may_be_interrupted_anywhere)
{
    for (uint64_t stop = 0;; stop++) {
        fixture_init(&f, WAL_RAFT);
        fake_disk_stop_after(f.disk, stop);
        enum err_code code = fixture_open(&f);
        fake_disk_clear_faults(f.disk);
        fake_disk_power_fail_lose_all(f.disk);
        fixture_abandon(&f);
        REQUIRE_OK(fixture_open(&f));
        fixture_fill(&f, 1, 1, 1, SIZE);
        fixture_deinit(&f);
        if (code == ERR_OK) {
            EXPECT(stop > 5);
            return;
        }
    }
}

TEST(wal_directory, a_log_that_is_said_to_be_new_may_not_hold_records)
{
    (void)build();
    f.extent_made = false;
    EXPECT_ERR(fixture_open(&f), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "has records");
    EXPECT(fake_disk_has(f.disk, fixture_segment(1)));
    fixture_deinit(&f);
}

/* --- whose log it is --- */

TEST(wal_directory, refuses_another_directorys_log)
{
    (void)build();
    f.options.directory_id++;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    EXPECT_CONTAINS(f.err.text, "belongs to another log");
    f.options.directory_id--;
    f.options.cluster_id++;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    f.options.cluster_id--;
    EXPECT_OK(fixture_open(&f));
    fixture_deinit(&f);
}

TEST(wal_directory, refuses_a_log_of_the_other_role)
{
    (void)build();
    f.options.role = WAL_LOCAL;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    fixture_deinit(&f);
}

TEST(wal_directory, refuses_another_segment_size_and_touches_nothing)
{
    (void)build();
    for (uint64_t size = 128 * 1024; size <= 1024 * 1024 * 1024; size *= 8) {
        uint64_t writes = fake_disk_calls_of(f.disk, FAKE_DISK_WRITE);
        uint64_t renames = fake_disk_calls_of(f.disk, FAKE_DISK_RENAME);
        f.options.segment_size = size;
        f.options.extent = f.extent;
        EXPECT_ERR(fixture_open(&f), ERR_INVALID);
        EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_WRITE), writes);
        EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_RENAME), renames);
    }
    f.options.segment_size = 100000;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    EXPECT_CONTAINS(f.err.text, "no power of two");
    fixture_deinit(&f);
}

TEST(wal_directory, refuses_a_newer_format)
{
    (void)build();
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    (void)fake_disk_peek(f.disk, fixture_segment(2), 0, header, sizeof header);
    struct wal_segment_header h;
    REQUIRE(wal_segment_header_decode(header, &h) == WAL_RECORD_GOOD);
    bytes_put_u16(header + 4, WAL_SEGMENT_FORMAT + 1);
    bytes_put_u32(header + sizeof header - 4, 0);
    bytes_put_u32(header + sizeof header - 4, crc32c(0, header, sizeof header - 4));
    fake_disk_overwrite(f.disk, fixture_segment(2), 0, bytes_of(header, sizeof header));
    EXPECT_ERR(fixture_open(&f), ERR_UNSUPPORTED);
    EXPECT_CONTAINS(f.err.text, "newer format");
    fixture_deinit(&f);
}

TEST(wal_directory, refuses_an_extent_that_can_not_be)
{
    (void)build();
    struct wal_extent right = f.extent;
    f.extent.segment_first = 0;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    f.extent = right;
    f.extent.segment_last = 0;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    f.extent = right;
    f.extent.lsn_durable = UINT64_MAX / 2;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    f.extent.lsn_durable = (right.segment_last + 1) * FIXTURE_SEGMENT_SIZE + 8;
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    f.extent = right;
    EXPECT_OK(fixture_open(&f));
    fixture_deinit(&f);
}

/* --- what belongs to it --- */

TEST(wal_directory, records_behind_the_extent_mean_that_it_is_not_this_logs)
{
    (void)build();
    f.extent.segment_last = 2;
    f.extent.lsn_durable = 0;
    EXPECT_ERR(fixture_open(&f), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "000000010000000000000003 has records");
    EXPECT(fake_disk_has(f.disk, fixture_segment(3)));
    fixture_deinit(&f);
}

TEST(wal_directory, an_empty_segment_behind_the_extent_is_recycled)
{
    uint64_t last = build();
    static const uint8_t zeros[FIXTURE_SEGMENT_SIZE];
    write_file("log/000000010000000000000004", zeros, sizeof zeros);
    REQUIRE_OK(fixture_open(&f));
    EXPECT(!fake_disk_has(f.disk, "log/000000010000000000000004"));
    EXPECT_UINT(wal_index_last(f.wal), last);
    EXPECT_UINT(wal_stats(f.wal).segments, 3);
    fixture_deinit(&f);
}

TEST(wal_directory, a_segment_that_was_cut_and_not_yet_renamed_is_recycled)
{
    uint64_t last = build();
    f.extent.segment_first = 2;
    f.extent.index_cut = last - 30;
    f.extent.term_cut = 1;
    REQUIRE_OK(fixture_open(&f));
    EXPECT(!fake_disk_has(f.disk, fixture_segment(1)));
    EXPECT_UINT(wal_index_last(f.wal), last);
    EXPECT_UINT(wal_index_first(f.wal), last - 29);
    fixture_deinit(&f);
}

TEST(wal_directory, other_files_are_left_alone)
{
    uint64_t last = build();
    write_file("log/notes.txt", "mine", 4);
    write_file("log/spare-zzzzzzzz", "mine", 4);
    write_file("log/00000001000000000000000a", "mine", 4); /* small letters */
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), last);
    EXPECT(fake_disk_has(f.disk, "log/notes.txt"));
    EXPECT(fake_disk_has(f.disk, "log/spare-zzzzzzzz"));
    EXPECT(fake_disk_has(f.disk, "log/00000001000000000000000a"));
    fixture_deinit(&f);
}

/* The name alone makes it this log's, and says what can't be. */
TEST(wal_directory, a_name_of_no_timeline_is_refused)
{
    (void)build();
    static uint8_t bytes[FIXTURE_SEGMENT_SIZE];
    write_file("log/000000000000000000000002", bytes, sizeof bytes);
    EXPECT_ERR(fixture_open(&f), ERR_INVALID);
    EXPECT_CONTAINS(f.err.text, "is no segment");
    EXPECT(fake_disk_has(f.disk, "log/000000000000000000000002"));
    fixture_deinit(&f);
}

TEST(wal_directory, two_files_for_one_number_are_refused)
{
    (void)build();
    static uint8_t bytes[FIXTURE_SEGMENT_SIZE];
    (void)fake_disk_peek(f.disk, fixture_segment(2), 0, bytes, sizeof bytes);
    write_file("log/000000020000000000000002", bytes, sizeof bytes);
    EXPECT_ERR(fixture_open(&f), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "two files are segment 2");
    fixture_deinit(&f);
}

TEST(wal_directory, spares_beyond_the_limit_are_removed)
{
    (void)build();
    write_file("log/spare-00000041", "x", 1);
    write_file("log/spare-00000042", "x", 1);
    write_file("log/spare-00000043", "x", 1);
    f.options.segments_min = 1;
    REQUIRE_OK(fixture_open(&f));
    int left = fake_disk_has(f.disk, "log/spare-00000041") +
               fake_disk_has(f.disk, "log/spare-00000042") +
               fake_disk_has(f.disk, "log/spare-00000043");
    EXPECT_INT(left, 2);
    fixture_deinit(&f);
}

TEST(wal_directory, a_bad_segment_header_is_written_again_and_counted)
{
    uint64_t last = build();
    fake_disk_flip_bit(f.disk, fixture_segment(2), 100, 1);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(f.report.segments_missing, 1);
    EXPECT_UINT(wal_index_last(f.wal), last);
    for (uint64_t i = 1; i <= last; i++) {
        EXPECT(fixture_reads(&f, i, 1, SIZE));
    }
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(f.report.segments_missing, 0);
    fixture_deinit(&f);
}

TEST(wal_directory, a_missing_segment_is_a_run_of_holes)
{
    uint64_t last = build();
    fake_disk_remove(f.disk, fixture_segment(2));
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(f.report.segments_missing, 1);
    EXPECT_UINT(wal_index_last(f.wal), last);
    EXPECT(!wal_end_unknown(f.wal));
    size_t holes;
    (void)wal_holes(f.wal, &holes);
    EXPECT(holes > 40);
    EXPECT(fixture_reads(&f, last, 1, SIZE));
    fixture_deinit(&f);
}

TEST(wal_directory, an_unopenable_segment_is_an_error_not_a_hole)
{
    (void)build();
    fake_disk_fail(f.disk, (struct fake_disk_fault){.call = FAKE_DISK_OPEN,
                                                    .path = "000000010000000000000002",
                                                    .nth = 1,
                                                    .for_ever = true,
                                                    .code = ERR_IO});
    EXPECT_ERR(fixture_open(&f), ERR_IO);
    fake_disk_clear_faults(f.disk);
    EXPECT_OK(fixture_open(&f));
    size_t holes;
    (void)wal_holes(f.wal, &holes);
    EXPECT_UINT(holes, 0);
    fixture_deinit(&f);
}

TEST(wal_directory, an_empty_side_file_is_removed_at_open)
{
    (void)build();
    write_file("log/000000010000000000000002.side", "", 0);
    REQUIRE_OK(fixture_open(&f));
    EXPECT(!fake_disk_has(f.disk, "log/000000010000000000000002.side"));
    fixture_deinit(&f);
}

TEST(wal_directory, a_side_file_goes_with_its_segment)
{
    uint64_t last = build();
    fake_disk_remove(f.disk, fixture_segment(2));
    REQUIRE_OK(fixture_open(&f));
    size_t count;
    const struct wal_hole *holes = wal_holes(f.wal, &count);
    REQUIRE(count > 0);
    uint64_t index = holes[0].index;
    EXPECT(holes[0].unknown);
    struct wal_entry entry = fixture_entry(&f, index, 1, SIZE);
    REQUIRE_OK(wal_repair(f.wal, &entry, &f.err));
    EXPECT(fake_disk_has(f.disk, "log/000000010000000000000002.side"));
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT(fixture_reads(&f, index, 1, SIZE));
    REQUIRE_OK(wal_cut(f.wal, last, 1, &f.err));
    EXPECT(!fake_disk_has(f.disk, "log/000000010000000000000002.side"));
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), last);
    fixture_deinit(&f);
}

/* All that they held stands at the first of them, which has one side file of one
 * segment's size. */
TEST(wal_directory, neighbouring_segments_that_are_missing_are_filled_beside)
{
    uint64_t last = build_segments(4);
    fake_disk_remove(f.disk, fixture_segment(2));
    fake_disk_remove(f.disk, fixture_segment(3));
    REQUIRE_OK(fixture_open(&f));
    size_t count;
    unsigned filled = 0;
    for (;;) {
        const struct wal_hole *holes = wal_holes(f.wal, &count);
        if (count == 0) {
            break;
        }
        struct wal_entry entry = fixture_entry(&f, holes[0].index, 1, SIZE);
        REQUIRE_OK(wal_repair(f.wal, &entry, &f.err));
        filled++;
    }
    EXPECT(filled * SIZE > FIXTURE_SEGMENT_SIZE);
    EXPECT(fake_disk_has(f.disk, "log/000000010000000000000003.side"));
    REQUIRE_OK(fixture_kill_and_open(&f));
    for (uint64_t i = 1; i <= last; i++) {
        EXPECT(fixture_reads(&f, i, 1, SIZE));
    }
    fixture_deinit(&f);
}
