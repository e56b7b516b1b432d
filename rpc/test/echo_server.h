/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server with methods that tests need:
 *
 *   /test.Test/Echo    unary; the request
 *   /test.Test/Hold    unary; the test finishes it
 *   /test.Test/Fail    unary; NOT_LEADER with the leader's trailer
 *   /test.Test/Count   server stream; request "n size" in two u32, n messages of that
 *                      size, as fast as the client takes them
 *   /test.Test/Chat    bidi; each message back, OK at the end */
#ifndef TIDEMARK_RPC_TEST_ECHO_SERVER_H
#define TIDEMARK_RPC_TEST_ECHO_SERVER_H

#include "base/check.h"
#include "base/mem.h"
#include "rpc/grpc_server.h"
#include "rpc/test/loop.h"

enum { ECHO_COUNT_SIZE_MAX = 4 * 1024 * 1024 };

struct echo_server {
    struct grpc_server *server;
    struct grpc_method methods[5];
    struct grpc_call *held; /* the last call of Hold, NULL when finished */
    struct buf held_request;
    bool lets_go;       /* Hold finishes its call itself when that is cancelled */
    unsigned cancelled; /* cancellations told */
    unsigned sent;      /* messages that Count has queued */
    unsigned drains;    /* drained() calls */
    unsigned half_closes;
};

static inline void echo_on_echo(struct grpc_call *call, struct bytes message, void *context)
{
    (void)context;
    grpc_call_reply(call, message);
}

static inline void echo_on_cancelled(struct grpc_call *call, void *user)
{
    struct echo_server *s = user;
    s->cancelled++;
    if (s->lets_go) {
        s->held = NULL;
        grpc_call_finish(call, GRPC_CANCELLED, NULL);
    }
}

static inline void echo_on_hold(struct grpc_call *call, struct bytes message, void *context)
{
    static const struct grpc_call_events events = {.cancelled = echo_on_cancelled};
    struct echo_server *s = context;
    (void)message;
    CHECK(s->held == NULL);
    s->held = call;
    grpc_call_watch(call, &events, s);
}

static inline void echo_on_fail(struct grpc_call *call, struct bytes message, void *context)
{
    (void)message;
    (void)context;
    struct err e;
    (void)err_set(&e, ERR_NOT_LEADER, "the leader is \"n2\", 100%% sure");
    grpc_call_trailer(call, GRPC_TRAILER_LEADER, "127.0.0.1:7072");
    grpc_call_trailer(call, "x-more", "1");
    grpc_call_fail(call, &e);
}

struct echo_count {
    struct echo_server *server;
    uint32_t left;
    uint32_t size;
};

static inline void echo_count_go(struct grpc_call *call, struct echo_count *count)
{
    while (count->left > 0 && grpc_call_writable(call)) {
        uint8_t *space = grpc_call_send_space(call, count->size);
        memset(space, (int)(count->left & 0xff), count->size);
        count->left--;
        count->server->sent++;
    }
    if (count->left == 0) {
        mem_free(count);
        grpc_call_finish(call, GRPC_OK, NULL);
    }
}

static inline void echo_count_drained(struct grpc_call *call, void *user)
{
    struct echo_count *count = user;
    count->server->drains++;
    echo_count_go(call, count);
}

static inline void echo_count_cancelled(struct grpc_call *call, void *user)
{
    struct echo_count *count = user;
    count->server->cancelled++;
    mem_free(count);
    grpc_call_finish(call, GRPC_CANCELLED, NULL);
}

static inline void echo_on_count(struct grpc_call *call, struct bytes message, void *context)
{
    static const struct grpc_call_events events = {.cancelled = echo_count_cancelled,
                                                   .drained = echo_count_drained};
    if (message.size != 8 || bytes_get_u32(message.data + 4) > ECHO_COUNT_SIZE_MAX) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "not a count and a size");
        return;
    }
    struct echo_count *count = mem_zalloc(sizeof *count);
    *count =
        (struct echo_count){context, bytes_get_u32(message.data), bytes_get_u32(message.data + 4)};
    grpc_call_watch(call, &events, count);
    echo_count_go(call, count);
}

static inline void echo_chat_cancelled(struct grpc_call *call, void *user)
{
    ((struct echo_server *)user)->cancelled++;
    grpc_call_finish(call, GRPC_CANCELLED, NULL);
}

static inline void echo_on_chat(struct grpc_call *call, struct bytes message, void *context)
{
    static const struct grpc_call_events events = {.cancelled = echo_chat_cancelled};
    grpc_call_watch(call, &events, context);
    ((struct echo_server *)context)->sent++;
    grpc_call_send(call, message);
}

static inline void echo_chat_half_close(struct grpc_call *call, void *context)
{
    ((struct echo_server *)context)->half_closes++;
    grpc_call_finish(call, GRPC_OK, "bye");
}

static inline void echo_server_open(struct echo_server *s, struct loop *loop,
                                    struct grpc_server_options options)
{
    *s = (struct echo_server){.server = NULL};
    options.loop = &loop->uv;
    options.address = options.address == NULL ? "127.0.0.1:0" : options.address;
    struct err e;
    if (grpc_server_open(&options, &s->server, &e) != ERR_OK) {
        PANIC("%s", e.text);
    }
    struct grpc_method methods[] = {
        {"/test.Test/Echo", GRPC_UNARY, echo_on_echo, NULL, s},
        {"/test.Test/Hold", GRPC_UNARY, echo_on_hold, NULL, s},
        {"/test.Test/Fail", GRPC_UNARY, echo_on_fail, NULL, s},
        {"/test.Test/Count", GRPC_SERVER_STREAM, echo_on_count, NULL, s},
        {"/test.Test/Chat", GRPC_BIDI, echo_on_chat, echo_chat_half_close, s},
    };
    memcpy(s->methods, methods, sizeof methods);
    grpc_server_add(s->server, s->methods, 5);
}

static inline void echo_server_close(struct echo_server *s)
{
    grpc_server_close(s->server);
    s->server = NULL;
    buf_deinit(&s->held_request);
}

static inline struct grpc_server_stats echo_stats(const struct echo_server *s)
{
    struct grpc_server_stats stats;
    grpc_server_stats(s->server, &stats);
    return stats;
}

#endif
