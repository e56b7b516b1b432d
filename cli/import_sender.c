/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_sender.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/import_window.h"
#include "cli/row_set.h"
#include "proto/wire.h"

/* One attempt that is out; in the place of its slot. */
struct attempt {
    struct import_sender *sender;
    struct grpc_client_call *call; /* NULL: none is out */
    unsigned slot;
    size_t endpoint;
};

struct import_sender {
    struct import_sender_options options;
    struct import_window *window;
    uint64_t session;
    struct attempt attempts[WINDOW_BATCHES_MAX];
    struct import_batch *spare[WINDOW_BATCHES_MAX + 1]; /* owned, empty */
    size_t spare_count;
    struct import_batch *taken; /* owned, being filled */
    struct row_set rows;
    struct import_counts counts;
    uint64_t progress_ms; /* last acknowledgement, or when the window last began to fill */
    struct buf request;   /* scratch */
    struct err last;      /* why the last failed attempt failed */
};

/* --- sessions --- */

/* Closes the old one, if there is one, in the same step. */
static enum err_code open_session(struct import_sender *s, struct err *e)
{
    struct buf message = {0};
    struct buf answer = {0};
    wire_put_uint(&message, 1, s->session);
    struct cluster_request request = {
        .path = "/tidemark.v1.Data/OpenSession",
        .message = buf_bytes(&message),
    };
    enum err_code code = cluster_call(s->options.cluster, &request, &answer, NULL, e);
    if (code == ERR_OK) {
        struct cursor c = cursor_of(buf_bytes(&answer));
        struct wire_field f;
        s->session = 0;
        while (wire_next(&c, &f)) {
            s->session = f.number == 1 ? wire_uint(&c, &f) : s->session;
        }
        if (c.bad || s->session == 0) {
            code = err_set(e, ERR_CORRUPT, "the answer names no session");
        }
    }
    buf_deinit(&message);
    buf_deinit(&answer);
    s->counts.sessions++;
    return code == ERR_OK ? ERR_OK : err_wrap(e, "open a session");
}

enum err_code import_sender_open(const struct import_sender_options *options,
                                 struct import_sender **out, struct err *e)
{
    struct import_sender *s = mem_zalloc(sizeof *s);
    s->options = *options;
    enum err_code code = open_session(s, e);
    if (code != ERR_OK) {
        mem_free(s);
        return code;
    }
    s->window = import_window_open(options->in_flight);
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        s->attempts[i] = (struct attempt){.sender = s, .slot = i};
    }
    *out = s;
    return ERR_OK;
}

static void keep_spare(struct import_sender *s, struct import_batch *batch)
{
    CHECK(s->spare_count < sizeof s->spare / sizeof s->spare[0]);
    import_batch_reset(batch);
    s->spare[s->spare_count++] = batch;
}

void import_sender_close(struct import_sender *s)
{
    if (s == NULL) {
        return;
    }
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        if (s->attempts[i].call != NULL) {
            grpc_client_call_cancel(s->attempts[i].call);
        }
    }
    for (;;) {
        struct import_batch *batch = import_window_take(s->window);
        if (batch == NULL) {
            break;
        }
        import_batch_close(batch);
    }
    while (s->spare_count > 0) {
        import_batch_close(s->spare[--s->spare_count]);
    }
    import_batch_close(s->taken);
    import_window_close(s->window);
    row_set_deinit(&s->rows);
    buf_deinit(&s->request);
    mem_free(s);
}

/* --- filling --- */

bool import_sender_has_room(const struct import_sender *s)
{
    return import_window_has_room(s->window);
}

bool import_sender_is_empty(const struct import_sender *s)
{
    return import_window_is_empty(s->window);
}

struct import_batch *import_sender_take(struct import_sender *s)
{
    CHECK(s->taken == NULL);
    s->taken = s->spare_count > 0 ? s->spare[--s->spare_count]
                                  : import_batch_open(s->options.plan, s->options.batch_rows);
    return s->taken;
}

void import_sender_add(struct import_sender *s, struct import_batch *batch)
{
    CHECK(batch == s->taken);
    CHECK(import_batch_rows(batch) > 0);
    s->taken = NULL;
    if (import_window_is_empty(s->window)) {
        s->progress_ms = cluster_now_ms(s->options.cluster);
    }
    import_window_add(s->window, batch, import_batch_keys(batch), import_batch_rows(batch));
}

/* --- attempts --- */

static void acknowledge(struct import_sender *s, struct import_batch *batch, uint64_t now)
{
    uint64_t gap = now - s->progress_ms;
    s->counts.gap_ms_max = gap > s->counts.gap_ms_max ? gap : s->counts.gap_ms_max;
    s->progress_ms = now;
    size_t count = import_batch_rows(batch);
    s->counts.rows_acknowledged += count;
    const uint64_t *hashes = import_batch_row_hashes(batch);
    for (size_t i = 0; i < count; i++) {
        row_set_add(&s->rows, hashes[i], ROW_SET_MAX);
    }
    keep_spare(s, batch);
}

static void end_attempt(struct attempt *a, const struct window_end *end)
{
    struct import_sender *s = a->sender;
    uint64_t now = cluster_now_ms(s->options.cluster);
    a->call = NULL;
    struct import_batch *batch = import_window_ended(s->window, a->slot, end, now);
    if (batch != NULL) {
        acknowledge(s, batch, now);
    }
}

static void on_message(void *context, struct bytes message)
{
    (void)context;
    (void)message; /* that it came is what counts */
}

static void on_done(void *context, const struct grpc_result *result)
{
    struct attempt *a = context;
    struct import_sender *s = a->sender;
    const char *session = grpc_result_trailer(result, IMPORT_SESSION_TRAILER);
    struct endpoint_list *endpoints = cluster_endpoints(s->options.cluster);
    struct window_end end = {
        .status = result->status,
        .unprocessed = result->unprocessed,
        .session_unknown = session != NULL && strcmp(session, IMPORT_SESSION_UNKNOWN) == 0,
        .leader_named = result->leader != NULL && result->leader[0] != '\0' &&
                        strcmp(result->leader, endpoints->addresses[a->endpoint]) != 0,
        .message = result->message,
    };
    if (result->status != GRPC_OK) {
        (void)grpc_result_err(result, &s->last);
        if (result->status != GRPC_RESOURCE_EXHAUSTED) {
            endpoint_list_failed(endpoints, a->endpoint, result->leader);
        }
    }
    end_attempt(a, &end);
}

static enum err_code send_attempt(struct import_sender *s, const struct window_attempt *w,
                                  struct err *e)
{
    static const struct grpc_client_events events = {on_message, on_done};
    struct cluster *cluster = s->options.cluster;
    struct attempt *a = &s->attempts[w->slot];
    CHECK(a->call == NULL);
    a->endpoint = cluster_endpoints(cluster)->current;
    struct grpc_channel *channel = cluster_channel(cluster, a->endpoint, e);
    if (channel == NULL) {
        return e->code;
    }
    struct import_id id = {s->session, w->sequence, w->sequence_open};
    buf_reset(&s->request);
    import_batch_encode(w->batch, &id, &s->request);
    struct grpc_call_request request = {
        .path = "/tidemark.v1.Data/Write",
        .message = buf_bytes(&s->request),
        .deadline_ms = cluster_now_ms(cluster) + w->timeout_ms,
    };
    a->call = grpc_channel_call(channel, &request, &events, a);
    CHECK(a->call != NULL); /* far fewer than a channel's calls_max */
    if (w->number == 1) {
        s->counts.rows_sent += import_batch_rows(w->batch);
    } else {
        s->counts.retries++;
    }
    return ERR_OK;
}

/* --- the loop --- */

static enum err_code give_up(struct import_sender *s, enum err_code code, struct err *e)
{
    const struct import_batch *batch = import_window_oldest(s->window);
    if (batch == NULL) {
        return code;
    }
    return err_wrap(e, "lines %" PRIu64 " to %" PRIu64, import_batch_first_line(batch),
                    import_batch_last_line(batch));
}

/* Final errors. */
static enum err_code check_state(struct import_sender *s, struct err *e)
{
    if (import_window_failed(s->window, e)) {
        return give_up(s, e->code, e);
    }
    uint64_t now = cluster_now_ms(s->options.cluster);
    if (!import_window_is_empty(s->window) && now - s->progress_ms > s->options.patience_ms) {
        (void)err_set(e, ERR_DEADLINE, "not acknowledged for %" PRIu64 " ms: %s",
                      now - s->progress_ms, s->last.code == ERR_OK ? "no answer" : s->last.text);
        return give_up(s, e->code, e);
    }
    return ERR_OK;
}

enum err_code import_sender_run(struct import_sender *s, uint64_t wait_ms, struct err *e)
{
    enum err_code code = check_state(s, e);
    if (code == ERR_OK && import_window_needs_session(s->window)) {
        code = open_session(s, e);
        if (code == ERR_OK) {
            import_window_renewed(s->window);
        }
    }
    if (code != ERR_OK) {
        return code;
    }
    uint64_t now = cluster_now_ms(s->options.cluster);
    uint64_t wake = 0;
    struct window_attempt attempt;
    while (import_window_next(s->window, now, &attempt, &wake)) {
        code = send_attempt(s, &attempt, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    uint64_t until_wake = wake == UINT64_MAX ? wait_ms : wake - now;
    uint64_t wait = until_wake < wait_ms ? until_wake : wait_ms;
    grpc_blocking_step(cluster_loop(s->options.cluster), (unsigned)wait);
    return check_state(s, e);
}

struct import_counts import_sender_counts(const struct import_sender *s)
{
    struct import_counts counts = s->counts;
    counts.distinct_known = row_set_count(&s->rows, &counts.rows_distinct);
    return counts;
}
