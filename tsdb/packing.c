/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/packing.h"

#include "base/check.h"
#include "base/limits.h"

enum { WIDTH_MAX = 64, WIDTHS = WIDTH_MAX + 1, SAMPLES = 33, SAMPLE_MIDDLE = SAMPLES / 2 };

/* --- bits --- */

static unsigned width_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

static uint64_t mask_of(unsigned width)
{
    return width == 0 ? 0 : UINT64_MAX >> (64 - width);
}

size_t packing_bits_size(size_t n, unsigned width)
{
    return (n * width + 7) / 8;
}

/* What does not fill 64 bits yet waits in 'bits'. */
void packing_put_bits(uint8_t *data, const uint64_t *values, size_t n, unsigned width)
{
    CHECK(width <= WIDTH_MAX);
    uint64_t mask = mask_of(width);
    uint64_t bits = 0;
    unsigned count = 0; /* < 64 */
    for (size_t i = 0; i < n; i++) {
        uint64_t v = values[i] & mask;
        bits |= v << count;
        count += width;
        if (count >= 64) {
            bytes_put_u64(data, bits);
            data += 8;
            count -= 64;
            unsigned taken = width - count; /* 1..64 of v are out */
            bits = taken == 64 ? 0 : v >> taken;
        }
    }
    for (; count > 0; count = count > 8 ? count - 8 : 0) {
        *data++ = (uint8_t)bits;
        bits >>= 8;
    }
}

/* One value where eight bytes may not be read at once. */
static uint64_t get_slowly(const uint8_t *data, size_t size, size_t bit, unsigned width)
{
    uint64_t v = 0;
    unsigned have = 0;
    for (size_t at = bit / 8; at < size && have < width; at++) {
        unsigned skip = have == 0 ? (unsigned)(bit % 8) : 0;
        v |= (uint64_t)(data[at] >> skip) << have;
        have += 8 - skip;
    }
    return v & mask_of(width);
}

/* Each value and 'base'. */
static void unpack(const uint8_t *data, uint64_t *values, size_t n, unsigned width, uint64_t base)
{
    CHECK(width <= WIDTH_MAX);
    size_t size = packing_bits_size(n, width);
    size_t i = 0;
    if (width == 0) {
        for (; i < n; i++) {
            values[i] = base;
        }
    } else if (width <= 56 && size >= 8) { /* with up to 7 bits before it a value is in 8 bytes */
        size_t fast = ((size - 8) * 8 + 7) / width + 1;
        fast = fast < n ? fast : n;
        uint64_t mask = mask_of(width);
        size_t bit = 0;
        for (; i < fast; i++, bit += width) {
            values[i] = base + (bytes_get_u64(data + bit / 8) >> (bit % 8) & mask);
        }
    }
    for (; i < n; i++) {
        values[i] = base + get_slowly(data, size, i * width, width);
    }
}

void packing_get_bits(const uint8_t *data, uint64_t *values, size_t n, unsigned width)
{
    unpack(data, values, n, width, 0);
}

/* --- planning --- */

static unsigned varint_size(uint64_t v)
{
    return v == 0 ? 1 : (width_of(v) + 6) / 7;
}

/* The width that takes least, where count[k] words need k bits. An exception takes a
 * byte for its place and its high bits, 7 in a byte, one of them the sign. */
static void take_best(struct packing *best, uint64_t base, bool centred, size_t n,
                      const uint32_t *count)
{
    size_t head = varint_size(packing_zigzag(base)) + 2;
    for (unsigned width = 0; width <= WIDTH_MAX; width++) {
        if (count[width] == 0 && width > 0) {
            continue;
        }
        size_t size = head + packing_bits_size(n, width);
        for (unsigned k = width + 1; k <= WIDTH_MAX && size < best->size; k++) {
            size += count[k] * (1 + (size_t)(k - width + 7) / 7);
        }
        if (size < best->size) {
            uint64_t half = centred && width > 0 ? UINT64_C(1) << (width - 1) : 0;
            *best = (struct packing){base - half, width, size};
        }
    }
}

static uint64_t least_of(const uint64_t *words, size_t n)
{
    int64_t least = (int64_t)words[0];
    for (size_t i = 1; i < n; i++) {
        least = (int64_t)words[i] < least ? (int64_t)words[i] : least;
    }
    return (uint64_t)least;
}

/* Of some words, evenly spread: of all of them would take longer than it gains. */
static uint64_t median_of(const uint64_t *words, size_t n)
{
    int64_t sorted[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++) {
        int64_t v = (int64_t)words[i * n / SAMPLES];
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > v; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = v;
    }
    return (uint64_t)sorted[SAMPLE_MIDDLE];
}

/* Two counters in turns: equal words that follow each other don't wait for one. */
static void count_widths(uint32_t *count, const uint64_t *words, size_t n, uint64_t base,
                         bool centred)
{
    uint32_t odd[WIDTHS] = {0};
    memset(count, 0, WIDTHS * sizeof *count);
    for (size_t i = 0; i < n; i++) {
        uint64_t distance = words[i] - base;
        uint32_t *to = (i & 1) == 0 ? count : odd;
        to[width_of(centred ? packing_zigzag(distance) : distance)]++;
    }
    for (size_t k = 0; k < WIDTHS; k++) {
        count[k] += odd[k];
    }
}

/* The words around the median that are no exceptions may need less than a window that has
 * it in the middle. */
static void tighten(struct packing *p, const uint64_t *words, size_t n)
{
    uint64_t least = UINT64_MAX;
    uint64_t greatest = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t distance = words[i] - p->base;
        if (distance <= mask_of(p->width)) {
            least = distance < least ? distance : least;
            greatest = distance > greatest ? distance : greatest;
        }
    }
    unsigned width = width_of(greatest - least);
    if (least <= greatest && width < p->width) {
        p->base += least;
        p->width = width;
        p->size -= packing_bits_size(n, 1);
    }
}

struct packing packing_plan(const uint64_t *words, size_t n)
{
    CHECK(n > 0);
    uint32_t count[WIDTHS];
    struct packing best = {.size = SIZE_MAX};
    uint64_t base = least_of(words, n);
    count_widths(count, words, n, base, false);
    take_best(&best, base, false, n, count);
    if (best.width > 0) {
        struct packing centred = {.size = SIZE_MAX};
        base = median_of(words, n);
        count_widths(count, words, n, base, true);
        take_best(&centred, base, true, n, count);
        tighten(&centred, words, n);
        best = centred.size < best.size ? centred : best;
    }
    return best;
}

/* --- bytes --- */

/* What a word has above its slot; 0 but for exceptions. */
static uint64_t high_of(uint64_t distance, unsigned width)
{
    return width == WIDTH_MAX ? 0 : (uint64_t)((int64_t)distance >> width);
}

void packing_put(struct buf *out, const struct packing *p, const uint64_t *words, size_t n)
{
    CHECK(n > 0);
    CHECK(n <= LIMIT_BLOCK_ROWS_MAX);
    CHECK(p->width <= WIDTH_MAX);
    uint64_t distances[LIMIT_BLOCK_ROWS_MAX];
    size_t exceptions = 0;
    for (size_t i = 0; i < n; i++) {
        distances[i] = words[i] - p->base;
        exceptions += high_of(distances[i], p->width) != 0 ? 1 : 0;
    }
    buf_put_varint(out, packing_zigzag(p->base));
    buf_put_u8(out, (uint8_t)p->width);
    buf_put_varint(out, exceptions);
    size_t before = 0;
    for (size_t i = 0; i < n && exceptions > 0; i++) {
        uint64_t high = high_of(distances[i], p->width);
        if (high != 0) {
            buf_put_varint(out, i - before);
            buf_put_varint(out, packing_zigzag(high));
            before = i;
        }
    }
    packing_put_bits(buf_extend(out, packing_bits_size(n, p->width)), distances, n, p->width);
}

/* Exceptions stand before the slots, but are added to them. */
static bool patch(struct cursor *c, uint64_t count, unsigned width, uint64_t *words, size_t n)
{
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t gap = cursor_varint(c);
        uint64_t high = packing_unzigzag(cursor_varint(c));
        if (c->bad || gap >= n - at || (gap == 0 && i > 0) || high == 0 || width == WIDTH_MAX) {
            return false;
        }
        at += gap;
        words[at] += high << width;
    }
    return true;
}

static void skip_varints(struct cursor *c, uint64_t count)
{
    for (uint64_t i = 0; i < count && !c->bad; i++) {
        (void)cursor_varint(c);
    }
}

bool packing_get(struct bytes data, uint64_t *words, size_t n)
{
    CHECK(n > 0);
    struct cursor c = cursor_of(data);
    uint64_t base = packing_unzigzag(cursor_varint(&c));
    unsigned width = cursor_u8(&c);
    uint64_t exceptions = cursor_varint(&c);
    if (c.bad || width > WIDTH_MAX || exceptions > n) {
        return false;
    }
    struct cursor slots = c;
    skip_varints(&slots, exceptions * 2);
    if (slots.bad || slots.size != packing_bits_size(n, width)) {
        return false;
    }
    unpack(slots.data, words, n, width, base);
    return patch(&c, exceptions, width, words, n);
}
