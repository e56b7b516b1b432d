/* SPDX-License-Identifier: Apache-2.0 */
/* A cursor under any sequence of reads over any bytes: the first half of the
 * input says what is read, the second half is read. */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a cursor hands out lies inside its view. */
static void check_inside(struct bytes whole, struct bytes part)
{
    if (part.size > 0) {
        CHECK(part.data >= whole.data);
        CHECK(part.size <= whole.size);
        CHECK(part.data + part.size <= whole.data + whole.size);
    }
}

/* A varint that was read can be written, in no more bytes, and read again. */
static void check_varint(uint64_t value, size_t size_read)
{
    struct buf b = {0};
    buf_put_varint(&b, value);
    CHECK(b.size <= size_read);
    struct cursor c = cursor_of(buf_bytes(&b));
    CHECK(cursor_varint(&c) == value);
    CHECK(cursor_done(&c));
    buf_deinit(&b);
}

static void read_one(struct cursor *c, struct bytes whole, uint8_t what)
{
    struct cursor before = *c;
    char text[16];
    switch (what % 8) {
    case 0:
        (void)cursor_u8(c);
        break;
    case 1:
        (void)cursor_u16(c);
        break;
    case 2:
        (void)cursor_u32(c);
        break;
    case 3:
        (void)cursor_u64(c);
        break;
    case 4: {
        uint64_t value = cursor_varint(c);
        if (!c->bad) {
            check_varint(value, before.size - c->size);
        }
        break;
    }
    case 5:
        check_inside(whole, cursor_blob(c));
        break;
    case 6:
        cursor_str(c, text, (size_t)(what / 8 % 16) + 1);
        CHECK(memchr(text, 0, (size_t)(what / 8 % 16) + 1) != NULL);
        break;
    default:
        check_inside(whole, cursor_take(c, what / 8));
        break;
    }
    CHECK(c->size <= before.size);
    CHECK(!before.bad || c->bad);
    CHECK(c->size == 0 || c->data + c->size == whole.data + whole.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t half = size / 2;
    /* Of exactly its size, so that a sanitizer sees what lies behind it. */
    uint8_t *copy = mem_dup(size == 0 ? NULL : data + half, size - half);
    struct bytes whole = bytes_of(copy, size - half);
    struct cursor c = cursor_of(whole);
    for (size_t i = 0; i < half; i++) {
        read_one(&c, whole, data[i]);
    }
    CHECK(!cursor_done(&c) || (!c.bad && c.size == 0));
    mem_free(copy);
    return 0;
}
