/* SPDX-License-Identifier: Apache-2.0 */
/* Which batch of an import is sent next, and what the end of each attempt means.
 * Pure: it knows no network and no clock but the now_ms passed in.
 *
 * What it promises: when every batch is acknowledged, each row has taken effect, and
 * where rows of the file override each other (same series and time) the last in
 * the order of the file is what is stored; whatever was lost, repeated, late or
 * answered by a new leader on the way. How:
 *
 *  1. Batches that share a row key are never out at the same time: the later one is
 *     held until the earlier is acknowledged, so that no retry of the earlier can come
 *     after it. Batches without a common key may take effect in any order: the result
 *     is the same. So several can be in flight, and one that fails holds up only
 *     those that override it.
 *  2. Every attempt of a batch carries the same request id (session, sequence): the
 *     replicated state applies it once and repeats the first answer. An attempt
 *     that is still under way when its batch is acknowledged finds that answer, or is
 *     below sequence_open and refused; it never takes effect after a later batch.
 *  3. At most WINDOW_BATCHES_MAX sequences are open, half of the answers that the
 *     state keeps for a session, so that no answer is forgotten that a retry asks for.
 *  4. When the session is not known any more (too many others were opened, or a
 *     single node lost its last moments) nobody can say whether attempts that were not
 *     answered took effect. If no open batch has any such attempt, a new session, which
 *     closes the old one, is safe, and all open batches are sent again in it.
 *     Otherwise the import stops and names the lines.
 *
 * A batch:   HELD ─► READY ─► SENT ─► (acknowledged, gone)
 *                      ▲        │
 *                      └─ wait ─┘ lost, refused for now
 *
 * The window: OPEN ─► SESSION_LOST ─► SESSION_NEEDED ─► OPEN
 *               └───────────┴──────► FAILED */
#ifndef TIDEMARK_CLI_IMPORT_WINDOW_H
#define TIDEMARK_CLI_IMPORT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rpc/grpc_status.h"

enum { WINDOW_BATCHES_MAX = 32 };

struct import_window;

/* 'batches_max' of at most WINDOW_BATCHES_MAX may be open, held ones included. */
struct import_window *import_window_open(unsigned batches_max);
void import_window_close(struct import_window *w); /* NULL is fine */

bool import_window_has_room(const struct import_window *w);
bool import_window_is_empty(const struct import_window *w);

/* A batch behind all others. 'keys' (copied): hashes of all that it may override, or be
 * overridden in. 'batch' is the owner's, and comes back as it is. */
void import_window_add(struct import_window *w, void *batch, const uint64_t *keys, size_t count);

struct window_attempt {
    unsigned slot; /* names the batch until it is acknowledged */
    void *batch;
    uint64_t sequence;
    uint64_t sequence_open;
    unsigned number;     /* of the batch's attempts, from 1 */
    uint64_t timeout_ms; /* how long to wait for the answer */
};

/* The next attempt that is due; it counts as sent. False: none now; *wake_ms is when
 * one will be without anything else happening, UINT64_MAX: never. */
bool import_window_next(struct import_window *w, uint64_t now_ms, struct window_attempt *out,
                        uint64_t *wake_ms);

struct window_end {
    enum grpc_status status;
    bool unprocessed;     /* no server ever had it */
    bool session_unknown; /* refused, and certainly not applied, because the session is not known */
    bool leader_named;    /* the answer said who can do it */
    const char *message;
};

/* The attempt of that slot has ended. Returns the batch when it is acknowledged, and
 * with it no longer in the window; else NULL. */
void *import_window_ended(struct import_window *w, unsigned slot, const struct window_end *end,
                          uint64_t now_ms);

/* All attempts have ended and a new session is safe: open one that closes the old,
 * then call import_window_renewed(). */
bool import_window_needs_session(const struct import_window *w);
void import_window_renewed(struct import_window *w);

/* Nothing more will be sent; why. The batches still in the window: */
bool import_window_failed(const struct import_window *w, struct err *e);
/* Any batch that is still there, taken out (after a failure). NULL: none. */
void *import_window_take(struct import_window *w);
/* The oldest open batch, NULL: none. */
void *import_window_oldest(const struct import_window *w);

#endif
