/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_settle.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal_mutation.h"

enum { CHUNK_SIZE = 256 * 1024, SECTOR_SIZE = 512 };

static enum err_code write_bytes(struct file *file, uint64_t offset, const uint8_t *data,
                                 size_t size, struct err *e)
{
    CHECK(data != NULL);
    CHECK(file != NULL);
    CHECK(size > 0);
    struct bytes part = bytes_of(data, size);
    return file_write_at(file, offset, &part, 1, e);
}

/* Writes one range as it reads; sectors that can't be read stay as they are. */
static enum err_code rewrite_chunk(struct file *file, uint64_t at, uint8_t *chunk, size_t size,
                                   struct err *e)
{
    CHECK(file != NULL && chunk != NULL);
    CHECK(size > 0);
    CHECK(size <= CHUNK_SIZE);
    size_t got = 0;
    if (file_read_at(file, at, chunk, size, &got, NULL) == ERR_OK) {
        return got == 0 ? ERR_OK : write_bytes(file, at, chunk, got, e);
    }
    for (size_t part = 0; part < size;) {
        size_t step = SECTOR_SIZE - (size_t)((at + part) % SECTOR_SIZE);
        step = step < size - part ? step : size - part;
        if (file_read_at(file, at + part, chunk, step, &got, NULL) == ERR_OK && got > 0) {
            enum err_code code = write_bytes(file, at + part, chunk, got, e);
            if (code != ERR_OK) {
                return code;
            }
        }
        part += step;
    }
    return ERR_OK;
}

static enum err_code rewrite(struct file *file, uint64_t from, uint64_t to, struct err *e)
{
    CHECK(file != NULL);
    CHECK(to > WAL_SEGMENT_HEADER_SIZE); /* 'from' may be above it: durable bytes that are gone */
    if (WAL_MUTATED(NO_SETTLE)) {
        return ERR_OK;
    }
    uint8_t *chunk = mem_alloc(CHUNK_SIZE);
    enum err_code code = ERR_OK;
    for (uint64_t at = from; code == ERR_OK && at < to;) {
        size_t size = to - at < CHUNK_SIZE ? (size_t)(to - at) : CHUNK_SIZE;
        code = rewrite_chunk(file, at, chunk, size, e);
        at += size;
    }
    mem_free(chunk);
    return code;
}

static enum err_code zero(struct file *file, uint64_t from, uint64_t to, struct err *e)
{
    CHECK(file != NULL);
    CHECK(from <= to);
    uint8_t *zeros = mem_zalloc(CHUNK_SIZE);
    enum err_code code = ERR_OK;
    for (uint64_t at = from; code == ERR_OK && at < to;) {
        size_t size = to - at < CHUNK_SIZE ? (size_t)(to - at) : CHUNK_SIZE;
        code = write_bytes(file, at, zeros, size, e);
        at += size;
    }
    mem_free(zeros);
    return code;
}

static enum err_code write_identifiers(struct wal_writer *w, const struct wal_settle *s,
                                       struct err *e)
{
    CHECK(!s->end_unknown);
    CHECK(s->identifiers != NULL || s->identifier_count == 0);
    uint32_t pages = wal_segment_pages(w->layout.segment_size);
    uint32_t used = (s->identifier_count + WAL_IDENTIFIERS_PER_PAGE - 1) / WAL_IDENTIFIERS_PER_PAGE;
    CHECK(used <= pages);
    enum err_code code = ERR_OK;
    for (uint32_t page = 0; code == ERR_OK && page < used; page++) {
        uint32_t first = page * WAL_IDENTIFIERS_PER_PAGE;
        uint32_t count = s->identifier_count - first;
        count = count < WAL_IDENTIFIERS_PER_PAGE ? count : WAL_IDENTIFIERS_PER_PAGE;
        uint8_t *dst = wal_writer_page(w, page);
        memset(dst, 0, WAL_IDENTIFIER_PAGE_SIZE);
        memcpy(dst, s->identifiers + (size_t)first * WAL_IDENTIFIER_SIZE,
               (size_t)count * WAL_IDENTIFIER_SIZE);
        wal_writer_encode_page(w, s->segment, page, dst);
        code = write_bytes(s->file,
                           WAL_SEGMENT_HEADER_SIZE + (uint64_t)page * WAL_IDENTIFIER_PAGE_SIZE, dst,
                           WAL_IDENTIFIER_PAGE_SIZE, e);
    }
    if (code == ERR_OK && !WAL_MUTATED(IDENTIFIERS_STAY)) {
        code = zero(s->file, WAL_SEGMENT_HEADER_SIZE + (uint64_t)used * WAL_IDENTIFIER_PAGE_SIZE,
                    wal_segment_records_at(w->layout.segment_size), e);
    }
    w->identifiers = s->identifier_count;
    w->page_dirty = false;
    return code;
}

enum err_code wal_settle_segment(struct wal_writer *w, const struct wal_settle *s, struct err *e)
{
    CHECK(!w->broken);
    CHECK(s->file != NULL);
    CHECK(s->segment > 0);
    uint64_t size = w->layout.segment_size;
    uint64_t records = wal_segment_records_at(size);
    CHECK(s->from >= records);
    CHECK(s->end >= records && s->end <= size);
    enum err_code code;
    if (s->end_unknown) {
        code = rewrite(s->file, WAL_SEGMENT_HEADER_SIZE, records, e);
        if (code == ERR_OK) {
            code = rewrite(s->file, s->from, size, e);
        }
    } else {
        code = rewrite(s->file, s->from, s->end, e);
        if (code == ERR_OK && !WAL_MUTATED(TORN_STAYS)) {
            code = zero(s->file, s->end, size, e);
        }
        if (code == ERR_OK) {
            code = write_identifiers(w, s, e);
        }
    }
    return code == ERR_OK && !WAL_MUTATED(SETTLE_NO_SYNC) ? file_sync(s->file, e) : code;
}

enum err_code wal_settle_records(struct file *file, uint64_t segment_size, struct err *e)
{
    CHECK(file != NULL);
    CHECK(wal_segment_size_valid(segment_size));
    enum err_code code = rewrite(file, wal_segment_records_at(segment_size), segment_size, e);
    return code == ERR_OK ? file_sync(file, e) : code;
}

enum err_code wal_settle_header(const struct wal_writer *w, struct file *file, uint64_t segment,
                                uint32_t timeline, struct err *e)
{
    CHECK(timeline > 0);
    CHECK(file != NULL);
    CHECK(segment > 0);
    const struct wal_segment_header header = {
        .role = (unsigned)w->role,
        .timeline = timeline,
        .cluster_id = w->cluster_id,
        .directory_id = w->directory_id,
        .number = segment,
        .segment_size = w->layout.segment_size,
    };
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    wal_segment_header_encode(&header, bytes);
    enum err_code code = write_bytes(file, 0, bytes, sizeof bytes, e);
    return code == ERR_OK ? file_sync(file, e) : code;
}
