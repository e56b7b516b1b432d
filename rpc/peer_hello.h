/* SPDX-License-Identifier: Apache-2.0 */
/* Who a node is (Hello), and what the hearer thinks of it (Welcome): the
 * messages of proto/tidemark/peer/v1/peer.proto as bounded structs.
 *
 * Decoders take bytes from outside: ERR_CORRUPT, never a crash. */
#ifndef TIDEMARK_RPC_PEER_HELLO_H
#define TIDEMARK_RPC_PEER_HELLO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

enum { PEER_PROTOCOL = 1, PEER_VERSION_SIZE_MAX = 63 };

struct peer_hello {
    uint32_t protocol;      /* PEER_PROTOCOL; set by peer_net */
    uint64_t cluster_id;    /* 0: has none yet */
    uint64_t directory_id;  /* the node's Raft id; never 0 */
    uint64_t start_counter; /* raised durably at each start */
    uint64_t nonce;         /* drawn at each start */
    uint64_t known_counter; /* the earlier start that the hearer asked for, 0: not asked */
    uint64_t known_nonce;   /* of that start, 0: not asked, or no longer known here */
    char name[LIMIT_NAME_SIZE_MAX + 1];
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];   /* where it listens for peers */
    char client_address[LIMIT_ADDRESS_SIZE_MAX + 1]; /* where it serves gRPC */
    char version[PEER_VERSION_SIZE_MAX + 1];         /* of the program */
};

/* Why a hello was not accepted. */
struct peer_refusal {
    char reason[256];      /* for people */
    bool removed;          /* the hearer knows that this directory left the cluster */
    bool rolled_back;      /* a voter saw a later start of this directory: */
    uint64_t seen_counter; /*   which one */
    uint64_t seen_nonce;
    /* The start that is refused: a late refusal must not condemn a newer one. */
    uint64_t directory_id;
    uint64_t start_counter;
    uint64_t nonce;
};

struct peer_welcome {
    bool accepted;
    bool duplicate;        /* not accepted: it would be a second link of this pair */
    uint64_t ask_nonce_of; /* not accepted yet: prove the nonce of this start. 0: not asked */
    struct peer_refusal refusal;
    bool has_hello;
    struct peer_hello hello; /* of the answering side */
};

void peer_hello_encode(const struct peer_hello *h, struct buf *out);
MUST_CHECK enum err_code peer_hello_decode(struct bytes b, struct peer_hello *out, struct err *e);
void peer_welcome_encode(const struct peer_welcome *w, struct buf *out);
MUST_CHECK enum err_code peer_welcome_decode(struct bytes b, struct peer_welcome *out,
                                             struct err *e);

#endif
