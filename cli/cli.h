/* SPDX-License-Identifier: Apache-2.0 */
/* The program "tidemark": one run of one command.
 *
 *   cli_run ──► find the command ──► parse its flags ──► run it ──► exit code
 *
 * Everything that help, completion and parsing need to know about a command is in its
 * struct cli_command; the table of all is commands.h.
 *
 * Data goes to standard output; messages, progress and errors to standard error.
 * A command returns its exit code, usually from cli_done() or cli_fail(). */
#ifndef TIDEMARK_CLI_CLI_H
#define TIDEMARK_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/cluster_client.h"
#include "cli/flag_set.h"
#include "cli/record_writer.h"
#include "cli/text_sink.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,       /* the command line can't be understood */
    CLI_UNREACHABLE = 3, /* nobody there, or no answer in time */
    CLI_UNHEALTHY = 4,   /* status --check: not all is well */
};

struct cli;

struct cli_command {
    const char *path;      /* "settings set": at most two words */
    const char *arguments; /* as help shows them: "NAME VALUE"; "" for none */
    unsigned arguments_min, arguments_max;
    const char *summary;      /* one line, without a full stop */
    const char *details;      /* more, for --help; may be NULL */
    bool arguments_are_files; /* for completion */
    const struct flag_definition *flags;
    size_t flag_count;
    enum cli_exit (*run)(struct cli *cli);
};

/* What a running command has. */
struct cli {
    const struct cli_command *commands; /* the whole table */
    size_t command_count;
    const struct cli_command *command;
    const struct flag_set *flags;
    struct text_sink out;
    FILE *err;
    enum output_format format;
    bool quiet;    /* no notes, no progress */
    bool terminal; /* standard output is one */
    bool color;    /* on standard output */
    bool progress; /* standard error is a terminal */
    uint64_t timeout_ms;
    struct cluster *cluster; /* opened by cli_cluster() */
    bool bad_endpoints;      /* the flag's value can't be used */
};

/* Where a run gets what is not on its command line. */
struct cli_world {
    flag_environment *environment; /* NULL: none */
    FILE *out, *err;
    bool out_is_terminal, err_is_terminal;
};

/* --endpoints, --timeout, --format, --quiet, --help. */
const struct flag_definition *cli_global_flags(size_t *count);

/* argv[0] is not looked at. Returns the exit code. */
int cli_run(const struct cli_command *commands, size_t command_count, int argc, char **argv,
            const struct cli_world *world);

/* --- for commands --- */

/* Positional argument i, NULL: not given. */
const char *cli_argument(const struct cli *cli, size_t i);

/* The cluster at --endpoints; the same one at every call. NULL: *exit says how to
 * end, the reason has been printed. */
struct cluster *cli_cluster(struct cli *cli, enum cli_exit *exit);
/* As cli_cluster() and cluster_ask(). ERR_INVALID from bad --endpoints too. */
MUST_CHECK enum err_code cli_ask(struct cli *cli, const char *path, const ProtobufCMessage *request,
                                 const ProtobufCMessageDescriptor *answer_type,
                                 ProtobufCMessage **answer, struct err *e);

struct record_writer *cli_list(struct cli *cli, const char *name, const char *const *columns,
                               size_t count);
struct record_writer *cli_single(struct cli *cli, const char *const *columns, size_t count);

/* "database.table" in two strings; they point into 'copy'. ERR_INVALID. */
enum { CLI_TABLE_NAME_SIZE = 2 * (LIMIT_NAME_SIZE_MAX + 1) };
struct cli_table {
    const char *database;
    const char *table;
    char copy[CLI_TABLE_NAME_SIZE];
};
MUST_CHECK enum err_code cli_table_name(const char *text, struct cli_table *out, struct err *e);

/* Asks the person at the terminal; true as well when standard input is none. */
bool cli_confirm(struct cli *cli, const char *question);

void cli_note(struct cli *cli, const char *format, ...) ERR_FORMAT(2, 3); /* not with --quiet */
/* Prints the message, returns CLI_USAGE. */
enum cli_exit cli_usage(struct cli *cli, const char *format, ...) ERR_FORMAT(2, 3);
/* Prints the story, returns what its code means for the exit. */
enum cli_exit cli_fail(struct cli *cli, const struct err *e);
/* Everything is written: CLI_OK, or CLI_FAILED when standard output failed. */
enum cli_exit cli_done(struct cli *cli);

#endif
