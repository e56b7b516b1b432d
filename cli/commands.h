/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all commands, in the order of the help. */
#ifndef TIDEMARK_CLI_COMMANDS_H
#define TIDEMARK_CLI_COMMANDS_H

#include "cli/cli.h"

const struct cli_command *commands_all(size_t *count);

/* Each file command_*.c gives some. */
struct cli_commands {
    const struct cli_command *items;
    size_t count;
};

struct cli_commands commands_of_status(void);
struct cli_commands commands_of_settings(void);
struct cli_commands commands_of_databases(void);
struct cli_commands commands_of_tables(void);
struct cli_commands commands_of_import(void);
struct cli_commands commands_of_scan(void);
struct cli_commands commands_of_nodes(void);
struct cli_commands commands_of_state(void);
struct cli_commands commands_of_wal(void);
struct cli_commands commands_of_bench(void);
struct cli_commands commands_of_program(void);

#endif
