/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/manifest.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tsdb/series.h"

enum { HEADER_SIZE = 20, SIZE_AT = 8, CRC_AT = 16, PARTS_MAX = 65536 };

#define MANIFEST_MAGIC UINT32_C(0x4b434d54) /* "TMCK" */

void manifest_deinit(struct manifest *m)
{
    mem_free(m->parts);
    catalog_unref(m->catalog);
    settings_unref(m->settings);
    nodes_deinit(&m->nodes);
    sessions_close(m->sessions);
    buf_deinit(&m->configuration);
    *m = (struct manifest){0};
}

/* --- writing --- */

void manifest_begin(struct buf *out, uint64_t index, uint64_t term, size_t part_count)
{
    CHECK(out->size == 0);
    CHECK(part_count <= PARTS_MAX);
    buf_put_u32(out, MANIFEST_MAGIC);
    buf_put_u16(out, MANIFEST_VERSION);
    buf_put_u16(out, 0);
    buf_put_u64(out, 0); /* size and crc: manifest_end() */
    buf_put_u32(out, 0);
    CHECK(out->size == HEADER_SIZE);
    buf_put_u64(out, index);
    buf_put_u64(out, term);
    buf_put_varint(out, part_count);
}

void manifest_put_part(struct buf *out, const struct part_info *p)
{
    buf_put_u8(out, (uint8_t)p->vgroup);
    buf_put_u64(out, p->hash.low);
    buf_put_u64(out, p->hash.high);
    buf_put_varint(out, p->size);
    buf_put_varint(out, p->row_count);
    buf_put_varint(out, p->index_from);
    buf_put_varint(out, p->index_until);
}

void manifest_put_catalog(struct buf *out, const struct catalog *c, const struct settings *s)
{
    catalog_encode(c, out);
    settings_encode(s, out);
}

void manifest_put_members(struct buf *out, const struct nodes *n, struct bytes configuration,
                          uint64_t configuration_index)
{
    nodes_encode(n, out);
    buf_put_varint(out, configuration_index);
    buf_put_blob(out, configuration);
}

void manifest_put_sessions(struct buf *out, const struct sessions *s, uint64_t series_id_next)
{
    sessions_encode(s, out);
    buf_put_varint(out, series_id_next);
}

/* Indexes rise with ids, so the series up to 'index' are the first ones. */
static size_t series_up_to(const struct series_set *s, uint64_t index)
{
    size_t low = 0;
    size_t high = series_set_count(s);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (series_set_at(s, middle)->index_created <= index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void manifest_put_series(struct buf *out, const struct catalog *c, uint64_t index)
{
    for (size_t i = 0; i < catalog_table_count(c); i++) {
        const struct series_set *set = catalog_table(c, i)->series;
        size_t count = series_up_to(set, index);
        buf_put_varint(out, count);
        for (size_t j = 0; j < count; j++) {
            const struct series *s = series_set_at(set, j);
            buf_put_varint(out, s->id);
            buf_put_varint(out, s->index_created);
            buf_put_blob(out, s->tags);
        }
    }
}

static uint32_t checksum(struct bytes file)
{
    uint32_t crc = crc32c(0, file.data, CRC_AT);
    return crc32c(crc, file.data + HEADER_SIZE, file.size - HEADER_SIZE);
}

void manifest_end(struct buf *out)
{
    CHECK(out->size >= HEADER_SIZE);
    bytes_put_u64(out->data + SIZE_AT, out->size);
    bytes_put_u32(out->data + CRC_AT, checksum(buf_bytes(out)));
}

/* --- reading --- */

static enum err_code check_file(struct bytes file, struct err *e)
{
    if (file.size < HEADER_SIZE || bytes_get_u32(file.data) != MANIFEST_MAGIC) {
        return err_set(e, ERR_CORRUPT, "it is no manifest");
    }
    if (bytes_get_u64(file.data + SIZE_AT) != file.size) {
        return err_set(e, ERR_CORRUPT, "it has %zu bytes, but says %" PRIu64, file.size,
                       bytes_get_u64(file.data + SIZE_AT));
    }
    uint32_t want = bytes_get_u32(file.data + CRC_AT);
    uint32_t have = checksum(file);
    if (want != have) {
        return err_set(e, ERR_CORRUPT, "its checksum is %08x, its bytes give %08x", want, have);
    }
    unsigned version = bytes_get_u16(file.data + 4);
    if (version != MANIFEST_VERSION) {
        return err_set(e, ERR_UNSUPPORTED, "it has format version %u, this program knows %d",
                       version, MANIFEST_VERSION);
    }
    return ERR_OK;
}

static void decode_part(struct cursor *in, struct part_info *p)
{
    p->vgroup = cursor_u8(in);
    p->hash.low = cursor_u64(in);
    p->hash.high = cursor_u64(in);
    p->size = cursor_varint(in);
    p->row_count = cursor_varint(in);
    p->index_from = cursor_varint(in);
    p->index_until = cursor_varint(in);
    in->bad = in->bad || p->vgroup >= VGROUP_COUNT || p->index_from > p->index_until ||
              p->size < PART_HEADER_SIZE + PART_FOOTER_SIZE || p->size > INT64_MAX;
}

static enum err_code decode_parts(struct cursor *in, struct manifest *m, struct err *e)
{
    m->index = cursor_u64(in);
    m->term = cursor_u64(in);
    uint64_t count = cursor_varint(in);
    in->bad = in->bad || count > PARTS_MAX || m->index == 0;
    if (!in->bad) {
        m->parts = mem_array((size_t)count + 1, sizeof *m->parts);
    }
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        struct part_info *p = &m->parts[i];
        decode_part(in, p);
        m->part_count++;
        if (i > 0 && p->vgroup == p[-1].vgroup) {
            in->bad = in->bad || p->index_until >= p[-1].index_from;
        } else {
            in->bad = in->bad || p->index_until > m->index || (i > 0 && p->vgroup < p[-1].vgroup);
        }
    }
    return in->bad ? err_set(e, ERR_CORRUPT, "its list of parts is malformed") : ERR_OK;
}

/* The key of a series: of its tags the primary ones. */
static bool make_key(const struct table *t, struct bytes tags, struct buf *key)
{
    buf_reset(key);
    struct cursor c = cursor_of(tags);
    struct bytes value;
    uint32_t id = 0;
    uint32_t id_min = 0;
    while (tags_next(&c, &id, &value)) {
        if (id < id_min || id >= t->tag_count) {
            return false;
        }
        id_min = id + 1;
        if (t->tags[id].primary) {
            tags_put(key, id, value);
        }
    }
    return !c.bad && key->size > 0 && key->size <= LIMIT_SERIES_KEY_SIZE_MAX;
}

static void decode_one_series(struct cursor *in, const struct table *t, const struct manifest *m,
                              struct buf *key)
{
    uint64_t id = cursor_varint(in);
    uint64_t index = cursor_varint(in);
    struct bytes tags = cursor_blob(in);
    size_t count = series_set_count(t->series);
    const struct series *before = count == 0 ? NULL : series_set_at(t->series, count - 1);
    bool rising = before == NULL || (id > before->id && index >= before->index_created);
    if (in->bad || id == 0 || id >= m->series_id_next || index > m->index || !rising ||
        !make_key(t, tags, key)) {
        in->bad = true;
        return;
    }
    if (series_set_find(t->series, series_key_hash(buf_bytes(key)), buf_bytes(key)) != NULL) {
        in->bad = true;
        return;
    }
    (void)series_set_add(t->series, id, index, buf_bytes(key), tags);
}

static enum err_code decode_series(struct cursor *in, struct manifest *m, struct err *e)
{
    struct buf key = {0};
    m->series_id_next = cursor_varint(in);
    in->bad = in->bad || m->series_id_next == 0;
    uint64_t total = 0;
    for (size_t i = 0; i < catalog_table_count(m->catalog) && !in->bad; i++) {
        const struct table *t = catalog_table(m->catalog, i);
        uint64_t count = cursor_varint(in);
        total += count <= LIMIT_SERIES_MAX ? count : LIMIT_SERIES_MAX + 1;
        in->bad = in->bad || total > LIMIT_SERIES_MAX;
        for (uint64_t j = 0; j < count && !in->bad; j++) {
            decode_one_series(in, t, m, &key);
        }
    }
    buf_deinit(&key);
    if (!cursor_done(in)) {
        return err_set(e, ERR_CORRUPT, "its series are malformed");
    }
    return ERR_OK;
}

static enum err_code decode_configuration(struct cursor *in, struct manifest *m, struct err *e)
{
    m->configuration_index = cursor_varint(in);
    struct bytes configuration = cursor_blob(in);
    if (in->bad || m->configuration_index > m->index) {
        return err_set(e, ERR_CORRUPT, "its configuration is malformed");
    }
    buf_put_bytes(&m->configuration, configuration);
    return ERR_OK;
}

static enum err_code decode_rest(struct cursor *in, struct manifest *m, struct err *e)
{
    enum err_code code = catalog_decode(in, &m->catalog, e);
    if (code == ERR_OK) {
        code = settings_decode(in, &m->settings, e);
    }
    if (code == ERR_OK) {
        code = nodes_decode(in, &m->nodes, e);
    }
    if (code == ERR_OK) {
        code = decode_configuration(in, m, e);
    }
    if (code == ERR_OK) {
        code = sessions_decode(in, &m->sessions, e);
    }
    return code == ERR_OK ? decode_series(in, m, e) : code;
}

static enum err_code decode(struct bytes file, bool only_parts, struct manifest *out, struct err *e)
{
    *out = (struct manifest){0};
    enum err_code code = check_file(file, e);
    if (code != ERR_OK) {
        return code;
    }
    struct cursor in = cursor_of(bytes_of(file.data + HEADER_SIZE, file.size - HEADER_SIZE));
    code = decode_parts(&in, out, e);
    if (code == ERR_OK && !only_parts) {
        code = decode_rest(&in, out, e);
    }
    if (code != ERR_OK) {
        manifest_deinit(out);
    }
    return code;
}

enum err_code manifest_decode(struct bytes file, struct manifest *out, struct err *e)
{
    return decode(file, false, out, e);
}

enum err_code manifest_decode_parts(struct bytes file, struct manifest *out, struct err *e)
{
    return decode(file, true, out, e);
}

enum err_code manifest_read(struct io *io, const char *dir, uint64_t index, bool only_parts,
                            struct manifest *out, struct err *e)
{
    *out = (struct manifest){0};
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    struct buf file = {0};
    tsdb_manifest_name(index, name);
    enum err_code code = io_join(path, dir, name, e);
    if (code == ERR_OK) {
        code = io_read_file(io, path, LIMIT_MANIFEST_SIZE_MAX, &file, e);
    }
    if (code == ERR_OK) {
        code = decode(buf_bytes(&file), only_parts, out, e);
        if (code == ERR_OK && out->index != index) {
            code = err_set(e, ERR_CORRUPT, "it is that of index %" PRIu64, out->index);
            manifest_deinit(out);
        }
        if (code != ERR_OK) {
            (void)err_wrap(e, "manifest %s", name);
        }
    }
    buf_deinit(&file);
    return code;
}
