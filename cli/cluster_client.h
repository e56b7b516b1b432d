/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster as a client sees it: any of its nodes answers; when one can't, the
 * request goes to another, following the leader that answers name (endpoint_list.h),
 * until it is answered, refused for what it is (retry.h), or time is up.
 *
 * When every endpoint in turn can't even be connected to, a call gives up at
 * once: nobody is there.
 *
 * One thread. Blocks. */
#ifndef TIDEMARK_CLI_CLUSTER_CLIENT_H
#define TIDEMARK_CLI_CLUSTER_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/endpoint_list.h"
#include "rpc/grpc_blocking.h"
#include "rpc/grpc_client.h"

struct cluster;

struct cluster_options {
    const char *endpoints; /* "a:7070,b:7070" */
    uint64_t timeout_ms;   /* of one call, all its attempts together */
};

/* ERR_INVALID: an address is bad. Connects to nobody yet. */
MUST_CHECK enum err_code cluster_open(const struct cluster_options *options, struct cluster **out,
                                      struct err *e);
void cluster_close(struct cluster *c); /* NULL is fine */

enum cluster_manner {
    CLUSTER_QUICK, /* an attempt that takes seconds is tried elsewhere */
    CLUSTER_SLOW,  /* one attempt may take the whole time */
};

struct cluster_request {
    const char *path; /* "/tidemark.v1.Admin/ListTables" */
    struct bytes message;
    enum cluster_manner manner;
};

/* *answer is appended to. *ambiguous (may be NULL): an earlier attempt may have taken effect,
 * so that an answer like "exists already" can be the echo of this very call.
 * ERR_UNAVAILABLE, ERR_DEADLINE: nobody could answer. Else the server's refusal. */
MUST_CHECK enum err_code cluster_call(struct cluster *c, const struct cluster_request *request,
                                      struct buf *answer, bool *ambiguous, struct err *e);
/* The same with messages. *answer is the caller's: protobuf_c_message_free_unpacked(). */
MUST_CHECK enum err_code cluster_ask(struct cluster *c, const char *path,
                                     const ProtobufCMessage *request,
                                     const ProtobufCMessageDescriptor *answer_type,
                                     ProtobufCMessage **answer, struct err *e);
/* One attempt at one endpoint, nowhere else. */
MUST_CHECK enum err_code cluster_ask_one(struct cluster *c, size_t endpoint,
                                         const struct cluster_request *request,
                                         const ProtobufCMessageDescriptor *answer_type,
                                         ProtobufCMessage **answer, struct err *e);
/* The same with an empty request. */
MUST_CHECK enum err_code cluster_ask_at(struct cluster *c, size_t endpoint, const char *path,
                                        const ProtobufCMessageDescriptor *answer_type,
                                        ProtobufCMessage **answer, struct err *e);
/* A stream. 'message' returns false to end it: ERR_CANCELLED. Tried elsewhere only as
 * long as no message came. The timeout is the longest silence, not the whole. */
MUST_CHECK enum err_code cluster_stream(struct cluster *c, const struct cluster_request *request,
                                        bool (*message)(void *context, struct bytes message),
                                        void *context, struct err *e);

/* Packs into 'out', which is appended to. */
void cluster_pack(const ProtobufCMessage *message, struct buf *out);
/* ERR_CORRUPT: not such a message. */
MUST_CHECK enum err_code cluster_unpack(const ProtobufCMessageDescriptor *type, struct bytes packed,
                                        ProtobufCMessage **out, struct err *e);

/* --- for commands that keep many calls in flight --- */

struct endpoint_list *cluster_endpoints(struct cluster *c);
/* Opened when first asked for; the cluster's. NULL: no socket could be had, see 'e'. */
struct grpc_channel *cluster_channel(struct cluster *c, size_t endpoint, struct err *e);
struct grpc_blocking *cluster_loop(struct cluster *c);
uint64_t cluster_now_ms(struct cluster *c);
void cluster_wait(struct cluster *c, uint64_t ms); /* runs callbacks meanwhile */

#endif
