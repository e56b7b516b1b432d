/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that stay on in release builds: a bug stops the process, with the
 * place and the fact, before it can reach the disk or a peer.
 *
 * CHECK(x)       one fact that the code relies on; never input from outside
 * VERIFY(x)      the same for costly whole-structure facts; on in tests and
 *                simulation (TIDEMARK_VERIFY), off in release
 * PANIC(f, ...)  the process can't go on: says why and stops
 *
 * A check never has a side effect. */
#ifndef TIDEMARK_BASE_CHECK_H
#define TIDEMARK_BASE_CHECK_H

#include "base/err.h"

#define CHECK(fact) ((fact) ? (void)0 : check_failed(#fact, __FILE__, __LINE__))

#ifdef TIDEMARK_VERIFY
#define VERIFY(fact) CHECK(fact)
#else
#define VERIFY(fact) ((void)sizeof(fact))
#endif

#define PANIC(...) check_panic(__FILE__, __LINE__, __VA_ARGS__)

__attribute__((noreturn)) void check_failed(const char *fact, const char *file, int line);
__attribute__((noreturn)) void check_panic(const char *file, int line, const char *format, ...)
    ERR_FORMAT(3, 4);

#endif
