/* SPDX-License-Identifier: Apache-2.0 */
/* The dialing half of net_conn: resolves the name, tries each address found,
 * within one time limit. Only net_conn uses it. */
#ifndef TIDEMARK_RPC_NET_DIAL_H
#define TIDEMARK_RPC_NET_DIAL_H

#include "rpc/net_address.h"

struct net_conn;
struct net_dial;

/* Initialises c->tcp and c->dial. Ends in net_conn_opened() or net_conn_dial_failed(), never
 * from inside. */
void net_dial_start(struct net_conn *c, const struct net_address *address, unsigned timeout_ms);
/* Stops it at any moment; its memory goes when its requests have ended. */
void net_dial_free(struct net_dial *d);

#endif
