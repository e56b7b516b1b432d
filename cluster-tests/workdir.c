/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/workdir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/io_posix.h"

enum { CHUNK_SIZE = 65536, DEPTH_MAX = 8 };

struct workdir {
    char path[IO_PATH_MAX];
    int alive; /* closed, by whatever end of this process, it wakes the watcher */
};

static void must(enum err_code code, const struct err *e)
{
    if (code != ERR_OK) {
        PANIC("%s", e->text);
    }
}

/* --- trees. One level per call; depth is bounded by what a node makes. --- */

static bool is_directory(const char *path)
{
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    enum err_code code = io_list(io_posix(), path, &names, &count, &e);
    mem_free(names);
    return code == ERR_OK;
}

static void join(char dst[IO_PATH_MAX], const char *dir, const char *name)
{
    struct err e;
    must(io_join(dst, dir, name, &e), &e);
}

/* Visits every file and directory below 'path', what is inside before the
 * directory itself. */
struct walk {
    char dirs[DEPTH_MAX][IO_PATH_MAX];
    struct io_name *names[DEPTH_MAX];
    size_t counts[DEPTH_MAX];
    size_t at[DEPTH_MAX];
    size_t depth;
};

static void walk_push(struct walk *w, const char *path)
{
    struct err e;
    CHECK(w->depth < DEPTH_MAX);
    (void)snprintf(w->dirs[w->depth], IO_PATH_MAX, "%s", path);
    w->at[w->depth] = 0;
    must(io_list(io_posix(), path, &w->names[w->depth], &w->counts[w->depth], &e), &e);
    w->depth++;
}

/* The next file (*is_dir false), or directory that is done. */
static bool walk_next(struct walk *w, char path[IO_PATH_MAX], bool *is_dir)
{
    while (w->depth > 0) {
        size_t top = w->depth - 1;
        if (w->at[top] == w->counts[top]) {
            (void)snprintf(path, IO_PATH_MAX, "%s", w->dirs[top]);
            mem_free(w->names[top]);
            w->depth--;
            *is_dir = true;
            return true;
        }
        const struct io_name *name = &w->names[top][w->at[top]++];
        join(path, w->dirs[top], name->name);
        if (!name->is_dir) {
            *is_dir = false;
            return true;
        }
        walk_push(w, path);
    }
    return false;
}

void tree_remove(const char *path)
{
    struct err e;
    if (!is_directory(path)) {
        (void)!unlink(path);
        return;
    }
    struct walk *w = mem_zalloc(sizeof *w);
    walk_push(w, path);
    char at[IO_PATH_MAX];
    bool is_dir = false;
    while (walk_next(w, at, &is_dir)) {
        must(is_dir ? io_rmdir(io_posix(), at, &e) : io_unlink(io_posix(), at, &e), &e);
    }
    mem_free(w);
}

static void copy_file(const char *from, const char *to)
{
    struct err e;
    struct file *source = NULL;
    struct file *target = NULL;
    uint64_t size = 0;
    must(io_open(io_posix(), from, IO_READ, &source, &e), &e);
    must(io_open(io_posix(), to, IO_WRITE | IO_CREATE | IO_EXCL, &target, &e), &e);
    must(file_size(source, &size, &e), &e);
    must(file_resize(target, size, &e), &e);
    uint8_t *chunk = mem_alloc(CHUNK_SIZE);
    for (uint64_t offset = 0; offset < size; offset += CHUNK_SIZE) {
        size_t got = 0;
        must(file_read_at(source, offset, chunk, CHUNK_SIZE, &got, &e), &e);
        struct bytes part = {chunk, got};
        if (!bytes_is_zero(part)) {
            must(file_write_at(target, offset, &part, 1, &e), &e);
        }
    }
    mem_free(chunk);
    file_close(source);
    file_close(target);
}

static void make_parents(const char *path, size_t fixed)
{
    char part[IO_PATH_MAX];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *p = part + fixed + 1; *p != '\0'; p++) {
        if (*p == '/') {
            struct err e;
            *p = '\0';
            enum err_code code = io_mkdir(io_posix(), part, &e);
            if (code != ERR_EXISTS) {
                must(code, &e);
            }
            *p = '/';
        }
    }
}

void tree_copy(const char *from, const char *to)
{
    struct err e;
    must(io_mkdir(io_posix(), to, &e), &e);
    struct walk *w = mem_zalloc(sizeof *w);
    walk_push(w, from);
    char at[IO_PATH_MAX];
    char copy[IO_PATH_MAX];
    bool is_dir = false;
    while (walk_next(w, at, &is_dir)) {
        (void)snprintf(copy, sizeof copy, "%s%s%s", to, at + strlen(from), is_dir ? "/" : "");
        make_parents(copy, strlen(to)); /* a directory itself too: empty ones count */
        if (!is_dir) {
            copy_file(at, copy);
        }
    }
    mem_free(w);
}

void tree_flip(const char *path, uint64_t offset, size_t count)
{
    struct err e;
    struct file *f = NULL;
    must(io_open(io_posix(), path, IO_WRITE, &f, &e), &e);
    uint8_t *bytes = mem_alloc(count);
    must(file_read_exact(f, offset, bytes, count, &e), &e);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)~bytes[i];
    }
    struct bytes part = {bytes, count};
    must(file_write_at(f, offset, &part, 1, &e), &e);
    mem_free(bytes);
    file_close(f);
}

/* --- the directory of a test --- */

static bool keeps(void)
{
    const char *keep = getenv("TIDEMARK_KEEP");
    return keep != NULL && keep[0] != '\0';
}

/* Outlives the test: it has a session of its own and is nobody's child, so a
 * test driver that kills the test and its children leaves it alone. */
__attribute__((noreturn)) static void watch(int alive, const char *path)
{
    (void)setsid();
    if (fork() != 0) {
        _exit(0);
    }
    /* Holds nothing else of the test: its output would never end. */
    (void)dup2(alive, STDIN_FILENO);
    (void)close_range(1, ~0U, 0);
    char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    bool exists = false;
    if (io_exists(io_posix(), path, &exists, NULL) == ERR_OK && exists) {
        tree_remove(path);
    }
    _exit(0);
}

static int start_watcher(const char *path)
{
    int ends[2];
    int rv = pipe2(ends, O_CLOEXEC);
    CHECK(rv == 0);
    pid_t id = fork();
    CHECK(id >= 0);
    if (id == 0) {
        (void)close(ends[1]);
        watch(ends[0], path);
    }
    (void)close(ends[0]);
    (void)waitpid(id, NULL, 0);
    return ends[1];
}

struct workdir *workdir_open(const char *name)
{
    const char *parent = getenv("TMPDIR");
    struct workdir *w = mem_zalloc(sizeof *w);
    w->alive = -1;
    int size = snprintf(w->path, sizeof w->path, "%s/tidemark-%s-XXXXXX",
                        parent == NULL || parent[0] == '\0' ? "/tmp" : parent, name);
    CHECK(size > 0 && (size_t)size < sizeof w->path);
    const char *made = mkdtemp(w->path);
    CHECK(made != NULL);
    if (!keeps()) {
        w->alive = start_watcher(w->path);
    }
    return w;
}

void workdir_close(struct workdir *w)
{
    if (keeps()) {
        (void)printf("kept: %s\n", w->path);
    } else {
        tree_remove(w->path);
        (void)close(w->alive);
    }
    mem_free(w);
}

void workdir_path(const struct workdir *w, const char *name, char dst[IO_PATH_MAX])
{
    join(dst, w->path, name);
}
