/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/block_statistics.h"

#include "base/check.h"
#include "tsdb/decimal.h"
#include "tsdb/packing.h"

enum { FORM_WORDS = 255 };

#define NAN_WORD UINT64_C(0x7ff8000000000000)
#define NAN_WORD_32 UINT64_C(0x7fc00000)

static bool is_real(enum value_type type)
{
    return type == VALUE_DOUBLE || type == VALUE_FLOAT;
}

static enum decimal_kind kind_of(enum value_type type)
{
    return type == VALUE_FLOAT ? DECIMAL_FLOAT : DECIMAL_DOUBLE;
}

static uint64_t word_of(double v)
{
    if (v != v) {
        return NAN_WORD;
    }
    uint64_t word = 0;
    memcpy(&word, &v, sizeof word);
    return word;
}

/* --- making --- */

static void sum_up_reals(enum decimal_kind kind, const uint64_t *words, size_t n,
                         struct block_statistics *s)
{
    double sum = 0;
    s->least = kind == DECIMAL_FLOAT ? NAN_WORD_32 : NAN_WORD;
    s->greatest = s->least;
    for (size_t i = 0; i < n; i++) {
        double v = decimal_value(kind, words[i]);
        sum += v;
        if (v == v && !(decimal_value(kind, s->least) <= v)) {
            s->least = words[i];
        }
        if (v == v && !(decimal_value(kind, s->greatest) >= v)) {
            s->greatest = words[i];
        }
    }
    s->sum_low = word_of(sum);
}

/* The 128 bits high:low and one more number of 64 bits without a sign. */
static void add_wide(uint64_t *low, uint64_t *high, uint64_t v)
{
    *low += v;
    *high += *low < v ? 1 : 0;
}

static void sum_up_numbers(const uint64_t *words, size_t n, struct block_statistics *s)
{
    s->least = words[0];
    s->greatest = words[0];
    for (size_t i = 0; i < n; i++) {
        int64_t v = (int64_t)words[i];
        s->least = v < (int64_t)s->least ? words[i] : s->least;
        s->greatest = v > (int64_t)s->greatest ? words[i] : s->greatest;
        add_wide(&s->sum_low, &s->sum_high, words[i]);
        s->sum_high += v < 0 ? UINT64_MAX : 0;
    }
}

void block_statistics_of(enum value_type type, const uint64_t *words, size_t n,
                         struct block_statistics *out)
{
    CHECK(n > 0);
    *out = (struct block_statistics){0};
    if (value_is_long(type)) {
        return;
    }
    out->first = words[0];
    out->last = words[n - 1];
    if (is_real(type)) {
        sum_up_reals(kind_of(type), words, n, out);
    } else {
        sum_up_numbers(words, n, out);
    }
}

/* --- whole numbers --- */

/* n times a word, as 128 bits with sign. */
static void multiply(uint64_t word, uint64_t n, uint64_t *low, uint64_t *high)
{
    uint64_t lower = (word & UINT32_MAX) * n;
    uint64_t upper = (word >> 32) * n;
    *low = lower;
    *high = upper >> 32;
    add_wide(low, high, upper << 32);
    *high -= (int64_t)word < 0 ? n : 0;
}

static void put_distances(struct buf *out, const struct block_statistics *s)
{
    buf_put_varint(out, packing_zigzag(s->least));
    buf_put_varint(out, s->greatest - s->least);
    buf_put_varint(out, s->first - s->least);
    buf_put_varint(out, s->last - s->least);
}

static void get_distances(struct cursor *c, struct block_statistics *s)
{
    s->least = packing_unzigzag(cursor_varint(c));
    s->greatest = s->least + cursor_varint(c);
    s->first = s->least + cursor_varint(c);
    s->last = s->least + cursor_varint(c);
}

static void put_whole(struct buf *out, const struct block_statistics *s, size_t n)
{
    uint64_t low = 0;
    uint64_t high = 0;
    multiply(s->least, n, &low, &high);
    put_distances(out, s);
    buf_put_varint(out, s->sum_low - low);
    buf_put_varint(out, s->sum_high - high - (s->sum_low < low ? 1 : 0));
}

static void get_whole(struct cursor *c, size_t n, struct block_statistics *s)
{
    get_distances(c, s);
    multiply(s->least, n, &s->sum_low, &s->sum_high);
    add_wide(&s->sum_low, &s->sum_high, cursor_varint(c));
    s->sum_high += cursor_varint(c);
}

/* --- floating-point numbers --- */

/* As whole numbers of one exponent. False: they are no such decimals. */
static bool scale(enum decimal_kind kind, const struct block_statistics *s, unsigned *exponent,
                  struct block_statistics *out)
{
    const uint64_t words[] = {s->least, s->greatest, s->first, s->last};
    int64_t m[4];
    int64_t sum = 0;
    if (!decimal_exponent(kind, words, 4, exponent)) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        if (!decimal_exact(kind, words[i], *exponent, &m[i])) {
            return false;
        }
    }
    if (!decimal_nearest(decimal_value(DECIMAL_DOUBLE, s->sum_low), *exponent, &sum)) {
        return false;
    }
    *out = (struct block_statistics){(uint64_t)m[0], (uint64_t)m[1], (uint64_t)m[2],
                                     (uint64_t)m[3], (uint64_t)sum,  0};
    return true;
}

static void put_reals(struct buf *out, enum decimal_kind kind, const struct block_statistics *s)
{
    unsigned exponent = 0;
    struct block_statistics m;
    if (!scale(kind, s, &exponent, &m)) {
        buf_put_u8(out, FORM_WORDS);
        buf_put_u64(out, s->least);
        buf_put_u64(out, s->greatest);
        buf_put_u64(out, s->first);
        buf_put_u64(out, s->last);
        buf_put_u64(out, s->sum_low);
        return;
    }
    buf_put_u8(out, (uint8_t)exponent);
    put_distances(out, &m);
    buf_put_varint(out, packing_zigzag(m.sum_low));
    uint64_t about = decimal_word(DECIMAL_DOUBLE, (int64_t)m.sum_low, exponent);
    buf_put_varint(out, packing_zigzag(s->sum_low - about));
}

static void get_reals(struct cursor *c, enum decimal_kind kind, struct block_statistics *s)
{
    unsigned exponent = cursor_u8(c);
    if (exponent == FORM_WORDS) {
        s->least = cursor_u64(c);
        s->greatest = cursor_u64(c);
        s->first = cursor_u64(c);
        s->last = cursor_u64(c);
        s->sum_low = cursor_u64(c);
        return;
    }
    if (exponent > DECIMAL_EXPONENT_MAX) {
        c->bad = true;
        return;
    }
    get_distances(c, s);
    s->least = decimal_word(kind, (int64_t)s->least, exponent);
    s->greatest = decimal_word(kind, (int64_t)s->greatest, exponent);
    s->first = decimal_word(kind, (int64_t)s->first, exponent);
    s->last = decimal_word(kind, (int64_t)s->last, exponent);
    uint64_t sum = packing_unzigzag(cursor_varint(c));
    uint64_t fix = packing_unzigzag(cursor_varint(c));
    s->sum_low = decimal_word(DECIMAL_DOUBLE, (int64_t)sum, exponent) + fix;
}

void block_statistics_put(struct buf *out, enum value_type type, const struct block_statistics *s,
                          size_t n)
{
    if (is_real(type)) {
        put_reals(out, kind_of(type), s);
    } else if (!value_is_long(type)) {
        put_whole(out, s, n);
    }
}

void block_statistics_get(struct cursor *c, enum value_type type, size_t n,
                          struct block_statistics *out)
{
    *out = (struct block_statistics){0};
    if (is_real(type)) {
        get_reals(c, kind_of(type), out);
    } else if (!value_is_long(type)) {
        get_whole(c, n, out);
    }
}
