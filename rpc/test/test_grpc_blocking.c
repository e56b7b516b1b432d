/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_blocking.h"

#include "base/mem.h"
#include "rpc/test/echo_server.h"

/* The server runs in a thread of its own: a blocking caller can't turn its loop. */
struct fixture {
    struct loop loop;
    struct echo_server echo;
    uv_async_t stop;
    uv_thread_t thread;
    uint16_t port;
    struct grpc_blocking *blocking;
    struct grpc_channel *channel;
};

static void on_stop(uv_async_t *async)
{
    struct fixture *f = async->data;
    echo_server_close(&f->echo);
    uv_close((uv_handle_t *)async, NULL);
}

static void serve(void *arg)
{
    struct fixture *f = arg;
    (void)uv_run(&f->loop.uv, UV_RUN_DEFAULT);
}

static struct fixture *fixture_open(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    echo_server_open(&f->echo, &f->loop, (struct grpc_server_options){0});
    f->echo.lets_go = true;
    f->port = grpc_server_port(f->echo.server);
    REQUIRE_INT(uv_async_init(&f->loop.uv, &f->stop, on_stop), 0);
    f->stop.data = f;
    REQUIRE_INT(uv_thread_create(&f->thread, serve, f), 0);
    REQUIRE_OK(grpc_blocking_open(&f->blocking, NULL));
    struct grpc_channel_options options = {.loop = grpc_blocking_loop(f->blocking),
                                           .address = loop_address(f->port)};
    REQUIRE_OK(grpc_channel_open(&options, &f->channel, NULL));
    return f;
}

static void fixture_close(struct fixture *f)
{
    grpc_channel_close(f->channel);
    grpc_blocking_close(f->blocking);
    (void)uv_async_send(&f->stop);
    (void)uv_thread_join(&f->thread);
    loop_close(&f->loop);
    mem_free(f);
}

TEST(grpc_blocking, calls_and_waits)
{
    struct fixture *f = fixture_open();
    struct buf reply = {0};
    struct grpc_outcome outcome;
    struct err e;
    struct grpc_call_request request = {
        .path = "/test.Test/Echo",
        .message = bytes_str("hello"),
        .deadline_ms = grpc_blocking_now_ms(f->blocking) + 10000,
    };
    EXPECT_OK(grpc_client_call_sync(f->blocking, f->channel, &request, &reply, &outcome, &e));
    EXPECT(bytes_equal(buf_bytes(&reply), bytes_str("hello")));
    EXPECT_INT(outcome.status, GRPC_OK);
    buf_deinit(&reply);
    fixture_close(f);
}

TEST(grpc_blocking, failure_is_an_error_with_its_story)
{
    struct fixture *f = fixture_open();
    struct buf reply = {0};
    struct grpc_outcome outcome;
    struct err e;
    struct grpc_call_request request = {.path = "/test.Test/Fail"};
    EXPECT_ERR(grpc_client_call_sync(f->blocking, f->channel, &request, &reply, &outcome, &e),
               ERR_UNAVAILABLE);
    EXPECT_STR(e.text, "UNAVAILABLE: the leader is \"n2\", 100% sure");
    EXPECT_STR(outcome.leader, "127.0.0.1:7072");
    EXPECT(!outcome.unprocessed);
    EXPECT_UINT(reply.size, 0);
    fixture_close(f);
}

TEST(grpc_blocking, waits_no_longer_than_the_deadline)
{
    struct fixture *f = fixture_open();
    struct buf reply = {0};
    struct err e;
    uint64_t deadline = grpc_blocking_now_ms(f->blocking) + 50;
    struct grpc_call_request request = {.path = "/test.Test/Hold", .deadline_ms = deadline};
    EXPECT_ERR(grpc_client_call_sync(f->blocking, f->channel, &request, &reply, NULL, &e),
               ERR_DEADLINE);
    EXPECT(grpc_blocking_now_ms(f->blocking) >= deadline);
    EXPECT_UINT(reply.size, 0);
    fixture_close(f);
}

struct reading {
    unsigned messages;
    unsigned stop_after;
};

static bool on_message(void *context, struct bytes message)
{
    struct reading *reading = context;
    EXPECT_UINT(message.size, 100);
    reading->messages++;
    return reading->messages != reading->stop_after;
}

TEST(grpc_blocking, reads_a_stream_to_its_end_or_stops)
{
    struct fixture *f = fixture_open();
    uint8_t message[8];
    bytes_put_u32(message, 5000);
    bytes_put_u32(message + 4, 100);
    struct grpc_call_request request = {.path = "/test.Test/Count",
                                        .message = bytes_of(message, sizeof message)};
    struct reading reading = {0};
    struct grpc_reader reader = {on_message, &reading};
    struct err e;
    EXPECT_OK(grpc_client_stream_sync(f->blocking, f->channel, &request, &reader, NULL, &e));
    EXPECT_UINT(reading.messages, 5000);

    reading = (struct reading){.stop_after = 10};
    EXPECT_ERR(grpc_client_stream_sync(f->blocking, f->channel, &request, &reader, NULL, &e),
               ERR_CANCELLED);
    EXPECT_UINT(reading.messages, 10);
    fixture_close(f);
}

/* For programs that keep many calls in flight on several channels. */
static void count_done(void *context, const struct grpc_result *result)
{
    EXPECT_INT(result->status, GRPC_OK);
    (*(unsigned *)context)++;
}

static void ignore_message(void *context, struct bytes message)
{
    (void)context;
    (void)message;
}

TEST(grpc_blocking, steps_through_calls_in_flight)
{
    static const struct grpc_client_events events = {ignore_message, count_done};
    struct fixture *f = fixture_open();
    unsigned done = 0;
    for (int i = 0; i < 200; i++) {
        struct grpc_call_request request = {.path = "/test.Test/Echo"};
        EXPECT(grpc_channel_call(f->channel, &request, &events, &done) != NULL);
    }
    for (unsigned i = 0; i < 10000 && done < 200; i++) {
        grpc_blocking_step(f->blocking, 20);
    }
    EXPECT_UINT(done, 200);
    fixture_close(f);
}

static void note_fired(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

TEST(grpc_blocking, a_step_without_time_does_not_wait_for_other_timers)
{
    struct grpc_blocking *b = NULL;
    REQUIRE_OK(grpc_blocking_open(&b, NULL));
    bool fired = false;
    uv_timer_t other = {.data = &fired};
    REQUIRE_INT(uv_timer_init(grpc_blocking_loop(b), &other), 0);
    REQUIRE_INT(uv_timer_start(&other, note_fired, 1000, 0), 0);
    for (int i = 0; i < 5; i++) {
        grpc_blocking_step(b, 0);
    }
    EXPECT(!fired);
    uv_close((uv_handle_t *)&other, NULL);
    grpc_blocking_close(b);
}
