/* SPDX-License-Identifier: Apache-2.0 */
/* tidemarkd: one node. */
#include "io/io_posix.h"
#include "node/host_program.h"

extern char **environ;

int main(int argc, char **argv)
{
    struct host_program program = {
        .argc = argc, .argv = argv, .environment = environ, .io = io_posix()};
    return host_program_run(&program);
}
