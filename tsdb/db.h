/* SPDX-License-Identifier: Apache-2.0 */
/* The struct behind tsdb.h, for the modules that carry out its functions. */
#ifndef TIDEMARK_TSDB_DB_H
#define TIDEMARK_TSDB_DB_H

#include <stdatomic.h>

#include "tsdb/large_change.h"
#include "tsdb/nodes.h"
#include "tsdb/sessions.h"
#include "tsdb/tsdb.h"
#include "tsdb/version.h"
#include "tsdb/write_batch.h"

struct freeze;

struct tsdb {
    struct io *io;
    const struct log *log;
    char dir[IO_PATH_MAX];

    struct versions versions;
    struct sessions *sessions;
    struct nodes nodes;
    struct hash128 nodes_hash; /* of its encoding */
    struct buf configuration;
    uint64_t configuration_index; /* 0: none */

    _Atomic uint64_t applied_index;
    _Atomic uint64_t applied_term;
    _Atomic uint64_t checkpoint_index;
    uint64_t series_id_next;
    uint64_t series_count; /* of all tables */
    uint64_t series_size;  /* bytes of their tags */
    uint64_t generation_next;
    atomic_size_t memory_size;

    struct freeze *freeze; /* FROZEN; NULL: LIVE */
    atomic_bool frozen;
    struct write_batch batch;
    struct large_change large;
    struct buf unpacked; /* commands of the entry that is applied, if they were packed */
};

/* The hash of what the state holds besides rows, series, catalog and settings. */
void db_update_nodes_hash(struct tsdb *db);
/* After rows were stored or memory given back. */
void db_update_memory_size(struct tsdb *db);
/* Series of all tables counted anew (a table is gone). */
void db_count_series(struct tsdb *db);

/* Makes a directory that may be there, durably. */
MUST_CHECK enum err_code db_make_dir(struct io *io, const char *dir, struct err *e);

#endif
