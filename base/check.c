/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *fact, const char *file, int line)
{
    (void)fprintf(stderr, "tidemark: %s:%d: check failed: %s\n", file, line, fact);
    (void)fflush(NULL);
    abort();
}

void check_panic(const char *file, int line, const char *format, ...)
{
    (void)fprintf(stderr, "tidemark: %s:%d: ", file, line);
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    (void)fflush(NULL);
    abort();
}
