/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_writer.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wal/wal_mutation.h"

/* Payloads up to this are copied beside their header; a larger one is a part of
 * its own. A copy of this size costs less than the kernel's work for a part. */
enum { COPY_SIZE_MAX = 2048, PARTS_MAX = LIMIT_WRITE_PARTS_MAX - 4 };

/* Full pages of identifiers are written by eights, and never more than a 32nd of a
 * segment's: what a crash takes of them is the second copy of a few records' names. */
enum { PAGES_TOGETHER_MAX = 8, PAGES_SHARE = 32 };

void wal_writer_init(struct wal_writer *w)
{
    CHECK(w->io != NULL && w->dir != NULL);
    CHECK(w->layout.log_key != 0);
    CHECK(w->set != NULL && w->pool != NULL);
    uint32_t share = wal_segment_pages(w->layout.segment_size) / PAGES_SHARE;
    w->pages_together = share < 1 ? 1 : share < PAGES_TOGETHER_MAX ? share : PAGES_TOGETHER_MAX;
    w->pages = mem_array(w->pages_together, WAL_IDENTIFIER_PAGE_SIZE);
}

void wal_writer_deinit(struct wal_writer *w)
{
    CHECK(w != NULL);
    mem_free(w->pages);
    mem_free(w->parts);
    buf_deinit(&w->encoded);
    *w = (struct wal_writer){0};
}

static void check_invariants(const struct wal_writer *w)
{
    CHECK(!w->broken);
    CHECK(w->set->count > 0);
    CHECK(w->sealed || w->offset >= wal_segment_records_at(w->layout.segment_size));
    CHECK(w->offset <= w->layout.segment_size);
    CHECK(w->identifiers <= wal_segment_identifiers_max(w->layout.segment_size));
    CHECK(w->lsn_durable <= wal_writer_lsn_end(w));
}

uint64_t wal_writer_lsn_end(const struct wal_writer *w)
{
    CHECK(w->offset <= w->layout.segment_size);
    uint64_t last = wal_set_last(w->set);
    return w->sealed ? wal_lsn_first(&w->layout, last + 1)
                     : wal_lsn_of(&w->layout, last, w->offset);
}

static enum err_code broken(struct wal_writer *w, struct err *e)
{
    CHECK(w != NULL);
    w->broken = true;
    if (e != NULL) {
        e->code = ERR_IO; /* whatever failed: nothing can be promised any more */
    }
    return ERR_IO;
}

static enum err_code refuse(struct err *e)
{
    return err_set(e, ERR_IO, "the log is broken by an earlier failure");
}

enum err_code wal_writer_set_extent(struct wal_writer *w, const struct wal_extent *extent,
                                    struct err *e)
{
    CHECK(extent->segment_first > 0);
    CHECK(w->extent_changed != NULL);
    CHECK(extent->segment_first <= extent->segment_last);
    CHECK(extent->index_cut >= w->extent.index_cut);
    if (WAL_MUTATED(EXTENT_LATE) && extent->segment_last > w->extent.segment_last &&
        extent->segment_first == w->extent.segment_first) {
        w->extent = *extent; /* told with the next change */
        return ERR_OK;
    }
    if (w->extent_changed(w->context, extent, e) != ERR_OK) {
        return broken(w, e);
    }
    w->extent = *extent;
    return ERR_OK;
}

/* --- identifiers --- */

static uint64_t page_offset(uint32_t page)
{
    return WAL_SEGMENT_HEADER_SIZE + (uint64_t)page * WAL_IDENTIFIER_PAGE_SIZE;
}

void wal_writer_encode_page(const struct wal_writer *w, uint64_t segment, uint32_t page,
                            uint8_t dst[WAL_IDENTIFIER_PAGE_SIZE])
{
    CHECK(dst != NULL);
    CHECK(segment > 0);
    CHECK(page < wal_segment_pages(w->layout.segment_size));
    const struct wal_statement statement = {
        .lsn_durable = w->lsn_durable, .commit = w->commit, .page = page};
    wal_statement_encode(&statement, wal_identifier_seed(segment, w->layout.log_key),
                         w->layout.log_key, dst + WAL_IDENTIFIER_PAGE_SIZE - WAL_IDENTIFIER_SIZE);
}

uint8_t *wal_writer_page(const struct wal_writer *w, uint32_t page)
{
    CHECK(w->pages != NULL);
    CHECK(page < wal_segment_pages(w->layout.segment_size));
    return w->pages + (size_t)(page % w->pages_together) * WAL_IDENTIFIER_PAGE_SIZE;
}

/* Neighbours in memory are neighbours in the file: one write. */
static enum err_code write_pages(struct wal_writer *w, struct err *e)
{
    CHECK(!w->sealed);
    CHECK(w->page_dirty);
    uint32_t first = w->page_first;
    uint32_t last = (w->identifiers - 1) / WAL_IDENTIFIERS_PER_PAGE;
    CHECK(first <= last);
    CHECK(first / w->pages_together == last / w->pages_together);
    uint64_t segment = wal_set_last(w->set);
    for (uint32_t page = first; page <= last; page++) {
        wal_writer_encode_page(w, segment, page, wal_writer_page(w, page));
    }
    struct file *file;
    struct bytes part =
        bytes_of(wal_writer_page(w, first), (size_t)(last - first + 1) * WAL_IDENTIFIER_PAGE_SIZE);
    if (wal_set_file(w->set, segment, &file, e) != ERR_OK ||
        file_write_at(file, page_offset(first), &part, 1, e) != ERR_OK) {
        return broken(w, e);
    }
    w->page_dirty = false;
    return ERR_OK;
}

enum err_code wal_writer_write_identifiers(struct wal_writer *w, struct err *e)
{
    CHECK(w->identifiers <= wal_segment_identifiers_max(w->layout.segment_size));
    CHECK(w->pages != NULL);
    if (w->broken) {
        return refuse(e);
    }
    if (!w->page_dirty) {
        return ERR_OK;
    }
    CHECK(w->identifiers > 0);
    return write_pages(w, e);
}

static enum err_code add_identifier(struct wal_writer *w, uint32_t seed, const struct wal_record *r,
                                    struct err *e)
{
    CHECK(w->identifiers < wal_segment_identifiers_max(w->layout.segment_size));
    CHECK(wal_lsn_segment(&w->layout, r->lsn) == wal_set_last(w->set));
    const struct wal_identifier id = {
        .index = r->index,
        .term = r->term,
        .offset = (uint32_t)wal_lsn_offset(&w->layout, r->lsn),
        .type = r->type,
        .framed = r->frame != 0 && !WAL_MUTATED(NO_FRAME_BIT),
        .size = r->size,
        .payload_crc = r->payload_crc,
    };
    if (WAL_MUTATED(UNIDENTIFIED)) {
        return ERR_OK;
    }
    uint32_t page = w->identifiers / WAL_IDENTIFIERS_PER_PAGE;
    size_t slot = w->identifiers % WAL_IDENTIFIERS_PER_PAGE;
    uint8_t *dst = wal_writer_page(w, page);
    if (slot == 0) {
        memset(dst, 0, WAL_IDENTIFIER_PAGE_SIZE);
    }
    wal_identifier_encode(&id, seed, dst + slot * WAL_IDENTIFIER_SIZE);
    w->identifiers++;
    w->page_first = w->page_dirty ? w->page_first : page;
    w->page_dirty = true;
    bool full = slot + 1 == WAL_IDENTIFIERS_PER_PAGE && (page + 1) % w->pages_together == 0;
    return full ? write_pages(w, e) : ERR_OK;
}

/* --- segments --- */

static enum err_code write_header(struct wal_writer *w, struct file *file, uint64_t number,
                                  struct err *e)
{
    CHECK(w->timeline > 0);
    CHECK(file != NULL);
    CHECK(number > 0);
    const struct wal_segment_header header = {
        .role = (unsigned)w->role,
        .timeline = w->timeline,
        .cluster_id = w->cluster_id,
        .directory_id = w->directory_id,
        .number = number,
        .segment_size = w->layout.segment_size,
        .index_first = w->index_last + 1,
        .sequence_first = w->sequence + 1,
    };
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    wal_segment_header_encode(&header, bytes);
    struct bytes part = bytes_of(bytes, sizeof bytes);
    return file_write_at(file, 0, &part, 1, e);
}

/* The file of the next segment, durable under its name. */
static enum err_code make_segment(struct wal_writer *w, uint64_t number, struct file **out,
                                  struct err *e)
{
    CHECK(number > 0);
    CHECK(wal_pool_ready(w->pool) > 0);
    char name[WAL_SEGMENT_NAME_SIZE];
    char path[IO_PATH_MAX];
    struct file *file = NULL;
    wal_segment_name(&w->layout, w->timeline, number, name);
    enum err_code code = io_join(path, w->dir, name, e);
    if (code == ERR_OK) {
        code = wal_pool_take(w->pool, path, &file, e);
    }
    if (code == ERR_OK) {
        code = write_header(w, file, number, e);
    }
    if (code == ERR_OK) {
        code = file_sync(file, e);
    }
    if (code == ERR_OK && !WAL_MUTATED(SWITCH_DIR)) {
        code = io_sync_dir(w->io, w->dir, e);
    }
    if (code != ERR_OK) {
        file_close(file);
        return broken(w, e);
    }
    *out = file;
    return ERR_OK;
}

/* Begins segment 'number' under 'extent'. */
static enum err_code begin_segment(struct wal_writer *w, uint64_t number,
                                   const struct wal_extent *extent, struct err *e)
{
    CHECK(number == wal_set_last(w->set) + 1);
    CHECK(number == extent->segment_last);
    struct file *file;
    enum err_code code = WAL_MUTATED(EXTENT_FIRST) ? wal_writer_set_extent(w, extent, e) : ERR_OK;
    if (code == ERR_OK) {
        code = make_segment(w, number, &file, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    code = wal_writer_set_extent(w, extent, e);
    if (code != ERR_OK) {
        file_close(file);
        return code;
    }
    const struct wal_set_item item = {.timeline = w->timeline, .present = true, .file = file};
    wal_set_push(w->set, &item);
    w->sealed = false;
    w->offset = wal_segment_records_at(w->layout.segment_size);
    w->identifiers = 0;
    w->page_dirty = false;
    w->lsn_durable = extent->lsn_durable;
    check_invariants(w);
    return ERR_OK;
}

static void note_latency(struct wal_latency *l, uint64_t us)
{
    CHECK(l != NULL);
    size_t bucket = 0;
    while (bucket + 1 < WAL_LATENCY_BUCKETS && us >= UINT64_C(1) << bucket) {
        bucket++;
    }
    l->buckets[bucket]++;
    l->count++;
    l->us += us;
    l->us_max = us > l->us_max ? us : l->us_max;
}

static bool writes_through(const struct wal_writer *w)
{
    CHECK(w->sync_method <= WAL_OPEN_SYNC);
    return w->sync_method == WAL_OPEN_DATASYNC || w->sync_method == WAL_OPEN_SYNC;
}

static enum file_sync_kind sync_kind(const struct wal_writer *w)
{
    CHECK(w->sync_method <= WAL_OPEN_SYNC);
    return w->sync_method == WAL_FSYNC || w->sync_method == WAL_OPEN_SYNC ? FILE_SYNC_ALL
                                                                          : FILE_SYNC_DATA;
}

static enum err_code timed_sync(struct wal_writer *w, struct err *e)
{
    CHECK(!w->sealed);
    CHECK(!w->broken);
    struct file *file;
    uint64_t start = io_monotonic_us(w->io);
    if (wal_set_file(w->set, wal_set_last(w->set), &file, e) != ERR_OK ||
        file_sync_as(file, sync_kind(w), e) != ERR_OK) {
        return broken(w, e);
    }
    note_latency(&w->syncs, io_monotonic_us(w->io) - start);
    w->lsn_durable = wal_writer_lsn_end(w);
    return ERR_OK;
}

enum err_code wal_writer_switch(struct wal_writer *w, struct err *e)
{
    CHECK(w->set->count > 0);
    if (w->broken) {
        return refuse(e);
    }
    CHECK(w->extent.segment_last == wal_set_last(w->set));
    enum err_code code = ERR_OK;
    if (!w->sealed) {
        code = wal_writer_write_identifiers(w, e);
        if (code == ERR_OK && !WAL_MUTATED(SWITCH_SYNC)) {
            code = timed_sync(w, e);
        }
    }
    if (code != ERR_OK) {
        return code;
    }
    struct wal_extent next = w->extent;
    next.segment_last = wal_set_last(w->set) + 1;
    next.index_last = w->index_last;
    next.term_last = w->term_last;
    next.sequence_last = w->sequence;
    next.lsn_durable = wal_lsn_first(&w->layout, next.segment_last);
    return begin_segment(w, next.segment_last, &next, e);
}

enum err_code wal_writer_restart(struct wal_writer *w, uint64_t index, uint64_t term, struct err *e)
{
    CHECK(w->pool != NULL);
    CHECK(index >= w->extent.index_cut);
    if (w->broken) {
        return refuse(e);
    }
    w->index_last = index;
    w->term_last = term;
    uint64_t number = wal_set_last(w->set) + 1;
    const struct wal_extent next = {
        .segment_first = number,
        .segment_last = number,
        .index_last = index,
        .term_last = term,
        .sequence_last = w->sequence,
        .lsn_durable = wal_lsn_first(&w->layout, number),
        .index_cut = index,
        .term_cut = term,
    };
    return begin_segment(w, number, &next, e);
}

/* --- records --- */

static bool fits(const struct wal_writer *w, uint64_t offset, uint32_t identifiers, uint64_t span)
{
    CHECK(offset <= w->layout.segment_size);
    CHECK(span >= WAL_RECORD_HEADER_SIZE);
    return span <= w->layout.segment_size - offset &&
           identifiers < wal_segment_identifiers_max(w->layout.segment_size);
}

static uint64_t draft_span(const struct wal_draft *d)
{
    CHECK(d->payload.size == 0 || d->payload.data != NULL);
    CHECK(d->payload.size <= UINT32_MAX);
    return wal_record_span((uint32_t)d->payload.size);
}

enum err_code wal_writer_reserve(struct wal_writer *w, const struct wal_draft *drafts, size_t count,
                                 struct err *e)
{
    CHECK(w->set->count > 0);
    CHECK(drafts != NULL && count > 0);
    if (w->broken) {
        return refuse(e);
    }
    uint64_t offset = w->sealed ? w->layout.segment_size : w->offset;
    uint32_t identifiers = w->identifiers;
    size_t switches = 0;
    for (size_t i = 0; i < count; i++) {
        if (!fits(w, offset, identifiers, draft_span(&drafts[i]))) {
            switches++;
            offset = wal_segment_records_at(w->layout.segment_size);
            identifiers = 0;
        }
        offset += draft_span(&drafts[i]);
        identifiers++;
    }
    bool done = false;
    enum err_code code = switches > wal_pool_ready(w->pool)
                             ? wal_pool_step(w->pool, switches, UINT64_MAX, &done, e)
                             : ERR_OK;
    return code == ERR_OK || code == ERR_NO_SPACE ? code : broken(w, e);
}

/* What the log holds once this record counts. */
static void follow(struct wal_writer *w, const struct wal_record *r)
{
    CHECK(r->sequence <= w->sequence);
    CHECK(r->lsn != 0);
    if (r->type == WAL_RECORD_DROP) {
        w->index_last = r->index - 1;
        w->term_last = w->role == WAL_RAFT ? r->before : 0;
    } else if (r->type == WAL_RECORD_END || (wal_record_is_entry(r->type) && r->frame == 0)) {
        w->index_last = r->index;
        w->term_last = r->term;
    }
}

static void complete(struct wal_writer *w, struct wal_draft *d, uint64_t lsn)
{
    CHECK(lsn >= w->lsn_durable);
    CHECK(d->payload.size <= w->layout.segment_size / 2);
    struct wal_record *r = &d->record;
    r->flags = 0;
    r->log_key = w->layout.log_key;
    r->size = (uint32_t)d->payload.size;
    r->size_plain = r->size;
    r->payload_crc = crc32c_bytes(d->payload);
    r->sequence = ++w->sequence;
    r->commit = w->commit;
    r->lsn_durable = WAL_MUTATED(HEADER_DURABLE) ? 0 : w->lsn_durable;
    r->lsn = lsn;
    if (r->type == WAL_RECORD_BEGIN) {
        w->frame = r->sequence;
    }
    if (r->frame != 0) {
        r->frame = w->frame;
    }
}

/* The parts of one write: pieces of 'encoded', and large payloads between them. */
struct gather {
    struct wal_writer *w;
    size_t count;
    size_t from; /* start of the current piece of 'encoded' */
};

static void gather_part(struct gather *g, struct bytes part)
{
    CHECK(g->count < LIMIT_WRITE_PARTS_MAX || part.size == 0);
    CHECK(part.size == 0 || part.data != NULL);
    struct wal_writer *w = g->w;
    if (part.size > 0) {
        w->parts = mem_grow(w->parts, &w->parts_capacity, g->count + 1, sizeof *w->parts);
        w->parts[g->count++] = part;
    }
}

static void gather_piece(struct gather *g)
{
    CHECK(g->w != NULL);
    CHECK(g->from <= g->w->encoded.size);
    struct buf *encoded = &g->w->encoded;
    gather_part(g, bytes_of(encoded->data + g->from, encoded->size - g->from));
    g->from = encoded->size;
}

static void gather_record(struct gather *g, const struct wal_draft *d)
{
    CHECK(d->record.lsn != 0);
    CHECK(d->record.size == d->payload.size);
    struct buf *encoded = &g->w->encoded;
    wal_record_encode(&d->record, buf_extend(encoded, WAL_RECORD_HEADER_SIZE));
    if (d->payload.size <= COPY_SIZE_MAX) {
        buf_put_bytes(encoded, d->payload);
    } else {
        gather_piece(g);
        gather_part(g, d->payload);
    }
    buf_put_zeros(encoded, (size_t)(draft_span(d) - WAL_RECORD_HEADER_SIZE - d->payload.size));
}

/* How many of the drafts go into this segment with one write. */
static size_t run_length(struct wal_writer *w, const struct wal_draft *drafts, size_t count)
{
    CHECK(!w->sealed);
    CHECK(w->offset <= w->layout.segment_size);
    uint64_t offset = w->offset;
    size_t parts = 0;
    for (size_t n = 0; n < count; n++) {
        uint64_t span = draft_span(&drafts[n]);
        if (!fits(w, offset, w->identifiers + (uint32_t)n, span)) {
            return n;
        }
        if (n > 0 && (parts >= PARTS_MAX ||
                      (w->buffer_size != 0 && offset + span - w->offset > w->buffer_size))) {
            w->buffers_full++;
            return n;
        }
        offset += span;
        parts += 2;
    }
    return count;
}

static enum err_code write_parts(struct wal_writer *w, size_t count, struct err *e)
{
    CHECK(count > 0);
    CHECK(w->lsn_durable <= wal_writer_lsn_end(w));
    struct file *file;
    if (wal_set_file(w->set, wal_set_last(w->set), &file, e) != ERR_OK) {
        return broken(w, e);
    }
    uint64_t start = io_monotonic_us(w->io);
    enum err_code code = writes_through(w)
                             ? file_write_through(file, w->offset, w->parts, count, sync_kind(w), e)
                             : file_write_at(file, w->offset, w->parts, count, e);
    if (code != ERR_OK) {
        return broken(w, e);
    }
    note_latency(&w->writes, io_monotonic_us(w->io) - start);
    return ERR_OK;
}

static enum err_code write_run(struct wal_writer *w, struct wal_draft *drafts, size_t count,
                               struct err *e)
{
    CHECK(count > 0);
    CHECK(!w->sealed && !w->broken);
    uint64_t segment = wal_set_last(w->set);
    uint64_t offset = w->offset;
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        complete(w, &drafts[i], wal_lsn_of(&w->layout, segment, offset));
        offset += draft_span(&drafts[i]);
        room += WAL_RECORD_HEADER_SIZE + WAL_RECORD_ALIGNMENT +
                (drafts[i].payload.size <= COPY_SIZE_MAX ? drafts[i].payload.size : 0);
    }
    buf_reset(&w->encoded);
    buf_reserve(&w->encoded, room); /* parts point into it: it must not move */
    const uint8_t *before = w->encoded.data;
    struct gather g = {.w = w};
    for (size_t i = 0; i < count; i++) {
        gather_record(&g, &drafts[i]);
    }
    gather_piece(&g);
    CHECK(w->encoded.data == before);

    if (write_parts(w, g.count, e) != ERR_OK) {
        return ERR_IO;
    }
    w->records += count;
    w->bytes += offset - w->offset;
    bool through = writes_through(w) && w->lsn_durable == wal_writer_lsn_end(w);
    w->offset = offset;
    if (through) {
        w->lsn_durable = wal_writer_lsn_end(w); /* and everything before it was */
    }
    uint32_t seed = wal_identifier_seed(segment, w->layout.log_key);
    for (size_t i = 0; i < count; i++) {
        follow(w, &drafts[i].record);
        enum err_code code = add_identifier(w, seed, &drafts[i].record, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

enum err_code wal_writer_append(struct wal_writer *w, struct wal_draft *drafts, size_t count,
                                struct err *e)
{
    CHECK(drafts != NULL && count > 0);
    CHECK(w->set->count > 0);
    if (w->broken) {
        return refuse(e);
    }
    for (size_t done = 0; done < count;) {
        size_t n = w->sealed ? 0 : run_length(w, drafts + done, count - done);
        enum err_code code = n == 0 ? wal_writer_switch(w, e) : write_run(w, drafts + done, n, e);
        if (code != ERR_OK) {
            return err_wrap(e, "log %s", w->dir);
        }
        done += n;
    }
    check_invariants(w);
    return ERR_OK;
}

enum err_code wal_writer_sync(struct wal_writer *w, struct err *e)
{
    CHECK(w->lsn_durable <= wal_writer_lsn_end(w));
    CHECK(w->set->count > 0);
    if (w->broken) {
        return refuse(e);
    }
    if (w->sealed || w->lsn_durable == wal_writer_lsn_end(w)) {
        return ERR_OK;
    }
    return timed_sync(w, e);
}

enum err_code wal_writer_sync_identifiers(struct wal_writer *w, struct err *e)
{
    CHECK(w->set->count > 0);
    CHECK(!w->sealed);
    enum err_code code = wal_writer_write_identifiers(w, e);
    return code == ERR_OK ? timed_sync(w, e) : code;
}

enum err_code wal_writer_set_sync_method(struct wal_writer *w, enum wal_sync_method method,
                                         struct err *e)
{
    CHECK(method <= WAL_OPEN_SYNC);
    CHECK(w->set->count > 0);
    enum err_code code = wal_writer_sync(w, e);
    if (code == ERR_OK) {
        w->sync_method = method;
    }
    return code;
}
