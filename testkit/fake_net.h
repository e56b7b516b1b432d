/* SPDX-License-Identifier: Apache-2.0 */
/* A network of nodes 0, 1, 2 ... in virtual time, the same for the same seed.
 *
 * Between two nodes there is at most one link. Each side has its own view of it,
 * and learns of changes by events:
 *
 *   connect ──► UP at the other side, then UP here
 *           ──► REFUSED      its process is dead (its host says so)
 *           ──► UNREACHABLE  nobody answered in time
 *   UP ──► MESSAGE ... ──► DOWN   closed by the other side, its process died,
 *                                 or nothing came through for break_us
 *
 * Every link has an epoch. What was sent on an earlier one is never delivered on
 * a later one; a message that meets no link of its epoch is answered as TCP
 * does, and takes down the sender's side.
 *
 * Messages come in order on one link when 'fifo' is set, else each with its own
 * delay, and perhaps twice. In both cases some may be lost alone (as when a full
 * queue drops them). A blocked direction holds what is sent, as TCP does, until
 * it is opened or the link breaks. UP and DOWN are never overtaken.
 *
 *   while (fake_net_deliver(net, now_us, &event)) { ... }
 *   now_us = fake_net_next_us(net);
 *
 * A fake net belongs to one thread. */
#ifndef TIDEMARK_TESTKIT_FAKE_NET_H
#define TIDEMARK_TESTKIT_FAKE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { FAKE_NET_NODES_MAX = 32 };

struct fake_net;

struct fake_net_options {
    bool fifo;
    uint64_t delay_min_us; /* of each message, one way */
    uint64_t delay_max_us;
    uint64_t slow_max_us; /* of the few that are slow */
    uint32_t slow_per_million;
    uint32_t loss_per_million;
    uint32_t duplicate_per_million; /* not with fifo */
    uint64_t connect_timeout_us;
    uint64_t break_us; /* a link with held messages goes down after it */
};

enum fake_net_event_kind {
    FAKE_NET_UP,
    FAKE_NET_MESSAGE,
    FAKE_NET_DOWN,
    FAKE_NET_REFUSED,
    FAKE_NET_UNREACHABLE
};

struct fake_net_event {
    enum fake_net_event_kind kind;
    size_t node; /* who gets the event */
    size_t peer; /* at the other end */
    uint64_t epoch;
    struct bytes data; /* of a message; borrowed until the next fake_net_deliver() */
};

struct fake_net_counts {
    uint64_t sent;       /* accepted by fake_net_send() */
    uint64_t delivered;  /* duplicates included */
    uint64_t lost;       /* by chance */
    uint64_t duplicated; /* by chance */
    uint64_t stale;      /* of a link that was gone */
    uint64_t ups;
    uint64_t downs;
};

/* All nodes alive, no link up, nothing blocked. */
struct fake_net *fake_net_create(size_t node_count, uint64_t seed,
                                 const struct fake_net_options *options);
void fake_net_destroy(struct fake_net *net);
/* For what is sent from now on. */
void fake_net_set_options(struct fake_net *net, const struct fake_net_options *options);

/* --- links --- */

/* Nothing happens if the link is up here or being set up from here. */
void fake_net_connect(struct fake_net *net, size_t from, size_t to, uint64_t now_us);
/* Ends from's side at once, without an event there. What was sent still arrives. */
void fake_net_close(struct fake_net *net, size_t from, size_t to, uint64_t now_us);
bool fake_net_is_up(const struct fake_net *net, size_t node, size_t peer); /* node's view */
/* Copies 'data'. False: the link is down here, nothing is sent. */
bool fake_net_send(struct fake_net *net, size_t from, size_t to, struct bytes data,
                   uint64_t now_us);

/* --- time --- */

/* The next event that is due at 'now_us' (which never goes back), in order. */
bool fake_net_deliver(struct fake_net *net, uint64_t now_us, struct fake_net_event *event);
/* When there is something to do again; UINT64_MAX: never, unless something is sent. */
uint64_t fake_net_next_us(const struct fake_net *net);

/* --- faults --- */

void fake_net_block(struct fake_net *net, size_t from, size_t to, bool blocked,
                    uint64_t now_us); /* one way */
/* Nodes of different groups can't reach each other, those of one group can. */
void fake_net_partition(struct fake_net *net, const unsigned *group_of_node, uint64_t now_us);
void fake_net_heal(struct fake_net *net, uint64_t now_us); /* opens every direction */

/* The process of a node ends: its links go down, at the peers by an event (what
 * it had sent still arrives), and connections are refused. With 'host_too' nobody
 * is told and nobody answers. */
void fake_net_kill(struct fake_net *net, size_t node, bool host_too, uint64_t now_us);
void fake_net_start(struct fake_net *net, size_t node, uint64_t now_us);
/* A stopped process: its links stay, its events wait until it goes on. */
void fake_net_pause(struct fake_net *net, size_t node, bool paused);
/* Breaks a link as a reset does: DOWN at both sides, messages in flight are lost. */
void fake_net_reset(struct fake_net *net, size_t a, size_t b, uint64_t now_us);

struct fake_net_counts fake_net_counts(const struct fake_net *net);
size_t fake_net_in_flight(const struct fake_net *net); /* messages sent and not yet delivered */

#endif
