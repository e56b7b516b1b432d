/* SPDX-License-Identifier: Apache-2.0 */
/* Databases and tables: names, columns, tags.
 *
 * A catalog is immutable once made: each change makes a new one that shares the
 * tables that did not change, so that a scan keeps the one it began with. Any
 * thread.
 *
 *   encoded:  table_id_next varint | databases varint | name str ...
 *             | tables varint | table ...
 *
 * Table ids are never used again. */
#ifndef TIDEMARK_TSDB_CATALOG_H
#define TIDEMARK_TSDB_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tsdb/table.h"

struct catalog;

struct catalog *catalog_new(void); /* empty; one reference, the caller's */
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c); /* NULL is fine */

size_t catalog_database_count(const struct catalog *c);
const char *catalog_database(const struct catalog *c, size_t i); /* sorted */
bool catalog_has_database(const struct catalog *c, struct bytes name);
size_t catalog_table_count(const struct catalog *c);
/* The version in this catalog of a table in another; NULL: the table is gone. */
struct table *catalog_version(const struct catalog *c, const struct table *t);
struct table *catalog_table(const struct catalog *c, size_t i); /* by database and name */
/* ERR_NOT_FOUND names the database or the table. Borrowed from the catalog. */
MUST_CHECK enum err_code catalog_find(const struct catalog *c, struct bytes database,
                                      struct bytes table, struct table **out, struct err *e);

/* --- changes. 'request' is the encoded tidemark.v1 message of that name. On
 * success *out is the new catalog, the caller's; with if_not_exists it may be
 * one more reference to c. --- */

MUST_CHECK enum err_code catalog_create_database(struct catalog *c, struct bytes request,
                                                 struct catalog **out, struct err *e);
/* ERR_STATE: it has tables, and 'cascade' is not set. */
MUST_CHECK enum err_code catalog_drop_database(struct catalog *c, struct bytes request,
                                               struct catalog **out, struct err *e);
MUST_CHECK enum err_code catalog_create_table(struct catalog *c, struct bytes request,
                                              uint64_t index, struct catalog **out, struct err *e);
MUST_CHECK enum err_code catalog_drop_table(struct catalog *c, struct bytes request,
                                            struct catalog **out, struct err *e);
/* One more version of a table (alteration.h). */
MUST_CHECK enum err_code catalog_alter_table(struct catalog *c, struct bytes request,
                                             struct catalog **out, struct err *e);

/* --- answers and files --- */

/* The encoded ListDatabasesResponse. */
void catalog_list_databases(const struct catalog *c, struct buf *answer);
/* The encoded ListTablesResponse to an encoded ListTablesRequest. */
MUST_CHECK enum err_code catalog_list_tables(const struct catalog *c, struct bytes request,
                                             struct buf *answer, struct err *e);
void catalog_encode(const struct catalog *c, struct buf *out);
/* ERR_CORRUPT. */
MUST_CHECK enum err_code catalog_decode(struct cursor *in, struct catalog **out, struct err *e);

#endif
