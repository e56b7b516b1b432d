/* SPDX-License-Identifier: Apache-2.0 */
/* tidemarkd-faulty: the node on a disk that keeps unsynced writes in memory, so
 * that kill -9 loses them as a power failure would. For tests alone. */
#include "io/io_posix.h"
#include "node/host_program.h"
#include "testkit/lossy_io.h"

extern char **environ;

static enum err_code open_io(void *context, const struct config *config, struct io **out,
                             struct err *e)
{
    struct lossy_io **lossy = context;
    enum err_code code = lossy_io_open(io_posix(), config->data_dir, lossy, e);
    if (code == ERR_OK) {
        *out = lossy_io_io(*lossy);
    }
    return code;
}

int main(int argc, char **argv)
{
    struct lossy_io *lossy = NULL;
    struct host_program program = {
        .argc = argc,
        .argv = argv,
        .environment = environ,
        .io = io_posix(),
        .open_io = open_io,
        .context = &lossy,
    };
    int code = host_program_run(&program);
    if (lossy != NULL) {
        lossy_io_close(lossy);
    }
    return code;
}
