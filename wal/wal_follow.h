/* SPDX-License-Identifier: Apache-2.0 */
/* Reading along with a log that is written meanwhile, by this or another process:
 * tidemark wal dump --follow. Files are only read, no lock is taken, and nothing
 * that the writer does waits for it.
 *
 *   wal_follow_open ──► wal_follow_poll, again and again ──► wal_follow_close
 *
 * A record is shown once it is whole in the file system, which may be before it is
 * synced. A slot that is not whole is waited for while it stands at the end of the
 * log; once a later segment was begun it is shown as what it is: nobody will finish it.
 * The states of wal_inspect.h need the whole log: here a whole slot is "held", any
 * other "lost". Segments that were cut before they were read are shown as a problem. */
#ifndef TIDEMARK_WAL_WAL_FOLLOW_H
#define TIDEMARK_WAL_WAL_FOLLOW_H

#include "wal/wal_inspect.h"

struct wal_follow;

/* Begins at the lowest segment. Errors as wal_inspect() has. */
MUST_CHECK enum err_code wal_follow_open(struct io *io, const char *dir, struct wal_follow **out,
                                         struct err *e);
/* Shows what has come since. Does not wait. 'slot' returning false ends the call;
 * the next one goes on behind it. */
MUST_CHECK enum err_code wal_follow_poll(struct wal_follow *f, const struct wal_visitor *visitor,
                                         struct err *e);
void wal_follow_close(struct wal_follow *f); /* NULL is fine */

#endif
