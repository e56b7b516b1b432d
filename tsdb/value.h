/* SPDX-License-Identifier: Apache-2.0 */
/* Types of values, as the public API numbers them, and what they have in common. */
#ifndef TIDEMARK_TSDB_VALUE_H
#define TIDEMARK_TSDB_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* tidemark.v1.Type; also in files. */
enum value_type {
    VALUE_TIMESTAMP = 1, /* int64, units of the table's precision since 1970 UTC */
    VALUE_INT64 = 2,
    VALUE_DOUBLE = 3, /* its 64 bits are kept exactly */
    VALUE_BOOL = 4,
    VALUE_STRING = 5, /* UTF-8 */
    VALUE_INT16 = 6,
    VALUE_INT32 = 7,
    VALUE_FLOAT = 8, /* its 32 bits are kept exactly */
    VALUE_BYTES = 9, /* any */
    VALUE_TYPE_END
};

bool value_type_is_valid(uint64_t type);
const char *value_type_name(enum value_type type); /* "double" */

/* STRING or BYTES: bytes of any number, not one word. */
static inline bool value_is_long(enum value_type type)
{
    return type == VALUE_STRING || type == VALUE_BYTES;
}

/* Whether a word is a value of the type, as it must be in rows and files: whole
 * numbers in their range, extended by their sign; a float in the low half, the
 * upper half 0; 0 or 1. Not of STRING and BYTES. */
bool value_word_is_valid(enum value_type type, uint64_t word);

bool value_is_utf8(struct bytes text);

/* Whether every value of 'from' has one of 'to': the same type, a wider whole number,
 * float to double. */
bool value_can_widen(enum value_type from, enum value_type to);
/* A word of the narrow type as one of the wide; bit by bit, also of NaN. */
uint64_t value_widen(enum value_type from, enum value_type to, uint64_t word);

/* Any name but a database's: 1 to 63 bytes of UTF-8 without control characters
 * and quotes, no blank at either end. ERR_INVALID names 'what'. */
MUST_CHECK enum err_code value_check_name(const char *what, struct bytes name, struct err *e);
/* A database's name: [a-z_][a-z0-9_]*, at most 63 bytes. */
MUST_CHECK enum err_code value_check_identifier(const char *what, struct bytes name, struct err *e);

/* A tag's value from the text form of the API to the bytes that are kept, appended.
 * ERR_INVALID, ERR_RANGE: it is none; more than size_max bytes of STRING or BYTES.
 *
 *   bool                            true, false                 1 byte
 *   whole numbers, timestamp        -?[0-9]+                    8 bytes, also of narrow ones
 *   float, double                   -1.5, 2e-3; finite          8 bytes, the bits of a double;
 *                                                               -0 is 0
 *   string                          UTF-8                       itself
 *   bytes                           \x and hex digits           what they say */
MUST_CHECK enum err_code value_parse_tag(enum value_type type, size_t size_max, struct bytes text,
                                         struct buf *stored, struct err *e);
/* And back, appended. False: 'stored' is no value of the type. */
bool value_print_tag(enum value_type type, struct bytes stored, struct buf *text);

#endif
