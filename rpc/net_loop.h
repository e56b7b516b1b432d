/* SPDX-License-Identifier: Apache-2.0 */
/* What the connections of one owner share on a uv loop: the input buffer, the
 * list of connections with something to write, and the count of handles that
 * must be closed before the owner's memory may go.
 *
 * Output is written once per turn of the loop, just before it waits: everything that
 * a turn's events produced for a connection leaves in one system call.
 *
 *   net_loop_init ──► OPEN ── net_loop_close ──► CLOSING ── no handle left ──► closed()
 *
 * Embedded in its owner; one thread. The first one makes the process ignore SIGPIPE,
 * unless it has a handler: a write into a closed connection is an error code. */
#ifndef TIDEMARK_RPC_NET_LOOP_H
#define TIDEMARK_RPC_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/bytes.h"

enum {
    NET_INPUT_SIZE = 64 * 1024, /* read from one connection at once */
    NET_FILL_SIZE = 64 * 1024,  /* gathered before a write, at least, if there is as much */
    /* Written to one connection before others have their turn. */
    NET_TURN_SIZE_MAX = 1024 * 1024,
};

struct net_conn;
TAILQ_HEAD(net_conn_list, net_conn);

struct net_loop {
    uv_loop_t *uv;
    uv_prepare_t prepare;
    uv_idle_t idle;             /* active while 'dirty' is not empty: no waiting then */
    struct net_conn_list dirty; /* connections with something to write */
    uint64_t turn;
    uint8_t *input;    /* NET_INPUT_SIZE, for every read */
    struct buf output; /* for every write */
    size_t handles;    /* not closed yet, and requests under way */
    bool closing;
    void (*closed)(void *owner); /* the owner may free itself */
    void *owner;
};

void net_loop_init(struct net_loop *l, uv_loop_t *uv, void (*closed)(void *owner), void *owner);
/* Every handle must be closing already. */
void net_loop_close(struct net_loop *l);

/* Something becomes dirty: the loop must not wait before it has been seen, also
 * when that is after our look in this turn. Called by net_conn. */
void net_loop_wake(struct net_loop *l);

/* Around the life of each handle that the owner opens itself. */
void net_loop_hold(struct net_loop *l);
void net_loop_release(struct net_loop *l);

uint64_t net_loop_now_ms(const struct net_loop *l);

/* A timer that counts as a handle of the loop. */
struct net_timer {
    uv_timer_t timer;
    struct net_loop *loop;
    void (*fired)(void *owner);
    void (*closed)(void *owner);
    void *owner;
};

void net_timer_init(struct net_timer *t, struct net_loop *l, void (*fired)(void *owner),
                    void *owner);
void net_timer_start(struct net_timer *t, uint64_t after_ms, uint64_t repeat_ms);
void net_timer_stop(struct net_timer *t);
bool net_timer_is_active(const struct net_timer *t);
/* 'closed', unless NULL, is called when the timer's memory may go. */
void net_timer_close(struct net_timer *t, void (*closed)(void *owner));

#endif
