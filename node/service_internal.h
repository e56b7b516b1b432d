/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the services share. Only node/service*.c may include this.
 *
 *   service.c         life, health, errors
 *   service_data.c    OpenSession, Write
 *   service_scan.c    Scan, and the state hash
 *   service_admin.c   settings, catalog, members, checkpoints
 *   service_status.c  NodeStatus, ClusterStatus */
#ifndef TIDEMARK_NODE_SERVICE_INTERNAL_H
#define TIDEMARK_NODE_SERVICE_INTERNAL_H

#include "base/check.h"
#include "base/mem.h"
#include "node/service.h"
#include "node/storage.h"
#include "proto/wire.h"
#include "rpc/grpc_health.h"
#include "rpc/grpc_reflection.h"
#include "rpc/grpc_server.h"
#include "tsdb/tsdb.h"

struct watcher;

/* Log figures as they were when somebody last asked. */
struct log_figures {
    bool has;
    uint64_t index_first, index_last, index_durable;
    uint64_t lsn_end, lsn_durable;
    size_t holes;
    struct wal_stats stats;
    struct wal_position position; /* towards the last checkpoint */
    uint64_t segment_size;
};

struct service {
    const struct log *log;
    struct io *io;
    struct member *member; /* NULL until service_start() */
    struct grpc_server *server;
    struct grpc_health *health;
    struct grpc_reflection *reflection;
    struct grpc_method *methods;
    struct watcher *watchers;
    uint64_t started_us;
};

/* One open call of a client; embedded first in what a handler needs besides. */
struct call {
    struct member_request request;
    struct job job;
    struct service *service;
    struct grpc_call *grpc; /* NULL once finished */
    bool asked;             /* the member has the request */
    bool job_out;
    void (*release)(struct call *c); /* frees it; when nothing is out any more */
};

/* Common begin: 'c' is zeroed. The call is watched: when the client leaves, the
 * request is cancelled, and the call ends once no job is out. */
void call_begin(struct call *c, struct service *s, struct grpc_call *grpc,
                void (*release)(struct call *c));
/* Each ends the call and releases it. */
void call_reply(struct call *c, struct bytes message);
void call_fail(struct call *c, enum err_code code, const char *text, const char *leader);
void call_end_stream(struct call *c);
/* The client has left: true, and the call is over (released). */
bool call_is_over(struct call *c);
void call_submit(struct call *c, enum lane lane, void (*work)(struct job *),
                 void (*done)(struct job *));
/* First statement of a job's done(): false when the call is over. */
bool call_job_ended(struct call *c);
/* First statement of a request's done(). */
void call_answered(struct call *c);
struct call *call_of_job(struct job *job);
bool service_is_ready(struct service *s, struct grpc_call *grpc);

size_t service_data_add(struct service *s, struct grpc_method *methods);
size_t service_scan_add(struct service *s, struct grpc_method *methods);
size_t service_admin_add(struct service *s, struct grpc_method *methods);
size_t service_status_add(struct service *s, struct grpc_method *methods);

enum { SERVICE_METHODS_MAX = 40 };

#endif
