/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_scan.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal_mutation.h"

/* Identifiers of the segment in order of offset, read when first needed. */
struct identifiers {
    bool read;
    struct wal_identifier *items;
    size_t count;
    size_t capacity;
};

struct walk {
    const struct wal_scan *scan;
    struct wal_scan_end *end;
    struct identifiers identifiers;
    uint64_t size;    /* of the segment */
    uint64_t nonzero; /* first byte that is not zero, as far as known; see rest_zero() */
};

/* What stands at an offset. NEWER only if it is a record of this log in its place. */
static enum wal_record_check header_at(const struct wal_scan *scan, uint64_t offset,
                                       struct wal_record *r)
{
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(offset >= wal_segment_records_at(scan->layout.segment_size));
    const uint8_t *p = wal_reader_at(scan->reader, offset, WAL_RECORD_HEADER_SIZE);
    uint64_t lsn = wal_lsn_of(&scan->layout, scan->segment, offset);
    if ((wal_record_peek_lsn(p) != lsn && !WAL_MUTATED(ANY_LSN)) ||
        bytes_get_u32(p + 8) != scan->layout.log_key) {
        return WAL_RECORD_BAD;
    }
    enum wal_record_check check = wal_record_decode(p, r);
    if (check == WAL_RECORD_GOOD &&
        ((r->flags & WAL_RECORD_SIDE) != 0 ||
         wal_record_span(r->size) > scan->layout.segment_size - offset)) {
        return WAL_RECORD_BAD;
    }
    return check;
}

static bool room_for_header(const struct walk *w, uint64_t offset)
{
    CHECK(offset <= w->size);
    return offset + WAL_RECORD_HEADER_SIZE <= w->size;
}

/* --- identifiers --- */

/* Pages that are inside the file. */
static uint32_t pages_there(const struct wal_scan *scan)
{
    CHECK(scan->reader->size == scan->layout.segment_size);
    CHECK(scan->reader != NULL);
    uint32_t pages = wal_segment_pages(scan->layout.segment_size);
    uint64_t there = scan->reader->file_size;
    there = there < WAL_SEGMENT_HEADER_SIZE ? 0 : there - WAL_SEGMENT_HEADER_SIZE;
    there /= WAL_IDENTIFIER_PAGE_SIZE;
    return there < pages ? (uint32_t)there : pages;
}

static void read_page(struct walk *w, uint32_t page, uint32_t seed)
{
    CHECK(w->identifiers.count <= w->identifiers.capacity);
    CHECK(page < wal_segment_pages(w->size));
    struct identifiers *ids = &w->identifiers;
    const uint8_t *p = wal_reader_at(
        w->scan->reader, WAL_SEGMENT_HEADER_SIZE + (uint64_t)page * WAL_IDENTIFIER_PAGE_SIZE,
        WAL_IDENTIFIER_PAGE_SIZE);
    for (size_t i = 0; i < WAL_IDENTIFIERS_PER_PAGE; i++) {
        struct wal_identifier id;
        if (!wal_identifier_decode(p + i * WAL_IDENTIFIER_SIZE, seed, &id) ||
            id.offset < wal_segment_records_at(w->size) || id.offset >= w->size ||
            wal_record_span(id.size) > w->size - id.offset) {
            continue;
        }
        if (ids->count > 0 && ids->items[ids->count - 1].offset >= id.offset) {
            continue; /* a page of an earlier time that came back: offsets only rise */
        }
        ids->items = mem_grow(ids->items, &ids->capacity, ids->count + 1, sizeof *ids->items);
        ids->items[ids->count++] = id;
    }
}

static void read_identifiers(struct walk *w)
{
    CHECK(w->identifiers.read || w->identifiers.count == 0);
    if (w->identifiers.read) {
        return;
    }
    w->identifiers.read = true;
    uint32_t seed = wal_identifier_seed(w->scan->segment, w->scan->layout.log_key);
    for (uint32_t page = 0; page < pages_there(w->scan); page++) {
        read_page(w, page, seed);
    }
}

/* The first identifier of a record at or after 'offset'; NULL: none. */
static const struct wal_identifier *identifier_from(struct walk *w, uint64_t offset)
{
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(offset <= w->size);
    read_identifiers(w);
    size_t low = 0;
    size_t high = w->identifiers.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->identifiers.items[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < w->identifiers.count ? &w->identifiers.items[low] : NULL;
}

/* --- facts about a slot --- */

static bool rest_zero(struct walk *w, uint64_t offset)
{
    CHECK(offset < w->size);
    CHECK(offset >= wal_segment_records_at(w->size));
    if (!wal_reader_complete(w->scan->reader)) {
        return false;
    }
    if (w->nonzero < offset) {
        w->nonzero = wal_reader_next_nonzero(w->scan->reader, offset);
    }
    return w->nonzero == w->size;
}

static enum wal_verdict judge_good_header(struct walk *w, uint64_t offset,
                                          const struct wal_record *r)
{
    CHECK(r->lsn == wal_lsn_of(&w->scan->layout, w->scan->segment, offset) || WAL_MUTATED(ANY_LSN));
    CHECK(wal_record_span(r->size) <= w->size - offset);
    const struct wal_scan *s = w->scan;
    uint64_t size = (uint64_t)WAL_RECORD_HEADER_SIZE + r->size;
    struct wal_facts facts = {.header_good = true,
                              .in_file = offset + size <= s->reader->file_size,
                              .in_doubt = r->lsn >= s->lsn_durable,
                              .followed = s->followed};
    facts.payload_good = facts.in_file && wal_reader_crc(s->reader, offset + WAL_RECORD_HEADER_SIZE,
                                                         r->size) == r->payload_crc;
    if (!facts.payload_good && facts.in_file) {
        facts.zero_sector = wal_reader_zero_sector(s->reader, offset, size);
    }
    if (WAL_MUTATED(NEVER_TORN)) {
        facts.zero_sector = false;
    }
    return wal_slot_judge(&facts);
}

static enum wal_verdict judge_bad_header(struct walk *w, uint64_t offset, bool identified)
{
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(room_for_header(w, offset));
    const struct wal_scan *s = w->scan;
    struct wal_facts facts = {
        .in_file = offset + WAL_RECORD_HEADER_SIZE <= s->reader->file_size,
        .in_doubt = wal_lsn_of(&s->layout, s->segment, offset) >= s->lsn_durable,
        .followed = s->followed,
        .identified = identified,
        .rest_zero = rest_zero(w, offset),
    };
    if (facts.in_file) {
        facts.zero_sector = wal_reader_zero_sector(s->reader, offset, WAL_RECORD_HEADER_SIZE);
    }
    if (WAL_MUTATED(NEVER_TORN)) {
        facts.zero_sector = false;
    }
    return wal_slot_judge(&facts);
}

/* --- the walk --- */

/* The next offset where a header may begin: its first eight bytes are never zero. */
static uint64_t next_candidate(struct wal_reader *reader, uint64_t offset)
{
    CHECK(offset < reader->size);
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    uint64_t at = wal_reader_next_nonzero(reader, offset + WAL_RECORD_ALIGNMENT);
    return at / WAL_RECORD_ALIGNMENT * WAL_RECORD_ALIGNMENT;
}

/* Where the walk can go on behind an unknown slot; the segment's size: nowhere. */
static uint64_t next_known(struct walk *w, uint64_t offset)
{
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(room_for_header(w, offset));
    const struct wal_identifier *id = identifier_from(w, offset + WAL_RECORD_ALIGNMENT);
    uint64_t limit = id == NULL || WAL_MUTATED(NO_IDENTIFIERS) ? w->size : id->offset;
    /* Behind the end of a short file there is nothing to find. */
    uint64_t end = limit < w->scan->reader->file_size ? limit : w->scan->reader->file_size;
    for (uint64_t at = next_candidate(w->scan->reader, offset); at < end && room_for_header(w, at);
         at = next_candidate(w->scan->reader, at)) {
        struct wal_record r;
        if (header_at(w->scan, at, &r) != WAL_RECORD_BAD) {
            return at;
        }
    }
    return limit;
}

static void measure_torn(struct walk *w, uint64_t offset)
{
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(w->end->torn);
    CHECK(offset < w->size);
    struct wal_scan_end *end = w->end;
    uint64_t last = offset;
    for (uint64_t at = wal_reader_next_nonzero(w->scan->reader, offset); at < w->size;
         at = wal_reader_next_nonzero(w->scan->reader, last)) {
        last = (at / WAL_RECORD_ALIGNMENT + 1) * WAL_RECORD_ALIGNMENT;
    }
    end->torn_bytes = last - offset;
    end->torn_records = 0;
    for (uint64_t at = offset; at < last && room_for_header(w, at);) {
        struct wal_record r;
        bool good = header_at(w->scan, at, &r) == WAL_RECORD_GOOD;
        end->torn_records += good;
        at += good ? wal_record_span(r.size) : WAL_RECORD_ALIGNMENT;
    }
    end->torn_records += end->torn_records == 0;
}

static void visit(const struct walk *w, const struct wal_found *found)
{
    CHECK(w->scan->visit != NULL);
    CHECK(found->lsn != 0);
    CHECK(found->verdict <= WAL_UNKNOWN);
    w->scan->visit(w->scan->context, found);
}

/* A slot whose header is bad. Returns where to go on; 0: the walk is over. */
static uint64_t step_bad_header(struct walk *w, uint64_t offset)
{
    CHECK(room_for_header(w, offset));
    const struct wal_identifier *id = identifier_from(w, offset);
    bool identified = id != NULL && id->offset == offset;
    if (WAL_MUTATED(NO_IDENTIFIERS)) {
        identified = false;
    }
    struct wal_found found = {.lsn = wal_lsn_of(&w->scan->layout, w->scan->segment, offset)};
    found.verdict = judge_bad_header(w, offset, identified);
    if (WAL_MUTATED(BAD_IS_END)) {
        found.verdict = WAL_TORN;
    }
    switch (found.verdict) {
    case WAL_END:
        return 0;
    case WAL_TORN:
        w->end->torn = true;
        measure_torn(w, offset);
        return 0;
    case WAL_DAMAGED:
        CHECK(identified);
        found.record = (struct wal_record){.type = id->type,
                                           .size = id->size,
                                           .payload_crc = id->payload_crc,
                                           .index = id->index,
                                           .term = id->term,
                                           .frame = id->framed ? UINT64_MAX : 0,
                                           .lsn = found.lsn};
        visit(w, &found);
        return offset + wal_record_span(id->size);
    case WAL_UNKNOWN: {
        visit(w, &found);
        uint64_t next = next_known(w, offset);
        if (next == w->size) {
            w->end->unknown = true;
            return 0;
        }
        return next;
    }
    case WAL_WHOLE:
        break;
    }
    PANIC("a slot with a bad header judged whole");
}

static uint64_t step(struct walk *w, uint64_t offset)
{
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(room_for_header(w, offset));
    CHECK(!w->end->torn && !w->end->unknown);
    struct wal_found found = {.by_header = true};
    switch (header_at(w->scan, offset, &found.record)) {
    case WAL_RECORD_NEWER:
        w->end->newer = true;
        return 0;
    case WAL_RECORD_BAD:
        return step_bad_header(w, offset);
    case WAL_RECORD_GOOD:
        break;
    }
    found.lsn = found.record.lsn;
    found.verdict = judge_good_header(w, offset, &found.record);
    if (WAL_MUTATED(BAD_IS_END) && found.verdict != WAL_WHOLE) {
        found.verdict = WAL_TORN;
    }
    if (found.verdict == WAL_TORN) {
        w->end->torn = true;
        measure_torn(w, offset);
        return 0;
    }
    CHECK(found.verdict == WAL_WHOLE || found.verdict == WAL_DAMAGED);
    visit(w, &found);
    return offset + wal_record_span(found.record.size);
}

void wal_scan_segment(const struct wal_scan *scan, struct wal_scan_end *end)
{
    CHECK(scan->visit != NULL);
    CHECK(scan->segment > 0);
    CHECK(scan->reader->size == scan->layout.segment_size);
    *end = (struct wal_scan_end){0};
    struct walk w = {.scan = scan, .end = end, .size = scan->layout.segment_size};
    uint64_t offset = scan->offset != 0 ? scan->offset : wal_segment_records_at(w.size);
    for (uint64_t next = offset; next != 0 && room_for_header(&w, offset);) {
        next = step(&w, offset);
        offset = next != 0 ? next : offset;
    }
    end->offset = offset;
    mem_free(w.identifiers.items);
}

static void state(uint64_t *value, uint64_t stated)
{
    CHECK(value != NULL);
    if (stated > *value) {
        *value = stated;
    }
}

void wal_scan_statements(const struct wal_scan *scan, uint64_t *lsn_durable, uint64_t *commit)
{
    CHECK(scan->segment > 0);
    CHECK(scan->reader->size == scan->layout.segment_size);
    uint64_t size = scan->layout.segment_size;
    uint64_t segment_end = wal_lsn_of(&scan->layout, scan->segment + 1, 0);
    uint32_t seed = wal_identifier_seed(scan->segment, scan->layout.log_key);
    for (uint32_t page = 0; page < pages_there(scan); page++) {
        uint64_t page_end =
            WAL_SEGMENT_HEADER_SIZE + (uint64_t)(page + 1) * WAL_IDENTIFIER_PAGE_SIZE;
        struct wal_statement s;
        if (wal_statement_decode(
                wal_reader_at(scan->reader, page_end - WAL_IDENTIFIER_SIZE, WAL_IDENTIFIER_SIZE),
                seed, scan->layout.log_key, &s) &&
            s.lsn_durable <= segment_end) {
            state(lsn_durable, s.lsn_durable);
            state(commit, s.commit);
        }
    }
    uint64_t end = scan->reader->file_size;
    for (uint64_t at = wal_segment_records_at(size); at + WAL_RECORD_HEADER_SIZE <= end;) {
        struct wal_record r;
        if (header_at(scan, at, &r) != WAL_RECORD_GOOD) {
            at = next_candidate(scan->reader, at);
            continue;
        }
        if (r.lsn_durable <= r.lsn) { /* nothing is durable before it is written */
            state(lsn_durable, r.lsn_durable);
            state(commit, r.commit);
        }
        at += wal_record_span(r.size);
    }
}

bool wal_scan_has_records(const struct wal_scan *scan)
{
    CHECK(scan->segment > 0);
    CHECK(scan->reader->size == scan->layout.segment_size);
    uint64_t end = scan->reader->file_size;
    for (uint64_t at = wal_segment_records_at(scan->layout.segment_size);
         at + WAL_RECORD_HEADER_SIZE <= end; at = next_candidate(scan->reader, at)) {
        struct wal_record r;
        if (header_at(scan, at, &r) != WAL_RECORD_BAD) {
            return true;
        }
    }
    return false;
}
