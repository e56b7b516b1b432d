/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/sparse.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct sparse_page {
    size_t refs; /* slots that point here */
    uint8_t data[SPARSE_PAGE_SIZE];
};

/* Stands for every page that was written and is zero; never counted or changed. */
static const struct sparse_page zero_page;

static struct sparse_page *zero(void)
{
    return (struct sparse_page *)(uintptr_t)&zero_page;
}

static struct sparse_page *slot(const struct sparse *s, uint64_t page)
{
    return page < s->page_count ? s->pages[page] : NULL;
}

/* Puts 'next', whose reference is taken, in a slot that exists. */
static void set_slot(struct sparse *s, uint64_t page, struct sparse_page *next)
{
    CHECK(page < s->page_count);
    struct sparse_page *before = s->pages[page];
    s->pages_taken += next != NULL;
    s->pages_taken -= before != NULL;
    s->pages[page] = next;
    if (before != NULL && before != zero()) {
        CHECK(before->refs > 0);
        if (--before->refs == 0) {
            mem_free(before);
        }
    }
}

static void ensure_slots(struct sparse *s, uint64_t count)
{
    if (count <= s->page_count) {
        return;
    }
    s->pages = mem_grow(s->pages, &s->capacity, (size_t)count, sizeof(struct sparse_page *));
    memset(s->pages + s->page_count, 0, (size_t)(count - s->page_count) * sizeof s->pages[0]);
    s->page_count = (size_t)count;
}

/* The page of a slot, alone there, to be written. */
static uint8_t *own_page(struct sparse *s, uint64_t page)
{
    struct sparse_page *now = slot(s, page);
    if (now == NULL || now == zero() || now->refs > 1) {
        struct sparse_page *fresh = mem_alloc(sizeof *fresh);
        fresh->refs = 1;
        if (now == NULL) {
            memset(fresh->data, 0, sizeof fresh->data);
        } else {
            memcpy(fresh->data, now->data, sizeof fresh->data);
        }
        set_slot(s, page, fresh);
        now = fresh;
    }
    return now->data;
}

void sparse_deinit(struct sparse *s)
{
    sparse_resize(s, 0);
    mem_free(s->pages);
    *s = (struct sparse){0};
}

void sparse_init_copy(struct sparse *dst, const struct sparse *src)
{
    CHECK(dst->pages == NULL);
    ensure_slots(dst, src->page_count);
    for (size_t i = 0; i < src->page_count; i++) {
        sparse_share_page(dst, src, i);
    }
    dst->size = src->size;
}

size_t sparse_read(const struct sparse *s, uint64_t offset, void *dst, size_t size)
{
    if (offset >= s->size) {
        return 0;
    }
    size_t got = s->size - offset < size ? (size_t)(s->size - offset) : size;
    uint8_t *at = dst;
    for (size_t left = got; left > 0;) {
        size_t begin = (size_t)(offset % SPARSE_PAGE_SIZE);
        size_t n = SPARSE_PAGE_SIZE - begin < left ? SPARSE_PAGE_SIZE - begin : left;
        const struct sparse_page *page = slot(s, offset / SPARSE_PAGE_SIZE);
        if (page == NULL) {
            memset(at, 0, n);
        } else {
            memcpy(at, page->data + begin, n);
        }
        at += n;
        offset += n;
        left -= n;
    }
    return got;
}

/* Writes within one page; data == NULL stands for zeros. */
static void write_in_page(struct sparse *s, uint64_t page, size_t begin, const uint8_t *data,
                          size_t size)
{
    const struct sparse_page *now = slot(s, page);
    bool zeros = data == NULL || bytes_is_zero(bytes_of(data, size));
    bool whole = begin == 0 && size == SPARSE_PAGE_SIZE;
    if (zeros && (whole || now == NULL || now == zero())) {
        set_slot(s, page, zero());
    } else if (zeros) {
        memset(own_page(s, page) + begin, 0, size);
    } else {
        memcpy(own_page(s, page) + begin, data, size);
    }
}

static void write_any(struct sparse *s, uint64_t offset, const uint8_t *data, uint64_t size)
{
    CHECK(size <= INT64_MAX - offset);
    uint64_t end = offset + size;
    ensure_slots(s, (end + SPARSE_PAGE_SIZE - 1) / SPARSE_PAGE_SIZE);
    while (offset < end) {
        size_t begin = (size_t)(offset % SPARSE_PAGE_SIZE);
        size_t n = SPARSE_PAGE_SIZE - begin;
        n = end - offset < n ? (size_t)(end - offset) : n;
        write_in_page(s, offset / SPARSE_PAGE_SIZE, begin, data, n);
        data = data == NULL ? NULL : data + n;
        offset += n;
    }
    s->size = end > s->size ? end : s->size;
}

void sparse_write(struct sparse *s, uint64_t offset, struct bytes data)
{
    if (data.size > 0) {
        write_any(s, offset, data.data, data.size);
    }
}

void sparse_write_zeros(struct sparse *s, uint64_t offset, uint64_t size)
{
    if (size > 0) {
        write_any(s, offset, NULL, size);
    }
}

void sparse_resize(struct sparse *s, uint64_t size)
{
    uint64_t keep = (size + SPARSE_PAGE_SIZE - 1) / SPARSE_PAGE_SIZE;
    while (s->page_count > keep) {
        set_slot(s, s->page_count - 1, NULL);
        s->page_count--;
    }
    size_t tail = (size_t)(size % SPARSE_PAGE_SIZE);
    const struct sparse_page *last = slot(s, size / SPARSE_PAGE_SIZE);
    if (tail != 0 && size < s->size && last != NULL && last != zero()) {
        memset(own_page(s, size / SPARSE_PAGE_SIZE) + tail, 0, SPARSE_PAGE_SIZE - tail);
    }
    s->size = size;
}

void sparse_share_page(struct sparse *dst, const struct sparse *src, uint64_t page)
{
    struct sparse_page *theirs = slot(src, page);
    if (theirs == slot(dst, page)) {
        return;
    }
    ensure_slots(dst, page + 1);
    if (theirs != NULL && theirs != zero()) {
        theirs->refs++;
    }
    set_slot(dst, page, theirs);
}

size_t sparse_holes(const struct sparse *s, uint64_t offset, uint64_t size)
{
    size_t holes = 0;
    uint64_t end = offset + size;
    for (uint64_t page = offset / SPARSE_PAGE_SIZE; page * SPARSE_PAGE_SIZE < end; page++) {
        holes += slot(s, page) == NULL;
    }
    return holes;
}
