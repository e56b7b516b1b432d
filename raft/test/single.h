/* SPDX-License-Identifier: Apache-2.0 */
/* One replica and the messages of its peers made by hand: what a test of a
 * guard or of a refusal stands on. The replica is node 1. */
#ifndef TIDEMARK_RAFT_TEST_SINGLE_H
#define TIDEMARK_RAFT_TEST_SINGLE_H

#include "raft/raft_guard.h"
#include "raft/replica.h"

struct single_options {
    const char *servers; /* of entry 1: a letter per node, 'v'oter, 's'tandby, 'p' spare; "vvv" */
    uint64_t term;       /* 0: 1 */
    uint64_t voted_for;
    const uint64_t *terms; /* of the entries from 2, or snapshot + 1, on; NULL: all 1 */
    size_t count;
    uint64_t snapshot; /* index, of term 1; 0: none */
    bool empty;        /* no entry at all, term 0 */
    size_t cache_size_max;
    unsigned guards_off;
};

struct single {
    struct replica *replica;
    struct actions actions; /* all of them */
    size_t forgotten;       /* of them, not looked at any more */
    size_t handled;         /* of them, given to the disk */
    bool disk_held;         /* nothing becomes durable by itself */
    uint64_t now_ms;
    enum err_code code; /* of the last step */
    struct err err;
};

/* A packet that a REQUIRE can look into; 'found' false if there was none. */
struct single_sent {
    bool found;
    struct raft_packet packet; /* without entries */
    size_t entry_count;
    uint64_t entry_first;
};

void single_open(struct single *s, const struct single_options *o);
void single_close(struct single *s);
void single_forget(struct single *s); /* the actions so far */

enum err_code single_step(struct single *s, struct event *event);
enum err_code single_tick(struct single *s, uint64_t ms); /* that much later */
void single_wait(struct single *s);                       /* until its next deadline, then a tick */
/* Makes durable what waits for the disk. */
void single_sync(struct single *s);

enum err_code single_packet(struct single *s, uint64_t from, const struct raft_packet *p);
/* Entries of these terms (NULL: all 1) and types (NULL: commands), from prev + 1 on. */
struct single_append {
    uint64_t term, prev, prev_term, commit;
    const uint64_t *terms;
    const enum entry_type *types;
    const char *servers; /* of the changes among them */
    size_t count;
};
enum err_code single_append(struct single *s, uint64_t from, const struct single_append *a);
enum err_code single_heartbeat(struct single *s, uint64_t from, uint64_t term, uint64_t prev,
                               uint64_t prev_term, uint64_t commit);
enum err_code single_result(struct single *s, uint64_t from, uint64_t term, uint64_t rejected,
                            uint64_t last);
enum err_code single_vote(struct single *s, uint64_t from, uint64_t term, bool granted, bool pre);
enum err_code single_request_vote(struct single *s, uint64_t from,
                                  const struct raft_request_vote *v);
enum err_code single_install(struct single *s, uint64_t from, uint64_t term, uint64_t index,
                             uint64_t index_term, const char *servers);
enum err_code single_round(struct single *s, uint64_t from, enum raft_message_kind kind,
                           uint64_t term, uint64_t round);
enum err_code single_submit(struct single *s, size_t count, size_t size);
enum err_code single_applied(struct single *s, uint64_t index);
enum err_code single_change(struct single *s, const char *servers);

/* Waits for its election, and wins it with the votes of node 2 (and 3). */
void single_lead(struct single *s);
/* Node 'from' holds all that the leader does. */
void single_acknowledge(struct single *s, uint64_t from);

struct replica_status single_status(const struct single *s);
/* Actions of a type since single_forget(). */
size_t single_count(const struct single *s, enum action_type type);
const struct action *single_action(const struct single *s, enum action_type type, size_t nth);
/* Messages to a node. 'type' 0: any; a ping or pong is RAFT_MESSAGE_PING + 100, RAFT_MESSAGE_PONG + 100. */
size_t single_sent_count(const struct single *s, uint64_t to, int type);
struct single_sent single_sent(const struct single *s, uint64_t to, int type, size_t nth);

enum { SINGLE_PING = 100 + RAFT_MESSAGE_PING, SINGLE_PONG = 100 + RAFT_MESSAGE_PONG };

void single_configuration(const char *servers, uint64_t index, struct configuration *out);

#endif
