/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_side.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"

enum { CHUNK_SIZE = 64 * 1024 };

void wal_side_list_deinit(struct wal_side_list *list)
{
    CHECK(list != NULL);
    CHECK(list->items != NULL || list->count == 0);
    mem_free(list->items);
    *list = (struct wal_side_list){0};
}

static int compare(const void *a, const void *b)
{
    CHECK(a != NULL && b != NULL);
    const struct wal_record *x = &((const struct wal_side_entry *)a)->record;
    const struct wal_record *y = &((const struct wal_side_entry *)b)->record;
    if (x->lsn != y->lsn) {
        return x->lsn < y->lsn ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

void wal_side_list_sort(struct wal_side_list *list)
{
    CHECK(list->count <= list->capacity);
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof *list->items, compare);
    }
}

enum err_code wal_side_path(const char *segment_path, char dst[IO_PATH_MAX], struct err *e)
{
    CHECK(segment_path != NULL);
    CHECK(dst != segment_path);
    int size = snprintf(dst, IO_PATH_MAX, "%s.side", segment_path);
    if (size < 0 || size >= IO_PATH_MAX) {
        return err_set(e, ERR_RANGE, "path too long: %s.side", segment_path);
    }
    return ERR_OK;
}

static bool payload_intact(struct file *file, uint64_t offset, const struct wal_record *r)
{
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(file != NULL);
    CHECK(wal_record_span(r->size) <= WAL_RECORD_SIZE_MAX);
    uint8_t *chunk = mem_alloc(CHUNK_SIZE);
    uint32_t crc = 0;
    uint64_t left = r->size;
    uint64_t at = offset + WAL_RECORD_HEADER_SIZE;
    while (left > 0) {
        size_t size = left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE;
        if (file_read_exact(file, at, chunk, size, NULL) != ERR_OK) {
            break;
        }
        crc = crc32c(crc, chunk, size);
        at += size;
        left -= size;
    }
    mem_free(chunk);
    return left == 0 && crc == r->payload_crc;
}

static bool header_at(struct file *file, uint64_t offset, uint32_t log_key, struct wal_record *r)
{
    CHECK(log_key != 0);
    CHECK(file != NULL);
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    return file_read_exact(file, offset, header, sizeof header, NULL) == ERR_OK &&
           wal_record_decode(header, r) == WAL_RECORD_GOOD && r->log_key == log_key &&
           (r->flags & WAL_RECORD_SIDE) != 0 && r->sequence == offset &&
           wal_record_is_entry(r->type);
}

enum err_code wal_side_load(struct file *file, uint64_t segment, uint32_t log_key,
                            struct wal_side_list *list, uint64_t *end, struct err *e)
{
    CHECK(list != NULL);
    CHECK(file != NULL && end != NULL);
    CHECK(segment > 0 && log_key != 0);
    uint64_t size;
    enum err_code code = file_size(file, &size, e);
    if (code != ERR_OK) {
        return code;
    }
    *end = 0;
    for (uint64_t at = 0; at + WAL_RECORD_HEADER_SIZE <= size;) {
        struct wal_record r;
        if (!header_at(file, at, log_key, &r)) {
            at += WAL_RECORD_ALIGNMENT;
            continue;
        }
        if (payload_intact(file, at, &r)) {
            list->items =
                mem_grow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
            list->items[list->count++] = (struct wal_side_entry){r, segment};
        }
        at += wal_record_span(r.size);
        *end = at;
    }
    return ERR_OK;
}

enum err_code wal_side_settle(struct file *file, struct err *e)
{
    CHECK(file != NULL);
    uint64_t size;
    enum err_code code = file_size(file, &size, e);
    uint8_t *chunk = mem_alloc(CHUNK_SIZE);
    for (uint64_t at = 0; code == ERR_OK && at < size;) {
        size_t part = size - at < CHUNK_SIZE ? (size_t)(size - at) : CHUNK_SIZE;
        if (file_read_exact(file, at, chunk, part, NULL) == ERR_OK) {
            struct bytes bytes = bytes_of(chunk, part);
            code = file_write_at(file, at, &bytes, 1, e);
        }
        at += part;
    }
    mem_free(chunk);
    return code == ERR_OK ? file_sync(file, e) : code;
}

enum err_code wal_side_append(struct file *file, uint64_t offset, struct wal_record *record,
                              struct bytes payload, struct err *e)
{
    CHECK(record->log_key != 0);
    CHECK(record->lsn != 0);
    CHECK(offset % WAL_RECORD_ALIGNMENT == 0);
    CHECK(wal_record_is_entry(record->type));
    static const uint8_t zeros[WAL_RECORD_ALIGNMENT];
    record->flags |= WAL_RECORD_SIDE;
    record->sequence = offset;
    record->size = (uint32_t)payload.size;
    record->size_plain = (uint32_t)payload.size;
    record->payload_crc = crc32c_bytes(payload);

    uint8_t header[WAL_RECORD_HEADER_SIZE];
    wal_record_encode(record, header);
    size_t padding = (size_t)(wal_record_span(record->size) - sizeof header - payload.size);
    struct bytes parts[] = {bytes_of(header, sizeof header), payload, bytes_of(zeros, padding)};
    enum err_code code = file_write_at(file, offset, parts, 3, e);
    if (code == ERR_OK) {
        code = file_sync(file, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct wal_record read;
    if (!header_at(file, offset, record->log_key, &read) || read.index != record->index ||
        read.term != record->term || read.payload_crc != record->payload_crc ||
        !payload_intact(file, offset, &read)) {
        return err_set(e, ERR_IO, "entry %" PRIu64 " does not read back as it was written",
                       record->index);
    }
    return ERR_OK;
}
