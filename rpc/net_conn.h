/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection, dialed or taken: bytes in as they come, bytes out gathered
 * and written once per turn of the loop. What a TLS stream would replace.
 *
 *   net_conn_dial ─► DIALING ── connected() ─► OPEN ── ended() ─► ENDED ─┐
 *   net_conn_take ───────────────────────────► OPEN                      │
 *      any state ── net_conn_close ─► CLOSING ── closed() ─► (gone) ◄────┘
 *
 * ended() comes once at most: the other side closed, an error, a dial that failed
 * or took too long, or everything written after net_conn_finish(). The owner then
 * closes. After net_conn_close() only closed() comes: the memory may go.
 *
 * Embedded in its owner, first or found by 'owner'; belongs to its net_loop's thread. */
#ifndef TIDEMARK_RPC_NET_CONN_H
#define TIDEMARK_RPC_NET_CONN_H

#include "base/bytes.h"
#include "base/err.h"
#include "rpc/net_address.h"
#include "rpc/net_loop.h"

struct net_dial;

struct net_conn_ops {
    void (*connected)(struct net_conn *c);                /* dialed only */
    void (*read)(struct net_conn *c, struct bytes input); /* borrowed */
    /* Puts output into 'out' until it holds NET_FILL_SIZE or there is no more.
     * NULL: the owner puts all output into c->out. */
    void (*fill)(struct net_conn *c, struct buf *out);
    void (*ended)(struct net_conn *c, int status); /* 0: closed in order; else as uv_strerror() */
    void (*closed)(struct net_conn *c);
};

enum net_conn_state { NET_CONN_DIALING, NET_CONN_OPEN, NET_CONN_ENDED, NET_CONN_CLOSING };

struct net_conn {
    uv_tcp_t tcp;
    struct net_loop *loop;
    const struct net_conn_ops *ops;
    void *owner;
    enum net_conn_state state;
    struct net_dial *dial; /* owned, while the state is DIALING */
    bool finishing;        /* ends when all is written; input is dropped */
    bool is_dirty;         /* in loop->dirty */
    uint64_t turn;         /* of the loop in which it was flushed last */
    TAILQ_ENTRY(net_conn) dirty_entry;
    struct buf out;    /* given by the owner, not yet by us to the kernel */
    struct buf flight; /* being written by 'write' */
    bool writing;
    uv_write_t write;
    uv_connect_t connect;
    char peer[NET_ADDRESS_TEXT_SIZE]; /* the other side, when OPEN */
};

/* Starts to connect; 'connected' or 'ended' follows, never from inside. Names are resolved in
 * uv's thread pool; every address found is tried. */
void net_conn_dial(struct net_conn *c, struct net_loop *l, const struct net_conn_ops *ops,
                   const struct net_address *address, unsigned timeout_ms);
/* Takes the connection that waits at 'listener'. On failure (status < 0) it is closing: closed()
 * follows. */
MUST_CHECK int net_conn_take(struct net_conn *c, struct net_loop *l, const struct net_conn_ops *ops,
                             uv_stream_t *listener);

/* There is something to write, or may be. */
void net_conn_mark(struct net_conn *c);
/* Bytes that the kernel has not taken yet, without what fill() would give. */
size_t net_conn_queued(const struct net_conn *c);
/* No more input; when all output is written, ended(0). */
void net_conn_finish(struct net_conn *c);
void net_conn_close(struct net_conn *c);
bool net_conn_is_open(const struct net_conn *c);

/* "connection refused"; 0 is "closed by the other side". */
const char *net_conn_reason(int status);

/* Called by net_loop. */
void net_conn_flush(struct net_conn *c);
/* Called by net_dial. */
void net_conn_opened(struct net_conn *c);
void net_conn_dial_failed(struct net_conn *c, int status);
void net_conn_closed(uv_handle_t *handle);

#endif
