/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/alteration.h"

#include "base/check.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.AlterTableRequest. */
enum {
    FIELD_VERSION = 3,
    FIELD_ADD_COLUMN = 4,
    FIELD_ADD_TAG = 5,
    FIELD_DROP = 6,
    FIELD_RENAME = 7,
    FIELD_RENAME_TO = 8,
    FIELD_WIDEN = 9,
    FIELD_WIDEN_TYPE = 10,
    FIELD_WIDEN_SIZE_MAX = 11,
};

struct change {
    uint32_t version;
    uint32_t kind; /* the field that says it */
    unsigned kinds;
    struct bytes subject; /* of that field: a name, or a definition */
    struct bytes name_new;
    uint64_t type;
    uint32_t size_max;
};

/* Where a name stands: one of both is SIZE_MAX. */
struct found {
    size_t column;
    size_t tag;
};

static enum err_code read_change(struct bytes request, struct change *out, struct err *e)
{
    *out = (struct change){0};
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case FIELD_VERSION:
            out->version = wire_uint32(&c, &f);
            break;
        case FIELD_ADD_COLUMN:
        case FIELD_ADD_TAG:
        case FIELD_DROP:
        case FIELD_RENAME:
        case FIELD_WIDEN:
            out->kind = f.number;
            out->kinds++;
            out->subject = wire_bytes(&c, &f);
            break;
        case FIELD_RENAME_TO:
            out->name_new = wire_bytes(&c, &f);
            break;
        case FIELD_WIDEN_TYPE:
            out->type = wire_uint(&c, &f);
            break;
        case FIELD_WIDEN_SIZE_MAX:
            out->size_max = wire_uint32(&c, &f);
            break;
        default:
            break;
        }
    }
    if (c.bad) {
        return err_set(e, ERR_INVALID, "the request is malformed");
    }
    if (out->kinds != 1) {
        return err_set(e, ERR_INVALID, "the request asks for %u changes, not for one", out->kinds);
    }
    return ERR_OK;
}

static int shown(struct bytes name)
{
    return (int)(name.size < LIMIT_NAME_SIZE_MAX ? name.size : LIMIT_NAME_SIZE_MAX);
}

static bool find(const struct table *t, struct bytes name, struct found *out)
{
    out->column = table_find_column(t, name, 0);
    out->tag = table_find_tag(t, name, 0);
    return out->column != SIZE_MAX || out->tag != SIZE_MAX;
}

static enum err_code must_find(const struct table *t, struct bytes name, struct found *out,
                               struct err *e)
{
    if (find(t, name, out)) {
        return ERR_OK;
    }
    return err_set(e, ERR_NOT_FOUND, "no column or tag \"%.*s\" in table \"%s\"", shown(name),
                   (const char *)name.data, t->name);
}

static enum err_code must_be_new(const struct table *t, struct bytes name, struct err *e)
{
    struct found found;
    if (!find(t, name, &found)) {
        return ERR_OK;
    }
    return err_set(e, ERR_EXISTS, "%s \"%.*s\" exists in table \"%s\"",
                   found.column != SIZE_MAX ? "column" : "tag", shown(name),
                   (const char *)name.data, t->name);
}

/* Rows that are there have null in it. */
static enum err_code refuse_not_null(const char *name, struct err *e)
{
    return err_set(e, ERR_INVALID, "\"%s\" is added to a table: it can't be not null", name);
}

static enum err_code add_column(const struct table *t, const struct change *c, struct table *n,
                                struct err *e)
{
    struct column column = {.id = n->column_id_next++};
    if (t->column_count == LIMIT_COLUMNS_MAX) {
        return err_set(e, ERR_RANGE, "at most %d columns are allowed", LIMIT_COLUMNS_MAX);
    }
    enum err_code code = table_read_column(c->subject, t->column_count, &column, e);
    if (code == ERR_OK) {
        code = must_be_new(t, bytes_str(column.name), e);
    }
    if (code == ERR_OK && column.not_null) {
        code = refuse_not_null(column.name, e);
    }
    n->columns[n->column_count++] = column;
    return code;
}

static enum err_code add_tag(const struct table *t, const struct change *c, struct table *n,
                             struct err *e)
{
    struct tag tag = {.id = n->tag_id_next++};
    if (t->tag_count == LIMIT_TAGS_MAX) {
        return err_set(e, ERR_RANGE, "at most %d tags are allowed", LIMIT_TAGS_MAX);
    }
    enum err_code code = table_read_tag(c->subject, t->tag_count, &tag, e);
    if (code == ERR_OK) {
        code = must_be_new(t, bytes_str(tag.name), e);
    }
    if (code == ERR_OK && tag.not_null) {
        code = refuse_not_null(tag.name, e);
    }
    n->tags[n->tag_count++] = tag;
    return code;
}

static enum err_code drop(const struct table *t, const struct change *c, struct table *n,
                          struct err *e)
{
    struct found found;
    enum err_code code = must_find(t, c->subject, &found, e);
    if (code != ERR_OK) {
        return code;
    }
    if (found.column == 0) {
        return err_set(e, ERR_INVALID, "\"%s\" is the table's timestamp: it can't be dropped",
                       t->columns[0].name);
    }
    if (found.column != SIZE_MAX) {
        n->column_count--;
        memmove(n->columns + found.column, n->columns + found.column + 1,
                (n->column_count - found.column) * sizeof *n->columns);
        return ERR_OK;
    }
    if (t->tags[found.tag].primary) {
        return err_set(e, ERR_INVALID,
                       "\"%s\" is a primary tag: without it several series would be one",
                       t->tags[found.tag].name);
    }
    n->tag_count--;
    memmove(n->tags + found.tag, n->tags + found.tag + 1,
            (n->tag_count - found.tag) * sizeof *n->tags);
    return ERR_OK;
}

static enum err_code change_name(const struct table *t, const struct change *c, struct table *n,
                                 struct err *e)
{
    struct found found;
    enum err_code code = must_find(t, c->subject, &found, e);
    if (code == ERR_OK) {
        code = value_check_name(found.column != SIZE_MAX ? "column" : "tag", c->name_new, e);
    }
    if (code == ERR_OK) {
        code = must_be_new(t, c->name_new, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    char *name = found.column != SIZE_MAX ? n->columns[found.column].name : n->tags[found.tag].name;
    CHECK(c->name_new.data != NULL); /* a name has a character at least */
    memset(name, 0, LIMIT_NAME_SIZE_MAX + 1);
    memcpy(name, c->name_new.data, c->name_new.size);
    return ERR_OK;
}

/* 'type' and 'size_max' are those of a column or tag. */
static enum err_code widen_value(const struct change *c, const char *name, enum value_type *type,
                                 uint32_t *size_max, struct err *e)
{
    uint64_t wanted = c->type == 0 ? (uint64_t)*type : c->type;
    uint32_t size = c->size_max == 0 && value_is_long(*type) ? LIMIT_STRING_SIZE_MAX : c->size_max;
    if (!value_type_is_valid(wanted) || !value_can_widen(*type, (enum value_type)wanted)) {
        const char *to =
            value_type_is_valid(wanted) ? value_type_name((enum value_type)wanted) : "unknown type";
        return err_set(e, ERR_INVALID, "\"%s\" is a %s: it can't be widened to %s", name,
                       value_type_name(*type), to);
    }
    if (size < *size_max) {
        return err_set(e, ERR_INVALID, "\"%s\" has at most %u bytes: %u are not more", name,
                       *size_max, size);
    }
    if (wanted == (uint64_t)*type && size == *size_max) {
        return err_set(e, ERR_EXISTS, "\"%s\" is so already", name);
    }
    *type = (enum value_type)wanted;
    *size_max = size;
    return ERR_OK;
}

static enum err_code widen(const struct table *t, const struct change *c, struct table *n,
                           struct err *e)
{
    struct found found;
    enum err_code code = must_find(t, c->subject, &found, e);
    if (code != ERR_OK) {
        return code;
    }
    if (found.column != SIZE_MAX) {
        struct column *column = &n->columns[found.column];
        return widen_value(c, column->name, &column->type, &column->size_max, e);
    }
    struct tag *tag = &n->tags[found.tag];
    if (tag->type == VALUE_FLOAT) {
        return err_set(e, ERR_INVALID,
                       "\"%s\" is a float32: as a double the same digits would name other series",
                       tag->name);
    }
    return widen_value(c, tag->name, &tag->type, &tag->size_max, e);
}

static enum err_code carry_out(const struct table *t, const struct change *c, struct table *n,
                               struct err *e)
{
    switch (c->kind) {
    case FIELD_ADD_COLUMN:
        return add_column(t, c, n, e);
    case FIELD_ADD_TAG:
        return add_tag(t, c, n, e);
    case FIELD_DROP:
        return drop(t, c, n, e);
    case FIELD_RENAME:
        return change_name(t, c, n, e);
    case FIELD_WIDEN:
        return widen(t, c, n, e);
    default:
        PANIC("change %u", c->kind);
    }
}

enum err_code alteration_make(const struct table *t, struct bytes request, struct table **out,
                              struct err *e)
{
    *out = NULL;
    struct change c;
    enum err_code code = read_change(request, &c, e);
    if (code != ERR_OK) {
        return code;
    }
    if (c.version != 0 && c.version != t->version) {
        return err_set(e, ERR_STATE, "table \"%s\" has version %u, the change is meant for %u",
                       t->name, t->version, c.version);
    }
    if (t->version == UINT32_MAX || t->column_id_next == UINT32_MAX ||
        t->tag_id_next == UINT32_MAX) {
        return err_set(e, ERR_FULL, "table \"%s\" can't be changed any more", t->name);
    }
    struct table *n = table_next_version(t);
    code = carry_out(t, &c, n, e);
    if (code == ERR_OK) {
        code = table_finish(n, e);
    }
    if (code != ERR_OK) {
        table_unref(n);
        return code;
    }
    *out = n;
    return ERR_OK;
}
