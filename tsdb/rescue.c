/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint out of a damaged directory: tsdb_rescue(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/db.h"
#include "tsdb/manifest.h"

enum { COPY_SIZE = 256 * 1024 };

struct rescue {
    struct io *io;
    const char *from;
    const char *to;
    struct tsdb_rescued *out;
    struct manifest manifest;
};

static void note_reason(struct rescue *r, const struct err *why)
{
    (void)snprintf(r->out->reason, sizeof r->out->reason, "%s", why->text);
}

/* --- the newest manifest that checks --- */

/* The index in the name of a manifest; false: it is none. */
static bool index_of(const char *name, uint64_t *index)
{
    char again[TSDB_NAME_SIZE];
    const char *digits = strchr(name, '-');
    if (digits == NULL) {
        return false;
    }
    *index = strtoull(digits + 1, NULL, 16);
    tsdb_manifest_name(*index, again);
    return strcmp(again, name) == 0;
}

/* Names are sorted, so the last one is of the highest index. False: none. */
static bool find_manifest(struct rescue *r, const struct io_name *names, size_t count)
{
    for (size_t i = count; i > 0; i--) {
        uint64_t index;
        struct err why;
        if (names[i - 1].is_dir || !index_of(names[i - 1].name, &index)) {
            continue;
        }
        if (manifest_read(r->io, r->from, index, false, &r->manifest, &why) == ERR_OK) {
            return true;
        }
        r->out->manifests_bad++;
        note_reason(r, &why);
    }
    return false;
}

/* --- parts --- */

/* Bytes of 'from' that can't be read are an error of 'why', of 'to' one of 'e'. */
static enum err_code copy_bytes(struct file *from, struct file *to, uint64_t size, bool *read,
                                struct err *why, struct err *e)
{
    enum err_code code = ERR_OK;
    uint8_t *chunk = mem_alloc(COPY_SIZE);
    for (uint64_t at = 0; at < size && *read && code == ERR_OK; at += COPY_SIZE) {
        size_t part = size - at < COPY_SIZE ? (size_t)(size - at) : COPY_SIZE;
        *read = file_read_exact(from, at, chunk, part, why) == ERR_OK;
        if (*read) {
            struct bytes bytes = bytes_of(chunk, part);
            code = file_write_at(to, at, &bytes, 1, e);
        }
    }
    mem_free(chunk);
    return code == ERR_OK && *read ? file_sync(to, e) : code;
}

static enum err_code copy_part(struct rescue *r, const struct part_info *info, const char *path,
                               bool *read, struct err *e)
{
    char source[IO_PATH_MAX];
    char name[PART_NAME_SIZE];
    struct file *from = NULL;
    struct file *to = NULL;
    struct err why;
    part_name(info->hash, name);
    *read = io_join(source, r->from, name, &why) == ERR_OK &&
            io_open(r->io, source, IO_READ, &from, &why) == ERR_OK;
    enum err_code code = ERR_OK;
    if (*read) {
        code = io_open(r->io, path, IO_WRITE | IO_CREATE, &to, e);
    }
    if (*read && code == ERR_OK) {
        code = copy_bytes(from, to, info->size, read, &why, e);
    }
    file_close(from);
    file_close(to);
    if (!*read) {
        note_reason(r, &why);
    }
    return code;
}

/* Whether the copy is the part that the manifest means. */
static bool is_good(struct rescue *r, const struct part_info *info)
{
    struct part *part = NULL;
    struct err why;
    bool good =
        part_open(r->io, r->to, info, &part, &why) == ERR_OK && part_verify(part, &why) == ERR_OK;
    part_close(part);
    if (!good) {
        note_reason(r, &why);
    }
    return good;
}

static enum err_code rescue_part(struct rescue *r, const struct part_info *info, bool *kept,
                                 struct err *e)
{
    char path[IO_PATH_MAX];
    char name[PART_NAME_SIZE];
    bool exists = false;
    part_name(info->hash, name);
    enum err_code code = io_join(path, r->to, name, e);
    if (code == ERR_OK) {
        code = copy_part(r, info, path, kept, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    *kept = *kept && is_good(r, info);
    if (*kept) {
        return ERR_OK;
    }
    code = io_exists(r->io, path, &exists, e);
    return code == ERR_OK && exists ? io_unlink(r->io, path, e) : code;
}

static enum err_code rescue_parts(struct rescue *r, struct err *e)
{
    struct manifest *m = &r->manifest;
    size_t count = 0;
    for (size_t i = 0; i < m->part_count; i++) {
        const struct part_info info = m->parts[i];
        bool kept = false;
        enum err_code code = rescue_part(r, &info, &kept, e);
        if (code != ERR_OK) {
            return code;
        }
        if (kept) {
            m->parts[count++] = info;
            r->out->rows_kept += info.row_count;
        } else {
            r->out->rows_dropped += info.row_count;
        }
    }
    r->out->parts_kept = (unsigned)count;
    r->out->parts_dropped = (unsigned)(m->part_count - count);
    m->part_count = count;
    return ERR_OK;
}

/* --- the manifest of what is left --- */

static enum err_code write_manifest(struct rescue *r, struct err *e)
{
    const struct manifest *m = &r->manifest;
    const struct nodes nobody = {0};
    char name[TSDB_NAME_SIZE];
    struct buf b = {0};
    manifest_begin(&b, m->index, m->term, m->part_count);
    for (size_t i = 0; i < m->part_count; i++) {
        manifest_put_part(&b, &m->parts[i]);
    }
    manifest_put_catalog(&b, m->catalog, m->settings);
    manifest_put_members(&b, &nobody, (struct bytes){0}, 0);
    manifest_put_sessions(&b, m->sessions, m->series_id_next);
    manifest_put_series(&b, m->catalog, m->index);
    manifest_end(&b);
    tsdb_manifest_name(m->index, name);
    enum err_code code = io_sync_dir(r->io, r->to, e); /* the parts' names, before it */
    if (code == ERR_OK) {
        code = io_replace_file(r->io, r->to, name, buf_bytes(&b), e);
    }
    buf_deinit(&b);
    return code;
}

enum err_code tsdb_rescue(struct io *io, const char *from, const char *to, struct tsdb_rescued *out,
                          struct err *e)
{
    CHECK(strcmp(from, to) != 0);
    CHECK(out != NULL);
    struct rescue r = {.io = io, .from = from, .to = to, .out = out};
    struct io_name *names = NULL;
    size_t count = 0;
    struct err why;
    *out = (struct tsdb_rescued){0};
    enum err_code code = db_make_dir(io, to, e);
    if (code != ERR_OK) {
        return code;
    }
    if (io_list(io, from, &names, &count, &why) != ERR_OK) {
        note_reason(&r, &why);
    } else if (find_manifest(&r, names, count)) {
        code = rescue_parts(&r, e);
        if (code == ERR_OK) {
            code = write_manifest(&r, e);
        }
        out->index = r.manifest.index;
        out->term = r.manifest.term;
    }
    mem_free(names);
    manifest_deinit(&r.manifest);
    return code;
}
