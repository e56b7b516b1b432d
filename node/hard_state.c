/* SPDX-License-Identifier: Apache-2.0 */
#include "node/hard_state.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/io_twin.h"

enum {
    FLAG_FORMED = 1,
    FLAG_REMOVED = 1,
    /* Everything at its largest, with room for the sizes of blobs. */
    FIXED_SIZE_MAX = 512,
    SIZE_MAX_ENCODED = FIXED_SIZE_MAX + 3 * HARD_STATE_BLOB_SIZE_MAX + HARD_STATE_STARTS_MAX * 16 +
                       HARD_STATE_SEEN_MAX * 33,
};

_Static_assert((int)SIZE_MAX_ENCODED <= (int)IO_TWIN_SIZE - (int)IO_TWIN_HEADER_SIZE,
               "the largest hard state fits in its twin");
_Static_assert((int)HARD_STATE_SEEN_MAX > (int)LIMIT_NODES_MAX,
               "every member's start can be remembered");
_Static_assert((int)HARD_STATE_STARTS_MAX > (int)LIMIT_NODES_MAX,
               "every member can pin one of our starts");

struct hard_state_file {
    struct io *io;        /* borrowed */
    struct io_twin *twin; /* owned */
    struct buf scratch;
    struct hard_state state; /* what the twin holds */
};

static void check_invariants(const struct hard_state *s)
{
    CHECK(s->directory_id != 0);
    CHECK(s->name[0] != '\0');
    CHECK(s->start_count <= HARD_STATE_STARTS_MAX);
    CHECK((s->start_count == 0) == (s->start_counter == 0));
    CHECK(s->start_count == 0 || s->starts[s->start_count - 1].counter == s->start_counter);
    CHECK(s->seen_count <= HARD_STATE_SEEN_MAX);
    CHECK(s->committed.size <= HARD_STATE_BLOB_SIZE_MAX);
    CHECK(s->pending.size <= HARD_STATE_BLOB_SIZE_MAX);
    CHECK(s->founding.size <= HARD_STATE_BLOB_SIZE_MAX);
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

static void encode_blob(const struct hard_state_blob *blob, struct buf *out)
{
    buf_put_u64(out, blob->index);
    buf_put_blob(out, hard_state_blob_bytes(blob));
}

static enum err_code decode_blob(struct cursor *c, const char *what, struct hard_state_blob *blob,
                                 struct err *e)
{
    uint64_t index = cursor_u64(c);
    struct bytes data = cursor_blob(c);
    if (index == 0 && data.size > 0) {
        return err_set(e, ERR_CORRUPT, "%s of no index", what);
    }
    if (hard_state_set_blob(blob, index, data, e) != ERR_OK) {
        (void)err_wrap(e, "%s", what);
        return e != NULL ? e->code = ERR_CORRUPT : ERR_CORRUPT;
    }
    return ERR_OK;
}

void hard_state_encode(const struct hard_state *s, struct buf *out)
{
    check_invariants(s);
    size_t start = out->size;
    buf_put_u32(out, HARD_STATE_FORMAT);
    buf_put_u64(out, s->cluster_id);
    buf_put_u64(out, s->directory_id);
    buf_put_str(out, s->name);
    buf_put_u64(out, s->start_counter);
    buf_put_u16(out, (uint16_t)s->start_count);
    for (size_t i = 0; i < s->start_count; i++) {
        buf_put_u64(out, s->starts[i].counter);
        buf_put_u64(out, s->starts[i].nonce);
    }
    buf_put_u64(out, s->term);
    buf_put_u64(out, s->voted_for);
    buf_put_u64(out, s->repair_term);
    buf_put_u8(out, s->cluster_formed ? FLAG_FORMED : 0);
    encode_extent(&s->raft_extent, out);
    encode_blob(&s->committed, out);
    encode_blob(&s->pending, out);
    encode_blob(&s->founding, out);
    buf_put_u16(out, (uint16_t)s->seen_count);
    for (size_t i = 0; i < s->seen_count; i++) {
        const struct hard_state_seen *seen = &s->seen[i];
        buf_put_u64(out, seen->directory_id);
        buf_put_u64(out, seen->counter);
        buf_put_u64(out, seen->nonce);
        buf_put_u64(out, seen->welcomed);
        buf_put_u8(out, seen->removed ? FLAG_REMOVED : 0);
    }
    CHECK(out->size - start <= SIZE_MAX_ENCODED);
}

static enum err_code decode_starts(struct cursor *c, struct hard_state *out, struct err *e)
{
    out->start_counter = cursor_u64(c);
    size_t count = cursor_u16(c);
    if (count > HARD_STATE_STARTS_MAX) {
        return err_set(e, ERR_CORRUPT, "%zu starts", count);
    }
    uint64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        struct hard_state_start *start = &out->starts[i];
        start->counter = cursor_u64(c);
        start->nonce = cursor_u64(c);
        if (start->counter <= before || start->nonce == 0) {
            return err_set(e, ERR_CORRUPT, "start %" PRIu64 " after %" PRIu64, start->counter,
                           before);
        }
        before = start->counter;
    }
    if (before != out->start_counter) {
        return err_set(e, ERR_CORRUPT, "start counter %" PRIu64 ", last start %" PRIu64,
                       out->start_counter, before);
    }
    out->start_count = count;
    return ERR_OK;
}

static enum err_code decode_seen(struct cursor *c, struct hard_state *out, struct err *e)
{
    size_t count = cursor_u16(c);
    if (count > HARD_STATE_SEEN_MAX) {
        return err_set(e, ERR_CORRUPT, "%zu starts seen", count);
    }
    for (size_t i = 0; i < count; i++) {
        struct hard_state_seen *seen = &out->seen[i];
        seen->directory_id = cursor_u64(c);
        seen->counter = cursor_u64(c);
        seen->nonce = cursor_u64(c);
        seen->welcomed = cursor_u64(c);
        uint8_t flags = cursor_u8(c);
        bool twice = hard_state_find_seen(out, seen->directory_id) != NULL;
        if (twice || seen->directory_id == 0 || (flags & ~FLAG_REMOVED) != 0) {
            return err_set(e, ERR_CORRUPT, "start seen of directory %016" PRIx64 ", flags %u",
                           seen->directory_id, flags);
        }
        seen->removed = (flags & FLAG_REMOVED) != 0;
        out->seen_count = i + 1;
    }
    return ERR_OK;
}

static enum err_code decode_rest(struct cursor *c, struct hard_state *out, struct err *e)
{
    out->term = cursor_u64(c);
    out->voted_for = cursor_u64(c);
    out->repair_term = cursor_u64(c);
    uint8_t flags = cursor_u8(c);
    if ((flags & ~FLAG_FORMED) != 0) {
        return err_set(e, ERR_CORRUPT, "flags %u", flags);
    }
    out->cluster_formed = (flags & FLAG_FORMED) != 0;
    decode_extent(c, &out->raft_extent);
    enum err_code code = decode_blob(c, "committed configuration", &out->committed, e);
    if (code == ERR_OK) {
        code = decode_blob(c, "pending configuration", &out->pending, e);
    }
    if (code == ERR_OK) {
        code = decode_blob(c, "founding record", &out->founding, e);
    }
    return code == ERR_OK ? decode_seen(c, out, e) : code;
}

enum err_code hard_state_decode(struct bytes b, struct hard_state *out, struct err *e)
{
    struct cursor c = cursor_of(b);
    memset(out, 0, sizeof *out);
    uint32_t format = cursor_u32(&c);
    if (!c.bad && format > HARD_STATE_FORMAT) {
        return err_set(e, ERR_UNSUPPORTED,
                       "hard state was written by a newer tidemarkd (format %" PRIu32
                       ", this one knows up to %d)",
                       format, HARD_STATE_FORMAT);
    }
    if (format != HARD_STATE_FORMAT) {
        return err_set(e, ERR_CORRUPT, "hard state of format %" PRIu32, format);
    }
    out->cluster_id = cursor_u64(&c);
    out->directory_id = cursor_u64(&c);
    cursor_str(&c, out->name, sizeof out->name);
    enum err_code code = decode_starts(&c, out, e);
    if (code == ERR_OK) {
        code = decode_rest(&c, out, e);
    }
    if (code == ERR_OK && !cursor_done(&c)) {
        code = err_set(e, ERR_CORRUPT, "it has %zu bytes, %zu of them unread", b.size, c.size);
    }
    if (code == ERR_OK && (out->directory_id == 0 || out->name[0] == '\0')) {
        code = err_set(e, ERR_CORRUPT, "no directory id or no name");
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "hard state");
        return code;
    }
    check_invariants(out);
    return ERR_OK;
}

/* --- life --- */

static uint64_t draw(struct io *io)
{
    uint64_t number = 0;
    while (number == 0) {
        number = io_entropy_u64(io);
    }
    return number;
}

static struct hard_state_file *file_new(struct io *io)
{
    struct hard_state_file *f = mem_zalloc(sizeof *f);
    f->io = io;
    return f;
}

enum err_code hard_state_create(struct io *io, const char *dir,
                                const struct hard_state_fresh *fresh, struct hard_state_file **out,
                                struct err *e)
{
    size_t size = strlen(fresh->name);
    if (size == 0 || size > LIMIT_NAME_SIZE_MAX) {
        return err_set(e, ERR_INVALID, "the node's name has %zu bytes, not 1 to %d", size,
                       LIMIT_NAME_SIZE_MAX);
    }
    struct hard_state_file *f = file_new(io);
    f->state.cluster_id = fresh->cluster_id;
    f->state.directory_id = draw(io);
    memcpy(f->state.name, fresh->name, size + 1);
    hard_state_encode(&f->state, &f->scratch);
    enum err_code code = io_twin_create(io, dir, "hard-state", HARD_STATE_MAGIC,
                                        buf_bytes(&f->scratch), &f->twin, e);
    if (code != ERR_OK) {
        hard_state_close(f);
        return code;
    }
    *out = f;
    return ERR_OK;
}

enum err_code hard_state_open(struct io *io, const char *dir, struct hard_state_file **out,
                              struct err *e)
{
    struct hard_state_file *f = file_new(io);
    enum err_code code = io_twin_open(io, dir, "hard-state", HARD_STATE_MAGIC, &f->twin, e);
    if (code == ERR_OK) {
        code = hard_state_decode(io_twin_payload(f->twin), &f->state, e);
    }
    if (code != ERR_OK) {
        hard_state_close(f);
        return code;
    }
    *out = f;
    return ERR_OK;
}

enum err_code hard_state_start(struct hard_state_file *f, struct err *e)
{
    struct hard_state next = f->state;
    hard_state_add_start(&next, draw(f->io));
    return hard_state_write(f, &next, e);
}

enum err_code hard_state_raise_counter(struct hard_state_file *f, struct err *e)
{
    CHECK(f->state.start_counter > 0); /* started before */
    return hard_state_start(f, e);
}

const struct hard_state *hard_state_get(const struct hard_state_file *f)
{
    return &f->state;
}

bool hard_state_nonce(const struct hard_state *s, uint64_t counter, uint64_t *nonce)
{
    for (size_t i = 0; i < s->start_count; i++) {
        if (s->starts[i].counter == counter) {
            *nonce = s->starts[i].nonce;
            return true;
        }
    }
    return false;
}

/* What must never happen to promises, whoever asks for it. */
static void check_step(const struct hard_state *from, const struct hard_state *to)
{
    CHECK(to->directory_id == from->directory_id);
    CHECK(from->cluster_id == 0 || to->cluster_id == from->cluster_id);
    CHECK(to->start_counter >= from->start_counter);
    CHECK(to->term >= from->term);
    bool voted = to->term == from->term && from->voted_for != 0;
    CHECK(!voted || to->voted_for == from->voted_for);
    CHECK(!from->cluster_formed || to->cluster_formed);
}

enum err_code hard_state_write(struct hard_state_file *f, const struct hard_state *next,
                               struct err *e)
{
    check_invariants(next);
    check_step(&f->state, next);
    buf_reset(&f->scratch);
    hard_state_encode(next, &f->scratch);
    enum err_code code = io_twin_write(f->twin, buf_bytes(&f->scratch), e);
    if (code != ERR_OK) {
        (void)err_wrap(e, "hard state");
        return code;
    }
    f->state = *next;
    return ERR_OK;
}

unsigned hard_state_bad_copies(const struct hard_state_file *f)
{
    return io_twin_bad_copies(f->twin);
}

void hard_state_close(struct hard_state_file *f)
{
    if (f == NULL) {
        return;
    }
    io_twin_close(f->twin);
    buf_deinit(&f->scratch);
    mem_free(f);
}

/* --- the plain data --- */

/* A peer may ask for the nonce of this start: it is the last one that it is
 * known to have stored. */
static bool is_pinned(const struct hard_state *s, uint64_t counter)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        if (s->seen[i].welcomed == counter && !s->seen[i].removed) {
            return true;
        }
    }
    return false;
}

static void forget_oldest_start(struct hard_state *s)
{
    size_t oldest = 0;
    while (oldest < s->start_count && is_pinned(s, s->starts[oldest].counter)) {
        oldest++;
    }
    if (oldest == s->start_count) {
        oldest = 0; /* more peers than members: the oldest goes all the same */
    }
    s->start_count--;
    memmove(&s->starts[oldest], &s->starts[oldest + 1],
            (s->start_count - oldest) * sizeof s->starts[0]);
}

void hard_state_add_start(struct hard_state *s, uint64_t nonce)
{
    CHECK(nonce != 0);
    CHECK(s->start_counter < UINT64_MAX);
    if (s->start_count == HARD_STATE_STARTS_MAX) {
        forget_oldest_start(s);
    }
    s->start_counter++;
    s->starts[s->start_count++] = (struct hard_state_start){s->start_counter, nonce};
    check_invariants(s);
}

enum err_code hard_state_set_blob(struct hard_state_blob *blob, uint64_t index, struct bytes data,
                                  struct err *e)
{
    CHECK(index > 0 || data.size == 0);
    if (data.size > HARD_STATE_BLOB_SIZE_MAX) {
        return err_set(e, ERR_RANGE, "%zu bytes, more than %d", data.size,
                       HARD_STATE_BLOB_SIZE_MAX);
    }
    memset(blob, 0, sizeof *blob);
    blob->index = index;
    blob->size = (uint32_t)data.size;
    if (data.size > 0) {
        memcpy(blob->data, data.data, data.size);
    }
    return ERR_OK;
}

struct bytes hard_state_blob_bytes(const struct hard_state_blob *blob)
{
    CHECK(blob->size <= HARD_STATE_BLOB_SIZE_MAX);
    return bytes_of(blob->data, blob->size);
}

const struct hard_state_seen *hard_state_find_seen(const struct hard_state *s,
                                                   uint64_t directory_id)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        if (s->seen[i].directory_id == directory_id) {
            return &s->seen[i];
        }
    }
    return NULL;
}

static bool is_in(uint64_t id, const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* The place of one that may be forgotten: what is not a member does not vote. */
static struct hard_state_seen *forgettable(struct hard_state *s, const uint64_t *members,
                                           size_t member_count)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        if (!is_in(s->seen[i].directory_id, members, member_count)) {
            return &s->seen[i];
        }
    }
    return NULL;
}

enum err_code hard_state_see(struct hard_state *s, const struct hard_state_seen *seen,
                             const uint64_t *members, size_t member_count, struct err *e)
{
    CHECK(seen->directory_id != 0);
    for (size_t i = 0; i < s->seen_count; i++) {
        struct hard_state_seen *known = &s->seen[i];
        if (known->directory_id != seen->directory_id) {
            continue;
        }
        if (seen->counter > known->counter) {
            known->counter = seen->counter;
            known->nonce = seen->nonce;
        }
        known->welcomed = seen->welcomed > known->welcomed ? seen->welcomed : known->welcomed;
        known->removed = known->removed || seen->removed;
        return ERR_OK;
    }
    if (s->seen_count < HARD_STATE_SEEN_MAX) {
        s->seen[s->seen_count++] = *seen;
        return ERR_OK;
    }
    struct hard_state_seen *place = forgettable(s, members, member_count);
    if (place == NULL) {
        return err_set(e, ERR_FULL, "%d directories are known, all of them members",
                       HARD_STATE_SEEN_MAX);
    }
    /* The one that was met first goes; the newest stands last. */
    size_t at = (size_t)(place - s->seen);
    memmove(place, place + 1, (s->seen_count - at - 1) * sizeof *place);
    s->seen[s->seen_count - 1] = *seen;
    return ERR_OK;
}
