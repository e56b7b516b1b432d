/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/encoding.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tsdb/decimal.h"
#include "tsdb/packing.h"

enum {
    N_MAX = LIMIT_BLOCK_ROWS_MAX,
    XOR_HEAD = 9,
    DECIMAL_GOOD_SIZE = 2, /* bytes a value: nothing else is tried */
    HASH_SLOTS = 2 * N_MAX,
};

/* --- whole numbers --- */

static void put_plain(struct buf *out, const uint64_t *words, size_t n)
{
    uint8_t *p = buf_extend(out, n * 8);
    for (size_t i = 0; i < n; i++) {
        bytes_put_u64(p + i * 8, words[i]);
    }
}

static void put_zigzag(struct buf *out, uint64_t word)
{
    buf_put_varint(out, packing_zigzag(word));
}

static uint64_t get_zigzag(struct cursor *c)
{
    return packing_unzigzag(cursor_varint(c));
}

static bool all_equal(const uint64_t *words, size_t n)
{
    uint64_t different = 0;
    for (size_t i = 1; i < n; i++) {
        different |= words[i] ^ words[0];
    }
    return different == 0;
}

/* n - 1 differences. */
static void subtract(uint64_t *deltas, const uint64_t *words, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        deltas[i - 1] = words[i] - words[i - 1];
    }
}

/* 'first' and the sums of it and the n differences at words + 1. */
static void add_up(uint64_t first, uint64_t *words, size_t n)
{
    words[0] = first;
    for (size_t i = 1; i <= n; i++) {
        first += words[i];
        words[i] = first;
    }
}

static size_t zigzag_size(uint64_t word)
{
    size_t size = 1;
    for (uint64_t v = packing_zigzag(word); v >= 0x80; v >>= 7) {
        size++;
    }
    return size;
}

/* Differences of differences are worth a try only where differences are. */
static enum encoding put_numbers(struct buf *out, const uint64_t *words, size_t n)
{
    if (all_equal(words, n)) {
        put_zigzag(out, words[0]);
        return ENCODING_CONSTANT;
    }
    uint64_t deltas[N_MAX];
    uint64_t seconds[N_MAX];
    subtract(deltas, words, n);
    struct packing offsets = packing_plan(words, n);
    struct packing first = packing_plan(deltas, n - 1);
    struct packing second = {.size = SIZE_MAX};
    first.size += zigzag_size(words[0]);
    if (n > 2 && first.width > 0 && first.size < offsets.size) {
        subtract(seconds, deltas, n - 1);
        second = packing_plan(seconds, n - 2);
        second.size += zigzag_size(words[0]) + zigzag_size(deltas[0]);
    }
    if (n * 8 <= offsets.size && n * 8 <= first.size && n * 8 <= second.size) {
        put_plain(out, words, n);
        return ENCODING_PLAIN;
    }
    if (offsets.size <= first.size && offsets.size <= second.size) {
        packing_put(out, &offsets, words, n);
        return ENCODING_OFFSETS;
    }
    put_zigzag(out, words[0]);
    if (first.size <= second.size) {
        packing_put(out, &first, deltas, n - 1);
        return ENCODING_DELTAS;
    }
    put_zigzag(out, deltas[0]);
    packing_put(out, &second, seconds, n - 2);
    return ENCODING_DELTAS_2;
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
    struct cursor c = cursor_of(data);
    uint64_t word = get_zigzag(&c);
    for (size_t i = 0; i < n; i++) {
        words[i] = word;
    }
    return cursor_done(&c);
}

static bool get_deltas(struct bytes data, uint64_t *words, size_t n)
{
    struct cursor c = cursor_of(data);
    uint64_t first = get_zigzag(&c);
    if (c.bad || n < 2 || !packing_get(bytes_of(c.data, c.size), words + 1, n - 1)) {
        return false;
    }
    add_up(first, words, n - 1);
    return true;
}

static bool get_deltas_2(struct bytes data, uint64_t *words, size_t n)
{
    struct cursor c = cursor_of(data);
    uint64_t first = get_zigzag(&c);
    uint64_t delta = get_zigzag(&c);
    if (c.bad || n < 3 || !packing_get(bytes_of(c.data, c.size), words + 2, n - 2)) {
        return false;
    }
    add_up(delta, words + 1, n - 2);
    add_up(first, words, n - 1);
    return true;
}

static bool get_numbers(uint8_t encoding, struct bytes data, uint64_t *words, size_t n)
{
    switch (encoding) {
    case ENCODING_PLAIN:
        return get_plain(data, words, n);
    case ENCODING_CONSTANT:
        return get_constant(data, words, n);
    case ENCODING_OFFSETS:
        return packing_get(data, words, n);
    case ENCODING_DELTAS:
        return get_deltas(data, words, n);
    case ENCODING_DELTAS_2:
        return get_deltas_2(data, words, n);
    default:
        return false;
    }
}

/* With their encoding in front. */
static void put_tagged_numbers(struct buf *out, const uint64_t *words, size_t n)
{
    size_t at = out->size;
    buf_put_u8(out, 0);
    out->data[at] = (uint8_t)put_numbers(out, words, n);
}

static bool get_tagged_numbers(struct bytes data, uint64_t *words, size_t n)
{
    return data.size > 0 &&
           get_numbers(data.data[0], bytes_of(data.data + 1, data.size - 1), words, n);
}

/* --- decimals --- */

static enum decimal_kind decimal_kind_of(enum encoding_kind kind)
{
    return kind == ENCODING_OF_FLOATS ? DECIMAL_FLOAT : DECIMAL_DOUBLE;
}

/* The words as whole numbers, and the places of those that are no such decimals, which
 * have the number beside them: as a difference it takes no bits. */
static size_t split_decimals(const uint64_t *words, size_t n, enum decimal_kind kind,
                             unsigned exponent, uint64_t *numbers, uint32_t *exceptions)
{
    size_t count = 0;
    int64_t m = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t exact = 0;
        if (decimal_exact(kind, words[i], exponent, &exact)) {
            m = exact;
        } else {
            exceptions[count++] = (uint32_t)i;
        }
        numbers[i] = (uint64_t)m;
    }
    size_t leading = 0;
    while (leading < count && exceptions[leading] == leading) {
        leading++;
    }
    for (size_t i = 0; i < leading && leading < n; i++) {
        numbers[i] = numbers[leading];
    }
    return count;
}

/* False: nothing is put. */
static bool put_decimal(struct buf *out, const uint64_t *words, size_t n, enum decimal_kind kind)
{
    unsigned exponent = 0;
    if (!decimal_exponent(kind, words, n, &exponent)) {
        return false;
    }
    uint64_t numbers[N_MAX];
    uint32_t exceptions[N_MAX];
    size_t count = split_decimals(words, n, kind, exponent, numbers, exceptions);
    buf_put_u8(out, (uint8_t)exponent);
    buf_put_varint(out, count);
    for (size_t i = 0; i < count; i++) {
        buf_put_varint(out, exceptions[i] - (i == 0 ? 0 : exceptions[i - 1]));
        buf_put_u64(out, words[exceptions[i]]);
    }
    put_tagged_numbers(out, numbers, n);
    return true;
}

/* Exceptions stand before the numbers, but replace some of them. */
static bool get_decimal(struct bytes data, uint64_t *words, size_t n, enum decimal_kind kind)
{
    struct cursor c = cursor_of(data);
    unsigned exponent = cursor_u8(&c);
    uint64_t count = cursor_varint(&c);
    if (c.bad || exponent > DECIMAL_EXPONENT_MAX || count > n) {
        return false;
    }
    struct cursor numbers = c;
    for (uint64_t i = 0; i < count; i++) {
        (void)cursor_varint(&numbers);
        (void)cursor_u64(&numbers);
    }
    if (numbers.bad || !get_tagged_numbers(bytes_of(numbers.data, numbers.size), words, n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        words[i] = decimal_word(kind, (int64_t)words[i], exponent);
    }
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t gap = cursor_varint(&c);
        if (gap >= n - at || (gap == 0 && i > 0)) {
            return false;
        }
        at += gap;
        words[at] = cursor_u64(&c);
    }
    return true;
}

/* --- other floating-point numbers --- */

/* The zeros at the lower end that all have. */
static unsigned common_shift(const uint64_t *words, size_t n)
{
    uint64_t any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= words[i];
    }
    return any == 0 ? 0 : (unsigned)__builtin_ctzll(any);
}

/* In place of what 'out' holds from 'at' on, if it takes less; false: it does not. */
static bool put_xor(struct buf *out, size_t at, const uint64_t *words, size_t n)
{
    if (n < 2) {
        return false;
    }
    uint64_t changes[N_MAX];
    for (size_t i = 1; i < n; i++) {
        changes[i - 1] = words[i] ^ words[i - 1];
    }
    unsigned shift = common_shift(changes, n - 1);
    for (size_t i = 0; i < n - 1; i++) {
        changes[i] >>= shift;
    }
    struct packing p = packing_plan(changes, n - 1);
    if (XOR_HEAD + p.size >= out->size - at) {
        return false;
    }
    out->size = at;
    buf_put_u64(out, words[0]);
    buf_put_u8(out, (uint8_t)shift);
    packing_put(out, &p, changes, n - 1);
    return true;
}

static bool get_xor(struct bytes data, uint64_t *words, size_t n)
{
    struct cursor c = cursor_of(data);
    uint64_t word = cursor_u64(&c);
    unsigned shift = cursor_u8(&c);
    if (c.bad || shift >= 64 || n < 2 || !packing_get(bytes_of(c.data, c.size), words + 1, n - 1)) {
        return false;
    }
    words[0] = word;
    for (size_t i = 1; i < n; i++) {
        word ^= words[i] << shift;
        words[i] = word;
    }
    return true;
}

/* Decimals are tried first: they take least where they fit, and then nothing else is tried. */
static enum encoding put_floating(struct buf *out, const uint64_t *words, size_t n,
                                  enum encoding_kind kind)
{
    size_t at = out->size;
    enum encoding encoding = kind == ENCODING_OF_FLOATS ? ENCODING_DECIMAL_32 : ENCODING_DECIMAL;
    bool decimal = put_decimal(out, words, n, decimal_kind_of(kind));
    if (decimal && out->size - at <= n * DECIMAL_GOOD_SIZE) {
        return encoding;
    }
    if (!decimal || out->size - at >= n * 8) {
        out->size = at;
        encoding = put_numbers(out, words, n);
    }
    return put_xor(out, at, words, n) ? ENCODING_XOR : encoding;
}

/* --- words --- */

enum encoding encoding_put_words(struct buf *out, const uint64_t *words, size_t n,
                                 enum encoding_kind kind)
{
    CHECK(n > 0);
    CHECK(n <= N_MAX);
    return kind == ENCODING_OF_NUMBERS ? put_numbers(out, words, n)
                                       : put_floating(out, words, n, kind);
}

bool encoding_get_words(uint8_t encoding, struct bytes data, uint64_t *words, size_t n)
{
    CHECK(n > 0);
    CHECK(n <= N_MAX);
    switch (encoding) {
    case ENCODING_DECIMAL:
        return get_decimal(data, words, n, DECIMAL_DOUBLE);
    case ENCODING_DECIMAL_32:
        return get_decimal(data, words, n, DECIMAL_FLOAT);
    case ENCODING_XOR:
        return get_xor(data, words, n);
    default:
        return get_numbers(encoding, data, words, n);
    }
}

/* --- strings --- */

/* Distinct strings in order of appearance, found by hash. */
struct dictionary {
    const struct bytes *strings; /* of the column */
    uint64_t *places;            /* of each of them */
    uint32_t *first;             /* of each distinct one: where it appears first */
    size_t count;
    uint16_t slots[HASH_SLOTS]; /* place + 1; 0: free */
};

_Static_assert(N_MAX < UINT16_MAX, "a place fits in a slot");
_Static_assert((HASH_SLOTS & (HASH_SLOTS - 1)) == 0, "slots are found by a mask");

static void add_to_dictionary(struct dictionary *d, size_t i)
{
    struct bytes s = d->strings[i];
    size_t slot = crc32c_bytes(s) & (HASH_SLOTS - 1);
    while (d->slots[slot] != 0) {
        size_t place = d->slots[slot] - 1U;
        if (bytes_equal(d->strings[d->first[place]], s)) {
            d->places[i] = place;
            return;
        }
        slot = (slot + 1) & (HASH_SLOTS - 1);
    }
    d->places[i] = d->count;
    d->first[d->count++] = (uint32_t)i;
    d->slots[slot] = (uint16_t)d->count;
}

/* The strings at 'places' (NULL: all): sizes, then bytes. */
static void put_sized(struct buf *out, const struct bytes *strings, const uint32_t *places,
                      size_t n)
{
    uint64_t *sizes = mem_array(n, sizeof *sizes);
    struct buf numbers = {0};
    for (size_t i = 0; i < n; i++) {
        sizes[i] = strings[places == NULL ? i : places[i]].size;
    }
    put_tagged_numbers(&numbers, sizes, n);
    buf_put_blob(out, buf_bytes(&numbers));
    for (size_t i = 0; i < n; i++) {
        buf_put_bytes(out, strings[places == NULL ? i : places[i]]);
    }
    buf_deinit(&numbers);
    mem_free(sizes);
}

enum encoding encoding_put_strings(struct buf *out, const struct bytes *strings, size_t n)
{
    CHECK(n > 0);
    CHECK(n <= N_MAX);
    size_t at = out->size;
    struct dictionary *d = mem_zalloc(sizeof *d);
    d->strings = strings;
    d->places = mem_array(n, sizeof *d->places);
    d->first = mem_array(n, sizeof *d->first);
    for (size_t i = 0; i < n; i++) {
        add_to_dictionary(d, i);
    }
    put_sized(out, strings, NULL, n);
    size_t all = out->size - at;
    enum encoding encoding = ENCODING_STRINGS;
    if (d->count < n) {
        struct buf distinct = {0};
        buf_put_varint(&distinct, d->count);
        put_sized(&distinct, strings, d->first, d->count);
        put_tagged_numbers(&distinct, d->places, n);
        if (distinct.size < all) {
            out->size = at;
            buf_put_bytes(out, buf_bytes(&distinct));
            encoding = ENCODING_DICTIONARY;
        }
        buf_deinit(&distinct);
    }
    mem_free(d->first);
    mem_free(d->places);
    mem_free(d);
    return encoding;
}

/* n sizes, then so many bytes. */
static bool get_sized(struct cursor *c, struct bytes *strings, size_t n)
{
    uint64_t sizes[N_MAX];
    struct bytes numbers = cursor_blob(c);
    if (c->bad || !get_tagged_numbers(numbers, sizes, n)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (sizes[i] > LIMIT_STRING_SIZE_MAX) {
            return false;
        }
        strings[i] = cursor_take(c, (size_t)sizes[i]);
    }
    return !c->bad;
}

static bool get_by_dictionary(struct cursor *c, struct bytes *strings, size_t n)
{
    uint64_t places[N_MAX];
    uint64_t count = cursor_varint(c);
    if (c->bad || count == 0 || count > n) {
        return false;
    }
    struct bytes *distinct = mem_array((size_t)count, sizeof *distinct);
    bool good = get_sized(c, distinct, (size_t)count) &&
                get_tagged_numbers(bytes_of(c->data, c->size), places, n);
    for (size_t i = 0; i < n && good; i++) {
        good = places[i] < count;
        strings[i] = good ? distinct[places[i]] : (struct bytes){0};
    }
    mem_free(distinct);
    return good;
}

bool encoding_get_strings(uint8_t encoding, struct bytes data, struct bytes *strings, size_t n)
{
    CHECK(n > 0);
    CHECK(n <= N_MAX);
    struct cursor c = cursor_of(data);
    if (encoding == ENCODING_STRINGS) {
        return get_sized(&c, strings, n) && cursor_done(&c);
    }
    return encoding == ENCODING_DICTIONARY && get_by_dictionary(&c, strings, n);
}
