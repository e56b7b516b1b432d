/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between libraft 0.22.1 and its known defects: one function each.
 *
 *   G1  an append or snapshot of an older term is answered with garbage      safety
 *   G2  a late rejection aborts a leader                                     crash
 *   G3  a change that is not first in its append is booked at a wrong index  safety
 *   G4  a checkpoint that an install overtook aborts                         crash
 *   G5  a vote that arrives late is read through the wrong union member      undefined
 *   G6  a snapshot offered during an install is never freed                  leak
 *   G7  a batch refused at a change in its middle stays half in              corrupt
 *   G8  snapshot requests replace heartbeats                                 liveness
 *   G9  the timer of a leader can stay in the past                           spin
 *   G10 a transfer to a peer that lags is started once, too early            liveness
 *   G11 a diverging log is walked back one entry per round trip              slow
 *   G12 an old append from the start of the log aborts after a cut           crash
 *   G13 a denied pre-vote hides that the denier's term is higher             liveness
 *   G14 a newer checkpoint makes a peer in need of a snapshot wait 30 s      liveness
 *   G15 a candidate keeps raising its term, and its right to disturb         liveness
 *
 * A guard only looks at its arguments. Tests take one out with 'off' and show
 * the defect. */
#ifndef TIDEMARK_RAFT_RAFT_GUARD_H
#define TIDEMARK_RAFT_RAFT_GUARD_H

#include "raft/raft_log.h"
#include "raft/raft_message.h"

enum raft_guard_number {
    RAFT_G1 = 1,
    RAFT_G2,
    RAFT_G3,
    RAFT_G4,
    RAFT_G5,
    RAFT_G6,
    RAFT_G7,
    RAFT_G8,
    RAFT_G9,
    RAFT_G10,
    RAFT_G11,
    RAFT_G12,
    RAFT_G13,
    RAFT_G14,
    RAFT_G15,
    /* Rules of safety.md that are kept here as well. */
    RAFT_B1,            /* messages wait for hard state */
    RAFT_B5_HELD,       /* majorities before a membership step */
    RAFT_B5_VOTE,       /* a server that doesn't know yet that it is a voter */
    RAFT_READS,         /* leadership rounds before reads */
    RAFT_BARRIER_FIRST, /* an own-term entry before reads and changes */
};

struct raft_guards {
    unsigned off; /* bit 1 << number: taken out, by a test */
};

/* G1: true: do not give 'p' to libraft, send 'reply' to its sender instead. */
bool raft_guard_stale_term(const struct raft_guards *g, const struct raft_packet *p, uint64_t term,
                           struct raft_packet *reply);
/* G2: leader, result of the current term. False: drop it. Else it may be changed. */
bool raft_guard_rejection(const struct raft_guards *g, struct raft_append_entries_result *result,
                          uint64_t match);
/* G3: how many of the entries from 'from' on go to libraft in one piece. */
size_t raft_guard_piece(const struct raft_guards *g, struct entry *const *entries, size_t count,
                        size_t from);
/* G4: whether libraft may be told of a checkpoint at (index, term). */
struct raft_guard_checkpoint {
    uint64_t index;
    uint64_t term;
    uint64_t snapshot_index; /* the newest that libraft knows */
    uint64_t durable;
    uint64_t applied;
    bool installing;
};
bool raft_guard_checkpoint(const struct raft_guards *g, const struct raft_log *log,
                           const struct raft_guard_checkpoint *c);
/* G5: whether a vote counts for anything. */
bool raft_guard_vote(const struct raft_guards *g, const struct raft_request_vote_result *result,
                     bool candidate, uint64_t term);
/* G6: whether a snapshot offered now must be dropped. */
bool raft_guard_install(const struct raft_guards *g, bool installing);
/* G7: whether the entries may be submitted together. */
bool raft_guard_submit(const struct raft_guards *g, struct entry *const *entries, size_t count);
/* G8: whether the request to send snapshot 'index' is covered by the transfer
 * that runs; then, and beside every request, the peer gets a neutral heartbeat. */
struct raft_guard_transfer {
    bool running;
    uint64_t index;
    uint64_t asked_ms; /* when the peer was last told of it */
};
bool raft_guard_snapshot(const struct raft_guards *g, const struct raft_guard_transfer *t,
                         uint64_t now_ms, unsigned repeat_ms);
/* An append that every log accepts and that changes none: it says who leads. */
void raft_guard_neutral(struct raft_packet *out, uint64_t peer, uint64_t term);
/* G9: when the next timeout of libraft may be delivered. */
uint64_t raft_guard_timeout(const struct raft_guards *g, uint64_t timeout_ms, uint64_t last_ms,
                            unsigned heartbeat_ms);
/* G10: whether a transfer to a peer may start. */
bool raft_guard_hand_over(const struct raft_guards *g, uint64_t match, uint64_t last);
/* G11: lowers the hint of our own rejection to before the conflicting term. */
void raft_guard_hint(const struct raft_guards *g, struct raft_append_entries_result *result,
                     const struct raft_log *log, uint64_t commit);
/* G12: whether an append must be dropped because it starts before our log. */
bool raft_guard_prefix(const struct raft_guards *g, const struct raft_append_entries *append,
                       uint64_t log_first);

/* G13: makes our own denial of a pre-vote say our term. */
void raft_guard_denial(const struct raft_guards *g, struct raft_request_vote_result *result,
                       uint64_t term);

/* G14: how long libraft waits for an answer to a snapshot. */
unsigned raft_guard_install_timeout(const struct raft_guards *g, unsigned election_ms);

/* G15: before a timeout is delivered. */
void raft_guard_candidate(const struct raft_guards *g, struct raft *core);

/* safety.md B5: what a server whose own log does not name it a voter does with
 * a request for its vote. libraft would refuse every one. */
enum raft_guard_verdict {
    RAFT_VOTE_CORE,  /* nothing special: libraft decides */
    RAFT_VOTE_GRANT, /* grant it (a pre-vote: say so, change nothing) */
};
struct raft_guard_voter {
    bool knows_itself; /* our log names us a voter */
    bool settled;      /* all of our log is durable, no install runs */
    bool hears_leader; /* within the election timeout */
    uint64_t term;
    uint64_t voted_for;
    uint64_t last_index;
    uint64_t last_term;
};
enum raft_guard_verdict raft_guard_unaware(const struct raft_guards *g,
                                           const struct raft_guard_voter *self,
                                           const struct raft_request_vote *request);

bool raft_guard_is_on(const struct raft_guards *g, enum raft_guard_number number);

#endif
