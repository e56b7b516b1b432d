/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/table.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "tsdb/series.h"

enum { FLAG_NOT_NULL = 1, FLAG_PRIMARY = 2, PRECISION_DEFAULT = 3 };

/* A table while it is being put together. */
struct draft {
    struct table *table;
    size_t column_capacity;
    size_t tag_capacity;
};

static struct draft draft_begin(void)
{
    struct draft d = {.table = mem_zalloc(sizeof(struct table))};
    atomic_init(&d.table->references, 1);
    d.table->version = 1;
    return d;
}

static struct column *draft_column(struct draft *d)
{
    struct table *t = d->table;
    t->columns = mem_grow(t->columns, &d->column_capacity, t->column_count + 1, sizeof *t->columns);
    struct column *c = &t->columns[t->column_count];
    *c = (struct column){.id = t->column_id_next++};
    t->column_count++;
    return c;
}

static struct tag *draft_tag(struct draft *d)
{
    struct table *t = d->table;
    t->tags = mem_grow(t->tags, &d->tag_capacity, t->tag_count + 1, sizeof *t->tags);
    struct tag *g = &t->tags[t->tag_count];
    *g = (struct tag){.id = t->tag_id_next++};
    t->tag_count++;
    return g;
}

struct table *table_ref(struct table *t)
{
    unsigned before = atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return t;
}

void table_unref(struct table *t)
{
    if (t == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1) {
        return;
    }
    series_set_unref(t->series);
    mem_free(t->row_offsets);
    mem_free(t->columns_by_name);
    mem_free(t->tags_by_name);
    mem_free(t->columns);
    mem_free(t->tags);
    mem_free(t);
}

/* --- finding by name --- */

struct named {
    const char *name;
    uint32_t place;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    return strcmp(x->name, y->name);
}

static uint32_t *places_by_name(struct named *names, size_t count)
{
    qsort(names, count, sizeof *names, compare_named);
    uint32_t *places = mem_array(count + 1, sizeof *places);
    for (size_t i = 0; i < count; i++) {
        places[i] = names[i].place;
    }
    return places;
}

/* Makes both name indexes. ERR_INVALID: two columns or tags share a name. */
static enum err_code index_names(struct table *t, struct err *e)
{
    size_t count = t->column_count + t->tag_count;
    struct named *names = mem_array(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        bool is_tag = i >= t->column_count;
        size_t place = is_tag ? i - t->column_count : i;
        names[i] =
            (struct named){is_tag ? t->tags[place].name : t->columns[place].name, (uint32_t)place};
    }
    t->columns_by_name = places_by_name(names, t->column_count);
    t->tags_by_name = places_by_name(names + t->column_count, t->tag_count);
    qsort(names, count, sizeof *names, compare_named);
    enum err_code code = ERR_OK;
    for (size_t i = 1; i < count && code == ERR_OK; i++) {
        if (strcmp(names[i - 1].name, names[i].name) == 0) {
            code =
                err_set(e, ERR_INVALID, "two columns or tags have the name \"%s\"", names[i].name);
        }
    }
    mem_free(names);
    return code;
}

size_t table_place_of_id(const struct table *t, uint32_t column_id)
{
    size_t low = 0;
    size_t high = t->column_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->columns[middle].id == column_id) {
            return middle;
        }
        low = t->columns[middle].id < column_id ? middle + 1 : low;
        high = t->columns[middle].id < column_id ? high : middle;
    }
    return SIZE_MAX;
}

static bool is_named(const char *have, struct bytes name)
{
    return bytes_equal(bytes_str(have), name);
}

size_t table_find_column(const struct table *t, struct bytes name, size_t hint)
{
    if (hint < t->column_count && is_named(t->columns[hint].name, name)) {
        return hint;
    }
    size_t low = 0;
    size_t high = t->column_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t place = t->columns_by_name[middle];
        int order = bytes_compare(bytes_str(t->columns[place].name), name);
        if (order == 0) {
            return place;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return SIZE_MAX;
}

size_t table_find_tag(const struct table *t, struct bytes name, size_t hint)
{
    if (hint < t->tag_count && is_named(t->tags[hint].name, name)) {
        return hint;
    }
    size_t low = 0;
    size_t high = t->tag_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t place = t->tags_by_name[middle];
        int order = bytes_compare(bytes_str(t->tags[place].name), name);
        if (order == 0) {
            return place;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return SIZE_MAX;
}

/* --- what makes a table right --- */

static enum err_code check_columns(const struct table *t, struct err *e)
{
    if (t->column_count == 0) {
        return err_set(e, ERR_INVALID, "the table has no columns; the first is its timestamp");
    }
    if (t->columns[0].type != VALUE_TIMESTAMP || !t->columns[0].not_null) {
        return err_set(e, ERR_INVALID, "the first column, \"%s\", must be a timestamp, not null",
                       t->columns[0].name);
    }
    return ERR_OK;
}

static enum err_code check_tags(struct table *t, struct err *e)
{
    bool not_null = false;
    t->primary_count = 0;
    for (size_t i = 0; i < t->tag_count; i++) {
        const struct tag *g = &t->tags[i];
        t->primary_count += g->primary ? 1 : 0;
        not_null = not_null || (g->primary && g->not_null);
    }
    if (t->primary_count == 0 || t->primary_count > LIMIT_PRIMARY_TAGS_MAX) {
        return err_set(e, ERR_INVALID, "the table has %zu primary tags: 1 to %d are needed",
                       t->primary_count, LIMIT_PRIMARY_TAGS_MAX);
    }
    if (!not_null) {
        return err_set(e, ERR_INVALID, "at least one primary tag must be not null");
    }
    return ERR_OK;
}

static enum err_code check_names(const struct table *t, struct err *e)
{
    enum err_code code = value_check_identifier("database", bytes_str(t->database), e);
    if (code == ERR_OK) {
        code = value_check_name("table", bytes_str(t->name), e);
    }
    for (size_t i = 0; i < t->column_count && code == ERR_OK; i++) {
        code = value_check_name("column", bytes_str(t->columns[i].name), e);
    }
    for (size_t i = 0; i < t->tag_count && code == ERR_OK; i++) {
        code = value_check_name("tag", bytes_str(t->tags[i].name), e);
    }
    return code;
}

/* 0 of a value of many bytes means as many as there may be. */
static enum err_code check_size_max(const char *name, enum value_type type, uint32_t *size_max,
                                    struct err *e)
{
    if (!value_is_long(type)) {
        return *size_max == 0 ? ERR_OK
                              : err_set(e, ERR_INVALID, "\"%s\" is a %s: it has no greatest size",
                                        name, value_type_name(type));
    }
    *size_max = *size_max == 0 ? LIMIT_STRING_SIZE_MAX : *size_max;
    if (*size_max > LIMIT_STRING_SIZE_MAX) {
        return err_set(e, ERR_RANGE, "\"%s\" has at most %u bytes, at most %d are allowed", name,
                       *size_max, LIMIT_STRING_SIZE_MAX);
    }
    return ERR_OK;
}

static enum err_code check_sizes(struct table *t, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < t->column_count && code == ERR_OK; i++) {
        struct column *c = &t->columns[i];
        code = check_size_max(c->name, c->type, &c->size_max, e);
    }
    for (size_t i = 0; i < t->tag_count && code == ERR_OK; i++) {
        struct tag *g = &t->tags[i];
        code = check_size_max(g->name, g->type, &g->size_max, e);
    }
    return code;
}

/* Memory tables keep bools as a byte, all else as eight; the wide ones come
 * first, so that they are aligned. */
static void place_columns(struct table *t)
{
    t->row_offsets = mem_array(t->column_count, sizeof *t->row_offsets);
    t->row_size = 0;
    for (int narrow = 0; narrow < 2; narrow++) {
        for (size_t i = 0; i < t->column_count; i++) {
            if ((t->columns[i].type == VALUE_BOOL) == (narrow == 1)) {
                t->row_offsets[i] = (uint32_t)t->row_size;
                t->row_size += narrow == 1 ? 1 : 8;
            }
        }
    }
    CHECK(t->row_offsets[0] == 0);
}

enum err_code table_finish(struct table *t, struct err *e)
{
    enum err_code code = check_names(t, e);
    if (code == ERR_OK) {
        code = check_columns(t, e);
    }
    if (code == ERR_OK) {
        code = check_tags(t, e);
    }
    if (code == ERR_OK) {
        code = check_sizes(t, e);
    }
    if (code == ERR_OK && t->precision != 3 && t->precision != 6 && t->precision != 9) {
        code = err_set(e, ERR_INVALID,
                       "the precision is %u: it must be 3, 6 or 9 digits of a "
                       "second",
                       t->precision);
    }
    if (code == ERR_OK) {
        code = index_names(t, e);
    }
    if (code == ERR_OK) {
        place_columns(t);
        t->series = t->series == NULL ? series_set_new() : t->series;
    }
    return code;
}

/* --- from a request --- */

/* A name of a message; too long is not cut, but refused by check_names(). */
static void read_name(struct cursor *c, const struct wire_field *f,
                      char dst[LIMIT_NAME_SIZE_MAX + 1])
{
    wire_str(c, f, dst, LIMIT_NAME_SIZE_MAX + 1);
}

static void read_type(struct cursor *c, const struct wire_field *f, enum value_type *type)
{
    uint64_t v = wire_uint(c, f);
    if (!value_type_is_valid(v)) {
        c->bad = true;
        return;
    }
    *type = (enum value_type)v;
}

enum err_code table_read_column(struct bytes message, size_t place, struct column *column,
                                struct err *e)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case 1:
            read_name(&c, &f, column->name);
            break;
        case 2:
            read_type(&c, &f, &column->type);
            break;
        case 3:
            column->not_null = wire_bool(&c, &f);
            break;
        case 4:
            column->size_max = wire_uint32(&c, &f);
            break;
        default:
            break;
        }
    }
    if (c.bad || !value_type_is_valid(column->type)) {
        return err_set(e, ERR_INVALID,
                       "the definition of column %zu (\"%s\") is malformed: a name of at most %d "
                       "bytes and a type are needed",
                       place + 1, column->name, LIMIT_NAME_SIZE_MAX);
    }
    return ERR_OK;
}

static enum err_code parse_column(struct bytes message, struct draft *d, struct err *e)
{
    if (d->table->column_count == LIMIT_COLUMNS_MAX) {
        return err_set(e, ERR_RANGE, "at most %d columns are allowed", LIMIT_COLUMNS_MAX);
    }
    struct column *column = draft_column(d);
    return table_read_column(message, d->table->column_count - 1, column, e);
}

enum err_code table_read_tag(struct bytes message, size_t place, struct tag *tag, struct err *e)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case 1:
            read_name(&c, &f, tag->name);
            break;
        case 2:
            read_type(&c, &f, &tag->type);
            break;
        case 3:
            tag->primary = wire_bool(&c, &f);
            break;
        case 4:
            tag->not_null = wire_bool(&c, &f);
            break;
        case 5:
            tag->size_max = wire_uint32(&c, &f);
            break;
        default:
            break;
        }
    }
    if (c.bad || !value_type_is_valid(tag->type)) {
        return err_set(e, ERR_INVALID,
                       "the definition of tag %zu (\"%s\") is malformed: a name of at most %d "
                       "bytes and a type are needed",
                       place + 1, tag->name, LIMIT_NAME_SIZE_MAX);
    }
    return ERR_OK;
}

static enum err_code parse_tag(struct bytes message, struct draft *d, struct err *e)
{
    if (d->table->tag_count == LIMIT_TAGS_MAX) {
        return err_set(e, ERR_RANGE, "at most %d tags are allowed", LIMIT_TAGS_MAX);
    }
    struct tag *tag = draft_tag(d);
    return table_read_tag(message, d->table->tag_count - 1, tag, e);
}

static enum err_code parse_fields(struct bytes definition, struct draft *d, struct err *e)
{
    struct cursor c = cursor_of(definition);
    struct wire_field f;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && wire_next(&c, &f)) {
        switch (f.number) {
        case 1:
            read_name(&c, &f, d->table->database);
            break;
        case 2:
            read_name(&c, &f, d->table->name);
            break;
        case 3:
            code = parse_column(wire_bytes(&c, &f), d, e);
            break;
        case 4:
            code = parse_tag(wire_bytes(&c, &f), d, e);
            break;
        case 5:
            d->table->precision = wire_uint32(&c, &f);
            break;
        default:
            break;
        }
    }
    if (code == ERR_OK && c.bad) {
        code = err_set(e, ERR_INVALID,
                       "the definition of the table is malformed: names are at "
                       "most %d bytes",
                       LIMIT_NAME_SIZE_MAX);
    }
    return code;
}

enum err_code table_parse(struct bytes definition, struct table **out, struct err *e)
{
    *out = NULL;
    struct draft d = draft_begin();
    enum err_code code = parse_fields(definition, &d, e);
    if (code == ERR_OK) {
        d.table->precision = d.table->precision == 0 ? PRECISION_DEFAULT : d.table->precision;
        code = table_finish(d.table, e);
    }
    if (code != ERR_OK) {
        table_unref(d.table);
        return code;
    }
    *out = d.table;
    return ERR_OK;
}

struct table *table_next_version(const struct table *t)
{
    struct table *n = mem_zalloc(sizeof *n);
    atomic_init(&n->references, 1);
    n->id = t->id;
    n->version = t->version + 1;
    n->index_created = t->index_created;
    n->column_id_next = t->column_id_next;
    n->tag_id_next = t->tag_id_next;
    n->precision = t->precision;
    memcpy(n->database, t->database, sizeof n->database);
    memcpy(n->name, t->name, sizeof n->name);
    n->columns = mem_array(t->column_count + 1, sizeof *n->columns);
    n->tags = mem_array(t->tag_count + 1, sizeof *n->tags);
    memcpy(n->columns, t->columns, t->column_count * sizeof *n->columns);
    memcpy(n->tags, t->tags, t->tag_count * sizeof *n->tags);
    n->column_count = t->column_count;
    n->tag_count = t->tag_count;
    n->series = series_set_ref(t->series);
    return n;
}

/* --- to an answer, to a file and back --- */

void table_put_definition(const struct table *t, struct buf *b, uint32_t field)
{
    size_t definition = wire_begin(b, field);
    wire_put_str(b, 1, t->database);
    wire_put_str(b, 2, t->name);
    for (size_t i = 0; i < t->column_count; i++) {
        size_t column = wire_begin(b, 3);
        wire_put_str(b, 1, t->columns[i].name);
        wire_put_uint(b, 2, (uint64_t)t->columns[i].type);
        wire_put_uint(b, 3, t->columns[i].not_null ? 1 : 0);
        wire_put_uint(b, 4, t->columns[i].size_max);
        wire_end(b, column);
    }
    for (size_t i = 0; i < t->tag_count; i++) {
        size_t tag = wire_begin(b, 4);
        wire_put_str(b, 1, t->tags[i].name);
        wire_put_uint(b, 2, (uint64_t)t->tags[i].type);
        wire_put_uint(b, 3, t->tags[i].primary ? 1 : 0);
        wire_put_uint(b, 4, t->tags[i].not_null ? 1 : 0);
        wire_put_uint(b, 5, t->tags[i].size_max);
        wire_end(b, tag);
    }
    wire_put_uint(b, 5, t->precision);
    wire_put_fixed64(b, 6, t->id);
    wire_put_uint(b, 7, t->version);
    wire_end(b, definition);
}

void table_encode(const struct table *t, struct buf *out)
{
    buf_put_varint(out, t->id);
    buf_put_varint(out, t->version);
    buf_put_varint(out, t->index_created);
    buf_put_varint(out, t->column_id_next);
    buf_put_varint(out, t->tag_id_next);
    buf_put_str(out, t->database);
    buf_put_str(out, t->name);
    buf_put_u8(out, (uint8_t)t->precision);
    buf_put_varint(out, t->column_count);
    for (size_t i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        buf_put_varint(out, c->id);
        buf_put_u8(out, (uint8_t)c->type);
        buf_put_u8(out, c->not_null ? FLAG_NOT_NULL : 0);
        buf_put_varint(out, c->size_max);
        buf_put_str(out, c->name);
    }
    buf_put_varint(out, t->tag_count);
    for (size_t i = 0; i < t->tag_count; i++) {
        const struct tag *g = &t->tags[i];
        buf_put_varint(out, g->id);
        buf_put_u8(out, (uint8_t)g->type);
        buf_put_u8(out,
                   (uint8_t)((g->not_null ? FLAG_NOT_NULL : 0) | (g->primary ? FLAG_PRIMARY : 0)));
        buf_put_varint(out, g->size_max);
        buf_put_str(out, g->name);
    }
}

/* What a column and a tag have in common. */
struct head {
    uint32_t id;
    enum value_type type;
    uint8_t flags;
    uint32_t size_max;
};

/* Ids rise from 'id_min' on, below 'id_next'. False: bad. */
static bool decode_head(struct cursor *in, uint64_t id_min, uint64_t id_next, struct head *out)
{
    uint64_t id = cursor_varint(in);
    uint8_t v = cursor_u8(in);
    out->flags = cursor_u8(in);
    uint64_t size_max = cursor_varint(in);
    if (id < id_min || id >= id_next || !value_type_is_valid(v) ||
        out->flags > (FLAG_NOT_NULL | FLAG_PRIMARY) || size_max > LIMIT_STRING_SIZE_MAX) {
        in->bad = true;
        return false;
    }
    out->id = (uint32_t)id;
    out->type = (enum value_type)v;
    out->size_max = (uint32_t)size_max;
    return !in->bad;
}

static void decode_columns(struct cursor *in, struct draft *d)
{
    uint64_t count = cursor_varint(in);
    in->bad = in->bad || count > LIMIT_COLUMNS_MAX;
    uint32_t id_next = d->table->column_id_next;
    for (uint64_t i = 0, id_min = 0; i < count && !in->bad; i++) {
        struct column *c = draft_column(d);
        struct head head;
        if (decode_head(in, id_min, id_next, &head)) {
            c->id = head.id;
            id_min = (uint64_t)head.id + 1;
            c->type = head.type;
            c->size_max = head.size_max;
            c->not_null = (head.flags & FLAG_NOT_NULL) != 0;
            cursor_str(in, c->name, sizeof c->name);
        }
    }
    d->table->column_id_next = id_next;
}

static void decode_tags(struct cursor *in, struct draft *d)
{
    uint64_t count = cursor_varint(in);
    in->bad = in->bad || count > LIMIT_TAGS_MAX;
    uint32_t id_next = d->table->tag_id_next;
    for (uint64_t i = 0, id_min = 0; i < count && !in->bad; i++) {
        struct tag *g = draft_tag(d);
        struct head head;
        if (decode_head(in, id_min, id_next, &head)) {
            g->id = head.id;
            id_min = (uint64_t)head.id + 1;
            g->type = head.type;
            g->size_max = head.size_max;
            g->not_null = (head.flags & FLAG_NOT_NULL) != 0;
            g->primary = (head.flags & FLAG_PRIMARY) != 0;
            cursor_str(in, g->name, sizeof g->name);
        }
    }
    d->table->tag_id_next = id_next;
}

enum err_code table_decode(struct cursor *in, struct table **out, struct err *e)
{
    *out = NULL;
    struct draft d = draft_begin();
    struct table *t = d.table;
    t->id = cursor_varint(in);
    uint64_t version = cursor_varint(in);
    t->index_created = cursor_varint(in);
    uint64_t column_id_next = cursor_varint(in);
    uint64_t tag_id_next = cursor_varint(in);
    in->bad = in->bad || version == 0 || version > UINT32_MAX || column_id_next > UINT32_MAX ||
              tag_id_next > UINT32_MAX;
    t->version = (uint32_t)version;
    t->column_id_next = (uint32_t)column_id_next;
    t->tag_id_next = (uint32_t)tag_id_next;
    cursor_str(in, t->database, sizeof t->database);
    cursor_str(in, t->name, sizeof t->name);
    t->precision = cursor_u8(in);
    decode_columns(in, &d);
    decode_tags(in, &d);
    struct err why;
    if (in->bad || t->id == 0) {
        table_unref(t);
        return err_set(e, ERR_CORRUPT, "the definition of a table is cut short or malformed");
    }
    if (table_finish(t, &why) != ERR_OK) {
        table_unref(t);
        return err_set(e, ERR_CORRUPT, "the definition of a table is wrong: %s", why.text);
    }
    *out = t;
    return ERR_OK;
}
