/* SPDX-License-Identifier: Apache-2.0 */
/* The production host of a member: one loop thread (libuv) for the member and
 * all sockets, one thread per lane, two for the pool.
 *
 *   host_run ──► serving ── SIGTERM, SIGINT ──► draining ──► returns
 *                   └────── the member stops by itself ──────► returns
 *
 * Turn of the loop: sockets and finished jobs give events to the member; before
 * the loop waits again member_flush() proposes what has gathered, in one entry. */
#ifndef TIDEMARK_NODE_HOST_H
#define TIDEMARK_NODE_HOST_H

#include "base/err.h"
#include "base/log.h"
#include "io/io.h"
#include "node/config.h"

struct host_options {
    const struct config *config;
    const struct log *log;
    struct io *io;
    /* Called once when the sockets are bound, with their ports; may be NULL. */
    void (*listening)(void *context, uint16_t client_port, uint16_t peer_port);
    void *context;
};

/* Runs the node until it stops. *exit_code is that of the process, or
 * MEMBER_EXIT_AGAIN: call again, the directory starts as a newcomer.
 * An error: it could not start, e says why. */
MUST_CHECK enum err_code host_run(const struct host_options *options, int *exit_code,
                                  struct err *e);

#endif
