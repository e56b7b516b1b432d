/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that a log can't do without, and nothing else: pwrite into a
 * file of zeros that were synced before, fdatasync, pread. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/wal_load.h"

enum { FILE_SIZE = 16 * 1024 * 1024, BLOCK_SIZE = 1024 * 1024, BATCH_MAX = 256, PATH_SIZE = 1024 };

struct bare {
    int fd;
    off_t offset;
};

static void must_be(bool good, const char *what)
{
    if (!good) {
        perror(what);
    }
    load_must(good ? ERR_OK : ERR_IO, NULL);
}

/* Writes zeros over the whole file and makes them durable, as a log does before it
 * uses a file. */
static void zero(struct bare *b)
{
    uint8_t *zeros = mem_zalloc(BLOCK_SIZE);
    for (off_t at = 0; at < FILE_SIZE; at += BLOCK_SIZE) {
        must_be(pwrite(b->fd, zeros, BLOCK_SIZE, at) == BLOCK_SIZE, "pwrite");
    }
    must_be(fdatasync(b->fd) == 0, "fdatasync");
    mem_free(zeros);
    b->offset = 0;
}

static void *bare_open(const char *dir)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/bare", dir);
    struct bare *b = mem_zalloc(sizeof *b);
    b->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must_be(b->fd >= 0, path);
    zero(b);
    return b;
}

static void bare_write(void *log, struct bytes payload, size_t count, bool sync)
{
    struct bare *b = log;
    struct iovec parts[BATCH_MAX];
    CHECK(count <= BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct iovec){(void *)(uintptr_t)payload.data, payload.size};
    }
    ssize_t size = (ssize_t)(count * payload.size);
    if (b->offset + size > FILE_SIZE) {
        b->offset = 0;
    }
    must_be(pwritev(b->fd, parts, (int)count, b->offset) == size, "pwritev");
    b->offset += size;
    if (sync) {
        must_be(fdatasync(b->fd) == 0, "fdatasync");
    }
}

static void bare_tidy(void *log)
{
    zero(log);
}

static void bare_close(void *log)
{
    struct bare *b = log;
    must_be(close(b->fd) == 0, "close");
    mem_free(b);
}

static uint64_t read_file(const char *path, uint8_t *block)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t total = 0;
    must_be(fd >= 0, path);
    for (;;) {
        ssize_t n = pread(fd, block, BLOCK_SIZE, (off_t)total);
        must_be(n >= 0, path);
        if (n == 0) {
            break;
        }
        total += (uint64_t)n;
    }
    must_be(close(fd) == 0, path);
    return total;
}

static uint64_t bare_replay(const char *dir)
{
    uint8_t *block = mem_alloc(BLOCK_SIZE);
    DIR *names = opendir(dir);
    uint64_t total = 0;
    must_be(names != NULL, dir);
    CHECK(names != NULL);
    for (struct dirent *name = readdir(names); name != NULL; name = readdir(names)) {
        if (name->d_name[0] == '0') { /* a segment */
            char path[PATH_SIZE];
            (void)snprintf(path, sizeof path, "%s/%s", dir, name->d_name);
            total += read_file(path, block);
        }
    }
    must_be(closedir(names) == 0, dir);
    mem_free(block);
    return total;
}

const struct load_kind load_bare = {
    .name = "bare loop",
    .open = bare_open,
    .write = bare_write,
    .tidy = bare_tidy,
    .close = bare_close,
    /* no fill(): it reads the segments that ours left */
    .replay = bare_replay,
};
