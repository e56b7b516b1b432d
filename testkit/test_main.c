/* SPDX-License-Identifier: Apache-2.0 */
/* The main function of every test executable. */
#include "testkit/test.h"

int main(int argc, char **argv)
{
    return test_run_all(argc, argv);
}
