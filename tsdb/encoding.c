/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/encoding.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

enum { WIDTH_MAX = 64, OFFSETS_HEAD = 9, DELTAS_HEAD = 17 };

/* --- bits --- */

static unsigned width_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

static size_t packed_size(size_t n, unsigned width)
{
    return (n * width + 7) / 8;
}

/* A stream of bits: what does not fill a byte yet waits in 'bits'. */
struct bit_writer {
    uint8_t *p;
    uint64_t bits;
    unsigned count; /* < 8 between calls */
};

static void put_bits(struct bit_writer *w, uint64_t v, unsigned width)
{
    while (width > 0) {
        unsigned take = width < 56 ? width : 56;
        w->bits |= (v & ((UINT64_C(1) << take) - 1)) << w->count;
        w->count += take;
        v >>= take;
        width -= take;
        while (w->count >= 8) {
            *w->p++ = (uint8_t)w->bits;
            w->bits >>= 8;
            w->count -= 8;
        }
    }
}

static void flush_bits(struct bit_writer *w)
{
    if (w->count > 0) {
        *w->p++ = (uint8_t)w->bits;
    }
}

struct bit_reader {
    const uint8_t *p;
    uint64_t bits;
    unsigned count;
};

static uint64_t get_bits(struct bit_reader *r, unsigned width)
{
    uint64_t v = 0;
    unsigned done = 0;
    while (done < width) {
        unsigned take = width - done < 56 ? width - done : 56;
        while (r->count < take) {
            r->bits |= (uint64_t)*r->p++ << r->count;
            r->count += 8;
        }
        v |= (r->bits & ((UINT64_C(1) << take) - 1)) << done;
        r->bits >>= take;
        r->count -= take;
        done += take;
    }
    return v;
}

/* --- words --- */

/* Least and greatest as signed numbers; their distance fits in 64 bits. */
struct span {
    uint64_t least;
    uint64_t greatest;
};

static void span_add(struct span *s, uint64_t word)
{
    if ((int64_t)word < (int64_t)s->least) {
        s->least = word;
    }
    if ((int64_t)word > (int64_t)s->greatest) {
        s->greatest = word;
    }
}

static void put_plain(struct buf *out, const uint64_t *words, size_t n)
{
    uint8_t *p = buf_extend(out, n * 8);
    for (size_t i = 0; i < n; i++) {
        bytes_put_u64(p + i * 8, words[i]);
    }
}

static void put_offsets(struct buf *out, const uint64_t *words, size_t n, const struct span *s)
{
    unsigned width = width_of(s->greatest - s->least);
    buf_put_u64(out, s->least);
    buf_put_u8(out, (uint8_t)width);
    struct bit_writer w = {.p = buf_extend(out, packed_size(n, width))};
    for (size_t i = 0; i < n; i++) {
        put_bits(&w, words[i] - s->least, width);
    }
    flush_bits(&w);
}

static void put_deltas(struct buf *out, const uint64_t *words, size_t n, const struct span *s)
{
    unsigned width = width_of(s->greatest - s->least);
    buf_put_u64(out, words[0]);
    buf_put_u64(out, s->least);
    buf_put_u8(out, (uint8_t)width);
    struct bit_writer w = {.p = buf_extend(out, packed_size(n - 1, width))};
    for (size_t i = 1; i < n; i++) {
        put_bits(&w, words[i] - words[i - 1] - s->least, width);
    }
    flush_bits(&w);
}

static enum encoding put_packable(struct buf *out, const uint64_t *words, size_t n)
{
    CHECK(n > 1);
    struct span values = {words[0], words[0]};
    struct span deltas = {words[1] - words[0], words[1] - words[0]};
    for (size_t i = 1; i < n; i++) {
        span_add(&values, words[i]);
        span_add(&deltas, words[i] - words[i - 1]);
    }
    size_t plain = n * 8;
    size_t offsets = OFFSETS_HEAD + packed_size(n, width_of(values.greatest - values.least));
    size_t delta = DELTAS_HEAD + packed_size(n - 1, width_of(deltas.greatest - deltas.least));
    if (plain <= offsets && plain <= delta) {
        put_plain(out, words, n);
        return ENCODING_PLAIN;
    }
    if (offsets <= delta) {
        put_offsets(out, words, n, &values);
        return ENCODING_OFFSETS;
    }
    put_deltas(out, words, n, &deltas);
    return ENCODING_DELTAS;
}

enum encoding encoding_put_words(struct buf *out, const uint64_t *words, size_t n, bool packable)
{
    CHECK(n > 0);
    bool constant = true;
    for (size_t i = 1; i < n && constant; i++) {
        constant = words[i] == words[0];
    }
    if (constant) {
        buf_put_u64(out, words[0]);
        return ENCODING_CONSTANT;
    }
    if (packable) {
        return put_packable(out, words, n);
    }
    put_plain(out, words, n);
    return ENCODING_PLAIN;
}

static bool get_plain(struct bytes data, uint64_t *words, size_t n)
{
    if (data.size != n * 8) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        words[i] = bytes_get_u64(data.data + i * 8);
    }
    return true;
}

static bool get_constant(struct bytes data, uint64_t *words, size_t n)
{
    if (data.size != 8) {
        return false;
    }
    uint64_t word = bytes_get_u64(data.data);
    for (size_t i = 0; i < n; i++) {
        words[i] = word;
    }
    return true;
}

static bool get_offsets(struct bytes data, uint64_t *words, size_t n)
{
    if (data.size < OFFSETS_HEAD) {
        return false;
    }
    uint64_t least = bytes_get_u64(data.data);
    unsigned width = data.data[8];
    if (width > WIDTH_MAX || data.size != OFFSETS_HEAD + packed_size(n, width)) {
        return false;
    }
    struct bit_reader r = {.p = data.data + OFFSETS_HEAD};
    for (size_t i = 0; i < n; i++) {
        words[i] = least + get_bits(&r, width);
    }
    return true;
}

static bool get_deltas(struct bytes data, uint64_t *words, size_t n)
{
    if (data.size < DELTAS_HEAD) {
        return false;
    }
    words[0] = bytes_get_u64(data.data);
    uint64_t least = bytes_get_u64(data.data + 8);
    unsigned width = data.data[16];
    if (width > WIDTH_MAX || data.size != DELTAS_HEAD + packed_size(n - 1, width)) {
        return false;
    }
    struct bit_reader r = {.p = data.data + DELTAS_HEAD};
    for (size_t i = 1; i < n; i++) {
        words[i] = words[i - 1] + least + get_bits(&r, width);
    }
    return true;
}

bool encoding_get_words(uint8_t encoding, struct bytes data, uint64_t *words, size_t n)
{
    CHECK(n > 0);
    CHECK(n <= LIMIT_BLOCK_ROWS_MAX);
    switch (encoding) {
    case ENCODING_PLAIN:
        return get_plain(data, words, n);
    case ENCODING_CONSTANT:
        return get_constant(data, words, n);
    case ENCODING_OFFSETS:
        return get_offsets(data, words, n);
    case ENCODING_DELTAS:
        return get_deltas(data, words, n);
    default:
        return false;
    }
}

/* --- strings --- */

static void put_sized(struct buf *out, const struct bytes *strings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_put_varint(out, strings[i].size);
    }
    for (size_t i = 0; i < n; i++) {
        buf_put_bytes(out, strings[i]);
    }
}

static size_t varint_size(uint64_t v)
{
    size_t size = 1;
    for (; v >= 0x80; v >>= 7) {
        size++;
    }
    return size;
}

static size_t sized_size(const struct bytes *strings, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size += varint_size(strings[i].size) + strings[i].size;
    }
    return size;
}

static int compare_strings(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* The distinct strings, sorted; the caller's, to be given to mem_free(). */
static struct bytes *distinct(const struct bytes *strings, size_t n, size_t *count)
{
    struct bytes *sorted = mem_dup(strings, n * sizeof *strings);
    qsort(sorted, n, sizeof *sorted, compare_strings);
    *count = 1;
    for (size_t i = 1; i < n; i++) {
        if (!bytes_equal(sorted[i], sorted[*count - 1])) {
            sorted[(*count)++] = sorted[i];
        }
    }
    return sorted;
}

static void put_places(struct buf *out, const struct bytes *strings, size_t n,
                       const struct bytes *dictionary, size_t count, unsigned width)
{
    buf_put_u8(out, (uint8_t)width);
    struct bit_writer w = {.p = buf_extend(out, packed_size(n, width))};
    for (size_t i = 0; i < n; i++) {
        const struct bytes *at =
            bsearch(&strings[i], dictionary, count, sizeof *dictionary, compare_strings);
        CHECK(at != NULL);
        put_bits(&w, (uint64_t)(at - dictionary), width);
    }
    flush_bits(&w);
}

enum encoding encoding_put_strings(struct buf *out, const struct bytes *strings, size_t n)
{
    CHECK(n > 0);
    size_t count = 0;
    struct bytes *dictionary = distinct(strings, n, &count);
    unsigned width = width_of(count - 1);
    size_t size = varint_size(count) + sized_size(dictionary, count) + 1 + packed_size(n, width);
    enum encoding encoding = ENCODING_STRINGS;
    if (size < sized_size(strings, n)) {
        encoding = ENCODING_DICTIONARY;
        buf_put_varint(out, count);
        put_sized(out, dictionary, count);
        put_places(out, strings, n, dictionary, count, width);
    } else {
        put_sized(out, strings, n);
    }
    mem_free(dictionary);
    return encoding;
}

/* n sizes, then so many bytes. */
static bool get_sized(struct cursor *c, struct bytes *strings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t size = cursor_varint(c);
        if (size > LIMIT_STRING_SIZE_MAX) {
            return false;
        }
        strings[i].size = (size_t)size;
    }
    for (size_t i = 0; i < n && !c->bad; i++) {
        strings[i] = cursor_take(c, strings[i].size);
    }
    return !c->bad;
}

static bool get_places(struct cursor *c, struct bytes *strings, size_t n,
                       const struct bytes *dictionary, size_t count)
{
    unsigned width = cursor_u8(c);
    if (c->bad || width > WIDTH_MAX || c->size != packed_size(n, width)) {
        return false;
    }
    struct bit_reader r = {.p = c->data};
    for (size_t i = 0; i < n; i++) {
        uint64_t place = get_bits(&r, width);
        if (place >= count) {
            return false;
        }
        strings[i] = dictionary[place];
    }
    return true;
}

bool encoding_get_strings(uint8_t encoding, struct bytes data, struct bytes *strings, size_t n)
{
    CHECK(n > 0);
    CHECK(n <= LIMIT_BLOCK_ROWS_MAX);
    struct cursor c = cursor_of(data);
    if (encoding == ENCODING_STRINGS) {
        return get_sized(&c, strings, n) && cursor_done(&c);
    }
    if (encoding != ENCODING_DICTIONARY) {
        return false;
    }
    uint64_t count = cursor_varint(&c);
    if (c.bad || count == 0 || count > n) {
        return false;
    }
    struct bytes *dictionary = mem_array((size_t)count, sizeof *dictionary);
    bool good = get_sized(&c, dictionary, (size_t)count) &&
                get_places(&c, strings, n, dictionary, (size_t)count);
    mem_free(dictionary);
    return good;
}
