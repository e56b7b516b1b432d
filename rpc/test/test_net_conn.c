/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_conn.h"

#include "base/mem.h"
#include "base/random.h"
#include "rpc/net_listener.h"
#include "rpc/test/loop.h"

/* One end of a connection, and what happened to it. */
struct end {
    struct net_conn conn;
    unsigned connected, ended, closed;
    int status;
    struct buf got;
    size_t to_fill; /* bytes that on_fill has yet to give */
    unsigned fills;
    bool close_on_read;
};

struct fixture {
    struct loop loop;
    struct net_loop net;
    struct net_listener listener;
    bool net_closed;
    struct end client;
    struct end server;
    const struct net_conn_ops *server_ops;
    unsigned taken;
};

static struct end *end_of(struct net_conn *c)
{
    return (struct end *)c;
}

static void on_connected(struct net_conn *c)
{
    end_of(c)->connected++;
}

static void on_read(struct net_conn *c, struct bytes input)
{
    struct end *end = end_of(c);
    buf_put_bytes(&end->got, input);
    if (end->close_on_read) {
        net_conn_close(c);
    }
}

static void on_ended(struct net_conn *c, int status)
{
    end_of(c)->ended++;
    end_of(c)->status = status;
    net_conn_close(c);
}

static void on_closed(struct net_conn *c)
{
    end_of(c)->closed++;
}

static void on_fill(struct net_conn *c, struct buf *out)
{
    struct end *end = end_of(c);
    end->fills++;
    while (end->to_fill > 0 && out->size < NET_FILL_SIZE) {
        buf_put_u8(out, (uint8_t)end->to_fill);
        end->to_fill--;
    }
}

static const struct net_conn_ops plain = {
    .connected = on_connected, .read = on_read, .ended = on_ended, .closed = on_closed};
static const struct net_conn_ops filling = {.connected = on_connected,
                                            .read = on_read,
                                            .fill = on_fill,
                                            .ended = on_ended,
                                            .closed = on_closed};

static void on_incoming(struct net_listener *l, int status)
{
    struct fixture *f = l->owner;
    REQUIRE_INT(status, 0);
    if (f->taken > 0) {
        net_listener_drop(l);
        return;
    }
    f->taken++;
    EXPECT_INT(net_conn_take(&f->server.conn, &f->net, f->server_ops, net_listener_stream(l)), 0);
}

static void on_net_closed(void *owner)
{
    ((struct fixture *)owner)->net_closed = true;
}

static struct fixture *fixture_open(const struct net_conn_ops *server_ops)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    net_loop_init(&f->net, &f->loop.uv, on_net_closed, f);
    int fd = -1;
    uint16_t port = 0;
    REQUIRE_OK(net_listener_bind(&f->loop.uv, "127.0.0.1:0", &fd, &port, NULL));
    net_listener_open(&f->listener, &f->net, fd, port, on_incoming, f);
    f->server_ops = server_ops;
    return f;
}

static void fixture_close(struct fixture *f)
{
    if (f->client.conn.loop != NULL) {
        net_conn_close(&f->client.conn);
    }
    if (f->server.conn.loop != NULL) {
        net_conn_close(&f->server.conn);
    }
    net_listener_close(&f->listener);
    net_loop_close(&f->net);
    loop_close(&f->loop);
    EXPECT(f->net_closed);
    buf_deinit(&f->client.got);
    buf_deinit(&f->server.got);
    mem_free(f);
}

static void dial(struct fixture *f, struct end *end, const struct net_conn_ops *ops, uint16_t port)
{
    struct net_address address;
    REQUIRE_OK(net_address_parse(loop_address(port), &address, NULL));
    net_conn_dial(&end->conn, &f->net, ops, &address, 5000);
    EXPECT_UINT(end->connected, 0); /* never from inside */
    EXPECT_UINT(end->ended, 0);
}

static struct fixture *connected(const struct net_conn_ops *client,
                                 const struct net_conn_ops *server)
{
    struct fixture *f = fixture_open(server);
    dial(f, &f->client, client, f->listener.port);
    WAIT_FOR(&f->loop, f->client.connected == 1 && f->taken == 1);
    return f;
}

TEST(net_conn, carries_bytes_both_ways)
{
    struct fixture *f = connected(&plain, &plain);
    EXPECT_STR(f->client.conn.peer, loop_address(f->listener.port));
    buf_put(&f->client.conn.out, "ping", 4);
    net_conn_mark(&f->client.conn);
    WAIT_FOR(&f->loop, f->server.got.size == 4);
    EXPECT_MEM(f->server.got.data, "ping", 4);
    buf_put(&f->server.conn.out, "pong", 4);
    net_conn_mark(&f->server.conn);
    WAIT_FOR(&f->loop, f->client.got.size == 4);
    EXPECT_MEM(f->client.got.data, "pong", 4);
    fixture_close(f);
}

/* Everything marked in one turn leaves in one write, so it also arrives at once. */
TEST(net_conn, gathers_what_one_turn_produced)
{
    struct fixture *f = connected(&plain, &plain);
    for (int i = 0; i < 100; i++) {
        buf_put(&f->client.conn.out, "x", 1);
        net_conn_mark(&f->client.conn);
    }
    EXPECT_UINT(net_conn_queued(&f->client.conn), 100);
    WAIT_FOR(&f->loop, f->server.got.size > 0);
    EXPECT_UINT(f->server.got.size, 100);
    EXPECT_UINT(net_conn_queued(&f->client.conn), 0);
    fixture_close(f);
}

/* Also what comes up after the loop has looked for output in this turn must not
 * wait for an event. */
TEST(net_conn, loop_does_not_wait_while_there_is_output)
{
    struct fixture *f = connected(&plain, &plain);
    (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    EXPECT(uv_backend_timeout(&f->loop.uv) != 0);
    buf_put(&f->client.conn.out, "x", 1);
    net_conn_mark(&f->client.conn);
    EXPECT_INT(uv_backend_timeout(&f->loop.uv), 0);
    (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    EXPECT_UINT(net_conn_queued(&f->client.conn), 0);
    EXPECT(uv_backend_timeout(&f->loop.uv) != 0);
    fixture_close(f);
}

/* More than the socket takes at once: the rest waits, in order. */
TEST(net_conn, large_output_arrives_whole)
{
    struct fixture *f = connected(&plain, &filling);
    enum { SIZE = 20 * 1000 * 1000 };
    f->server.to_fill = SIZE;
    net_conn_mark(&f->server.conn);
    WAIT_FOR(&f->loop, f->client.got.size == SIZE);
    bool same = true;
    for (size_t i = 0; i < SIZE; i++) {
        same = same && f->client.got.data[i] == (uint8_t)(SIZE - i);
    }
    EXPECT(same);
    EXPECT(f->server.fills >= SIZE / (2 * NET_FILL_SIZE));

    struct random r = random_seeded(1);
    for (size_t i = 0; i < SIZE / 8; i++) {
        buf_put_u64(&f->client.conn.out, random_u64(&r));
    }
    struct random again = random_seeded(1);
    net_conn_mark(&f->client.conn);
    WAIT_FOR(&f->loop, f->server.got.size == SIZE);
    for (size_t i = 0; i < SIZE / 8; i++) {
        same = same && bytes_get_u64(f->server.got.data + 8 * i) == random_u64(&again);
    }
    EXPECT(same);
    fixture_close(f);
}

/* While the other side reads nothing, fill() is not asked for more. */
TEST(net_conn, slow_reader_stops_the_filling)
{
    struct fixture *f = connected(&plain, &filling);
    (void)uv_read_stop((uv_stream_t *)&f->client.conn.tcp);
    f->server.to_fill = (size_t)1 << 40;
    net_conn_mark(&f->server.conn);
    WAIT_FOR(&f->loop, f->server.conn.writing);
    unsigned fills = f->server.fills;
    for (int i = 0; i < 10; i++) {
        net_conn_mark(&f->server.conn);
        loop_turn(&f->loop);
    }
    EXPECT_UINT(f->server.fills, fills);
    EXPECT(f->server.conn.flight.capacity <= (size_t)4 * NET_FILL_SIZE);
    fixture_close(f);
}

TEST(net_conn, finish_writes_everything_then_ends)
{
    struct fixture *f = connected(&plain, &plain);
    buf_put(&f->client.conn.out, "last words", 10);
    net_conn_finish(&f->client.conn);
    WAIT_FOR(&f->loop, f->server.closed == 1);
    EXPECT_UINT(f->server.got.size, 10);
    EXPECT_INT(f->server.status, 0);
    EXPECT_UINT(f->client.ended, 1);
    EXPECT_INT(f->client.status, 0);
    fixture_close(f);
}

TEST(net_conn, may_be_closed_from_its_own_callback)
{
    struct fixture *f = connected(&plain, &plain);
    f->server.close_on_read = true;
    buf_put(&f->client.conn.out, "bye", 3);
    net_conn_mark(&f->client.conn);
    WAIT_FOR(&f->loop, f->server.closed == 1 && f->client.closed == 1);
    EXPECT_UINT(f->server.ended, 0); /* it knows: it did it */
    EXPECT_UINT(f->client.ended, 1);
    fixture_close(f);
}

TEST(net_conn, refused_dial_says_so)
{
    struct fixture *f = fixture_open(&plain);
    uint16_t port = f->listener.port;
    net_listener_close(&f->listener);
    loop_turn(&f->loop);
    dial(f, &f->client, &plain, port);
    WAIT_FOR(&f->loop, f->client.closed == 1);
    EXPECT_INT(f->client.status, UV_ECONNREFUSED);
    EXPECT_UINT(f->client.connected, 0);
    EXPECT_STR(net_conn_reason(UV_ECONNREFUSED), "connection refused");
    fixture_close(f);
}

TEST(net_conn, may_be_closed_while_dialing)
{
    struct fixture *f = fixture_open(&plain);
    dial(f, &f->client, &plain, f->listener.port);
    net_conn_close(&f->client.conn);
    WAIT_FOR(&f->loop, f->client.closed == 1);
    EXPECT_UINT(f->client.connected, 0);
    EXPECT_UINT(f->client.ended, 0);
    fixture_close(f);
}
