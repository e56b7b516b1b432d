/* SPDX-License-Identifier: Apache-2.0 */
/* tidemarkd salvage SRC NEWDIR: what still checks in the directory of a node that
 * can't be helped any more, as the directory of a new node alone in a new cluster.
 *
 *   SRC/tsdb  the newest checkpoint whose manifest checks, with the parts that check
 *   SRC/raft  then the entries that the Raft log holds whole, without members,
 *   SRC/wal   and those of the local WAL, which was written after they were committed
 *
 * in order of index, whatever is missing between them: the rule of
 * skip_any_corrupted_records, for both logs. An index that both logs hold is the local
 * WAL's. Entries that nobody knows to be committed are kept too.
 *
 * SRC is never written to; a running node keeps its directory. NEWDIR must be empty
 * or not there. Its cluster id and directory id are new: it is another cluster,
 * and the old one must not be started beside it for the same clients. Until
 * salvage_run() returns ERR_OK, NEWDIR is of no use; remove it and run again. */
#ifndef TIDEMARK_NODE_SALVAGE_H
#define TIDEMARK_NODE_SALVAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "io/io.h"

struct salvage_options {
    struct io *io;
    const struct log *log; /* may be NULL */
    const char *from;
    const char *to;
    const char *name; /* of the new node */
    uint64_t segment_size;
};

struct salvage_figures {
    uint64_t checkpoint_index; /* 0: none */
    unsigned parts_kept, parts_dropped;
    uint64_t rows_dropped;
    uint64_t entries_kept; /* applied on top of the checkpoint */
    uint64_t entries_bad;  /* whole, but no commands, or of a term that fell */
    uint64_t commands_refused;
    uint64_t slots_lost; /* of both logs, and what is missing without a slot */
    uint64_t commit;     /* highest commit index that is stated anywhere */
    uint64_t index;      /* of the last entry kept */
    uint64_t cluster_id, directory_id;
};

/* 'text' gets the report for people, a line each: what was kept, and everything
 * that was dropped. ERR_STATE: a node runs in 'from'. ERR_EXISTS: 'to' is not
 * empty. ERR_NOT_FOUND: nothing in 'from' can be read. Others: of 'to'. */
MUST_CHECK enum err_code salvage_run(const struct salvage_options *options,
                                     struct salvage_figures *figures, struct buf *text,
                                     struct err *e);

#endif
