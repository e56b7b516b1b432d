/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/test/writer_fixture.h"

/* --- the first segment --- */

TEST(wal_writer, a_new_log_begins_with_a_header_and_zeros)
{
    struct fixture f;
    fixture_open(&f);
    static uint8_t content[SEGMENT_SIZE];
    struct wal_segment_header h;
    EXPECT_UINT(fake_disk_peek_platter(f.disk, path_of(&f, 1), 0, content, sizeof content),
                SEGMENT_SIZE);
    REQUIRE(wal_segment_header_decode(content, &h) == WAL_RECORD_GOOD);
    EXPECT_UINT(h.role, WAL_RAFT);
    EXPECT_UINT(h.number, 1);
    EXPECT_UINT(h.cluster_id, 11);
    EXPECT_UINT(h.directory_id, 22);
    EXPECT_UINT(h.timeline, 1);
    EXPECT_UINT(h.index_first, 1);
    EXPECT_UINT(h.sequence_first, 1);
    EXPECT(bytes_is_zero(bytes_of(content + 4096, SEGMENT_SIZE - 4096)));
    EXPECT_UINT(wal_writer_lsn_end(&f.writer), SEGMENT_SIZE + RECORDS_AT);
    EXPECT_UINT(f.extents, 1);
    EXPECT_UINT(f.extent.segment_first, 1);
    EXPECT_UINT(f.extent.segment_last, 1);
    EXPECT_UINT(f.extent.lsn_durable, SEGMENT_SIZE + RECORDS_AT);
    fixture_close(&f);
}

/* --- records --- */

TEST(wal_writer, a_record_stands_where_its_position_says)
{
    static const size_t sizes[] = {0, 1, 7, 8, 2047, 2048, 2049, 5000, 30000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        uint64_t lsn = wal_writer_lsn_end(&f.writer);
        REQUIRE_OK(append(&f, 1, sizes[i]));
        struct wal_record r = record_at(&f, lsn);
        static uint8_t read[40 * 1024];
        peek(&f, lsn + WAL_RECORD_HEADER_SIZE, read, sizes[i] + 8);
        test_context("size %zu", sizes[i]);
        EXPECT_MEM(read, payload, sizes[i]);
        EXPECT(bytes_is_zero(bytes_of(read + sizes[i], 8))); /* padding, then zeros ahead */
        EXPECT_UINT(r.lsn, lsn);
        EXPECT_UINT(r.size, sizes[i]);
        EXPECT_UINT(r.payload_crc, crc32c(0, payload, sizes[i]));
        EXPECT_UINT(r.log_key, LOG_KEY);
        EXPECT_UINT(r.index, 1);
        EXPECT_UINT(r.term, 3);
        EXPECT_UINT(r.before, 2);
        EXPECT_UINT(wal_writer_lsn_end(&f.writer), lsn + wal_record_span((uint32_t)sizes[i]));
        fixture_close(&f);
    }
}

/* safety.md A1: without gaps, so that a lost record is noticed by its number. */
TEST(wal_writer, sequence_numbers_rise_by_one_over_segments)
{
    struct fixture f;
    fixture_open(&f);
    for (uint64_t i = 1; i <= 40; i++) {
        REQUIRE_OK(append(&f, i, 5000));
    }
    EXPECT(wal_set_last(&f.set) > 3);
    uint64_t sequence = 0;
    for (uint64_t segment = 1; segment <= wal_set_last(&f.set); segment++) {
        uint64_t lsn = wal_lsn_first(&layout, segment);
        while (wal_lsn_offset(&layout, lsn) + wal_record_span(5000) <= SEGMENT_SIZE &&
               sequence < 40) {
            struct wal_record r = record_at(&f, lsn);
            EXPECT_UINT(r.sequence, ++sequence);
            EXPECT_UINT(r.index, sequence);
            lsn += wal_record_span(r.size);
        }
    }
    EXPECT_UINT(sequence, 40);
    fixture_close(&f);
}

TEST(wal_writer, many_records_in_one_append_are_as_many_appended_one_by_one)
{
    enum { COUNT = 100 };
    static struct wal_draft drafts[COUNT];
    static uint8_t together[SEGMENT_SIZE];
    static uint8_t one_by_one[SEGMENT_SIZE];
    struct fixture a;
    struct fixture b;
    fixture_open(&a);
    fixture_open(&b);
    for (uint64_t i = 0; i < COUNT; i++) {
        drafts[i] = draft_of(i + 1, (size_t)(i * 113 % 4000));
        REQUIRE_OK(append(&b, i + 1, (size_t)(i * 113 % 4000)));
    }
    REQUIRE_OK(wal_writer_reserve(&a.writer, drafts, COUNT, &a.err));
    REQUIRE_OK(wal_writer_append(&a.writer, drafts, COUNT, &a.err));
    EXPECT_UINT(wal_writer_lsn_end(&a.writer), wal_writer_lsn_end(&b.writer));
    for (uint64_t segment = 1; segment <= wal_set_last(&a.set); segment++) {
        uint64_t lsn = wal_lsn_first(&layout, segment);
        peek(&a, lsn, together, SEGMENT_SIZE - RECORDS_AT);
        peek(&b, lsn, one_by_one, SEGMENT_SIZE - RECORDS_AT);
        test_context("segment %u", (unsigned)segment);
        EXPECT_MEM(together, one_by_one, SEGMENT_SIZE - RECORDS_AT);
    }
    fixture_close(&a);
    fixture_close(&b);
}

TEST(wal_writer, each_header_states_the_durable_position_known_then)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t durable = wal_writer_lsn_end(&f.writer);
    for (uint64_t i = 1; i <= 20; i++) {
        uint64_t lsn = wal_writer_lsn_end(&f.writer);
        f.writer.commit = i / 2;
        REQUIRE_OK(append(&f, i, 100));
        struct wal_record r = record_at(&f, lsn);
        EXPECT_UINT(r.lsn_durable, durable);
        EXPECT_UINT(r.commit, i / 2);
        if (i % 3 == 0) {
            REQUIRE_OK(wal_writer_sync(&f.writer, &f.err));
            durable = wal_writer_lsn_end(&f.writer);
            EXPECT_UINT(f.writer.lsn_durable, durable);
        }
    }
    fixture_close(&f);
}

TEST(wal_writer, records_of_a_frame_name_its_begin)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 10));
    uint64_t lsn = wal_writer_lsn_end(&f.writer);
    struct wal_draft drafts[4] = {
        {.record = {.type = WAL_RECORD_BEGIN, .index = 2, .frame = 1}},
        {.record = {.type = WAL_RECORD_COMMAND, .index = 2, .frame = 1}},
        {.record = {.type = WAL_RECORD_END, .index = 2, .term = 9, .frame = 1}},
        {.record = {.type = WAL_RECORD_COMMAND, .index = 3, .term = 10}},
    };
    REQUIRE_OK(wal_writer_reserve(&f.writer, drafts, 4, &f.err));
    REQUIRE_OK(wal_writer_append(&f.writer, drafts, 4, &f.err));
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_UINT(record_at(&f, lsn + i * UINT64_C(96)).frame, i < 3 ? 2 : 0);
    }
    EXPECT_UINT(f.writer.index_last, 3);
    EXPECT_UINT(f.writer.term_last, 10);
    fixture_close(&f);
}

/* What the extent will say at the next segment change. */
TEST(wal_writer, the_last_index_follows_the_records)
{
    static const struct {
        struct wal_record record;
        uint64_t index;
        uint64_t term;
    } cases[] = {
        {{.type = WAL_RECORD_COMMAND, .index = 1, .term = 1}, 1, 1},
        {{.type = WAL_RECORD_BARRIER, .index = 2, .term = 2}, 2, 2},
        {{.type = WAL_RECORD_CHANGE, .index = 3, .term = 2}, 3, 2},
        {{.type = WAL_RECORD_MARK, .index = 3, .term = 2}, 3, 2},
        {{.type = WAL_RECORD_DROP, .index = 2, .before = 1}, 1, 1},
        {{.type = WAL_RECORD_COMMAND, .index = 2, .term = 3}, 2, 3},
        {{.type = WAL_RECORD_BEGIN, .index = 1, .term = 4, .frame = 1}, 2, 3},
        {{.type = WAL_RECORD_COMMAND, .index = 1, .term = 4, .frame = 1}, 2, 3},
        {{.type = WAL_RECORD_END, .index = 1, .term = 4, .frame = 1}, 1, 4},
    };
    struct fixture f;
    fixture_open(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wal_draft draft = {.record = cases[i].record};
        REQUIRE_OK(wal_writer_reserve(&f.writer, &draft, 1, &f.err));
        REQUIRE_OK(wal_writer_append(&f.writer, &draft, 1, &f.err));
        test_context("record %zu", i);
        EXPECT_UINT(f.writer.index_last, cases[i].index);
        EXPECT_UINT(f.writer.term_last, cases[i].term);
    }
    fixture_close(&f);
}

/* --- identifiers --- */

TEST(wal_writer, identifiers_name_every_record)
{
    enum { COUNT = 200 }; /* over a page of 127 */
    struct fixture f;
    fixture_open(&f);
    for (uint64_t i = 1; i <= COUNT; i++) {
        REQUIRE_OK(append(&f, i, (size_t)(i % 50)));
    }
    EXPECT(f.writer.page_dirty);
    REQUIRE_OK(wal_writer_write_identifiers(&f.writer, &f.err));
    EXPECT(!f.writer.page_dirty);
    uint32_t seed = wal_identifier_seed(1, LOG_KEY);
    uint64_t lsn = wal_lsn_first(&layout, 1);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint8_t bytes[WAL_IDENTIFIER_SIZE];
        struct wal_identifier id;
        struct wal_record r = record_at(&f, lsn);
        uint64_t slot = i + i / WAL_IDENTIFIERS_PER_PAGE;
        peek(&f, SEGMENT_SIZE + 4096 + slot * WAL_IDENTIFIER_SIZE, bytes, sizeof bytes);
        test_context("record %u", (unsigned)i);
        REQUIRE(wal_identifier_decode(bytes, seed, &id));
        EXPECT_UINT(id.index, r.index);
        EXPECT_UINT(id.term, r.term);
        EXPECT_UINT(id.size, r.size);
        EXPECT_UINT(id.payload_crc, r.payload_crc);
        EXPECT_UINT(id.offset, wal_lsn_offset(&layout, lsn));
        EXPECT(!id.framed);
        lsn += wal_record_span(r.size);
    }
    fixture_close(&f);
}

TEST(wal_writer, an_identifier_page_states_the_durable_position)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 10));
    REQUIRE_OK(wal_writer_sync(&f.writer, &f.err));
    f.writer.commit = 1;
    REQUIRE_OK(wal_writer_write_identifiers(&f.writer, &f.err));
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    struct wal_statement s;
    peek(&f, SEGMENT_SIZE + 8192 - WAL_IDENTIFIER_SIZE, bytes, sizeof bytes);
    REQUIRE(wal_statement_decode(bytes, wal_identifier_seed(1, LOG_KEY), LOG_KEY, &s));
    EXPECT_UINT(s.lsn_durable, wal_writer_lsn_end(&f.writer));
    EXPECT_UINT(s.commit, 1);
    EXPECT_UINT(s.page, 0);
    fixture_close(&f);
}

TEST(wal_writer, a_clean_page_is_not_written_again)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 10));
    REQUIRE_OK(wal_writer_write_identifiers(&f.writer, &f.err));
    uint64_t calls = fake_disk_calls(f.disk);
    EXPECT_OK(wal_writer_write_identifiers(&f.writer, &f.err));
    EXPECT_UINT(fake_disk_calls(f.disk), calls);
    fixture_close(&f);
}

/* More records than the identifier area has room for: the segment ends early. */
TEST(wal_writer, a_segment_has_no_more_records_than_identifiers)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t max = wal_segment_identifiers_max(SEGMENT_SIZE);
    for (uint64_t i = 1; i <= max; i++) {
        REQUIRE_OK(append(&f, i, 0));
        EXPECT_UINT(wal_set_last(&f.set), 1);
    }
    EXPECT_UINT(f.writer.identifiers, max);
    REQUIRE_OK(append(&f, max + 1, 0));
    EXPECT_UINT(wal_set_last(&f.set), 2);
    EXPECT_UINT(f.writer.identifiers, 1);
    fixture_close(&f);
}

/* --- sync --- */

TEST(wal_writer, sync_makes_everything_before_it_durable)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 5000));
    uint8_t before[8] = {1};
    uint64_t at = RECORDS_AT;
    (void)fake_disk_peek_platter(f.disk, path_of(&f, 1), at, before, sizeof before);
    EXPECT(bytes_is_zero(bytes_of(before, sizeof before)));
    REQUIRE_OK(wal_writer_sync(&f.writer, &f.err));
    (void)fake_disk_peek_platter(f.disk, path_of(&f, 1), at, before, sizeof before);
    EXPECT(!bytes_is_zero(bytes_of(before, sizeof before)));
    EXPECT_UINT(f.writer.lsn_durable, wal_writer_lsn_end(&f.writer));
    EXPECT_UINT(f.writer.syncs.count, 1);
    fixture_close(&f);
}

TEST(wal_writer, sync_without_new_records_asks_nothing_of_the_disk)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t calls = fake_disk_calls(f.disk);
    EXPECT_OK(wal_writer_sync(&f.writer, &f.err));
    EXPECT_UINT(fake_disk_calls(f.disk), calls);
    fixture_close(&f);
}

/* A failed sync must never be followed by one that claims success. */
TEST(wal_writer, a_failed_sync_breaks_the_writer_for_good)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 100));
    uint64_t durable = f.writer.lsn_durable;
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(wal_writer_sync(&f.writer, &f.err), ERR_IO);
    EXPECT(f.writer.broken);
    EXPECT_UINT(f.writer.lsn_durable, durable);
    uint64_t calls = fake_disk_calls(f.disk);
    struct wal_draft draft = draft_of(2, 10);
    EXPECT_ERR(wal_writer_sync(&f.writer, &f.err), ERR_IO);
    EXPECT_ERR(wal_writer_reserve(&f.writer, &draft, 1, &f.err), ERR_IO);
    EXPECT_ERR(wal_writer_append(&f.writer, &draft, 1, &f.err), ERR_IO);
    EXPECT_ERR(wal_writer_write_identifiers(&f.writer, &f.err), ERR_IO);
    EXPECT_ERR(wal_writer_switch(&f.writer, &f.err), ERR_IO);
    EXPECT_ERR(wal_writer_restart(&f.writer, 5, 1, &f.err), ERR_IO);
    EXPECT_CONTAINS(f.err.text, "broken by an earlier failure");
    EXPECT_UINT(fake_disk_calls(f.disk), calls);
    EXPECT_UINT(f.writer.lsn_durable, durable);
    fixture_close(&f);
}

TEST(wal_writer, a_failed_write_breaks_the_writer_whatever_the_code)
{
    static const enum err_code codes[] = {ERR_IO, ERR_NO_SPACE};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct fixture f;
        fixture_open(&f);
        fake_disk_fail_next(f.disk, FAKE_DISK_WRITE, codes[i]);
        test_context("code %s", err_name(codes[i]));
        EXPECT_ERR(append(&f, 1, 100), ERR_IO);
        EXPECT_INT(f.err.code, ERR_IO);
        EXPECT(f.writer.broken);
        fixture_close(&f);
    }
}

/* --- segments --- */

TEST(wal_writer, a_segment_change_is_in_the_extent)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 30000));
    REQUIRE_OK(append(&f, 2, 30000));
    EXPECT_UINT(f.extents, 2);
    EXPECT_UINT(f.extent.segment_first, 1);
    EXPECT_UINT(f.extent.segment_last, 2);
    EXPECT_UINT(f.extent.index_last, 1);
    EXPECT_UINT(f.extent.term_last, 3);
    EXPECT_UINT(f.extent.sequence_last, 1);
    EXPECT_UINT(f.extent.lsn_durable, wal_lsn_first(&layout, 2));
    fixture_close(&f);
}

/* safety.md A3: when the extent names a segment, all before it is on the platter. */
TEST(wal_writer, the_full_segment_is_durable_before_the_next_has_a_record)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 30000));
    REQUIRE_OK(append(&f, 2, 30000));
    static uint8_t cache[SEGMENT_SIZE];
    static uint8_t platter[SEGMENT_SIZE];
    (void)fake_disk_peek(f.disk, path_of(&f, 1), 0, cache, sizeof cache);
    EXPECT_UINT(fake_disk_peek_platter(f.disk, path_of(&f, 1), 0, platter, sizeof platter),
                SEGMENT_SIZE);
    EXPECT_MEM(platter, cache, sizeof cache);
    EXPECT_UINT(fake_disk_peek_platter(f.disk, path_of(&f, 2), 0, platter, sizeof platter),
                SEGMENT_SIZE); /* its name is durable too */
    fixture_close(&f);
}

TEST(wal_writer, restart_begins_a_log_behind_an_index)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 100));
    bool done;
    REQUIRE_OK(wal_pool_step(&f.pool, 1, UINT64_MAX, &done, &f.err));
    REQUIRE_OK(wal_writer_restart(&f.writer, 500, 8, &f.err));
    EXPECT_UINT(f.extent.segment_first, 2);
    EXPECT_UINT(f.extent.segment_last, 2);
    EXPECT_UINT(f.extent.index_cut, 500);
    EXPECT_UINT(f.extent.term_cut, 8);
    EXPECT_UINT(f.extent.index_last, 500);
    EXPECT_UINT(f.writer.index_last, 500);
    uint64_t lsn = wal_writer_lsn_end(&f.writer);
    EXPECT_UINT(lsn, wal_lsn_first(&layout, 2));
    REQUIRE_OK(append(&f, 501, 100));
    EXPECT_UINT(record_at(&f, lsn).sequence, 2); /* goes on: numbers are never used twice */
    fixture_close(&f);
}

TEST(wal_writer, a_sealed_segment_takes_no_record)
{
    struct fixture f;
    fixture_open(&f);
    f.writer.sealed = true;
    EXPECT_UINT(wal_writer_lsn_end(&f.writer), wal_lsn_first(&layout, 2));
    REQUIRE_OK(append(&f, 1, 100));
    EXPECT_UINT(wal_set_last(&f.set), 2);
    EXPECT_UINT(record_at(&f, wal_lsn_first(&layout, 2)).index, 1);
    fixture_close(&f);
}

TEST(wal_writer, no_space_for_the_next_segment_changes_nothing)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 30000));
    uint64_t end = wal_writer_lsn_end(&f.writer);
    fake_disk_set_capacity(f.disk, fake_disk_used(f.disk));
    EXPECT_ERR(append(&f, 2, 30000), ERR_NO_SPACE);
    EXPECT(!f.writer.broken);
    EXPECT_UINT(wal_writer_lsn_end(&f.writer), end);
    EXPECT_UINT(wal_set_last(&f.set), 1);
    REQUIRE_OK(append(&f, 2, 100)); /* a smaller one still fits */
    fake_disk_set_capacity(f.disk, 0);
    REQUIRE_OK(append(&f, 3, 30000));
    fixture_close(&f);
}

TEST(wal_writer, an_extent_that_is_not_stored_breaks_the_writer)
{
    struct fixture f;
    fixture_open(&f);
    REQUIRE_OK(append(&f, 1, 30000));
    f.extent_code = ERR_NO_SPACE;
    EXPECT_ERR(append(&f, 2, 30000), ERR_IO);
    EXPECT(f.writer.broken);
    EXPECT_UINT(wal_set_last(&f.set), 1);
    EXPECT_UINT(f.writer.extent.segment_last, 1);
    fixture_close(&f);
}

/* --- each call of the disk fails in turn --- */

static enum err_code work(struct fixture *f)
{
    enum err_code code = begin(f);
    for (uint64_t i = 1; code == ERR_OK && i <= 6; i++) {
        code = append(f, i, 20000);
        if (code == ERR_OK) {
            code = wal_writer_sync(&f->writer, &f->err);
        }
    }
    return code == ERR_OK ? wal_writer_write_identifiers(&f->writer, &f->err) : code;
}

/* Whatever the writer says is durable is on the platter with its bytes. */
static void expect_durable(const struct fixture *f)
{
    if (f->set.count == 0) {
        return;
    }
    uint64_t end = f->writer.lsn_durable;
    uint64_t last = wal_lsn_segment(&layout, end - 1);
    for (uint64_t segment = 1; segment <= last; segment++) {
        static uint8_t cache[SEGMENT_SIZE];
        static uint8_t platter[SEGMENT_SIZE];
        size_t size = segment < last ? SEGMENT_SIZE : (size_t)wal_lsn_offset(&layout, end - 1) + 1;
        EXPECT_UINT(fake_disk_peek(f->disk, path_of(f, segment), 0, cache, size), size);
        EXPECT_UINT(fake_disk_peek_platter(f->disk, path_of(f, segment), 0, platter, size), size);
        EXPECT_MEM(platter + RECORDS_AT, cache + RECORDS_AT, size - RECORDS_AT);
    }
}

TEST(wal_writer, every_call_that_fails_is_told_and_nothing_durable_is_lost)
{
    struct fixture f;
    fixture_init(&f);
    uint64_t before = fake_disk_calls(f.disk);
    REQUIRE_OK(work(&f));
    uint64_t calls = fake_disk_calls(f.disk) - before;
    expect_durable(&f);
    fixture_close(&f);
    EXPECT(calls > 20);
    for (uint64_t n = 0; n < calls; n++) {
        fixture_init(&f);
        fake_disk_stop_after(f.disk, n);
        test_context("after %u calls", (unsigned)n);
        EXPECT(work(&f) != ERR_OK);
        fake_disk_clear_faults(f.disk);
        expect_durable(&f);
        fixture_close(&f);
    }
}

static void shrink_extent(void *arg)
{
    struct fixture *f = arg;
    const struct wal_extent extent = {.segment_first = 3, .segment_last = 2};
    (void)!wal_writer_set_extent(&f->writer, &extent, &f->err);
}

static void take_back_cut(void *arg)
{
    struct fixture *f = arg;
    struct wal_extent extent = f->writer.extent;
    extent.index_cut = 9;
    REQUIRE_OK(wal_writer_set_extent(&f->writer, &extent, &f->err));
    extent.index_cut = 8;
    (void)!wal_writer_set_extent(&f->writer, &extent, &f->err);
}

TEST(wal_writer, an_impossible_extent_stops_the_process)
{
    struct fixture f;
    fixture_open(&f);
    EXPECT_DIES(shrink_extent, &f, "segment_first");
    EXPECT_DIES(take_back_cut, &f, "index_cut");
    fixture_close(&f);
}
