/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_blocking.h"

#include <stdio.h>
#include <uv.h>

#include "base/check.h"
#include "base/mem.h"

enum { STEP_MS = 1000 };

struct grpc_blocking {
    uv_loop_t loop;
    uv_timer_t timer; /* ends a step */
};

enum err_code grpc_blocking_open(struct grpc_blocking **out, struct err *e)
{
    struct grpc_blocking *b = mem_zalloc(sizeof *b);
    int status = uv_loop_init(&b->loop);
    if (status < 0) {
        mem_free(b);
        return err_set(e, ERR_IO, "event loop: %s", uv_strerror(status));
    }
    CHECK(uv_timer_init(&b->loop, &b->timer) == 0);
    *out = b;
    return ERR_OK;
}

void grpc_blocking_close(struct grpc_blocking *b)
{
    if (b == NULL) {
        return;
    }
    uv_close((uv_handle_t *)&b->timer, NULL);
    /* Channels are closed: what is left are their handles' last callbacks. */
    (void)uv_run(&b->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&b->loop) == 0);
    mem_free(b);
}

struct uv_loop_s *grpc_blocking_loop(struct grpc_blocking *b)
{
    return &b->loop;
}

uint64_t grpc_blocking_now_ms(struct grpc_blocking *b)
{
    uv_update_time(&b->loop);
    return uv_now(&b->loop);
}

/* A timer that is due before the loop polls would not keep it from waiting for the
 * next one. */
static void on_timer(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

void grpc_blocking_step(struct grpc_blocking *b, unsigned timeout_ms)
{
    uv_update_time(&b->loop);
    CHECK(uv_timer_start(&b->timer, on_timer, timeout_ms, 0) == 0);
    (void)uv_run(&b->loop, UV_RUN_ONCE);
    CHECK(uv_timer_stop(&b->timer) == 0);
}

struct waiter {
    bool done;
    bool stopped; /* by the caller's message() */
    struct grpc_client_call *call;
    bool (*message)(void *context, struct bytes message);
    void *context;
    enum err_code code;
    struct err *e;
    struct grpc_outcome outcome;
};

static void on_message(void *context, struct bytes message)
{
    struct waiter *w = context;
    if (!w->stopped && !w->message(w->context, message)) {
        w->stopped = true;
        w->done = true;
        grpc_client_call_cancel(w->call);
    }
}

static void on_done(void *context, const struct grpc_result *r)
{
    struct waiter *w = context;
    w->done = true;
    w->code = grpc_result_err(r, w->e);
    w->outcome.status = r->status;
    w->outcome.unprocessed = r->unprocessed;
    (void)snprintf(w->outcome.message, sizeof w->outcome.message, "%s", r->message);
    (void)snprintf(w->outcome.leader, sizeof w->outcome.leader, "%s",
                   r->leader == NULL ? "" : r->leader);
}

static const struct grpc_client_events events = {.message = on_message, .done = on_done};

static enum err_code run(struct grpc_blocking *b, struct grpc_channel *c,
                         const struct grpc_call_request *request, struct waiter *w)
{
    w->outcome = (struct grpc_outcome){.status = GRPC_RESOURCE_EXHAUSTED, .unprocessed = true};
    w->call = grpc_channel_call(c, request, &events, w);
    if (w->call == NULL) {
        return err_set(w->e, ERR_FULL, "too many calls are open");
    }
    while (!w->done) {
        grpc_blocking_step(b, STEP_MS);
    }
    if (w->stopped) {
        w->outcome = (struct grpc_outcome){.status = GRPC_CANCELLED};
        return err_set(w->e, ERR_CANCELLED, "stopped");
    }
    return w->code;
}

enum err_code grpc_client_stream_sync(struct grpc_blocking *b, struct grpc_channel *c,
                                      const struct grpc_call_request *request,
                                      const struct grpc_reader *reader,
                                      struct grpc_outcome *outcome, struct err *e)
{
    struct grpc_call_request streaming = *request;
    streaming.streams = true;
    struct waiter w = {.message = reader->message, .context = reader->context, .e = e};
    enum err_code code = run(b, c, &streaming, &w);
    if (outcome != NULL) {
        *outcome = w.outcome;
    }
    return code;
}

static bool append(void *context, struct bytes message)
{
    buf_put_bytes(context, message);
    return true;
}

enum err_code grpc_client_call_sync(struct grpc_blocking *b, struct grpc_channel *c,
                                    const struct grpc_call_request *request, struct buf *reply,
                                    struct grpc_outcome *outcome, struct err *e)
{
    struct grpc_call_request single = *request;
    single.streams = false;
    struct waiter w = {.message = append, .context = reply, .e = e};
    enum err_code code = run(b, c, &single, &w);
    if (outcome != NULL) {
        *outcome = w.outcome;
    }
    return code;
}
