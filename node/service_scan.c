/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark.v1.Data.Scan, and Admin.StateHash: what reads rows.
 *
 *   member_read ──► apply lane: pin a view, open, first batch
 *               ──► pool: further batches, one at a time, while the client takes them
 *               ──► unpin
 *
 * A small answer is ready after the first job, so a point read costs one hop. */
#include <stdio.h>

#include "node/service_internal.h"

enum { BATCH_SIZE = 256 * 1024 };

struct scan_call {
    struct call call; /* first */
    struct buf request;
    bool stale;
    uint64_t index_min;
    uint64_t applied_ms; /* when the view was taken */
    struct tsdb_view *view;
    struct tsdb_scan *scan;
    struct buf answer;
    bool view_counted;
    bool opened;
    bool done;
    enum err_code code;
    struct err err;
    struct hash128 hash;
};

static void release_scan(struct call *c)
{
    struct scan_call *s = (struct scan_call *)c;
    tsdb_scan_close(s->scan);
    if (s->view != NULL) {
        tsdb_view_unpin(s->view);
    }
    if (s->view_counted) {
        member_view_closed(c->service->member);
    }
    buf_deinit(&s->request);
    buf_deinit(&s->answer);
    mem_free(s);
}

static void next_batch(struct scan_call *s)
{
    buf_reset(&s->answer);
    s->code = tsdb_scan_next(s->scan, BATCH_SIZE, &s->answer, &s->done, &s->err);
}

static void work_first(struct job *job)
{
    struct scan_call *s = (struct scan_call *)call_of_job(job);
    s->view = tsdb_view_pin(member_tsdb(s->call.service->member));
    s->code = tsdb_scan_open(s->view, buf_bytes(&s->request), &s->scan, &s->err);
    if (s->code == ERR_OK) {
        next_batch(s);
    }
}

static void work_next(struct job *job)
{
    next_batch((struct scan_call *)call_of_job(job));
}

static void done_batch(struct job *job);

static void go_on(struct scan_call *s)
{
    if (grpc_call_writable(s->call.grpc) && !s->call.job_out) {
        call_submit(&s->call, LANE_POOL, work_next, done_batch);
    }
}

/* Damage in a part: another node can answer meanwhile, and refills it. */
static void fail_scan(struct scan_call *s)
{
    struct member *m = s->call.service->member;
    if (s->code == ERR_CORRUPT || s->code == ERR_IO) {
        member_damage_seen(m);
        if (member_has_others(m)) {
            s->code = ERR_UNAVAILABLE;
            (void)err_wrap(&s->err, "being refilled from another node: ask one, or retry");
        }
    }
    call_fail(&s->call, s->code, s->err.text, NULL);
}

static void done_batch(struct job *job)
{
    struct scan_call *s = (struct scan_call *)call_of_job(job);
    if (!call_job_ended(&s->call)) {
        (void)call_is_over(&s->call);
        return;
    }
    if (s->code != ERR_OK) {
        fail_scan(s);
        return;
    }
    s->call.job_out = true; /* a call that ends in the send is released below, not in it */
    grpc_call_send_take(s->call.grpc, &s->answer);
    s->call.job_out = false;
    if (s->call.grpc == NULL) {
        (void)call_is_over(&s->call);
    } else if (s->done) {
        call_end_stream(&s->call);
    } else {
        go_on(s);
    }
}

static void on_cancelled(struct grpc_call *grpc, void *user)
{
    struct call *c = user;
    if (c->asked) {
        member_cancel(c->service->member, &c->request);
        c->asked = false;
    }
    c->grpc = NULL;
    grpc_call_finish(grpc, GRPC_CANCELLED, NULL);
    (void)call_is_over(c);
}

static void on_drained(struct grpc_call *grpc, void *user)
{
    (void)grpc;
    struct scan_call *s = user;
    if (s->opened && !s->done) {
        go_on(s);
    }
}

static const struct grpc_call_events scan_events = {
    .cancelled = on_cancelled,
    .drained = on_drained,
};

static bool open_view(struct scan_call *s)
{
    struct member *m = s->call.service->member;
    if (!member_may_view(m)) {
        call_fail(&s->call, ERR_UNAVAILABLE, "this node takes a checkpoint from a peer: retry",
                  NULL);
        return false;
    }
    member_view_opened(m);
    s->view_counted = true;
    return true;
}

static void done_read(struct member_request *r, const struct member_reply *reply)
{
    struct scan_call *s = (struct scan_call *)r;
    call_answered(&s->call);
    if (reply->code != ERR_OK) {
        call_fail(&s->call, reply->code, reply->text, reply->leader);
    } else if (open_view(s)) {
        s->opened = true;
        call_submit(&s->call, LANE_APPLY, work_first, done_batch);
    }
}

static bool read_options(struct scan_call *s, struct bytes request)
{
    enum { FIELD_STALE = 10, FIELD_INDEX_MIN = 11 };
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == FIELD_STALE) {
            s->stale = wire_bool(&c, &f);
        } else if (f.number == FIELD_INDEX_MIN) {
            s->index_min = wire_uint(&c, &f);
        }
    }
    return !c.bad;
}

static struct scan_call *begin(struct service *service, struct grpc_call *grpc,
                               const struct grpc_call_events *events)
{
    struct scan_call *s = mem_zalloc(sizeof *s);
    call_begin(&s->call, service, grpc, release_scan);
    if (events != NULL) {
        grpc_call_watch(grpc, events, s);
    }
    s->call.asked = true;
    return s;
}

static void on_scan(struct grpc_call *grpc, struct bytes message, void *context)
{
    struct service *service = context;
    if (!service_is_ready(service, grpc)) {
        return;
    }
    struct scan_call *s = begin(service, grpc, &scan_events);
    if (!read_options(s, message)) {
        s->call.asked = false;
        call_fail(&s->call, ERR_INVALID, "ScanRequest: not a valid message", NULL);
        return;
    }
    buf_put_bytes(&s->request, message);
    s->call.request.done = done_read;
    member_read(service->member, s->stale, s->index_min, &s->call.request);
}

/* --- the state hash --- */

static void work_hash(struct job *job)
{
    struct scan_call *s = (struct scan_call *)call_of_job(job);
    s->code = tsdb_view_hash(s->view, &s->hash, &s->err);
}

static void done_hash(struct job *job)
{
    struct scan_call *s = (struct scan_call *)call_of_job(job);
    if (!call_job_ended(&s->call)) {
        (void)call_is_over(&s->call);
        return;
    }
    if (s->code != ERR_OK) {
        fail_scan(s);
        return;
    }
    char text[HASH128_TEXT_SIZE];
    hash128_text(s->hash, text);
    struct buf answer = {0};
    wire_put_uint(&answer, 1, tsdb_view_index(s->view));
    wire_put_str(&answer, 2, text);
    call_reply(&s->call, buf_bytes(&answer));
    buf_deinit(&answer);
}

static void work_pin(struct job *job)
{
    struct scan_call *s = (struct scan_call *)call_of_job(job);
    s->view = tsdb_view_pin(member_tsdb(s->call.service->member));
}

static void done_pin(struct job *job)
{
    struct scan_call *s = (struct scan_call *)call_of_job(job);
    if (!call_job_ended(&s->call)) {
        (void)call_is_over(&s->call);
        return;
    }
    call_submit(&s->call, LANE_POOL, work_hash, done_hash);
}

static void done_hash_read(struct member_request *r, const struct member_reply *reply)
{
    struct scan_call *s = (struct scan_call *)r;
    call_answered(&s->call);
    if (reply->code != ERR_OK) {
        call_fail(&s->call, reply->code, reply->text, reply->leader);
    } else if (open_view(s)) {
        call_submit(&s->call, LANE_APPLY, work_pin, done_pin);
    }
}

static void on_state_hash(struct grpc_call *grpc, struct bytes message, void *context)
{
    struct service *service = context;
    if (!service_is_ready(service, grpc)) {
        return;
    }
    uint64_t index = 0;
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            index = wire_uint(&c, &f);
        }
    }
    if (c.bad) {
        grpc_call_finish(grpc, GRPC_INVALID_ARGUMENT, "StateHashRequest: not a valid message");
        return;
    }
    struct scan_call *s = begin(service, grpc, NULL);
    s->call.request.done = done_hash_read;
    member_read(service->member, true, index, &s->call.request);
}

size_t service_scan_add(struct service *s, struct grpc_method *methods)
{
    methods[0] = (struct grpc_method){.path = "/tidemark.v1.Data/Scan",
                                      .kind = GRPC_SERVER_STREAM,
                                      .message = on_scan,
                                      .context = s};
    methods[1] = (struct grpc_method){.path = "/tidemark.v1.Admin/StateHash",
                                      .kind = GRPC_UNARY,
                                      .message = on_state_hash,
                                      .context = s};
    return 2;
}
