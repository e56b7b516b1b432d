/* SPDX-License-Identifier: Apache-2.0 */
/* tidemarkd: one node. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "io/io_posix.h"
#include "node/config.h"
#include "node/host.h"
#include "node/member.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

extern char **environ;

static void print(const struct buf *text)
{
    (void)fwrite(text->data, 1, text->size, stdout);
}

static int64_t wall_us(void *context)
{
    return io_wall_us(context);
}

static void write_line(void *context, const char *line)
{
    (void)context;
    (void)fwrite(line, 1, strlen(line), stderr);
}

static int run(const struct config *config)
{
    struct log log = {
        .level = config->log_level,
        .wall_us = wall_us,
        .write = write_line,
        .context = io_posix(),
    };
    (void)snprintf(log.node, sizeof log.node, "%s", config->name);
    struct host_options options = {.config = config, .log = &log, .io = io_posix()};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    log_info(&log, "node", "start", "version=%s data=%s client=%s peer=%s", TIDEMARK_VERSION,
             config->data_dir, config->advertise_client, config->advertise_peer);
    int exit_code = EXIT_FAILED;
    do {
        struct err e;
        if (host_run(&options, &exit_code, &e) != ERR_OK) {
            log_error(&log, "node", "start-failed", "reason=\"%s\"", e.text);
            (void)fprintf(stderr, "tidemarkd: %s\n", e.text);
            return EXIT_FAILED;
        }
    } while (exit_code == MEMBER_EXIT_AGAIN);
    return exit_code;
}

int main(int argc, char **argv)
{
    struct config_input input = {
        .argc = argc,
        .argv = (const char *const *)argv,
        .environment = (const char *const *)environ,
        .io = io_posix(),
    };
    struct config *config = &(struct config){0};
    struct err e;
    if (config_load(&input, config, &e) != ERR_OK) {
        (void)fprintf(stderr, "tidemarkd: %s\n", e.text);
        return EXIT_USAGE;
    }
    struct buf text = {0};
    switch (config->command) {
    case CONFIG_RUN:
        return run(config);
    case CONFIG_HELP:
        config_print_help(&text);
        break;
    case CONFIG_VERSION:
        buf_printf(&text, "tidemarkd %s (%s)\n", TIDEMARK_VERSION, TIDEMARK_BUILD_TYPE);
        break;
    case CONFIG_PRINT:
        config_print_origin(config, &text);
        break;
    }
    print(&text);
    buf_deinit(&text);
    return EXIT_OK;
}
