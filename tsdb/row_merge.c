/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/row_merge.h"

#include "base/check.h"
#include "base/mem.h"

/* One place that holds rows. */
struct source {
    bool is_part;
    struct memory_source memory;
    struct part_source part;
    struct rows head; /* the batch being used up */
    size_t at;
    bool ended;
};

struct row_merge {
    struct row_range range;
    struct source **sources; /* newest first; those beyond 'count' are kept for use again */
    size_t count;
    size_t kept;
    size_t capacity;
};

struct row_merge *row_merge_new(const struct row_range *range)
{
    struct row_merge *m = mem_zalloc(sizeof *m);
    m->range = *range;
    return m;
}

static void end_source(struct source *s)
{
    if (s->is_part) {
        part_source_deinit(&s->part);
    } else {
        memory_source_deinit(&s->memory);
    }
    rows_clear(&s->head);
    s->at = 0;
}

void row_merge_begin(struct row_merge *m)
{
    for (size_t i = 0; i < m->count; i++) {
        end_source(m->sources[i]);
    }
    m->count = 0;
}

void row_merge_close(struct row_merge *m)
{
    if (m == NULL) {
        return;
    }
    row_merge_begin(m);
    for (size_t i = 0; i < m->kept; i++) {
        rows_deinit(&m->sources[i]->head);
        mem_free(m->sources[i]);
    }
    mem_free(m->sources);
    mem_free(m);
}

static struct source *add_source(struct row_merge *m, bool is_part)
{
    if (m->count == m->kept) {
        m->sources = mem_grow(m->sources, &m->capacity, m->kept + 1, sizeof(struct source *));
        struct source *s = mem_zalloc(sizeof *s);
        rows_init(&s->head, m->range.table, m->range.places, m->range.place_count);
        m->sources[m->kept++] = s;
    }
    struct source *s = m->sources[m->count++];
    s->is_part = is_part;
    s->ended = false;
    s->at = 0;
    return s;
}

void row_merge_add_memory(struct row_merge *m, const struct memory_series *series, uint64_t index)
{
    struct source *s = add_source(m, false);
    memory_source_init(&s->memory, series, index, m->range.from, m->range.until);
}

void row_merge_add_part(struct row_merge *m, struct part *part, uint64_t series_id)
{
    struct source *s = add_source(m, true);
    part_source_init(&s->part, part, series_id, m->range.from, m->range.until);
}

/* After it, the source has a row at 'at', or has ended. */
static enum err_code load(struct row_merge *m, struct source *s, struct err *e)
{
    if (s->ended || s->at < s->head.count) {
        return ERR_OK;
    }
    s->at = 0;
    enum err_code code = ERR_OK;
    if (s->is_part) {
        code = part_source_next(&s->part, &s->head, e);
    } else {
        memory_source_next(&s->memory, &s->head, rows_batch_max(m->range.place_count + 1));
    }
    s->ended = code == ERR_OK && s->head.count == 0;
    return code;
}

static int64_t head_time(const struct source *s)
{
    CHECK(s->at < s->head.count);
    return s->head.times[s->at];
}

/* What to take next: rows of 'winner', up to before 'limit' (or only one, where
 * an older place has a row of the same time). */
struct choice {
    struct source *winner;
    bool has_limit;
    int64_t limit;
    bool tie;
};

static struct choice choose(const struct row_merge *m)
{
    struct choice c = {0};
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = m->sources[i];
        if (!s->ended && (c.winner == NULL || head_time(s) < head_time(c.winner))) {
            c.winner = s; /* of equal times the newest place, because it comes first */
        }
    }
    for (size_t i = 0; i < m->count; i++) {
        struct source *s = m->sources[i];
        if (s->ended || s == c.winner) {
            continue;
        }
        c.tie = c.tie || head_time(s) == head_time(c.winner);
        if (!c.has_limit || head_time(s) < c.limit) {
            c.has_limit = true;
            c.limit = head_time(s);
        }
    }
    return c;
}

/* Takes rows of the winner; older rows of the same time are passed over. */
static void take(struct row_merge *m, const struct choice *c, struct rows *out, size_t max)
{
    struct source *w = c->winner;
    size_t end = w->head.count;
    if (c->tie) {
        end = w->at + 1;
        for (size_t i = 0; i < m->count; i++) {
            struct source *s = m->sources[i];
            if (!s->ended && s != w && head_time(s) == head_time(w)) {
                s->at++;
            }
        }
    } else if (c->has_limit) {
        end = rows_find(&w->head, w->at, c->limit);
    }
    CHECK(end > w->at);
    end = end - w->at < max - out->count ? end : w->at + (max - out->count);
    rows_append(out, &w->head, w->at, end);
    w->at = end;
}

enum err_code row_merge_next(struct row_merge *m, struct rows *out, size_t max, bool *done,
                             struct err *e)
{
    CHECK(max > 0);
    *done = false;
    while (out->count < max && out->heap.size <= ROWS_HEAP_SIZE) {
        for (size_t i = 0; i < m->count; i++) {
            enum err_code code = load(m, m->sources[i], e);
            if (code != ERR_OK) {
                return code;
            }
        }
        struct choice c = choose(m);
        if (c.winner == NULL) {
            *done = true;
            return ERR_OK;
        }
        take(m, &c, out, max);
    }
    return ERR_OK;
}
