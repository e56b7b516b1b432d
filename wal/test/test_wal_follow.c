/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_follow.h"

#include "wal/test/wal_fixture.h"

static struct fixture f;
static struct wal_follow *follow;

enum { SIZE = 900, PER_SEGMENT = 53 };

static struct {
    uint64_t slots;
    uint64_t index_last; /* of the entries seen; they must come one after the other */
    uint64_t lost;
    uint64_t missing;
    uint64_t stop_at; /* index; 0: never */
    bool in_order;
    bool whole; /* payloads are as written */
} seen;

static bool note_slot(void *context, const struct wal_view *view)
{
    (void)context;
    seen.slots++;
    seen.lost += view->state == WAL_SLOT_LOST;
    if (strcmp(view->kind, "command") == 0 && view->state == WAL_SLOT_HELD) {
        seen.in_order = seen.in_order && view->index > seen.index_last;
        seen.whole =
            seen.whole && bytes_equal(view->payload, fixture_payload(&f, view->index, 1, SIZE));
        seen.index_last = view->index;
    }
    return seen.stop_at == 0 || view->index < seen.stop_at;
}

static void note_problem(void *context, const struct wal_problem *problem)
{
    (void)context;
    EXPECT_STR(problem->what, "segment missing");
    seen.missing++;
}

static void poll(void)
{
    static const struct wal_visitor visitor = {.slot = note_slot, .problem = note_problem};
    uint64_t writes = fake_disk_calls_of(f.disk, FAKE_DISK_WRITE);
    REQUIRE_OK(wal_follow_poll(follow, &visitor, &f.err));
    EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_WRITE), writes);
    EXPECT(seen.in_order && seen.whole);
}

static void begin(void)
{
    fixture_init(&f, WAL_LOCAL);
    REQUIRE_OK(fixture_open(&f));
    REQUIRE_OK(wal_follow_open(f.options.io, "log", &follow, &f.err));
    memset(&seen, 0, sizeof seen);
    seen.in_order = true;
    seen.whole = true;
}

static void end(void)
{
    wal_follow_close(follow);
    fixture_deinit(&f);
}

TEST(wal_follow, shows_what_is_appended_once_and_in_order)
{
    begin();
    poll();
    EXPECT_UINT(seen.slots, 0);
    for (uint64_t i = 1; i <= 4 * PER_SEGMENT; i += 7) {
        fixture_fill(&f, i, i + 6, 1, SIZE);
        poll();
        EXPECT_UINT(seen.index_last, i + 6);
        poll();
    }
    EXPECT_UINT(seen.slots, seen.index_last);
    EXPECT_UINT(seen.lost, 0);
    EXPECT_UINT(seen.missing, 0);
    end();
}

TEST(wal_follow, shows_what_is_not_synced_yet)
{
    begin();
    REQUIRE_OK(fixture_append(&f, 1, 1, SIZE));
    poll();
    EXPECT_UINT(seen.index_last, 1);
    end();
}

/* The bytes of a record arrive in pieces. */
TEST(wal_follow, waits_for_a_record_that_is_half_written)
{
    begin();
    fixture_fill(&f, 1, 3, 1, SIZE);
    static uint8_t record[1000];
    uint64_t at = fixture_offset(2, SIZE);
    REQUIRE(fake_disk_peek(f.disk, fixture_segment(1), at, record, sizeof record) == sizeof record);
    for (uint64_t there = 0; there < wal_record_span(SIZE); there += 100) {
        fake_disk_zero(f.disk, fixture_segment(1), at, wal_record_span(SIZE));
        fake_disk_overwrite(f.disk, fixture_segment(1), at, bytes_of(record, there));
        poll();
        EXPECT_UINT(seen.index_last, 2);
    }
    fake_disk_overwrite(f.disk, fixture_segment(1), at, bytes_of(record, sizeof record));
    poll();
    EXPECT_UINT(seen.index_last, 3);
    EXPECT_UINT(seen.slots, 3);
    end();
}

/* Once a later segment was begun nobody will finish it. */
TEST(wal_follow, shows_damage_in_a_segment_that_is_full)
{
    begin();
    fixture_fill(&f, 1, PER_SEGMENT + 5, 1, SIZE);
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(9, SIZE) + 300, 1);
    poll();
    EXPECT_UINT(seen.lost, 1);
    EXPECT_UINT(seen.index_last, PER_SEGMENT + 5);
    end();
}

TEST(wal_follow, goes_on_where_the_visitor_had_enough)
{
    begin();
    fixture_fill(&f, 1, 20, 1, SIZE);
    seen.stop_at = 5;
    poll();
    EXPECT_UINT(seen.index_last, 5);
    seen.stop_at = 0;
    poll();
    EXPECT_UINT(seen.index_last, 20);
    EXPECT_UINT(seen.slots, 20);
    end();
}

/* Of what is cut while it is read nothing wrong is shown. */
TEST(wal_follow, goes_on_behind_what_was_cut)
{
    begin();
    fixture_fill(&f, 1, 10, 1, SIZE);
    poll();
    fixture_fill(&f, 11, 4 * PER_SEGMENT + 5, 1, SIZE);
    REQUIRE_OK(wal_cut(f.wal, 3 * PER_SEGMENT + 1, 1, &f.err));
    poll();
    EXPECT_UINT(seen.index_last, 4 * PER_SEGMENT + 5);
    EXPECT_UINT(seen.lost, 0);
    EXPECT_UINT(seen.missing, 2);
    end();
}

/* A crash tore the end off; what is written there later is shown. */
TEST(wal_follow, goes_on_after_a_restart)
{
    begin();
    fixture_fill(&f, 1, 10, 1, SIZE);
    poll();
    REQUIRE_OK(fixture_append(&f, 11, 1, SIZE));
    fake_disk_power_fail_lose_all(f.disk);
    wal_follow_close(follow); /* our files are gone with the machine */
    fixture_abandon(&f);
    REQUIRE_OK(fixture_open(&f));
    REQUIRE_OK(wal_follow_open(f.options.io, "log", &follow, &f.err));
    seen.index_last = 0;
    fixture_fill(&f, 11, 12, 1, SIZE);
    poll();
    EXPECT_UINT(seen.index_last, 12);
    end();
}

TEST(wal_follow, says_what_is_no_log)
{
    fixture_init(&f, WAL_LOCAL);
    EXPECT_ERR(wal_follow_open(f.options.io, "log", &follow, &f.err), ERR_NOT_FOUND);
    fixture_deinit(&f);
}
