/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC client over HTTP/2 without TLS (prior knowledge), on one uv loop.
 *
 * A channel is one server's address. It connects when a call needs it, keeps the
 * connection, and makes a new one when that is lost or told to go away (GOAWAY;
 * calls that are under way there end there).
 *
 *   IDLE ── a call ──► CONNECTING ──► READY ── lost ──► IDLE
 *                          └─ failed ──► WAITING ── back-off over ──► IDLE
 *
 * Calls wait while CONNECTING. When that fails, and while WAITING, they end with
 * UNAVAILABLE and the reason: retrying is the caller's decision.
 *
 * A call:  grpc_channel_call ──► message() ... ──► done() ──► (gone)
 * done() comes exactly once, never from inside grpc_channel_call(), unless the call
 * is cancelled by its owner: then nothing comes any more.
 *
 * Everything runs on the loop's thread. Callbacks may call all functions here
 * but grpc_channel_close() of their own channel. */
#ifndef TIDEMARK_RPC_GRPC_CLIENT_H
#define TIDEMARK_RPC_GRPC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "rpc/grpc_status.h"

struct grpc_channel;
struct grpc_client_call;
struct log;
struct uv_loop_s;

/* Where a field says "0: n", 0 stands for n. */
struct grpc_channel_options {
    struct uv_loop_s *loop;
    const struct log *log;         /* NULL: silent */
    const char *address;           /* "host:port", copied; names are resolved at each connect */
    size_t message_size_max;       /* of one answer. 0: LIMIT_FRAME_SIZE_MAX */
    size_t calls_max;              /* open at once; one more is refused. 0: LIMIT_CLIENT_CALLS */
    unsigned connect_ms;           /* until a connection stands. 0: 5,000 */
    unsigned backoff_min_ms;       /* after a failed attempt, doubling. 0: 20 */
    unsigned backoff_max_ms;       /* 0: 1,000 */
    unsigned keepalive_ms;         /* ping when calls are open and nothing came. 0: 30,000 */
    unsigned keepalive_timeout_ms; /* quiet time after that. 0: 20,000 */
};

/* How a call ended. Everything in it is borrowed for done(). */
struct grpc_result {
    enum grpc_status status;
    const char *message; /* never NULL */
    const char *leader;  /* "host:port" of the trailer tidemark-leader, or NULL */
    /* The server certainly never gave the request to a handler: safe to retry
     * elsewhere whatever it was. */
    bool unprocessed;
    const struct grpc_client_call *call; /* for grpc_result_trailer() */
};

/* First value of a trailer (or of a trailers-only answer's header), or NULL. */
const char *grpc_result_trailer(const struct grpc_result *r, const char *name);
/* The result as an error: OK, or the code and "STATUS: message". */
enum err_code grpc_result_err(const struct grpc_result *r, struct err *e);

struct grpc_metadata {
    const char *name; /* lower case */
    const char *value;
};

struct grpc_call_request {
    const char *path;     /* "/tidemark.v1.Data/Scan" */
    struct bytes message; /* copied */
    bool streams;         /* the answer may be any number of messages, not just one */
    uint64_t deadline_ms; /* on the loop's clock; 0: none */
    const struct grpc_metadata *metadata; /* copied; may be NULL */
    size_t metadata_count;
};

struct grpc_client_events {
    /* An answer's message, borrowed. Unary: once, before done(), or not at all. */
    void (*message)(void *context, struct bytes message);
    void (*done)(void *context, const struct grpc_result *result);
};

/* ERR_INVALID: the address is not host:port. Does not connect yet. The caller
 * owns *out, to be given to grpc_channel_close(). */
MUST_CHECK enum err_code grpc_channel_open(const struct grpc_channel_options *options,
                                           struct grpc_channel **out, struct err *e);
/* Calls still open end without done(). Memory goes as the loop runs on. NULL is
 * fine. */
void grpc_channel_close(struct grpc_channel *c);
const char *grpc_channel_address(const struct grpc_channel *c);

/* Borrows 'events' until the call has ended. NULL: calls_max are open (RESOURCE_EXHAUSTED
 * would be the answer). The pointer is valid until done() returns. */
struct grpc_client_call *grpc_channel_call(struct grpc_channel *c,
                                           const struct grpc_call_request *request,
                                           const struct grpc_client_events *events, void *context);
/* Stops a stream's messages, and by flow control the server, until resumed. done()
 * waits too if messages are held. */
void grpc_client_call_pause(struct grpc_client_call *call);
void grpc_client_call_resume(struct grpc_client_call *call);
/* The server is told; nothing is called any more; the pointer is invalid. */
void grpc_client_call_cancel(struct grpc_client_call *call);

#endif
