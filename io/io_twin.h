/* SPDX-License-Identifier: Apache-2.0 */
/* A small record kept in two checksummed copies, "NAME.0" and "NAME.1".
 *
 *   copy:  magic u32 | format u32 | sequence u64 | size u32 | crc32c u32 | payload
 *
 * A change goes to copy 0, synced, and only then to copy 1, synced: at every
 * moment one of them is whole, and the newest whole one is the truth. Copies
 * are written in place (fixed area of IO_TWIN_SIZE bytes, zeros behind the payload),
 * so that no directory entry can be lost. Both bad is never guessed around.
 *
 * A twin belongs to one thread. */
#ifndef TIDEMARK_IO_IO_TWIN_H
#define TIDEMARK_IO_IO_TWIN_H

#include "io/io.h"

enum { IO_TWIN_SIZE = 64 * 1024, IO_TWIN_HEADER_SIZE = 24 };

struct io_twin;

/* Opens both copies, reads them, and writes the newest whole one to both again
 * (synced), so that nothing that was read can still be lost. 'magic' tells the
 * kinds of twin apart.
 * ERR_NOT_FOUND: neither file exists (use io_twin_create()).
 * ERR_CORRUPT: files exist, no copy is whole; ERR_IO when a read failed, too.
 * ERR_UNSUPPORTED: one copy has a newer format. */
MUST_CHECK enum err_code io_twin_open(struct io *io, const char *dir, const char *name,
                                      uint32_t magic, struct io_twin **out, struct err *e);
/* Makes both copies, durable with their names. Not atomic: the caller makes a
 * directory's twins before it makes what says that the directory is in use.
 * What an earlier attempt left is overwritten; ERR_EXISTS for a twin that was
 * ever written to, because that would erase what its owner promised. */
MUST_CHECK enum err_code io_twin_create(struct io *io, const char *dir, const char *name,
                                        uint32_t magic, struct bytes payload, struct io_twin **out,
                                        struct err *e);
/* Durable in both copies on return. After an error the twin refuses further
 * writes (ERR_STATE): the process has to stop. At most IO_TWIN_SIZE - IO_TWIN_HEADER_SIZE bytes. */
MUST_CHECK enum err_code io_twin_write(struct io_twin *t, struct bytes payload, struct err *e);
/* The current payload; borrowed until the next write or close. */
struct bytes io_twin_payload(const struct io_twin *t);
/* Copies found bad at open (0 or 1), for the operator's report. */
unsigned io_twin_bad_copies(const struct io_twin *t);
void io_twin_close(struct io_twin *t);

#endif
