/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_outline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct listed {
    uint64_t number;
    uint32_t timeline;
    bool side;
};

/* --- which log is it --- */

static enum err_code read_header(struct wal_outline *o, const char *name,
                                 struct wal_segment_header *header, enum wal_record_check *check,
                                 struct err *e)
{
    CHECK(header != NULL && check != NULL);
    CHECK(strlen(name) == WAL_SEGMENT_NAME_SIZE - 1);
    char path[IO_PATH_MAX];
    struct file *file;
    enum err_code code = io_join(path, o->dir, name, e);
    if (code == ERR_OK) {
        code = io_open(o->io, path, IO_READ, &file, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    *check = file_read_exact(file, 0, bytes, sizeof bytes, NULL) == ERR_OK
                 ? wal_segment_header_decode(bytes, header)
                 : WAL_RECORD_BAD;
    file_close(file);
    return ERR_OK;
}

static bool is_segment_name(const struct io_name *name)
{
    CHECK(name != NULL);
    CHECK(name->name[0] != '\0');
    return !name->is_dir && strlen(name->name) == WAL_SEGMENT_NAME_SIZE - 1 &&
           strspn(name->name, "0123456789ABCDEF") == WAL_SEGMENT_NAME_SIZE - 1;
}

/* Any intact segment header tells size, role and key of the log. */
static enum err_code identify(struct wal_outline *o, struct err *e)
{
    CHECK(o->layout.log_key == 0);
    CHECK(o->names != NULL || o->name_count == 0);
    unsigned segments = 0;
    for (size_t i = 0; i < o->name_count; i++) {
        if (!is_segment_name(&o->names[i])) {
            continue;
        }
        segments++;
        struct wal_segment_header h;
        enum wal_record_check check;
        enum err_code code = read_header(o, o->names[i].name, &h, &check, e);
        if (code != ERR_OK) {
            return code;
        }
        if (check == WAL_RECORD_NEWER) {
            return err_set(e, ERR_UNSUPPORTED, "log %s: segment %s has a newer format", o->dir,
                           o->names[i].name);
        }
        if (check == WAL_RECORD_BAD) {
            o->headers_bad++;
        } else if (o->layout.log_key == 0) {
            o->role = (enum wal_role)h.role;
            o->layout = (struct wal_layout){h.segment_size, wal_log_key(h.directory_id, h.role)};
        }
    }
    if (segments == 0) {
        return err_set(e, ERR_NOT_FOUND, "log %s: no segment", o->dir);
    }
    if (o->layout.log_key == 0) {
        return err_set(e, ERR_CORRUPT, "log %s: none of %u segment headers is intact", o->dir,
                       segments);
    }
    return ERR_OK;
}

static int compare(const void *a, const void *b)
{
    CHECK(a != NULL && b != NULL);
    uint64_t x = ((const struct listed *)a)->number;
    uint64_t y = ((const struct listed *)b)->number;
    return x < y ? -1 : x > y;
}

static bool has_side(const struct wal_outline *o, const char *segment)
{
    CHECK(o->names != NULL);
    CHECK(strlen(segment) == WAL_SEGMENT_NAME_SIZE - 1);
    for (size_t i = 0; i < o->name_count; i++) {
        if (strncmp(o->names[i].name, segment, WAL_SEGMENT_NAME_SIZE - 1) == 0 &&
            strcmp(o->names[i].name + WAL_SEGMENT_NAME_SIZE - 1, ".side") == 0) {
            return true;
        }
    }
    return false;
}

/* Numbers between the lowest and the highest that have no file are missing. */
static enum err_code fill_set(struct wal_outline *o, struct err *e)
{
    CHECK(o->set.count == 0);
    CHECK(wal_segment_size_valid(o->layout.segment_size));
    struct listed *found = mem_array(o->name_count + 1, sizeof *found);
    size_t count = 0;
    for (size_t i = 0; i < o->name_count; i++) {
        struct listed *item = &found[count];
        if (is_segment_name(&o->names[i]) &&
            wal_segment_name_parse(o->layout.segment_size, o->names[i].name, &item->timeline,
                                   &item->number)) {
            item->side = has_side(o, o->names[i].name);
            count++;
        }
    }
    qsort(found, count, sizeof *found, compare);
    enum err_code code = ERR_OK;
    if (count == 0 || found[count - 1].number - found[0].number > o->name_count + UINT16_MAX) {
        code =
            err_set(e, ERR_CORRUPT, "log %s: the names of its segments don't make a log", o->dir);
    } else {
        wal_set_clear(&o->set, found[0].number);
    }
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        struct wal_set_item missing = {.timeline = found[i].timeline};
        while (wal_set_last(&o->set) + 1 < found[i].number) {
            wal_set_push(&o->set, &missing);
        }
        if (o->set.count > 0 && wal_set_last(&o->set) == found[i].number) {
            code = err_set(e, ERR_CORRUPT, "log %s: two files are segment %" PRIu64, o->dir,
                           found[i].number);
            break;
        }
        struct wal_set_item item = missing;
        item.present = true;
        item.side = found[i].side;
        wal_set_push(&o->set, &item);
    }
    mem_free(found);
    return code;
}

/* --- life --- */

enum err_code wal_outline_open(struct wal_outline *o, struct io *io, const char *dir, struct err *e)
{
    CHECK(io != NULL);
    CHECK(dir != NULL);
    *o = (struct wal_outline){.io = io, .dir = dir};
    enum err_code code = io_list(io, dir, &o->names, &o->name_count, e);
    if (code == ERR_OK) {
        code = identify(o, e);
    }
    if (code != ERR_OK) {
        o->layout.log_key = 0;
        return code;
    }
    wal_set_init(&o->set, io, dir, &o->layout, 1);
    return fill_set(o, e);
}

void wal_outline_close(struct wal_outline *o)
{
    CHECK(o != NULL);
    CHECK(o->names != NULL || o->name_count == 0);
    if (o->layout.log_key != 0) {
        wal_set_deinit(&o->set);
    }
    mem_free(o->names);
    *o = (struct wal_outline){0};
}

enum err_code wal_outline_header(struct wal_outline *o, uint64_t segment, bool *good, struct err *e)
{
    CHECK(wal_set_at(&o->set, segment)->present);
    CHECK(good != NULL);
    char name[WAL_SEGMENT_NAME_SIZE];
    struct wal_segment_header header;
    enum wal_record_check check;
    wal_segment_name(&o->layout, wal_set_at(&o->set, segment)->timeline, segment, name);
    enum err_code code = read_header(o, name, &header, &check, e);
    *good = code == ERR_OK && check == WAL_RECORD_GOOD && header.number == segment;
    return code;
}
