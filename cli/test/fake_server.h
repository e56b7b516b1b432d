/* SPDX-License-Identifier: Apache-2.0 */
/* A small cluster for tests of the client: up to four gRPC servers over one state in
 * memory (catalog, settings, sessions, rows), with failures on order.
 *
 *   fake_open ──► rules, contents ──► fake_start ──► (the client works) ──► fake_stop ──► look
 *
 * The servers run in a thread of their own between start and stop; nothing else
 * may be called meanwhile but fake_endpoints().
 *
 * Writes behave as the real state does: a repeated (session, sequence) gets its first
 * answer, one below sequence_open is refused, a later row of the same series and time
 * replaces the earlier. */
#ifndef TIDEMARK_CLI_TEST_FAKE_SERVER_H
#define TIDEMARK_CLI_TEST_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/tidemark/v1/admin.pb-c.h"
#include "rpc/grpc_status.h"

enum { FAKE_SERVERS_MAX = 4, FAKE_ANY = -1 };

enum fake_action {
    FAKE_FAIL,   /* answer with 'status' and 'message'; nothing happens */
    FAKE_SILENT, /* take effect, never answer */
    FAKE_IGNORE, /* never answer, nothing happens */
    FAKE_LOSE,   /* take effect, then lose every connection; the server is back at once */
    FAKE_KILL,   /* nothing happens, the server is gone; the next one leads */
    FAKE_FORGET, /* forget all sessions, then go on as usual */
};

/* What happens to some calls of one method. */
struct fake_rule {
    const char *method; /* "Write" */
    int server;         /* or FAKE_ANY */
    unsigned from;      /* the n-th such call, from 1 */
    unsigned count;     /* and so many in all */
    enum fake_action action;
    enum grpc_status status; /* FAIL */
    const char *message;     /* FAIL */
    bool name_leader;        /* FAIL: with the trailer */
    bool session_unknown;    /* FAIL: with that trailer */
    unsigned seen;           /* the fake's own */
};

struct fake;

/* Server 0 leads. 'follow': the others refuse writes, naming the leader. */
struct fake *fake_open(unsigned servers, bool follow);
void fake_close(struct fake *f);
const char *fake_endpoints(const struct fake *f); /* of all servers */
const char *fake_address(const struct fake *f, unsigned server);

void fake_rule(struct fake *f, struct fake_rule rule);
/* From "NAME:TYPE,..." as the command line has them. */
void fake_table(struct fake *f, const char *database, const char *table, const char *columns,
                const char *tags);
void fake_row(struct fake *f, const char *tag_values, int64_t time, const char *values);
/* Nodes are n1, n2 ... : */
void fake_node_role(struct fake *f, unsigned server, Tidemark__V1__Role role);
void fake_node_holes(struct fake *f, unsigned server, uint64_t holes);
void fake_node_hash(struct fake *f, unsigned server, const char *hash);

void fake_start(struct fake *f);
void fake_stop(struct fake *f); /* once, after start */

/* --- looking --- */

unsigned fake_calls(const struct fake *f, const char *method);
size_t fake_row_count(const struct fake *f);
/* The values of a row, "1.5,null,x"; NULL: not stored. Borrowed until the next call. */
const char *fake_find_row(struct fake *f, const char *tag_values, int64_t time);
unsigned fake_applied(const struct fake *f);  /* writes that took effect */
unsigned fake_repeated(const struct fake *f); /* writes that got their first answer again */
const Tidemark__V1__TableDefinition *fake_definition(const struct fake *f, const char *table);

#endif
