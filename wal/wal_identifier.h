/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers: what a record was, kept megabytes away from it (safety.md A5).
 *
 * They stand in the identifier area of a segment, in pages:
 *
 *   page:        identifier[32] x 127 | statement[32]
 *   identifier:  index u64 | term u64 | place u32 | size u32 | payload_crc u32 | crc u32
 *   place:       offset in the segment / 8 (27 bits) | type (4 bits) | in a frame (1 bit)
 *   statement:   lsn_durable u64 | commit u64 | page u32 | log_key u32 | zero u32 | crc u32
 *                                                             little-endian
 *
 * Unused identifiers are zero. Each crc also covers the segment number and the
 * log key, which are not stored: an identifier of another segment or log never
 * counts. Pages are written when a few are full (one in a small segment), when
 * the log is idle and at a clean stop, outside the path of a sync. */
#ifndef TIDEMARK_WAL_WAL_IDENTIFIER_H
#define TIDEMARK_WAL_WAL_IDENTIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "wal/wal_record.h"

enum {
    WAL_IDENTIFIER_SIZE = 32,
    WAL_IDENTIFIER_PAGE_SIZE = 4096,
    WAL_IDENTIFIERS_PER_PAGE = WAL_IDENTIFIER_PAGE_SIZE / WAL_IDENTIFIER_SIZE - 1
};

struct wal_identifier {
    uint64_t index;
    uint64_t term;
    uint32_t offset; /* of the record in its segment; a multiple of 8 */
    enum wal_record_type type;
    bool framed;
    uint32_t size; /* of the payload */
    uint32_t payload_crc;
};

/* The last 32 bytes of a page. */
struct wal_statement {
    uint64_t lsn_durable;
    uint64_t commit;
    uint32_t page;
};

/* Where identifiers belong: the start of every crc. */
uint32_t wal_identifier_seed(uint64_t segment, uint32_t log_key);

void wal_identifier_encode(const struct wal_identifier *id, uint32_t seed,
                           uint8_t dst[WAL_IDENTIFIER_SIZE]);
/* False: unused, damaged or of another segment. */
bool wal_identifier_decode(const uint8_t src[WAL_IDENTIFIER_SIZE], uint32_t seed,
                           struct wal_identifier *id);

void wal_statement_encode(const struct wal_statement *s, uint32_t seed, uint32_t log_key,
                          uint8_t dst[WAL_IDENTIFIER_SIZE]);
bool wal_statement_decode(const uint8_t src[WAL_IDENTIFIER_SIZE], uint32_t seed, uint32_t log_key,
                          struct wal_statement *s);

#endif
