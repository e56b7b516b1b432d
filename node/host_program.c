/* SPDX-License-Identifier: Apache-2.0 */
#include "node/host_program.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/version.h"
#include "node/host.h"
#include "node/member.h"
#include "node/salvage.h"

static int64_t wall_us(void *context)
{
    return io_wall_us(context);
}

/* A connection that is lost is an error of its write, not the end of the process. */
static void ignore_broken_pipes(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    int rv = sigaction(SIGPIPE, &action, NULL);
    CHECK(rv == 0);
}

static int run(const struct config *config, struct io *io)
{
    struct log log = {
        .level = config->log_level,
        .wall_us = wall_us,
        .write = log_write_stderr,
        .context = io,
        .json = config->log_format == CONFIG_LOG_JSON,
    };
    (void)snprintf(log.node, sizeof log.node, "%s", config->name);
    struct host_options options = {.config = config, .log = &log, .io = io};
    ignore_broken_pipes();
    log_info(&log, "node", "start", "version=%s data=%s client=%s peer=%s", TIDEMARK_VERSION,
             config->data_dir, config->advertise_client, config->advertise_peer);
    int exit_code = HOST_PROGRAM_FAILED;
    do {
        struct err e;
        if (host_run(&options, &exit_code, &e) != ERR_OK) {
            log_error(&log, "node", "start-failed", "reason=\"%s\"", e.text);
            (void)fprintf(stderr, "tidemarkd: %s\n", e.text);
            return HOST_PROGRAM_FAILED;
        }
    } while (exit_code == MEMBER_EXIT_AGAIN);
    return exit_code;
}

static int open_and_run(const struct host_program *program, const struct config *config)
{
    struct io *io = program->io;
    struct err e;
    if (program->open_io != NULL && program->open_io(program->context, config, &io, &e) != ERR_OK) {
        (void)fprintf(stderr, "tidemarkd: %s\n", e.text);
        return HOST_PROGRAM_FAILED;
    }
    return run(config, io);
}

static int print_and_free(struct buf *text)
{
    size_t written = fwrite(text->data, 1, text->size, stdout);
    bool good = written == text->size && fflush(stdout) == 0;
    buf_deinit(text);
    return good ? HOST_PROGRAM_OK : HOST_PROGRAM_FAILED;
}

/* --- salvage --- */

enum { SALVAGE_WORDS = 4 }; /* tidemarkd salvage SRC NEWDIR */

static bool is_salvage(const struct host_program *program)
{
    return program->argc >= 2 && strcmp(program->argv[1], "salvage") == 0;
}

static int salvage(const struct host_program *program, const struct config *config)
{
    const struct salvage_options options = {
        .io = program->io,
        .from = program->argv[SALVAGE_WORDS - 2],
        .to = program->argv[SALVAGE_WORDS - 1],
        .name = config->name,
        .segment_size = config->wal_segment_size,
    };
    struct salvage_figures figures;
    struct buf text = {0};
    struct err e;
    enum err_code code = salvage_run(&options, &figures, &text, &e);
    int status = print_and_free(&text);
    if (code != ERR_OK) {
        (void)fprintf(stderr, "tidemarkd: salvage: %s\n", e.text);
        return HOST_PROGRAM_FAILED;
    }
    return status;
}

/* --- all of it --- */

static enum err_code load(const struct host_program *program, struct config *config, struct err *e)
{
    int skipped = is_salvage(program) ? SALVAGE_WORDS - 1 : 0;
    if (skipped > 0 && (program->argc < SALVAGE_WORDS || program->argv[2][0] == '-' ||
                        program->argv[3][0] == '-')) {
        return err_set(e, ERR_INVALID, "usage: tidemarkd salvage SRC NEWDIR [OPTIONS]");
    }
    const struct config_input input = {
        .argc = program->argc - skipped,
        .argv = (const char *const *)program->argv + skipped,
        .environment = (const char *const *)program->environment,
        .io = program->io,
    };
    return config_load(&input, config, e);
}

int host_program_run(const struct host_program *program)
{
    struct config *config = &(struct config){0};
    struct err e;
    if (load(program, config, &e) != ERR_OK) {
        (void)fprintf(stderr, "tidemarkd: %s\n", e.text);
        return HOST_PROGRAM_USAGE;
    }
    if (is_salvage(program) && config->command == CONFIG_RUN) {
        return salvage(program, config);
    }
    struct buf text = {0};
    switch (config->command) {
    case CONFIG_RUN:
        return open_and_run(program, config);
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
    return print_and_free(&text);
}
