/* SPDX-License-Identifier: Apache-2.0 */
/* A listening TCP socket. Binds exactly the address given.
 *
 * Embedded in its owner; belongs to its net_loop's thread. */
#ifndef TIDEMARK_RPC_NET_LISTENER_H
#define TIDEMARK_RPC_NET_LISTENER_H

#include "base/err.h"
#include "rpc/net_loop.h"

struct net_listener {
    uv_tcp_t tcp;
    struct net_loop *loop;
    /* A connection waits: take it with net_conn_take(), or net_listener_drop() it.
     * status < 0: accepting failed (too many open files, ...). */
    void (*incoming)(struct net_listener *l, int status);
    void *owner;
    uint16_t port;
    bool closed;
};

/* A bound, listening socket, and its port. ERR_INVALID: the address; ERR_EXISTS: it is in
 * use; ERR_IO. Separate from net_listener_open() so that it can fail before
 * anything must be closed. */
MUST_CHECK enum err_code net_listener_bind(uv_loop_t *uv, const char *address, int *fd,
                                           uint16_t *port, struct err *e);
/* Takes 'fd'. */
void net_listener_open(struct net_listener *l, struct net_loop *loop, int fd, uint16_t port,
                       void (*incoming)(struct net_listener *l, int status), void *owner);
uv_stream_t *net_listener_stream(struct net_listener *l);
/* Takes the waiting connection and closes it. */
void net_listener_drop(struct net_listener *l);
/* More than once is fine. */
void net_listener_close(struct net_listener *l);

#endif
