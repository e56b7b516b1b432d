/* SPDX-License-Identifier: Apache-2.0 */
/* The client for programs that wait: a loop of its own, calls that block, and a
 * step function for programs that keep many calls in flight.
 *
 * One thread. Channels opened on grpc_blocking_loop() are closed before it. */
#ifndef TIDEMARK_RPC_GRPC_BLOCKING_H
#define TIDEMARK_RPC_GRPC_BLOCKING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "rpc/grpc_client.h"

struct grpc_blocking;

/* Owned copy of a struct grpc_result. */
struct grpc_outcome {
    enum grpc_status status;
    bool unprocessed;
    char message[ERR_TEXT_SIZE];
    char leader[256]; /* "" if none was named */
};

MUST_CHECK enum err_code grpc_blocking_open(struct grpc_blocking **out, struct err *e);
void grpc_blocking_close(struct grpc_blocking *b); /* NULL is fine */

struct uv_loop_s *grpc_blocking_loop(struct grpc_blocking *b);
uint64_t grpc_blocking_now_ms(struct grpc_blocking *b); /* for deadlines */

/* One turn of the loop: waits for events, at most timeout_ms, and runs their callbacks. */
void grpc_blocking_step(struct grpc_blocking *b, unsigned timeout_ms);

/* One unary call; request->deadline_ms bounds the wait. *reply is appended to. Returns the outcome
 * as an error code, with its story in 'e'; *outcome may be NULL. */
MUST_CHECK enum err_code grpc_client_call_sync(struct grpc_blocking *b, struct grpc_channel *c,
                                               const struct grpc_call_request *request,
                                               struct buf *reply, struct grpc_outcome *outcome,
                                               struct err *e);

struct grpc_reader {
    /* False: the call is cancelled and ends with ERR_CANCELLED. */
    bool (*message)(void *context, struct bytes message);
    void *context;
};

/* The same for a stream: the reader is called for each message. */
MUST_CHECK enum err_code grpc_client_stream_sync(struct grpc_blocking *b, struct grpc_channel *c,
                                                 const struct grpc_call_request *request,
                                                 const struct grpc_reader *reader,
                                                 struct grpc_outcome *outcome, struct err *e);

#endif
