/* SPDX-License-Identifier: Apache-2.0 */
/* The real world: POSIX files, CLOCK_MONOTONIC, getrandom(). Short writes and
 * EINTR are handled here; fdatasync is never retried. */
#ifndef TIDEMARK_IO_IO_POSIX_H
#define TIDEMARK_IO_IO_POSIX_H

#include "io/io.h"

/* The process's one POSIX io; it has no state of its own and is never freed. */
struct io *io_posix(void);

#endif
