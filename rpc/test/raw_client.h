/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP/2 client that does what it is told, right or wrong: any headers, DATA
 * frames of any size, resets, pings, raw bytes. */
#ifndef TIDEMARK_RPC_TEST_RAW_CLIENT_H
#define TIDEMARK_RPC_TEST_RAW_CLIENT_H

#include <nghttp2/nghttp2.h>

#include "base/mem.h"
#include "rpc/net_conn.h"
#include "rpc/test/loop.h"

enum { RAW_STREAMS_MAX = 4096 };

/* What came back on one stream. */
struct raw_stream {
    char http_status[8];
    char grpc_status[8];
    char grpc_message[128];
    unsigned header_blocks;
    bool trailers_only; /* the first block ended the stream */
    struct buf data;
    bool closed;
    uint32_t error_code; /* when closed */
};

/* The body of one request: pieces[i] is the size of the i-th DATA frame; the last
 * one is repeated. */
struct raw_body {
    struct bytes bytes;
    size_t sent;
    const size_t *pieces;
    size_t piece_count;
    size_t piece;
    bool keep_open; /* no END_STREAM after the last byte */
};

struct raw_client {
    struct net_conn conn; /* first */
    struct net_loop net;
    nghttp2_session *session;
    bool connected, ended, closed, net_closed;
    bool goaway;
    uint32_t goaway_error;
    int32_t goaway_last;
    unsigned goaways;
    unsigned ping_acks;
    char goaway_text[64];
    struct raw_stream streams[RAW_STREAMS_MAX]; /* by stream id / 2 */
};

static inline struct raw_stream *raw_stream(struct raw_client *c, int32_t id)
{
    REQUIRE(id > 0 && id / 2 < RAW_STREAMS_MAX);
    return &c->streams[id / 2];
}

static inline void raw_copy(char *dst, size_t dst_size, const uint8_t *text, size_t size)
{
    size_t n = size < dst_size - 1 ? size : dst_size - 1;
    if (n > 0) {
        memcpy(dst, text, n);
    }
    dst[n] = '\0';
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static inline int raw_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                const uint8_t *name, size_t name_size, const uint8_t *value,
                                size_t value_size, uint8_t flags, void *user)
{
    (void)session;
    (void)flags;
    struct raw_stream *s = raw_stream(user, frame->hd.stream_id);
    if (name_size == 7 && memcmp(name, ":status", 7) == 0) {
        raw_copy(s->http_status, sizeof s->http_status, value, value_size);
    } else if (name_size == 11 && memcmp(name, "grpc-status", 11) == 0) {
        raw_copy(s->grpc_status, sizeof s->grpc_status, value, value_size);
    } else if (name_size == 12 && memcmp(name, "grpc-message", 12) == 0) {
        raw_copy(s->grpc_message, sizeof s->grpc_message, value, value_size);
    }
    return 0;
}

static inline int raw_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct raw_client *c = user;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        struct raw_stream *s = raw_stream(c, frame->hd.stream_id);
        s->header_blocks++;
        s->trailers_only = s->trailers_only || (s->header_blocks == 1 &&
                                                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        c->goaway = true;
        c->goaways++;
        c->goaway_error = frame->goaway.error_code;
        c->goaway_last = frame->goaway.last_stream_id;
        raw_copy(c->goaway_text, sizeof c->goaway_text, frame->goaway.opaque_data,
                 frame->goaway.opaque_data_len);
    } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        c->ping_acks++;
    }
    return 0;
}

static inline int raw_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                              const uint8_t *data, size_t size, void *user)
{
    (void)session;
    (void)flags;
    buf_put(&raw_stream(user, id)->data, data, size);
    return 0;
}

static inline int raw_on_close(nghttp2_session *session, int32_t id, uint32_t error_code,
                               void *user)
{
    (void)session;
    struct raw_stream *s = raw_stream(user, id);
    s->closed = true;
    s->error_code = error_code;
    return 0;
}

static inline void raw_on_read(struct net_conn *conn, struct bytes input)
{
    struct raw_client *c = (struct raw_client *)conn;
    (void)nghttp2_session_mem_recv(c->session, input.data, input.size);
    net_conn_mark(conn);
}

static inline void raw_on_fill(struct net_conn *conn, struct buf *out)
{
    struct raw_client *c = (struct raw_client *)conn;
    buf_put_bytes(out, buf_bytes(&conn->out)); /* raw bytes first */
    buf_reset(&conn->out);
    while (out->size < NET_FILL_SIZE) {
        const uint8_t *data = NULL;
        ssize_t size = nghttp2_session_mem_send(c->session, &data);
        if (size <= 0) {
            return;
        }
        buf_put(out, data, (size_t)size);
    }
}

static inline void raw_on_connected(struct net_conn *conn)
{
    ((struct raw_client *)conn)->connected = true;
    net_conn_mark(conn);
}

static inline void raw_on_ended(struct net_conn *conn, int status)
{
    (void)status;
    ((struct raw_client *)conn)->ended = true;
}

static inline void raw_on_closed(struct net_conn *conn)
{
    ((struct raw_client *)conn)->closed = true;
}

static inline void raw_on_net_closed(void *owner)
{
    ((struct raw_client *)owner)->net_closed = true;
}

static inline struct raw_client *raw_open(struct loop *loop, uint16_t port, bool speaks_http2)
{
    static const struct net_conn_ops ops = {.connected = raw_on_connected,
                                            .read = raw_on_read,
                                            .fill = raw_on_fill,
                                            .ended = raw_on_ended,
                                            .closed = raw_on_closed};
    struct raw_client *c = mem_zalloc(sizeof *c);
    nghttp2_session_callbacks *callbacks = NULL;
    REQUIRE_INT(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, raw_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, raw_on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, raw_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, raw_on_close);
    nghttp2_option *option = NULL;
    REQUIRE_INT(nghttp2_option_new(&option), 0);
    nghttp2_option_set_peer_max_concurrent_streams(option, RAW_STREAMS_MAX);
    REQUIRE_INT(nghttp2_session_client_new2(&c->session, callbacks, c, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (speaks_http2) {
        REQUIRE_INT(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0), 0);
    } else {
        /* Its preface must not leave. */
        nghttp2_session_del(c->session);
        REQUIRE_INT(nghttp2_session_callbacks_new(&callbacks), 0);
        REQUIRE_INT(nghttp2_session_server_new(&c->session, callbacks, c), 0);
        nghttp2_session_callbacks_del(callbacks);
    }
    net_loop_init(&c->net, &loop->uv, raw_on_net_closed, c);
    struct net_address address;
    REQUIRE_OK(net_address_parse(loop_address(port), &address, NULL));
    net_conn_dial(&c->conn, &c->net, &ops, &address, 5000);
    WAIT_FOR(loop, c->connected);
    return c;
}

static inline void raw_close(struct raw_client *c, struct loop *loop)
{
    net_conn_close(&c->conn);
    net_loop_close(&c->net);
    WAIT_FOR(loop, c->net_closed);
    nghttp2_session_del(c->session);
    for (size_t i = 0; i < RAW_STREAMS_MAX; i++) {
        buf_deinit(&c->streams[i].data);
    }
    mem_free(c);
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static inline ssize_t raw_take(nghttp2_session *session, int32_t id, uint8_t *dst, size_t size,
                               uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)user;
    struct raw_body *body = source->ptr;
    size_t n = body->bytes.size - body->sent;
    if (n == 0 && body->keep_open) {
        return NGHTTP2_ERR_DEFERRED;
    }
    if (body->piece_count > 0) {
        size_t piece = body->pieces[body->piece];
        n = n < piece ? n : piece;
        if (body->piece + 1 < body->piece_count) {
            body->piece++;
        }
    }
    n = n < size ? n : size;
    if (n > 0) {
        memcpy(dst, body->bytes.data + body->sent, n);
        body->sent += n;
    }
    if (body->sent == body->bytes.size && !body->keep_open) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

static inline nghttp2_nv raw_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* 'body' must live until it is sent. 'extra' may be NULL. Returns the stream. */
static inline int32_t raw_request(struct raw_client *c, const char *method, const char *path,
                                  const char *content_type, struct raw_body *body,
                                  const nghttp2_nv *extra)
{
    nghttp2_nv fields[7] = {raw_nv(":method", method),
                            raw_nv(":scheme", "http"),
                            raw_nv(":path", path),
                            raw_nv(":authority", "test"),
                            raw_nv("te", "trailers"), /* check: spelling: the name of a header */
                            raw_nv("content-type", content_type)};
    size_t n = 6;
    if (extra != NULL) {
        fields[n++] = *extra;
    }
    nghttp2_data_provider provider = {.source = {.ptr = body}, .read_callback = raw_take};
    int32_t id =
        nghttp2_submit_request(c->session, NULL, fields, n, body == NULL ? NULL : &provider, NULL);
    REQUIRE(id > 0);
    net_conn_mark(&c->conn);
    return id;
}

static inline int32_t raw_grpc(struct raw_client *c, const char *path, struct raw_body *body)
{
    return raw_request(c, "POST", path, "application/grpc", body, NULL);
}

#endif
