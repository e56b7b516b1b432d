/* SPDX-License-Identifier: Apache-2.0 */
/* Repair before joining (safety.md C): decides, hole by hole, what a damaged
 * Raft log takes from its peers, what is proved uncommitted and may be
 * dropped, and what it must wait for. A pure function like replica.h:
 * events in, actions out.
 *
 *   repair_start ──► ASKING ──► (fill, replace, drop, one at a time) ──► DONE
 *                       └── nobody can tell yet: waits, says for what, asks again
 *
 * The other side, repair_answer(), tells a peer about our own log; it works
 * whether we run, repair, or can't start. */
#ifndef TIDEMARK_RAFT_REPAIR_H
#define TIDEMARK_RAFT_REPAIR_H

#include "raft/replica.h"

struct repair;

enum slot_kind { SLOT_NEVER_HAD, SLOT_WHOLE, SLOT_DAMAGED, SLOT_UNKNOWN, SLOT_CUT };

/* One index of a log, as its owner sees it. CUT: at or below the owner's cut. */
struct slot {
    enum slot_kind kind;
    uint64_t term; /* WHOLE, DAMAGED */
};

/* Read access to our own log's identities, as wal.h gives them. */
struct log_view {
    void *context;
    uint64_t (*first)(void *context);
    uint64_t (*last)(void *context);
    bool (*end_unknown)(void *context);
    struct slot (*at)(void *context, uint64_t index);
};

struct repair_options {
    uint64_t id;
    uint64_t term_stored;      /* hard state when this repair began, kept durably (C2) */
    uint64_t snapshot_index;   /* our own durable checkpoint; 0: none */
    uint64_t snapshot_term;
    const struct configuration *configurations; /* every one in force at or after the first hole, oldest first */
    size_t configuration_count;
    struct log_view log;
    uint64_t ask_interval_ms;
};

enum repair_event_type {
    REPAIR_TICK,
    REPAIR_MESSAGE,      /* payload of PeerMessage.repair_answer from 'id' */
    REPAIR_PERSISTED,    /* REPAIR_PERSIST_TERM is durable */
    REPAIR_FILLED,       /* the log changed as REPAIR_FILL / REPLACE / DROP asked, durably */
    REPAIR_INSTALLED,    /* the snapshot that REPAIR_SNAPSHOT named is installed (C5) */
    REPAIR_PEERS,        /* who can be reached changed */
};

struct repair_event {
    enum repair_event_type type;
    uint64_t now_ms;
    uint64_t id;
    struct bytes message;
    const uint64_t *peers; /* PEERS: ids that are connected; borrowed */
    size_t peer_count;
};

enum repair_action_type {
    REPAIR_ASK,          /* 'message' (PeerMessage.repair_question) to peer 'id' */
    REPAIR_FILL,         /* wal_repair() with 'entry' */
    REPAIR_REPLACE,      /* wal_replace() with entries */
    REPAIR_PERSIST_TERM, /* hard state: term at least 'term', vote none if raised */
    REPAIR_DROP,         /* wal_drop(index), sync */
    REPAIR_SNAPSHOT,     /* peers hold index only in a snapshot: fetch that of peer 'id' (C5) */
    REPAIR_WAITS,        /* nothing to do now: 'text' says for which entries and nodes */
    REPAIR_DONE,         /* no holes left: start the replica from disk */
};

struct repair_action {
    enum repair_action_type type;
    uint64_t id;
    uint64_t index;
    uint64_t term;
    struct buf message;
    struct entry **entries; /* references are the receiver's */
    size_t count;
    char *text; /* mem_free() */
};

struct repair_actions {
    struct repair_action *items;
    size_t count;
    size_t capacity;
};

void repair_actions_reset(struct repair_actions *a);
void repair_actions_deinit(struct repair_actions *a);

/* The log has at least one hole or an unknown end. */
struct repair *repair_start(const struct repair_options *options, uint64_t now_ms,
                            struct repair_actions *actions);
MUST_CHECK enum err_code repair_step(struct repair *r, const struct repair_event *event,
                                     struct repair_actions *actions, struct err *e);
uint64_t repair_deadline_ms(const struct repair *r);
void repair_close(struct repair *r);

struct repair_status {
    uint64_t holes;      /* left */
    uint64_t filled, dropped, replaced; /* since the start */
    uint64_t index_waiting; /* first index waited for, 0: none */
};

struct repair_status repair_status(const struct repair *r);

/* What a peer must know of us to judge its holes. */
struct repair_self {
    uint64_t id;
    uint64_t term;            /* stored */
    uint64_t leader;          /* the live leader that we follow (or are), 0: none */
    uint64_t leader_term;
    bool voter;
    uint64_t snapshot_index;  /* our durable checkpoint */
    uint64_t snapshot_term;
    struct log_view log;
    /* A whole entry of ours, one reference for the caller, or NULL when it must be read
     * from disk first: then 'need' is set and the question is answered after. */
    struct entry *(*entry)(void *context, uint64_t index, bool *need);
};

struct repair_reply {
    struct buf message;     /* PeerMessage.repair_answer, empty if 'term_first' or 'need_count' */
    uint64_t term_first;    /* != 0: persist a term of at least this first, then answer (C2.3) */
    uint64_t need_index;    /* entries to read from disk before answering */
    size_t need_count;
};

/* ERR_CORRUPT: the question can't be decoded. */
MUST_CHECK enum err_code repair_answer(const struct repair_self *self, uint64_t asker,
                                       struct bytes question, struct repair_reply *reply,
                                       struct err *e);

#endif
