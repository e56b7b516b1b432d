/* SPDX-License-Identifier: Apache-2.0 */
/* The server that test_grpcio.py talks to: the methods of echo_server.h, health and
 * reflection. Prints "port N", then obeys its standard input: a byte 'd' drains
 * it, 'h' turns the health of "" and "test.Test" to serving; the end of input
 * ends it. */
#include <stdio.h>

#include "proto/descriptors.h"
#include "rpc/grpc_health.h"
#include "rpc/grpc_reflection.h"
#include "rpc/test/echo_server.h"

enum { GRACE_MS = 10000 };

struct program {
    struct loop loop;
    struct echo_server echo;
    struct grpc_health *health;
    struct grpc_reflection *reflection;
    uv_pipe_t input;
    char buffer[16];
    bool ended;
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct program *p = handle->data;
    *out = uv_buf_init(p->buffer, sizeof p->buffer);
}

static void on_drained(void *context)
{
    (void)context;
    (void)printf("drained\n");
    (void)fflush(stdout);
}

static void on_input(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct program *p = stream->data;
    if (size < 0) {
        echo_server_close(&p->echo);
        uv_close((uv_handle_t *)&p->input, NULL);
        return;
    }
    for (ssize_t i = 0; i < size; i++) {
        if (buf->base[i] == 'd') {
            grpc_server_drain(p->echo.server, GRACE_MS, on_drained, NULL);
        } else if (buf->base[i] == 'h') {
            grpc_health_set(p->health, "", true);
            grpc_health_set(p->health, "test.Test", true);
        }
    }
}

int main(void)
{
    static struct program program;
    struct program *p = &program;
    CHECK(uv_loop_init(&p->loop.uv) == 0);
    echo_server_open(&p->echo, &p->loop, (struct grpc_server_options){0});
    p->echo.lets_go = true;
    p->health = grpc_health_open(p->echo.server);
    struct err e;
    if (grpc_reflection_open(p->echo.server,
                             bytes_of(proto_descriptor_set, proto_descriptor_set_size),
                             &p->reflection, &e) != ERR_OK) {
        PANIC("%s", e.text);
    }
    CHECK(uv_pipe_init(&p->loop.uv, &p->input, 0) == 0);
    p->input.data = p;
    CHECK(uv_pipe_open(&p->input, 0) == 0);
    CHECK(uv_read_start((uv_stream_t *)&p->input, on_alloc, on_input) == 0);
    (void)printf("port %u\n", (unsigned)grpc_server_port(p->echo.server));
    (void)fflush(stdout);
    (void)uv_run(&p->loop.uv, UV_RUN_DEFAULT);
    grpc_health_close(p->health);
    grpc_reflection_close(p->reflection);
    CHECK(uv_loop_close(&p->loop.uv) == 0);
    return 0;
}
