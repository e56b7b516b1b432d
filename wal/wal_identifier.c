/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_identifier.h"

#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"

enum { CRC_AT = 28, TYPE_SHIFT = 27, TYPE_MASK = 15 };

static const uint32_t PLACE_MASK = (1U << TYPE_SHIFT) - 1;
static const uint32_t FRAMED_BIT = 1U << 31;

_Static_assert((uint64_t)WAL_RECORD_SIZE_MAX * 2 / 8 <= 1U << TYPE_SHIFT,
               "every offset of the largest segment fits in a place");

uint32_t wal_identifier_seed(uint64_t segment, uint32_t log_key)
{
    CHECK(log_key != 0);
    uint8_t prefix[12];
    bytes_put_u64(prefix, segment);
    bytes_put_u32(prefix + 8, log_key);
    return crc32c(0, prefix, sizeof prefix);
}

void wal_identifier_encode(const struct wal_identifier *id, uint32_t seed,
                           uint8_t dst[WAL_IDENTIFIER_SIZE])
{
    CHECK(wal_record_type_known(id->type));
    CHECK(id->offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(id->offset / WAL_RECORD_ALIGNMENT <= PLACE_MASK);

    bytes_put_u64(dst, id->index);
    bytes_put_u64(dst + 8, id->term);
    bytes_put_u32(dst + 16, id->offset / WAL_RECORD_ALIGNMENT | (uint32_t)id->type << TYPE_SHIFT |
                                (id->framed ? FRAMED_BIT : 0));
    bytes_put_u32(dst + 20, id->size);
    bytes_put_u32(dst + 24, id->payload_crc);
    bytes_put_u32(dst + CRC_AT, crc32c(seed, dst, CRC_AT));
}

bool wal_identifier_decode(const uint8_t src[WAL_IDENTIFIER_SIZE], uint32_t seed,
                           struct wal_identifier *id)
{
    CHECK(src != NULL && id != NULL);
    uint32_t place = bytes_get_u32(src + 16);
    unsigned type = place >> TYPE_SHIFT & TYPE_MASK;
    if (!wal_record_type_known(type)) {
        return false; /* the cheap test: unused ones are zero */
    }
    if (bytes_get_u32(src + CRC_AT) != crc32c(seed, src, CRC_AT)) {
        return false;
    }
    *id = (struct wal_identifier){
        .index = bytes_get_u64(src),
        .term = bytes_get_u64(src + 8),
        .offset = (place & PLACE_MASK) * WAL_RECORD_ALIGNMENT,
        .type = (enum wal_record_type)type,
        .framed = (place & FRAMED_BIT) != 0,
        .size = bytes_get_u32(src + 20),
        .payload_crc = bytes_get_u32(src + 24),
    };
    return wal_record_span(id->size) <= WAL_RECORD_SIZE_MAX;
}

void wal_statement_encode(const struct wal_statement *s, uint32_t seed, uint32_t log_key,
                          uint8_t dst[WAL_IDENTIFIER_SIZE])
{
    CHECK(log_key != 0);
    memset(dst, 0, WAL_IDENTIFIER_SIZE);
    bytes_put_u64(dst, s->lsn_durable);
    bytes_put_u64(dst + 8, s->commit);
    bytes_put_u32(dst + 16, s->page);
    bytes_put_u32(dst + 20, log_key);
    bytes_put_u32(dst + CRC_AT, crc32c(seed, dst, CRC_AT));
}

bool wal_statement_decode(const uint8_t src[WAL_IDENTIFIER_SIZE], uint32_t seed, uint32_t log_key,
                          struct wal_statement *s)
{
    CHECK(log_key != 0);
    if (bytes_get_u32(src + 20) != log_key || bytes_get_u32(src + 24) != 0) {
        return false;
    }
    if (bytes_get_u32(src + CRC_AT) != crc32c(seed, src, CRC_AT)) {
        return false;
    }
    *s = (struct wal_statement){
        .lsn_durable = bytes_get_u64(src),
        .commit = bytes_get_u64(src + 8),
        .page = bytes_get_u32(src + 16),
    };
    return true;
}
