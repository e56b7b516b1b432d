/* SPDX-License-Identifier: Apache-2.0 */
/* Carries the batches of an import to the cluster: one session, several writes
 * in flight, retries that follow the leader. What is sent when is decided by
 * import_window.h; this module has the calls, the sessions and the counts.
 *
 *   import_sender_open ──► [ has_room ──► take ──► (fill) ──► add ] ... run ... until empty
 *
 * import_sender_run() must be called often: all callbacks run in it. One thread. */
#ifndef TIDEMARK_CLI_IMPORT_SENDER_H
#define TIDEMARK_CLI_IMPORT_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/cluster_client.h"
#include "cli/import_batch.h"

/* A refused write with this trailer was certainly not applied: the cluster does
 * not know its session. Without it, such a refusal is an unknown outcome. */
#define IMPORT_SESSION_TRAILER "tidemark-session"
#define IMPORT_SESSION_UNKNOWN "unknown"

struct import_sender_options {
    struct cluster *cluster;        /* borrowed */
    const struct import_plan *plan; /* borrowed */
    unsigned in_flight;             /* batches open at once */
    size_t batch_rows;
    uint64_t patience_ms; /* without an acknowledgement, then it gives up */
};

struct import_counts {
    uint64_t rows_sent; /* in batches that were sent at least once */
    uint64_t rows_acknowledged;
    uint64_t rows_distinct; /* of those acknowledged, by series and time */
    bool distinct_known;    /* there were not too many to count */
    uint64_t retries;       /* attempts beyond the first of each batch */
    uint64_t sessions;      /* opened */
    uint64_t gap_ms_max;    /* longest time without an acknowledgement while some were awaited */
};

struct import_sender;

/* Opens a session. ERR_UNAVAILABLE, ERR_DEADLINE: nobody can be asked. */
MUST_CHECK enum err_code import_sender_open(const struct import_sender_options *options,
                                            struct import_sender **out, struct err *e);
/* Calls that are under way are given up. NULL is fine. */
void import_sender_close(struct import_sender *s);

bool import_sender_has_room(const struct import_sender *s);
bool import_sender_is_empty(const struct import_sender *s);

/* An empty batch to be filled and added; the sender keeps it. At most one at a time. */
struct import_batch *import_sender_take(struct import_sender *s);
/* The batch taken, with at least one row; there must be room. */
void import_sender_add(struct import_sender *s, struct import_batch *batch);

/* Sends what is due, waits for at most wait_ms for something to happen. An error is
 * final: a refusal, an outcome that can't be known, or no acknowledgement for too
 * long. It names the lines concerned. */
MUST_CHECK enum err_code import_sender_run(struct import_sender *s, uint64_t wait_ms,
                                           struct err *e);

struct import_counts import_sender_counts(const struct import_sender *s);

#endif
