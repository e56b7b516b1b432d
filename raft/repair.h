/* SPDX-License-Identifier: Apache-2.0 */
/* Repair before joining (safety.md C): decides, hole by hole, what a damaged
 * Raft log takes from its peers, what is proved uncommitted and may be
 * dropped, and what it must wait for. A pure function like replica.h:
 * events in, actions out.
 *
 *   repair_start ──► WAITING ◄──► ASKING ──► FETCHING ──► CHANGING ──► DONE
 *                       ▲            ▲           │            │
 *                       │            └───────────┴────────────┘ holes are left
 *                       └── nobody can tell yet: says for what, asks again
 *
 * ASKING     a question is out to every peer: what do you hold at and beside
 *            our holes (then, if that is not enough, in your whole log, and
 *            having promised a term above ours)?
 * FETCHING   the answers say which entries (index, term) belong in our log;
 *            they are fetched by that identity from whoever has them whole.
 *            So an answer that was overtaken can't bring in a wrong entry.
 * CHANGING   one action that changes disk is out: the caller runs it, then
 *            gives the event that ends it. At most one is out.
 *
 * Nothing is kept but the log, the stored term and 'term_began': after a crash
 * at any moment the repair starts again from them.
 *
 * What the caller keeps (safety.md C2): before repair_start() and before
 * repair_answer() may raise our term, hard state holds 'term_began' = the term
 * stored then; a restart into repair reuses it; it is cleared, durably, after
 * REPAIR_DONE and before anything is acknowledged or voted.
 *
 * Configurations. The rule that needs voters (C2.3, and C3 without a leader)
 * holds in every configuration that is in force at or after the lowest index
 * it would change. Two cases go beyond the list that the caller gives:
 *   - A leader may have counted us under the configuration after the last that
 *     we know: it stood behind our end, or in a slot that is lost. One such
 *     step away from a configuration its *majorities* overlap, half of an even
 *     number does not. So with more than two voters, and whenever a lost slot
 *     can be a membership entry, a majority of others must answer.
 *   - Two steps away: the first one was committed before the second was made,
 *     so one of that majority holds it. Where a lost slot of ours can be a
 *     membership entry (unknown, or damaged and of type change or unknown type),
 *     the rule must hold as well in each later configuration that a counted
 *     answer names, and an answerer that lost such a slot itself doesn't count.
 * A cluster of two voters with such a slot therefore waits for the other rules. */
#ifndef TIDEMARK_RAFT_REPAIR_H
#define TIDEMARK_RAFT_REPAIR_H

#include "raft/replica.h"

struct repair;

enum slot_kind { SLOT_NEVER_HAD, SLOT_WHOLE, SLOT_DAMAGED, SLOT_UNKNOWN, SLOT_CUT };

/* One index of a log, as its owner sees it. CUT: at or below the owner's cut. */
struct slot {
    enum slot_kind kind;
    uint64_t term;        /* WHOLE, DAMAGED; CUT at first - 1: of the cut, 0 if not known */
    enum entry_type type; /* WHOLE, DAMAGED; 0: not known */
};

/* Read access to our own log's identities, as wal.h gives them; of a running
 * node as consensus sees it, entries that are not synced yet included. */
struct log_view {
    void *context;
    uint64_t (*first)(void *context);                 /* lower ones are cut away; 1: none is */
    uint64_t (*last)(void *context);                  /* first - 1 when nothing is held */
    bool (*end_unknown)(void *context);               /* the log may have gone on after last */
    struct slot (*at)(void *context, uint64_t index); /* first - 1 .. last */
};

struct repair_options {
    uint64_t id;
    uint64_t seed;           /* of question ids: drawn at each start, so that none comes again */
    uint64_t term_began;     /* term stored when this repair began, kept durably (C2) */
    uint64_t term;           /* stored now */
    uint64_t snapshot_index; /* our own durable checkpoint; 0: none */
    uint64_t snapshot_term;
    /* That of our checkpoint and every one in the log after it, oldest first;
     * copied. From here on they are kept up to date inside. */
    const struct configuration *configurations;
    size_t configuration_count;
    struct log_view log;
    uint64_t ask_interval_ms; /* an answer is waited for so long; asked again after it, then after
                                 twice that, up to 16 times, unless who can be reached changes */
};

enum repair_event_type {
    REPAIR_TICK,
    REPAIR_MESSAGE,   /* payload of PeerMessage.repair_answer from 'id' */
    REPAIR_PERSISTED, /* REPAIR_PERSIST_TERM is durable; 'term' is what is stored now */
    REPAIR_FILLED,    /* the log changed as REPAIR_FILL, REPLACE or DROP asked, durably */
    REPAIR_INSTALLED, /* a snapshot is installed as REPAIR_SNAPSHOT asked: (index, term) and its
                         'configuration'. index 0: it could not be fetched */
    REPAIR_PEERS,     /* who can be reached changed */
    REPAIR_RESCAN,    /* a slot of our log went bad meanwhile: look again */
};

struct repair_event {
    enum repair_event_type type;
    uint64_t now_ms;
    uint64_t id;
    uint64_t index; /* INSTALLED */
    uint64_t term;  /* PERSISTED, INSTALLED */
    struct bytes message;
    const uint64_t *peers; /* PEERS: ids that are connected; borrowed */
    size_t peer_count;
    const struct configuration *configuration; /* INSTALLED; borrowed */
};

enum repair_action_type {
    REPAIR_ASK,          /* 'message' (PeerMessage.repair_question) to peer 'id'; may be lost */
    REPAIR_FILL,         /* wal_repair() with each of 'entries', then FILLED */
    REPAIR_REPLACE,      /* wal_replace() from 'index' on with 'entries', then FILLED */
    REPAIR_PERSIST_TERM, /* hard state: term at least 'term', no vote if raised, then PERSISTED.
                            Comes before a FILL, REPLACE or DROP that relies on it */
    REPAIR_DROP,         /* wal_drop(index), sync, then FILLED. 'index' may be last + 1: then only
                            an unknown end goes */
    REPAIR_SNAPSHOT,     /* peer 'id' holds 'index' (of 'term') in a snapshot: fetch that or a later
                            one, store a term that is not below its, install it by
                            repair_keeps_later(), then INSTALLED (C5) */
    REPAIR_WAITS,        /* nothing to do now: 'text' says for which entries and nodes (C4).
                            Given again only when it changed */
    REPAIR_DONE,         /* no holes left: start the replica from disk */
};

struct repair_action {
    enum repair_action_type type;
    uint64_t id;
    uint64_t index;
    uint64_t term;
    const char *rule; /* FILL, REPLACE, DROP, SNAPSHOT: by which rule, for the log line */
    struct buf message;
    struct entry **entries; /* references are the receiver's: see repair_actions_reset() */
    size_t count;
    char *text; /* mem_free() */
};

struct repair_actions {
    struct repair_action *items;
    size_t count;
    size_t capacity;
};

/* Drops what the items own; a receiver that keeps an item's message, entries
 * or text sets it to {0} or NULL first. */
void repair_actions_reset(struct repair_actions *a);
void repair_actions_deinit(struct repair_actions *a);

/* Whether there is something to repair: a hole above the checkpoint, an unknown
 * end, or no checkpoint under the log's first entry. */
bool repair_is_needed(const struct log_view *log, uint64_t snapshot_index);

/* C5: a snapshot of (index, term) is being installed for a repair. True: only
 * what is at or below 'index' goes (wal_cut(), also when the log ends before
 * 'index' and its end is unknown, which stays so). False: the log is void or
 * contradicted (wal_reset()). */
bool repair_keeps_later(const struct log_view *log, uint64_t index, uint64_t term);

/* repair_is_needed() must hold. Peers are told by REPAIR_PEERS. The log view
 * must stay valid until repair_close(). */
struct repair *repair_start(const struct repair_options *options, uint64_t now_ms,
                            struct repair_actions *actions);

/* Appends to 'actions'. ERR_CORRUPT: a message that can't be decoded; no effect. */
MUST_CHECK enum err_code repair_step(struct repair *r, const struct repair_event *event,
                                     struct repair_actions *actions, struct err *e);
uint64_t repair_deadline_ms(const struct repair *r); /* UINT64_MAX: none */
void repair_close(struct repair *r);                 /* NULL is fine */

struct repair_status {
    uint64_t holes;                                /* left */
    uint64_t filled, dropped, replaced, snapshots; /* slots filled, times done; since the start */
    uint64_t index_waiting;                        /* first index waited for, 0: none */
};

struct repair_status repair_status(const struct repair *r);

/* --- the other side: telling a peer about our own log, whether we run, repair
 * or can't start --- */

/* What a peer must know of us to judge its holes. */
struct repair_self {
    uint64_t id;
    uint64_t term;   /* stored, durable */
    uint64_t leader; /* the live leader that we follow (or are), 0: none */
    uint64_t leader_term;
    uint64_t snapshot_index; /* our durable checkpoint */
    uint64_t snapshot_term;
    const struct configuration *configuration; /* latest one known from our log; NULL: none */
    struct log_view log;
    void *context;
    /* A whole entry of ours, one reference for the caller, or NULL when it must be read
     * from disk first: then 'need' is set and the question is answered after. */
    struct entry *(*entry)(void *context, uint64_t index, bool *need);
};

/* Exactly one of 'message', 'term_first', 'need_count' is set. After doing what
 * the second or third ask, call repair_answer() again with a fresh repair_self. */
struct repair_reply {
    struct buf message;  /* PeerMessage.repair_answer; the caller's, buf_deinit() */
    uint64_t term_first; /* != 0: first make a term of at least this durable, no vote, in hard
                               state and in the consensus core (a leader steps down) (C2.3) */
    uint64_t need_index; /* entries to read from disk before answering */
    size_t need_count;
};

/* ERR_CORRUPT: the question can't be decoded. */
MUST_CHECK enum err_code repair_answer(const struct repair_self *self, uint64_t asker,
                                       struct bytes question, struct repair_reply *reply,
                                       struct err *e);

#endif
