/* SPDX-License-Identifier: Apache-2.0 */
/* Founding happens once (safety.md B4): nodes with empty directories and the
 * same list of peers find out whether a cluster is there. If any holds one,
 * they adopt or join it; only if every listed peer answers "empty" does the
 * first address of the list found a new one. Events in, actions out; no io.
 *
 *   founding_open ──► ASKING ── FOUND / ADOPT / JOIN ──► DECIDED
 *        │                                                  │ founding_settle()
 *        └── the directory is not empty ─────────────► SETTLED ──► founding_close
 *
 * DECIDED answers nobody: its answer would be "empty" and no longer true, or
 * name a cluster that is not yet durable here. The caller makes the decision durable
 * in ONE write of hard state (cluster_id and 'founding' together; that is the
 * moment at which the directory stops being empty) and then calls
 * founding_settle(). Entry 1 of the log is founding_record.configuration, term
 * 1; a start that finds 'founding' in hard state and no entry 1 writes it then.
 *
 * An answer counts only for the question it was asked with. A question is void
 * when the peer's link is lost, and when we answer "empty" to the founder: else
 * a late answer about a cluster that is gone could take us elsewhere after the
 * founder has counted us.
 *
 * Belongs to one thread. */
#ifndef TIDEMARK_NODE_FOUNDING_H
#define TIDEMARK_NODE_FOUNDING_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

enum {
    FOUNDING_ASK_INTERVAL_MS = 200,
    /* The founder asks again who said "empty": rarely, because it voids the other's questions. */
    FOUNDING_ASK_AGAIN_MS = 2000,
    FOUNDING_TEXT_SIZE = 512,
    FOUNDING_RECORD_SIZE_MAX = 8 * LIMIT_KIB,
};

/* A directory as it names itself. */
struct founding_member {
    uint64_t directory_id;
    char name[LIMIT_NAME_SIZE_MAX + 1];
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    char client_address[LIMIT_ADDRESS_SIZE_MAX + 1];
};

/* Sorted bytewise, without duplicates, our own among them. */
struct founding_peers {
    size_t count; /* 0 and 1: this node founds alone */
    char items[LIMIT_NODES_MAX][LIMIT_ADDRESS_SIZE_MAX + 1];
};

/* What entry 1 was made from; kept in hard state (hard_state.founding, encoded
 * by founding_wire.h) and given to the peers it names. */
struct founding_record {
    uint64_t cluster_id;
    size_t count;
    struct founding_member members[LIMIT_VOTERS_MAX]; /* in order of peer_address */
    struct bytes configuration; /* payload of entry 1, the same bytes everywhere; borrowed */
};

struct founding_options {
    struct founding_member self;
    const struct founding_peers *peers;
    uint64_t cluster_id; /* of hard state; 0: the directory is empty */
    bool
        holds_entries; /* the log or a checkpoint holds the cluster's first entry, or what came of it */
    struct bytes record; /* hard_state.founding; may be empty */
    uint64_t random;     /* fresh; never 0 */
};

struct founding_question {
    uint64_t question;
    struct founding_member asker;
    struct founding_peers peers;
};

struct founding_answer {
    uint64_t question;
    struct founding_member answerer;
    bool empty;          /* no cluster here, counted for this question */
    bool peers_differ;   /* empty too, but with another list of peers: 'peers' */
    uint64_t cluster_id; /* unless empty */
    bool holds_entries;  /* unless empty */
    struct bytes record; /* unless empty: encoded founding_record, or nothing; borrowed */
    struct founding_peers peers;
};

enum founding_event_type {
    FOUNDING_TICK,      /* time passed: every FOUNDING_ASK_INTERVAL_MS or so */
    FOUNDING_PEER_UP,   /* 'address' can be talked to */
    FOUNDING_PEER_DOWN, /* its link is lost */
    FOUNDING_QUESTION,  /* a peer asks */
    FOUNDING_ANSWER,    /* a peer answers */
};

struct founding_event {
    enum founding_event_type type;
    uint64_t now_ms;
    uint64_t random;     /* fresh with every event, unpredictable, never 0 */
    const char *address; /* PEER_UP, PEER_DOWN: as in the list; others are ignored */
    const struct founding_question *question;
    const struct founding_answer *answer;
};

enum founding_action_type {
    FOUNDING_ASK,   /* 'question' to the peer at 'address' */
    FOUNDING_REPLY, /* 'answer' on the link that the question came from */
    FOUNDING_FOUND, /* we are the founder: encode a configuration of record.members, all
                       voters, put it into record.configuration, make it durable, settle */
    FOUNDING_ADOPT, /* make 'record' durable, settle */
    FOUNDING_JOIN,  /* record.cluster_id is the cluster; members[0] is who told us. Make the
                       cluster id durable without a record, settle, ask to be added */
    FOUNDING_WAIT,  /* 'text' says for whom; given when it changes */
};

struct founding_action {
    enum founding_action_type type;
    const char *address;                      /* ASK */
    const struct founding_question *question; /* ASK */
    const struct founding_answer *answer;     /* REPLY */
    const struct founding_record *record;     /* FOUND, ADOPT, JOIN */
    const char *text;                         /* WAIT */
};

enum { FOUNDING_ACTIONS_MAX = LIMIT_NODES_MAX + 2 };

/* All that actions point to lives until the next step. */
struct founding_actions {
    size_t count;
    struct founding_action items[FOUNDING_ACTIONS_MAX];
};

struct founding;

/* ERR_INVALID: our own peer_address is not in the list, the list is not sorted,
 * or the record is not that of the cluster. */
MUST_CHECK enum err_code founding_open(const struct founding_options *options,
                                       struct founding **out, struct err *e);
void founding_step(struct founding *f, const struct founding_event *event,
                   struct founding_actions *actions);
/* The decision is durable. 'record' is empty after a JOIN; copied. */
void founding_settle(struct founding *f, uint64_t cluster_id, struct bytes record);
/* The log now holds entries of the cluster (a joined node got its first ones). */
void founding_set_holds_entries(struct founding *f);
bool founding_is_settled(const struct founding *f);
/* For status, as in FOUNDING_WAIT; "" when settled. */
const char *founding_text(const struct founding *f);
void founding_close(struct founding *f); /* NULL is fine */

/* Sorts, drops duplicates. ERR_FULL: more than LIMIT_NODES_MAX; ERR_RANGE: one is too long. */
MUST_CHECK enum err_code founding_peers_make(const char *const *addresses, size_t count,
                                             struct founding_peers *out, struct err *e);

/* --- forming: founded, but clients wait until all founders have adopted --- */

/* A voter of the configuration in force and how much of the log it is known to
 * hold (replica's match index; the leader's own last index for itself). */
struct founding_voter {
    const char *name;
    uint64_t match_index;
};

/* Leader, while the replicated state does not say ClusterFormed: true when every
 * voter holds entry 1, so that the command is to be proposed now (once, until
 * it is applied or the leadership ends). 'text' gets "cluster is forming, 1 of 3: waits for n2, n3". */
bool founding_is_formed(const struct founding_voter *voters, size_t count,
                        char text[FOUNDING_TEXT_SIZE]);

#endif
