/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the gRPC client, shared by its three sources only:
 *
 *   grpc_client.c       the channel: connecting, back-off, time
 *   grpc_client_conn.c  one connection: the HTTP/2 session and its callbacks
 *   grpc_client_call.c  one call: request out, answer in, outcome */
#ifndef TIDEMARK_RPC_GRPC_CLIENT_PARTS_H
#define TIDEMARK_RPC_GRPC_CLIENT_PARTS_H

#include <sys/queue.h>

#include "rpc/due_heap.h"
#include "rpc/grpc_client.h"
#include "rpc/grpc_inbox.h"
#include "rpc/grpc_text.h"
#include "rpc/h2.h"
#include "rpc/net_conn.h"

enum {
    CLIENT_TRAILERS_SIZE_MAX = LIMIT_HEADERS_SIZE_MAX, /* kept of one call's headers and trailers */
    CLIENT_METADATA_MAX = 16,
};

struct client_conn;

/*   WAITING ─► OPEN ─► ENDED      ENDED: the outcome is known, messages may be held
 *      └──────────────────┘       before done() */
enum client_call_state { CLIENT_CALL_WAITING, CLIENT_CALL_OPEN, CLIENT_CALL_ENDED };

struct grpc_client_call {
    enum client_call_state state;
    struct grpc_channel *channel;
    struct client_conn *conn; /* while OPEN */
    int32_t stream_id;
    const struct grpc_client_events *events; /* borrowed */
    void *context;
    bool streams;
    bool paused;
    bool unprocessed;
    bool in_callback; /* of message(): a cancel only marks it */
    bool cancelled;
    uint64_t deadline_ms; /* 0: none */
    struct due_item due;  /* in channel->due: the deadline, or now, to be completed */

    char *path;
    struct buf metadata; /* pairs */
    struct buf request;  /* prefix and message, until sent */
    size_t request_sent;

    struct grpc_inbox inbox;
    size_t unconsumed;
    unsigned http_status;
    bool is_grpc;    /* by its content type */
    bool has_status; /* grpc-status came */
    enum grpc_status status;
    char message[ERR_TEXT_SIZE];
    struct buf trailers; /* pairs */

    LIST_ENTRY(grpc_client_call) channel_entry;
    LIST_ENTRY(grpc_client_call) conn_entry;  /* while conn != NULL */
    TAILQ_ENTRY(grpc_client_call) wait_entry; /* while WAITING */
};
LIST_HEAD(client_call_list, grpc_client_call);
TAILQ_HEAD(client_wait_list, grpc_client_call);

struct client_conn {
    struct net_conn net; /* first */
    struct grpc_channel *channel;
    nghttp2_session *session; /* NULL before it is connected */
    struct client_call_list calls;
    uint64_t heard_ms;
    uint64_t pinged_ms; /* 0: no ping of ours is out */
    bool greeted;       /* the server's SETTINGS came */
    LIST_ENTRY(client_conn) entry;
};
LIST_HEAD(client_conn_list, client_conn);

/* As drawn in grpc_client.h. */
enum channel_state { CHANNEL_IDLE, CHANNEL_CONNECTING, CHANNEL_READY, CHANNEL_WAITING };

struct grpc_channel {
    enum channel_state state;
    struct grpc_channel_options options; /* defaults filled in */
    char address_text[LIMIT_ADDRESS_SIZE_MAX + 1];
    struct net_address address;
    struct net_loop loop;
    struct net_timer due_timer;
    uint64_t due_armed_ms; /* UINT64_MAX: not armed */
    struct net_timer backoff_timer;
    struct net_timer sweep_timer;
    struct due_heap due;
    struct client_conn *conn;      /* that takes new calls; NULL: none */
    struct client_conn_list conns; /* all, also those going away */
    struct client_call_list calls;
    size_t call_count;
    struct client_wait_list waiting;
    unsigned failures;                /* in a row */
    unsigned keepalive_ms;            /* grows when the server asks for calm */
    char last_failure[ERR_TEXT_SIZE]; /* why it is WAITING */
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *h2_options;
};

/* --- grpc_client.c --- */

void channel_set_due(struct grpc_channel *c, struct grpc_client_call *call, uint64_t due_ms);
/* What became of the connection that takes new calls. */
void channel_connected(struct grpc_channel *c);
void channel_lost(struct grpc_channel *c, struct client_conn *conn, const char *reason);
/* The server sends us away: new calls get a new connection. */
void channel_goaway(struct grpc_channel *c, struct client_conn *conn, uint32_t error_code);

/* --- grpc_client_conn.c --- */

void client_conn_callbacks(nghttp2_session_callbacks *callbacks);
struct client_conn *client_conn_dial(struct grpc_channel *c);
void client_conn_submit(struct client_conn *c, struct grpc_client_call *call);
/* The call is given up: the server is told. */
void client_conn_reset(struct client_conn *c, struct grpc_client_call *call);
/* Its calls must be gone. */
void client_conn_close(struct client_conn *c);
void client_conn_sweep(struct client_conn *c, uint64_t now_ms);

/* --- grpc_client_call.c --- */

/* The outcome, unless it is known; done() follows from the due timer. */
void client_call_end(struct grpc_client_call *call, enum grpc_status status, const char *format,
                     ...) ERR_FORMAT(3, 4);
void client_call_header(struct grpc_client_call *call, struct bytes name, struct bytes value);
void client_call_input(struct grpc_client_call *call, struct bytes b);
/* The stream is closed. May free the call. */
void client_call_closed(struct grpc_client_call *call, uint32_t error_code);
/* Its time has come. May free the call. */
void client_call_due(struct grpc_client_call *call);
/* Without done(). */
void client_call_free(struct grpc_client_call *call);

#endif
