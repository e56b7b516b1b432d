/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of a node's options: name, kind, range, default, help. Flags,
 * variables, keys of the file, --help and --print-config all come from it. */
#ifndef TIDEMARK_NODE_CONFIG_OPTION_H
#define TIDEMARK_NODE_CONFIG_OPTION_H

#include "node/config.h"

enum option_kind {
    OPTION_TEXT,
    OPTION_NAME,     /* of a node: letters, digits, '.', '_', '-' */
    OPTION_ADDRESS,  /* host:port */
    OPTION_PEERS,    /* addresses, separated by commas */
    OPTION_SIZE,     /* bytes, with KiB, MiB or GiB */
    OPTION_DURATION, /* ms, s, m or h; held in milliseconds */
    OPTION_CHOICE,   /* one of 'choices'; held as its place */
    OPTION_SWITCH,   /* true or false; as a flag, the flag alone is true */
};

struct config_option {
    const char *name; /* as a flag without "--", and as a key */
    enum option_kind kind;
    size_t offset;              /* of its field in struct config */
    size_t size;                /* of that field */
    uint64_t min, max;          /* SIZE, DURATION */
    const char *const *choices; /* CHOICE; NULL at the end */
    const char *fallback;       /* as text; NULL: computed, or none */
    const char *fallback_help;  /* said in its place when it is computed */
    const char *value_help;     /* "HOST:PORT"; NULL: by kind */
    const char *help;
    bool hidden;    /* not in --help */
    bool flag_only; /* no variable and no key; but --config has a variable */
};

const struct config_option *config_options(size_t *count);
/* The place in the table; 'count' of config_options(): none of that name. */
size_t config_option_find(const char *name);

/* TIDEMARK_WAL_SEGMENT_SIZE for wal-segment-size. */
enum { CONFIG_VARIABLE_SIZE = 64 };
void config_option_variable(const struct config_option *option, char dst[CONFIG_VARIABLE_SIZE]);

/* Reads a value into its field. ERR_INVALID: "'5x' is not ...", to be wrapped
 * with where it stood. The field is unchanged then. */
MUST_CHECK enum err_code config_option_set(const struct config_option *option, const char *text,
                                           struct config *c, struct err *e);
/* The value as config_option_set() would take it; "" for none. */
void config_option_format(const struct config_option *option, const struct config *c,
                          struct buf *out);

/* The known name that 'unknown' is most like, NULL: none is near. 'names' are
 * 'count' texts. */
const char *config_option_guess(const char *unknown, const char *const *names, size_t count);

#endif
