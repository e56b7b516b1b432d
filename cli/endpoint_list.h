/* SPDX-License-Identifier: Apache-2.0 */
/* The servers that a command may ask, and which one is asked next: the current
 * one until it fails; then the leader that the failed answer named, else the next
 * in the user's order, round and round.
 *
 * Leaders that the user did not name are remembered behind the given ones, but
 * only ever asked when an answer names them. No I/O here. */
#ifndef TIDEMARK_CLI_ENDPOINT_LIST_H
#define TIDEMARK_CLI_ENDPOINT_LIST_H

#include <stddef.h>

#include "base/err.h"
#include "base/limits.h"

enum { ENDPOINTS_MAX = 64, ENDPOINT_PORT_DEFAULT = 7070 };

struct endpoint_list {
    char addresses[ENDPOINTS_MAX][LIMIT_ADDRESS_SIZE_MAX + 1];
    size_t count;   /* all */
    size_t given;   /* the first so many are the user's */
    size_t current; /* to be asked */
    size_t turn;    /* of the given ones, the last whose turn it was */
};

/* From "a:7070,b,c:1"; a missing port is the default one. ERR_INVALID names the
 * bad address. */
MUST_CHECK enum err_code endpoint_list_parse(struct endpoint_list *l, const char *text,
                                             struct err *e);

/* The attempt at endpoint i failed; 'leader' is what the answer named, or NULL. */
void endpoint_list_failed(struct endpoint_list *l, size_t i, const char *leader);

/* Index of an address, added if it is new. ENDPOINTS_MAX: no room, or no address. */
size_t endpoint_list_add(struct endpoint_list *l, const char *address);

#endif
