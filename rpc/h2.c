/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/h2.h"

#include "base/check.h"
#include "base/mem.h"

enum { MILLI = 1000 };

static void *h2_malloc(size_t size, void *user)
{
    (void)user;
    return mem_alloc(size);
}

static void h2_free(void *p, void *user)
{
    (void)user;
    mem_free(p);
}

static void *h2_calloc(size_t count, size_t size, void *user)
{
    (void)user;
    return mem_array(count, size);
}

static void *h2_realloc(void *p, size_t size, void *user)
{
    (void)user;
    return mem_resize(p, size);
}

nghttp2_mem *h2_mem(void)
{
    static nghttp2_mem mem = {NULL, h2_malloc, h2_free, h2_calloc, h2_realloc};
    return &mem;
}

nghttp2_nv h2_field(const char *name, struct bytes value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.data, strlen(name),
                        value.size, NGHTTP2_NV_FLAG_NONE};
}

nghttp2_nv h2_literal(const char *name, const char *value)
{
    nghttp2_nv nv = h2_field(name, bytes_str(value));
    nv.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    return nv;
}

bool h2_is_grpc_content(struct bytes value)
{
    static const char type[] = "application/grpc";
    size_t size = sizeof type - 1;
    if (value.size < size || memcmp(value.data, type, size) != 0) {
        return false;
    }
    return value.size == size || value.data[size] == '+' || value.data[size] == ';';
}

void h2_pairs_put(struct buf *pairs, struct bytes name, struct bytes value)
{
    buf_put_bytes(pairs, name);
    buf_put_u8(pairs, 0);
    buf_put_bytes(pairs, value);
    buf_put_u8(pairs, 0);
}

const char *h2_pairs_find(const struct buf *pairs, const char *name)
{
    size_t at = 0;
    while (at < pairs->size) {
        const char *p = (const char *)pairs->data + at;
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, name) == 0) {
            return value;
        }
        at += strlen(p) + strlen(value) + 2;
    }
    return NULL;
}

bool h2_allowance_use(struct h2_allowance *a, uint64_t now_ms)
{
    CHECK(now_ms >= a->last_ms);
    uint64_t refill = (now_ms - a->last_ms) * a->per_second;
    a->used_milli = a->used_milli > refill ? a->used_milli - refill : 0;
    a->last_ms = now_ms;
    if (a->used_milli + MILLI > a->burst * MILLI) {
        return false;
    }
    a->used_milli += MILLI;
    return true;
}
