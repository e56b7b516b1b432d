/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the gRPC server: feeds bytes to the HTTP/2 session and takes
 * them from it. No nghttp2_session_mem_* from inside a callback of the session. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/grpc_server_parts.h"

enum { ABUSE_PER_SECOND = 100 };

static const uint8_t drain_ping[8] = {'d', 'r', 'a', 'i', 'n', 'i', 'n', 'g'};

static struct grpc_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct server_conn *c = user;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    struct grpc_call *call = call_open(c, frame->hd.stream_id);
    CHECK(nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call) == 0);
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    struct grpc_call *call = call_of(session, frame->hd.stream_id);
    if (call != NULL && frame->hd.type == NGHTTP2_HEADERS &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        call_header(call, bytes_of(name, name_size), bytes_of(value, value_size));
    }
    return 0;
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                    size_t size, void *user)
{
    (void)flags;
    (void)user;
    struct grpc_call *call = call_of(session, stream_id);
    if (call == NULL) {
        (void)nghttp2_session_consume(session, stream_id, size);
        return 0;
    }
    call_input(call, bytes_of(data, size));
    return 0;
}

/* Too many of something that costs us more than the client. */
static void abused(struct server_conn *c, const char *what)
{
    if (c->abusive) {
        return;
    }
    c->abusive = true;
    log_warn(c->server->options.log, "rpc", "client-abusive", "peer=%s what=%s", c->net.peer, what);
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(c->session),
                                NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)what, strlen(what));
}

static void on_ping(struct server_conn *c, const nghttp2_ping *ping)
{
    if ((ping->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        if (!h2_allowance_use(&c->pings, c->heard_ms)) {
            abused(c, "too_many_pings");
        }
        return;
    }
    if (memcmp(ping->opaque_data, drain_ping, sizeof drain_ping) == 0) {
        server_conn_goaway(c);
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct server_conn *c = user;
    switch ((int)frame->hd.type) {
    case NGHTTP2_SETTINGS:
        c->greeted = true;
        return 0;
    case NGHTTP2_PING:
        on_ping(c, &frame->ping);
        return 0;
    case NGHTTP2_RST_STREAM:
        if (!h2_allowance_use(&c->resets, c->heard_ms)) {
            abused(c, "too_many_resets");
        }
        return 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        break;
    default:
        return 0;
    }
    struct grpc_call *call = call_of(session, frame->hd.stream_id);
    if (call == NULL) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        call_headers_done(call);
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        call_request_ended(call);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *user)
{
    (void)error_code;
    (void)user;
    struct grpc_call *call = call_of(session, stream_id);
    if (call != NULL) {
        CHECK(nghttp2_session_set_stream_user_data(session, stream_id, NULL) == 0);
        call_detach(call);
    }
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct server_conn *c = user;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        c->server->stats.connections_bad++;
    }
    /* Resets that the client provokes by errors cost us as much as its own. */
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        !h2_allowance_use(&c->resets, c->heard_ms)) {
        abused(c, "too_many_resets");
    }
    if (frame->hd.type != NGHTTP2_HEADERS || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    /* The answer is complete and the client still sends: it may stop. */
    const struct grpc_call *call = call_of(session, frame->hd.stream_id);
    if (call != NULL && !call->request_ended) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_NO_ERROR);
    }
    return 0;
}

void server_conn_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
}

static struct server_conn *conn_of(struct net_conn *net)
{
    return (struct server_conn *)net;
}

static void on_read(struct net_conn *net, struct bytes input)
{
    struct server_conn *c = conn_of(net);
    c->heard_ms = net_loop_now_ms(&c->server->loop);
    c->pinged_ms = 0;
    ssize_t used = nghttp2_session_mem_recv(c->session, input.data, input.size);
    if (used < 0) {
        /* Not HTTP/2, or a flood that the library noticed. */
        log_debug(c->server->options.log, "rpc", "connection-bad", "peer=%s reason=%s", net->peer,
                  nghttp2_strerror((int)used));
        c->server->stats.connections_bad++;
        server_conn_end(c);
        return;
    }
    if (c->abusive) {
        net_conn_finish(net);
    }
    net_conn_mark(net);
}

static void tell_drained(struct server_conn *c)
{
    /* Only those that are in the list now: a handler may stall again at once. */
    struct grpc_call *last = TAILQ_LAST(&c->drained, drained_list);
    struct grpc_call *call = NULL;
    while (call != last) {
        call = TAILQ_FIRST(&c->drained);
        TAILQ_REMOVE(&c->drained, call, drained_entry);
        call->drain_queued = false;
        call_drained(call);
    }
}

static void on_fill(struct net_conn *net, struct buf *out)
{
    struct server_conn *c = conn_of(net);
    for (;;) {
        const uint8_t *data = NULL;
        ssize_t size = nghttp2_session_mem_send(c->session, &data);
        if (size > 0) {
            buf_put(out, data, (size_t)size);
            if (out->size >= NET_FILL_SIZE) {
                return;
            }
            continue;
        }
        if (size < 0) {
            net->finishing = true;
            return;
        }
        if (TAILQ_EMPTY(&c->drained)) {
            break;
        }
        tell_drained(c);
    }
    net->finishing = net->finishing || c->abusive;
    if (out->size == 0 && nghttp2_session_want_read(c->session) == 0 &&
        nghttp2_session_want_write(c->session) == 0) {
        net->finishing = true;
    }
}

static void on_ended(struct net_conn *net, int status)
{
    (void)status;
    server_conn_end(conn_of(net));
}

static void on_closed(struct net_conn *net)
{
    mem_free(conn_of(net));
}

static const struct net_conn_ops conn_ops = {
    .read = on_read, .fill = on_fill, .ended = on_ended, .closed = on_closed};

/* Between net_conn_take() failing and closed(). */
static const struct net_conn_ops failed_ops = {.closed = on_closed};

static void open_session(struct server_conn *c)
{
    const struct grpc_server_options *o = &c->server->options;
    CHECK(nghttp2_session_server_new3(&c->session, c->server->callbacks, c, c->server->h2_options,
                                      h2_mem()) == 0);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_SIZE},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)o->header_size_max},
    };
    CHECK(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
                                  sizeof settings / sizeof settings[0]) == 0);
    CHECK(nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                H2_CONNECTION_WINDOW_SIZE) == 0);
}

void server_conn_take(struct grpc_server *s, struct net_listener *l)
{
    struct server_conn *c = mem_zalloc(sizeof *c);
    c->server = s;
    int status = net_conn_take(&c->net, &s->loop, &conn_ops, net_listener_stream(l));
    if (status < 0) {
        c->net.ops = &failed_ops;
        return;
    }
    LIST_INIT(&c->calls);
    TAILQ_INIT(&c->drained);
    c->taken_ms = net_loop_now_ms(&s->loop);
    c->heard_ms = c->taken_ms;
    struct h2_allowance allowance = {
        .burst = s->options.abuse_burst, .per_second = ABUSE_PER_SECOND, .last_ms = c->taken_ms};
    c->resets = allowance;
    c->pings = allowance;
    LIST_INSERT_HEAD(&s->conns, c, entry);
    s->stats.connections++;
    s->stats.connections_taken++;
    open_session(c);
    net_conn_mark(&c->net);
}

void server_conn_end(struct server_conn *c)
{
    LIST_REMOVE(c, entry);
    CHECK(c->server->stats.connections > 0);
    c->server->stats.connections--;
    net_conn_close(&c->net); /* no event of it from here on */
    while (!LIST_EMPTY(&c->calls)) {
        call_detach(LIST_FIRST(&c->calls));
    }
    nghttp2_session_del(c->session);
    c->session = NULL;
}

void server_conn_sweep(struct server_conn *c, uint64_t now_ms)
{
    const struct grpc_server_options *o = &c->server->options;
    if (!c->greeted && now_ms - c->taken_ms > o->handshake_ms) {
        c->server->stats.connections_bad++;
        server_conn_end(c);
        return;
    }
    if (c->pinged_ms != 0) {
        if (now_ms - c->pinged_ms > o->keepalive_timeout_ms) {
            server_conn_end(c);
        }
        return;
    }
    if (now_ms - c->heard_ms > o->keepalive_ms) {
        c->pinged_ms = now_ms;
        (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        net_conn_mark(&c->net);
    }
}

void server_conn_notice(struct server_conn *c)
{
    (void)nghttp2_submit_shutdown_notice(c->session);
    (void)nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, drain_ping);
    net_conn_mark(&c->net);
}

void server_conn_goaway(struct server_conn *c)
{
    if (c->said_goaway) {
        return;
    }
    c->said_goaway = true;
    (void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(c->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    net_conn_mark(&c->net);
}
