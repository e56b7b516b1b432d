/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_dial.h"

#include "rpc/net_conn.h"
#include "rpc/net_listener.h"
#include "rpc/test/loop.h"

/* A label over 63 bytes: refused by the resolver without asking anybody. */
static const char no_such_host[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid";

/* A dialed connection, seen from net_conn, which net_dial reports to. */
struct fixture {
    struct net_conn conn; /* first */
    struct loop loop;
    struct net_loop net;
    unsigned connected, ended, closed;
    int status;
};

static void on_connected(struct net_conn *c)
{
    ((struct fixture *)c)->connected++;
}

static void on_read(struct net_conn *c, struct bytes input)
{
    (void)c;
    (void)input;
}

static void on_ended(struct net_conn *c, int status)
{
    ((struct fixture *)c)->ended++;
    ((struct fixture *)c)->status = status;
}

static void on_closed(struct net_conn *c)
{
    ((struct fixture *)c)->closed++;
}

static const struct net_conn_ops ops = {
    .connected = on_connected, .read = on_read, .ended = on_ended, .closed = on_closed};

static void on_net_closed(void *owner)
{
    (void)owner;
}

static void dial(struct fixture *f, const char *host, uint16_t port, unsigned timeout_ms)
{
    *f = (struct fixture){.closed = 0};
    loop_open(&f->loop);
    net_loop_init(&f->net, &f->loop.uv, on_net_closed, f);
    struct net_address address = {.port = port};
    (void)snprintf(address.host, sizeof address.host, "%s", host);
    net_conn_dial(&f->conn, &f->net, &ops, &address, timeout_ms);
}

static void hang_up(struct fixture *f)
{
    net_conn_close(&f->conn);
    net_loop_close(&f->net);
    loop_close(&f->loop);
    EXPECT_UINT(f->closed, 1);
}

static void on_incoming(struct net_listener *l, int status)
{
    EXPECT_INT(status, 0);
    net_listener_drop(l);
}

/* "localhost" may give ::1 first, where nobody listens: the next one is tried. */
TEST(net_dial, tries_every_address_of_a_name)
{
    struct fixture f;
    int fd = -1;
    uint16_t port = 0;
    struct loop loop;
    loop_open(&loop);
    REQUIRE_OK(net_listener_bind(&loop.uv, "127.0.0.1:0", &fd, &port, NULL));
    dial(&f, "localhost", port, 5000);
    struct net_listener listener;
    net_listener_open(&listener, &f.net, fd, port, on_incoming, NULL);
    WAIT_FOR(&f.loop, f.connected == 1 || f.ended == 1);
    EXPECT_UINT(f.connected, 1);
    net_listener_close(&listener);
    hang_up(&f);
    loop_close(&loop);
}

TEST(net_dial, refusal_by_every_address_is_a_refusal)
{
    struct fixture f;
    struct loop loop;
    loop_open(&loop);
    int fd = -1;
    uint16_t port = 0;
    REQUIRE_OK(net_listener_bind(&loop.uv, "127.0.0.1:0", &fd, &port, NULL));
    dial(&f, "localhost", port, 5000);
    struct net_listener listener;
    net_listener_open(&listener, &f.net, fd, port, on_incoming, NULL);
    net_listener_close(&listener); /* before the dial leaves */
    WAIT_FOR(&f.loop, f.connected == 1 || f.ended == 1);
    EXPECT_INT(f.status, UV_ECONNREFUSED);
    hang_up(&f);
    loop_close(&loop);
}

TEST(net_dial, name_that_does_not_exist_is_an_error)
{
    struct fixture f;
    dial(&f, no_such_host, 1, 30000);
    WAIT_FOR(&f.loop, f.ended == 1);
    EXPECT(f.status < 0);
    EXPECT(f.status != UV_ETIMEDOUT);
    hang_up(&f);
}

TEST(net_dial, gives_up_when_the_time_is_over)
{
    struct fixture f;
    dial(&f, no_such_host, 1, 0);
    WAIT_FOR(&f.loop, f.ended == 1);
    EXPECT_INT(f.status, UV_ETIMEDOUT);
    hang_up(&f);
}

TEST(net_dial, may_be_stopped_while_it_resolves)
{
    struct fixture f;
    dial(&f, no_such_host, 1, 30000);
    hang_up(&f);
    EXPECT_UINT(f.ended, 0);
}
