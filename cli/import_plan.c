/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_plan.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/suggestion.h"
#include "cli/value_text.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.TableDefinition, ColumnDefinition and TagDefinition. */
enum { TABLE_DATABASE = 1, TABLE_NAME, TABLE_COLUMNS, TABLE_TAGS, TABLE_PRECISION };
enum { COLUMN_NAME = 1, COLUMN_TYPE, COLUMN_NOT_NULL };
enum { TAG_NAME = 1, TAG_TYPE, TAG_PRIMARY, TAG_NOT_NULL };

/* --- lists of names in a flag --- */

/* The next of "a,b,c"; false at the end. Empty ones are passed over. */
static bool next_item(const char **list, struct bytes *item)
{
    const char *p = *list;
    while (p != NULL && *p == ',') {
        p++;
    }
    if (p == NULL || *p == '\0') {
        return false;
    }
    size_t size = strcspn(p, ",");
    *item = bytes_of(p, size);
    *list = p + size;
    return true;
}

static bool list_has(const char *list, const char *name)
{
    struct bytes item;
    while (next_item(&list, &item)) {
        if (bytes_equal(item, bytes_str(name))) {
            return true;
        }
    }
    return false;
}

/* The part of "name:type" behind the last colon of the item for 'name'. */
static bool list_type(const char *list, const char *name, struct bytes *type)
{
    size_t size = strlen(name);
    struct bytes item;
    while (next_item(&list, &item)) {
        if (item.size > size && memcmp(item.data, name, size) == 0 && item.data[size] == ':') {
            *type = bytes_of(item.data + size + 1, item.size - size - 1);
            return true;
        }
    }
    return false;
}

static const char *find_constant(const struct import_request *r, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < r->constant_count; i++) {
        const char *item = r->constants[i];
        if (strncmp(item, name, size) == 0 && item[size] == '=') {
            return item + size + 1;
        }
    }
    return NULL;
}

/* --- the header --- */

static size_t find_name(const struct import_header *h, struct bytes name)
{
    for (size_t i = 0; i < h->count; i++) {
        if (bytes_equal(name, bytes_str(h->names[i]))) {
            return i;
        }
    }
    return IMPORT_NO_FIELD;
}

enum err_code import_header_read(const struct csv_record *record, struct import_header *out,
                                 struct err *e)
{
    *out = (struct import_header){.names = mem_array(record->count + 1, sizeof *out->names)};
    for (size_t i = 0; i < record->count; i++) {
        struct bytes name = record->fields[i].text;
        if (name.size == 0) {
            import_header_deinit(out);
            return err_set(e, ERR_INVALID, "the header's field %zu has no name", i + 1);
        }
        if (find_name(out, name) != IMPORT_NO_FIELD) {
            import_header_deinit(out);
            return err_set(e, ERR_INVALID, "the header names '%.*s' twice",
                           name.size > 80 ? 80 : (int)name.size, (const char *)name.data);
        }
        char *copy = mem_alloc(name.size + 1);
        memcpy(copy, name.data, name.size);
        copy[name.size] = '\0';
        out->names[out->count++] = copy;
    }
    return ERR_OK;
}

void import_header_deinit(struct import_header *h)
{
    for (size_t i = 0; i < h->count; i++) {
        mem_free(h->names[i]);
    }
    mem_free(h->names);
    *h = (struct import_header){0};
}

static enum err_code no_such_field(const struct import_header *h, const char *what,
                                   struct bytes name, struct err *e)
{
    char word[SUGGESTION_WORD_SIZE_MAX + 1] = "";
    int size = name.size > SUGGESTION_WORD_SIZE_MAX ? SUGGESTION_WORD_SIZE_MAX : (int)name.size;
    memcpy(word, name.data, (size_t)size);
    const char *near = suggestion_find(word, (const char *const *)h->names, h->count);
    if (near != NULL) {
        return err_set(e, ERR_INVALID, "%s: the file has no field '%s'; did you mean '%s'?", what,
                       word, near);
    }
    return err_set(e, ERR_INVALID, "%s: the file has no field '%s'", what, word);
}

static enum err_code check_list(const char *flag, const char *list, bool typed,
                                const struct import_header *h, struct err *e)
{
    struct bytes item;
    while (next_item(&list, &item)) {
        const uint8_t *colon = typed ? memchr(item.data, ':', item.size) : NULL;
        if (typed && colon == NULL) {
            return err_set(e, ERR_INVALID, "%s: '%.*s' is not NAME:TYPE", flag,
                           item.size > 80 ? 80 : (int)item.size, (const char *)item.data);
        }
        item.size = typed ? (size_t)(colon - item.data) : item.size;
        if (find_name(h, item) == IMPORT_NO_FIELD) {
            return no_such_field(h, flag, item, e);
        }
    }
    return ERR_OK;
}

/* Every name in the user's lists must be one of the file. */
static enum err_code check_lists(const struct import_request *r, const struct import_header *h,
                                 struct err *e)
{
    for (size_t i = 0; i < r->constant_count; i++) {
        if (strchr(r->constants[i], '=') == NULL) {
            return err_set(e, ERR_INVALID, "--tag-value: '%.80s' is not NAME=VALUE",
                           r->constants[i]);
        }
    }
    enum err_code code = check_list("--tags", r->tags, false, h, e);
    if (code == ERR_OK) {
        code = check_list("--types", r->types, true, h, e);
    }
    return code == ERR_OK ? check_list("--skip", r->skip, false, h, e) : code;
}

/* What the user named, else a field of the table's own name, else one whose name
 * says time, else the first. */
static enum err_code find_time_field(const struct import_request *r, const struct import_header *h,
                                     const char *table_name, size_t *field, struct err *e)
{
    static const char *const usual[] = {"time", "timestamp", "ts", "date", "datetime"};
    if (r->time_column != NULL) {
        *field = find_name(h, bytes_str(r->time_column));
        return *field == IMPORT_NO_FIELD
                   ? no_such_field(h, "--time-column", bytes_str(r->time_column), e)
                   : ERR_OK;
    }
    *field = table_name == NULL ? IMPORT_NO_FIELD : find_name(h, bytes_str(table_name));
    for (size_t u = 0; *field == IMPORT_NO_FIELD && u < sizeof usual / sizeof usual[0]; u++) {
        for (size_t i = 0; *field == IMPORT_NO_FIELD && i < h->count; i++) {
            *field = strcasecmp(h->names[i], usual[u]) == 0 ? i : IMPORT_NO_FIELD;
        }
    }
    *field = *field == IMPORT_NO_FIELD ? 0 : *field;
    return ERR_OK;
}

/* --- guessing a table --- */

struct field_guess {
    bool some;  /* it has a value somewhere */
    bool empty; /* it has none somewhere */
    bool not_number;
    bool not_bool;
};

struct guess {
    struct field_guess *fields; /* owned */
    size_t field_count;
    size_t time_field;
    struct time_format time_format;
    unsigned precision;
};

static void look_at(struct guess *g, const struct csv_record *record)
{
    if (record->count != g->field_count) {
        return; /* will be refused as a row */
    }
    for (size_t i = 0; i < record->count; i++) {
        struct bytes text = record->fields[i].text;
        struct field_guess *f = &g->fields[i];
        double number = 0;
        bool truth = false;
        bool letters = text.size > 1; /* "t" and "1" say too little */
        if (text.size == 0) {
            f->empty = true;
            continue;
        }
        f->some = true;
        f->not_number = f->not_number || !value_text_double(text, &number);
        f->not_bool = f->not_bool || !letters || !value_text_bool(text, &truth);
    }
    int64_t time = 0;
    while (g->precision < 9 && time_text_parse(&g->time_format, record->fields[g->time_field].text,
                                               g->precision, &time, NULL) == ERR_RANGE) {
        g->precision += 3;
    }
}

static void look_at_sample(struct guess *g, struct bytes sample, char separator)
{
    struct csv_reader *reader = csv_reader_open(separator);
    csv_reader_feed(reader, sample);
    struct csv_record record;
    unsigned seen = 0; /* the first is the header */
    for (;;) {
        enum csv_result result = csv_reader_next(reader, &record, NULL);
        if (result == CSV_MORE || result == CSV_END || seen > IMPORT_SAMPLE_RECORDS) {
            break;
        }
        if (result == CSV_RECORD && seen > 0) {
            look_at(g, &record);
        }
        seen++;
    }
    csv_reader_close(reader);
}

static enum err_code guess_type(const struct import_request *r, const char *name,
                                const struct field_guess *f, bool tag, int *type, struct err *e)
{
    struct bytes said;
    if (list_type(r->types, name, &said)) {
        *type = value_text_type(said);
        if (*type == 0) {
            return err_set(e, ERR_INVALID,
                           "--types: '%.*s' is no type of a column: use " VALUE_TEXT_TYPES,
                           said.size > 40 ? 40 : (int)said.size, (const char *)said.data);
        }
        return ERR_OK;
    }
    if (tag || !f->some) {
        *type = TIDEMARK__V1__TYPE__STRING;
    } else if (!f->not_number) {
        *type = TIDEMARK__V1__TYPE__DOUBLE;
    } else {
        *type = f->not_bool ? TIDEMARK__V1__TYPE__STRING : TIDEMARK__V1__TYPE__BOOL;
    }
    return ERR_OK;
}

static void put_column(struct buf *out, const char *name, int type, bool not_null)
{
    size_t mark = wire_begin(out, TABLE_COLUMNS);
    wire_put_str(out, COLUMN_NAME, name);
    wire_put_uint(out, COLUMN_TYPE, (uint64_t)type);
    wire_put_uint(out, COLUMN_NOT_NULL, not_null ? 1 : 0);
    wire_end(out, mark);
}

static void put_tag(struct buf *out, const char *name, int type, bool not_null)
{
    size_t mark = wire_begin(out, TABLE_TAGS);
    wire_put_str(out, TAG_NAME, name);
    wire_put_uint(out, TAG_TYPE, (uint64_t)type);
    wire_put_uint(out, TAG_PRIMARY, 1);
    wire_put_uint(out, TAG_NOT_NULL, not_null ? 1 : 0);
    wire_end(out, mark);
}

static enum err_code put_columns(const struct import_request *r, const struct import_header *h,
                                 const struct guess *g, struct buf *out, struct err *e)
{
    put_column(out, h->names[g->time_field], TIDEMARK__V1__TYPE__TIMESTAMP, true);
    for (size_t i = 0; i < h->count; i++) {
        int type = 0;
        if (i == g->time_field || list_has(r->tags, h->names[i]) ||
            list_has(r->skip, h->names[i])) {
            continue;
        }
        enum err_code code = guess_type(r, h->names[i], &g->fields[i], false, &type, e);
        if (code != ERR_OK) {
            return code;
        }
        put_column(out, h->names[i], type, false);
    }
    return ERR_OK;
}

/* Tags may be null where the sample has them empty, but never all of them. */
static enum err_code put_tags(const struct import_request *r, const struct import_header *h,
                              const struct guess *g, struct buf *out, struct err *e)
{
    bool some_not_null = r->constant_count > 0;
    for (size_t i = 0; i < h->count; i++) {
        some_not_null = some_not_null || (list_has(r->tags, h->names[i]) && !g->fields[i].empty);
    }
    size_t count = 0;
    const char *list = r->tags;
    struct bytes item;
    while (next_item(&list, &item)) {
        size_t i = find_name(h, item);
        CHECK(i != IMPORT_NO_FIELD);
        int type = 0;
        enum err_code code = guess_type(r, h->names[i], &g->fields[i], true, &type, e);
        if (code != ERR_OK) {
            return code;
        }
        put_tag(out, h->names[i], type, !g->fields[i].empty || !some_not_null);
        count++;
    }
    for (size_t i = 0; i < r->constant_count; i++) {
        size_t size = strcspn(r->constants[i], "=");
        char *name = mem_format("%.*s", (int)size, r->constants[i]);
        put_tag(out, name, TIDEMARK__V1__TYPE__STRING, true);
        mem_free(name);
        count++;
    }
    if (count == 0) {
        return err_set(e, ERR_INVALID,
                       "a new table needs at least one tag: name fields with --tags "
                       "a,b or give a value for all rows with --tag-value NAME=VALUE");
    }
    return ERR_OK;
}

enum err_code import_guess_table(const struct import_request *request,
                                 const struct import_header *header, struct bytes sample,
                                 char separator, struct buf *out, struct err *e)
{
    struct guess g = {.field_count = header->count, .precision = 3};
    enum err_code code = check_lists(request, header, e);
    if (code == ERR_OK) {
        code = find_time_field(request, header, NULL, &g.time_field, e);
    }
    if (code == ERR_OK) {
        code = time_text_format(request->time_format, &g.time_format, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    g.fields = mem_array(header->count, sizeof *g.fields);
    look_at_sample(&g, sample, separator);
    wire_put_str(out, TABLE_DATABASE, request->database);
    wire_put_str(out, TABLE_NAME, request->table);
    code = put_columns(request, header, &g, out, e);
    if (code == ERR_OK) {
        code = put_tags(request, header, &g, out, e);
    }
    wire_put_uint(out, TABLE_PRECISION, g.precision);
    mem_free(g.fields);
    return code;
}

/* --- a plan for a table --- */

static const Tidemark__V1__ColumnDefinition *find_column(const Tidemark__V1__TableDefinition *t,
                                                         const char *name)
{
    for (size_t i = 1; i < t->n_columns; i++) {
        if (strcmp(t->columns[i]->name, name) == 0) {
            return t->columns[i];
        }
    }
    return NULL;
}

static bool table_has_tag(const Tidemark__V1__TableDefinition *t, const char *name)
{
    for (size_t i = 0; i < t->n_tags; i++) {
        if (strcmp(t->tags[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum err_code plan_columns(struct import_plan *p, const struct import_request *r,
                                  const struct import_header *h,
                                  const Tidemark__V1__TableDefinition *t, struct err *e)
{
    p->columns = mem_array(h->count, sizeof *p->columns);
    for (size_t i = 0; i < h->count; i++) {
        const char *name = h->names[i];
        if (i == p->time_field || list_has(r->skip, name) || table_has_tag(t, name)) {
            continue;
        }
        const Tidemark__V1__ColumnDefinition *c = find_column(t, name);
        if (c == NULL) {
            return err_set(
                e, ERR_NOT_FOUND,
                "the table has no column or tag '%.80s'; leave the field out with --skip", name);
        }
        p->columns[p->column_count++] = (struct import_column){
            .name = mem_strdup(name),
            .type = (int)c->type,
            .size_max = c->size_max,
            .not_null = c->not_null != 0,
            .field = i,
        };
    }
    for (size_t i = 1; i < t->n_columns; i++) {
        bool there = find_name(h, bytes_str(t->columns[i]->name)) != IMPORT_NO_FIELD &&
                     !list_has(r->skip, t->columns[i]->name);
        if (t->columns[i]->not_null && !there) {
            return err_set(e, ERR_INVALID,
                           "the file has no field for column '%s', which may not "
                           "be null",
                           t->columns[i]->name);
        }
    }
    return ERR_OK;
}

static enum err_code plan_tag(struct import_plan *p, const struct import_request *r,
                              const struct import_header *h, const Tidemark__V1__TagDefinition *tag,
                              struct err *e)
{
    size_t field =
        list_has(r->skip, tag->name) ? IMPORT_NO_FIELD : find_name(h, bytes_str(tag->name));
    field = field == p->time_field ? IMPORT_NO_FIELD : field;
    const char *constant = find_constant(r, tag->name);
    if (field != IMPORT_NO_FIELD && constant != NULL) {
        return err_set(e, ERR_INVALID, "--tag-value: the file has a field '%s' itself", tag->name);
    }
    bool given = field != IMPORT_NO_FIELD || constant != NULL;
    if (!given && tag->not_null) {
        return err_set(
            e, ERR_INVALID,
            "the file has no field for tag '%s': give its value with --tag-value %s=VALUE",
            tag->name, tag->name);
    }
    if (!given && !tag->primary) {
        return ERR_OK;
    }
    p->has_other_tags = p->has_other_tags || !tag->primary;
    p->tags[p->tag_count++] = (struct import_column){
        .name = mem_strdup(tag->name),
        .type = (int)tag->type,
        .size_max = tag->size_max,
        .not_null = tag->not_null != 0,
        .primary = tag->primary != 0,
        .field = field,
        .constant = constant == NULL ? NULL : mem_strdup(constant),
    };
    return ERR_OK;
}

static enum err_code plan_tags(struct import_plan *p, const struct import_request *r,
                               const struct import_header *h,
                               const Tidemark__V1__TableDefinition *t, struct err *e)
{
    for (size_t i = 0; i < r->constant_count; i++) {
        char *name = mem_format("%.*s", (int)strcspn(r->constants[i], "="), r->constants[i]);
        bool known = table_has_tag(t, name);
        mem_free(name);
        if (!known) {
            return err_set(e, ERR_NOT_FOUND,
                           "--tag-value: '%.80s' does not begin with a tag of the "
                           "table and '='",
                           r->constants[i]);
        }
    }
    p->tags = mem_array(t->n_tags + 1, sizeof *p->tags);
    for (int primary = 1; primary >= 0; primary--) {
        for (size_t i = 0; i < t->n_tags; i++) {
            if ((t->tags[i]->primary != 0) != (primary == 1)) {
                continue;
            }
            enum err_code code = plan_tag(p, r, h, t->tags[i], e);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

enum err_code import_plan_init(struct import_plan *out, const struct import_request *request,
                               const struct import_header *header,
                               const Tidemark__V1__TableDefinition *table, struct err *e)
{
    *out = (struct import_plan){
        .database = mem_strdup(request->database),
        .table = mem_strdup(request->table),
        .precision = table->precision == 0 ? 3 : table->precision,
        .field_count = header->count,
    };
    if (table->n_columns == 0 || out->precision > 9) {
        return err_set(e, ERR_CORRUPT, "the server's definition of the table makes no sense");
    }
    out->time_name = mem_strdup(table->columns[0]->name);
    enum err_code code = check_lists(request, header, e);
    if (code == ERR_OK) {
        code = time_text_format(request->time_format, &out->time_format, e);
    }
    if (code == ERR_OK) {
        code = find_time_field(request, header, out->time_name, &out->time_field, e);
    }
    if (code == ERR_OK) {
        code = plan_columns(out, request, header, table, e);
    }
    return code == ERR_OK ? plan_tags(out, request, header, table, e) : code;
}

static void free_columns(struct import_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(columns[i].name);
        mem_free(columns[i].constant);
    }
    mem_free(columns);
}

void import_plan_deinit(struct import_plan *p)
{
    free_columns(p->columns, p->column_count);
    free_columns(p->tags, p->tag_count);
    mem_free(p->database);
    mem_free(p->table);
    mem_free(p->time_name);
    *p = (struct import_plan){0};
}
