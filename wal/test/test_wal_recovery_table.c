/* SPDX-License-Identifier: Apache-2.0 */
/* Damage x recovery mode of the local WAL. The rows are those that were measured
 * on RocksDB, in its order, and then our own; the answers are ours (docs/recovery.md
 * says why they differ). Each open is repeated, written on, killed and opened
 * again in every mode. */
#include "base/log.h"
#include "base/random.h"
#include "wal/test/local_log.h"

enum answer {
    ALL,    /* every entry */
    PREFIX, /* those before the first that is lost */
    GAP,    /* all but the lost ones */
    REFUSES /* naming segment and offset */
};

struct row {
    const char *damage;
    void (*make)(void);
    int lost_from, lost_to; /* entries lost themselves: [lost_from, lost_to) */
    bool noticed;           /* something was wrong, though perhaps no entry is lost */
    enum answer answers[4]; /* tolerate, absolute, point in time, skip */
};

/* --- damage --- */

enum { MIDDLE = 2 * PER_SEGMENT, LAST = TOTAL - 1, LAST_BEGINS = 4 * PER_SEGMENT };

/* Behind the last entry and the MARK of the clean stop. */
static uint64_t end_of_log(void)
{
    return offset_of(IN_LAST) + wal_record_span(0);
}

static void flip(uint64_t segment, int in_segment, uint64_t in_record)
{
    fake_disk_flip_bit(f.disk, fixture_segment(segment), offset_of(in_segment) + in_record, 5);
}

static void zero(uint64_t segment, int in_segment)
{
    fake_disk_zero(f.disk, fixture_segment(segment), offset_of(in_segment), wal_record_span(SIZE));
}

static void lose_identifiers(uint64_t segment)
{
    fake_disk_zero(f.disk, fixture_segment(segment), WAL_SEGMENT_HEADER_SIZE,
                   (uint64_t)2 * WAL_IDENTIFIER_PAGE_SIZE);
}

static void copy(uint64_t from_segment, uint64_t from, uint64_t to_segment, uint64_t to,
                 uint64_t size)
{
    static uint8_t bytes[FIXTURE_SEGMENT_SIZE];
    REQUIRE(fake_disk_peek(f.disk, fixture_segment(from_segment), from, bytes, size) == size);
    fake_disk_overwrite(f.disk, fixture_segment(to_segment), to, bytes_of(bytes, size));
}

/* One more write, that no sync covers, of which so many sectors arrive. */
static void tear(uint64_t sectors)
{
    f.options.recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
    REQUIRE_OK(fixture_open(&f));
    REQUIRE_OK(fixture_append(&f, index_of(TOTAL), 0, 2000));
    bool keep[16] = {false};
    uint64_t count = fake_disk_pending(f.disk);
    REQUIRE(sectors < count && count <= 16);
    for (uint64_t i = 0; i < sectors; i++) {
        keep[i] = true;
    }
    fake_disk_power_fail_keep(f.disk, keep, 0);
    fixture_abandon(&f);
}

static void tear_in_body(void)
{
    tear(2);
}

static void tear_in_header(void)
{
    tear(1);
}

static void tear_whole(void)
{
    tear(0);
}

static void write_file(const char *path, uint64_t offset, uint64_t size)
{
    static const uint8_t zeros[FIXTURE_SEGMENT_SIZE];
    struct file *file;
    struct bytes bytes = bytes_of(zeros, size);
    REQUIRE_OK(io_open(f.options.io, path, IO_WRITE | IO_CREATE, &file, &f.err));
    if (size > 0) {
        REQUIRE_OK(file_write_at(file, offset, &bytes, 1, &f.err));
    }
    REQUIRE_OK(file_sync(file, &f.err));
    file_close(file);
    REQUIRE_OK(io_sync_dir(f.options.io, "log", &f.err));
}

static void zeros_behind(void)
{
    write_file(fixture_segment(SEGMENTS), FIXTURE_SEGMENT_SIZE, 4096);
}

static void empty_segment_behind(void)
{
    write_file(fixture_segment(SEGMENTS + 1), 0, 0);
}

static void zero_segment_behind(void)
{
    write_file(fixture_segment(SEGMENTS + 1), 0, FIXTURE_SEGMENT_SIZE);
}

static void zero_last(void)
{
    zero(SEGMENTS, IN_LAST - 1);
}

static void zero_end_of_last(void)
{
    fake_disk_zero(f.disk, fixture_segment(SEGMENTS),
                   offset_of(IN_LAST - 1) + WAL_RECORD_HEADER_SIZE + SIZE - 20, 20);
}

static void flip_last(void)
{
    flip(SEGMENTS, IN_LAST - 1, 300);
}

static void garbage_behind(void)
{
    struct random random = random_seeded(1);
    fake_disk_garbage(f.disk, fixture_segment(SEGMENTS), end_of_log(), 100, &random);
}

static void flip_in_last(void)
{
    flip(SEGMENTS, 3, 300);
}

static void flip_in_middle(void)
{
    flip(3, 7, 300);
}

static void flip_length(void)
{
    flip(3, 7, 13);
}

static void flip_length_alone(void)
{
    lose_identifiers(3);
    flip_length();
}

static void zero_in_middle(void)
{
    zero(3, 7);
}

static void zero_in_middle_alone(void)
{
    lose_identifiers(3);
    zero(3, 7);
}

/* All that is left to notice it is the number of the next segment's first record. */
static void zero_end_of_segment_alone(void)
{
    lose_identifiers(3);
    zero(3, PER_SEGMENT - 1);
}

static void remove_middle(void)
{
    fake_disk_remove(f.disk, fixture_segment(3));
}

static void remove_first(void)
{
    fake_disk_remove(f.disk, fixture_segment(1));
}

static void remove_last(void)
{
    fake_disk_remove(f.disk, fixture_segment(SEGMENTS));
}

static void cut_in_record(void)
{
    fake_disk_truncate(f.disk, fixture_segment(3), offset_of(7) + 200);
}

static void cut_on_boundary(void)
{
    fake_disk_truncate(f.disk, fixture_segment(3), offset_of(7));
}

static void cut_to_nothing(void)
{
    fake_disk_truncate(f.disk, fixture_segment(3), 0);
}

static void cut_last_to_nothing(void)
{
    fake_disk_truncate(f.disk, fixture_segment(SEGMENTS), 0);
}

static void cut_last_in_body(void)
{
    fake_disk_truncate(f.disk, fixture_segment(SEGMENTS), offset_of(IN_LAST - 1) + 200);
}

static void cut_last_in_header(void)
{
    fake_disk_truncate(f.disk, fixture_segment(SEGMENTS), offset_of(IN_LAST - 1) + 40);
}

static void cut_last_behind_all(void)
{
    fake_disk_truncate(f.disk, fixture_segment(SEGMENTS), end_of_log());
}

static void last_twice(void)
{
    copy(SEGMENTS, offset_of(IN_LAST - 1), SEGMENTS, end_of_log(), wal_record_span(SIZE));
}

static void older_at_the_end(void)
{
    copy(SEGMENTS, offset_of(3), SEGMENTS, end_of_log(), wal_record_span(SIZE));
}

static void older_in_the_middle(void)
{
    copy(3, offset_of(6), 3, offset_of(7), wal_record_span(SIZE));
}

static void swap_records(void)
{
    uint64_t span = wal_record_span(SIZE);
    uint64_t spare = FIXTURE_SEGMENT_SIZE - span - 24;
    copy(3, offset_of(7), SEGMENTS, spare, span);
    copy(3, offset_of(8), 3, offset_of(7), span);
    copy(SEGMENTS, spare, 3, offset_of(8), span);
    fake_disk_zero(f.disk, fixture_segment(SEGMENTS), spare, span);
}

static void swap_records_alone(void)
{
    lose_identifiers(3);
    swap_records();
}

static void copy_of_segment(void)
{
    copy(2, 0, 3, 0, FIXTURE_SEGMENT_SIZE);
}

/* The zeros of a recycled file did not arrive: old records stand behind the end. */
static void stale_behind(void)
{
    uint64_t size = FIXTURE_SEGMENT_SIZE - end_of_log();
    copy(1, end_of_log(), SEGMENTS, end_of_log(), size);
}

static void unreadable_in_middle(void)
{
    fake_disk_read_error(f.disk, fixture_segment(3), (offset_of(7) + 511) / 512 * 512, 512);
}

static void unreadable_last(void)
{
    uint64_t at = (offset_of(IN_LAST - 1) + 511) / 512 * 512;
    fake_disk_read_error(f.disk, fixture_segment(SEGMENTS), at, 512);
}

static void unreadable_segment(void)
{
    fake_disk_read_error(f.disk, fixture_segment(3), 0, FIXTURE_SEGMENT_SIZE);
}

static void unreadable_header(void)
{
    fake_disk_read_error(f.disk, fixture_segment(3), 0, 512);
}

static void flip_header(void)
{
    fake_disk_flip_bit(f.disk, fixture_segment(3), 20, 1);
}

static void unreadable_identifiers(void)
{
    fake_disk_read_error(f.disk, fixture_segment(3), WAL_SEGMENT_HEADER_SIZE, 4096);
}

/* --- the table --- */

/* One entry of the third segment, and what each mode makes of it. */
#define IN_MIDDLE                                                                                  \
    MIDDLE + 7, MIDDLE + 8, true,                                                                  \
    {                                                                                              \
        REFUSES, REFUSES, PREFIX, GAP                                                              \
    }
#define AT_END                                                                                     \
    TOTAL - 1, TOTAL, true,                                                                        \
    {                                                                                              \
        PREFIX, REFUSES, PREFIX, GAP                                                               \
    }
#define NO_LOSS                                                                                    \
    0, 0, false,                                                                                   \
    {                                                                                              \
        ALL, ALL, ALL, ALL                                                                         \
    }
#define TORN                                                                                       \
    0, 0, false,                                                                                   \
    {                                                                                              \
        ALL, REFUSES, ALL, ALL                                                                     \
    }

static const struct row rows[] = {
    {"none", NULL, NO_LOSS},
    {"torn tail: cut inside the last body", tear_in_body, TORN},
    {"torn tail: cut inside the header", tear_in_header, TORN},
    {"the last write never arrived", tear_whole, NO_LOSS},
    {"4096 zero bytes after the end", zeros_behind, NO_LOSS},
    {"last record all zeros", zero_last, AT_END},
    {"last 20 bytes of the last record zeroed", zero_end_of_last, AT_END},
    {"bit flip in the last record", flip_last, AT_END},
    {"100 garbage bytes behind the end", garbage_behind, 0, 0, true, {ALL, REFUSES, ALL, ALL}},
    {"bit flip in the last segment",
     flip_in_last,
     LAST_BEGINS + 3,
     LAST_BEGINS + 4,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"bit flip in a middle segment", flip_in_middle, IN_MIDDLE},
    {"flip in a length field", flip_length, IN_MIDDLE},
    {"the same, without identifiers", flip_length_alone, IN_MIDDLE},
    {"one whole record zeroed", zero_in_middle, IN_MIDDLE},
    {"the same, without identifiers", zero_in_middle_alone, IN_MIDDLE},
    {"the last record of a segment zeroed, without identifiers",
     zero_end_of_segment_alone,
     MIDDLE + PER_SEGMENT - 1,
     MIDDLE + PER_SEGMENT,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"middle segment missing",
     remove_middle,
     MIDDLE,
     MIDDLE + PER_SEGMENT,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"first segment missing", remove_first, 0, PER_SEGMENT, true, {REFUSES, REFUSES, PREFIX, GAP}},
    {"last segment missing",
     remove_last,
     LAST_BEGINS,
     TOTAL,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"middle segment cut inside a record",
     cut_in_record,
     MIDDLE + 7,
     MIDDLE + PER_SEGMENT,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"middle segment cut on a record boundary",
     cut_on_boundary,
     MIDDLE + 7,
     MIDDLE + PER_SEGMENT,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"middle segment cut to 0",
     cut_to_nothing,
     MIDDLE,
     MIDDLE + PER_SEGMENT,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"last segment cut to 0",
     cut_last_to_nothing,
     LAST_BEGINS,
     TOTAL,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    /* A tear leaves a segment's size as it is: this is a short file, and how
     * much stood behind its end nobody knows. */
    {"last segment cut inside the last body",
     cut_last_in_body,
     LAST,
     TOTAL,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"last segment cut inside the last header",
     cut_last_in_header,
     LAST,
     TOTAL,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"last segment cut behind all records",
     cut_last_behind_all,
     0,
     0,
     true,
     {REFUSES, REFUSES, ALL, ALL}},
    {"last record written twice", last_twice, 0, 0, true, {ALL, REFUSES, ALL, ALL}},
    {"older record repeated at the end", older_at_the_end, 0, 0, true, {ALL, REFUSES, ALL, ALL}},
    {"older record in the place of another", older_in_the_middle, IN_MIDDLE},
    {"two neighbouring records swapped",
     swap_records,
     MIDDLE + 7,
     MIDDLE + 9,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"the same, without identifiers",
     swap_records_alone,
     MIDDLE + 7,
     MIDDLE + 9,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"middle segment replaced by a copy of the previous",
     copy_of_segment,
     MIDDLE,
     MIDDLE + PER_SEGMENT,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    {"extra empty segment of a higher number", empty_segment_behind, NO_LOSS},
    {"extra zeroed segment of a higher number", zero_segment_behind, NO_LOSS},
    {"recycled segment, old records behind the new end",
     stale_behind,
     0,
     0,
     true,
     {ALL, REFUSES, ALL, ALL}},
    {"read error in a middle segment", unreadable_in_middle, IN_MIDDLE},
    {"read error in the last record", unreadable_last, AT_END},
    {"read errors in a whole segment",
     unreadable_segment,
     MIDDLE,
     MIDDLE + PER_SEGMENT,
     true,
     {REFUSES, REFUSES, PREFIX, GAP}},
    /* Nothing is lost: it is written again from what the extent says. */
    {"read error in a segment header", unreadable_header, TORN},
    {"bit flip in a segment header", flip_header, TORN},
    {"read error in the identifiers", unreadable_identifiers, NO_LOSS},
};

/* --- judging --- */

static unsigned answers_logged;

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

static void note_line(void *context, const char *line)
{
    (void)context;
    answers_logged += strstr(line, "warn wal recovery-mode-decided ") != NULL;
}

static const struct log listening = {.level = LOG_WARN, .wall_us = no_time, .write = note_line};

/* Sets 'kept'; returns how many that is. */
static int expect(const struct row *row, enum answer answer)
{
    REQUIRE(answer != REFUSES);
    keep_range(0, TOTAL, true);
    if (answer == PREFIX) {
        keep_range(row->lost_from, TOTAL, false);
        return row->lost_from;
    }
    if (answer == GAP) {
        keep_range(row->lost_from, row->lost_to, false);
        return TOTAL - (row->lost_to - row->lost_from);
    }
    return TOTAL;
}

static void restore_and_damage(const struct row *row, enum wal_recovery_mode mode)
{
    restore();
    if (row->make != NULL) {
        row->make();
    }
    f.options.recovery_mode = mode;
    answers_logged = 0;
}

/* Refused again and again, and a mode that answers the damage still can. */
static void refuses(const struct row *row)
{
    char first[ERR_TEXT_SIZE];
    REQUIRE_ERR(fixture_open(&f), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "segment 0000000100000000");
    EXPECT_CONTAINS(f.err.text, ", offset ");
    (void)snprintf(first, sizeof first, "%s", f.err.text);
    REQUIRE_ERR(fixture_open(&f), ERR_CORRUPT);
    EXPECT_STR(f.err.text, first);
    EXPECT(!fake_disk_has(f.disk, "log/lost"));
    f.options.recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
    REQUIRE_OK(fixture_open(&f));
    int want = expect(row, row->answers[WAL_POINT_IN_TIME_RECOVERY]);
    EXPECT_INT(count_kept(TOTAL), want);
}

/* No mode loses silently. */
static void reports(const struct row *row, enum wal_recovery_mode mode)
{
    const struct wal_report *r = &f.report;
    bool dropped = row->noticed && mode != WAL_SKIP_ANY_CORRUPTED_RECORDS;
    EXPECT_UINT(answers_logged, row->noticed);
    EXPECT_INT(r->loss_found, row->noticed);
    EXPECT_INT(r->lsn_lost != 0, row->noticed);
    EXPECT_INT(r->stopped_at_damage, dropped);
    bool after = row->answers[mode] == PREFIX && row->lost_to < TOTAL;
    EXPECT_UINT(r->records_dropped, after ? (uint64_t)(TOTAL - row->lost_to) : 0);
    EXPECT_UINT(r->index_dropped_first, after ? index_of(row->lost_to) : 0);
    EXPECT_UINT(r->index_dropped_last, after ? index_of(TOTAL - 1) : 0);
    EXPECT_INT(fake_disk_has(f.disk, "log/lost"), row->noticed);
}

/* New writes follow, and a crash; the log opens again, in every mode. */
static void goes_on(int before, enum wal_recovery_mode mode)
{
    int next = mode == WAL_SKIP_ANY_CORRUPTED_RECORDS ? TOTAL : before;
    REQUIRE(wal_index_last(f.wal) < index_of(next));
    keep_range(next, next + 3, true);
    for (int n = next; n < next + 3; n++) {
        append(n);
    }
    for (int m = 0; m <= 3; m++) {
        f.options.recovery_mode = (enum wal_recovery_mode)m;
        REQUIRE_OK(fixture_kill_and_open(&f));
        EXPECT_INT(count_kept(next + 3), before + 3);
        EXPECT_INT(f.report.loss_found, false);
        size_t holes;
        (void)wal_holes(f.wal, &holes);
        EXPECT_UINT(holes, 0);
    }
}

static void try_mode(const struct row *row, enum wal_recovery_mode mode)
{
    test_context("%s, mode %d", row->damage, (int)mode);
    restore_and_damage(row, mode);
    if (row->answers[mode] == REFUSES) {
        refuses(row);
        fixture_abandon(&f);
        return;
    }
    REQUIRE_OK(fixture_open(&f));
    int want = expect(row, row->answers[mode]);
    EXPECT_INT(count_kept(TOTAL), want);
    reports(row, mode);
    REQUIRE_OK(fixture_kill_and_open(&f)); /* opening twice gives the same answer */
    EXPECT_INT(count_kept(TOTAL), want);
    goes_on(want, mode);
    fixture_abandon(&f);
}

static void try_column(enum wal_recovery_mode mode)
{
    build();
    f.options.log = &listening;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        try_mode(&rows[i], mode);
    }
    destroy();
}

TEST(wal_recovery_table, tolerate_corrupted_tail_records)
{
    try_column(WAL_TOLERATE_CORRUPTED_TAIL_RECORDS);
}

TEST(wal_recovery_table, absolute_consistency)
{
    try_column(WAL_ABSOLUTE_CONSISTENCY);
}

TEST(wal_recovery_table, point_in_time_recovery)
{
    try_column(WAL_POINT_IN_TIME_RECOVERY);
}

TEST(wal_recovery_table, skip_any_corrupted_records)
{
    try_column(WAL_SKIP_ANY_CORRUPTED_RECORDS);
}

/* --- two rows that need more than damage --- */

/* The log as a checkpoint in the middle of the third segment leaves it, and then on
 * through files that were used before. */
static void cut_and_recycle(int cut, int until)
{
    restore();
    f.options.recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
    REQUIRE_OK(fixture_open(&f));
    REQUIRE_OK(wal_cut(f.wal, index_of(cut), 0, &f.err));
    for (int n = TOTAL; n < until; n++) {
        append(n);
    }
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    keep_range(0, cut + 1, false);
    keep_range(cut + 1, until, true);
}

/* RocksDB ends a recycled log silently at a flipped bit. */
TEST(wal_recovery_table, damage_in_a_recycled_segment_is_damage)
{
    build();
    enum { CUT = 2 * PER_SEGMENT - 1, UNTIL = 5 * PER_SEGMENT + 20, LOST = 5 * PER_SEGMENT + 9 };
    for (int m = 0; m <= 3; m++) {
        test_context("mode %d", m);
        cut_and_recycle(CUT, UNTIL);
        REQUIRE_UINT(f.extent.segment_last, SEGMENTS + 1);
        EXPECT(!fake_disk_has(f.disk, fixture_segment(1)));
        flip(SEGMENTS + 1, 9, 300);
        f.options.recovery_mode = (enum wal_recovery_mode)m;
        enum err_code code = fixture_open(&f);
        if (m == WAL_TOLERATE_CORRUPTED_TAIL_RECORDS || m == WAL_ABSOLUTE_CONSISTENCY) {
            EXPECT_INT(code, ERR_CORRUPT);
            continue;
        }
        REQUIRE_INT(code, ERR_OK);
        kept[LOST] = false;
        if (m == WAL_POINT_IN_TIME_RECOVERY) {
            keep_range(LOST, UNTIL, false);
            EXPECT_INT(count_kept(UNTIL), LOST - CUT - 1);
        } else {
            EXPECT_INT(count_kept(UNTIL), UNTIL - CUT - 2);
        }
        fixture_abandon(&f);
    }
    destroy();
}

/* RocksDB refuses when one column family was flushed past the damage. Here a
 * checkpoint holds what stood at or below it: nothing is lost. */
static void damage_below_checkpoint(void (*make)(void))
{
    enum { CUT = MIDDLE + 30 };
    for (int m = 0; m <= 3; m++) {
        test_context("mode %d", m);
        cut_and_recycle(CUT, TOTAL);
        make();
        f.options.recovery_mode = (enum wal_recovery_mode)m;
        REQUIRE_OK(fixture_open(&f));
        EXPECT_INT(count_kept(TOTAL), TOTAL - CUT - 1);
        EXPECT(!f.report.loss_found);
        EXPECT(!fake_disk_has(f.disk, "log/lost"));
        fixture_abandon(&f);
    }
}

TEST(wal_recovery_table, damage_below_the_checkpoint_costs_nothing)
{
    build();
    damage_below_checkpoint(flip_in_middle);
    damage_below_checkpoint(flip_length_alone);
    damage_below_checkpoint(zero_in_middle_alone);
    damage_below_checkpoint(swap_records_alone);
    damage_below_checkpoint(unreadable_in_middle);
    destroy();
}
