/* SPDX-License-Identifier: Apache-2.0 */
/* What disks do to bytes that were safe: each call changes both layers of one
 * file of a fake disk, as found by the next reader. The file must exist and the
 * range lie inside it, else the test is wrong and stops. Unsynced writes that
 * are still pending may yet overwrite the damage. */
#ifndef TIDEMARK_TESTKIT_FAKE_DISK_DAMAGE_H
#define TIDEMARK_TESTKIT_FAKE_DISK_DAMAGE_H

#include "testkit/fake_disk.h"

void fake_disk_flip_bit(struct fake_disk *d, const char *path, uint64_t offset, unsigned bit);
void fake_disk_zero(struct fake_disk *d, const char *path, uint64_t offset, uint64_t size);
void fake_disk_garbage(struct fake_disk *d, const char *path, uint64_t offset, uint64_t size,
                       struct random *r);
/* Any bytes: what a test builds itself. */
void fake_disk_overwrite(struct fake_disk *d, const char *path, uint64_t offset, struct bytes data);

struct fake_disk_place {
    const char *path;
    uint64_t offset;
};
/* A misdirected write: 'size' bytes of one place stand in another too. */
void fake_disk_misdirect(struct fake_disk *d, struct fake_disk_place from,
                         struct fake_disk_place to, uint64_t size);
/* A lost write: the range has the bytes that it had when the image was taken. */
void fake_disk_stale(struct fake_disk *d, const struct fake_disk_image *image, const char *path,
                     uint64_t offset, uint64_t size);
void fake_disk_truncate(struct fake_disk *d, const char *path, uint64_t size);
void fake_disk_remove(struct fake_disk *d, const char *path); /* name gone, durably */
/* Reads that touch these sectors fail with ERR_IO until they are written. */
void fake_disk_read_error(struct fake_disk *d, const char *path, uint64_t offset, uint64_t size);

/* What a reader would see, without counting as a call: for assertions. */
uint64_t fake_disk_file_size(const struct fake_disk *d, const char *path);
bool fake_disk_has(const struct fake_disk *d, const char *path);
size_t fake_disk_peek(const struct fake_disk *d, const char *path, uint64_t offset, void *dst,
                      size_t size);
/* The same for what a power failure would leave if it kept nothing. */
size_t fake_disk_peek_platter(const struct fake_disk *d, const char *path, uint64_t offset,
                              void *dst, size_t size);

#endif
