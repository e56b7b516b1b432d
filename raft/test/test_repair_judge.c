/* SPDX-License-Identifier: Apache-2.0 */
/* Every clause of C1-C5 as an execution: what the nodes hold, what the rules
 * make of it, and that each weaker form of the clause makes something else of
 * it. Node 0 repairs; the story says what was committed. */
#include "raft/test/repair_weakened.h"

#include "raft/test/repair_stories.h"
#include "testkit/test.h"

struct scenario {
    const char *name;
    size_t nodes;
    void (*run)(struct lab *lab);
    const char *want;
    enum repair_weakness weak[5]; /* with any of these the outcome differs */
    size_t weak_count;
};

/* ---- C3: identity lost ---- */

static void next_known_entry_pins(struct lab *lab)
{
    lab_log(lab, 0, "1 ? ? 2");
    lab_log(lab, 1, "1 1 2 2");
    lab_down(lab, 2);
    lab_run(lab);
}

static void without_the_next_known_entry(struct lab *lab)
{
    lab_log(lab, 0, "1 ? 4");
    lab_log(lab, 1, "1 3");
    lab_down(lab, 2);
    lab_run(lab);
}

/* The pinned entry is damaged where its identity is told, whole elsewhere. */
static void pinned_by_one_given_by_another(struct lab *lab)
{
    lab_log(lab, 0, "1 ? 2");
    lab_log(lab, 1, "1 1! 2");
    lab_log(lab, 2, "1 1");
    lab_idle(lab, 1);
    lab_run(lab);
}

/* Five voters. We committed 2:1 and 3:3 with nodes 3 and 4, which are down;
 * nodes 1 and 2 have 2:2 of a leader that failed. */
static void two_hold_a_wrong_entry(struct lab *lab)
{
    lab_log(lab, 0, "1 ? 3");
    lab_log(lab, 1, "1 2");
    lab_log(lab, 2, "1 2");
    lab_down(lab, 3);
    lab_down(lab, 4);
    lab_run(lab);
}

static void term_at_least_ours(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1 2 2");
    lab_down(lab, 2);
    lab_run(lab);
}

/* The entry that we take is of a term that we have not heard of yet: no log may
 * hold a term above the stored one. */
static void term_above_ours(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1 4");
    lab_down(lab, 2);
    lab_run(lab);
}

/* An earlier start of this repair stored term 3 and then crashed: we have voted
 * and acknowledged in term 2 at most. */
static void term_is_that_of_the_begin(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 3;
    lab->nodes[0].term_began = 2;
    lab_log(lab, 1, "1 2");
    lab_down(lab, 2);
    lab_run(lab);
}

/* What we lost can have been 2:3. */
static void term_below_ours(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 1");
    lab_down(lab, 2);
    lab_run(lab);
}

static void term_at_least_ours_but_not_the_next(struct lab *lab)
{
    lab_log(lab, 0, "1 ? 2");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 3");
    lab_down(lab, 2);
    lab_run(lab);
}

static void leader_replaces_from_where_we_part(struct lab *lab)
{
    lab_log(lab, 0, "1 2 ?");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 3 3 4");
    lab_log(lab, 2, "1 3 3 4");
    lab_lead(lab, 1, 4, "2");
    lab_run(lab);
}

/* Entries of ours after the hole go as well: one slot alone would make terms fall. */
static void leader_replaces_what_is_after(struct lab *lab)
{
    lab_log(lab, 0, "1 ? 2 2");
    lab_log(lab, 1, "1 3 3 4");
    lab_log(lab, 2, "1 3 3 4");
    lab_lead(lab, 1, 4, "2");
    lab_run(lab);
}

/* 2:1 is committed with us: dropping all after a hole would lose it. */
static void leader_keeps_what_was_acknowledged(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1 1 3");
    lab_log(lab, 2, "1 1");
    lab_lead(lab, 1, 3, "2");
    lab_run(lab);
}

static void most_up_to_date_decides(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1 1");
    lab_run(lab);
}

/* Node 1's log is the most up-to-date one, but what stands at 2 in it can't be
 * compared. (3 is a membership change, so that its hole hides no later one.) */
static void compared_slot_is_unknown(struct lab *lab)
{
    lab_log(lab, 0, "1 2 ?");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 ? 3");
    lab->nodes[1].term = 3;
    lab_knows(lab, 1, lab_configuration(3, "012", ""));
    lab_idle(lab, 1);
    lab_log(lab, 2, "1");
    lab->nodes[1].log[3].value = lab_value(3, 3);
    lab->nodes[0].term = 4;
    lab_run(lab);
}

static void unknown_end_is_not_the_most_up_to_date(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1 1 ...");
    lab_idle(lab, 1);
    lab_log(lab, 2, "1");
    lab_run(lab);
}

static void unknown_end_goes_on_with_the_leader(struct lab *lab)
{
    lab_log(lab, 0, "1 1 ...");
    lab_log(lab, 1, "1 1 1 2");
    lab_log(lab, 2, "1 1 1 2");
    lab_lead(lab, 1, 2, "2");
    lab_run(lab);
}

static void unknown_end_was_the_end(struct lab *lab)
{
    lab_log(lab, 0, "1 1 ...");
    lab_log(lab, 1, "1 1");
    lab_log(lab, 2, "1");
    lab_run(lab);
}

/* A peer that is behind has 3:2 of our term: that is no proof that our log
 * ended there. */
static void unknown_end_needs_more_than_a_peer(struct lab *lab)
{
    lab_log(lab, 0, "1 1 ...");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1 1 2");
    lab_down(lab, 2);
    lab_run(lab);
}

/* ---- C5: compacted away ---- */

static void set_snapshot_of(struct lab *lab, size_t number, uint64_t index, uint64_t term)
{
    struct lab_node *n = &lab->nodes[number];
    n->snapshot_index = index;
    n->snapshot_term = term;
    n->cut_term = n->first == index + 1 ? term : 0;
}

static void snapshot_keeps_later(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 1 1 2");
    for (size_t i = 1; i < 3; i++) {
        lab_log_from(lab, i, 4, "1");
        set_snapshot_of(lab, i, 3, 1);
    }
    lab_run(lab);
}

static void snapshot_contradicts(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 2 2");
    for (size_t i = 1; i < 3; i++) {
        lab_log_from(lab, i, 4, "3");
        set_snapshot_of(lab, i, 3, 3);
    }
    lab_run(lab);
}

static void snapshot_fills_a_hole_at_its_index(struct lab *lab)
{
    lab_log(lab, 0, "1 1 1! 1");
    for (size_t i = 1; i < 3; i++) {
        lab_log_from(lab, i, 4, "1");
        set_snapshot_of(lab, i, 3, 1);
    }
    lab_run(lab);
}

/* 2:1 is in node 1's checkpoint and cut from its log; node 2 never had it. */
static void cut_away_is_not_never_had(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log_from(lab, 1, 3, "");
    lab->nodes[1].term = 1;
    set_snapshot_of(lab, 1, 2, 1);
    lab_log(lab, 2, "1");
    lab_run(lab);
}

static void no_checkpoint_under_the_log(struct lab *lab)
{
    lab_log_from(lab, 0, 4, "1 1! 1");
    lab->nodes[0].cut_term = 1;
    lab_log(lab, 1, "1 1 1 1 1");
    set_snapshot_of(lab, 1, 4, 1);
    lab_down(lab, 2);
    lab_run(lab);
}

static void unknown_end_survives_a_snapshot(struct lab *lab)
{
    lab_log(lab, 0, "1 1 ...");
    lab_log_from(lab, 1, 5, "");
    lab->nodes[1].term = 1;
    set_snapshot_of(lab, 1, 4, 1);
    lab_down(lab, 2);
    lab_run(lab);
}

#define NONE {0}, 0

static const struct scenario scenarios[] = {
    {"fill_by_identity", 3, fill_by_identity, "1 1, done, terms 1 2 1", NONE},
    {"another_term_is_no_fill",
     3,
     another_term_is_no_fill,
     "1 1! 2, waits, terms 2 3 0",
     {WEAK_C1_TERM},
     1},
    {"refuse_a_flipped_entry",
     3,
     refuse_a_flipped_entry,
     "1 1!, waits, terms 1 2 2",
     {WEAK_CRC},
     1},
    {"refuse_another_entry",
     3,
     refuse_another_entry,
     "1 1!, waits, terms 1 2 2",
     {WEAK_IDENTITY},
     1},
    {"leader_has_another_term",
     3,
     leader_has_another_term,
     "1, done, terms 3 2 2",
     {WEAK_DROP_TERM},
     1},
    {"leader_has_nothing", 3, leader_has_nothing, "1, done, terms 2 1 1", {WEAK_DROP_TERM}, 1},
    {"old_leader_decides_nothing",
     3,
     old_leader_decides_nothing,
     "1 2!, waits, terms 2 3 2",
     {WEAK_C21_TERM},
     1},
    {"old_leader_decides_nothing_unknown",
     3,
     old_leader_decides_nothing_unknown,
     "1 ?, waits, terms 2 3 0",
     {WEAK_C21_TERM},
     1},
    {"answer_to_an_older_question",
     3,
     answer_to_an_older_question,
     "1 1!, waits, terms 1 1 2",
     {WEAK_QUESTION},
     1},
    {"leader_of_a_lower_term_gives_way",
     3,
     leader_of_a_lower_term_gives_way,
     "1 2, done, terms 5 4 4",
     {WEAK_C21_TERM},
     1},
    {"later_term_proves",
     3,
     later_term_proves,
     "1, done, terms 6 2 0",
     {WEAK_DROP_TERM, WEAK_DROP_OWN},
     2},
    {"later_term_below_our_last",
     3,
     later_term_below_our_last,
     "1 2! 4, waits, terms 4 5 0",
     {WEAK_C22_HOLE},
     1},
    {"later_term_with_unknown_tail",
     3,
     later_term_with_unknown_tail,
     "1 2! ?, waits, terms 4 5 0",
     {WEAK_C22_UNKNOWN, WEAK_C22_HOLE},
     1},
    {"voters_never_had_it",
     3,
     voters_never_had_it,
     "1, done, terms 3 2 2",
     {WEAK_C23_TERM, WEAK_DROP_TERM},
     2},
    {"one_voter_is_silent",
     3,
     one_voter_is_silent,
     "1 1!, waits, terms 1 2 2",
     {WEAK_C23_SILENT, WEAK_C23_COUNT},
     2},
    {"one_voter_has_it_damaged",
     3,
     one_voter_has_it_damaged,
     "1 1!, waits, terms 2 2 2",
     {WEAK_C23_DAMAGED, WEAK_ANSWER_DAMAGED},
     2},
    {"one_voter_lost_the_identity",
     3,
     one_voter_lost_the_identity,
     "1 1!, waits, terms 1 2 2",
     {WEAK_C23_UNKNOWN},
     1},
    {"one_voter_lost_its_end",
     3,
     one_voter_lost_its_end,
     "1 1!, waits, terms 1 2 2",
     {WEAK_ANSWER_END},
     1},
    {"standby_does_not_count",
     4,
     standby_does_not_count,
     "1 1!, waits, terms 1 2 0 2",
     {WEAK_C23_SPARE},
     1},
    {"our_term_with_unknown_tail",
     3,
     our_term_with_unknown_tail,
     "1 1! ?, waits, terms 3 4 4",
     {WEAK_C23_TAIL},
     1},
    {"half_of_four_is_not_enough",
     4,
     half_of_four_is_not_enough,
     "1 1!, waits, terms 1 2 2 0",
     {WEAK_C23_EVEN},
     1},
    {"one_other_of_two_is_enough", 2, one_other_of_two_is_enough, "1, done, terms 3 2", NONE},
    {"every_configuration_counts",
     3,
     every_configuration_counts,
     "1 1! 1, waits, terms 1 2 0",
     {WEAK_C23_CONFIGS},
     1},
    {"lost_entry_can_be_a_change",
     2,
     lost_entry_can_be_a_change,
     "1 1!, waits, terms 1 2",
     {WEAK_C23_HIDDEN},
     1},
    {"unknown_entry_can_be_a_change",
     2,
     unknown_entry_can_be_a_change,
     "1 ?, waits, terms 1 2",
     {WEAK_C23_HIDDEN},
     1},
    {"later_configuration_is_named",
     5,
     later_configuration_is_named,
     "1 ? ?, waits, terms 2 3 3 0 0",
     {WEAK_C23_HIDDEN},
     1},
    {"next_known_entry_pins", 3, next_known_entry_pins, "1 1 2 2, done, terms 2 2 0", NONE},
    {"without_the_next_known_entry",
     3,
     without_the_next_known_entry,
     "1 ? 4, waits, terms 4 5 0",
     {WEAK_PIN},
     1},
    {"pinned_by_one_given_by_another", 3, pinned_by_one_given_by_another,
     "1 1 2, done, terms 2 2 1", NONE},
    {"two_hold_a_wrong_entry",
     5,
     two_hold_a_wrong_entry,
     "1 ? 3, waits, terms 3 4 4 0 0",
     {WEAK_C3_TWO, WEAK_C3_HIGHEST},
     2},
    {"term_at_least_ours", 3, term_at_least_ours, "1 2, done, terms 2 2 0", NONE},
    {"term_above_ours", 3, term_above_ours, "1 4, done, terms 4 4 0", NONE},
    {"term_is_that_of_the_begin",
     3,
     term_is_that_of_the_begin,
     "1 2, done, terms 3 2 0",
     {WEAK_BEGAN},
     1},
    {"term_below_ours", 3, term_below_ours, "1 ?, waits, terms 3 4 0", {WEAK_TOP_TERM}, 1},
    {"term_at_least_ours_but_not_the_next",
     3,
     term_at_least_ours_but_not_the_next,
     "1 ? 2, waits, terms 3 4 0",
     {WEAK_TOP_NEXT},
     1},
    {"leader_replaces_from_where_we_part",
     3,
     leader_replaces_from_where_we_part,
     "1 3 3 4, done, terms 5 4 4",
     {WEAK_C3_BELOW, WEAK_TOP_BELOW},
     2},
    {"leader_replaces_what_is_after",
     3,
     leader_replaces_what_is_after,
     "1 3 3 4, done, terms 5 4 4",
     {WEAK_C3_SLOT},
     1},
    {"leader_keeps_what_was_acknowledged",
     3,
     leader_keeps_what_was_acknowledged,
     "1 1 3, done, terms 4 3 3",
     {WEAK_C3_AFTER},
     1},
    {"most_up_to_date_decides",
     3,
     most_up_to_date_decides,
     "1 1, done, terms 4 3 3",
     {WEAK_C3_BEST},
     1},
    {"compared_slot_is_unknown",
     3,
     compared_slot_is_unknown,
     "1 2 ?, waits, terms 4 5 5",
     {WEAK_C3_COMPARE},
     1},
    {"unknown_end_is_not_the_most_up_to_date",
     3,
     unknown_end_is_not_the_most_up_to_date,
     "1 ?, waits, terms 2 3 3",
     {WEAK_C3_END},
     1},
    {"unknown_end_goes_on_with_the_leader", 3, unknown_end_goes_on_with_the_leader,
     "1 1 1 2, done, terms 3 2 2", NONE},
    {"unknown_end_was_the_end", 3, unknown_end_was_the_end, "1 1, done, terms 3 2 2", NONE},
    {"unknown_end_needs_more_than_a_peer", 3, unknown_end_needs_more_than_a_peer,
     "1 1 ..., waits, terms 2 3 0", NONE},
    {"snapshot_keeps_later", 3, snapshot_keeps_later, "1 2, done, terms 2 1 1", {WEAK_C5_LATER}, 1},
    {"snapshot_contradicts", 3, snapshot_contradicts, ", done, terms 3 3 3", {WEAK_C5_IDENTITY}, 1},
    {"snapshot_fills_a_hole_at_its_index",
     3,
     snapshot_fills_a_hole_at_its_index,
     "1, done, terms 1 1 1",
     {WEAK_C5_LATER},
     1},
    {"cut_away_is_not_never_had",
     3,
     cut_away_is_not_never_had,
     ", done, terms 1 1 1",
     {WEAK_ANSWER_CUT},
     1},
    {"no_checkpoint_under_the_log", 3, no_checkpoint_under_the_log, "1 1, done, terms 1 1 0", NONE},
    {"unknown_end_survives_a_snapshot",
     3,
     unknown_end_survives_a_snapshot,
     " ..., waits, terms 1 2 0",
     {WEAK_C5_LATER},
     1},
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* The caller's. */
static char *play(const struct scenario *s, enum repair_weakness weakness)
{
    repair_weakness = weakness;
    struct lab *lab = lab_open(s->nodes);
    s->run(lab);
    char *outcome = lab_outcome(lab);
    lab_close(lab);
    repair_weakness = WEAK_COUNT;
    return outcome;
}

TEST(repair_judge, each_rule_decides_as_its_story_says)
{
    for (size_t i = 0; i < SCENARIOS; i++) {
        char *outcome = play(&scenarios[i], WEAK_COUNT);
        test_str(outcome, scenarios[i].want, scenarios[i].name, TEST_HERE(false));
        mem_free(outcome);
    }
}

TEST(repair_judge, each_weaker_form_fails_a_story)
{
    bool shown[WEAK_COUNT] = {false};
    for (size_t i = 0; i < SCENARIOS; i++) {
        const struct scenario *s = &scenarios[i];
        for (size_t k = 0; k < s->weak_count; k++) {
            char *outcome = play(s, s->weak[k]);
            char *text = mem_format("%s with %s differs from %s", s->name,
                                    repair_weak_names[s->weak[k]], outcome);
            test_true(strcmp(outcome, s->want) != 0, text, TEST_HERE(false));
            shown[s->weak[k]] = true;
            mem_free(text);
            mem_free(outcome);
        }
    }
    for (size_t i = 0; i < WEAK_COUNT; i++) {
        test_true(shown[i], repair_weak_names[i], TEST_HERE(false));
    }
}

/* ---- verdicts looked at directly ---- */

/* Node 1 lost what followed 1:1; node 2 leads term 3. */
struct direct {
    struct slot_runs own;
    struct repair_said said;
    struct judge_peer peer;
    struct judge judge;
};

static void open_direct(struct direct *d, uint64_t last)
{
    *d = (struct direct){
        .said = {
            .question = 1, .term = 3, .leader = 2, .leader_term = 3, .first = 1, .last = last}};
    slot_runs_add(&d->own, (struct slot_run){1, 1, {.kind = SLOT_WHOLE, .term = 1}});
    slot_runs_add(&d->own, (struct slot_run){2, 1, {.kind = SLOT_UNKNOWN}});
    slot_runs_add(&d->said.runs, (struct slot_run){1, last, {.kind = SLOT_WHOLE, .term = 1}});
    d->peer = (struct judge_peer){.id = 2, .said = &d->said, .source = true};
    d->judge = (struct judge){
        .id = 1, .term_began = 2, .last = 2, .own = &d->own, .peers = &d->peer, .peer_count = 1};
}

static void close_direct(struct direct *d)
{
    slot_runs_deinit(&d->own);
    repair_said_deinit(&d->said);
}

TEST(repair_judge, a_deciding_log_is_taken_to_its_end)
{
    struct direct d;
    struct verdict v;
    open_direct(&d, 5000);
    REQUIRE(judge_rest(&d.judge, &v));
    EXPECT(v.kind == VERDICT_REPLACE);
    EXPECT_UINT(v.index, 2);
    EXPECT_UINT(v.term, 3);
    REQUIRE_UINT(v.targets.count, 1);
    EXPECT_UINT(v.targets.items[0].first, 2);
    EXPECT_UINT(v.targets.items[0].count, 4999);
    verdict_deinit(&v);
    close_direct(&d);
}

/* A log that is too long for memory, or said to be, is not walked: a snapshot
 * of its owner stands for most of it. */
TEST(repair_judge, a_deciding_log_that_is_too_long_waits_for_a_snapshot)
{
    struct direct d;
    struct verdict v;
    open_direct(&d, UINT64_C(1) << 60);
    EXPECT(!judge_rest(&d.judge, &v));
    d.said.snapshot_index = 100;
    d.said.snapshot_term = 1;
    REQUIRE(judge_rest(&d.judge, &v));
    EXPECT(v.kind == VERDICT_SNAPSHOT);
    EXPECT_UINT(v.index, 100);
    verdict_deinit(&v);
    close_direct(&d);
    open_direct(&d, 5000);
    d.judge.replace_too_long = true; /* its entries were too large */
    EXPECT(!judge_rest(&d.judge, &v));
    close_direct(&d);
}

/* Five entries of one term are damaged; the leader lacks the last two. */
TEST(repair_judge, each_entry_of_a_run_of_holes_is_judged)
{
    struct direct d;
    struct verdict v;
    open_direct(&d, 3);
    slot_runs_reset(&d.own);
    slot_runs_add(&d.own, (struct slot_run){1, 5, {.kind = SLOT_DAMAGED, .term = 1}});
    d.judge.last = 5;
    d.peer.source = false; /* it can't be asked for entries */
    REQUIRE(judge_rest(&d.judge, &v));
    EXPECT(v.kind == VERDICT_DROP);
    EXPECT_UINT(v.index, 4);
    EXPECT_STR(v.rule, "C2.1");
    verdict_deinit(&v);
    d.peer.source = true;
    REQUIRE(judge_fill(&d.judge, &v));
    EXPECT_UINT(v.targets.items[0].count, 3);
    EXPECT_STR(v.rule, "C1");
    verdict_deinit(&v);
    close_direct(&d);
}

TEST(repair_judge, our_term_is_the_stored_one_where_identities_are_lost)
{
    struct direct d;
    open_direct(&d, 3);
    EXPECT_UINT(judge_our_term(&d.judge, 2), 2);
    EXPECT_UINT(judge_first_hole(&d.judge), 2);
    EXPECT(!judge_leader_is_behind(&d.judge));
    d.judge.term_began = 4;
    EXPECT(judge_leader_is_behind(&d.judge));
    slot_runs_reset(&d.own);
    slot_runs_add(&d.own, (struct slot_run){1, 2, {.kind = SLOT_DAMAGED, .term = 1}});
    EXPECT_UINT(judge_our_term(&d.judge, 2), 1);
    d.judge.end_unknown = true;
    EXPECT_UINT(judge_our_term(&d.judge, 2), 4);
    slot_runs_reset(&d.own);
    slot_runs_add(&d.own, (struct slot_run){1, 2, {.kind = SLOT_WHOLE, .term = 1}});
    EXPECT_UINT(judge_first_hole(&d.judge), 3);
    d.judge.end_unknown = false;
    EXPECT_UINT(judge_first_hole(&d.judge), 0);
    close_direct(&d);
}
