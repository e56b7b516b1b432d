/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

enum { MS = 1000, NODES = 3, LOG_SIZE = 4096 };

static const struct fake_net_options plain = {
    .fifo = true,
    .delay_min_us = 1 * MS,
    .delay_max_us = 1 * MS,
    .connect_timeout_us = 100 * MS,
    .break_us = 500 * MS,
};

struct fixture {
    struct fake_net *net;
    uint64_t now_us;
    char log[LOG_SIZE]; /* of what happened, as short words */
    size_t log_size;
};

static void fixture_init(struct fixture *f, const struct fake_net_options *options, uint64_t seed)
{
    *f = (struct fixture){.net = fake_net_create(NODES, seed, options)};
}

static void fixture_close(struct fixture *f)
{
    fake_net_destroy(f->net);
}

/* "1<0 text": node 1 got a message of node 0; "1+0" up, "1-0" down, "1!0"
 * refused, "1?0" unreachable. */
static void note(struct fixture *f, const struct fake_net_event *event)
{
    static const char signs[] = {[FAKE_NET_UP] = '+',
                                 [FAKE_NET_MESSAGE] = '<',
                                 [FAKE_NET_DOWN] = '-',
                                 [FAKE_NET_REFUSED] = '!',
                                 [FAKE_NET_UNREACHABLE] = '?'};
    int size = snprintf(f->log + f->log_size, LOG_SIZE - f->log_size, "%zu%c%zu%.*s ", event->node,
                        signs[event->kind], event->peer, (int)event->data.size,
                        event->data.size == 0 ? "" : (const char *)event->data.data);
    f->log_size += (size_t)size;
    REQUIRE(f->log_size < LOG_SIZE);
}

/* Runs until a time; returns what happened since the last call. */
static const char *run(struct fixture *f, uint64_t until_us)
{
    f->log_size = 0;
    f->log[0] = '\0';
    for (;;) {
        struct fake_net_event event;
        while (fake_net_deliver(f->net, f->now_us, &event)) {
            note(f, &event);
        }
        uint64_t next = fake_net_next_us(f->net);
        if (next > until_us) {
            break;
        }
        f->now_us = next;
    }
    f->now_us = until_us;
    return f->log;
}

static const char *run_for(struct fixture *f, uint64_t us)
{
    return run(f, f->now_us + us);
}

static void send_text(struct fixture *f, size_t from, size_t to, const char *text)
{
    EXPECT(fake_net_send(f->net, from, to, bytes_str(text), f->now_us));
}

static void link_up(struct fixture *f, size_t a, size_t b)
{
    fake_net_connect(f->net, a, b, f->now_us);
    (void)run_for(f, 90 * MS);
    REQUIRE(fake_net_is_up(f->net, a, b));
    REQUIRE(fake_net_is_up(f->net, b, a));
}

/* --- links --- */

TEST(fake_net, a_link_comes_up_at_the_other_side_first)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    EXPECT_UINT(fake_net_next_us(f.net), UINT64_MAX);
    EXPECT(!fake_net_send(f.net, 0, 1, bytes_str("x"), 0));
    fake_net_connect(f.net, 0, 1, 0);
    EXPECT_UINT(fake_net_next_us(f.net), 1 * MS);
    EXPECT_STR(run(&f, 1 * MS), "1+0 ");
    EXPECT(!fake_net_is_up(f.net, 0, 1));
    send_text(&f, 1, 0, "early");
    EXPECT_STR(run(&f, 2 * MS), "0+1 0<1early ");
    fake_net_connect(f.net, 0, 1, f.now_us); /* is up already */
    EXPECT_STR(run_for(&f, 200 * MS), "");
    EXPECT_UINT(fake_net_counts(f.net).ups, 2);
    fixture_close(&f);
}

TEST(fake_net, messages_arrive_after_their_delay_and_in_order)
{
    struct fixture f;
    struct fake_net_options options = plain;
    options.delay_max_us = 50 * MS;
    fixture_init(&f, &options, 2);
    fake_net_connect(f.net, 0, 1, 0);
    (void)run_for(&f, 110 * MS);
    uint64_t sent_us = f.now_us;
    const char *letters = "abcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < 26; i++) {
        send_text(&f, 0, 1, (char[]){letters[i], '\0'});
    }
    EXPECT(fake_net_next_us(f.net) >= sent_us + 1 * MS);
    EXPECT_UINT(fake_net_in_flight(f.net), 26);
    const char *log = run_for(&f, 50 * MS);
    for (size_t i = 0; i < 26; i++) {
        char want[] = {'1', '<', '0', letters[i], ' ', '\0'};
        EXPECT(strncmp(log, want, 5) == 0);
        log += 5;
    }
    EXPECT_STR(log, "");
    EXPECT_UINT(fake_net_in_flight(f.net), 0);
    fixture_close(&f);
}

TEST(fake_net, closing_is_told_to_the_other_side_after_what_was_sent)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    send_text(&f, 0, 1, "last");
    send_text(&f, 1, 0, "crossing");
    fake_net_close(f.net, 0, 1, f.now_us);
    EXPECT(!fake_net_is_up(f.net, 0, 1));
    EXPECT_STR(run_for(&f, 10 * MS), "1<0last 1-0 ");
    EXPECT_UINT(fake_net_counts(f.net).stale, 1);
    fixture_close(&f);
}

/* The old connection's input never reaches the new one. */
TEST(fake_net, a_reconnect_drops_what_the_old_link_still_had)
{
    struct fixture f;
    struct fake_net_options options = plain;
    fixture_init(&f, &options, 1);
    link_up(&f, 0, 1);
    options.delay_min_us = 20 * MS;
    options.delay_max_us = 20 * MS;
    fake_net_set_options(f.net, &options);
    send_text(&f, 1, 0, "old");
    options.delay_min_us = 1 * MS;
    options.delay_max_us = 1 * MS;
    fake_net_set_options(f.net, &options);
    fake_net_close(f.net, 0, 1, f.now_us);
    fake_net_connect(f.net, 0, 1, f.now_us);
    EXPECT_STR(run_for(&f, 15 * MS), "1-0 1+0 ");
    send_text(&f, 1, 0, "new");
    EXPECT_STR(run_for(&f, 10 * MS), "0+1 0<1new ");
    EXPECT_UINT(fake_net_counts(f.net).stale, 1);
    EXPECT(fake_net_is_up(f.net, 1, 0));
    fixture_close(&f);
}

TEST(fake_net, a_message_on_a_link_that_is_gone_takes_down_its_senders_side)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    fake_net_kill(f.net, 1, true, f.now_us); /* nobody is told */
    fake_net_start(f.net, 1, f.now_us);
    EXPECT_STR(run_for(&f, 50 * MS), "");
    EXPECT(fake_net_is_up(f.net, 0, 1));
    send_text(&f, 0, 1, "hello?");
    EXPECT_STR(run_for(&f, 50 * MS), "0-1 ");
    fixture_close(&f);
}

TEST(fake_net, two_that_dial_each_other_end_with_one_link)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct fixture f;
        struct fake_net_options options = plain;
        options.delay_max_us = 30 * MS;
        test_context("seed %" PRIu64, seed);
        fixture_init(&f, &options, seed);
        struct random r = random_seeded(seed);
        fake_net_connect(f.net, 0, 1, 0);
        (void)run(&f, random_below(&r, 40 * MS));
        fake_net_connect(f.net, 1, 0, f.now_us);
        (void)run_for(&f, 300 * MS);
        send_text(&f, 0, 1, "ping");
        send_text(&f, 1, 0, "pong");
        const char *log = run_for(&f, 100 * MS);
        EXPECT_CONTAINS(log, "1<0ping ");
        EXPECT_CONTAINS(log, "0<1pong ");
        EXPECT_UINT(strlen(log), 16);
        fixture_close(&f);
    }
}

/* --- processes and hosts --- */

TEST(fake_net, a_dead_process_refuses_and_a_dead_host_does_not_answer)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    fake_net_kill(f.net, 1, false, f.now_us);
    EXPECT_STR(run_for(&f, 10 * MS), "0-1 ");
    fake_net_connect(f.net, 0, 1, f.now_us);
    EXPECT_STR(run_for(&f, 10 * MS), "0!1 ");
    fake_net_kill(f.net, 2, true, f.now_us);
    fake_net_connect(f.net, 0, 2, f.now_us);
    EXPECT_STR(run_for(&f, 90 * MS), "");
    EXPECT_STR(run_for(&f, 20 * MS), "0?2 ");
    fake_net_start(f.net, 1, f.now_us);
    fake_net_start(f.net, 2, f.now_us);
    fake_net_connect(f.net, 0, 1, f.now_us);
    fake_net_connect(f.net, 0, 2, f.now_us);
    EXPECT_STR(run_for(&f, 10 * MS), "1+0 2+0 0+1 0+2 ");
    fixture_close(&f);
}

TEST(fake_net, what_a_process_sent_before_it_died_still_arrives)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    send_text(&f, 1, 0, "testament");
    send_text(&f, 0, 1, "unheard");
    fake_net_kill(f.net, 1, false, f.now_us);
    EXPECT_STR(run_for(&f, 10 * MS), "0<1testament 0-1 ");
    fixture_close(&f);
}

TEST(fake_net, a_silent_host_breaks_links_that_send_to_it)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    link_up(&f, 2, 1);
    fake_net_kill(f.net, 1, true, f.now_us);
    send_text(&f, 0, 1, "hello?");
    EXPECT_STR(run_for(&f, 490 * MS), "");
    EXPECT_STR(run_for(&f, 20 * MS), "0-1 ");
    EXPECT(fake_net_is_up(f.net, 2, 1)); /* sent nothing, knows nothing */
    fixture_close(&f);
}

TEST(fake_net, a_link_still_being_set_up_ends_with_its_process)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    fake_net_connect(f.net, 0, 1, 0);
    fake_net_kill(f.net, 0, false, 0);
    EXPECT_STR(run_for(&f, 200 * MS), "1+0 1-0 ");
    fixture_close(&f);
}

TEST(fake_net, a_paused_process_gets_its_events_later_in_order)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    link_up(&f, 0, 2);
    fake_net_pause(f.net, 1, true);
    send_text(&f, 0, 1, "a");
    send_text(&f, 0, 2, "x");
    send_text(&f, 0, 1, "b");
    EXPECT_STR(run_for(&f, 10 * MS), "2<0x ");
    fake_net_close(f.net, 0, 1, f.now_us);
    EXPECT_STR(run_for(&f, 600 * MS), "");
    EXPECT_UINT(fake_net_next_us(f.net), UINT64_MAX);
    fake_net_pause(f.net, 1, false);
    EXPECT(fake_net_next_us(f.net) <= f.now_us);
    EXPECT_STR(run_for(&f, 0), "1<0a 1<0b 1-0 ");
    fixture_close(&f);
}

TEST(fake_net, events_of_a_killed_process_are_told_to_nobody)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    fake_net_pause(f.net, 1, true);
    send_text(&f, 0, 1, "a");
    (void)run_for(&f, 10 * MS);
    fake_net_kill(f.net, 1, false, f.now_us);
    fake_net_start(f.net, 1, f.now_us);
    EXPECT_STR(run_for(&f, 10 * MS), "0-1 ");
    fixture_close(&f);
}

/* What it does before it learns that the link is another one is lost with the old. */
TEST(fake_net, a_process_acts_on_what_it_was_told)
{
    struct fixture f;
    struct fake_net_event event;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    fake_net_pause(f.net, 1, true);
    send_text(&f, 0, 1, "question");
    fake_net_close(f.net, 0, 1, f.now_us);
    fake_net_connect(f.net, 0, 1, f.now_us);
    (void)run_for(&f, 10 * MS);
    EXPECT(fake_net_is_up(f.net, 0, 1));
    fake_net_pause(f.net, 1, false);
    REQUIRE(fake_net_deliver(f.net, f.now_us, &event));
    EXPECT(event.kind == FAKE_NET_MESSAGE);
    send_text(&f, 1, 0, "answer");
    EXPECT_STR(run_for(&f, 10 * MS), "1-0 1+0 ");
    send_text(&f, 1, 0, "hello");
    EXPECT_STR(run_for(&f, 10 * MS), "0<1hello ");
    EXPECT_UINT(fake_net_counts(f.net).stale, 1);
    fixture_close(&f);
}

TEST(fake_net, a_process_that_closes_a_link_hears_no_more_of_it)
{
    struct fixture f;
    struct fake_net_event event;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    fake_net_pause(f.net, 1, true);
    send_text(&f, 0, 1, "a");
    send_text(&f, 0, 1, "b");
    fake_net_close(f.net, 0, 1, f.now_us);
    (void)run_for(&f, 10 * MS);
    fake_net_pause(f.net, 1, false);
    REQUIRE(fake_net_deliver(f.net, f.now_us, &event));
    fake_net_close(f.net, 1, 0, f.now_us);
    EXPECT_STR(run_for(&f, 10 * MS), "");
    EXPECT(!fake_net_is_up(f.net, 1, 0));
    fixture_close(&f);
}

/* --- faults --- */

TEST(fake_net, a_blocked_direction_holds_messages_until_it_opens)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    fake_net_block(f.net, 0, 1, true, f.now_us);
    send_text(&f, 0, 1, "a");
    send_text(&f, 1, 0, "other way");
    EXPECT_STR(run_for(&f, 100 * MS), "0<1other way ");
    send_text(&f, 0, 1, "b");
    fake_net_block(f.net, 0, 1, false, f.now_us); /* "a" waits, "b" is under way */
    EXPECT_STR(run_for(&f, 100 * MS), "1<0a 1<0b ");
    EXPECT_STR(run_for(&f, 1000 * MS), ""); /* and the link does not break any more */
    EXPECT(fake_net_is_up(f.net, 0, 1));
    fixture_close(&f);
}

TEST(fake_net, a_link_that_is_blocked_too_long_breaks_at_both_sides)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    fake_net_block(f.net, 0, 1, true, f.now_us);
    send_text(&f, 0, 1, "a");
    EXPECT_STR(run_for(&f, 502 * MS), "0-1 1-0 ");
    fake_net_connect(f.net, 0, 1, f.now_us);
    EXPECT_STR(run_for(&f, 110 * MS), "0?1 ");
    fake_net_connect(f.net, 1, 0, f.now_us); /* gets through, its answer does not */
    EXPECT_STR(run_for(&f, 110 * MS), "0+1 1?0 ");
    fake_net_heal(f.net, f.now_us);
    send_text(&f, 0, 1, "b");
    EXPECT_STR(run_for(&f, 110 * MS), "0-1 ");
    EXPECT_UINT(fake_net_in_flight(f.net), 0);
    fixture_close(&f);
}

TEST(fake_net, partitions_separate_groups_both_ways)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    link_up(&f, 0, 2);
    link_up(&f, 1, 2);
    fake_net_partition(f.net, (unsigned[]){0, 1, 0}, f.now_us);
    for (size_t from = 0; from < NODES; from++) {
        for (size_t to = 0; to < NODES; to++) {
            if (from != to) {
                send_text(&f, from, to, "m");
            }
        }
    }
    EXPECT_STR(run_for(&f, 10 * MS), "2<0m 0<2m ");
    fake_net_heal(f.net, f.now_us);
    const char *log = run_for(&f, 10 * MS);
    EXPECT_CONTAINS(log, "1<0m ");
    EXPECT_CONTAINS(log, "0<1m ");
    EXPECT_CONTAINS(log, "2<1m ");
    EXPECT_CONTAINS(log, "1<2m ");
    EXPECT_UINT(strlen(log), 20);
    fixture_close(&f);
}

TEST(fake_net, a_reset_link_loses_what_was_under_way)
{
    struct fixture f;
    fixture_init(&f, &plain, 1);
    link_up(&f, 0, 1);
    send_text(&f, 0, 1, "a");
    fake_net_reset(f.net, 1, 0, f.now_us);
    EXPECT_STR(run_for(&f, 10 * MS), "1-0 0-1 ");
    EXPECT_UINT(fake_net_counts(f.net).stale, 1);
    fixture_close(&f);
}

TEST(fake_net, without_order_messages_pass_each_other_but_not_the_link)
{
    struct fixture f;
    struct fake_net_options options = plain;
    options.fifo = false;
    options.delay_max_us = 40 * MS;
    options.duplicate_per_million = 200000;
    options.loss_per_million = 200000;
    fixture_init(&f, &options, 5);
    link_up(&f, 0, 1);
    for (unsigned i = 0; i < 200; i++) {
        send_text(&f, 0, 1, (char[]){(char)('A' + i % 26), '\0'});
    }
    fake_net_close(f.net, 0, 1, f.now_us);
    const char *log = run_for(&f, 100 * MS);
    struct fake_net_counts counts = fake_net_counts(f.net);
    EXPECT_UINT(counts.sent, 200);
    EXPECT(counts.lost > 20 && counts.lost < 60);
    EXPECT(counts.duplicated > 15 && counts.duplicated < 60);
    EXPECT_UINT(counts.delivered, counts.sent - counts.lost + counts.duplicated);
    EXPECT_UINT(counts.stale, 0);
    EXPECT_STR(log + strlen(log) - 4, "1-0 ");
    unsigned backwards = 0;
    for (size_t i = 3; i + 5 < strlen(log) - 4; i += 5) {
        backwards += log[i + 5] < log[i];
    }
    EXPECT(backwards > 50);
    fixture_close(&f);
}

TEST(fake_net, a_few_messages_are_slow_if_asked_for)
{
    struct fixture f;
    struct fake_net_options options = plain;
    options.fifo = false;
    options.slow_per_million = 100000;
    options.slow_max_us = 1000 * MS;
    fixture_init(&f, &options, 5);
    fake_net_connect(f.net, 0, 1, 0);
    (void)run(&f, 3000 * MS);
    for (unsigned i = 0; i < 100; i++) {
        send_text(&f, 0, 1, "m");
    }
    size_t fast = strlen(run_for(&f, 1 * MS)) / 5;
    size_t slow = strlen(run_for(&f, 1000 * MS)) / 5;
    EXPECT_UINT(fast + slow, 100);
    EXPECT(slow > 2 && slow < 25);
    fixture_close(&f);
}

/* --- by chance --- */

/* Everything at random; then nothing may be left, and what arrived on a link is
 * what was sent on it, in order. */
struct chaos {
    struct fixture f;
    struct random random;
    uint64_t sent_number;
    uint64_t epochs[NODES][NODES];  /* by the events told; 0: down */
    uint64_t numbers[NODES][NODES]; /* last number got on this link */
    bool alive[NODES];
    bool paused[NODES];
    uint64_t delivered;
};

static void chaos_event(struct chaos *c, const struct fake_net_event *event)
{
    uint64_t *epoch = &c->epochs[event->node][event->peer];
    EXPECT(c->alive[event->node]);
    EXPECT(!c->paused[event->node]);
    switch (event->kind) {
    case FAKE_NET_UP:
        EXPECT_UINT(*epoch, 0);
        EXPECT(event->epoch > 0);
        *epoch = event->epoch;
        c->numbers[event->node][event->peer] = 0;
        break;
    case FAKE_NET_DOWN:
        EXPECT_UINT(*epoch, event->epoch);
        *epoch = 0;
        break;
    case FAKE_NET_MESSAGE: {
        REQUIRE_UINT(event->data.size, 16);
        uint64_t number = bytes_get_u64(event->data.data);
        EXPECT_UINT(*epoch, event->epoch);
        EXPECT_UINT(bytes_get_u64(event->data.data + 8), event->epoch);
        EXPECT(number > c->numbers[event->node][event->peer]);
        c->numbers[event->node][event->peer] = number;
        c->delivered++;
        break;
    }
    case FAKE_NET_REFUSED:
    case FAKE_NET_UNREACHABLE:
        EXPECT_UINT(*epoch, 0);
        break;
    }
}

static void chaos_run(struct chaos *c, uint64_t until_us)
{
    struct fake_net_event event;
    for (;;) {
        while (fake_net_deliver(c->f.net, c->f.now_us, &event)) {
            chaos_event(c, &event);
        }
        uint64_t next = fake_net_next_us(c->f.net);
        if (next > until_us) {
            break;
        }
        c->f.now_us = next;
    }
    c->f.now_us = until_us;
}

static void chaos_send(struct chaos *c, size_t from, size_t to)
{
    uint8_t data[16];
    bytes_put_u64(data, ++c->sent_number);
    bytes_put_u64(data + 8, c->epochs[from][to]);
    bool sent = fake_net_send(c->f.net, from, to, bytes_of(data, sizeof data), c->f.now_us);
    EXPECT(sent == (c->epochs[from][to] != 0));
}

static void chaos_forget(struct chaos *c, size_t node)
{
    for (size_t peer = 0; peer < NODES; peer++) {
        c->epochs[node][peer] = 0;
    }
}

static void chaos_step(struct chaos *c)
{
    struct fake_net *net = c->f.net;
    size_t from = (size_t)random_below(&c->random, NODES);
    size_t to = (from + 1 + (size_t)random_below(&c->random, NODES - 1)) % NODES;
    uint64_t what = random_below(&c->random, 100);
    if (!c->alive[from]) {
        if (what < 20) {
            fake_net_start(net, from, c->f.now_us);
            c->alive[from] = true;
        }
    } else if (c->paused[from]) {
        if (what < 20) {
            fake_net_pause(net, from, false);
            c->paused[from] = false;
        }
    } else if (what < 60) {
        chaos_send(c, from, to);
    } else if (what < 80) {
        fake_net_connect(net, from, to, c->f.now_us);
    } else if (what < 85) {
        fake_net_close(net, from, to, c->f.now_us);
        c->epochs[from][to] = 0;
    } else if (what < 92) {
        fake_net_block(net, from, to, random_chance(&c->random, 1, 2), c->f.now_us);
    } else if (what < 94) {
        fake_net_kill(net, from, random_chance(&c->random, 1, 2), c->f.now_us);
        c->alive[from] = false;
        chaos_forget(c, from);
    } else if (what < 96) {
        fake_net_reset(net, from, to, c->f.now_us);
        chaos_run(c, c->f.now_us);
    } else if (what < 97) {
        fake_net_heal(net, c->f.now_us);
    } else {
        fake_net_pause(net, from, true);
        c->paused[from] = true;
    }
    /* All that happened up to now is known before the next step. */
    chaos_run(c, c->f.now_us + random_below(&c->random, 5 * MS));
}

static void chaos_all_talk(struct chaos *c)
{
    for (size_t i = 0; i < NODES * NODES; i++) {
        size_t from = i / NODES;
        size_t to = i % NODES;
        if (from != to) {
            fake_net_connect(c->f.net, from, to, c->f.now_us);
            chaos_send(c, from, to); /* finds out that a link is gone */
        }
    }
}

/* After healing, everyone reaches everyone. */
static void chaos_settle(struct chaos *c)
{
    fake_net_heal(c->f.net, c->f.now_us);
    for (size_t node = 0; node < NODES; node++) {
        if (!c->alive[node]) {
            fake_net_start(c->f.net, node, c->f.now_us);
            c->alive[node] = true;
        }
        fake_net_pause(c->f.net, node, false);
        c->paused[node] = false;
    }
    chaos_run(c, c->f.now_us);
    for (unsigned round = 0; round < 6; round++) {
        chaos_all_talk(c);
        chaos_run(c, c->f.now_us + 700 * MS);
    }
    for (size_t i = 0; i < NODES * NODES; i++) {
        size_t from = i / NODES;
        size_t to = i % NODES;
        EXPECT(from == to || c->epochs[from][to] != 0);
        EXPECT_UINT(c->epochs[from][to], c->epochs[to][from]);
    }
    EXPECT_UINT(fake_net_in_flight(c->f.net), 0);
    EXPECT_UINT(fake_net_next_us(c->f.net), UINT64_MAX);
}

static uint64_t chaos(uint64_t seed)
{
    struct chaos c = {.random = random_seeded(seed), .alive = {true, true, true}};
    struct fake_net_options options = plain;
    options.delay_max_us = 20 * MS;
    fixture_init(&c.f, &options, seed);
    for (unsigned step = 0; step < 400; step++) {
        chaos_step(&c);
    }
    chaos_settle(&c);
    uint64_t delivered = c.delivered;
    EXPECT_UINT(fake_net_counts(c.f.net).delivered, delivered);
    fixture_close(&c.f);
    return delivered;
}

TEST(fake_net, links_keep_their_promises_under_everything_at_once)
{
    size_t before = mem_in_use();
    for (uint64_t seed = 0; seed < 300; seed++) {
        test_context("seed %" PRIu64, seed);
        uint64_t delivered = chaos(seed);
        EXPECT(delivered > 20);
        EXPECT(seed % 50 != 0 || chaos(seed) == delivered); /* the same again */
    }
    EXPECT_UINT(mem_in_use(), before);
}
