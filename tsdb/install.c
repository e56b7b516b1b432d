/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint fetched from a peer, file by file:
 *
 *   dir/incoming/<part>.partial   bytes [0, its size) are here, not yet verified
 *   dir/incoming/<part>           whole, verified against its name, synced
 *   dir/<part>                    in place: from an older checkpoint, or by finish
 *
 * tsdb_install_finish() moves the parts into place, makes their names durable,
 * and only then writes the manifest: a crash anywhere leaves the checkpoints
 * that were there, and what was fetched is found again. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tsdb/content_hash.h"
#include "tsdb/db.h"
#include "tsdb/manifest.h"

static const char incoming_name[] = "incoming";

struct tsdb_install {
    struct io *io;
    char dir[IO_PATH_MAX];
    char incoming[IO_PATH_MAX];
    const char *suffix; /* of what is not verified yet */
    bool refill;        /* of one part: there is no manifest */
    struct buf manifest_file;
    struct manifest manifest; /* index, term and parts */
    bool *here;               /* by part: whole, in dir or incoming */
    size_t at;                /* the part being fetched; part_count: none is left */
    struct file *file;        /* its partial file, once there is a chunk; owned */
    uint64_t offset;          /* bytes of it that are here */
};

/* --- paths --- */

static enum err_code part_path(const char *dir, const struct part_info *p, const char *suffix,
                               char path[IO_PATH_MAX], struct err *e)
{
    char name[PART_NAME_SIZE + 16];
    part_name(p->hash, name);
    size_t size = strlen(name);
    (void)snprintf(name + size, sizeof name - size, "%s", suffix);
    return io_join(path, dir, name, e);
}

static enum err_code partial_path(const struct tsdb_install *t, char path[IO_PATH_MAX],
                                  struct err *e)
{
    return part_path(t->incoming, &t->manifest.parts[t->at], t->suffix, path, e);
}

/* --- what is here --- */

/* Whether 'dir' has the part, whole: its content has the hash of its name. */
static enum err_code check_whole(struct io *io, const char *dir, const struct part_info *p,
                                 bool *whole, struct err *e)
{
    char path[IO_PATH_MAX];
    struct file *file = NULL;
    struct err why;
    *whole = false;
    enum err_code code = part_path(dir, p, "", path, e);
    if (code != ERR_OK) {
        return code;
    }
    code = io_open(io, path, IO_READ, &file, &why);
    if (code == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    uint64_t size = 0;
    struct hash128 hash = {0};
    if (code == ERR_OK) {
        code = file_size(file, &size, &why);
    }
    if (code == ERR_OK && size == p->size) {
        file_forget(file, 0, size);
        code = content_hash_file(file, size, &hash, &why);
        *whole = code == ERR_OK && hash.low == p->hash.low && hash.high == p->hash.high;
    }
    file_close(file);
    /* A part that can't be read is fetched again, as one that is damaged. */
    return ERR_OK;
}

static enum err_code find_whole(struct tsdb_install *t, struct err *e)
{
    for (size_t i = 0; i < t->manifest.part_count; i++) {
        const struct part_info *p = &t->manifest.parts[i];
        enum err_code code = check_whole(t->io, t->dir, p, &t->here[i], e);
        if (code == ERR_OK && !t->here[i]) {
            code = check_whole(t->io, t->incoming, p, &t->here[i], e);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* The next part that is missing, and how much of it an earlier attempt left. */
static enum err_code go_to_missing(struct tsdb_install *t, struct err *e)
{
    file_close(t->file);
    t->file = NULL;
    t->offset = 0;
    for (t->at = 0; t->at < t->manifest.part_count && t->here[t->at]; t->at++) {
    }
    if (t->at == t->manifest.part_count) {
        return ERR_OK;
    }
    char path[IO_PATH_MAX];
    enum err_code code = partial_path(t, path, e);
    if (code == ERR_OK) {
        code = io_open(t->io, path, IO_WRITE | IO_CREATE, &t->file, e);
    }
    uint64_t size = 0;
    if (code == ERR_OK) {
        code = file_size(t->file, &size, e);
    }
    /* A size that can't be: start again. Content is judged when it is whole. */
    if (code == ERR_OK && size >= t->manifest.parts[t->at].size) {
        code = file_resize(t->file, 0, e);
        size = 0;
    }
    t->offset = size;
    return code;
}

/* Removes what belongs to another checkpoint than this one. A refill that is under way
 * then begins again. */
static enum err_code remove_others(struct tsdb_install *t, struct err *e)
{
    struct io_name *names = NULL;
    size_t count = 0;
    enum err_code code = io_list(t->io, t->incoming, &names, &count, e);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        bool ours = false;
        for (size_t j = 0; j < t->manifest.part_count && !ours; j++) {
            char name[PART_NAME_SIZE];
            part_name(t->manifest.parts[j].hash, name);
            ours = strncmp(names[i].name, name, strlen(name)) == 0;
        }
        char path[IO_PATH_MAX];
        if (!ours && !names[i].is_dir) {
            code = io_join(path, t->incoming, names[i].name, e);
            code = code == ERR_OK ? io_unlink(t->io, path, e) : code;
        }
    }
    mem_free(names);
    return code;
}

/* --- life --- */

/* The whole manifest is decoded once, so that no damaged one is ever put in place. */
static enum err_code read_manifest(struct tsdb_install *t, uint64_t index, struct bytes file,
                                   struct err *e)
{
    enum err_code code = manifest_decode(file, &t->manifest, e);
    if (code != ERR_OK) {
        return code;
    }
    if (t->manifest.index != index) {
        return err_set(e, ERR_CORRUPT, "it is that of index %" PRIu64, t->manifest.index);
    }
    buf_put_bytes(&t->manifest_file, file);
    t->here = mem_array(t->manifest.part_count + 1, sizeof *t->here);
    return ERR_OK;
}

static enum err_code prepare(struct tsdb_install *t, struct err *e)
{
    enum err_code code = io_join(t->incoming, t->dir, incoming_name, e);
    if (code == ERR_OK) {
        code = db_make_dir(t->io, t->dir, e);
    }
    if (code == ERR_OK) {
        code = db_make_dir(t->io, t->incoming, e);
    }
    if (code == ERR_OK && !t->refill) {
        code = remove_others(t, e);
    }
    if (code == ERR_OK) {
        code = find_whole(t, e);
    }
    return code == ERR_OK ? go_to_missing(t, e) : code;
}

static struct tsdb_install *new_install(struct io *io, const char *dir)
{
    struct tsdb_install *t = mem_zalloc(sizeof *t);
    t->io = io;
    t->suffix = ".partial";
    CHECK(strlen(dir) < sizeof t->dir);
    memcpy(t->dir, dir, strlen(dir) + 1);
    return t;
}

enum err_code tsdb_install_begin(struct io *io, const char *dir, uint64_t index,
                                 struct bytes manifest, struct tsdb_install **out, struct err *e)
{
    *out = NULL;
    struct tsdb_install *t = new_install(io, dir);
    enum err_code code = read_manifest(t, index, manifest, e);
    if (code == ERR_OK) {
        code = prepare(t, e);
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "installing checkpoint %" PRIu64, index);
        tsdb_install_close(t);
        return code;
    }
    *out = t;
    return ERR_OK;
}

/* A list of one part, in place of a manifest's. */
static enum err_code list_one(struct tsdb_install *t, const struct tsdb_file *file, struct err *e)
{
    struct part_info *p = mem_zalloc(sizeof *p);
    t->manifest.parts = p;
    t->manifest.part_count = 1;
    t->here = mem_array(1, sizeof *t->here);
    p->size = file->size;
    return part_hash(file->name, &p->hash)
               ? ERR_OK
               : err_set(e, ERR_INVALID, "%s is not the name of a part", file->name);
}

enum err_code tsdb_refill_begin(struct io *io, const char *dir, const struct tsdb_file *file,
                                struct tsdb_install **out, struct err *e)
{
    *out = NULL;
    struct tsdb_install *t = new_install(io, dir);
    t->refill = true;
    t->suffix = ".refill"; /* a checkpoint may be on its way at the same time */
    enum err_code code = list_one(t, file, e);
    if (code == ERR_OK) {
        code = prepare(t, e);
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "refilling %s", file->name);
        tsdb_install_close(t);
        return code;
    }
    *out = t;
    return ERR_OK;
}

bool tsdb_install_next(struct tsdb_install *t, struct tsdb_file *file, uint64_t *offset)
{
    if (t->at == t->manifest.part_count) {
        return false;
    }
    const struct part_info *p = &t->manifest.parts[t->at];
    char name[PART_NAME_SIZE];
    part_name(p->hash, name);
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    file->size = p->size;
    *offset = t->offset;
    return true;
}

/* The partial file is complete: judges it, and gives it its name. */
static enum err_code complete(struct tsdb_install *t, struct err *e)
{
    const struct part_info *p = &t->manifest.parts[t->at];
    char from[IO_PATH_MAX];
    char to[IO_PATH_MAX];
    struct hash128 hash = {0};
    enum err_code code = content_hash_file(t->file, p->size, &hash, e);
    if (code == ERR_OK && (hash.low != p->hash.low || hash.high != p->hash.high)) {
        code = file_resize(t->file, 0, e);
        t->offset = 0;
        return code != ERR_OK
                   ? code
                   : err_set(e, ERR_CORRUPT, "what was fetched does not have the hash of its name");
    }
    if (code == ERR_OK) {
        code = file_sync(t->file, e);
    }
    if (code == ERR_OK) {
        code = partial_path(t, from, e);
    }
    if (code == ERR_OK) {
        code = part_path(t->incoming, p, "", to, e);
    }
    if (code == ERR_OK) {
        code = io_rename(t->io, from, to, e);
    }
    if (code == ERR_OK) {
        code = io_sync_dir(t->io, t->incoming, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    t->here[t->at] = true;
    return go_to_missing(t, e);
}

static enum err_code take_chunk(struct tsdb_install *t, const char *name, uint64_t offset,
                                struct bytes data, struct err *e)
{
    struct tsdb_file file;
    uint64_t offset_next = 0;
    if (!tsdb_install_next(t, &file, &offset_next) || strcmp(file.name, name) != 0 ||
        offset != offset_next) {
        return err_set(e, ERR_STATE, "bytes at %" PRIu64 " are not what is needed next", offset);
    }
    if (data.size == 0 || data.size > file.size - offset) {
        return err_set(e, ERR_INVALID, "%zu bytes at %" PRIu64 " of a file of %" PRIu64, data.size,
                       offset, file.size);
    }
    enum err_code code = file_write_at(t->file, offset, &data, 1, e);
    if (code != ERR_OK) {
        return code;
    }
    t->offset += data.size;
    return t->offset == file.size ? complete(t, e) : ERR_OK;
}

enum err_code tsdb_install_chunk(struct tsdb_install *t, const char *name, uint64_t offset,
                                 struct bytes data, struct err *e)
{
    enum err_code code = take_chunk(t, name, offset, data, e);
    if (code != ERR_OK) {
        (void)err_wrap(e, "fetching %s", name);
    }
    return code;
}

/* --- finishing --- */

static enum err_code move_part(struct tsdb_install *t, size_t i, struct err *e)
{
    const struct part_info *p = &t->manifest.parts[i];
    char from[IO_PATH_MAX];
    char to[IO_PATH_MAX];
    bool fetched = false;
    enum err_code code = part_path(t->incoming, p, "", from, e);
    if (code == ERR_OK) {
        code = part_path(t->dir, p, "", to, e);
    }
    if (code == ERR_OK) {
        code = io_exists(t->io, from, &fetched, e);
    }
    if (code == ERR_OK && fetched) {
        code = io_rename(t->io, from, to, e);
    }
    bool in_place = false;
    if (code == ERR_OK) {
        code = io_exists(t->io, to, &in_place, e);
    }
    if (code == ERR_OK && !in_place) {
        t->here[i] = false;
        code = err_set(e, ERR_STATE, "%s is gone: fetch it again", to);
    }
    return code;
}

/* What was refilled counts when it reads back from the disk. */
static enum err_code read_back(struct tsdb_install *t, struct err *e)
{
    const struct part_info *p = &t->manifest.parts[0];
    bool whole = false;
    enum err_code code = check_whole(t->io, t->dir, p, &whole, e);
    return code == ERR_OK && !whole
               ? err_set(e, ERR_CORRUPT, "it was written, but does not read back")
               : code;
}

static enum err_code put_in_place(struct tsdb_install *t, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < t->manifest.part_count && code == ERR_OK; i++) {
        code = move_part(t, i, e);
    }
    if (code == ERR_OK) {
        code = io_sync_dir(t->io, t->dir, e); /* the parts' names, before the manifest */
    }
    if (code == ERR_OK && !t->refill) {
        char name[TSDB_NAME_SIZE];
        tsdb_manifest_name(t->manifest.index, name);
        code = io_replace_file(t->io, t->dir, name, buf_bytes(&t->manifest_file), e);
    } else if (code == ERR_OK) {
        code = read_back(t, e);
    }
    return code;
}

enum err_code tsdb_install_finish(struct tsdb_install *t, uint64_t *index, uint64_t *term,
                                  struct err *e)
{
    CHECK(t->at == t->manifest.part_count);
    enum err_code code = put_in_place(t, e);
    if (code == ERR_STATE && go_to_missing(t, NULL) != ERR_OK) {
        code = ERR_IO;
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "installing checkpoint %" PRIu64, t->manifest.index);
        return code;
    }
    *index = t->manifest.index;
    *term = t->manifest.term;
    return ERR_OK;
}

void tsdb_install_close(struct tsdb_install *t)
{
    if (t == NULL) {
        return;
    }
    file_close(t->file);
    mem_free(t->here);
    manifest_deinit(&t->manifest);
    buf_deinit(&t->manifest_file);
    mem_free(t);
}
