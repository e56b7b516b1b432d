/* SPDX-License-Identifier: Apache-2.0 */
/* Makes durable what open has read (safety.md A6): what the cache shows may have
 * been written and never synced, and a power failure would take it back.
 *
 * In the last segment, the only one that can hold such bytes: everything from
 * the durable position to the end of the log is written again as it was read,
 * the rest is zeroed (a torn tail, and zeros that were never synced), the
 * identifiers are written anew, without those at or above the end; then one sync. */
#ifndef TIDEMARK_WAL_WAL_SETTLE_H
#define TIDEMARK_WAL_WAL_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "wal/wal_writer.h"

struct wal_settle {
    struct file *file; /* of the last segment, borrowed */
    uint64_t segment;
    uint64_t from;              /* offset of the durable position; at or after the first record */
    uint64_t end;               /* offset of the end of the log */
    bool end_unknown;           /* nothing is zeroed: what stands behind may be records */
    const uint8_t *identifiers; /* encoded, those of the slots found; ignored if end_unknown */
    uint32_t identifier_count;
};

/* Also brings the writer's identifier page up to date. */
MUST_CHECK enum err_code wal_settle_segment(struct wal_writer *w, const struct wal_settle *s,
                                            struct err *e);
/* Writes all records of a segment again as they read, synced: one that was being
 * repaired in place when the process ended (safety.md A8). */
MUST_CHECK enum err_code wal_settle_records(struct file *file, uint64_t segment_size,
                                            struct err *e);
/* Writes the header of a segment again, synced. */
MUST_CHECK enum err_code wal_settle_header(const struct wal_writer *w, struct file *file,
                                           uint64_t segment, uint32_t timeline, struct err *e);

#endif
