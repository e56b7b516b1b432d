/* SPDX-License-Identifier: Apache-2.0 */
/* What a change of ts.wal.wal_level takes: a table of all of them.
 *
 * Raft runs if the level is 3 or there is more than one member (safety.md F1). So
 * a node alone changes the way it commits between 3 and the others, and a
 * cluster never does: there a level only adds or removes local copies. */
#ifndef TIDEMARK_NODE_LEVEL_H
#define TIDEMARK_NODE_LEVEL_H

#include <stdbool.h>

#include "node/control.h"

enum level_step {
    LEVEL_NOTHING, /* it is the level already */
    LEVEL_SETTING, /* only the setting: both levels log the same */
    LEVEL_SWITCH,  /* writes wait, checkpoint, then the setting */
    LEVEL_RAFT,    /* the same, and an era of the Raft log begins between the two */
    LEVEL_LOCAL,   /* the same, and an era of the local WAL begins between the two */
};

struct level_plan {
    enum level_step step;
    const char *note; /* for the one who asked, once it is done */
};

/* 'alone': there is no other member, not even a spare. */
struct level_plan level_plan(enum wal_level from, enum wal_level to, bool alone);

#endif
