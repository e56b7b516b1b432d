/* SPDX-License-Identifier: Apache-2.0 */
/* A node's links to its peers: listens, dials, shakes hands, keeps one link to
 * each directory, moves messages in order, says when a link comes and goes.
 *
 * Frames:  size u32 | crc32c u32 | message[size]     little-endian, crc over message
 * Size 0 is a keepalive. The order of messages on a new connection:
 *
 *   dialer                         acceptor
 *   Hello ───────────────────────►           hello() at the acceptor
 *         ◄─────── Welcome (with Hello)      hello() at the dialer
 *   Welcome ─────────────────────►           up() on both sides
 *   PeerMessage ◄────────────────► PeerMessage
 *
 * A Welcome that asks for a nonce is answered by the Hello (dialer) or Welcome
 * (acceptor) once more, with known_counter and known_nonce; one that refuses ends
 * the connection.
 *
 * One link per pair of directories. Of two connections whose other side is in the same
 * start, the one dialed by the lower id wins; if the same side dialed both, that side
 * keeps the first (it has found one node under two addresses) and the other side the
 * last (the first was lost there). A newer start of the other side wins always. What
 * the loser still had on its way is dropped, unread.
 *
 * Messages are FIFO per direction while a link is up and may be lost, with the
 * link or because the queue is full; never altered, duplicated or reordered.
 *
 *   DOWN ── both accepted ──► UP ── closed, idle, bad frame, replaced ──► DOWN
 *
 * Everything runs on the loop's thread. Callbacks may call all functions here
 * but peer_net_close(). */
#ifndef TIDEMARK_RPC_PEER_NET_H
#define TIDEMARK_RPC_PEER_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "rpc/peer_hello.h"

struct log;
struct peer_net;
struct uv_loop_s;

struct peer_events {
    /* A node offers a link. Decide now or later, with this 'offer', by peer_net_accept(),
     * peer_net_refuse() or peer_net_ask(). An offer ends after hello_ms at the other
     * side; deciding one that ended does nothing. */
    void (*hello)(void *context, uint64_t offer, const struct peer_hello *hello);
    void (*up)(void *context, uint64_t id, const struct peer_hello *hello);
    void (*down)(void *context, uint64_t id, const char *reason);
    /* After down(), once at most: nobody listens any more where that peer listened, its
     * address refuses connections: its process is dead (safety.md I). */
    void (*dead)(void *context, uint64_t id);
    void (*message)(void *context, uint64_t id, struct bytes message); /* borrowed */
    /* Our hello was refused there. id 0: the other side did not say who it is. */
    void (*refused)(void *context, uint64_t id, const struct peer_refusal *refusal);
    /* The nonce of our own start 'start_counter', 0 if it isn't known. */
    uint64_t (*nonce_of)(void *context, uint64_t start_counter);
};

/* Where a field says "0: n", 0 stands for n. */
struct peer_net_options {
    struct uv_loop_s *loop;
    const struct log *log;            /* NULL: silent */
    const char *listen;               /* "host:port"; port 0: any free one */
    struct peer_hello hello;          /* ours; a peer_address of "" is filled in from 'listen' */
    uint64_t seed;                    /* of the back-off */
    const struct peer_events *events; /* borrowed */
    void *context;
    size_t
        queue_size_max; /* bytes not yet taken by the network, for each peer. 0: LIMIT_PEER_QUEUE_SIZE */
    unsigned hello_ms;       /* patience with each step of the hand-shake. 0: 5,000 */
    unsigned keepalive_ms;   /* we say something at least that often. 0: 1,000 */
    unsigned idle_ms;        /* nothing heard: the link is closed. 0: 5,000 */
    unsigned backoff_min_ms; /* between attempts, random. 0: 20 */
    unsigned backoff_max_ms; /* 0: 500 */
    unsigned refused_ms;     /* before asking again who refused us. 0: 2,000 */
};

struct peer_stats {
    uint64_t messages_sent; /* queued on a link */
    uint64_t messages_received;
    uint64_t messages_dropped; /* link down or queue full */
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint64_t links;      /* times that a link came up */
    uint64_t bad_frames; /* crc, size, or not a message of its place */
    size_t queued;       /* bytes not yet taken by the network */
};

enum {
    /* A message up to this size (heartbeats, votes, acknowledgements) may use a
     * reserve of PEER_RESERVE_SIZE beyond queue_size_max. */
    PEER_SMALL_SIZE_MAX = 1024,
    PEER_RESERVE_SIZE = 256 * 1024,
    PEER_TARGETS_MAX = 2 * LIMIT_NODES_MAX,
};

/* Binds and listens. ERR_INVALID: the address; ERR_EXISTS: it is in use;
 * ERR_IO. The caller owns *out, to be given to peer_net_close(). */
MUST_CHECK enum err_code peer_net_open(const struct peer_net_options *options,
                                       struct peer_net **out, struct err *e);
/* Closes everything without callbacks; memory goes as the loop runs on. NULL is
 * fine. */
void peer_net_close(struct peer_net *n);
uint16_t peer_net_port(const struct peer_net *n);

/* For hand-shakes from now on; links that are up stay. */
void peer_net_set_hello(struct peer_net *n, const struct peer_hello *hello);

/* Keeps a link to whoever listens at "host:port", until forgotten. Known ones are
 * fine. ERR_INVALID: the address; ERR_FULL: PEER_TARGETS_MAX. Our own address is
 * noticed and left alone. */
MUST_CHECK enum err_code peer_net_dial(struct peer_net *n, const char *address, struct err *e);
/* Stops dialing; a link that is up stays. */
void peer_net_forget(struct peer_net *n, const char *address);

void peer_net_accept(struct peer_net *n, uint64_t offer);
void peer_net_refuse(struct peer_net *n, uint64_t offer, const struct peer_refusal *refusal);
/* Not accepted yet: hello() comes again with that known_counter and its nonce, or
 * known_nonce 0 if the peer does not keep it. */
void peer_net_ask(struct peer_net *n, uint64_t offer, uint64_t start_counter);

/* One message from 'count' parts; copied. False: dropped and counted (no link, or
 * the queue is full). Together at most LIMIT_FRAME_SIZE_MAX bytes, at least one. */
bool peer_net_send(struct peer_net *n, uint64_t id, const struct bytes *parts, size_t count);

bool peer_net_is_up(const struct peer_net *n, uint64_t id);
/* Closes the link, with down(); dialing starts again. */
void peer_net_disconnect(struct peer_net *n, uint64_t id, const char *reason);
/* All zero for a directory that was never seen. */
void peer_net_stats(const struct peer_net *n, uint64_t id, struct peer_stats *out);

#endif
