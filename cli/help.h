/* SPDX-License-Identifier: Apache-2.0 */
/* What --help prints, made from the table of commands. */
#ifndef TIDEMARK_CLI_HELP_H
#define TIDEMARK_CLI_HELP_H

#include <stdio.h>

#include "cli/cli.h"

/* All commands, one line each, and the global flags. */
void help_overview(const struct cli_command *commands, size_t count, FILE *out);
/* The commands whose first word is 'group'. */
void help_group(const struct cli_command *commands, size_t count, const char *group, FILE *out);
/* Everything about one. */
void help_command(const struct cli_command *command, FILE *out);

#endif
