/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_slot.h"

#include <stdint.h>

#include "base/check.h"

enum fact {
    HEADER = 1,
    IN_FILE = 2,
    PAYLOAD = 4,
    IN_DOUBT = 8,
    ZERO_SECTOR = 16,
    REST_ZERO = 32,
    FOLLOWED = 64,
    IDENTIFIED = 128
};

struct row {
    unsigned yes; /* facts that must hold */
    unsigned no;  /* facts that must not */
    enum wal_verdict verdict;
};

static const struct row rows[] = {
    /* The header is good: it says what stands here. */
    {HEADER | IN_FILE | PAYLOAD, 0, WAL_WHOLE},
    {HEADER | IN_FILE | IN_DOUBT | ZERO_SECTOR, PAYLOAD, WAL_TORN},
    {HEADER | IN_FILE | IN_DOUBT, PAYLOAD | ZERO_SECTOR, WAL_DAMAGED},
    {HEADER | IN_FILE, PAYLOAD | IN_DOUBT, WAL_DAMAGED},
    {HEADER, IN_FILE, WAL_DAMAGED},

    /* Zeros to the end of the segment. After the durable position nothing was
     * written here. Before it, the rest of a segment that a later one follows is
     * empty by right (sequence numbers tell if not); otherwise something is gone. */
    {REST_ZERO | IN_DOUBT, HEADER, WAL_END},
    {REST_ZERO | FOLLOWED, HEADER | IN_DOUBT | IDENTIFIED, WAL_END},
    {REST_ZERO, HEADER | IN_DOUBT | FOLLOWED | IDENTIFIED, WAL_UNKNOWN},
    {REST_ZERO | IDENTIFIED, HEADER | IN_DOUBT, WAL_DAMAGED},

    /* Something stands here, or further on. */
    {IN_FILE | IN_DOUBT | ZERO_SECTOR, HEADER | REST_ZERO, WAL_TORN},
    {IN_FILE | IN_DOUBT | IDENTIFIED, HEADER | REST_ZERO | ZERO_SECTOR, WAL_DAMAGED},
    {IN_FILE | IN_DOUBT, HEADER | REST_ZERO | ZERO_SECTOR | IDENTIFIED, WAL_UNKNOWN},
    {IN_DOUBT | IDENTIFIED, HEADER | REST_ZERO | IN_FILE, WAL_DAMAGED},
    {IN_DOUBT, HEADER | REST_ZERO | IN_FILE | IDENTIFIED, WAL_UNKNOWN},
    {IDENTIFIED, HEADER | REST_ZERO | IN_DOUBT, WAL_DAMAGED},
    {0, HEADER | REST_ZERO | IN_DOUBT | IDENTIFIED, WAL_UNKNOWN},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static unsigned pack(const struct wal_facts *f)
{
    return (f->header_good ? HEADER : 0U) | (f->in_file ? IN_FILE : 0U) |
           (f->payload_good ? PAYLOAD : 0U) | (f->in_doubt ? IN_DOUBT : 0U) |
           (f->zero_sector ? ZERO_SECTOR : 0U) | (f->rest_zero ? REST_ZERO : 0U) |
           (f->followed ? FOLLOWED : 0U) | (f->identified ? IDENTIFIED : 0U);
}

static bool matches(const struct row *row, unsigned facts)
{
    CHECK((row->yes & row->no) == 0);
    return (facts & row->yes) == row->yes && (facts & row->no) == 0;
}

enum wal_verdict wal_slot_judge(const struct wal_facts *facts)
{
    unsigned packed = pack(facts);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (matches(&rows[i], packed)) {
            return rows[i].verdict;
        }
    }
    PANIC("no row for slot facts %x", packed);
}

size_t wal_slot_rows_matching(const struct wal_facts *facts)
{
    unsigned packed = pack(facts);
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        count += matches(&rows[i], packed);
    }
    return count;
}

const char *wal_verdict_name(enum wal_verdict verdict)
{
    static const char *const names[] = {
        [WAL_WHOLE] = "whole", [WAL_DAMAGED] = "damaged", [WAL_UNKNOWN] = "unknown",
        [WAL_TORN] = "torn",   [WAL_END] = "end",
    };
    CHECK((size_t)verdict < sizeof names / sizeof names[0]);
    return names[verdict];
}
