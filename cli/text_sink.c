/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text_sink.h"

#include <stdarg.h>

#include "base/check.h"

void text_sink_init(struct text_sink *s, FILE *file)
{
    *s = (struct text_sink){.file = file};
}

void text_sink_deinit(struct text_sink *s)
{
    buf_deinit(&s->text);
}

static void write_out(struct text_sink *s)
{
    if (!s->failed && s->text.size > 0) {
        s->failed = fwrite(s->text.data, 1, s->text.size, s->file) != s->text.size;
    }
    buf_reset(&s->text);
}

static void write_when_large(struct text_sink *s)
{
    if (s->file != NULL && s->text.size >= TEXT_SINK_FLUSH_SIZE) {
        write_out(s);
    }
}

void text_sink_put(struct text_sink *s, struct bytes text)
{
    if (text.size > 0) {
        buf_put_bytes(&s->text, text);
        write_when_large(s);
    }
}

void text_sink_str(struct text_sink *s, const char *text)
{
    text_sink_put(s, bytes_str(text));
}

void text_sink_char(struct text_sink *s, char c)
{
    buf_put_u8(&s->text, (uint8_t)c);
    write_when_large(s);
}

void text_sink_printf(struct text_sink *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    buf_reserve(&s->text, (size_t)size + 1);
    (void)vsnprintf((char *)s->text.data + s->text.size, (size_t)size + 1, format, again);
    va_end(again);
    s->text.size += (size_t)size;
    write_when_large(s);
}

bool text_sink_flush(struct text_sink *s)
{
    if (s->file == NULL) {
        return true;
    }
    write_out(s);
    s->failed = fflush(s->file) != 0 || s->failed;
    return !s->failed;
}

const char *text_sink_text(struct text_sink *s)
{
    buf_reserve(&s->text, 1);
    s->text.data[s->text.size] = '\0';
    return (const char *)s->text.data;
}
