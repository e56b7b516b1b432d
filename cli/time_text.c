/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/time_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>

#include "base/check.h"
#include "cli/value_text.h"

enum { PRECISION_MAX = 9, YEAR_DIGITS_MAX = 9, NANOS = 1000 * 1000 * 1000 };

static const int64_t scales[PRECISION_MAX + 1] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
};

/* A moment, as it is read. */
struct moment {
    int64_t year;
    unsigned month; /* from 1 */
    unsigned day;   /* from 1 */
    unsigned hour, minute, second;
    uint32_t nanos;
    int offset_s; /* east of Greenwich */
};

struct reader {
    const uint8_t *text;
    size_t size;
    size_t at;
};

/* --- the calendar (proleptic Gregorian) --- */

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_in_month(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    CHECK(month >= 1);
    CHECK(month <= 12);
    return days[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static int64_t floor_rest(int64_t a, int64_t b)
{
    return a % b + (a % b < 0 ? b : 0);
}

/* Years are counted from March, so that the leap day comes last; 400 years are
 * 146,097 days; day 0 is 1970-01-01. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_div(y, 400);
    int64_t of_era = y - era * 400;
    int64_t month_from_march = month > 2 ? (int64_t)month - 3 : (int64_t)month + 9;
    int64_t of_year = (153 * month_from_march + 2) / 5 + (int64_t)day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_from_days(int64_t days, struct moment *m)
{
    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t march = (5 * of_year + 2) / 153;
    m->day = (unsigned)(of_year - (153 * march + 2) / 5 + 1);
    m->month = (unsigned)(march < 10 ? march + 3 : march - 9);
    m->year = year + era * 400 + (m->month <= 2 ? 1 : 0);
}

/* --- reading pieces --- */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool take(struct reader *r, char c)
{
    if (r->at < r->size && r->text[r->at] == (uint8_t)c) {
        r->at++;
        return true;
    }
    return false;
}

/* Between min and max digits. */
static bool take_number(struct reader *r, unsigned min, unsigned max, int64_t *out)
{
    int64_t v = 0;
    unsigned count = 0;
    while (count < max && r->at < r->size && is_digit(r->text[r->at])) {
        v = v * 10 + (r->text[r->at++] - '0');
        count++;
    }
    *out = v;
    return count >= min;
}

static bool take_part(struct reader *r, unsigned low, unsigned high, unsigned *out)
{
    int64_t v = 0;
    if (!take_number(r, 2, 2, &v) || v < low || v > high) {
        return false;
    }
    *out = (unsigned)v;
    return true;
}

static bool take_year(struct reader *r, struct moment *m)
{
    bool negative = take(r, '-');
    bool signed_year = negative || take(r, '+');
    if (!take_number(r, signed_year ? 5 : 4, signed_year ? YEAR_DIGITS_MAX : 4, &m->year)) {
        return false;
    }
    m->year = negative ? -m->year : m->year;
    return true;
}

static bool take_date(struct reader *r, struct moment *m)
{
    return take_year(r, m) && take(r, '-') && take_part(r, 1, 12, &m->month) && take(r, '-') &&
           take_part(r, 1, 31, &m->day);
}

/* Digits of a second; those after the ninth must be zero. */
static bool take_fraction(struct reader *r, struct moment *m)
{
    uint32_t nanos = 0;
    unsigned count = 0;
    while (r->at < r->size && is_digit(r->text[r->at])) {
        uint32_t digit = (uint32_t)(r->text[r->at++] - '0');
        if (count < PRECISION_MAX) {
            nanos += digit * (uint32_t)scales[PRECISION_MAX - 1 - count];
        } else if (digit != 0) {
            return false;
        }
        count++;
    }
    m->nanos = nanos;
    return count > 0;
}

static bool take_clock(struct reader *r, struct moment *m)
{
    if (!take_part(r, 0, 23, &m->hour) || !take(r, ':') || !take_part(r, 0, 59, &m->minute)) {
        return false;
    }
    if (!take(r, ':')) {
        return true;
    }
    if (!take_part(r, 0, 60, &m->second)) { /* 60: a leap second counts as the next */
        return false;
    }
    return !take(r, '.') || take_fraction(r, m);
}

static bool take_zone(struct reader *r, struct moment *m)
{
    if (take(r, 'Z') || take(r, 'z')) {
        return true;
    }
    bool west = take(r, '-');
    if (!west && !take(r, '+')) {
        return false;
    }
    unsigned hour = 0;
    unsigned minute = 0;
    if (!take_part(r, 0, 23, &hour)) {
        return false;
    }
    if ((take(r, ':') || r->at < r->size) && !take_part(r, 0, 59, &minute)) {
        return false;
    }
    int offset = (int)(hour * 3600 + minute * 60);
    m->offset_s = west ? -offset : offset;
    return true;
}

static bool take_rfc3339(struct reader *r, struct moment *m)
{
    if (!take_date(r, m)) {
        return false;
    }
    if (r->at == r->size) {
        return true;
    }
    if (!take(r, 'T') && !take(r, 't') && !take(r, ' ')) {
        return false;
    }
    if (!take_clock(r, m)) {
        return false;
    }
    (void)take(r, ' '); /* "14:30:00 +0100" */
    return r->at == r->size || take_zone(r, m);
}

static bool take_month_name(struct reader *r, struct moment *m)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    if (r->size - r->at < 3) {
        return false;
    }
    for (unsigned i = 0; i < 12; i++) {
        if (strncasecmp((const char *)r->text + r->at, names + (size_t)3 * i, 3) == 0) {
            m->month = i + 1;
            r->at += 3;
            return true;
        }
    }
    return false;
}

static bool take_directive(struct reader *r, char directive, struct moment *m)
{
    switch (directive) {
    case 'Y':
        return take_year(r, m);
    case 'm':
        return take_part(r, 1, 12, &m->month);
    case 'b':
        return take_month_name(r, m);
    case 'd':
        return take_part(r, 1, 31, &m->day);
    case 'H':
        return take_part(r, 0, 23, &m->hour);
    case 'M':
        return take_part(r, 0, 59, &m->minute);
    case 'S':
        return take_part(r, 0, 60, &m->second);
    case 'f':
        return take_fraction(r, m);
    case 'z':
        return take_zone(r, m);
    case 'F':
        return take_date(r, m);
    case 'T':
        return take_part(r, 0, 23, &m->hour) && take(r, ':') && take_part(r, 0, 59, &m->minute) &&
               take(r, ':') && take_part(r, 0, 60, &m->second);
    case '%':
        return take(r, '%');
    default:
        return false;
    }
}

static bool take_pattern(struct reader *r, const char *pattern, struct moment *m)
{
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%') {
            if (!take(r, *p)) {
                return false;
            }
            continue;
        }
        p++;
        if (!take_directive(r, *p, m)) {
            return false;
        }
    }
    return true;
}

/* --- from pieces to a time --- */

static enum err_code scale(int64_t seconds, uint32_t nanos, unsigned precision, int64_t *out,
                           struct err *e)
{
    int64_t unit = NANOS / scales[precision]; /* nanoseconds of one unit */
    if (nanos % unit != 0) {
        return err_set(e, ERR_RANGE, "finer than the table's precision (%u digits of a second)",
                       precision);
    }
    int64_t rest = nanos / unit;
    if (seconds < 0 && rest > 0) { /* towards zero first, or the lowest times overflow */
        seconds++;
        rest -= scales[precision];
    }
    int64_t v = 0;
    if (__builtin_mul_overflow(seconds, scales[precision], &v) ||
        __builtin_add_overflow(v, rest, &v)) {
        return err_set(e, ERR_RANGE, "further from 1970 than the table can hold");
    }
    *out = v;
    return ERR_OK;
}

static enum err_code from_moment(const struct moment *m, unsigned precision, int64_t *out,
                                 struct err *e)
{
    if (m->day > days_in_month(m->year, m->month)) {
        return err_set(e, ERR_INVALID, "that month has no day %u", m->day);
    }
    int64_t seconds = days_from_date(m->year, m->month, m->day) * 86400 + (int64_t)m->hour * 3600 +
                      (int64_t)m->minute * 60 + (int64_t)m->second - m->offset_s;
    return scale(seconds, m->nanos, precision, out, e);
}

/* Digits of a second of each epoch_ kind. */
static unsigned kind_digits(enum time_kind kind)
{
    CHECK(kind >= TIME_EPOCH_S);
    CHECK(kind <= TIME_EPOCH_NS);
    return (unsigned)(kind - TIME_EPOCH_S) * 3;
}

/* Seconds until the year 5138; then each unit has as much room again. */
static enum time_kind guess_epoch(int64_t v)
{
    uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    if (size < UINT64_C(100000000000)) {
        return TIME_EPOCH_S;
    }
    if (size < UINT64_C(100000000000000)) {
        return TIME_EPOCH_MS;
    }
    return size < UINT64_C(100000000000000000) ? TIME_EPOCH_US : TIME_EPOCH_NS;
}

static enum err_code from_epoch(int64_t v, enum time_kind kind, unsigned precision, int64_t *out,
                                struct err *e)
{
    int64_t per_second = scales[kind_digits(kind)];
    int64_t seconds = floor_div(v, per_second);
    uint32_t nanos = (uint32_t)(floor_rest(v, per_second) * (NANOS / per_second));
    return scale(seconds, nanos, precision, out, e);
}

static bool is_whole_number(struct bytes text)
{
    size_t first = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    for (size_t i = first; i < text.size; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
    }
    return text.size > first;
}

static enum err_code bad_time(struct bytes text, const char *what, struct err *e)
{
    int shown = text.size > 40 ? 40 : (int)text.size;
    return err_set(e, ERR_INVALID, "'%.*s' is not %s", shown, (const char *)text.data, what);
}

static enum err_code parse_epoch(enum time_kind kind, struct bytes text, unsigned precision,
                                 int64_t *out, struct err *e)
{
    int64_t v = 0;
    if (!is_whole_number(text)) {
        return bad_time(text, "a whole number", e);
    }
    if (!value_text_int64(text, &v)) {
        return err_set(e, ERR_RANGE, "further from 1970 than a number can say");
    }
    return from_epoch(v, kind == TIME_AUTO ? guess_epoch(v) : kind, precision, out, e);
}

enum err_code time_text_parse(const struct time_format *format, struct bytes text,
                              unsigned precision, int64_t *out, struct err *e)
{
    CHECK(precision <= PRECISION_MAX);
    bool epoch = format->kind != TIME_RFC3339 && format->kind != TIME_PATTERN;
    if (epoch && (format->kind != TIME_AUTO || is_whole_number(text))) {
        return parse_epoch(format->kind, text, precision, out, e);
    }
    struct moment m = {.year = 1970, .month = 1, .day = 1};
    struct reader r = {text.data, text.size, 0};
    bool good =
        format->kind == TIME_PATTERN ? take_pattern(&r, format->pattern, &m) : take_rfc3339(&r, &m);
    if (!good || r.at != r.size) {
        return bad_time(text, "a time of the expected form", e);
    }
    return from_moment(&m, precision, out, e);
}

/* --- formats --- */

static bool pattern_is_usable(const char *pattern)
{
    bool some = false;
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%') {
            continue;
        }
        p++;
        if (*p == '\0' || strchr("YmbdHMSfzFT%", *p) == NULL) {
            return false;
        }
        some = some || *p != '%';
    }
    return some;
}

enum err_code time_text_format(const char *text, struct time_format *out, struct err *e)
{
    static const char *const names[] = {
        [TIME_AUTO] = "auto",         [TIME_EPOCH_S] = "epoch_s",   [TIME_EPOCH_MS] = "epoch_ms",
        [TIME_EPOCH_US] = "epoch_us", [TIME_EPOCH_NS] = "epoch_ns", [TIME_RFC3339] = "rfc3339",
    };
    *out = (struct time_format){0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            out->kind = (enum time_kind)i;
            return ERR_OK;
        }
    }
    if (strlen(text) >= TIME_TEXT_PATTERN_SIZE || !pattern_is_usable(text)) {
        return err_set(e, ERR_INVALID,
                       "'%s' is no time format: use auto, epoch_s, epoch_ms, epoch_us, epoch_ns, "
                       "rfc3339, or a pattern of %%Y %%m %%b %%d %%H %%M %%S %%f %%z %%F %%T",
                       text);
    }
    out->kind = TIME_PATTERN;
    memcpy(out->pattern, text, strlen(text) + 1);
    return ERR_OK;
}

const char *time_text_print(int64_t time, unsigned precision, char dst[TIME_TEXT_SIZE])
{
    CHECK(precision <= PRECISION_MAX);
    int64_t per_second = scales[precision];
    int64_t seconds = floor_div(time, per_second);
    int64_t fraction = floor_rest(time, per_second);
    int64_t days = floor_div(seconds, 86400);
    int64_t of_day = floor_rest(seconds, 86400);
    struct moment m = {0};
    date_from_days(days, &m);

    char year[24];
    if (m.year >= 0 && m.year <= 9999) {
        (void)snprintf(year, sizeof year, "%04" PRId64, m.year);
    } else {
        (void)snprintf(year, sizeof year, "%+06" PRId64, m.year);
    }
    char digits[24] = "";
    if (precision > 0) {
        (void)snprintf(digits, sizeof digits, ".%0*" PRId64, (int)precision, fraction);
    }
    (void)snprintf(dst, TIME_TEXT_SIZE, "%s-%02u-%02uT%02" PRId64 ":%02" PRId64 ":%02" PRId64 "%sZ",
                   year, m.month, m.day, of_day / 3600, of_day / 60 % 60, of_day % 60, digits);
    return dst;
}
