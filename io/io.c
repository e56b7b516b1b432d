/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"

static void check_path(const char *path)
{
    CHECK(path != NULL);
    CHECK(path[0] != '\0');
}

enum err_code io_open(struct io *io, const char *path, unsigned flags, struct file **out,
                      struct err *e)
{
    check_path(path);
    CHECK((flags & (IO_READ | IO_WRITE)) != 0);
    CHECK((flags & IO_CREATE) == 0 || (flags & IO_WRITE) != 0);
    CHECK((flags & IO_EXCL) == 0 || (flags & IO_CREATE) != 0);
    *out = NULL;
    enum err_code code = io->ops->open(io, path, flags, out, e);
    CHECK((code == ERR_OK) == (*out != NULL));
    return code;
}

enum err_code io_rename(struct io *io, const char *from, const char *to, struct err *e)
{
    check_path(from);
    check_path(to);
    return io->ops->rename(io, from, to, e);
}

enum err_code io_unlink(struct io *io, const char *path, struct err *e)
{
    check_path(path);
    return io->ops->unlink(io, path, e);
}

enum err_code io_mkdir(struct io *io, const char *path, struct err *e)
{
    check_path(path);
    return io->ops->mkdir(io, path, e);
}

enum err_code io_rmdir(struct io *io, const char *path, struct err *e)
{
    check_path(path);
    return io->ops->rmdir(io, path, e);
}

enum err_code io_list(struct io *io, const char *path, struct io_name **names, size_t *count,
                      struct err *e)
{
    check_path(path);
    *names = NULL;
    *count = 0;
    return io->ops->list(io, path, names, count, e);
}

enum err_code io_sync_dir(struct io *io, const char *path, struct err *e)
{
    check_path(path);
    return io->ops->sync_dir(io, path, e);
}

enum err_code io_lock(struct io *io, const char *path, struct file **out, struct err *e)
{
    check_path(path);
    *out = NULL;
    enum err_code code = io->ops->lock(io, path, out, e);
    CHECK((code == ERR_OK) == (*out != NULL));
    return code;
}

enum err_code io_lock_read(struct io *io, const char *path, struct file **out, struct err *e)
{
    check_path(path);
    *out = NULL;
    enum err_code code = io->ops->lock_read(io, path, out, e);
    CHECK((code == ERR_OK) == (*out != NULL));
    return code;
}

enum err_code io_space(struct io *io, const char *path, uint64_t *free_size, struct err *e)
{
    check_path(path);
    return io->ops->space(io, path, free_size, e);
}

/* A directory can be opened for reading too: no call of its own is needed. */
enum err_code io_exists(struct io *io, const char *path, bool *exists, struct err *e)
{
    struct file *file = NULL;
    struct err why;
    enum err_code code = io_open(io, path, IO_READ, &file, &why);
    if (code != ERR_OK && code != ERR_NOT_FOUND) {
        return err_set(e, code, "%s", why.text);
    }
    file_close(file);
    *exists = code == ERR_OK;
    return ERR_OK;
}

uint64_t io_monotonic_us(struct io *io)
{
    return io->ops->monotonic_us(io);
}

int64_t io_wall_us(struct io *io)
{
    return io->ops->wall_us(io);
}

void io_entropy(struct io *io, void *dst, size_t size)
{
    CHECK(dst != NULL || size == 0);
    io->ops->entropy(io, dst, size);
}

uint64_t io_entropy_u64(struct io *io)
{
    uint8_t bytes[8];
    io_entropy(io, bytes, sizeof bytes);
    return bytes_get_u64(bytes);
}

enum err_code file_read_at(struct file *f, uint64_t offset, void *dst, size_t size, size_t *got,
                           struct err *e)
{
    CHECK(dst != NULL || size == 0);
    CHECK(offset <= INT64_MAX - size);
    *got = 0;
    enum err_code code = f->ops->read_at(f, offset, dst, size, got, e);
    CHECK(*got <= size);
    return code;
}

enum err_code file_read_exact(struct file *f, uint64_t offset, void *dst, size_t size,
                              struct err *e)
{
    size_t got = 0;
    enum err_code code = file_read_at(f, offset, dst, size, &got, e);
    if (code != ERR_OK) {
        return code;
    }
    if (got < size) {
        return err_set(e, ERR_CORRUPT, "file ends at %" PRIu64 ", %zu bytes of %zu are missing",
                       offset + got, size - got, size);
    }
    return ERR_OK;
}

static void check_parts(uint64_t offset, const struct bytes *parts, size_t count)
{
    CHECK(count <= LIMIT_WRITE_PARTS_MAX);
    uint64_t end = offset;
    for (size_t i = 0; i < count; i++) {
        CHECK(parts[i].data != NULL || parts[i].size == 0);
        CHECK(parts[i].size <= INT64_MAX - end);
        end += parts[i].size;
    }
}

enum err_code file_write_at(struct file *f, uint64_t offset, const struct bytes *parts,
                            size_t count, struct err *e)
{
    check_parts(offset, parts, count);
    return f->ops->write_at(f, offset, parts, count, e);
}

enum err_code file_sync(struct file *f, struct err *e)
{
    return f->ops->sync(f, e);
}

enum err_code file_sync_as(struct file *f, enum file_sync_kind kind, struct err *e)
{
    return kind == FILE_SYNC_ALL && f->ops->sync_all != NULL ? f->ops->sync_all(f, e)
                                                             : f->ops->sync(f, e);
}

enum err_code file_write_through(struct file *f, uint64_t offset, const struct bytes *parts,
                                 size_t count, enum file_sync_kind kind, struct err *e)
{
    check_parts(offset, parts, count);
    if (f->ops->write_through != NULL) {
        return f->ops->write_through(f, offset, parts, count, kind, e);
    }
    enum err_code code = f->ops->write_at(f, offset, parts, count, e);
    return code == ERR_OK ? file_sync_as(f, kind, e) : code;
}

enum err_code file_size(struct file *f, uint64_t *size, struct err *e)
{
    return f->ops->size(f, size, e);
}

enum err_code file_resize(struct file *f, uint64_t size, struct err *e)
{
    CHECK(size <= INT64_MAX);
    return f->ops->resize(f, size, e);
}

void file_forget(struct file *f, uint64_t offset, uint64_t size)
{
    CHECK(offset <= INT64_MAX - size);
    f->ops->forget(f, offset, size);
}

void file_close(struct file *f)
{
    if (f != NULL) {
        f->ops->close(f);
    }
}

enum err_code io_join(char dst[IO_PATH_MAX], const char *dir, const char *name, struct err *e)
{
    check_path(dir);
    check_path(name);
    size_t dir_size = strlen(dir);
    const char *slash = dir[dir_size - 1] == '/' ? "" : "/";
    int size = snprintf(dst, IO_PATH_MAX, "%s%s%s", dir, slash, name);
    if (size < 0 || size >= IO_PATH_MAX) {
        dst[0] = '\0';
        return err_set(e, ERR_RANGE, "path of %zu bytes is too long (at most %d): %.64s...",
                       dir_size + 1 + strlen(name), IO_PATH_MAX - 1, dir);
    }
    return ERR_OK;
}

static enum err_code read_whole(struct file *file, size_t size_max, struct buf *out, struct err *e)
{
    uint64_t size = 0;
    enum err_code code = file_size(file, &size, e);
    if (code != ERR_OK) {
        return code;
    }
    if (size > size_max) {
        return err_set(e, ERR_RANGE, "file has %" PRIu64 " bytes, at most %zu are allowed", size,
                       size_max);
    }
    return file_read_exact(file, 0, buf_extend(out, (size_t)size), (size_t)size, e);
}

enum err_code io_read_file(struct io *io, const char *path, size_t size_max, struct buf *out,
                           struct err *e)
{
    struct file *file = NULL;
    enum err_code code = io_open(io, path, IO_READ, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t size_before = out->size;
    code = read_whole(file, size_max, out, e);
    file_close(file);
    if (code != ERR_OK) {
        out->size = size_before;
        (void)err_wrap(e, "reading %s", path);
    }
    return code;
}

/* The content, durable, under a name that nobody looks for. */
static enum err_code write_temporary(struct io *io, const char *path, struct bytes content,
                                     struct err *e)
{
    struct file *file = NULL;
    enum err_code code = io_open(io, path, IO_WRITE | IO_CREATE, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    code = file_resize(file, 0, e); /* an earlier attempt may have left it */
    if (code == ERR_OK) {
        code = file_write_at(file, 0, &content, 1, e);
    }
    if (code == ERR_OK) {
        code = file_sync(file, e);
    }
    file_close(file);
    return code;
}

enum err_code io_replace_file(struct io *io, const char *dir, const char *name,
                              struct bytes content, struct err *e)
{
    char path[IO_PATH_MAX];
    char temporary[IO_PATH_MAX];
    enum err_code code = io_join(path, dir, name, e);
    if (code != ERR_OK) {
        return code;
    }
    int size = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (size < 0 || (size_t)size >= sizeof temporary) {
        return err_set(e, ERR_RANGE, "path is too long: %.64s...", path);
    }
    code = write_temporary(io, temporary, content, e);
    if (code == ERR_OK) {
        code = io_rename(io, temporary, path, e);
    }
    if (code == ERR_OK) {
        code = io_sync_dir(io, dir, e);
    } else if (io_unlink(io, temporary, NULL) == ERR_OK) {
        (void)err_wrap(e, "removed %s again", temporary);
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "replacing %s", path);
    }
    return code;
}
