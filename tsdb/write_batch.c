/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/write_batch.h"

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.WriteRequest. */
enum {
    FIELD_DATABASE = 2,
    FIELD_TABLE = 3,
    FIELD_TAG_NAMES = 4,
    FIELD_SERIES = 5,
    FIELD_SERIES_OF_ROW = 6,
    FIELD_COLUMNS = 7,
};

/* Fields of tidemark.v1.Column. */
enum {
    COLUMN_NAME = 1,
    COLUMN_INT64 = 2,
    COLUMN_DOUBLE = 3,
    COLUMN_BOOL = 4,
    COLUMN_STRING = 5,
    COLUMN_NULLS = 6,
    COLUMN_FLOAT = 8,
};

/* What the request holds, before any of it is looked at closely. */
struct outline {
    struct bytes database;
    struct bytes table;
    size_t tag_count;
    size_t series_count;
    size_t column_count;
    size_t series_of_row_count; /* fields, packed or not */
};

void write_batch_deinit(struct write_batch *w)
{
    arena_deinit(&w->arena);
    *w = (struct write_batch){0};
}

static enum err_code malformed(struct err *e)
{
    return err_set(e, ERR_INVALID, "the write request is malformed");
}

static enum err_code too_many(const char *what, size_t max, struct err *e)
{
    return err_set(e, ERR_RANGE, "the write request has more than %zu %s", max, what);
}

/* --- one column's message --- */

/* What stands in it, found in one pass. Of repeated numbers: the first piece,
 * and in how many pieces they come (packed in one is usual; single values count
 * double, because they are never in place). Floats are never in place either: rows
 * have them as words. */
struct column_outline {
    struct bytes name;
    struct bytes nulls;
    struct bytes bools;
    struct bytes first;
    size_t pieces;
    size_t size; /* bytes of all numbers */
    size_t string_count;
};

static void add_numbers(struct cursor *c, const struct wire_field *f, struct column_outline *o)
{
    enum wire_type single = f->number == COLUMN_FLOAT ? WIRE_FIXED32 : WIRE_FIXED64;
    if (f->type != WIRE_BYTES && f->type != single) {
        c->bad = true;
        return;
    }
    o->first = o->pieces == 0 ? f->bytes : o->first;
    o->size += f->type == WIRE_BYTES ? f->bytes.size : single == WIRE_FIXED32 ? 4 : 8;
    o->pieces += f->type == WIRE_BYTES ? 1 : 2;
}

/* 'numbers': the field whose numbers are wanted. False: malformed. */
static bool read_column_outline(struct bytes message, uint32_t numbers, struct column_outline *o)
{
    *o = (struct column_outline){0};
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case COLUMN_NAME:
            o->name = wire_bytes(&c, &f);
            break;
        case COLUMN_INT64:
        case COLUMN_DOUBLE:
        case COLUMN_FLOAT:
            if (f.number == numbers) {
                add_numbers(&c, &f, o);
            }
            break;
        case COLUMN_BOOL:
            o->bools = wire_bytes(&c, &f);
            break;
        case COLUMN_STRING:
            (void)wire_bytes(&c, &f);
            o->string_count++;
            break;
        case COLUMN_NULLS:
            o->nulls = wire_bytes(&c, &f);
            break;
        default:
            break;
        }
    }
    return !c.bad;
}

/* All numbers of a field as one view: of the message where they are in one
 * piece, else put together. */
static struct bytes gather_numbers(struct arena *arena, struct bytes message, uint32_t field,
                                   const struct column_outline *o)
{
    if (o->pieces <= 1) {
        return o->first;
    }
    uint8_t *all = arena_take(arena, o->size);
    size_t at = 0;
    struct wire_field f;
    struct cursor c = cursor_of(message);
    while (wire_next(&c, &f)) {
        if (f.number == field && f.type == WIRE_BYTES) {
            if (f.bytes.size > 0) {
                memcpy(all + at, f.bytes.data, f.bytes.size);
            }
            at += f.bytes.size;
        } else if (f.number == field) {
            bytes_put_u64(all + at, f.value);
            at += 8;
        }
    }
    CHECK(at == o->size);
    return bytes_of(all, o->size);
}

/* --- outline --- */

static enum err_code check_outline(const struct outline *o, struct err *e)
{
    if (o->tag_count > LIMIT_TAGS_MAX) {
        return too_many("tags", LIMIT_TAGS_MAX, e);
    }
    if (o->column_count > LIMIT_COLUMNS_MAX) {
        return too_many("columns", LIMIT_COLUMNS_MAX, e);
    }
    if (o->series_count > LIMIT_WRITE_ROWS_MAX) {
        return too_many("series", LIMIT_WRITE_ROWS_MAX, e);
    }
    if (o->column_count == 0) {
        return err_set(e, ERR_INVALID, "the write request has no columns");
    }
    if (o->series_count == 0) {
        return err_set(e, ERR_INVALID, "the write request names no series");
    }
    return ERR_OK;
}

static enum err_code read_outline(struct bytes request, struct outline *o, struct err *e)
{
    *o = (struct outline){0};
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case FIELD_DATABASE:
            o->database = wire_bytes(&c, &f);
            break;
        case FIELD_TABLE:
            o->table = wire_bytes(&c, &f);
            break;
        case FIELD_TAG_NAMES:
            (void)wire_bytes(&c, &f);
            o->tag_count++;
            break;
        case FIELD_SERIES:
            (void)wire_bytes(&c, &f);
            o->series_count++;
            break;
        case FIELD_SERIES_OF_ROW:
            o->series_of_row_count++;
            break;
        case FIELD_COLUMNS:
            (void)wire_bytes(&c, &f);
            o->column_count++;
            break;
        default:
            break;
        }
    }
    return c.bad ? malformed(e) : check_outline(o, e);
}

/* --- columns --- */

static const char *column_name(const struct write_batch *w, const struct write_column *c)
{
    return w->table->columns[c->place].name;
}

static enum err_code wrong_count(const struct write_batch *w, const struct write_column *c,
                                 size_t count, struct err *e)
{
    if (count == 0) {
        return err_set(e, ERR_INVALID,
                       "column \"%s\" is a %s, but the request has no values of that type for it",
                       column_name(w, c), value_type_name(c->type));
    }
    return err_set(e, ERR_INVALID, "column \"%s\" has %zu values, but there are %zu rows",
                   column_name(w, c), count, w->row_count);
}

static enum err_code read_strings(struct write_batch *w, struct bytes message,
                                  const struct column_outline *o, struct write_column *c,
                                  struct err *e)
{
    size_t count = o->string_count;
    if (count != w->row_count) {
        return wrong_count(w, c, count, e);
    }
    struct bytes *strings = arena_take(&w->arena, count * sizeof *strings);
    size_t i = 0;
    struct cursor in = cursor_of(message);
    struct wire_field f;
    while (wire_next(&in, &f)) {
        if (f.number == COLUMN_STRING) {
            strings[i++] = f.bytes;
        }
    }
    CHECK(i == count);
    uint32_t size_max = w->table->columns[c->place].size_max;
    for (size_t row = 0; row < count; row++) {
        if (write_column_is_null(c, row)) {
            continue;
        }
        if (strings[row].size > size_max) {
            return err_set(
                e, ERR_RANGE, "column \"%s\", row %zu: a %s of %zu bytes, at most %u are allowed",
                column_name(w, c), row, value_type_name(c->type), strings[row].size, size_max);
        }
        if (c->type == VALUE_STRING && !value_is_utf8(strings[row])) {
            return err_set(e, ERR_INVALID, "column \"%s\", row %zu: the string is not UTF-8",
                           column_name(w, c), row);
        }
    }
    c->strings = strings;
    return ERR_OK;
}

static enum err_code read_bools(struct write_batch *w, const struct column_outline *o,
                                struct write_column *c, struct err *e)
{
    c->values = o->bools;
    if (c->values.size != w->row_count) {
        return wrong_count(w, c, c->values.size, e);
    }
    for (size_t row = 0; row < w->row_count; row++) {
        if (c->values.data[row] > 1) {
            return err_set(e, ERR_INVALID, "column \"%s\", row %zu: a bool must be 0 or 1",
                           column_name(w, c), row);
        }
    }
    return ERR_OK;
}

static uint32_t numbers_field(enum value_type type)
{
    if (type == VALUE_FLOAT) {
        return COLUMN_FLOAT;
    }
    return type == VALUE_DOUBLE ? COLUMN_DOUBLE : COLUMN_INT64;
}

static enum err_code read_numbers(struct write_batch *w, struct bytes message,
                                  const struct column_outline *o, struct write_column *c,
                                  struct err *e)
{
    c->values = gather_numbers(&w->arena, message, numbers_field(c->type), o);
    if (c->values.size % 8 != 0) {
        return malformed(e);
    }
    size_t count = c->values.size / 8;
    if (c->place == 0) {
        w->row_count = count; /* the timestamp says how many rows there are */
    }
    return count == w->row_count && count > 0 ? ERR_OK : wrong_count(w, c, count, e);
}

/* Narrow numbers come in the fields of wide ones. */
static enum err_code check_range(const struct write_batch *w, const struct write_column *c,
                                 struct err *e)
{
    for (size_t row = 0; row < w->row_count; row++) {
        uint64_t word = bytes_get_u64(c->values.data + row * 8);
        if (!value_word_is_valid(c->type, word) && !write_column_is_null(c, row)) {
            return err_set(e, ERR_RANGE, "column \"%s\", row %zu: %lld is outside the range of %s",
                           column_name(w, c), row, (long long)word, value_type_name(c->type));
        }
    }
    return ERR_OK;
}

/* Four bytes each, in any number of pieces, as words. */
static enum err_code read_floats(struct write_batch *w, struct bytes message,
                                 const struct column_outline *o, struct write_column *c,
                                 struct err *e)
{
    if (o->size != w->row_count * 4) {
        return wrong_count(w, c, o->size / 4, e);
    }
    uint8_t *words = arena_take(&w->arena, w->row_count * 8);
    size_t row = 0;
    struct wire_field f;
    struct cursor in = cursor_of(message);
    while (wire_next(&in, &f)) {
        if (f.number == COLUMN_FLOAT && f.type == WIRE_BYTES) {
            if (f.bytes.size % 4 != 0) {
                return malformed(e);
            }
            for (size_t at = 0; at < f.bytes.size; at += 4) {
                bytes_put_u64(words + row++ * 8, bytes_get_u32(f.bytes.data + at));
            }
        } else if (f.number == COLUMN_FLOAT) {
            bytes_put_u64(words + row++ * 8, f.value);
        }
    }
    CHECK(row == w->row_count);
    c->values = bytes_of(words, w->row_count * 8);
    return ERR_OK;
}

static bool any_null(const struct write_batch *w, const struct write_column *c)
{
    for (size_t row = 0; c->nulls.size > 0 && row < w->row_count; row++) {
        if (write_column_is_null(c, row)) {
            return true;
        }
    }
    return false;
}

static enum err_code check_nulls(const struct write_batch *w, struct write_column *c, struct err *e)
{
    if (c->nulls.size > 0 && c->nulls.size != (w->row_count + 7) / 8) {
        return err_set(e, ERR_INVALID,
                       "column \"%s\": %zu bytes of null bits, but %zu rows need %zu",
                       column_name(w, c), c->nulls.size, w->row_count, (w->row_count + 7) / 8);
    }
    if (!any_null(w, c)) {
        c->nulls = (struct bytes){0};
        return ERR_OK;
    }
    if (w->table->columns[c->place].not_null) {
        return err_set(e, ERR_INVALID, "column \"%s\" must not be null", column_name(w, c));
    }
    return ERR_OK;
}

/* The name comes first, as a rule: then its type is known before the numbers. */
static struct bytes peek_name(struct bytes message)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == COLUMN_NAME) {
            return f.bytes;
        }
    }
    return (struct bytes){0};
}

/* The column's place in the table, and what its message holds. */
static enum err_code read_column_head(struct write_batch *w, struct bytes message, size_t i,
                                      struct column_outline *o, struct err *e)
{
    struct write_column *c = &w->columns[i];
    struct bytes name = peek_name(message);
    c->place = table_find_column(w->table, name, i);
    if (c->place == SIZE_MAX) {
        int shown = (int)(name.size < LIMIT_NAME_SIZE_MAX ? name.size : LIMIT_NAME_SIZE_MAX);
        return err_set(e, ERR_NOT_FOUND, "no column \"%.*s\" in table \"%s\"", shown,
                       (const char *)name.data, w->table->name);
    }
    if ((i == 0) != (c->place == 0)) {
        return err_set(e, ERR_INVALID,
                       "the first column of the request, and only it, must be the timestamp \"%s\"",
                       w->table->columns[0].name);
    }
    c->type = w->table->columns[c->place].type;
    if (!read_column_outline(message, numbers_field(c->type), o) || !bytes_equal(o->name, name)) {
        return malformed(e);
    }
    c->nulls = o->nulls;
    return ERR_OK;
}

static enum err_code read_values(struct write_batch *w, struct bytes message,
                                 const struct column_outline *o, struct write_column *c,
                                 struct err *e)
{
    if (value_is_long(c->type)) {
        return read_strings(w, message, o, c, e);
    }
    if (c->type == VALUE_BOOL) {
        return read_bools(w, o, c, e);
    }
    if (c->type == VALUE_FLOAT) {
        return read_floats(w, message, o, c, e);
    }
    enum err_code code = read_numbers(w, message, o, c, e);
    bool narrow = c->type == VALUE_INT16 || c->type == VALUE_INT32;
    return code == ERR_OK && narrow ? check_range(w, c, e) : code;
}

static enum err_code read_column(struct write_batch *w, struct bytes message, size_t i,
                                 struct err *e)
{
    struct write_column *c = &w->columns[i];
    struct column_outline o = {.pieces = 0};
    enum err_code code = read_column_head(w, message, i, &o, e);
    if (code == ERR_OK && i == 0) {
        code = read_numbers(w, message, &o, c, e);
        if (code == ERR_OK && w->row_count > LIMIT_WRITE_ROWS_MAX) {
            code = too_many("rows", LIMIT_WRITE_ROWS_MAX, e);
        }
    }
    if (code == ERR_OK) {
        code = check_nulls(w, c, e);
    }
    if (code != ERR_OK || i == 0) {
        return code;
    }
    return read_values(w, message, &o, c, e);
}

/* Which columns are left out; none twice. */
static enum err_code find_absent(struct write_batch *w, struct err *e)
{
    bool *given = arena_array(&w->arena, w->table->column_count, sizeof *given);
    for (size_t i = 0; i < w->column_count; i++) {
        if (given[w->columns[i].place]) {
            return err_set(e, ERR_INVALID, "column \"%s\" is given twice",
                           column_name(w, &w->columns[i]));
        }
        given[w->columns[i].place] = true;
    }
    w->absent_count = 0;
    w->absent = arena_take(&w->arena, w->table->column_count * sizeof *w->absent);
    for (size_t place = 0; place < w->table->column_count; place++) {
        if (given[place]) {
            continue;
        }
        if (w->table->columns[place].not_null) {
            return err_set(e, ERR_INVALID, "column \"%s\" must not be null, but is left out",
                           w->table->columns[place].name);
        }
        w->absent[w->absent_count++] = (uint32_t)place;
    }
    return ERR_OK;
}

static enum err_code read_columns(struct write_batch *w, struct bytes request,
                                  const struct outline *o, struct err *e)
{
    w->column_count = o->column_count;
    w->columns = arena_array(&w->arena, o->column_count, sizeof *w->columns);
    struct cursor c = cursor_of(request);
    struct wire_field f;
    size_t i = 0;
    while (wire_next(&c, &f)) {
        if (f.number == FIELD_COLUMNS) {
            enum err_code code = read_column(w, f.bytes, i++, e);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    CHECK(i == o->column_count);
    return find_absent(w, e);
}

/* --- tags --- */

/* Where each tag of the request stands in the table, and the request's tags in
 * the order of their ids. */
struct tag_order {
    size_t count;
    size_t *place;    /* by position in the request */
    size_t *position; /* by place in the table; SIZE_MAX: not given */
    struct bytes *values;
};

static enum err_code check_primary_given(const struct write_batch *w, const struct tag_order *t,
                                         struct err *e)
{
    for (size_t place = 0; place < w->table->tag_count; place++) {
        const struct tag *tag = &w->table->tags[place];
        if ((tag->primary || tag->not_null) && t->position[place] == SIZE_MAX) {
            return err_set(e, ERR_INVALID, "the %stag \"%s\" is missing",
                           tag->primary ? "primary " : "", tag->name);
        }
    }
    return ERR_OK;
}

static enum err_code read_tag_names(struct write_batch *w, struct bytes request,
                                    const struct outline *o, struct tag_order *t, struct err *e)
{
    t->count = o->tag_count;
    t->place = arena_array(&w->arena, t->count + 1, sizeof *t->place);
    t->values = arena_array(&w->arena, t->count + 1, sizeof *t->values);
    t->position = arena_array(&w->arena, w->table->tag_count + 1, sizeof *t->position);
    for (size_t place = 0; place < w->table->tag_count; place++) {
        t->position[place] = SIZE_MAX;
    }
    struct cursor c = cursor_of(request);
    struct wire_field f;
    size_t i = 0;
    while (wire_next(&c, &f)) {
        if (f.number != FIELD_TAG_NAMES) {
            continue;
        }
        size_t place = table_find_tag(w->table, f.bytes, i);
        int shown = (int)(f.bytes.size < LIMIT_NAME_SIZE_MAX ? f.bytes.size : LIMIT_NAME_SIZE_MAX);
        if (place == SIZE_MAX) {
            return err_set(e, ERR_NOT_FOUND, "no tag \"%.*s\" in table \"%s\"", shown,
                           (const char *)f.bytes.data, w->table->name);
        }
        if (t->position[place] != SIZE_MAX) {
            return err_set(e, ERR_INVALID, "tag \"%s\" is given twice", w->table->tags[place].name);
        }
        t->position[place] = i;
        t->place[i++] = place;
    }
    CHECK(i == t->count);
    return check_primary_given(w, t, e);
}

/* The values of one SeriesTags message, into t->values; *nulls: its bits. */
static enum err_code read_tag_values(struct bytes message, struct tag_order *t, struct bytes *nulls,
                                     struct err *e)
{
    *nulls = (struct bytes){0};
    size_t count = 0;
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            struct bytes value = wire_bytes(&c, &f);
            if (count < t->count) {
                t->values[count] = value;
            }
            count++;
        } else if (f.number == 2) {
            *nulls = wire_bytes(&c, &f);
        }
    }
    if (c.bad) {
        return malformed(e);
    }
    if (count != t->count) {
        return err_set(e, ERR_INVALID, "a series has %zu tag values, but there are %zu tag names",
                       count, t->count);
    }
    if (nulls->size > 0 && nulls->size != (t->count + 7) / 8) {
        return err_set(e, ERR_INVALID, "a series has %zu bytes of null bits, but %zu tags need %zu",
                       nulls->size, t->count, (t->count + 7) / 8);
    }
    return ERR_OK;
}

/* Puts one tag of a series behind 'tags', and behind 'key' if it is primary. */
static enum err_code put_tag(const struct tag *tag, struct bytes text, struct buf *tags,
                             struct buf *key, struct err *e)
{
    struct buf stored = {0};
    struct bytes value = text;
    enum err_code code = ERR_OK;
    /* A good string is its own stored form: the usual case, without a copy. */
    if (tag->type != VALUE_STRING || text.size > tag->size_max || !value_is_utf8(text)) {
        code = value_parse_tag(tag->type, tag->size_max, text, &stored, e);
        value = buf_bytes(&stored);
    }
    if (code == ERR_OK) {
        tags_put(tags, tag->id, value);
        if (tag->primary) {
            tags_put(key, tag->id, value);
        }
    } else {
        int shown = (int)(text.size < 40 ? text.size : 40);
        (void)err_wrap(e, "tag \"%s\": \"%.*s\"", tag->name, shown, (const char *)text.data);
    }
    buf_deinit(&stored);
    return code;
}

static enum err_code read_series(struct write_batch *w, struct bytes message, struct tag_order *t,
                                 struct write_series *s, struct buf scratch[2], struct err *e)
{
    struct bytes nulls;
    enum err_code code = read_tag_values(message, t, &nulls, e);
    buf_reset(&scratch[0]);
    buf_reset(&scratch[1]);
    for (size_t place = 0; place < w->table->tag_count && code == ERR_OK; place++) {
        const struct tag *tag = &w->table->tags[place];
        size_t i = t->position[place];
        bool null = i == SIZE_MAX || (nulls.size > 0 && (nulls.data[i / 8] >> (i % 8) & 1) != 0);
        if (!null) {
            code = put_tag(tag, t->values[i], &scratch[0], &scratch[1], e);
        } else if (tag->not_null) {
            code = err_set(e, ERR_INVALID, "tag \"%s\" must not be null", tag->name);
        }
    }
    if (code == ERR_OK && scratch[1].size > LIMIT_SERIES_KEY_SIZE_MAX) {
        code = err_set(e, ERR_RANGE,
                       "the primary tags of a series take %zu bytes, at most %d are "
                       "allowed",
                       scratch[1].size, LIMIT_SERIES_KEY_SIZE_MAX);
    }
    if (code != ERR_OK) {
        return code;
    }
    s->tags = arena_copy(&w->arena, buf_bytes(&scratch[0]));
    s->key = scratch[0].size == scratch[1].size ? s->tags
                                                : arena_copy(&w->arena, buf_bytes(&scratch[1]));
    s->hash = series_key_hash(s->key);
    return ERR_OK;
}

static enum err_code read_all_series(struct write_batch *w, struct bytes request,
                                     const struct outline *o, struct err *e)
{
    struct tag_order t = {0};
    enum err_code code = read_tag_names(w, request, o, &t, e);
    if (code != ERR_OK) {
        return code;
    }
    w->series_count = o->series_count;
    w->series = arena_array(&w->arena, o->series_count, sizeof *w->series);
    struct buf scratch[2] = {{0}, {0}};
    struct cursor c = cursor_of(request);
    struct wire_field f;
    size_t i = 0;
    while (code == ERR_OK && wire_next(&c, &f)) {
        if (f.number == FIELD_SERIES) {
            code = read_series(w, f.bytes, &t, &w->series[i++], scratch, e);
        }
    }
    buf_deinit(&scratch[0]);
    buf_deinit(&scratch[1]);
    return code;
}

/* --- series of rows --- */

struct row_series {
    struct write_batch *w;
    uint32_t *of_row;
    size_t count;
};

static enum err_code put_row_series(struct row_series *r, uint64_t place, struct err *e)
{
    if (r->count == r->w->row_count) {
        return err_set(e, ERR_INVALID, "series_of_row has more values than there are rows (%zu)",
                       r->w->row_count);
    }
    if (place >= r->w->series_count) {
        return err_set(e, ERR_INVALID, "row %zu is of series %llu, but the request names only %zu",
                       r->count, (unsigned long long)place, r->w->series_count);
    }
    r->of_row[r->count++] = (uint32_t)place;
    r->w->series[place].used = true;
    return ERR_OK;
}

static enum err_code read_row_series_field(struct row_series *r, const struct wire_field *f,
                                           struct err *e)
{
    if (f->type == WIRE_VARINT) {
        return put_row_series(r, f->value, e);
    }
    if (f->type != WIRE_BYTES) {
        return malformed(e);
    }
    struct cursor c = cursor_of(f->bytes);
    enum err_code code = ERR_OK;
    while (c.size > 0 && !c.bad && code == ERR_OK) {
        uint64_t place = cursor_varint(&c);
        code = c.bad ? malformed(e) : put_row_series(r, place, e);
    }
    return code;
}

static enum err_code read_row_series(struct write_batch *w, struct bytes request,
                                     const struct outline *o, struct err *e)
{
    w->series_of_row = NULL;
    if (o->series_of_row_count == 0) {
        w->series[0].used = true;
        return ERR_OK;
    }
    struct row_series r = {.w = w};
    r.of_row = arena_take(&w->arena, w->row_count * sizeof *r.of_row);
    struct cursor c = cursor_of(request);
    struct wire_field f;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && wire_next(&c, &f)) {
        if (f.number == FIELD_SERIES_OF_ROW) {
            code = read_row_series_field(&r, &f, e);
        }
    }
    if (code == ERR_OK && r.count != w->row_count) {
        code = err_set(e, ERR_INVALID, "series_of_row has %zu values, but there are %zu rows",
                       r.count, w->row_count);
    }
    w->series_of_row = r.of_row;
    return code;
}

enum err_code write_batch_read(struct write_batch *w, const struct catalog *catalog,
                               struct bytes request, struct err *e)
{
    arena_reset(&w->arena);
    struct outline o;
    enum err_code code = read_outline(request, &o, e);
    if (code == ERR_OK) {
        code = catalog_find(catalog, o.database, o.table, &w->table, e);
    }
    if (code == ERR_OK) {
        code = read_columns(w, request, &o, e);
    }
    if (code == ERR_OK) {
        code = read_all_series(w, request, &o, e);
    }
    if (code == ERR_OK) {
        code = read_row_series(w, request, &o, e);
    }
    return code;
}
