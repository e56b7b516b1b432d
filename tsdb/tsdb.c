/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/tsdb.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/checkpoint.h"
#include "tsdb/db.h"
#include "tsdb/manifest.h"

void tsdb_manifest_name(uint64_t index, char dst[TSDB_NAME_SIZE])
{
    (void)snprintf(dst, TSDB_NAME_SIZE, "checkpoint-%016" PRIx64, index);
}

static bool is_hex(const char *text, size_t digits)
{
    for (size_t i = 0; i < digits; i++) {
        bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (!digit) {
            return false;
        }
    }
    return text[digits] == '\0';
}

bool tsdb_name_is_valid(const char *name)
{
    if (strncmp(name, "part-", 5) == 0) {
        return is_hex(name + 5, 32);
    }
    return strncmp(name, "checkpoint-", 11) == 0 && is_hex(name + 11, 16);
}

/* --- opening --- */

/* A part that is damaged, or gone, is refilled from another node (safety.md E4);
 * the rest of the state can be used meanwhile. */
static enum err_code open_part(struct tsdb *db, const struct part_info *info, struct part **out,
                               struct err *e)
{
    struct err why;
    enum err_code code = part_open(db->io, db->dir, info, out, &why);
    if (code == ERR_CORRUPT || code == ERR_IO || code == ERR_NOT_FOUND) {
        log_error(db->log, "tsdb", "part-damaged", "reason=\"%s\"", why.text);
        *out = part_lost(info);
        return ERR_OK;
    }
    return code == ERR_OK ? ERR_OK : err_set(e, code, "%s", why.text);
}

static enum err_code open_parts(struct tsdb *db, const struct manifest *m, struct part_set *set,
                                struct err *e)
{
    for (size_t i = m->part_count; i-- > 0;) { /* the oldest first */
        struct part *p = NULL;
        enum err_code code = open_part(db, &m->parts[i], &p, e);
        if (code != ERR_OK) {
            return code;
        }
        part_set_put(set, m->parts[i].vgroup, p);
    }
    return ERR_OK;
}

/* Takes over what the manifest holds. */
static void adopt(struct tsdb *db, struct manifest *m, struct part_set *parts)
{
    sessions_close(db->sessions);
    db->sessions = m->sessions;
    db->nodes = m->nodes;
    db->configuration = m->configuration;
    db->configuration_index = m->configuration_index;
    db->series_id_next = m->series_id_next;
    atomic_store(&db->applied_index, m->index);
    atomic_store(&db->applied_term, m->term);
    atomic_store(&db->checkpoint_index, m->index);
    versions_put(&db->versions, (struct version){.catalog = m->catalog,
                                                 .settings = m->settings,
                                                 .parts = parts,
                                                 .active = memory_new(db->generation_next++)});
    m->sessions = NULL;
    m->nodes = (struct nodes){0};
    m->configuration = (struct buf){0};
    m->catalog = NULL;
    m->settings = NULL;
    db_count_series(db);
    db_update_nodes_hash(db);
}

static enum err_code open_checkpoint(struct tsdb *db, uint64_t index, struct err *e)
{
    struct manifest m;
    enum err_code code = manifest_read(db->io, db->dir, index, false, &m, e);
    if (code == ERR_NOT_FOUND) {
        code = err_set(e, ERR_CORRUPT, "the manifest of checkpoint %" PRIu64 " is missing", index);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct part_set *parts = part_set_new();
    code = open_parts(db, &m, parts, e);
    if (code == ERR_OK) {
        adopt(db, &m, parts);
    } else {
        part_set_unref(parts);
    }
    manifest_deinit(&m);
    return code;
}

static void open_empty(struct tsdb *db)
{
    db->series_id_next = 1;
    versions_put(&db->versions, (struct version){.catalog = catalog_new(),
                                                 .settings = settings_new(),
                                                 .parts = part_set_new(),
                                                 .active = memory_new(db->generation_next++)});
    db_update_nodes_hash(db);
}

/* The directory that holds 'dir'. */
static void parent_of(const char *dir, char parent[IO_PATH_MAX])
{
    size_t size = strlen(dir);
    while (size > 1 && dir[size - 1] == '/') {
        size--;
    }
    while (size > 0 && dir[size - 1] != '/') {
        size--;
    }
    (void)snprintf(parent, IO_PATH_MAX, "%.*s", (int)size, dir);
    if (size == 0) {
        (void)snprintf(parent, IO_PATH_MAX, ".");
    }
}

/* Its name is synced also when it was there: who made it may not have come to that. */
enum err_code db_make_dir(struct io *io, const char *dir, struct err *e)
{
    struct err why;
    char parent[IO_PATH_MAX];
    enum err_code code = io_mkdir(io, dir, &why);
    if (code == ERR_OK || code == ERR_EXISTS) {
        parent_of(dir, parent);
        code = io_sync_dir(io, parent, &why);
    }
    return code == ERR_OK ? ERR_OK : err_set(e, code, "making %s: %s", dir, why.text);
}

enum err_code tsdb_open(const struct tsdb_options *options, struct tsdb **out, struct err *e)
{
    *out = NULL;
    size_t dir_size = strlen(options->dir);
    if (dir_size == 0 || dir_size >= IO_PATH_MAX) {
        return err_set(e, ERR_RANGE, "the directory's name has %zu bytes", dir_size);
    }
    enum err_code code = db_make_dir(options->io, options->dir, e);
    if (code != ERR_OK) {
        return code;
    }
    struct tsdb *db = mem_zalloc(sizeof *db);
    db->io = options->io;
    db->log = options->log;
    memcpy(db->dir, options->dir, dir_size + 1);
    db->sessions = sessions_new();
    db->generation_next = 1;
    versions_init(&db->versions);
    if (options->checkpoint_index == 0) {
        open_empty(db);
    } else {
        code = open_checkpoint(db, options->checkpoint_index, e);
        if (options->forget_sessions) {
            sessions_close(db->sessions);
            db->sessions = sessions_new();
        }
    }
    if (code != ERR_OK) {
        tsdb_close(db);
        return code;
    }
    db_update_memory_size(db);
    *out = db;
    return ERR_OK;
}

void tsdb_close(struct tsdb *db)
{
    if (db == NULL) {
        return;
    }
    checkpoint_drop(db);
    versions_deinit(&db->versions);
    sessions_close(db->sessions);
    nodes_deinit(&db->nodes);
    buf_deinit(&db->configuration);
    write_batch_deinit(&db->batch);
    large_change_drop(&db->large);
    buf_deinit(&db->unpacked);
    mem_free(db);
}

/* --- looking --- */

uint64_t tsdb_applied_index(const struct tsdb *db)
{
    return atomic_load_explicit(&db->applied_index, memory_order_acquire);
}

uint64_t tsdb_applied_term(const struct tsdb *db)
{
    return atomic_load_explicit(&db->applied_term, memory_order_relaxed);
}

uint64_t tsdb_checkpoint_index(const struct tsdb *db)
{
    return atomic_load_explicit(&db->checkpoint_index, memory_order_acquire);
}

bool tsdb_has_open_change(const struct tsdb *db)
{
    return db->large.next != 0;
}

bool tsdb_frozen(const struct tsdb *db)
{
    return atomic_load_explicit(&db->frozen, memory_order_acquire);
}

size_t tsdb_memory_size(const struct tsdb *db)
{
    return atomic_load_explicit(&db->memory_size, memory_order_relaxed);
}

struct bytes tsdb_configuration(const struct tsdb *db, uint64_t *index)
{
    *index = db->configuration_index;
    return buf_bytes(&db->configuration);
}

const struct tsdb_node *tsdb_nodes(const struct tsdb *db, size_t *count)
{
    *count = db->nodes.count;
    return db->nodes.items;
}

bool tsdb_cluster_formed(const struct tsdb *db)
{
    return db->nodes.formed;
}

const char *tsdb_setting(const struct tsdb *db, const char *name)
{
    size_t i = 0;
    if (settings_find(bytes_str(name), &i, NULL) != ERR_OK) {
        return NULL;
    }
    return settings_text(db->versions.current->settings, i);
}

/* --- what the modules share --- */

void db_update_nodes_hash(struct tsdb *db)
{
    struct buf b = {0};
    nodes_encode(&db->nodes, &b);
    db->nodes_hash = hash128(buf_bytes(&b));
    buf_deinit(&b);
}

void db_update_memory_size(struct tsdb *db)
{
    const struct version *v = db->versions.current;
    size_t size = memory_size(v->active) + (v->frozen == NULL ? 0 : memory_size(v->frozen));
    atomic_store_explicit(&db->memory_size, size, memory_order_relaxed);
}

void db_count_series(struct tsdb *db)
{
    db->series_count = 0;
    db->series_size = 0;
    const struct catalog *c = db->versions.current->catalog;
    for (size_t i = 0; i < catalog_table_count(c); i++) {
        db->series_count += series_set_count(catalog_table(c, i)->series);
        db->series_size += series_set_size(catalog_table(c, i)->series);
    }
}
