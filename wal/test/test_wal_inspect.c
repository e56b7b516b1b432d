/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a log from outside; every record of it in test_wal_golden.c. */
#include "wal/wal_inspect.h"

#include "wal/test/wal_fixture.h"

static struct fixture f;

enum { SIZE = 900, COUNT = 120, PER_SEGMENT = 53 };

/* What the last look has seen: "damaged lost 2, gap 3..5, ..." and the entries held. */
static struct buf text;
static uint64_t entries;
static uint64_t entry_last;

static bool knows_commit = true; /* records state what is committed */

static void build(enum wal_role role)
{
    fixture_init(&f, role);
    REQUIRE_OK(fixture_open(&f));
    for (uint64_t i = 1; i <= COUNT; i++) {
        struct wal_entry entry = fixture_entry(&f, i, 1, SIZE);
        REQUIRE_OK(wal_append(f.wal, &entry, 1, knows_commit ? i : 0, &f.err));
    }
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
}

static bool note_slot(void *context, const struct wal_view *view)
{
    (void)context;
    if (view->state != WAL_SLOT_HELD) {
        buf_printf(&text, "%s %s %llu, ", view->verdict, wal_slot_state_name(view->state),
                   (unsigned long long)view->index);
    }
    return true;
}

static void note_problem(void *context, const struct wal_problem *p)
{
    (void)context;
    buf_printf(&text, "%s in %llu %llu..%llu, ", p->what, (unsigned long long)p->segment,
               (unsigned long long)p->index_first, (unsigned long long)p->index_last);
}

static void read_entries(struct wal_inspection *s)
{
    struct wal_entry entry;
    bool found = true;
    entries = 0;
    entry_last = 0;
    for (;;) {
        REQUIRE_OK(wal_inspection_next(s, &entry, &found, &f.err));
        if (!found) {
            return;
        }
        EXPECT(entry.index > entry_last && entry.type == WAL_COMMAND);
        EXPECT(bytes_equal(entry.payload, fixture_payload(&f, entry.index, entry.term, SIZE)));
        entry_last = entry.index;
        entries++;
    }
}

/* Borrowed until the next look. */
static const char *look(void)
{
    static const struct wal_visitor visitor = {.slot = note_slot, .problem = note_problem};
    struct wal_inspection *s;
    uint64_t calls = fake_disk_calls_of(f.disk, FAKE_DISK_WRITE);
    buf_reset(&text);
    REQUIRE_OK(wal_inspection_open(f.options.io, "log", &visitor, &f.report, &s, &f.err));
    EXPECT_INT(wal_inspection_role(s), f.options.role);
    read_entries(s);
    wal_inspection_close(s);
    EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_WRITE), calls);
    buf_put_u8(&text, 0);
    return (const char *)text.data;
}

static void end(void)
{
    buf_deinit(&text);
    fixture_deinit(&f);
}

static void flip(uint64_t segment, uint64_t in_segment, uint64_t in_record)
{
    fake_disk_flip_bit(f.disk, fixture_segment(segment),
                       fixture_offset(in_segment, SIZE) + in_record, 3);
}

static void lose_identifiers(uint64_t segment)
{
    fake_disk_zero(f.disk, fixture_segment(segment), WAL_SEGMENT_HEADER_SIZE,
                   (uint64_t)2 * WAL_IDENTIFIER_PAGE_SIZE);
}

TEST(wal_inspect, a_whole_log_has_nothing_to_say)
{
    build(WAL_RAFT);
    EXPECT_STR(look(), "");
    EXPECT_UINT(entries, COUNT);
    end();
    build(WAL_LOCAL);
    EXPECT_STR(look(), "");
    EXPECT_UINT(entries, COUNT);
    end();
}

/* Repaired in the side file, not in place: what is damaged stays on the disk. */
TEST(wal_inspect, what_repair_has_filled_is_repaired)
{
    build(WAL_RAFT);
    lose_identifiers(1);
    flip(1, 5, 20);  /* the header: its identity comes from the record behind it */
    flip(1, 9, 300); /* the payload */
    EXPECT_STR(look(), "unknown lost 6, damaged lost 10, ");
    EXPECT_UINT(entries, COUNT - 2);
    REQUIRE_OK(fixture_open(&f));
    struct wal_entry entry = fixture_entry(&f, 6, 1, SIZE);
    REQUIRE_OK(wal_repair(f.wal, &entry, &f.err));
    EXPECT_STR(look(), "unknown repaired 0, damaged lost 10, ");
    entry = fixture_entry(&f, 10, 1, SIZE);
    REQUIRE_OK(wal_repair(f.wal, &entry, &f.err)); /* fits its place: whole again */
    EXPECT_STR(look(), "unknown repaired 0, ");
    EXPECT_UINT(entries, COUNT);
    EXPECT_UINT(entry_last, COUNT);
    end();
}

TEST(wal_inspect, a_side_file_that_is_damaged_itself_repairs_nothing)
{
    build(WAL_RAFT);
    lose_identifiers(1);
    flip(1, 5, 20);
    REQUIRE_OK(fixture_open(&f));
    struct wal_entry entry = fixture_entry(&f, 6, 1, SIZE);
    REQUIRE_OK(wal_repair(f.wal, &entry, &f.err));
    /* Nothing says which segment it was in: the last one has it. */
    fake_disk_flip_bit(f.disk, "log/000000010000000000000003.side", 300, 1);
    EXPECT_STR(look(), "unknown lost 6, ");
    EXPECT_UINT(entries, COUNT - 1);
    end();
}

/* Without a commit index the lost record may have replaced any before it. */
TEST(wal_inspect, what_a_lost_record_may_have_replaced_is_doubted)
{
    knows_commit = false;
    build(WAL_RAFT);
    knows_commit = true;
    lose_identifiers(1);
    flip(1, 3, 20);
    EXPECT_STR(look(), "whole doubted 1, whole doubted 2, whole doubted 3, unknown lost 1, ");
    EXPECT_UINT(entries, COUNT - 4);
    end();
}

TEST(wal_inspect, what_later_records_replaced_is_settled)
{
    build(WAL_RAFT);
    flip(1, 5, 300);
    REQUIRE_OK(fixture_open(&f));
    REQUIRE_OK(wal_drop(f.wal, 4, 0, &f.err));
    fixture_fill(&f, 4, 6, 2, SIZE);
    const char *seen = look();
    EXPECT_CONTAINS(seen,
                    "whole replaced 4, whole replaced 5, damaged settled 6, whole replaced 7");
    EXPECT(strstr(seen, "lost") == NULL);
    EXPECT_UINT(entries, 6);
    end();
}

TEST(wal_inspect, what_a_recovery_mode_has_answered_is_settled)
{
    for (int mode = WAL_POINT_IN_TIME_RECOVERY; mode <= WAL_SKIP_ANY_CORRUPTED_RECORDS; mode++) {
        build(WAL_LOCAL);
        lose_identifiers(2);
        flip(2, 7, 300);
        flip(2, 20, 20);
        EXPECT_STR(look(), "damaged lost 61, unknown lost 0, ");
        EXPECT(f.report.loss_found);
        EXPECT_UINT(f.report.index_kept, PER_SEGMENT + 7);
        f.options.recovery_mode = (enum wal_recovery_mode)mode;
        REQUIRE_OK(fixture_open(&f));
        const char *seen = look();
        EXPECT_CONTAINS(seen, "damaged settled 61");
        EXPECT_CONTAINS(seen, "unknown settled 0");
        EXPECT(strstr(seen, "lost") == NULL);
        EXPECT_UINT(entries, mode == WAL_POINT_IN_TIME_RECOVERY ? PER_SEGMENT + 7 : COUNT - 2);
        end();
    }
}

/* Only the numbers of the records around it tell. */
TEST(wal_inspect, a_gap_without_a_slot_is_a_problem)
{
    build(WAL_LOCAL);
    lose_identifiers(2);
    fake_disk_zero(f.disk, fixture_segment(2), fixture_offset(PER_SEGMENT - 1, SIZE),
                   wal_record_span(SIZE));
    EXPECT_STR(look(), "gap in 3 0..0, ");
    EXPECT_UINT(entries, COUNT - 1);
    end();
    build(WAL_RAFT);
    lose_identifiers(2);
    for (uint64_t i = PER_SEGMENT - 3; i < PER_SEGMENT; i++) {
        fake_disk_zero(f.disk, fixture_segment(2), fixture_offset(i, SIZE), wal_record_span(SIZE));
    }
    /* The header behind the gap knows the term of the entry before it. */
    EXPECT_CONTAINS(look(), "gap in 0 106..106, ");
    EXPECT_CONTAINS(look(), "104..105, ");
    end();
}

TEST(wal_inspect, segments_that_are_missing_short_or_of_another_number_are_named)
{
    build(WAL_LOCAL);
    fake_disk_remove(f.disk, fixture_segment(2));
    EXPECT_CONTAINS(look(), "unknown lost 0, segment missing in 2 0..0, ");
    EXPECT_UINT(entries, COUNT - PER_SEGMENT);
    end();
    build(WAL_LOCAL);
    fake_disk_truncate(f.disk, fixture_segment(2), fixture_offset(10, SIZE));
    EXPECT_CONTAINS(look(), "segment short in 2 0..0, ");
    EXPECT_UINT(entries, COUNT - PER_SEGMENT + 10);
    end();
    build(WAL_LOCAL);
    fake_disk_flip_bit(f.disk, fixture_segment(2), 40, 1);
    EXPECT_STR(look(), "segment header damaged in 2 0..0, ");
    EXPECT_UINT(entries, COUNT);
    end();
}

TEST(wal_inspect, a_read_error_is_damage)
{
    build(WAL_LOCAL);
    fake_disk_read_error(f.disk, fixture_segment(2), (fixture_offset(7, SIZE) + 511) / 512 * 512,
                         512);
    EXPECT_STR(look(), "damaged lost 61, ");
    EXPECT_UINT(entries, COUNT - 1);
    end();
}

static bool stop_at_ten(void *context, const struct wal_view *view)
{
    ++*(uint64_t *)context;
    return view->index < 10;
}

TEST(wal_inspect, a_visitor_that_has_enough_is_left_alone)
{
    build(WAL_RAFT);
    uint64_t count = 0;
    const struct wal_visitor visitor = {
        .slot = stop_at_ten, .problem = note_problem, .context = &count};
    buf_reset(&text);
    flip(2, 5, 300);
    EXPECT_OK(wal_inspect(f.options.io, "log", &visitor, &f.report, &f.err));
    EXPECT_UINT(count, 10);
    EXPECT_UINT(text.size, 0);
    end();
}
