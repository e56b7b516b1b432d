/* SPDX-License-Identifier: Apache-2.0 */
/* Removing files that no checkpoint needs, and checking those that one has. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tsdb/checkpoint.h"
#include "tsdb/manifest.h"

/* Hashes of the parts that stay. */
struct needed {
    struct hash128 *hashes;
    size_t count;
    size_t capacity;
};

static void add_needed(struct needed *n, struct hash128 hash)
{
    n->hashes = mem_grow(n->hashes, &n->capacity, n->count + 1, sizeof *n->hashes);
    n->hashes[n->count++] = hash;
}

static bool is_needed(const struct needed *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++) {
        char needed[PART_NAME_SIZE];
        part_name(n->hashes[i], needed);
        if (strcmp(needed, name) == 0) {
            return true;
        }
    }
    return false;
}

static enum err_code list_needed(struct tsdb *db, const uint64_t *keep, size_t count,
                                 struct needed *n, struct err *e)
{
    for (const struct version *v = db->versions.all; v != NULL; v = v->next) {
        for (unsigned i = 0; i < VGROUP_COUNT; i++) {
            for (size_t j = 0; j < v->parts->counts[i]; j++) {
                add_needed(n, part_info(v->parts->items[i][j])->hash);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct manifest m;
        enum err_code code = manifest_read(db->io, db->dir, keep[i], true, &m, e);
        if (code != ERR_OK) {
            return code; /* what it needs is not known: nothing is removed */
        }
        for (size_t j = 0; j < m.part_count; j++) {
            add_needed(n, m.parts[j].hash);
        }
        manifest_deinit(&m);
    }
    return ERR_OK;
}

static bool is_kept(const char *name, const uint64_t *keep, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char kept[TSDB_NAME_SIZE];
        tsdb_manifest_name(keep[i], kept);
        if (strcmp(kept, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

enum kind { MANIFEST, PART, UNFINISHED, OTHER };

static enum kind kind_of(const char *name)
{
    if (tsdb_name_is_valid(name)) {
        return strncmp(name, "part-", 5) == 0 ? PART : MANIFEST;
    }
    bool ours = strncmp(name, "writing-", 8) == 0 || strncmp(name, "checkpoint-", 11) == 0;
    return ours && ends_with(name, ".tmp") ? UNFINISHED : OTHER;
}

static enum err_code remove_file(struct tsdb *db, const char *name, struct err *e)
{
    char path[IO_PATH_MAX];
    enum err_code code = io_join(path, db->dir, name, e);
    return code == ERR_OK ? io_unlink(db->io, path, e) : code;
}

/* While a checkpoint is being written its parts are on no list yet: then no
 * part and no unfinished file goes. The next call removes them. */
static bool may_remove(const struct tsdb *db, const struct needed *n, const char *name)
{
    switch (kind_of(name)) {
    case PART:
        return db->freeze == NULL && !is_needed(n, name);
    case UNFINISHED:
        return db->freeze == NULL;
    case MANIFEST:
    case OTHER:
        break;
    }
    return false;
}

static enum err_code remove_manifests(struct tsdb *db, const struct io_name *names, size_t count,
                                      const uint64_t *keep, size_t keep_count, struct err *e)
{
    bool removed = false;
    for (size_t i = 0; i < count; i++) {
        bool kept = is_kept(names[i].name, keep, keep_count) ||
                    (db->freeze != NULL && is_kept(names[i].name, &db->freeze->index, 1));
        if (kind_of(names[i].name) == MANIFEST && !kept) {
            enum err_code code = remove_file(db, names[i].name, e);
            if (code != ERR_OK) {
                return code;
            }
            removed = true;
        }
    }
    /* No manifest may come back whose parts are gone. */
    return removed ? io_sync_dir(db->io, db->dir, e) : ERR_OK;
}

static enum err_code clean(struct tsdb *db, const uint64_t *keep, size_t count,
                           const struct needed *n, struct err *e)
{
    struct io_name *names = NULL;
    size_t name_count = 0;
    enum err_code code = io_list(db->io, db->dir, &names, &name_count, e);
    if (code == ERR_OK) {
        code = remove_manifests(db, names, name_count, keep, count, e);
    }
    for (size_t i = 0; i < name_count && code == ERR_OK; i++) {
        if (may_remove(db, n, names[i].name)) {
            code = remove_file(db, names[i].name, e);
        }
    }
    mem_free(names);
    return code;
}

enum err_code tsdb_clean(struct tsdb *db, const uint64_t *keep, size_t count, struct err *e)
{
    versions_reap(&db->versions);
    struct needed n = {0};
    enum err_code code = list_needed(db, keep, count, &n, e);
    if (code == ERR_OK) {
        code = clean(db, keep, count, &n, e);
    }
    mem_free(n.hashes);
    if (code != ERR_OK) {
        (void)err_wrap(e, "removing old checkpoints");
    }
    return code;
}

enum err_code tsdb_verify(struct io *io, const char *dir, uint64_t index, unsigned *parts,
                          struct err *e)
{
    struct manifest m;
    *parts = 0;
    enum err_code code = manifest_read(io, dir, index, false, &m, e);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < m.part_count && code == ERR_OK; i++) {
        struct part *p = NULL;
        code = part_open(io, dir, &m.parts[i], &p, e);
        if (code == ERR_OK) {
            code = part_verify(p, e);
            *parts += code == ERR_OK ? 1 : 0;
        }
        part_close(p);
    }
    manifest_deinit(&m);
    return code;
}
