/* SPDX-License-Identifier: Apache-2.0 */
/* One call of the gRPC client: its answer as it comes in, and how it ends. */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/grpc_client_parts.h"

static const unsigned allowed[] = {
    [CLIENT_CALL_WAITING] = 1U << CLIENT_CALL_OPEN | 1U << CLIENT_CALL_ENDED,
    [CLIENT_CALL_OPEN] = 1U << CLIENT_CALL_ENDED,
    [CLIENT_CALL_ENDED] = 0,
};

static void leave_stream(struct grpc_client_call *call)
{
    if (call->state == CLIENT_CALL_WAITING) {
        TAILQ_REMOVE(&call->channel->waiting, call, wait_entry);
    }
    if (call->conn != NULL) {
        client_conn_reset(call->conn, call);
    }
}

static void set_ended(struct grpc_client_call *call)
{
    CHECK((allowed[call->state] & 1U << CLIENT_CALL_ENDED) != 0);
    leave_stream(call);
    call->state = CLIENT_CALL_ENDED;
}

void client_call_free(struct grpc_client_call *call)
{
    leave_stream(call);
    due_heap_remove(&call->channel->due, &call->due);
    LIST_REMOVE(call, channel_entry);
    CHECK(call->channel->call_count > 0);
    call->channel->call_count--;
    mem_free(call->path);
    buf_deinit(&call->metadata);
    buf_deinit(&call->request);
    buf_deinit(&call->trailers);
    grpc_inbox_deinit(&call->inbox);
    mem_free(call);
}

/* Leaves the outcome that is known as it is. */
static void set_outcome(struct grpc_client_call *call, enum grpc_status status, const char *message)
{
    if (!call->has_status) {
        call->has_status = true;
        call->status = status;
        (void)snprintf(call->message, sizeof call->message, "%s", message);
    }
}

/* The outcome replaces whatever was known. */
static void force_outcome(struct grpc_client_call *call, enum grpc_status status,
                          const char *message)
{
    call->has_status = false;
    set_outcome(call, status, message);
    grpc_inbox_deinit(&call->inbox);
    call->paused = false;
}

void client_call_end(struct grpc_client_call *call, enum grpc_status status, const char *format,
                     ...)
{
    char message[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    set_ended(call);
    set_outcome(call, status, message);
    channel_set_due(call->channel, call, net_loop_now_ms(&call->channel->loop));
}

/* --- the end --- */

static void complete(struct grpc_client_call *call)
{
    CHECK(call->state == CLIENT_CALL_ENDED);
    CHECK(call->has_status);
    struct grpc_result result = {
        .status = call->status,
        .message = call->message,
        .leader = h2_pairs_find(&call->trailers, GRPC_TRAILER_LEADER),
        .unprocessed = call->unprocessed,
        .call = call,
    };
    call->in_callback = true; /* a cancel from inside done() comes too late */
    call->events->done(call->context, &result);
    client_call_free(call);
}

const char *grpc_result_trailer(const struct grpc_result *r, const char *name)
{
    return h2_pairs_find(&r->call->trailers, name);
}

enum err_code grpc_result_err(const struct grpc_result *r, struct err *e)
{
    enum err_code code = grpc_status_to_err(r->status);
    if (code == ERR_OK) {
        return ERR_OK;
    }
    return err_set(e, code, "%s: %s", grpc_status_name(r->status), r->message);
}

/* --- the answer --- */

static bool framing_is_bad(struct grpc_client_call *call, enum grpc_inbox_result result)
{
    switch (result) {
    case GRPC_INBOX_MORE:
    case GRPC_INBOX_MESSAGE:
        return false;
    case GRPC_INBOX_TOO_LARGE:
        force_outcome(call, GRPC_RESOURCE_EXHAUSTED, "the answer's message is too large");
        return true;
    case GRPC_INBOX_COMPRESSED:
        force_outcome(call, GRPC_UNIMPLEMENTED, "the answer's message is compressed");
        return true;
    case GRPC_INBOX_BROKEN:
        force_outcome(call, GRPC_INTERNAL, "the answer's framing is broken");
        return true;
    }
    return false;
}

/* False: the call was cancelled from inside, and is gone. */
static bool call_back(struct grpc_client_call *call, struct bytes message)
{
    call->in_callback = true;
    call->events->message(call->context, message);
    call->in_callback = false;
    if (call->cancelled) {
        client_call_free(call);
        return false;
    }
    return true;
}

static void consume(struct grpc_client_call *call)
{
    if (call->conn != NULL && call->unconsumed > 0) {
        (void)nghttp2_session_consume(call->conn->session, call->stream_id, call->unconsumed);
        call->unconsumed = 0;
        net_conn_mark(&call->conn->net);
    }
}

/* Gives out the messages of a stream; as long as it is not paused, the window is
 * opened again. False: the call is gone. */
static bool deliver(struct grpc_client_call *call)
{
    while (!call->paused) {
        struct bytes message = {0};
        enum grpc_inbox_result result = grpc_inbox_next(&call->inbox, &message);
        if (framing_is_bad(call, result)) {
            if (call->state != CLIENT_CALL_ENDED) {
                set_ended(call);
            }
            complete(call);
            return false;
        }
        if (result == GRPC_INBOX_MORE) {
            consume(call);
            return true;
        }
        if (!call_back(call, message)) {
            return false;
        }
    }
    return true;
}

/* A unary answer is exactly one message, given out only with OK. False: the call is gone. */
static bool deliver_single(struct grpc_client_call *call)
{
    if (call->status != GRPC_OK) {
        return true;
    }
    struct bytes message = {0};
    enum grpc_inbox_result result = grpc_inbox_next(&call->inbox, &message);
    if (framing_is_bad(call, result)) {
        return true;
    }
    if (result != GRPC_INBOX_MESSAGE || grpc_inbox_left(&call->inbox) > 0) {
        force_outcome(call, GRPC_INTERNAL, "the answer is not exactly one message");
        return true;
    }
    return call_back(call, message);
}

/* The outcome is known: messages first, then done(), unless paused. May free it. */
static void finish(struct grpc_client_call *call)
{
    CHECK(call->state == CLIENT_CALL_ENDED);
    if (!(call->streams ? deliver(call) : deliver_single(call)) || call->paused) {
        return;
    }
    if (call->status == GRPC_OK && grpc_inbox_left(&call->inbox) > 0) {
        force_outcome(call, GRPC_INTERNAL, "the answer ends inside a message");
    }
    complete(call);
}

static unsigned parse_http_status(struct bytes value)
{
    unsigned status = 0;
    for (size_t i = 0; i < value.size && i < 3; i++) {
        status = status * 10 + (unsigned)(value.data[i] - '0');
    }
    return status;
}

void client_call_header(struct grpc_client_call *call, struct bytes name, struct bytes value)
{
    if (h2_is(name.data, name.size, ":status")) {
        call->http_status = parse_http_status(value);
    } else if (h2_is(name.data, name.size, "content-type")) {
        call->is_grpc = h2_is_grpc_content(value);
    } else if (h2_is(name.data, name.size, "grpc-status")) {
        call->has_status = grpc_status_parse(value, &call->status);
    } else if (h2_is(name.data, name.size, "grpc-message")) {
        grpc_message_decode(value, call->message, sizeof call->message);
    } else if (call->trailers.size + name.size + value.size <= CLIENT_TRAILERS_SIZE_MAX) {
        h2_pairs_put(&call->trailers, name, value);
    }
}

void client_call_input(struct grpc_client_call *call, struct bytes b)
{
    call->unconsumed += b.size;
    if (!call->is_grpc) {
        consume(call); /* somebody's error page */
        return;
    }
    grpc_inbox_push(&call->inbox, b);
    if (call->streams) {
        (void)deliver(call);
        return;
    }
    consume(call);
    struct bytes message = {0};
    enum grpc_inbox_result result = grpc_inbox_peek(&call->inbox, &message);
    bool more = result == GRPC_INBOX_MESSAGE &&
                grpc_inbox_left(&call->inbox) > GRPC_PREFIX_SIZE + message.size;
    if (more) {
        force_outcome(call, GRPC_INTERNAL, "the answer is not exactly one message");
    }
    if (more || framing_is_bad(call, result)) {
        set_ended(call);
        complete(call);
    }
}

void client_call_closed(struct grpc_client_call *call, uint32_t error_code)
{
    set_ended(call);
    if (error_code == NGHTTP2_REFUSED_STREAM && !call->has_status) {
        call->unprocessed = true;
    }
    if (error_code != NGHTTP2_NO_ERROR) {
        char text[ERR_TEXT_SIZE];
        (void)snprintf(text, sizeof text, "the server ended the stream: %s",
                       nghttp2_http2_strerror(error_code));
        set_outcome(call, grpc_status_of_http2_error(error_code), text);
    } else if (!call->has_status) {
        char text[ERR_TEXT_SIZE];
        (void)snprintf(text, sizeof text, "answer without a status, HTTP %u", call->http_status);
        set_outcome(call, grpc_status_of_http(call->http_status), text);
    }
    finish(call);
}

void client_call_due(struct grpc_client_call *call)
{
    if (call->deadline_ms != 0 && net_loop_now_ms(&call->channel->loop) >= call->deadline_ms) {
        if (call->state != CLIENT_CALL_ENDED) {
            set_ended(call);
            force_outcome(call, GRPC_DEADLINE_EXCEEDED,
                          "deadline exceeded; a change may still take effect");
        }
    }
    if (call->state == CLIENT_CALL_ENDED) {
        finish(call);
        return;
    }
    /* Resumed: the deadline lost its place to that. */
    if (call->streams && !deliver(call)) {
        return;
    }
    if (call->deadline_ms != 0) {
        channel_set_due(call->channel, call, call->deadline_ms);
    }
}

/* --- what owners use --- */

void grpc_client_call_pause(struct grpc_client_call *call)
{
    CHECK(call->streams);
    call->paused = true;
}

void grpc_client_call_resume(struct grpc_client_call *call)
{
    if (call->paused) {
        call->paused = false;
        /* From the due timer: never from inside its own callback. */
        channel_set_due(call->channel, call, net_loop_now_ms(&call->channel->loop));
    }
}

void grpc_client_call_cancel(struct grpc_client_call *call)
{
    if (call->in_callback) {
        call->cancelled = true;
        leave_stream(call);
        if (call->state != CLIENT_CALL_ENDED) {
            call->state = CLIENT_CALL_ENDED;
        }
        return;
    }
    client_call_free(call);
}
