/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out the commands of the log: the deterministic heart of the state.
 * Nothing here reads a clock, draws a number or depends on memory at hand. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/packed.h"
#include "proto/wire.h"
#include "tsdb/checkpoint.h"
#include "tsdb/db.h"

/* One command being applied. */
struct run {
    struct tsdb *db;
    const struct command *command;
    struct tsdb_result *result;
};

void tsdb_results_deinit(struct tsdb_results *r)
{
    mem_free(r->items);
    *r = (struct tsdb_results){0};
}

static struct tsdb_result *add_result(struct tsdb_results *r, enum command_kind kind,
                                      uint64_t index)
{
    r->items = mem_grow(r->items, &r->capacity, r->count + 1, sizeof *r->items);
    struct tsdb_result *result = &r->items[r->count++];
    result->kind = kind;
    result->code = ERR_OK;
    result->repeated = false;
    result->index = index;
    result->session = 0;
    result->rows = 0;
    result->text[0] = '\0';
    return result;
}

/* --- rows --- */

/* How much the series that the batch would make add to the dictionary. Which of
 * them are new is found here. */
static enum err_code find_series(struct tsdb *db, struct write_batch *w, struct err *e)
{
    uint64_t count = 0;
    uint64_t size = 0;
    for (size_t i = 0; i < w->series_count; i++) {
        struct write_series *s = &w->series[i];
        s->series = s->used ? series_set_find(w->table->series, s->hash, s->key) : NULL;
        if (s->used && s->series == NULL) {
            count++;
            size += s->key.size + s->tags.size;
        }
    }
    if (count == 0) {
        return ERR_OK;
    }
    if (db->series_count + count > LIMIT_SERIES_MAX) {
        return err_set(e, ERR_FULL, "there are %" PRIu64 " series, at most %d are allowed",
                       db->series_count, LIMIT_SERIES_MAX);
    }
    if (db->series_size + size > LIMIT_SERIES_SIZE_MAX) {
        return err_set(e, ERR_FULL,
                       "the tags of all series take %" PRIu64 " bytes, at most %d are allowed",
                       db->series_size, LIMIT_SERIES_SIZE_MAX);
    }
    return ERR_OK;
}

/* New series get their ids in the order of the request. */
static void make_series(struct tsdb *db, struct write_batch *w, uint64_t index)
{
    for (size_t i = 0; i < w->series_count; i++) {
        struct write_series *s = &w->series[i];
        if (!s->used || s->series != NULL) {
            continue;
        }
        s->series = series_set_find(w->table->series, s->hash, s->key); /* named twice */
        if (s->series == NULL) {
            s->series =
                series_set_add(w->table->series, db->series_id_next++, index, s->key, s->tags);
            db->series_count++;
            db->series_size += s->key.size + s->tags.size;
        }
    }
}

static void store_rows(struct tsdb *db, const struct write_batch *w, uint64_t index)
{
    struct memory *memory = db->versions.current->active;
    bool unread = versions_active_is_unread(&db->versions);
    size_t from = 0;
    while (from < w->row_count) {
        size_t to = w->series_of_row == NULL ? w->row_count : from + 1;
        size_t place = w->series_of_row == NULL ? 0 : w->series_of_row[from];
        while (to < w->row_count && w->series_of_row[to] == place) {
            to++;
        }
        struct series *series = w->series[place].series;
        struct memtable *rows = memory->tables[series->vgroup];
        bool replaced = unread && to - from == 1 && memtable_replace(rows, series, index, w, from);
        if (!replaced) {
            memtable_append(rows, series, index, w, from, to);
        }
        from = to;
    }
}

static enum err_code apply_write(struct run *r, struct err *e)
{
    struct tsdb *db = r->db;
    struct write_batch *w = &db->batch;
    enum err_code code = write_batch_read(w, db->versions.current->catalog, r->command->body, e);
    if (code == ERR_OK) {
        code = find_series(db, w, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    make_series(db, w, r->result->index);
    store_rows(db, w, r->result->index);
    r->result->rows = w->row_count;
    return ERR_OK;
}

/* --- sessions, settings, catalog --- */

static enum err_code apply_open_session(struct run *r, struct err *e)
{
    uint64_t close_session = 0;
    uint64_t nonce = 0;
    struct cursor c = cursor_of(r->command->body);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            close_session = wire_uint(&c, &f);
        } else if (f.number == 2) {
            nonce = wire_fixed64(&c, &f);
        }
    }
    if (c.bad) {
        return err_set(e, ERR_INVALID, "the request to open a session is malformed");
    }
    r->result->session = sessions_open(r->db->sessions, nonce, close_session, r->result->index);
    return ERR_OK;
}

/* The settings after a log.v1.SetSetting. */
static enum err_code change_setting(const struct settings *s, struct bytes request, uint64_t index,
                                    struct settings **out, struct err *e)
{
    *out = NULL;
    struct bytes name = {0};
    struct bytes value = {0};
    bool reset = false;
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            name = wire_bytes(&c, &f);
        } else if (f.number == 2) {
            value = wire_bytes(&c, &f);
        } else if (f.number == 3) {
            reset = wire_bool(&c, &f);
        }
    }
    if (c.bad) {
        return err_set(e, ERR_INVALID, "the request to set a setting is malformed");
    }
    return settings_change(s, name, reset ? NULL : &value, index, out, e);
}

static enum err_code apply_set_setting(struct run *r, struct err *e)
{
    struct settings *changed = NULL;
    enum err_code code = change_setting(r->db->versions.current->settings, r->command->body,
                                        r->result->index, &changed, e);
    if (code != ERR_OK) {
        return code;
    }
    struct version v = versions_copy(&r->db->versions);
    settings_unref(v.settings);
    v.settings = changed;
    versions_put(&r->db->versions, v);
    return ERR_OK;
}

static enum err_code change_catalog(struct catalog *c, const struct command *command,
                                    uint64_t index, struct catalog **out, struct err *e)
{
    switch ((int)command->kind) {
    case COMMAND_CREATE_DATABASE:
        return catalog_create_database(c, command->body, out, e);
    case COMMAND_DROP_DATABASE:
        return catalog_drop_database(c, command->body, out, e);
    case COMMAND_CREATE_TABLE:
        return catalog_create_table(c, command->body, index, out, e);
    case COMMAND_DROP_TABLE:
        return catalog_drop_table(c, command->body, out, e);
    case COMMAND_ALTER_TABLE:
        return catalog_alter_table(c, command->body, out, e);
    default:
        PANIC("command kind %d changes no catalog", (int)command->kind);
    }
}

static enum err_code apply_catalog(struct run *r, struct err *e)
{
    struct catalog *changed = NULL;
    enum err_code code =
        change_catalog(r->db->versions.current->catalog, r->command, r->result->index, &changed, e);
    if (code != ERR_OK) {
        return code;
    }
    struct version v = versions_copy(&r->db->versions);
    catalog_unref(v.catalog);
    v.catalog = changed;
    versions_put(&r->db->versions, v);
    db_count_series(r->db);
    return ERR_OK;
}

static enum err_code apply_nodes(struct run *r, struct err *e)
{
    struct nodes *n = &r->db->nodes;
    enum err_code code = ERR_OK;
    if (r->command->kind == COMMAND_NODE_START) {
        code = nodes_start(n, r->command->body, e);
    } else if (r->command->kind == COMMAND_NODE_REMOVED) {
        code = nodes_remove(n, r->command->body, e);
    } else {
        CHECK(r->command->kind == COMMAND_CLUSTER_FORMED);
        code = nodes_form(n, r->command->body, e);
    }
    db_update_nodes_hash(r->db);
    return code;
}

/* --- commands --- */

static enum err_code apply_by_kind(struct run *r, struct err *e)
{
    switch (r->command->kind) {
    case COMMAND_WRITE:
        return apply_write(r, e);
    case COMMAND_OPEN_SESSION:
        return apply_open_session(r, e);
    case COMMAND_SET_SETTING:
        return apply_set_setting(r, e);
    case COMMAND_CREATE_DATABASE:
    case COMMAND_DROP_DATABASE:
    case COMMAND_CREATE_TABLE:
    case COMMAND_DROP_TABLE:
    case COMMAND_ALTER_TABLE:
        return apply_catalog(r, e);
    case COMMAND_NODE_START:
    case COMMAND_CLUSTER_FORMED:
    case COMMAND_NODE_REMOVED:
        return apply_nodes(r, e);
    case COMMAND_CHECKPOINT: /* see tsdb_apply() */
    case COMMAND_PART:       /* see apply_part() */
    case COMMAND_PACKED:     /* see apply_packed() */
    case COMMAND_KIND_COUNT:
        break;
    }
    PANIC("command kind %d", (int)r->command->kind);
}

/* Opening a session is not itself a request of one. */
static bool has_answer(const struct command *c)
{
    return c->kind != COMMAND_OPEN_SESSION && c->kind != COMMAND_CHECKPOINT;
}

static void apply_command(struct tsdb *db, const struct command *command,
                          struct tsdb_result *result)
{
    enum session_verdict verdict =
        has_answer(command) ? sessions_judge(db->sessions, command, result) : SESSION_NONE;
    if (verdict == SESSION_ANSWERED) {
        return;
    }
    struct err e;
    struct run r = {db, command, result};
    result->code = apply_by_kind(&r, &e);
    if (result->code != ERR_OK) {
        (void)snprintf(result->text, sizeof result->text, "%s", e.text);
    }
    if (verdict == SESSION_NEW) {
        sessions_record(db->sessions, command, result);
    }
}

static bool stands_alone(enum command_kind kind)
{
    return kind == COMMAND_CHECKPOINT || kind == COMMAND_PART || kind == COMMAND_PACKED;
}

static enum err_code refuse_company(enum command_kind kind, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "a %s shares its log entry with others",
                   kind == COMMAND_PART     ? "part"
                   : kind == COMMAND_PACKED ? "packed command"
                                            : "checkpoint");
}

/* The entry's first command. */
static enum err_code read_first(struct bytes entry, struct command *out, struct err *e)
{
    struct cursor c = cursor_of(entry);
    enum err_code code = command_next(&c, out, e);
    if (code == ERR_OK && stands_alone(out->kind) && c.size > 0) {
        return refuse_company(out->kind, e);
    }
    return code;
}

static void note_applied(struct tsdb *db, uint64_t index, uint64_t term)
{
    CHECK(index > tsdb_applied_index(db));
    CHECK(term >= tsdb_applied_term(db));
    if (db->large.next != 0 && index != db->large.index) {
        large_change_drop(&db->large); /* this entry was no part of it: it is void */
    }
    atomic_store_explicit(&db->applied_term, term, memory_order_relaxed);
    atomic_store_explicit(&db->applied_index, index, memory_order_release);
}

/* Only a write may be large. */
static enum err_code apply_large(struct tsdb *db, uint64_t index, struct tsdb_results *results,
                                 struct err *e)
{
    struct cursor c = cursor_of(buf_bytes(&db->large.bytes));
    struct command command;
    enum err_code code = command_next(&c, &command, e);
    if (code == ERR_OK && (c.size > 0 || command.kind != COMMAND_WRITE)) {
        code = err_set(e, ERR_CORRUPT, "the parts of a large command are no write");
    }
    if (code == ERR_OK) {
        apply_command(db, &command, add_result(results, command.kind, index));
    }
    large_change_drop(&db->large);
    return code;
}

static enum err_code apply_part(struct tsdb *db, uint64_t index, uint64_t term, struct bytes body,
                                struct tsdb_results *results, struct err *e)
{
    struct command_part part;
    enum err_code code = command_read_part(body, &part, e);
    if (code != ERR_OK) {
        return code;
    }
    switch (large_change_add(&db->large, &part, index, term)) {
    case LARGE_MORE:
        break;
    case LARGE_WHOLE:
        return apply_large(db, index, results, e);
    case LARGE_VOID:
        if (part.place + 1 == part.count) {
            struct tsdb_result *result = add_result(results, COMMAND_WRITE, index);
            result->code = ERR_UNAVAILABLE;
            (void)snprintf(result->text, sizeof result->text,
                           "a part of this change was lost: retry");
        }
        break;
    }
    return ERR_OK;
}

/* 'packed': the entry was, and can't hold what others look for in its first byte. */
static enum err_code apply_commands(struct tsdb *db, uint64_t index, struct bytes entry,
                                    bool packed, struct tsdb_results *results, struct err *e)
{
    struct cursor c = cursor_of(entry);
    while (c.size > 0) {
        struct command command;
        enum err_code code = command_next(&c, &command, e);
        if (code == ERR_OK && stands_alone(command.kind)) {
            code = refuse_company(command.kind, e);
        }
        if (code == ERR_OK && packed && command_is_metadata(command.kind)) {
            code = err_set(e, ERR_CORRUPT, "metadata is packed");
        }
        if (code != ERR_OK) {
            return code;
        }
        apply_command(db, &command, add_result(results, command.kind, index));
    }
    return ERR_OK;
}

static enum err_code apply_packed(struct tsdb *db, uint64_t index, struct bytes body,
                                  struct tsdb_results *results, struct err *e)
{
    enum err_code code = packed_read(body, &db->unpacked, e);
    return code == ERR_OK ? apply_commands(db, index, buf_bytes(&db->unpacked), true, results, e)
                          : code;
}

enum err_code tsdb_apply(struct tsdb *db, uint64_t index, uint64_t term, struct bytes entry,
                         struct tsdb_results *results, struct err *e)
{
    results->count = 0;
    if (index <= tsdb_applied_index(db)) {
        return ERR_OK;
    }
    struct command first;
    enum err_code code = read_first(entry, &first, e);
    bool checkpoint = code == ERR_OK && first.kind == COMMAND_CHECKPOINT;
    if (checkpoint && db->freeze != NULL) {
        return err_set(e, ERR_STATE, "the checkpoint before is still being written");
    }
    if (code == ERR_OK && first.kind == COMMAND_PART) {
        code = apply_part(db, index, term, first.body, results, e);
    } else if (code == ERR_OK && first.kind == COMMAND_PACKED) {
        code = apply_packed(db, index, first.body, results, e);
    } else if (code == ERR_OK && !checkpoint) {
        code = apply_commands(db, index, entry, false, results, e);
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "log entry %" PRIu64, index);
        return code;
    }
    note_applied(db, index, term);
    if (checkpoint) {
        (void)add_result(results, COMMAND_CHECKPOINT, index);
        checkpoint_freeze(db);
    }
    db_update_memory_size(db);
    versions_reap(&db->versions);
    return ERR_OK;
}

void tsdb_apply_barrier(struct tsdb *db, uint64_t index, uint64_t term)
{
    if (index > tsdb_applied_index(db)) {
        note_applied(db, index, term);
    }
}

void tsdb_apply_configuration(struct tsdb *db, uint64_t index, uint64_t term,
                              struct bytes configuration)
{
    if (index > tsdb_applied_index(db)) {
        buf_reset(&db->configuration);
        buf_put_bytes(&db->configuration, configuration);
        db->configuration_index = index;
        note_applied(db, index, term);
    }
}

/* --- before proposing --- */

static enum err_code validate_write(struct tsdb *db, const struct version *v, struct bytes body,
                                    struct err *e)
{
    int64_t limit = settings_value(v->settings, "ts.mem_segment_size.max_limit");
    size_t size = tsdb_memory_size(db);
    if (size >= (uint64_t)limit) {
        return err_set(e, ERR_FULL,
                       "%zu bytes of rows wait in memory for a checkpoint, at most %" PRId64
                       " are allowed: try again later, or raise ts.mem_segment_size.max_limit",
                       size, limit);
    }
    struct write_batch w = {0};
    enum err_code code = write_batch_read(&w, v->catalog, body, e);
    write_batch_deinit(&w);
    return code;
}

static enum err_code validate_in(struct tsdb *db, const struct version *v,
                                 const struct command *command, struct err *e)
{
    struct catalog *catalog = NULL;
    struct settings *settings = NULL;
    enum err_code code = ERR_OK;
    switch (command->kind) {
    case COMMAND_WRITE:
        return validate_write(db, v, command->body, e);
    case COMMAND_SET_SETTING:
        code = change_setting(v->settings, command->body, 1, &settings, e);
        settings_unref(settings);
        return code;
    case COMMAND_CREATE_DATABASE:
    case COMMAND_DROP_DATABASE:
    case COMMAND_CREATE_TABLE:
    case COMMAND_DROP_TABLE:
    case COMMAND_ALTER_TABLE:
        code = change_catalog(v->catalog, command, 1, &catalog, e);
        catalog_unref(catalog);
        return code;
    case COMMAND_OPEN_SESSION:
    case COMMAND_CHECKPOINT:
    case COMMAND_NODE_START:
    case COMMAND_CLUSTER_FORMED:
    case COMMAND_NODE_REMOVED:
    case COMMAND_KIND_COUNT:
        break;
    case COMMAND_PART:
    case COMMAND_PACKED:
        /* Only the proposer makes them; in the log among others they would stop every node. */
        return err_set(e, ERR_INVALID, "parts and packed commands can't be proposed");
    }
    return ERR_OK;
}

enum err_code tsdb_validate(struct tsdb *db, const struct command *command, struct err *e)
{
    CHECK(command->kind > 0);
    CHECK(command->kind < COMMAND_KIND_COUNT);
    size_t limit = command->kind == COMMAND_WRITE
                       ? (size_t)LIMIT_MESSAGE_SIZE_MAX
                       : (size_t)LIMIT_ENTRY_SIZE_MAX - LIMIT_ENTRY_OVERHEAD_SIZE_MAX;
    if (command->body.size > limit) {
        return err_set(e, ERR_RANGE,
                       "a request of %zu bytes does not fit in the log (at most %zu): send "
                       "it in smaller pieces",
                       command->body.size, limit);
    }
    struct version *v = versions_pin(&db->versions);
    enum err_code code = validate_in(db, v, command, e);
    version_unpin(v);
    return code;
}
