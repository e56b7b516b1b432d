/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk_state.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* --- entries of a directory --- */

/* Where the name is, or where it would go. */
static size_t entries_position(const struct entries *entries, const char *name, bool *found)
{
    size_t low = 0;
    size_t high = entries->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(entries->items[middle].name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct inode *entries_get(const struct entries *entries, const char *name)
{
    bool found = false;
    size_t at = entries_position(entries, name, &found);
    return found ? entries->items[at].inode : NULL;
}

/* Takes a reference. The name must be free. */
static void entries_add(struct entries *entries, const char *name, struct inode *inode)
{
    bool found = false;
    size_t at = entries_position(entries, name, &found);
    CHECK(!found);
    entries->items =
        mem_grow(entries->items, &entries->capacity, entries->count + 1, sizeof *entries->items);
    memmove(entries->items + at + 1, entries->items + at,
            (entries->count - at) * sizeof *entries->items);
    entries->items[at] = (struct entry){mem_strdup(name), inode};
    entries->count++;
    inode_ref(inode);
}

/* Returns the inode that was there, with its reference, or NULL. */
static struct inode *entries_cut(struct entries *entries, const char *name)
{
    bool found = false;
    size_t at = entries_position(entries, name, &found);
    if (!found) {
        return NULL;
    }
    struct inode *inode = entries->items[at].inode;
    mem_free(entries->items[at].name);
    entries->count--;
    memmove(entries->items + at, entries->items + at + 1,
            (entries->count - at) * sizeof *entries->items);
    return inode;
}

/* --- inodes --- */

void inode_ref(struct inode *inode)
{
    inode->refs++;
}

static struct inode *inode_new(struct disk_state *s, bool is_dir)
{
    struct inode *inode = mem_zalloc(sizeof *inode);
    inode->is_dir = is_dir;
    s->inodes = mem_grow(s->inodes, &s->inode_capacity, s->inode_count + 1, sizeof *s->inodes);
    s->inodes[s->inode_count++] = inode;
    return inode;
}

static void list_remove(struct disk_state *s, const struct inode *inode)
{
    size_t at = 0;
    while (at < s->inode_count && s->inodes[at] != inode) {
        at++;
    }
    CHECK(at < s->inode_count);
    s->inode_count--;
    memmove(s->inodes + at, s->inodes + at + 1, (s->inode_count - at) * sizeof *s->inodes);
}

/* Directories nest: those that lose their last name wait in a list, so that
 * freeing one never calls itself. */
static void drop(struct disk_state *s, struct inode *inode)
{
    CHECK(inode->refs > 0);
    if (--inode->refs == 0) {
        inode->next_dead = s->dead;
        s->dead = inode;
    }
}

static void drop_entries(struct disk_state *s, struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        mem_free(entries->items[i].name);
        drop(s, entries->items[i].inode);
    }
    mem_free(entries->items);
    *entries = (struct entries){0};
}

static void reap(struct disk_state *s)
{
    while (s->dead != NULL) {
        struct inode *inode = s->dead;
        s->dead = inode->next_dead;
        CHECK(inode->handles == 0);
        drop_entries(s, &inode->names_cache);
        drop_entries(s, &inode->names_platter);
        fake_content_deinit(&inode->content);
        list_remove(s, inode);
        mem_free(inode);
    }
}

void disk_state_unref(struct disk_state *s, struct inode *inode)
{
    drop(s, inode);
    reap(s);
}

void disk_state_init(struct disk_state *s)
{
    *s = (struct disk_state){0};
    s->root = inode_new(s, true);
    s->root->refs = 1;
    s->root->links = 1;
}

static void change_free(struct disk_state *s, struct name_change *change)
{
    struct inode *held[] = {change->dir_from, change->dir_to, change->inode};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        if (held[i] != NULL) {
            disk_state_unref(s, held[i]);
        }
    }
    mem_free(change->name_from);
    mem_free(change->name_to);
}

static void forget_changes(struct disk_state *s)
{
    for (size_t i = 0; i < s->change_count; i++) {
        change_free(s, &s->changes[i]);
    }
    s->change_count = 0;
}

void disk_state_deinit(struct disk_state *s)
{
    forget_changes(s);
    /* Between the two layers directories may hold each other: cut all first. */
    for (size_t i = 0; i < s->inode_count; i++) {
        drop_entries(s, &s->inodes[i]->names_cache);
        drop_entries(s, &s->inodes[i]->names_platter);
    }
    disk_state_unref(s, s->root);
    CHECK(s->inode_count == 0);
    mem_free(s->changes);
    mem_free(s->inodes);
    *s = (struct disk_state){0};
}

/* --- copy of the whole state --- */

static struct inode *counterpart(const struct disk_state *dst, const struct disk_state *src,
                                 const struct inode *inode)
{
    size_t at = 0;
    while (src->inodes[at] != inode) {
        at++;
        CHECK(at < src->inode_count);
    }
    return dst->inodes[at];
}

static void copy_entries(struct disk_state *dst, const struct disk_state *src, struct entries *to,
                         const struct entries *from)
{
    for (size_t i = 0; i < from->count; i++) {
        entries_add(to, from->items[i].name, counterpart(dst, src, from->items[i].inode));
    }
}

static struct inode *counterpart_ref(const struct disk_state *dst, const struct disk_state *src,
                                     const struct inode *inode)
{
    if (inode == NULL) {
        return NULL;
    }
    struct inode *copy = counterpart(dst, src, inode);
    inode_ref(copy);
    return copy;
}

static void copy_changes(struct disk_state *dst, const struct disk_state *src)
{
    dst->changes = mem_grow(NULL, &dst->change_capacity, src->change_count, sizeof *dst->changes);
    for (size_t i = 0; i < src->change_count; i++) {
        struct name_change change = src->changes[i];
        change.dir_from = counterpart_ref(dst, src, change.dir_from);
        change.dir_to = counterpart_ref(dst, src, change.dir_to);
        change.inode = counterpart_ref(dst, src, change.inode);
        change.name_from = change.name_from == NULL ? NULL : mem_strdup(change.name_from);
        change.name_to = change.name_to == NULL ? NULL : mem_strdup(change.name_to);
        dst->changes[dst->change_count++] = change;
    }
}

void disk_state_init_copy(struct disk_state *dst, const struct disk_state *src)
{
    *dst = (struct disk_state){0};
    for (size_t i = 0; i < src->inode_count; i++) {
        struct inode *inode = inode_new(dst, src->inodes[i]->is_dir);
        inode_ref(inode); /* held until all is in place */
        fake_content_init_copy(&inode->content, &src->inodes[i]->content);
        inode->links = src->inodes[i]->links;
    }
    for (size_t i = 0; i < src->inode_count; i++) {
        const struct inode *from = src->inodes[i];
        copy_entries(dst, src, &dst->inodes[i]->names_cache, &from->names_cache);
        copy_entries(dst, src, &dst->inodes[i]->names_platter, &from->names_platter);
    }
    copy_changes(dst, src);
    dst->root = counterpart_ref(dst, src, src->root);
    /* Backwards, because what only an open file held goes away here. */
    for (size_t i = dst->inode_count; i > 0; i--) {
        disk_state_unref(dst, dst->inodes[i - 1]);
    }
}

/* --- names --- */

/* The next part of a path into 'name'; false at the end. */
static bool next_part(const char **path, char name[IO_NAME_MAX + 1])
{
    for (;;) {
        while (**path == '/') {
            (*path)++;
        }
        size_t size = strcspn(*path, "/");
        if (size == 0) {
            return false;
        }
        CHECK(size <= IO_NAME_MAX);
        memcpy(name, *path, size);
        name[size] = '\0';
        *path += size;
        CHECK(strcmp(name, "..") != 0);
        if (strcmp(name, ".") != 0) {
            return true;
        }
    }
}

struct inode *disk_state_entry(const struct inode *dir, const char *name)
{
    return entries_get(&dir->names_cache, name);
}

struct inode *disk_state_find(const struct disk_state *s, const char *path)
{
    struct inode *at = s->root;
    char name[IO_NAME_MAX + 1];
    while (at != NULL && next_part(&path, name)) {
        at = at->is_dir ? disk_state_entry(at, name) : NULL;
    }
    return at;
}

struct inode *disk_state_find_parent(const struct disk_state *s, const char *path,
                                     char name[IO_NAME_MAX + 1])
{
    struct inode *dir = s->root;
    char next[IO_NAME_MAX + 1];
    if (!next_part(&path, name)) {
        return NULL; /* the root itself */
    }
    while (next_part(&path, next)) {
        dir = disk_state_entry(dir, name);
        if (dir == NULL || !dir->is_dir) {
            return NULL;
        }
        memcpy(name, next, sizeof next);
    }
    return dir;
}

/* One directory on the way down, and which of its entries is looked at. */
struct level {
    const struct inode *dir;
    size_t next;
    size_t path_size; /* of the path to it */
};

bool disk_state_platter_path(const struct disk_state *s, const struct inode *inode,
                             char path[IO_PATH_MAX])
{
    struct level levels[IO_PATH_MAX / 2];
    size_t depth = 1;
    levels[0] = (struct level){s->root, 0, 0};
    path[0] = '\0';
    if (inode == s->root) {
        return true;
    }
    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        if (level->next == level->dir->names_platter.count) {
            depth--;
            continue;
        }
        const struct entry *entry = &level->dir->names_platter.items[level->next++];
        int size =
            snprintf(path + level->path_size, IO_PATH_MAX - level->path_size, "/%s", entry->name);
        CHECK(size > 0);
        CHECK(level->path_size + (size_t)size < IO_PATH_MAX);
        if (entry->inode == inode) {
            return true;
        }
        if (entry->inode->is_dir) {
            levels[depth++] = (struct level){entry->inode, 0, level->path_size + (size_t)size};
        }
    }
    return false;
}

static void add_change(struct disk_state *s, struct name_change change)
{
    struct inode *held[] = {change.dir_from, change.dir_to, change.inode};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        if (held[i] != NULL) {
            inode_ref(held[i]);
        }
    }
    s->changes = mem_grow(s->changes, &s->change_capacity, s->change_count + 1, sizeof change);
    s->changes[s->change_count++] = change;
}

struct inode *disk_state_make(struct disk_state *s, struct inode *dir, const char *name,
                              bool is_dir)
{
    struct inode *inode = inode_new(s, is_dir);
    entries_add(&dir->names_cache, name, inode);
    inode->links++;
    add_change(s, (struct name_change){.dir_to = dir, .name_to = mem_strdup(name), .inode = inode});
    return inode;
}

/* Takes a name out of the cache. */
static void unlink_cached(struct disk_state *s, struct inode *dir, const char *name)
{
    struct inode *inode = entries_cut(&dir->names_cache, name);
    CHECK(inode != NULL);
    CHECK(inode->links > 0);
    inode->links--;
    disk_state_unref(s, inode);
}

void disk_state_remove(struct disk_state *s, struct inode *dir, const char *name)
{
    add_change(s, (struct name_change){.dir_from = dir, .name_from = mem_strdup(name)});
    unlink_cached(s, dir, name);
}

void disk_state_rename(struct disk_state *s, struct inode *dir_from, const char *name_from,
                       struct inode *dir_to, const char *name_to)
{
    struct inode *inode = disk_state_entry(dir_from, name_from);
    CHECK(inode != NULL);
    if (disk_state_entry(dir_to, name_to) == inode) {
        return; /* onto itself: nothing happens, as POSIX has it */
    }
    add_change(s, (struct name_change){.dir_from = dir_from,
                                       .name_from = mem_strdup(name_from),
                                       .dir_to = dir_to,
                                       .name_to = mem_strdup(name_to),
                                       .inode = inode});
    if (disk_state_entry(dir_to, name_to) != NULL) {
        unlink_cached(s, dir_to, name_to);
    }
    entries_add(&dir_to->names_cache, name_to, inode);
    inode->links++;
    unlink_cached(s, dir_from, name_from);
}

static void platter_cut(struct disk_state *s, struct inode *dir, const char *name)
{
    struct inode *inode = entries_cut(&dir->names_platter, name);
    if (inode != NULL) {
        disk_state_unref(s, inode);
    }
}

/* The change reaches the platter. */
static void apply_change(struct disk_state *s, const struct name_change *change)
{
    if (change->dir_from != NULL) {
        platter_cut(s, change->dir_from, change->name_from);
    }
    if (change->dir_to != NULL) {
        platter_cut(s, change->dir_to, change->name_to);
        entries_add(&change->dir_to->names_platter, change->name_to, change->inode);
    }
    if (s->applied != NULL) {
        s->applied(s->applied_context, change);
    }
}

/* Applies and frees the marked changes, in order; the others stay. */
static void apply_marked(struct disk_state *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->change_count; i++) {
        if (s->changes[i].marked) {
            apply_change(s, &s->changes[i]);
            change_free(s, &s->changes[i]);
        } else {
            s->changes[kept++] = s->changes[i];
        }
    }
    s->change_count = kept;
}

static bool touches(const struct name_change *change, struct inode *const *dirs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (change->dir_from == dirs[i] || change->dir_to == dirs[i]) {
            return true;
        }
    }
    return false;
}

static void add_dir(struct inode **dirs, size_t *count, struct inode *dir)
{
    if (dir != NULL) {
        dirs[(*count)++] = dir;
    }
}

/* A rename between two directories is one step: syncing one of them takes along
 * what came before it in the other. */
void disk_state_sync_dir(struct disk_state *s, struct inode *dir)
{
    struct inode **dirs = mem_array(2 * s->change_count + 1, sizeof *dirs);
    size_t count = 0;
    add_dir(dirs, &count, dir);
    for (size_t i = s->change_count; i > 0; i--) {
        struct name_change *change = &s->changes[i - 1];
        change->marked = touches(change, dirs, count);
        if (change->marked && change->dir_from != NULL && change->dir_to != NULL &&
            change->dir_from != change->dir_to) {
            add_dir(dirs, &count, change->dir_from);
            add_dir(dirs, &count, change->dir_to);
        }
    }
    mem_free(dirs);
    apply_marked(s);
}

/* --- the whole disk --- */

uint64_t disk_state_choices(const struct disk_state *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < s->inode_count; i++) {
        count += fake_content_choices(&s->inodes[i]->content);
    }
    return count;
}

uint64_t disk_state_pages_taken(const struct disk_state *s)
{
    uint64_t pages = 0;
    for (size_t i = 0; i < s->inode_count; i++) {
        if (s->inodes[i]->links > 0 || s->inodes[i]->handles > 0) {
            pages += s->inodes[i]->content.cache.pages_taken;
        }
    }
    return pages;
}

/* A change that is lost takes along all later ones of its directories. */
static void choose_names(struct disk_state *s, const struct fake_disk_chooser *chooser)
{
    struct inode **lost = mem_array(2 * s->change_count + 1, sizeof(struct inode *));
    size_t lost_count = 0;
    for (size_t i = 0; i < s->change_count; i++) {
        struct name_change *change = &s->changes[i];
        bool keep = chooser->keep_name(chooser->context);
        change->marked = keep && !touches(change, lost, lost_count);
        if (!change->marked) {
            add_dir(lost, &lost_count, change->dir_from);
            add_dir(lost, &lost_count, change->dir_to);
        }
    }
    mem_free(lost);
    apply_marked(s);
    forget_changes(s);
}

void disk_state_power_fail(struct disk_state *s, const struct fake_disk_chooser *chooser)
{
    for (size_t i = 0; i < s->inode_count; i++) {
        fake_content_power_fail(&s->inodes[i]->content, i, chooser);
    }
    choose_names(s, chooser);

    /* The platter's names become the cache's. Held, so that none goes away
     * between losing its old name and getting its new one. */
    size_t count = s->inode_count;
    struct inode **held = mem_array(count, sizeof *held);
    for (size_t i = 0; i < count; i++) {
        held[i] = s->inodes[i];
        inode_ref(held[i]);
        held[i]->links = held[i] == s->root;
    }
    for (size_t i = 0; i < count; i++) {
        drop_entries(s, &held[i]->names_cache);
    }
    for (size_t i = 0; i < count; i++) {
        const struct entries *platter = &held[i]->names_platter;
        for (size_t j = 0; j < platter->count; j++) {
            entries_add(&held[i]->names_cache, platter->items[j].name, platter->items[j].inode);
            platter->items[j].inode->links++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        disk_state_unref(s, held[i]);
    }
    mem_free(held);
}
