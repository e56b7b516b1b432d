/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark version, completion bash */
#include <string.h>

#include "base/version.h"
#include "cli/commands.h"
#include "cli/completion.h"

static enum cli_exit run_version(struct cli *cli)
{
    static const char *const columns[] = {"version", "commit", "build_type", "protocol"};
    if (cli->format == FORMAT_TABLE) {
        text_sink_printf(&cli->out, "tidemark %s (%s, %s, protocol tidemark.v1)\n",
                         TIDEMARK_VERSION, TIDEMARK_COMMIT, TIDEMARK_BUILD_TYPE);
        return cli_done(cli);
    }
    struct record_writer *w = cli_single(cli, columns, sizeof columns / sizeof columns[0]);
    record_str(w, TIDEMARK_VERSION);
    record_str(w, TIDEMARK_COMMIT);
    record_str(w, TIDEMARK_BUILD_TYPE);
    record_str(w, "tidemark.v1");
    record_close(w);
    return cli_done(cli);
}

static enum cli_exit run_completion(struct cli *cli)
{
    completion_bash(cli->commands, cli->command_count, &cli->out);
    return cli_done(cli);
}

static const struct cli_command commands[] = {
    {.path = "version",
     .arguments = "",
     .summary = "what this program was built from",
     .run = run_version},
    {.path = "completion bash",
     .arguments = "",
     .summary = "print the script by which bash completes command lines",
     .details = "  Add to ~/.bashrc:  source <(tidemark completion bash)",
     .run = run_completion},
};

struct cli_commands commands_of_program(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
