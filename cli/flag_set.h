/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of a command line. A command says which ones it has in a table of
 * definitions; parsing gives a set that knows the value of each, from the command line, else
 * from the environment, else the default.
 *
 *   --name VALUE   --name=VALUE   --switch   -h (for --help)   -- (no flags after it)
 *
 * Every value is checked against its definition here, so that a command asks for
 * it and never sees a bad one. Asking for a flag that is not defined is a bug. */
#ifndef TIDEMARK_CLI_FLAG_SET_H
#define TIDEMARK_CLI_FLAG_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum flag_type {
    FLAG_SWITCH,
    FLAG_TEXT,
    FLAG_FILE,     /* a text; completed as a file name */
    FLAG_UINT,     /* between min and max */
    FLAG_DURATION, /* "500ms", "10s"; at least min, at most max (0: any) milliseconds */
    FLAG_CHOICE,   /* one of 'choices' */
    FLAG_LIST,     /* may be given again and again; each value is a text */
};

struct flag_definition {
    const char *name; /* without dashes */
    enum flag_type type;
    const char *value_name;    /* "TABLE"; NULL for a switch */
    const char *default_value; /* NULL: none */
    const char *help;
    const char *choices;     /* "table|json|csv" */
    const char *environment; /* variable, or NULL */
    uint64_t min, max;
};

struct flag_set;

/* Reads one variable of the environment; tests hand in their own. */
typedef const char *flag_environment(const char *name);

struct flag_request {
    const struct flag_definition *const *tables; /* borrowed until flag_set_close() */
    const size_t *counts;                        /* of definitions in each table */
    size_t table_count;
    flag_environment *environment; /* NULL: none */
};

/* Takes the flags out of argv (argv[0] is not looked at); the rest, in order, are
 * the arguments. ERR_INVALID: unknown flag (with a suggestion), no value, bad
 * value. The strings of argv must outlive the set. */
MUST_CHECK enum err_code flag_set_open(const struct flag_request *request, int argc, char **argv,
                                       struct flag_set **out, struct err *e);
void flag_set_close(struct flag_set *f); /* NULL is fine */

size_t flag_argument_count(const struct flag_set *f);
const char *flag_argument(const struct flag_set *f, size_t i);

bool flag_is_set(const struct flag_set *f, const char *name); /* not by default */
bool flag_switch(const struct flag_set *f, const char *name);
const char *flag_text(const struct flag_set *f, const char *name); /* NULL: no value */
uint64_t flag_uint(const struct flag_set *f, const char *name);    /* also durations, in ms */
size_t flag_list_count(const struct flag_set *f, const char *name);
const char *flag_list_item(const struct flag_set *f, const char *name, size_t i);

/* Whether 'word' is one of the words in "a|b|c". */
bool flag_is_choice(const char *choices, const char *word);

#endif
