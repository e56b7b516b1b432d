/* SPDX-License-Identifier: Apache-2.0 */
/* The side file of a segment: entries that repair got back and that do not fit
 * their old place exactly (safety.md A8). "<segment's name>.side"; read with the
 * segment and removed with it.
 *
 *   file:  record | record | ...     as in wal_record.h, with flag SIDE and
 *            sequence  offset of the record in this file
 *            frame     lsn of what was lost
 *            lsn       end of the log when the entry was filled in (all below was durable)
 *
 * An empty one says that the segment was being repaired in place: its bytes may be
 * in memory only, so open writes them again.
 *
 * An entry counts as from that position: it fills the hole that stands at its
 * index then and replaces nothing else. Later records replace it as usual. A
 * damaged record of a side file is a hole that shows again. */
#ifndef TIDEMARK_WAL_WAL_SIDE_H
#define TIDEMARK_WAL_WAL_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"
#include "wal/wal_record.h"
#include "wal/wal_segment.h"

struct wal_side_entry {
    struct wal_record record;
    uint64_t segment; /* whose side file */
};

struct wal_side_list {
    struct wal_side_entry *items;
    size_t count;
    size_t capacity;
};

void wal_side_list_deinit(struct wal_side_list *list);
void wal_side_list_sort(struct wal_side_list *list); /* by lsn, then index */

/* "<segment's path>.side" */
MUST_CHECK enum err_code wal_side_path(const char *segment_path, char dst[IO_PATH_MAX],
                                       struct err *e);
/* Appends all intact records to 'list'; *end = where the next one goes. */
MUST_CHECK enum err_code wal_side_load(struct file *file, uint64_t segment, uint32_t log_key,
                                       struct wal_side_list *list, uint64_t *end, struct err *e);
/* Writes what is readable again and syncs: what was read may only have been in
 * memory (safety.md A6). */
MUST_CHECK enum err_code wal_side_settle(struct file *file, struct err *e);
/* Writes, syncs, reads back. 'record' has everything but sequence, size and crc. */
MUST_CHECK enum err_code wal_side_append(struct file *file, uint64_t offset,
                                         struct wal_record *record, struct bytes payload,
                                         struct err *e);

#endif
