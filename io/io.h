/* SPDX-License-Identifier: Apache-2.0 */
/* The seam to the world: files, clock, entropy.
 *
 * Everything above this room reaches the disk, the time and chance through a
 * 'struct io' that is handed in: io_posix.h is the real one, testkit has one
 * that loses, tears, flips and fails. Nothing else opens a file or reads a clock.
 *
 * Calls block. Threads: an io may be used by several threads, one file by one
 * thread at a time, except file_read_at(), which any thread may call beside a writer.
 *
 * A write is durable only after file_sync(); a new, renamed or removed name
 * only after io_sync_dir() of its directory. After a failed sync the state of
 * the file is unknown: the caller must not sync again and believe it. */
#ifndef TIDEMARK_IO_IO_H
#define TIDEMARK_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum io_open_flags {
    IO_READ = 1,
    IO_WRITE = 2,  /* implies IO_READ */
    IO_CREATE = 4, /* make it if it is missing */
    IO_EXCL = 8    /* with IO_CREATE: ERR_EXISTS if it is there */
};

enum { IO_PATH_MAX = 1024, IO_NAME_MAX = 255 };

struct io;
struct file;

struct io_name {
    char name[IO_NAME_MAX + 1];
    bool is_dir;
};

/* What a sync covers: the bytes and what it takes to read them (fdatasync), or the
 * times of the file too (fsync). */
enum file_sync_kind { FILE_SYNC_DATA, FILE_SYNC_ALL };

struct file_ops {
    enum err_code (*read_at)(struct file *f, uint64_t offset, void *dst, size_t size, size_t *got,
                             struct err *e);
    enum err_code (*write_at)(struct file *f, uint64_t offset, const struct bytes *parts,
                              size_t count, struct err *e);
    enum err_code (*sync)(struct file *f, struct err *e);
    enum err_code (*size)(struct file *f, uint64_t *size, struct err *e);
    enum err_code (*resize)(struct file *f, uint64_t size, struct err *e);
    void (*forget)(struct file *f, uint64_t offset, uint64_t size);
    void (*close)(struct file *f);
    /* NULL: 'sync' does it as well; 'write_at', then a sync. */
    enum err_code (*sync_all)(struct file *f, struct err *e);
    enum err_code (*write_through)(struct file *f, uint64_t offset, const struct bytes *parts,
                                   size_t count, enum file_sync_kind kind, struct err *e);
};

/* An implementation embeds this first. */
struct file {
    const struct file_ops *ops;
};

struct io_ops {
    enum err_code (*open)(struct io *io, const char *path, unsigned flags, struct file **out,
                          struct err *e);
    enum err_code (*rename)(struct io *io, const char *from, const char *to, struct err *e);
    enum err_code (*unlink)(struct io *io, const char *path, struct err *e);
    enum err_code (*mkdir)(struct io *io, const char *path, struct err *e);
    enum err_code (*rmdir)(struct io *io, const char *path, struct err *e);
    enum err_code (*list)(struct io *io, const char *path, struct io_name **names, size_t *count,
                          struct err *e);
    enum err_code (*sync_dir)(struct io *io, const char *path, struct err *e);
    enum err_code (*lock)(struct io *io, const char *path, struct file **out, struct err *e);
    enum err_code (*lock_read)(struct io *io, const char *path, struct file **out, struct err *e);
    enum err_code (*space)(struct io *io, const char *path, uint64_t *free_size, struct err *e);
    uint64_t (*monotonic_us)(struct io *io);
    int64_t (*wall_us)(struct io *io);
    void (*entropy)(struct io *io, void *dst, size_t size);
};

/* An implementation embeds this first. */
struct io {
    const struct io_ops *ops;
};

/* --- names. Paths are absolute or relative to the working directory. --- */

/* ERR_NOT_FOUND, ERR_EXISTS (IO_EXCL), ERR_NO_SPACE, ERR_IO. *out is the
 * caller's, to be given to file_close(). */
MUST_CHECK enum err_code io_open(struct io *io, const char *path, unsigned flags, struct file **out,
                                 struct err *e);
/* Replaces 'to' atomically if it exists. */
MUST_CHECK enum err_code io_rename(struct io *io, const char *from, const char *to, struct err *e);
MUST_CHECK enum err_code io_unlink(struct io *io, const char *path, struct err *e);
/* One level, mode 0700. ERR_EXISTS if there. */
MUST_CHECK enum err_code io_mkdir(struct io *io, const char *path, struct err *e);
MUST_CHECK enum err_code io_rmdir(struct io *io, const char *path, struct err *e);
/* The names in a directory, sorted bytewise, without "." and "..". *names is
 * the caller's, one block, to be given to mem_free(). */
MUST_CHECK enum err_code io_list(struct io *io, const char *path, struct io_name **names,
                                 size_t *count, struct err *e);
MUST_CHECK enum err_code io_sync_dir(struct io *io, const char *path, struct err *e);
/* Holds 'path' (made if missing) until file_close() or the end of the process.
 * ERR_STATE when another process holds it. */
MUST_CHECK enum err_code io_lock(struct io *io, const char *path, struct file **out, struct err *e);
/* Keeps holders of io_lock() away in the same manner, without making or changing
 * the file. ERR_NOT_FOUND: nobody ever held it. */
MUST_CHECK enum err_code io_lock_read(struct io *io, const char *path, struct file **out,
                                      struct err *e);
/* Bytes that an unprivileged write can still take in the file system of 'path'. */
MUST_CHECK enum err_code io_space(struct io *io, const char *path, uint64_t *free_size,
                                  struct err *e);
/* Whether a file or directory of that name is there. */
MUST_CHECK enum err_code io_exists(struct io *io, const char *path, bool *exists, struct err *e);

/* --- time and chance --- */

uint64_t io_monotonic_us(struct io *io); /* never goes back; for timers */
int64_t io_wall_us(struct io *io);       /* since 1970 UTC; may jump; for people and retention */
void io_entropy(struct io *io, void *dst, size_t size); /* unpredictable bytes */
uint64_t io_entropy_u64(struct io *io);

/* --- one file --- */

/* Reads up to 'size' bytes; fewer only at the end of the file. *got says how
 * many. ERR_IO names the offset. */
MUST_CHECK enum err_code file_read_at(struct file *f, uint64_t offset, void *dst, size_t size,
                                      size_t *got, struct err *e);
/* As above, ERR_CORRUPT when the file ends before 'size' bytes. */
MUST_CHECK enum err_code file_read_exact(struct file *f, uint64_t offset, void *dst, size_t size,
                                         struct err *e);
/* Writes all parts one behind the other. After an error any subset of the
 * bytes may be there. */
MUST_CHECK enum err_code file_write_at(struct file *f, uint64_t offset, const struct bytes *parts,
                                       size_t count, struct err *e);
/* Durable with its size (fdatasync). */
MUST_CHECK enum err_code file_sync(struct file *f, struct err *e);
MUST_CHECK enum err_code file_sync_as(struct file *f, enum file_sync_kind kind, struct err *e);
/* As file_write_at(), and these bytes are durable on return, as if the file had been
 * opened with O_DSYNC or O_SYNC; what was written before may be or not. An error is
 * one of a sync. */
MUST_CHECK enum err_code file_write_through(struct file *f, uint64_t offset,
                                            const struct bytes *parts, size_t count,
                                            enum file_sync_kind kind, struct err *e);
MUST_CHECK enum err_code file_size(struct file *f, uint64_t *size, struct err *e);
/* Cuts, or extends with zeros (sparse). */
MUST_CHECK enum err_code file_resize(struct file *f, uint64_t size, struct err *e);
/* What is cached of the range and is not newer than the disk is given up, so that the
 * next read shows what the disk has. As far as the system does that; nothing is lost by it. */
void file_forget(struct file *f, uint64_t offset, uint64_t size);
void file_close(struct file *f); /* NULL is fine; does not sync */

/* --- small things built on the above --- */

/* "dir/name" into dst; a path too long is ERR_RANGE. */
MUST_CHECK enum err_code io_join(char dst[IO_PATH_MAX], const char *dir, const char *name,
                                 struct err *e);
/* A whole small file. ERR_RANGE when larger than size_max. */
MUST_CHECK enum err_code io_read_file(struct io *io, const char *path, size_t size_max,
                                      struct buf *out, struct err *e);
/* Temporary file "path.tmp", write, sync, rename, sync of the directory: after
 * a crash the old or the new content, never neither. */
MUST_CHECK enum err_code io_replace_file(struct io *io, const char *dir, const char *name,
                                         struct bytes content, struct err *e);

#endif
