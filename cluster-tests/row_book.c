/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/row_book.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

enum { PROBES = 16 };

enum state { OPEN, ACKED, REFUSED };

struct write {
    enum state state;
    unsigned series;
    uint64_t first;
    uint64_t count;
    uint64_t seen; /* rows of it in the scan */
};

struct key {
    uint64_t acked; /* number of the last acknowledged write, 0: none */
    uint64_t open;  /* of a write without an answer, 0: none */
    bool seen;      /* in the scan */
};

struct series {
    struct key *keys;
    size_t capacity;
    uint64_t count;
};

struct row_book {
    struct series series[ROW_BOOK_SERIES_MAX];
    struct write *writes; /* [number - 1] */
    size_t capacity;
    uint64_t write_count;
    uint64_t acked_writes;
    uint64_t acked_rows;
    uint64_t refused_writes;
    struct row_book_verdict verdict;
};

struct row_book *row_book_open(void)
{
    return mem_zalloc(sizeof(struct row_book));
}

void row_book_close(struct row_book *b)
{
    for (size_t i = 0; i < ROW_BOOK_SERIES_MAX; i++) {
        mem_free(b->series[i].keys);
    }
    mem_free(b->writes);
    mem_free(b);
}

static struct write *write_of(struct row_book *b, uint64_t number)
{
    CHECK(number > 0);
    CHECK(number <= b->write_count);
    return &b->writes[number - 1];
}

uint64_t row_book_begin(struct row_book *b, unsigned series, uint64_t first, uint64_t count)
{
    CHECK(series < ROW_BOOK_SERIES_MAX);
    CHECK(count > 0);
    CHECK(count <= ROW_BOOK_ROWS_MAX);
    struct series *s = &b->series[series];
    CHECK(first <= s->count); /* no gaps */
    b->writes = mem_grow(b->writes, &b->capacity, b->write_count + 1, sizeof *b->writes);
    b->writes[b->write_count++] =
        (struct write){.state = OPEN, .series = series, .first = first, .count = count};
    if (first + count > s->count) {
        s->keys = mem_grow(s->keys, &s->capacity, first + count, sizeof *s->keys);
        for (uint64_t i = s->count; i < first + count; i++) {
            s->keys[i] = (struct key){0};
        }
        s->count = first + count;
    }
    for (uint64_t i = first; i < first + count; i++) {
        CHECK(s->keys[i].open == 0);
        s->keys[i].open = b->write_count;
    }
    return b->write_count;
}

void row_book_acked(struct row_book *b, uint64_t write)
{
    struct write *w = write_of(b, write);
    CHECK(w->state == OPEN);
    w->state = ACKED;
    b->acked_writes++;
    for (uint64_t i = w->first; i < w->first + w->count; i++) {
        struct key *k = &b->series[w->series].keys[i];
        CHECK(k->open == write);
        if (k->acked != 0) {
        } else {
            b->acked_rows++;
        }
        k->acked = write;
        k->open = 0;
    }
}

void row_book_refused(struct row_book *b, uint64_t write)
{
    struct write *w = write_of(b, write);
    CHECK(w->state == OPEN);
    w->state = REFUSED;
    b->refused_writes++;
    for (uint64_t i = w->first; i < w->first + w->count; i++) {
        struct key *k = &b->series[w->series].keys[i];
        CHECK(k->open == write);
        k->open = 0;
    }
}

uint64_t row_book_next_key(const struct row_book *b, unsigned series)
{
    CHECK(series < ROW_BOOK_SERIES_MAX);
    return b->series[series].count;
}

bool row_book_acked_key(const struct row_book *b, unsigned series, uint64_t chance, uint64_t *key)
{
    CHECK(series < ROW_BOOK_SERIES_MAX);
    const struct series *s = &b->series[series];
    for (uint64_t i = 0; i < PROBES && s->count > 0; i++) {
        uint64_t at = (chance + i) % s->count;
        if (s->keys[at].acked != 0 && s->keys[at].open == 0) {
            *key = at;
            return true;
        }
    }
    return false;
}

uint64_t row_book_acked_writes(const struct row_book *b)
{
    return b->acked_writes;
}

uint64_t row_book_acked_rows(const struct row_book *b)
{
    return b->acked_rows;
}

uint64_t row_book_unknown_writes(const struct row_book *b)
{
    return b->write_count - b->acked_writes - b->refused_writes;
}

/* --- judging --- */

__attribute__((format(printf, 3, 4))) static void complain(struct row_book *b, uint64_t *counter,
                                                           const char *format, ...)
{
    (*counter)++;
    if (b->verdict.first[0] == '\0') {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(b->verdict.first, sizeof b->verdict.first, format, args);
        va_end(args);
    }
}

void row_book_scan_begin(struct row_book *b)
{
    b->verdict = (struct row_book_verdict){0};
    for (size_t i = 0; i < ROW_BOOK_SERIES_MAX; i++) {
        for (uint64_t k = 0; k < b->series[i].count; k++) {
            b->series[i].keys[k].seen = false;
        }
    }
    for (uint64_t i = 0; i < b->write_count; i++) {
        b->writes[i].seen = 0;
    }
}

void row_book_scan_row(struct row_book *b, unsigned series, uint64_t key, uint64_t value)
{
    struct row_book_verdict *v = &b->verdict;
    v->found++;
    if (series >= ROW_BOOK_SERIES_MAX || key >= b->series[series].count) {
        complain(b, &v->phantom, "row %u:%" PRIu64 " was never written", series, key);
        return;
    }
    struct key *k = &b->series[series].keys[key];
    if (k->seen) {
        complain(b, &v->phantom, "row %u:%" PRIu64 " is there twice", series, key);
        return;
    }
    k->seen = true;
    if (value == 0 || (value != k->acked && value != k->open)) {
        complain(b, &v->wrong,
                 "row %u:%" PRIu64 " holds %" PRIu64 ", acknowledged is %" PRIu64
                 ", without answer is %" PRIu64,
                 series, key, value, k->acked, k->open);
        return;
    }
    write_of(b, value)->seen++;
}

static void judge_key(struct row_book *b, unsigned series, uint64_t key)
{
    const struct key *k = &b->series[series].keys[key];
    if (k->acked != 0 && !k->seen) {
        complain(b, &b->verdict.lost, "row %u:%" PRIu64 " of write %" PRIu64 " is lost", series,
                 key, k->acked);
    }
}

struct row_book_verdict row_book_scan_end(struct row_book *b)
{
    for (unsigned i = 0; i < ROW_BOOK_SERIES_MAX; i++) {
        for (uint64_t k = 0; k < b->series[i].count; k++) {
            judge_key(b, i, k);
        }
    }
    for (uint64_t i = 0; i < b->write_count; i++) {
        const struct write *w = &b->writes[i];
        /* An acknowledged one is judged row by row. */
        if (w->state == OPEN && w->seen != 0 && w->seen != w->count) {
            complain(b, &b->verdict.torn, "%" PRIu64 " of %" PRIu64 " rows of write %" PRIu64,
                     w->seen, w->count, i + 1);
        }
    }
    return b->verdict;
}

bool row_book_is_good(const struct row_book_verdict *v)
{
    return v->lost == 0 && v->wrong == 0 && v->phantom == 0 && v->torn == 0;
}
