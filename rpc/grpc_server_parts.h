/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the gRPC server, shared by its three sources only:
 *
 *   grpc_server.c       the server: options, listening, time, the graceful end
 *   grpc_server_conn.c  one connection: the HTTP/2 session and its callbacks
 *   grpc_call.c         one call: request, answer, status
 *
 * A call is freed when its stream is gone (conn == NULL) and its handler, if it
 * was given to one, has finished it (!owed). */
#ifndef TIDEMARK_RPC_GRPC_SERVER_PARTS_H
#define TIDEMARK_RPC_GRPC_SERVER_PARTS_H

#include <sys/queue.h>

#include "rpc/due_heap.h"
#include "rpc/grpc_inbox.h"
#include "rpc/grpc_server.h"
#include "rpc/h2.h"
#include "rpc/net_conn.h"
#include "rpc/net_listener.h"

enum {
    CALL_OUT_HIGH_SIZE = 256 * 1024, /* queued answers of one call: not writable above */
    CALL_OUT_LOW_SIZE = 64 * 1024,   /* drained() below */
    CALL_TRAILERS_MAX = 8,
    CALL_MESSAGE_SIZE_MAX = 1024, /* of grpc-message, as encoded */
};

struct server_conn;

/* An answer's message in the queue of its call. */
struct out_message {
    STAILQ_ENTRY(out_message) entry;
    struct buf body;
    uint8_t prefix[GRPC_PREFIX_SIZE];
};
STAILQ_HEAD(out_queue, out_message);

/*   HEADERS ─► REQUEST ─► OPEN ─► ENDED       a handler has it from OPEN on
 *      └──────────┴───── refused ──┘           */
enum call_state { CALL_HEADERS, CALL_REQUEST, CALL_OPEN, CALL_ENDED };

struct grpc_call {
    enum call_state state;
    struct grpc_server *server; /* NULL: closed */
    struct server_conn *conn;   /* NULL: the stream is gone */
    int32_t stream_id;
    bool owed;          /* the handler has yet to finish it */
    bool told;          /* cancelled() was called */
    bool request_ended; /* END_STREAM came */
    bool responded;     /* the answer's headers are given to nghttp2 */
    bool sent;          /* a message was queued */
    bool stalled;       /* the handler was told that it is not writable */
    bool drain_queued;  /* in conn->drained */
    bool is_post, is_grpc, path_known;
    const struct grpc_method *method;
    const struct grpc_call_events *events; /* borrowed; NULL: none */
    void *user;
    uint64_t deadline_ms;
    struct due_item due; /* in server->due */

    struct grpc_inbox inbox; /* the request */
    size_t unconsumed;       /* bytes of it whose window we keep */
    size_t input_counted;    /* bytes of it in server->stats.input_size */
    size_t header_size;
    struct buf metadata; /* pairs */
    char peer[NET_ADDRESS_TEXT_SIZE];

    struct out_queue out;
    size_t out_size;    /* prefixes and bodies in 'out' */
    size_t out_offset;  /* of the first message, already taken */
    struct buf scratch; /* for grpc_call_send_space() when nothing is sent any more */

    enum grpc_status status;   /* when ENDED */
    struct buf status_message; /* encoded */
    struct buf trailers;       /* pairs */
    size_t trailer_count;

    LIST_ENTRY(grpc_call) server_entry; /* while server != NULL */
    LIST_ENTRY(grpc_call) conn_entry;   /* while conn != NULL */
    TAILQ_ENTRY(grpc_call) drained_entry;
};
LIST_HEAD(call_list, grpc_call);
TAILQ_HEAD(drained_list, grpc_call);

struct server_conn {
    struct net_conn net; /* first */
    struct grpc_server *server;
    nghttp2_session *session;
    struct call_list calls;
    struct drained_list drained;
    uint64_t taken_ms;
    uint64_t heard_ms;
    uint64_t pinged_ms; /* 0: no ping of ours is out */
    bool greeted;       /* the client's first SETTINGS came */
    bool said_goaway;   /* the final one */
    bool abusive;
    struct h2_allowance resets;
    struct h2_allowance pings;
    LIST_ENTRY(server_conn) entry;
};
LIST_HEAD(server_conn_list, server_conn);

struct method_slot {
    const struct grpc_method *method;
    size_t path_size;
};

enum server_state { SERVER_OPEN, SERVER_DRAINING, SERVER_DRAINED, SERVER_CLOSED };

struct grpc_server {
    enum server_state state;
    struct grpc_server_options options; /* defaults filled in; no pointers into the caller */
    struct net_loop loop;
    struct net_listener listener;
    struct net_timer due_timer;   /* at the earliest of 'due' */
    uint64_t due_armed_ms;        /* when it fires; GRPC_NO_DEADLINE: not armed */
    struct net_timer sweep_timer; /* keepalive, hand-shakes, the graceful end */
    struct due_heap due;          /* deadlines, and cancellations to be told */
    struct method_slot *methods;
    size_t method_count, method_capacity;
    struct server_conn_list conns;
    struct call_list calls;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *h2_options;
    struct grpc_server_stats stats;
    uint64_t drain_start_ms;
    uint64_t drain_end_ms;
    void (*drained)(void *context);
    void *drained_context;
};

/* --- grpc_server.c --- */

const struct grpc_method *server_method(const struct grpc_server *s, struct bytes path);
void server_set_due(struct grpc_server *s, struct grpc_call *call, uint64_t due_ms);

/* --- grpc_server_conn.c --- */

void server_conn_callbacks(nghttp2_session_callbacks *callbacks);
void server_conn_take(struct grpc_server *s, struct net_listener *l);
/* Detaches its calls, then closes. Not from inside its session. */
void server_conn_end(struct server_conn *c);
void server_conn_sweep(struct server_conn *c, uint64_t now_ms);
/* The first half of a graceful end, and the second. */
void server_conn_notice(struct server_conn *c);
void server_conn_goaway(struct server_conn *c);

/* --- grpc_call.c --- */

struct grpc_call *call_open(struct server_conn *c, int32_t stream_id);
void call_header(struct grpc_call *call, struct bytes name, struct bytes value);
void call_headers_done(struct grpc_call *call);
void call_input(struct grpc_call *call, struct bytes b);
void call_request_ended(struct grpc_call *call);
/* Ends it from our side; tells the handler, if it has one. */
void call_cancel(struct grpc_call *call, enum grpc_status status, const char *message);
/* Its time has come: the deadline, or a cancellation not yet told. */
void call_due(struct grpc_call *call);
/* The stream is gone; may free the call. */
void call_detach(struct grpc_call *call);
/* The server is closed; may free the call. */
void call_orphan(struct grpc_call *call);
/* Tells the handler, goes on with held input. */
void call_drained(struct grpc_call *call);

#endif
