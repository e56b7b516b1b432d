/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a cluster: one table of all, and the values in force.
 *
 * A value is text that a person wrote ("90s", "64MiB", "ON"). It is parsed,
 * checked against its range and against the settings it depends on, and kept in
 * canonical form, so that equal values are equal bytes on every node:
 *
 *   type      written as                         canonical
 *   int       42                                 42
 *   bool      on off true false yes no 1 0       on | off
 *   duration  500ms, 90s, 1m30s, 2h, 1d          one number, largest unit without rest: 90s
 *   bytes     65536, 64KiB, 1GiB                 the same way: 64KiB
 *   fraction  0.5, 0.50, 1                       at most three digits behind the point: 0.5
 *   enum      one of its words, in any case      the word
 *
 * 'struct settings' is immutable once made: a change makes a new one, and old
 * ones stay valid for those who read them. Any thread. */
#ifndef TIDEMARK_TSDB_SETTINGS_H
#define TIDEMARK_TSDB_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"

enum setting_type {
    SETTING_INT,
    SETTING_BOOL,
    SETTING_DURATION, /* milliseconds */
    SETTING_BYTES,
    SETTING_FRACTION, /* thousandths */
    SETTING_ENUM,
};

enum { SETTING_VALUE_SIZE = 64, SETTING_RANGE_SIZE = 160 };

struct setting {
    const char *name;
    enum setting_type type;
    int64_t min, max;    /* INT, DURATION, BYTES, FRACTION; both included */
    const char *choices; /* ENUM: "auto|manual" */
    const char *initial; /* the default, canonical */
    const char *unit;    /* "", "ms", "rows", ... */
    const char *scope;   /* "cluster": one value for all nodes */
    bool restart;        /* takes effect only after a restart */
    const char *description;
};

/* --- the table --- */

size_t settings_count(void);
const struct setting *settings_at(size_t i); /* sorted by name */
/* ERR_NOT_FOUND, with a name that may have been meant. */
MUST_CHECK enum err_code settings_find(struct bytes name, size_t *i, struct err *e);
const char *settings_type_name(enum setting_type type);
/* What values are allowed, for people: "0..3", "auto | manual". */
void settings_range(const struct setting *s, char dst[SETTING_RANGE_SIZE]);
/* ERR_INVALID (not of the type) or ERR_RANGE, naming the range. */
MUST_CHECK enum err_code settings_parse(const struct setting *s, struct bytes text,
                                        char canonical[SETTING_VALUE_SIZE], int64_t *number,
                                        struct err *e);

/* --- values in force --- */

struct settings;

/* All as by default; one reference, the caller's. */
struct settings *settings_new(void);
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s); /* NULL is fine */

/* The values after a change at log index 'index'; 'text' NULL sets the default
 * again. ERR_NOT_FOUND, ERR_INVALID, ERR_RANGE (also: against another setting). */
MUST_CHECK enum err_code settings_change(const struct settings *s, struct bytes name,
                                         const struct bytes *text, uint64_t index,
                                         struct settings **out, struct err *e);
const char *settings_text(const struct settings *s, size_t i);
int64_t settings_number(const struct settings *s, size_t i);   /* ENUM: place among its choices */
uint64_t settings_changed(const struct settings *s, size_t i); /* index; 0: never */
/* By name, which must be in the table. */
int64_t settings_value(const struct settings *s, const char *name);

/* Only what differs from the defaults or was ever changed:
 *   count varint | (name str | value str | changed_index varint) ... */
void settings_encode(const struct settings *s, struct buf *out);
/* ERR_CORRUPT; ERR_UNSUPPORTED for a name or value that this program does not know. */
MUST_CHECK enum err_code settings_decode(struct cursor *c, struct settings **out, struct err *e);

#endif
