/* SPDX-License-Identifier: Apache-2.0 */
/* One node as an operator's and a program's client sees it: calls that wait, and
 * their answers decoded. Requests are made with proto/wire.h. */
#ifndef TIDEMARK_CLUSTER_TESTS_NODE_CLIENT_H
#define TIDEMARK_CLUSTER_TESTS_NODE_CLIENT_H

#include "base/bytes.h"
#include "base/limits.h"
#include "rpc/grpc_blocking.h"

/* tidemark.v1.Role */
enum node_role {
    NODE_FOLLOWER = 1,
    NODE_CANDIDATE = 2,
    NODE_LEADER = 3,
    NODE_STANDALONE = 4,
    NODE_FORMING = 5,
    NODE_REPAIRING = 6,
    NODE_SPARE = 7,
    NODE_UNREACHABLE = 8,
};

struct node_log_status {
    uint64_t holes, holes_found, holes_filled, holes_dropped, records_torn;
    char waiting[400];
    char retained_by[200];
};

/* Damage found while it runs. */
struct node_damage {
    uint64_t parts_found, parts_refilled, parts_waiting, parts_dropped;
    uint64_t scrubbed, rounds_parts, rounds_logs;
};

struct node_status {
    uint64_t id;
    char name[LIMIT_NAME_SIZE_MAX + 1];
    char kind[16]; /* "voter", "spare", "standby", "" */
    uint64_t cluster_id;
    unsigned role;
    uint64_t term, leader_id;
    uint64_t commit_index, applied_index, last_index, checkpoint_index;
    struct node_log_status raft, local;
    struct node_damage damage;
    uint32_t wal_level;
    char message[720];
    bool healthy;
    uint64_t start_counter, rows_written;
};

struct node_cluster_status {
    size_t count;
    struct node_status nodes[LIMIT_NODES_MAX];
    bool healthy;
};

struct node_client {
    struct grpc_blocking *blocking; /* borrowed */
    struct grpc_channel *channel;   /* borrowed */
    unsigned timeout_ms;            /* of each call */
    unsigned patience_ms;           /* a call that failed "not now", or whose outcome is unknown,
                                     * is made again for so long. 0: once */
    struct grpc_outcome outcome;    /* of the last call */
};

/* "/tidemark.v1.Admin/" + method; *reply is appended to, may be NULL. */
MUST_CHECK enum err_code node_admin(struct node_client *c, const char *method, struct bytes request,
                                    struct buf *reply, struct err *e);
MUST_CHECK enum err_code node_data(struct node_client *c, const char *method, struct bytes request,
                                   struct buf *reply, struct err *e);

MUST_CHECK enum err_code node_status_get(struct node_client *c, struct node_status *out,
                                         struct err *e);
MUST_CHECK enum err_code node_cluster_status_get(struct node_client *c,
                                                 struct node_cluster_status *out, struct err *e);
/* Of what is applied now, at least 'index'. */
MUST_CHECK enum err_code node_state_hash(struct node_client *c, uint64_t index, uint64_t *at,
                                         char hash[64], struct err *e);
MUST_CHECK enum err_code node_setting_set(struct node_client *c, const char *name,
                                          const char *value, struct err *e);
MUST_CHECK enum err_code node_setting_get(struct node_client *c, const char *name, char value[64],
                                          struct err *e);
/* PromoteNode, RemoveNode, ReplaceNode, TransferLeadership. */
MUST_CHECK enum err_code node_change(struct node_client *c, const char *method, const char *name,
                                     struct err *e);
MUST_CHECK enum err_code node_add(struct node_client *c, const char *name, uint64_t id,
                                  const char *peer_address, struct err *e);
MUST_CHECK enum err_code node_checkpoint(struct node_client *c, uint64_t *index, struct err *e);

/* --- the table of the tests: one row of a write is (series, key) with a value --- */

/* Makes database "ct" with table "rows", if they are not there. */
MUST_CHECK enum err_code node_make_table(struct node_client *c, struct err *e);

struct node_write {
    uint64_t session, sequence, sequence_open;
    unsigned series;
    uint64_t first, count; /* keys */
    uint64_t value;
};

/* The WriteRequest. */
void node_write_encode(const struct node_write *w, struct buf *out);
/* One write and its answer. */
MUST_CHECK enum err_code node_write(struct node_client *c, const struct node_write *w,
                                    struct err *e);

struct node_scan {
    bool stale;
    int series;         /* -1: all */
    uint64_t index_min; /* 0: none */
    /* Called for each row. */
    void (*row)(void *context, unsigned series, uint64_t key, uint64_t value);
    void *context;
};

void node_scan_encode(const struct node_scan *s, struct buf *out);
/* One message of an answer. False: it is malformed, or columns contradict each other. */
bool node_scan_message(const struct node_scan *s, struct bytes message);
MUST_CHECK enum err_code node_scan(struct node_client *c, const struct node_scan *s, struct err *e);

#endif
