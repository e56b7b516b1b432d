/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a log, step by step; wal_open() is this.
 *
 *   find      the directory's segments, spares and side files; refuse what is
 *             not this log's; forget what lies outside the extent
 *   state     the durable position that is stated anywhere goes into the extent
 *             before anything in the log is changed (safety.md A3)
 *   replay    every slot of every segment, judged, into the table
 *   decide    local WAL: what its recovery mode says to losses
 *   settle    what may only be in memory is written again, what is torn is
 *             zeroed, all of it synced (wal_settle.h)
 *   go on     the writer stands at the end; the new end goes into the extent
 *
 * Each step may be interrupted by a crash and is repeated from the start with
 * the same outcome. */
#ifndef TIDEMARK_WAL_WAL_RECOVERY_H
#define TIDEMARK_WAL_WAL_RECOVERY_H

#include "wal/wal_state.h"

/* 'w' has been initialised from the options and is deinitialised by the caller
 * after an error. */
MUST_CHECK enum err_code wal_recover(struct wal *w, const struct wal_options *options,
                                     struct wal_report *report, struct err *e);

#endif
