/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"

static const char *environment(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): nothing changes it */
}

int main(int argc, char **argv)
{
    /* A reader that leaves is an error of writing, not a silent end: sockets too. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);

    struct cli_world world = {
        .environment = environment,
        .out = stdout,
        .err = stderr,
        .out_is_terminal = isatty(STDOUT_FILENO) != 0,
        .err_is_terminal = isatty(STDERR_FILENO) != 0,
    };
    size_t count = 0;
    const struct cli_command *commands = commands_all(&count);
    return cli_run(commands, count, argc, argv, &world);
}
