/* SPDX-License-Identifier: Apache-2.0 */
/* What a fake disk holds: its files and its directories, whose names too are in
 * two layers. Internal to the fake disk; tests use fake_disk.h.
 *
 * Between cache and platter wait, in order, the unsynced changes of names of the
 * whole disk. Syncing a directory moves its changes; of a power failure a change
 * survives if the chooser keeps it and no earlier one of its directory was lost. */
#ifndef TIDEMARK_TESTKIT_FAKE_DISK_STATE_H
#define TIDEMARK_TESTKIT_FAKE_DISK_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testkit/fake_content.h"
#include "testkit/fake_disk.h"

struct inode;

struct entry {
    char *name; /* owned */
    struct inode *inode;
};

struct entries {
    struct entry *items; /* sorted by name */
    size_t count;
    size_t capacity;
};

struct inode {
    size_t refs;    /* entries in either layer, name changes, open files, the root */
    size_t links;   /* entries in the cache */
    size_t handles; /* open files */
    bool is_dir;
    bool locked;

    struct fake_content content; /* of a file */
    struct entries names_cache;  /* of a directory */
    struct entries names_platter;
    struct inode *next_dead;
};

/* One unsynced change of names: remove 'from', then set 'to', as one step. */
struct name_change {
    struct inode *dir_from; /* NULL: nothing is removed */
    char *name_from;
    struct inode *dir_to; /* NULL: nothing is set */
    char *name_to;
    struct inode *inode; /* what 'to' is set to */
    bool marked;
};

struct disk_state {
    struct inode **inodes; /* in order of creation */
    size_t inode_count;
    size_t inode_capacity;
    struct inode *dead; /* without references, to be freed */
    struct inode *root;
    struct name_change *changes;
    size_t change_count;
    size_t change_capacity;
    /* Told of each change of names that reached the platter; may be NULL. */
    void (*applied)(void *context, const struct name_change *change);
    void *applied_context;
};

void disk_state_init(struct disk_state *s);
void disk_state_deinit(struct disk_state *s);
/* dst, not initialised before, becomes a copy without open files and locks. */
void disk_state_init_copy(struct disk_state *dst, const struct disk_state *src);

/* --- names --- */

/* The inode of a path in the cache, or NULL. "." and empty parts are skipped. */
struct inode *disk_state_find(const struct disk_state *s, const char *path);
/* The directory that holds (or would hold) the path's last part, which goes to
 * 'name'; NULL if there is no such directory. */
struct inode *disk_state_find_parent(const struct disk_state *s, const char *path,
                                     char name[IO_NAME_MAX + 1]);
/* Where the platter has an inode; false: nowhere. The root is "". */
bool disk_state_platter_path(const struct disk_state *s, const struct inode *inode,
                             char path[IO_PATH_MAX]);
struct inode *disk_state_entry(const struct inode *dir, const char *name);
struct inode *disk_state_make(struct disk_state *s, struct inode *dir, const char *name,
                              bool is_dir);
void disk_state_remove(struct disk_state *s, struct inode *dir, const char *name);
void disk_state_rename(struct disk_state *s, struct inode *dir_from, const char *name_from,
                       struct inode *dir_to, const char *name_to);
void disk_state_sync_dir(struct disk_state *s, struct inode *dir);

void inode_ref(struct inode *inode);
void disk_state_unref(struct disk_state *s, struct inode *inode);

/* --- the whole disk --- */

uint64_t disk_state_choices(const struct disk_state *s);
uint64_t disk_state_pages_taken(const struct disk_state *s);
void disk_state_power_fail(struct disk_state *s, const struct fake_disk_chooser *chooser);

#endif
