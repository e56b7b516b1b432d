/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_health.h"

#include <stdio.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "rpc/grpc_server.h"

enum { WATCHERS_MAX = 1024 };

/* HealthCheckResponse.ServingStatus */
enum serving { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

struct service {
    char name[LIMIT_NAME_SIZE_MAX + 1];
    enum serving serving;
};

struct watcher {
    struct grpc_health *health;
    struct grpc_call *call;
    char service[LIMIT_NAME_SIZE_MAX + 1];
    enum serving sent; /* 0: nothing yet */
    LIST_ENTRY(watcher) entry;
};

struct grpc_health {
    struct grpc_method methods[2];
    struct service services[GRPC_HEALTH_SERVICES_MAX];
    size_t service_count;
    LIST_HEAD(, watcher) watchers;
    size_t watcher_count;
};

static enum serving state_of(const struct grpc_health *h, const char *name)
{
    for (size_t i = 0; i < h->service_count; i++) {
        if (strcmp(h->services[i].name, name) == 0) {
            return h->services[i].serving;
        }
    }
    return SERVICE_UNKNOWN;
}

static void send_state(struct grpc_call *call, enum serving serving)
{
    struct buf b = {0};
    wire_put_uint(&b, 1, serving);
    grpc_call_send_take(call, &b);
}

/* The service that a request asks for. False: the call was answered. */
static bool take_request(struct grpc_call *call, struct bytes message, char *dst, size_t dst_size)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    dst[0] = '\0';
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            wire_str(&c, &f, dst, dst_size);
        }
    }
    if (c.bad) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT,
                         "not a HealthCheckRequest, or the name is too long");
    }
    return !c.bad;
}

static void on_check(struct grpc_call *call, struct bytes message, void *context)
{
    const struct grpc_health *h = context;
    char name[LIMIT_NAME_SIZE_MAX + 1];
    if (!take_request(call, message, name, sizeof name)) {
        return;
    }
    enum serving serving = state_of(h, name);
    if (serving == SERVICE_UNKNOWN) {
        grpc_call_finish(call, GRPC_NOT_FOUND, "no such service");
        return;
    }
    send_state(call, serving);
    grpc_call_finish(call, GRPC_OK, NULL);
}

/* Tells the watcher, unless it knows or can't take more now. */
static void tell(struct watcher *w)
{
    enum serving serving = state_of(w->health, w->service);
    if (serving == w->sent || !grpc_call_writable(w->call)) {
        return;
    }
    w->sent = serving;
    send_state(w->call, serving);
}

static void on_drained(struct grpc_call *call, void *user)
{
    (void)call;
    tell(user);
}

static void on_cancelled(struct grpc_call *call, void *user)
{
    struct watcher *w = user;
    LIST_REMOVE(w, entry);
    w->health->watcher_count--;
    mem_free(w);
    grpc_call_finish(call, GRPC_CANCELLED, NULL);
}

static const struct grpc_call_events watch_events = {.cancelled = on_cancelled,
                                                     .drained = on_drained};

static void on_watch(struct grpc_call *call, struct bytes message, void *context)
{
    struct grpc_health *h = context;
    char name[LIMIT_NAME_SIZE_MAX + 1];
    if (!take_request(call, message, name, sizeof name)) {
        return;
    }
    if (h->watcher_count == WATCHERS_MAX) {
        grpc_call_finish(call, GRPC_RESOURCE_EXHAUSTED, "too many watchers");
        return;
    }
    struct watcher *w = mem_zalloc(sizeof *w);
    w->health = h;
    w->call = call;
    memcpy(w->service, name, sizeof w->service);
    LIST_INSERT_HEAD(&h->watchers, w, entry);
    h->watcher_count++;
    grpc_call_watch(call, &watch_events, w);
    tell(w);
}

struct grpc_health *grpc_health_open(struct grpc_server *s)
{
    struct grpc_health *h = mem_zalloc(sizeof *h);
    LIST_INIT(&h->watchers);
    h->methods[0] = (struct grpc_method){.path = "/grpc.health.v1.Health/Check",
                                         .kind = GRPC_UNARY,
                                         .message = on_check,
                                         .context = h};
    h->methods[1] = (struct grpc_method){.path = "/grpc.health.v1.Health/Watch",
                                         .kind = GRPC_SERVER_STREAM,
                                         .message = on_watch,
                                         .context = h};
    grpc_server_add(s, h->methods, 2);
    grpc_health_set(h, "", false);
    return h;
}

void grpc_health_close(struct grpc_health *h)
{
    if (h == NULL) {
        return;
    }
    CHECK(LIST_EMPTY(&h->watchers)); /* the server's close has cancelled them */
    mem_free(h);
}

static struct service *find_or_add(struct grpc_health *h, const char *name)
{
    for (size_t i = 0; i < h->service_count; i++) {
        if (strcmp(h->services[i].name, name) == 0) {
            return &h->services[i];
        }
    }
    CHECK(h->service_count < GRPC_HEALTH_SERVICES_MAX);
    CHECK(strlen(name) <= LIMIT_NAME_SIZE_MAX);
    struct service *s = &h->services[h->service_count++];
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

void grpc_health_set(struct grpc_health *h, const char *service, bool serving)
{
    find_or_add(h, service)->serving = serving ? SERVING : NOT_SERVING;
    struct watcher *w;
    LIST_FOREACH(w, &h->watchers, entry)
    {
        tell(w);
    }
}
