/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/sparse.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

enum { PAGE = SPARSE_PAGE_SIZE };

TEST(sparse, reads_what_was_written_and_zeros_around_it)
{
    struct sparse s = {0};
    sparse_write(&s, PAGE - 2, bytes_str("abcd"));
    EXPECT_UINT(s.size, PAGE + 2);
    uint8_t got[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    EXPECT_UINT(sparse_read(&s, PAGE - 4, got, sizeof got), 6);
    EXPECT_MEM(got, "\0\0abcd\x09\x09", 8);
    EXPECT_UINT(sparse_read(&s, PAGE + 2, got, sizeof got), 0);
    sparse_deinit(&s);
}

TEST(sparse, zeros_take_space_and_no_memory)
{
    struct sparse s = {0};
    size_t before = mem_in_use();
    sparse_write_zeros(&s, 0, UINT64_C(64) << 20);
    EXPECT_UINT(s.size, UINT64_C(64) << 20);
    EXPECT_UINT(s.pages_taken, (UINT64_C(64) << 20) / PAGE);
    EXPECT(mem_in_use() - before < 300 * 1024);
    uint8_t zeros[PAGE] = {0};
    sparse_write(&s, 5 * PAGE, bytes_of(zeros, sizeof zeros));
    EXPECT(mem_in_use() - before < 300 * 1024);
    sparse_deinit(&s);
    EXPECT_UINT(mem_in_use(), before);
}

TEST(sparse, a_page_that_becomes_zero_gives_its_memory_back)
{
    struct sparse s = {0};
    uint8_t ones[PAGE];
    memset(ones, 1, sizeof ones);
    sparse_write(&s, 0, bytes_of(ones, sizeof ones));
    size_t before = mem_in_use();
    sparse_write_zeros(&s, 0, PAGE);
    EXPECT(mem_in_use() + PAGE <= before);
    uint8_t got = 9;
    EXPECT_UINT(sparse_read(&s, 17, &got, 1), 1);
    EXPECT_UINT(got, 0);
    sparse_deinit(&s);
}

TEST(sparse, what_was_cut_off_is_zero_when_extended_again)
{
    struct sparse s = {0};
    sparse_write(&s, 0, bytes_str("abcdef"));
    sparse_resize(&s, 2);
    sparse_resize(&s, 6);
    uint8_t got[6];
    EXPECT_UINT(sparse_read(&s, 0, got, sizeof got), 6);
    EXPECT_MEM(got, "ab\0\0\0\0", 6);
    sparse_deinit(&s);
}

TEST(sparse, a_copy_does_not_see_later_writes_nor_the_source_the_copys)
{
    struct sparse a = {0};
    struct sparse b = {0};
    sparse_write(&a, 0, bytes_str("one"));
    sparse_init_copy(&b, &a);
    sparse_write(&a, 0, bytes_str("two"));
    sparse_write(&b, 1, bytes_str("XX"));
    uint8_t got[3];
    (void)sparse_read(&a, 0, got, sizeof got);
    EXPECT_MEM(got, "two", 3);
    (void)sparse_read(&b, 0, got, sizeof got);
    EXPECT_MEM(got, "oXX", 3);
    sparse_deinit(&a);
    (void)sparse_read(&b, 0, got, sizeof got);
    EXPECT_MEM(got, "oXX", 3);
    sparse_deinit(&b);
}

TEST(sparse, holes_are_counted_by_the_page)
{
    struct sparse s = {0};
    sparse_resize(&s, 10 * PAGE);
    EXPECT_UINT(s.pages_taken, 0);
    EXPECT_UINT(sparse_holes(&s, 0, 10 * PAGE), 10);
    sparse_write(&s, 3 * PAGE + 1, bytes_str("x"));
    EXPECT_UINT(s.pages_taken, 1);
    EXPECT_UINT(sparse_holes(&s, 3 * PAGE - 1, 2), 1);
    EXPECT_UINT(sparse_holes(&s, 3 * PAGE, PAGE), 0);
    sparse_deinit(&s);
}

enum { MODEL_SIZE = 6 * PAGE };

struct pair {
    struct sparse s;
    uint8_t model[MODEL_SIZE];
    uint64_t size;
};

static void pair_write(struct pair *p, uint64_t offset, struct bytes data)
{
    sparse_write(&p->s, offset, data);
    memcpy(p->model + offset, data.data, data.size);
    p->size = offset + data.size > p->size ? offset + data.size : p->size;
}

static void pair_resize(struct pair *p, uint64_t size)
{
    sparse_resize(&p->s, size);
    memset(p->model + size, 0, MODEL_SIZE - size);
    p->size = size;
}

static void pair_check(const struct pair *p)
{
    uint8_t got[MODEL_SIZE];
    EXPECT_UINT(p->s.size, p->size);
    EXPECT_UINT(sparse_read(&p->s, 0, got, sizeof got), p->size);
    EXPECT(memcmp(got, p->model, (size_t)p->size) == 0);
}

/* Two that share pages, against plain arrays. */
TEST(sparse, behaves_as_an_array_under_any_order_of_calls)
{
    struct random r = random_seeded(7);
    struct pair pairs[2] = {{.size = 0}, {.size = 0}};
    static uint8_t data[2 * PAGE];
    size_t before = mem_in_use();
    for (unsigned step = 0; step < 4000; step++) {
        struct pair *p = &pairs[random_below(&r, 2)];
        uint64_t offset = random_below(&r, MODEL_SIZE);
        size_t size = (size_t)random_between(&r, 1, sizeof data);
        size = size > MODEL_SIZE - offset ? (size_t)(MODEL_SIZE - offset) : size;
        switch (random_below(&r, 4)) {
        case 0:
            memset(data, (int)random_below(&r, 3), sizeof data);
            pair_write(p, offset, bytes_of(data, size));
            break;
        case 1:
            pair_resize(p, offset);
            break;
        case 2: {
            struct pair *other = p == pairs ? &pairs[1] : &pairs[0];
            sparse_deinit(&other->s);
            sparse_init_copy(&other->s, &p->s);
            memcpy(other->model, p->model, sizeof p->model);
            other->size = p->size;
            break;
        }
        default:
            data[0] = (uint8_t)step;
            pair_write(p, offset, bytes_of(data, size));
            break;
        }
        pair_check(&pairs[0]);
        pair_check(&pairs[1]);
    }
    sparse_deinit(&pairs[0].s);
    sparse_deinit(&pairs[1].s);
    EXPECT_UINT(mem_in_use(), before);
}
