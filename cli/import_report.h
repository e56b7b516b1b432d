/* SPDX-License-Identifier: Apache-2.0 */
/* What an import tells while it runs: refused lines, and a progress line.
 *
 * Refused lines go as CSV (line,reason) to the file that the user named, else the
 * first IMPORT_REJECTS_SHOWN of them to standard error. */
#ifndef TIDEMARK_CLI_IMPORT_REPORT_H
#define TIDEMARK_CLI_IMPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/record_writer.h"
#include "cli/text_sink.h"

enum { IMPORT_REJECTS_SHOWN = 20, IMPORT_PROGRESS_SIZE = 160, IMPORT_PROGRESS_EVERY_MS = 100 };

struct import_rejects {
    uint64_t count;
    uint64_t count_max; /* more end the import */
    FILE *err;          /* borrowed */
    FILE *file;         /* owned; NULL: none was named */
    struct text_sink sink;
    struct record_writer *writer;
};

/* 'path' NULL: no file. ERR_IO: it can't be made. */
MUST_CHECK enum err_code import_rejects_open(struct import_rejects *r, const char *path,
                                             uint64_t count_max, FILE *err, struct err *e);
/* ERR_IO: the file could not be written whole. Once, also for a struct of zeros. */
MUST_CHECK enum err_code import_rejects_close(struct import_rejects *r, struct err *e);
/* False: that was one too many. */
bool import_rejects_add(struct import_rejects *r, uint64_t line, const char *reason);

struct import_progress {
    uint64_t size; /* of the file, 0: not known */
    uint64_t read; /* bytes of it */
    uint64_t rows; /* acknowledged */
    uint64_t retries;
    uint64_t elapsed_ms;
};

/* " 45% [=========           ]  30,000 rows  123,456 rows/s  2 retries" */
const char *import_progress_text(const struct import_progress *p, char dst[IMPORT_PROGRESS_SIZE]);

#endif
