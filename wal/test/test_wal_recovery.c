/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_recovery.h"

#include "base/crc32c.h"
#include "wal/test/wal_fixture.h"
#include "wal/wal_side.h"

enum { SIZE = 400, LONG = 1500 };

static struct fixture f;

/* Every extent that was made durable, in order. */
struct history {
    struct wal_extent extents[64];
    size_t count;
    uint64_t writes[64]; /* calls of write on the disk before it */
};

static struct history history;

static enum err_code remember_extent(void *context, const struct wal_extent *extent, struct err *e)
{
    if (history.count < 64) {
        history.extents[history.count] = *extent;
        history.writes[history.count] = fake_disk_calls_of(f.disk, FAKE_DISK_WRITE);
        history.count++;
    }
    return fixture_extent_changed(context, extent, e);
}

static void open_new(enum wal_role role)
{
    fixture_init(&f, role);
    f.options.extent_changed = remember_extent;
    REQUIRE_OK(fixture_open(&f));
    history.count = 0;
}

static void crash(void)
{
    fake_disk_power_fail_lose_all(f.disk);
    fixture_abandon(&f);
}

/* The header of the last record arrives, its payload does not. */
static void tear_last(size_t size)
{
    REQUIRE_OK(fixture_append(&f, wal_index_last(f.wal) + 1, 1, size));
    bool *keep = mem_array(fake_disk_pending(f.disk) + 1, sizeof *keep);
    keep[0] = true;
    fake_disk_power_fail_keep(f.disk, keep, 0);
    mem_free(keep);
    fixture_abandon(&f);
}

/* --- torn tails --- */

TEST(wal_recovery, a_torn_tail_is_dropped_counted_and_zeroed)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, SIZE);
    tear_last(4000);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 3);
    EXPECT_UINT(f.report.records_torn, 1);
    EXPECT(f.report.bytes_torn > 0);
    EXPECT_UINT(f.report.records_damaged + f.report.records_unknown, 0);
    uint64_t end = fixture_offset(3, SIZE);
    static uint8_t bytes[FIXTURE_SEGMENT_SIZE];
    (void)fake_disk_peek_platter(f.disk, fixture_segment(1), 0, bytes, sizeof bytes);
    EXPECT(bytes_is_zero(bytes_of(bytes + end, sizeof bytes - end)));
    fixture_deinit(&f);
}

TEST(wal_recovery, opening_twice_gives_the_same_answer)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, SIZE);
    tear_last(4000);
    REQUIRE_OK(fixture_open(&f));
    uint64_t end = wal_lsn_end(f.wal);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_lsn_end(f.wal), end);
    EXPECT_UINT(wal_index_last(f.wal), 3);
    EXPECT_UINT(f.report.records_torn, 0);
    fixture_deinit(&f);
}

TEST(wal_recovery, a_whole_batch_behind_a_tear_goes_too)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, 416); /* 512 bytes each: the header of 4 is in one sector */
    REQUIRE_OK(fixture_append(&f, 4, 1, LONG));
    REQUIRE_OK(fixture_append(&f, 5, 1, SIZE));
    uint64_t count = fake_disk_pending(f.disk);
    bool *keep = mem_array(count, sizeof *keep);
    for (uint64_t i = 0; i < count; i++) {
        keep[i] = i != 1; /* one sector in the middle of 4 is lost */
    }
    fake_disk_power_fail_keep(f.disk, keep, 0);
    mem_free(keep);
    fixture_abandon(&f);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 3);
    EXPECT_UINT(f.report.records_torn, 2);
    fixture_deinit(&f);
}

TEST(wal_recovery, any_tear_at_a_sector_leaves_what_was_synced)
{
    for (uint64_t kept = 0; kept < 9; kept++) {
        open_new(WAL_RAFT);
        fixture_fill(&f, 1, 3, 1, SIZE);
        REQUIRE_OK(fixture_append(&f, 4, 1, 4000));
        uint64_t count = fake_disk_pending(f.disk);
        REQUIRE(count == 9);
        bool *keep = mem_array(count, sizeof *keep);
        for (uint64_t i = 0; i < count; i++) {
            keep[i] = i == kept;
        }
        fake_disk_power_fail_keep(f.disk, keep, 0);
        mem_free(keep);
        fixture_abandon(&f);
        REQUIRE_OK(fixture_open(&f));
        EXPECT_UINT(wal_index_last(f.wal), 3);
        size_t holes;
        (void)wal_holes(f.wal, &holes);
        EXPECT_UINT(holes, 0);
        fixture_deinit(&f);
    }
}

/* --- the durable position --- */

TEST(wal_recovery, the_position_found_is_stated_before_anything_is_changed)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, SIZE);
    fixture_fill(&f, 4, 4, 1, SIZE);
    uint64_t stated =
        wal_lsn_of(&(struct wal_layout){FIXTURE_SEGMENT_SIZE, 1}, 1, fixture_offset(3, SIZE));
    crash();
    history.count = 0;
    uint64_t writes = fake_disk_calls_of(f.disk, FAKE_DISK_WRITE);
    REQUIRE_OK(fixture_open(&f));
    REQUIRE_UINT(history.count, 2);
    EXPECT_UINT(history.extents[0].lsn_durable, stated);
    EXPECT_UINT(history.writes[0], writes);
    EXPECT_UINT(history.extents[1].lsn_durable, wal_lsn_end(f.wal));
    EXPECT(history.writes[1] > writes);
    EXPECT_UINT(f.report.lsn_durable, stated);
    fixture_deinit(&f);
}

TEST(wal_recovery, nothing_is_told_to_hard_state_when_nothing_is_new)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, SIZE);
    crash();
    REQUIRE_OK(fixture_open(&f));
    crash();
    history.count = 0;
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(history.count, 0);
    fixture_deinit(&f);
}

TEST(wal_recovery, a_failure_to_state_it_stops_the_open)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, SIZE);
    fixture_fill(&f, 4, 4, 1, SIZE);
    crash();
    for (unsigned nth = 1; nth <= 2; nth++) {
        f.extent_fails_in = nth;
        struct wal_extent before = f.extent;
        EXPECT_ERR(fixture_open(&f), ERR_IO);
        EXPECT(nth == 2 || f.extent.lsn_durable == before.lsn_durable);
    }
    f.extent_fails_in = 0;
    EXPECT_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 4);
    fixture_deinit(&f);
}

TEST(wal_recovery, identifier_pages_state_it_too)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, LONG);
    REQUIRE_OK(wal_mark(f.wal, 0, &f.err));
    uint64_t stated = f.extent.lsn_durable;
    crash();
    /* All headers but the first are gone; the page alone knows. */
    fake_disk_zero(f.disk, fixture_segment(1), fixture_offset(2, LONG),
                   FIXTURE_SEGMENT_SIZE - fixture_offset(2, LONG));
    REQUIRE_OK(fixture_open(&f));
    EXPECT(f.report.lsn_durable > stated);
    EXPECT_UINT(wal_index_last(f.wal), 3);
    EXPECT(wal_hole_at(f.wal, 3) != NULL);
    fixture_deinit(&f);
}

/* --- what was only in memory --- */

TEST(wal_recovery, what_a_kill_left_in_memory_is_durable_after_an_open)
{
    open_new(WAL_RAFT);
    REQUIRE_OK(fixture_append(&f, 1, 1, SIZE));
    REQUIRE_OK(fixture_append(&f, 2, 1, SIZE));
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_durable(f.wal), 2);
    crash();
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 2);
    fixture_deinit(&f);
}

TEST(wal_recovery, what_a_failed_sync_marked_clean_is_written_again)
{
    open_new(WAL_RAFT);
    REQUIRE_OK(fixture_append(&f, 1, 1, SIZE));
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(wal_sync(f.wal, &f.err), ERR_IO);
    REQUIRE_OK(fixture_kill_and_open(&f)); /* the cache still shows it */
    EXPECT_UINT(wal_index_last(f.wal), 1);
    crash();
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 1);
    fixture_deinit(&f);
}

/* --- going on --- */

TEST(wal_recovery, an_unknown_end_is_followed_by_a_new_segment)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, SIZE);
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_zero(f.disk, fixture_segment(1), WAL_SEGMENT_HEADER_SIZE,
                   (uint64_t)2 * WAL_IDENTIFIER_PAGE_SIZE);
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(2, SIZE) + 20, 1);
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(3, SIZE) + 20, 1); /* MARK */
    REQUIRE_OK(fixture_open(&f));
    EXPECT(wal_end_unknown(f.wal));
    EXPECT_ERR(fixture_append(&f, wal_index_last(f.wal) + 1, 2, SIZE), ERR_STATE);
    REQUIRE_OK(wal_drop(f.wal, 3, 0, &f.err));
    EXPECT(!wal_end_unknown(f.wal));
    EXPECT_UINT(f.extent.segment_last, 2);
    fixture_fill(&f, 3, 4, 2, SIZE);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT(!wal_end_unknown(f.wal));
    EXPECT_UINT(wal_index_last(f.wal), 4);
    EXPECT(fixture_reads(&f, 4, 2, SIZE));
    fixture_deinit(&f);
}

TEST(wal_recovery, numbers_go_on_above_all_that_were_lost)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 30, 1, SIZE);
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_remove(f.disk, fixture_segment(1));
    REQUIRE_OK(fixture_open(&f));
    EXPECT(wal_end_unknown(f.wal));
    EXPECT_UINT(wal_index_last(f.wal), 0);
    REQUIRE_OK(wal_drop(f.wal, 1, 0, &f.err));
    EXPECT(f.extent.sequence_last > 31);
    fixture_deinit(&f);
}

TEST(wal_recovery, a_log_behind_a_reset_keeps_its_numbers)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 5, 1, SIZE);
    REQUIRE_OK(wal_reset(f.wal, 100, 3, &f.err));
    uint64_t sequence = f.extent.sequence_last;
    EXPECT_UINT(sequence, 5);
    crash();
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 100);
    fixture_fill(&f, 101, 101, 3, SIZE);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT(fixture_reads(&f, 101, 3, SIZE));
    size_t holes;
    (void)wal_holes(f.wal, &holes);
    EXPECT_UINT(holes, 0);
    fixture_deinit(&f);
}

/* A local log writes no side file: whatever one says, it fills nothing. */
TEST(wal_recovery, a_side_file_in_a_local_log_says_nothing)
{
    open_new(WAL_LOCAL);
    f.options.recovery_mode = WAL_SKIP_ANY_CORRUPTED_RECORDS;
    fixture_fill(&f, 1, 5, 0, SIZE);
    struct wal_record record = {.type = WAL_RECORD_COMMAND,
                                .log_key = wal_log_key(22, WAL_LOCAL),
                                .index = 3,
                                .lsn = wal_lsn_end(f.wal)};
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(2, SIZE) + 200, 3);
    struct file *file;
    REQUIRE_OK(io_open(f.options.io, "log/000000010000000000000001.side", IO_WRITE | IO_CREATE,
                       &file, &f.err));
    REQUIRE_OK(wal_side_append(file, 0, &record, bytes_str("entry 3, so it says"), &f.err));
    file_close(file);
    REQUIRE_OK(fixture_open(&f));
    EXPECT(fixture_reads(&f, 2, 0, SIZE));
    EXPECT(fixture_reads(&f, 4, 0, SIZE));
    EXPECT(!fixture_reads(&f, 3, 0, SIZE));
    EXPECT_UINT(f.report.records_damaged, 1);
    fixture_deinit(&f);
}

/* --- refusals --- */

TEST(wal_recovery, a_record_of_a_newer_program_is_refused_and_kept)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 3, 1, SIZE);
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    uint64_t offset = fixture_offset(1, SIZE);
    (void)fake_disk_peek(f.disk, fixture_segment(1), offset, header, sizeof header);
    struct wal_record record;
    REQUIRE(wal_record_decode(header, &record) == WAL_RECORD_GOOD);
    header[4] = WAL_RECORD_VERSION + 1;
    bytes_put_u32(header, crc32c(0, header + 4, sizeof header - 4));
    REQUIRE(wal_record_decode(header, &record) == WAL_RECORD_NEWER);
    fake_disk_overwrite(f.disk, fixture_segment(1), offset, bytes_of(header, sizeof header));
    EXPECT_ERR(fixture_open(&f), ERR_UNSUPPORTED);
    EXPECT_CONTAINS(f.err.text, "record of a newer program");
    fixture_deinit(&f);
}

/* Each damaged slot takes a second to find, says the clock. */
static struct {
    uint64_t us;
    char lines[512];
} slow;

static int64_t no_wall(void *context)
{
    (void)context;
    return 0;
}

static void note_line(void *context, const char *line)
{
    (void)context;
    if (strstr(line, "slot-damaged") != NULL) {
        slow.us += 1000 * 1000;
        fake_disk_set_monotonic(f.disk, slow.us);
    } else if (strstr(line, " wal analysis ") != NULL) {
        (void)snprintf(slow.lines + strlen(slow.lines), sizeof slow.lines - strlen(slow.lines),
                       "%s", strstr(line, "dir="));
    }
}

TEST(wal_recovery, a_long_analysis_says_how_far_it_is)
{
    static const struct log log = {.level = LOG_INFO, .wall_us = no_wall, .write = note_line};
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 150, 1, 900); /* three segments */
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    REQUIRE_UINT(f.extent.segment_last, 3);
    f.options.log = &log;
    slow.us = 0;
    slow.lines[0] = '\0';
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(4, 900) + 200, 3);
    fake_disk_flip_bit(f.disk, fixture_segment(2), fixture_offset(4, 900) + 200, 3);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_STR(slow.lines, "dir=log lsn=0/00020000 bytes_left=131072 bytes_per_second=65536 "
                           "remaining_ms=2000\n"
                           "dir=log lsn=0/00030000 bytes_left=65536 bytes_per_second=65536 "
                           "remaining_ms=1000\n");
    f.options.log = NULL;
    fixture_deinit(&f);
}

TEST(wal_recovery, the_report_tells_what_was_found)
{
    open_new(WAL_RAFT);
    fixture_fill(&f, 1, 10, 1, SIZE);
    REQUIRE_OK(wal_mark(f.wal, 7, &f.err));
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(4, SIZE) + 200, 3);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(f.report.records_whole, 10); /* nine entries and a MARK */
    EXPECT_UINT(f.report.records_damaged, 1);
    EXPECT_UINT(f.report.records_unknown, 0);
    EXPECT_UINT(f.report.records_torn, 0);
    EXPECT_UINT(f.report.records_dropped, 0);
    EXPECT_UINT(f.report.segments, 1);
    EXPECT_UINT(f.report.commit_stated, 7);
    EXPECT(!f.report.stopped_at_damage);
    EXPECT_UINT(f.report.lsn_first,
                wal_lsn_first(&(struct wal_layout){FIXTURE_SEGMENT_SIZE, 1}, 1));
    EXPECT_UINT(f.report.lsn_end, wal_lsn_end(f.wal));
    fixture_deinit(&f);
}
