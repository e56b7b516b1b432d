/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io_twin.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"

enum { COPIES = 2, FORMAT = 1, OFFSET_CRC = 20 };

_Static_assert(OFFSET_CRC + 4 == IO_TWIN_HEADER_SIZE, "the crc ends the header");

enum state { ACTIVE, BROKEN };

static const unsigned allowed[] = {
    [ACTIVE] = 1U << BROKEN,
    [BROKEN] = 0,
};

struct io_twin {
    enum state state;
    uint32_t magic;
    uint64_t sequence;          /* of the payload; 1 for the first */
    struct buf payload;         /* what both copies hold */
    struct buf image;           /* scratch: header, payload, zeros */
    unsigned bad_copies;        /* found at open */
    struct file *files[COPIES]; /* owned */
};

/* What one copy turned out to be. */
enum verdict { MISSING, UNREADABLE, BAD, NEWER_FORMAT, WHOLE };

struct copy {
    enum verdict verdict;
    uint64_t sequence;    /* when WHOLE */
    struct bytes payload; /* when WHOLE; borrowed from 'image' */
    struct buf image;
    struct err why; /* when not WHOLE */
};

static void check_invariants(const struct io_twin *t)
{
    CHECK(t->sequence > 0);
    CHECK(t->payload.size <= IO_TWIN_SIZE - IO_TWIN_HEADER_SIZE);
    CHECK(t->files[0] != NULL);
    CHECK(t->files[1] != NULL);
}

static void set_state(struct io_twin *t, enum state next)
{
    CHECK((allowed[t->state] & 1U << next) != 0);
    t->state = next;
}

/* --- the bytes of a copy --- */

static uint32_t copy_crc(const uint8_t *header, struct bytes payload)
{
    return crc32c(crc32c(0, header, OFFSET_CRC), payload.data, payload.size);
}

/* A copy of 'size' bytes: zeros fill what the payload leaves. */
static void encode(const struct io_twin *t, size_t size, struct buf *image)
{
    CHECK(size >= IO_TWIN_HEADER_SIZE + t->payload.size);
    CHECK(size <= IO_TWIN_SIZE);
    buf_reset(image);
    buf_put_u32(image, t->magic);
    buf_put_u32(image, FORMAT);
    buf_put_u64(image, t->sequence);
    buf_put_u32(image, (uint32_t)t->payload.size);
    buf_put_u32(image, copy_crc(image->data, buf_bytes(&t->payload)));
    CHECK(image->size == IO_TWIN_HEADER_SIZE);
    buf_put_bytes(image, buf_bytes(&t->payload));
    buf_put_zeros(image, size - image->size);
}

static enum verdict judge(struct copy *copy, uint32_t magic)
{
    struct cursor c = cursor_of(buf_bytes(&copy->image));
    uint32_t magic_found = cursor_u32(&c);
    uint32_t format = cursor_u32(&c);
    copy->sequence = cursor_u64(&c);
    uint32_t size = cursor_u32(&c);
    uint32_t crc = cursor_u32(&c);
    copy->payload = cursor_take(&c, size);
    if (c.bad) {
        (void)err_set(&copy->why, ERR_CORRUPT, "payload of %" PRIu32 " bytes does not fit in %zu",
                      size, copy->image.size);
        return BAD;
    }
    if (crc != copy_crc(copy->image.data, copy->payload)) {
        (void)err_set(&copy->why, ERR_CORRUPT, "checksum does not match");
        return BAD;
    }
    /* The checksum holds: what follows was written so, and is no damage. */
    if (magic_found != magic) {
        (void)err_set(&copy->why, ERR_CORRUPT, "magic %08" PRIx32 ", expected %08" PRIx32,
                      magic_found, magic);
        return BAD;
    }
    if (format > FORMAT) {
        (void)err_set(&copy->why, ERR_UNSUPPORTED, "format %" PRIu32 ", this program knows %d",
                      format, FORMAT);
        return NEWER_FORMAT;
    }
    if (format != FORMAT || copy->sequence == 0 || copy->sequence == UINT64_MAX) {
        (void)err_set(&copy->why, ERR_CORRUPT, "format %" PRIu32 ", sequence %" PRIu64, format,
                      copy->sequence);
        return BAD;
    }
    return WHOLE;
}

/* Where a twin lives, and of which kind it is. All borrowed. */
struct place {
    struct io *io;
    const char *dir;
    const char *name;
    uint32_t magic;
};

static enum err_code copy_path(char dst[IO_PATH_MAX], const struct place *place, size_t index,
                               struct err *e)
{
    char file_name[IO_NAME_MAX + 1];
    int size = snprintf(file_name, sizeof file_name, "%s.%zu", place->name, index);
    CHECK(size > 0);
    CHECK((size_t)size < sizeof file_name);
    return io_join(dst, place->dir, file_name, e);
}

/* What is on disk now. A read error is a verdict too: the other copy may serve.
 * Fails only for reasons that say nothing about the copy. */
static enum err_code copy_read(const struct place *place, size_t index, struct copy *copy,
                               struct err *e)
{
    char path[IO_PATH_MAX];
    struct file *file = NULL;
    enum err_code code = copy_path(path, place, index, e);
    if (code != ERR_OK) {
        return code;
    }
    code = io_open(place->io, path, IO_READ, &file, &copy->why);
    if (code == ERR_NOT_FOUND) {
        copy->verdict = MISSING;
        return ERR_OK;
    }
    if (code != ERR_OK) {
        return err_set(e, code, "%s", copy->why.text);
    }
    buf_reserve(&copy->image, IO_TWIN_SIZE);
    size_t got = 0;
    code = file_read_at(file, 0, copy->image.data, IO_TWIN_SIZE, &got, &copy->why);
    file_close(file);
    copy->image.size = got;
    copy->verdict = code == ERR_OK ? judge(copy, place->magic) : UNREADABLE;
    return ERR_OK;
}

/* --- writing --- */

static enum err_code write_copy(struct io_twin *t, size_t index, size_t size, struct err *e)
{
    encode(t, size, &t->image);
    struct bytes image = buf_bytes(&t->image);
    enum err_code code = file_write_at(t->files[index], 0, &image, 1, e);
    return code == ERR_OK ? file_sync(t->files[index], e) : code;
}

static struct io_twin *twin_new(uint32_t magic, uint64_t sequence, struct bytes payload)
{
    struct io_twin *t = mem_zalloc(sizeof *t);
    t->state = ACTIVE;
    t->magic = magic;
    t->sequence = sequence;
    buf_put_bytes(&t->payload, payload);
    return t;
}

/* Opens both files, made where missing, and makes the payload durable in both,
 * in full size, copy 'first' before the other. */
static enum err_code establish(struct io_twin *t, const struct place *place, size_t first,
                               struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < COPIES && code == ERR_OK; i++) {
        size_t index = first ^ i;
        char path[IO_PATH_MAX];
        code = copy_path(path, place, index, e);
        if (code == ERR_OK) {
            code = io_open(place->io, path, IO_WRITE | IO_CREATE, &t->files[index], e);
        }
        if (code == ERR_OK) {
            code = write_copy(t, index, IO_TWIN_SIZE, e);
        }
    }
    return code == ERR_OK ? io_sync_dir(place->io, place->dir, e) : code;
}

/* --- opening --- */

static const struct copy *newest_whole(const struct copy copies[COPIES])
{
    const struct copy *newest = NULL;
    for (size_t i = 0; i < COPIES; i++) {
        if (copies[i].verdict == WHOLE &&
            (newest == NULL || copies[i].sequence > newest->sequence)) {
            newest = &copies[i];
        }
    }
    return newest;
}

/* Decides what the two copies mean together. Sets *newest only on ERR_OK. */
static enum err_code choose(const struct copy copies[COPIES], const struct copy **newest,
                            struct err *e)
{
    if (copies[0].verdict == MISSING && copies[1].verdict == MISSING) {
        return err_set(e, ERR_NOT_FOUND, "neither copy exists");
    }
    for (size_t i = 0; i < COPIES; i++) {
        if (copies[i].verdict == NEWER_FORMAT) {
            return err_set(e, ERR_UNSUPPORTED, "copy %zu: %s", i, copies[i].why.text);
        }
    }
    *newest = newest_whole(copies);
    if (*newest == NULL) {
        bool unreadable = copies[0].verdict == UNREADABLE || copies[1].verdict == UNREADABLE;
        return err_set(e, unreadable ? ERR_IO : ERR_CORRUPT,
                       "no copy is whole: copy 0: %.160s; copy 1: %.160s", copies[0].why.text,
                       copies[1].why.text);
    }
    if (copies[0].verdict == WHOLE && copies[1].verdict == WHOLE &&
        copies[0].sequence == copies[1].sequence &&
        !bytes_equal(copies[0].payload, copies[1].payload)) {
        return err_set(e, ERR_CORRUPT,
                       "both copies are whole, have sequence %" PRIu64 " and differ",
                       copies[0].sequence);
    }
    return ERR_OK;
}

static enum err_code read_copies(const struct place *place, struct copy copies[COPIES],
                                 struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < COPIES && code == ERR_OK; i++) {
        code = copy_read(place, i, &copies[i], e);
    }
    return code;
}

static void copies_deinit(struct copy copies[COPIES])
{
    for (size_t i = 0; i < COPIES; i++) {
        buf_deinit(&copies[i].image);
    }
}

/* The newest whole copy goes first: it may be in the page cache only, and then
 * the other one is still the one on disk. Only when it is durable may the other
 * be overwritten. */
static enum err_code open_newest(const struct place *place, const struct copy copies[COPIES],
                                 struct io_twin **out, struct err *e)
{
    const struct copy *newest = NULL;
    enum err_code code = choose(copies, &newest, e);
    if (code != ERR_OK) {
        return code;
    }
    CHECK(newest != NULL);
    struct io_twin *t = twin_new(place->magic, newest->sequence, newest->payload);
    for (size_t i = 0; i < COPIES; i++) {
        t->bad_copies += copies[i].verdict != WHOLE;
    }
    code = establish(t, place, (size_t)(newest - copies), e);
    if (code != ERR_OK) {
        io_twin_close(t);
        return code;
    }
    check_invariants(t);
    *out = t;
    return ERR_OK;
}

enum err_code io_twin_open(struct io *io, const char *dir, const char *name, uint32_t magic,
                           struct io_twin **out, struct err *e)
{
    struct place place = {io, dir, name, magic};
    struct copy copies[COPIES] = {{.verdict = MISSING}, {.verdict = MISSING}};
    *out = NULL;
    enum err_code code = read_copies(&place, copies, e);
    if (code == ERR_OK) {
        code = open_newest(&place, copies, out, e);
    }
    copies_deinit(copies);
    if (code != ERR_OK) {
        (void)err_wrap(e, "opening %s/%s", dir, name);
    }
    return code;
}

/* What a creation that crashed can have left has sequence 1 at most. */
static enum err_code check_unused(const struct place *place, struct err *e)
{
    struct copy copies[COPIES] = {{.verdict = MISSING}, {.verdict = MISSING}};
    enum err_code code = read_copies(place, copies, e);
    if (code == ERR_OK) {
        const struct copy *newest = newest_whole(copies);
        if (newest != NULL && newest->sequence > 1) {
            code = err_set(e, ERR_EXISTS, "is in use, at sequence %" PRIu64, newest->sequence);
        }
    }
    copies_deinit(copies);
    return code;
}

/* NOLINTNEXTLINE(readability-function-size): the place takes four of them */
enum err_code io_twin_create(struct io *io, const char *dir, const char *name, uint32_t magic,
                             struct bytes payload, struct io_twin **out, struct err *e)
{
    CHECK(payload.size <= IO_TWIN_SIZE - IO_TWIN_HEADER_SIZE);
    struct place place = {io, dir, name, magic};
    *out = NULL;
    enum err_code code = check_unused(&place, e);
    if (code == ERR_OK) {
        struct io_twin *t = twin_new(magic, 1, payload);
        code = establish(t, &place, 0, e);
        if (code == ERR_OK) {
            check_invariants(t);
            *out = t;
        } else {
            io_twin_close(t);
        }
    }
    if (code != ERR_OK) {
        (void)err_wrap(e, "creating %s/%s", dir, name);
    }
    return code;
}

/* Copy 0 is durable before copy 1 is touched: at every moment one is whole. */
enum err_code io_twin_write(struct io_twin *t, struct bytes payload, struct err *e)
{
    CHECK(payload.size <= IO_TWIN_SIZE - IO_TWIN_HEADER_SIZE);
    if (t->state == BROKEN) {
        return err_set(e, ERR_STATE, "an earlier write failed: what is on disk is unknown");
    }
    check_invariants(t);
    CHECK(t->sequence < UINT64_MAX);
    size_t size_before = t->payload.size;
    struct buf next = {0};
    buf_put_bytes(&next, payload); /* may be borrowed from the old payload */
    buf_deinit(&t->payload);
    t->payload = next;
    t->sequence++;

    /* Behind the area of the old payload there are zeros already. */
    size_t size = IO_TWIN_HEADER_SIZE + (size_before > payload.size ? size_before : payload.size);
    for (size_t i = 0; i < COPIES; i++) {
        enum err_code code = write_copy(t, i, size, e);
        if (code != ERR_OK) {
            set_state(t, BROKEN);
            return e == NULL ? code : err_wrap(e, "copy %zu", i);
        }
    }
    check_invariants(t);
    return ERR_OK;
}

struct bytes io_twin_payload(const struct io_twin *t)
{
    return buf_bytes(&t->payload);
}

unsigned io_twin_bad_copies(const struct io_twin *t)
{
    return t->bad_copies;
}

void io_twin_close(struct io_twin *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < COPIES; i++) {
        file_close(t->files[i]);
    }
    buf_deinit(&t->payload);
    buf_deinit(&t->image);
    mem_free(t);
}
