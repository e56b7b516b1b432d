/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a log at open: what is in it, and what belongs to it.
 *
 *   DIR/000000010000000000000001        segments (wal_segment.h)
 *   DIR/000000010000000000000001.side   their side files (wal_side.h)
 *   DIR/spare-00000001                  files for later segments (wal_pool.h)
 *   DIR/lost/...                        copies of segments of which a recovery mode
 *                                       dropped something; never removed by the program
 *
 * Segments outside the extent are leftovers of a crash: below it of a cut, above
 * it of a segment that was made and not yet named. Neither holds anything that
 * counts; an intact record above the extent means that the extent is not this
 * log's, and open refuses. */
#ifndef TIDEMARK_WAL_WAL_DIRECTORY_H
#define TIDEMARK_WAL_WAL_DIRECTORY_H

#include "wal/wal_state.h"

struct wal_directory_entry {
    char name[WAL_SEGMENT_NAME_SIZE];
    uint32_t timeline;
    uint64_t number;
    bool header_good;
    bool side;      /* has a side file */
    bool only_side; /* the segment itself is missing */
};

struct wal_directory {
    struct wal_directory_entry *entries; /* by number */
    size_t count;
    size_t capacity;
    unsigned headers_bad;      /* inside the extent */
    uint64_t header_bad_first; /* the first such segment, valid if there is one */
};

void wal_directory_deinit(struct wal_directory *d);
/* Makes or finds the log: fills w->set, w->pool and the writer's extent and
 * timeline. ERR_INVALID, ERR_UNSUPPORTED, ERR_CORRUPT as wal_open() says;
 * nothing was changed then. */
MUST_CHECK enum err_code wal_directory_find(struct wal_directory *d, struct wal *w,
                                            const struct wal_options *options, struct err *e);
/* All entries of side files, in order of LSN. */
MUST_CHECK enum err_code wal_directory_load_sides(const struct wal_directory *d, struct wal *w,
                                                  struct wal_side_list *sides, struct err *e);
/* Makes side files and what was repaired in place durable; a side file that holds
 * nothing is removed. */
MUST_CHECK enum err_code wal_directory_settle_sides(struct wal *w, struct err *e);
/* Makes sure that the segment has a side file, durably: before anything in it is
 * written in place. */
MUST_CHECK enum err_code wal_directory_make_side(struct wal *w, uint64_t segment, struct err *e);
/* Writes segment headers that were found bad again. */
MUST_CHECK enum err_code wal_directory_settle_headers(const struct wal_directory *d, struct wal *w,
                                                      struct err *e);
/* Copies segments first .. last to lost/, durably. */
MUST_CHECK enum err_code wal_directory_set_aside(struct wal *w, uint64_t first, uint64_t last,
                                                 struct err *e);
/* The side file of a segment; made if 'create'. The caller closes it. */
MUST_CHECK enum err_code wal_directory_open_side(struct wal *w, uint64_t segment, bool create,
                                                 struct file **out, struct err *e);

#endif
