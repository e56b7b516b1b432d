/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/value.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"

enum { REAL_SIZE_MAX = 400, REAL_TEXT_SIZE = 32 };

static const char *const type_names[VALUE_TYPE_END] = {
    [VALUE_TIMESTAMP] = "timestamp", [VALUE_INT64] = "int64",   [VALUE_DOUBLE] = "double",
    [VALUE_BOOL] = "bool",           [VALUE_STRING] = "string", [VALUE_INT16] = "int16",
    [VALUE_INT32] = "int32",         [VALUE_FLOAT] = "float32", [VALUE_BYTES] = "varbytes",
};

bool value_type_is_valid(uint64_t type)
{
    return type >= VALUE_TIMESTAMP && type < VALUE_TYPE_END;
}

const char *value_type_name(enum value_type type)
{
    CHECK(value_type_is_valid(type));
    return type_names[type];
}

/* --- UTF-8 (RFC 3629) --- */

/* Size of the sequence that 'first' starts, and the range of its second byte,
 * which keeps out overlong forms, surrogates and what lies above U+10FFFF. */
static size_t sequence_size(uint8_t first, uint8_t *second_min, uint8_t *second_max)
{
    *second_min = 0x80;
    *second_max = 0xbf;
    if (first >= 0xc2 && first <= 0xdf) {
        return 2;
    }
    if (first >= 0xe0 && first <= 0xef) {
        *second_min = first == 0xe0 ? 0xa0 : 0x80;
        *second_max = first == 0xed ? 0x9f : 0xbf;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *second_min = first == 0xf0 ? 0x90 : 0x80;
        *second_max = first == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

static size_t skip_ascii(const uint8_t *p, size_t size)
{
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
    }
    while (i < size && p[i] < 0x80) {
        i++;
    }
    return i;
}

static bool sequence_is_valid(const uint8_t *p, size_t left, size_t *size)
{
    uint8_t second_min = 0;
    uint8_t second_max = 0;
    *size = sequence_size(p[0], &second_min, &second_max);
    if (*size == 0 || *size > left || p[1] < second_min || p[1] > second_max) {
        return false;
    }
    for (size_t i = 2; i < *size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return false;
        }
    }
    return true;
}

bool value_is_utf8(struct bytes text)
{
    size_t at = skip_ascii(text.data, text.size);
    while (at < text.size) {
        size_t size = 0;
        if (!sequence_is_valid(text.data + at, text.size - at, &size)) {
            return false;
        }
        at += size;
        at += skip_ascii(text.data + at, text.size - at);
    }
    return true;
}

/* --- names --- */

static enum err_code check_size(const char *what, struct bytes name, struct err *e)
{
    if (name.size == 0) {
        return err_set(e, ERR_INVALID, "the %s has no name", what);
    }
    if (name.size > LIMIT_NAME_SIZE_MAX) {
        return err_set(e, ERR_INVALID, "the name of the %s has %zu bytes, at most %d are allowed",
                       what, name.size, LIMIT_NAME_SIZE_MAX);
    }
    return ERR_OK;
}

enum err_code value_check_name(const char *what, struct bytes name, struct err *e)
{
    enum err_code code = check_size(what, name, e);
    if (code != ERR_OK) {
        return code;
    }
    if (!value_is_utf8(name)) {
        return err_set(e, ERR_INVALID, "the name of the %s is not UTF-8", what);
    }
    bool blank = name.data[0] == ' ' || name.data[name.size - 1] == ' ';
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (c < 0x20 || c == 0x7f || c == '"') {
            return err_set(e, ERR_INVALID,
                           "the name of the %s holds a quote or a control character", what);
        }
    }
    if (blank) {
        return err_set(e, ERR_INVALID, "the name of the %s begins or ends with a blank", what);
    }
    return ERR_OK;
}

enum err_code value_check_identifier(const char *what, struct bytes name, struct err *e)
{
    enum err_code code = check_size(what, name, e);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || c == '_';
        bool digit = c >= '0' && c <= '9';
        if (!letter && !(digit && i > 0)) {
            return err_set(e, ERR_INVALID,
                           "the name of the %s must be lower-case letters, digits and _, and not "
                           "begin with a digit",
                           what);
        }
    }
    return ERR_OK;
}

/* --- words --- */

bool value_word_is_valid(enum value_type type, uint64_t word)
{
    int64_t number = (int64_t)word;
    switch (type) {
    case VALUE_TIMESTAMP:
    case VALUE_INT64:
    case VALUE_DOUBLE:
        return true;
    case VALUE_INT32:
        return number >= INT32_MIN && number <= INT32_MAX;
    case VALUE_INT16:
        return number >= INT16_MIN && number <= INT16_MAX;
    case VALUE_FLOAT:
        return word <= UINT32_MAX;
    case VALUE_BOOL:
        return word <= 1;
    case VALUE_STRING:
    case VALUE_BYTES:
    case VALUE_TYPE_END:
        break;
    }
    PANIC("no words of type %d", (int)type);
}

bool value_can_widen(enum value_type from, enum value_type to)
{
    return from == to || (from == VALUE_FLOAT && to == VALUE_DOUBLE) ||
           (from == VALUE_INT16 && (to == VALUE_INT32 || to == VALUE_INT64)) ||
           (from == VALUE_INT32 && to == VALUE_INT64);
}

/* Processors change some NaN in a conversion, each its own way. */
static uint64_t widen_float(uint32_t bits)
{
    if ((bits & UINT32_C(0x7f800000)) == UINT32_C(0x7f800000)) { /* infinite or NaN */
        return (uint64_t)(bits >> 31) << 63 | UINT64_C(0x7ff0000000000000) |
               (uint64_t)(bits & UINT32_C(0x7fffff)) << 29;
    }
    float narrow = 0;
    memcpy(&narrow, &bits, sizeof narrow);
    double wide = (double)narrow;
    uint64_t word = 0;
    memcpy(&word, &wide, sizeof word);
    return word;
}

uint64_t value_widen(enum value_type from, enum value_type to, uint64_t word)
{
    return from == VALUE_FLOAT && to == VALUE_DOUBLE ? widen_float((uint32_t)word) : word;
}

/* --- tags --- */

static enum err_code parse_bool(struct bytes text, struct buf *stored, struct err *e)
{
    if (bytes_equal(text, bytes_str("true"))) {
        buf_put_u8(stored, 1);
    } else if (bytes_equal(text, bytes_str("false"))) {
        buf_put_u8(stored, 0);
    } else {
        return err_set(e, ERR_INVALID, "neither true nor false");
    }
    return ERR_OK;
}

static enum err_code parse_whole(enum value_type type, struct bytes text, struct buf *stored,
                                 struct err *e)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == text.size) {
        return err_set(e, ERR_INVALID, "not a whole number");
    }
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t v = 0;
    bool fits = true;
    for (; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < '0' || c > '9') {
            return err_set(e, ERR_INVALID, "not a whole number");
        }
        uint64_t digit = (uint64_t)(c - '0');
        fits = fits && v <= (limit - digit) / 10;
        v = v * 10 + digit;
    }
    v = negative ? 0 - v : v;
    if (!fits || !value_word_is_valid(type, v)) {
        return err_set(e, ERR_RANGE, "outside the range of %s", value_type_name(type));
    }
    buf_put_u64(stored, v);
    return ERR_OK;
}

/* -?(digits | digits.digits | digits. | .digits)([eE][+-]?digits)?, as strtod() takes it in every
 * locale that this program has. */
static bool is_real(const char *text)
{
    static const char digits[] = "0123456789";
    const char *p = text + (*text == '-' ? 1 : 0);
    size_t whole = strspn(p, digits);
    size_t broken = 0;
    p += whole;
    if (*p == '.') {
        broken = strspn(p + 1, digits);
        p += 1 + broken;
    }
    if (whole + broken == 0) {
        return false;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        if (strspn(p, digits) == 0) {
            return false;
        }
        p += strspn(p, digits);
    }
    return *p == '\0';
}

static enum err_code parse_real(enum value_type type, struct bytes text, struct buf *stored,
                                struct err *e)
{
    char copy[REAL_SIZE_MAX + 1];
    if (text.size == 0 || text.size > REAL_SIZE_MAX || memchr(text.data, 0, text.size) != NULL) {
        return err_set(e, ERR_INVALID, "not a number");
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (!is_real(copy)) {
        return err_set(e, ERR_INVALID, "not a number");
    }
    double v = type == VALUE_FLOAT ? (double)strtof(copy, NULL) : strtod(copy, NULL);
    if (v - v != 0) {
        return err_set(e, ERR_RANGE, "outside the range of %s", value_type_name(type));
    }
    uint64_t word = 0;
    memcpy(&word, &v, sizeof word);
    buf_put_u64(stored, v == 0 ? 0 : word);
    return ERR_OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum err_code parse_hex(struct bytes text, struct buf *stored, struct err *e)
{
    if (text.size < 2 || text.size % 2 != 0 || text.data[0] != '\\' || text.data[1] != 'x') {
        return err_set(e, ERR_INVALID, "not \\x and pairs of hex digits");
    }
    for (size_t i = 2; i < text.size; i += 2) {
        int high = hex_digit(text.data[i]);
        int low = hex_digit(text.data[i + 1]);
        if (high < 0 || low < 0) {
            return err_set(e, ERR_INVALID, "not \\x and pairs of hex digits");
        }
        buf_put_u8(stored, (uint8_t)(high << 4 | low));
    }
    return ERR_OK;
}

static enum err_code parse_long(enum value_type type, size_t size_max, struct bytes text,
                                struct buf *stored, struct err *e)
{
    size_t size = type == VALUE_STRING || text.size < 2 ? text.size : text.size / 2 - 1;
    if (size > size_max) {
        return err_set(e, ERR_RANGE, "%zu bytes, at most %zu are allowed", size, size_max);
    }
    if (type == VALUE_BYTES) {
        return parse_hex(text, stored, e);
    }
    if (!value_is_utf8(text)) {
        return err_set(e, ERR_INVALID, "not UTF-8");
    }
    buf_put_bytes(stored, text);
    return ERR_OK;
}

enum err_code value_parse_tag(enum value_type type, size_t size_max, struct bytes text,
                              struct buf *stored, struct err *e)
{
    switch (type) {
    case VALUE_BOOL:
        return parse_bool(text, stored, e);
    case VALUE_TIMESTAMP:
    case VALUE_INT64:
    case VALUE_INT32:
    case VALUE_INT16:
        return parse_whole(type, text, stored, e);
    case VALUE_DOUBLE:
    case VALUE_FLOAT:
        return parse_real(type, text, stored, e);
    case VALUE_STRING:
    case VALUE_BYTES:
        return parse_long(type, size_max, text, stored, e);
    case VALUE_TYPE_END:
        break;
    }
    PANIC("a tag of type %d", (int)type);
}

static bool print_bool(struct bytes stored, struct buf *text)
{
    if (stored.size != 1 || stored.data[0] > 1) {
        return false;
    }
    buf_put_bytes(text, bytes_str(stored.data[0] == 1 ? "true" : "false"));
    return true;
}

/* As few digits as read back as the same number, but as many as any number of so many
 * decimal digits may have: 1500, not 1.5e+03. */
static void print_real(enum value_type type, uint64_t word, struct buf *text)
{
    char digits[REAL_TEXT_SIZE];
    double v = 0;
    memcpy(&v, &word, sizeof v);
    int digits_min = type == VALUE_FLOAT ? FLT_DIG : DBL_DIG;
    for (int count = digits_min; count <= DBL_DECIMAL_DIG; count++) {
        (void)snprintf(digits, sizeof digits, "%.*g", count, v);
        double back = type == VALUE_FLOAT ? (double)strtof(digits, NULL) : strtod(digits, NULL);
        if (back == v) {
            break;
        }
    }
    buf_put_bytes(text, bytes_str(digits));
}

static bool print_word(enum value_type type, struct bytes stored, struct buf *text)
{
    if (stored.size != 8) {
        return false;
    }
    uint64_t word = bytes_get_u64(stored.data);
    if (type == VALUE_DOUBLE || type == VALUE_FLOAT) {
        print_real(type, word, text);
        return true;
    }
    buf_printf(text, "%" PRId64, (int64_t)word);
    return value_word_is_valid(type, word);
}

bool value_print_tag(enum value_type type, struct bytes stored, struct buf *text)
{
    switch (type) {
    case VALUE_BOOL:
        return print_bool(stored, text);
    case VALUE_BYTES:
        buf_put_bytes(text, bytes_str("\\x"));
        for (size_t i = 0; i < stored.size; i++) {
            buf_printf(text, "%02x", stored.data[i]);
        }
        return true;
    case VALUE_STRING:
        buf_put_bytes(text, stored);
        return true;
    case VALUE_TIMESTAMP:
    case VALUE_INT64:
    case VALUE_INT32:
    case VALUE_INT16:
    case VALUE_DOUBLE:
    case VALUE_FLOAT:
        return print_word(type, stored, text);
    case VALUE_TYPE_END:
        break;
    }
    PANIC("a tag of type %d", (int)type);
}
