/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says to others that repair their logs. How it decides about its own
 * is tested in raft/test, whole clusters in sim/. */
#include "base/err.h"
#include "node/test/solo.h"
#include "proto/wire.h"
#include "raft/repair_wire.h"
#include "testkit/test.h"

enum { ASKER = 77, FIELD_QUESTION = 2, FIELD_ANSWER = 3, TERM_ABOVE = 100 };

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

/* The term that the last message states, which answers 'question'. */
static uint64_t term_said(const struct solo *s, uint64_t question)
{
    struct cursor c = cursor_of(buf_bytes(&s->sent));
    struct wire_field f;
    struct repair_said said = {0};
    struct err e;
    EXPECT(wire_next(&c, &f) && f.number == FIELD_ANSWER);
    EXPECT_OK(repair_said_decode(wire_bytes(&c, &f), &said, &e));
    EXPECT_UINT(said.question, question);
    uint64_t term = said.term;
    repair_said_deinit(&said);
    return term;
}

/* C2.3: who says "never had" has made a term durable first. Otherwise it forgets
 * the term with the power, and helps a leader that the asker's drop had ruled out. */
TEST(member_repair, no_term_is_told_that_a_power_failure_takes_back)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 3});
    solo_run(&s, 1500);
    EXPECT_OK(solo_make_table(&s));
    struct peer_hello hello = {
        .cluster_id = member_status(s.member).cluster_id,
        .directory_id = ASKER,
        .start_counter = 1,
        .nonce = 1,
        .name = "asker",
        .peer_address = "b:1",
    };
    member_peer_up(s.member, &hello);
    solo_run(&s, 100);

    s.hold[LANE_LOG] = true;
    size_t sent = s.sent_count;
    struct repair_question promise = {.question = 1, .term_above = TERM_ABOVE, .insist = true};
    struct repair_question plain = {.question = 2};
    ask(&s, &promise);
    ask(&s, &plain);
    solo_run(&s, 0);
    EXPECT_UINT(s.sent_count, sent);
    EXPECT(storage_hard(s.storage)->term <= TERM_ABOVE);

    s.hold[LANE_LOG] = false;
    solo_run(&s, 100);
    EXPECT(s.sent_count > sent);
    EXPECT(storage_hard(s.storage)->term > TERM_ABOVE);
    ask(&s, &plain);
    solo_run(&s, 0);
    EXPECT(term_said(&s, plain.question) > TERM_ABOVE);
    solo_close(&s);
}
