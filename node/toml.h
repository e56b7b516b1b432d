/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the part of TOML that a configuration needs: comments, tables, bare,
 * quoted and dotted keys; strings (basic and literal, one line), integers, booleans,
 * arrays of strings. Anything else of TOML is refused with line and column, never
 * skipped. A key given twice is an error.
 *
 * Flat: "[wal]" and "segment-size = 1" give the key "wal.segment-size". */
#ifndef TIDEMARK_NODE_TOML_H
#define TIDEMARK_NODE_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    TOML_KEYS_MAX = 256,
    TOML_KEY_SIZE_MAX = 127,
    TOML_ITEMS_MAX = 64, /* of one array */
};

enum toml_type { TOML_STRING, TOML_INTEGER, TOML_BOOLEAN, TOML_ARRAY };

struct toml_entry {
    const char *key;
    enum toml_type type;
    unsigned line;
    int64_t integer;
    bool boolean;
    const char *string;       /* STRING */
    const char *const *items; /* ARRAY of strings */
    size_t item_count;
};

struct toml;

/* ERR_INVALID: "line 3, column 7: ...". *out is the caller's. */
MUST_CHECK enum err_code toml_parse(struct bytes text, struct toml **out, struct err *e);
/* In the order of the file; borrowed until toml_close(). */
const struct toml_entry *toml_entries(const struct toml *t, size_t *count);
void toml_close(struct toml *t); /* NULL is fine */

#endif
