/* SPDX-License-Identifier: Apache-2.0 */
/* A directory is a member, a name is not (safety.md B2): decides, from what is
 * known of a directory's starts, whether a hello is that of the directory
 * itself or of an older image of it. Pure: no io, no clock.
 *
 * The protocol on a link, both ways (rpc/peer_net.h):
 *
 *   Hello ──► identity_judge() ─┬─ ACCEPT, FOUNDING ─► Welcome{accepted}
 *                               ├─ STORE ─► identity_store(), hard state written
 *                               │           ─► Welcome{accepted}
 *                               ├─ ASK ───► Welcome{ask_nonce_of} ─► Hello again,
 *                               │           with the nonce of that start
 *                               └─ REFUSE_* ─► Welcome{reason ...}, link closed
 *
 * Nothing that arrives on a link is used before its Welcome{accepted} was sent,
 * that is, before the start is durable in the hearer's own hard state (there may
 * be no leader to store it anywhere else: docs/decisions/0001). Either side
 * sends its Hello again on an open link when its start, its cluster id or its
 * addresses change (PeerMessage.hello); once a newer start is accepted, links that
 * said an older one are closed: judge them again.
 *
 * An image draws its own nonces from the moment it starts, so it either has a
 * counter that is too low or can't give the nonce of a start that the original
 * made after the image was taken. */
#ifndef TIDEMARK_NODE_IDENTITY_H
#define TIDEMARK_NODE_IDENTITY_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "node/hard_state.h"
#include "rpc/peer_hello.h"
#include "tsdb/tsdb.h"

enum { IDENTITY_TEXT_SIZE = 256 };

/* What we are, for identity_hello_make(). */
struct identity_self {
    const struct hard_state *state;
    const char *peer_address;
    const char *client_address;
    const char *version;
};

/* Our own hello, with the nonce of start 'ask_nonce_of', which a Welcome asked
 * for. 0: with that of the start before the one in force, which is most often the
 * one that the hearer knows; so a raised counter is told on an open link without
 * being asked back. */
void identity_hello_make(const struct identity_self *self, uint64_t ask_nonce_of,
                         struct peer_hello *out);

enum identity_verdict {
    IDENTITY_ACCEPT,      /* the start is known and stored: use its messages */
    IDENTITY_STORE,       /* new start: store it, then welcome it */
    IDENTITY_FOUNDING,    /* one side has no cluster: only founding messages count */
    IDENTITY_ASK,         /* prove the nonce of start 'ask_nonce_of' first */
    IDENTITY_UNPROVEN,    /* it no longer keeps that nonce: closed, nobody is condemned */
    IDENTITY_ROLLED_BACK, /* a later start, or another with this counter, was seen */
    IDENTITY_FOREIGN,     /* of another cluster */
    IDENTITY_REMOVED,     /* that id was removed from the cluster */
    IDENTITY_OWN_ID,      /* says it is us */
    IDENTITY_BAD,         /* protocol version, missing id */
};

struct identity_judgement {
    enum identity_verdict verdict;
    uint64_t ask_nonce_of;         /* ASK */
    struct hard_state_seen seen;   /* STORE: to be stored; ROLLED_BACK: what was seen */
    char text[IDENTITY_TEXT_SIZE]; /* for people, unless accepted */
};

/* What the hearer knows. */
struct identity_view {
    const struct hard_state *state;
    const struct tsdb_node *nodes; /* of the replicated state; may be NULL */
    size_t node_count;
};

void identity_judge(const struct identity_view *view, const struct peer_hello *hello,
                    struct identity_judgement *out);

/* The newest start known of a directory, from hard state and replicated state;
 * of two with one counter that of hard state counts. False: none. */
bool identity_known(const struct identity_view *view, uint64_t directory_id,
                    struct hard_state_seen *out);

/* STORE: puts judgement->seen into 'next' (a copy of hard state), to be written
 * before the Welcome leaves. ERR_FULL: see hard_state_see(). */
MUST_CHECK enum err_code identity_store(struct hard_state *next,
                                        const struct identity_judgement *judgement,
                                        const uint64_t *members, size_t member_count,
                                        struct err *e);
/* A peer has welcomed our start 'counter': keeps its nonce for as long as this
 * peer may ask for it. True when 'next' changed; it need not be written at once. */
bool identity_welcomed(struct hard_state *next, uint64_t directory_id, uint64_t counter);

/* Leader: the NodeStart command is to be proposed for this hello, because the
 * replicated state knows only an older start or other addresses. */
bool identity_is_news(const struct identity_view *view, const struct peer_hello *hello);

/* The answer to a hello that is refused: names the start refused and the one that was seen. */
void identity_refusal_make(const struct peer_hello *heard,
                           const struct identity_judgement *judgement, struct peer_refusal *out);

/* --- the side that was answered --- */

enum identity_fate {
    IDENTITY_GO_ON,     /* welcomed, asked, or refused in a way that says nothing about our data */
    IDENTITY_CONDEMNED, /* rolled back: set the data aside, join under a new id (B3) */
    IDENTITY_GONE,      /* removed: the same */
};

struct identity_standing {
    const struct hard_state *state;
    bool leader;            /* we lead now */
    const uint64_t *voters; /* of the configuration that our own log holds */
    size_t voter_count;
};

/* Only voters other than us can condemn; anyone can if our own log does not
 * name us a voter. A refusal of another start than the one in force is late and
 * says nothing. 'text' gets the line for the operator. */
enum identity_fate identity_judge_refusal(const struct identity_standing *standing,
                                          uint64_t refuser_id, const struct peer_refusal *refusal,
                                          char text[IDENTITY_TEXT_SIZE]);

/* --- before the first vote of a start --- */

/* Asks every voter in reach: the replica is not started, nothing of Raft is answered or
 * sent, until each other voter of our own log's configuration has welcomed this
 * start or is out of reach. A plain struct. */
struct identity_gate {
    size_t count;
    struct {
        uint64_t id;
        bool answered;
        bool out_of_reach;
    } voters[LIMIT_VOTERS_MAX];
    uint64_t deadline_ms; /* who is connected and silent until then is out of reach */
};

/* Open at once when we are not a voter or the only one. */
void identity_gate_init(struct identity_gate *g, uint64_t own_id, const uint64_t *voters,
                        size_t voter_count, uint64_t deadline_ms);
/* A voter welcomed this start, or we refused it as rolled back (it can't witness). */
void identity_gate_answered(struct identity_gate *g, uint64_t id);
/* Its address refuses, or the link broke before an answer. */
void identity_gate_out_of_reach(struct identity_gate *g, uint64_t id);
/* It can be reached again and has been asked. */
void identity_gate_in_reach(struct identity_gate *g, uint64_t id);
bool identity_gate_is_open(const struct identity_gate *g, uint64_t now_ms);
/* Ids still missing; returns how many were put into 'ids'. */
size_t identity_gate_missing(const struct identity_gate *g, uint64_t ids[LIMIT_VOTERS_MAX]);

#endif
