/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/version.h"

#include "base/check.h"
#include "base/mem.h"

struct memory *memory_new(uint64_t generation)
{
    struct memory *m = mem_zalloc(sizeof *m);
    m->references = 1;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        m->tables[i] = memtable_new(generation);
    }
    return m;
}

struct memory *memory_ref(struct memory *m)
{
    CHECK(m->references > 0);
    m->references++;
    return m;
}

void memory_unref(struct memory *m)
{
    if (m == NULL) {
        return;
    }
    CHECK(m->references > 0);
    if (--m->references == 0) {
        for (unsigned i = 0; i < VGROUP_COUNT; i++) {
            memtable_close(m->tables[i]);
        }
        mem_free(m);
    }
}

size_t memory_size(const struct memory *m)
{
    size_t size = 0;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        size += memtable_size(m->tables[i]);
    }
    return size;
}

uint64_t memory_row_count(const struct memory *m)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        count += memtable_row_count(m->tables[i]);
    }
    return count;
}

struct part_set *part_set_new(void)
{
    struct part_set *s = mem_zalloc(sizeof *s);
    s->references = 1;
    return s;
}

struct part_set *part_set_ref(struct part_set *s)
{
    CHECK(s->references > 0);
    s->references++;
    return s;
}

void part_set_unref(struct part_set *s)
{
    if (s == NULL) {
        return;
    }
    CHECK(s->references > 0);
    if (--s->references > 0) {
        return;
    }
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        for (size_t j = 0; j < s->counts[i]; j++) {
            part_close(s->items[i][j]);
        }
        mem_free(s->items[i]);
    }
    mem_free(s);
}

void part_set_put(struct part_set *s, unsigned vgroup, struct part *p)
{
    CHECK(vgroup < VGROUP_COUNT);
    size_t count = s->counts[vgroup];
    struct part **items = mem_resize(s->items[vgroup], (count + 1) * sizeof(struct part *));
    CHECK(count == 0 || part_info(items[0])->index_until < part_info(p)->index_from);
    memmove(items + 1, items, count * sizeof(struct part *));
    items[0] = p;
    s->items[vgroup] = items;
    s->counts[vgroup] = count + 1;
}

size_t part_set_count(const struct part_set *s)
{
    size_t count = 0;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        count += s->counts[i];
    }
    return count;
}

/* --- versions --- */

void versions_init(struct versions *v)
{
    *v = (struct versions){0};
    int failed = pthread_mutex_init(&v->mutex, NULL);
    CHECK(failed == 0);
}

static void free_version(struct version *x)
{
    catalog_unref(x->catalog);
    settings_unref(x->settings);
    part_set_unref(x->parts);
    memory_unref(x->frozen);
    memory_unref(x->active);
    mem_free(x);
}

void versions_deinit(struct versions *v)
{
    if (v->current != NULL) {
        version_unpin(v->current);
        v->current = NULL;
    }
    versions_reap(v);
    CHECK(v->all == NULL); /* a view is still pinned */
    (void)pthread_mutex_destroy(&v->mutex);
}

void versions_put(struct versions *v, struct version pieces)
{
    struct version *x = mem_zalloc(sizeof *x);
    x->catalog = pieces.catalog;
    x->settings = pieces.settings;
    x->parts = pieces.parts;
    x->frozen = pieces.frozen;
    x->active = pieces.active;
    atomic_init(&x->pins, 1); /* of being current */
    x->next = v->all;
    v->all = x;

    (void)pthread_mutex_lock(&v->mutex);
    struct version *old = v->current;
    v->current = x;
    (void)pthread_mutex_unlock(&v->mutex);
    if (old != NULL) {
        version_unpin(old);
    }
    versions_reap(v);
}

struct version versions_copy(const struct versions *v)
{
    const struct version *x = v->current;
    return (struct version){
        .catalog = catalog_ref(x->catalog),
        .settings = settings_ref(x->settings),
        .parts = part_set_ref(x->parts),
        .frozen = x->frozen == NULL ? NULL : memory_ref(x->frozen),
        .active = memory_ref(x->active),
    };
}

struct version *versions_pin(struct versions *v)
{
    (void)pthread_mutex_lock(&v->mutex);
    struct version *x = v->current;
    unsigned before = atomic_fetch_add_explicit(&x->pins, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&v->mutex);
    CHECK(before > 0);
    return x;
}

void version_unpin(struct version *x)
{
    unsigned before = atomic_fetch_sub_explicit(&x->pins, 1, memory_order_release);
    CHECK(before > 0);
}

struct version *versions_pin_reader(struct versions *v)
{
    struct version *x = versions_pin(v);
    (void)atomic_fetch_add_explicit(&x->readers, 1, memory_order_relaxed);
    return x;
}

void version_unpin_reader(struct version *x)
{
    unsigned before = atomic_fetch_sub_explicit(&x->readers, 1, memory_order_release);
    CHECK(before > 0);
    version_unpin(x);
}

bool versions_active_is_unread(const struct versions *v)
{
    for (const struct version *x = v->all; x != NULL; x = x->next) {
        if (x->active == v->current->active &&
            atomic_load_explicit(&x->readers, memory_order_acquire) > 0) {
            return false;
        }
    }
    return true;
}

void versions_reap(struct versions *v)
{
    struct version **at = &v->all;
    while (*at != NULL) {
        struct version *x = *at;
        if (atomic_load_explicit(&x->pins, memory_order_acquire) == 0) {
            *at = x->next;
            free_version(x);
        } else {
            at = &x->next;
        }
    }
}
