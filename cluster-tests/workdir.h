/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of one test, and what tests do to directories behind the back of a
 * node that does not run: copy, remove, flip bytes.
 *
 * It is removed by workdir_close(), and when the test's process dies in whatever
 * way, by a watcher process of its own. TIDEMARK_KEEP=1 keeps it instead and says
 * where it is. Failures here are failures of the machine: they end the program. */
#ifndef TIDEMARK_CLUSTER_TESTS_WORKDIR_H
#define TIDEMARK_CLUSTER_TESTS_WORKDIR_H

#include "io/io.h"

struct workdir;

/* Below $TMPDIR, else /tmp. */
struct workdir *workdir_open(const char *name);
void workdir_close(struct workdir *w);
/* "DIR/name"; 'name' may have slashes. */
void workdir_path(const struct workdir *w, const char *name, char dst[IO_PATH_MAX]);

/* A missing 'path' is fine. */
void tree_remove(const char *path);
/* 'to' must not exist. Holes in files stay holes. */
void tree_copy(const char *from, const char *to);
/* Inverts 'count' bytes. */
void tree_flip(const char *path, uint64_t offset, size_t count);

#endif
