/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that carry a story.
 *
 * Everything that can fail because of the world (never because of a bug)
 * returns an enum err_code and takes a 'struct err *e' last. The bottom calls
 * err_set(), each layer above adds with err_wrap() what it was doing:
 *
 *   "segment at index 8: fdatasync: No space left on device"
 *
 * 'e' may be NULL when the caller needs the code alone. */
#ifndef TIDEMARK_BASE_ERR_H
#define TIDEMARK_BASE_ERR_H

#include <stdarg.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define ERR_FORMAT(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))

enum err_code {
    ERR_OK = 0,
    ERR_INVALID,   /* the request or the input can't be right */
    ERR_NOT_FOUND, /* what was named does not exist */
    ERR_EXISTS,    /* what was to be made exists */
    ERR_RANGE,     /* a value outside its limits */
    ERR_FULL,      /* a bounded thing has no room: try less, or later */
    ERR_NO_SPACE,  /* the disk has no room */
    ERR_IO,        /* the disk or the network failed */
    ERR_CORRUPT,   /* bytes read do not match their checksum or format */
    ERR_STATE,     /* not now: the state does not allow it */
    ERR_NOT_LEADER,
    ERR_UNAVAILABLE,     /* no leader, no quorum, shutting down: retry elsewhere or later */
    ERR_UNKNOWN_OUTCOME, /* may have taken effect; retry with the same request id */
    ERR_DEADLINE,
    ERR_CANCELLED,
    ERR_UNSUPPORTED, /* a version, type or feature this program does not know */
    ERR_PERMISSION,
    ERR_CODE_COUNT
};

enum { ERR_TEXT_SIZE = 512 };

struct err {
    enum err_code code;
    char text[ERR_TEXT_SIZE]; /* always terminated; cut, never overrun */
};

/* The name of a code, as logs and tests print it: "NOT_FOUND". */
const char *err_name(enum err_code code);

/* Starts the story. Returns 'code', so that it can end a function. */
enum err_code err_set(struct err *e, enum err_code code, const char *format, ...) ERR_FORMAT(3, 4);

/* Puts "<format>: " before the story that is there. Returns e's code. 'e' must
 * hold an error; with e == NULL returns ERR_IO, so keep the code where that matters. */
enum err_code err_wrap(struct err *e, const char *format, ...) ERR_FORMAT(2, 3);

#endif
