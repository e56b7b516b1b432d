/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_record.h"

#include <stddef.h>

#include "base/check.h"
#include "base/crc32c.h"

enum { CRC_SIZE = 4 };

static const char *const type_names[] = {
    [WAL_RECORD_COMMAND] = "command", [WAL_RECORD_BARRIER] = "barrier",
    [WAL_RECORD_CHANGE] = "change",   [WAL_RECORD_METADATA] = "metadata",
    [WAL_RECORD_DROP] = "drop",       [WAL_RECORD_MARK] = "mark",
    [WAL_RECORD_BEGIN] = "begin",     [WAL_RECORD_END] = "end",
};

enum { TYPE_COUNT = sizeof type_names / sizeof type_names[0] };

_Static_assert(TYPE_COUNT <= 16, "an identifier has four bits for the type");

bool wal_record_type_known(unsigned type)
{
    return type < TYPE_COUNT && type_names[type] != NULL;
}

const char *wal_record_type_name(enum wal_record_type type)
{
    CHECK(wal_record_type_known(type));
    return type_names[type];
}

void wal_record_encode(const struct wal_record *r, uint8_t dst[WAL_RECORD_HEADER_SIZE])
{
    CHECK(dst != NULL);
    CHECK(wal_record_type_known(r->type));
    CHECK(r->lsn != 0);
    CHECK(r->lsn % WAL_RECORD_ALIGNMENT == 0);
    CHECK(wal_record_span(r->size) <= WAL_RECORD_SIZE_MAX);

    dst[4] = WAL_RECORD_VERSION;
    dst[5] = (uint8_t)r->type;
    dst[6] = r->flags;
    dst[7] = 0;
    bytes_put_u32(dst + 8, r->log_key);
    bytes_put_u32(dst + 12, r->size);
    bytes_put_u32(dst + 16, r->size_plain);
    bytes_put_u32(dst + 20, r->payload_crc);
    bytes_put_u64(dst + 24, r->sequence);
    bytes_put_u64(dst + 32, r->index);
    bytes_put_u64(dst + 40, r->term);
    bytes_put_u64(dst + 48, r->before);
    bytes_put_u64(dst + 56, r->commit);
    bytes_put_u64(dst + 64, r->lsn_durable);
    bytes_put_u64(dst + 72, r->vgroups);
    bytes_put_u64(dst + 80, r->frame);
    bytes_put_u64(dst + 88, r->lsn);
    bytes_put_u32(dst, crc32c(0, dst + CRC_SIZE, WAL_RECORD_HEADER_SIZE - CRC_SIZE));
}

enum wal_record_check wal_record_decode(const uint8_t src[WAL_RECORD_HEADER_SIZE],
                                        struct wal_record *r)
{
    CHECK(src != NULL && r != NULL);
    if (bytes_get_u32(src) != crc32c(0, src + CRC_SIZE, WAL_RECORD_HEADER_SIZE - CRC_SIZE)) {
        return WAL_RECORD_BAD;
    }
    if (src[4] == 0 && src[5] == 0) {
        return WAL_RECORD_BAD; /* whatever it is, no version ever wrote it */
    }
    if (src[4] != WAL_RECORD_VERSION || !wal_record_type_known(src[5])) {
        return WAL_RECORD_NEWER;
    }
    uint32_t size = bytes_get_u32(src + 12);
    uint64_t lsn = bytes_get_u64(src + 88);
    if (wal_record_span(size) > WAL_RECORD_SIZE_MAX || lsn == 0) {
        return WAL_RECORD_BAD;
    }
    *r = (struct wal_record){
        .type = (enum wal_record_type)src[5],
        .flags = src[6],
        .log_key = bytes_get_u32(src + 8),
        .size = size,
        .size_plain = bytes_get_u32(src + 16),
        .payload_crc = bytes_get_u32(src + 20),
        .sequence = bytes_get_u64(src + 24),
        .index = bytes_get_u64(src + 32),
        .term = bytes_get_u64(src + 40),
        .before = bytes_get_u64(src + 48),
        .commit = bytes_get_u64(src + 56),
        .lsn_durable = bytes_get_u64(src + 64),
        .vgroups = bytes_get_u64(src + 72),
        .frame = bytes_get_u64(src + 80),
        .lsn = lsn,
    };
    return WAL_RECORD_GOOD;
}
