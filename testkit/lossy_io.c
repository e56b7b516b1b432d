/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/lossy_io.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "testkit/fake_disk_calls.h"

struct lossy_io {
    struct io io;
    struct io *real;        /* borrowed */
    struct fake_disk *disk; /* what is below 'dir' */
    char *dir;
    char *scratch; /* real path of a file that is being made */
    char fault[IO_PATH_MAX];
    bool limited; /* the fake disk has a limit of space */
    pthread_mutex_t mutex;
};

struct lossy_file {
    struct file file;
    struct lossy_io *lossy;
    struct file *inner; /* on the fake disk; owned */
};

static struct lossy_io *lossy_of(struct io *io)
{
    return (struct lossy_io *)io;
}

static struct lossy_file *file_of(struct file *f)
{
    return (struct lossy_file *)f;
}

static void enter(struct lossy_io *l)
{
    CHECK(pthread_mutex_lock(&l->mutex) == 0);
}

static void leave(struct lossy_io *l)
{
    CHECK(pthread_mutex_unlock(&l->mutex) == 0);
}

/* What the file beside the directory asks for. */
struct asked {
    bool eio;
    bool limited;
    uint64_t hang_ms;
    uint64_t room;
};

static struct asked ask(const struct lossy_io *l)
{
    enum { TEXT_MAX = 64, BASE = 10 };
    struct asked asked = {0};
    struct buf text = {0};
    if (io_read_file(l->real, l->fault, TEXT_MAX, &text, NULL) == ERR_OK) {
        buf_put_u8(&text, 0);
        const char *words = (const char *)text.data;
        const char *number = strchr(words, ' ');
        uint64_t value = number == NULL ? 0 : strtoull(number, NULL, BASE);
        asked.eio = strncmp(words, "eio", strlen("eio")) == 0;
        asked.limited = strncmp(words, "room ", strlen("room ")) == 0;
        asked.room = asked.limited ? value : 0;
        asked.hang_ms = strncmp(words, "hang ", strlen("hang ")) == 0 ? value : 0;
    }
    buf_deinit(&text);
    return asked;
}

static void limit_room(struct lossy_io *l)
{
    struct asked asked = ask(l);
    if (asked.limited != l->limited) {
        /* A capacity of 0 would be none. */
        uint64_t capacity = fake_disk_used(l->disk) + asked.room;
        fake_disk_set_capacity(l->disk, asked.limited ? capacity : 0);
        l->limited = asked.limited;
    }
}

/* The path on the fake disk, or NULL if it lies elsewhere. */
static const char *inner_path(const struct lossy_io *l, const char *path)
{
    size_t size = strlen(l->dir);
    if (strncmp(path, l->dir, size) != 0 || (path[size] != '/' && path[size] != '\0')) {
        return NULL;
    }
    return path[size] == '\0' ? "/" : path + size;
}

/* --- the real tree; a failure here ends the process, as a disk's would --- */

static void must(enum err_code code, const struct err *e)
{
    if (code != ERR_OK) {
        PANIC("lossy disk: %s", e->text);
    }
}

/* Where the platter has an inode, in the real tree. */
static bool real_path(const struct lossy_io *l, const struct inode *inode, char path[IO_PATH_MAX])
{
    char below[IO_PATH_MAX];
    if (!disk_state_platter_path(&l->disk->state, inode, below)) {
        return false;
    }
    int size = snprintf(path, IO_PATH_MAX, "%s%s", l->dir, below);
    CHECK(size > 0 && size < IO_PATH_MAX);
    return true;
}

static void write_range(struct file *real, const struct sparse *platter, uint64_t offset,
                        uint64_t size)
{
    struct err e;
    struct buf range = {0};
    uint8_t *at = buf_extend(&range, (size_t)size);
    range.size = sparse_read(platter, offset, at, (size_t)size);
    struct bytes part = buf_bytes(&range);
    must(file_write_at(real, offset, &part, 1, &e), &e);
    buf_deinit(&range);
}

/* Paths, and perhaps the inodes that belong there; grows while it is gone through. */
struct work {
    struct work_item {
        char *path; /* owned */
        const struct inode *inode;
    } *items;
    size_t count;
    size_t capacity;
};

static void work_add(struct work *work, const char *dir, const char *name,
                     const struct inode *inode)
{
    work->items = mem_grow(work->items, &work->capacity, work->count + 1, sizeof(struct work_item));
    work->items[work->count++] =
        (struct work_item){mem_format("%s%s%s", dir, name[0] == '\0' ? "" : "/", name), inode};
}

static void work_deinit(struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        mem_free(work->items[i].path);
    }
    mem_free(work->items);
}

static void write_real_file(const struct lossy_io *l, const struct inode *inode, const char *path)
{
    struct err e;
    struct file *real = NULL;
    must(io_open(l->real, path, IO_WRITE | IO_CREATE, &real, &e), &e);
    write_range(real, &inode->content.platter, 0, inode->content.platter.size);
    must(file_resize(real, inode->content.platter.size, &e), &e);
    file_close(real);
}

/* Made elsewhere and moved into place: what was synced before its name must
 * never be seen in part. A directory comes with all that the platter has in it. */
static void make_real(const struct lossy_io *l, const struct inode *inode, const char *path)
{
    struct err e;
    struct work work = {0};
    work_add(&work, l->scratch, "", inode);
    for (size_t i = 0; i < work.count; i++) {
        struct work_item item = work.items[i];
        if (!item.inode->is_dir) {
            write_real_file(l, item.inode, item.path);
            continue;
        }
        must(io_mkdir(l->real, item.path, &e), &e);
        const struct entries *names = &item.inode->names_platter;
        for (size_t j = 0; j < names->count; j++) {
            work_add(&work, item.path, names->items[j].name, names->items[j].inode);
        }
    }
    work_deinit(&work);
    must(io_rename(l->real, l->scratch, path, &e), &e);
}

/* A directory with all that is in it: its names were removed first, but that
 * need not have reached the platter. */
static void remove_real(const struct lossy_io *l, const char *path)
{
    struct err e;
    struct work dirs = {0};
    work_add(&dirs, path, "", NULL);
    bool is_dir = false;
    for (size_t i = 0; i < dirs.count; i++) {
        struct io_name *names = NULL;
        size_t count = 0;
        is_dir = io_list(l->real, dirs.items[i].path, &names, &count, &e) == ERR_OK;
        for (size_t j = 0; j < count; j++) {
            char below[IO_PATH_MAX];
            must(io_join(below, dirs.items[i].path, names[j].name, &e), &e);
            if (names[j].is_dir) {
                work_add(&dirs, below, "", NULL);
            } else {
                must(io_unlink(l->real, below, &e), &e);
            }
        }
        mem_free(names);
    }
    for (size_t i = dirs.count; i > 0; i--) {
        must(is_dir ? io_rmdir(l->real, dirs.items[i - 1].path, &e)
                    : io_unlink(l->real, dirs.items[i - 1].path, &e),
             &e);
    }
    work_deinit(&dirs);
}

static bool real_entry(const struct lossy_io *l, const struct inode *dir, const char *name,
                       char path[IO_PATH_MAX])
{
    char dir_path[IO_PATH_MAX];
    struct err e;
    if (dir == NULL || !real_path(l, dir, dir_path)) {
        return false;
    }
    must(io_join(path, dir_path, name, &e), &e);
    return true;
}

/* A change of names reached the platter: the same in the real tree. */
static void mirror_change(void *context, const struct name_change *change)
{
    const struct lossy_io *l = context;
    struct err e;
    char from[IO_PATH_MAX];
    char to[IO_PATH_MAX];
    bool has_from = real_entry(l, change->dir_from, change->name_from, from);
    bool has_to = real_entry(l, change->dir_to, change->name_to, to);
    if (has_from && has_to) {
        must(io_rename(l->real, from, to, &e), &e);
    } else if (has_to) {
        make_real(l, change->inode, to);
    } else if (has_from) {
        remove_real(l, from);
    }
}

/* The pieces that a sync is about to take to the platter, without their bytes. */
static struct piece *note_pieces(const struct fake_content *content)
{
    struct piece *pieces = mem_array(content->piece_count, sizeof *pieces);
    for (size_t i = 0; i < content->piece_count; i++) {
        pieces[i] = content->pieces[i];
        pieces[i].data = NULL;
    }
    return pieces;
}

static void mirror_pieces(const struct lossy_io *l, const struct inode *inode,
                          const struct piece *pieces, size_t count)
{
    struct err e;
    struct file *real = NULL;
    char path[IO_PATH_MAX];
    if (count == 0 || !real_path(l, inode, path)) {
        return; /* its bytes follow with its name */
    }
    must(io_open(l->real, path, IO_WRITE, &real, &e), &e);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].sector_count == 0) {
            must(file_resize(real, pieces[i].size_after, &e), &e);
        } else {
            write_range(real, &inode->content.platter,
                        pieces[i].sector_first * FAKE_DISK_SECTOR_SIZE,
                        pieces[i].sector_count * FAKE_DISK_SECTOR_SIZE);
        }
    }
    must(file_resize(real, inode->content.platter.size, &e), &e);
    file_close(real);
}

/* --- one file --- */

static enum err_code lossy_read_at(struct file *f, uint64_t offset, void *dst, size_t size,
                                   size_t *got, struct err *e)
{
    struct lossy_file *file = file_of(f);
    enter(file->lossy);
    enum err_code code = file_read_at(file->inner, offset, dst, size, got, e);
    leave(file->lossy);
    return code;
}

static enum err_code lossy_write_at(struct file *f, uint64_t offset, const struct bytes *parts,
                                    size_t count, struct err *e)
{
    struct lossy_file *file = file_of(f);
    enter(file->lossy);
    limit_room(file->lossy);
    enum err_code code = file_write_at(file->inner, offset, parts, count, e);
    leave(file->lossy);
    return code;
}

static enum err_code lossy_sync(struct file *f, struct err *e)
{
    struct lossy_file *file = file_of(f);
    struct asked asked = ask(file->lossy);
    if (asked.hang_ms > 0) {
        (void)poll(NULL, 0, (int)asked.hang_ms);
    }
    enter(file->lossy);
    if (asked.eio) {
        fake_disk_fail_next(file->lossy->disk, FAKE_DISK_SYNC, ERR_IO);
    }
    const struct inode *inode = ((struct fake_file *)file->inner)->inode;
    CHECK(inode != NULL);
    size_t count = inode->content.piece_count;
    struct piece *pieces = note_pieces(&inode->content);
    enum err_code code = file_sync(file->inner, e);
    if (code == ERR_OK) {
        mirror_pieces(file->lossy, inode, pieces, count);
    }
    mem_free(pieces);
    leave(file->lossy);
    return code;
}

static enum err_code lossy_size(struct file *f, uint64_t *size, struct err *e)
{
    struct lossy_file *file = file_of(f);
    enter(file->lossy);
    enum err_code code = file_size(file->inner, size, e);
    leave(file->lossy);
    return code;
}

static enum err_code lossy_resize(struct file *f, uint64_t size, struct err *e)
{
    struct lossy_file *file = file_of(f);
    enter(file->lossy);
    enum err_code code = file_resize(file->inner, size, e);
    leave(file->lossy);
    return code;
}

static void lossy_forget(struct file *f, uint64_t offset, uint64_t size)
{
    struct lossy_file *file = file_of(f);
    enter(file->lossy);
    file_forget(file->inner, offset, size);
    leave(file->lossy);
}

static void lossy_close(struct file *f)
{
    struct lossy_file *file = file_of(f);
    struct lossy_io *l = file->lossy;
    enter(l);
    file_close(file->inner);
    leave(l);
    mem_free(file);
}

static const struct file_ops lossy_file_ops = {
    .read_at = lossy_read_at,
    .write_at = lossy_write_at,
    .sync = lossy_sync,
    .size = lossy_size,
    .resize = lossy_resize,
    .forget = lossy_forget,
    .close = lossy_close,
};

/* --- names --- */

static enum err_code lossy_open(struct io *io, const char *path, unsigned flags, struct file **out,
                                struct err *e)
{
    struct lossy_io *l = lossy_of(io);
    const char *inner = inner_path(l, path);
    if (inner == NULL) {
        return io_open(l->real, path, flags, out, e);
    }
    struct file *file = NULL;
    enter(l);
    enum err_code code = io_open(&l->disk->io, inner, flags, &file, e);
    leave(l);
    if (code == ERR_OK) {
        struct lossy_file *outer = mem_alloc(sizeof *outer);
        *outer = (struct lossy_file){{&lossy_file_ops}, l, file};
        *out = &outer->file;
    }
    return code;
}

static enum err_code lossy_rename(struct io *io, const char *from, const char *to, struct err *e)
{
    struct lossy_io *l = lossy_of(io);
    const char *inner_from = inner_path(l, from);
    const char *inner_to = inner_path(l, to);
    if ((inner_from == NULL) != (inner_to == NULL)) {
        return err_set(e, ERR_UNSUPPORTED, "%s: rename: %s is on another disk", from, to);
    }
    if (inner_from == NULL) {
        return io_rename(l->real, from, to, e);
    }
    enter(l);
    enum err_code code = io_rename(&l->disk->io, inner_from, inner_to, e);
    leave(l);
    return code;
}

/* Calls that take one path, on whichever disk it is. */
static enum err_code on_path(struct io *io, const char *path, struct err *e,
                             enum err_code (*call)(struct io *, const char *, struct err *))
{
    struct lossy_io *l = lossy_of(io);
    const char *inner = inner_path(l, path);
    if (inner == NULL) {
        return call(l->real, path, e);
    }
    enter(l);
    enum err_code code = call(&l->disk->io, inner, e);
    leave(l);
    return code;
}

static enum err_code lossy_unlink(struct io *io, const char *path, struct err *e)
{
    return on_path(io, path, e, io_unlink);
}

static enum err_code lossy_mkdir(struct io *io, const char *path, struct err *e)
{
    return on_path(io, path, e, io_mkdir);
}

static enum err_code lossy_rmdir(struct io *io, const char *path, struct err *e)
{
    return on_path(io, path, e, io_rmdir);
}

static enum err_code lossy_sync_dir(struct io *io, const char *path, struct err *e)
{
    return on_path(io, path, e, io_sync_dir);
}

static enum err_code lossy_list(struct io *io, const char *path, struct io_name **names,
                                size_t *count, struct err *e)
{
    struct lossy_io *l = lossy_of(io);
    const char *inner = inner_path(l, path);
    if (inner == NULL) {
        return io_list(l->real, path, names, count, e);
    }
    enter(l);
    enum err_code code = io_list(&l->disk->io, inner, names, count, e);
    leave(l);
    return code;
}

/* --- what stays real --- */

static enum err_code lossy_lock_read(struct io *io, const char *path, struct file **out,
                                     struct err *e)
{
    return io_lock_read(lossy_of(io)->real, path, out, e);
}

static enum err_code lossy_lock(struct io *io, const char *path, struct file **out, struct err *e)
{
    return io_lock(lossy_of(io)->real, path, out, e);
}

static enum err_code lossy_space(struct io *io, const char *path, uint64_t *free_size,
                                 struct err *e)
{
    struct lossy_io *l = lossy_of(io);
    const char *inner = inner_path(l, path);
    enum err_code code = io_space(l->real, inner == NULL ? path : l->dir, free_size, e);
    enter(l);
    limit_room(l);
    uint64_t room = 0;
    if (code == ERR_OK && inner != NULL && l->limited) {
        code = io_space(&l->disk->io, "/", &room, e);
        *free_size = room < *free_size ? room : *free_size;
    }
    leave(l);
    return code;
}

static uint64_t lossy_monotonic_us(struct io *io)
{
    return io_monotonic_us(lossy_of(io)->real);
}

static int64_t lossy_wall_us(struct io *io)
{
    return io_wall_us(lossy_of(io)->real);
}

static void lossy_entropy(struct io *io, void *dst, size_t size)
{
    io_entropy(lossy_of(io)->real, dst, size);
}

static const struct io_ops lossy_ops = {
    .open = lossy_open,
    .rename = lossy_rename,
    .unlink = lossy_unlink,
    .mkdir = lossy_mkdir,
    .rmdir = lossy_rmdir,
    .list = lossy_list,
    .sync_dir = lossy_sync_dir,
    .lock = lossy_lock,
    .lock_read = lossy_lock_read,
    .space = lossy_space,
    .monotonic_us = lossy_monotonic_us,
    .wall_us = lossy_wall_us,
    .entropy = lossy_entropy,
};

/* --- life --- */

static enum err_code load_file(struct lossy_io *l, const char *path, struct err *e)
{
    enum { CHUNK = 1024 * 1024 };
    struct file *real = NULL;
    struct file *inner = NULL;
    enum err_code code = io_open(l->real, path, IO_READ, &real, e);
    if (code != ERR_OK) {
        return code;
    }
    code = io_open(&l->disk->io, inner_path(l, path), IO_WRITE | IO_CREATE, &inner, e);
    uint8_t *chunk = mem_alloc(CHUNK);
    uint64_t offset = 0;
    size_t got = CHUNK;
    while (code == ERR_OK && got == CHUNK) {
        code = file_read_at(real, offset, chunk, CHUNK, &got, e);
        struct bytes part = bytes_of(chunk, got);
        if (code == ERR_OK) {
            code = file_write_at(inner, offset, &part, 1, e);
        }
        offset += got;
    }
    if (code == ERR_OK) {
        code = file_sync(inner, e);
    }
    mem_free(chunk);
    file_close(inner);
    file_close(real);
    return code;
}

static enum err_code load_dir(struct lossy_io *l, struct work *work, const char *dir, struct err *e)
{
    struct io_name *names = NULL;
    size_t count = 0;
    enum err_code code = io_list(l->real, dir, &names, &count, e);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        char path[IO_PATH_MAX];
        code = io_join(path, dir, names[i].name, e);
        if (code == ERR_OK && names[i].is_dir) {
            code = io_mkdir(&l->disk->io, inner_path(l, path), e);
            work_add(work, path, "", NULL);
        } else if (code == ERR_OK) {
            code = load_file(l, path, e);
        }
    }
    mem_free(names);
    return code == ERR_OK ? io_sync_dir(&l->disk->io, inner_path(l, dir), e) : code;
}

static enum err_code load(struct lossy_io *l, struct err *e)
{
    enum err_code code = io_mkdir(l->real, l->dir, e);
    if (code != ERR_OK && code != ERR_EXISTS) {
        return code;
    }
    struct work work = {0};
    work_add(&work, l->dir, "", NULL);
    code = ERR_OK;
    for (size_t i = 0; i < work.count && code == ERR_OK; i++) {
        code = load_dir(l, &work, work.items[i].path, e);
    }
    work_deinit(&work);
    return code;
}

enum err_code lossy_io_fault_path(const char *dir, char path[IO_PATH_MAX], struct err *e)
{
    int size = snprintf(path, IO_PATH_MAX, "%s.fault", dir);
    return size > 0 && size < IO_PATH_MAX ? ERR_OK : err_set(e, ERR_RANGE, "%s: too long", dir);
}

enum err_code lossy_io_open(struct io *real, const char *dir, struct lossy_io **out, struct err *e)
{
    struct lossy_io *l = mem_zalloc(sizeof *l);
    l->io.ops = &lossy_ops;
    l->real = real;
    l->disk = fake_disk_create(0);
    l->dir = mem_strdup(dir);
    l->scratch = mem_format("%s.lossy-%016llx", dir, (unsigned long long)io_entropy_u64(real));
    CHECK(pthread_mutex_init(&l->mutex, NULL) == 0);
    fake_disk_set_write_back(l->disk, UINT64_MAX);
    *out = NULL;
    enum err_code code = lossy_io_fault_path(dir, l->fault, e);
    if (code == ERR_OK) {
        code = load(l, e);
    }
    if (code != ERR_OK) {
        lossy_io_close(l);
        return err_wrap(e, "lossy disk in %s", dir);
    }
    l->disk->state.applied = mirror_change;
    l->disk->state.applied_context = l;
    *out = l;
    return ERR_OK;
}

void lossy_io_close(struct lossy_io *l)
{
    if (l == NULL) {
        return;
    }
    CHECK(fake_disk_open_files(l->disk) == 0);
    fake_disk_destroy(l->disk);
    CHECK(pthread_mutex_destroy(&l->mutex) == 0);
    mem_free(l->scratch);
    mem_free(l->dir);
    mem_free(l);
}

struct io *lossy_io_io(struct lossy_io *l)
{
    return &l->io;
}

struct fake_disk *lossy_io_disk(struct lossy_io *l)
{
    return l->disk;
}
