/* SPDX-License-Identifier: Apache-2.0 */
/* The segment files of one log: which numbers there are, under which names, and
 * a bounded number of open files.
 *
 *   first .. last       without gaps; a number may be missing as a file
 *
 * A set belongs to the thread of its log. */
#ifndef TIDEMARK_WAL_WAL_SET_H
#define TIDEMARK_WAL_WAL_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/io.h"
#include "wal/wal_segment.h"

enum { WAL_SET_OPEN_FILES_MAX = 32 };

struct wal_set_item {
    uint32_t timeline;
    bool present;      /* the file exists */
    bool side;         /* has a side file */
    struct file *file; /* NULL: not open now */
    uint64_t used;     /* tick of the last use */
};

struct wal_set {
    struct io *io;   /* borrowed */
    const char *dir; /* borrowed */
    struct wal_layout layout;
    uint64_t first;
    struct wal_set_item *items;
    size_t start; /* items before it were removed */
    size_t count;
    size_t capacity;
    size_t open_files;
    uint64_t tick;
};

void wal_set_init(struct wal_set *s, struct io *io, const char *dir,
                  const struct wal_layout *layout, uint64_t first);
void wal_set_deinit(struct wal_set *s); /* closes the files */

static inline uint64_t wal_set_last(const struct wal_set *s)
{
    return s->first + s->count - 1; /* first - 1 when empty */
}

/* The item of a number inside first .. last. Borrowed until the set changes. */
struct wal_set_item *wal_set_at(const struct wal_set *s, uint64_t number);
/* Adds the number after the last, or first .. first: takes 'file' (may be NULL). */
void wal_set_push(struct wal_set *s, const struct wal_set_item *item);
/* Takes the first number out, closing its file. */
void wal_set_shift(struct wal_set *s);
/* Empties the set; the next push is number 'first'. */
void wal_set_clear(struct wal_set *s, uint64_t first);

MUST_CHECK enum err_code wal_set_path(const struct wal_set *s, uint64_t number,
                                      char dst[IO_PATH_MAX], struct err *e);
/* The open file of a number, borrowed until another one is asked for.
 * ERR_NOT_FOUND: the file is missing. */
MUST_CHECK enum err_code wal_set_file(struct wal_set *s, uint64_t number, struct file **out,
                                      struct err *e);

#endif
