/* SPDX-License-Identifier: Apache-2.0 */
/* Filling holes and replacing a log's end: wal_repair(), wal_replace(). */
#include <inttypes.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "wal/wal_directory.h"
#include "wal/wal_mutation.h"
#include "wal/wal_state.h"

/* --- in place: only what fits exactly (safety.md A8) --- */

static const struct wal_lost *find_lost(const struct wal *w, uint64_t lsn)
{
    CHECK(w->lost != NULL || w->lost_count == 0);
    CHECK(lsn != 0);
    size_t low = 0;
    size_t high = w->lost_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->lost[middle].lsn < lsn) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < w->lost_count && w->lost[low].lsn == lsn ? &w->lost[low] : NULL;
}

/* The header as it was: read, or built anew where all of it is known. */
static bool old_header(const struct wal *w, struct file *file, const struct wal_hole *hole,
                       const struct wal_entry *entry, struct wal_record *record)
{
    CHECK(file != NULL && record != NULL);
    CHECK(!hole->unknown && hole->lsn != 0);
    CHECK(hole->size == entry->payload.size);
    uint8_t bytes[WAL_RECORD_HEADER_SIZE];
    if (file_read_exact(file, wal_lsn_offset(&w->layout, hole->lsn), bytes, sizeof bytes, NULL) ==
            ERR_OK &&
        wal_record_decode(bytes, record) == WAL_RECORD_GOOD && record->lsn == hole->lsn &&
        record->log_key == w->layout.log_key) {
        return record->index == hole->index && record->term == hole->term &&
               record->size == hole->size && record->payload_crc == hole->crc &&
               (unsigned)record->type == (unsigned)hole->type;
    }
    const struct wal_lost *lost = find_lost(w, hole->lsn);
    if (lost == NULL) {
        return false;
    }
    *record = (struct wal_record){
        .type = (enum wal_record_type)hole->type,
        .log_key = w->layout.log_key,
        .size = hole->size,
        .size_plain = hole->size,
        .payload_crc = hole->crc,
        .sequence = lost->sequence,
        .index = hole->index,
        .term = hole->term,
        .before = lost->before,
        .commit = lost->commit,
        .lsn_durable = lost->lsn_durable,
        .vgroups = entry->vgroups,
        .lsn = hole->lsn,
    };
    return true;
}

static bool reads_back(struct wal *w, struct file *file, uint64_t offset, const uint8_t *header,
                       struct bytes payload)
{
    CHECK(header != NULL);
    CHECK(payload.size <= wal_payload_max(w));
    file_forget(file, offset, WAL_RECORD_HEADER_SIZE + payload.size); /* from the disk */
    buf_reset(&w->scratch);
    uint8_t *read = buf_extend(&w->scratch, WAL_RECORD_HEADER_SIZE + payload.size);
    return file_read_exact(file, offset, read, w->scratch.size, NULL) == ERR_OK &&
           bytes_equal(bytes_of(read, WAL_RECORD_HEADER_SIZE),
                       bytes_of(header, WAL_RECORD_HEADER_SIZE)) &&
           bytes_equal(bytes_of(read + WAL_RECORD_HEADER_SIZE, payload.size), payload);
}

/* *done = false: it does not fit there. */
static enum err_code fill_in_place(struct wal *w, const struct wal_hole *hole,
                                   const struct wal_entry *entry, bool *done, struct err *e)
{
    CHECK(hole->index == entry->index);
    CHECK(done != NULL);
    *done = false;
    const struct wal_place *place = wal_table_at(&w->table, hole->index);
    if (hole->unknown || hole->lsn == 0 || wal_place_side(place) || hole->term != entry->term ||
        hole->type != entry->type || hole->size != entry->payload.size ||
        hole->crc != crc32c_bytes(entry->payload)) {
        return ERR_OK;
    }
    struct file *file;
    struct wal_record record;
    if (wal_set_file(&w->set, wal_lsn_segment(&w->layout, hole->lsn), &file, NULL) != ERR_OK ||
        !old_header(w, file, hole, entry, &record)) {
        return ERR_OK;
    }
    /* The side file says at the next open that this segment may show bytes that
     * were written and never synced, far below the durable position. */
    enum err_code code =
        WAL_MUTATED(NO_SIDE_MARK)
            ? ERR_OK
            : wal_directory_make_side(w, wal_lsn_segment(&w->layout, hole->lsn), e);
    if (code != ERR_OK) {
        return code == ERR_NO_SPACE ? code : wal_break(w, e);
    }
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    wal_record_encode(&record, header);
    uint64_t offset = wal_lsn_offset(&w->layout, hole->lsn);
    struct bytes parts[] = {bytes_of(header, sizeof header), entry->payload};
    if (file_write_at(file, offset, parts, 2, NULL) != ERR_OK) {
        return ERR_OK; /* a place that takes no bytes any more: the side file */
    }
    if (file_sync(file, e) != ERR_OK) {
        return wal_break(w, e);
    }
    *done = reads_back(w, file, offset, header, entry->payload);
    return ERR_OK; /* not read back: the side file */
}

/* --- side file --- */

/* Opens the side file of a segment. '*end': where the next entry goes. */
static enum err_code open_side(struct wal *w, uint64_t segment, struct file **file, uint64_t *end,
                               struct err *e)
{
    CHECK(segment >= w->set.first && segment <= wal_set_last(&w->set));
    CHECK(w->layout.log_key != 0);
    enum err_code code = wal_directory_make_side(w, segment, e);
    if (code == ERR_OK) {
        code = wal_directory_open_side(w, segment, false, file, e);
    }
    if (code != ERR_OK || w->side_segment == segment) {
        *end = w->side_end;
        return code;
    }
    struct wal_side_list list = {0};
    code = wal_side_load(*file, segment, w->layout.log_key, &list, end, e);
    wal_side_list_deinit(&list);
    if (code != ERR_OK) {
        file_close(*file);
    }
    return code;
}

/* The side file of '*segment', or of the next one where 'size' bytes have room: what
 * several missing segments held next to each other stands at the first of them. */
static enum err_code open_side_with_room(struct wal *w, uint64_t size, uint64_t *segment,
                                         struct file **file, struct err *e)
{
    CHECK(size > 0);
    for (; *segment <= wal_set_last(&w->set); (*segment)++) {
        uint64_t end;
        enum err_code code = open_side(w, *segment, file, &end, e);
        if (code != ERR_OK) {
            return code;
        }
        w->side_segment = *segment;
        w->side_end = end;
        if (end + size <= w->layout.segment_size) {
            return ERR_OK;
        }
        file_close(*file);
    }
    return err_set(e, ERR_FULL, "the side files of log %s are full", w->dir);
}

static enum err_code fill_beside(struct wal *w, const struct wal_hole *hole,
                                 const struct wal_entry *entry, struct wal_record *record,
                                 struct err *e)
{
    CHECK(hole->index == entry->index);
    CHECK(w->writer.lsn_durable == wal_writer_lsn_end(&w->writer) || w->writer.sealed);
    uint64_t segment = wal_lsn_segment(&w->layout, hole->lsn);
    if (segment < w->set.first || segment > wal_set_last(&w->set)) {
        segment = wal_set_last(&w->set); /* nothing says where it stood */
    }
    struct file *file;
    uint64_t span = wal_record_span((uint32_t)entry->payload.size);
    enum err_code code = open_side_with_room(w, span, &segment, &file, e);
    if (code != ERR_OK) {
        return code;
    }
    uint64_t at = w->side_end;
    *record = (struct wal_record){
        .type = (enum wal_record_type)entry->type,
        .log_key = w->layout.log_key,
        .index = entry->index,
        .term = entry->term,
        .vgroups = entry->vgroups,
        .commit = w->writer.commit,
        .lsn_durable = w->writer.lsn_durable,
        .frame = hole->lsn,
        .lsn = wal_writer_lsn_end(&w->writer),
    };
    code = wal_side_append(file, at, record, entry->payload, e);
    file_close(file);
    if (code != ERR_OK) {
        w->side_segment = 0;
        return code;
    }
    w->side_end = at + span;
    *wal_table_at(&w->table, entry->index) = (struct wal_place){
        .packed = wal_place_pack(wal_lsn_of(&w->layout, segment, at), (unsigned)entry->type, true,
                                 WAL_PLACE_WHOLE),
        .term = entry->term,
        .size = record->size,
        .crc = record->payload_crc,
    };
    return ERR_OK;
}

enum err_code wal_repair(struct wal *w, const struct wal_entry *entry, struct err *e)
{
    CHECK(w != NULL && entry != NULL);
    CHECK(w->role == WAL_RAFT);
    CHECK(entry->type >= WAL_COMMAND && entry->type <= WAL_METADATA);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(entry->payload.size <= wal_payload_max(w));
    const struct wal_hole *found = wal_hole_at(w, entry->index);
    if (found == NULL || (!found->unknown && found->term != entry->term)) {
        return err_set(e, ERR_STATE, "log %s: no hole at index %" PRIu64 " of term %" PRIu64,
                       w->dir, entry->index, entry->term);
    }
    const struct wal_hole hole = *found;
    bool done;
    code = wal_sync(w, e); /* a side entry states that all before it is durable */
    if (code == ERR_OK) {
        code = fill_in_place(w, &hole, entry, &done, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (done) {
        struct wal_place *place = wal_table_at(&w->table, hole.index);
        place->packed = wal_place_pack(hole.lsn, (unsigned)hole.type, false, WAL_PLACE_WHOLE);
    } else {
        struct wal_record record;
        code = fill_beside(w, &hole, entry, &record, e);
        if (code == ERR_NO_SPACE || code == ERR_FULL) {
            return code; /* the hole stays; nothing is promised */
        }
        if (code != ERR_OK) {
            return wal_break(w, e);
        }
    }
    wal_holes_remove(&w->holes, hole.index);
    w->holes_filled++;
    wal_note_end(w);
    log_info(w->log, "wal", "slot-repaired", "dir=%s index=%" PRIu64 " term=%" PRIu64 " place=%s",
             w->dir, entry->index, entry->term, done ? "old" : "side");
    return ERR_OK;
}

/* --- replacing the end --- */

static struct wal_draft *frame_drafts(struct wal *w, const struct wal_entry *entries, size_t count)
{
    CHECK(count > 0);
    CHECK(entries[count - 1].index >= entries[0].index);
    struct wal_draft *drafts = wal_drafts(w, count + 2);
    const struct wal_entry *last = &entries[count - 1];
    drafts[0] = (struct wal_draft){.record = {.type = WAL_RECORD_BEGIN,
                                              .index = entries[0].index,
                                              .term = entries[0].term,
                                              .before = wal_before(w, entries[0].index)}};
    for (size_t i = 0; i < count; i++) {
        drafts[i + 1] = wal_draft_of(&entries[i]);
        drafts[i + 1].record.before = i == 0 ? drafts[0].record.before : entries[i - 1].term;
    }
    drafts[count + 1] = (struct wal_draft){.record = {.type = WAL_RECORD_END,
                                                      .index = last->index,
                                                      .term = last->term,
                                                      .before = entries[0].index}};
    for (size_t i = 0; i < count + 2; i++) {
        drafts[i].record.frame = 1;
    }
    return drafts;
}

enum err_code wal_replace(struct wal *w, const struct wal_entry *entries, size_t count,
                          uint64_t commit, struct err *e)
{
    CHECK(w != NULL && entries != NULL);
    enum err_code code = wal_check_open(w, e);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(w->role == WAL_RAFT);
    CHECK(count > 0);
    CHECK(entries[0].index > w->table.cut && entries[0].index <= w->table.last + 1);
    for (size_t i = 0; i < count; i++) {
        CHECK(entries[i].index == entries[0].index + i);
        CHECK(entries[i].payload.size <= wal_payload_max(w));
    }
    struct wal_draft *drafts = frame_drafts(w, entries, count);
    code = wal_writer_reserve(&w->writer, drafts, count + 2, e);
    if (code != ERR_OK) {
        return code;
    }
    w->writer.commit = commit > w->writer.commit ? commit : w->writer.commit;
    code = wal_writer_append(&w->writer, drafts, count + 2, e);
    if (code == ERR_OK) {
        code = wal_writer_sync(&w->writer, e);
    }
    if (code != ERR_OK) {
        return err_wrap(e, "log %s: replacing from %" PRIu64, w->dir, entries[0].index);
    }
    w->written = true;
    w->end_unknown = false;
    w->holes_dropped += wal_holes_drop_from(&w->holes, entries[0].index);
    for (size_t i = 0; i < count; i++) {
        struct wal_place place = wal_place_of(&drafts[i + 1].record);
        wal_table_put(&w->table, entries[i].index, &place);
    }
    w->index_durable = w->table.last;
    wal_note_end(w);
    return ERR_OK;
}
