/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that a client can put on a connection of the gRPC server: one server
 * with every kind of method, health and reflection, and each input as the bytes
 * of one connection, behind HTTP/2's preface (fuzzers don't find it) if the first
 * byte says so. After each nothing may be left of it: no call, no byte. */
#include <sys/socket.h>

#include "base/check.h"
#include "proto/descriptors.h"
#include "rpc/grpc_health.h"
#include "rpc/grpc_reflection.h"
#include "rpc/net_conn.h"
#include "rpc/test/echo_server.h"

enum { READ_TURNS = 10, TURNS_MAX = 1000, INPUT_MAX = 32 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct loop loop;
    struct echo_server echo;
    struct grpc_health *health;
    struct grpc_reflection *reflection;
    struct net_loop net;
    struct net_conn conn;
    bool connected, closed;
};

static void on_connected(struct net_conn *c)
{
    ((struct world *)c->owner)->connected = true;
}

static void on_read(struct net_conn *c, struct bytes input)
{
    (void)c;
    (void)input;
}

static void on_ended(struct net_conn *c, int status)
{
    (void)c;
    (void)status; /* hang_up() closes */
}

static void on_closed(struct net_conn *c)
{
    ((struct world *)c->owner)->closed = true;
}

static void on_net_closed(void *owner)
{
    (void)owner;
}

static const struct net_conn_ops ops = {
    .connected = on_connected, .read = on_read, .ended = on_ended, .closed = on_closed};

static void world_open(struct world *w)
{
    CHECK(uv_loop_init(&w->loop.uv) == 0);
    /* Small limits, so that they are reached. */
    echo_server_open(&w->echo, &w->loop,
                     (struct grpc_server_options){.message_size_max = 2000,
                                                  .header_size_max = 500,
                                                  .streams_max = 8,
                                                  .calls_max = 6,
                                                  .input_size_max = 5000,
                                                  .output_size_max = 100000,
                                                  .abuse_burst = 20});
    w->echo.lets_go = true;
    w->health = grpc_health_open(w->echo.server);
    struct err e;
    CHECK(grpc_reflection_open(w->echo.server,
                               bytes_of(proto_descriptor_set, proto_descriptor_set_size),
                               &w->reflection, &e) == ERR_OK);
    net_loop_init(&w->net, &w->loop.uv, on_net_closed, NULL);
    w->conn.owner = w;
}

static void dial(struct world *w)
{
    struct net_address address;
    CHECK(net_address_parse(loop_address(grpc_server_port(w->echo.server)), &address, NULL) ==
          ERR_OK);
    w->connected = false;
    w->closed = false;
    net_conn_dial(&w->conn, &w->net, &ops, &address, 5000);
    while (!w->connected) {
        (void)uv_run(&w->loop.uv, UV_RUN_ONCE);
    }
}

/* By a reset, so that thousands of connections leave no TIME_WAIT behind. */
static void hang_up(struct world *w)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int fd = -1;
    if (uv_fileno((uv_handle_t *)&w->conn.tcp, &fd) == 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    net_conn_close(&w->conn);
    for (unsigned i = 0; i < TURNS_MAX && !(w->closed && echo_stats(&w->echo).connections == 0);
         i++) {
        (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    static struct world world;
    static bool is_open;
    struct world *w = &world;
    if (!is_open) {
        world_open(w);
        is_open = true;
    }
    dial(w);
    if (data[0] != 0) {
        buf_put(&w->conn.out, preface, sizeof preface - 1);
    }
    buf_put(&w->conn.out, data + 1, size - 1);
    net_conn_mark(&w->conn);
    for (unsigned i = 0; i < READ_TURNS; i++) {
        (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
    }
    hang_up(w);
    struct grpc_server_stats stats = echo_stats(&w->echo);
    CHECK(stats.connections == 0);
    CHECK(stats.calls_open == 0);
    CHECK(stats.input_size == 0);
    CHECK(stats.output_size == 0);
    return 0;
}
