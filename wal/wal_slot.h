/* SPDX-License-Identifier: Apache-2.0 */
/* The one decision about a slot: the bytes at a position of a segment where a
 * record stands, stood, or would go (safety.md A4).
 *
 *   WHOLE    the record, intact, whatever its identifier says
 *   DAMAGED  a record was here and is lost; header or identifier say which
 *   UNKNOWN  a record was here; nothing says which
 *   TORN     a write that no sync covered: it and all after it was never
 *            acknowledged and is dropped
 *   END      nothing was written from here on in this segment
 *
 * Eight facts decide, by a table that has exactly one row for every combination. */
#ifndef TIDEMARK_WAL_WAL_SLOT_H
#define TIDEMARK_WAL_WAL_SLOT_H

#include <stdbool.h>
#include <stddef.h>

enum wal_verdict { WAL_WHOLE, WAL_DAMAGED, WAL_UNKNOWN, WAL_TORN, WAL_END };

struct wal_facts {
    bool header_good;  /* its crc holds, it stands where its LSN says, it is of this log */
    bool in_file;      /* the slot's bytes are inside the file */
    bool payload_good; /* asked only of a slot with a good header inside the file */
    bool in_doubt;     /* at or after the last stated durable position */
    bool zero_sector;  /* the slot's bytes within one sector are all zero. The slot is the
                          whole record, or the bytes of the header where that is bad */
    bool rest_zero;    /* the file is complete and zero from here to its end */
    bool followed;     /* a later segment has been begun */
    bool identified;   /* an identifier names the record that starts here */
};

enum { WAL_FACTS_COUNT = 8 };

enum wal_verdict wal_slot_judge(const struct wal_facts *facts);
/* How many rows of the table match: 1, for every combination. For its test. */
size_t wal_slot_rows_matching(const struct wal_facts *facts);
const char *wal_verdict_name(enum wal_verdict verdict);

#endif
