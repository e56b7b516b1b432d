/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* NOLINT(bugprone-reserved-identifier): pwritev2, F_OFD_SETLK */
#endif
#include "io/io_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    WRITE_PARTS = 64, /* parts for one pwritev2() */
    ERRNO_TEXT_SIZE = 128,
    US_PER_S = 1000000,
    NS_PER_US = 1000,
    FILE_MODE = 0600,
    DIR_MODE = 0700
};

struct posix_file {
    struct file file;
    int fd;
    char *path; /* owned; for messages */
};

static enum err_code code_of_errno(int number)
{
    switch (number) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOTEMPTY:
    case EBUSY:
        return ERR_STATE;
    case ENAMETOOLONG:
        return ERR_RANGE;
    default:
        return ERR_IO;
    }
}

/* "PATH: CALL: No such file or directory" from errno. */
static enum err_code fail(struct err *e, const char *path, const char *call)
{
    int number = errno;
    char text[ERRNO_TEXT_SIZE];
    return err_set(e, code_of_errno(number), "%s: %s: %s", path, call,
                   strerror_r(number, text, sizeof text));
}

/* "PATH: CALL at OFFSET: Input/output error" from errno. */
static enum err_code fail_at(struct err *e, const char *path, const char *call, uint64_t offset)
{
    int number = errno;
    char text[ERRNO_TEXT_SIZE];
    return err_set(e, code_of_errno(number), "%s: %s at %" PRIu64 ": %s", path, call, offset,
                   strerror_r(number, text, sizeof text));
}

/* --- one file --- */

static struct posix_file *posix_file(struct file *f)
{
    return (struct posix_file *)f;
}

static enum err_code posix_read_at(struct file *f, uint64_t offset, void *dst, size_t size,
                                   size_t *got, struct err *e)
{
    struct posix_file *p = posix_file(f);
    uint8_t *at = dst;
    while (*got < size) {
        ssize_t n = pread(p->fd, at + *got, size - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail_at(e, p->path, "pread", offset + *got);
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return ERR_OK;
}

/* Drops the first 'done' bytes of the vector; returns what is left of it. */
static size_t advance(struct iovec *vector, size_t count, size_t done)
{
    size_t gone = 0;
    while (gone < count && done >= vector[gone].iov_len) {
        done -= vector[gone].iov_len;
        gone++;
    }
    memmove(vector, vector + gone, (count - gone) * sizeof vector[0]);
    if (gone < count) {
        vector[0].iov_base = (uint8_t *)vector[0].iov_base + done;
        vector[0].iov_len -= done;
    }
    return count - gone;
}

/* 'how': 0, RWF_DSYNC or RWF_SYNC. */
static enum err_code write_vector(struct posix_file *p, uint64_t *offset, struct iovec *vector,
                                  size_t count, int how, struct err *e)
{
    count = advance(vector, count, 0); /* empty parts in front */
    while (count > 0) {
        ssize_t n = pwritev2(p->fd, vector, (int)count, (off_t)*offset, how);
        if (n < 0 && errno == EINTR && how == 0) {
            continue; /* one that syncs is not retried, see posix_sync() */
        }
        if (n == 0) {
            errno = EIO; /* no progress and no reason: never again without end */
        }
        if (n <= 0) {
            return fail_at(e, p->path, "pwrite", *offset);
        }
        *offset += (size_t)n;
        count = advance(vector, count, (size_t)n);
    }
    return ERR_OK;
}

static enum err_code write_parts(struct file *f, uint64_t offset, const struct bytes *parts,
                                 size_t count, int how, struct err *e)
{
    struct iovec vector[WRITE_PARTS];
    for (size_t first = 0; first < count; first += WRITE_PARTS) {
        size_t n = count - first < WRITE_PARTS ? count - first : WRITE_PARTS;
        for (size_t i = 0; i < n; i++) {
            struct bytes part = parts[first + i];
            vector[i] = (struct iovec){(void *)(uintptr_t)part.data, part.size};
        }
        enum err_code code = write_vector(posix_file(f), &offset, vector, n, how, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code posix_write_at(struct file *f, uint64_t offset, const struct bytes *parts,
                                    size_t count, struct err *e)
{
    return write_parts(f, offset, parts, count, 0, e);
}

static enum err_code posix_write_through(struct file *f, uint64_t offset, const struct bytes *parts,
                                         size_t count, enum file_sync_kind kind, struct err *e)
{
    return write_parts(f, offset, parts, count, kind == FILE_SYNC_ALL ? RWF_SYNC : RWF_DSYNC, e);
}

/* Not retried, not even after EINTR: a second call may report success for
 * pages that the first one dropped. */
static enum err_code posix_sync(struct file *f, struct err *e)
{
    struct posix_file *p = posix_file(f);
    return fdatasync(p->fd) == 0 ? ERR_OK : fail(e, p->path, "fdatasync");
}

static enum err_code posix_sync_all(struct file *f, struct err *e)
{
    struct posix_file *p = posix_file(f);
    return fsync(p->fd) == 0 ? ERR_OK : fail(e, p->path, "fsync");
}

static enum err_code posix_size(struct file *f, uint64_t *size, struct err *e)
{
    struct posix_file *p = posix_file(f);
    struct stat st;
    if (fstat(p->fd, &st) != 0) {
        return fail(e, p->path, "fstat");
    }
    *size = (uint64_t)st.st_size;
    return ERR_OK;
}

static enum err_code posix_resize(struct file *f, uint64_t size, struct err *e)
{
    struct posix_file *p = posix_file(f);
    int result = 0;
    do {
        result = ftruncate(p->fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? ERR_OK : fail(e, p->path, "ftruncate");
}

/* Only whole pages are given up: those that the range touches. */
static void posix_forget(struct file *f, uint64_t offset, uint64_t size)
{
    enum { PAGE = 64 * 1024 }; /* at least that of any system we run on */
    uint64_t begin = offset - offset % PAGE;
    uint64_t end = offset + size + PAGE - (offset + size) % PAGE;
    (void)posix_fadvise(posix_file(f)->fd, (off_t)begin, (off_t)(end - begin), POSIX_FADV_DONTNEED);
}

static void posix_close(struct file *f)
{
    struct posix_file *p = posix_file(f);
    /* Closing promises nothing; what had to be durable was synced. */
    (void)close(p->fd);
    mem_free(p->path);
    mem_free(p);
}

static const struct file_ops posix_file_ops = {
    .read_at = posix_read_at,
    .write_at = posix_write_at,
    .sync = posix_sync,
    .size = posix_size,
    .resize = posix_resize,
    .forget = posix_forget,
    .close = posix_close,
    .sync_all = posix_sync_all,
    .write_through = posix_write_through,
};

static struct file *file_of_fd(int fd, const char *path)
{
    struct posix_file *p = mem_alloc(sizeof *p);
    *p = (struct posix_file){{&posix_file_ops}, fd, mem_strdup(path)};
    return &p->file;
}

/* --- names --- */

static int open_retried(const char *path, int flags)
{
    int fd = -1;
    do {
        fd = open(path, flags | O_CLOEXEC, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static enum err_code posix_open(struct io *io, const char *path, unsigned flags, struct file **out,
                                struct err *e)
{
    (void)io;
    int how = (flags & IO_WRITE) != 0 ? O_RDWR : O_RDONLY;
    how |= (flags & IO_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & IO_EXCL) != 0 ? O_EXCL : 0;
    int fd = open_retried(path, how);
    if (fd < 0) {
        return fail(e, path, "open");
    }
    *out = file_of_fd(fd, path);
    return ERR_OK;
}

static enum err_code posix_rename(struct io *io, const char *from, const char *to, struct err *e)
{
    (void)io;
    if (rename(from, to) != 0) {
        enum err_code code = fail(e, from, "rename");
        return e == NULL ? code : err_wrap(e, "to %s", to);
    }
    return ERR_OK;
}

static enum err_code posix_unlink(struct io *io, const char *path, struct err *e)
{
    (void)io;
    return unlink(path) == 0 ? ERR_OK : fail(e, path, "unlink");
}

static enum err_code posix_mkdir(struct io *io, const char *path, struct err *e)
{
    (void)io;
    return mkdir(path, DIR_MODE) == 0 ? ERR_OK : fail(e, path, "mkdir");
}

static enum err_code posix_rmdir(struct io *io, const char *path, struct err *e)
{
    (void)io;
    return rmdir(path) == 0 ? ERR_OK : fail(e, path, "rmdir");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct io_name *)a)->name, ((const struct io_name *)b)->name);
}

static bool is_dir(int dir_fd, const struct dirent *entry)
{
    if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
        struct stat st;
        CHECK(dir_fd >= 0);
        return fstatat(dir_fd, entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
    }
    return entry->d_type == DT_DIR;
}

static enum err_code read_names(DIR *dir, const char *path, struct io_name **names, size_t *count,
                                struct err *e)
{
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL && errno != 0) {
            return fail(e, path, "readdir");
        }
        if (entry == NULL) {
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        *names = mem_grow(*names, &capacity, *count + 1, sizeof **names);
        struct io_name *name = &(*names)[(*count)++];
        CHECK(strlen(entry->d_name) <= IO_NAME_MAX);
        (void)snprintf(name->name, sizeof name->name, "%s", entry->d_name);
        name->is_dir = is_dir(dirfd(dir), entry);
    }
    if (*count > 0) {
        qsort(*names, *count, sizeof **names, compare_names);
    }
    return ERR_OK;
}

static enum err_code posix_list(struct io *io, const char *path, struct io_name **names,
                                size_t *count, struct err *e)
{
    (void)io;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return fail(e, path, "opendir");
    }
    enum err_code code = read_names(dir, path, names, count, e);
    (void)closedir(dir);
    if (code != ERR_OK) {
        mem_free(*names);
        *names = NULL;
        *count = 0;
    }
    return code;
}

static enum err_code posix_sync_dir(struct io *io, const char *path, struct err *e)
{
    (void)io;
    int fd = open_retried(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return fail(e, path, "open");
    }
    enum err_code code = fsync(fd) == 0 ? ERR_OK : fail(e, path, "fsync");
    (void)close(fd);
    return code;
}

/* The lock file holds the holder's process id, for the message to the next one. */
static void write_pid(int fd)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    CHECK(size > 0);
    /* A full disk must not keep a node from starting: the lock holds without it. */
    bool written = ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) == size;
    if (!written && ftruncate(fd, 0) != 0) {
        return; /* the message will name a wrong process, no more */
    }
}

static enum err_code fail_held(int fd, const char *path, struct err *e)
{
    char text[32] = "";
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    long pid = size > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0) {
        return err_set(e, ERR_STATE, "%s: held by another process", path);
    }
    return err_set(e, ERR_STATE, "%s: held by process %ld", path, pid);
}

/* A lock of the open file description: it ends with the file or the process,
 * however that ends, and a second open in the same process is refused too. */
static enum err_code take_lock(const char *path, bool write, struct file **out, struct err *e)
{
    int fd = open_retried(path, write ? O_RDWR | O_CREAT : O_RDONLY);
    if (fd < 0) {
        return fail(e, path, "open");
    }
    struct flock lock = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        if (write) {
            write_pid(fd);
        }
        *out = file_of_fd(fd, path);
        return ERR_OK;
    }
    enum err_code code = errno == EAGAIN || errno == EACCES ? fail_held(fd, path, e)
                                                            : fail(e, path, "fcntl(F_OFD_SETLK)");
    (void)close(fd);
    return code;
}

static enum err_code posix_lock(struct io *io, const char *path, struct file **out, struct err *e)
{
    (void)io;
    return take_lock(path, true, out, e);
}

static enum err_code posix_lock_read(struct io *io, const char *path, struct file **out,
                                     struct err *e)
{
    (void)io;
    return take_lock(path, false, out, e);
}

static enum err_code posix_space(struct io *io, const char *path, uint64_t *free_size,
                                 struct err *e)
{
    (void)io;
    struct statvfs st;
    if (statvfs(path, &st) != 0) {
        return fail(e, path, "statvfs");
    }
    *free_size = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
    return ERR_OK;
}

/* --- time and chance --- */

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        PANIC("clock_gettime(%d) failed", (int)clock);
    }
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / NS_PER_US;
}

static uint64_t posix_monotonic_us(struct io *io)
{
    (void)io;
    return (uint64_t)clock_us(CLOCK_MONOTONIC);
}

static int64_t posix_wall_us(struct io *io)
{
    (void)io;
    return clock_us(CLOCK_REALTIME);
}

static void posix_entropy(struct io *io, void *dst, size_t size)
{
    (void)io;
    uint8_t *at = dst;
    while (size > 0) {
        ssize_t n = getrandom(at, size, 0);
        if (n < 0 && errno != EINTR) {
            PANIC("getrandom failed: error %d", errno);
        }
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
}

static const struct io_ops posix_ops = {
    .open = posix_open,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .list = posix_list,
    .sync_dir = posix_sync_dir,
    .lock = posix_lock,
    .lock_read = posix_lock_read,
    .space = posix_space,
    .monotonic_us = posix_monotonic_us,
    .wall_us = posix_wall_us,
    .entropy = posix_entropy,
};

struct io *io_posix(void)
{
    static struct io io = {&posix_ops}; /* no state: only the table of functions */
    return &io;
}
