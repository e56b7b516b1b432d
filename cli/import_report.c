/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/check.h"

enum { BAR_WIDTH = 24, GROUPED_SIZE = 32 };

static const char *const reject_columns[] = {"line", "reason"};

enum err_code import_rejects_open(struct import_rejects *r, const char *path, uint64_t count_max,
                                  FILE *err, struct err *e)
{
    *r = (struct import_rejects){.count_max = count_max, .err = err};
    if (path == NULL) {
        return ERR_OK;
    }
    r->file = fopen(path, "we");
    if (r->file == NULL) {
        return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
    }
    struct record_style style = {FORMAT_CSV, RECORD_LIST, false, "rejects"};
    text_sink_init(&r->sink, r->file);
    r->writer = record_open(&r->sink, &style, reject_columns, 2);
    return ERR_OK;
}

enum err_code import_rejects_close(struct import_rejects *r, struct err *e)
{
    if (r->file == NULL) {
        return ERR_OK;
    }
    record_close(r->writer);
    bool good = text_sink_flush(&r->sink);
    text_sink_deinit(&r->sink);
    good = fclose(r->file) == 0 && good;
    r->file = NULL;
    return good ? ERR_OK : err_set(e, ERR_IO, "--rejects: the file could not be written");
}

static void show(struct import_rejects *r, uint64_t line, const char *reason)
{
    if (r->count > IMPORT_REJECTS_SHOWN) {
        return;
    }
    (void)fprintf(r->err, "line %" PRIu64 ": ", line);
    for (const char *p = reason; *p != '\0'; p++) {
        (void)fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, r->err);
    }
    (void)fputc('\n', r->err);
    if (r->count == IMPORT_REJECTS_SHOWN && r->count_max > r->count) {
        (void)fprintf(r->err,
                      "more refused lines are counted, not shown; --rejects FILE keeps them\n");
    }
}

bool import_rejects_add(struct import_rejects *r, uint64_t line, const char *reason)
{
    r->count++;
    if (r->file != NULL) {
        record_uint(r->writer, line);
        record_str(r->writer, reason);
    } else {
        show(r, line, reason);
    }
    return r->count <= r->count_max;
}

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t v, char dst[GROUPED_SIZE])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, v);
    CHECK(size > 0);
    size_t at = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            dst[at++] = ',';
        }
        dst[at++] = digits[i];
    }
    dst[at] = '\0';
    return dst;
}

const char *import_progress_text(const struct import_progress *p, char dst[IMPORT_PROGRESS_SIZE])
{
    char bar[BAR_WIDTH + 1];
    char share[BAR_WIDTH + 16] = "";
    char retries[48] = "";
    if (p->size > 0) {
        uint64_t read = p->read < p->size ? p->read : p->size;
        size_t full = (size_t)((double)read / (double)p->size * (double)BAR_WIDTH);
        memset(bar, ' ', BAR_WIDTH);
        memset(bar, '=', full);
        bar[BAR_WIDTH] = '\0';
        (void)snprintf(share, sizeof share, "%3.0f%% [%s]  ", (double)read / (double)p->size * 100,
                       bar);
    }
    if (p->retries > 0) {
        (void)snprintf(retries, sizeof retries, "  %" PRIu64 " retries", p->retries);
    }
    char rows[GROUPED_SIZE];
    char rate[GROUPED_SIZE];
    double measured = p->elapsed_ms == 0 ? 0 : (double)p->rows * 1000.0 / (double)p->elapsed_ms;
    uint64_t per_second = measured < 0x1p63 ? (uint64_t)measured : UINT64_MAX;
    (void)snprintf(dst, IMPORT_PROGRESS_SIZE, "%s%s rows  %s rows/s%s", share,
                   grouped(p->rows, rows), grouped(per_second, rate), retries);
    return dst;
}
