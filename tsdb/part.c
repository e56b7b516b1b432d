/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/part.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tsdb/content_hash.h"
#include "tsdb/series.h"

enum { HEADER_CRC_AT = 60, FOOTER_CRC_AT = 60 };

#define PART_MAGIC UINT32_C(0x54504d54) /* "TMPT" */

/* The file as it was opened. One that was opened anew after a refill leaves the
 * older ones to those who are reading them, until the part is closed. */
struct content {
    struct content *before;
    struct file *file; /* owned */
    struct part_block *blocks;
    size_t block_count;
};

struct part {
    unsigned references;
    struct part_info info;
    _Atomic(struct content *) content; /* NULL: it could not be opened */
    atomic_bool damaged;
    char name[PART_NAME_SIZE];
};

void part_name(struct hash128 hash, char dst[PART_NAME_SIZE])
{
    char text[HASH128_TEXT_SIZE];
    hash128_text(hash, text);
    (void)snprintf(dst, PART_NAME_SIZE, "part-%s", text);
}

bool part_hash(const char *name, struct hash128 *hash)
{
    static const char digits[] = "0123456789abcdef";
    enum { HALF = 16 };
    uint64_t halves[2] = {0, 0};
    if (strncmp(name, "part-", 5) != 0 || strlen(name) != 5 + 2 * HALF) {
        return false;
    }
    for (size_t i = 0; i < 2 * HALF; i++) {
        const char *digit = strchr(digits, name[5 + i]);
        if (digit == NULL) {
            return false;
        }
        halves[i / HALF] = halves[i / HALF] << 4 | (uint64_t)(digit - digits);
    }
    *hash = (struct hash128){.high = halves[0], .low = halves[1]};
    return true;
}

/* --- opening --- */

static enum err_code check_header(const uint8_t b[PART_HEADER_SIZE], const struct part_info *info,
                                  struct err *e)
{
    if (bytes_get_u32(b + HEADER_CRC_AT) != crc32c(0, b, HEADER_CRC_AT) ||
        bytes_get_u32(b) != PART_MAGIC) {
        return err_set(e, ERR_CORRUPT, "the header is damaged");
    }
    unsigned version = bytes_get_u16(b + 4);
    if (version != PART_VERSION) {
        return err_set(e, ERR_UNSUPPORTED, "format version %u, this program knows %d", version,
                       PART_VERSION);
    }
    if (bytes_get_u16(b + 6) != info->vgroup || bytes_get_u64(b + 8) != info->index_from ||
        bytes_get_u64(b + 16) != info->index_until) {
        return err_set(e, ERR_CORRUPT, "the header is that of another part");
    }
    return ERR_OK;
}

/* Where the index is. */
struct footer {
    uint64_t index_offset;
    uint64_t block_count;
    uint32_t index_crc;
};

static enum err_code check_footer(const uint8_t b[PART_FOOTER_SIZE], const struct part_info *info,
                                  struct footer *out, struct err *e)
{
    if (bytes_get_u32(b + FOOTER_CRC_AT) != crc32c(0, b, FOOTER_CRC_AT) ||
        bytes_get_u32(b + 56) != PART_MAGIC) {
        return err_set(e, ERR_CORRUPT, "the footer is damaged");
    }
    out->index_offset = bytes_get_u64(b);
    out->block_count = bytes_get_u64(b + 8);
    out->index_crc = bytes_get_u32(b + 24);
    uint64_t index_end = info->size - PART_FOOTER_SIZE;
    bool fits = out->index_offset >= PART_HEADER_SIZE && out->index_offset <= index_end &&
                out->block_count == (index_end - out->index_offset) / PART_INDEX_ITEM_SIZE &&
                (index_end - out->index_offset) % PART_INDEX_ITEM_SIZE == 0;
    if (!fits || out->block_count == 0 || bytes_get_u64(b + 16) != info->row_count) {
        return err_set(e, ERR_CORRUPT, "the footer is that of another part");
    }
    return ERR_OK;
}

static void read_index_item(const uint8_t *b, struct part_block *out)
{
    out->series_id = bytes_get_u64(b);
    out->time_first = (int64_t)bytes_get_u64(b + 8);
    out->time_last = (int64_t)bytes_get_u64(b + 16);
    out->offset = bytes_get_u64(b + 24);
    out->size = bytes_get_u32(b + 32);
    out->row_count = bytes_get_u32(b + 36);
}

/* Whether a block may follow the one before it (NULL: it is the first). */
static bool index_item_is_right(const struct part_block *b, const struct part_block *before)
{
    uint64_t offset = before == NULL ? PART_HEADER_SIZE : before->offset + before->size;
    if (b->offset != offset || b->size < BLOCK_HEADER_SIZE || b->size > LIMIT_BLOCK_SIZE_MAX ||
        b->row_count == 0 || b->row_count > LIMIT_BLOCK_ROWS_MAX || b->time_first > b->time_last) {
        return false;
    }
    return before == NULL || b->series_id > before->series_id ||
           (b->series_id == before->series_id && b->time_first > before->time_last);
}

static enum err_code parse_index(const struct part_info *info, struct content *c,
                                 struct bytes index, const struct footer *f, struct err *e)
{
    if (crc32c_bytes(index) != f->index_crc) {
        return err_set(e, ERR_CORRUPT, "the index is damaged");
    }
    uint64_t rows = 0;
    for (size_t i = 0; i < c->block_count; i++) {
        read_index_item(index.data + i * PART_INDEX_ITEM_SIZE, &c->blocks[i]);
        if (!index_item_is_right(&c->blocks[i], i == 0 ? NULL : &c->blocks[i - 1])) {
            return err_set(e, ERR_CORRUPT, "block %zu of the index is wrong", i);
        }
        rows += c->blocks[i].row_count;
    }
    const struct part_block *last = &c->blocks[c->block_count - 1];
    if (rows != info->row_count || last->offset + last->size != f->index_offset) {
        return err_set(e, ERR_CORRUPT, "the index does not match the part");
    }
    return ERR_OK;
}

static enum err_code read_index(const struct part_info *info, struct content *c,
                                const struct footer *f, struct err *e)
{
    struct buf index = {0};
    size_t size = (size_t)f->block_count * PART_INDEX_ITEM_SIZE;
    c->block_count = (size_t)f->block_count;
    c->blocks = mem_array(c->block_count, sizeof *c->blocks);
    enum err_code code =
        file_read_exact(c->file, f->index_offset, buf_extend(&index, size), size, e);
    if (code == ERR_OK) {
        code = parse_index(info, c, buf_bytes(&index), f, e);
    }
    buf_deinit(&index);
    return code;
}

static enum err_code read_ends(const struct part_info *info, struct file *file, struct footer *f,
                               struct err *e)
{
    uint8_t header[PART_HEADER_SIZE];
    uint8_t footer[PART_FOOTER_SIZE];
    uint64_t size = 0;
    enum err_code code = file_size(file, &size, e);
    if (code != ERR_OK) {
        return code;
    }
    if (size != info->size || size < PART_HEADER_SIZE + PART_FOOTER_SIZE) {
        return err_set(e, ERR_CORRUPT, "the file has %" PRIu64 " bytes, it should have %" PRIu64,
                       size, info->size);
    }
    code = file_read_exact(file, 0, header, sizeof header, e);
    if (code == ERR_OK) {
        code = file_read_exact(file, size - sizeof footer, footer, sizeof footer, e);
    }
    if (code == ERR_OK) {
        code = check_header(header, info, e);
    }
    return code == ERR_OK ? check_footer(footer, info, f, e) : code;
}

static void close_content(struct content *c)
{
    while (c != NULL) {
        struct content *before = c->before;
        file_close(c->file);
        mem_free(c->blocks);
        mem_free(c);
        c = before;
    }
}

static enum err_code open_content(struct io *io, const char *dir, const struct part *p,
                                  struct content **out, struct err *e)
{
    struct content *c = mem_zalloc(sizeof *c);
    char path[IO_PATH_MAX];
    enum err_code code = io_join(path, dir, p->name, e);
    if (code == ERR_OK) {
        code = io_open(io, path, IO_READ, &c->file, e);
    }
    struct footer f = {0};
    if (code == ERR_OK) {
        code = read_ends(&p->info, c->file, &f, e);
    }
    if (code == ERR_OK) {
        code = read_index(&p->info, c, &f, e);
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "part %s", p->name);
        close_content(c);
        return code;
    }
    *out = c;
    return ERR_OK;
}

static struct part *new_part(const struct part_info *info)
{
    struct part *p = mem_zalloc(sizeof *p);
    p->references = 1;
    p->info = *info;
    part_name(info->hash, p->name);
    return p;
}

enum err_code part_open(struct io *io, const char *dir, const struct part_info *info,
                        struct part **out, struct err *e)
{
    *out = NULL;
    struct part *p = new_part(info);
    struct content *c = NULL;
    enum err_code code = open_content(io, dir, p, &c, e);
    if (code != ERR_OK) {
        part_close(p);
        return code;
    }
    atomic_init(&p->content, c);
    *out = p;
    return ERR_OK;
}

struct part *part_lost(const struct part_info *info)
{
    struct part *p = new_part(info);
    atomic_init(&p->damaged, true);
    return p;
}

enum err_code part_reopen(struct io *io, const char *dir, struct part *p, struct err *e)
{
    struct content *c = NULL;
    enum err_code code = open_content(io, dir, p, &c, e);
    if (code != ERR_OK) {
        return code;
    }
    c->before = atomic_load_explicit(&p->content, memory_order_relaxed);
    atomic_store_explicit(&p->content, c, memory_order_release);
    atomic_store_explicit(&p->damaged, false, memory_order_release);
    return ERR_OK;
}

bool part_is_damaged(const struct part *p)
{
    return atomic_load_explicit(&p->damaged, memory_order_acquire);
}

void part_set_damaged(struct part *p)
{
    atomic_store_explicit(&p->damaged, true, memory_order_release);
}

/* What is wrong with the file is damage, whether its bytes are wrong or can't be had. */
static void note_failure(struct part *p, enum err_code code)
{
    if (code == ERR_CORRUPT || code == ERR_IO) {
        part_set_damaged(p);
    }
}

struct part *part_ref(struct part *p)
{
    CHECK(p->references > 0);
    p->references++;
    return p;
}

void part_close(struct part *p)
{
    if (p == NULL) {
        return;
    }
    CHECK(p->references > 0);
    if (--p->references == 0) {
        close_content(atomic_load_explicit(&p->content, memory_order_relaxed));
        mem_free(p);
    }
}

const struct part_info *part_info(const struct part *p)
{
    return &p->info;
}

static const struct content *content_of(const struct part *p)
{
    return atomic_load_explicit(&p->content, memory_order_acquire);
}

size_t part_block_count(const struct part *p)
{
    const struct content *c = content_of(p);
    return c == NULL ? 0 : c->block_count;
}

const struct part_block *part_block(const struct part *p, size_t i)
{
    const struct content *c = content_of(p);
    CHECK(c != NULL);
    CHECK(i < c->block_count);
    return &c->blocks[i];
}

static size_t find_series(const struct content *c, uint64_t series_id)
{
    size_t low = 0;
    size_t high = c->block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->blocks[middle].series_id < series_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void part_find(const struct part *p, uint64_t series_id, size_t *first, size_t *end)
{
    const struct content *c = content_of(p);
    *first = 0;
    *end = 0;
    if (c == NULL) {
        return;
    }
    *first = find_series(c, series_id);
    *end = *first;
    while (*end < c->block_count && c->blocks[*end].series_id == series_id) {
        (*end)++;
    }
}

static enum err_code read_block(const struct content *c, size_t block, struct buf *scratch,
                                struct err *e)
{
    const struct part_block *b = &c->blocks[block];
    buf_reset(scratch);
    return file_read_exact(c->file, b->offset, buf_extend(scratch, b->size), b->size, e);
}

/* Whether a block's own header says what the index says. */
static enum err_code check_place(const struct part_block *b, const struct block_header *h,
                                 struct err *e)
{
    if (h->series_id != b->series_id || h->row_count != b->row_count ||
        h->time_first != b->time_first || h->time_last != b->time_last) {
        return err_set(e, ERR_CORRUPT, "the block is not the one that the index names");
    }
    return ERR_OK;
}

enum err_code part_read(struct part *p, size_t block, struct buf *scratch, struct rows *rows,
                        struct err *e)
{
    const struct content *c = content_of(p);
    CHECK(c != NULL);
    CHECK(block < c->block_count);
    struct block_header h;
    enum err_code code = read_block(c, block, scratch, e);
    if (code == ERR_OK) {
        code = block_decode(buf_bytes(scratch), &h, rows, e);
    }
    if (code == ERR_OK) {
        code = check_place(&c->blocks[block], &h, e);
    }
    if (code != ERR_OK) {
        note_failure(p, code);
        rows_clear(rows);
        (void)err_wrap(e, "part %s, block %zu at %" PRIu64, p->name, block,
                       c->blocks[block].offset);
    }
    return code;
}

enum err_code part_read_raw(struct part *p, uint64_t offset, void *dst, size_t size, struct err *e)
{
    const struct content *c = content_of(p);
    CHECK(c != NULL);
    CHECK(offset + size <= p->info.size);
    file_forget(c->file, offset, size);
    enum err_code code = file_read_exact(c->file, offset, dst, size, e);
    if (code != ERR_OK) {
        note_failure(p, code);
        (void)err_wrap(e, "part %s", p->name);
    }
    return code;
}

static enum err_code verify_blocks(const struct content *c, struct err *e)
{
    struct buf scratch = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < c->block_count && code == ERR_OK; i++) {
        struct block_header h;
        struct block_column *columns = NULL;
        code = read_block(c, i, &scratch, e);
        if (code == ERR_OK) {
            code = block_check(buf_bytes(&scratch), &h, e);
        }
        if (code == ERR_OK) {
            code = check_place(&c->blocks[i], &h, e);
        }
        if (code == ERR_OK) {
            code = block_columns(buf_bytes(&scratch), &h, &columns, e);
            mem_free(columns);
        }
    }
    buf_deinit(&scratch);
    return code;
}

enum err_code part_verify(struct part *p, struct err *e)
{
    const struct content *c = content_of(p);
    if (c == NULL) {
        return err_set(e, ERR_CORRUPT, "part %s: it could not be opened", p->name);
    }
    struct hash128 hash;
    enum err_code code = content_hash_file(c->file, p->info.size, &hash, e);
    if (code == ERR_OK && (hash.low != p->info.hash.low || hash.high != p->info.hash.high)) {
        code = err_set(e, ERR_CORRUPT, "its content does not have the hash of its name");
    }
    if (code == ERR_OK) {
        code = verify_blocks(c, e);
    }
    if (code != ERR_OK) {
        note_failure(p, code);
        (void)err_wrap(e, "part %s", p->name);
    }
    return code;
}

/* --- one series --- */

void part_source_init(struct part_source *s, struct part *p, uint64_t series_id, int64_t from,
                      int64_t until)
{
    *s = (struct part_source){.part = p, .from = from, .until = until};
    s->lost = content_of(p) == NULL;
    if (!s->lost) {
        part_find(p, series_id, &s->at, &s->end);
    }
}

void part_source_deinit(struct part_source *s)
{
    buf_deinit(&s->scratch);
    *s = (struct part_source){0};
}

enum err_code part_source_next(struct part_source *s, struct rows *rows, struct err *e)
{
    rows_clear(rows);
    if (s->lost) {
        return err_set(e, ERR_CORRUPT, "part %s is damaged: which of the rows it has is not known",
                       s->part->name);
    }
    while (s->at < s->end && rows->count == 0) {
        size_t block = s->at++;
        const struct part_block *b = part_block(s->part, block);
        if (b->time_last < s->from) {
            continue;
        }
        if (b->time_first > s->until) {
            s->at = s->end;
            break;
        }
        enum err_code code = part_read(s->part, block, &s->scratch, rows, e);
        if (code != ERR_OK) {
            return code;
        }
        size_t first = rows_find(rows, 0, s->from);
        size_t end = b->time_last <= s->until ? rows->count : rows_find(rows, first, s->until + 1);
        rows_keep(rows, first, end);
    }
    return ERR_OK;
}

/* --- writing --- */

struct part_writer {
    struct io *io;
    struct file *file; /* owned; NULL once finished */
    struct part_info info;
    struct content_hash hash;
    struct buf pending; /* not yet written, at 'written' */
    uint64_t written;
    struct buf index;
    struct part_block last; /* of the index; size 0: none yet */
    uint64_t block_count;
    char dir[IO_PATH_MAX];
    char path[IO_PATH_MAX]; /* of the unfinished file */
};

static enum err_code write_pending(struct part_writer *w, struct err *e)
{
    struct bytes b = buf_bytes(&w->pending);
    if (b.size == 0) {
        return ERR_OK;
    }
    enum err_code code = file_write_at(w->file, w->written, &b, 1, e);
    if (code == ERR_OK) {
        content_hash_add(&w->hash, b);
        w->written += b.size;
        buf_reset(&w->pending);
    }
    return code;
}

static void put_header(struct part_writer *w)
{
    size_t at = w->pending.size;
    buf_put_u32(&w->pending, PART_MAGIC);
    buf_put_u16(&w->pending, PART_VERSION);
    buf_put_u16(&w->pending, (uint16_t)w->info.vgroup);
    buf_put_u64(&w->pending, w->info.index_from);
    buf_put_u64(&w->pending, w->info.index_until);
    buf_put_zeros(&w->pending, HEADER_CRC_AT - (w->pending.size - at));
    buf_put_u32(&w->pending, crc32c(0, w->pending.data + at, HEADER_CRC_AT));
}

static void put_footer(struct part_writer *w, uint64_t index_offset)
{
    size_t at = w->pending.size;
    buf_put_u64(&w->pending, index_offset);
    buf_put_u64(&w->pending, w->block_count);
    buf_put_u64(&w->pending, w->info.row_count);
    buf_put_u32(&w->pending, crc32c_bytes(buf_bytes(&w->index)));
    buf_put_zeros(&w->pending, 28);
    buf_put_u32(&w->pending, PART_MAGIC);
    buf_put_u32(&w->pending, crc32c(0, w->pending.data + at, FOOTER_CRC_AT));
}

enum err_code part_writer_open(struct io *io, const char *dir, const struct part_info *info,
                               struct part_writer **out, struct err *e)
{
    CHECK(info->vgroup < VGROUP_COUNT);
    CHECK(info->index_from <= info->index_until);
    *out = NULL;
    struct part_writer *w = mem_zalloc(sizeof *w);
    w->io = io;
    w->info = *info;
    w->info.row_count = 0;
    char name[PART_NAME_SIZE];
    (void)snprintf(name, sizeof name, "writing-%u.tmp", info->vgroup);
    (void)snprintf(w->dir, sizeof w->dir, "%s", dir);
    enum err_code code = io_join(w->path, dir, name, e);
    if (code == ERR_OK) {
        code = io_open(io, w->path, IO_WRITE | IO_CREATE, &w->file, e);
    }
    if (code == ERR_OK) {
        code = file_resize(w->file, 0, e); /* an earlier attempt may have left it */
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "writing a part");
        part_writer_close(w);
        return code;
    }
    put_header(w);
    *out = w;
    return ERR_OK;
}

enum err_code part_writer_add(struct part_writer *w, uint64_t series_id, const struct rows *rows,
                              size_t from, size_t to, struct err *e)
{
    size_t before = w->pending.size;
    uint64_t offset = w->written + before;
    block_encode(series_id, rows, from, to, &w->pending);
    struct part_block b = {
        .series_id = series_id,
        .time_first = rows->times[from],
        .time_last = rows->times[to - 1],
        .offset = offset,
        .size = (uint32_t)(w->pending.size - before),
        .row_count = (uint32_t)(to - from),
    };
    CHECK(index_item_is_right(&b, w->last.size == 0 ? NULL : &w->last));
    w->last = b;
    w->block_count++;
    w->info.row_count += b.row_count;
    buf_put_u64(&w->index, b.series_id);
    buf_put_u64(&w->index, (uint64_t)b.time_first);
    buf_put_u64(&w->index, (uint64_t)b.time_last);
    buf_put_u64(&w->index, b.offset);
    buf_put_u32(&w->index, b.size);
    buf_put_u32(&w->index, b.row_count);
    enum err_code code = ERR_OK;
    if (w->pending.size >= CONTENT_PIECE_SIZE) {
        code = write_pending(w, e);
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "writing %s", w->path);
    }
    return code;
}

uint64_t part_writer_size(const struct part_writer *w)
{
    return w->written + w->pending.size;
}

uint64_t part_writer_rows(const struct part_writer *w)
{
    return w->info.row_count;
}

enum err_code part_writer_sync(struct part_writer *w, struct err *e)
{
    enum err_code code = write_pending(w, e);
    if (code == ERR_OK) {
        code = file_sync(w->file, e);
    }
    return code == ERR_OK ? ERR_OK : err_wrap(e, "writing %s", w->path);
}

/* Index and footer, then durable under the name of its hash. */
static enum err_code seal(struct part_writer *w, struct err *e)
{
    uint64_t index_offset = w->written + w->pending.size;
    buf_put_bytes(&w->pending, buf_bytes(&w->index));
    put_footer(w, index_offset);
    enum err_code code = write_pending(w, e);
    if (code == ERR_OK) {
        code = file_sync(w->file, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    w->info.hash = content_hash_end(&w->hash);
    w->info.size = w->written;
    char name[PART_NAME_SIZE];
    char path[IO_PATH_MAX];
    part_name(w->info.hash, name);
    code = io_join(path, w->dir, name, e);
    return code == ERR_OK ? io_rename(w->io, w->path, path, e) : code;
}

enum err_code part_writer_finish(struct part_writer *w, struct part_info *info, struct err *e)
{
    enum err_code code = ERR_OK;
    if (w->block_count > 0) {
        code = seal(w, e);
        if (code != ERR_OK) {
            (void)err_wrap(e, "writing %s", w->path);
            return code;
        }
        file_close(w->file);
        w->file = NULL;
    }
    *info = w->info;
    return ERR_OK;
}

void part_writer_close(struct part_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->file != NULL) {
        file_close(w->file);
        (void)!io_unlink(w->io, w->path, NULL); /* tsdb_clean() removes it otherwise */
    }
    content_hash_deinit(&w->hash);
    buf_deinit(&w->pending);
    buf_deinit(&w->index);
    mem_free(w);
}
