/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the peer links, shared by their three sources only:
 *
 *   peer_net.c     what the owner uses; who is known; which link a peer has
 *   peer_link.c    one connection: hand-shake, frames, silence
 *   peer_target.c  one address that is dialed, and the question whether a peer is dead */
#ifndef TIDEMARK_RPC_PEER_NET_PARTS_H
#define TIDEMARK_RPC_PEER_NET_PARTS_H

#include <sys/queue.h>

#include "base/random.h"
#include "rpc/net_conn.h"
#include "rpc/net_listener.h"
#include "rpc/peer_frame.h"
#include "rpc/peer_net.h"

enum {
    PEER_HANDSHAKE_SIZE_MAX = 8 * 1024, /* of one frame before a link is up */
    PEERS_MAX = 4 * LIMIT_NODES_MAX,    /* directories remembered */
    PEER_ASKS_MAX = 4,                  /* nonces asked for on one connection */
    PEER_DEAD_MS = 2000,                /* how long after a link's end a refusal means "dead" */
};

struct peer_target;

/*   dialer:    DIALING ─► AWAIT_WELCOME ◄─► DECIDING ─► UP
 *   acceptor:  AWAIT_HELLO ◄─► DECIDING ─► AWAIT_WELCOME ─► UP
 *   any state ─► ENDED */
enum link_state {
    LINK_DIALING,
    LINK_AWAIT_HELLO,
    LINK_AWAIT_WELCOME,
    LINK_DECIDING, /* the owner is asked */
    LINK_UP,
    LINK_ENDED
};

struct peer_link {
    struct net_conn conn; /* first */
    struct peer_net *net;
    enum link_state state;
    bool dialed;                /* by us */
    struct peer_target *target; /* through which, NULL: none any more */
    bool has_hello;
    struct peer_hello hello; /* of the other side */
    uint64_t offer;          /* when DECIDING */
    unsigned asks;           /* nonces asked for, by either side */
    struct peer_inbox inbox;
    uint64_t due_ms;   /* end of patience, before UP */
    uint64_t heard_ms; /* when UP */
    uint64_t said_ms;
    uint64_t sweep; /* the last one that looked at it */
    bool leaving;   /* in net->leaving, else in net->links unless ENDED */
    LIST_ENTRY(peer_link) entry;
};
LIST_HEAD(peer_link_list, peer_link);

/* A directory that had a link once. */
struct peer {
    uint64_t id;            /* 0: free slot */
    struct peer_link *link; /* that is up; NULL: none */
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    uint64_t dead_until_ms; /* a refusal before that means "dead" */
    struct peer_stats stats;
};

struct peer_target {
    struct peer_net *net;
    char text[LIMIT_ADDRESS_SIZE_MAX + 1];
    struct net_address address;
    uint64_t id;            /* of who was found there last; 0: nobody yet */
    bool is_self;           /* our own address: left alone */
    bool slow;              /* we were refused there */
    struct peer_link *link; /* dialed, and not ended; NULL: none */
    unsigned failures;      /* in a row */
    struct net_timer timer; /* to the next attempt */
    LIST_ENTRY(peer_target) entry;
};
LIST_HEAD(peer_target_list, peer_target);

/* Whether somebody still listens where a peer listened. */
struct probe {
    struct net_conn conn; /* first */
    struct peer_net *net;
    uint64_t id;
    LIST_ENTRY(probe) entry;
};
LIST_HEAD(probe_list, probe);

struct peer_net {
    struct peer_net_options
        options;             /* defaults filled in; no pointers into the caller but events */
    struct peer_hello hello; /* ours */
    struct random random;
    struct net_loop loop;
    struct net_listener listener;
    struct net_timer sweep_timer;
    uint64_t sweep_every_ms;
    uint64_t sweep_last_ms;
    uint64_t sweeps;
    uint64_t offers; /* given out so far */
    bool closed;
    struct peer_link_list links;
    struct peer_link_list leaving; /* ended; what they said last has yet to leave */
    struct probe_list probes;
    size_t link_count;
    struct peer_target_list targets;
    size_t target_count;
    struct peer peers[PEERS_MAX];
};

/* --- peer_net.c --- */

struct peer *peer_find(struct peer_net *n, uint64_t id);
/* NULL: too many are known, and all have links. */
struct peer *peer_find_or_add(struct peer_net *n, uint64_t id);
/* Whether 'link' may be the pair's link beside those that stand now. */
bool peer_may_stand(struct peer_net *n, const struct peer_link *link);
/* The hand-shake is done. May end it, or the link that it replaces. */
void peer_link_is_up(struct peer_net *n, struct peer_link *link);
/* A link that was up is gone (already in no list): down(), dial again, ask whether
 * the peer is dead. */
void peer_link_is_down(struct peer_net *n, struct peer_link *link, const char *reason);
/* Its address refused a connection. */
void peer_refused_dial(struct peer_net *n, uint64_t id);

/* --- peer_link.c --- */

void peer_link_take(struct peer_net *n);
struct peer_link *peer_link_dial(struct peer_target *t);
/* Ends it at once; events as they belong to its state. Ended already is fine. */
void peer_link_end(struct peer_link *link, const char *reason);
/* One that is leaving: at once. */
void peer_link_drop(struct peer_link *link);
/* The owner's decisions, of a link that is DECIDING. */
void peer_link_accept(struct peer_link *link);
void peer_link_refuse(struct peer_link *link, const struct peer_refusal *refusal);
void peer_link_ask(struct peer_link *link, uint64_t start_counter);
void peer_link_sweep(struct peer_link *link, uint64_t now_ms);

/* --- peer_target.c --- */

struct peer_target *peer_target_open(struct peer_net *n, const char *text,
                                     const struct net_address *address);
/* Its link, if it is not up, ends. */
void peer_target_close(struct peer_target *t);
/* Its link has ended; 'refused': nobody listens there. */
void peer_target_link_ended(struct peer_target *t, bool refused);
/* The peer has no link any more: dial it again soon. */
void peer_target_wake(struct peer_target *t);
/* Dials once to see whether somebody still listens. */
void peer_probe(struct peer_net *n, const struct net_address *address, uint64_t id);
void peer_probe_end(struct probe *p);

#endif
