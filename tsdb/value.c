/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/value.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"

static const char *const type_names[VALUE_TYPE_END] = {
    [VALUE_TIMESTAMP] = "timestamp", [VALUE_INT64] = "int64",   [VALUE_DOUBLE] = "double",
    [VALUE_BOOL] = "bool",           [VALUE_STRING] = "string",
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

static enum err_code parse_int64(struct bytes text, struct buf *stored, struct err *e)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t i = negative ? 1 : 0;
    if (i == text.size) {
        return err_set(e, ERR_INVALID, "not a whole number");
    }
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t v = 0;
    for (; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < '0' || c > '9') {
            return err_set(e, ERR_INVALID, "not a whole number");
        }
        uint64_t digit = (uint64_t)(c - '0');
        if (v > (limit - digit) / 10) {
            return err_set(e, ERR_RANGE, "outside the range of int64");
        }
        v = v * 10 + digit;
    }
    buf_put_u64(stored, negative ? 0 - v : v);
    return ERR_OK;
}

enum err_code value_parse_tag(enum value_type type, struct bytes text, struct buf *stored,
                              struct err *e)
{
    if (type == VALUE_BOOL) {
        return parse_bool(text, stored, e);
    }
    if (type == VALUE_INT64) {
        return parse_int64(text, stored, e);
    }
    CHECK(type == VALUE_STRING);
    if (text.size > LIMIT_STRING_SIZE_MAX) {
        return err_set(e, ERR_RANGE, "%zu bytes, at most %d are allowed", text.size,
                       LIMIT_STRING_SIZE_MAX);
    }
    if (!value_is_utf8(text)) {
        return err_set(e, ERR_INVALID, "not UTF-8");
    }
    buf_put_bytes(stored, text);
    return ERR_OK;
}

bool value_print_tag(enum value_type type, struct bytes stored, struct buf *text)
{
    if (type == VALUE_BOOL) {
        if (stored.size != 1 || stored.data[0] > 1) {
            return false;
        }
        buf_put_bytes(text, bytes_str(stored.data[0] == 1 ? "true" : "false"));
        return true;
    }
    if (type == VALUE_INT64) {
        if (stored.size != 8) {
            return false;
        }
        buf_printf(text, "%" PRId64, (int64_t)bytes_get_u64(stored.data));
        return true;
    }
    buf_put_bytes(text, stored);
    return type == VALUE_STRING;
}
