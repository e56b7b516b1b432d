/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/csv_reader.h"

#include "base/check.h"
#include "base/mem.h"

/* Of what one look at the input can find. */
enum verdict { WHOLE, SHORT, BROKEN };

struct csv_reader {
    char separator;
    struct buf input;         /* fed and not yet consumed, from 'at' on */
    size_t at;                /* where the next record begins */
    uint64_t line;            /* of 'at' */
    bool ended;               /* nothing more will be fed */
    bool started;             /* the byte order mark was looked for */
    bool skipping;            /* to the end of a line that is too long to hold */
    size_t seen;              /* bytes from 'at' on known to hold no end of the record... */
    bool seen_quoted;         /* ...and whether they end inside quotes */
    struct buf text;          /* of the record's fields, unquoted */
    struct csv_field *fields; /* owned */
    size_t *places;           /* owned: where in 'text' each field begins */
    size_t capacity, place_capacity;
    size_t count;
};

/* Where a record is being cut into fields. */
struct split {
    const uint8_t *data;
    size_t size; /* of what is there */
    size_t at;
    bool final;      /* nothing comes after 'size' */
    uint64_t lines;  /* line ends inside the record so far */
    const char *why; /* BROKEN */
};

struct csv_reader *csv_reader_open(char separator)
{
    CHECK(separator != '"');
    CHECK(separator != '\n');
    CHECK(separator != '\r');
    struct csv_reader *r = mem_zalloc(sizeof *r);
    r->separator = separator;
    r->line = 1;
    return r;
}

void csv_reader_close(struct csv_reader *r)
{
    if (r == NULL) {
        return;
    }
    buf_deinit(&r->input);
    buf_deinit(&r->text);
    mem_free(r->fields);
    mem_free(r->places);
    mem_free(r);
}

void csv_reader_feed(struct csv_reader *r, struct bytes piece)
{
    CHECK(!r->ended);
    if (r->at > 0) {
        memmove(r->input.data, r->input.data + r->at, r->input.size - r->at);
        r->input.size -= r->at;
        r->at = 0;
    }
    buf_put_bytes(&r->input, piece);
}

void csv_reader_end(struct csv_reader *r)
{
    r->ended = true;
}

/* --- one record --- */

static void begin_field(struct csv_reader *r, bool quoted)
{
    r->fields = mem_grow(r->fields, &r->capacity, r->count + 1, sizeof *r->fields);
    r->places = mem_grow(r->places, &r->place_capacity, r->count + 1, sizeof *r->places);
    r->fields[r->count].quoted = quoted;
    r->places[r->count] = r->text.size;
    r->count++;
}

static enum verdict broken(struct split *s, const char *why)
{
    s->why = why;
    return BROKEN;
}

/* Bytes up to a quote; bare ones end at separators and line ends too. */
static struct bytes take_span(struct split *s, uint8_t separator, bool bare)
{
    size_t first = s->at;
    while (s->at < s->size) {
        uint8_t c = s->data[s->at];
        if (c == '"' || (bare && (c == separator || c == '\n' || c == '\r'))) {
            break;
        }
        s->lines += c == '\n' ? 1 : 0;
        s->at++;
    }
    return bytes_of(s->data + first, s->at - first);
}

/* The text between quotes; s->at is behind the opening one, and then behind the
 * closing one. */
static enum verdict take_quoted(struct csv_reader *r, struct split *s)
{
    begin_field(r, true);
    for (;;) {
        buf_put_bytes(&r->text, take_span(s, 0, false));
        if (s->at == s->size) {
            return s->final ? broken(s, "a quote is not closed") : SHORT;
        }
        if (s->at + 1 == s->size && !s->final) {
            return SHORT; /* the next byte says whether it is a doubled quote */
        }
        s->at++;
        if (s->at == s->size || s->data[s->at] != '"') {
            return WHOLE;
        }
        buf_put_u8(&r->text, '"');
        s->at++;
    }
}

static enum verdict take_bare(struct csv_reader *r, struct split *s)
{
    begin_field(r, false);
    buf_put_bytes(&r->text, take_span(s, (uint8_t)r->separator, true));
    if (s->at == s->size) {
        return s->final ? WHOLE : SHORT;
    }
    return s->data[s->at] == '"' ? broken(s, "a quote inside a field that is not quoted") : WHOLE;
}

/* Behind a field: a separator (*more), or the end of the record. */
static enum verdict take_end(struct csv_reader *r, struct split *s, bool *more)
{
    *more = false;
    if (s->at == s->size) {
        return s->final ? WHOLE : SHORT;
    }
    if (s->data[s->at] == (uint8_t)r->separator) {
        s->at++;
        *more = true;
        return r->count < CSV_FIELDS_MAX ? WHOLE : broken(s, "too many fields");
    }
    size_t end = s->at + (s->data[s->at] == '\r' ? 1 : 0);
    if (end == s->size) {
        if (!s->final) {
            return SHORT;
        }
        s->at = end;
        return WHOLE;
    }
    if (s->data[end] != '\n') {
        return broken(s, s->data[s->at] == '\r' ? "a carriage return inside a line"
                                                : "text after a closing quote");
    }
    s->at = end + 1;
    s->lines++;
    return WHOLE;
}

static enum verdict split_record(struct csv_reader *r, struct split *s)
{
    r->count = 0;
    buf_reset(&r->text);
    bool more = true;
    while (more) {
        bool quoted = s->at < s->size && s->data[s->at] == '"';
        s->at += quoted ? 1 : 0;
        enum verdict verdict = quoted ? take_quoted(r, s) : take_bare(r, s);
        if (verdict == WHOLE) {
            verdict = take_end(r, s, &more);
        }
        if (verdict != WHOLE) {
            return verdict;
        }
    }
    if (memchr(s->data, '\0', s->at) != NULL) {
        return broken(s, "a zero byte");
    }
    return WHOLE;
}

/* --- finding records --- */

/* Whether a look at the record is worth it: it ends in what is there, or there
 * will be no more, or it is too long. Each byte is looked at once. */
static bool record_is_there(struct csv_reader *r)
{
    const uint8_t *data = r->input.data + r->at;
    size_t size = r->input.size - r->at;
    size_t limit = size < CSV_RECORD_SIZE_MAX ? size : CSV_RECORD_SIZE_MAX;
    while (r->seen < limit) {
        uint8_t c = data[r->seen];
        if (c == '\n' && !r->seen_quoted) {
            return true;
        }
        r->seen_quoted = r->seen_quoted != (c == '"');
        r->seen++;
    }
    return r->ended || size >= CSV_RECORD_SIZE_MAX;
}

static void advance(struct csv_reader *r, size_t size, uint64_t lines)
{
    CHECK(size <= r->input.size - r->at);
    r->at += size;
    r->line += lines;
    r->seen = 0;
    r->seen_quoted = false;
}

/* Behind the next line end; if there is none here, the rest is skipped as it comes. */
static void skip_line(struct csv_reader *r)
{
    const uint8_t *data = r->input.data + r->at;
    size_t size = r->input.size - r->at;
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    r->skipping = end == NULL;
    advance(r, end == NULL ? size : (size_t)(end - data) + 1, end == NULL ? 0 : 1);
}

/* Byte order mark, the rest of a long line, empty lines. False: feed more first. */
static bool skip_to_record(struct csv_reader *r)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    if (!r->started) {
        if (r->input.size < sizeof mark && !r->ended) {
            return false;
        }
        r->started = true;
        if (r->input.size >= sizeof mark && memcmp(r->input.data, mark, sizeof mark) == 0) {
            advance(r, sizeof mark, 0);
        }
    }
    if (r->skipping) {
        skip_line(r);
    }
    while (!r->skipping && r->at < r->input.size) {
        const uint8_t *data = r->input.data + r->at;
        size_t size = r->input.size - r->at;
        if (data[0] == '\n') {
            advance(r, 1, 1);
        } else if (data[0] == '\r' && size > 1 && data[1] == '\n') {
            advance(r, 2, 1);
        } else {
            return true;
        }
    }
    return false;
}

static enum csv_result give(struct csv_reader *r, const struct split *s, struct csv_record *record)
{
    const uint8_t *text = r->text.data;
    for (size_t i = 0; i < r->count; i++) {
        size_t end = i + 1 < r->count ? r->places[i + 1] : r->text.size;
        r->fields[i].text = bytes_of(text == NULL ? NULL : text + r->places[i], end - r->places[i]);
    }
    *record = (struct csv_record){r->line, r->fields, r->count};
    advance(r, s->at, s->lines);
    return CSV_RECORD;
}

static enum csv_result refuse(struct csv_reader *r, const char *why, struct csv_record *record,
                              struct err *e)
{
    *record = (struct csv_record){.line = r->line};
    (void)err_set(e, ERR_INVALID, "%s", why);
    skip_line(r);
    return CSV_BAD;
}

enum csv_result csv_reader_next(struct csv_reader *r, struct csv_record *record, struct err *e)
{
    if (!skip_to_record(r) || !record_is_there(r)) {
        return r->ended ? CSV_END : CSV_MORE;
    }
    size_t size = r->input.size - r->at;
    bool too_long = size >= CSV_RECORD_SIZE_MAX;
    struct split s = {.data = r->input.data + r->at,
                      .size = too_long ? CSV_RECORD_SIZE_MAX : size,
                      .final = r->ended && !too_long};
    switch (split_record(r, &s)) {
    case WHOLE:
        return give(r, &s, record);
    case SHORT:
        break;
    case BROKEN:
        return refuse(r, s.why, record, e);
    }
    CHECK(too_long); /* record_is_there() saw the end of any other */
    return refuse(r,
                  r->seen_quoted ? "a quote is not closed within 256 KiB" : "longer than 256 KiB",
                  record, e);
}
