/* SPDX-License-Identifier: Apache-2.0 */
#include "node/level.h"

#include "base/check.h"

enum { LEVELS = WAL_LEVEL_BYRL + 1 };

enum kind {
    SAME,
    /* of a node alone */
    TO_OFF,
    TO_SYNC,
    TO_FLUSH,
    TO_RAFT,
    RAFT_TO_OFF,
    RAFT_TO_SYNC,
    RAFT_TO_FLUSH,
    /* in a cluster */
    ADD_COPY,
    REMOVE_COPY,
    KEEP_COPY,
    KEEP_NONE,
};

#define CLUSTER "in a cluster the Raft log commits at every level: "
#define LOCAL "the local WAL commits from here on: "

static const struct level_plan plans[] = {
    [SAME] = {LEVEL_NOTHING, "it is that level already: nothing was done"},
    [TO_OFF] = {LEVEL_SWITCH, "rows are not logged: those in a checkpoint survive a crash"},
    [TO_SYNC] = {LEVEL_SWITCH, "rows are synced to the local WAL before a write is answered"},
    [TO_FLUSH] = {LEVEL_SWITCH, "rows are with the file system before a write is answered"},
    [TO_RAFT] = {LEVEL_RAFT, "Raft commits from here on: members can be added"},
    [RAFT_TO_OFF] = {LEVEL_LOCAL, LOCAL "rows are not logged"},
    [RAFT_TO_SYNC] = {LEVEL_LOCAL, LOCAL "rows are synced before a write is answered"},
    [RAFT_TO_FLUSH] = {LEVEL_LOCAL,
                       LOCAL "rows are with the file system before a write is answered"},
    [ADD_COPY] = {LEVEL_SWITCH, CLUSTER "the local WAL holds a copy of the rows too"},
    [REMOVE_COPY] = {LEVEL_SWITCH, CLUSTER "the local WAL holds no rows any more"},
    [KEEP_COPY] = {LEVEL_SWITCH, CLUSTER "only whether the local copy is synced has changed"},
    [KEEP_NONE] = {LEVEL_SETTING, CLUSTER "0 is as 3"},
};

/* [from][to] */
static const enum kind alone_kinds[LEVELS][LEVELS] = {
    {SAME, TO_SYNC, TO_FLUSH, TO_RAFT},
    {TO_OFF, SAME, TO_FLUSH, TO_RAFT},
    {TO_OFF, TO_SYNC, SAME, TO_RAFT},
    {RAFT_TO_OFF, RAFT_TO_SYNC, RAFT_TO_FLUSH, SAME},
};

static const enum kind cluster_kinds[LEVELS][LEVELS] = {
    {SAME, ADD_COPY, ADD_COPY, KEEP_NONE},
    {REMOVE_COPY, SAME, KEEP_COPY, REMOVE_COPY},
    {REMOVE_COPY, KEEP_COPY, SAME, REMOVE_COPY},
    {KEEP_NONE, ADD_COPY, ADD_COPY, SAME},
};

struct level_plan level_plan(enum wal_level from, enum wal_level to, bool alone)
{
    CHECK(from <= WAL_LEVEL_BYRL);
    CHECK(to <= WAL_LEVEL_BYRL);
    return plans[alone ? alone_kinds[from][to] : cluster_kinds[from][to]];
}
