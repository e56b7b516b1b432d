/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/endpoint_list.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "rpc/net_address.h"

static enum err_code add_given(struct endpoint_list *l, const char *text, size_t size,
                               struct err *e)
{
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    if (size == 0 || size + sizeof ":65535" > sizeof address) {
        return err_set(e, ERR_INVALID, "an address is %s", size == 0 ? "empty" : "too long");
    }
    if (l->given == ENDPOINTS_MAX / 2) {
        return err_set(e, ERR_INVALID, "more than %d addresses", ENDPOINTS_MAX / 2);
    }
    memcpy(address, text, size);
    address[size] = '\0';
    const char *colon = strrchr(address, ':');
    const char *bracket = strrchr(address, ']');
    if (colon == NULL || (bracket != NULL && bracket > colon)) {
        (void)snprintf(address + size, sizeof address - size, ":%d", ENDPOINT_PORT_DEFAULT);
    }
    struct net_address parsed;
    enum err_code code = net_address_parse(address, &parsed, e);
    if (code != ERR_OK) {
        return code;
    }
    l->given += endpoint_list_add(l, address) == l->given ? 1 : 0;
    return ERR_OK;
}

enum err_code endpoint_list_parse(struct endpoint_list *l, const char *text, struct err *e)
{
    *l = (struct endpoint_list){0};
    const char *p = text;
    for (;;) {
        size_t size = strcspn(p, ",");
        enum err_code code = add_given(l, p, size, e);
        if (code != ERR_OK) {
            return code;
        }
        if (p[size] == '\0') {
            return ERR_OK;
        }
        p += size + 1;
    }
}

size_t endpoint_list_add(struct endpoint_list *l, const char *address)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->addresses[i], address) == 0) {
            return i;
        }
    }
    struct net_address parsed;
    size_t size = strlen(address) + 1;
    if (l->count == ENDPOINTS_MAX || size > sizeof l->addresses[0] ||
        net_address_parse(address, &parsed, NULL) != ERR_OK) {
        return ENDPOINTS_MAX;
    }
    memcpy(l->addresses[l->count], address, size);
    return l->count++;
}

void endpoint_list_failed(struct endpoint_list *l, size_t i, const char *leader)
{
    CHECK(i < l->count);
    CHECK(l->given > 0);
    size_t hint =
        leader == NULL || leader[0] == '\0' ? ENDPOINTS_MAX : endpoint_list_add(l, leader);
    if (hint < ENDPOINTS_MAX && hint != i) {
        l->current = hint;
        return;
    }
    if (i != l->current) {
        return; /* an attempt from before the last change */
    }
    l->turn = i < l->given ? (i + 1) % l->given : (l->turn + 1) % l->given;
    l->current = l->turn;
}
