/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says to others that repair their logs. How it decides about its own
 * is tested in raft/test, whole clusters in sim/. */
#include "base/err.h"
#include "node/member_weaken.h"
#include "node/test/solo.h"
#include "proto/wire.h"
#include "raft/repair_wire.h"
#include "testkit/test.h"

enum { ASKER = 77, FIELD_QUESTION = 2, FIELD_ANSWER = 3, TERM_ABOVE = 100, TRIES_MAX = 10 };

static void ask(struct solo *s, const struct repair_question *q)
{
    struct buf body = {0};
    struct buf message = {0};
    repair_question_encode(q, &body);
    wire_put_bytes(&message, FIELD_QUESTION, buf_bytes(&body));
    member_peer_message(s->member, ASKER, buf_bytes(&message));
    buf_deinit(&body);
    buf_deinit(&message);
}

/* The last message, which answers 'question'. */
static void expect_answer(const struct solo *s, uint64_t question, struct repair_said *said)
{
    struct cursor c = cursor_of(buf_bytes(&s->sent));
    struct wire_field f;
    struct err e;
    EXPECT(wire_next(&c, &f) && f.number == FIELD_ANSWER);
    EXPECT_OK(repair_said_decode(wire_bytes(&c, &f), said, &e));
    EXPECT_UINT(said->question, question);
}

/* A leader with entries, and a peer that will ask. */
static void open_with_asker(struct solo *s, unsigned weaken)
{
    solo_open(s, (struct solo_options){.wal_level = 3, .weaken = weaken});
    solo_run(s, 1500);
    EXPECT_OK(solo_make_table(s));
    struct peer_hello hello = {
        .cluster_id = member_status(s->member).cluster_id,
        .directory_id = ASKER,
        .start_counter = 1,
        .nonce = 1,
        .name = "asker",
        .peer_address = "b:1",
    };
    member_peer_up(s->member, &hello);
    solo_run(s, 100);
}

/* Asks for a promise of a term while the disk hangs. True: told before it is stored. */
static bool tells_early(unsigned weaken)
{
    struct solo s;
    open_with_asker(&s, weaken);
    s.hold[LANE_LOG] = true;
    size_t sent = s.sent_count;
    struct repair_question promise = {.question = 1, .term_above = TERM_ABOVE, .insist = true};
    struct repair_question plain = {.question = 2};
    ask(&s, &promise);
    ask(&s, &plain);
    solo_run(&s, 0);
    bool early = s.sent_count > sent;
    EXPECT(storage_hard(s.storage)->term <= TERM_ABOVE);

    s.hold[LANE_LOG] = false;
    solo_run(&s, 100);
    EXPECT(storage_hard(s.storage)->term > TERM_ABOVE);
    ask(&s, &plain);
    solo_run(&s, 0);
    struct repair_said said = {0};
    expect_answer(&s, plain.question, &said);
    EXPECT(said.term > TERM_ABOVE);
    repair_said_deinit(&said);
    solo_close(&s);
    return early;
}

/* C2.3: who says "never had" has made a term durable first. Otherwise it forgets
 * the term with the power, and helps a leader that the asker's drop had ruled out. */
TEST(member_repair, no_term_is_told_that_a_power_failure_takes_back)
{
    EXPECT(!tells_early(0));
    EXPECT(tells_early(WEAKEN_PROMISES));
}

/* What is told of the last entry by a node that is asked to raise its term. */
static enum slot_kind tell_of_last(unsigned weaken)
{
    struct solo s;
    open_with_asker(&s, weaken);
    uint64_t last = member_status(s.member).replica.last_index;
    EXPECT(last > 1);
    struct repair_question promise = {.question = 1,
                                      .term_above = TERM_ABOVE,
                                      .insist = true,
                                      .ranges = {{.first = last, .count = 1}},
                                      .range_count = 1};
    size_t sent = s.sent_count;
    for (unsigned tries = 0; s.sent_count == sent && tries < TRIES_MAX; tries++) {
        ask(&s, &promise);
        solo_run(&s, 0);
    }
    struct repair_said said = {0};
    struct slot slot = {0};
    expect_answer(&s, promise.question, &said);
    EXPECT(said.term > TERM_ABOVE);
    EXPECT(repair_said_slot(&said, last, &slot));
    repair_said_deinit(&said);
    solo_close(&s);
    return slot.kind;
}

/* To raise its term a running node starts its core anew. What it knew of its log
 * at its own start, nothing here, must not be told as "never had" meanwhile. */
TEST(member_repair, a_node_that_raises_its_term_tells_of_its_whole_log)
{
    EXPECT(tell_of_last(0) == SLOT_WHOLE);
    EXPECT(tell_of_last(WEAKEN_TOLD) == SLOT_NEVER_HAD);
}
