/* SPDX-License-Identifier: Apache-2.0 */
/* One call of the gRPC server: its request as it comes in, its handler, its answer
 * as it goes out. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/grpc_server_parts.h"
#include "rpc/grpc_text.h"

static const unsigned allowed[] = {
    [CALL_HEADERS] = 1U << CALL_REQUEST | 1U << CALL_ENDED,
    [CALL_REQUEST] = 1U << CALL_OPEN | 1U << CALL_ENDED,
    [CALL_OPEN] = 1U << CALL_ENDED,
    [CALL_ENDED] = 0,
};

static void set_state(struct grpc_call *call, enum call_state next)
{
    CHECK((allowed[call->state] & 1U << next) != 0);
    call->state = next;
}

/* --- life --- */

struct grpc_call *call_open(struct server_conn *c, int32_t stream_id)
{
    struct grpc_server *s = c->server;
    struct grpc_call *call = mem_zalloc(sizeof *call);
    call->server = s;
    call->conn = c;
    call->due.owner = call;
    call->stream_id = stream_id;
    call->deadline_ms = GRPC_NO_DEADLINE;
    call->inbox.size_max = s->options.message_size_max;
    memcpy(call->peer, c->net.peer, sizeof call->peer);
    STAILQ_INIT(&call->out);
    LIST_INSERT_HEAD(&s->calls, call, server_entry);
    LIST_INSERT_HEAD(&c->calls, call, conn_entry);
    return call;
}

/* Brings the server's count of request bytes up to date. */
static void count_input(struct grpc_call *call)
{
    size_t held = grpc_inbox_held(&call->inbox);
    if (call->server != NULL) {
        struct grpc_server_stats *stats = &call->server->stats;
        CHECK(stats->input_size >= call->input_counted);
        stats->input_size = stats->input_size - call->input_counted + held;
    }
    call->input_counted = held;
}

static void count_output(struct grpc_call *call, size_t before)
{
    if (call->server != NULL) {
        struct grpc_server_stats *stats = &call->server->stats;
        CHECK(stats->output_size >= before);
        stats->output_size = stats->output_size - before + call->out_size;
    }
}

static size_t message_size(const struct out_message *m)
{
    return GRPC_PREFIX_SIZE + m->body.size;
}

static void free_message(struct out_message *m)
{
    buf_deinit(&m->body);
    mem_free(m);
}

/* Drops what is queued, but not a message that has begun to leave unless 'all'. */
static void drop_output(struct grpc_call *call, bool all)
{
    size_t before = call->out_size;
    struct out_message *begun = NULL;
    if (!all && call->out_offset > 0) {
        begun = STAILQ_FIRST(&call->out);
        STAILQ_REMOVE_HEAD(&call->out, entry);
    }
    while (!STAILQ_EMPTY(&call->out)) {
        struct out_message *m = STAILQ_FIRST(&call->out);
        STAILQ_REMOVE_HEAD(&call->out, entry);
        free_message(m);
    }
    call->out_size = 0;
    if (begun != NULL) {
        STAILQ_INSERT_HEAD(&call->out, begun, entry);
        call->out_size = message_size(begun) - call->out_offset;
    } else {
        call->out_offset = 0;
    }
    count_output(call, before);
}

static void drop_input(struct grpc_call *call)
{
    grpc_inbox_deinit(&call->inbox);
    count_input(call);
}

static void consume(struct grpc_call *call)
{
    if (call->unconsumed > 0 && call->conn != NULL) {
        (void)nghttp2_session_consume(call->conn->session, call->stream_id, call->unconsumed);
        net_conn_mark(&call->conn->net);
    }
    call->unconsumed = 0;
}

static void leave_server(struct grpc_call *call)
{
    due_heap_remove(&call->server->due, &call->due);
    LIST_REMOVE(call, server_entry);
}

static void free_call(struct grpc_call *call)
{
    CHECK(!call->owed);
    CHECK(call->conn == NULL);
    CHECK(call->state == CALL_ENDED);
    drop_output(call, true);
    drop_input(call);
    if (call->server != NULL) {
        leave_server(call);
    }
    buf_deinit(&call->metadata);
    buf_deinit(&call->scratch);
    buf_deinit(&call->status_message);
    buf_deinit(&call->trailers);
    mem_free(call);
}

/* --- the answer --- */

static size_t take_message(struct grpc_call *call, struct out_message *m, uint8_t *dst, size_t size)
{
    size_t done = 0;
    if (call->out_offset < GRPC_PREFIX_SIZE) {
        done = GRPC_PREFIX_SIZE - call->out_offset;
        done = done < size ? done : size;
        memcpy(dst, m->prefix + call->out_offset, done);
        call->out_offset += done;
    }
    if (done < size && call->out_offset >= GRPC_PREFIX_SIZE) {
        size_t at = call->out_offset - GRPC_PREFIX_SIZE;
        size_t left = m->body.size - at;
        size_t n = size - done < left ? size - done : left;
        if (n > 0) {
            memcpy(dst + done, m->body.data + at, n);
        }
        call->out_offset += n;
        done += n;
    }
    call->out_size -= done;
    if (call->out_offset == message_size(m)) {
        STAILQ_REMOVE_HEAD(&call->out, entry);
        call->out_offset = 0;
        free_message(m);
    }
    return done;
}

/* grpc-status, grpc-message and the handler's own trailers. */
static size_t status_fields(const struct grpc_call *call, nghttp2_nv *fields)
{
    static const char *const numbers[GRPC_STATUS_COUNT] = {
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};
    size_t n = 0;
    fields[n++] = h2_literal("grpc-status", numbers[call->status]);
    if (call->status_message.size > 0) {
        fields[n++] = h2_field("grpc-message", buf_bytes(&call->status_message));
    }
    const char *p = (const char *)call->trailers.data;
    for (size_t i = 0; i < call->trailer_count; i++) {
        const char *value = p + strlen(p) + 1;
        fields[n++] = h2_field(p, bytes_str(value));
        p = value + strlen(value) + 1;
    }
    return n;
}

static void submit_trailers(struct grpc_call *call, nghttp2_session *session)
{
    nghttp2_nv fields[2 + CALL_TRAILERS_MAX];
    size_t n = status_fields(call, fields);
    CHECK(nghttp2_submit_trailer(session, call->stream_id, fields, n) == 0);
}

/* nghttp2 asks for the next piece of the answer's body. */
/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static ssize_t on_take(nghttp2_session *session, int32_t stream_id, uint8_t *dst, size_t size,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)stream_id;
    (void)user;
    struct grpc_call *call = source->ptr;
    size_t before = call->out_size;
    size_t done = 0;
    while (done < size && !STAILQ_EMPTY(&call->out)) {
        done += take_message(call, STAILQ_FIRST(&call->out), dst + done, size - done);
    }
    count_output(call, before);
    if (call->stalled && call->out_size < CALL_OUT_LOW_SIZE && !call->drain_queued) {
        call->drain_queued = true;
        TAILQ_INSERT_TAIL(&call->conn->drained, call, drained_entry);
    }
    if (STAILQ_EMPTY(&call->out) && call->state == CALL_ENDED) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(call, session);
        return (ssize_t)done;
    }
    return done == 0 ? NGHTTP2_ERR_DEFERRED : (ssize_t)done;
}

/* Something is queued, or the status is chosen: tells nghttp2. */
static void push_answer(struct grpc_call *call)
{
    if (call->conn == NULL) {
        return;
    }
    nghttp2_session *session = call->conn->session;
    net_conn_mark(&call->conn->net);
    if (call->responded) {
        /* Fails when the stream is not waiting for us: then it asks by itself. */
        (void)nghttp2_session_resume_data(session, call->stream_id);
        return;
    }
    call->responded = true;
    nghttp2_nv fields[2 + 2 + CALL_TRAILERS_MAX];
    fields[0] = h2_literal(":status", "200");
    fields[1] = h2_literal("content-type", "application/grpc");
    if (STAILQ_EMPTY(&call->out)) {
        CHECK(call->state == CALL_ENDED);
        size_t n = 2 + status_fields(call, fields + 2);
        CHECK(nghttp2_submit_response(session, call->stream_id, fields, n, NULL) == 0);
        return;
    }
    nghttp2_data_provider provider = {.source = {.ptr = call}, .read_callback = on_take};
    CHECK(nghttp2_submit_response(session, call->stream_id, fields, 2, &provider) == 0);
}

static void end_with(struct grpc_call *call, enum grpc_status status, const char *message)
{
    set_state(call, CALL_ENDED);
    call->status = status;
    if (message != NULL) {
        grpc_message_encode(&call->status_message, message, CALL_MESSAGE_SIZE_MAX);
    }
    consume(call);
    push_answer(call);
}

/* Last in its caller: the handler may finish the call, which may free it. */
static void tell_cancelled(struct grpc_call *call)
{
    if (!call->owed || call->told) {
        return;
    }
    call->told = true;
    if (call->events != NULL && call->events->cancelled != NULL) {
        call->events->cancelled(call, call->user);
    }
}

static void refuse(struct grpc_call *call, enum grpc_status status, const char *message)
{
    call->server->stats.calls_refused++;
    end_with(call, status, message);
    drop_input(call);
}

/* What is not gRPC at all gets an HTTP status and nothing else. */
static void refuse_http(struct grpc_call *call, const char *http_status)
{
    call->server->stats.calls_refused++;
    set_state(call, CALL_ENDED);
    call->responded = true;
    nghttp2_nv field = h2_literal(":status", http_status);
    CHECK(nghttp2_submit_response(call->conn->session, call->stream_id, &field, 1, NULL) == 0);
    net_conn_mark(&call->conn->net);
}

void call_cancel(struct grpc_call *call, enum grpc_status status, const char *message)
{
    if (call->state == CALL_ENDED) {
        return;
    }
    if (!call->owed) {
        refuse(call, status, message);
        return;
    }
    call->server->stats.calls_cancelled++;
    drop_output(call, false);
    end_with(call, status, message);
    tell_cancelled(call);
}

void call_due(struct grpc_call *call)
{
    if (call->state == CALL_ENDED) {
        tell_cancelled(call);
        return;
    }
    call_cancel(call, GRPC_DEADLINE_EXCEEDED, "deadline exceeded; a change may still take effect");
}

void call_detach(struct grpc_call *call)
{
    consume(call);
    LIST_REMOVE(call, conn_entry);
    if (call->drain_queued) {
        TAILQ_REMOVE(&call->conn->drained, call, drained_entry);
        call->drain_queued = false;
    }
    call->conn = NULL;
    drop_output(call, true);
    if (call->state != CALL_ENDED) {
        call->server->stats.calls_cancelled++;
        set_state(call, CALL_ENDED);
    }
    if (call->owed) {
        tell_cancelled(call);
    } else {
        free_call(call);
    }
}

void call_orphan(struct grpc_call *call)
{
    CHECK(call->conn == NULL);
    CHECK(call->owed);
    leave_server(call);
    call->server = NULL;
    tell_cancelled(call);
}

/* --- the request --- */

static void keep_timeout(struct grpc_call *call, struct bytes value)
{
    uint64_t ms = 0;
    if (!grpc_timeout_parse(value, &ms)) {
        refuse(call, GRPC_INVALID_ARGUMENT, "grpc-timeout is not a time");
        return;
    }
    call->deadline_ms = net_loop_now_ms(&call->server->loop) + ms;
}

static void known_header(struct grpc_call *call, struct bytes name, struct bytes value)
{
    if (h2_is(name.data, name.size, ":path")) {
        call->method = server_method(call->server, value);
    } else if (h2_is(name.data, name.size, ":method")) {
        call->is_post = h2_is(value.data, value.size, "POST");
    } else if (h2_is(name.data, name.size, "content-type")) {
        call->is_grpc = h2_is_grpc_content(value);
    } else if (h2_is(name.data, name.size, "grpc-timeout")) {
        keep_timeout(call, value);
    } else if (name.size > 0 && name.data[0] != ':') {
        h2_pairs_put(&call->metadata, name, value);
    }
}

void call_header(struct grpc_call *call, struct bytes name, struct bytes value)
{
    enum { FIELD_OVERHEAD = 32 }; /* as RFC 9113, section 6.5.2, counts */
    if (call->state != CALL_HEADERS) {
        return;
    }
    call->header_size += name.size + value.size + FIELD_OVERHEAD;
    if (call->header_size > call->server->options.header_size_max) {
        refuse(call, GRPC_RESOURCE_EXHAUSTED, "the request's headers are too large");
        return;
    }
    known_header(call, name, value);
}

void call_headers_done(struct grpc_call *call)
{
    if (call->state != CALL_HEADERS) {
        return;
    }
    struct grpc_server *s = call->server;
    if (!call->is_post || !call->is_grpc) {
        refuse_http(call, call->method == NULL ? "404" : call->is_post ? "415" : "405");
        return;
    }
    if (call->method == NULL) {
        refuse(call, GRPC_UNIMPLEMENTED, "no such method");
        return;
    }
    if (s->stats.calls_open >= s->options.calls_max) {
        refuse(call, GRPC_RESOURCE_EXHAUSTED, "too many calls are under way");
        return;
    }
    set_state(call, CALL_REQUEST);
    if (call->deadline_ms != GRPC_NO_DEADLINE) {
        server_set_due(s, call, call->deadline_ms);
    }
}

static void open_for_handler(struct grpc_call *call)
{
    set_state(call, CALL_OPEN);
    call->owed = true;
    call->server->stats.calls_open++;
    call->server->stats.calls_started++;
}

/* True: 'result' is an error, and the call has been ended for it. */
static bool refuse_framing(struct grpc_call *call, enum grpc_inbox_result result)
{
    switch (result) {
    case GRPC_INBOX_MORE:
    case GRPC_INBOX_MESSAGE:
        return false;
    case GRPC_INBOX_TOO_LARGE:
        call_cancel(call, GRPC_RESOURCE_EXHAUSTED, "the request message is too large");
        return true;
    case GRPC_INBOX_COMPRESSED:
        call_cancel(call, GRPC_UNIMPLEMENTED, "compressed messages are not supported");
        return true;
    case GRPC_INBOX_BROKEN:
        call_cancel(call, GRPC_INTERNAL, "the request's framing is broken");
        return true;
    }
    return false;
}

/* BIDI: gives the handler what is there, as long as it can answer. */
static void pump(struct grpc_call *call)
{
    while (call->state == CALL_OPEN || call->state == CALL_REQUEST) {
        if (call->out_size > CALL_OUT_HIGH_SIZE) {
            call->stalled = true;
            break; /* the window stays closed until drained */
        }
        struct bytes message = {0};
        enum grpc_inbox_result result = grpc_inbox_next(&call->inbox, &message);
        if (refuse_framing(call, result)) {
            break;
        }
        if (result == GRPC_INBOX_MESSAGE) {
            if (call->state == CALL_REQUEST) {
                open_for_handler(call);
            }
            call->method->message(call, message, call->method->context);
            continue;
        }
        consume(call);
        if (call->request_ended && grpc_inbox_left(&call->inbox) > 0) {
            call_cancel(call, GRPC_INTERNAL, "the request ends inside a message");
        } else if (call->request_ended) {
            if (call->state == CALL_REQUEST) {
                open_for_handler(call);
            }
            call->method->half_close(call, call->method->context);
        }
        break;
    }
    count_input(call);
}

static void input_of_unary(struct grpc_call *call)
{
    consume(call);
    struct bytes message = {0};
    enum grpc_inbox_result result = grpc_inbox_peek(&call->inbox, &message);
    if (refuse_framing(call, result)) {
        return;
    }
    if (result == GRPC_INBOX_MESSAGE &&
        grpc_inbox_left(&call->inbox) > GRPC_PREFIX_SIZE + message.size) {
        refuse(call, GRPC_INTERNAL, "more than one request message");
    }
}

void call_input(struct grpc_call *call, struct bytes b)
{
    call->unconsumed += b.size;
    if (call->state != CALL_REQUEST && call->state != CALL_OPEN) {
        consume(call);
        return;
    }
    grpc_inbox_push(&call->inbox, b);
    count_input(call);
    if (call->server->stats.input_size > call->server->options.input_size_max) {
        call_cancel(call, GRPC_RESOURCE_EXHAUSTED, "no room for the request now");
        return;
    }
    if (call->method->kind == GRPC_BIDI) {
        pump(call);
    } else {
        input_of_unary(call);
    }
}

void call_request_ended(struct grpc_call *call)
{
    call->request_ended = true;
    if (call->state != CALL_REQUEST && call->state != CALL_OPEN) {
        return;
    }
    if (call->method->kind == GRPC_BIDI) {
        pump(call);
        return;
    }
    struct bytes message = {0};
    enum grpc_inbox_result result = grpc_inbox_next(&call->inbox, &message);
    if (result != GRPC_INBOX_MESSAGE) {
        refuse(call, GRPC_INTERNAL, "the request ends before its message");
        return;
    }
    open_for_handler(call);
    call->method->message(call, message, call->method->context);
}

void call_drained(struct grpc_call *call)
{
    if (call->state != CALL_OPEN || !call->stalled) {
        return;
    }
    call->stalled = false;
    if (call->events != NULL && call->events->drained != NULL) {
        call->events->drained(call, call->user);
    }
    if (call->state == CALL_OPEN && call->method->kind == GRPC_BIDI) {
        pump(call);
    }
}

/* --- what handlers use --- */

void grpc_call_watch(struct grpc_call *call, const struct grpc_call_events *events, void *user)
{
    CHECK(call->owed);
    call->events = events;
    call->user = user;
}

void *grpc_call_user(const struct grpc_call *call)
{
    return call->user;
}

bool grpc_call_is_cancelled(const struct grpc_call *call)
{
    CHECK(call->owed);
    return call->state == CALL_ENDED;
}

uint64_t grpc_call_deadline_ms(const struct grpc_call *call)
{
    return call->deadline_ms;
}

const char *grpc_call_peer(const struct grpc_call *call)
{
    return call->peer;
}

const char *grpc_call_path(const struct grpc_call *call)
{
    return call->method->path;
}

const char *grpc_call_metadata(const struct grpc_call *call, const char *name)
{
    return h2_pairs_find(&call->metadata, name);
}

struct bytes grpc_call_keep(struct grpc_call *call, struct buf *owner)
{
    CHECK(call->owed);
    CHECK(call->method->kind != GRPC_BIDI);
    CHECK(call->inbox.taken >= GRPC_PREFIX_SIZE);
    size_t size = call->inbox.taken - GRPC_PREFIX_SIZE;
    *owner = (struct buf){0};
    grpc_inbox_keep(&call->inbox, owner);
    count_input(call);
    return bytes_of(owner->data + GRPC_PREFIX_SIZE, size);
}

/* Takes 'body'. */
static void queue_message(struct grpc_call *call, struct buf *body)
{
    CHECK(call->owed);
    CHECK(call->state == CALL_OPEN);
    CHECK(!call->sent || call->method->kind != GRPC_UNARY);
    call->sent = true;
    struct grpc_server *s = call->server;
    size_t before = call->out_size;
    if (s->stats.output_size + body->size > s->options.output_size_max) {
        buf_deinit(body);
        drop_output(call, false);
        s->stats.calls_cancelled++;
        end_with(call, GRPC_RESOURCE_EXHAUSTED, "no room for the answer now");
        server_set_due(s, call, net_loop_now_ms(&s->loop));
        return;
    }
    struct out_message *m = mem_alloc(sizeof *m);
    m->body = *body;
    *body = (struct buf){0};
    grpc_prefix_encode(m->prefix, m->body.size);
    STAILQ_INSERT_TAIL(&call->out, m, entry);
    call->out_size += message_size(m);
    count_output(call, before);
    push_answer(call);
}

void grpc_call_send_take(struct grpc_call *call, struct buf *message)
{
    if (grpc_call_is_cancelled(call)) {
        buf_deinit(message);
        return;
    }
    queue_message(call, message);
}

void grpc_call_send(struct grpc_call *call, struct bytes message)
{
    if (grpc_call_is_cancelled(call)) {
        return;
    }
    struct buf body = {0};
    buf_put_bytes(&body, message);
    queue_message(call, &body);
}

uint8_t *grpc_call_send_space(struct grpc_call *call, size_t size)
{
    if (!grpc_call_is_cancelled(call)) {
        struct buf body = {0};
        uint8_t *space = buf_extend(&body, size);
        queue_message(call, &body);
        if (!grpc_call_is_cancelled(call)) {
            return space;
        }
    }
    buf_reset(&call->scratch);
    return buf_extend(&call->scratch, size);
}

bool grpc_call_writable(struct grpc_call *call)
{
    CHECK(call->owed);
    if (call->state == CALL_OPEN && call->out_size > CALL_OUT_HIGH_SIZE) {
        call->stalled = true;
    }
    return call->state == CALL_OPEN && !call->stalled;
}

void grpc_call_trailer(struct grpc_call *call, const char *name, const char *value)
{
    CHECK(call->owed);
    CHECK(call->trailer_count < CALL_TRAILERS_MAX);
    CHECK(nghttp2_check_header_name((const uint8_t *)name, strlen(name)) != 0);
    CHECK(nghttp2_check_header_value((const uint8_t *)value, strlen(value)) != 0);
    if (call->state == CALL_ENDED) {
        return;
    }
    h2_pairs_put(&call->trailers, bytes_str(name), bytes_str(value));
    call->trailer_count++;
}

void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *message)
{
    CHECK(call->owed);
    if (call->state == CALL_OPEN) {
        CHECK(call->sent || call->method->kind != GRPC_UNARY || status != GRPC_OK);
        if (status != GRPC_OK && call->method->kind == GRPC_UNARY) {
            drop_output(call, false);
        }
        end_with(call, status, message);
    }
    call->owed = false;
    call->events = NULL;
    drop_input(call);
    if (call->server != NULL) {
        due_heap_remove(&call->server->due, &call->due);
        CHECK(call->server->stats.calls_open > 0);
        call->server->stats.calls_open--;
    }
    if (call->conn == NULL) {
        free_call(call);
    }
}

void grpc_call_reply(struct grpc_call *call, struct bytes message)
{
    grpc_call_send(call, message);
    grpc_call_finish(call, GRPC_OK, NULL);
}

void grpc_call_fail(struct grpc_call *call, const struct err *e)
{
    CHECK(e->code != ERR_OK);
    grpc_call_finish(call, grpc_status_of_err(e->code), e->text);
}
