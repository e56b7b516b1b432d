/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up what the cluster knows about a table. */
#ifndef TIDEMARK_CLI_TABLE_DEFINITION_H
#define TIDEMARK_CLI_TABLE_DEFINITION_H

#include "base/err.h"
#include "cli/cli.h"
#include "proto/tidemark/v1/admin.pb-c.h"

/* The answer that holds the definition, to be freed with
 * tidemark__v1__list_tables_response__free_unpacked(). ERR_NOT_FOUND: no such
 * database or table, with a suggestion if there is one. */
struct table_lookup {
    Tidemark__V1__ListTablesResponse *answer;
    const Tidemark__V1__TableDefinition *table;
};
MUST_CHECK enum err_code table_lookup(struct cli *cli, const struct cli_table *name,
                                      struct table_lookup *out, struct err *e);
void table_lookup_deinit(struct table_lookup *l);

/* "NAME:TYPE[:not_null]" of a column, appended as an encoded ColumnDefinition inside a
 * TableDefinition; of a tag "NAME:TYPE[:primary][:nullable]". ERR_INVALID. */
MUST_CHECK enum err_code table_put_column(struct buf *definition, const char *text, struct err *e);
MUST_CHECK enum err_code table_put_tag(struct buf *definition, const char *text, struct err *e);

/* The one change that the flags of "table alter" ask for, appended to an AlterTableRequest.
 * *echo: what the answer is where the change was made already. */
MUST_CHECK enum err_code table_put_change(struct buf *request, const struct flag_set *flags,
                                          enum err_code *echo, struct err *e);

#endif
