/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "cli/import_window.h"
#include "testkit/test.h"

static int batches[64]; /* only their addresses matter */

static void add(struct import_window *w, int which, uint64_t key)
{
    import_window_add(w, &batches[which], &key, 1);
}

static struct window_attempt next(struct import_window *w, uint64_t now)
{
    struct window_attempt a = {0};
    uint64_t wake = 0;
    REQUIRE(import_window_next(w, now, &a, &wake));
    return a;
}

static uint64_t expect_none(struct import_window *w, uint64_t now)
{
    struct window_attempt a = {0};
    uint64_t wake = 0;
    EXPECT(!import_window_next(w, now, &a, &wake));
    return wake;
}

static void *end(struct import_window *w, const struct window_attempt *a, enum grpc_status status,
                 uint64_t now)
{
    struct window_end e = {.status = status, .message = "why"};
    return import_window_ended(w, a->slot, &e, now);
}

TEST(import_window, sends_several_batches_at_once)
{
    struct import_window *w = import_window_open(3);
    EXPECT(import_window_is_empty(w));
    for (int i = 0; i < 3; i++) {
        EXPECT(import_window_has_room(w));
        add(w, i, (uint64_t)i);
    }
    EXPECT(!import_window_has_room(w));
    for (int i = 0; i < 3; i++) {
        struct window_attempt a = next(w, 0);
        EXPECT(a.batch == &batches[i]);
        EXPECT_UINT(a.sequence, (uint64_t)i + 1);
        EXPECT_UINT(a.sequence_open, 1);
        EXPECT_UINT(a.number, 1);
    }
    EXPECT_UINT(expect_none(w, 0), UINT64_MAX);
    import_window_close(w);
    import_window_close(NULL);
}

TEST(import_window, holds_a_batch_that_overrides_an_open_one)
{
    struct import_window *w = import_window_open(4);
    add(w, 0, 7);
    add(w, 1, 8);
    add(w, 2, 7);
    add(w, 3, 7);
    struct window_attempt first = next(w, 0);
    struct window_attempt second = next(w, 0);
    EXPECT(second.batch == &batches[1]);
    EXPECT_UINT(expect_none(w, 0), UINT64_MAX);
    EXPECT(end(w, &second, GRPC_OK, 0) == &batches[1]);
    EXPECT_UINT(expect_none(w, 0), UINT64_MAX);
    EXPECT(end(w, &first, GRPC_OK, 0) == &batches[0]);
    struct window_attempt third = next(w, 0);
    EXPECT(third.batch == &batches[2]);
    EXPECT_UINT(third.sequence_open, 3);
    EXPECT_UINT(expect_none(w, 0), UINT64_MAX);
    EXPECT(end(w, &third, GRPC_OK, 0) == &batches[2]);
    EXPECT(next(w, 0).batch == &batches[3]);
    import_window_close(w);
}

TEST(import_window, a_retry_has_the_same_request_id_and_waits_a_little)
{
    struct import_window *w = import_window_open(4);
    add(w, 0, 1);
    struct window_attempt a = next(w, 1000);
    EXPECT(end(w, &a, GRPC_UNAVAILABLE, 1000) == NULL);
    EXPECT_UINT(expect_none(w, 1000), 1010);
    struct window_attempt b = next(w, 1010);
    EXPECT_UINT(b.sequence, a.sequence);
    EXPECT_UINT(b.number, 2);
    EXPECT(end(w, &b, GRPC_ABORTED, 1020) == NULL);
    EXPECT_UINT(expect_none(w, 1020), 1040);
    import_window_close(w);
}

TEST(import_window, a_named_leader_is_asked_at_once_but_only_the_first_time)
{
    struct import_window *w = import_window_open(4);
    add(w, 0, 1);
    struct window_end named = {.status = GRPC_UNAVAILABLE, .leader_named = true, .message = ""};
    struct window_attempt a = next(w, 5);
    EXPECT(import_window_ended(w, a.slot, &named, 5) == NULL);
    a = next(w, 5);
    EXPECT(import_window_ended(w, a.slot, &named, 5) == NULL);
    EXPECT_UINT(expect_none(w, 5), 25);
    import_window_close(w);
}

TEST(import_window, waits_longer_for_answers_that_come_late)
{
    struct import_window *w = import_window_open(1);
    add(w, 0, 1);
    uint64_t before = 0;
    for (int i = 0; i < 12; i++) {
        struct window_attempt a = next(w, (uint64_t)i * 100000);
        EXPECT(i > 0 || a.timeout_ms == 300);
        EXPECT(a.timeout_ms >= before);
        EXPECT(a.timeout_ms <= 10000);
        before = a.timeout_ms;
        EXPECT(end(w, &a, GRPC_DEADLINE_EXCEEDED, (uint64_t)i * 100000) == NULL);
    }
    EXPECT_UINT(before, 10000);
    import_window_close(w);
}

TEST(import_window, a_slow_cluster_is_given_more_time)
{
    struct import_window *w = import_window_open(1);
    for (uint64_t i = 0; i < 100; i++) {
        add(w, 0, 1);
        struct window_attempt a = next(w, i * 10000);
        EXPECT(end(w, &a, GRPC_OK, i * 10000 + 500) == &batches[0]);
    }
    add(w, 0, 1);
    struct window_attempt a = next(w, 2000000);
    EXPECT(a.timeout_ms > 3900);
    EXPECT(a.timeout_ms <= 4000);
    import_window_close(w);
}

/* A batch that fails again and again must not see its answer forgotten. */
TEST(import_window, a_stuck_batch_stops_new_ones_before_its_answer_can_be_forgotten)
{
    struct import_window *w = import_window_open(2);
    add(w, 0, 0);
    struct window_attempt stuck = next(w, 0);
    unsigned passed = 0;
    while (import_window_has_room(w)) {
        add(w, 1, 1000 + passed);
        struct window_attempt a = next(w, 0);
        EXPECT_UINT(a.sequence_open, stuck.sequence);
        EXPECT(end(w, &a, GRPC_OK, 0) != NULL);
        passed++;
        REQUIRE(passed < 100);
    }
    EXPECT_UINT(passed, WINDOW_BATCHES_MAX - 1);
    EXPECT(end(w, &stuck, GRPC_OK, 0) == &batches[0]);
    EXPECT(import_window_has_room(w));
    import_window_close(w);
}

TEST(import_window, a_refusal_ends_the_import)
{
    struct import_window *w = import_window_open(2);
    struct err e = {0};
    add(w, 0, 1);
    add(w, 1, 2);
    struct window_attempt a = next(w, 0);
    EXPECT(!import_window_failed(w, &e));
    EXPECT(end(w, &a, GRPC_INVALID_ARGUMENT, 0) == NULL);
    EXPECT(import_window_failed(w, &e));
    EXPECT_STR(e.text, "INVALID_ARGUMENT: why");
    EXPECT_INT(e.code, ERR_INVALID);
    EXPECT(!import_window_has_room(w));
    EXPECT_UINT(expect_none(w, 99999), UINT64_MAX);
    EXPECT(import_window_oldest(w) == &batches[0]);
    EXPECT(import_window_take(w) == &batches[0]);
    EXPECT(import_window_take(w) == &batches[1]);
    EXPECT(import_window_take(w) == NULL);
    EXPECT(import_window_oldest(w) == NULL);
    import_window_close(w);
}

static void forget(struct import_window *w, const struct window_attempt *a)
{
    struct window_end e = {.status = GRPC_ABORTED, .session_unknown = true, .message = "forgotten"};
    EXPECT(import_window_ended(w, a->slot, &e, 0) == NULL);
}

TEST(import_window, a_forgotten_session_is_replaced_when_nothing_is_uncertain)
{
    struct import_window *w = import_window_open(3);
    struct err e = {0};
    add(w, 0, 1);
    struct window_attempt done = next(w, 0);
    add(w, 1, 2);
    add(w, 2, 3);
    struct window_attempt a = next(w, 0);
    EXPECT(end(w, &done, GRPC_OK, 0) != NULL);
    forget(w, &a);
    EXPECT(import_window_needs_session(w));
    EXPECT(!import_window_has_room(w));
    import_window_renewed(w);
    EXPECT(!import_window_failed(w, &e));
    a = next(w, 0);
    EXPECT(a.batch == &batches[1]);
    EXPECT_UINT(a.sequence, 1);
    a = next(w, 0);
    EXPECT(a.batch == &batches[2]);
    EXPECT_UINT(a.sequence, 2);
    import_window_close(w);
}

TEST(import_window, a_forgotten_session_waits_for_what_is_still_out)
{
    struct import_window *w = import_window_open(3);
    struct err e = {0};
    add(w, 0, 1);
    add(w, 1, 2);
    struct window_attempt a = next(w, 0);
    struct window_attempt b = next(w, 0);
    forget(w, &a);
    EXPECT(!import_window_needs_session(w));
    EXPECT(!import_window_failed(w, &e));
    EXPECT_UINT(expect_none(w, 99999), UINT64_MAX);
    EXPECT(end(w, &b, GRPC_OK, 0) == &batches[1]);
    EXPECT(import_window_needs_session(w));
    import_window_close(w);
}

TEST(import_window, a_forgotten_session_ends_the_import_when_an_answer_is_missing)
{
    struct import_window *w = import_window_open(3);
    struct err e = {0};
    add(w, 0, 1);
    struct window_attempt a = next(w, 0);
    EXPECT(end(w, &a, GRPC_UNAVAILABLE, 0) == NULL);
    a = next(w, 1000);
    forget(w, &a);
    EXPECT(import_window_failed(w, &e));
    EXPECT_INT(e.code, ERR_UNKNOWN_OUTCOME);
    import_window_close(w);
}

/* An attempt that no server ever had leaves nothing uncertain. */
TEST(import_window, an_attempt_that_was_never_processed_is_not_uncertain)
{
    struct import_window *w = import_window_open(3);
    struct err e = {0};
    add(w, 0, 1);
    struct window_attempt a = next(w, 0);
    struct window_end never = {.status = GRPC_UNAVAILABLE, .unprocessed = true, .message = ""};
    EXPECT(import_window_ended(w, a.slot, &never, 0) == NULL);
    a = next(w, 1000);
    forget(w, &a);
    EXPECT(!import_window_failed(w, &e));
    EXPECT(import_window_needs_session(w));
    import_window_close(w);
}

/* --- random worlds ---
 *
 * A cluster in miniature: one state that remembers answers as tsdb/sessions.h does,
 * a network that delays requests past their time-out, loses them, and loses answers. */

enum { KEYS = 40, ROWS = 3, BATCHES = 60, MESSAGES_MAX = 512, WORLDS = 150 };

struct model_batch {
    unsigned number;
    uint64_t keys[ROWS];
    unsigned applied;
    bool acknowledged;
};

struct message {
    bool there;
    struct model_batch *batch;
    uint64_t session, sequence, sequence_open;
    unsigned slot, attempt; /* whom to answer, if still waiting */
    uint64_t arrives_ms;
    bool answer_lost;
};

struct world {
    struct random random;
    struct import_window *window;
    uint64_t now_ms;
    uint64_t session; /* of the client */
    uint64_t known;   /* session that the state knows */
    uint64_t floor;
    bool answered[BATCHES * 8]; /* by sequence */
    unsigned stored[KEYS];      /* number of the batch whose row is stored */
    struct model_batch batches[BATCHES];
    struct message messages[MESSAGES_MAX];
    unsigned waiting[WINDOW_BATCHES_MAX]; /* attempt that each slot waits for; 0: none */
    uint64_t waits_until_ms[WINDOW_BATCHES_MAX];
    unsigned attempts;
    bool forgets; /* sessions, now and then */
};

static void end_attempt(struct world *w, unsigned slot, const struct window_end *e)
{
    w->waiting[slot] = 0;
    struct model_batch *b = import_window_ended(w->window, slot, e, w->now_ms);
    if (b != NULL) {
        EXPECT(!b->acknowledged);
        b->acknowledged = true;
    }
}

/* As the state judges a request; true: answered with OK. */
static bool apply(struct world *w, const struct message *m, bool *session_unknown)
{
    *session_unknown = m->session != w->known;
    if (*session_unknown) {
        return false;
    }
    if (m->sequence_open > w->floor + 1) {
        w->floor = m->sequence_open - 1;
    }
    if (m->sequence <= w->floor) {
        return false;
    }
    if (!w->answered[m->sequence]) {
        w->answered[m->sequence] = true;
        m->batch->applied++;
        for (unsigned i = 0; i < ROWS; i++) {
            w->stored[m->batch->keys[i]] = m->batch->number;
        }
    }
    return true;
}

static void deliver(struct world *w, struct message *m)
{
    bool session_unknown = false;
    bool good = apply(w, m, &session_unknown);
    m->there = false;
    if (m->answer_lost || w->waiting[m->slot] != m->attempt) {
        return;
    }
    struct window_end e = {
        .status = good ? GRPC_OK : GRPC_ABORTED,
        .session_unknown = session_unknown,
        .message = "",
    };
    end_attempt(w, m->slot, &e);
}

static void send(struct world *w, const struct window_attempt *a)
{
    unsigned i = 0;
    while (w->messages[i].there) {
        i++;
        REQUIRE(i < MESSAGES_MAX);
    }
    unsigned attempt = ++w->attempts;
    w->waiting[a->slot] = attempt;
    w->waits_until_ms[a->slot] = w->now_ms + 20 + random_below(&w->random, 100);
    if (random_chance(&w->random, 1, 10)) {
        return; /* lost on the way */
    }
    w->messages[i] = (struct message){
        .there = true,
        .batch = a->batch,
        .session = w->session,
        .sequence = a->sequence,
        .sequence_open = a->sequence_open,
        .slot = a->slot,
        .attempt = attempt,
        .arrives_ms =
            w->now_ms + random_below(&w->random, random_chance(&w->random, 1, 8) ? 900 : 15),
        .answer_lost = random_chance(&w->random, 1, 6),
    };
}

static void give_up_late(struct world *w)
{
    static const enum grpc_status statuses[] = {GRPC_DEADLINE_EXCEEDED, GRPC_UNAVAILABLE,
                                                GRPC_ABORTED, GRPC_INTERNAL};
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        if (w->waiting[i] != 0 && w->waits_until_ms[i] <= w->now_ms) {
            struct window_end e = {.status = statuses[random_below(&w->random, 4)], .message = ""};
            end_attempt(w, i, &e);
        }
    }
}

static void run_one_ms(struct world *w)
{
    w->now_ms++;
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        if (w->messages[i].there && w->messages[i].arrives_ms <= w->now_ms) {
            deliver(w, &w->messages[i]);
        }
    }
    give_up_late(w);
    if (w->forgets && random_chance(&w->random, 1, 400)) {
        w->known = 0;
    }
    if (import_window_needs_session(w->window)) {
        w->session++;
        w->known = w->session;
        w->floor = 0;
        memset(w->answered, 0, sizeof w->answered);
        import_window_renewed(w->window);
    }
    struct window_attempt a;
    uint64_t wake = 0;
    while (import_window_next(w->window, w->now_ms, &a, &wake)) {
        send(w, &a);
    }
}

struct outcome {
    bool whole; /* everything was acknowledged */
    bool wrong; /* a stored row is not the last of the file, or a batch took effect twice */
};

static struct outcome play(uint64_t seed, bool forgets, bool hold_back)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->random = random_seeded(seed);
    w->window = import_window_open(1 + (unsigned)random_below(&w->random, 8));
    w->session = 1;
    w->known = 1;
    w->forgets = forgets;
    unsigned want[KEYS] = {0};
    unsigned added = 0;
    struct outcome o = {.whole = true};
    struct err e = {0};
    while (added < BATCHES || !import_window_is_empty(w->window)) {
        if (import_window_failed(w->window, &e)) {
            EXPECT_INT(e.code, ERR_UNKNOWN_OUTCOME);
            o.whole = false;
            break;
        }
        while (added < BATCHES && import_window_has_room(w->window)) {
            struct model_batch *b = &w->batches[added];
            b->number = ++added;
            for (unsigned i = 0; i < ROWS; i++) {
                b->keys[i] = random_below(&w->random, KEYS);
                want[b->keys[i]] = b->number;
            }
            import_window_add(w->window, b, b->keys, hold_back ? ROWS : 0);
        }
        run_one_ms(w);
        REQUIRE(w->now_ms < 1000 * 1000);
    }
    for (unsigned i = 0; i < 1000; i++) { /* what is still on its way */
        run_one_ms(w);
    }
    for (unsigned i = 0; i < BATCHES; i++) {
        o.wrong = o.wrong || (w->batches[i].acknowledged && w->batches[i].applied != 1) ||
                  w->batches[i].applied > 1;
    }
    o.wrong = o.wrong || (o.whole && memcmp(want, w->stored, sizeof want) != 0);
    import_window_close(w->window);
    mem_free(w);
    return o;
}

TEST(import_window, in_any_world_rows_are_stored_once_and_the_last_one_wins)
{
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        struct outcome o = play(seed, false, true);
        EXPECT(o.whole);
        if (o.wrong) {
            (void)fprintf(stderr, "seed %" PRIu64 "\n", seed);
        }
        EXPECT(!o.wrong);
    }
}

TEST(import_window, a_world_that_forgets_sessions_loses_nothing_silently)
{
    unsigned whole = 0;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        struct outcome o = play(seed, true, true);
        whole += o.whole ? 1 : 0;
        if (o.wrong) {
            (void)fprintf(stderr, "seed %" PRIu64 "\n", seed);
        }
        EXPECT(!o.wrong);
    }
    EXPECT(whole > 0);
    EXPECT(whole < WORLDS);
}

/* The checker has teeth: the same worlds, without rule 1. */
TEST(import_window, without_holding_batches_back_an_older_row_wins)
{
    unsigned wrong = 0;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        wrong += play(seed, false, false).wrong ? 1 : 0;
    }
    EXPECT(wrong > WORLDS / 3);
}
