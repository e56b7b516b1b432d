/* SPDX-License-Identifier: Apache-2.0 */
/* One record of a log: a header with its own checksum, then the payload.
 *
 *   record:  header[96] | payload[size] | zeros up to a multiple of 8
 *
 *    0  crc          u32  crc32c of bytes 4..95
 *    4  version      u8   1
 *    5  type         u8   enum wal_record_type
 *    6  flags        u8   enum wal_record_flags
 *    7  zero         u8
 *    8  log_key      u32  which log (wal_segment.h): another log's record never counts
 *   12  size         u32  of the payload as stored
 *   16  size_plain   u32  of the payload before compression
 *   20  payload_crc  u32  crc32c of the payload as stored
 *   24  sequence     u64  number of the record in its log; rises by 1
 *   32  index        u64
 *   40  term         u64
 *   48  before       u64  what the entry before must be, see below
 *   56  commit       u64  commit index known when the record was written
 *   64  lsn_durable  u64  durable position known when the record was written
 *   72  vgroups      u64  a bit per VGroup touched
 *   80  frame        u64  sequence of the BEGIN that the record belongs to, 0: none
 *   88  lsn          u64  where the record stands: a header elsewhere never counts
 *                                                             little-endian
 *
 * The header begins and ends with bytes that are never zero, so that a sector
 * boundary anywhere inside leaves no piece that is legitimately all zero: a piece of
 * zeros was never written (safety.md A4).
 *
 *   type      index                    term       before
 *   entry     its index                its term   Raft: term of the entry index - 1
 *                                                 Local: index of the entry before
 *   DROP      entries from it on end   0          the same
 *   MARK      last index               its term   Raft: 0. Local: the last index
 *   BEGIN     first index of a frame   its term   term of the entry index - 1
 *   END       last index of a frame    its term   first index of the frame
 *
 * 'before' is 0 where nothing stands before, or where it was not known. */
#ifndef TIDEMARK_WAL_WAL_RECORD_H
#define TIDEMARK_WAL_WAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    WAL_RECORD_HEADER_SIZE = 96,
    WAL_RECORD_ALIGNMENT = 8,
    WAL_RECORD_VERSION = 1,
    WAL_RECORD_SIZE_MAX = 512 * 1024 * 1024 /* half of the largest segment */
};

/* Four bits: an identifier stores it too. The first four are enum wal_type. */
enum wal_record_type {
    WAL_RECORD_COMMAND = 1,
    WAL_RECORD_BARRIER = 2,
    WAL_RECORD_CHANGE = 3,
    WAL_RECORD_METADATA = 4,
    WAL_RECORD_DROP = 8,
    WAL_RECORD_MARK = 9,
    WAL_RECORD_BEGIN = 10,
    WAL_RECORD_END = 11
};

enum wal_record_flags {
    WAL_RECORD_SIDE = 1 /* stands in a side file (wal_side.h) */
};

struct wal_record {
    enum wal_record_type type;
    uint8_t flags;
    uint32_t log_key;
    uint32_t size;
    uint32_t size_plain;
    uint32_t payload_crc;
    uint64_t sequence;
    uint64_t index;
    uint64_t term;
    uint64_t before;
    uint64_t commit;
    uint64_t lsn_durable;
    uint64_t vgroups;
    uint64_t frame;
    uint64_t lsn;
};

enum wal_record_check {
    WAL_RECORD_GOOD,
    WAL_RECORD_BAD,  /* not a header, or not intact */
    WAL_RECORD_NEWER /* intact, but of a version or type that is not known here */
};

void wal_record_encode(const struct wal_record *r, uint8_t dst[WAL_RECORD_HEADER_SIZE]);
/* *r is set only when GOOD. Whether log_key and lsn are right is the caller's to judge. */
enum wal_record_check wal_record_decode(const uint8_t src[WAL_RECORD_HEADER_SIZE],
                                        struct wal_record *r);
/* The 'lsn' field without any check: the cheap test before a decode. */
static inline uint64_t wal_record_peek_lsn(const uint8_t src[WAL_RECORD_HEADER_SIZE])
{
    return bytes_get_u64(src + 88);
}

bool wal_record_type_known(unsigned type);
static inline bool wal_record_is_entry(enum wal_record_type type)
{
    return type <= WAL_RECORD_METADATA;
}
const char *wal_record_type_name(enum wal_record_type type); /* "command", "mark", ... */

/* Bytes that a record of this payload takes, padding included. */
static inline uint64_t wal_record_span(uint32_t payload_size)
{
    uint64_t size = (uint64_t)WAL_RECORD_HEADER_SIZE + payload_size;
    return (size + WAL_RECORD_ALIGNMENT - 1) / WAL_RECORD_ALIGNMENT * WAL_RECORD_ALIGNMENT;
}

#endif
