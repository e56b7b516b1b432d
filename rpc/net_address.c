/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { PORT_DIGITS_MAX = 5 };

static bool parse_port(const char *text, uint16_t *port)
{
    size_t size = strlen(text);
    if (size == 0 || size > PORT_DIGITS_MAX || strspn(text, "0123456789") != size) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

enum err_code net_address_parse(const char *text, struct net_address *out, struct err *e)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text) {
        return err_set(e, ERR_INVALID, "address '%s': not host:port", text);
    }
    const char *host = text;
    size_t size = (size_t)(colon - text);
    bool bracketed = host[0] == '[' && host[size - 1] == ']';
    if (bracketed) {
        host++;
        size -= 2;
    } else if (memchr(host, ':', size) != NULL) {
        return err_set(e, ERR_INVALID, "address '%s': put an IPv6 host in brackets", text);
    }
    if (size == 0 || size >= sizeof out->host) {
        return err_set(e, ERR_INVALID, "address '%s': the host is empty or too long", text);
    }
    if (!parse_port(colon + 1, &out->port)) {
        return err_set(e, ERR_INVALID, "address '%s': the port is not 0..65535", text);
    }
    memcpy(out->host, host, size);
    out->host[size] = '\0';
    return ERR_OK;
}

bool net_address_numeric(const struct net_address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    struct in_addr v4;
    if (inet_pton(AF_INET, a->host, &v4) == 1) {
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(a->port), .sin_addr = v4};
        memcpy(out, &sa, sizeof sa);
        return true;
    }
    struct in6_addr v6;
    if (inet_pton(AF_INET6, a->host, &v6) == 1) {
        struct sockaddr_in6 sa = {
            .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_addr = v6};
        memcpy(out, &sa, sizeof sa);
        return true;
    }
    return false;
}

void net_address_format(const struct sockaddr *sa, char dst[NET_ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, sa, sizeof v4);
        CHECK(inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host) != NULL);
        (void)snprintf(dst, NET_ADDRESS_TEXT_SIZE, "%s:%u", host, (unsigned)ntohs(v4.sin_port));
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, sa, sizeof v6);
        CHECK(inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host) != NULL);
        (void)snprintf(dst, NET_ADDRESS_TEXT_SIZE, "[%s]:%u", host, (unsigned)ntohs(v6.sin6_port));
    } else {
        (void)snprintf(dst, NET_ADDRESS_TEXT_SIZE, "?");
    }
}
