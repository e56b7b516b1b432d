/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_server.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/grpc_server_parts.h"

enum {
    SWEEP_MS_MAX = 1000,
    SWEEP_MS_MIN = 5,
    SWEEPS_PER_TIME = 4,    /* how finely the shortest of our times is seen */
    NOTICE_MS_MAX = 1000,   /* for the answer to the ping after the first GOAWAY */
    ABUSE_PER_SECOND = 100, /* resets, and pings, after the burst */
    SETTINGS_FRAME_MAX = 32,
};

static const unsigned allowed[] = {
    [SERVER_OPEN] = 1U << SERVER_DRAINING | 1U << SERVER_CLOSED,
    [SERVER_DRAINING] = 1U << SERVER_DRAINED | 1U << SERVER_CLOSED,
    [SERVER_DRAINED] = 1U << SERVER_CLOSED,
    [SERVER_CLOSED] = 0,
};

static void set_state(struct grpc_server *s, enum server_state next)
{
    CHECK((allowed[s->state] & 1U << next) != 0);
    s->state = next;
}

static size_t size_or(size_t value, size_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static unsigned unsigned_or(unsigned value, unsigned otherwise)
{
    return value == 0 ? otherwise : value;
}

static void fill_in(struct grpc_server_options *o)
{
    o->message_size_max = size_or(o->message_size_max, LIMIT_MESSAGE_SIZE_MAX);
    o->header_size_max = size_or(o->header_size_max, LIMIT_HEADERS_SIZE_MAX);
    o->connections_max = size_or(o->connections_max, LIMIT_CONNECTIONS);
    o->streams_max = unsigned_or(o->streams_max, LIMIT_STREAMS);
    o->calls_max = size_or(o->calls_max, LIMIT_CALLS);
    o->input_size_max = size_or(o->input_size_max, LIMIT_REQUESTS_SIZE);
    o->output_size_max = size_or(o->output_size_max, LIMIT_ANSWERS_SIZE);
    o->handshake_ms = unsigned_or(o->handshake_ms, 10000);
    o->keepalive_ms = unsigned_or(o->keepalive_ms, 30000);
    o->keepalive_timeout_ms = unsigned_or(o->keepalive_timeout_ms, 20000);
    o->abuse_burst = unsigned_or(o->abuse_burst, 1000);
    o->address = NULL;
}

static uint64_t sweep_ms(const struct grpc_server_options *o)
{
    unsigned shortest = o->handshake_ms;
    shortest = o->keepalive_ms < shortest ? o->keepalive_ms : shortest;
    shortest = o->keepalive_timeout_ms < shortest ? o->keepalive_timeout_ms : shortest;
    unsigned ms = shortest / SWEEPS_PER_TIME;
    return ms > SWEEP_MS_MAX ? SWEEP_MS_MAX : ms < SWEEP_MS_MIN ? SWEEP_MS_MIN : ms;
}

static void on_incoming(struct net_listener *l, int status)
{
    struct grpc_server *s = l->owner;
    if (status < 0) {
        log_warn(s->options.log, "rpc", "accept-failed", "reason=%s", net_conn_reason(status));
        return;
    }
    if (s->state != SERVER_OPEN || s->stats.connections >= s->options.connections_max) {
        net_listener_drop(l);
        return;
    }
    server_conn_take(s, l);
}

static void arm(struct grpc_server *s)
{
    const struct due_item *first = due_heap_first(&s->due);
    if (first == NULL) {
        return; /* if it is armed, it fires for nothing once */
    }
    if (first->due_ms >= s->due_armed_ms) {
        return;
    }
    uint64_t now = net_loop_now_ms(&s->loop);
    s->due_armed_ms = first->due_ms;
    net_timer_start(&s->due_timer, first->due_ms > now ? first->due_ms - now : 0, 0);
}

static void on_due(void *owner)
{
    struct grpc_server *s = owner;
    s->due_armed_ms = GRPC_NO_DEADLINE;
    uint64_t now = net_loop_now_ms(&s->loop);
    for (;;) {
        struct due_item *first = due_heap_first(&s->due);
        if (first == NULL || first->due_ms > now) {
            break;
        }
        due_heap_remove(&s->due, first);
        call_due(first->owner);
    }
    arm(s);
}

void server_set_due(struct grpc_server *s, struct grpc_call *call, uint64_t due_ms)
{
    due_heap_set(&s->due, &call->due, due_ms);
    arm(s);
}

static void drain_step(struct grpc_server *s, uint64_t now)
{
    if (now - s->drain_start_ms >= NOTICE_MS_MAX) {
        struct server_conn *c;
        LIST_FOREACH(c, &s->conns, entry)
        {
            server_conn_goaway(c);
        }
    }
    if (now >= s->drain_end_ms) {
        struct grpc_call *next = NULL;
        for (struct grpc_call *call = LIST_FIRST(&s->calls); call != NULL; call = next) {
            next = LIST_NEXT(call, server_entry);
            call_cancel(call, GRPC_UNAVAILABLE, "the server is shutting down");
        }
    }
    /* One more sweep for the answers to leave, then no more patience. */
    if (now >= s->drain_end_ms + SWEEP_MS_MAX) {
        while (!LIST_EMPTY(&s->conns)) {
            server_conn_end(LIST_FIRST(&s->conns));
        }
    }
    if (LIST_EMPTY(&s->conns)) {
        set_state(s, SERVER_DRAINED);
        s->drained(s->drained_context);
    }
}

static void on_sweep(void *owner)
{
    struct grpc_server *s = owner;
    uint64_t now = net_loop_now_ms(&s->loop);
    struct server_conn *next = NULL;
    for (struct server_conn *c = LIST_FIRST(&s->conns); c != NULL; c = next) {
        next = LIST_NEXT(c, entry);
        server_conn_sweep(c, now);
    }
    if (s->state == SERVER_DRAINING) {
        drain_step(s, now);
    }
}

static void on_loop_closed(void *owner)
{
    struct grpc_server *s = owner;
    CHECK(LIST_EMPTY(&s->conns));
    CHECK(LIST_EMPTY(&s->calls));
    due_heap_deinit(&s->due);
    nghttp2_session_callbacks_del(s->callbacks);
    nghttp2_option_del(s->h2_options);
    mem_free(s->methods);
    mem_free(s);
}

static void init_h2(struct grpc_server *s)
{
    CHECK(nghttp2_session_callbacks_new(&s->callbacks) == 0);
    server_conn_callbacks(s->callbacks);
    CHECK(nghttp2_option_new(&s->h2_options) == 0);
    nghttp2_option_set_no_auto_window_update(s->h2_options, 1);
    nghttp2_option_set_no_closed_streams(s->h2_options, 1);
    nghttp2_option_set_max_settings(s->h2_options, SETTINGS_FRAME_MAX);
}

enum err_code grpc_server_open(const struct grpc_server_options *options, struct grpc_server **out,
                               struct err *e)
{
    int fd = -1;
    uint16_t port = 0;
    enum err_code code = net_listener_bind(options->loop, options->address, &fd, &port, e);
    if (code != ERR_OK) {
        return code;
    }
    struct grpc_server *s = mem_zalloc(sizeof *s);
    s->options = *options;
    fill_in(&s->options);
    s->due_armed_ms = GRPC_NO_DEADLINE;
    LIST_INIT(&s->conns);
    LIST_INIT(&s->calls);
    init_h2(s);
    net_loop_init(&s->loop, options->loop, on_loop_closed, s);
    net_listener_open(&s->listener, &s->loop, fd, port, on_incoming, s);
    net_timer_init(&s->due_timer, &s->loop, on_due, s);
    net_timer_init(&s->sweep_timer, &s->loop, on_sweep, s);
    uint64_t every = sweep_ms(&s->options);
    net_timer_start(&s->sweep_timer, every, every);
    log_info(s->options.log, "rpc", "grpc-listening", "address=%s port=%u", options->address,
             (unsigned)port);
    *out = s;
    return ERR_OK;
}

uint16_t grpc_server_port(const struct grpc_server *s)
{
    return s->listener.port;
}

const struct grpc_method *server_method(const struct grpc_server *s, struct bytes path)
{
    for (size_t i = 0; i < s->method_count; i++) {
        const struct method_slot *slot = &s->methods[i];
        if (slot->path_size == path.size && memcmp(slot->method->path, path.data, path.size) == 0) {
            return slot->method;
        }
    }
    return NULL;
}

void grpc_server_add(struct grpc_server *s, const struct grpc_method *methods, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(methods[i].message != NULL);
        CHECK((methods[i].half_close != NULL) == (methods[i].kind == GRPC_BIDI));
        CHECK(server_method(s, bytes_str(methods[i].path)) == NULL);
        s->methods =
            mem_grow(s->methods, &s->method_capacity, s->method_count + 1, sizeof s->methods[0]);
        s->methods[s->method_count] = (struct method_slot){&methods[i], strlen(methods[i].path)};
        s->method_count++;
    }
}

void grpc_server_stats(const struct grpc_server *s, struct grpc_server_stats *out)
{
    *out = s->stats;
}

void grpc_server_drain(struct grpc_server *s, unsigned grace_ms, void (*done)(void *context),
                       void *context)
{
    set_state(s, SERVER_DRAINING);
    net_listener_close(&s->listener);
    s->drain_start_ms = net_loop_now_ms(&s->loop);
    s->drain_end_ms = s->drain_start_ms + grace_ms;
    s->drained = done;
    s->drained_context = context;
    struct server_conn *c;
    LIST_FOREACH(c, &s->conns, entry)
    {
        server_conn_notice(c);
    }
    net_timer_start(&s->sweep_timer, SWEEP_MS_MIN, SWEEP_MS_MIN);
}

void grpc_server_close(struct grpc_server *s)
{
    if (s == NULL) {
        return;
    }
    set_state(s, SERVER_CLOSED);
    while (!LIST_EMPTY(&s->conns)) {
        server_conn_end(LIST_FIRST(&s->conns));
    }
    while (!LIST_EMPTY(&s->calls)) {
        call_orphan(LIST_FIRST(&s->calls));
    }
    net_listener_close(&s->listener);
    net_timer_close(&s->due_timer, NULL);
    net_timer_close(&s->sweep_timer, NULL);
    net_loop_close(&s->loop);
}
