/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the gRPC client: feeds bytes to the HTTP/2 session and takes
 * them from it. No nghttp2_session_mem_* from inside a callback of the session. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/grpc_client_parts.h"

enum { TEXT_SIZE = 64 };

static struct grpc_client_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* --- what the session calls --- */

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    struct grpc_client_call *call = call_of(session, frame->hd.stream_id);
    if (call != NULL && frame->hd.type == NGHTTP2_HEADERS) {
        client_call_header(call, bytes_of(name, name_size), bytes_of(value, value_size));
    }
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                    size_t size, void *user)
{
    (void)flags;
    (void)user;
    struct grpc_client_call *call = call_of(session, stream_id);
    if (call == NULL) {
        (void)nghttp2_session_consume(session, stream_id, size);
        return 0;
    }
    client_call_input(call, bytes_of(data, size));
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client_conn *c = user;
    if (frame->hd.type == NGHTTP2_SETTINGS) {
        c->greeted = true;
        c->channel->failures = 0;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        channel_goaway(c->channel, c, frame->goaway.error_code);
    } else if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
               (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
               nghttp2_session_get_stream_local_close(session, frame->hd.stream_id) == 0) {
        /* Answered before all of the request was sent: the rest is not wanted. */
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* From here on the session knows nothing of the call. */
static void detach(struct grpc_client_call *call)
{
    CHECK(call->conn != NULL);
    LIST_REMOVE(call, conn_entry);
    call->conn = NULL;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *user)
{
    (void)user;
    struct grpc_client_call *call = call_of(session, stream_id);
    if (call != NULL) {
        CHECK(nghttp2_session_set_stream_user_data(session, stream_id, NULL) == 0);
        if (call->unconsumed > 0) {
            (void)nghttp2_session_consume(session, stream_id, call->unconsumed);
            call->unconsumed = 0;
        }
        detach(call);
        client_call_closed(call, error_code);
    }
    return 0;
}

/* A request that can't leave any more, because of a GOAWAY. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    (void)session;
    (void)error;
    struct client_conn *c = user;
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    struct grpc_client_call *call;
    LIST_FOREACH(call, &c->calls, conn_entry)
    {
        if (call->stream_id == frame->hd.stream_id) {
            detach(call);
            client_call_closed(call, NGHTTP2_REFUSED_STREAM);
            break;
        }
    }
    return 0;
}

void client_conn_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_not_sent);
}

/* --- what the connection calls --- */

static struct client_conn *conn_of(struct net_conn *net)
{
    return (struct client_conn *)net;
}

/* Ends the calls that are under way on it, then closes it. */
static void lose(struct client_conn *c, const char *reason)
{
    struct grpc_channel *channel = c->channel;
    while (!LIST_EMPTY(&c->calls)) {
        struct grpc_client_call *call = LIST_FIRST(&c->calls);
        detach(call);
        client_call_end(call, GRPC_UNAVAILABLE, "connection to %s: %s", channel->address_text,
                        reason);
    }
    channel_lost(channel, c, reason);
    client_conn_close(c);
}

static void on_read(struct net_conn *net, struct bytes input)
{
    struct client_conn *c = conn_of(net);
    c->heard_ms = net_loop_now_ms(&c->channel->loop);
    c->pinged_ms = 0;
    ssize_t used = nghttp2_session_mem_recv(c->session, input.data, input.size);
    if (used < 0) {
        lose(c, nghttp2_strerror((int)used));
        return;
    }
    net_conn_mark(net);
}

static void on_fill(struct net_conn *net, struct buf *out)
{
    struct client_conn *c = conn_of(net);
    while (out->size < NET_FILL_SIZE) {
        const uint8_t *data = NULL;
        ssize_t size = nghttp2_session_mem_send(c->session, &data);
        if (size <= 0) {
            net->finishing = net->finishing || size < 0;
            break;
        }
        buf_put(out, data, (size_t)size);
    }
    if (out->size == 0 && nghttp2_session_want_read(c->session) == 0 &&
        nghttp2_session_want_write(c->session) == 0) {
        net->finishing = true;
    }
}

static void open_session(struct client_conn *c)
{
    CHECK(nghttp2_session_client_new3(&c->session, c->channel->callbacks, c, c->channel->h2_options,
                                      h2_mem()) == 0);
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_SIZE},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CLIENT_TRAILERS_SIZE_MAX},
    };
    CHECK(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
                                  sizeof settings / sizeof settings[0]) == 0);
    CHECK(nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                H2_CONNECTION_WINDOW_SIZE) == 0);
}

static void on_connected(struct net_conn *net)
{
    struct client_conn *c = conn_of(net);
    c->heard_ms = net_loop_now_ms(&c->channel->loop);
    open_session(c);
    net_conn_mark(net);
    channel_connected(c->channel);
}

static void on_ended(struct net_conn *net, int status)
{
    lose(conn_of(net), net_conn_reason(status));
}

static void on_closed(struct net_conn *net)
{
    mem_free(conn_of(net));
}

static const struct net_conn_ops conn_ops = {.connected = on_connected,
                                             .read = on_read,
                                             .fill = on_fill,
                                             .ended = on_ended,
                                             .closed = on_closed};

struct client_conn *client_conn_dial(struct grpc_channel *channel)
{
    struct client_conn *c = mem_zalloc(sizeof *c);
    c->channel = channel;
    LIST_INIT(&c->calls);
    LIST_INSERT_HEAD(&channel->conns, c, entry);
    net_conn_dial(&c->net, &channel->loop, &conn_ops, &channel->address,
                  channel->options.connect_ms);
    return c;
}

void client_conn_close(struct client_conn *c)
{
    CHECK(LIST_EMPTY(&c->calls));
    LIST_REMOVE(c, entry);
    net_conn_close(&c->net); /* no event of it from here on */
    nghttp2_session_del(c->session);
    c->session = NULL;
}

/* --- what the channel asks for --- */

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static ssize_t on_take(nghttp2_session *session, int32_t stream_id, uint8_t *dst, size_t size,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)stream_id;
    (void)user;
    struct grpc_client_call *call = source->ptr;
    size_t left = call->request.size - call->request_sent;
    size_t n = left < size ? left : size;
    memcpy(dst, call->request.data + call->request_sent, n);
    call->request_sent += n;
    if (call->request_sent == call->request.size) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        buf_deinit(&call->request);
        call->request_sent = 0;
    }
    return (ssize_t)n;
}

static size_t request_fields(const struct grpc_client_call *call, nghttp2_nv *fields,
                             char timeout[GRPC_TIMEOUT_TEXT_SIZE])
{
    size_t n = 0;
    fields[n++] = h2_literal(":method", "POST");
    fields[n++] = h2_literal(":scheme", "http");
    fields[n++] = h2_field(":path", bytes_str(call->path));
    fields[n++] = h2_field(":authority", bytes_str(call->channel->address_text));
    fields[n++] = h2_literal("te", "trailers"); /* check: spelling: the name of a header */
    fields[n++] = h2_literal("content-type", "application/grpc");
    fields[n++] = h2_literal("user-agent", "tidemark");
    if (call->deadline_ms != 0) {
        uint64_t now = net_loop_now_ms(&call->channel->loop);
        grpc_timeout_format(timeout, call->deadline_ms > now ? call->deadline_ms - now : 0);
        fields[n++] = h2_field("grpc-timeout", bytes_str(timeout));
    }
    size_t at = 0;
    while (at < call->metadata.size) {
        const char *name = (const char *)call->metadata.data + at;
        const char *value = name + strlen(name) + 1;
        fields[n++] = h2_field(name, bytes_str(value));
        at += strlen(name) + strlen(value) + 2;
    }
    return n;
}

void client_conn_submit(struct client_conn *c, struct grpc_client_call *call)
{
    CHECK(call->state == CLIENT_CALL_WAITING);
    nghttp2_nv fields[8 + CLIENT_METADATA_MAX];
    char timeout[GRPC_TIMEOUT_TEXT_SIZE];
    size_t n = request_fields(call, fields, timeout);
    nghttp2_data_provider provider = {.source = {.ptr = call}, .read_callback = on_take};
    int32_t id = nghttp2_submit_request(c->session, NULL, fields, n, &provider, call);
    if (id < 0) {
        call->unprocessed = true;
        client_call_end(call, GRPC_UNAVAILABLE, "connection to %s: %s", c->channel->address_text,
                        nghttp2_strerror(id));
        return;
    }
    TAILQ_REMOVE(&c->channel->waiting, call, wait_entry);
    call->state = CLIENT_CALL_OPEN;
    call->stream_id = id;
    call->conn = c;
    LIST_INSERT_HEAD(&c->calls, call, conn_entry);
    net_conn_mark(&c->net);
}

void client_conn_reset(struct client_conn *c, struct grpc_client_call *call)
{
    (void)nghttp2_session_set_stream_user_data(c->session, call->stream_id, NULL);
    (void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
    if (call->unconsumed > 0) {
        (void)nghttp2_session_consume(c->session, call->stream_id, call->unconsumed);
        call->unconsumed = 0;
    }
    detach(call);
    net_conn_mark(&c->net);
}

void client_conn_sweep(struct client_conn *c, uint64_t now_ms)
{
    if (c->session == NULL || LIST_EMPTY(&c->calls)) {
        return;
    }
    if (c->pinged_ms != 0) {
        if (now_ms - c->pinged_ms > c->channel->options.keepalive_timeout_ms) {
            lose(c, "no answer to a ping");
        }
        return;
    }
    if (now_ms - c->heard_ms > c->channel->keepalive_ms) {
        c->pinged_ms = now_ms;
        (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        net_conn_mark(&c->net);
    }
}
