/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static atomic_size_t in_use;

static void count(const void *p)
{
    atomic_fetch_add_explicit(&in_use, malloc_usable_size((void *)(uintptr_t)p),
                              memory_order_relaxed);
}

static void discount(const void *p)
{
    atomic_fetch_sub_explicit(&in_use, malloc_usable_size((void *)(uintptr_t)p),
                              memory_order_relaxed);
}

static void *must(void *p, size_t size)
{
    if (p == NULL) {
        PANIC("out of memory: %zu bytes asked for", size);
    }
    count(p);
    return p;
}

void *mem_alloc(size_t size)
{
    return must(malloc(size == 0 ? 1 : size), size);
}

void *mem_zalloc(size_t size)
{
    return must(calloc(1, size == 0 ? 1 : size), size);
}

void *mem_array(size_t count_items, size_t item_size)
{
    CHECK(item_size > 0);
    CHECK(count_items <= SIZE_MAX / 2 / item_size);
    return mem_zalloc(count_items * item_size);
}

void *mem_resize(void *p, size_t size)
{
    if (p != NULL) {
        discount(p);
    }
    return must(realloc(p, size == 0 ? 1 : size), size);
}

char *mem_strdup(const char *s)
{
    return mem_dup(s, strlen(s) + 1);
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_alloc(size);
    if (size > 0) {
        memcpy(copy, p, size);
    }
    return copy;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    char *text = mem_alloc((size_t)size + 1);
    va_start(args, format);
    (void)vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}

void mem_free(void *p)
{
    if (p != NULL) {
        discount(p);
        free(p);
    }
}

void *mem_grow(void *p, size_t *capacity, size_t count_min, size_t item_size)
{
    CHECK(item_size > 0);
    if (count_min <= *capacity) {
        CHECK(p != NULL || *capacity == 0);
        return p;
    }
    size_t next = *capacity == 0 ? 8 : *capacity;
    while (next < count_min) {
        CHECK(next <= SIZE_MAX / 2 / item_size / 2);
        next *= 2;
    }
    *capacity = next;
    return mem_resize(p, next * item_size);
}

size_t mem_in_use(void)
{
    return atomic_load_explicit(&in_use, memory_order_relaxed);
}
