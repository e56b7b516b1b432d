/* SPDX-License-Identifier: Apache-2.0 */
/* All of the program tidemarkd but its main(): reads the configuration, does what
 * it asks for, runs the node again when it starts anew as a newcomer. Shared with
 * the build for tests that puts another disk under the node.
 *
 *   tidemarkd [OPTIONS]                        runs a node
 *   tidemarkd salvage SRC NEWDIR [OPTIONS]     node/salvage.h; the report goes to
 *                                              standard output. Of the options --name
 *                                              and --wal-segment-size count */
#ifndef TIDEMARK_NODE_HOST_PROGRAM_H
#define TIDEMARK_NODE_HOST_PROGRAM_H

#include "base/err.h"
#include "io/io.h"
#include "node/config.h"

enum { HOST_PROGRAM_OK = 0, HOST_PROGRAM_FAILED = 1, HOST_PROGRAM_USAGE = 2 };

struct host_program {
    int argc;
    char **argv;
    char **environment;
    struct io *io; /* for the configuration and, without open_io, for the node */
    /* The io of the node, borrowed; once, before it runs. May be NULL. */
    enum err_code (*open_io)(void *context, const struct config *config, struct io **out,
                             struct err *e);
    void *context;
};

/* Returns the exit status of the process. */
int host_program_run(const struct host_program *program);

#endif
