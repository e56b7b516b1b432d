/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_content.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

enum { SECTOR = FAKE_DISK_SECTOR_SIZE, SECTORS_MAX = 24 };

static void write_letters(struct fake_content *c, uint64_t first, size_t count, int letter)
{
    uint8_t *data = mem_alloc(count * SECTOR);
    memset(data, letter, count * SECTOR);
    fake_content_write(c, first * SECTOR, bytes_of(data, count * SECTOR));
    mem_free(data);
}

/* One letter for each sector of a layer, '.' for zeros. */
static const char *letters(const struct sparse *layer, char text[SECTORS_MAX + 1])
{
    size_t count = (size_t)(layer->size / SECTOR);
    REQUIRE(count <= SECTORS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint8_t data[SECTOR];
        EXPECT_UINT(sparse_read(layer, i * SECTOR, data, SECTOR), SECTOR);
        text[i] = '.';
        if (data[0] != 0) {
            text[i] = (char)data[0];
        }
        EXPECT(memcmp(data, data + 1, SECTOR - 1) == 0);
    }
    text[count] = '\0';
    return text;
}

static bool keep_none(void *context, size_t file)
{
    (void)context;
    (void)file;
    return false;
}

static bool keep_all(void *context, size_t file)
{
    (void)context;
    (void)file;
    return true;
}

static bool keep_some(void *context, size_t file)
{
    (void)file;
    return random_chance(context, 1, 2);
}

TEST(fake_content, a_sync_takes_all_pieces_to_the_platter)
{
    struct fake_content c = {.diverged = false};
    char text[SECTORS_MAX + 1];
    write_letters(&c, 0, 3, 'a');
    write_letters(&c, 2, 2, 'b');
    EXPECT_STR(letters(&c.cache, text), "aabb");
    EXPECT_STR(letters(&c.platter, text), "");
    EXPECT_UINT(fake_content_choices(&c), 3 + 1 + 2 + 1);
    EXPECT_UINT(c.sectors_pending, 5);
    fake_content_sync(&c);
    EXPECT_STR(letters(&c.platter, text), "aabb");
    EXPECT_UINT(fake_content_choices(&c), 0);
    fake_content_deinit(&c);
}

/* A shrink and a growth between syncs must not leave old bytes behind. */
TEST(fake_content, what_was_cut_does_not_come_back_by_a_sync)
{
    struct fake_content c = {.diverged = false};
    char text[SECTORS_MAX + 1];
    write_letters(&c, 0, 10, 'a');
    fake_content_sync(&c);
    fake_content_resize(&c, 1 * SECTOR);
    fake_content_resize(&c, 4 * SECTOR);
    write_letters(&c, 9, 1, 'b');
    fake_content_sync(&c);
    EXPECT_STR(letters(&c.platter, text), "a........b");
    fake_content_deinit(&c);
}

TEST(fake_content, a_failed_sync_loses_the_choices_after_the_first)
{
    struct fake_content c = {.diverged = false};
    char text[SECTORS_MAX + 1];
    write_letters(&c, 0, 3, 'a');
    fake_content_sync(&c);
    write_letters(&c, 0, 3, 'b');
    fake_content_sync_failed(&c, 2);
    EXPECT_STR(letters(&c.cache, text), "bbb");
    EXPECT_STR(letters(&c.platter, text), "bba");
    fake_content_sync(&c);
    EXPECT_STR(letters(&c.platter, text), "bba");
    fake_content_evict(&c);
    EXPECT_STR(letters(&c.cache, text), "bba");
    fake_content_deinit(&c);
}

TEST(fake_content, writing_back_takes_the_oldest_pieces_whole)
{
    struct fake_content c = {.diverged = false};
    char text[SECTORS_MAX + 1];
    write_letters(&c, 0, 3, 'a');
    write_letters(&c, 1, 3, 'b');
    fake_content_write_back(&c, 4);
    EXPECT_STR(letters(&c.platter, text), "aaa");
    EXPECT_UINT(c.sectors_pending, 3);
    fake_content_write_back(&c, 3);
    EXPECT_STR(letters(&c.platter, text), "aaa");
    fake_content_write_back(&c, 0);
    EXPECT_STR(letters(&c.platter, text), "abbb");
    fake_content_deinit(&c);
}

TEST(fake_content, damage_changes_both_layers_and_outlives_a_power_failure)
{
    struct fake_content c = {.diverged = false};
    char text[SECTORS_MAX + 1];
    uint8_t data[SECTOR];
    memset(data, 'x', sizeof data);
    write_letters(&c, 0, 2, 'a');
    fake_content_sync(&c);
    write_letters(&c, 2, 1, 'b');
    fake_content_damage(&c, SECTOR, bytes_of(data, sizeof data));
    EXPECT_STR(letters(&c.cache, text), "axb");
    EXPECT_STR(letters(&c.platter, text), "ax");
    struct fake_disk_chooser all = {keep_all, NULL, NULL};
    fake_content_power_fail(&c, 0, &all);
    EXPECT_STR(letters(&c.cache, text), "axb");
    fake_content_damage_size(&c, SECTOR);
    EXPECT_STR(letters(&c.cache, text), "a");
    EXPECT_STR(letters(&c.platter, text), "a");
    fake_content_deinit(&c);
}

TEST(fake_content, a_bad_sector_is_found_by_every_range_that_touches_it)
{
    struct fake_content c = {.diverged = false};
    uint64_t bad = 0;
    write_letters(&c, 0, 6, 'a');
    fake_content_add_bad_sectors(&c, 2 * SECTOR + 5, SECTOR); /* touches two */
    EXPECT(!fake_content_has_bad_sector(&c, 0, 2 * SECTOR, &bad));
    EXPECT(!fake_content_has_bad_sector(&c, 4 * SECTOR, SECTOR, &bad));
    EXPECT(!fake_content_has_bad_sector(&c, 3 * SECTOR, 0, &bad));
    EXPECT(fake_content_has_bad_sector(&c, 0, 2 * SECTOR + 1, &bad));
    EXPECT_UINT(bad, 2 * SECTOR);
    EXPECT(fake_content_has_bad_sector(&c, 3 * SECTOR + 7, 1, &bad));
    EXPECT_UINT(bad, 3 * SECTOR + 7);
    write_letters(&c, 2, 1, 'b');
    EXPECT(!fake_content_has_bad_sector(&c, 2 * SECTOR, SECTOR, &bad));
    EXPECT(fake_content_has_bad_sector(&c, 3 * SECTOR, SECTOR, &bad));
    fake_content_deinit(&c);
}

/* What a sector can be after a power failure: the platter's letter, or one of
 * those written to it since. */
struct model {
    char possible[SECTORS_MAX][64]; /* as a set, in order of writing */
    size_t size;                    /* of the cache, in sectors */
};

static void model_add(struct model *m, size_t sector, char letter)
{
    size_t count = strlen(m->possible[sector]);
    REQUIRE(count + 1 < sizeof m->possible[sector]);
    m->possible[sector][count] = letter;
    m->possible[sector][count + 1] = '\0';
}

static void model_settle(struct model *m, const char *now)
{
    memset(m, 0, sizeof *m);
    m->size = strlen(now);
    for (size_t i = 0; i < SECTORS_MAX; i++) {
        m->possible[i][0] = '.';
        if (i < m->size) {
            m->possible[i][0] = now[i];
        }
    }
}

static void random_write(struct fake_content *c, struct model *m, struct random *r)
{
    size_t first = (size_t)random_below(r, SECTORS_MAX);
    size_t count = (size_t)random_between(r, 1, SECTORS_MAX - first);
    char letter = (char)('a' + random_below(r, 26));
    write_letters(c, first, count, letter);
    for (size_t i = 0; i < count; i++) {
        model_add(m, first + i, letter);
    }
    /* Sectors that a growth jumps over read as zero. */
    for (size_t i = m->size; i < first; i++) {
        model_add(m, i, '.');
    }
    m->size = first + count > m->size ? first + count : m->size;
}

static void random_resize(struct fake_content *c, struct model *m, struct random *r)
{
    size_t size = (size_t)random_below(r, SECTORS_MAX);
    fake_content_resize(c, size * SECTOR);
    for (size_t i = size; i < SECTORS_MAX; i++) {
        model_add(m, i, '.');
    }
    m->size = size;
}

static void check_possible(const struct model *m, const char *found)
{
    for (size_t i = 0; found[i] != '\0'; i++) {
        EXPECT(strchr(m->possible[i], found[i]) != NULL);
    }
}

static void play(uint64_t seed)
{
    struct random r = random_seeded(seed);
    struct fake_content c = {.diverged = false};
    struct model m;
    char now[SECTORS_MAX + 1] = "";
    char found[SECTORS_MAX + 1] = "";
    model_settle(&m, "");
    for (unsigned step = 0; step < 60; step++) {
        struct fake_disk_chooser chooser = {keep_none, NULL, &r};
        unsigned what = (unsigned)random_below(&r, 14);
        if (what < 7) {
            random_write(&c, &m, &r);
        } else if (what < 9) {
            random_resize(&c, &m, &r);
        } else if (what < 11) {
            fake_content_write_back(&c, random_below(&r, 20)); /* nobody can tell */
        } else if (what == 11) {
            (void)letters(&c.cache, now);
            fake_content_sync(&c);
            EXPECT_STR(letters(&c.platter, found), now);
            model_settle(&m, now);
        } else {
            struct fake_content other = {.diverged = false};
            fake_content_init_copy(&other, &c);
            chooser.keep = keep_all;
            fake_content_power_fail(&other, 0, &chooser);
            EXPECT_STR(letters(&other.cache, found), letters(&c.cache, now));
            fake_content_deinit(&other);

            chooser.keep = what == 12 ? keep_some : keep_none;
            (void)letters(&c.platter, now);
            fake_content_power_fail(&c, 0, &chooser);
            (void)letters(&c.cache, found);
            EXPECT(what == 12 || strcmp(found, now) == 0);
            check_possible(&m, found);
            model_settle(&m, found);
        }
        /* Between power failures a reader sees the last write of every sector. */
        (void)letters(&c.cache, now);
        EXPECT_UINT(strlen(now), m.size);
        for (size_t i = 0; i < m.size; i++) {
            EXPECT(now[i] == m.possible[i][strlen(m.possible[i]) - 1]);
        }
    }
    fake_content_deinit(&c);
}

TEST(fake_content, every_order_of_calls_leaves_only_what_is_possible)
{
    size_t before = mem_in_use();
    for (uint64_t seed = 0; seed < 400; seed++) {
        test_context("seed %" PRIu64, seed);
        play(seed);
    }
    EXPECT_UINT(mem_in_use(), before);
}
