/* SPDX-License-Identifier: Apache-2.0 */
/* A real directory on a disk that forgets: what was not synced lives in memory
 * alone, so that kill -9 loses it, as a power failure would. Real processes are
 * tested on it.
 *
 * The tree under one directory is read into a fake disk at open. From then on
 * calls below that directory go to the fake disk, and only what reaches its
 * platter reaches the real files too: bytes by file_sync(), names by
 * io_sync_dir(). Each step leaves the real tree as some power failure could have
 * left it, so the process may be killed at any moment. Locks, clocks, entropy,
 * free space and all other paths are the real ones. Nothing is synced on the real
 * disk: this is for tests, and keeps the whole tree in memory.
 *
 * From outside the process the disk is made to fail by a file beside the
 * directory, "DIR.fault", looked at before each write and sync:
 *
 *   eio        a sync of a file fails and reaches nothing
 *   hang MS    a sync of a file takes so long before it begins
 *   room N     N bytes more than now are free, as long as the file says so
 *
 * Any thread may call; calls wait for each other (a sync that hangs: alone). */
#ifndef TIDEMARK_TESTKIT_LOSSY_IO_H
#define TIDEMARK_TESTKIT_LOSSY_IO_H

#include "io/io.h"
#include "testkit/fake_disk.h"

struct lossy_io;

/* 'dir' is made if it is missing; a path is below it when it starts with the
 * same text. 'real' is borrowed. */
MUST_CHECK enum err_code lossy_io_open(struct io *real, const char *dir, struct lossy_io **out,
                                       struct err *e);
/* The path of the file that makes it fail. */
MUST_CHECK enum err_code lossy_io_fault_path(const char *dir, char path[IO_PATH_MAX],
                                             struct err *e);
/* Forgets what is not synced. All files must be closed. */
void lossy_io_close(struct lossy_io *l);
struct io *lossy_io_io(struct lossy_io *l); /* borrowed, valid until close */
/* To make calls fail. While other threads use the io, only before they start. */
struct fake_disk *lossy_io_disk(struct lossy_io *l);

#endif
