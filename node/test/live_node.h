/* SPDX-License-Identifier: Apache-2.0 */
/* A real node for tests: host_run() in a thread of the test process, on a
 * directory of its own and free ports, and a client that talks to it.
 *
 *   live_node_open ──► live_node_start ──► live_node_stop ──► live_node_close
 *                            ▲                    │
 *                            └────────────────────┘
 *
 * The test's thread owns both structs; the node's thread only fills in what is
 * guarded by the mutex. */
#ifndef TIDEMARK_NODE_TEST_LIVE_NODE_H
#define TIDEMARK_NODE_TEST_LIVE_NODE_H

#include <protobuf-c/protobuf-c.h>
#include <pthread.h>

#include "node/config.h"
#include "rpc/grpc_blocking.h"

struct live_node {
    char dir[64]; /* holds "data" */
    struct config config;
    pthread_t thread;
    bool running; /* the thread is to be joined */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool listening, ended;
    uint16_t client_port, peer_port;
    int exit_code;
    enum err_code code; /* of host_run() */
    struct err err;
};

/* A new directory; standalone at level 2 unless 'config' is changed before the start. */
void live_node_open(struct live_node *n);
/* True: it listens. False: host_run() has failed, n->code and n->err say why. */
bool live_node_start(struct live_node *n);
/* SIGTERM to this process, and the end of the thread. */
void live_node_stop(struct live_node *n);
/* Stops it, if it runs, and removes the directory. */
void live_node_close(struct live_node *n);

/* One channel to a port of 127.0.0.1. */
struct live_client {
    struct grpc_blocking *blocking;
    struct grpc_channel *channel;
    struct buf reply; /* of the last call */
    struct grpc_outcome outcome;
    uint64_t timeout_ms; /* of a call */
};

void live_client_open(struct live_client *c, uint16_t port);
void live_client_close(struct live_client *c);
/* Waits (health.Watch) until the node takes writes. */
void live_client_wait_ready(struct live_client *c);

/* "Admin/NodeStatus" of tidemark.v1; see c->reply and c->outcome.message. */
enum grpc_status live_call_bytes(struct live_client *c, const char *method, struct bytes request);
enum grpc_status live_call(struct live_client *c, const char *method,
                           const ProtobufCMessage *request);
/* The last reply as a message, for protobuf_c_message_free_unpacked(); NULL: it can't be decoded. */
void *live_reply(struct live_client *c, const ProtobufCMessageDescriptor *type);
/* The messages of a stream, until 'message' returns false (then the outcome is CANCELLED). */
enum grpc_status live_stream(struct live_client *c, const char *method,
                             const ProtobufCMessage *request, const struct grpc_reader *reader);

#endif
