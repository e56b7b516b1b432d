/* SPDX-License-Identifier: Apache-2.0 */
/* The client against our own server; what only a misbehaving server does is
 * played by raw bytes. */
#include "rpc/grpc_client.h"

#include "base/random.h"
#include "rpc/net_conn.h"
#include "rpc/net_listener.h"
#include "rpc/test/echo_server.h"

/* What came back for one call. */
struct reply {
    unsigned done;
    enum grpc_status status;
    bool unprocessed;
    char message[200];
    char leader[64];
    char more[16];
    unsigned messages;
    size_t size;
    struct buf last;
    struct grpc_client_call *call;
    unsigned pause_after;  /* messages; 0: never */
    unsigned cancel_after; /* messages; 0: never */
};

struct fixture {
    struct loop loop;
    struct echo_server echo;
    struct grpc_channel *channel;
};

static void on_message(void *context, struct bytes message)
{
    struct reply *r = context;
    EXPECT_UINT(r->done, 0);
    r->messages++;
    r->size += message.size;
    buf_reset(&r->last);
    buf_put_bytes(&r->last, message);
    if (r->messages == r->pause_after) {
        grpc_client_call_pause(r->call);
    }
    if (r->messages == r->cancel_after) {
        grpc_client_call_cancel(r->call);
        r->call = NULL;
    }
}

static void on_done(void *context, const struct grpc_result *result)
{
    struct reply *r = context;
    r->done++;
    r->call = NULL;
    r->status = result->status;
    r->unprocessed = result->unprocessed;
    (void)snprintf(r->message, sizeof r->message, "%s", result->message);
    (void)snprintf(r->leader, sizeof r->leader, "%s", result->leader == NULL ? "" : result->leader);
    const char *more = grpc_result_trailer(result, "x-more");
    (void)snprintf(r->more, sizeof r->more, "%s", more == NULL ? "" : more);
}

static const struct grpc_client_events events = {on_message, on_done};

static void open_channel(struct fixture *f, const char *address,
                         struct grpc_channel_options options)
{
    options.loop = &f->loop.uv;
    options.address = address;
    REQUIRE_OK(grpc_channel_open(&options, &f->channel, NULL));
}

static struct fixture *fixture_open(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    echo_server_open(&f->echo, &f->loop, (struct grpc_server_options){0});
    open_channel(f, loop_address(grpc_server_port(f->echo.server)),
                 (struct grpc_channel_options){0});
    return f;
}

static void fixture_close(struct fixture *f)
{
    grpc_channel_close(f->channel);
    echo_server_close(&f->echo);
    loop_close(&f->loop);
    mem_free(f);
}

static void start(struct fixture *f, struct reply *r, const struct grpc_call_request *request)
{
    r->call = grpc_channel_call(f->channel, request, &events, r);
    REQUIRE(r->call != NULL);
    EXPECT_UINT(r->done, 0); /* never from inside */
}

static void call_unary(struct fixture *f, struct reply *r, const char *path, struct bytes message)
{
    start(f, r, &(struct grpc_call_request){.path = path, .message = message});
}

static void reply_deinit(struct reply *r)
{
    buf_deinit(&r->last);
}

static void start_count(struct fixture *f, struct reply *r, uint32_t count, uint32_t size)
{
    uint8_t request[8];
    bytes_put_u32(request, count);
    bytes_put_u32(request + 4, size);
    start(f, r,
          &(struct grpc_call_request){
              .path = "/test.Test/Count", .message = bytes_of(request, 8), .streams = true});
}

TEST(grpc_client, echoes_messages_of_every_size)
{
    struct fixture *f = fixture_open();
    static const size_t sizes[] = {0,     1,      5,       100,     16379,        16384,
                                   65535, 100000, 1 << 20, 4 << 20, (4 << 20) - 1};
    uint8_t *data = mem_alloc(4 << 20);
    struct random random = random_seeded(5);
    for (size_t i = 0; i < 4 << 20; i += 8) {
        bytes_put_u64(data + i, random_u64(&random));
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct reply r = {0};
        call_unary(f, &r, "/test.Test/Echo", bytes_of(data, sizes[i]));
        WAIT_FOR(&f->loop, r.done == 1);
        EXPECT_INT(r.status, GRPC_OK);
        EXPECT_UINT(r.messages, 1);
        EXPECT(bytes_equal(buf_bytes(&r.last), bytes_of(data, sizes[i])));
        reply_deinit(&r);
    }
    EXPECT_UINT(echo_stats(&f->echo).input_size, 0);
    EXPECT_UINT(echo_stats(&f->echo).output_size, 0);
    EXPECT_UINT(echo_stats(&f->echo).connections_taken, 1);
    mem_free(data);
    fixture_close(f);
}

TEST(grpc_client, many_calls_at_once_share_a_connection)
{
    enum { CALLS = 500 };
    struct fixture *f = fixture_open();
    static struct reply replies[CALLS];
    memset(replies, 0, sizeof replies);
    for (uint32_t i = 0; i < CALLS; i++) {
        uint8_t message[4];
        bytes_put_u32(message, i);
        call_unary(f, &replies[i], "/test.Test/Echo", bytes_of(message, 4));
    }
    for (uint32_t i = 0; i < CALLS; i++) {
        WAIT_FOR(&f->loop, replies[i].done == 1);
        EXPECT_INT(replies[i].status, GRPC_OK);
        REQUIRE_UINT(replies[i].last.size, 4);
        EXPECT_UINT(bytes_get_u32(replies[i].last.data), i);
        reply_deinit(&replies[i]);
    }
    EXPECT_UINT(echo_stats(&f->echo).connections_taken, 1);
    EXPECT_UINT(echo_stats(&f->echo).calls_started, CALLS);
    fixture_close(f);
}

TEST(grpc_client, gets_status_message_leader_and_trailers)
{
    struct fixture *f = fixture_open();
    struct reply r = {0};
    call_unary(f, &r, "/test.Test/Fail", bytes_str(""));
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_UNAVAILABLE);
    EXPECT_STR(r.message, "the leader is \"n2\", 100% sure");
    EXPECT_STR(r.leader, "127.0.0.1:7072");
    EXPECT_STR(r.more, "1");
    EXPECT_UINT(r.messages, 0);
    EXPECT(!r.unprocessed);
    fixture_close(f);
}

TEST(grpc_client, unknown_method_is_unimplemented)
{
    struct fixture *f = fixture_open();
    struct reply r = {0};
    call_unary(f, &r, "/test.Test/Nothing", bytes_str("x"));
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_UNIMPLEMENTED);
    EXPECT_UINT(echo_stats(&f->echo).calls_started, 0);
    fixture_close(f);
}

TEST(grpc_client, sends_metadata)
{
    struct fixture *f = fixture_open();
    struct reply r = {0};
    const struct grpc_metadata metadata[] = {{"x-one", "1"}, {"x-two", "two words"}};
    start(f, &r,
          &(struct grpc_call_request){
              .path = "/test.Test/Hold", .metadata = metadata, .metadata_count = 2});
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    EXPECT_STR(grpc_call_metadata(f->echo.held, "x-one"), "1");
    EXPECT_STR(grpc_call_metadata(f->echo.held, "x-two"), "two words");
    EXPECT_STR(grpc_call_metadata(f->echo.held, "user-agent"), "tidemark");
    EXPECT(grpc_call_metadata(f->echo.held, "x-three") == NULL);
    EXPECT_STR(grpc_call_path(f->echo.held), "/test.Test/Hold");
    EXPECT_CONTAINS(grpc_call_peer(f->echo.held), "127.0.0.1:");
    grpc_call_finish(f->echo.held, GRPC_ABORTED, NULL);
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_ABORTED);
    EXPECT_STR(r.message, "");
    fixture_close(f);
}

TEST(grpc_client, stream_ends_after_its_messages)
{
    struct fixture *f = fixture_open();
    struct reply r = {0};
    start_count(f, &r, 1000, 1000);
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_OK);
    EXPECT_UINT(r.messages, 1000);
    EXPECT_UINT(r.size, 1000 * 1000);
    reply_deinit(&r);

    struct reply none = {0};
    start_count(f, &none, 0, 0);
    WAIT_FOR(&f->loop, none.done == 1);
    EXPECT_INT(none.status, GRPC_OK);
    EXPECT_UINT(none.messages, 0);

    struct reply empty = {0};
    start_count(f, &empty, 5, 0);
    WAIT_FOR(&f->loop, empty.done == 1);
    EXPECT_UINT(empty.messages, 5);
    EXPECT_UINT(empty.size, 0);
    reply_deinit(&empty);
    fixture_close(f);
}

/* A reader that pauses stops the server's handler, by flow control, at a bounded
 * amount, and gets everything once it goes on. */
TEST(grpc_client, paused_stream_stops_the_server)
{
    enum { COUNT = 1000, SIZE = 100 * 1000 };
    struct fixture *f = fixture_open();
    struct reply r = {.pause_after = 3};
    start_count(f, &r, COUNT, SIZE);
    WAIT_FOR(&f->loop, r.messages == 3);
    unsigned sent = 0;
    do {
        sent = f->echo.sent;
        for (int i = 0; i < 5; i++) {
            loop_turn(&f->loop);
        }
    } while (sent != f->echo.sent);
    EXPECT_UINT(r.messages, 3);
    EXPECT(f->echo.sent < 50);
    EXPECT(echo_stats(&f->echo).output_size < (size_t)1024 * 1024);

    /* Another call on the same connection is not held up. */
    struct reply other = {0};
    call_unary(f, &other, "/test.Test/Echo", bytes_str("hi"));
    WAIT_FOR(&f->loop, other.done == 1);
    reply_deinit(&other);

    grpc_client_call_resume(r.call);
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_UINT(r.messages, COUNT);
    EXPECT_UINT(r.size, (size_t)COUNT * SIZE);
    EXPECT(f->echo.drains > 0);
    reply_deinit(&r);
    fixture_close(f);
}

TEST(grpc_client, deadline_ends_the_call_on_both_sides)
{
    struct fixture *f = fixture_open();
    struct reply r = {0};
    uint64_t deadline = uv_now(&f->loop.uv) + 100;
    start(f, &r, &(struct grpc_call_request){.path = "/test.Test/Hold", .deadline_ms = deadline});
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    EXPECT(grpc_call_deadline_ms(f->echo.held) <= deadline + 100);
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_DEADLINE_EXCEEDED);
    EXPECT(uv_now(&f->loop.uv) >= deadline);
    WAIT_FOR(&f->loop, f->echo.cancelled == 1);
    EXPECT(grpc_call_is_cancelled(f->echo.held));
    grpc_call_reply(f->echo.held, bytes_str("too late"));
    for (int i = 0; i < 3; i++) {
        loop_turn(&f->loop);
    }
    EXPECT_UINT(r.done, 1);
    EXPECT_UINT(echo_stats(&f->echo).calls_open, 0);
    fixture_close(f);
}

TEST(grpc_client, cancel_tells_the_server_and_nobody_else)
{
    struct fixture *f = fixture_open();
    struct reply r = {0};
    call_unary(f, &r, "/test.Test/Hold", bytes_str(""));
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    grpc_client_call_cancel(r.call);
    WAIT_FOR(&f->loop, f->echo.cancelled == 1);
    EXPECT_UINT(r.done, 0);
    grpc_call_finish(f->echo.held, GRPC_OK, NULL);
    fixture_close(f);
}

TEST(grpc_client, cancel_from_inside_a_message)
{
    struct fixture *f = fixture_open();
    struct reply r = {.cancel_after = 2};
    start_count(f, &r, 100000, 1000);
    WAIT_FOR(&f->loop, f->echo.cancelled == 1);
    EXPECT_UINT(r.messages, 2);
    EXPECT_UINT(r.done, 0);
    reply_deinit(&r);

    /* Before it was ever sent. */
    struct reply early = {0};
    call_unary(f, &early, "/test.Test/Hold", bytes_str(""));
    grpc_client_call_cancel(early.call);
    struct reply next = {0};
    call_unary(f, &next, "/test.Test/Echo", bytes_str("x"));
    WAIT_FOR(&f->loop, next.done == 1);
    EXPECT(f->echo.held == NULL);
    EXPECT_UINT(early.done, 0);
    reply_deinit(&next);
    fixture_close(f);
}

TEST(grpc_client, answer_over_the_limit_is_refused)
{
    struct fixture *f = fixture_open();
    grpc_channel_close(f->channel);
    open_channel(f, loop_address(grpc_server_port(f->echo.server)),
                 (struct grpc_channel_options){.message_size_max = 1000});
    struct reply r = {0};
    uint8_t data[1001] = {0};
    call_unary(f, &r, "/test.Test/Echo", bytes_of(data, 1001));
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_RESOURCE_EXHAUSTED);
    EXPECT_UINT(r.messages, 0);
    struct reply fits = {0};
    call_unary(f, &fits, "/test.Test/Echo", bytes_of(data, 1000));
    WAIT_FOR(&f->loop, fits.done == 1);
    EXPECT_INT(fits.status, GRPC_OK);
    reply_deinit(&fits);
    fixture_close(f);
}

TEST(grpc_client, too_many_calls_are_refused)
{
    struct fixture *f = fixture_open();
    grpc_channel_close(f->channel);
    open_channel(f, loop_address(grpc_server_port(f->echo.server)),
                 (struct grpc_channel_options){.calls_max = 2});
    struct reply r[2] = {{0}};
    call_unary(f, &r[0], "/test.Test/Echo", bytes_str("a"));
    call_unary(f, &r[1], "/test.Test/Echo", bytes_str("b"));
    EXPECT(grpc_channel_call(f->channel, &(struct grpc_call_request){.path = "/test.Test/Echo"},
                             &events, NULL) == NULL);
    WAIT_FOR(&f->loop, r[0].done == 1 && r[1].done == 1);
    reply_deinit(&r[0]);
    reply_deinit(&r[1]);
    fixture_close(f);
}

TEST(grpc_client, refused_connection_is_unavailable_and_unprocessed)
{
    struct fixture *f = fixture_open();
    char address[64];
    (void)snprintf(address, sizeof address, "%s", loop_address(grpc_server_port(f->echo.server)));
    uint16_t port = grpc_server_port(f->echo.server);
    echo_server_close(&f->echo);
    loop_turn(&f->loop);
    struct reply r = {0};
    call_unary(f, &r, "/test.Test/Echo", bytes_str("x"));
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_UNAVAILABLE);
    EXPECT(r.unprocessed);
    EXPECT_CONTAINS(r.message, "connection refused");
    EXPECT_CONTAINS(r.message, address);

    /* Until the back-off is over, the answer is the same at once. */
    struct reply waiting = {0};
    call_unary(f, &waiting, "/test.Test/Echo", bytes_str("x"));
    WAIT_FOR(&f->loop, waiting.done == 1);
    EXPECT_INT(waiting.status, GRPC_UNAVAILABLE);

    /* The server comes back: so do we. */
    echo_server_open(&f->echo, &f->loop,
                     (struct grpc_server_options){.address = loop_address(port)});
    struct reply again = {0};
    for (unsigned i = 0; i < 1000 && again.status != GRPC_OK; i++) {
        loop_turn(&f->loop);
        again = (struct reply){.status = GRPC_UNKNOWN};
        call_unary(f, &again, "/test.Test/Echo", bytes_str("x"));
        WAIT_FOR(&f->loop, again.done == 1);
    }
    EXPECT_INT(again.status, GRPC_OK);
    reply_deinit(&again);
    fixture_close(f);
}

TEST(grpc_client, lost_connection_ends_its_calls_and_is_replaced)
{
    struct fixture *f = fixture_open();
    uint16_t port = grpc_server_port(f->echo.server);
    struct reply r = {0};
    call_unary(f, &r, "/test.Test/Hold", bytes_str("x"));
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    struct grpc_call *held = f->echo.held;
    echo_server_close(&f->echo);
    EXPECT_UINT(f->echo.cancelled, 1); /* told at the close */
    WAIT_FOR(&f->loop, r.done == 1);
    EXPECT_INT(r.status, GRPC_UNAVAILABLE);
    EXPECT(!r.unprocessed);
    EXPECT(grpc_call_is_cancelled(held)); /* the call outlives its server */
    grpc_call_finish(held, GRPC_OK, NULL);

    echo_server_open(&f->echo, &f->loop,
                     (struct grpc_server_options){.address = loop_address(port)});
    struct reply again = {0};
    call_unary(f, &again, "/test.Test/Echo", bytes_str("x"));
    WAIT_FOR(&f->loop, again.done == 1);
    EXPECT_INT(again.status, GRPC_OK);
    reply_deinit(&again);
    fixture_close(f);
}

static void ignore_drained(void *context)
{
    (*(unsigned *)context)++;
}

/* GOAWAY: the call under way ends well, a new one looks for a new connection. */
TEST(grpc_client, server_that_drains_finishes_what_it_has)
{
    struct fixture *f = fixture_open();
    struct reply held = {0};
    call_unary(f, &held, "/test.Test/Hold", bytes_str("x"));
    WAIT_FOR(&f->loop, f->echo.held != NULL);
    unsigned drained = 0;
    grpc_server_drain(f->echo.server, 60000, ignore_drained, &drained);
    struct reply late = {.status = GRPC_OK, .done = 1};
    for (unsigned i = 0; i < 500 && late.status == GRPC_OK; i++) {
        reply_deinit(&late);
        late = (struct reply){0};
        call_unary(f, &late, "/test.Test/Echo", bytes_str("y"));
        WAIT_FOR(&f->loop, late.done == 1); /* well, until the GOAWAY is here */
    }
    EXPECT_INT(late.status, GRPC_UNAVAILABLE);
    EXPECT(late.unprocessed);
    EXPECT_UINT(held.done, 0);
    grpc_call_reply(f->echo.held, bytes_str("done"));
    WAIT_FOR(&f->loop, held.done == 1 && drained == 1);
    EXPECT_INT(held.status, GRPC_OK);
    EXPECT_UINT(held.last.size, 4);
    reply_deinit(&held);
    reply_deinit(&late);
    fixture_close(f);
}

/* A done() that calls again at once, into a channel that fails at once, must not
 * keep the loop from turning. */
struct retry {
    struct fixture *f;
    unsigned tries;
};

static void on_retry_message(void *context, struct bytes message)
{
    (void)context;
    (void)message;
}

static void on_retry_done(void *context, const struct grpc_result *result);
static const struct grpc_client_events retry_events = {on_retry_message, on_retry_done};

static void on_retry_done(void *context, const struct grpc_result *result)
{
    struct retry *retry = context;
    EXPECT_INT(result->status, GRPC_UNAVAILABLE);
    retry->tries++;
    (void)grpc_channel_call(retry->f->channel,
                            &(struct grpc_call_request){.path = "/test.Test/Echo"}, &retry_events,
                            retry);
}

TEST(grpc_client, eager_retries_do_not_stop_the_loop)
{
    struct fixture *f = fixture_open();
    echo_server_close(&f->echo);
    loop_turn(&f->loop);
    struct retry retry = {.f = f};
    (void)grpc_channel_call(f->channel, &(struct grpc_call_request){.path = "/test.Test/Echo"},
                            &retry_events, &retry);
    WAIT_FOR(&f->loop, retry.tries >= 100);
    fixture_close(f);
}

/* --- servers that misbehave --- */

struct raw_server {
    struct net_conn conn; /* first */
    struct net_loop net;
    struct net_listener listener;
    struct bytes greeting; /* what it says to everybody */
    bool taken;
    bool hangs_up;
};

static void on_raw_read(struct net_conn *c, struct bytes input)
{
    (void)c;
    (void)input;
}

static void on_raw_ended(struct net_conn *c, int status)
{
    (void)status;
    net_conn_close(c);
}

static void on_raw_closed(struct net_conn *c)
{
    ((struct raw_server *)c)->taken = false;
}

static const struct net_conn_ops raw_ops = {
    .read = on_raw_read, .ended = on_raw_ended, .closed = on_raw_closed};

static void on_raw_incoming(struct net_listener *l, int status)
{
    struct raw_server *s = l->owner;
    REQUIRE_INT(status, 0);
    REQUIRE(!s->taken);
    s->taken = true;
    REQUIRE_INT(net_conn_take(&s->conn, &s->net, &raw_ops, net_listener_stream(l)), 0);
    buf_put_bytes(&s->conn.out, s->greeting);
    net_conn_mark(&s->conn);
    if (s->hangs_up) {
        net_conn_finish(&s->conn);
    }
}

static void on_raw_net_closed(void *owner)
{
    (void)owner;
}

/* Calls a server that answers every connection with 'greeting'. */
static void call_raw(struct bytes greeting, bool hangs_up, struct reply *r,
                     struct grpc_channel_options options, uint64_t deadline_after_ms)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    struct raw_server s = {.greeting = greeting, .hangs_up = hangs_up};
    net_loop_init(&s.net, &f->loop.uv, on_raw_net_closed, NULL);
    int fd = -1;
    uint16_t port = 0;
    REQUIRE_OK(net_listener_bind(&f->loop.uv, "127.0.0.1:0", &fd, &port, NULL));
    net_listener_open(&s.listener, &s.net, fd, port, on_raw_incoming, &s);
    open_channel(f, loop_address(port), options);
    uint64_t deadline = deadline_after_ms == 0 ? 0 : uv_now(&f->loop.uv) + deadline_after_ms;
    start(f, r, &(struct grpc_call_request){.path = "/a/b", .deadline_ms = deadline});
    WAIT_FOR(&f->loop, r->done == 1);
    grpc_channel_close(f->channel);
    if (s.taken) {
        net_conn_close(&s.conn);
    }
    net_listener_close(&s.listener);
    net_loop_close(&s.net);
    loop_close(&f->loop);
    mem_free(f);
}

TEST(grpc_client, server_that_speaks_something_else_is_unavailable)
{
    struct reply r = {0};
    call_raw(bytes_str("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), false, &r,
             (struct grpc_channel_options){0}, 0);
    EXPECT_INT(r.status, GRPC_UNAVAILABLE);
}

TEST(grpc_client, server_that_hangs_up_is_unavailable)
{
    struct reply r = {0};
    call_raw(bytes_str(""), true, &r, (struct grpc_channel_options){0}, 0);
    EXPECT_INT(r.status, GRPC_UNAVAILABLE);
    EXPECT_CONTAINS(r.message, "connection to 127.0.0.1:");
}

TEST(grpc_client, silent_server_costs_no_more_than_the_deadline)
{
    struct reply r = {0};
    call_raw(bytes_str(""), false, &r, (struct grpc_channel_options){0}, 50);
    EXPECT_INT(r.status, GRPC_DEADLINE_EXCEEDED);
}

TEST(grpc_client, silent_server_is_noticed_by_pings)
{
    struct reply r = {0};
    /* An empty SETTINGS frame, then nothing any more. */
    call_raw(bytes_of("\0\0\0\4\0\0\0\0\0", 9), false, &r,
             (struct grpc_channel_options){.keepalive_ms = 30, .keepalive_timeout_ms = 30}, 0);
    EXPECT_INT(r.status, GRPC_UNAVAILABLE);
    EXPECT_CONTAINS(r.message, "ping");
}

/* SETTINGS, then GOAWAY with last stream 0: our stream 1 was never looked at. */
TEST(grpc_client, goaway_before_our_call_leaves_it_unprocessed)
{
    static const char greeting[] = "\0\0\0\4\0\0\0\0\0"
                                   "\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct reply r = {0};
    call_raw(bytes_of(greeting, sizeof greeting - 1), false, &r, (struct grpc_channel_options){0},
             0);
    EXPECT_INT(r.status, GRPC_UNAVAILABLE);
    EXPECT(r.unprocessed);
}

TEST(grpc_client, bad_address_is_refused_at_once)
{
    struct loop loop;
    loop_open(&loop);
    struct grpc_channel *channel = NULL;
    struct err e;
    struct grpc_channel_options options = {.loop = &loop.uv, .address = "nowhere"};
    EXPECT_ERR(grpc_channel_open(&options, &channel, &e), ERR_INVALID);
    EXPECT_CONTAINS(e.text, "nowhere");
    grpc_channel_close(NULL);
    loop_close(&loop);
}

TEST(grpc_client, results_become_errors)
{
    struct err e;
    struct grpc_result ok = {.status = GRPC_OK, .message = ""};
    EXPECT_ERR(grpc_result_err(&ok, &e), ERR_OK);
    struct grpc_result bad = {.status = GRPC_NOT_FOUND, .message = "table t"};
    EXPECT_ERR(grpc_result_err(&bad, &e), ERR_NOT_FOUND);
    EXPECT_STR(e.text, "NOT_FOUND: table t");
}
