/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_replay_local.h"

#include "testkit/test.h"

enum { SEGMENT_SIZE = 64 * 1024 };

struct lab {
    struct wal_layout layout;
    struct wal_table table;
    struct wal_replay replay;
    uint64_t lsn;
    uint64_t sequence;
    uint64_t last; /* index of the entry written last */
};

static struct lab lab;

static void begin_at(uint64_t cut)
{
    const struct wal_extent extent = {.segment_first = 1, .segment_last = 3, .index_cut = cut};
    lab = (struct lab){.layout = {SEGMENT_SIZE, 7}, .last = cut};
    wal_table_init(&lab.table, true, cut);
    wal_replay_init(&lab.replay, &lab.layout, true, &lab.table, &extent);
    lab.lsn = wal_lsn_first(&lab.layout, 1);
}

static void begin(void)
{
    begin_at(0);
}

static void end(void)
{
    wal_replay_deinit(&lab.replay);
    wal_table_deinit(&lab.table);
}

enum found { WHOLE, BAD_PAYLOAD, BY_IDENTIFIER, LOST, VANISHED };

static void give(enum found how, enum wal_record_type type, uint64_t index, uint64_t before)
{
    lab.sequence++;
    lab.lsn += wal_record_span(0);
    struct wal_found found = {.verdict = how == WHOLE ? WAL_WHOLE : WAL_DAMAGED,
                              .lsn = lab.lsn,
                              .by_header = how != BY_IDENTIFIER,
                              .record = {.type = type,
                                         .sequence = how == BY_IDENTIFIER ? 0 : lab.sequence,
                                         .index = index,
                                         .before = how == BY_IDENTIFIER ? 0 : before,
                                         .lsn = lab.lsn}};
    if (how == LOST) {
        found = (struct wal_found){.verdict = WAL_UNKNOWN, .lsn = lab.lsn};
    }
    if (how != VANISHED) {
        wal_replay_slot(&lab.replay, &found);
    }
}

static void entry(enum found how, uint64_t index)
{
    give(how, WAL_RECORD_METADATA, index, lab.last);
    lab.last = index;
}

static void mark(enum found how)
{
    give(how, WAL_RECORD_MARK, lab.last, lab.last);
}

/* A recovery mode's answer: entries from 'index' on are gone. */
static void drop(enum found how, uint64_t index)
{
    give(how, WAL_RECORD_DROP, index, index - 1);
    lab.last = index - 1;
}

static const struct wal_first_loss *finish(void)
{
    wal_replay_end(&lab.replay);
    return &lab.replay.first_loss;
}

static bool held(uint64_t index)
{
    const struct wal_place *place = wal_table_at(&lab.table, index);
    return place != NULL && wal_place_state(place) == WAL_PLACE_WHOLE;
}

TEST(wal_replay_local, indexes_may_skip)
{
    begin();
    entry(WHOLE, 3);
    entry(WHOLE, 10);
    entry(WHOLE, 11);
    EXPECT(!finish()->found);
    EXPECT_UINT(lab.table.count, 3);
    EXPECT_UINT(lab.table.last, 11);
    end();
}

TEST(wal_replay_local, a_bad_payload_is_the_first_loss)
{
    begin();
    entry(WHOLE, 3);
    entry(BAD_PAYLOAD, 5);
    uint64_t lsn = lab.lsn;
    entry(WHOLE, 8);
    entry(WHOLE, 9);
    const struct wal_first_loss *loss = finish();
    EXPECT(loss->found);
    EXPECT_UINT(loss->lsn, lsn);
    EXPECT_UINT(loss->index_kept, 3);
    EXPECT_UINT(loss->entries_after, 2);
    EXPECT_UINT(loss->index_after_first, 8);
    EXPECT_UINT(loss->index_after_last, 9);
    end();
}

TEST(wal_replay_local, an_entry_known_by_its_identifier_is_lost_too)
{
    begin();
    entry(WHOLE, 3);
    entry(BY_IDENTIFIER, 5);
    entry(WHOLE, 8);
    EXPECT(finish()->found);
    EXPECT_UINT(lab.replay.first_loss.index_kept, 3);
    EXPECT(!held(5));
    EXPECT(held(8));
    end();
}

TEST(wal_replay_local, a_lost_entry_is_told_by_the_next_header)
{
    begin();
    entry(WHOLE, 3);
    entry(LOST, 5);
    uint64_t lsn = lab.lsn;
    entry(WHOLE, 8);
    const struct wal_first_loss *loss = finish();
    EXPECT(loss->found);
    EXPECT_UINT(loss->lsn, lsn);
    EXPECT_UINT(loss->index_kept, 3);
    end();
}

TEST(wal_replay_local, an_entry_that_vanished_is_told_by_the_next_header)
{
    begin();
    entry(WHOLE, 3);
    entry(VANISHED, 5);
    entry(WHOLE, 8);
    EXPECT(finish()->found);
    end();
}

TEST(wal_replay_local, a_lost_mark_is_no_loss)
{
    begin();
    entry(WHOLE, 3);
    mark(LOST);
    entry(WHOLE, 8);
    mark(BY_IDENTIFIER);
    entry(WHOLE, 9);
    EXPECT(!finish()->found);
    EXPECT_UINT(lab.table.count, 3);
    end();
}

TEST(wal_replay_local, a_loss_at_the_end_is_one)
{
    begin();
    entry(WHOLE, 3);
    entry(LOST, 5);
    const struct wal_first_loss *loss = finish();
    EXPECT(loss->found);
    EXPECT_UINT(loss->entries_after, 0);
    EXPECT_UINT(loss->index_kept, 3);
    end();
}

TEST(wal_replay_local, a_mark_tells_of_a_lost_last_entry)
{
    begin();
    entry(WHOLE, 3);
    entry(LOST, 5);
    mark(WHOLE);
    entry(WHOLE, 6);
    EXPECT(finish()->found);
    end();
}

TEST(wal_replay_local, a_drop_answers_the_losses_before_it)
{
    begin();
    entry(WHOLE, 3);
    entry(BAD_PAYLOAD, 5);
    entry(WHOLE, 8);
    drop(WHOLE, 4);
    entry(WHOLE, 4);
    EXPECT(!finish()->found);
    EXPECT(held(3));
    EXPECT(held(4));
    EXPECT(!held(8));
    EXPECT_UINT(lab.table.last, 4);
    end();
}

TEST(wal_replay_local, a_drop_behind_the_last_entry_accepts_the_holes_below)
{
    begin();
    entry(WHOLE, 3);
    entry(BAD_PAYLOAD, 5);
    entry(WHOLE, 8);
    drop(WHOLE, 9);
    entry(WHOLE, 9);
    EXPECT(!finish()->found);
    EXPECT(held(3));
    EXPECT(held(8));
    EXPECT(held(9));
    EXPECT_UINT(lab.table.count, 3);
    end();
}

TEST(wal_replay_local, a_loss_behind_an_answered_one_is_new)
{
    begin();
    entry(WHOLE, 3);
    entry(BAD_PAYLOAD, 5);
    drop(WHOLE, 4);
    entry(WHOLE, 4);
    entry(BAD_PAYLOAD, 6);
    const struct wal_first_loss *loss = finish();
    EXPECT(loss->found);
    EXPECT_UINT(loss->index_kept, 4);
    end();
}

TEST(wal_replay_local, a_lost_drop_is_told_by_the_next_header)
{
    begin();
    entry(WHOLE, 3);
    entry(WHOLE, 5);
    entry(WHOLE, 8);
    drop(LOST, 4);
    entry(WHOLE, 4);
    EXPECT(!finish()->found);
    EXPECT(held(3));
    EXPECT(held(4));
    EXPECT_UINT(lab.table.count, 2);
    end();
}

TEST(wal_replay_local, what_was_cut_away_is_not_missed)
{
    begin_at(20);
    lab.last = 15; /* the first segment that is left begins behind entry 15 */
    entry(WHOLE, 18);
    entry(WHOLE, 22);
    EXPECT(!finish()->found);
    EXPECT_UINT(lab.table.count, 1);
    EXPECT(held(22));
    end();
}

TEST(wal_replay_local, an_index_that_does_not_rise_is_a_loss)
{
    begin();
    entry(WHOLE, 8);
    give(WHOLE, WAL_RECORD_METADATA, 5, 8);
    EXPECT(finish()->found);
    EXPECT_UINT(lab.table.count, 1);
    end();
}
