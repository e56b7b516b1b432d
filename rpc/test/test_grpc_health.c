/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_health.h"

#include "rpc/grpc_client.h"
#include "rpc/test/echo_server.h"

struct watch {
    unsigned messages;
    uint8_t last; /* ServingStatus */
    unsigned done;
    enum grpc_status status;
};

struct fixture {
    struct loop loop;
    struct echo_server echo;
    struct grpc_health *health;
    struct grpc_channel *channel;
};

static void on_message(void *context, struct bytes message)
{
    struct watch *w = context;
    w->messages++;
    REQUIRE_UINT(message.size, 2);
    EXPECT_UINT(message.data[0], 0x08); /* field 1, varint */
    w->last = message.data[1];
}

static void on_done(void *context, const struct grpc_result *result)
{
    struct watch *w = context;
    w->done++;
    w->status = result->status;
}

static const struct grpc_client_events events = {on_message, on_done};

static struct fixture *fixture_open(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    echo_server_open(&f->echo, &f->loop, (struct grpc_server_options){0});
    f->health = grpc_health_open(f->echo.server);
    struct grpc_channel_options options = {
        .loop = &f->loop.uv, .address = loop_address(grpc_server_port(f->echo.server))};
    REQUIRE_OK(grpc_channel_open(&options, &f->channel, NULL));
    return f;
}

static void fixture_close(struct fixture *f)
{
    grpc_channel_close(f->channel);
    echo_server_close(&f->echo);
    grpc_health_close(f->health);
    loop_close(&f->loop);
    mem_free(f);
}

static void check(struct fixture *f, const char *request, size_t size, struct watch *w)
{
    *w = (struct watch){0};
    (void)grpc_channel_call(f->channel,
                            &(struct grpc_call_request){.path = "/grpc.health.v1.Health/Check",
                                                        .message = bytes_of(request, size)},
                            &events, w);
    WAIT_FOR(&f->loop, w->done == 1);
}

TEST(grpc_health, check_gives_the_state_now)
{
    struct fixture *f = fixture_open();
    struct watch w;
    check(f, "", 0, &w);
    EXPECT_INT(w.status, GRPC_OK);
    EXPECT_UINT(w.last, 2);
    grpc_health_set(f->health, "", true);
    check(f, "", 0, &w);
    EXPECT_UINT(w.last, 1);
    check(f, "\x0a\x00", 2, &w); /* the empty name, spelled out */
    EXPECT_UINT(w.last, 1);
    grpc_health_set(f->health, "tidemark.raft", false);
    check(f, "\x0a\x0dtidemark.raft", 15, &w);
    EXPECT_UINT(w.last, 2);
    check(f, "\x0a\x07unknown", 9, &w);
    EXPECT_INT(w.status, GRPC_NOT_FOUND);
    check(f, "\x0a\x50", 2, &w);
    EXPECT_INT(w.status, GRPC_INVALID_ARGUMENT);
    fixture_close(f);
}

TEST(grpc_health, watch_gives_each_change)
{
    struct fixture *f = fixture_open();
    struct watch w = {0};
    struct watch node = {0};
    struct grpc_call_request request = {.path = "/grpc.health.v1.Health/Watch",
                                        .message = bytes_of("\x0a\x03sql", 5),
                                        .streams = true};
    struct grpc_client_call *call = grpc_channel_call(f->channel, &request, &events, &w);
    request.message = bytes_of(NULL, 0);
    (void)grpc_channel_call(f->channel, &request, &events, &node);
    WAIT_FOR(&f->loop, w.messages == 1 && node.messages == 1);
    EXPECT_UINT(w.last, 3); /* not known yet */
    EXPECT_UINT(node.last, 2);
    grpc_health_set(f->health, "sql", true);
    WAIT_FOR(&f->loop, w.messages == 2);
    EXPECT_UINT(w.last, 1);
    grpc_health_set(f->health, "sql", true); /* no change */
    grpc_health_set(f->health, "sql", false);
    WAIT_FOR(&f->loop, w.messages == 3);
    EXPECT_UINT(w.last, 2);
    EXPECT_UINT(node.messages, 1);
    grpc_client_call_cancel(call);
    WAIT_FOR(&f->loop, echo_stats(&f->echo).calls_open == 1);
    grpc_health_set(f->health, "sql", true);
    EXPECT_UINT(w.done, 0);
    fixture_close(f); /* the other watch ends with the server */
}
