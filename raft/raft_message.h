/* SPDX-License-Identifier: Apache-2.0 */
/* What replicas say to each other: tidemark.peer.v1.RaftMessage, checked before
 * libraft sees a field of it.
 *
 * libraft trusts what it is given (a term of 0 or a falling one aborts the
 * process), so decoding refuses every message that no correct replica sends. */
#ifndef TIDEMARK_RAFT_RAFT_MESSAGE_H
#define TIDEMARK_RAFT_RAFT_MESSAGE_H

#include <raft.h>

#include "base/bytes.h"
#include "base/err.h"
#include "raft/configuration.h"
#include "raft/entry.h"

_Static_assert(RAFT_VERSION_NUMBER == 2201, "the guards are written for this libraft");

/* Versions and features as libraft 0.22.1 sends them. A version above 1 keeps
 * a stale pre-vote from counting as a vote. */
enum {
    RAFT_MESSAGE_VOTE_VERSION = 2,
    RAFT_MESSAGE_RESULT_VERSION = 2,
    RAFT_MESSAGE_FEATURES = 1,
};

enum raft_message_kind {
    RAFT_MESSAGE_CORE, /* for libraft: 'core' */
    RAFT_MESSAGE_PING, /* leadership round: who still has 'term' answers */
    RAFT_MESSAGE_PONG,
};

struct raft_packet {
    enum raft_message_kind kind;
    /* CORE. Pointers inside are NULL: append_entries.entries, install_snapshot.conf
     * and .data are 'entries' and 'configuration' below. */
    struct raft_message core;
    struct entry **entries;             /* append: owned references, index and term set */
    size_t count;                       /* equals append_entries.n_entries */
    struct configuration configuration; /* install */
    uint64_t term;                      /* PING, PONG */
    uint64_t round;
};

/* 'sender' becomes core.server_id. ERR_CORRUPT: nothing is held. Else the
 * caller ends with raft_packet_deinit(). */
MUST_CHECK enum err_code raft_packet_decode(struct bytes b, uint64_t sender,
                                            struct raft_packet *out, struct err *e);
void raft_packet_deinit(struct raft_packet *p);

/* Appends the encoding. 'entries' of an append are borrowed. */
void raft_packet_encode(const struct raft_packet *p, struct buf *out);
/* What an entry adds to an encoded append, at most. */
size_t raft_packet_entry_size(const struct entry *e);

#endif
