/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

static bool keep_data(void *context, size_t file)
{
    (void)context;
    (void)file;
    return true;
}

static bool keep_no_name(void *context)
{
    (void)context;
    return false;
}

static bool keep_all_names(void *context)
{
    (void)context;
    return true;
}

static bool keep_some_names(void *context)
{
    return random_chance(context, 4, 5);
}

/* All paths, "dir/name" two levels deep, each with its inode's number of order. */
static void list_all(const struct disk_state *s, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < s->root->names_cache.count; i++) {
        const struct entry *top = &s->root->names_cache.items[i];
        used += (size_t)snprintf(text + used, size - used, "%s ", top->name);
        for (size_t j = 0; j < top->inode->names_cache.count; j++) {
            used += (size_t)snprintf(text + used, size - used, "%s/%s ", top->name,
                                     top->inode->names_cache.items[j].name);
        }
        REQUIRE(used < size);
    }
}

TEST(fake_disk_state, paths_lead_to_inodes)
{
    struct disk_state s;
    char name[IO_NAME_MAX + 1];
    disk_state_init(&s);
    struct inode *dir = disk_state_make(&s, s.root, "dir", true);
    struct inode *file = disk_state_make(&s, dir, "file", false);
    EXPECT(disk_state_find(&s, "/") == s.root);
    EXPECT(disk_state_find(&s, "") == s.root);
    EXPECT(disk_state_find(&s, "dir") == dir);
    EXPECT(disk_state_find(&s, "//dir/./file") == file);
    EXPECT(disk_state_find(&s, "dir/file/") == file);
    EXPECT(disk_state_find(&s, "dir/none") == NULL);
    EXPECT(disk_state_find(&s, "dir/file/x") == NULL);
    EXPECT(disk_state_find_parent(&s, "dir/new", name) == dir);
    EXPECT_STR(name, "new");
    EXPECT(disk_state_find_parent(&s, "/new", name) == s.root);
    EXPECT(disk_state_find_parent(&s, "none/new", name) == NULL);
    EXPECT(disk_state_find_parent(&s, "dir/file/new", name) == NULL);
    EXPECT(disk_state_find_parent(&s, "/", name) == NULL);
    disk_state_deinit(&s);
}

TEST(fake_disk_state, an_inode_goes_when_its_last_name_in_both_layers_is_gone)
{
    struct disk_state s;
    disk_state_init(&s);
    (void)disk_state_make(&s, s.root, "a", false);
    disk_state_sync_dir(&s, s.root);
    EXPECT_UINT(s.inode_count, 2);
    disk_state_remove(&s, s.root, "a");
    EXPECT_UINT(s.inode_count, 2); /* the platter still has it */
    disk_state_sync_dir(&s, s.root);
    EXPECT_UINT(s.inode_count, 1);
    (void)disk_state_make(&s, s.root, "b", false);
    disk_state_remove(&s, s.root, "b");
    EXPECT_UINT(s.change_count, 2);
    disk_state_sync_dir(&s, s.root);
    EXPECT_UINT(s.inode_count, 1);
    disk_state_deinit(&s);
}

/* A tree as deep as a path can be is freed without going deep. */
TEST(fake_disk_state, a_deep_tree_goes_at_once)
{
    size_t before = mem_in_use();
    struct disk_state s;
    disk_state_init(&s);
    struct inode *dir = s.root;
    for (unsigned i = 0; i < 20000; i++) {
        dir = disk_state_make(&s, dir, "d", true);
    }
    struct fake_disk_chooser none = {keep_data, keep_no_name, NULL};
    disk_state_power_fail(&s, &none);
    EXPECT_UINT(s.inode_count, 1);
    disk_state_deinit(&s);
    EXPECT_UINT(mem_in_use(), before);
}

/* Moved into each other on different layers: nothing leaks. */
TEST(fake_disk_state, directories_that_hold_each_other_across_layers_are_freed)
{
    size_t before = mem_in_use();
    struct disk_state s;
    disk_state_init(&s);
    struct inode *a = disk_state_make(&s, s.root, "a", true);
    struct inode *b = disk_state_make(&s, a, "b", true);
    disk_state_sync_dir(&s, s.root);
    disk_state_sync_dir(&s, a);
    disk_state_rename(&s, a, "b", s.root, "b");
    disk_state_rename(&s, s.root, "a", b, "a");
    disk_state_deinit(&s);
    EXPECT_UINT(mem_in_use(), before);
}

/* --- by chance --- */

enum { FILES = 6 };

static const char *const dirs[] = {"x", "y"};

struct world {
    struct disk_state state;
    struct random random;
    const struct inode *files[FILES];
    unsigned names; /* given so far */
};

/* Two directories and some files, all durable. */
static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.random = random_seeded(seed)};
    disk_state_init(&w->state);
    for (size_t i = 0; i < 2; i++) {
        (void)disk_state_make(&w->state, w->state.root, dirs[i], true);
    }
    for (unsigned i = 0; i < FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%u", w->names++);
        w->files[i] =
            disk_state_make(&w->state, disk_state_find(&w->state, dirs[i % 2]), name, false);
    }
    disk_state_sync_dir(&w->state, w->state.root);
    disk_state_sync_dir(&w->state, disk_state_find(&w->state, "x"));
    disk_state_sync_dir(&w->state, disk_state_find(&w->state, "y"));
}

/* Moves a file to a new name, here or there, or makes and removes others. */
static void random_change(struct world *w)
{
    struct inode *from = disk_state_find(&w->state, dirs[random_below(&w->random, 2)]);
    struct inode *to = disk_state_find(&w->state, dirs[random_below(&w->random, 2)]);
    char name[16];
    (void)snprintf(name, sizeof name, "n%u", w->names++);
    if (random_chance(&w->random, 1, 4)) {
        disk_state_sync_dir(&w->state, from);
    } else if (random_chance(&w->random, 1, 4)) {
        (void)disk_state_make(&w->state, to, name, false);
        disk_state_remove(&w->state, to, name);
    } else if (from->names_cache.count > 0) {
        size_t at = (size_t)random_below(&w->random, from->names_cache.count);
        char old[16];
        (void)snprintf(old, sizeof old, "%s", from->names_cache.items[at].name);
        disk_state_rename(&w->state, from, old, to, name);
    }
}

/* Each durable file has one name after whatever happened: a rename is atomic. */
static void check_all_files_once(const struct world *w)
{
    for (size_t i = 0; i < FILES; i++) {
        unsigned names = 0;
        for (size_t j = 0; j < w->state.root->names_cache.count; j++) {
            const struct inode *dir = w->state.root->names_cache.items[j].inode;
            for (size_t k = 0; k < dir->names_cache.count; k++) {
                names += dir->names_cache.items[k].inode == w->files[i];
            }
        }
        EXPECT_UINT(names, 1);
    }
}

TEST(fake_disk_state, renames_lose_and_double_no_file_whatever_survives)
{
    size_t before = mem_in_use();
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct world w;
        test_context("seed %" PRIu64, seed);
        world_init(&w, seed);
        for (unsigned round = 0; round < 4; round++) {
            uint64_t steps = random_below(&w.random, 12);
            for (uint64_t i = 0; i < steps; i++) {
                random_change(&w);
            }
            struct fake_disk_chooser some = {keep_data, keep_some_names, &w.random};
            disk_state_power_fail(&w.state, &some);
            EXPECT_UINT(w.state.change_count, 0);
            check_all_files_once(&w);
        }
        disk_state_deinit(&w.state);
    }
    EXPECT_UINT(mem_in_use(), before);
}

TEST(fake_disk_state, a_copy_has_the_same_future)
{
    char a[1024];
    char b[1024];
    size_t before = mem_in_use();
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct world w;
        struct disk_state copy;
        test_context("seed %" PRIu64, seed);
        world_init(&w, seed);
        for (unsigned i = 0; i < 10; i++) {
            random_change(&w);
        }
        disk_state_init_copy(&copy, &w.state);
        list_all(&w.state, a, sizeof a);
        list_all(&copy, b, sizeof b);
        EXPECT_STR(b, a);
        EXPECT_UINT(copy.change_count, w.state.change_count);

        struct random same = w.random;
        struct fake_disk_chooser first = {keep_data, keep_some_names, &w.random};
        struct fake_disk_chooser second = {keep_data, keep_some_names, &same};
        disk_state_power_fail(&w.state, &first);
        disk_state_power_fail(&copy, &second);
        list_all(&w.state, a, sizeof a);
        list_all(&copy, b, sizeof b);
        EXPECT_STR(b, a);
        disk_state_deinit(&w.state);
        disk_state_deinit(&copy);
    }
    EXPECT_UINT(mem_in_use(), before);
}

TEST(fake_disk_state, keeping_all_changes_nothing_and_keeping_none_undoes_all)
{
    char cached[1024];
    char found[1024];
    char durable[1024];
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct world w;
        struct disk_state copy;
        test_context("seed %" PRIu64, seed);
        world_init(&w, seed);
        list_all(&w.state, durable, sizeof durable);
        disk_state_rename(&w.state, disk_state_find(&w.state, "x"), "f0",
                          disk_state_find(&w.state, "y"), "f1");
        list_all(&w.state, cached, sizeof cached);
        disk_state_init_copy(&copy, &w.state);
        struct fake_disk_chooser all = {keep_data, keep_all_names, NULL};
        disk_state_power_fail(&copy, &all);
        list_all(&copy, found, sizeof found);
        EXPECT_STR(found, cached);
        struct fake_disk_chooser none = {keep_data, keep_no_name, NULL};
        disk_state_power_fail(&w.state, &none);
        list_all(&w.state, found, sizeof found);
        EXPECT_STR(found, durable);
        disk_state_deinit(&copy);
        disk_state_deinit(&w.state);
    }
}
