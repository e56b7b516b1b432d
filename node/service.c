/* SPDX-License-Identifier: Apache-2.0 */
#include "node/service.h"

#include <stdio.h>

#include "node/service_internal.h"
#include "proto/descriptors.h"

/* --- one call --- */

static void try_release(struct call *c)
{
    if (c->grpc == NULL && !c->job_out && !c->asked) {
        c->release(c);
    }
}

static void on_cancelled(struct grpc_call *grpc, void *user)
{
    struct call *c = user;
    CHECK(c->grpc == grpc);
    if (c->asked) {
        member_cancel(c->service->member, &c->request);
        c->asked = false;
    }
    c->grpc = NULL;
    grpc_call_finish(grpc, GRPC_CANCELLED, NULL);
    try_release(c);
}

static const struct grpc_call_events watch_events = {.cancelled = on_cancelled};

void call_begin(struct call *c, struct service *s, struct grpc_call *grpc,
                void (*release)(struct call *c))
{
    c->service = s;
    c->grpc = grpc;
    c->release = release;
    grpc_call_watch(grpc, &watch_events, c);
}

void call_reply(struct call *c, struct bytes message)
{
    struct grpc_call *grpc = c->grpc;
    if (grpc != NULL) {
        c->grpc = NULL;
        grpc_call_reply(grpc, message);
    }
    try_release(c);
}

void call_fail(struct call *c, enum err_code code, const char *text, const char *leader)
{
    struct grpc_call *grpc = c->grpc;
    if (grpc != NULL) {
        c->grpc = NULL;
        if (leader != NULL && leader[0] != '\0') {
            grpc_call_trailer(grpc, GRPC_TRAILER_LEADER, leader);
        }
        grpc_call_finish(grpc, grpc_status_of_err(code), text);
    }
    try_release(c);
}

void call_end_stream(struct call *c)
{
    struct grpc_call *grpc = c->grpc;
    if (grpc != NULL) {
        c->grpc = NULL;
        grpc_call_finish(grpc, GRPC_OK, NULL);
    }
    try_release(c);
}

void call_submit(struct call *c, enum lane lane, void (*work)(struct job *),
                 void (*done)(struct job *))
{
    CHECK(!c->job_out);
    c->job_out = true;
    c->job.lane = lane;
    c->job.work = work;
    c->job.done = done;
    c->job.context = c;
    const struct member_host *host = member_host(c->service->member);
    host->submit(host->context, &c->job);
}

bool call_job_ended(struct call *c)
{
    CHECK(c->job_out);
    c->job_out = false;
    return c->grpc != NULL;
}

bool call_is_over(struct call *c)
{
    if (c->grpc != NULL) {
        return false;
    }
    try_release(c);
    return true;
}

void call_answered(struct call *c)
{
    c->asked = false;
}

struct call *call_of_job(struct job *job)
{
    return job->context;
}

bool service_is_ready(struct service *s, struct grpc_call *grpc)
{
    if (s->member == NULL || member_state(s->member) >= MEMBER_STOPPING) {
        grpc_call_finish(grpc, GRPC_UNAVAILABLE,
                         s->member == NULL ? "the node is starting" : "the node is stopping");
        return false;
    }
    return true;
}

/* --- life --- */

static void add_methods(struct service *s)
{
    struct grpc_method *methods = mem_array(SERVICE_METHODS_MAX, sizeof *methods);
    size_t count = 0;
    count += service_data_add(s, methods + count);
    count += service_scan_add(s, methods + count);
    count += service_admin_add(s, methods + count);
    count += service_status_add(s, methods + count);
    CHECK(count <= SERVICE_METHODS_MAX);
    s->methods = methods;
    grpc_server_add(s->server, methods, count);
}

enum err_code service_open(const struct service_options *options, struct service **out,
                           struct err *e)
{
    struct service *s = mem_zalloc(sizeof *s);
    s->log = options->log;
    s->io = options->io;
    s->started_us = io_monotonic_us(s->io);
    struct grpc_server_options server = {
        .loop = options->loop,
        .log = options->log,
        .address = options->address,
        .message_size_max = options->message_size_max,
    };
    enum err_code code = grpc_server_open(&server, &s->server, e);
    if (code != ERR_OK) {
        mem_free(s);
        return code;
    }
    add_methods(s);
    s->health = grpc_health_open(s->server);
    code = grpc_reflection_open(
        s->server, bytes_of(proto_descriptor_set, proto_descriptor_set_size), &s->reflection, e);
    CHECK(code == ERR_OK); /* the set is part of the program */
    *out = s;
    return ERR_OK;
}

void service_start(struct service *s, struct member *m)
{
    CHECK(s->member == NULL);
    s->member = m;
}

uint16_t service_port(const struct service *s)
{
    return grpc_server_port(s->server);
}

void service_tick(struct service *s)
{
    struct member_status status = member_status(s->member);
    if (s->server != NULL) {
        grpc_health_set(s->health, "", status.healthy);
        grpc_health_set(s->health, "tidemark.raft",
                        status.healthy && status.state == MEMBER_RUNNING);
    }
}

void service_drain(struct service *s, unsigned grace_ms, void (*done)(void *context), void *context)
{
    if (s->server != NULL) {
        grpc_health_set(s->health, "", false);
        grpc_server_drain(s->server, grace_ms, done, context);
    }
}

void service_close_server(struct service *s)
{
    if (s != NULL && s->server != NULL) {
        grpc_server_close(s->server);
        s->server = NULL;
        grpc_health_close(s->health);
        grpc_reflection_close(s->reflection);
        CHECK(s->watchers == NULL); /* closing the server ended their calls */
    }
}

void service_close(struct service *s)
{
    if (s == NULL) {
        return;
    }
    CHECK(s->server == NULL);
    mem_free(s->methods);
    mem_free(s);
}
