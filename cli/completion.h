/* SPDX-License-Identifier: Apache-2.0 */
/* The script by which bash completes command lines of tidemark: commands, flags,
 * choices, file names; made from the table of commands. */
#ifndef TIDEMARK_CLI_COMPLETION_H
#define TIDEMARK_CLI_COMPLETION_H

#include "cli/cli.h"
#include "cli/text_sink.h"

void completion_bash(const struct cli_command *commands, size_t count, struct text_sink *out);

#endif
