/* SPDX-License-Identifier: Apache-2.0 */
/* What an entry of a log does, for people: its commands and the tables that they
 * are about (proto/command.h). */
#ifndef TIDEMARK_CLI_ENTRY_CONTENT_H
#define TIDEMARK_CLI_ENTRY_CONTENT_H

#include <stdbool.h>

#include "base/bytes.h"

/* Zeros are an empty one. Texts are never NULL-terminated by accident: use the functions. */
struct entry_content {
    struct buf
        commands;      /* "write", "part 2/5", "create_table"; ", " between them; equal ones once */
    struct buf tables; /* "metrics.cpu"; the same. Of a part: nothing, it can't be read alone */
    bool readable;     /* false: the payload is no list of commands */
};

/* Reads the payload of a command or metadata entry; what was there before is replaced. */
void entry_content_read(struct entry_content *c, struct bytes payload);
void entry_content_clear(struct entry_content *c);
void entry_content_deinit(struct entry_content *c);

/* Whether one of the items is this, or is this and more words ("part"). */
bool entry_content_has_command(const struct entry_content *c, const char *name);
bool entry_content_has_table(const struct entry_content *c, const char *table);

#endif
