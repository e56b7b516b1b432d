/* SPDX-License-Identifier: Apache-2.0 */
/* Reading parts bit by bit. The place is kept by VGroup and first index, which say
 * where a part stands whatever is merged meanwhile; a part that was replaced while it
 * was being read is left. */
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/content_hash.h"
#include "tsdb/db.h"

struct tsdb_scrub {
    unsigned vgroup;
    uint64_t index_from;    /* parts of the VGroup that begin before it were read */
    struct hash128 reading; /* its name's hash; offset 0: none */
    uint64_t offset;
    struct content_hash hash;
};

struct tsdb_scrub *tsdb_scrub_open(uint64_t start)
{
    struct tsdb_scrub *s = mem_zalloc(sizeof *s);
    s->vgroup = (unsigned)(start % VGROUP_COUNT);
    return s;
}

void tsdb_scrub_close(struct tsdb_scrub *s)
{
    if (s != NULL) {
        content_hash_deinit(&s->hash);
        mem_free(s);
    }
}

/* The first part at or behind the place; NULL: none. Damaged ones are known. */
static struct part *find(const struct tsdb_scrub *s, const struct part_set *parts)
{
    for (unsigned i = s->vgroup; i < VGROUP_COUNT; i++) {
        for (size_t j = parts->counts[i]; j-- > 0;) { /* the oldest first */
            struct part *p = parts->items[i][j];
            bool read = i == s->vgroup && part_info(p)->index_from < s->index_from;
            if (!read && !part_is_damaged(p)) {
                return p;
            }
        }
    }
    return NULL;
}

static void begin(struct tsdb_scrub *s, const struct part_info *info)
{
    content_hash_deinit(&s->hash);
    s->reading = info->hash;
    s->offset = 0;
    s->vgroup = info->vgroup;
    s->index_from = info->index_from;
}

static void go_on(struct tsdb_scrub *s, const struct part_info *info)
{
    begin(s, info);
    s->index_from = info->index_from + 1;
}

/* Up to 'size_max' bytes of a part; what was read of it. */
static size_t read_some(struct tsdb_scrub *s, struct part *p, size_t size_max)
{
    const struct part_info *info = part_info(p);
    bool same = s->reading.low == info->hash.low && s->reading.high == info->hash.high;
    if (!same || s->offset == 0) {
        begin(s, info);
    }
    size_t size = info->size - s->offset < size_max ? (size_t)(info->size - s->offset) : size_max;
    struct buf bytes = {0};
    if (part_read_raw(p, s->offset, buf_extend(&bytes, size), size, NULL) == ERR_OK) {
        content_hash_add(&s->hash, buf_bytes(&bytes));
        s->offset += size;
    }
    buf_deinit(&bytes);
    if (s->offset == info->size) {
        struct hash128 hash = content_hash_end(&s->hash);
        if (hash.low != info->hash.low || hash.high != info->hash.high) {
            part_set_damaged(p);
        }
    }
    if (s->offset == info->size || part_is_damaged(p)) {
        go_on(s, info);
    }
    return size;
}

struct tsdb_scrubbed tsdb_scrub_step(struct tsdb_scrub *s, struct tsdb *db, size_t size_max)
{
    CHECK(size_max > 0);
    struct tsdb_scrubbed done = {0};
    struct version *version = versions_pin(&db->versions);
    while (done.size < size_max && !done.all_read) {
        struct part *p = find(s, version->parts);
        if (p == NULL) {
            done.all_read = true;
            begin(s, &(struct part_info){0});
        } else {
            done.size += read_some(s, p, size_max - done.size);
            done.damaged |= part_is_damaged(p);
        }
    }
    version_unpin(version);
    return done;
}
