/* SPDX-License-Identifier: Apache-2.0 */
/* Times as text, both ways. A time is a number of units since 1970 UTC; the
 * precision of a table says which: 0 seconds, 3 milli-, 6 micro-, 9 nanoseconds.
 *
 *   auto      a whole number: seconds, or milli-, micro-, nanoseconds, by its size;
 *             else as rfc3339
 *   epoch_s, epoch_ms, epoch_us, epoch_ns    a whole number in that unit
 *   rfc3339   2014-02-14T14:30:00.5+01:00; a blank for the T, no seconds, no time
 *             and no zone (then UTC) are fine too
 *   a pattern "%d/%b/%Y %H:%M:%S": %Y %m %b %d %H %M %S %f (fraction) %z %F %T %%
 *
 * Years may have a sign and more than four digits, so that every time that can be
 * stored can be printed and read back. A time finer than the precision is
 * refused, never rounded: rounding could make two rows one. */
#ifndef TIDEMARK_CLI_TIME_TEXT_H
#define TIDEMARK_CLI_TIME_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { TIME_TEXT_PATTERN_SIZE = 64, TIME_TEXT_SIZE = 48 };

enum time_kind {
    TIME_AUTO,
    TIME_EPOCH_S,
    TIME_EPOCH_MS,
    TIME_EPOCH_US,
    TIME_EPOCH_NS,
    TIME_RFC3339,
    TIME_PATTERN,
};

struct time_format {
    enum time_kind kind;
    char pattern[TIME_TEXT_PATTERN_SIZE];
};

/* ERR_INVALID: neither a name of the list above nor a usable pattern. */
MUST_CHECK enum err_code time_text_format(const char *text, struct time_format *out, struct err *e);

/* ERR_INVALID: not such a time; ERR_RANGE: it can't be held, or is finer than the
 * precision. */
MUST_CHECK enum err_code time_text_parse(const struct time_format *format, struct bytes text,
                                         unsigned precision, int64_t *out, struct err *e);

/* "2014-02-14T14:30:00.000Z", with 'precision' digits of a second. Returns dst. */
const char *time_text_print(int64_t time, unsigned precision, char dst[TIME_TEXT_SIZE]);

#endif
