/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one file of a fake disk, in two layers; internal to it.
 *
 *   cache     what processes see
 *   platter   what a power failure leaves
 *
 * Between them wait the unsynced writes and resizes, in order ("pieces"). A sync
 * moves them to the platter; a power failure moves what a chooser keeps.
 *
 * A piece offers one choice per sector, and one more for the file's new size if
 * it grew; a resize is one choice. */
#ifndef TIDEMARK_TESTKIT_FAKE_CONTENT_H
#define TIDEMARK_TESTKIT_FAKE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testkit/fake_disk.h"
#include "testkit/sparse.h"

/* One unsynced write or resize. */
struct piece {
    uint64_t sector_first;
    uint64_t sector_count; /* 0: a resize */
    uint8_t *data;         /* owned, whole sectors; NULL: zeros */
    uint64_t size_before;  /* of the file */
    uint64_t size_after;
};

/* Embedded; all zero is an empty one. */
struct fake_content {
    struct sparse cache;
    struct sparse platter;
    struct piece *pieces;
    size_t piece_count;
    size_t piece_capacity;
    uint64_t sectors_pending;
    bool diverged;         /* the layers differ where no piece is pending */
    uint64_t *bad_sectors; /* fail to read until written */
    size_t bad_count;
    size_t bad_capacity;
};

void fake_content_deinit(struct fake_content *c);
/* dst is empty before. */
void fake_content_init_copy(struct fake_content *dst, const struct fake_content *src);

void fake_content_write(struct fake_content *c, uint64_t offset, struct bytes data);
void fake_content_resize(struct fake_content *c, uint64_t size);
/* All pending pieces reach the platter. */
void fake_content_sync(struct fake_content *c);
/* The first 'kept' choices reach the platter, all others are forgotten, though
 * the cache still shows them: what a failed fsync leaves. */
void fake_content_sync_failed(struct fake_content *c, uint64_t kept);
/* The oldest pieces reach the platter until at most 'sectors_max' are pending. */
void fake_content_write_back(struct fake_content *c, uint64_t sectors_max);
/* The cache forgets what no piece is pending for, and shows the platter there. */
void fake_content_evict(struct fake_content *c);

uint64_t fake_content_choices(const struct fake_content *c);
/* The kept choices reach the platter, and the cache becomes the same. 'file' is
 * handed to the chooser. */
void fake_content_power_fail(struct fake_content *c, size_t file,
                             const struct fake_disk_chooser *chooser);

/* Changes both layers, and no piece. */
void fake_content_damage(struct fake_content *c, uint64_t offset, struct bytes data);
void fake_content_damage_size(struct fake_content *c, uint64_t size);
void fake_content_add_bad_sectors(struct fake_content *c, uint64_t offset, uint64_t size);
bool fake_content_has_bad_sector(const struct fake_content *c, uint64_t offset, uint64_t size,
                                 uint64_t *bad_offset);

#endif
