/* SPDX-License-Identifier: Apache-2.0 */
/* A repair from its start to its end: questions and answers, what is moved, what
 * is said, crashes at every step. The rules themselves: test_repair_judge.c. */
#include "raft/repair.h"
#include "raft/repair_wire.h"
#include "raft/test/repair_lab.h"
#include "testkit/test.h"

/* The node's log is this. */
#define EXPECT_LOG(lab, number, text) expect_log((lab), (number), (text), TEST_HERE(false))

static void expect_log(const struct lab *lab, size_t number, const char *want,
                       struct test_place place)
{
    char *text = lab_text(lab, number);
    test_str(text, want, "log", place);
    mem_free(text);
}

/* ---- filling ---- */

TEST(repair, a_damaged_entry_is_filled_from_whoever_has_it_whole)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1! 2");
    lab_log(lab, 1, "1 1! 2");
    lab_log(lab, 2, "1 1 2");
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_LOG(lab, 0, "1 1 2");
    EXPECT_LOG(lab, 1, "1 1 2");
    EXPECT_UINT(lab->nodes[0].term, 2); /* nobody had to promise anything */
    EXPECT_UINT(lab->nodes[2].term, 2);
    lab_close(lab);
}

TEST(repair, nodes_that_repair_at_once_help_each_other)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1! 1! 2 2");
    lab_log(lab, 1, "1! 1 1! 2! 2");
    lab_log(lab, 2, "1 1! 1 2! 2!");
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    for (size_t n = 0; n < 3; n++) {
        EXPECT_LOG(lab, n, "1 1 1 2 2");
    }
    lab_close(lab);
}

/* More holes than one question or one step takes. */
TEST(repair, many_holes_take_many_steps)
{
    enum { COUNT = 4000 };
    struct lab *lab = lab_open_long(2, COUNT);
    for (size_t n = 0; n < 2; n++) {
        for (uint64_t i = 1; i <= COUNT; i++) {
            lab_put(&lab->nodes[n], i, 1 + i / 1000);
        }
        lab->nodes[n].last = COUNT;
        lab->nodes[n].term = 5;
    }
    for (uint64_t i = 2; i < COUNT; i++) {
        if (i % 2 == 0 || i > COUNT / 2) {
            lab_damage(&lab->nodes[0], i);
        }
    }
    lab_start(lab, &lab->nodes[1]);
    lab_start(lab, &lab->nodes[0]);
    EXPECT_UINT(repair_status(lab->nodes[0].repair).holes, COUNT / 4 + COUNT / 4 - 1 + COUNT / 4);
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    bool right = true;
    for (uint64_t i = 1; i <= COUNT; i++) {
        right = right && lab->nodes[0].log[i].value == lab_value(i, 1 + i / 1000);
    }
    EXPECT(right);
    lab_close(lab);
}

/* Bytes moved to fill 'holes' damaged entries of 1 KB out of 30,000. */
static uint64_t bytes_for(uint64_t holes)
{
    enum { COUNT = 30000 };
    struct lab *lab = lab_open_long(3, COUNT);
    lab->entry_size = 1024;
    for (size_t n = 0; n < 3; n++) {
        for (uint64_t i = 1; i <= COUNT; i++) {
            lab_put(&lab->nodes[n], i, 1 + i / 10000);
        }
        lab->nodes[n].last = COUNT;
        lab->nodes[n].term = 4;
    }
    for (uint64_t i = 0; i < holes; i++) {
        lab_damage(&lab->nodes[0], 1 + i * (COUNT / holes));
    }
    lab_run(lab);
    bool done = lab_is_done(lab);
    uint64_t moved = lab->bytes_moved;
    lab_close(lab);
    return done ? moved : UINT64_MAX;
}

TEST(repair, moves_little_more_than_what_was_lost)
{
    EXPECT(bytes_for(1) <= 16 * (uint64_t)LIMIT_KIB);
    EXPECT(bytes_for(1) <= 1024 + 1024);
    EXPECT(bytes_for(10) <= 10 * (uint64_t)(1024 + 4 * LIMIT_KIB));
    EXPECT(bytes_for(100) <= 100 * (uint64_t)(1024 + 4 * LIMIT_KIB));
}

TEST(repair, an_answerer_reads_from_disk_first)
{
    struct lab *lab = lab_open(2);
    lab_log(lab, 0, "1 1! 1! 2");
    lab_log(lab, 1, "1 1 1 2");
    lab->nodes[1].cold_until = 4;
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_UINT(lab->nodes[1].reads, 1);
    EXPECT_LOG(lab, 0, "1 1 1 2");
    lab_close(lab);
}

/* ---- waiting ---- */

TEST(repair, says_once_for_which_entries_and_nodes_it_waits)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1! 1");
    lab_log(lab, 1, "1 1! 1");
    lab_idle(lab, 1);
    lab_down(lab, 2);
    lab_run(lab);
    EXPECT(!lab_is_done(lab));
    EXPECT_STR(lab->nodes[0].waits,
               "waits for entry 2 (term 1): damaged at node 0000000000000002 (n2@host:1), "
               "no answer from node 0000000000000003 (n3@host:1)");
    EXPECT_UINT(lab->nodes[0].waits_said, 2); /* before the first answer, and after */
    EXPECT_UINT(repair_status(lab->nodes[0].repair).index_waiting, 2);
    lab_close(lab);
}

/* Who comes back is asked at once. */
TEST(repair, asks_again_when_a_node_comes_back)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1! 1");
    lab_log(lab, 1, "1 1! 1");
    lab_idle(lab, 1);
    lab_log(lab, 2, "1 1 1");
    lab_down(lab, 2);
    lab_run(lab);
    EXPECT(!lab_is_done(lab));
    lab_start(lab, &lab->nodes[2]);
    lab_tell_peers(lab, &lab->nodes[0]);
    lab_deliver_all(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_LOG(lab, 0, "1 1 1");
    lab_close(lab);
}

/* What a node that was asked can tell may change without a word: ask again. */
TEST(repair, asks_again_at_the_interval)
{
    struct lab *lab = lab_open(2);
    lab_log(lab, 0, "1 1! 1");
    lab_log(lab, 1, "1 1! 1");
    lab_idle(lab, 1);
    lab_run(lab);
    EXPECT(!lab_is_done(lab));
    uint64_t due = repair_deadline_ms(lab->nodes[0].repair);
    EXPECT(due > lab->now_ms);
    EXPECT(due <= lab->now_ms + 16 * (uint64_t)LAB_INTERVAL_MS); /* it is in no hurry by now */
    lab_put(&lab->nodes[1], 2, 1);
    lab->now_ms = due - LAB_INTERVAL_MS;
    lab_tick(lab);
    EXPECT(lab_is_done(lab));
    lab_close(lab);
}

TEST(repair, works_without_any_peer_until_one_comes)
{
    struct lab *lab = lab_open(2);
    lab_log(lab, 0, "1!");
    lab_log(lab, 1, "1");
    lab_down(lab, 1);
    lab_run(lab);
    EXPECT_STR(lab->nodes[0].waits,
               "waits for entry 1 (term 1): no answer from node 0000000000000002 (n2@host:1)");
    EXPECT_UINT(lab->bytes_moved, 0);
    lab_start(lab, &lab->nodes[1]);
    lab_tell_peers(lab, &lab->nodes[0]);
    lab_deliver_all(lab);
    EXPECT(lab_is_done(lab));
    lab_close(lab);
}

/* Node 1 has the entry whole but never gives it; node 2 does. */
static void drop_entries_of_node_1(struct lab *lab, struct buf *answer)
{
    struct repair_said said;
    REQUIRE_OK(repair_said_decode(buf_bytes(answer), &said, NULL));
    if (said.entry_count > 0 && lab->reads_left > 0) {
        lab->reads_left--;
        for (size_t i = 0; i < said.entry_count; i++) {
            entry_unref(said.entries[i]);
        }
        said.entry_count = 0;
        buf_reset(answer);
        repair_said_encode(&said, answer);
    }
    repair_said_deinit(&said);
}

TEST(repair, who_does_not_give_what_it_said_is_passed_over)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1 1");
    lab_log(lab, 2, "1 1");
    lab->tamper = drop_entries_of_node_1;
    lab->reads_left = 1;
    lab_run_for(lab, 0);
    EXPECT_UINT(lab->reads_left, 0);
    EXPECT(lab_is_done(lab));
    lab_close(lab);
}

TEST(repair, a_source_that_is_silent_is_passed_over)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1 1");
    lab_log(lab, 2, "1 1");
    lab_idle(lab, 1);
    lab_idle(lab, 2);
    lab_start(lab, &lab->nodes[0]);
    lab_deliver(lab, 0); /* the first question; its answer goes to the end */
    lab_deliver(lab, 1); /* and comes: the entry is asked from node 1 */
    lab->cut[1][0] = true;
    lab_deliver_all(lab);
    for (unsigned i = 0; i < 9; i++) {
        lab_tick(lab); /* much may have to be read and sent */
        EXPECT(!lab_is_done(lab));
    }
    lab_tick(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_LOG(lab, 0, "1 1");
    lab_close(lab);
}

/* A link so slow that an answer takes longer than the first patience: it is
 * given more time, so that it comes through in the end. */
TEST(repair, a_slow_source_is_given_more_time)
{
    struct lab *lab = lab_open(2);
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1 1");
    lab_run_for(lab, 0);
    EXPECT(lab_is_done(lab));
    lab_damage(&lab->nodes[0], 2);
    lab->slow_ticks = 15;
    lab_start(lab, &lab->nodes[0]);
    for (unsigned i = 0; i < 80 && !lab_is_done(lab); i++) {
        lab_tick(lab);
    }
    EXPECT(lab_is_done(lab));
    lab_close(lab);
}

/* A slot that was whole when the repair began is found bad. */
TEST(repair, looks_again_when_a_slot_goes_bad)
{
    struct lab *lab = lab_open(2);
    lab_log(lab, 0, "1 1! 1");
    lab_log(lab, 1, "1 1! 1");
    lab_idle(lab, 1);
    lab_run(lab);
    EXPECT_UINT(repair_status(lab->nodes[0].repair).holes, 1);
    lab_damage(&lab->nodes[0], 3);
    lab_step(lab, &lab->nodes[0], (struct repair_event){.type = REPAIR_RESCAN});
    EXPECT_UINT(repair_status(lab->nodes[0].repair).holes, 2);
    lab->now_ms = repair_deadline_ms(lab->nodes[0].repair);
    lab_tick(lab);
    EXPECT_UINT(repair_status(lab->nodes[0].repair).holes, 1);
    EXPECT_UINT(repair_status(lab->nodes[0].repair).filled, 1);
    lab_close(lab);
}

/* ---- bad input ---- */

TEST(repair, a_message_that_cannot_be_decoded_has_no_effect)
{
    struct lab *lab = lab_open(2);
    struct lab_node *n = &lab->nodes[0];
    lab_log(lab, 0, "1!");
    lab_down(lab, 1);
    lab_run(lab);
    uint8_t garbage[] = {0xff, 0x01, 0x02};
    struct repair_event event = {
        .type = REPAIR_MESSAGE, .id = 2, .message = {garbage, sizeof garbage}};
    struct repair_actions actions = {0};
    struct err e;
    EXPECT_ERR(repair_step(n->repair, &event, &actions, &e), ERR_CORRUPT);
    EXPECT_UINT(actions.count, 0);
    repair_actions_deinit(&actions);
    lab_close(lab);
}

TEST(repair, an_answer_that_nobody_asked_for_has_no_effect)
{
    struct lab *lab = lab_open(2);
    struct lab_node *n = &lab->nodes[0];
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1 1!");
    lab_idle(lab, 1);
    lab_run(lab);
    struct repair_said said = {
        .question = 12345, .term = 9, .leader = 2, .leader_term = 9, .first = 1, .last = 1};
    struct buf message = {0};
    repair_said_encode(&said, &message);
    struct repair_event event = {.type = REPAIR_MESSAGE, .id = 2, .message = buf_bytes(&message)};
    struct repair_actions actions = {0};
    struct err e;
    EXPECT_OK(repair_step(n->repair, &event, &actions, &e));
    event.id = 77; /* not even a peer */
    EXPECT_OK(repair_step(n->repair, &event, &actions, &e));
    EXPECT_UINT(actions.count, 0);
    buf_deinit(&message);
    repair_actions_deinit(&actions);
    lab_close(lab);
}

/* ---- snapshots ---- */

static struct lab *open_with_snapshot(void)
{
    struct lab *lab = lab_open(2);
    lab_log(lab, 0, "1 1! 1 1");
    lab_log_from(lab, 1, 4, "1");
    lab->nodes[1].snapshot_index = 3;
    lab->nodes[1].snapshot_term = 1;
    lab->nodes[1].cut_term = 1;
    return lab;
}

TEST(repair, a_snapshot_that_cannot_be_fetched_is_asked_for_again)
{
    struct lab *lab = open_with_snapshot();
    lab->installs_to_fail = 2;
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_UINT(lab->installs_to_fail, 0);
    EXPECT_UINT(lab->nodes[0].snapshot_index, 3);
    EXPECT_LOG(lab, 0, "1");
    lab_close(lab);
}

/* Node 0 has a checkpoint at 4, and a log of which nothing is known after 2. */
static struct lab *open_with_gap(const char *others)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1 ...");
    lab_log(lab, 1, others);
    lab_log(lab, 2, others);
    for (size_t n = 0; n < 3; n++) {
        lab->nodes[n].snapshot_index = 4;
        lab->nodes[n].snapshot_term = 1;
        lab->nodes[n].term = 2;
    }
    return lab;
}

/* A log has no gaps: what is in the checkpoint is put into it again. */
TEST(repair, a_log_that_ends_below_the_checkpoint_is_continued_from_its_end)
{
    static const char *const others[] = {"1 1 1 1", "1 1 1 1 2 2"};
    for (size_t i = 0; i < 2; i++) {
        struct lab *lab = open_with_gap(others[i]);
        lab_run(lab);
        EXPECT(lab_is_done(lab));
        EXPECT_LOG(lab, 0, others[i]);
        lab_close(lab);
    }
}

TEST(repair, where_that_is_cut_away_a_later_checkpoint_is_taken)
{
    struct lab *lab = open_with_gap("1 1 1 1 2 2");
    for (size_t n = 1; n < 3; n++) {
        lab_log_from(lab, n, 5, "2 2");
        lab->nodes[n].cut_term = 1;
    }
    lab_run(lab);
    EXPECT(!lab_is_done(lab)); /* the others have no later one yet */
    EXPECT_LOG(lab, 0, "1 1 ...");
    lab->nodes[1].snapshot_index = 5;
    lab->nodes[1].snapshot_term = 2;
    lab_run_for(lab, 40);
    EXPECT(lab_is_done(lab));
    EXPECT_UINT(lab->nodes[0].snapshot_index, 5);
    EXPECT_LOG(lab, 0, "2");
    lab_close(lab);
}

/* ---- membership ---- */

/* The hole is the change that adds nodes 3 and 4; once it is filled, two of
 * five are not enough to drop the next one. */
TEST(repair, a_membership_entry_that_was_filled_counts)
{
    struct lab *lab = lab_open(5);
    lab_configure(lab, lab_configuration(0, "012", ""));
    lab_log(lab, 0, "1 1! 1!");
    lab_log(lab, 1, "1 1");
    lab_log(lab, 2, "1");
    lab_knows(lab, 1, lab_configuration(2, "01234", ""));
    lab_down(lab, 3);
    lab_down(lab, 4);
    lab_run(lab);
    EXPECT_LOG(lab, 0, "1 1 1!");
    EXPECT_CONTAINS(lab->nodes[0].waits, "no answer from node 0000000000000005");
    lab_close(lab);
}

/* Hard state knew the change before its entry was lost. */
TEST(repair, a_membership_entry_may_be_known_before_it_is_filled)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1! 1");
    lab_knows(lab, 0, lab_configuration(2, "012", ""));
    lab_log(lab, 1, "1 1 1");
    lab_knows(lab, 1, lab_configuration(2, "012", ""));
    lab_down(lab, 2);
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_LOG(lab, 0, "1 1 1");
    lab_close(lab);
}

/* ---- crashes ---- */

static void set_fill(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 1! 2 2");
    lab_log(lab, 1, "1! 1 1! 2! 2");
    lab_log(lab, 2, "1 1! 1 2! 2!");
}

static void set_replace(struct lab *lab)
{
    lab_log(lab, 0, "1 2 ? ?");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 3 3 4");
    lab_log(lab, 2, "1 3 3 4");
    lab_lead(lab, 1, 4, "2");
}

static void set_drop(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 2! 2");
    lab_log(lab, 1, "1 1");
    lab_log(lab, 2, "1");
}

static void set_snapshot(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 1 1! 1");
    lab_log_from(lab, 1, 4, "1 1");
    lab->nodes[1].snapshot_index = 3;
    lab->nodes[1].snapshot_term = 1;
    lab->nodes[1].cut_term = 1;
    lab_log(lab, 2, "1");
}

static void set_unknown_end(struct lab *lab)
{
    lab_log(lab, 0, "1 ? ...");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 1 2");
    lab_log(lab, 2, "1 1");
}

/* Crashes a node at its n-th change of the disk, before and after it, for every
 * n; returns how many there were. */
static unsigned crash_everywhere(void (*set_up)(struct lab *lab), const char *want)
{
    unsigned steps = 0;
    for (unsigned at = 0; at == 0 || at <= steps; at++) {
        for (unsigned after = 0; after < 2; after++) {
            struct lab *lab = lab_open(3);
            set_up(lab);
            lab->crash_at = at;
            lab->crash_after = after == 1;
            lab_run(lab);
            steps = at == 0 ? lab->steps : steps;
            EXPECT(lab_is_done(lab));
            EXPECT_LOG(lab, 0, want);
            EXPECT(at == 0 ||
                   lab->nodes[0].starts + lab->nodes[1].starts + lab->nodes[2].starts == 4);
            lab_close(lab);
        }
    }
    return steps;
}

TEST(repair, goes_on_after_a_crash_at_any_step)
{
    EXPECT(crash_everywhere(set_fill, "1 1 1 2 2") >= 3);
    EXPECT_UINT(crash_everywhere(set_replace, "1 3 3 4"), 2); /* term, replacement */
    EXPECT_UINT(crash_everywhere(set_drop, "1 1"), 3);        /* fill, term, drop */
    EXPECT(crash_everywhere(set_snapshot, "1 1") >= 2);
    EXPECT_UINT(crash_everywhere(set_unknown_end, "1 1 2"), 2);
}

/* A drop names terms 2 (promised) and 5 (our own): what we store is above both,
 * before the entry goes. */
TEST(repair, the_term_is_durable_before_the_drop)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1!");
    lab->nodes[0].term = 5;
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1");
    lab->crash_at = 2; /* the drop */
    lab_run_for(lab, 0);
    EXPECT_UINT(lab->nodes[0].term, 7); /* once before the crash, once after */
    EXPECT_LOG(lab, 0, "1");
    EXPECT_UINT(lab->nodes[1].term, 2);
    lab_close(lab);
}

TEST(repair, the_term_of_the_first_start_stays_the_bound)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 3;
    lab->nodes[0].term_began = 2; /* an earlier start got as far as storing term 3 */
    lab_log(lab, 1, "1 2");
    lab_down(lab, 2);
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_LOG(lab, 0, "1 2");
    lab_close(lab);
}

/* ---- what the caller asks before ---- */

TEST(repair, is_needed_for_holes_an_unknown_end_and_a_missing_checkpoint)
{
    struct lab *lab = lab_open(1);
    struct log_view view = lab_view(&lab->nodes[0]);
    lab_log(lab, 0, "1 1");
    EXPECT(!repair_is_needed(&view, 0));
    lab_log(lab, 0, "1 1!");
    EXPECT(repair_is_needed(&view, 0));
    EXPECT(!repair_is_needed(&view, 2)); /* the checkpoint holds it */
    lab_log(lab, 0, "1 ...");
    EXPECT(repair_is_needed(&view, 0));
    lab_log_from(lab, 0, 4, "1");
    EXPECT(repair_is_needed(&view, 2));
    EXPECT(!repair_is_needed(&view, 3));
    lab_log(lab, 0, "");
    EXPECT(!repair_is_needed(&view, 0));
    lab_close(lab);
}

TEST(repair, a_snapshot_keeps_what_follows_on_it)
{
    struct lab *lab = lab_open(1);
    struct log_view view = lab_view(&lab->nodes[0]);
    lab_log_from(lab, 0, 3, "1 1! ? 2");
    EXPECT(repair_keeps_later(&view, 1, 1)); /* below the cut */
    EXPECT(repair_keeps_later(&view, 3, 1));
    EXPECT(!repair_keeps_later(&view, 3, 2)); /* another identity */
    EXPECT(repair_keeps_later(&view, 4, 1));  /* damaged, the same identity */
    EXPECT(!repair_keeps_later(&view, 4, 2));
    EXPECT(repair_keeps_later(&view, 5, 7));  /* unknown */
    EXPECT(!repair_keeps_later(&view, 9, 2)); /* above the end */
    lab->nodes[0].end_unknown = true;
    EXPECT(repair_keeps_later(&view, 9, 2));
    lab_close(lab);
}

/* ---- hostile peers ---- */

static void say_anything(struct lab *lab, struct repair_said *said)
{
    struct random *r = &lab->random;
    said->term = random_below(r, 6);
    said->leader = random_chance(r, 1, 2) || said->term == 0 ? 0 : random_between(r, 2, 3);
    said->leader_term = said->leader == 0 ? 0 : random_between(r, 1, said->term);
    said->first = random_between(r, 1, 6);
    said->last = said->first - 1 + random_below(r, 8);
    said->end_unknown = random_chance(r, 1, 4);
    said->cut_term = random_below(r, 4);
    said->snapshot_index = random_chance(r, 1, 2) ? 0 : random_between(r, 1, 9);
    said->snapshot_term = said->snapshot_index == 0 ? 0 : random_between(r, 1, 4);
    said->configuration_known = random_chance(r, 1, 2);
    said->configuration = lab_configuration(random_below(r, 9), "0123", "");
    said->configuration.count = random_between(r, 1, 4);
    slot_runs_reset(&said->runs);
    for (uint64_t i = said->first; i <= said->last; i++) {
        struct slot slot = {.kind = (enum slot_kind)random_between(r, SLOT_WHOLE, SLOT_UNKNOWN)};
        slot.term = slot.kind == SLOT_UNKNOWN ? 0 : random_between(r, 1, 4);
        if (random_chance(r, 7, 8)) {
            slot_runs_add(&said->runs, (struct slot_run){i, 1, slot});
        }
    }
}

static void give_anything(struct lab *lab, struct repair_said *said)
{
    struct random *r = &lab->random;
    for (size_t i = 0; i < said->entry_count; i++) {
        entry_unref(said->entries[i]);
    }
    said->entries = said->entries != NULL ? said->entries : mem_array(4, sizeof(struct entry *));
    said->entry_count = random_below(r, 4);
    for (size_t i = 0; i < said->entry_count; i++) {
        uint64_t type = random_between(r, ENTRY_COMMAND, ENTRY_CHANGE);
        uint64_t index = random_between(r, 1, 9);
        uint64_t term = random_between(r, 1, 4);
        said->entries[i] = entry_new((enum entry_type)type, index, term, bytes_str("whatever"));
    }
}

static void answer_anything(struct lab *lab, struct buf *answer)
{
    struct repair_said said;
    REQUIRE_OK(repair_said_decode(buf_bytes(answer), &said, NULL));
    if (random_chance(&lab->random, 1, 2)) {
        say_anything(lab, &said);
    }
    if (random_chance(&lab->random, 1, 4)) {
        give_anything(lab, &said);
    }
    buf_reset(answer);
    repair_said_encode(&said, answer);
    repair_said_deinit(&said);
}

/* Whatever peers say, a repair goes on or waits: no check of ours fails. */
TEST(repair, survives_peers_that_say_anything)
{
    static const char *const logs[] = {
        "1 1! 2", "1 ? 2 2", "1 1 ...", "? ? 1! 3", "1! 1! 1!", "2! ? ...", "1 2 3 ? ? ? 4! 4",
    };
    unsigned done = 0;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct lab *lab = lab_open(3);
        lab->random = random_seeded(seed);
        lab->tamper = answer_anything;
        lab_log(lab, 0, logs[seed % (sizeof logs / sizeof logs[0])]);
        lab_log(lab, 1, "1 1 2 2 3 4");
        lab_log(lab, 2, "1 1 2");
        lab_idle(lab, 1);
        lab_idle(lab, 2);
        lab_run_for(lab, 6);
        done += lab_is_done(lab);
        lab_close(lab);
    }
    EXPECT(done > 100); /* some of it was believed: peers are not expected to lie */
}

/* ---- bugs of the caller ---- */

static void start_without_need(void *arg)
{
    struct lab *lab = arg;
    struct repair_options options = {
        .id = 1, .ask_interval_ms = 1, .log = lab_view(&lab->nodes[0])};
    struct repair_actions actions = {0};
    repair_close(repair_start(&options, 0, &actions));
}

static void end_a_change_that_is_not_out(void *arg)
{
    struct lab *lab = arg;
    lab_step(lab, &lab->nodes[1], (struct repair_event){.type = REPAIR_FILLED});
}

TEST(repair, checks_what_the_caller_does)
{
    struct lab *lab = lab_open(2);
    lab_log(lab, 0, "1");
    lab_log(lab, 1, "1!");
    lab_start(lab, &lab->nodes[1]);
    EXPECT_DIES(start_without_need, lab, "repair_is_needed");
    EXPECT_DIES(end_a_change_that_is_not_out, lab, "CHANGE_FILL");
    lab_close(lab);
}
