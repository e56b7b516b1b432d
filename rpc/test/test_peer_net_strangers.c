/* SPDX-License-Identifier: Apache-2.0 */
/* Peer links with others on the port, played by raw bytes. */
#include "rpc/net_conn.h"
#include "rpc/peer_frame.h"
#include "rpc/test/peer_fixture.h"

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
    enum { MANY = LIMIT_PEER_LINKS + 3 };
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
