/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer_net.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_conn.h"
#include "rpc/net_listener.h"
#include "rpc/peer_frame.h"
#include "rpc/test/loop.h"

enum { NODES_MAX = 3, LOG_MAX = 256 };

/* What the owner of one peer_net does with hellos. */
enum policy { ACCEPT, REFUSE, LATER, ASK_FIRST };

struct node {
    struct peer_net *net;
    struct peer_net_options options;
    enum policy policy;
    uint64_t id;
    uint64_t offer;          /* the last one */
    struct peer_hello hello; /* the last one */
    struct peer_refusal refusal;
    unsigned hellos, ups, downs, deads, refusals;
    uint64_t refused_by;
    unsigned messages;
    size_t bytes;
    struct buf last;
    uint32_t next[NODES_MAX + 1]; /* next number expected from node i */
    bool out_of_order;
    char down_reason[100];
    unsigned asked; /* nonces that we were asked for */
};

struct fixture {
    struct loop loop;
    struct node nodes[NODES_MAX];
};

static void on_hello(void *context, uint64_t offer, const struct peer_hello *hello)
{
    struct node *n = context;
    n->hellos++;
    n->offer = offer;
    n->hello = *hello;
    switch (n->policy) {
    case ACCEPT:
        peer_net_accept(n->net, offer);
        break;
    case REFUSE:
        peer_net_refuse(n->net, offer, &n->refusal);
        break;
    case ASK_FIRST:
        if (hello->known_counter == 7) {
            peer_net_accept(n->net, offer);
        } else {
            peer_net_ask(n->net, offer, 7);
        }
        break;
    case LATER:
        break;
    }
}

static void on_up(void *context, uint64_t id, const struct peer_hello *hello)
{
    struct node *n = context;
    n->ups++;
    EXPECT_UINT(hello->directory_id, id);
    EXPECT(peer_net_is_up(n->net, id));
}

static void on_down(void *context, uint64_t id, const char *reason)
{
    struct node *n = context;
    n->downs++;
    (void)snprintf(n->down_reason, sizeof n->down_reason, "%s", reason);
    EXPECT(!peer_net_is_up(n->net, id));
}

static void on_dead(void *context, uint64_t id)
{
    (void)id;
    ((struct node *)context)->deads++;
}

static void on_message(void *context, uint64_t id, struct bytes message)
{
    struct node *n = context;
    n->messages++;
    n->bytes += message.size;
    buf_reset(&n->last);
    buf_put_bytes(&n->last, message);
    if (message.size == 4 && id <= NODES_MAX) {
        uint32_t number = bytes_get_u32(message.data);
        /* Links may lose, never repeat or reorder. */
        n->out_of_order = n->out_of_order || number < n->next[id];
        n->next[id] = number + 1;
    }
}

static void on_refused(void *context, uint64_t id, const struct peer_refusal *refusal)
{
    struct node *n = context;
    n->refusals++;
    n->refused_by = id;
    n->refusal = *refusal;
}

static uint64_t nonce_of(void *context, uint64_t start_counter)
{
    struct node *n = context;
    n->asked++;
    return start_counter == 7 ? 77 : 0;
}

static const struct peer_events events = {on_hello,   on_up,      on_down, on_dead,
                                          on_message, on_refused, nonce_of};

static void node_open(struct fixture *f, size_t i, const char *listen)
{
    struct node *n = &f->nodes[i];
    n->id = i + 1;
    struct peer_net_options *o = &n->options;
    o->loop = &f->loop.uv;
    o->listen = listen;
    o->hello.directory_id = n->id;
    o->hello.start_counter++;
    o->hello.nonce = 100 * n->id + o->hello.start_counter;
    (void)snprintf(o->hello.name, sizeof o->hello.name, "n%u", (unsigned)n->id);
    o->seed = n->id;
    o->events = &events;
    o->context = n;
    o->backoff_min_ms = 5;
    o->backoff_max_ms = 50;
    o->refused_ms = 60;
    struct err e;
    REQUIRE_OK(peer_net_open(o, &n->net, &e));
}

static struct fixture *fixture_open(size_t count)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    for (size_t i = 0; i < count; i++) {
        node_open(f, i, "127.0.0.1:0");
    }
    return f;
}

static void node_close(struct node *n)
{
    peer_net_close(n->net);
    n->net = NULL;
}

static void fixture_close(struct fixture *f)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        node_close(&f->nodes[i]);
        buf_deinit(&f->nodes[i].last);
    }
    loop_close(&f->loop);
    mem_free(f);
}

static void dial(struct node *from, const struct node *to)
{
    EXPECT_OK(peer_net_dial(from->net, loop_address(peer_net_port(to->net)), NULL));
}

static bool linked(const struct node *a, const struct node *b)
{
    return peer_net_is_up(a->net, b->id) && peer_net_is_up(b->net, a->id);
}

static bool send_text(struct node *n, uint64_t id, const char *text)
{
    struct bytes part = bytes_str(text);
    return peer_net_send(n->net, id, &part, 1);
}

static void turn(struct fixture *f, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        loop_turn(&f->loop);
    }
}

static struct peer_stats stats_of(const struct node *n, uint64_t id)
{
    struct peer_stats stats;
    peer_net_stats(n->net, id, &stats);
    return stats;
}

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

/* Whoever dials whom, in whatever order: one link for each pair stays, and it is
 * the same one on both sides, since messages pass both ways. */
TEST(peer_net, three_nodes_that_all_dial_end_with_one_link_each)
{
    for (unsigned round = 0; round < 20; round++) {
        struct fixture *f = fixture_open(3);
        for (size_t i = 0; i < 9; i++) {
            size_t from = (i + round) % 3;
            size_t to = (i / 3 + round / 3) % 3;
            dial(&f->nodes[from], &f->nodes[to]); /* itself too */
            if (round % 4 == 3) {
                loop_turn(&f->loop);
            }
        }
        for (size_t i = 0; i < 3; i++) {
            WAIT_FOR(&f->loop, linked(&f->nodes[i], &f->nodes[(i + 1) % 3]));
        }
        turn(f, 8); /* whatever is still under way ends */
        unsigned ups[3];
        for (size_t i = 0; i < 3; i++) {
            struct node *n = &f->nodes[i];
            EXPECT_UINT(n->ups - n->downs, 2);
            EXPECT_UINT(n->deads, 0);
            EXPECT_UINT(n->refusals, 0);
            ups[i] = n->ups;
            EXPECT(send_text(n, (i + 1) % 3 + 1, "x"));
            EXPECT(send_text(n, (i + 2) % 3 + 1, "x"));
        }
        for (size_t i = 0; i < 3; i++) {
            WAIT_FOR(&f->loop, f->nodes[i].messages == 2);
            EXPECT_UINT(f->nodes[i].ups, ups[i]); /* stable */
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

TEST(peer_net, messages_keep_their_order_through_lost_links)
{
    enum { MESSAGES = 3000 };
    struct fixture *f = fixture_open(3);
    for (size_t i = 0; i < 3; i++) {
        dial(&f->nodes[i], &f->nodes[(i + 1) % 3]);
        dial(&f->nodes[i], &f->nodes[(i + 2) % 3]);
    }
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
    WAIT_FOR(&f->loop, linked(&f->nodes[0], &f->nodes[1]) && linked(&f->nodes[1], &f->nodes[2]) &&
                           linked(&f->nodes[2], &f->nodes[0]));
    turn(f, 5);
    for (size_t i = 0; i < 3; i++) {
        EXPECT(!f->nodes[i].out_of_order);
        EXPECT(f->nodes[i].messages > MESSAGES / 2);
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

/* --- others on the port, played by raw bytes --- */

struct raw {
    struct net_conn conn; /* first */
    struct net_loop net;
    struct peer_inbox inbox;
    unsigned frames;
    struct peer_welcome welcome; /* the first frame, as one */
    bool connected, ended, net_closed;
};

static void on_raw_connected(struct net_conn *c)
{
    ((struct raw *)c)->connected = true;
}

static void on_raw_read(struct net_conn *c, struct bytes input)
{
    struct raw *r = (struct raw *)c;
    r->inbox.size_max = 1 << 20;
    peer_inbox_push(&r->inbox, input);
    struct bytes message;
    while (peer_inbox_next(&r->inbox, &message) == PEER_FRAME_MESSAGE) {
        if (r->frames++ == 0) {
            EXPECT_OK(peer_welcome_decode(message, &r->welcome, NULL));
        }
    }
}

static void on_raw_ended(struct net_conn *c, int status)
{
    (void)status;
    ((struct raw *)c)->ended = true;
}

static void on_raw_closed(struct net_conn *c)
{
    (void)c;
}

static void on_raw_net_closed(void *owner)
{
    ((struct raw *)owner)->net_closed = true;
}

static struct raw *raw_open(struct fixture *f, const struct node *to)
{
    static const struct net_conn_ops ops = {.connected = on_raw_connected,
                                            .read = on_raw_read,
                                            .ended = on_raw_ended,
                                            .closed = on_raw_closed};
    struct raw *r = mem_zalloc(sizeof *r);
    net_loop_init(&r->net, &f->loop.uv, on_raw_net_closed, r);
    struct net_address address;
    REQUIRE_OK(net_address_parse(loop_address(peer_net_port(to->net)), &address, NULL));
    net_conn_dial(&r->conn, &r->net, &ops, &address, 5000);
    WAIT_FOR(&f->loop, r->connected);
    return r;
}

static void raw_close(struct fixture *f, struct raw *r)
{
    net_conn_close(&r->conn);
    net_loop_close(&r->net);
    WAIT_FOR(&f->loop, r->net_closed);
    peer_inbox_deinit(&r->inbox);
    mem_free(r);
}

static void raw_put(struct raw *r, struct buf *message)
{
    struct bytes part = buf_bytes(message);
    peer_frame_put(&r->conn.out, &part, 1);
    net_conn_mark(&r->conn);
    buf_deinit(message);
}

static void raw_hello(struct raw *r, uint32_t protocol)
{
    struct peer_hello hello = {
        .protocol = protocol, .directory_id = 50, .start_counter = 1, .nonce = 1};
    struct buf b = {0};
    peer_hello_encode(&hello, &b);
    raw_put(r, &b);
}

/* A link that is up, with a raw other side whose id is 50. */
static struct raw *raw_link(struct fixture *f, struct node *to)
{
    struct raw *r = raw_open(f, to);
    raw_hello(r, PEER_PROTOCOL);
    WAIT_FOR(&f->loop, r->frames == 1);
    EXPECT(r->welcome.accepted);
    EXPECT_UINT(r->welcome.hello.directory_id, to->id);
    struct peer_welcome w = {.accepted = true};
    struct buf b = {0};
    peer_welcome_encode(&w, &b);
    raw_put(r, &b);
    WAIT_FOR(&f->loop, peer_net_is_up(to->net, 50));
    return r;
}

TEST(peer_net, garbage_closes_its_connection_and_nothing_else)
{
    static const char *const garbage[] = {
        "GET / HTTP/1.1\r\n\r\n", /* a size of half a gigabyte */
        "\x04\0\0\0\0\0\0\0"
        "abcd",                     /* a wrong checksum */
        "\xff\xff\xff\x7f\0\0\0\0", /* a size over every limit */
        "\x01\x30\0\0\0\0\0\0",     /* over that of a hand-shake */
        "\x09\0\0\0\x83\x92\x06\xe3"
        "123456789", /* a good frame, not a Hello */
    };
    static const size_t sizes[] = {18, 12, 8, 8, 17};
    struct fixture *f = fixture_open(2);
    struct node *a = &f->nodes[0];
    struct node *b = &f->nodes[1];
    dial(a, b);
    WAIT_FOR(&f->loop, linked(a, b));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct raw *r = raw_open(f, b);
        buf_put(&r->conn.out, garbage[i], sizes[i]);
        net_conn_mark(&r->conn);
        WAIT_FOR(&f->loop, r->ended);
        EXPECT_UINT(r->frames, 0);
        raw_close(f, r);
    }
    EXPECT(linked(a, b));
    EXPECT_UINT(b->hellos, 1);
    EXPECT_UINT(b->downs, 0);
    fixture_close(f);
}

TEST(peer_net, frames_may_come_in_single_bytes)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    struct raw *r = raw_link(f, a);
    struct buf message = {0};
    buf_put(&message, "slowly", 6);
    struct buf frame = {0};
    struct bytes part = buf_bytes(&message);
    peer_frame_put(&frame, &part, 1);
    for (size_t i = 0; i < frame.size; i++) {
        EXPECT_UINT(a->messages, 0);
        buf_put_u8(&r->conn.out, frame.data[i]);
        net_conn_mark(&r->conn);
        loop_turn(&f->loop);
    }
    WAIT_FOR(&f->loop, a->messages == 1);
    EXPECT_MEM(a->last.data, "slowly", 6);
    buf_deinit(&frame);
    buf_deinit(&message);
    raw_close(f, r);
    fixture_close(f);
}

TEST(peer_net, bad_frame_on_a_link_ends_it)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *reason;
    } cases[] = {{"\x04\0\0\0\0\0\0\0"
                  "abcd",
                  12, "checksum"},
                 {"\x01\0\x80\0\0\0\0\0", 8, "size limit"}};
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    for (size_t i = 0; i < 2; i++) {
        struct raw *r = raw_link(f, a);
        size_t before = mem_in_use();
        buf_put(&r->conn.out, cases[i].bytes, cases[i].size);
        net_conn_mark(&r->conn);
        WAIT_FOR(&f->loop, r->ended);
        EXPECT(mem_in_use() < before + 100 * 1000);
        EXPECT_UINT(a->downs, i + 1);
        EXPECT_CONTAINS(a->down_reason, cases[i].reason);
        EXPECT_UINT(stats_of(a, 50).bad_frames, i + 1);
        EXPECT_UINT(a->messages, 0);
        raw_close(f, r);
    }
    fixture_close(f);
}

/* A size at the limit, and then nothing: memory follows what came. */
TEST(peer_net, large_claim_takes_no_memory)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    struct raw *r = raw_link(f, a);
    size_t before = mem_in_use();
    buf_put(&r->conn.out,
            "\0\0\x80\0\0\0\0\0"
            "abc",
            11);
    net_conn_mark(&r->conn);
    turn(f, 5);
    EXPECT(mem_in_use() < before + 10 * 1000);
    EXPECT(peer_net_is_up(a->net, 50));
    raw_close(f, r);
    fixture_close(f);
}

TEST(peer_net, other_protocol_is_refused_with_its_number)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    struct raw *r = raw_open(f, a);
    raw_hello(r, 2);
    WAIT_FOR(&f->loop, r->ended);
    EXPECT_UINT(r->frames, 1);
    EXPECT(!r->welcome.accepted);
    EXPECT_STR(r->welcome.refusal.reason, "protocol 2, this node speaks 1");
    EXPECT_UINT(r->welcome.refusal.directory_id, 50);
    EXPECT_UINT(a->hellos, 0); /* the owner need not know protocols */
    raw_close(f, r);
    fixture_close(f);
}

TEST(peer_net, messages_before_their_time_end_the_connection)
{
    struct fixture *f = fixture_open(1);
    struct node *a = &f->nodes[0];
    a->policy = LATER;
    struct raw *r = raw_open(f, a);
    raw_hello(r, PEER_PROTOCOL);
    WAIT_FOR(&f->loop, a->hellos == 1);
    struct buf b = {0};
    buf_put(&b, "too early", 9);
    raw_put(r, &b);
    WAIT_FOR(&f->loop, r->ended);
    EXPECT_UINT(a->messages, 0);
    peer_net_accept(a->net, a->offer); /* ended: nothing */
    EXPECT_UINT(a->ups, 0);
    raw_close(f, r);
    fixture_close(f);
}

TEST(peer_net, silent_connections_end)
{
    struct fixture *f = fixture_open(0);
    struct node *a = &f->nodes[0];
    a->options.hello_ms = 40;
    a->options.keepalive_ms = 20;
    a->options.idle_ms = 60;
    node_open(f, 0, "127.0.0.1:0");
    struct raw *r = raw_open(f, a); /* never says hello */
    WAIT_FOR(&f->loop, r->ended);
    raw_close(f, r);
    r = raw_link(f, a); /* and one that falls silent */
    WAIT_FOR(&f->loop, a->downs == 1);
    EXPECT_CONTAINS(a->down_reason, "nothing was heard");
    EXPECT(r->frames > 1); /* we did speak */
    raw_close(f, r);
    fixture_close(f);
}

TEST(peer_net, connections_are_bounded)
{
    enum { MANY = 4 * LIMIT_NODES_MAX + 3 };
    struct fixture *f = fixture_open(1);
    struct raw *raws[MANY];
    for (size_t i = 0; i < MANY; i++) {
        raws[i] = raw_open(f, &f->nodes[0]);
    }
    WAIT_FOR(&f->loop, raws[MANY - 1]->ended && raws[MANY - 2]->ended && raws[MANY - 3]->ended);
    EXPECT(!raws[0]->ended);
    for (size_t i = 0; i < MANY; i++) {
        raw_close(f, raws[i]);
    }
    fixture_close(f);
}
