/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/value_text.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "proto/tidemark/v1/data.pb-c.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Digits only, at least one; false: not a number, or above 'limit'. */
static bool read_digits(struct bytes text, uint64_t limit, uint64_t *out)
{
    if (text.size == 0) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (v > (limit - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool value_text_uint64(struct bytes text, uint64_t *out)
{
    return read_digits(text, UINT64_MAX, out);
}

bool value_text_int64(struct bytes text, int64_t *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    struct bytes digits = negative ? bytes_of(text.data + 1, text.size - 1) : text;
    uint64_t v = 0;
    if (!read_digits(digits, limit, &v)) {
        return false;
    }
    if (v > INT64_MAX) {
        *out = INT64_MIN;
    } else {
        *out = negative ? -(int64_t)v : (int64_t)v;
    }
    return true;
}

static int hex_digit(uint8_t c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool value_text_hex64(struct bytes text, uint64_t *out)
{
    if (text.size > 2 && text.data[0] == '0' && (text.data[1] | 0x20) == 'x') {
        text = bytes_of(text.data + 2, text.size - 2);
    }
    if (text.size == 0 || text.size > 16) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = hex_digit(text.data[i]);
        if (digit < 0) {
            return false;
        }
        v = v << 4 | (uint64_t)digit;
    }
    *out = v;
    return true;
}

static bool equals(struct bytes text, const char *word)
{
    size_t size = strlen(word);
    return text.size == size && strncasecmp((const char *)text.data, word, size) == 0;
}

static bool read_special_double(struct bytes text, double *out)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    struct bytes rest = negative ? bytes_of(text.data + 1, text.size - 1) : text;
    if (equals(rest, "nan")) {
        *out = negative ? -(double)NAN : (double)NAN;
        return true;
    }
    if (equals(rest, "inf") || equals(rest, "infinity")) {
        *out = negative ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    return false;
}

/* [-+]? digits [. digits] [e [-+]? digits], with a digit before or after the point. */
static bool looks_like_double(struct bytes text)
{
    size_t i = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    size_t digits = 0;
    for (; i < text.size && is_digit(text.data[i]); i++) {
        digits++;
    }
    if (i < text.size && text.data[i] == '.') {
        for (i++; i < text.size && is_digit(text.data[i]); i++) {
            digits++;
        }
    }
    if (digits == 0) {
        return false;
    }
    if (i == text.size) {
        return true;
    }
    if ((text.data[i] | 0x20) != 'e') {
        return false;
    }
    i++;
    i += i < text.size && (text.data[i] == '-' || text.data[i] == '+') ? 1 : 0;
    size_t first = i;
    while (i < text.size && is_digit(text.data[i])) {
        i++;
    }
    return i == text.size && i > first;
}

bool value_text_double(struct bytes text, double *out)
{
    if (text.size == 0 || text.size >= VALUE_TEXT_NUMBER_SIZE_MAX) {
        return false;
    }
    if (!looks_like_double(text)) {
        return read_special_double(text, out);
    }
    /* strtod() reads a point as the C locale does, and this program never sets
     * another one. */
    char copy[VALUE_TEXT_NUMBER_SIZE_MAX];
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    char *end = NULL;
    double v = strtod(copy, &end);
    if (end != copy + text.size) {
        return false;
    }
    if (isinf(v)) { /* digits that mean more than a double can hold */
        return false;
    }
    *out = v;
    return true;
}

bool value_text_float(struct bytes text, float *out)
{
    double wide = 0;
    if (!value_text_double(text, &wide)) {
        return false;
    }
    float v = (float)wide; /* NaN and infinities, as they were written */
    if (isfinite(wide)) {  /* from the digits: rounded once */
        char copy[VALUE_TEXT_NUMBER_SIZE_MAX];
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        v = strtof(copy, NULL);
        if (isinf(v)) {
            return false;
        }
    }
    *out = v;
    return true;
}

bool value_text_bool(struct bytes text, bool *out)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"f", "t"}, {"no", "yes"}, {"off", "on"}, {"0", "1"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (size_t v = 0; v < 2; v++) {
            if (equals(text, words[i][v])) {
                *out = v == 1;
                return true;
            }
        }
    }
    return false;
}

static bool read_unit(struct bytes unit, uint64_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (unit.size == strlen(units[i].name) &&
            memcmp(unit.data, units[i].name, unit.size) == 0) {
            *ms = units[i].ms;
            return true;
        }
    }
    return false;
}

bool value_text_duration_ms(struct bytes text, uint64_t *out)
{
    const uint64_t limit = UINT64_C(1000) * 365 * 24 * 3600 * 1000; /* a thousand years */
    uint64_t sum = 0;
    if (read_digits(text, limit / 1000, &sum)) {
        *out = sum * 1000;
        return true;
    }
    size_t i = 0;
    while (i < text.size) {
        size_t number = i;
        while (i < text.size && is_digit(text.data[i])) {
            i++;
        }
        size_t unit = i;
        while (i < text.size && !is_digit(text.data[i])) {
            i++;
        }
        uint64_t v = 0;
        uint64_t ms = 0;
        if (!read_unit(bytes_of(text.data + unit, i - unit), &ms) ||
            !read_digits(bytes_of(text.data + number, unit - number), limit / ms, &v) ||
            sum + v * ms > limit) {
            return false;
        }
        sum += v * ms;
    }
    if (text.size == 0) {
        return false;
    }
    *out = sum;
    return true;
}

size_t value_text_utf8_size(struct bytes text)
{
    static const struct {
        uint8_t mask, lead;
        size_t size;
        uint32_t min;
    } forms[] = {
        {0x80, 0x00, 1, 0},
        {0xe0, 0xc0, 2, 0x80},
        {0xf0, 0xe0, 3, 0x800},
        {0xf8, 0xf0, 4, 0x10000},
    };
    for (size_t f = 0; text.size > 0 && f < sizeof forms / sizeof forms[0]; f++) {
        if ((text.data[0] & forms[f].mask) != forms[f].lead) {
            continue;
        }
        if (forms[f].size > text.size) {
            return 0;
        }
        uint32_t v = text.data[0] & (uint32_t)~forms[f].mask & 0xff;
        for (size_t i = 1; i < forms[f].size; i++) {
            if ((text.data[i] & 0xc0) != 0x80) {
                return 0;
            }
            v = v << 6 | (text.data[i] & 0x3f);
        }
        bool good = v >= forms[f].min && v <= 0x10ffff && (v < 0xd800 || v > 0xdfff);
        return good ? forms[f].size : 0;
    }
    return 0;
}

bool value_text_is_utf8(struct bytes text)
{
    size_t i = 0;
    while (i < text.size) {
        size_t size = value_text_utf8_size(bytes_of(text.data + i, text.size - i));
        if (size == 0) {
            return false;
        }
        i += size;
    }
    return true;
}

const char *value_text_print_double(double v, char dst[VALUE_TEXT_DOUBLE_SIZE])
{
    if (isnan(v)) {
        (void)snprintf(dst, VALUE_TEXT_DOUBLE_SIZE, "NaN");
        return dst;
    }
    if (isinf(v)) {
        (void)snprintf(dst, VALUE_TEXT_DOUBLE_SIZE, "%sInfinity", v < 0 ? "-" : "");
        return dst;
    }
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        (void)snprintf(dst, VALUE_TEXT_DOUBLE_SIZE, "%.*g", digits, v);
        if (strtod(dst, NULL) == v) {
            break;
        }
    }
    return dst;
}

const char *value_text_print_float(float v, char dst[VALUE_TEXT_DOUBLE_SIZE])
{
    if (!isfinite(v)) {
        return value_text_print_double((double)v, dst);
    }
    for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
        (void)snprintf(dst, VALUE_TEXT_DOUBLE_SIZE, "%.*g", digits, (double)v);
        if (strtof(dst, NULL) == v) {
            break;
        }
    }
    return dst;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool value_text_bytes(struct bytes text, struct buf *out)
{
    if (text.size < 2 || text.size % 2 != 0 || text.data[0] != '\\' || text.data[1] != 'x') {
        return false;
    }
    for (size_t i = 2; i < text.size; i += 2) {
        int high = hex_value(text.data[i]);
        int low = hex_value(text.data[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        buf_put_u8(out, (uint8_t)(high << 4 | low));
    }
    return true;
}

void value_text_print_bytes(struct bytes v, struct buf *out)
{
    buf_put_bytes(out, bytes_str("\\x"));
    for (size_t i = 0; i < v.size; i++) {
        buf_printf(out, "%02x", v.data[i]);
    }
}

static const char *const type_names[] = {
    [TIDEMARK__V1__TYPE__TIMESTAMP] = "timestamp", [TIDEMARK__V1__TYPE__INT64] = "int64",
    [TIDEMARK__V1__TYPE__DOUBLE] = "double",       [TIDEMARK__V1__TYPE__BOOL] = "bool",
    [TIDEMARK__V1__TYPE__STRING] = "string",       [TIDEMARK__V1__TYPE__INT16] = "int16",
    [TIDEMARK__V1__TYPE__INT32] = "int32",         [TIDEMARK__V1__TYPE__FLOAT] = "float32",
    [TIDEMARK__V1__TYPE__BYTES] = "varbytes",
};

int value_text_type(struct bytes name)
{
    static const struct {
        const char *name;
        int type;
    } others[] = {
        {"int", TIDEMARK__V1__TYPE__INT64},      {"bigint", TIDEMARK__V1__TYPE__INT64},
        {"integer", TIDEMARK__V1__TYPE__INT64},  {"float", TIDEMARK__V1__TYPE__DOUBLE},
        {"float64", TIDEMARK__V1__TYPE__DOUBLE}, {"boolean", TIDEMARK__V1__TYPE__BOOL},
        {"text", TIDEMARK__V1__TYPE__STRING},    {"varchar", TIDEMARK__V1__TYPE__STRING},
        {"time", TIDEMARK__V1__TYPE__TIMESTAMP}, {"smallint", TIDEMARK__V1__TYPE__INT16},
        {"int2", TIDEMARK__V1__TYPE__INT16},     {"int4", TIDEMARK__V1__TYPE__INT32},
        {"int8", TIDEMARK__V1__TYPE__INT64},     {"real", TIDEMARK__V1__TYPE__FLOAT},
        {"float4", TIDEMARK__V1__TYPE__FLOAT},   {"float8", TIDEMARK__V1__TYPE__DOUBLE},
        {"bytes", TIDEMARK__V1__TYPE__BYTES},    {"bytea", TIDEMARK__V1__TYPE__BYTES},
    };
    for (size_t i = 1; i < sizeof type_names / sizeof type_names[0]; i++) {
        if (equals(name, type_names[i])) {
            return (int)i;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (equals(name, others[i].name)) {
            return others[i].type;
        }
    }
    return 0;
}

bool value_text_type_is_long(int type)
{
    return type == TIDEMARK__V1__TYPE__STRING || type == TIDEMARK__V1__TYPE__BYTES;
}

int value_text_sized_type(struct bytes name, uint32_t *size_max)
{
    *size_max = 0;
    const uint8_t *open = name.size == 0 ? NULL : memchr(name.data, '(', name.size);
    if (open == NULL) {
        return value_text_type(name);
    }
    struct bytes head = bytes_of(name.data, (size_t)(open - name.data));
    size_t left = name.size - head.size - 1;
    uint64_t size = 0;
    if (left < 2 || open[left] != ')' || !value_text_uint64(bytes_of(open + 1, left - 1), &size) ||
        size == 0 || size > UINT32_MAX) {
        return 0;
    }
    int type = value_text_type(head);
    *size_max = (uint32_t)size;
    return value_text_type_is_long(type) ? type : 0;
}

const char *value_text_type_name(int type)
{
    if (type < 1 || (size_t)type >= sizeof type_names / sizeof type_names[0]) {
        return "?";
    }
    return type_names[type];
}
