/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a replica, shared by the files that make it up:
 *
 *   replica.c       start, events in, time, what is looked at from outside
 *   raft_update.c   one raft_step() and all that follows from it
 *   raft_receive.c  messages in, through the guards
 *   raft_send.c     messages out: filled, split, fed from disk
 *   raft_lead.c     what a leader does: submit, barrier, reads, transfer
 *   raft_change.c   membership steps
 *   raft_follow.c   what a follower does: leader gone, the unaware voter's vote, installs
 *
 * Rule of the house: raft_step() is called by raft_update_step() alone, and all
 * that depends on its outcome runs later, in raft_settle(). */
#ifndef TIDEMARK_RAFT_RAFT_REPLICA_H
#define TIDEMARK_RAFT_RAFT_REPLICA_H

#include <raft.h>

#include "base/random.h"
#include "raft/raft_core.h"
#include "raft/raft_guard.h"
#include "raft/raft_history.h"
#include "raft/raft_log.h"
#include "raft/raft_message.h"
#include "raft/raft_outbox.h"
#include "raft/raft_reads.h"
#include "raft/replica.h"

enum {
    RAFT_APPEND_SIZE = 1 * LIMIT_MIB, /* of one append, if the options don't say */
    RAFT_FEED_ENTRIES = 64,           /* of one read from disk for a lagging peer */
    RAFT_FEED_WINDOW = 1024,          /* entries from disk that a peer has not acknowledged */
    RAFT_APPLY_ENTRIES = 512,         /* of one ACTION_APPLY */
    RAFT_CATCH_UP_DISTANCE = 256,     /* entries that a server may lack when it is promoted */
    RAFT_CHANGE_ELECTIONS = 4,        /* election timeouts that a step waits for its majorities */
    RAFT_TRANSFER_ELECTIONS = 2,      /* election timeouts that a transfer may take */
    RAFT_GONE_ELECTIONS = 10,         /* election timeouts between two early elections */
};

/* Entries that a peer lacks and memory no longer holds, read from disk piece by piece. */
struct raft_feed {
    bool active;
    uint64_t begin;    /* where it began; the peer may hold less than libraft knows of */
    uint64_t next;     /* first entry not sent yet */
    uint64_t end;      /* last entry that libraft wanted to send */
    uint64_t token;    /* of the read that is out, 0: none */
    uint64_t moved_ms; /* when the last piece was sent or asked for */
};

struct raft_peer {
    uint64_t id;
    uint64_t heard_ms;   /* last message of any kind; 0: never */
    uint64_t sent_ms;    /* last append of any kind */
    uint64_t sent_index; /* last entry of that append, or the one before it */
    struct raft_feed feed;
    struct raft_guard_transfer transfer; /* of our snapshot */
};

/* An ACTION_APPEND that is not durable yet. */
struct raft_append_out {
    uint64_t token;
    uint64_t last; /* index and term of its last entry, as written */
    uint64_t term;
    uint64_t valid; /* last index of it that was not replaced since */
};

struct raft_snapshot {
    uint64_t index; /* 0: none */
    uint64_t term;
    struct configuration configuration;
};

struct raft_transfer {
    bool wanted;
    uint64_t target;
    uint64_t deadline_ms;
};

struct raft_change {
    bool wanted;
    struct configuration to;
    struct raft_round round; /* began after the step was asked for */
    uint64_t deadline_ms;
};

/* safety.md I */
struct raft_gone {
    bool wanted; /* give it to libraft as soon as that listens */
    uint64_t leader;
    uint64_t term;
    uint64_t deadline_ms;
    uint64_t done_leader; /* for whom it was done last, and when */
    uint64_t done_term;
    uint64_t done_ms; /* 0: never */
};

struct replica {
    struct replica_options options;
    struct raft_guards guards;
    struct raft core;
    struct random random; /* seeds libraft each time it starts */
    uint64_t starts;      /* of libraft: 1, and one more for each vote that it could not give */
    uint64_t steps;       /* of libraft, to see whether one was made */
    uint64_t now_ms;
    uint64_t timeout_ms;     /* when libraft last had a TIMEOUT */
    bool stopped;            /* ACTION_STOP was given: every event is refused */
    struct actions *actions; /* of the step that runs */

    struct raft_log log;
    struct raft_history history;
    struct raft_snapshot snapshot;
    struct raft_append_out *appends; /* oldest first */
    size_t append_count;
    size_t append_capacity;
    uint64_t token;       /* the last one given out */
    uint64_t durable;     /* last entry on disk that libraft knows of; the log from first to here */
    uint64_t commit;      /* highest seen; libraft forgets it when it starts anew */
    uint64_t apply_given; /* last entry handed out in ACTION_APPLY */
    uint64_t applied;
    uint64_t told; /* index of the last configuration reported to libraft as committed */
    bool installing;
    struct raft_snapshot install;

    struct raft_outbox outbox;
    uint64_t hard_term; /* asked for last */
    uint64_t hard_vote;
    struct raft_peer peers[LIMIT_NODES_MAX]; /* of the configuration in force, and lately heard */
    size_t peer_count;

    /* What ACTION_ROLE said last. */
    enum replica_role role;
    uint64_t role_term;
    uint64_t role_leader;

    uint64_t leader_heard_ms; /* follower: last message of a leader of our term; 0: none yet */
    uint64_t leader_id;       /* and who that was */
    struct raft_gone gone;

    bool leading; /* libraft says leader, and we have noted it */
    uint64_t lead_term;
    uint64_t lead_index; /* our first entry of this term; 0: not appended yet */
    uint64_t round_number;
    struct raft_reads reads;
    struct raft_change change;
    struct raft_transfer transfer;
};

/* --- replica.c --- */
struct raft_peer *raft_peer_find(struct replica *r, uint64_t id); /* NULL: none */
struct raft_peer *raft_peer_get(struct replica *r, uint64_t id);  /* made at need; NULL: no room */
void raft_stop(struct replica *r, const char *reason);
uint64_t raft_last_durable_term(const struct replica *r);
bool raft_term_at(const struct replica *r, uint64_t index, uint64_t *term); /* the snapshot's too */

/* --- raft_update.c --- */

/* Entries of ours that stand behind an event, so that ENTRIES of the update
 * can be found again. */
struct raft_input {
    struct raft_event event;
    struct entry *const *entries;
    size_t count;
    struct raft_core_entries *core; /* token owner; NULL: none */
};

/* Runs one step and performs what it says: hard state, log, install, messages.
 * Returns libraft's refusal (RAFT_NOTLEADER ...), 0, or -1 after raft_stop(). */
int raft_update_step(struct replica *r, struct raft_input *input);
/* libraft's START, from the log, history and snapshot that the replica holds. */
int raft_update_start(struct replica *r, uint64_t term, uint64_t voted_for);
/* Reports entry 'index' of the history to libraft as committed. */
void raft_update_tell(struct replica *r, const struct configuration *c);
/* All that follows from where libraft now is; runs after every event. */
void raft_settle(struct replica *r);

/* --- raft_receive.c --- */
enum err_code raft_receive(struct replica *r, const struct event *event, struct err *e);

/* --- raft_send.c --- */
void raft_send_packet(struct replica *r, uint64_t peer, const struct raft_packet *p);
void raft_send_core(struct replica *r, const struct raft_message *m);
/* Goes on feeding the peer, if it is fed. */
void raft_send_feed(struct replica *r, struct raft_peer *peer);
enum err_code raft_send_log_read(struct replica *r, const struct event *event, struct err *e);

/* --- raft_lead.c --- */
enum err_code raft_lead_submit(struct replica *r, struct event *event, struct err *e);
enum err_code raft_lead_read(struct replica *r, uint64_t token, struct err *e);
enum err_code raft_lead_transfer(struct replica *r, uint64_t target, struct err *e);
int raft_lead_propose(struct replica *r, struct entry *const *entries, size_t count);
bool raft_lead_ready(const struct replica *r); /* reads and changes may go */
void raft_lead_begin(struct replica *r);
void raft_lead_end(struct replica *r);
void raft_lead_settle(struct replica *r);
void raft_lead_pong(struct replica *r, uint64_t sender, uint64_t term, uint64_t round);
uint64_t raft_lead_deadline(const struct replica *r); /* UINT64_MAX: none */
void raft_lead_ask(struct replica *r, const struct raft_round *round, bool all);
uint64_t raft_lead_match(const struct replica *r, uint64_t id);

/* --- raft_change.c --- */
enum err_code raft_change_ask(struct replica *r, const struct configuration *to, struct err *e);
void raft_change_settle(struct replica *r);
void raft_change_fail(struct replica *r, const char *reason);

/* --- raft_follow.c --- */
enum err_code raft_follow_leader_gone(struct replica *r, uint64_t id, struct err *e);
void raft_follow_settle(struct replica *r);
void raft_follow_heard(struct replica *r, uint64_t leader); /* a message of a leader of our term */
/* True: the request is answered here (safety.md B5), libraft must not see it. */
bool raft_follow_vote(struct replica *r, const struct raft_packet *p);
enum err_code raft_follow_installed(struct replica *r, const struct event *event, struct err *e);
enum err_code raft_follow_checkpoint(struct replica *r, const struct event *event, struct err *e);

#endif
