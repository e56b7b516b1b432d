/* SPDX-License-Identifier: Apache-2.0 */
#include "node/control.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/io_twin.h"

enum {
    MAGIC = 0x54434d54, /* "TMCT" */
    FLAG_CLEAN = 1,
    SEGMENT_SIZE_MIN = 64 * LIMIT_KIB, /* of tests; what users may choose is config.h's */
    ERA_SIZE = 17,
};

_Static_assert(280 + CONTROL_ERAS_MAX * ERA_SIZE <= (int)IO_TWIN_SIZE - (int)IO_TWIN_HEADER_SIZE,
               "the largest control file fits in its twin");

struct control_file {
    struct io_twin *twin; /* owned */
    struct buf scratch;
    struct control control; /* what the twin holds */
};

static bool is_segment_size(uint64_t size)
{
    return size >= SEGMENT_SIZE_MIN && size <= LIMIT_SEGMENT_SIZE_MAX && (size & (size - 1)) == 0;
}

static void check_invariants(const struct control *c)
{
    CHECK(c->directory_id != 0);
    CHECK(is_segment_size(c->segment_size));
    CHECK(c->era_count <= CONTROL_ERAS_MAX);
    CHECK((c->checkpoint_index == 0) == (c->checkpoint_term == 0));
}

/* --- the bytes --- */

static void encode_extent(const struct wal_extent *x, struct buf *out)
{
    buf_put_u64(out, x->segment_first);
    buf_put_u64(out, x->segment_last);
    buf_put_u64(out, x->index_last);
    buf_put_u64(out, x->term_last);
    buf_put_u64(out, x->sequence_last);
    buf_put_u64(out, x->lsn_durable);
    buf_put_u64(out, x->index_cut);
    buf_put_u64(out, x->term_cut);
}

static void decode_extent(struct cursor *c, struct wal_extent *x)
{
    x->segment_first = cursor_u64(c);
    x->segment_last = cursor_u64(c);
    x->index_last = cursor_u64(c);
    x->term_last = cursor_u64(c);
    x->sequence_last = cursor_u64(c);
    x->lsn_durable = cursor_u64(c);
    x->index_cut = cursor_u64(c);
    x->term_cut = cursor_u64(c);
}

void control_encode(const struct control *c, struct buf *out)
{
    check_invariants(c);
    buf_put_u32(out, CONTROL_FORMAT);
    buf_put_u64(out, c->cluster_id);
    buf_put_u64(out, c->directory_id);
    buf_put_u64(out, c->segment_size);
    buf_put_u32(out, c->timeline);
    buf_put_u8(out, (uint8_t)c->wal_level);
    buf_put_u8(out, (uint8_t)c->recovery_mode);
    buf_put_u8(out, c->clean ? FLAG_CLEAN : 0);
    buf_put_u64(out, c->checkpoint_index);
    buf_put_u64(out, c->checkpoint_term);
    encode_extent(&c->local_extent, out);
    buf_put_u64(out, c->local_applied);
    buf_put_u16(out, (uint16_t)c->era_count);
    for (size_t i = 0; i < c->era_count; i++) {
        buf_put_u8(out, (uint8_t)c->eras[i].log);
        buf_put_u64(out, c->eras[i].index_first);
        buf_put_u64(out, c->eras[i].term_first);
    }
    buf_put_u64(out, c->checkpoint_time_ms);
    buf_put_u64(out, c->checkpoint_duration_ms);
    buf_put_u64(out, c->checkpoint_bytes);
}

static enum err_code decode_eras(struct cursor *c, struct control *out, struct err *e)
{
    size_t count = cursor_u16(c);
    if (count > CONTROL_ERAS_MAX) {
        return err_set(e, ERR_CORRUPT, "%zu eras", count);
    }
    for (size_t i = 0; i < count; i++) {
        struct control_era *era = &out->eras[i];
        uint8_t log = cursor_u8(c);
        era->log = (enum control_log)log;
        era->index_first = cursor_u64(c);
        era->term_first = cursor_u64(c);
        bool rises = i == 0 || (era->index_first > era[-1].index_first &&
                                era->term_first >= era[-1].term_first);
        if ((log != CONTROL_LOG_RAFT && log != CONTROL_LOG_LOCAL) || !rises) {
            return err_set(e, ERR_CORRUPT, "era %zu: log %u, index %" PRIu64 ", term %" PRIu64, i,
                           log, era->index_first, era->term_first);
        }
        out->era_count = i + 1;
    }
    return ERR_OK;
}

static enum err_code decode_settings(struct cursor *c, struct control *out, struct err *e)
{
    out->segment_size = cursor_u64(c);
    out->timeline = cursor_u32(c);
    uint8_t level = cursor_u8(c);
    uint8_t mode = cursor_u8(c);
    uint8_t flags = cursor_u8(c);
    if (level > WAL_LEVEL_BYRL || mode > WAL_SKIP_ANY_CORRUPTED_RECORDS ||
        (flags & ~FLAG_CLEAN) != 0) {
        return err_set(e, ERR_CORRUPT, "WAL level %u, recovery mode %u, flags %u", level, mode,
                       flags);
    }
    out->wal_level = (enum wal_level)level;
    out->recovery_mode = (enum wal_recovery_mode)mode;
    out->clean = (flags & FLAG_CLEAN) != 0;
    return ERR_OK;
}

static enum err_code decode_body(struct cursor *c, uint32_t format, struct control *out,
                                 struct err *e)
{
    out->cluster_id = cursor_u64(c);
    out->directory_id = cursor_u64(c);
    enum err_code code = decode_settings(c, out, e);
    if (code != ERR_OK) {
        return code;
    }
    out->checkpoint_index = cursor_u64(c);
    out->checkpoint_term = cursor_u64(c);
    decode_extent(c, &out->local_extent);
    out->local_applied = cursor_u64(c);
    code = decode_eras(c, out, e);
    if (code != ERR_OK) {
        return code;
    }
    if (format >= 2) {
        out->checkpoint_time_ms = cursor_u64(c);
        out->checkpoint_duration_ms = cursor_u64(c);
        out->checkpoint_bytes = cursor_u64(c);
    }
    if (!cursor_done(c)) {
        return err_set(e, ERR_CORRUPT, "it has the wrong size, %zu bytes unread", c->size);
    }
    if (out->directory_id == 0 || !is_segment_size(out->segment_size)) {
        return err_set(e, ERR_CORRUPT, "directory %016" PRIx64 ", segments of %" PRIu64 " bytes",
                       out->directory_id, out->segment_size);
    }
    if ((out->checkpoint_index == 0) != (out->checkpoint_term == 0)) {
        return err_set(e, ERR_CORRUPT, "checkpoint at index %" PRIu64 ", term %" PRIu64,
                       out->checkpoint_index, out->checkpoint_term);
    }
    return ERR_OK;
}

enum err_code control_decode(struct bytes b, struct control *out, struct err *e)
{
    struct cursor c = cursor_of(b);
    memset(out, 0, sizeof *out);
    uint32_t format = cursor_u32(&c);
    if (!c.bad && format > CONTROL_FORMAT) {
        return err_set(e, ERR_UNSUPPORTED,
                       "the control file was written by a newer tidemarkd (format %" PRIu32
                       ", this one knows up to %d)",
                       format, CONTROL_FORMAT);
    }
    if (c.bad || format == 0) {
        return err_set(e, ERR_CORRUPT, "control file of format %" PRIu32, format);
    }
    enum err_code code = decode_body(&c, format, out, e);
    if (code != ERR_OK) {
        (void)err_wrap(e, "control file");
        return code;
    }
    check_invariants(out);
    return ERR_OK;
}

/* --- life --- */

enum err_code control_create(struct io *io, const char *dir, const struct control *first,
                             struct control_file **out, struct err *e)
{
    struct control_file *f = mem_zalloc(sizeof *f);
    f->control = *first;
    control_encode(first, &f->scratch);
    enum err_code code =
        io_twin_create(io, dir, "control", MAGIC, buf_bytes(&f->scratch), &f->twin, e);
    if (code != ERR_OK) {
        control_close(f);
        return code;
    }
    *out = f;
    return ERR_OK;
}

enum err_code control_open(struct io *io, const char *dir, uint64_t directory_id,
                           struct control_file **out, struct err *e)
{
    struct control_file *f = mem_zalloc(sizeof *f);
    enum err_code code = io_twin_open(io, dir, "control", MAGIC, &f->twin, e);
    if (code == ERR_OK) {
        code = control_decode(io_twin_payload(f->twin), &f->control, e);
    }
    if (code == ERR_OK && f->control.directory_id != directory_id) {
        code = err_set(e, ERR_INVALID,
                       "the control file is of directory %016" PRIx64 ", hard state of %016" PRIx64
                       ": files of two directories were mixed",
                       f->control.directory_id, directory_id);
    }
    if (code != ERR_OK) {
        control_close(f);
        return code;
    }
    *out = f;
    return ERR_OK;
}

const struct control *control_get(const struct control_file *f)
{
    return &f->control;
}

enum err_code control_write(struct control_file *f, const struct control *next, struct err *e)
{
    const struct control *from = &f->control;
    check_invariants(next);
    CHECK(next->directory_id == from->directory_id);
    CHECK(next->segment_size == from->segment_size);
    CHECK(from->cluster_id == 0 || next->cluster_id == from->cluster_id);
    /* 0: the checkpoint was lost to damage; the state comes from the log or a peer. */
    CHECK(next->checkpoint_index == 0 || next->checkpoint_index >= from->checkpoint_index);
    CHECK(next->timeline >= from->timeline);
    buf_reset(&f->scratch);
    control_encode(next, &f->scratch);
    enum err_code code = io_twin_write(f->twin, buf_bytes(&f->scratch), e);
    if (code != ERR_OK) {
        (void)err_wrap(e, "control file");
        return code;
    }
    f->control = *next;
    return ERR_OK;
}

unsigned control_bad_copies(const struct control_file *f)
{
    return io_twin_bad_copies(f->twin);
}

void control_close(struct control_file *f)
{
    if (f == NULL) {
        return;
    }
    io_twin_close(f->twin);
    buf_deinit(&f->scratch);
    mem_free(f);
}

/* --- eras --- */

enum err_code control_add_era(struct control *c, const struct control_era *era, struct err *e)
{
    CHECK(era->log == CONTROL_LOG_RAFT || era->log == CONTROL_LOG_LOCAL);
    CHECK(era->index_first > 0);
    struct control_era *last = c->era_count > 0 ? &c->eras[c->era_count - 1] : NULL;
    if (last != NULL &&
        (era->index_first < last->index_first || era->term_first < last->term_first)) {
        return err_set(e, ERR_INVALID,
                       "an era at index %" PRIu64 ", term %" PRIu64 " can't follow one at %" PRIu64
                       ", %" PRIu64,
                       era->index_first, era->term_first, last->index_first, last->term_first);
    }
    if (last != NULL && era->index_first == last->index_first) {
        *last = *era;
        return ERR_OK;
    }
    if (c->era_count == CONTROL_ERAS_MAX) {
        return err_set(e, ERR_FULL, "%d eras", CONTROL_ERAS_MAX);
    }
    c->eras[c->era_count++] = *era;
    return ERR_OK;
}

const struct control_era *control_era_at(const struct control *c, uint64_t index)
{
    for (size_t i = c->era_count; i-- > 0;) {
        if (c->eras[i].index_first <= index) {
            return &c->eras[i];
        }
    }
    return NULL;
}

enum control_log control_log(const struct control *c)
{
    return c->era_count > 0 ? c->eras[c->era_count - 1].log : CONTROL_LOG_RAFT;
}

void control_forget_eras(struct control *c, uint64_t index)
{
    size_t over = 0;
    while (over + 1 < c->era_count && c->eras[over + 1].index_first <= index + 1) {
        over++;
    }
    c->era_count -= over;
    memmove(c->eras, c->eras + over, c->era_count * sizeof c->eras[0]);
}
