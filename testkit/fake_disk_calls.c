/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk_calls.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* As the system calls are named in messages of the real io. */
static const char *const call_names[FAKE_DISK_CALL_COUNT] = {
    [FAKE_DISK_OPEN] = "open",      [FAKE_DISK_READ] = "pread",    [FAKE_DISK_WRITE] = "pwrite",
    [FAKE_DISK_SYNC] = "fdatasync", [FAKE_DISK_SIZE] = "fstat",    [FAKE_DISK_RESIZE] = "ftruncate",
    [FAKE_DISK_RENAME] = "rename",  [FAKE_DISK_UNLINK] = "unlink", [FAKE_DISK_MKDIR] = "mkdir",
    [FAKE_DISK_RMDIR] = "rmdir",    [FAKE_DISK_LIST] = "opendir",  [FAKE_DISK_SYNC_DIR] = "fsync",
    [FAKE_DISK_LOCK] = "lock",      [FAKE_DISK_SPACE] = "statvfs",
};

static struct fake_disk *disk_of(struct io *io)
{
    return (struct fake_disk *)io;
}

static struct fake_file *file_of(struct file *f)
{
    return (struct fake_file *)f;
}

static enum err_code fail(struct err *e, enum err_code code, const char *path,
                          enum fake_disk_call call, const char *why)
{
    return err_set(e, code, "%s: %s: %s", path, call_names[call], why);
}

/* --- calls that fail --- */

static bool fault_hits(struct fault *fault, enum fake_disk_call call, const char *path)
{
    if (!fault->armed || fault->rule.call != call || strstr(path, fault->filter) == NULL) {
        return false;
    }
    fault->seen++;
    if (fault->rule.for_ever) {
        return fault->seen >= fault->rule.nth;
    }
    fault->armed = fault->seen < fault->rule.nth;
    return !fault->armed;
}

/* Counts the call. *fault is the fault that hits it, or NULL. */
static enum err_code begin(struct fake_disk *d, enum fake_disk_call call, const char *path,
                           const struct fake_disk_fault **fault, struct err *e)
{
    *fault = NULL;
    if (d->watcher != NULL) {
        d->watcher(d->watcher_context);
    }
    d->calls++;
    d->calls_of[call]++;
    if (d->calls > d->calls_max) {
        return fail(e, ERR_IO, path, call, "stopped");
    }
    for (size_t i = 0; i < FAKE_DISK_FAULTS_MAX; i++) {
        if (fault_hits(&d->faults[i], call, path) && *fault == NULL) {
            *fault = &d->faults[i].rule;
            d->faults_seen++;
        }
    }
    return ERR_OK;
}

/* As begin(), for calls on an open file. */
static enum err_code begin_file(struct fake_file *f, enum fake_disk_call call,
                                const struct fake_disk_fault **fault, struct err *e)
{
    enum err_code code = begin(f->disk, call, f->path, fault, e);
    if (code == ERR_OK && f->inode == NULL) {
        return fail(e, ERR_IO, f->path, call, "killed");
    }
    return code;
}

/* As begin(), for calls of which a fault leaves nothing or everything: true if
 * the call has an effect, *code says what it returns. */
static bool begin_whole(struct fake_disk *d, enum fake_disk_call call, const char *path,
                        enum err_code *code, struct err *e)
{
    const struct fake_disk_fault *fault = NULL;
    *code = begin(d, call, path, &fault, e);
    if (*code != ERR_OK || fault == NULL) {
        return *code == ERR_OK;
    }
    *code = fault->code == ERR_OK ? ERR_OK : fail(e, fault->code, path, call, "injected");
    return fault->done > 0;
}

/* --- one file --- */

static enum err_code fake_read_at(struct file *file, uint64_t offset, void *dst, size_t size,
                                  size_t *got, struct err *e)
{
    struct fake_file *f = file_of(file);
    const struct fake_disk_fault *fault = NULL;
    enum err_code code = begin_file(f, FAKE_DISK_READ, &fault, e);
    if (code != ERR_OK) {
        return code;
    }
    if (f->inode->is_dir) {
        return fail(e, ERR_IO, f->path, FAKE_DISK_READ, "Is a directory");
    }
    const struct fake_content *content = &f->inode->content;
    if (fault != NULL) {
        size = fault->done < size ? (size_t)fault->done : size;
    }
    uint64_t bad = 0;
    if (fake_content_has_bad_sector(content, offset, size, &bad)) {
        *got = sparse_read(&content->cache, offset, dst, (size_t)(bad - offset));
        return err_set(e, ERR_IO, "%s: pread at %" PRIu64 ": Input/output error", f->path, bad);
    }
    *got = sparse_read(&content->cache, offset, dst, size);
    if (fault != NULL && fault->code != ERR_OK) {
        return err_set(e, fault->code, "%s: pread at %" PRIu64 ": injected", f->path,
                       offset + *got);
    }
    return ERR_OK;
}

/* How much of a write fits on the disk. */
static uint64_t size_that_fits(const struct fake_disk *d, const struct inode *inode,
                               uint64_t offset, uint64_t size)
{
    if (d->capacity_pages == UINT64_MAX) {
        return size;
    }
    uint64_t taken = disk_state_pages_taken(&d->state);
    uint64_t left = taken < d->capacity_pages ? d->capacity_pages - taken : 0;
    if (sparse_holes(&inode->content.cache, offset, size) <= left) {
        return size;
    }
    uint64_t fits = 0;
    while (fits < size) {
        uint64_t next = SPARSE_PAGE_SIZE - (offset + fits) % SPARSE_PAGE_SIZE;
        uint64_t holes = sparse_holes(&inode->content.cache, offset + fits, 1);
        if (holes > left) {
            break;
        }
        left -= holes;
        fits += next;
    }
    return fits < size ? fits : size;
}

static void write_prefix(struct fake_file *f, uint64_t offset, const struct bytes *parts,
                         size_t count, uint64_t size)
{
    struct buf whole = {0};
    struct bytes data = parts[0];
    if (count > 1) {
        for (size_t i = 0; i < count; i++) {
            buf_put_bytes(&whole, parts[i]);
        }
        data = buf_bytes(&whole);
    }
    data.size = size < data.size ? (size_t)size : data.size;
    if (data.size > 0) {
        fake_content_write(&f->inode->content, offset, data);
        fake_content_write_back(&f->inode->content, f->disk->write_back_max);
    }
    buf_deinit(&whole);
}

static enum err_code fake_write_at(struct file *file, uint64_t offset, const struct bytes *parts,
                                   size_t count, struct err *e)
{
    struct fake_file *f = file_of(file);
    CHECK((f->flags & IO_WRITE) != 0);
    const struct fake_disk_fault *fault = NULL;
    enum err_code code = begin_file(f, FAKE_DISK_WRITE, &fault, e);
    if (code != ERR_OK) {
        return code;
    }
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].size;
    }
    uint64_t fits = size_that_fits(f->disk, f->inode, offset, size);
    uint64_t done = fault != NULL && fault->done < fits ? fault->done : fits;
    if (count > 0) {
        write_prefix(f, offset, parts, count, done);
    }
    if (fault != NULL) {
        return err_set(e, fault->code, "%s: pwrite at %" PRIu64 ": injected", f->path,
                       offset + done);
    }
    if (done < size) {
        return err_set(e, ERR_NO_SPACE, "%s: pwrite at %" PRIu64 ": No space left on device",
                       f->path, offset + done);
    }
    return ERR_OK;
}

static enum err_code fake_sync(struct file *file, struct err *e)
{
    struct fake_file *f = file_of(file);
    const struct fake_disk_fault *fault = NULL;
    enum err_code code = begin_file(f, FAKE_DISK_SYNC, &fault, e);
    if (code != ERR_OK) {
        return code;
    }
    if (fault != NULL && fault->code == ERR_OK) {
        return ERR_OK;
    }
    if (fault != NULL) {
        fake_content_sync_failed(&f->inode->content, fault->done);
        return fail(e, fault->code, f->path, FAKE_DISK_SYNC, "injected");
    }
    fake_content_sync(&f->inode->content);
    return ERR_OK;
}

static enum err_code fake_size(struct file *file, uint64_t *size, struct err *e)
{
    struct fake_file *f = file_of(file);
    const struct fake_disk_fault *fault = NULL;
    enum err_code code = begin_file(f, FAKE_DISK_SIZE, &fault, e);
    if (code != ERR_OK) {
        return code;
    }
    *size = f->inode->content.cache.size;
    return fault == NULL ? ERR_OK : fail(e, fault->code, f->path, FAKE_DISK_SIZE, "injected");
}

static enum err_code fake_resize(struct file *file, uint64_t size, struct err *e)
{
    struct fake_file *f = file_of(file);
    CHECK((f->flags & IO_WRITE) != 0);
    const struct fake_disk_fault *fault = NULL;
    enum err_code code = begin_file(f, FAKE_DISK_RESIZE, &fault, e);
    if (code != ERR_OK) {
        return code;
    }
    if (fault == NULL || fault->done > 0) {
        fake_content_resize(&f->inode->content, size);
    }
    return fault == NULL ? ERR_OK : fail(e, fault->code, f->path, FAKE_DISK_RESIZE, "injected");
}

void fake_file_detach(struct fake_file *f)
{
    struct inode *inode = f->inode;
    if (inode == NULL) {
        return;
    }
    if (f->is_lock) {
        inode->locked = false;
    }
    f->inode = NULL;
    inode->handles--;
    disk_state_unref(&f->disk->state, inode);
}

static void fake_forget(struct file *file, uint64_t offset, uint64_t size)
{
    struct fake_file *f = file_of(file);
    (void)offset;
    (void)size;
    if (f->inode != NULL && !f->inode->is_dir) {
        fake_content_evict(
            &f->inode->content); /* of the whole file: a cache may do that any time */
    }
}

static void fake_close(struct file *file)
{
    struct fake_file *f = file_of(file);
    fake_file_detach(f);
    struct fake_file **from_previous = f->previous == NULL ? &f->disk->files : &f->previous->next;
    *from_previous = f->next;
    if (f->next != NULL) {
        f->next->previous = f->previous;
    }
    f->disk->file_count--;
    mem_free(f->path);
    mem_free(f);
}

static const struct file_ops fake_file_ops = {
    .read_at = fake_read_at,
    .write_at = fake_write_at,
    .sync = fake_sync,
    .size = fake_size,
    .resize = fake_resize,
    .forget = fake_forget,
    .close = fake_close,
};

static struct fake_file *attach(struct fake_disk *d, struct inode *inode, const char *path,
                                unsigned flags)
{
    struct fake_file *f = mem_zalloc(sizeof *f);
    f->file.ops = &fake_file_ops;
    f->disk = d;
    f->inode = inode;
    f->path = mem_strdup(path);
    f->flags = flags;
    f->next = d->files;
    if (d->files != NULL) {
        d->files->previous = f;
    }
    d->files = f;
    d->file_count++;
    inode->handles++;
    inode_ref(inode);
    return f;
}

/* --- names --- */

/* The file of a path, made if the flags say so. */
static enum err_code find_or_make(struct fake_disk *d, const char *path, unsigned flags,
                                  enum fake_disk_call call, struct inode **out, struct err *e)
{
    *out = disk_state_find(&d->state, path);
    if (*out != NULL && (flags & IO_EXCL) != 0) {
        return fail(e, ERR_EXISTS, path, call, "File exists");
    }
    if (*out != NULL && (*out)->is_dir && (flags & IO_WRITE) != 0) {
        return fail(e, ERR_IO, path, call, "Is a directory");
    }
    if (*out != NULL) {
        return ERR_OK;
    }
    char name[IO_NAME_MAX + 1];
    struct inode *dir = disk_state_find_parent(&d->state, path, name);
    if (dir == NULL || (flags & IO_CREATE) == 0) {
        return fail(e, ERR_NOT_FOUND, path, call, "No such file or directory");
    }
    *out = disk_state_make(&d->state, dir, name, false);
    return ERR_OK;
}

static enum err_code fake_open(struct io *io, const char *path, unsigned flags, struct file **out,
                               struct err *e)
{
    struct fake_disk *d = disk_of(io);
    enum err_code injected = ERR_OK;
    if (!begin_whole(d, FAKE_DISK_OPEN, path, &injected, e)) {
        return injected;
    }
    struct inode *inode = NULL;
    enum err_code code = find_or_make(d, path, flags, FAKE_DISK_OPEN, &inode, e);
    if (code != ERR_OK) {
        return code;
    }
    if (injected != ERR_OK) { /* made, but the caller is not told */
        return fail(e, injected, path, FAKE_DISK_OPEN, "injected");
    }
    *out = &attach(d, inode, path, flags)->file;
    return ERR_OK;
}

static enum err_code fake_rename(struct io *io, const char *from, const char *to, struct err *e)
{
    struct fake_disk *d = disk_of(io);
    enum err_code injected = ERR_OK;
    if (!begin_whole(d, FAKE_DISK_RENAME, from, &injected, e)) {
        return injected;
    }
    char name_from[IO_NAME_MAX + 1];
    char name_to[IO_NAME_MAX + 1];
    struct inode *dir_from = disk_state_find_parent(&d->state, from, name_from);
    struct inode *dir_to = disk_state_find_parent(&d->state, to, name_to);
    struct inode *moved = dir_from == NULL ? NULL : disk_state_entry(dir_from, name_from);
    if (moved == NULL || dir_to == NULL) {
        return fail(e, ERR_NOT_FOUND, from, FAKE_DISK_RENAME, "No such file or directory");
    }
    if (strncmp(to, from, strlen(from)) == 0 && to[strlen(from)] == '/') {
        return fail(e, ERR_IO, from, FAKE_DISK_RENAME, "Invalid argument"); /* into itself */
    }
    const struct inode *target = disk_state_entry(dir_to, name_to);
    if (target != NULL && target != moved && (target->is_dir || moved->is_dir)) {
        return fail(e, ERR_EXISTS, to, FAKE_DISK_RENAME, "only a file replaces a file");
    }
    disk_state_rename(&d->state, dir_from, name_from, dir_to, name_to);
    return injected;
}

static enum err_code remove_name(struct fake_disk *d, const char *path, enum fake_disk_call call,
                                 struct err *e)
{
    bool wants_dir = call == FAKE_DISK_RMDIR;
    char name[IO_NAME_MAX + 1];
    struct inode *dir = disk_state_find_parent(&d->state, path, name);
    const struct inode *inode = dir == NULL ? NULL : disk_state_entry(dir, name);
    if (inode == NULL) {
        return fail(e, ERR_NOT_FOUND, path, call, "No such file or directory");
    }
    if (inode->is_dir != wants_dir) {
        return fail(e, ERR_IO, path, call, wants_dir ? "Not a directory" : "Is a directory");
    }
    if (inode->names_cache.count > 0) {
        return fail(e, ERR_STATE, path, call, "Directory not empty");
    }
    disk_state_remove(&d->state, dir, name);
    return ERR_OK;
}

static enum err_code fake_unlink(struct io *io, const char *path, struct err *e)
{
    enum err_code injected = ERR_OK;
    if (!begin_whole(disk_of(io), FAKE_DISK_UNLINK, path, &injected, e)) {
        return injected;
    }
    enum err_code code = remove_name(disk_of(io), path, FAKE_DISK_UNLINK, e);
    return code == ERR_OK ? injected : code;
}

static enum err_code fake_rmdir(struct io *io, const char *path, struct err *e)
{
    enum err_code injected = ERR_OK;
    if (!begin_whole(disk_of(io), FAKE_DISK_RMDIR, path, &injected, e)) {
        return injected;
    }
    enum err_code code = remove_name(disk_of(io), path, FAKE_DISK_RMDIR, e);
    return code == ERR_OK ? injected : code;
}

static enum err_code fake_mkdir(struct io *io, const char *path, struct err *e)
{
    struct fake_disk *d = disk_of(io);
    enum err_code injected = ERR_OK;
    if (!begin_whole(d, FAKE_DISK_MKDIR, path, &injected, e)) {
        return injected;
    }
    if (disk_state_find(&d->state, path) != NULL) {
        return fail(e, ERR_EXISTS, path, FAKE_DISK_MKDIR, "File exists");
    }
    char name[IO_NAME_MAX + 1];
    struct inode *dir = disk_state_find_parent(&d->state, path, name);
    if (dir == NULL) {
        return fail(e, ERR_NOT_FOUND, path, FAKE_DISK_MKDIR, "No such file or directory");
    }
    (void)disk_state_make(&d->state, dir, name, true);
    return injected;
}

static enum err_code find_dir(struct fake_disk *d, const char *path, enum fake_disk_call call,
                              struct inode **out, struct err *e)
{
    *out = disk_state_find(&d->state, path);
    if (*out == NULL) {
        return fail(e, ERR_NOT_FOUND, path, call, "No such file or directory");
    }
    return (*out)->is_dir ? ERR_OK : fail(e, ERR_IO, path, call, "Not a directory");
}

static enum err_code fake_list(struct io *io, const char *path, struct io_name **names,
                               size_t *count, struct err *e)
{
    struct fake_disk *d = disk_of(io);
    enum err_code injected = ERR_OK;
    struct inode *dir = NULL;
    if (!begin_whole(d, FAKE_DISK_LIST, path, &injected, e) || injected != ERR_OK) {
        return injected;
    }
    enum err_code code = find_dir(d, path, FAKE_DISK_LIST, &dir, e);
    if (code != ERR_OK) {
        return code;
    }
    *count = dir->names_cache.count;
    *names = *count == 0 ? NULL : mem_array(*count, sizeof **names);
    for (size_t i = 0; i < *count; i++) {
        const struct entry *entry = &dir->names_cache.items[i];
        (void)snprintf((*names)[i].name, sizeof(*names)[i].name, "%s", entry->name);
        (*names)[i].is_dir = entry->inode->is_dir;
    }
    return ERR_OK;
}

static enum err_code fake_sync_dir(struct io *io, const char *path, struct err *e)
{
    struct fake_disk *d = disk_of(io);
    enum err_code injected = ERR_OK;
    if (!begin_whole(d, FAKE_DISK_SYNC_DIR, path, &injected, e)) {
        return injected;
    }
    struct inode *dir = NULL;
    enum err_code code = find_dir(d, path, FAKE_DISK_SYNC_DIR, &dir, e);
    if (code != ERR_OK) {
        return code;
    }
    disk_state_sync_dir(&d->state, dir);
    return injected;
}

static enum err_code take_lock(struct io *io, const char *path, unsigned flags, struct file **out,
                               struct err *e)
{
    struct fake_disk *d = disk_of(io);
    enum err_code injected = ERR_OK;
    if (!begin_whole(d, FAKE_DISK_LOCK, path, &injected, e) || injected != ERR_OK) {
        return injected;
    }
    struct inode *inode = NULL;
    enum err_code code = find_or_make(d, path, flags, FAKE_DISK_LOCK, &inode, e);
    if (code != ERR_OK) {
        return code;
    }
    if (inode->locked) {
        return err_set(e, ERR_STATE, "%s: held by another process", path);
    }
    struct fake_file *f = attach(d, inode, path, IO_READ | IO_WRITE);
    f->is_lock = true;
    inode->locked = true;
    *out = &f->file;
    return ERR_OK;
}

static enum err_code fake_lock(struct io *io, const char *path, struct file **out, struct err *e)
{
    return take_lock(io, path, IO_WRITE | IO_CREATE, out, e);
}

static enum err_code fake_lock_read(struct io *io, const char *path, struct file **out,
                                    struct err *e)
{
    return take_lock(io, path, IO_READ, out, e);
}

static enum err_code fake_space(struct io *io, const char *path, uint64_t *free_size, struct err *e)
{
    struct fake_disk *d = disk_of(io);
    enum err_code injected = ERR_OK;
    if (!begin_whole(d, FAKE_DISK_SPACE, path, &injected, e) || injected != ERR_OK) {
        return injected;
    }
    if (disk_state_find(&d->state, path) == NULL) {
        return fail(e, ERR_NOT_FOUND, path, FAKE_DISK_SPACE, "No such file or directory");
    }
    uint64_t taken = disk_state_pages_taken(&d->state);
    uint64_t limit = d->capacity_pages < INT64_MAX / SPARSE_PAGE_SIZE
                         ? d->capacity_pages
                         : INT64_MAX / SPARSE_PAGE_SIZE;
    *free_size = taken < limit ? (limit - taken) * SPARSE_PAGE_SIZE : 0;
    return ERR_OK;
}

/* --- time and chance --- */

static uint64_t fake_monotonic_us(struct io *io)
{
    return disk_of(io)->monotonic_us;
}

static int64_t fake_wall_us(struct io *io)
{
    return disk_of(io)->wall_us;
}

static void fake_entropy(struct io *io, void *dst, size_t size)
{
    uint8_t *at = dst;
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)random_u64(&disk_of(io)->entropy);
    }
}

const struct io_ops fake_disk_ops = {
    .open = fake_open,
    .rename = fake_rename,
    .unlink = fake_unlink,
    .mkdir = fake_mkdir,
    .rmdir = fake_rmdir,
    .list = fake_list,
    .sync_dir = fake_sync_dir,
    .lock = fake_lock,
    .lock_read = fake_lock_read,
    .space = fake_space,
    .monotonic_us = fake_monotonic_us,
    .wall_us = fake_wall_us,
    .entropy = fake_entropy,
};
