/* SPDX-License-Identifier: Apache-2.0 */
/* What scripts/bench encoding runs: values of many shapes through the encodings, the
 * rows of a fleet through blocks, a sum over one column of a part. Beside each the same
 * values copied plainly and through zstd -1.
 *
 *   encoding_load DIRECTORY ROUNDS [small]
 *
 * Prints a JSON line for each figure: case, side, unit, value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zstd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "io/io_posix.h"
#include "tsdb/encoding.h"
#include "tsdb/part.h"

enum { BLOCK = LIMIT_BLOCK_ROWS_MAX, FLEET_COLUMNS = 10 };

struct load {
    struct io *io;
    const char *dir;
    size_t values; /* of each case */
    size_t sum_rows;
    size_t fleet_hosts;
};

static void print(const char *name, const char *side, const char *unit, double value)
{
    (void)printf("{\"case\": \"%s\", \"side\": \"%s\", \"unit\": \"%s\", \"value\": %.4f}\n", name,
                 side, unit, value);
}

static uint64_t word_of(double v)
{
    uint64_t w = 0;
    memcpy(&w, &v, sizeof w);
    return w;
}

/* About normal, deviation 1: the sum of twelve. */
static double normal(struct random *r)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += (double)random_below(r, 1U << 20) / (1U << 20);
    }
    return sum;
}

/* --- shapes of values --- */

static void regular_times(struct random *r, uint64_t *w, size_t n)
{
    (void)r;
    for (size_t i = 0; i < n; i++) {
        w[i] = UINT64_C(1700000000000) + i * 10000;
    }
}

static void shaky_times(struct random *r, uint64_t *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i] = UINT64_C(1700000000000) + i * 10000 + random_below(r, 41);
    }
}

static void counter(struct random *r, uint64_t *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i] = (i == 0 ? 0 : w[i - 1]) + random_below(r, 1000);
    }
}

static void gauge(struct random *r, uint64_t *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i] = random_below(r, 101);
    }
}

/* Two decimals, a normal step each time, between 0 and 100. */
static void walk(struct random *r, uint64_t *w, size_t n)
{
    double v = 50;
    for (size_t i = 0; i < n; i++) {
        v += normal(r);
        v = v < 0 ? 0 : v > 100 ? 100 : v;
        w[i] = word_of(round(v * 100) / 100);
    }
}

static void sine(struct random *r, uint64_t *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i] = word_of(20 + 5 * sin((double)i / 300) + normal(r) / 1000);
    }
}

static void noise(struct random *r, uint64_t *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i] = word_of(normal(r) + (double)random_u64(r) / 1e22);
    }
}

static const struct shape {
    const char *name;
    enum encoding_kind kind;
    void (*make)(struct random *r, uint64_t *words, size_t n);
} shapes[] = {
    {"times, regular", ENCODING_OF_NUMBERS, regular_times},
    {"times, +-20 ms", ENCODING_OF_NUMBERS, shaky_times},
    {"counter, step < 1000", ENCODING_OF_NUMBERS, counter},
    {"gauge, 0 to 100", ENCODING_OF_NUMBERS, gauge},
    {"walk, 2 decimals", ENCODING_OF_DOUBLES, walk},
    {"sine, all digits", ENCODING_OF_DOUBLES, sine},
    {"noise, all digits", ENCODING_OF_DOUBLES, noise},
};

/* --- one column --- */

/* Of this process on a processor: what else runs on the machine does not count. */
static double busy_us(void)
{
    struct timespec now;
    int rv = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    CHECK(rv == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double rate(size_t count, double from_us)
{
    double us = busy_us() - from_us;
    return (double)count / (us > 1 ? us : 1); /* millions a second */
}

static void measure_ours(const struct load *l, const struct shape *s, const uint64_t *words)
{
    struct buf b = {0};
    size_t blocks = l->values / BLOCK;
    size_t *ends = mem_array(blocks, sizeof *ends);
    uint8_t *encodings = mem_array(blocks, 1);
    uint64_t *back = mem_array(BLOCK, sizeof *back);
    double start = busy_us();
    for (size_t i = 0; i < blocks; i++) {
        encodings[i] = (uint8_t)encoding_put_words(&b, words + i * BLOCK, BLOCK, s->kind);
        ends[i] = b.size;
    }
    print(s->name, "ours", "encoded, M values/s", rate(blocks * BLOCK, start));
    print(s->name, "ours", "bytes per value", (double)b.size / (double)(blocks * BLOCK));
    start = busy_us();
    for (size_t i = 0; i < blocks; i++) {
        size_t from = i == 0 ? 0 : ends[i - 1];
        bool good =
            encoding_get_words(encodings[i], bytes_of(b.data + from, ends[i] - from), back, BLOCK);
        CHECK(good);
        CHECK(back[BLOCK - 1] == words[i * BLOCK + BLOCK - 1]);
    }
    print(s->name, "ours", "decoded, M values/s", rate(blocks * BLOCK, start));
    mem_free(back);
    mem_free(encodings);
    mem_free(ends);
    buf_deinit(&b);
}

static void measure_zstd(const struct load *l, const struct shape *s, const uint64_t *words)
{
    size_t blocks = l->values / BLOCK;
    size_t bound = ZSTD_compressBound(BLOCK * 8);
    uint8_t *out = mem_array(blocks, bound);
    size_t *sizes = mem_array(blocks, sizeof *sizes);
    uint64_t *back = mem_array(BLOCK, sizeof *back);
    size_t size = 0;
    double start = busy_us();
    for (size_t i = 0; i < blocks; i++) {
        sizes[i] = ZSTD_compress(out + i * bound, bound, words + i * BLOCK, BLOCK * 8, 1);
        CHECK(!ZSTD_isError(sizes[i]));
        size += sizes[i];
    }
    print(s->name, "zstd -1", "encoded, M values/s", rate(blocks * BLOCK, start));
    print(s->name, "zstd -1", "bytes per value", (double)size / (double)(blocks * BLOCK));
    start = busy_us();
    for (size_t i = 0; i < blocks; i++) {
        size_t got = ZSTD_decompress(back, BLOCK * 8, out + i * bound, sizes[i]);
        CHECK(got == BLOCK * 8);
    }
    print(s->name, "zstd -1", "decoded, M values/s", rate(blocks * BLOCK, start));
    mem_free(back);
    mem_free(sizes);
    mem_free(out);
}

static void measure_plain(const struct load *l, const struct shape *s, const uint64_t *words)
{
    size_t blocks = l->values / BLOCK;
    uint64_t *back = mem_array(l->values, sizeof *back);
    memset(back, 1, l->values * sizeof *back);
    double start = busy_us();
    for (size_t i = 0; i < blocks; i++) {
        memcpy(back + i * BLOCK, words + i * BLOCK, BLOCK * 8);
    }
    print(s->name, "plain copy", "encoded, M values/s", rate(blocks * BLOCK, start));
    print(s->name, "plain copy", "bytes per value", 8);
    CHECK(back[BLOCK - 1] == words[BLOCK - 1]);
    mem_free(back);
}

static void measure_shapes(const struct load *l)
{
    uint64_t *words = mem_array(l->values, sizeof *words);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct random r = random_seeded(i);
        shapes[i].make(&r, words, l->values);
        measure_ours(l, &shapes[i], words);
        measure_zstd(l, &shapes[i], words);
        measure_plain(l, &shapes[i], words);
    }
    mem_free(words);
}

/* --- tables --- */

/* A table of the timestamp and so many double columns. */
static struct table *make_table(unsigned columns)
{
    struct buf b = {0};
    buf_put_varint(&b, 1); /* id */
    buf_put_varint(&b, 1); /* version */
    buf_put_varint(&b, 1); /* made at */
    buf_put_varint(&b, columns + 1);
    buf_put_varint(&b, 1);
    buf_put_str(&b, "d");
    buf_put_str(&b, "m");
    buf_put_u8(&b, 3);
    buf_put_varint(&b, columns + 1);
    for (unsigned i = 0; i <= columns; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "c%u", i);
        buf_put_varint(&b, i);
        buf_put_u8(&b, i == 0 ? VALUE_TIMESTAMP : VALUE_DOUBLE);
        buf_put_u8(&b, i == 0 ? 1 : 0);
        buf_put_varint(&b, 0);
        buf_put_str(&b, name);
    }
    buf_put_varint(&b, 1);
    buf_put_varint(&b, 0);
    buf_put_u8(&b, VALUE_STRING);
    buf_put_u8(&b, 3);
    buf_put_varint(&b, LIMIT_STRING_SIZE_MAX);
    buf_put_str(&b, "host");
    struct cursor c = cursor_of(buf_bytes(&b));
    struct table *t = NULL;
    struct err e = {0};
    if (table_decode(&c, &t, &e) != ERR_OK) {
        PANIC("%s", e.text);
    }
    buf_deinit(&b);
    return t;
}

static void must(enum err_code code, const struct err *e)
{
    if (code != ERR_OK) {
        PANIC("%s", e->text);
    }
}

static void fill_rows(struct rows *rows, size_t count, struct random *r)
{
    rows_reserve(rows, count);
    regular_times(r, (uint64_t *)rows->times, count);
    for (size_t i = 0; i < rows->column_count; i++) {
        walk(r, rows->columns[i].words, count);
        memset(rows->columns[i].nulls, 0, count);
    }
    rows->count = count;
}

/* Rows of all columns, as many as one series of a part has. */
static void make_rows(struct rows *rows, const struct table *t, size_t count)
{
    struct random r = random_seeded(1);
    uint32_t places[FLEET_COLUMNS];
    for (uint32_t i = 0; i < FLEET_COLUMNS; i++) {
        places[i] = i + 1;
    }
    rows_init(rows, t, places, t->column_count - 1);
    fill_rows(rows, count, &r);
}

/* A part of so many series, each of these rows, open; its file is in l->dir. */
static struct part *make_part(const struct load *l, const struct rows *rows, size_t series)
{
    struct part_info info = {.index_from = 1, .index_until = 1};
    struct part_writer *w = NULL;
    struct part *p = NULL;
    struct err e = {0};
    must(part_writer_open(l->io, l->dir, &info, &w, &e), &e);
    for (size_t i = 0; i < series; i++) {
        for (size_t from = 0; from < rows->count; from += BLOCK) {
            size_t to = rows->count - from < BLOCK ? rows->count : from + BLOCK;
            must(part_writer_add(w, i + 1, rows, from, to, &e), &e);
        }
    }
    must(part_writer_finish(w, &info, &e), &e);
    must(part_open(l->io, l->dir, &info, &p, &e), &e);
    part_writer_close(w);
    return p;
}

static void measure_fleet(const struct load *l, size_t count)
{
    char name[64];
    (void)snprintf(name, sizeof name, "fleet, %zu rows a block", count);
    struct table *t = make_table(FLEET_COLUMNS);
    struct rows rows;
    make_rows(&rows, t, count);
    size_t values = l->fleet_hosts * count * FLEET_COLUMNS;
    double start = busy_us();
    struct part *p = make_part(l, &rows, l->fleet_hosts);
    print(name, "ours", "encoded and written, M values/s", rate(values, start));
    print(name, "ours", "bytes per value", (double)part_info(p)->size / (double)values);
    part_close(p);
    rows_deinit(&rows);
    table_unref(t);
}

/* One column of many rows, read and summed in row order. */
static void measure_sum(const struct load *l, unsigned columns)
{
    char name[64];
    (void)snprintf(name, sizeof name, "sum of 1 column of %u", columns);
    struct table *t = make_table(columns);
    const uint32_t place = 1;
    struct rows rows;
    make_rows(&rows, t, l->sum_rows);
    struct part *p = make_part(l, &rows, 1);
    rows_deinit(&rows);
    struct part_source source;
    struct err e = {0};
    double sum = 0;
    size_t count = 0;
    rows_init(&rows, t, &place, 1);
    double start = busy_us();
    part_source_init(&source, p, 1, INT64_MIN, INT64_MAX);
    do {
        must(part_source_next(&source, &rows, &e), &e);
        for (size_t i = 0; i < rows.count; i++) {
            double v = 0;
            memcpy(&v, &rows.columns[0].words[i], sizeof v);
            sum += v;
        }
        count += rows.count;
    } while (rows.count > 0);
    print(name, "ours", "M values/s", rate(count, start));
    CHECK(count == l->sum_rows);
    CHECK(sum > 0);
    part_source_deinit(&source);
    rows_deinit(&rows);
    part_close(p);
    table_unref(t);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: encoding_load DIRECTORY ROUNDS [small]\n");
        return 2;
    }
    bool small = argc > 3;
    struct load l = {
        .io = io_posix(),
        .dir = argv[1],
        .values = small ? 64 * (size_t)BLOCK : 256 * (size_t)BLOCK,
        .sum_rows = small ? 1000000 : 10000000,
        .fleet_hosts = small ? 20 : 200,
    };
    long rounds = strtol(argv[2], NULL, 10);
    for (long round = 0; round < rounds; round++) {
        measure_shapes(&l);
        measure_fleet(&l, 50);
        measure_fleet(&l, 500);
        measure_fleet(&l, BLOCK);
        measure_sum(&l, 1);
        measure_sum(&l, FLEET_COLUMNS);
    }
    return 0;
}
