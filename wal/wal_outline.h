/* SPDX-License-Identifier: Apache-2.0 */
/* What the directory of a log looks like from outside: which log it is, and which
 * segment files it has. Nothing is written, no lock is taken; numbers between the
 * lowest and the highest that have no file are missing, what may be missing before
 * and behind them only an extent could tell.
 *
 *   wal_outline_open ──► (opened, also when it failed) ──► wal_outline_close */
#ifndef TIDEMARK_WAL_WAL_OUTLINE_H
#define TIDEMARK_WAL_WAL_OUTLINE_H

#include "wal/wal.h"
#include "wal/wal_segment.h"
#include "wal/wal_set.h"

struct wal_outline {
    struct io *io;   /* borrowed */
    const char *dir; /* borrowed */
    struct io_name *names;
    size_t name_count;
    enum wal_role role;
    struct wal_layout layout; /* log_key 0: not identified */
    struct wal_set set;
    unsigned headers_bad;
};

/* ERR_NOT_FOUND: no segment. ERR_CORRUPT: no segment header is intact, or the
 * names don't make a log. ERR_UNSUPPORTED: a newer format. */
MUST_CHECK enum err_code wal_outline_open(struct wal_outline *o, struct io *io, const char *dir,
                                          struct err *e);
void wal_outline_close(struct wal_outline *o);
/* Whether the header of a segment that is there is intact and its own. */
MUST_CHECK enum err_code wal_outline_header(struct wal_outline *o, uint64_t segment, bool *good,
                                            struct err *e);

#endif
