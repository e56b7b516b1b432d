/* SPDX-License-Identifier: Apache-2.0 */
/* A segment read from front to back through one bounded window.
 *
 * A segment has its full size by right: bytes behind the end of a short file,
 * and bytes that the disk refuses to give, read as WAL_READER_POISON, which
 * matches no checksum and is not zero. So a read error is damage like any other
 * and never looks like the end of the log.
 *
 * A reader belongs to one thread. */
#ifndef TIDEMARK_WAL_WAL_READER_H
#define TIDEMARK_WAL_WAL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

enum {
    WAL_READER_WINDOW_SIZE = 256 * 1024,
    WAL_READER_SPAN_MAX = 64 * 1024, /* of one wal_reader_at() */
    WAL_READER_POISON = 0xdb
};

struct wal_reader {
    struct file *file;  /* borrowed; NULL: every byte is poison */
    uint64_t file_size; /* what is there of 'size' */
    uint64_t size;
    uint8_t *window;
    uint64_t base; /* offset of window[0] */
    size_t filled;
    uint64_t unreadable; /* bytes that the disk refused so far */
};

/* Memory is kept from one segment to the next. */
void wal_reader_init(struct wal_reader *r);
void wal_reader_deinit(struct wal_reader *r);
/* Borrows 'file' until the next start. ERR_IO: even its size is not known. */
MUST_CHECK enum err_code wal_reader_start(struct wal_reader *r, struct file *file,
                                          uint64_t segment_size, struct err *e);

/* 'size' bytes at 'offset', inside the segment; borrowed until the next call. */
const uint8_t *wal_reader_at(struct wal_reader *r, uint64_t offset, size_t size);

/* Whether the file is as long as the segment should be. */
bool wal_reader_complete(const struct wal_reader *r);
/* Offset of the first byte at or after 'from' that is not zero; the size: none. */
uint64_t wal_reader_next_nonzero(struct wal_reader *r, uint64_t from);
/* Whether the bytes of some 512-byte sector within [offset, offset + size) are all zero. */
bool wal_reader_zero_sector(struct wal_reader *r, uint64_t offset, uint64_t size);
/* Appends a range of any size to 'out'. */
void wal_reader_copy(struct wal_reader *r, uint64_t offset, uint64_t size, struct buf *out);
uint32_t wal_reader_crc(struct wal_reader *r, uint64_t offset, uint64_t size);

#endif
