/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/log_json.h"

enum { US_PER_S = 1000000 };

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

/* A line under construction. What does not fit is cut, and the line says so. */
struct line {
    char text[LOG_LINE_SIZE_MAX + 1]; /* the newline and the zero included */
    size_t size;
};

/* The last bytes of a line are kept for the mark of a cut and the newline. */
static const char cut_mark[] = " ...";
enum { ROOM = LOG_LINE_SIZE_MAX - (int)sizeof cut_mark };

static void line_append(struct line *line, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void line_append(struct line *line, const char *format, va_list args)
{
    CHECK(line->size <= ROOM);
    size_t left = ROOM - line->size;
    int size = vsnprintf(line->text + line->size, left + 1, format, args);
    CHECK(size >= 0);
    line->size += (size_t)size <= left ? (size_t)size : left;
    if ((size_t)size > left) {
        (void)snprintf(line->text + ROOM, sizeof line->text - ROOM, "%s", cut_mark);
    }
}

static void line_printf(struct line *line, const char *format, ...) ERR_FORMAT(2, 3);

static void line_printf(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line_append(line, format, args);
    va_end(args);
}

static void line_time(struct line *line, int64_t wall_us)
{
    int64_t us = wall_us % US_PER_S;
    if (us < 0) {
        us += US_PER_S;
    }
    time_t s = (time_t)((wall_us - us) / US_PER_S);
    struct tm tm;
    if (gmtime_r(&s, &tm) == NULL) {
        line_printf(line, "%" PRId64 "us", wall_us); /* a year that struct tm can't hold */
        return;
    }
    line_printf(line, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)us);
}

/* One event is one line, whatever a name or a message from outside contains. */
static void replace_control_characters(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
}

static void write_json(const struct log *log, const struct log_json *words)
{
    struct line time = {.size = 0};
    struct log_json line = *words;
    char text[LOG_LINE_SIZE_MAX + 1];
    line_time(&time, log->wall_us(log->context));
    line.time = time.text;
    line.node = log->node;
    log_json_write(&line, text);
    log->write(log->context, text);
}

static void write_text(const struct log *log, const struct log_json *words)
{
    struct line line = {.size = 0};
    line_time(&line, log->wall_us(log->context));
    line_printf(&line, " %s", words->level);
    if (log->node[0] != '\0') {
        line_printf(&line, " node=%s", log->node);
    }
    line_printf(&line, " %s %s%s%s", words->room, words->verb, words->pairs[0] != '\0' ? " " : "",
                words->pairs);
    replace_control_characters(line.text);
    size_t size = strlen(line.text);
    CHECK(size + 2 <= sizeof line.text);
    line.text[size] = '\n';
    line.text[size + 1] = '\0';
    log->write(log->context, line.text);
}

void log_line(const struct log *log, enum log_level level, const char *room, const char *verb,
              const char *format, ...)
{
    CHECK(level <= LOG_ERROR);
    if (log == NULL || level < log->level) {
        return;
    }
    CHECK(log->wall_us != NULL);
    CHECK(log->write != NULL);

    char pairs[LOG_LINE_SIZE_MAX + 1] = "";
    int size = 0;
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        size = vsnprintf(pairs, sizeof pairs, format, args);
        va_end(args);
        CHECK(size >= 0);
    }
    struct log_json line = {
        .level = level_names[level],
        .room = room,
        .verb = verb,
        .pairs = pairs,
        .cut = (size_t)size >= sizeof pairs,
    };
    if (log->json) {
        write_json(log, &line);
    } else {
        write_text(log, &line);
    }
}

void log_write_stderr(void *context, const char *line)
{
    (void)context;
    (void)fputs(line, stderr); /* stderr is unbuffered: one write for one line */
}
