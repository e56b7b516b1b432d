/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

static const char *const names[ERR_CODE_COUNT] = {
    [ERR_OK] = "OK",
    [ERR_INVALID] = "INVALID",
    [ERR_NOT_FOUND] = "NOT_FOUND",
    [ERR_EXISTS] = "EXISTS",
    [ERR_RANGE] = "RANGE",
    [ERR_FULL] = "FULL",
    [ERR_NO_SPACE] = "NO_SPACE",
    [ERR_IO] = "IO",
    [ERR_CORRUPT] = "CORRUPT",
    [ERR_STATE] = "STATE",
    [ERR_NOT_LEADER] = "NOT_LEADER",
    [ERR_UNAVAILABLE] = "UNAVAILABLE",
    [ERR_UNKNOWN_OUTCOME] = "UNKNOWN_OUTCOME",
    [ERR_DEADLINE] = "DEADLINE",
    [ERR_CANCELLED] = "CANCELLED",
    [ERR_UNSUPPORTED] = "UNSUPPORTED",
    [ERR_PERMISSION] = "PERMISSION",
};

const char *err_name(enum err_code code)
{
    CHECK(code < ERR_CODE_COUNT);
    return names[code];
}

enum err_code err_set(struct err *e, enum err_code code, const char *format, ...)
{
    CHECK(code != ERR_OK);
    CHECK(code < ERR_CODE_COUNT);
    if (e == NULL) {
        return code;
    }
    e->code = code;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return code;
}

enum err_code err_wrap(struct err *e, const char *format, ...)
{
    if (e == NULL) {
        return ERR_IO;
    }
    CHECK(e->code != ERR_OK);
    char inner[ERR_TEXT_SIZE];
    memcpy(inner, e->text, sizeof inner);

    va_list args;
    va_start(args, format);
    int used = vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    if (used < 0) {
        used = 0;
    }
    if ((size_t)used < sizeof e->text) {
        (void)snprintf(e->text + used, sizeof e->text - (size_t)used, ": %s", inner);
    }
    return e->code;
}
