/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the fake cluster, shared by its three sources only:
 *
 *   fake_server.c  life, rules, contents
 *   fake_data.c    sessions, writes, scans
 *   fake_admin.c   catalog, settings, nodes */
#ifndef TIDEMARK_CLI_TEST_FAKE_PARTS_H
#define TIDEMARK_CLI_TEST_FAKE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/check.h"
#include "cli/test/fake_server.h"
#include "rpc/grpc_blocking.h"
#include "rpc/grpc_server.h"

enum {
    RULES_MAX = 16,
    TABLES_MAX = 8,
    ROWS_MAX = 20000,
    METHODS_MAX = 24,
    SEQUENCES_MAX = 4096,
    HELD_MAX = 64,
    TEXT_SIZE = 256,
    STEP_MS = 5,
};

struct row {
    char tags[TEXT_SIZE];
    int64_t time;
    char values[TEXT_SIZE];
};

struct server {
    struct fake *fake;
    struct grpc_server *server; /* NULL: killed */
    char address[32];
    unsigned index;
    bool restart, kill; /* to be done from the loop */
    Tidemark__V1__Role role;
    uint64_t holes;
    char hash[40];
    struct grpc_method methods[METHODS_MAX];
};

struct fake {
    struct grpc_blocking *blocking;
    struct server servers[FAKE_SERVERS_MAX];
    unsigned server_count, leader;
    bool follow;
    char endpoints[FAKE_SERVERS_MAX * 32];
    pthread_t thread;
    bool running;
    atomic_bool stop;
    struct fake_rule rules[RULES_MAX];
    size_t rule_count;
    char database[TEXT_SIZE]; /* one is enough */
    Tidemark__V1__TableDefinition *tables[TABLES_MAX];
    size_t table_count;
    struct row *rows;
    size_t row_count;
    uint64_t session; /* known; 0: none */
    uint64_t session_next;
    uint64_t floor;
    bool answered[SEQUENCES_MAX];
    unsigned applied, repeated;
    struct {
        char name[40];
        unsigned count;
    } calls[METHODS_MAX];
    struct grpc_call *held[HELD_MAX]; /* never answered; finished when the server closes */
    size_t held_count;
    char setting[TEXT_SIZE]; /* value of the one setting */
};

typedef void fake_handler(struct server *s, struct grpc_call *call, struct bytes message);

/* --- fake_server.c --- */

Tidemark__V1__TableDefinition *fake_find_table(const struct fake *f, const char *table);
void fake_store(struct fake *f, const struct row *row);
void fake_reply(struct grpc_call *call, const ProtobufCMessage *message);

/* --- fake_data.c --- */

fake_handler fake_open_session, fake_write, fake_scan;
/* NULL: it took effect, now or before; else why not. */
const char *fake_apply_write(struct fake *f, struct bytes message);

/* --- fake_admin.c --- */

fake_handler fake_create_database, fake_drop_database, fake_list_databases;
fake_handler fake_create_table, fake_drop_table, fake_list_tables;
fake_handler fake_list_settings, fake_get_setting, fake_set_setting, fake_reset_setting;
fake_handler fake_node_status, fake_cluster_status, fake_change, fake_transfer;
fake_handler fake_checkpoint, fake_state_hash;

#endif
