/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/scan_request.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.ScanRequest. */
enum {
    FIELD_DATABASE = 1,
    FIELD_TABLE = 2,
    FIELD_COLUMNS = 3,
    FIELD_HAS_FROM = 4,
    FIELD_FROM = 5,
    FIELD_HAS_UNTIL = 6,
    FIELD_UNTIL = 7,
    FIELD_TAGS = 8,
    FIELD_LIMIT = 9,
    FIELD_COUNT_ONLY = 12,
};

/* The scalars of a request, and how many of the rest there are. */
struct outline {
    struct bytes database;
    struct bytes table;
    size_t column_count;
    size_t filter_count;
    bool has_from, has_until, count_only;
    uint64_t from, until, limit;
};

void scan_request_deinit(struct scan_request *r)
{
    arena_deinit(&r->arena);
    *r = (struct scan_request){0};
}

static void read_field(struct cursor *c, const struct wire_field *f, struct outline *o)
{
    switch (f->number) {
    case FIELD_DATABASE:
        o->database = wire_bytes(c, f);
        return;
    case FIELD_TABLE:
        o->table = wire_bytes(c, f);
        return;
    case FIELD_COLUMNS:
        (void)wire_bytes(c, f);
        o->column_count++;
        return;
    case FIELD_HAS_FROM:
        o->has_from = wire_bool(c, f);
        return;
    case FIELD_FROM:
        o->from = wire_fixed64(c, f);
        return;
    case FIELD_HAS_UNTIL:
        o->has_until = wire_bool(c, f);
        return;
    case FIELD_UNTIL:
        o->until = wire_fixed64(c, f);
        return;
    case FIELD_TAGS:
        (void)wire_bytes(c, f);
        o->filter_count++;
        return;
    case FIELD_LIMIT:
        o->limit = wire_uint(c, f);
        return;
    case FIELD_COUNT_ONLY:
        o->count_only = wire_bool(c, f);
        return;
    default:
        return;
    }
}

static enum err_code read_outline(struct bytes request, struct outline *o, struct err *e)
{
    *o = (struct outline){0};
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        read_field(&c, &f, o);
    }
    if (c.bad) {
        return err_set(e, ERR_INVALID, "the scan request is malformed");
    }
    if (o->column_count > LIMIT_COLUMNS_MAX || o->filter_count > LIMIT_TAGS_MAX) {
        return err_set(e, ERR_RANGE,
                       "the scan request names %zu columns and %zu tag filters, at most %d and %d "
                       "are allowed",
                       o->column_count, o->filter_count, LIMIT_COLUMNS_MAX, LIMIT_TAGS_MAX);
    }
    return ERR_OK;
}

static int shown(struct bytes name)
{
    return (int)(name.size < LIMIT_NAME_SIZE_MAX ? name.size : LIMIT_NAME_SIZE_MAX);
}

/* The timestamp is always in the answer: naming it changes nothing. */
static enum err_code add_column(struct scan_request *r, struct bytes name, struct err *e)
{
    size_t place = table_find_column(r->table, name, r->place_count + 1);
    if (place == SIZE_MAX) {
        return err_set(e, ERR_NOT_FOUND, "no column \"%.*s\" in table \"%s\"", shown(name),
                       (const char *)name.data, r->table->name);
    }
    for (size_t i = 0; i < r->place_count; i++) {
        if (r->places[i] == place) {
            return err_set(e, ERR_INVALID, "column \"%s\" is asked for twice",
                           r->table->columns[place].name);
        }
    }
    if (place > 0) {
        r->places[r->place_count++] = (uint32_t)place;
    }
    return ERR_OK;
}

static enum err_code read_columns(struct scan_request *r, struct bytes request,
                                  const struct outline *o, struct err *e)
{
    r->places = arena_array(&r->arena, r->table->column_count + o->column_count, sizeof *r->places);
    if (o->count_only) {
        return ERR_OK;
    }
    for (size_t place = 1; place < r->table->column_count && o->column_count == 0; place++) {
        r->places[r->place_count++] = (uint32_t)place;
    }
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == FIELD_COLUMNS) {
            enum err_code code = add_column(r, f.bytes, e);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

/* --- filters --- */

static int compare_values(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static enum err_code add_value(struct scan_request *r, struct scan_filter *filter,
                               struct bytes text, struct err *e)
{
    const struct tag *tag = &r->table->tags[filter->place];
    struct buf stored = {0};
    enum err_code code = value_parse_tag(tag->type, tag->size_max, text, &stored, e);
    if (code == ERR_OK) {
        filter->any_of[filter->count++] = arena_copy(&r->arena, buf_bytes(&stored));
    } else {
        (void)err_wrap(e, "filter of tag \"%s\"", tag->name);
    }
    buf_deinit(&stored);
    return code;
}

static enum err_code read_filter(struct scan_request *r, struct bytes message, struct err *e)
{
    struct bytes name = {0};
    size_t count = 0;
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            name = wire_bytes(&c, &f);
        } else if (f.number == 2) {
            (void)wire_bytes(&c, &f);
            count++;
        }
    }
    if (c.bad) {
        return err_set(e, ERR_INVALID, "a tag filter of the scan request is malformed");
    }
    struct scan_filter *filter = &r->filters[r->filter_count++];
    filter->place = table_find_tag(r->table, name, r->filter_count - 1);
    if (filter->place == SIZE_MAX) {
        return err_set(e, ERR_NOT_FOUND, "no tag \"%.*s\" in table \"%s\"", shown(name),
                       (const char *)name.data, r->table->name);
    }
    filter->any_of = arena_array(&r->arena, count + 1, sizeof *filter->any_of);
    enum err_code code = ERR_OK;
    c = cursor_of(message);
    while (code == ERR_OK && wire_next(&c, &f)) {
        code = f.number == 2 ? add_value(r, filter, f.bytes, e) : ERR_OK;
    }
    if (code == ERR_OK) {
        qsort(filter->any_of, filter->count, sizeof *filter->any_of, compare_values);
    }
    return code;
}

static enum err_code read_filters(struct scan_request *r, struct bytes request,
                                  const struct outline *o, struct err *e)
{
    r->filters = arena_array(&r->arena, o->filter_count + 1, sizeof *r->filters);
    struct cursor c = cursor_of(request);
    struct wire_field f;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && wire_next(&c, &f)) {
        if (f.number == FIELD_TAGS) {
            code = read_filter(r, f.bytes, e);
        }
    }
    return code;
}

static void set_range(struct scan_request *r, const struct outline *o)
{
    r->from = o->has_from ? (int64_t)o->from : INT64_MIN;
    r->until = INT64_MAX;
    if (o->has_until && (int64_t)o->until == INT64_MIN) {
        r->empty = true; /* nothing lies before it */
    } else if (o->has_until) {
        r->until = (int64_t)o->until - 1;
    }
    r->empty = r->empty || r->from > r->until;
    r->limit = o->limit == 0 ? UINT64_MAX : o->limit;
    r->count_only = o->count_only;
}

enum err_code scan_request_read(struct scan_request *r, const struct catalog *catalog,
                                struct bytes request, struct err *e)
{
    *r = (struct scan_request){0};
    struct outline o;
    enum err_code code = read_outline(request, &o, e);
    if (code == ERR_OK) {
        code = catalog_find(catalog, o.database, o.table, &r->table, e);
    }
    if (code == ERR_OK) {
        set_range(r, &o);
        code = read_columns(r, request, &o, e);
    }
    if (code == ERR_OK) {
        code = read_filters(r, request, &o, e);
    }
    if (code != ERR_OK) {
        scan_request_deinit(r);
    }
    return code;
}

bool scan_request_matches(const struct scan_request *r, const struct series *s)
{
    for (size_t i = 0; i < r->filter_count; i++) {
        const struct scan_filter *f = &r->filters[i];
        struct bytes value;
        bool set = tags_find(s->tags, r->table->tags[f->place].id, &value);
        if (set != (f->count > 0)) {
            return false;
        }
        if (set &&
            bsearch(&value, f->any_of, f->count, sizeof *f->any_of, compare_values) == NULL) {
            return false;
        }
    }
    return true;
}

/* The first filter that leaves at most one value of a tag; NULL: there is none. */
static const struct scan_filter *exact_filter(const struct scan_request *r, size_t place)
{
    for (size_t i = 0; i < r->filter_count; i++) {
        if (r->filters[i].place == place && r->filters[i].count <= 1) {
            return &r->filters[i];
        }
    }
    return NULL;
}

bool scan_request_key(const struct scan_request *r, struct buf *key)
{
    buf_reset(key);
    for (size_t place = 0; place < r->table->tag_count; place++) {
        const struct tag *tag = &r->table->tags[place];
        if (!tag->primary) {
            continue;
        }
        const struct scan_filter *f = exact_filter(r, place);
        if (f == NULL) {
            return false;
        }
        if (f->count == 1) {
            tags_put(key, tag->id, f->any_of[0]);
        }
    }
    return true;
}
