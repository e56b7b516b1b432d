/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, truth values, durations and types as people write them. The whole
 * text must be the value: no blanks around it, no rest. Never depends on a locale.
 *
 *   int64     -?[0-9]+              double    1, -1.5, 2e-3, .5, nan, inf, infinity
 *   bytes     \x and pairs of hex digits
 *   bool      true false t f yes no on off 1 0      (letters of any case)
 *   duration  500ms, 90s, 1m30s, 2h, 1d; a bare number is seconds
 *
 * All parsers return false, with *out untouched, for anything else. */
#ifndef TIDEMARK_CLI_VALUE_TEXT_H
#define TIDEMARK_CLI_VALUE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    VALUE_TEXT_NUMBER_SIZE_MAX = 400, /* a longer text is no number */
    VALUE_TEXT_DOUBLE_SIZE = 32,
};

bool value_text_int64(struct bytes text, int64_t *out);
bool value_text_uint64(struct bytes text, uint64_t *out);
bool value_text_hex64(struct bytes text, uint64_t *out); /* 1 to 16 digits, after an optional 0x */
bool value_text_double(struct bytes text, double *out);
bool value_text_float(struct bytes text, float *out);
/* Appends to 'out', also when it returns false. */
bool value_text_bytes(struct bytes text, struct buf *out);
bool value_text_bool(struct bytes text, bool *out);
bool value_text_duration_ms(struct bytes text, uint64_t *out);
bool value_text_is_utf8(struct bytes text);
/* Bytes of the character at the start of 'text', 0: there is none, or it is bad. */
size_t value_text_utf8_size(struct bytes text);

/* The shortest of %.15g .. %.17g that reads back as the same number; NaN,
 * Infinity, -Infinity. Returns dst. */
const char *value_text_print_double(double v, char dst[VALUE_TEXT_DOUBLE_SIZE]);

/* The same of %.6g .. %.9g. */
const char *value_text_print_float(float v, char dst[VALUE_TEXT_DOUBLE_SIZE]);
void value_text_print_bytes(struct bytes v, struct buf *out); /* appends */

/* tidemark.v1.Type by name: "timestamp", "int16", "int32", "int64", "float32", "double",
 * "bool", "string", "varbytes", and what SQL calls them ("smallint", "bigint", "real", "float",
 * "varchar" ...). 0: unknown. */
int value_text_type(struct bytes name);
/* The same with a greatest size behind it, "varchar(100)"; without: *size_max is 0. */
int value_text_sized_type(struct bytes name, uint32_t *size_max);
bool value_text_type_is_long(int type); /* string or varbytes */
/* For messages. */
#define VALUE_TEXT_TYPES "int16, int32, int64, float32, double, bool, string, varbytes or timestamp"

const char *value_text_type_name(int type); /* "double"; "?" for what we don't know */

#endif
