/* SPDX-License-Identifier: Apache-2.0 */
/* What the server does with clients that its own client would never be. */
#include "rpc/grpc_server.h"

#include "rpc/grpc_inbox.h"
#include "rpc/test/echo_server.h"
#include "rpc/test/raw_client.h"

struct fixture {
    struct loop loop;
    struct echo_server echo;
    struct raw_client *client;
};

static struct fixture *fixture_with(struct grpc_server_options options)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    echo_server_open(&f->echo, &f->loop, options);
    f->client = raw_open(&f->loop, grpc_server_port(f->echo.server), true);
    return f;
}

static struct fixture *fixture_open(void)
{
    return fixture_with((struct grpc_server_options){0});
}

static void fixture_close(struct fixture *f)
{
    raw_close(f->client, &f->loop);
    echo_server_close(&f->echo);
    loop_close(&f->loop);
    mem_free(f);
}

static struct buf framed(const char *text)
{
    struct buf b = {0};
    grpc_prefix_encode(buf_extend(&b, GRPC_PREFIX_SIZE), strlen(text));
    buf_put(&b, text, strlen(text));
    return b;
}

/* Sends 'bytes' as the body of a call, in frames of 'piece' bytes (0: as large as they
 * come), and waits for its end. */
static struct raw_stream *call(struct fixture *f, const char *path, struct bytes bytes,
                               size_t piece)
{
    struct raw_body body = {.bytes = bytes, .pieces = &piece, .piece_count = piece == 0 ? 0 : 1};
    struct raw_stream *s = raw_stream(f->client, raw_grpc(f->client, path, &body));
    WAIT_FOR(&f->loop, s->closed);
    return s;
}

/* --- framing --- */

TEST(grpc_server, message_may_be_split_anywhere)
{
    struct fixture *f = fixture_open();
    struct buf message = framed("0123456789");
    for (size_t piece = 1; piece <= message.size; piece++) {
        struct raw_stream *s = call(f, "/test.Test/Echo", buf_bytes(&message), piece);
        EXPECT_STR(s->http_status, "200");
        EXPECT_STR(s->grpc_status, "0");
        EXPECT_UINT(s->header_blocks, 2);
        EXPECT(bytes_equal(buf_bytes(&s->data), buf_bytes(&message)));
        EXPECT_UINT(s->error_code, NGHTTP2_NO_ERROR);
    }
    buf_deinit(&message);
    fixture_close(f);
}

TEST(grpc_server, several_messages_may_share_a_frame)
{
    struct fixture *f = fixture_open();
    struct buf body = {0};
    for (int i = 0; i < 100; i++) {
        struct buf message = framed("hello");
        buf_put_bytes(&body, buf_bytes(&message));
        buf_deinit(&message);
    }
    for (size_t piece = 0; piece <= 13; piece += 13) {
        struct raw_stream *s = call(f, "/test.Test/Chat", buf_bytes(&body), piece);
        EXPECT_STR(s->grpc_status, "0");
        EXPECT_STR(s->grpc_message, "bye");
        EXPECT(bytes_equal(buf_bytes(&s->data), buf_bytes(&body)));
    }
    EXPECT_UINT(f->echo.sent, 200);
    EXPECT_UINT(f->echo.half_closes, 2);
    buf_deinit(&body);
    fixture_close(f);
}

TEST(grpc_server, bidi_call_without_messages_ends_well)
{
    struct fixture *f = fixture_open();
    struct raw_stream *s = call(f, "/test.Test/Chat", bytes_of(NULL, 0), 0);
    EXPECT_STR(s->grpc_status, "0");
    EXPECT_UINT(f->echo.half_closes, 1);
    fixture_close(f);
}

/* Each broken body, and the status and reason that it must get. */
TEST(grpc_server, broken_bodies_get_their_status)
{
    static const struct {
        const char *path;
        const char *body;
        size_t size;
        const char *status;
        const char *message;
    } cases[] = {
        {"/test.Test/Echo", "", 0, "13", "before its message"},
        {"/test.Test/Echo", "\0\0\0", 3, "13", "before its message"},
        {"/test.Test/Echo", "\0\0\0\0\2x", 6, "13", "before its message"},
        {"/test.Test/Echo", "\0\0\0\0\0\0\0\0\0\0", 10, "13", "more than one"},
        {"/test.Test/Echo", "\1\0\0\0\0", 5, "12", "compressed"},
        {"/test.Test/Echo", "\2\0\0\0\0", 5, "13", "framing"},
        {"/test.Test/Echo", "\0\xff\xff\xff\xff", 5, "8", "too large"},
        {"/test.Test/Chat", "\0\0\0\0\2x", 6, "13", "inside a message"},
        {"/test.Test/Chat", "\0\0\0\0\1x\1\0\0\0\0", 11, "12", "compressed"},
        {"/test.Test/Chat", "\7", 1, "13", "inside a message"},
        {"/test.Test/Nothing", "\0\0\0\0\0", 5, "12", "no such method"},
    };
    struct fixture *f = fixture_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw_stream *s = call(f, cases[i].path, bytes_of(cases[i].body, cases[i].size), 0);
        EXPECT_STR(s->http_status, "200");
        EXPECT_STR(s->grpc_status, cases[i].status);
        EXPECT_CONTAINS(s->grpc_message, cases[i].message);
    }
    EXPECT_UINT(f->echo.cancelled, 1); /* Chat had begun when it turned compressed */
    struct grpc_server_stats stats = echo_stats(&f->echo);
    EXPECT_UINT(stats.calls_open, 0);
    EXPECT_UINT(stats.input_size, 0);
    EXPECT_UINT(stats.connections, 1); /* nobody was thrown out */
    fixture_close(f);
}

TEST(grpc_server, what_is_not_grpc_gets_an_http_status)
{
    static const struct {
        const char *method, *path, *type, *status;
    } cases[] = {
        {"POST", "/test.Test/Echo", "application/json", "415"},
        {"GET", "/test.Test/Echo", "application/grpc", "405"},
        {"GET", "/metrics", "text/plain", "404"},
        {"POST", "/", "application/grpc-web", "404"},
    };
    struct fixture *f = fixture_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw_body body = {0};
        int32_t id =
            raw_request(f->client, cases[i].method, cases[i].path, cases[i].type, &body, NULL);
        struct raw_stream *s = raw_stream(f->client, id);
        WAIT_FOR(&f->loop, s->closed);
        EXPECT_STR(s->http_status, cases[i].status);
        EXPECT_STR(s->grpc_status, "");
    }
    fixture_close(f);
}

/* --- limits --- */

TEST(grpc_server, request_at_the_limit_fits_and_one_over_it_does_not)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.message_size_max = 100000});
    char *text = mem_zalloc(100002);
    memset(text, 'x', 100000);
    struct buf fits = framed(text);
    struct raw_stream *s = call(f, "/test.Test/Echo", buf_bytes(&fits), 0);
    EXPECT_STR(s->grpc_status, "0");
    text[100000] = 'x';
    struct buf over = framed(text);
    s = call(f, "/test.Test/Echo", buf_bytes(&over), 0);
    EXPECT_STR(s->grpc_status, "8");
    EXPECT(s->trailers_only);
    EXPECT_UINT(s->error_code, NGHTTP2_NO_ERROR);
    buf_deinit(&fits);
    buf_deinit(&over);
    mem_free(text);
    fixture_close(f);
}

TEST(grpc_server, refusal_does_not_wait_for_the_rest_of_the_request)
{
    struct fixture *f = fixture_open();
    struct raw_body body = {.bytes = bytes_of("\0\x7f\xff\xff\xff", 5), .keep_open = true};
    struct raw_stream *s = raw_stream(f->client, raw_grpc(f->client, "/test.Test/Echo", &body));
    WAIT_FOR(&f->loop, s->closed);
    EXPECT_STR(s->grpc_status, "8");
    EXPECT_UINT(s->error_code, NGHTTP2_NO_ERROR);
    EXPECT_UINT(echo_stats(&f->echo).input_size, 0);
    fixture_close(f);
}

TEST(grpc_server, large_headers_are_refused)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.header_size_max = 1000});
    char *large = mem_zalloc(2001);
    memset(large, 'x', 2000);
    struct raw_body body = {0};
    nghttp2_nv extra = raw_nv("x-large", large);
    int32_t id =
        raw_request(f->client, "POST", "/test.Test/Echo", "application/grpc", &body, &extra);
    struct raw_stream *s = raw_stream(f->client, id);
    WAIT_FOR(&f->loop, s->closed);
    EXPECT_STR(s->grpc_status, "8");
    EXPECT_CONTAINS(s->grpc_message, "headers");
    mem_free(large);
    fixture_close(f);
}

TEST(grpc_server, requests_together_have_a_limit_too)
{
    enum { CALLS = 10, SIZE = 1000 };
    struct fixture *f = fixture_with((struct grpc_server_options){.input_size_max = 4500});
    uint8_t bytes[SIZE] = {0, 0, 1, 0, 0}; /* of 64 KiB, the rest never comes */
    struct raw_body bodies[CALLS];
    int32_t ids[CALLS];
    for (size_t i = 0; i < CALLS; i++) {
        bodies[i] = (struct raw_body){.bytes = bytes_of(bytes, SIZE), .keep_open = true};
        ids[i] = raw_grpc(f->client, "/test.Test/Echo", &bodies[i]);
    }
    for (size_t i = 4; i < CALLS; i++) {
        struct raw_stream *s = raw_stream(f->client, ids[i]);
        WAIT_FOR(&f->loop, s->closed);
        EXPECT_STR(s->grpc_status, "8");
        EXPECT_CONTAINS(s->grpc_message, "no room");
    }
    EXPECT(!raw_stream(f->client, ids[0])->closed);
    EXPECT_UINT(echo_stats(&f->echo).input_size, 4 * SIZE);
    fixture_close(f);
}

TEST(grpc_server, answers_together_have_a_limit_too)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.output_size_max = 5000});
    uint8_t request[13] = {0, 0, 0, 0, 8};
    bytes_put_u32(request + 5, 1000);
    bytes_put_u32(request + 9, 1000);
    struct raw_stream *s = call(f, "/test.Test/Count", bytes_of(request, sizeof request), 0);
    EXPECT_STR(s->grpc_status, "8");
    EXPECT_UINT(f->echo.cancelled, 1); /* the handler was told */
    EXPECT_UINT(echo_stats(&f->echo).output_size, 0);
    EXPECT_UINT(echo_stats(&f->echo).calls_open, 0);
    fixture_close(f);
}

TEST(grpc_server, calls_under_way_have_a_limit)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.calls_max = 1});
    struct buf message = framed("x");
    struct raw_body body = {.bytes = buf_bytes(&message)};
    struct raw_stream *held = raw_stream(f->client, raw_grpc(f->client, "/test.Test/Hold", &body));
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    struct raw_stream *s = call(f, "/test.Test/Echo", buf_bytes(&message), 0);
    EXPECT_STR(s->grpc_status, "8");
    grpc_call_reply(f->echo.held, bytes_str("y"));
    WAIT_FOR(&f->loop, held->closed);
    s = call(f, "/test.Test/Echo", buf_bytes(&message), 0);
    EXPECT_STR(s->grpc_status, "0");
    buf_deinit(&message);
    fixture_close(f);
}

TEST(grpc_server, connections_have_a_limit)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.connections_max = 1});
    struct raw_client *second = raw_open(&f->loop, grpc_server_port(f->echo.server), true);
    WAIT_FOR(&f->loop, second->ended);
    EXPECT_UINT(echo_stats(&f->echo).connections, 1);
    raw_close(second, &f->loop);
    fixture_close(f);
}

/* --- abuse --- */

TEST(grpc_server, flood_of_resets_ends_the_connection)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.abuse_burst = 20});
    for (int i = 0; i < 100; i++) {
        struct raw_body body = {.keep_open = true};
        int32_t id = raw_grpc(f->client, "/test.Test/Hold", &body);
        /* HEADERS must have left before the reset does. */
        const uint8_t *data = NULL;
        for (;;) {
            ssize_t size = nghttp2_session_mem_send(f->client->session, &data);
            if (size <= 0) {
                break;
            }
            buf_put(&f->client->conn.out, data, (size_t)size);
        }
        (void)nghttp2_submit_rst_stream(f->client->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    net_conn_mark(&f->client->conn);
    WAIT_FOR(&f->loop, f->client->ended);
    EXPECT(f->client->goaway);
    EXPECT_UINT(f->client->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT_STR(f->client->goaway_text, "too_many_resets");
    EXPECT_UINT(echo_stats(&f->echo).connections, 0);
    EXPECT_UINT(echo_stats(&f->echo).connections_bad, 1);
    EXPECT_UINT(echo_stats(&f->echo).calls_open, 0);
    fixture_close(f);
}

/* A window that grows over 2^31 is an error, answered by a reset of the stream. */
TEST(grpc_server, flood_of_provoked_resets_ends_the_connection_too)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.abuse_burst = 20});
    struct raw_body body = {.keep_open = true};
    for (int i = 0; i < 100; i++) {
        int32_t id = raw_grpc(f->client, "/test.Test/Hold", &body);
        const uint8_t *data = NULL;
        for (;;) {
            ssize_t size = nghttp2_session_mem_send(f->client->session, &data);
            if (size <= 0) {
                break;
            }
            buf_put(&f->client->conn.out, data, (size_t)size);
        }
        uint8_t update[13] = {0,           0,    4,    8,    0,   0, 0, (uint8_t)(id >> 8),
                              (uint8_t)id, 0x7f, 0xff, 0xff, 0xff};
        buf_put(&f->client->conn.out, update, sizeof update);
    }
    net_conn_mark(&f->client->conn);
    WAIT_FOR(&f->loop, f->client->ended);
    EXPECT_UINT(f->client->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT_STR(f->client->goaway_text, "too_many_resets");
    EXPECT_UINT(echo_stats(&f->echo).connections, 0);
    fixture_close(f);
}

TEST(grpc_server, pings_are_answered_until_there_are_too_many)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.abuse_burst = 20});
    for (int i = 0; i < 10; i++) {
        (void)nghttp2_submit_ping(f->client->session, NGHTTP2_FLAG_NONE, NULL);
    }
    net_conn_mark(&f->client->conn);
    WAIT_FOR(&f->loop, f->client->ping_acks == 10);
    EXPECT(!f->client->goaway);
    for (int i = 0; i < 100; i++) {
        (void)nghttp2_submit_ping(f->client->session, NGHTTP2_FLAG_NONE, NULL);
    }
    net_conn_mark(&f->client->conn);
    WAIT_FOR(&f->loop, f->client->ended);
    EXPECT_UINT(f->client->goaway_error, NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT_STR(f->client->goaway_text, "too_many_pings");
    fixture_close(f);
}

TEST(grpc_server, garbage_closes_its_connection_and_nothing_else)
{
    static const struct {
        const char *text;
        size_t size;
    } garbage[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 25},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, is it?", 50},
    };
    struct fixture *f = fixture_open();
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        struct raw_client *bad = raw_open(&f->loop, grpc_server_port(f->echo.server), false);
        buf_put(&bad->conn.out, garbage[i].text, garbage[i].size);
        net_conn_mark(&bad->conn);
        WAIT_FOR(&f->loop, bad->ended);
        raw_close(bad, &f->loop);
        EXPECT_UINT(echo_stats(&f->echo).connections_bad, i + 1);
    }
    EXPECT_UINT(echo_stats(&f->echo).connections, 1);
    struct buf message = framed("still here");
    EXPECT_STR(call(f, "/test.Test/Echo", buf_bytes(&message), 0)->grpc_status, "0");
    buf_deinit(&message);
    fixture_close(f);
}

TEST(grpc_server, silent_connections_are_closed)
{
    struct fixture *f = fixture_with((struct grpc_server_options){.handshake_ms = 30});
    struct raw_client *silent = raw_open(&f->loop, grpc_server_port(f->echo.server), false);
    WAIT_FOR(&f->loop, silent->ended);
    raw_close(silent, &f->loop);
    EXPECT_UINT(echo_stats(&f->echo).connections, 1); /* the one that greeted stays */
    fixture_close(f);
}

TEST(grpc_server, keepalive_notices_a_client_that_is_gone)
{
    struct fixture *f =
        fixture_with((struct grpc_server_options){.keepalive_ms = 30, .keepalive_timeout_ms = 30});
    /* It answers our pings: it stays for much longer than both times. */
    uint64_t start = uv_now(&f->loop.uv);
    WAIT_FOR(&f->loop, uv_now(&f->loop.uv) > start + 200);
    EXPECT(!f->client->ended);
    /* It reads nothing any more, and so answers nothing. */
    (void)uv_read_stop((uv_stream_t *)&f->client->conn.tcp);
    WAIT_FOR(&f->loop, echo_stats(&f->echo).connections == 0);
    fixture_close(f);
}

/* --- calls and their ends --- */

TEST(grpc_server, deadline_of_the_client_is_enforced_here_too)
{
    struct fixture *f = fixture_open();
    struct buf message = framed("x");
    struct raw_body body = {.bytes = buf_bytes(&message)};
    nghttp2_nv extra = raw_nv("grpc-timeout", "30m");
    int32_t id =
        raw_request(f->client, "POST", "/test.Test/Hold", "application/grpc", &body, &extra);
    struct raw_stream *s = raw_stream(f->client, id);
    WAIT_FOR(&f->loop, s->closed);
    EXPECT_STR(s->grpc_status, "4");
    EXPECT_CONTAINS(s->grpc_message, "may still take effect");
    EXPECT_UINT(f->echo.cancelled, 1);
    EXPECT(grpc_call_is_cancelled(f->echo.held));
    grpc_call_reply(f->echo.held, bytes_str("late"));

    body = (struct raw_body){.bytes = buf_bytes(&message)};
    extra = raw_nv("grpc-timeout", "soon");
    id = raw_request(f->client, "POST", "/test.Test/Echo", "application/grpc", &body, &extra);
    s = raw_stream(f->client, id);
    WAIT_FOR(&f->loop, s->closed);
    EXPECT_STR(s->grpc_status, "3");
    buf_deinit(&message);
    fixture_close(f);
}

TEST(grpc_server, reset_by_the_client_cancels_the_call)
{
    struct fixture *f = fixture_open();
    struct buf message = framed("the request");
    struct raw_body body = {.bytes = buf_bytes(&message)};
    int32_t id = raw_grpc(f->client, "/test.Test/Hold", &body);
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    (void)nghttp2_submit_rst_stream(f->client->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    net_conn_mark(&f->client->conn);
    WAIT_FOR(&f->loop, f->echo.cancelled == 1);
    /* Everything of the call is still there until it is finished. */
    struct buf kept = {0};
    struct bytes request = grpc_call_keep(f->echo.held, &kept);
    EXPECT(bytes_equal(request, bytes_str("the request")));
    EXPECT(grpc_call_send_space(f->echo.held, 1000) != NULL);
    grpc_call_trailer(f->echo.held, "x", "y");
    grpc_call_finish(f->echo.held, GRPC_OK, NULL);
    EXPECT_UINT(f->echo.cancelled, 1);
    EXPECT(bytes_equal(request, bytes_str("the request"))); /* kept beyond the call */
    EXPECT_UINT(echo_stats(&f->echo).input_size, 0);
    EXPECT_UINT(echo_stats(&f->echo).calls_cancelled, 1);
    buf_deinit(&kept);
    buf_deinit(&message);
    fixture_close(f);
}

TEST(grpc_server, lost_connection_cancels_its_calls)
{
    struct fixture *f = fixture_open();
    struct buf message = framed("x");
    struct raw_body body = {.bytes = buf_bytes(&message)};
    (void)raw_grpc(f->client, "/test.Test/Hold", &body);
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    net_conn_close(&f->client->conn);
    WAIT_FOR(&f->loop, f->echo.cancelled == 1);
    grpc_call_reply(f->echo.held, bytes_str("y"));
    EXPECT_UINT(echo_stats(&f->echo).calls_open, 0);
    EXPECT_UINT(echo_stats(&f->echo).output_size, 0);
    buf_deinit(&message);
    fixture_close(f);
}

/* A client that asks and asks but never reads: its questions are not even looked
 * at once enough answers wait. */
TEST(grpc_server, bidi_input_waits_while_the_output_is_full)
{
    enum { COUNT = 20000 };
    struct fixture *f = fixture_open();
    (void)nghttp2_session_set_local_window_size(f->client->session, NGHTTP2_FLAG_NONE, 0, 0);
    struct buf message = framed("0123456789012345678901234567890123456789");
    struct buf all = {0};
    for (int i = 0; i < COUNT; i++) {
        buf_put_bytes(&all, buf_bytes(&message));
    }
    (void)uv_read_stop((uv_stream_t *)&f->client->conn.tcp);
    struct raw_body body = {.bytes = buf_bytes(&all)};
    struct raw_stream *s = raw_stream(f->client, raw_grpc(f->client, "/test.Test/Chat", &body));
    unsigned sent = 0;
    do {
        sent = f->echo.sent;
        for (int i = 0; i < 5; i++) {
            loop_turn(&f->loop);
        }
    } while (sent == 0 || sent != f->echo.sent);
    EXPECT(f->echo.sent < COUNT);
    EXPECT(echo_stats(&f->echo).output_size < (size_t)512 * 1024);
    EXPECT(!s->closed);
    buf_deinit(&all);
    buf_deinit(&message);
    fixture_close(f);
}

static void on_drained(void *context)
{
    (*(unsigned *)context)++;
}

TEST(grpc_server, drain_lets_calls_end_and_takes_no_new_ones)
{
    struct fixture *f = fixture_open();
    struct buf message = framed("x");
    struct raw_body body = {.bytes = buf_bytes(&message)};
    struct raw_stream *held = raw_stream(f->client, raw_grpc(f->client, "/test.Test/Hold", &body));
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    unsigned drained = 0;
    grpc_server_drain(f->echo.server, 60000, on_drained, &drained);
    WAIT_FOR(&f->loop, f->client->goaways == 2); /* the notice, then the last word */
    EXPECT_UINT(f->client->goaway_error, NGHTTP2_NO_ERROR);
    EXPECT_INT(f->client->goaway_last, 1);
    EXPECT_UINT(drained, 0);
    grpc_call_reply(f->echo.held, bytes_str("y"));
    WAIT_FOR(&f->loop, held->closed);
    EXPECT_STR(held->grpc_status, "0");
    WAIT_FOR(&f->loop, drained == 1);
    EXPECT_UINT(f->echo.cancelled, 0);
    EXPECT(f->client->ended);
    buf_deinit(&message);
    fixture_close(f);
}

TEST(grpc_server, drain_ends_when_the_grace_is_over)
{
    struct fixture *f = fixture_open();
    struct buf message = framed("x");
    struct raw_body body = {.bytes = buf_bytes(&message)};
    struct raw_stream *held = raw_stream(f->client, raw_grpc(f->client, "/test.Test/Hold", &body));
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    unsigned drained = 0;
    grpc_server_drain(f->echo.server, 50, on_drained, &drained);
    WAIT_FOR(&f->loop, held->closed);
    EXPECT_STR(held->grpc_status, "14");
    EXPECT_CONTAINS(held->grpc_message, "shutting down");
    EXPECT_UINT(f->echo.cancelled, 1);
    grpc_call_finish(f->echo.held, GRPC_OK, NULL);
    WAIT_FOR(&f->loop, drained == 1);
    buf_deinit(&message);
    fixture_close(f);
}

TEST(grpc_server, drain_of_an_idle_server_is_quick)
{
    struct fixture *f = fixture_open();
    struct raw_client *dead = raw_open(&f->loop, grpc_server_port(f->echo.server), true);
    WAIT_FOR(&f->loop, echo_stats(&f->echo).connections == 2);
    unsigned drained = 0;
    grpc_server_drain(f->echo.server, 60000, on_drained, &drained);
    WAIT_FOR(&f->loop, drained == 1);
    EXPECT(f->client->ended);
    raw_close(dead, &f->loop);
    fixture_close(f);
}

TEST(grpc_server, port_in_use_is_an_error)
{
    struct fixture *f = fixture_open();
    struct grpc_server *second = NULL;
    struct err e;
    struct grpc_server_options options = {
        .loop = &f->loop.uv, .address = loop_address(grpc_server_port(f->echo.server))};
    EXPECT_ERR(grpc_server_open(&options, &second, &e), ERR_EXISTS);
    EXPECT(second == NULL);
    grpc_server_close(NULL);
    fixture_close(f);
}

static void add_twice(void *arg)
{
    struct fixture *f = arg;
    grpc_server_add(f->echo.server, f->echo.methods, 1);
}

TEST(grpc_server, path_twice_is_a_bug)
{
    struct fixture *f = fixture_open();
    EXPECT_DIES(add_twice, f, "server_method");
    fixture_close(f);
}
