/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cluster_client.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/retry.h"

enum { CONNECT_MS = 1000, QUICK_ATTEMPT_MS = 3000 };

struct cluster {
    struct endpoint_list endpoints;
    struct grpc_channel *channels[ENDPOINTS_MAX]; /* owned; NULL: not needed yet */
    struct grpc_blocking *blocking;
    uint64_t timeout_ms;
};

/* What all attempts of one call share. */
struct trial {
    struct cluster *cluster;
    uint64_t deadline_ms;
    unsigned failures;  /* in a row */
    size_t unreachable; /* endpoints in a row that could not be connected to */
    bool ambiguous;
};

enum err_code cluster_open(const struct cluster_options *options, struct cluster **out,
                           struct err *e)
{
    struct cluster *c = mem_zalloc(sizeof *c);
    c->timeout_ms = options->timeout_ms;
    enum err_code code = endpoint_list_parse(&c->endpoints, options->endpoints, e);
    if (code == ERR_OK) {
        code = grpc_blocking_open(&c->blocking, e);
    }
    if (code != ERR_OK) {
        mem_free(c);
        return code;
    }
    *out = c;
    return ERR_OK;
}

void cluster_close(struct cluster *c)
{
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < ENDPOINTS_MAX; i++) {
        grpc_channel_close(c->channels[i]);
    }
    grpc_blocking_close(c->blocking);
    mem_free(c);
}

struct endpoint_list *cluster_endpoints(struct cluster *c)
{
    return &c->endpoints;
}

struct grpc_blocking *cluster_loop(struct cluster *c)
{
    return c->blocking;
}

uint64_t cluster_now_ms(struct cluster *c)
{
    return grpc_blocking_now_ms(c->blocking);
}

struct grpc_channel *cluster_channel(struct cluster *c, size_t endpoint, struct err *e)
{
    CHECK(endpoint < c->endpoints.count);
    if (c->channels[endpoint] == NULL) {
        struct grpc_channel_options options = {
            .loop = grpc_blocking_loop(c->blocking),
            .address = c->endpoints.addresses[endpoint],
            .connect_ms = CONNECT_MS,
        };
        if (grpc_channel_open(&options, &c->channels[endpoint], e) != ERR_OK) {
            return NULL;
        }
    }
    return c->channels[endpoint];
}

void cluster_wait(struct cluster *c, uint64_t ms)
{
    uint64_t end = cluster_now_ms(c) + ms;
    for (;;) {
        uint64_t now = cluster_now_ms(c);
        if (now >= end) {
            return;
        }
        grpc_blocking_step(c->blocking, (unsigned)(end - now));
    }
}

/* --- attempts --- */

static struct trial begin_trial(struct cluster *c)
{
    return (struct trial){.cluster = c, .deadline_ms = cluster_now_ms(c) + c->timeout_ms};
}

/* On the loop's clock. */
static uint64_t attempt_deadline_ms(const struct trial *t, enum cluster_manner manner)
{
    uint64_t soon = cluster_now_ms(t->cluster) + QUICK_ATTEMPT_MS;
    return manner == CLUSTER_QUICK && soon < t->deadline_ms ? soon : t->deadline_ms;
}

/* Whether to try again, after having waited; if not, 'e' tells the whole story. */
static bool try_again(struct trial *t, size_t endpoint, const struct grpc_outcome *outcome,
                      struct err *e)
{
    struct cluster *c = t->cluster;
    enum retry_verdict verdict = retry_judge(outcome->status);
    if (verdict == RETRY_NEVER) {
        return false;
    }
    t->ambiguous = t->ambiguous || retry_may_have_happened(outcome->status, outcome->unprocessed);
    t->unreachable = outcome->unprocessed ? t->unreachable + 1 : 0;
    t->failures++;
    if (t->unreachable >= c->endpoints.given) {
        (void)err_set(e, ERR_UNAVAILABLE, "no server can be reached: %s", outcome->message);
        return false;
    }
    bool named = outcome->leader[0] != '\0' && t->failures == 1;
    if (verdict == RETRY_ELSEWHERE) {
        endpoint_list_failed(&c->endpoints, endpoint, outcome->leader);
    }
    uint64_t delay = named || outcome->unprocessed ? 0 : retry_delay_ms(t->failures);
    if (cluster_now_ms(c) + delay >= t->deadline_ms) {
        (void)err_wrap(e, "gave up after %" PRIu64 " ms", c->timeout_ms);
        e->code = ERR_DEADLINE;
        return false;
    }
    cluster_wait(c, delay);
    return true;
}

enum err_code cluster_call(struct cluster *c, const struct cluster_request *request,
                           struct buf *answer, bool *ambiguous, struct err *e)
{
    struct trial trial = begin_trial(c);
    struct grpc_call_request call = {.path = request->path, .message = request->message};
    for (;;) {
        size_t endpoint = c->endpoints.current;
        struct grpc_outcome outcome = {0};
        struct grpc_channel *channel = cluster_channel(c, endpoint, e);
        if (channel == NULL) {
            return e->code;
        }
        call.deadline_ms = attempt_deadline_ms(&trial, request->manner);
        enum err_code code =
            grpc_client_call_sync(c->blocking, channel, &call, answer, &outcome, e);
        if (code == ERR_OK || !try_again(&trial, endpoint, &outcome, e)) {
            if (ambiguous != NULL) {
                *ambiguous = trial.ambiguous;
            }
            return code == ERR_OK ? ERR_OK : e->code;
        }
    }
}

/* One attempt at a stream. */
struct stream {
    struct cluster *cluster;
    struct grpc_client_call *call; /* NULL: it has ended */
    bool (*message)(void *context, struct bytes message);
    void *context;
    bool started; /* a message came */
    bool stopped; /* by the owner */
    uint64_t heard_ms;
    struct grpc_outcome outcome;
    enum err_code code;
    struct err *e;
};

static void end_stream(struct stream *s, enum grpc_status status, const char *message)
{
    s->call = NULL;
    s->outcome.status = status;
    (void)snprintf(s->outcome.message, sizeof s->outcome.message, "%s", message);
    s->code =
        err_set(s->e, grpc_status_to_err(status), "%s: %s", grpc_status_name(status), message);
}

static void on_message(void *context, struct bytes message)
{
    struct stream *s = context;
    s->started = true;
    s->heard_ms = cluster_now_ms(s->cluster);
    if (!s->stopped && !s->message(s->context, message)) {
        s->stopped = true; /* cancelled when the loop is back with us */
    }
}

static void on_done(void *context, const struct grpc_result *result)
{
    struct stream *s = context;
    if (result->status == GRPC_OK) {
        s->call = NULL;
        s->code = ERR_OK;
        return;
    }
    end_stream(s, result->status, result->message);
    s->outcome.unprocessed = result->unprocessed;
    (void)snprintf(s->outcome.leader, sizeof s->outcome.leader, "%s",
                   result->leader == NULL ? "" : result->leader);
}

/* Until the stream ends, or nothing has come for 'patience_ms'. */
static void run_stream(struct stream *s, uint64_t patience_ms)
{
    struct cluster *c = s->cluster;
    s->heard_ms = cluster_now_ms(c);
    while (s->call != NULL && !s->stopped) {
        uint64_t quiet = cluster_now_ms(c) - s->heard_ms;
        if (quiet >= (s->started ? c->timeout_ms : patience_ms)) {
            grpc_client_call_cancel(s->call);
            end_stream(s, GRPC_DEADLINE_EXCEEDED, "nothing came in time");
            return;
        }
        uint64_t left = (s->started ? c->timeout_ms : patience_ms) - quiet;
        grpc_blocking_step(c->blocking, (unsigned)(left < 1000 ? left : 1000));
    }
    if (s->stopped && s->call != NULL) {
        grpc_client_call_cancel(s->call);
        s->call = NULL;
    }
    if (s->stopped) {
        s->code = err_set(s->e, ERR_CANCELLED, "stopped");
    }
}

enum err_code cluster_stream(struct cluster *c, const struct cluster_request *request,
                             bool (*message)(void *context, struct bytes message), void *context,
                             struct err *e)
{
    static const struct grpc_client_events events = {on_message, on_done};
    struct trial trial = begin_trial(c);
    struct grpc_call_request call = {
        .path = request->path, .message = request->message, .streams = true};
    for (;;) {
        size_t endpoint = c->endpoints.current;
        struct stream s = {.cluster = c, .message = message, .context = context, .e = e};
        struct grpc_channel *channel = cluster_channel(c, endpoint, e);
        if (channel == NULL) {
            return e->code;
        }
        s.call = grpc_channel_call(channel, &call, &events, &s);
        CHECK(s.call != NULL); /* it is the only one */
        run_stream(&s, c->timeout_ms / 2 + 1);
        if (s.code == ERR_OK || s.stopped || s.started) {
            return s.code;
        }
        if (!try_again(&trial, endpoint, &s.outcome, e)) {
            return e->code;
        }
    }
}

/* --- messages --- */

void cluster_pack(const ProtobufCMessage *message, struct buf *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > 0) {
        (void)protobuf_c_message_pack(message, buf_extend(out, size));
    }
}

enum err_code cluster_unpack(const ProtobufCMessageDescriptor *type, struct bytes packed,
                             ProtobufCMessage **out, struct err *e)
{
    static const uint8_t nothing[1] = {0};
    *out = protobuf_c_message_unpack(type, NULL, packed.size,
                                     packed.size == 0 ? nothing : packed.data);
    if (*out == NULL) {
        return err_set(e, ERR_CORRUPT, "the server's answer is no valid %s", type->name);
    }
    return ERR_OK;
}

enum err_code cluster_ask(struct cluster *c, const char *path, const ProtobufCMessage *request,
                          const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
                          struct err *e)
{
    struct buf packed = {0};
    struct buf reply = {0};
    cluster_pack(request, &packed);
    struct cluster_request call = {.path = path, .message = buf_bytes(&packed)};
    enum err_code code = cluster_call(c, &call, &reply, NULL, e);
    if (code == ERR_OK) {
        code = cluster_unpack(answer_type, buf_bytes(&reply), answer, e);
    }
    buf_deinit(&packed);
    buf_deinit(&reply);
    return code;
}

enum err_code cluster_ask_one(struct cluster *c, size_t endpoint,
                              const struct cluster_request *request,
                              const ProtobufCMessageDescriptor *answer_type,
                              ProtobufCMessage **answer, struct err *e)
{
    struct trial trial = begin_trial(c);
    struct grpc_call_request call = {
        .path = request->path,
        .message = request->message,
        .deadline_ms = attempt_deadline_ms(&trial, request->manner),
    };
    struct grpc_channel *channel = cluster_channel(c, endpoint, e);
    if (channel == NULL) {
        return ERR_IO;
    }
    struct buf reply = {0};
    enum err_code code = grpc_client_call_sync(c->blocking, channel, &call, &reply, NULL, e);
    if (code == ERR_OK) {
        code = cluster_unpack(answer_type, buf_bytes(&reply), answer, e);
    }
    buf_deinit(&reply);
    return code;
}

enum err_code cluster_ask_at(struct cluster *c, size_t endpoint, const char *path,
                             const ProtobufCMessageDescriptor *answer_type,
                             ProtobufCMessage **answer, struct err *e)
{
    struct cluster_request request = {.path = path};
    return cluster_ask_one(c, endpoint, &request, answer_type, answer, e);
}
