/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the program tidemark as a user would, and keeps what it said. */
#ifndef TIDEMARK_CLI_TEST_PROGRAM_H
#define TIDEMARK_CLI_TEST_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

enum { PROGRAM_OUTPUT_SIZE = 256 * 1024 };

struct ran {
    int code; /* exit code; -1: ended by a signal */
    char out[PROGRAM_OUTPUT_SIZE];
    char err[PROGRAM_OUTPUT_SIZE];
};

/* Words of the command line, separated by single blanks; "%s" pieces are filled in
 * before. The result is valid until the next run. Standard input is 'input', "" for none. */
const struct ran *program_run(const char *endpoints, const char *input, const char *const *words);

#define RUN(endpoints, ...) program_run((endpoints), "", (const char *const[]){__VA_ARGS__, NULL})

/* The same at a terminal, where 'typed' is typed; the output, errors among it, is in
 * 'out'. With 'no_color' NO_COLOR is set. */
const struct ran *program_run_at_terminal(const char *endpoints, const char *typed, bool no_color,
                                          const char *const *words);

/* The last output parsed by python3's json module: NULL if it is valid, else why not. */
const char *program_json_error(const struct ran *r);

/* Runs any program; its exit code. */
int program_other(const char *const *words);

/* A file with that content; removed by program_remove_files(). */
const char *program_file(const char *content);
/* A name for a file that is not there yet; removed likewise. */
const char *program_new_file(void);
/* What it holds now; valid until the next call. */
const char *program_read_file(const char *path);
void program_remove_files(void);

#endif
