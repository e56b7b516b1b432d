/* SPDX-License-Identifier: Apache-2.0 */
/* Walks one segment slot by slot and judges each (wal_slot.h).
 *
 * After a slot whose header is bad, the walk goes on where its identifier says
 * that the record ended; without one, at the next position where a header of
 * this log stands where its LSN says, or that an identifier names. All that lies
 * between is one UNKNOWN slot, however many records it held.
 *
 * A missing or unreadable file is one UNKNOWN slot. Nothing is written. */
#ifndef TIDEMARK_WAL_WAL_SCAN_H
#define TIDEMARK_WAL_WAL_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "wal/wal_reader.h"
#include "wal/wal_segment.h"
#include "wal/wal_slot.h"

/* One slot as found. */
struct wal_found {
    enum wal_verdict verdict; /* WAL_WHOLE, WAL_DAMAGED or WAL_UNKNOWN */
    uint64_t lsn;
    /* Set unless UNKNOWN. From an identifier come only type, index, term, size,
     * payload_crc, lsn, and frame as UINT64_MAX for "in some frame"; sequence 0. */
    struct wal_record record;
    bool by_header; /* 'record' comes from the record's own header */
};

struct wal_scan {
    struct wal_layout layout;
    uint64_t segment;
    bool followed;             /* a later segment was begun */
    uint64_t lsn_durable;      /* highest position that was stated anywhere */
    uint64_t offset;           /* of the slot to begin with; 0: the first */
    struct wal_reader *reader; /* started on the segment's file */
    /* Called for each slot in order of LSN. */
    void (*visit)(void *context, const struct wal_found *found);
    void *context;
};

struct wal_scan_end {
    bool torn;             /* a write that no sync covered stands at 'offset' */
    bool unknown;          /* the segment ends in an unknown slot: nothing can follow in it */
    bool newer;            /* an intact record of a newer program was met; at 'offset' */
    uint64_t offset;       /* where the next record would go */
    uint64_t torn_records; /* headers found in the torn part, at least 1 if torn */
    uint64_t torn_bytes;
};

void wal_scan_segment(const struct wal_scan *scan, struct wal_scan_end *end);

/* The highest durable position and commit index stated by the segment's headers
 * and identifier pages (safety.md A3). Neither is lowered. */
void wal_scan_statements(const struct wal_scan *scan, uint64_t *lsn_durable, uint64_t *commit);

/* Whether any intact record of the log stands in its place in the segment. */
bool wal_scan_has_records(const struct wal_scan *scan);

#endif
