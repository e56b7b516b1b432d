/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"

enum { CRC_AT = WAL_SEGMENT_HEADER_SIZE - 4, HEX_DIGITS = 8 };

static const uint32_t MAGIC = 0x474c4d54; /* "TMLG" */
static const uint64_t NAME_UNIT = UINT64_C(1) << 32;

uint32_t wal_log_key(uint64_t directory_id, unsigned role)
{
    CHECK(role > 0);
    uint8_t bytes[12];
    bytes_put_u64(bytes, directory_id);
    bytes_put_u32(bytes + 8, role);
    uint32_t key = crc32c(0, bytes, sizeof bytes);
    return key == 0 ? 1 : key; /* 0 would look like zeros ahead */
}

bool wal_segment_size_valid(uint64_t size)
{
    return size >= WAL_SEGMENT_SIZE_MIN && size <= WAL_SEGMENT_SIZE_MAX && (size & (size - 1)) == 0;
}

void wal_segment_name(const struct wal_layout *l, uint32_t timeline, uint64_t number,
                      char dst[WAL_SEGMENT_NAME_SIZE])
{
    CHECK(number > 0);
    CHECK(wal_segment_size_valid(l->segment_size));
    uint64_t per_unit = NAME_UNIT / l->segment_size;
    CHECK(number / per_unit <= UINT32_MAX);
    int size = snprintf(dst, WAL_SEGMENT_NAME_SIZE, "%08" PRIX32 "%08" PRIX32 "%08" PRIX32,
                        timeline, (uint32_t)(number / per_unit), (uint32_t)(number % per_unit));
    CHECK(size == WAL_SEGMENT_NAME_SIZE - 1);
}

static bool parse_hex(const char *digits, uint32_t *value)
{
    CHECK(digits != NULL && value != NULL);
    *value = 0;
    for (unsigned i = 0; i < HEX_DIGITS; i++) {
        char c = digits[i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A') + 10;
        } else {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

bool wal_segment_name_parse(uint64_t segment_size, const char *name, uint32_t *timeline,
                            uint64_t *number)
{
    CHECK(name != NULL);
    CHECK(timeline != NULL && number != NULL);
    CHECK(wal_segment_size_valid(segment_size));
    uint64_t per_unit = NAME_UNIT / segment_size;
    uint32_t high;
    uint32_t low;
    if (strlen(name) != WAL_SEGMENT_NAME_SIZE - 1 || !parse_hex(name, timeline) ||
        !parse_hex(name + HEX_DIGITS, &high) ||
        !parse_hex(name + (ptrdiff_t)(2 * HEX_DIGITS), &low) || low >= per_unit) {
        return false;
    }
    *number = high * per_unit + low;
    return *number > 0 && *timeline > 0;
}

void wal_segment_header_encode(const struct wal_segment_header *h,
                               uint8_t dst[WAL_SEGMENT_HEADER_SIZE])
{
    CHECK(h->timeline > 0);
    CHECK(wal_segment_size_valid(h->segment_size));
    CHECK(h->number > 0);
    CHECK(h->role > 0 && h->role <= UINT16_MAX);

    memset(dst, 0, WAL_SEGMENT_HEADER_SIZE);
    bytes_put_u32(dst, MAGIC);
    bytes_put_u16(dst + 4, WAL_SEGMENT_FORMAT);
    bytes_put_u16(dst + 6, (uint16_t)h->role);
    bytes_put_u64(dst + 8, h->cluster_id);
    bytes_put_u64(dst + 16, h->directory_id);
    bytes_put_u32(dst + 24, h->timeline);
    bytes_put_u64(dst + 32, h->number);
    bytes_put_u64(dst + 40, h->segment_size);
    bytes_put_u64(dst + 48, h->index_first);
    bytes_put_u64(dst + 56, h->sequence_first);
    bytes_put_u32(dst + CRC_AT, crc32c(0, dst, CRC_AT));
}

enum wal_record_check wal_segment_header_decode(const uint8_t src[WAL_SEGMENT_HEADER_SIZE],
                                                struct wal_segment_header *h)
{
    CHECK(src != NULL && h != NULL);
    if (bytes_get_u32(src) != MAGIC || bytes_get_u32(src + CRC_AT) != crc32c(0, src, CRC_AT)) {
        return WAL_RECORD_BAD;
    }
    if (bytes_get_u16(src + 4) != WAL_SEGMENT_FORMAT) {
        return WAL_RECORD_NEWER;
    }
    struct wal_segment_header read = {
        .role = bytes_get_u16(src + 6),
        .timeline = bytes_get_u32(src + 24),
        .cluster_id = bytes_get_u64(src + 8),
        .directory_id = bytes_get_u64(src + 16),
        .number = bytes_get_u64(src + 32),
        .segment_size = bytes_get_u64(src + 40),
        .index_first = bytes_get_u64(src + 48),
        .sequence_first = bytes_get_u64(src + 56),
    };
    if (!wal_segment_size_valid(read.segment_size) || read.number == 0 || read.timeline == 0 ||
        read.role == 0) {
        return WAL_RECORD_BAD;
    }
    *h = read;
    return WAL_RECORD_GOOD;
}
