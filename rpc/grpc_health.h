/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health: Check and Watch, over states that the owner sets.
 *
 * "" is the node as a whole. A service never set is NOT_FOUND to Check and
 * SERVICE_UNKNOWN to Watch, which sends each change. On the loop's thread. */
#ifndef TIDEMARK_RPC_GRPC_HEALTH_H
#define TIDEMARK_RPC_GRPC_HEALTH_H

#include <stdbool.h>

struct grpc_health;
struct grpc_server;

/* Adds the methods to 's', which is closed first. "" starts as not serving. */
struct grpc_health *grpc_health_open(struct grpc_server *s);
/* After grpc_server_close(). Ends the watches. NULL is fine. */
void grpc_health_close(struct grpc_health *h);

/* Names at most GRPC_HEALTH_SERVICES_MAX services, of at most LIMIT_NAME_SIZE_MAX bytes. */
enum { GRPC_HEALTH_SERVICES_MAX = 16 };
void grpc_health_set(struct grpc_health *h, const char *service, bool serving);

#endif
