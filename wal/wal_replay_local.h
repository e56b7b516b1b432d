/* SPDX-License-Identifier: Apache-2.0 */
/* The part of wal_replay.h that is the local WAL's: indexes rise and may skip,
 * nothing is replaced, each entry states the index of the one before it. A DROP
 * record is the answer of a recovery mode to the losses before it: entries from
 * its index on are gone, and so are the holes below. */
#ifndef TIDEMARK_WAL_WAL_REPLAY_LOCAL_H
#define TIDEMARK_WAL_WAL_REPLAY_LOCAL_H

#include "wal/wal_replay.h"

/* A slot of known identity, its sequence number already judged. */
void wal_replay_local_slot(struct wal_replay *r, const struct wal_found *s);
void wal_replay_local_end(struct wal_replay *r);

#endif
