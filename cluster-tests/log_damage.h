/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes flipped in the logs of a node that does not run. What can't be done (a log
 * without records) fails the running TEST. */
#ifndef TIDEMARK_CLUSTER_TESTS_LOG_DAMAGE_H
#define TIDEMARK_CLUSTER_TESTS_LOG_DAMAGE_H

#include "cluster-tests/cluster.h"

/* The segment of a log that is written to, and its used records: the bytes from
 * the first record on up to the last that is not zero. */
struct log_place {
    char path[IO_PATH_MAX];
    uint64_t begin, end;
};

/* 'log': "raft" or "wal". The newest segment with records. */
void log_place_find(struct cluster *c, size_t node, const char *log, struct log_place *out);
/* A few times up to 600 bytes in the part [from, until) of the used records, in 1/8. */
void log_damage(struct cluster *c, size_t node, const char *log, unsigned from, unsigned until);

#endif
