/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_dial.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_conn.h"

enum { ADDRESSES_MAX = 4 };

struct net_dial {
    struct net_loop *loop;
    struct net_conn *conn; /* NULL: nobody waits any more */
    uint16_t port;
    unsigned references; /* conn, timer, request */
    struct net_timer timer;
    uv_getaddrinfo_t resolve;
    int failure; /* reported when the timer fires; 0: the time is over */
    struct sockaddr_storage addresses[ADDRESSES_MAX];
    size_t count;
    size_t next;
};

static void release(struct net_dial *d)
{
    CHECK(d->references > 0);
    d->references--;
    if (d->references == 0) {
        mem_free(d);
    }
}

/* Later, so that nobody is called from inside his own call. */
static void fail(struct net_dial *d, int status)
{
    CHECK(status < 0);
    d->failure = status;
    net_timer_start(&d->timer, 0, 0);
}

static void on_timer(void *owner)
{
    struct net_dial *d = owner;
    if (d->conn != NULL) {
        net_conn_dial_failed(d->conn, d->failure != 0 ? d->failure : UV_ETIMEDOUT);
    }
}

static void connect_next(struct net_dial *d);

static void on_tcp_closed(uv_handle_t *handle)
{
    struct net_conn *c = handle->data;
    if (c->state == NET_CONN_CLOSING) {
        net_conn_closed(handle);
        return;
    }
    CHECK(uv_tcp_init(c->loop->uv, &c->tcp) == 0);
    c->tcp.data = c;
    if (c->dial != NULL) {
        connect_next(c->dial);
    } /* else the time was over meanwhile, and the owner has yet to close */
}

static void on_connected(uv_connect_t *request, int status)
{
    struct net_conn *c = request->handle->data;
    if (status == UV_ECANCELED || c->dial == NULL) {
        return;
    }
    struct net_dial *d = c->dial;
    if (status == 0) {
        net_conn_opened(c);
        return;
    }
    if (d->next == d->count) {
        fail(d, status);
        return;
    }
    /* A socket that failed to connect can't be used for the next address. */
    uv_close((uv_handle_t *)&c->tcp, on_tcp_closed);
}

static void connect_next(struct net_dial *d)
{
    CHECK(d->next < d->count);
    const struct sockaddr *sa = (const struct sockaddr *)&d->addresses[d->next];
    d->next++;
    int status = uv_tcp_connect(&d->conn->connect, &d->conn->tcp, sa, on_connected);
    if (status < 0) {
        fail(d, status);
    }
}

static void add_address(struct net_dial *d, const struct addrinfo *found)
{
    struct sockaddr_storage *to = &d->addresses[d->count];
    if (d->count == ADDRESSES_MAX || found->ai_addrlen > sizeof *to) {
        return;
    }
    memcpy(to, found->ai_addr, found->ai_addrlen);
    if (to->ss_family == AF_INET) {
        ((struct sockaddr_in *)to)->sin_port = htons(d->port);
    } else if (to->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)to)->sin6_port = htons(d->port);
    } else {
        return;
    }
    d->count++;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct net_dial *d = request->data;
    for (const struct addrinfo *a = found; a != NULL && status == 0; a = a->ai_next) {
        add_address(d, a);
    }
    uv_freeaddrinfo(found);
    if (d->conn != NULL && d->failure == 0) {
        if (d->count > 0) {
            connect_next(d);
        } else {
            fail(d, status < 0 ? status : UV_EAI_NONAME);
        }
    }
    net_loop_release(d->loop);
    release(d);
}

static void resolve(struct net_dial *d, const char *host)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    d->resolve.data = d;
    int status = uv_getaddrinfo(d->loop->uv, &d->resolve, on_resolved, host, NULL, &hints);
    if (status < 0) {
        fail(d, status);
        return;
    }
    d->references++;
    net_loop_hold(d->loop);
}

void net_dial_start(struct net_conn *c, const struct net_address *address, unsigned timeout_ms)
{
    CHECK(uv_tcp_init(c->loop->uv, &c->tcp) == 0);
    c->tcp.data = c;
    struct net_dial *d = mem_zalloc(sizeof *d);
    d->loop = c->loop;
    d->conn = c;
    c->dial = d;
    d->port = address->port;
    d->references = 1;
    net_timer_init(&d->timer, d->loop, on_timer, d);
    net_timer_start(&d->timer, timeout_ms, 0);
    if (net_address_numeric(address, &d->addresses[0])) {
        d->count = 1;
        connect_next(d);
    } else {
        resolve(d, address->host);
    }
}

static void on_timer_closed(void *owner)
{
    release(owner);
}

void net_dial_free(struct net_dial *d)
{
    CHECK(d->conn != NULL);
    d->conn = NULL;
    (void)uv_cancel((uv_req_t *)&d->resolve);
    net_timer_close(&d->timer, on_timer_closed);
}
