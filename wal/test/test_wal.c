/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal.h"

#include "wal/test/wal_fixture.h"
#include "wal/wal_inspect.h"

enum { SIZE = 100 };

static void open_raft(struct fixture *f)
{
    fixture_init(f, WAL_RAFT);
    REQUIRE_OK(fixture_open(f));
}

TEST(wal, a_new_log_is_empty_and_names_its_extent)
{
    struct fixture f;
    open_raft(&f);
    EXPECT_UINT(wal_index_first(f.wal), 1);
    EXPECT_UINT(wal_index_last(f.wal), 0);
    EXPECT_UINT(f.extent.segment_first, 1);
    EXPECT_UINT(f.extent.segment_last, 1);
    EXPECT(fake_disk_has(f.disk, "log/000000010000000000000001"));
    fixture_deinit(&f);
}

TEST(wal, entries_read_back_before_and_after_a_clean_stop)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 20, 3, SIZE);
    EXPECT_UINT(wal_index_durable(f.wal), 20);
    for (unsigned round = 0; round < 2; round++) {
        EXPECT_UINT(wal_index_last(f.wal), 20);
        for (uint64_t i = 1; i <= 20; i++) {
            EXPECT(fixture_reads(&f, i, 3, SIZE));
        }
        REQUIRE_OK(fixture_close_and_open(&f));
        EXPECT_UINT(f.report.records_torn, 0);
        EXPECT_UINT(f.report.records_damaged, 0);
    }
    fixture_deinit(&f);
}

TEST(wal, unsynced_entries_survive_a_kill)
{
    struct fixture f;
    open_raft(&f);
    REQUIRE_OK(fixture_append(&f, 1, 1, SIZE));
    REQUIRE_OK(fixture_append(&f, 2, 1, SIZE));
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 2);
    EXPECT(fixture_reads(&f, 2, 1, SIZE));
    fixture_deinit(&f);
}

TEST(wal, synced_entries_survive_a_power_failure)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 5, 1, SIZE);
    REQUIRE_OK(fixture_append(&f, 6, 1, SIZE));
    fake_disk_power_fail_lose_all(f.disk);
    fixture_abandon(&f);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 5);
    EXPECT(fixture_reads(&f, 5, 1, SIZE));
    EXPECT_UINT(wal_index_durable(f.wal), 5);
    fixture_deinit(&f);
}

TEST(wal, an_append_of_a_lower_index_replaces_what_it_overlaps)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 7, 1, SIZE);
    fixture_fill(&f, 6, 6, 2, SIZE);
    for (unsigned round = 0; round < 2; round++) {
        uint64_t term = 0;
        EXPECT_UINT(wal_index_last(f.wal), 6);
        EXPECT(wal_term_at(f.wal, 6, &term));
        EXPECT_UINT(term, 2);
        EXPECT(fixture_reads(&f, 5, 1, SIZE));
        EXPECT(fixture_reads(&f, 6, 2, SIZE));
        EXPECT(!fixture_reads(&f, 7, 1, SIZE));
        REQUIRE_OK(fixture_close_and_open(&f));
    }
    fixture_deinit(&f);
}

TEST(wal, a_drop_takes_entries_away_without_a_successor)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 7, 1, SIZE);
    REQUIRE_OK(wal_drop(f.wal, 4, 0, &f.err));
    EXPECT_UINT(wal_index_last(f.wal), 3);
    REQUIRE_OK(wal_sync(f.wal, &f.err));
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 3);
    EXPECT(!fixture_reads(&f, 4, 1, SIZE));
    fixture_fill(&f, 4, 4, 2, SIZE);
    REQUIRE_OK(fixture_close_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 4);
    EXPECT(fixture_reads(&f, 4, 2, SIZE));
    fixture_deinit(&f);
}

TEST(wal, goes_on_over_many_segments)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 300, 1, 700);
    EXPECT(wal_stats(f.wal).segments > 3);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 300);
    for (uint64_t i = 1; i <= 300; i++) {
        EXPECT(fixture_reads(&f, i, 1, 700));
    }
    fixture_deinit(&f);
}

TEST(wal, one_batch_may_span_several_segments)
{
    struct fixture f;
    open_raft(&f);
    enum { COUNT = 200, EACH = 1000 };
    static uint8_t bytes[COUNT][EACH];
    struct wal_entry entries[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        memcpy(bytes[i], fixture_payload(&f, i + 1, 1, EACH).data, EACH);
        entries[i] = fixture_entry(&f, i + 1, 1, EACH);
        entries[i].payload = bytes_of(bytes[i], EACH);
    }
    REQUIRE_OK(wal_append(f.wal, entries, COUNT, 0, &f.err));
    REQUIRE_OK(wal_sync(f.wal, &f.err));
    fake_disk_power_fail_lose_all(f.disk);
    fixture_abandon(&f);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), COUNT);
    EXPECT(fixture_reads(&f, COUNT, 1, EACH));
    fixture_deinit(&f);
}

TEST(wal, consecutive_entries_come_with_one_read)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 50, 1, SIZE);
    struct wal_entry entries[64];
    size_t count;
    uint64_t before = fake_disk_calls_of(f.disk, FAKE_DISK_READ);
    REQUIRE_OK(wal_read(f.wal, 1, 64, SIZE_MAX, &f.storage, entries, &count, &f.err));
    EXPECT_UINT(count, 50);
    EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_READ) - before, 1);
    EXPECT_UINT(entries[49].index, 50);
    REQUIRE_OK(wal_read(f.wal, 1, 64, 5 * SIZE, &f.storage, entries, &count, &f.err));
    EXPECT_UINT(count, 5);
    fixture_deinit(&f);
}

TEST(wal, a_cut_recycles_whole_segments_and_survives_a_reopen)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 300, 1, 700);
    unsigned before = wal_stats(f.wal).segments;
    REQUIRE_OK(wal_cut(f.wal, 250, 1, &f.err));
    EXPECT(wal_stats(f.wal).segments < before);
    EXPECT(wal_stats(f.wal).segments_recycled > 0);
    for (unsigned round = 0; round < 2; round++) {
        uint64_t term = 0;
        EXPECT_UINT(wal_index_first(f.wal), 251);
        EXPECT_UINT(wal_index_last(f.wal), 300);
        EXPECT(wal_term_at(f.wal, 250, &term));
        EXPECT_UINT(term, 1);
        EXPECT(!fixture_reads(&f, 250, 1, 700));
        EXPECT(fixture_reads(&f, 251, 1, 700));
        REQUIRE_OK(fixture_close_and_open(&f));
    }
    fixture_fill(&f, 301, 600, 1, 700);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 600);
    EXPECT(fixture_reads(&f, 600, 1, 700));
    fixture_deinit(&f);
}

TEST(wal, a_position_counts_what_a_checkpoint_leaves_over)
{
    struct fixture f;
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(fixture_open(&f));
    fixture_fill(&f, 1, 100, 1, 4000); /* about 14 in a segment */
    unsigned segments = wal_stats(f.wal).segments;
    struct wal_position p = wal_position(f.wal, 0);
    EXPECT_UINT(p.segments_current, segments);
    EXPECT_UINT(p.segments_checkpoint, 0);
    EXPECT_UINT(p.lsn, f.report.lsn_first);
    p = wal_position(f.wal, 50);
    EXPECT(p.segments_checkpoint > 0);
    EXPECT_UINT(p.segments_current + p.segments_checkpoint, segments);
    EXPECT(p.lsn > f.report.lsn_first && p.lsn < wal_lsn_end(f.wal));
    unsigned kept = p.segments_current;
    REQUIRE_OK(wal_cut(f.wal, 50, 1, &f.err));
    p = wal_position(f.wal, 50);
    EXPECT_UINT(p.segments_current, kept);
    EXPECT_UINT(p.segments_checkpoint, 0);
    EXPECT_UINT(p.segments_recycled, segments - kept);
    p = wal_position(f.wal, 100); /* all of it: the one that is written to stays */
    EXPECT_UINT(p.lsn, wal_lsn_end(f.wal));
    EXPECT_UINT(p.segments_current, 1);
    fixture_deinit(&f);
}

/* Behind the entry that frees everything before it. */
TEST(wal, a_segment_that_is_half_used_is_ended_so_that_a_cut_frees_it)
{
    struct fixture f;
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(fixture_open(&f));
    fixture_fill(&f, 1, 3, 1, 4000);
    REQUIRE_OK(wal_rotate(f.wal, &f.err)); /* too little: it goes on */
    EXPECT_UINT(wal_stats(f.wal).segments, 1);
    REQUIRE_OK(wal_cut(f.wal, 3, 1, &f.err));
    fixture_fill(&f, 4, 10, 1, 4000);
    REQUIRE_OK(fixture_append(&f, 11, 1, 4000));
    REQUIRE_OK(wal_rotate(f.wal, &f.err));
    EXPECT_UINT(wal_index_durable(f.wal), 11);
    EXPECT_UINT(wal_stats(f.wal).segments, 2);
    REQUIRE_OK(wal_rotate(f.wal, &f.err)); /* nothing is in the new one */
    EXPECT_UINT(wal_stats(f.wal).segments, 2);
    REQUIRE_OK(wal_cut(f.wal, 11, 1, &f.err));
    EXPECT_UINT(wal_stats(f.wal).segments, 1);
    fixture_fill(&f, 12, 12, 1, 4000);
    fake_disk_power_fail_lose_all(f.disk);
    fixture_abandon(&f);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_first(f.wal), 12);
    EXPECT(fixture_reads(&f, 12, 1, 4000));
    fixture_deinit(&f);
}

TEST(wal, a_full_disk_lets_the_segment_go_on)
{
    struct fixture f;
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(fixture_open(&f));
    fixture_fill(&f, 1, 10, 1, 4000);
    fake_disk_set_capacity(f.disk, fake_disk_used(f.disk));
    REQUIRE_OK(wal_rotate(f.wal, &f.err));
    EXPECT_UINT(wal_stats(f.wal).segments, 1);
    fixture_fill(&f, 11, 11, 1, 4000);
    fixture_deinit(&f);
}

TEST(wal, files_that_are_cut_are_kept_up_to_a_number)
{
    struct fixture f;
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(fixture_open(&f));
    static const unsigned kept[] = {6, 3, 0, 20};
    uint64_t index = 0;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        wal_keep_segments(f.wal, kept[i]);
        fixture_fill(&f, index + 1, index + 140, 1, 4000); /* about ten segments */
        index += 140;
        REQUIRE_OK(wal_cut(f.wal, index, 1, &f.err));
        struct wal_position p = wal_position(f.wal, index);
        test_context("%u files", kept[i]);
        EXPECT_UINT(p.segments_current, 1);
        unsigned most = kept[i] > 1 ? kept[i] - 1 : 0;
        EXPECT(p.segments_recycled <= most + 1);
        EXPECT(p.segments_recycled >= (most < 8 ? most : 8));
    }
    fixture_deinit(&f);
}

TEST(wal, keeping_files_back_is_an_index_from_which_the_log_is_kept)
{
    struct fixture f;
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_back(f.wal, 0), 1);
    fixture_fill(&f, 1, 100, 1, 4000); /* about 14 in a segment */
    unsigned segments = wal_stats(f.wal).segments;
    EXPECT_UINT(wal_index_back(f.wal, segments), 1);
    EXPECT_UINT(wal_index_back(f.wal, UINT64_MAX), 1);
    for (unsigned back = 0; back < segments; back++) {
        uint64_t index = wal_index_back(f.wal, back);
        EXPECT(index > 0 && index <= 100);
        EXPECT_UINT(wal_position(f.wal, index - 1).segments_current, back + 1);
        EXPECT(index == 1 || wal_position(f.wal, index - 2).segments_current == back + 2);
    }
    REQUIRE_OK(wal_cut(f.wal, wal_index_back(f.wal, 2) - 1, 1, &f.err));
    EXPECT_UINT(wal_stats(f.wal).segments, 3);
    fixture_deinit(&f);
}

TEST(wal, a_reset_begins_anew_behind_a_snapshot)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 30, 1, SIZE);
    REQUIRE_OK(wal_reset(f.wal, 1000, 7, &f.err));
    for (unsigned round = 0; round < 2; round++) {
        uint64_t term = 0;
        EXPECT_UINT(wal_index_first(f.wal), 1001);
        EXPECT_UINT(wal_index_last(f.wal), 1000);
        EXPECT(wal_term_at(f.wal, 1000, &term));
        EXPECT_UINT(term, 7);
        REQUIRE_OK(fixture_kill_and_open(&f));
    }
    fixture_fill(&f, 1001, 1003, 7, SIZE);
    REQUIRE_OK(fixture_close_and_open(&f));
    EXPECT(fixture_reads(&f, 1003, 7, SIZE));
    fixture_deinit(&f);
}

TEST(wal, a_mark_states_the_durable_position_once)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 3, 1, SIZE);
    REQUIRE_OK(wal_mark(f.wal, 2, &f.err));
    uint64_t end = wal_lsn_end(f.wal);
    REQUIRE_OK(wal_mark(f.wal, 2, &f.err));
    EXPECT_UINT(wal_lsn_end(f.wal), end);
    EXPECT_UINT(wal_lsn_durable(f.wal), end);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(f.report.commit_stated, 2);
    EXPECT_UINT(f.report.lsn_durable, end - wal_record_span(0));
    fixture_deinit(&f);
}

TEST(wal, a_failed_sync_breaks_the_log_for_good)
{
    struct fixture f;
    open_raft(&f);
    REQUIRE_OK(fixture_append(&f, 1, 1, SIZE));
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(wal_sync(f.wal, &f.err), ERR_IO);
    EXPECT_ERR(wal_sync(f.wal, &f.err), ERR_IO);
    EXPECT_ERR(fixture_append(&f, 2, 1, SIZE), ERR_IO);
    EXPECT_ERR(wal_close(f.wal, &f.err), ERR_IO);
    f.wal = NULL;
    REQUIRE_OK(fixture_open(&f));
    fixture_deinit(&f);
}

/* What is in memory may be half changed then: no call may trip over that. */
static void expect_broken(struct fixture *f)
{
    bool done;
    size_t scanned;
    unsigned found;
    uint64_t last = wal_index_last(f->wal);
    struct wal_entry entry = fixture_entry(f, last + 1, 9, SIZE);
    EXPECT_ERR(wal_append(f->wal, &entry, 1, 0, &f->err), ERR_IO);
    EXPECT_ERR(wal_replace(f->wal, &entry, 1, 0, &f->err), ERR_IO);
    EXPECT_ERR(wal_repair(f->wal, &entry, &f->err), ERR_IO);
    EXPECT_ERR(wal_drop(f->wal, last + 1, 0, &f->err), ERR_IO);
    EXPECT_ERR(wal_sync(f->wal, &f->err), ERR_IO);
    EXPECT_ERR(wal_mark(f->wal, 0, &f->err), ERR_IO);
    EXPECT_ERR(wal_cut(f->wal, last, 1, &f->err), ERR_IO);
    EXPECT_ERR(wal_reset(f->wal, last + 50, 1, &f->err), ERR_IO);
    EXPECT_ERR(wal_prepare(f->wal, 1000, &done, &f->err), ERR_IO);
    EXPECT_ERR(wal_scrub(f->wal, 1000, &scanned, &found, &f->err), ERR_IO);
    EXPECT(fixture_reads(f, last, 1, SIZE));
    EXPECT_ERR(wal_close(f->wal, &f->err), ERR_IO);
    f->wal = NULL;
}

TEST(wal, an_append_that_broke_half_way_is_refused_by_every_later_call)
{
    struct fixture f;
    static uint8_t bytes[3][20000];
    open_raft(&f);
    fixture_fill(&f, 1, 4, 1, SIZE);
    struct wal_entry entries[3];
    for (uint64_t i = 0; i < 3; i++) {
        entries[i] = (struct wal_entry){.index = 5 + i,
                                        .term = 1,
                                        .type = WAL_COMMAND,
                                        .payload = bytes_of(bytes[i], sizeof bytes[i])};
    }
    f.extent_fails_in = 1; /* two of them are in segment 1, the third asks for the next */
    EXPECT_ERR(wal_append(f.wal, entries, 3, 0, &f.err), ERR_IO);
    EXPECT_UINT(wal_index_last(f.wal), 4);
    expect_broken(&f);
    REQUIRE_OK(fixture_open(&f));
    EXPECT(fixture_reads(&f, 4, 1, SIZE));
    fixture_deinit(&f);
}

TEST(wal, a_cut_that_broke_half_way_is_refused_by_every_later_call)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 9, 1, SIZE);
    f.extent_fails_in = 1;
    EXPECT_ERR(wal_cut(f.wal, 5, 1, &f.err), ERR_IO);
    expect_broken(&f);
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_first(f.wal), 1);
    EXPECT(fixture_reads(&f, 9, 1, SIZE));
    fixture_deinit(&f);
}

TEST(wal, a_full_disk_refuses_an_append_and_leaves_the_log_as_it_was)
{
    struct fixture f;
    open_raft(&f);
    fake_disk_set_capacity(f.disk, fake_disk_used(f.disk));
    enum err_code code = ERR_OK;
    uint64_t last = 0;
    while (code == ERR_OK) {
        code = fixture_append(&f, last + 1, 1, 1000);
        last += code == ERR_OK;
    }
    EXPECT_INT(code, ERR_NO_SPACE);
    EXPECT(last > 10);
    REQUIRE_OK(wal_sync(f.wal, &f.err));
    EXPECT_UINT(wal_index_last(f.wal), last);
    fake_disk_set_capacity(f.disk, 0);
    REQUIRE_OK(fixture_append(&f, last + 1, 1, 1000));
    REQUIRE_OK(fixture_close_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), last + 1);
    fixture_deinit(&f);
}

TEST(wal, a_damaged_payload_is_a_hole_and_is_repaired_in_place)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 10, 2, SIZE);
    REQUIRE_OK(wal_close(f.wal, &f.err));
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(4, SIZE) + 120, 3);
    REQUIRE_OK(fixture_open(&f));
    size_t count;
    const struct wal_hole *holes = wal_holes(f.wal, &count);
    REQUIRE_UINT(count, 1);
    EXPECT_UINT(holes[0].index, 5);
    EXPECT_UINT(holes[0].term, 2);
    EXPECT_UINT(holes[0].size, SIZE);
    EXPECT(!holes[0].unknown);
    EXPECT_UINT(wal_index_last(f.wal), 10);
    EXPECT(fixture_reads(&f, 6, 2, SIZE));
    struct wal_entry entry = fixture_entry(&f, 5, 2, SIZE);
    REQUIRE_OK(wal_repair(f.wal, &entry, &f.err));
    EXPECT(fixture_reads(&f, 5, 2, SIZE));
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(f.report.records_damaged, 0);
    EXPECT(fixture_reads(&f, 5, 2, SIZE));
    fixture_deinit(&f);
}

/* --- scrub --- */

struct place {
    uint64_t index;
    uint64_t lsn, segment; /* of the record that holds it */
};

static bool find_place(void *context, const struct wal_view *view)
{
    struct place *p = context;
    if (view->index == p->index && strcmp(view->kind, "command") == 0) {
        p->lsn = view->lsn;
        p->segment = view->segment;
    }
    return true;
}

/* A bit of its payload, on the disk. */
static void flip_entry(struct fixture *f, uint64_t index)
{
    const struct wal_layout layout = {FIXTURE_SEGMENT_SIZE, 1};
    struct place p = {.index = index};
    struct wal_visitor visitor = {.slot = find_place, .context = &p};
    struct wal_report report;
    REQUIRE_OK(wal_inspect(f->options.io, "log", &visitor, &report, &f->err));
    REQUIRE(p.lsn != 0);
    fake_disk_flip_bit(f->disk, fixture_segment(p.segment), wal_lsn_offset(&layout, p.lsn) + 120,
                       3);
}

/* One round in steps of 1,000 bytes; how many slots it found. */
static unsigned scrub_round(struct fixture *f, uint64_t *read)
{
    enum { STEP = 1000, STEPS_MAX = 10000 };
    unsigned all = 0;
    *read = 0;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        size_t scanned = 0;
        unsigned found = 0;
        EXPECT_OK(wal_scrub(f->wal, STEP, &scanned, &found, &f->err));
        all += found;
        *read += scanned;
        if (scanned < STEP) {
            return all;
        }
    }
    EXPECT(false);
    return all;
}

/* In the segments that are full and in the one that is written to, up to what is
 * synced; each bad slot is found once and can be filled while the log goes on. */
TEST(wal, a_scrub_finds_damage_in_every_segment)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 300, 1, 700);
    uint64_t read = 0;
    EXPECT_UINT(scrub_round(&f, &read), 0);
    EXPECT(read >= UINT64_C(300) * 700);
    static const uint64_t bad[] = {1, 150, 300};
    for (size_t i = 0; i < 3; i++) {
        flip_entry(&f, bad[i]);
    }
    EXPECT_UINT(scrub_round(&f, &read), 3);
    EXPECT_UINT(scrub_round(&f, &read), 0);
    for (size_t i = 0; i < 3; i++) {
        const struct wal_hole *hole = wal_hole_at(f.wal, bad[i]);
        REQUIRE(hole != NULL);
        EXPECT(!hole->unknown);
        EXPECT_UINT(hole->term, 1);
        struct wal_entry entry = fixture_entry(&f, bad[i], 1, 700);
        REQUIRE_OK(wal_repair(f.wal, &entry, &f.err));
    }
    fixture_fill(&f, 301, 310, 1, 700);
    EXPECT_UINT(scrub_round(&f, &read), 0);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(f.report.records_damaged + f.report.records_unknown, 0);
    for (uint64_t i = 1; i <= 310; i++) {
        EXPECT(fixture_reads(&f, i, 1, 700));
    }
    fixture_deinit(&f);
}

/* What is not synced yet is in the cache alone. */
TEST(wal, a_scrub_reads_what_is_synced)
{
    struct fixture f;
    open_raft(&f);
    fixture_fill(&f, 1, 10, 1, 700);
    uint64_t synced = 0;
    uint64_t read = 0;
    EXPECT_UINT(scrub_round(&f, &synced), 0);
    REQUIRE_OK(fixture_append(&f, 11, 1, 700));
    EXPECT_UINT(scrub_round(&f, &read), 0);
    EXPECT_UINT(read, synced);
    REQUIRE_OK(wal_sync(f.wal, &f.err));
    EXPECT_UINT(scrub_round(&f, &read), 0);
    EXPECT(read > synced);
    fixture_deinit(&f);
}
