/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_address.h"

enum { BACKLOG = 511 };

static enum err_code resolve(uv_loop_t *uv, const struct net_address *a,
                             struct sockaddr_storage *out, struct err *e)
{
    if (net_address_numeric(a, out)) {
        return ERR_OK;
    }
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int status = uv_getaddrinfo(uv, &request, NULL, a->host, NULL, &hints);
    if (status < 0) {
        return err_set(e, ERR_INVALID, "resolve %s: %s", a->host, uv_strerror(status));
    }
    CHECK(request.addrinfo->ai_addrlen <= sizeof *out);
    memcpy(out, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    if (out->ss_family == AF_INET) {
        ((struct sockaddr_in *)out)->sin_port = htons(a->port);
    } else {
        ((struct sockaddr_in6 *)out)->sin6_port = htons(a->port);
    }
    return ERR_OK;
}

static socklen_t size_of(const struct sockaddr_storage *sa)
{
    return sa->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static enum err_code bind_fd(int fd, const struct sockaddr_storage *sa, uint16_t *port,
                             struct err *e)
{
    int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) {
        return err_set(e, ERR_IO, "SO_REUSEADDR: %s", strerror(errno));
    }
    if (bind(fd, (const struct sockaddr *)sa, size_of(sa)) != 0 || listen(fd, BACKLOG) != 0) {
        enum err_code code = errno == EADDRINUSE      ? ERR_EXISTS
                             : errno == EADDRNOTAVAIL ? ERR_INVALID
                                                      : ERR_IO;
        return err_set(e, code, "%s", strerror(errno));
    }
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0) {
        return err_set(e, ERR_IO, "getsockname: %s", strerror(errno));
    }
    *port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                             : ((struct sockaddr_in6 *)&bound)->sin6_port);
    return ERR_OK;
}

enum err_code net_listener_bind(uv_loop_t *uv, const char *address, int *fd, uint16_t *port,
                                struct err *e)
{
    struct net_address parsed;
    struct sockaddr_storage sa;
    enum err_code code = net_address_parse(address, &parsed, e);
    if (code == ERR_OK) {
        code = resolve(uv, &parsed, &sa, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    int s = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0) {
        return err_set(e, ERR_IO, "socket: %s", strerror(errno));
    }
    code = bind_fd(s, &sa, port, e);
    if (code != ERR_OK) {
        (void)close(s);
        if (e != NULL) {
            (void)err_wrap(e, "listen on %s", address);
        }
        return code;
    }
    *fd = s;
    return ERR_OK;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct net_listener *l = stream->data;
    l->incoming(l, status);
}

void net_listener_open(struct net_listener *l, struct net_loop *loop, int fd, uint16_t port,
                       void (*incoming)(struct net_listener *l, int status), void *owner)
{
    *l = (struct net_listener){.loop = loop, .incoming = incoming, .owner = owner, .port = port};
    CHECK(uv_tcp_init(loop->uv, &l->tcp) == 0);
    l->tcp.data = l;
    net_loop_hold(loop);
    CHECK(uv_tcp_open(&l->tcp, fd) == 0);
    CHECK(uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection) == 0);
}

uv_stream_t *net_listener_stream(struct net_listener *l)
{
    return (uv_stream_t *)&l->tcp;
}

struct dropped {
    uv_tcp_t tcp;
    struct net_loop *loop;
};

static void on_dropped(uv_handle_t *handle)
{
    struct dropped *d = handle->data;
    struct net_loop *loop = d->loop;
    mem_free(d);
    net_loop_release(loop);
}

void net_listener_drop(struct net_listener *l)
{
    struct dropped *d = mem_zalloc(sizeof *d);
    d->loop = l->loop;
    net_loop_hold(l->loop);
    CHECK(uv_tcp_init(l->loop->uv, &d->tcp) == 0);
    d->tcp.data = d;
    (void)uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)&d->tcp);
    uv_close((uv_handle_t *)&d->tcp, on_dropped);
}

static void on_closed(uv_handle_t *handle)
{
    const struct net_listener *l = handle->data;
    net_loop_release(l->loop);
}

void net_listener_close(struct net_listener *l)
{
    if (!l->closed) {
        l->closed = true;
        uv_close((uv_handle_t *)&l->tcp, on_closed);
    }
}
