/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "wal/wal_mutation.h"

/* A name with a number above the maximum is none of ours: numbers only rise from
 * the highest one found, and have to stay in 32 bits. */
enum { ZEROS_SIZE = 256 * 1024, NAME_DIGITS = 8, NUMBER_FOUND_MAX = INT32_MAX };

static const char PREFIX[] = "spare-";
static const uint8_t zeros[ZEROS_SIZE];

void wal_pool_init(struct wal_pool *p, struct io *io, const char *dir, uint64_t file_size,
                   size_t keep_max)
{
    CHECK(io != NULL && dir != NULL);
    CHECK(file_size > 0);
    *p = (struct wal_pool){
        .io = io, .dir = dir, .file_size = file_size, .keep_max = keep_max, .number_next = 1};
}

void wal_pool_deinit(struct wal_pool *p)
{
    CHECK(p != NULL);
    CHECK(p->count <= p->capacity);
    for (size_t i = 0; i < p->count; i++) {
        file_close(p->spares[i].file);
    }
    mem_free(p->spares);
    *p = (struct wal_pool){0};
}

static enum err_code spare_path(const struct wal_pool *p, uint32_t number, char dst[IO_PATH_MAX],
                                struct err *e)
{
    CHECK(dst != NULL);
    CHECK(number > 0);
    char name[sizeof PREFIX + NAME_DIGITS];
    (void)snprintf(name, sizeof name, "%s%08" PRIx32, PREFIX, number);
    return io_join(dst, p->dir, name, e);
}

static struct wal_spare *push(struct wal_pool *p, uint32_t number)
{
    CHECK(p->count <= p->capacity);
    CHECK(number > 0);
    CHECK(number < UINT32_MAX);
    p->spares = mem_grow(p->spares, &p->capacity, p->count + 1, sizeof *p->spares);
    struct wal_spare *spare = &p->spares[p->count++];
    *spare = (struct wal_spare){.number = number};
    if (number >= p->number_next) {
        p->number_next = number + 1;
    }
    return spare;
}

static void forget(struct wal_pool *p, size_t i)
{
    CHECK(p->count <= p->capacity);
    CHECK(i < p->count);
    p->spares[i] = p->spares[--p->count];
}

static enum err_code open_spare(struct wal_pool *p, struct wal_spare *spare, struct err *e)
{
    CHECK(spare->number > 0);
    CHECK(spare->file == NULL);
    CHECK(!spare->ready);
    char path[IO_PATH_MAX];
    enum err_code code = spare_path(p, spare->number, path, e);
    if (code == ERR_OK) {
        code = io_open(p->io, path, IO_WRITE | IO_CREATE, &spare->file, e);
    }
    uint64_t size = 0;
    if (code == ERR_OK) {
        code = file_size(spare->file, &size, e);
    }
    if (code == ERR_OK && size > p->file_size) {
        code = file_resize(spare->file, p->file_size, e);
    }
    return code;
}

enum err_code wal_pool_adopt(struct wal_pool *p, const char *name, bool *adopted, struct err *e)
{
    CHECK(p->count <= p->capacity);
    CHECK(name != NULL && adopted != NULL);
    *adopted = false;
    size_t prefix = sizeof PREFIX - 1;
    if (strncmp(name, PREFIX, prefix) != 0 || strlen(name) != prefix + NAME_DIGITS) {
        return ERR_OK;
    }
    char *stop;
    unsigned long number = strtoul(name + prefix, &stop, 16);
    if (*stop != '\0' || number == 0 || number > NUMBER_FOUND_MAX) {
        return ERR_OK;
    }
    *adopted = true;
    if (p->count <= p->keep_max) {
        (void)push(p, (uint32_t)number);
        if (WAL_MUTATED(TRUST_SPARES)) {
            p->spares[p->count - 1].zeroed = p->file_size;
            return open_spare(p, &p->spares[p->count - 1], e);
        }
        return ERR_OK;
    }
    char path[IO_PATH_MAX];
    enum err_code code = spare_path(p, (uint32_t)number, path, e);
    return code == ERR_OK ? io_unlink(p->io, path, e) : code;
}

enum err_code wal_pool_add(struct wal_pool *p, const char *path, struct err *e)
{
    CHECK(p->count <= p->capacity);
    CHECK(path != NULL);
    p->recycled++;
    if (p->count > p->keep_max) {
        return io_unlink(p->io, path, e);
    }
    char spare[IO_PATH_MAX];
    uint32_t number = p->number_next;
    enum err_code code = spare_path(p, number, spare, e);
    if (code == ERR_OK) {
        code = io_rename(p->io, path, spare, e);
    }
    if (code == ERR_OK) {
        (void)push(p, number);
    }
    return code;
}

/* The ones that are not ready first. */
static size_t find_surplus(const struct wal_pool *p)
{
    CHECK(p->count > 0);
    CHECK(p->count <= p->capacity);
    size_t i = 0;
    while (i + 1 < p->count && p->spares[i].ready) {
        i++;
    }
    return i;
}

enum err_code wal_pool_keep(struct wal_pool *p, size_t keep_max, struct err *e)
{
    CHECK(p->count <= p->capacity);
    CHECK(keep_max < SIZE_MAX);
    p->keep_max = keep_max;
    while (p->count > keep_max + 1) {
        size_t i = find_surplus(p);
        char path[IO_PATH_MAX];
        enum err_code code = spare_path(p, p->spares[i].number, path, e);
        file_close(p->spares[i].file);
        p->spares[i].file = NULL;
        if (code == ERR_OK) {
            code = io_unlink(p->io, path, e);
        }
        if (code != ERR_OK) {
            return code;
        }
        forget(p, i);
    }
    return ERR_OK;
}

size_t wal_pool_ready(const struct wal_pool *p)
{
    CHECK(p->spares != NULL || p->count == 0);
    CHECK(p->count <= p->capacity);
    size_t ready = 0;
    for (size_t i = 0; i < p->count; i++) {
        ready += p->spares[i].ready;
    }
    return ready;
}

/* No room for it: a file half made would only be in the way. */
static void discard(struct wal_pool *p, size_t i)
{
    CHECK(i < p->count);
    CHECK(p->spares[i].number > 0);
    CHECK(!p->spares[i].ready);
    char path[IO_PATH_MAX];
    file_close(p->spares[i].file);
    if (spare_path(p, p->spares[i].number, path, NULL) == ERR_OK &&
        io_unlink(p->io, path, NULL) != ERR_OK) {
        p->spares[i].file = NULL; /* still there: zeroed from the start the next time */
        p->spares[i].zeroed = 0;
        return;
    }
    forget(p, i);
}

/* Writes zeros to one file, at most *budget bytes; syncs at its end. */
static enum err_code zero(struct wal_pool *p, struct wal_spare *spare, uint64_t *budget,
                          struct err *e)
{
    CHECK(*budget > 0);
    CHECK(!spare->ready);
    CHECK(spare->zeroed <= p->file_size);
    enum err_code code = spare->file == NULL ? open_spare(p, spare, e) : ERR_OK;
    if (WAL_MUTATED(NO_ZEROS) && code == ERR_OK && spare->zeroed == 0) {
        uint64_t size = 0;
        code = file_size(spare->file, &size, e);
        spare->zeroed = size;
    }
    while (code == ERR_OK && spare->zeroed < p->file_size && *budget > 0) {
        uint64_t size = p->file_size - spare->zeroed;
        size = size < ZEROS_SIZE ? size : ZEROS_SIZE;
        size = size < *budget ? size : *budget;
        struct bytes part = bytes_of(zeros, (size_t)size);
        code = file_write_at(spare->file, spare->zeroed, &part, 1, e);
        if (code == ERR_OK) {
            spare->zeroed += size;
            *budget -= size;
        }
    }
    if (code == ERR_OK && spare->zeroed == p->file_size) {
        code = file_sync(spare->file, e);
        spare->ready = code == ERR_OK;
    }
    return code;
}

static size_t find_dirty(struct wal_pool *p)
{
    CHECK(p->count <= p->capacity);
    CHECK(wal_pool_ready(p) <= p->count);
    for (size_t i = 0; i < p->count; i++) {
        if (!p->spares[i].ready) {
            return i;
        }
    }
    (void)push(p, p->number_next);
    return p->count - 1;
}

enum err_code wal_pool_step(struct wal_pool *p, size_t count, uint64_t size_max, bool *done,
                            struct err *e)
{
    CHECK(done != NULL);
    uint64_t budget = size_max;
    while (wal_pool_ready(p) < count && budget > 0) {
        size_t i = find_dirty(p);
        enum err_code code = zero(p, &p->spares[i], &budget, e);
        if (code != ERR_OK) {
            *done = false;
            discard(p, i);
            return code;
        }
    }
    *done = wal_pool_ready(p) >= count;
    return ERR_OK;
}

enum err_code wal_pool_take(struct wal_pool *p, const char *path, struct file **out, struct err *e)
{
    CHECK(path != NULL && out != NULL);
    size_t i = 0;
    while (i < p->count && !p->spares[i].ready) {
        i++;
    }
    CHECK(i < p->count);
    char spare[IO_PATH_MAX];
    enum err_code code = spare_path(p, p->spares[i].number, spare, e);
    if (code == ERR_OK) {
        code = io_rename(p->io, spare, path, e);
    }
    if (code == ERR_OK) {
        *out = p->spares[i].file;
        forget(p, i);
    }
    return code;
}
