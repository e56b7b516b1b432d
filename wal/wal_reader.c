/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_reader.h"

#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"

/* The unit that a disk writes as a whole, no more is assumed. A range that could
 * not be read at once is tried again by the page, a page by the sector. */
enum { SECTOR_SIZE = 512, PAGE_SIZE = 4096 };

void wal_reader_init(struct wal_reader *r)
{
    CHECK(r != NULL);
    *r = (struct wal_reader){.window = mem_alloc(WAL_READER_WINDOW_SIZE)};
}

void wal_reader_deinit(struct wal_reader *r)
{
    CHECK(r != NULL);
    mem_free(r->window);
    *r = (struct wal_reader){0};
}

enum err_code wal_reader_start(struct wal_reader *r, struct file *file, uint64_t segment_size,
                               struct err *e)
{
    CHECK(r->window != NULL);
    CHECK(segment_size >= WAL_READER_SPAN_MAX);
    uint64_t file_bytes = 0;
    if (file != NULL) {
        enum err_code code = file_size(file, &file_bytes, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    r->file = file;
    r->size = segment_size;
    r->file_size = file_bytes < segment_size ? file_bytes : segment_size;
    r->base = 0;
    r->filled = 0;
    r->unreadable = 0;
    return ERR_OK;
}

/* One read that must give all its bytes; false: not with this disk. */
static bool read_all(struct wal_reader *r, uint64_t offset, uint8_t *dst, size_t size)
{
    CHECK(r->file != NULL);
    CHECK(offset + size <= r->file_size);
    size_t got = 0;
    return file_read_at(r->file, offset, dst, size, &got, NULL) == ERR_OK && got == size;
}

/* Reads in pieces; what can't be had becomes poison. */
static void read_pieces(struct wal_reader *r, uint64_t offset, uint8_t *dst, size_t size)
{
    CHECK(offset % PAGE_SIZE == 0);
    CHECK(offset + size <= r->file_size);
    for (size_t at = 0; at < size; at += PAGE_SIZE) {
        size_t page = size - at < PAGE_SIZE ? size - at : PAGE_SIZE;
        if (read_all(r, offset + at, dst + at, page)) {
            continue;
        }
        for (size_t in = at; in < at + page; in += SECTOR_SIZE) {
            size_t sector = at + page - in < SECTOR_SIZE ? at + page - in : SECTOR_SIZE;
            if (!read_all(r, offset + in, dst + in, sector)) {
                memset(dst + in, WAL_READER_POISON, sector);
                r->unreadable += sector;
            }
        }
    }
}

static void fill(struct wal_reader *r, uint64_t offset)
{
    CHECK(offset < r->size);
    r->base = offset / PAGE_SIZE * PAGE_SIZE;
    uint64_t left = r->size - r->base;
    r->filled = left < WAL_READER_WINDOW_SIZE ? (size_t)left : WAL_READER_WINDOW_SIZE;
    size_t there = 0;
    if (r->file_size > r->base) {
        uint64_t more = r->file_size - r->base;
        there = more < r->filled ? (size_t)more : r->filled;
    }
    memset(r->window + there, WAL_READER_POISON, r->filled - there);
    if (there > 0 && !read_all(r, r->base, r->window, there)) {
        read_pieces(r, r->base, r->window, there);
    }
}

const uint8_t *wal_reader_at(struct wal_reader *r, uint64_t offset, size_t size)
{
    CHECK(r->window != NULL);
    CHECK(size <= WAL_READER_SPAN_MAX);
    CHECK(offset <= r->size && size <= r->size - offset);
    if (offset < r->base || offset + size > r->base + r->filled) {
        fill(r, offset);
        CHECK(offset + size <= r->base + r->filled);
    }
    return r->window + (offset - r->base);
}

bool wal_reader_complete(const struct wal_reader *r)
{
    CHECK(r->file_size <= r->size);
    return r->file_size == r->size;
}

static size_t chunk(const struct wal_reader *r, uint64_t at, uint64_t end)
{
    CHECK(at < end && end <= r->size);
    uint64_t left = end - at;
    return left < WAL_READER_SPAN_MAX ? (size_t)left : WAL_READER_SPAN_MAX;
}

/* How many of the bytes are zero before the first that is not. */
static size_t zeros_before(const uint8_t *p, size_t size)
{
    CHECK(p != NULL || size == 0);
    enum { WORD = 8, BLOCK = 4096 };
    size_t at = 0;
    while (size - at >= WORD) {
        /* Comparing bytes with themselves one further on is what memcmp is fast at. */
        if (size - at >= BLOCK && p[at] == 0 && p[at + WORD] == 0 &&
            memcmp(p + at, p + at + 1, BLOCK - 1) == 0) {
            at += BLOCK;
            continue;
        }
        uint64_t word;
        memcpy(&word, p + at, sizeof word);
        if (word != 0) {
            break;
        }
        at += WORD;
    }
    while (at < size && p[at] == 0) {
        at++;
    }
    return at;
}

static bool all_zero(const uint8_t *p, size_t size)
{
    CHECK(p != NULL || size == 0);
    return zeros_before(p, size) == size;
}

uint64_t wal_reader_next_nonzero(struct wal_reader *r, uint64_t from)
{
    CHECK(from <= r->size);
    uint64_t at = from;
    while (at < r->size) {
        size_t size = chunk(r, at, r->size);
        const uint8_t *p = wal_reader_at(r, at, size);
        size_t zeros = zeros_before(p, size);
        at += zeros;
        if (zeros < size) {
            return at;
        }
    }
    return r->size;
}

bool wal_reader_zero_sector(struct wal_reader *r, uint64_t offset, uint64_t size)
{
    CHECK(size > 0);
    CHECK(offset + size <= r->size);
    uint64_t end = offset + size;
    for (uint64_t at = offset; at < end;) {
        uint64_t next = (at / SECTOR_SIZE + 1) * SECTOR_SIZE;
        uint64_t stop = next < end ? next : end;
        if (all_zero(wal_reader_at(r, at, (size_t)(stop - at)), (size_t)(stop - at))) {
            return true;
        }
        at = stop;
    }
    return false;
}

uint32_t wal_reader_crc(struct wal_reader *r, uint64_t offset, uint64_t size)
{
    CHECK(offset + size <= r->size);
    uint32_t crc = 0;
    uint64_t end = offset + size;
    for (uint64_t at = offset; at < end;) {
        size_t part = chunk(r, at, end);
        crc = crc32c(crc, wal_reader_at(r, at, part), part);
        at += part;
    }
    return crc;
}

void wal_reader_copy(struct wal_reader *r, uint64_t offset, uint64_t size, struct buf *out)
{
    CHECK(offset + size <= r->size);
    CHECK(out != NULL);
    uint64_t end = offset + size;
    for (uint64_t at = offset; at < end;) {
        size_t part = chunk(r, at, end);
        buf_put(out, wal_reader_at(r, at, part), part);
        at += part;
    }
}
