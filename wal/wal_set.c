/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_set.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

void wal_set_init(struct wal_set *s, struct io *io, const char *dir,
                  const struct wal_layout *layout, uint64_t first)
{
    CHECK(io != NULL && dir != NULL);
    CHECK(wal_segment_size_valid(layout->segment_size));
    CHECK(first > 0);
    *s = (struct wal_set){.io = io, .dir = dir, .layout = *layout, .first = first};
}

static void close_item(struct wal_set *s, struct wal_set_item *item)
{
    CHECK(s->open_files <= WAL_SET_OPEN_FILES_MAX);
    CHECK(item->file == NULL || s->open_files > 0);
    if (item->file != NULL) {
        file_close(item->file);
        item->file = NULL;
        s->open_files--;
    }
}

void wal_set_clear(struct wal_set *s, uint64_t first)
{
    CHECK(s->open_files <= WAL_SET_OPEN_FILES_MAX);
    CHECK(first > 0);
    while (s->count > 0) {
        wal_set_shift(s);
    }
    CHECK(s->open_files == 0);
    s->first = first;
    s->start = 0;
}

void wal_set_deinit(struct wal_set *s)
{
    CHECK(s != NULL);
    wal_set_clear(s, 1);
    mem_free(s->items);
    *s = (struct wal_set){0};
}

struct wal_set_item *wal_set_at(const struct wal_set *s, uint64_t number)
{
    CHECK(s->start + s->count <= s->capacity);
    CHECK(number >= s->first);
    CHECK(number - s->first < s->count);
    return &s->items[s->start + (size_t)(number - s->first)];
}

/* Keeps few files open: the one used longest ago is closed, never the last,
 * which is written to. */
static void bound_open_files(struct wal_set *s)
{
    CHECK(s->open_files <= WAL_SET_OPEN_FILES_MAX);
    if (s->open_files < WAL_SET_OPEN_FILES_MAX) {
        return;
    }
    struct wal_set_item *oldest = NULL;
    for (size_t i = 0; i + 1 < s->count; i++) {
        struct wal_set_item *item = &s->items[s->start + i];
        if (item->file != NULL && (oldest == NULL || item->used < oldest->used)) {
            oldest = item;
        }
    }
    if (oldest != NULL) {
        close_item(s, oldest);
    }
}

void wal_set_push(struct wal_set *s, const struct wal_set_item *item)
{
    CHECK(item->file == NULL || item->present);
    CHECK(s->start + s->count <= s->capacity);
    if (s->start > 0 && s->start >= s->count) {
        memmove(s->items, s->items + s->start, s->count * sizeof *s->items);
        s->start = 0;
    }
    bound_open_files(s);
    s->items = mem_grow(s->items, &s->capacity, s->start + s->count + 1, sizeof *s->items);
    s->items[s->start + s->count] = *item;
    s->items[s->start + s->count].used = ++s->tick;
    s->count++;
    s->open_files += item->file != NULL;
}

void wal_set_shift(struct wal_set *s)
{
    CHECK(s->start + s->count <= s->capacity);
    CHECK(s->count > 0);
    close_item(s, &s->items[s->start]);
    s->start++;
    s->count--;
    s->first++;
}

enum err_code wal_set_path(const struct wal_set *s, uint64_t number, char dst[IO_PATH_MAX],
                           struct err *e)
{
    CHECK(s->dir != NULL);
    CHECK(dst != NULL);
    char name[WAL_SEGMENT_NAME_SIZE];
    wal_segment_name(&s->layout, wal_set_at(s, number)->timeline, number, name);
    return io_join(dst, s->dir, name, e);
}

enum err_code wal_set_file(struct wal_set *s, uint64_t number, struct file **out, struct err *e)
{
    CHECK(s->open_files <= WAL_SET_OPEN_FILES_MAX);
    CHECK(out != NULL);
    struct wal_set_item *item = wal_set_at(s, number);
    item->used = ++s->tick;
    if (item->file == NULL) {
        char path[IO_PATH_MAX];
        enum err_code code = wal_set_path(s, number, path, e);
        if (code == ERR_OK && !item->present) {
            code = err_set(e, ERR_NOT_FOUND, "segment %s is missing", path);
        }
        if (code == ERR_OK) {
            bound_open_files(s);
            code = io_open(s->io, path, IO_WRITE, &item->file, e);
        }
        if (code != ERR_OK) {
            return code;
        }
        s->open_files++;
    }
    *out = item->file;
    return ERR_OK;
}
