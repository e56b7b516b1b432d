/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory, behind 'struct io', that does what real disks do at the
 * worst moment. Tests and the simulator run the production code on it.
 *
 * Two layers. The cache is what the process sees. The platter is what survives
 * a power failure: bytes after file_sync(), names after io_sync_dir() of their
 * directory (syncing a file doesn't make its name durable).
 *
 *   fake_disk_kill()        process killed: the cache survives, unsynced writes
 *                           stay pending, open files fail from now on
 *   fake_disk_power_fail()  each unsynced 512-byte sector is kept or lost by
 *                           itself, a file's growth too, and of each directory a
 *                           prefix of its changes; open files fail from now on
 *
 * The same sector written twice without a sync has three possible contents.
 *
 * After a kill or power failure the owner of an open file still closes it (that
 * frees its memory); every other call on it fails with ERR_IO "killed".
 *
 * Space is taken as a real file system takes it, by the 4 KiB page and on the
 * first write (a sparse extension takes none); written zeros take space on the
 * fake disk but no memory. Paths are absolute or relative to the root, which is
 * always there. Clocks stand still until they are set.
 *
 * A fake disk belongs to one thread. See fake_disk_damage.h for broken disks. */
#ifndef TIDEMARK_TESTKIT_FAKE_DISK_H
#define TIDEMARK_TESTKIT_FAKE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "io/io.h"

enum { FAKE_DISK_SECTOR_SIZE = 512, FAKE_DISK_FAULTS_MAX = 16 };

struct fake_disk;
struct fake_disk_image;

/* 'seed' is for io_entropy() alone. No limit of space. */
struct fake_disk *fake_disk_create(uint64_t seed);
/* Frees open files too: none may be used or closed afterwards. */
void fake_disk_destroy(struct fake_disk *d);
struct io *fake_disk_io(struct fake_disk *d); /* borrowed, valid until destroy */

/* --- crashes --- */

void fake_disk_kill(struct fake_disk *d);
/* Chances vary from one failure to the next: nothing, all, a prefix of a file's
 * writes, or a scattered share of the sectors. */
void fake_disk_power_fail(struct fake_disk *d, struct random *r);
void fake_disk_power_fail_lose_all(struct fake_disk *d);
void fake_disk_power_fail_keep_all(struct fake_disk *d);

/* For tests that go through every outcome. Choices come file by file in order
 * of creation, and within a file in order of writing: each sector of a write,
 * then the growth of the file if the write made it grow; a resize is one choice.
 * Name changes come in order of time. */
uint64_t fake_disk_pending(const struct fake_disk *d);       /* choices of data */
uint64_t fake_disk_pending_names(const struct fake_disk *d); /* choices of names */
/* Keeps choice i of the data if keep[i], and the first 'names_kept' name changes.
 * 'keep' has fake_disk_pending() items. */
void fake_disk_power_fail_keep(struct fake_disk *d, const bool *keep, uint64_t names_kept);

/* For any other rule: asked in the order above. 'file' is a number that changes
 * from one file to the next. */
struct fake_disk_chooser {
    bool (*keep)(void *context, size_t file);
    bool (*keep_name)(void *context);
    void *context;
};
void fake_disk_power_fail_by(struct fake_disk *d, const struct fake_disk_chooser *chooser);

/* After a failed sync the cache shows what the platter lacks, marked clean. This
 * drops clean pages: what is read next is what the platter has. */
void fake_disk_evict(struct fake_disk *d);
/* Unsynced sectors of one file beyond this are written to the platter, oldest
 * first, as a kernel does. 65,536 (32 MiB) unless set. */
void fake_disk_set_write_back(struct fake_disk *d, uint64_t sectors_max);

/* --- calls that fail --- */

enum fake_disk_call {
    FAKE_DISK_OPEN,
    FAKE_DISK_READ,
    FAKE_DISK_WRITE,
    FAKE_DISK_SYNC,
    FAKE_DISK_SIZE,
    FAKE_DISK_RESIZE,
    FAKE_DISK_RENAME,
    FAKE_DISK_UNLINK,
    FAKE_DISK_MKDIR,
    FAKE_DISK_RMDIR,
    FAKE_DISK_LIST,
    FAKE_DISK_SYNC_DIR,
    FAKE_DISK_LOCK,
    FAKE_DISK_SPACE,
    FAKE_DISK_CALL_COUNT
};

struct fake_disk_fault {
    enum fake_disk_call call;
    const char *path; /* only paths that contain this; NULL: any. Copied */
    uint64_t nth;     /* 1: the next such call; counted for this fault alone */
    bool for_ever;    /* and every one after it */
    /* ERR_OK: a read is short, as if the file ended; a sync, of a file or a
     * directory, is a lie and does nothing. Of no other call. */
    enum err_code code;
    /* What happens all the same. Write, read: so many bytes. Sync: so many
     * choices reach the platter (the rest is lost, the cache still shows it).
     * Others: everything if not 0. */
    uint64_t done;
};

/* At most FAKE_DISK_FAULTS_MAX at a time; one that was used up makes room. */
void fake_disk_fail(struct fake_disk *d, struct fake_disk_fault fault);
/* fake_disk_fail() of the next such call, once, without effect. */
void fake_disk_fail_next(struct fake_disk *d, enum fake_disk_call call, enum err_code code);
void fake_disk_clear_faults(struct fake_disk *d); /* fake_disk_stop_after() too */
/* How often faults took effect. */
uint64_t fake_disk_faults_seen(const struct fake_disk *d);

/* Every call of an io or file function but close, clock and entropy counts. */
uint64_t fake_disk_calls(const struct fake_disk *d);
uint64_t fake_disk_calls_of(const struct fake_disk *d, enum fake_disk_call call);
/* From the call that would be number 'calls' + 1 on (counted from now), every
 * call fails with ERR_IO "stopped" and has no effect: to crash at every call,
 * count the calls once, then repeat with 0, 1, 2 ... and kill or fail the power. */
void fake_disk_stop_after(struct fake_disk *d, uint64_t calls);

/* 'before' is told of each call before it has any effect, from within it. It may
 * look at the disk and take an image, to crash another disk from it. NULL: nobody. */
void fake_disk_watch(struct fake_disk *d, void (*before)(void *context), void *context);

/* --- state --- */

/* A copy of both layers and all that is pending; cheap, pages are shared. */
struct fake_disk_image *fake_disk_snapshot(const struct fake_disk *d);
/* Open files fail from now on, as after fake_disk_kill(). */
void fake_disk_restore(struct fake_disk *d, const struct fake_disk_image *image);
void fake_disk_image_free(struct fake_disk_image *image);

/* 0 (the default) is no limit. */
void fake_disk_set_capacity(struct fake_disk *d, uint64_t size);
uint64_t fake_disk_used(const struct fake_disk *d);
size_t fake_disk_open_files(const struct fake_disk *d); /* not yet closed, dead ones too */

void fake_disk_set_monotonic(struct fake_disk *d, uint64_t us); /* never back: CHECKed */
void fake_disk_set_wall(struct fake_disk *d, int64_t us);

#endif
