/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that are damaged, and putting a refilled one to use. */
#include "tsdb/db.h"

static void add_damage(struct tsdb_damage *d, const struct part *p)
{
    const struct part_info *info = part_info(p);
    part_name(info->hash, d->file.name);
    d->file.size = info->size;
    d->vgroup = info->vgroup;
    d->row_count = info->row_count;
}

size_t tsdb_damaged(struct tsdb *db, struct tsdb_damage out[TSDB_DAMAGE_MAX])
{
    size_t count = 0;
    const struct part_set *parts = db->versions.current->parts;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        for (size_t j = 0; j < parts->counts[i] && count < TSDB_DAMAGE_MAX; j++) {
            if (part_is_damaged(parts->items[i][j])) {
                add_damage(&out[count++], parts->items[i][j]);
            }
        }
    }
    return count;
}

/* NULL: no part is called so, or no longer. */
static struct part *find_part(struct tsdb *db, const char *name)
{
    struct hash128 hash;
    if (!part_hash(name, &hash)) {
        return NULL;
    }
    const struct part_set *parts = db->versions.current->parts;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        for (size_t j = 0; j < parts->counts[i]; j++) {
            struct hash128 x = part_info(parts->items[i][j])->hash;
            if (x.low == hash.low && x.high == hash.high) {
                return parts->items[i][j];
            }
        }
    }
    return NULL;
}

void tsdb_suspect(struct tsdb *db, const char *name)
{
    struct part *p = find_part(db, name);
    if (p != NULL) {
        part_set_damaged(p);
    }
}

enum err_code tsdb_refilled(struct tsdb *db, const char *name, struct err *e)
{
    struct part *p = find_part(db, name);
    return p != NULL ? part_reopen(db->io, db->dir, p, e)
                     : err_set(e, ERR_NOT_FOUND, "%s is no longer in use", name);
}
