/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as people write them: "host:port", "127.0.0.1:7070", "[::1]:7070". */
#ifndef TIDEMARK_RPC_NET_ADDRESS_H
#define TIDEMARK_RPC_NET_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/limits.h"

enum { NET_ADDRESS_TEXT_SIZE = 64 };

struct net_address {
    char host[LIMIT_ADDRESS_SIZE_MAX + 1]; /* without brackets */
    uint16_t port;
};

/* ERR_INVALID names the text and what is wrong. */
MUST_CHECK enum err_code net_address_parse(const char *text, struct net_address *out,
                                           struct err *e);
/* False: the host is a name, not a number. */
bool net_address_numeric(const struct net_address *a, struct sockaddr_storage *out);
/* "?" when it is neither IPv4 nor IPv6. */
void net_address_format(const struct sockaddr *sa, char dst[NET_ADDRESS_TEXT_SIZE]);

#endif
