/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server over HTTP/2 without TLS (prior knowledge), on one uv loop.
 *
 * It knows bytes, not messages: the owner gives a table of methods, gets each
 * request as bytes and answers with bytes, at once or later.
 *
 * A call, as its handler sees it:
 *
 *   message() ──► OPEN ── grpc_call_finish ──────────────► (gone)
 *                  └─ the client left, its deadline passed,
 *                     or the server closed
 *                        └► CANCELLED ── grpc_call_finish ► (gone)
 *
 * Every call that message() was given must be finished exactly once, by the
 * handler; until then the pointer is valid, whatever happens to the client, the
 * connection or the server. After CANCELLED nothing is sent any more: sends and
 * the status are dropped. At the deadline the client is told DEADLINE_EXCEEDED.
 *
 * What the server answers itself: UNIMPLEMENTED (unknown path, compressed
 * message), RESOURCE_EXHAUSTED (message or headers too large, out of room),
 * INTERNAL (broken framing, not exactly one request), 404/415 for what is not
 * gRPC. Bytes that are not HTTP/2 close their connection and nothing else.
 *
 * Everything runs on the loop's thread. Output is gathered and written once per
 * connection and turn of the loop. Callbacks may call all functions here but
 * grpc_server_close(). */
#ifndef TIDEMARK_RPC_GRPC_SERVER_H
#define TIDEMARK_RPC_GRPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "rpc/grpc_status.h"

struct grpc_call;
struct grpc_server;
struct log;
struct uv_loop_s;

#define GRPC_NO_DEADLINE UINT64_MAX

enum grpc_kind { GRPC_UNARY, GRPC_SERVER_STREAM, GRPC_BIDI };

struct grpc_method {
    const char *path; /* "/tidemark.v1.Data/Write" */
    enum grpc_kind kind;
    /* UNARY, SERVER_STREAM: once, when the request is whole; 'message' stays valid
     * until the call is finished, or kept. BIDI: at each message, and not again
     * while the call is not writable; 'message' is borrowed for the callback. */
    void (*message)(struct grpc_call *call, struct bytes message, void *context);
    /* BIDI: the client sends no more; it still reads. A bidi call that never
     * had a message begins here. NULL for the others. */
    void (*half_close)(struct grpc_call *call, void *context);
    void *context;
};

/* Where a field says "0: n", 0 stands for n. */
struct grpc_server_options {
    struct uv_loop_s *loop;
    const struct log *log;         /* NULL: silent */
    const char *address;           /* "host:port"; port 0: any free one */
    size_t message_size_max;       /* of a request. 0: LIMIT_MESSAGE_SIZE_MAX */
    size_t header_size_max;        /* of one request's headers. 0: LIMIT_HEADERS_SIZE_MAX */
    size_t connections_max;        /* 0: LIMIT_CONNECTIONS; one more is closed at once */
    unsigned streams_max;          /* open calls of one connection. 0: LIMIT_STREAMS */
    size_t calls_max;              /* not finished by their handlers. 0: LIMIT_CALLS */
    size_t input_size_max;         /* requests held, all together. 0: LIMIT_REQUESTS_SIZE */
    size_t output_size_max;        /* answers not yet taken by the network. 0: LIMIT_ANSWERS_SIZE */
    unsigned handshake_ms;         /* until a connection has shown that it is HTTP/2. 0: 10,000 */
    unsigned keepalive_ms;         /* quiet time before we send a ping. 0: 30,000 */
    unsigned keepalive_timeout_ms; /* quiet time after that. 0: 20,000 */
    unsigned abuse_burst;          /* resets, and pings, at once. 0: 1,000; then 100 a second */
};

struct grpc_server_stats {
    size_t connections;         /* open now */
    size_t calls_open;          /* not finished by their handlers */
    uint64_t calls_started;     /* given to a handler */
    uint64_t calls_refused;     /* answered here */
    uint64_t calls_cancelled;   /* client gone or deadline passed */
    uint64_t connections_taken; /* since the start */
    uint64_t connections_bad;   /* closed for what they sent */
    size_t input_size;          /* bytes of requests held */
    size_t output_size;         /* bytes of answers held */
};

/* Binds and listens. ERR_INVALID: the address; ERR_EXISTS: it is in use;
 * ERR_IO. The caller owns *out, to be given to grpc_server_close(). */
MUST_CHECK enum err_code grpc_server_open(const struct grpc_server_options *options,
                                          struct grpc_server **out, struct err *e);
uint16_t grpc_server_port(const struct grpc_server *s);

/* Borrows 'methods' until the server is closed. A path twice is a bug. */
void grpc_server_add(struct grpc_server *s, const struct grpc_method *methods, size_t count);

void grpc_server_stats(const struct grpc_server *s, struct grpc_server_stats *out);

/* Graceful end: no new connections, every client is told to go elsewhere (GOAWAY
 * twice), open calls may end until 'grace_ms' has passed, then they are cancelled.
 * 'done' is called once, from the loop, and may close the server. */
void grpc_server_drain(struct grpc_server *s, unsigned grace_ms, void (*done)(void *context),
                       void *context);

/* Cancels every call, closes everything; memory goes as the loop runs on. The
 * calls stay valid until their handlers finish them. NULL is fine. */
void grpc_server_close(struct grpc_server *s);

/* --- one call --- */

struct grpc_call_events {
    void (*cancelled)(struct grpc_call *call, void *user); /* once; finish it still. Or NULL */
    void (*drained)(struct grpc_call *call, void *user);   /* writable again. Or NULL */
};

/* Borrows 'events' until the call is finished. If the call is cancelled already,
 * cancelled() is not called any more: see grpc_call_is_cancelled(). */
void grpc_call_watch(struct grpc_call *call, const struct grpc_call_events *events, void *user);
void *grpc_call_user(const struct grpc_call *call);

bool grpc_call_is_cancelled(const struct grpc_call *call);
/* On the loop's clock (uv_now: CLOCK_MONOTONIC, as io_monotonic_us() / 1,000). */
uint64_t grpc_call_deadline_ms(const struct grpc_call *call); /* or GRPC_NO_DEADLINE */
const char *grpc_call_peer(const struct grpc_call *call);     /* "127.0.0.1:51000" */
const char *grpc_call_path(const struct grpc_call *call);
/* Value of the first metadata entry of that lower-case name, NULL if none. Valid
 * until the call is finished. */
const char *grpc_call_metadata(const struct grpc_call *call, const char *name);

/* UNARY, SERVER_STREAM: moves the request out of the call, without a copy. The
 * bytes returned lie in *owner, which the caller owns: buf_deinit() it. Once. */
struct bytes grpc_call_keep(struct grpc_call *call, struct buf *owner);

/* Queues one message. UNARY: one at most. Over output_size_max the call ends
 * with RESOURCE_EXHAUSTED and counts as cancelled. */
void grpc_call_send(struct grpc_call *call, struct bytes message);
/* The same without a copy: takes what 'message' holds and leaves it empty. */
void grpc_call_send_take(struct grpc_call *call, struct buf *message);
/* The same for packers: queues 'size' bytes and returns where they go, to be
 * filled before control returns to the loop. */
uint8_t *grpc_call_send_space(struct grpc_call *call, size_t size);
/* Whether a streaming handler should go on sending; if not, drained() follows, or
 * cancelled() does or did. */
bool grpc_call_writable(struct grpc_call *call);

/* A trailer, before the finish. Lower-case name, printable ASCII value; copied. */
void grpc_call_trailer(struct grpc_call *call, const char *name, const char *value);

/* Ends the call; the pointer is invalid after it. 'message' is for people, UTF-8,
 * or NULL. UNARY with GRPC_OK: a message must have been queued. */
void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *message);
/* Send and finish with GRPC_OK. */
void grpc_call_reply(struct grpc_call *call, struct bytes message);
/* Finish with an error's code and story. */
void grpc_call_fail(struct grpc_call *call, const struct err *e);

#endif
