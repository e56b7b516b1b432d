/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer_net.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/test/peer_fixture.h"

/* --- links come and go --- */

TEST(peer_net, one_dials_and_both_are_up)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    EXPECT_UINT(a->hello.directory_id, 2);
    EXPECT_STR(a->hello.name, "n2");
    EXPECT_STR(a->hello.peer_address, loop_address(peer_net_port(b->net)));
    EXPECT_UINT(a->hello.protocol, PEER_PROTOCOL);
    EXPECT_UINT(b->hello.nonce, 101);
    EXPECT(send_text(a, 2, "to b"));
    EXPECT(send_text(b, 1, "to a"));
    WAIT_FOR(&f->loop, a->messages == 1 && b->messages == 1);
    EXPECT_MEM(a->last.data, "to a", 4);
    EXPECT_MEM(b->last.data, "to b", 4);
    EXPECT_UINT(stats_of(a, 2).messages_sent, 1);
    EXPECT_UINT(stats_of(a, 2).messages_received, 1);
    EXPECT_UINT(stats_of(a, 2).links, 1);
    fixture_close(f);
}

/* Everybody dials everybody, itself too, in an order that 'round' chooses. */
static void dial_all(struct fixture *f, unsigned round)
{
    for (size_t i = 0; i < 9; i++) {
        dial(&f->nodes[(i + round) % 3], &f->nodes[(i / 3 + round / 3) % 3]);
        if (round % 4 == 3) {
            loop_turn(&f->loop);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        WAIT_FOR(&f->loop, linked(&f->nodes[i], &f->nodes[(i + 1) % 3]));
    }
    turn(f, 8); /* whatever is still under way ends */
}

/* Whoever dials whom, in whatever order: one link for each pair stays, and it is
 * the same one on both sides, since messages pass both ways. */
TEST(peer_net, three_nodes_that_all_dial_end_with_one_link_each)
{
    for (unsigned round = 0; round < 20; round++) {
        struct fixture *f = fixture_open(3);
        dial_all(f, round);
        unsigned ups[3];
        for (size_t i = 0; i < 3; i++) {
            struct node *n = &f->nodes[i];
            EXPECT_UINT(n->ups - n->downs, 2);
            EXPECT_UINT(n->deads + n->refusals, 0);
            ups[i] = n->ups;
            EXPECT(send_text(n, (i + 1) % 3 + 1, "x"));
            EXPECT(send_text(n, (i + 2) % 3 + 1, "x"));
        }
        const struct node *n = f->nodes;
        WAIT_FOR(&f->loop, n[0].messages == 2 && n[1].messages == 2 && n[2].messages == 2);
        for (size_t i = 0; i < 3; i++) {
            EXPECT_UINT(n[i].ups, ups[i]); /* stable */
        }
        fixture_close(f);
    }
}

TEST(peer_net, link_is_made_again_after_it_was_closed)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    dial(b, a);
    WAIT_FOR(&f->loop, linked(a, b));
    peer_net_disconnect(a->net, 2, "for a test");
    EXPECT_UINT(a->downs, 1);
    EXPECT_STR(a->down_reason, "for a test");
    EXPECT(!send_text(a, 2, "lost"));
    EXPECT_UINT(stats_of(a, 2).messages_dropped, 1);
    WAIT_FOR(&f->loop, b->downs >= 1 && linked(a, b));
    EXPECT_UINT(a->deads, 0); /* it still listens */
    EXPECT_UINT(b->deads, 0);
    fixture_close(f);
}

TEST(peer_net, restarted_peer_is_found_at_its_address)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    char address[64];
    (void)snprintf(address, sizeof address, "%s", loop_address(peer_net_port(b->net)));
    node_close(b);
    WAIT_FOR(&f->loop, a->downs == 1 && a->deads == 1);
    node_open(f, 1, address);
    WAIT_FOR(&f->loop, a->ups == 2);
    EXPECT_UINT(a->hello.start_counter, 2);
    EXPECT_UINT(a->deads, 1);
    fixture_close(f);
}

/* A peer that starts anew before we notice that its old process is gone: the new
 * start replaces the old link, whose input is not read any more. */
TEST(peer_net, newer_start_replaces_the_link_of_an_older_one)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(b, a);
    WAIT_FOR(&f->loop, linked(a, b));
    /* The new process of the same directory, beside the old one. */
    struct node *again = &f->nodes[2];
    again->options = b->options;
    again->options.context = again;
    again->options.hello.start_counter++;
    again->id = b->id;
    REQUIRE_OK(peer_net_open(&again->options, &again->net, NULL));
    dial(again, a);
    WAIT_FOR(&f->loop, again->ups == 1 && a->ups == 2);
    EXPECT_UINT(a->downs, 1);
    EXPECT_STR(a->down_reason, "replaced by a new link");
    EXPECT_UINT(a->deads, 0);
    EXPECT_UINT(a->hello.start_counter, 2);
    /* And the older start does not get it back. */
    WAIT_FOR(&f->loop, b->downs == 1);
    turn(f, 10);
    EXPECT_UINT(a->ups, 2);
    EXPECT(!peer_net_is_up(b->net, 1));
    fixture_close(f);
}

static void wait_for_all(struct fixture *f)
{
    for (size_t i = 0; i < 3; i++) {
        WAIT_FOR(&f->loop, linked(&f->nodes[i], &f->nodes[(i + 1) % 3]));
    }
}

TEST(peer_net, messages_keep_their_order_through_lost_links)
{
    enum { MESSAGES = 3000 };
    struct fixture *f = fixture_open(3);
    for (size_t i = 0; i < 3; i++) {
        dial(&f->nodes[i], &f->nodes[(i + 1) % 3]);
        dial(&f->nodes[i], &f->nodes[(i + 2) % 3]);
    }
    wait_for_all(f);
    for (uint32_t m = 0; m < MESSAGES; m++) {
        for (size_t i = 0; i < 3; i++) {
            uint8_t number[4];
            bytes_put_u32(number, m);
            struct bytes part = bytes_of(number, 4);
            (void)peer_net_send(f->nodes[i].net, (i + 1) % 3 + 1, &part, 1);
            (void)peer_net_send(f->nodes[i].net, (i + 2) % 3 + 1, &part, 1);
        }
        if (m % 100 == 0) {
            loop_turn(&f->loop);
        }
        if (m % 500 == 499) {
            peer_net_disconnect(f->nodes[m % 3].net, (m + 1) % 3 + 1, "for a test");
        }
    }
    wait_for_all(f);
    turn(f, 5);
    for (size_t i = 0; i < 3; i++) {
        EXPECT(!f->nodes[i].out_of_order);
        EXPECT(f->nodes[i].messages > 100); /* most, but a slow machine loses more */
    }
    fixture_close(f);
}

TEST(peer_net, forgotten_addresses_are_not_dialed)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    peer_net_forget(a->net, loop_address(peer_net_port(b->net)));
    turn(f, 3);
    EXPECT(linked(a, b)); /* a link that is up stays */
    peer_net_disconnect(a->net, 2, "for a test");
    turn(f, 10);
    EXPECT(!peer_net_is_up(a->net, 2));
    EXPECT_UINT(a->ups, 1);
    fixture_close(f);
}

TEST(peer_net, addresses_are_checked_and_bounded)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    struct err e;
    EXPECT_ERR(peer_net_dial(a->net, "nowhere", &e), ERR_INVALID);
    for (unsigned i = 0; i < PEER_TARGETS_MAX; i++) {
        char address[64];
        (void)snprintf(address, sizeof address, "127.0.0.1:%u", 1 + i);
        EXPECT_OK(peer_net_dial(a->net, address, &e));
        EXPECT_OK(peer_net_dial(a->net, address, &e)); /* twice is once */
    }
    EXPECT_ERR(peer_net_dial(a->net, "127.0.0.1:9999", &e), ERR_FULL);
    struct peer_net *second = NULL;
    struct peer_net_options options = a->options;
    options.listen = loop_address(peer_net_port(a->net));
    EXPECT_ERR(peer_net_open(&options, &second, &e), ERR_EXISTS);
    fixture_close(f);
}

/* --- decisions --- */

TEST(peer_net, owner_may_decide_later)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    a->policy = LATER;
    b->policy = LATER;
    dial(a, b);
    WAIT_FOR(&f->loop, b->hellos == 1);
    turn(f, 3);
    EXPECT_UINT(a->hellos, 0);
    peer_net_accept(b->net, b->offer);
    WAIT_FOR(&f->loop, a->hellos == 1);
    turn(f, 3);
    EXPECT_UINT(a->ups + b->ups, 0);          /* one acceptance is not enough */
    peer_net_accept(a->net, a->offer + 1000); /* no such offer */
    peer_net_accept(a->net, a->offer);
    WAIT_FOR(&f->loop, linked(a, b));
    peer_net_accept(a->net, a->offer); /* decided already */
    fixture_close(f);
}

TEST(peer_net, refusal_reaches_the_other_side_with_its_reason)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    b->policy = REFUSE;
    b->refusal = (struct peer_refusal){
        .reason = "a later start was seen", .rolled_back = true, .seen_counter = 9};
    dial(a, b);
    WAIT_FOR(&f->loop, a->refusals == 1);
    EXPECT_UINT(a->refused_by, 2);
    EXPECT_STR(a->refusal.reason, "a later start was seen");
    EXPECT(a->refusal.rolled_back);
    EXPECT(!a->refusal.removed);
    EXPECT_UINT(a->refusal.seen_counter, 9);
    /* Asked again, but slowly. */
    unsigned before = b->hellos;
    uint64_t start = uv_now(&f->loop.uv);
    WAIT_FOR(&f->loop, a->refusals == 4);
    EXPECT(uv_now(&f->loop.uv) - start >= 3 * 30);
    EXPECT_UINT(b->hellos, before + 3);
    b->policy = ACCEPT;
    WAIT_FOR(&f->loop, linked(a, b));
    fixture_close(f);
}

TEST(peer_net, dialer_may_refuse_too)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    a->policy = REFUSE;
    a->refusal = (struct peer_refusal){.reason = "removed", .removed = true};
    dial(a, b);
    WAIT_FOR(&f->loop, b->refusals == 1);
    EXPECT_UINT(b->refused_by, 1);
    EXPECT(b->refusal.removed);
    EXPECT_UINT(a->ups + b->ups, 0);
    fixture_close(f);
}

/* Both sides want proof of start 7 before they accept. */
TEST(peer_net, nonces_are_asked_for_and_given)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    a->policy = ASK_FIRST;
    b->policy = ASK_FIRST;
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    EXPECT_UINT(a->hellos, 2);
    EXPECT_UINT(b->hellos, 2);
    EXPECT_UINT(a->hello.known_counter, 7);
    EXPECT_UINT(a->hello.known_nonce, 77);
    EXPECT_UINT(b->hello.known_nonce, 77);
    EXPECT_UINT(a->asked, 1);
    EXPECT_UINT(b->asked, 1);
    fixture_close(f);
}

TEST(peer_net, undecided_offers_end)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    b->options.hello_ms = 40;
    node_open(f, 1, "127.0.0.1:0");
    b->policy = LATER;
    dial(a, b);
    WAIT_FOR(&f->loop, b->hellos == 1);
    uint64_t first = b->offer;
    WAIT_FOR(&f->loop, b->hellos == 2); /* it ended, and a asked anew */
    peer_net_accept(b->net, first);     /* too late: nothing */
    turn(f, 1);
    EXPECT_UINT(b->ups, 0);
    fixture_close(f);
}

TEST(peer_net, hello_may_change_for_later_links)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    struct peer_hello hello = a->options.hello;
    hello.cluster_id = 99;
    peer_net_set_hello(a->net, &hello);
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    EXPECT_UINT(b->hello.cluster_id, 99);
    EXPECT_STR(b->hello.peer_address, loop_address(peer_net_port(a->net)));
    fixture_close(f);
}

TEST(peer_net, own_address_is_left_alone)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    dial(a, a);
    turn(f, 10);
    EXPECT_UINT(a->hellos, 0);
    EXPECT_UINT(a->ups + a->downs + a->refusals, 0);
    fixture_close(f);
}

/* One node under two names: one link, and no attempts for ever. */
TEST(peer_net, second_address_of_a_linked_node_is_quiet)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    char alias[64];
    (void)snprintf(alias, sizeof alias, "localhost:%u", (unsigned)peer_net_port(b->net));
    EXPECT_OK(peer_net_dial(a->net, alias, NULL));
    turn(f, 10);
    unsigned hellos = b->hellos;
    turn(f, 10);
    EXPECT_UINT(b->hellos, hellos);
    EXPECT_UINT(a->ups, 1);
    EXPECT_UINT(b->ups, 1);
    fixture_close(f);
}

/* --- death --- */

TEST(peer_net, closed_link_and_refused_address_mean_dead)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(b, a); /* a never dialed it: the address comes from its hello */
    WAIT_FOR(&f->loop, linked(a, b));
    node_close(b);
    uint64_t start = uv_now(&f->loop.uv);
    WAIT_FOR(&f->loop, a->deads == 1);
    EXPECT(uv_now(&f->loop.uv) - start < 1000);
    EXPECT_UINT(a->downs, 1);
    turn(f, 5);
    EXPECT_UINT(a->deads, 1); /* once */
    fixture_close(f);
}

/* The other process: a node that accepts everybody, until it is killed. */
static void run_until_killed(int port_fd)
{
    struct fixture *f = fixture_open(0);
    node_open(f, 1, "127.0.0.1:0");
    uint16_t port = peer_net_port(f->nodes[1].net);
    if (write(port_fd, &port, sizeof port) == (ssize_t)sizeof port) {
        (void)uv_run(&f->loop.uv, UV_RUN_DEFAULT);
    }
    _exit(1);
}

/* Rule I of the design: kill -9 closes the link and the port, in a moment. */
TEST(peer_net, killed_process_is_known_to_be_dead_at_once)
{
    int fds[2];
    REQUIRE_INT(pipe(fds), 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        run_until_killed(fds[1]);
    }
    uint16_t port = 0;
    REQUIRE_INT(read(fds[0], &port, sizeof port), sizeof port);
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    EXPECT_OK(peer_net_dial(a->net, loop_address(port), NULL));
    WAIT_FOR(&f->loop, a->ups == 1);
    EXPECT_INT(kill(child, SIGKILL), 0);
    EXPECT_INT(waitpid(child, NULL, 0), child);
    uv_update_time(&f->loop.uv);
    uint64_t start = uv_now(&f->loop.uv);
    WAIT_FOR(&f->loop, a->deads == 1);
    EXPECT(uv_now(&f->loop.uv) - start < 1000); /* a few ms, on an idle machine */
    EXPECT_UINT(a->downs, 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
    fixture_close(f);
}

/* --- limits and silence --- */

TEST(peer_net, full_queue_drops_large_messages_before_small_ones)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    b->options.queue_size_max = 100 * 1000;
    node_open(f, 1, "127.0.0.1:0");
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    uint8_t *large = mem_zalloc(10000);
    struct bytes part = bytes_of(large, 10000);
    unsigned sent = 0;
    while (peer_net_send(b->net, 1, &part, 1)) {
        sent++;
        REQUIRE(sent < 100);
    }
    EXPECT_UINT(sent, 9);
    EXPECT_UINT(stats_of(b, 1).messages_dropped, 1);
    EXPECT(stats_of(b, 1).queued <= 100 * 1000);
    EXPECT(send_text(b, 1, "heartbeat"));
    struct bytes small = bytes_of(large, PEER_SMALL_SIZE_MAX);
    unsigned small_sent = 0;
    while (peer_net_send(b->net, 1, &small, 1)) {
        small_sent++;
        REQUIRE(small_sent < 1000);
    }
    EXPECT(stats_of(b, 1).queued <= 100 * 1000 + PEER_RESERVE_SIZE);
    WAIT_FOR(&f->loop, a->messages == 9 + 1 + small_sent);
    EXPECT_UINT(stats_of(b, 1).queued, 0);
    EXPECT(peer_net_send(b->net, 1, &part, 1));
    mem_free(large);
    fixture_close(f);
}

TEST(peer_net, largest_frame_passes_in_parts)
{
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    uint8_t *large = mem_zalloc(LIMIT_FRAME_SIZE_MAX);
    for (size_t i = 0; i < LIMIT_FRAME_SIZE_MAX; i++) {
        large[i] = (uint8_t)(i * 7 >> 3);
    }
    struct bytes parts[] = {bytes_of(large, 10), bytes_of(large + 10, 0),
                            bytes_of(large + 10, LIMIT_FRAME_SIZE_MAX - 10)};
    EXPECT(peer_net_send(a->net, 2, parts, 3));
    WAIT_FOR(&f->loop, b->messages == 1);
    REQUIRE_UINT(b->last.size, LIMIT_FRAME_SIZE_MAX);
    EXPECT(memcmp(b->last.data, large, LIMIT_FRAME_SIZE_MAX) == 0);
    mem_free(large);
    fixture_close(f);
}

TEST(peer_net, quiet_links_are_kept_alive)
{
    struct fixture *f = fixture_open(0);
    for (size_t i = 0; i < 2; i++) {
        f->nodes[i].options.keepalive_ms = 20;
        f->nodes[i].options.idle_ms = 200;
        node_open(f, i, "127.0.0.1:0");
    }
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    uint64_t start = uv_now(&f->loop.uv);
    WAIT_FOR(&f->loop, uv_now(&f->loop.uv) > start + 600);
    EXPECT_UINT(a->downs + b->downs, 0);
    EXPECT_UINT(a->messages + b->messages, 0); /* owners see nothing of it */
    fixture_close(f);
}
