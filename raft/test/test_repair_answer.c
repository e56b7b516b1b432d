/* SPDX-License-Identifier: Apache-2.0 */
/* The side that is asked: what it says of its log, what it promises first, what
 * it must read first. */
#include "raft/repair_wire.h"
#include "raft/test/repair_lab.h"
#include "testkit/test.h"

struct fixture {
    struct lab *lab;
    struct lab_node *node;
    struct repair_reply reply;
    struct repair_said said;
    bool decoded;
};

static struct fixture open_fixture(const char *log)
{
    struct fixture f = {.lab = lab_open(3)};
    f.node = &f.lab->nodes[0];
    lab_log(f.lab, 0, log);
    return f;
}

static void forget(struct fixture *f)
{
    buf_deinit(&f->reply.message);
    if (f->decoded) {
        repair_said_deinit(&f->said);
        f->decoded = false;
    }
}

static void close_fixture(struct fixture *f)
{
    forget(f);
    lab_close(f->lab);
}

/* Node 2 asks; the answer, if one is given, is decoded. */
static void ask(struct fixture *f, struct repair_question q)
{
    struct repair_self self = lab_self(f->node);
    struct buf b = {0};
    forget(f);
    q.question = 42;
    repair_question_encode(&q, &b);
    REQUIRE_OK(repair_answer(&self, 2, buf_bytes(&b), &f->reply, NULL));
    buf_deinit(&b);
    if (f->reply.message.size > 0) {
        REQUIRE_OK(repair_said_decode(buf_bytes(&f->reply.message), &f->said, NULL));
        f->decoded = true;
        EXPECT_UINT(f->said.question, 42);
    }
}

static struct repair_question whole_log(void)
{
    return (struct repair_question){.ranges = {{1, 0}}, .range_count = 1};
}

static struct slot slot_of(const struct fixture *f, uint64_t index)
{
    struct slot slot;
    REQUIRE(f->decoded);
    REQUIRE(repair_said_slot(&f->said, index, &slot));
    return slot;
}

TEST(repair_answer, says_what_it_holds_and_where_it_ends)
{
    struct fixture f = open_fixture("1 1! ? 2");
    f.node->term = 7;
    ask(&f, whole_log());
    EXPECT_UINT(f.said.term, 7);
    EXPECT_UINT(f.said.first, 1);
    EXPECT_UINT(f.said.last, 4);
    EXPECT(slot_of(&f, 1).kind == SLOT_WHOLE && slot_of(&f, 1).term == 1);
    EXPECT(slot_of(&f, 2).kind == SLOT_DAMAGED && slot_of(&f, 2).term == 1);
    EXPECT(slot_of(&f, 3).kind == SLOT_UNKNOWN && slot_of(&f, 3).term == 0);
    EXPECT(slot_of(&f, 4).kind == SLOT_WHOLE && slot_of(&f, 4).term == 2);
    EXPECT(slot_of(&f, 5).kind == SLOT_NEVER_HAD);
    close_fixture(&f);
}

TEST(repair_answer, says_only_what_it_is_asked)
{
    struct fixture f = open_fixture("1 1 1 1 1 1");
    struct slot slot;
    ask(&f, (struct repair_question){.ranges = {{2, 1}, {5, 100}}, .range_count = 2});
    EXPECT(!repair_said_slot(&f.said, 1, &slot));
    EXPECT(repair_said_slot(&f.said, 2, &slot));
    EXPECT(!repair_said_slot(&f.said, 4, &slot));
    EXPECT(repair_said_slot(&f.said, 6, &slot));
    EXPECT_UINT(f.said.runs.count, 2);
    EXPECT(!f.said.configuration_known);
    close_fixture(&f);
}

TEST(repair_answer, never_calls_lost_what_it_may_have_held)
{
    struct fixture f = open_fixture("1 1 ...");
    ask(&f, whole_log());
    EXPECT(slot_of(&f, 3).kind == SLOT_UNKNOWN);
    lab_log_from(f.lab, 0, 5, "2");
    f.node->cut_term = 1;
    f.node->snapshot_index = 4;
    f.node->snapshot_term = 1;
    ask(&f, whole_log());
    EXPECT(slot_of(&f, 4).kind == SLOT_CUT && slot_of(&f, 4).term == 1);
    EXPECT(slot_of(&f, 1).kind == SLOT_CUT && slot_of(&f, 1).term == 0);
    EXPECT_UINT(f.said.snapshot_index, 4);
    close_fixture(&f);
}

TEST(repair_answer, names_the_leader)
{
    struct fixture f = open_fixture("1");
    f.node->term = 4;
    f.node->leader = 3;
    f.node->leader_term = 4;
    ask(&f, whole_log());
    EXPECT_UINT(f.said.leader, 3);
    EXPECT_UINT(f.said.leader_term, 4);
    close_fixture(&f);
}

/* ---- promises ---- */

TEST(repair_answer, promises_a_term_before_it_answers)
{
    struct fixture f = open_fixture("1");
    struct repair_question q = whole_log();
    f.node->term = 4;
    q.term_above = 4;
    ask(&f, q);
    EXPECT_UINT(f.reply.term_first, 5);
    EXPECT_UINT(f.reply.message.size, 0);
    f.node->term = 5;
    ask(&f, q);
    EXPECT_UINT(f.reply.term_first, 0);
    EXPECT_UINT(f.said.term, 5);
    close_fixture(&f);
}

TEST(repair_answer, promises_nothing_while_it_follows_a_leader)
{
    struct fixture f = open_fixture("1");
    struct repair_question q = whole_log();
    lab_lead(f.lab, 1, 4, "0");
    q.term_above = 4;
    ask(&f, q);
    EXPECT_UINT(f.reply.term_first, 0);
    EXPECT_UINT(f.said.term, 4);
    EXPECT_UINT(f.said.leader, 2);
    q.insist = true;
    ask(&f, q);
    EXPECT_UINT(f.reply.term_first, 5);
    q.term_above = 3; /* its term is above already */
    ask(&f, q);
    EXPECT_UINT(f.reply.term_first, 0);
    close_fixture(&f);
}

TEST(repair_answer, names_its_latest_configuration_with_a_promise)
{
    struct fixture f = open_fixture("1 1");
    struct repair_question q = whole_log();
    f.node->term = 9;
    q.term_above = 4;
    lab_knows(f.lab, 0, lab_configuration(2, "0123", ""));
    ask(&f, q);
    EXPECT(f.said.configuration_known);
    EXPECT_UINT(f.said.configuration.index, 2);
    EXPECT_UINT(f.said.configuration.count, 4);
    EXPECT(!f.said.configuration_hidden);
    f.node->configuration_count = 0;
    ask(&f, q);
    EXPECT(!f.said.configuration_known);
    close_fixture(&f);
}

static const enum entry_type type_not_known; /* 0 */

static bool hides(const char *log, uint64_t known, enum entry_type type_of_2)
{
    struct fixture f = open_fixture(log);
    struct repair_question q = whole_log();
    f.node->term = 9;
    q.term_above = 4;
    f.node->configurations[0].index = known;
    if (f.node->last >= 2) {
        f.node->log[2].slot.type = type_of_2;
    }
    ask(&f, q);
    bool hidden = f.said.configuration_hidden;
    close_fixture(&f);
    return hidden;
}

TEST(repair_answer, says_when_a_lost_entry_can_be_a_later_configuration)
{
    EXPECT(!hides("1 1 1", 0, ENTRY_COMMAND));
    EXPECT(!hides("1 1! 1", 0, ENTRY_COMMAND));
    EXPECT(!hides("1 1! 1", 0, ENTRY_BARRIER));
    EXPECT(hides("1 1! 1", 0, ENTRY_CHANGE));
    EXPECT(hides("1 1! 1", 0, type_not_known));
    EXPECT(hides("1 ? 1", 0, type_not_known));
    EXPECT(hides("1 1 ...", 0, ENTRY_COMMAND));
    EXPECT(!hides("1 ? 1", 2, type_not_known)); /* the one known is that entry's, or a later one */
    EXPECT(!hides("1 1! 1", 3, ENTRY_CHANGE));
}

/* ---- entries ---- */

static struct repair_question want(uint64_t index, uint64_t count, uint64_t term)
{
    return (struct repair_question){.wants = {{index, count, term}}, .want_count = 1};
}

TEST(repair_answer, gives_whole_entries_of_the_identity_asked_for)
{
    struct fixture f = open_fixture("1 1! 2 2 ? 2");
    ask(&f, want(1, 6, 2));
    REQUIRE_UINT(f.said.entry_count, 3);
    EXPECT_UINT(f.said.entries[0]->index, 3);
    EXPECT_UINT(f.said.entries[1]->index, 4);
    EXPECT_UINT(f.said.entries[2]->index, 6);
    EXPECT_UINT(bytes_get_u64(f.said.entries[2]->payload), lab_value(6, 2));
    ask(&f, want(100, 5, 2));
    EXPECT_UINT(f.said.entry_count, 0);
    close_fixture(&f);
}

/* Those in memory go first; only when none is, the first run that is on disk is read. */
TEST(repair_answer, asks_for_a_run_to_be_read)
{
    struct fixture f = open_fixture("1 1 1! 1 1 1 1");
    f.node->cold_until = 6;
    ask(&f, want(1, 7, 1));
    REQUIRE_UINT(f.said.entry_count, 2);
    EXPECT_UINT(f.said.entries[0]->index, 6);
    EXPECT_UINT(f.reply.need_count, 0);
    ask(&f, want(1, 5, 1));
    EXPECT_UINT(f.reply.message.size, 0);
    EXPECT_UINT(f.reply.need_index, 1);
    EXPECT_UINT(f.reply.need_count, 2);
    f.node->cold_until = 0;
    ask(&f, want(1, 5, 1));
    EXPECT_UINT(f.said.entry_count, 4);
    close_fixture(&f);
}

TEST(repair_answer, keeps_an_answer_small_but_gives_one_entry)
{
    struct fixture f = open_fixture("1 1 1 1");
    f.lab->entry_size = LIMIT_ENTRY_SIZE_MAX;
    ask(&f, want(1, 4, 1));
    EXPECT_UINT(f.said.entry_count, 1);
    f.lab->entry_size = LIMIT_ENTRY_SIZE_MAX / 2;
    ask(&f, want(1, 4, 1));
    EXPECT_UINT(f.said.entry_count, 2);
    f.lab->entry_size = LIMIT_ENTRY_SIZE_MAX / 2 + 1;
    ask(&f, want(1, 4, 1));
    EXPECT_UINT(f.said.entry_count, 1);
    close_fixture(&f);
}

TEST(repair_answer, keeps_the_list_of_runs_bounded)
{
    struct lab *lab = lab_open_long(2, 2 * LIMIT_REPAIR_RUNS);
    struct fixture f = {.lab = lab, .node = &lab->nodes[0]};
    for (uint64_t i = 1; i <= 2 * LIMIT_REPAIR_RUNS; i++) {
        lab_put(f.node, i, 1);
        f.node->last = i;
        if (i % 2 == 0) {
            lab_damage(f.node, i);
        }
    }
    struct slot slot;
    ask(&f, whole_log());
    EXPECT_UINT(f.said.runs.count, LIMIT_REPAIR_RUNS);
    EXPECT_UINT(f.said.last, 2 * LIMIT_REPAIR_RUNS);
    EXPECT(repair_said_slot(&f.said, LIMIT_REPAIR_RUNS, &slot));
    EXPECT(!repair_said_slot(&f.said, LIMIT_REPAIR_RUNS + 1, &slot)); /* as if not asked */
    close_fixture(&f);
}

TEST(repair_answer, refuses_what_is_no_question)
{
    struct fixture f = open_fixture("1");
    struct repair_self self = lab_self(f.node);
    struct err e;
    EXPECT_ERR(repair_answer(&self, 2, bytes_str("garbage"), &f.reply, &e), ERR_CORRUPT);
    EXPECT_UINT(f.reply.message.size, 0);
    close_fixture(&f);
}
