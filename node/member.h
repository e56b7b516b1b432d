/* SPDX-License-Identifier: Apache-2.0 */
/* The node's core: every state machine of a node, driven by events, the same
 * in production (host.h) and in the simulator (sim/).
 *
 *   open ──► OPENING ──┬─► FORMING ──► (found, adopt) ──► STARTING ──► RUNNING
 *                      ├─► FORMING ──► (join) ──────────► STARTING
 *                      ├─► REPAIRING ──► STARTING             │
 *                      ├─► STARTING                           ├─► REPAIRING (damage found)
 *                      └─► LOCAL (one node without Raft)      │
 *                             │ ▲                             │
 *          STARTING ◄── to 3 ─┘ └────────── from level 3 ─────┤
 *                                                             ▼
 *                 any ──► STOPPING ──► STOPPED         (stop, or fail-stop)
 *
 * The member lives on the loop thread. It reaches the disk only by jobs
 * (lane.h), peers only by host->send(), time only by the now_ms that its host passes in.
 * After every call the host asks member_deadline_ms() again. */
#ifndef TIDEMARK_NODE_MEMBER_H
#define TIDEMARK_NODE_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "node/identity.h"
#include "node/lane.h"
#include "node/recovery.h"
#include "proto/command.h"
#include "raft/repair.h"
#include "tsdb/tsdb.h"

struct member;
struct request_list;
struct storage;

/* What a member needs from the world. All calls return at once. */
struct member_host {
    void *context;
    /* Takes the job; runs work on its lane, then done on the loop. */
    void (*submit)(void *context, struct job *job);
    /* A PeerMessage to a connected peer; dropped when it is not connected. */
    void (*send)(void *context, uint64_t peer_id, struct bytes message);
    /* The peer addresses to keep links to (besides those that dial us). */
    void (*dial)(void *context, const char *const *addresses, size_t count);
    /* The answer to an offered link (member_hello), one of three. */
    void (*accept)(void *context, uint64_t offer);
    void (*refuse)(void *context, uint64_t offer, const struct peer_refusal *refusal);
    void (*ask)(void *context, uint64_t offer, uint64_t start_counter);
    /* Our Hello changed: use member_make_hello() again. */
    void (*hello_changed)(void *context);
    /* Cuts the link of a peer; the host tries again by itself. */
    void (*disconnect)(void *context, uint64_t peer_id, const char *reason);
    /* A peer asks for our status: member_answer_status() is called, now or later. */
    void (*status)(void *context, uint64_t peer_id, uint64_t token);
    /* A setting was applied. */
    void (*settings_changed)(void *context);
    /* The member is done: end the process with this code. Called once. */
    void (*stopped)(void *context, int exit_code, const char *reason);
};

struct member_options {
    const struct member_host *host;
    const struct log *log;
    struct storage *storage; /* open; the member's until STOPPED */
    const char *name;
    const char *peer_address; /* as others reach it */
    const char *client_address;
    const char *const *peers; /* the sorted list of all founders' peer addresses, own included */
    size_t peer_count;        /* 0: one node alone */
    unsigned wal_level;       /* of a new directory that founds alone: 0..3 */
    uint64_t log_keep;        /* entries kept below a checkpoint for slow followers, no more;
                                 0: 1,024, and what max_slot_wal_keep_size allows */
    size_t part_size;         /* of the pieces of a large write, and of an append; 0: 1 MiB */
    size_t cache_size_max;    /* applied entries kept in memory for followers; 0: 32 MiB */
    uint64_t scrub_pause_ms;  /* from one round of the scrubber to the next, at least; 0: 10 s */
    size_t checkpoint_step;   /* bytes of a checkpoint written at a time; 0: 1 MiB */
    uint64_t seed;            /* of election timeouts and random waits */
    unsigned weaken;          /* rules that a test takes out (member_weaken.h); 0 in production */
};

enum member_state {
    MEMBER_OPENING,
    MEMBER_FORMING,
    MEMBER_REPAIRING,
    MEMBER_STARTING,
    MEMBER_RUNNING,
    MEMBER_LOCAL,
    MEMBER_STOPPING,
    MEMBER_STOPPED,
};

/* Exit code of host->stopped(): open storage and member again, as a newcomer. */
enum { MEMBER_EXIT_AGAIN = 75 };

/* Starts opening; the rest comes by jobs and events. */
struct member *member_open(const struct member_options *options, uint64_t now_ms);
/* As a crash would: takes part in nothing any more, and nothing is written.
 * Jobs that are out are still given back, then member_close(). */
void member_abort(struct member *m);
/* Only when STOPPED, or to drop a crashed node (simulator): no job may be out. */
void member_close(struct member *m);

uint64_t member_deadline_ms(const struct member *m);
void member_tick(struct member *m, uint64_t now_ms);
/* The end of a round of events: proposes what has gathered, in one entry. The
 * host calls it once before it waits for new events. */
void member_flush(struct member *m, uint64_t now_ms);
/* After job->done(job): the host passes the time in first. */
void member_time(struct member *m, uint64_t now_ms);
/* Clean stop: hands leadership over, drains, syncs (alone: checkpoint), then
 * host->stopped(0). After deadline_ms it stops without waiting for what is open. */
void member_stop(struct member *m, uint64_t deadline_ms);

/* --- peers --- */

/* Our own Hello; 'ask_nonce_of' != 0: with the nonce of that start of ours. */
void member_make_hello(const struct member *m, uint64_t ask_nonce_of, struct peer_hello *out);
/* The nonce of an earlier start of ours, 0: no longer kept. */
uint64_t member_nonce_of(const struct member *m, uint64_t start_counter);
/* A node offers a link. host->accept, refuse or ask follows, now or after the
 * start is stored; nothing of the link is given to the member before that. */
void member_hello(struct member *m, uint64_t offer, const struct peer_hello *hello);
/* Our Hello was refused there ('peer_id' 0: it did not say who it is). */
void member_refused(struct member *m, uint64_t peer_id, const struct peer_refusal *refusal);
/* Both sides have accepted each other. */
void member_peer_up(struct member *m, const struct peer_hello *hello);
void member_peer_down(struct member *m, uint64_t peer_id);
/* After down: its address refuses connections, its process is dead (safety.md I). */
void member_peer_dead(struct member *m, uint64_t peer_id);
void member_peer_message(struct member *m, uint64_t peer_id, struct bytes message);

/* --- requests --- */

struct member_reply {
    enum err_code code; /* ERR_OK, or why not; a command's own refusal too */
    const char *text;   /* "" when OK, or what else is to be said; borrowed for the call */
    uint64_t index;
    uint64_t blocked_ms;       /* how long writes had to wait for a change of ts.wal.wal_level */
    const char *leader;        /* client address of the leader, "" unknown */
    struct tsdb_result result; /* of a command */
    struct bytes data;         /* of a status; borrowed for the call */
};

/* One request; embedded in the requester's own struct, which lives until done.
 * done() may submit jobs and send answers, but not call the member: it can be in the middle of a step. */
struct member_request {
    void (*done)(struct member_request *r, const struct member_reply *reply);
    struct member_request *next; /* the member's */
    struct member_request *prev;
    uint64_t deadline_ms; /* 0: none */
    uint64_t token;       /* the member's, as all that follows */
    uint64_t index;
    uint64_t peer;   /* that was asked */
    bool only_index; /* a read of another node: it waits for the index itself */
    int phase;
    struct member_request **slot;
    struct request_list *list;
    struct member *member;
};

/* Proposes a command here, or hands it to the leader. Replies once it is
 * applied here (or at the leader) and durable as the level promises.
 * ERR_UNAVAILABLE: no leader, retry. ERR_UNKNOWN_OUTCOME: it may take effect. ERR_FULL: too much is open. */
void member_propose(struct member *m, const struct command *command, struct member_request *r);
/* Replies when a read may run on this node: reply->index is applied here.
 * 'stale': at once. 'index_min': also waits for that index. */
void member_read(struct member *m, bool stale, uint64_t index_min, struct member_request *r);
/* The requester no longer cares: done is never called (an open command may still take effect). */
void member_cancel(struct member *m, struct member_request *r);

enum member_change { MEMBER_ADD, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_REPLACE };

struct member_change_request {
    enum member_change change;
    const char *name;
    uint64_t id;              /* ADD, or REMOVE when a name has two; else 0 */
    const char *peer_address; /* ADD */
};

/* Leader only (ERR_NOT_LEADER names it): steps until the change is committed. */
void member_change(struct member *m, const struct member_change_request *change,
                   struct member_request *r);
void member_transfer(struct member *m, const char *name, struct member_request *r);
/* Proposes a checkpoint; replies when this node has it durable. */
void member_checkpoint(struct member *m, struct member_request *r);

/* 'status' is this node's encoded tidemark.v1.NodeStatusResponse. */
void member_answer_status(struct member *m, uint64_t peer_id, uint64_t token, struct bytes status);
/* The status of a connected peer. done(): reply->data is its encoded
 * tidemark.v1.NodeStatusResponse. ERR_UNAVAILABLE: not connected. */
void member_ask_status(struct member *m, uint64_t peer_id, struct member_request *r);

/* --- looking --- */

/* Damage found while running, since the start. */
struct member_damage {
    uint64_t parts_found, parts_refilled;
    uint64_t parts_waiting;             /* for a node that has them */
    uint64_t parts_dropped;             /* no longer needed before they were refilled */
    uint64_t scrubbed;                  /* bytes of logs and parts read by the scrubber */
    uint64_t rounds_parts, rounds_logs; /* times that it has read all of them */
};

struct member_status {
    enum member_state state;
    uint64_t cluster_id, directory_id;
    uint64_t start_counter;
    char name[64];
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    char client_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    struct replica_status replica; /* RUNNING */
    uint64_t applied_index, checkpoint_index;
    uint64_t checkpoint_time_ms; /* since 1970; when the last one became durable, 0: not known */
    uint64_t checkpoint_ms, checkpoint_bytes; /* how long it took and how much it wrote */
    char raft_retained_by[200]; /* for whom the Raft log keeps what the checkpoint holds; "" */
    unsigned wal_level;
    bool formed;
    bool healthy;
    char message[720]; /* for people; "" when all is well */
    uint64_t writes, rows_written, reads;
    struct repair_status repair;   /* REPAIRING */
    struct repair_status repaired; /* all repairs that ended since the start */
    struct member_damage damage;
    struct recovery recovery;           /* of this start */
    struct recovery_view recovery_view; /* ... now */
};

struct member_status member_status(const struct member *m);
enum member_state member_state(const struct member *m);
const struct configuration *member_configuration(const struct member *m);
const char *member_state_name(enum member_state state);
/* Scans pin the state: between opened and closed (on the loop) the tsdb stays.
 * False: not now, a checkpoint of a peer is being put in its place. */
bool member_may_view(const struct member *m);
void member_view_opened(struct member *m);
void member_view_closed(struct member *m);
/* A read of the tsdb found damage (ERR_CORRUPT, ERR_IO): parts are looked after. */
void member_damage_seen(struct member *m);
/* There are nodes that a damaged part can be refilled from. */
bool member_has_others(const struct member *m);
/* The tsdb, for jobs that the services run on LANE_APPLY; NULL while there is none. */
struct tsdb *member_tsdb(const struct member *m);
struct storage *member_storage(const struct member *m);
const struct member_host *member_host(const struct member *m);
uint64_t member_peer_id(const struct member *m, const char *name); /* 0: none */
bool member_peer_connected(const struct member *m, uint64_t id);

#endif
