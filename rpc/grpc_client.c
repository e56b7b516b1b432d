/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_client.h"

#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/grpc_client_parts.h"

enum { SWEEP_MS_MAX = 1000, SWEEP_MS_MIN = 5, SWEEPS_PER_TIME = 4, BACKOFF_DOUBLINGS_MAX = 16 };

static const unsigned allowed[] = {
    [CHANNEL_IDLE] = 1U << CHANNEL_CONNECTING,
    [CHANNEL_CONNECTING] = 1U << CHANNEL_READY | 1U << CHANNEL_WAITING,
    [CHANNEL_READY] = 1U << CHANNEL_IDLE | 1U << CHANNEL_WAITING,
    [CHANNEL_WAITING] = 1U << CHANNEL_IDLE,
};

static void set_state(struct grpc_channel *c, enum channel_state next)
{
    CHECK((allowed[c->state] & 1U << next) != 0);
    c->state = next;
    bool has_conn = next == CHANNEL_CONNECTING || next == CHANNEL_READY;
    CHECK(has_conn == (c->conn != NULL));
}

static unsigned unsigned_or(unsigned value, unsigned otherwise)
{
    return value == 0 ? otherwise : value;
}

static void fill_in(struct grpc_channel_options *o)
{
    o->message_size_max = o->message_size_max == 0 ? LIMIT_FRAME_SIZE_MAX : o->message_size_max;
    o->calls_max = o->calls_max == 0 ? LIMIT_CLIENT_CALLS : o->calls_max;
    o->connect_ms = unsigned_or(o->connect_ms, 5000);
    o->backoff_min_ms = unsigned_or(o->backoff_min_ms, 20);
    o->backoff_max_ms = unsigned_or(o->backoff_max_ms, 1000);
    o->keepalive_ms = unsigned_or(o->keepalive_ms, 30000);
    o->keepalive_timeout_ms = unsigned_or(o->keepalive_timeout_ms, 20000);
}

static void arm(struct grpc_channel *c, uint64_t after_ms_min)
{
    const struct due_item *first = due_heap_first(&c->due);
    if (first == NULL || first->due_ms >= c->due_armed_ms) {
        return;
    }
    uint64_t now = net_loop_now_ms(&c->loop);
    uint64_t after_ms = first->due_ms > now ? first->due_ms - now : 0;
    c->due_armed_ms = first->due_ms;
    net_timer_start(&c->due_timer, after_ms > after_ms_min ? after_ms : after_ms_min, 0);
}

static void on_due(void *owner)
{
    struct grpc_channel *c = owner;
    c->due_armed_ms = 0; /* nobody arms it meanwhile */
    uint64_t now = net_loop_now_ms(&c->loop);
    /* A done() may start calls that fail at once: those wait for a later turn, and
     * not with a timer of 0 ms, which uv would fire in this one. */
    for (size_t left = c->due.count; left > 0; left--) {
        struct due_item *first = due_heap_first(&c->due);
        if (first == NULL || first->due_ms > now) {
            break;
        }
        due_heap_remove(&c->due, first);
        client_call_due(first->owner);
    }
    c->due_armed_ms = UINT64_MAX;
    arm(c, 1);
}

void channel_set_due(struct grpc_channel *c, struct grpc_client_call *call, uint64_t due_ms)
{
    due_heap_set(&c->due, &call->due, due_ms);
    arm(c, 0);
}

static void fail_waiting(struct grpc_channel *c, struct grpc_client_call *call)
{
    call->unprocessed = true;
    client_call_end(call, GRPC_UNAVAILABLE, "connect to %s: %s", c->address_text, c->last_failure);
}

static void back_off(struct grpc_channel *c, const char *reason)
{
    (void)snprintf(c->last_failure, sizeof c->last_failure, "%s", reason);
    unsigned doublings = c->failures < BACKOFF_DOUBLINGS_MAX ? c->failures : BACKOFF_DOUBLINGS_MAX;
    uint64_t wait_ms = (uint64_t)c->options.backoff_min_ms << doublings;
    wait_ms = wait_ms < c->options.backoff_max_ms ? wait_ms : c->options.backoff_max_ms;
    c->failures++;
    set_state(c, CHANNEL_WAITING);
    net_timer_start(&c->backoff_timer, wait_ms, 0);
    while (!TAILQ_EMPTY(&c->waiting)) {
        fail_waiting(c, TAILQ_FIRST(&c->waiting));
    }
}

static void on_backoff(void *owner)
{
    struct grpc_channel *c = owner;
    set_state(c, CHANNEL_IDLE);
}

void channel_connected(struct grpc_channel *c)
{
    set_state(c, CHANNEL_READY);
    while (!TAILQ_EMPTY(&c->waiting)) {
        client_conn_submit(c->conn, TAILQ_FIRST(&c->waiting));
    }
}

void channel_lost(struct grpc_channel *c, struct client_conn *conn, const char *reason)
{
    if (conn != c->conn) {
        return;
    }
    c->conn = NULL;
    if (conn->greeted) {
        c->failures = 0;
        set_state(c, CHANNEL_IDLE);
    } else {
        log_debug(c->options.log, "rpc", "connect-failed", "address=%s reason=%s", c->address_text,
                  reason);
        back_off(c, reason);
    }
}

void channel_goaway(struct grpc_channel *c, struct client_conn *conn, uint32_t error_code)
{
    if (error_code == NGHTTP2_ENHANCE_YOUR_CALM && c->keepalive_ms <= UINT32_MAX / 2) {
        c->keepalive_ms *= 2;
    }
    if (conn == c->conn) {
        c->conn = NULL;
        set_state(c, CHANNEL_IDLE);
    }
}

static void on_sweep(void *owner)
{
    struct grpc_channel *c = owner;
    uint64_t now = net_loop_now_ms(&c->loop);
    struct client_conn *next = NULL;
    for (struct client_conn *conn = LIST_FIRST(&c->conns); conn != NULL; conn = next) {
        next = LIST_NEXT(conn, entry);
        client_conn_sweep(conn, now);
    }
}

static void on_loop_closed(void *owner)
{
    struct grpc_channel *c = owner;
    CHECK(LIST_EMPTY(&c->conns));
    CHECK(LIST_EMPTY(&c->calls));
    due_heap_deinit(&c->due);
    nghttp2_session_callbacks_del(c->callbacks);
    nghttp2_option_del(c->h2_options);
    mem_free(c);
}

static void start_sweep(struct grpc_channel *c)
{
    unsigned shortest = c->options.keepalive_ms < c->options.keepalive_timeout_ms
                            ? c->options.keepalive_ms
                            : c->options.keepalive_timeout_ms;
    unsigned every = shortest / SWEEPS_PER_TIME;
    every = every > SWEEP_MS_MAX ? SWEEP_MS_MAX : every < SWEEP_MS_MIN ? SWEEP_MS_MIN : every;
    net_timer_init(&c->sweep_timer, &c->loop, on_sweep, c);
    net_timer_start(&c->sweep_timer, every, every);
}

enum err_code grpc_channel_open(const struct grpc_channel_options *options,
                                struct grpc_channel **out, struct err *e)
{
    struct net_address address;
    enum err_code code = net_address_parse(options->address, &address, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t size = strlen(options->address) + 1;
    if (size > LIMIT_ADDRESS_SIZE_MAX + 1) {
        return err_set(e, ERR_INVALID, "address: too long");
    }
    struct grpc_channel *c = mem_zalloc(sizeof *c);
    c->options = *options;
    memcpy(c->address_text, options->address, size);
    c->options.address = c->address_text;
    c->address = address;
    fill_in(&c->options);
    c->keepalive_ms = c->options.keepalive_ms;
    c->due_armed_ms = UINT64_MAX;
    LIST_INIT(&c->conns);
    LIST_INIT(&c->calls);
    TAILQ_INIT(&c->waiting);
    CHECK(nghttp2_session_callbacks_new(&c->callbacks) == 0);
    client_conn_callbacks(c->callbacks);
    CHECK(nghttp2_option_new(&c->h2_options) == 0);
    nghttp2_option_set_no_auto_window_update(c->h2_options, 1);
    net_loop_init(&c->loop, options->loop, on_loop_closed, c);
    net_timer_init(&c->due_timer, &c->loop, on_due, c);
    net_timer_init(&c->backoff_timer, &c->loop, on_backoff, c);
    start_sweep(c);
    *out = c;
    return ERR_OK;
}

void grpc_channel_close(struct grpc_channel *c)
{
    if (c == NULL) {
        return;
    }
    while (!LIST_EMPTY(&c->calls)) {
        client_call_free(LIST_FIRST(&c->calls));
    }
    c->conn = NULL;
    while (!LIST_EMPTY(&c->conns)) {
        client_conn_close(LIST_FIRST(&c->conns));
    }
    net_timer_close(&c->due_timer, NULL);
    net_timer_close(&c->backoff_timer, NULL);
    net_timer_close(&c->sweep_timer, NULL);
    net_loop_close(&c->loop);
}

const char *grpc_channel_address(const struct grpc_channel *c)
{
    return c->address_text;
}

static struct grpc_client_call *open_call(struct grpc_channel *c,
                                          const struct grpc_call_request *request)
{
    struct grpc_client_call *call = mem_zalloc(sizeof *call);
    call->channel = c;
    call->due.owner = call;
    call->streams = request->streams;
    call->deadline_ms = request->deadline_ms;
    call->path = mem_strdup(request->path);
    for (size_t i = 0; i < request->metadata_count; i++) {
        h2_pairs_put(&call->metadata, bytes_str(request->metadata[i].name),
                     bytes_str(request->metadata[i].value));
    }
    grpc_prefix_encode(buf_extend(&call->request, GRPC_PREFIX_SIZE), request->message.size);
    buf_put_bytes(&call->request, request->message);
    call->inbox.size_max = c->options.message_size_max;
    LIST_INSERT_HEAD(&c->calls, call, channel_entry);
    c->call_count++;
    TAILQ_INSERT_TAIL(&c->waiting, call, wait_entry);
    return call;
}

struct grpc_client_call *grpc_channel_call(struct grpc_channel *c,
                                           const struct grpc_call_request *request,
                                           const struct grpc_client_events *events, void *context)
{
    CHECK(events->message != NULL);
    CHECK(events->done != NULL);
    CHECK(request->metadata_count <= CLIENT_METADATA_MAX);
    if (c->call_count >= c->options.calls_max) {
        return NULL;
    }
    struct grpc_client_call *call = open_call(c, request);
    call->events = events;
    call->context = context;
    if (call->deadline_ms != 0) {
        channel_set_due(c, call, call->deadline_ms);
    }
    switch (c->state) {
    case CHANNEL_IDLE:
        c->conn = client_conn_dial(c);
        set_state(c, CHANNEL_CONNECTING);
        break;
    case CHANNEL_CONNECTING:
        break;
    case CHANNEL_READY:
        client_conn_submit(c->conn, call);
        break;
    case CHANNEL_WAITING:
        fail_waiting(c, call);
        break;
    }
    return call;
}
