/* SPDX-License-Identifier: Apache-2.0 */
/* Rule G1 of the safety rules, each sentence of it. */
#include "tsdb/sessions.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/random.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

static uint64_t index_next;

/* Judges a request and, when it is new, records the answer (index, rows = index). */
static const char *ask(struct sessions *s, uint64_t session, uint64_t sequence, uint64_t open,
                       struct tsdb_result *r)
{
    struct command c = {
        .kind = COMMAND_WRITE, .session = session, .sequence = sequence, .sequence_open = open};
    *r = (struct tsdb_result){.kind = COMMAND_WRITE, .index = ++index_next};
    enum session_verdict verdict = sessions_judge(s, &c, r);
    if (verdict == SESSION_NEW) {
        r->rows = r->index;
        sessions_record(s, &c, r);
        return "new";
    }
    if (verdict == SESSION_NONE) {
        return "none";
    }
    return r->repeated ? "again" : err_name(r->code);
}

static uint64_t open_one(struct sessions *s, uint64_t close_session)
{
    return sessions_open(s, 1234, close_session, ++index_next);
}

TEST(sessions, a_repeat_gets_the_first_answer)
{
    struct sessions *s = sessions_new();
    struct tsdb_result first;
    struct tsdb_result again;
    uint64_t id = open_one(s, 0);
    EXPECT(id != 0);
    EXPECT_STR(ask(s, id, 1, 1, &first), "new");
    EXPECT_STR(ask(s, id, 2, 1, &again), "new");
    EXPECT_STR(ask(s, id, 1, 1, &again), "again");
    EXPECT_UINT(again.index, first.index);
    EXPECT_UINT(again.rows, first.rows);
    EXPECT_INT(again.code, ERR_OK);
    sessions_close(s);
    sessions_close(NULL);
}

TEST(sessions, a_repeated_refusal_is_the_same_refusal)
{
    struct sessions *s = sessions_new();
    uint64_t id = open_one(s, 0);
    struct command c = {.kind = COMMAND_CREATE_TABLE, .session = id, .sequence = 1};
    struct tsdb_result r = {.kind = COMMAND_CREATE_TABLE, .index = 9, .code = ERR_EXISTS};
    EXPECT(sessions_judge(s, &c, &r) == SESSION_NEW);
    (void)snprintf(r.text, sizeof r.text, "it exists");
    r.code = ERR_EXISTS;
    sessions_record(s, &c, &r);
    struct tsdb_result again = {.index = 20};
    EXPECT(sessions_judge(s, &c, &again) == SESSION_ANSWERED);
    EXPECT(again.repeated);
    EXPECT_INT(again.code, ERR_EXISTS);
    EXPECT_INT(again.kind, COMMAND_CREATE_TABLE);
    EXPECT_STR(again.text, "it exists");
    EXPECT_UINT(again.index, 9);
    sessions_close(s);
}

TEST(sessions, a_request_without_session_has_no_such_promise)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    EXPECT_STR(ask(s, 0, 0, 0, &r), "none");
    EXPECT_STR(ask(s, 0, 7, 7, &r), "none");
    sessions_close(s);
}

TEST(sessions, an_unknown_session_is_refused_as_unknown_outcome)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t id = open_one(s, 0);
    EXPECT_STR(ask(s, id + 1, 1, 1, &r), "UNKNOWN_OUTCOME");
    EXPECT_CONTAINS(r.text, "the session is not known");
    EXPECT_STR(ask(s, id, 1, 1, &r), "new");
    sessions_close(s);
}

TEST(sessions, malformed_request_ids_are_invalid)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t id = open_one(s, 0);
    EXPECT_STR(ask(s, id, 0, 0, &r), "INVALID");
    EXPECT_STR(ask(s, id, 3, 4, &r), "INVALID");
    EXPECT_STR(ask(s, id, 3, 3, &r), "new");
    EXPECT_STR(ask(s, id, 4, 0, &r), "new"); /* not said: nothing is dropped */
    EXPECT_STR(ask(s, id, 3, 0, &r), "again");
    sessions_close(s);
}

/* The last 64 answers are kept; below them nothing is ever applied again. */
TEST(sessions, answers_beyond_the_limit_go_and_their_sequences_are_refused)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t id = open_one(s, 0);
    for (uint64_t i = 1; i <= LIMIT_SESSION_ANSWERS; i++) {
        EXPECT_STR(ask(s, id, i, 1, &r), "new");
    }
    EXPECT_STR(ask(s, id, 1, 1, &r), "again");
    EXPECT_STR(ask(s, id, LIMIT_SESSION_ANSWERS + 1, 1, &r), "new");
    EXPECT_STR(ask(s, id, 1, 1, &r), "UNKNOWN_OUTCOME");
    EXPECT_CONTAINS(r.text, "the answer to that sequence is not kept any more");
    EXPECT_STR(ask(s, id, 2, 1, &r), "again");
    sessions_close(s);
}

TEST(sessions, a_sequence_below_what_the_client_waits_for_is_refused)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t id = open_one(s, 0);
    EXPECT_STR(ask(s, id, 1, 1, &r), "new");
    EXPECT_STR(ask(s, id, 5, 4, &r), "new");
    EXPECT_STR(ask(s, id, 1, 1, &r), "UNKNOWN_OUTCOME"); /* answered, and no longer kept */
    EXPECT_STR(ask(s, id, 3, 1, &r), "UNKNOWN_OUTCOME"); /* never seen: late all the same */
    EXPECT_STR(ask(s, id, 4, 1, &r), "new");
    EXPECT_STR(ask(s, id, 5, 1, &r), "again");
    sessions_close(s);
}

/* Requests in flight together commit in any order: one that overtakes the
 * others must not shut them out. */
TEST(sessions, a_sequence_far_ahead_does_not_refuse_those_behind_it)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t id = open_one(s, 0);
    EXPECT_STR(ask(s, id, LIMIT_SESSION_ANSWERS, 1, &r), "new");
    for (uint64_t i = 1; i < LIMIT_SESSION_ANSWERS; i++) {
        EXPECT_STR(ask(s, id, i, 1, &r), "new");
    }
    for (uint64_t i = 1; i <= LIMIT_SESSION_ANSWERS; i++) {
        EXPECT_STR(ask(s, id, i, 1, &r), "again");
    }
    sessions_close(s);
}

TEST(sessions, the_least_used_session_makes_room)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t first = open_one(s, 0);
    uint64_t second = open_one(s, 0);
    uint64_t third = open_one(s, 0);
    for (int i = 3; i < LIMIT_SESSIONS; i++) {
        (void)open_one(s, 0);
    }
    EXPECT_UINT(sessions_count(s), LIMIT_SESSIONS);
    EXPECT_STR(ask(s, first, 1, 1, &r), "new"); /* used: not the next to go */
    (void)open_one(s, 0);
    EXPECT_UINT(sessions_count(s), LIMIT_SESSIONS);
    EXPECT_STR(ask(s, second, 1, 1, &r), "UNKNOWN_OUTCOME");
    EXPECT_STR(ask(s, third, 1, 1, &r), "new");
    EXPECT_STR(ask(s, first, 1, 1, &r), "again");
    sessions_close(s);
}

TEST(sessions, opening_closes_the_old_one_in_the_same_step)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t old = open_one(s, 0);
    EXPECT_STR(ask(s, old, 1, 1, &r), "new");
    uint64_t next = open_one(s, old);
    EXPECT(next != old);
    EXPECT_UINT(sessions_count(s), 1);
    EXPECT_STR(ask(s, old, 1, 1, &r), "UNKNOWN_OUTCOME");
    EXPECT_STR(ask(s, next, 1, 1, &r), "new");
    (void)open_one(s, old); /* gone already: nothing to close */
    EXPECT_UINT(sessions_count(s), 2);
    sessions_close(s);
}

/* An id that a power failure made the state forget must not come again for
 * another client: then its late requests would get that client's answers. */
TEST(sessions, another_nonce_gives_another_id)
{
    struct sessions *a = sessions_new();
    struct sessions *b = sessions_new();
    struct sessions *c = sessions_new();
    uint64_t id = sessions_open(a, 1, 0, 10);
    EXPECT_UINT(sessions_open(b, 1, 0, 10), id);
    EXPECT(sessions_open(c, 2, 0, 10) != id);
    EXPECT(id < UINT64_C(1) << 48);
    sessions_close(a);
    sessions_close(b);
    sessions_close(c);
}

/* The execution that the rule closes: v1 is sent, its answer lost, v2 is sent
 * and acknowledged; then a late copy of v1 arrives. */
TEST(sessions, a_late_retry_never_overwrites_what_came_after_it)
{
    struct fixture f = fixture_open(false);
    uint64_t id = open_session(&f, 0);
    struct buf v1 = {0};
    struct buf v2 = {0};
    make_write_request(&v1, "m", "a", "10 1 - - -");
    make_write_request(&v2, "m", "a", "10 2 - - -");
    struct command first = {COMMAND_WRITE, id, 1, 1, buf_bytes(&v1)};
    struct command second = {COMMAND_WRITE, id, 2, 1, buf_bytes(&v2)};
    EXPECT_OK(apply_command_of(&f, first));
    uint64_t index = f.result.index;
    EXPECT_OK(apply_command_of(&f, second));
    EXPECT_OK(apply_command_of(&f, first)); /* the answer again, no write */
    EXPECT(f.result.repeated);
    EXPECT_UINT(f.result.index, index);
    EXPECT_STR(scan_all(&f), "a,-,- 10 2 - - -\n");

    /* The client has gone on: its request says that it waits for nothing below 3. */
    struct command third = {COMMAND_WRITE, id, 3, 3, buf_bytes(&v2)};
    EXPECT_OK(apply_command_of(&f, third));
    EXPECT_ERR(apply_command_of(&f, first), ERR_UNKNOWN_OUTCOME);
    EXPECT_STR(scan_all(&f), "a,-,- 10 2 - - -\n");

    /* The session is closed, the state saved and opened again. */
    (void)open_session(&f, id);
    EXPECT_ERR(apply_command_of(&f, first), ERR_UNKNOWN_OUTCOME);
    EXPECT_OK(checkpoint(&f, NULL));
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    EXPECT_ERR(apply_command_of(&f, first), ERR_UNKNOWN_OUTCOME);
    EXPECT_STR(scan_all(&f), "a,-,- 10 2 - - -\n");
    buf_deinit(&v1);
    buf_deinit(&v2);
    fixture_close(&f);
}

/* The answers themselves survive a checkpoint. */
TEST(sessions, a_repeat_after_reopening_gets_the_first_answer)
{
    struct fixture f = fixture_open(false);
    uint64_t id = open_session(&f, 0);
    struct buf body = {0};
    make_write_request(&body, "m", "a", "10 1 - - -\n11 1 - - -");
    struct command c = {COMMAND_WRITE, id, 1, 1, buf_bytes(&body)};
    EXPECT_OK(apply_command_of(&f, c));
    uint64_t index = f.result.index;
    EXPECT_OK(checkpoint(&f, NULL));
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    EXPECT_OK(apply_command_of(&f, c));
    EXPECT(f.result.repeated);
    EXPECT_UINT(f.result.index, index);
    EXPECT_UINT(f.result.rows, 2);
    buf_deinit(&body);
    fixture_close(&f);
}

/* --- encoding and hash --- */

static struct sessions *decode(struct bytes b, enum err_code *code)
{
    struct cursor in = cursor_of(b);
    struct sessions *s = NULL;
    struct err e;
    *code = sessions_decode(&in, &s, &e);
    EXPECT((*code == ERR_OK) == (s != NULL));
    return s;
}

/* Random use; after each step the decoded copy has the same bytes and hash. */
TEST(sessions, the_hash_follows_every_change)
{
    struct random random = random_seeded(5);
    struct sessions *s = sessions_new();
    uint64_t ids[20];
    uint64_t sequences[20] = {0};
    for (int i = 0; i < 20; i++) {
        ids[i] = open_one(s, 0);
    }
    struct hash128 before = sessions_hash(s);
    for (int step = 0; step < 600; step++) {
        size_t i = (size_t)random_below(&random, 20);
        struct tsdb_result r = {.code = ERR_OK};
        if (random_chance(&random, 1, 20)) {
            ids[i] = open_one(s, random_chance(&random, 1, 2) ? ids[i] : 0);
            sequences[i] = 0;
        } else {
            uint64_t open = random_chance(&random, 1, 4) ? sequences[i] : 0;
            sequences[i] += random_below(&random, 3);
            (void)ask(s, ids[i], sequences[i], open, &r);
        }
        struct hash128 hash = sessions_hash(s);
        EXPECT(r.code == ERR_INVALID || hash.low != before.low || hash.high != before.high);
        before = hash;
        if (step % 20 != 0) {
            continue;
        }
        struct buf b = {0};
        struct buf again = {0};
        sessions_encode(s, &b);
        enum err_code code = ERR_OK;
        struct sessions *copy = decode(buf_bytes(&b), &code);
        REQUIRE_OK(code);
        EXPECT_SAME_HASH(sessions_hash(copy), hash);
        sessions_encode(copy, &again);
        EXPECT(bytes_equal(buf_bytes(&b), buf_bytes(&again)));
        sessions_close(copy);
        buf_deinit(&b);
        buf_deinit(&again);
    }
    sessions_close(s);
}

TEST(sessions, damaged_bytes_are_decoded_safely)
{
    struct sessions *s = sessions_new();
    struct tsdb_result r;
    uint64_t first = open_one(s, 0);
    uint64_t second = open_one(s, 0);
    EXPECT_STR(ask(s, first, 1, 1, &r), "new");
    EXPECT_STR(ask(s, second, 3, 2, &r), "new");
    EXPECT_STR(ask(s, second, 9, 2, &r), "new");
    struct buf b = {0};
    sessions_encode(s, &b);
    enum err_code code = ERR_OK;
    for (size_t size = 0; size < b.size; size++) {
        EXPECT(decode(bytes_of(b.data, size), &code) == NULL);
        EXPECT(code == ERR_CORRUPT);
    }
    for (size_t i = 0; i < b.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1U << bit);
            struct sessions *copy = decode(buf_bytes(&b), &code);
            EXPECT(code == ERR_OK || code == ERR_CORRUPT);
            sessions_close(copy);
            b.data[i] ^= (uint8_t)(1U << bit);
        }
    }
    buf_deinit(&b);
    sessions_close(s);
}
