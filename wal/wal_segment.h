/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a log: its name, its layout, its header.
 *
 *   file:    header[4096] | identifier page[4096] x n | records ... | zeros
 *
 * Header and identifier area take an eighth of the segment, at least 12 KiB, so
 * that an identifier is at least that far from its record. Everything after the last record is
 * zero: a segment is written with zeros in full and synced before its first use
 * (safety.md A2). A record never crosses into the next segment.
 *
 *   header:
 *      0  magic       u32  "TMLG"
 *      4  format      u16  1
 *      6  role        u16  enum wal_role
 *      8  cluster_id      u64
 *     16  directory_id    u64
 *     24  timeline    u32
 *     28  zero        u32
 *     32  number      u64
 *     40  size        u64  of the segment
 *     48  index_first u64  of the first entry, if nothing replaces earlier ones
 *     56  sequence_first  u64  of the first record
 *     64  zero        up to 4092
 *   4092  crc         u32  crc32c of bytes 0..4091          little-endian
 *
 * An LSN is number * size + offset in the file; segments are numbered from 1, so
 * that 0 is no position. Name: 24 hex digits, timeline(8), then the LSN's high
 * 32 bits (8), then which segment of those 4 GiB (8), as PostgreSQL names them. */
#ifndef TIDEMARK_WAL_WAL_SEGMENT_H
#define TIDEMARK_WAL_WAL_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "wal/wal_identifier.h"

enum {
    WAL_SEGMENT_HEADER_SIZE = 4096,
    WAL_SEGMENT_FORMAT = 1,
    WAL_SEGMENT_NAME_SIZE = 25, /* with the terminating zero */
    WAL_SEGMENT_SIZE_MIN = 64 * 1024,
    WAL_SEGMENT_SIZE_MAX = 1024 * 1024 * 1024
};

/* What all segments of a log share, and what positions depend on. */
struct wal_layout {
    uint64_t segment_size;
    uint32_t log_key; /* not 0 */
};

struct wal_segment_header {
    unsigned role;
    uint32_t timeline;
    uint64_t cluster_id;
    uint64_t directory_id;
    uint64_t number;
    uint64_t segment_size;
    uint64_t index_first;
    uint64_t sequence_first;
};

/* Which log a record or identifier belongs to, in four bytes. */
uint32_t wal_log_key(uint64_t directory_id, unsigned role);

bool wal_segment_size_valid(uint64_t size);

/* Bytes before the first record. */
static inline uint64_t wal_segment_records_at(uint64_t segment_size)
{
    uint64_t eighth = segment_size / 8;
    uint64_t least = (uint64_t)WAL_SEGMENT_HEADER_SIZE + 2 * WAL_IDENTIFIER_PAGE_SIZE;
    return eighth < least ? least : eighth;
}

static inline uint32_t wal_segment_pages(uint64_t segment_size)
{
    return (uint32_t)((wal_segment_records_at(segment_size) - WAL_SEGMENT_HEADER_SIZE) /
                      WAL_IDENTIFIER_PAGE_SIZE);
}

static inline uint32_t wal_segment_identifiers_max(uint64_t segment_size)
{
    return wal_segment_pages(segment_size) * WAL_IDENTIFIERS_PER_PAGE;
}

static inline uint64_t wal_lsn_of(const struct wal_layout *l, uint64_t segment, uint64_t offset)
{
    return segment * l->segment_size + offset;
}

static inline uint64_t wal_lsn_segment(const struct wal_layout *l, uint64_t lsn)
{
    return lsn / l->segment_size;
}

static inline uint64_t wal_lsn_offset(const struct wal_layout *l, uint64_t lsn)
{
    return lsn % l->segment_size;
}

/* Where the first record of a segment stands. */
static inline uint64_t wal_lsn_first(const struct wal_layout *l, uint64_t segment)
{
    return wal_lsn_of(l, segment, wal_segment_records_at(l->segment_size));
}

void wal_segment_name(const struct wal_layout *l, uint32_t timeline, uint64_t number,
                      char dst[WAL_SEGMENT_NAME_SIZE]);
/* False: not a segment's name. 'segment_size' must be known to tell the number. */
bool wal_segment_name_parse(uint64_t segment_size, const char *name, uint32_t *timeline,
                            uint64_t *number);

void wal_segment_header_encode(const struct wal_segment_header *h,
                               uint8_t dst[WAL_SEGMENT_HEADER_SIZE]);
/* As for records: *h is set only when GOOD. */
enum wal_record_check wal_segment_header_decode(const uint8_t src[WAL_SEGMENT_HEADER_SIZE],
                                                struct wal_segment_header *h);

#endif
