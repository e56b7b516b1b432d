/* SPDX-License-Identifier: Apache-2.0 */
/* Consensus as a function: events in, actions out. libraft 0.22.1's
 * raft_step() behind its guards (raft_guard.h), with our log cache, leadership
 * rounds for reads, the barrier of a new leader, transfer and membership steps.
 *
 *   replica_start ──► RUNNING ── replica_step(event) ──► actions ...
 *                        └── libraft reports broken safety ──► ACTION_STOP
 *
 * No file, socket, clock or thread: time comes with every event, entries and
 * hard state leave as actions and come back as events. The same events give
 * the same actions.
 *
 * Promises of a node (safety.md B1) are kept here: after ACTION_HARD_STATE
 * every message waits inside until EVENT_HARD_STATE_DURABLE. The caller runs
 * actions in the order given; ACTION_HARD_STATE, ACTION_APPEND and ACTION_INSTALL
 * go to one FIFO, the log lane.
 *
 * A log with holes never gets here: repair.h comes first. */
#ifndef TIDEMARK_RAFT_REPLICA_H
#define TIDEMARK_RAFT_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "raft/configuration.h"
#include "raft/entry.h"

struct replica;

enum replica_role { REPLICA_FOLLOWER, REPLICA_CANDIDATE, REPLICA_LEADER };

struct replica_options {
    uint64_t id;
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    uint64_t seed;         /* of election timeouts */
    unsigned heartbeat_ms; /* 100 */
    unsigned election_ms;  /* 500 */
    size_t cache_size_max; /* bytes of applied entries kept for followers */
    size_t append_size;    /* of one append, unless one entry is larger; 0: 1 MiB */
};

/* What the disk holds, whole and verified. */
struct replica_state {
    uint64_t term;
    uint64_t voted_for;      /* 0: nobody */
    uint64_t snapshot_index; /* 0: none */
    uint64_t snapshot_term;
    struct configuration snapshot_configuration; /* count 0: none */
    uint64_t log_first; /* index of entries[0]; snapshot_index + 1 or lower */
    size_t count;
    struct entry **entries; /* borrowed; the replica takes its own references */
};

enum event_type {
    EVENT_TICK,               /* time passed; see replica_deadline() */
    EVENT_MESSAGE,            /* from a peer */
    EVENT_SUBMIT,             /* leader: entries to append */
    EVENT_HARD_STATE_DURABLE, /* the oldest ACTION_HARD_STATE that was out */
    EVENT_APPEND_DURABLE,     /* the ACTION_APPEND 'token' and all before it are synced */
    EVENT_LOG_READ,           /* answer to ACTION_READ_LOG; fewer entries than asked are fine,
                                 none means that they can't be read now */
    EVENT_APPLIED,            /* everything up to index */
    EVENT_CHECKPOINT,         /* a durable checkpoint of our own; the log keeps entries > cut */
    EVENT_INSTALLED,          /* answer to ACTION_INSTALL */
    EVENT_READ,               /* a linearizable read wants its index */
    EVENT_TRANSFER,           /* hand leadership over; given up after two election timeouts */
    EVENT_CHANGE,         /* leader: propose 'configuration' (one server, one step) once majorities
                                 answer: ACTION_CONFIGURATION or ACTION_CHANGE_FAILED follows */
    EVENT_LEADER_GONE,    /* follower: the leader's process is dead (safety.md I) */
    EVENT_SNAPSHOT_ENDED, /* the transfer of our snapshot to peer 'id' ended (or broke) */
    EVENT_TIMERS,         /* heartbeat_ms and election_ms changed */
};

/* What the log has room for (safety.md H1). Entries of an append that find none are left
 * out: it counts as a heartbeat, and they are sent again later. */
enum replica_room {
    REPLICA_ROOM_ALL,
    REPLICA_ROOM_RESERVED, /* for what elects, or frees space: barriers, changes, checkpoints */
    REPLICA_ROOM_NONE,
};

struct event {
    enum event_type type;
    uint64_t now_ms; /* monotonic; never falls */

    uint64_t id;            /* MESSAGE: sender. TRANSFER: target or 0. SNAPSHOT_ENDED: peer.
                             LEADER_GONE: the leader that is gone, 0: the one we follow */
    struct bytes message;   /* MESSAGE: payload of PeerMessage.raft, not yet trusted */
    struct entry **entries; /* SUBMIT: index and term are set here; LOG_READ. Borrowed. */
    size_t count;
    uint64_t index;         /* APPLIED, CHECKPOINT, INSTALLED, APPEND_DURABLE (last of the append),
                             LOG_READ (first) */
    uint64_t term;          /* APPEND_DURABLE, CHECKPOINT, INSTALLED */
    uint64_t cut;           /* CHECKPOINT */
    enum replica_room room; /* MESSAGE */
    uint64_t token; /* READ, LOG_READ. APPEND_DURABLE: of the last ACTION_APPEND that is synced;
                             0: of the first one out that ends with (index, term) */
    const struct configuration *configuration; /* CHANGE; CHECKPOINT: that of the checkpoint */
    unsigned heartbeat_ms, election_ms;        /* TIMERS */
};

enum action_type {
    ACTION_HARD_STATE, /* make (term, id = vote) durable in both copies */
    ACTION_APPEND,     /* append entries[0 .. count); replaces from entries[0]->index on; sync;
                          'token' comes back with EVENT_APPEND_DURABLE */
    ACTION_SEND,       /* 'message' to peer 'id'; may be lost */
    ACTION_READ_LOG,   /* read entries index .. index + count - 1 from disk, answer with token */
    ACTION_APPLY,      /* entries are committed and durable here: apply in order */
    ACTION_READ_READY, /* read 'token' may be served once 'index' is applied */
    ACTION_READ_FAILED,
    ACTION_INSTALL,       /* fetch snapshot (index, term, configuration) from peer 'id', install it
                          in place of the log, then EVENT_INSTALLED. If that can't be done:
                          replica_close(), and replica_start() from what the disk holds */
    ACTION_ROLE,          /* role, term, id = leader or 0 */
    ACTION_CONFIGURATION, /* 'configuration' is now in force (appended, not yet committed) */
    ACTION_CHANGE_FAILED, /* the change last asked for was not proposed, 'reason' says why */
    ACTION_CUT_OK,        /* entries <= index (of term) are no longer needed by libraft */
    ACTION_STOP,          /* safety is broken or memory ran out: stop the node, 'reason' says why */
};

struct action {
    enum action_type type;
    uint64_t id;
    uint64_t index;
    uint64_t term;
    uint64_t token;
    size_t count;
    struct entry **entries; /* references are the receiver's: see actions_reset() */
    struct buf message;     /* SEND: payload of PeerMessage.raft */
    enum replica_role role;
    struct configuration *configuration;
    const char *reason;
};

/* A reusable list; owned by the caller. */
struct actions {
    struct action *items;
    size_t count;
    size_t capacity;
};

/* Drops references and memory of all items; keeps the list's memory. A receiver
 * that keeps an item's entries or message sets them to NULL / {0} first. */
void actions_reset(struct actions *a);
void actions_deinit(struct actions *a);

/* ERR_CORRUPT: the state breaks a condition of libraft's START (falling terms,
 * a first entry that is no configuration). Actions of the start are appended. */
MUST_CHECK enum err_code replica_start(const struct replica_options *options,
                                       const struct replica_state *state, uint64_t now_ms,
                                       struct replica **out, struct actions *actions,
                                       struct err *e);
void replica_close(struct replica *r); /* NULL is fine */

/* Appends to 'actions'. Refusals (no effect): ERR_NOT_LEADER, ERR_STATE (a change
 * or transfer is pending, or our barrier is not committed yet), ERR_FULL (too many uncommitted entries), ERR_INVALID
 * (a change of more than one step, an unknown id), ERR_CORRUPT (a message that can't be decoded). */
MUST_CHECK enum err_code replica_step(struct replica *r, struct event *event,
                                      struct actions *actions, struct err *e);

/* When the next EVENT_TICK is due. */
uint64_t replica_deadline_ms(const struct replica *r);

struct replica_status {
    enum replica_role role;
    uint64_t term;
    uint64_t leader; /* 0: unknown */
    uint64_t last_index, last_term;
    uint64_t commit_index, durable_index, applied_index;
    uint64_t first_index;
    bool leader_ready; /* the barrier of this term is committed: reads and changes may go */
    bool installing;
    uint64_t transferee; /* 0: none */
    size_t cache_bytes, cache_entries;
};

struct replica_status replica_status(const struct replica *r);
const struct configuration *replica_configuration(const struct replica *r); /* in force */
/* Leader: highest index known durable at a peer, and ms since it was heard. False: not known. */
bool replica_peer(const struct replica *r, uint64_t id, uint64_t *match_index, uint64_t *silent_ms);
bool replica_term_at(const struct replica *r, uint64_t index, uint64_t *term);
/* In the cache, or NULL. Borrowed. */
struct entry *replica_entry(const struct replica *r, uint64_t index);

#endif
