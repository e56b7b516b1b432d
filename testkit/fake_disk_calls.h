/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of 'struct io' on a fake disk, with the faults that hit them.
 * Internal to the fake disk; tests use fake_disk.h. */
#ifndef TIDEMARK_TESTKIT_FAKE_DISK_CALLS_H
#define TIDEMARK_TESTKIT_FAKE_DISK_CALLS_H

#include "testkit/fake_disk.h"
#include "testkit/fake_disk_state.h"

enum { PATH_FILTER_SIZE = 128 };

struct fault {
    struct fake_disk_fault rule;
    char filter[PATH_FILTER_SIZE]; /* "" matches every path */
    uint64_t seen;                 /* matching calls so far */
    bool armed;
};

struct fake_file {
    struct file file;
    struct fake_disk *disk;
    struct inode *inode; /* a reference; NULL after a crash */
    char *path;          /* owned; for messages */
    unsigned flags;
    bool is_lock;
    struct fake_file *next;
    struct fake_file *previous;
};

struct fake_disk {
    struct io io;
    struct disk_state state;
    struct fake_file *files; /* all that are not closed */
    size_t file_count;
    struct fault faults[FAKE_DISK_FAULTS_MAX];
    uint64_t faults_seen;
    uint64_t calls;
    uint64_t calls_of[FAKE_DISK_CALL_COUNT];
    uint64_t calls_max;             /* further ones fail */
    void (*watcher)(void *context); /* NULL: nobody watches */
    void *watcher_context;
    uint64_t capacity_pages; /* UINT64_MAX: no limit */
    uint64_t write_back_max; /* sectors of one file */
    uint64_t monotonic_us;
    int64_t wall_us;
    struct random entropy;
};

extern const struct io_ops fake_disk_ops;

/* The process can no longer use the file; it still has to be closed. */
void fake_file_detach(struct fake_file *f);

#endif
