/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

#include "base/check.h"

enum { COMMANDS_MAX = 64 };

/* Gathered once, at the first question; the same ever after. */
const struct cli_command *commands_all(size_t *count)
{
    static struct cli_command all[COMMANDS_MAX];
    static size_t all_count;
    if (all_count == 0) {
        const struct cli_commands parts[] = {
            commands_of_status(), commands_of_settings(), commands_of_databases(),
            commands_of_tables(), commands_of_import(),   commands_of_scan(),
            commands_of_nodes(),  commands_of_state(),    commands_of_wal(),
            commands_of_bench(),  commands_of_program(),
        };
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
            for (size_t i = 0; i < parts[p].count; i++) {
                CHECK(all_count < COMMANDS_MAX);
                all[all_count++] = parts[p].items[i];
            }
        }
    }
    *count = all_count;
    return all;
}
