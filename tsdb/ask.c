/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to the Admin service's questions about settings and catalog. */
#include "base/check.h"
#include "proto/wire.h"
#include "tsdb/db.h"

/* The fields of a tidemark.v1.Setting, without a tag around them. */
static void put_setting(const struct settings *s, size_t i, struct buf *b)
{
    const struct setting *x = settings_at(i);
    char range[SETTING_RANGE_SIZE];
    settings_range(x, range);
    wire_put_str(b, 1, x->name);
    wire_put_str(b, 2, settings_text(s, i));
    wire_put_str(b, 3, x->initial);
    wire_put_str(b, 4, settings_type_name(x->type));
    wire_put_str(b, 5, x->unit);
    wire_put_str(b, 6, range);
    wire_put_str(b, 7, x->scope);
    wire_put_uint(b, 8, x->restart ? 1 : 0);
    wire_put_str(b, 9, x->description);
    wire_put_uint(b, 10, settings_changed(s, i));
}

static enum err_code malformed(struct err *e)
{
    return err_set(e, ERR_INVALID, "the request is malformed");
}

static enum err_code list_settings(const struct settings *s, struct bytes request,
                                   struct buf *answer, struct err *e)
{
    struct bytes pattern = {0};
    bool changed_only = false;
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            pattern = wire_bytes(&c, &f);
        } else if (f.number == 2) {
            changed_only = wire_bool(&c, &f);
        }
    }
    if (c.bad) {
        return malformed(e);
    }
    for (size_t i = 0; i < settings_count(); i++) {
        struct bytes name = bytes_str(settings_at(i)->name);
        bool named =
            name.size >= pattern.size && bytes_equal(bytes_of(name.data, pattern.size), pattern);
        bool changed = strcmp(settings_text(s, i), settings_at(i)->initial) != 0;
        if (named && (changed || !changed_only)) {
            size_t mark = wire_begin(answer, 1);
            put_setting(s, i, answer);
            wire_end(answer, mark);
        }
    }
    return ERR_OK;
}

static enum err_code get_setting(const struct settings *s, struct bytes request, struct buf *answer,
                                 struct err *e)
{
    struct bytes name = {0};
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            name = wire_bytes(&c, &f);
        }
    }
    if (c.bad) {
        return malformed(e);
    }
    size_t i = 0;
    enum err_code code = settings_find(name, &i, e);
    if (code == ERR_OK) {
        put_setting(s, i, answer);
    }
    return code;
}

static enum err_code answer_in(const struct version *v, enum tsdb_question question,
                               struct bytes request, struct buf *answer, struct err *e)
{
    switch (question) {
    case TSDB_LIST_SETTINGS:
        return list_settings(v->settings, request, answer, e);
    case TSDB_GET_SETTING:
        return get_setting(v->settings, request, answer, e);
    case TSDB_LIST_DATABASES:
        catalog_list_databases(v->catalog, answer);
        return ERR_OK;
    case TSDB_LIST_TABLES:
        return catalog_list_tables(v->catalog, request, answer, e);
    }
    PANIC("question %d", (int)question);
}

enum err_code tsdb_ask(struct tsdb *db, enum tsdb_question question, struct bytes request,
                       struct buf *answer, struct err *e)
{
    struct version *v = versions_pin(&db->versions);
    size_t before = answer->size;
    enum err_code code = answer_in(v, question, request, answer, e);
    version_unpin(v);
    if (code != ERR_OK) {
        answer->size = before;
    }
    return code;
}
