/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the tests, the other half of node_client.h.
 *
 *   ct.rows   ts TIMESTAMP | value INT64 | half DOUBLE | note STRING | tag series INT64
 *
 * 'half' and 'note' follow from the value, so that a row of mixed writes shows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cluster-tests/node_client.h"
#include "proto/wire.h"

#define DATABASE "ct"
#define TABLE "rows"

enum { TYPE_TIMESTAMP = 1, TYPE_INT64, TYPE_DOUBLE, TYPE_BOOL, TYPE_STRING };
enum { NOTE_SIZE = 24 };

static const char *const column_names[] = {"ts", "value", "half", "note"};
static const unsigned column_types[] = {TYPE_TIMESTAMP, TYPE_INT64, TYPE_DOUBLE, TYPE_STRING};

enum { COLUMNS = sizeof column_types / sizeof column_types[0] };

static void note_of(uint64_t value, char note[NOTE_SIZE])
{
    (void)snprintf(note, NOTE_SIZE, "n%" PRIu64, value);
}

static uint64_t half_of(uint64_t value)
{
    double half = (double)value / 2;
    uint64_t bits = 0;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

static void put_definition(struct buf *b)
{
    size_t definition = wire_begin(b, 1);
    wire_put_str(b, 1, DATABASE);
    wire_put_str(b, 2, TABLE);
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t column = wire_begin(b, 3);
        wire_put_str(b, 1, column_names[i]);
        wire_put_uint(b, 2, column_types[i]);
        wire_put_uint(b, 3, i == 0);
        wire_end(b, column);
    }
    size_t tag = wire_begin(b, 4);
    wire_put_str(b, 1, "series");
    wire_put_uint(b, 2, TYPE_INT64);
    wire_put_uint(b, 3, 1);
    wire_put_uint(b, 4, 1);
    wire_end(b, tag);
    wire_end(b, definition);
    wire_put_uint(b, 2, 1); /* if_not_exists */
}

enum err_code node_make_table(struct node_client *c, struct err *e)
{
    struct buf request = {0};
    wire_put_str(&request, 1, DATABASE);
    wire_put_uint(&request, 2, 1);
    enum err_code code = node_admin(c, "CreateDatabase", buf_bytes(&request), NULL, e);
    if (code == ERR_OK) {
        buf_reset(&request);
        put_definition(&request);
        code = node_admin(c, "CreateTable", buf_bytes(&request), NULL, e);
    }
    buf_deinit(&request);
    return code;
}

/* --- writing --- */

static void put_fixed_values(struct buf *b, uint32_t field, const struct node_write *w,
                             uint64_t value, bool rises)
{
    size_t values = wire_begin(b, field);
    for (uint64_t i = 0; i < w->count; i++) {
        buf_put_u64(b, rises ? value + i : value);
    }
    wire_end(b, values);
}

static void put_columns(struct buf *b, const struct node_write *w)
{
    char note[NOTE_SIZE];
    note_of(w->value, note);
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t column = wire_begin(b, 7);
        wire_put_str(b, 1, column_names[i]);
        if (column_types[i] == TYPE_DOUBLE) {
            put_fixed_values(b, 3, w, half_of(w->value), false);
        } else if (column_types[i] == TYPE_STRING) {
            for (uint64_t row = 0; row < w->count; row++) {
                wire_put_item(b, 5, bytes_str(note));
            }
        } else {
            put_fixed_values(b, 2, w, i == 0 ? w->first : w->value, i == 0);
        }
        wire_end(b, column);
    }
}

void node_write_encode(const struct node_write *w, struct buf *out)
{
    size_t id = wire_begin(out, 1);
    wire_put_uint(out, 1, w->session);
    wire_put_uint(out, 2, w->sequence);
    wire_put_uint(out, 3, w->sequence_open);
    wire_end(out, id);
    wire_put_str(out, 2, DATABASE);
    wire_put_str(out, 3, TABLE);
    wire_put_str(out, 4, "series");
    char tag[NOTE_SIZE];
    (void)snprintf(tag, sizeof tag, "%u", w->series);
    size_t series = wire_begin(out, 5);
    wire_put_item(out, 1, bytes_str(tag));
    wire_end(out, series);
    put_columns(out, w);
}

enum err_code node_write(struct node_client *c, const struct node_write *w, struct err *e)
{
    struct buf request = {0};
    node_write_encode(w, &request);
    enum err_code code = node_data(c, "Write", buf_bytes(&request), NULL, e);
    buf_deinit(&request);
    return code;
}

/* --- scanning --- */

void node_scan_encode(const struct node_scan *s, struct buf *out)
{
    wire_put_str(out, 1, DATABASE);
    wire_put_str(out, 2, TABLE);
    if (s->series >= 0) {
        char tag[NOTE_SIZE];
        (void)snprintf(tag, sizeof tag, "%d", s->series);
        size_t filter = wire_begin(out, 8);
        wire_put_str(out, 1, "series");
        wire_put_item(out, 2, bytes_str(tag));
        wire_end(out, filter);
    }
    wire_put_uint(out, 10, s->stale);
    wire_put_uint(out, 11, s->index_min);
}

/* What a message holds, still encoded. */
struct message {
    struct bytes columns[COLUMNS]; /* of fixed values; the notes are read in place */
    struct bytes series_of_row;
    unsigned tags[LIMIT_BLOCK_ROWS_MAX];
    size_t tag_count;
    struct cursor notes;
    uint64_t rows;
};

static bool read_tag(struct cursor c, struct message *m)
{
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            char text[NOTE_SIZE];
            wire_str(&c, &f, text, sizeof text);
            if (m->tag_count == LIMIT_BLOCK_ROWS_MAX) {
                return false;
            }
            m->tags[m->tag_count++] = (unsigned)strtoul(text, NULL, 10);
        }
    }
    return !c.bad;
}

static bool read_column(struct cursor c, struct message *m)
{
    struct cursor whole = c;
    size_t column = COLUMNS;
    struct wire_field f;
    while (wire_next(&c, &f)) {
        char name[16];
        if (f.number == 1) {
            wire_str(&c, &f, name, sizeof name);
            for (size_t i = 0; i < COLUMNS; i++) {
                column = strcmp(name, column_names[i]) == 0 ? i : column;
            }
        } else if ((f.number == 2 || f.number == 3) && column < COLUMNS) {
            m->columns[column] = wire_bytes(&c, &f);
        } else if (f.number == 6) {
            return false; /* none is null */
        }
    }
    if (column == COLUMNS - 1) {
        m->notes = whole;
    }
    return !c.bad && column < COLUMNS;
}

static bool read_message(struct bytes bytes, struct message *m)
{
    struct cursor c = cursor_of(bytes);
    struct wire_field f;
    bool good = true;
    while (good && wire_next(&c, &f)) {
        if (f.number == 4) {
            good = read_tag(cursor_of(wire_bytes(&c, &f)), m);
        } else if (f.number == 5) {
            m->series_of_row = wire_bytes(&c, &f);
        } else if (f.number == 6) {
            good = read_column(cursor_of(wire_bytes(&c, &f)), m);
        } else if (f.number == 7) {
            m->rows = wire_uint(&c, &f);
        }
    }
    for (size_t i = 0; i + 1 < COLUMNS; i++) {
        good = good && m->columns[i].size == m->rows * sizeof(uint64_t);
    }
    return good && !c.bad;
}

static bool next_note_is(struct message *m, uint64_t value)
{
    char want[NOTE_SIZE];
    note_of(value, want);
    struct wire_field f;
    while (wire_next(&m->notes, &f)) {
        if (f.number == 5) {
            return bytes_equal(wire_bytes(&m->notes, &f), bytes_str(want));
        }
    }
    return false;
}

bool node_scan_message(const struct node_scan *s, struct bytes message)
{
    struct message *m = mem_zalloc(sizeof *m);
    bool good = read_message(message, m);
    struct cursor series = cursor_of(m->series_of_row);
    for (uint64_t i = 0; good && i < m->rows; i++) {
        uint64_t at = m->series_of_row.size == 0 ? 0 : cursor_varint(&series);
        uint64_t value = bytes_get_u64(m->columns[1].data + i * sizeof value);
        good = !series.bad && at < m->tag_count && next_note_is(m, value) &&
               bytes_get_u64(m->columns[2].data + i * sizeof value) == half_of(value);
        if (good) {
            s->row(s->context, m->tags[at], bytes_get_u64(m->columns[0].data + i * sizeof value),
                   value);
        }
    }
    mem_free(m);
    return good;
}

struct reading {
    const struct node_scan *scan;
    bool good;
};

static bool on_message(void *context, struct bytes message)
{
    struct reading *r = context;
    r->good = node_scan_message(r->scan, message);
    return r->good;
}

enum err_code node_scan(struct node_client *c, const struct node_scan *s, struct err *e)
{
    struct buf request = {0};
    node_scan_encode(s, &request);
    struct reading reading = {.scan = s, .good = true};
    struct grpc_reader reader = {.message = on_message, .context = &reading};
    struct grpc_call_request r = {
        .path = "/tidemark.v1.Data/Scan",
        .message = buf_bytes(&request),
        .deadline_ms = grpc_blocking_now_ms(c->blocking) + c->timeout_ms,
    };
    enum err_code code =
        grpc_client_stream_sync(c->blocking, c->channel, &r, &reader, &c->outcome, e);
    buf_deinit(&request);
    return reading.good ? code : err_set(e, ERR_CORRUPT, "a row of mixed or malformed values");
}
