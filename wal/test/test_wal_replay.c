/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_replay.h"

#include <stdio.h>

#include "testkit/test.h"

/* A log written by hand, slot by slot: what a header would say is kept up to
 * date, and any slot can be lost on the way to the replay. */
struct lab {
    struct wal_layout layout;
    struct wal_table table;
    struct wal_replay replay;
    uint64_t lsn;
    uint64_t sequence;
    uint64_t commit;
    uint64_t frame; /* of the records being written, 0: none */
};

enum { SEGMENT_SIZE = 64 * 1024 };

static struct lab lab;

static void begin_with(const struct wal_extent *extent)
{
    lab = (struct lab){.layout = {SEGMENT_SIZE, 7}};
    wal_table_init(&lab.table, false, extent->index_cut);
    wal_replay_init(&lab.replay, &lab.layout, false, &lab.table, extent);
    lab.lsn = wal_lsn_first(&lab.layout, extent->segment_first);
}

static void begin(void)
{
    begin_with(&(struct wal_extent){.segment_first = 1, .segment_last = 3});
}

static void end(void)
{
    wal_replay_deinit(&lab.replay);
    wal_table_deinit(&lab.table);
}

/* How a slot is found. */
enum found { WHOLE, BAD_PAYLOAD, BY_IDENTIFIER, LOST, VANISHED };

static struct wal_found slot(enum wal_record_type type, uint64_t index, uint64_t term,
                             uint64_t before)
{
    lab.sequence++;
    lab.lsn += wal_record_span(0);
    if (type == WAL_RECORD_BEGIN) {
        lab.frame = lab.sequence;
    }
    struct wal_found found = {.verdict = WAL_WHOLE,
                              .lsn = lab.lsn,
                              .by_header = true,
                              .record = {.type = type,
                                         .log_key = 7,
                                         .sequence = lab.sequence,
                                         .index = index,
                                         .term = term,
                                         .before = before,
                                         .commit = lab.commit,
                                         .frame = lab.frame,
                                         .lsn = lab.lsn}};
    if (type == WAL_RECORD_END) {
        lab.frame = 0;
    }
    return found;
}

static void give(enum found how, struct wal_found found)
{
    switch (how) {
    case WHOLE:
        break;
    case BAD_PAYLOAD:
        found.verdict = WAL_DAMAGED;
        break;
    case BY_IDENTIFIER:
        found.verdict = WAL_DAMAGED;
        found.by_header = false;
        found.record = (struct wal_record){.type = found.record.type,
                                           .index = found.record.index,
                                           .term = found.record.term,
                                           .frame = found.record.frame != 0 ? UINT64_MAX : 0,
                                           .lsn = found.lsn};
        break;
    case LOST:
        found = (struct wal_found){.verdict = WAL_UNKNOWN, .lsn = found.lsn};
        break;
    case VANISHED:
        return;
    }
    wal_replay_slot(&lab.replay, &found);
}

static void entry(enum found how, uint64_t index, uint64_t term, uint64_t before)
{
    give(how, slot(WAL_RECORD_COMMAND, index, term, before));
}

/* Entries first .. last of one term, behind an entry of the term 'before'. */
static void entries(uint64_t first, uint64_t last, uint64_t term, uint64_t before)
{
    for (uint64_t i = first; i <= last; i++) {
        entry(WHOLE, i, term, i == first ? before : term);
    }
}

static void drop(enum found how, uint64_t index, uint64_t before)
{
    give(how, slot(WAL_RECORD_DROP, index, 0, before));
}

static void mark(uint64_t index, uint64_t term)
{
    give(WHOLE, slot(WAL_RECORD_MARK, index, term, 0));
}

/* The table as text: "W1 D2 U?" is index 1 whole of term 1, 2 a hole of term 2, 3 unknown. */
static const char *content(void)
{
    static char text[512];
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < lab.table.count; i++) {
        const struct wal_place *place = wal_table_place(&lab.table, i);
        enum wal_place_state state = wal_place_state(place);
        int used = state == WAL_PLACE_UNKNOWN
                       ? snprintf(text + size, sizeof text - size, "U? ")
                       : snprintf(text + size, sizeof text - size, "%c%u ",
                                  state == WAL_PLACE_WHOLE ? 'W' : 'D', (unsigned)place->term);
        size += (size_t)used;
    }
    if (size > 0) {
        text[size - 1] = '\0';
    }
    return text;
}

/* --- without loss --- */

TEST(wal_replay, consecutive_entries_are_held)
{
    begin();
    entries(1, 3, 1, 0);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1");
    EXPECT(!lab.replay.pending);
    EXPECT_UINT(lab.replay.records_whole, 3);
    EXPECT_UINT(lab.replay.sequence, 3);
    end();
}

TEST(wal_replay, a_lower_index_replaces_and_takes_what_follows)
{
    begin();
    entries(1, 5, 1, 0);
    entry(WHOLE, 3, 2, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W2");
    end();
}

TEST(wal_replay, a_drop_takes_away_without_a_successor)
{
    begin();
    entries(1, 5, 1, 0);
    drop(WHOLE, 2, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1");
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, a_record_at_the_cut_still_replaces)
{
    begin_with(&(struct wal_extent){.segment_first = 1, .segment_last = 1, .index_cut = 2});
    entries(2, 5, 1, 1);
    entry(WHOLE, 2, 2, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "");
    EXPECT_UINT(lab.table.last, 2);
    end();
}

TEST(wal_replay, the_highest_commit_stated_is_kept)
{
    begin();
    lab.commit = 1;
    entries(1, 2, 1, 0);
    lab.commit = 2;
    entry(WHOLE, 3, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_UINT(lab.replay.commit, 2);
    end();
}

/* --- lost entries --- */

TEST(wal_replay, a_bad_payload_is_a_hole_of_its_term)
{
    begin();
    entries(1, 1, 1, 0);
    entry(BAD_PAYLOAD, 2, 1, 1);
    entry(WHOLE, 3, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 D1 W1");
    EXPECT_UINT(lab.replay.records_damaged, 1);
    end();
}

TEST(wal_replay, an_identifier_gives_the_same_hole)
{
    begin();
    entries(1, 1, 1, 0);
    entry(BY_IDENTIFIER, 2, 1, 1);
    entry(WHOLE, 3, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 D1 W1");
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, the_next_header_gives_a_lost_entry_its_term)
{
    begin();
    lab.commit = 1;
    entries(1, 2, 1, 0);
    entry(LOST, 3, 2, 1);
    entry(WHOLE, 4, 2, 2);
    wal_replay_end(&lab.replay);
    /* The lost record may have been a replacement of 2 and 3: 1 was committed. */
    EXPECT_STR(content(), "W1 U? D2 W2");
    EXPECT_UINT(lab.replay.records_unknown, 1);
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, what_was_committed_before_a_loss_can_not_have_been_replaced)
{
    begin();
    lab.commit = 2;
    entries(1, 2, 1, 0);
    entry(LOST, 3, 2, 1);
    entry(WHOLE, 4, 2, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 D2 W2");
    end();
}

TEST(wal_replay, a_header_that_agrees_below_says_that_nothing_is_lost)
{
    begin();
    entries(1, 3, 1, 0);
    give(LOST, slot(WAL_RECORD_MARK, 3, 1, 0));
    entry(WHOLE, 4, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1 W1");
    EXPECT(!lab.replay.pending);
    end();
}

/* safety.md A5: 1:1, then 1:2 replaces it, then 2:3; the second is lost. */
TEST(wal_replay, an_older_entry_does_not_pass_for_a_lost_replacement)
{
    begin();
    entry(WHOLE, 1, 1, 0);
    entry(LOST, 1, 2, 0);
    entry(WHOLE, 2, 3, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "D2 W3");
    end();
}

TEST(wal_replay, the_same_holds_when_only_the_numbers_show_a_loss)
{
    begin();
    entry(WHOLE, 1, 1, 0);
    entry(VANISHED, 1, 2, 0);
    lab.commit = 1;
    entry(WHOLE, 2, 3, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "D2 W3");
    end();
}

TEST(wal_replay, an_unknown_end_makes_all_above_the_commit_unknown)
{
    begin();
    lab.commit = 2;
    entries(1, 4, 1, 0);
    entry(LOST, 5, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 U? U?");
    EXPECT(lab.replay.pending);
    EXPECT_UINT(lab.replay.commit_pending, 2);
    end();
}

TEST(wal_replay, a_mark_behind_a_loss_says_what_was_held)
{
    begin();
    lab.commit = 2;
    entries(1, 4, 1, 0);
    entry(LOST, 5, 1, 1);
    mark(5, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 U? U? D1");
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, a_mark_shows_that_a_lost_record_was_a_drop)
{
    begin();
    lab.commit = 2;
    entries(1, 5, 1, 0);
    drop(LOST, 4, 1);
    mark(3, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1");
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, a_drop_by_its_identifier_drops)
{
    begin();
    entries(1, 5, 1, 0);
    drop(BY_IDENTIFIER, 4, 1);
    entry(WHOLE, 4, 2, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1 W2");
    end();
}

TEST(wal_replay, a_drop_behind_a_loss_ends_it)
{
    begin();
    lab.commit = 1;
    entries(1, 5, 1, 0);
    entry(LOST, 6, 1, 1);
    drop(WHOLE, 4, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1");
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, a_header_that_does_not_know_what_is_below_leaves_it_unknown)
{
    begin();
    lab.commit = 1;
    entries(1, 3, 1, 0);
    entry(LOST, 4, 1, 1);
    entry(WHOLE, 5, 2, 0);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 U? U? U? W2");
    end();
}

TEST(wal_replay, a_lost_first_record_leaves_only_what_is_stated)
{
    begin();
    entry(LOST, 1, 1, 0);
    entry(WHOLE, 2, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "D1 W1");
    end();
}

TEST(wal_replay, an_index_that_no_log_of_this_size_can_hold_is_lost)
{
    begin();
    entries(1, 2, 1, 0);
    entry(WHOLE, UINT64_MAX / 2, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_UINT(lab.replay.records_unknown, 1);
    EXPECT(lab.replay.pending);
    EXPECT_UINT(lab.table.count, 2);
    end();
}

/* No writer frames a MARK or a DROP: such a header says nothing that can be used. */
TEST(wal_replay, a_mark_or_drop_in_a_frame_is_lost)
{
    static const enum wal_record_type types[] = {WAL_RECORD_MARK, WAL_RECORD_DROP};
    for (size_t i = 0; i < 2; i++) {
        for (enum found how = WHOLE; how <= BY_IDENTIFIER; how++) {
            begin();
            entries(1, 3, 1, 0);
            struct wal_found found = slot(types[i], 2, 1, 1);
            found.record.frame = 2;
            give(how, found);
            test_context("%s %d", wal_record_type_name(types[i]), (int)how);
            EXPECT_UINT(lab.replay.records_unknown, 1);
            EXPECT(!lab.replay.frame.open);
            entry(WHOLE, 4, 1, 1);
            wal_replay_end(&lab.replay);
            EXPECT_STR(content(), "W1 W1 W1 W1");
            end();
        }
    }
}

TEST(wal_replay, indexes_near_the_top_of_their_range_do_not_wrap)
{
    static const uint64_t tops[] = {UINT64_MAX - 2, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        /* As wal_inspect() makes it of a first record that can't be. */
        const uint64_t cut = UINT64_MAX - 10;
        begin_with(&(struct wal_extent){.segment_first = 1, .segment_last = 3, .index_cut = cut});
        entry(WHOLE, cut + 1, 1, 1);
        mark(tops[i], 1);
        entry(WHOLE, tops[i], 1, 1);
        wal_replay_end(&lab.replay);
        test_context("UINT64_MAX - %u", (unsigned)(UINT64_MAX - tops[i]));
        EXPECT_UINT(lab.table.last, i == 0 ? UINT64_MAX - 2 : cut + 1);
        EXPECT_UINT(lab.replay.records_unknown, i == 0 ? 0 : 2);
        end();
    }
}

/* --- frames --- */

static void begin_record(enum found how, uint64_t first, uint64_t term, uint64_t before)
{
    give(how, slot(WAL_RECORD_BEGIN, first, term, before));
}

static void end_record(enum found how, uint64_t last, uint64_t term, uint64_t first)
{
    give(how, slot(WAL_RECORD_END, last, term, first));
}

TEST(wal_replay, a_frame_counts_with_its_end)
{
    begin();
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 3, 2, 1);
    entries(3, 4, 2, 1);
    EXPECT_STR(content(), "W1 W1 W1 W1 W1");
    end_record(WHOLE, 4, 2, 3);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W2 W2");
    end();
}

TEST(wal_replay, a_frame_without_end_is_void)
{
    begin();
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 3, 2, 1);
    entries(3, 4, 2, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1 W1 W1");
    end();
}

TEST(wal_replay, a_record_outside_voids_an_open_frame)
{
    begin();
    entries(1, 3, 1, 0);
    begin_record(WHOLE, 2, 2, 1);
    entries(2, 3, 2, 1);
    lab.frame = 0; /* the process crashed here */
    entry(WHOLE, 4, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1 W1");
    end();
}

TEST(wal_replay, a_frame_whose_begin_was_cut_counts)
{
    begin_with(&(struct wal_extent){.segment_first = 2, .segment_last = 3, .index_cut = 2});
    lab.sequence = 40;
    lab.frame = 38;
    entries(4, 5, 2, 2);
    end_record(WHOLE, 5, 2, 4);
    entry(WHOLE, 6, 2, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "D2 W2 W2 W2"); /* 3 was in a segment that is gone: stated by 4 */
    end();
}

TEST(wal_replay, a_lost_member_is_a_hole_of_the_term_that_the_next_states)
{
    begin();
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 2, 2, 1);
    entry(WHOLE, 2, 2, 1);
    entry(LOST, 3, 2, 2);
    entry(WHOLE, 4, 2, 2);
    end_record(WHOLE, 4, 2, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W2 D2 W2");
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, a_frame_that_lost_its_begin_is_told_by_its_end)
{
    begin();
    entries(1, 5, 1, 0);
    begin_record(LOST, 2, 2, 1);
    entry(WHOLE, 2, 2, 1);
    entry(WHOLE, 3, 2, 2);
    end_record(WHOLE, 3, 2, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W2 W2");
    end();
}

TEST(wal_replay, a_frame_that_lost_everything_but_its_end)
{
    begin();
    lab.commit = 1;
    entries(1, 5, 1, 0);
    begin_record(LOST, 2, 2, 1);
    entry(VANISHED, 2, 2, 1);
    entry(VANISHED, 3, 2, 2);
    end_record(WHOLE, 3, 2, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 U? D2");
    EXPECT(!lab.replay.pending);
    end();
}

TEST(wal_replay, a_lost_end_leaves_an_unknown_end)
{
    begin();
    lab.commit = 1;
    entries(1, 3, 1, 0);
    begin_record(WHOLE, 2, 2, 1);
    entries(2, 4, 2, 1);
    end_record(LOST, 4, 2, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 U? U?");
    EXPECT(lab.replay.pending);
    end();
}

TEST(wal_replay, a_lost_end_is_told_by_the_next_header)
{
    begin();
    lab.commit = 1;
    entries(1, 3, 1, 0);
    begin_record(WHOLE, 2, 2, 1);
    entries(2, 4, 2, 1);
    end_record(LOST, 4, 2, 2);
    entry(WHOLE, 5, 2, 2);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 U? U? D2 W2");
    end();
}

TEST(wal_replay, an_end_by_identifier_closes_a_frame_that_lost_nothing)
{
    begin();
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 3, 2, 1);
    entries(3, 4, 2, 1);
    end_record(BY_IDENTIFIER, 4, 2, 3);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W2 W2");
    end();
}

TEST(wal_replay, an_end_by_identifier_behind_a_loss_proves_only_itself)
{
    begin();
    lab.commit = 2;
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 3, 2, 1);
    entry(WHOLE, 3, 2, 1);
    entry(LOST, 4, 2, 2);
    end_record(BY_IDENTIFIER, 4, 2, 3);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 U? D2");
    end();
}

TEST(wal_replay, a_member_by_identifier_takes_effect_with_its_end)
{
    begin();
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 3, 2, 1);
    entry(BY_IDENTIFIER, 3, 2, 1);
    entry(WHOLE, 4, 2, 2);
    EXPECT_STR(content(), "W1 W1 W1 W1 W1");
    end_record(WHOLE, 4, 2, 3);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 D2 W2");
    end();
}

TEST(wal_replay, a_member_by_identifier_of_a_void_frame_has_no_effect)
{
    begin();
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 3, 2, 1);
    entry(BY_IDENTIFIER, 3, 2, 1);
    lab.frame = 0;
    entry(WHOLE, 6, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1 W1 W1 W1");
    end();
}

TEST(wal_replay, a_member_of_a_void_frame_does_not_get_into_the_next)
{
    begin();
    lab.commit = 2;
    entries(1, 5, 1, 0);
    begin_record(WHOLE, 3, 2, 1);
    entry(BY_IDENTIFIER, 3, 2, 1);
    begin_record(LOST, 3, 4, 1);
    entry(WHOLE, 3, 4, 1);
    end_record(WHOLE, 3, 4, 3);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W4");
    end();
}

/* --- extents --- */

static const struct wal_extent two_segments = {
    .segment_first = 1, .segment_last = 2, .index_last = 4, .term_last = 1, .sequence_last = 4};

static void enter_segment(uint64_t number)
{
    lab.lsn = wal_lsn_first(&lab.layout, number);
}

TEST(wal_replay, the_extent_agrees_with_a_whole_log)
{
    begin_with(&two_segments);
    entries(1, 4, 1, 0);
    enter_segment(2);
    entry(WHOLE, 5, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1 W1 W1");
    end();
}

TEST(wal_replay, records_that_vanished_before_an_empty_last_segment_are_missed)
{
    begin_with(&two_segments);
    entries(1, 2, 1, 0);
    wal_replay_end(&lab.replay);
    EXPECT(lab.replay.pending);
    EXPECT_STR(content(), "U? U?");
    end();
}

TEST(wal_replay, a_mark_that_vanished_there_is_not)
{
    struct wal_extent extent = two_segments;
    extent.sequence_last = 5;
    begin_with(&extent);
    entries(1, 4, 1, 0);
    wal_replay_end(&lab.replay);
    EXPECT(!lab.replay.pending);
    EXPECT_STR(content(), "W1 W1 W1 W1");
    end();
}

/* --- side files --- */

static void fill(uint64_t index, uint64_t term)
{
    const struct wal_side_entry side = {.segment = 2,
                                        .record = {.type = WAL_RECORD_COMMAND,
                                                   .flags = WAL_RECORD_SIDE,
                                                   .sequence = 96,
                                                   .index = index,
                                                   .term = term,
                                                   .lsn = lab.lsn}};
    wal_replay_fill(&lab.replay, &side);
}

TEST(wal_replay, a_side_entry_fills_the_hole_that_stands_then)
{
    begin();
    entries(1, 1, 1, 0);
    entry(BAD_PAYLOAD, 2, 1, 1);
    entry(WHOLE, 3, 1, 1);
    fill(2, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 W1");
    const struct wal_place *place = wal_table_at(&lab.table, 2);
    EXPECT(wal_place_side(place));
    EXPECT_UINT(wal_place_lsn(place), 2 * SEGMENT_SIZE + 96);
    end();
}

TEST(wal_replay, a_side_entry_of_another_term_does_not_fill)
{
    begin();
    entries(1, 1, 1, 0);
    entry(BAD_PAYLOAD, 2, 1, 1);
    fill(2, 3);
    fill(1, 3);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 D1");
    end();
}

TEST(wal_replay, a_later_record_replaces_a_side_entry)
{
    begin();
    entries(1, 1, 1, 0);
    entry(BAD_PAYLOAD, 2, 1, 1);
    fill(2, 1);
    entry(WHOLE, 2, 4, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W4");
    EXPECT(!wal_place_side(wal_table_at(&lab.table, 2)));
    end();
}

TEST(wal_replay, side_entries_under_an_unknown_end_stay_filled)
{
    begin();
    lab.commit = 1;
    entries(1, 3, 1, 0);
    entry(LOST, 4, 1, 1);
    fill(2, 1);
    fill(4, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 W1 U? W1");
    EXPECT(lab.replay.pending);
    end();
}

TEST(wal_replay, a_new_loss_makes_side_entries_unknown_again)
{
    begin();
    lab.commit = 1;
    entries(1, 3, 1, 0);
    entry(LOST, 4, 1, 1);
    fill(2, 1);
    entry(LOST, 5, 1, 1);
    wal_replay_end(&lab.replay);
    EXPECT_STR(content(), "W1 U? U?");
    end();
}

/* --- headers that can be written again --- */

TEST(wal_replay, a_header_known_by_identifier_and_neighbours_can_be_rewritten)
{
    begin();
    lab.commit = 1;
    entries(1, 2, 5, 0);
    entry(BY_IDENTIFIER, 3, 5, 5);
    uint64_t lsn = lab.lsn;
    entry(WHOLE, 4, 5, 5);
    wal_replay_end(&lab.replay);
    const struct wal_lost *lost = wal_replay_lost(&lab.replay, lsn);
    REQUIRE(lost != NULL);
    EXPECT_UINT(lost->sequence, 3);
    EXPECT_UINT(lost->before, 5);
    EXPECT_UINT(lost->commit, 1);
    EXPECT(wal_replay_lost(&lab.replay, lsn + 8) == NULL);
    end();
}

TEST(wal_replay, a_header_behind_a_loss_or_in_a_frame_can_not)
{
    begin();
    entries(1, 2, 1, 0);
    entry(LOST, 3, 1, 1);
    entry(BY_IDENTIFIER, 4, 1, 1);
    EXPECT(wal_replay_lost(&lab.replay, lab.lsn) == NULL);
    entry(WHOLE, 5, 1, 1);
    begin_record(WHOLE, 4, 2, 1);
    entry(BY_IDENTIFIER, 4, 2, 1);
    EXPECT(wal_replay_lost(&lab.replay, lab.lsn) == NULL);
    wal_replay_end(&lab.replay);
    end();
}
