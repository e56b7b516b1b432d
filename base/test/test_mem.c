/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "testkit/test.h"

TEST(mem, what_is_taken_is_counted_until_it_is_freed)
{
    size_t before = mem_in_use();
    char *p = mem_alloc(1000);
    EXPECT(mem_in_use() >= before + 1000);
    p = mem_resize(p, 5000);
    EXPECT(mem_in_use() >= before + 5000);
    mem_free(p);
    EXPECT_UINT(mem_in_use(), before);
    mem_free(NULL);
    EXPECT_UINT(mem_in_use(), before);
}

TEST(mem, zeroed_memory_is_zero)
{
    uint8_t *p = mem_zalloc(300);
    EXPECT(bytes_is_zero(bytes_of(p, 300)));
    mem_free(p);
    p = mem_array(100, 3);
    EXPECT(bytes_is_zero(bytes_of(p, 300)));
    mem_free(p);
}

TEST(mem, nothing_is_a_size_too)
{
    void *p = mem_alloc(0);
    EXPECT(p != NULL);
    p = mem_resize(p, 0);
    EXPECT(p != NULL);
    mem_free(p);
    p = mem_dup(NULL, 0);
    EXPECT(p != NULL);
    mem_free(p);
}

TEST(mem, copies_are_separate)
{
    char source[] = "abc";
    char *copy = mem_strdup(source);
    char *bytes = mem_dup(source, 2);
    source[0] = 'X';
    EXPECT_STR(copy, "abc");
    EXPECT_MEM(bytes, "ab", 2);
    mem_free(copy);
    mem_free(bytes);
}

TEST(mem, format_makes_a_text_of_any_length)
{
    char large[3000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    char *text = mem_format("%s-%d", large, 5);
    EXPECT_UINT(strlen(text), sizeof large - 1 + 2);
    EXPECT_STR(text + sizeof large - 1, "-5");
    mem_free(text);
}

TEST(mem, grow_doubles_and_keeps_the_content)
{
    uint32_t *items = NULL;
    size_t capacity = 0;
    unsigned moves = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        size_t before = capacity;
        items = mem_grow(items, &capacity, i + 1, sizeof *items);
        moves += capacity != before;
        items[i] = i;
    }
    EXPECT_UINT(capacity, 1024);
    EXPECT_UINT(moves, 8);
    for (uint32_t i = 0; i < 1000; i++) {
        EXPECT_UINT(items[i], i);
    }
    mem_free(items);
}

/* Sanitizers stop the process themselves when too much is asked for. */
static void ask_for_everything(void *unused)
{
    (void)unused;
    mem_free(mem_alloc(SIZE_MAX / 2));
}

static void overflow_an_array(void *unused)
{
    (void)unused;
    mem_free(mem_array(SIZE_MAX / 4, 8));
}

TEST(mem, asking_for_too_much_stops_the_process)
{
    if (!TEST_SANITIZED) {
        EXPECT_DIES(ask_for_everything, NULL, "out of memory: 9223372036854775807 bytes asked for");
    }
    EXPECT_DIES(overflow_an_array, NULL, "check failed: count_items");
}
