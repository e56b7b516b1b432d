/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC services of a node: tidemark.v1.Data, tidemark.v1.Admin, health and
 * reflection. They turn calls into requests to the member and jobs on the
 * lanes, and answers into messages; they keep no state of their own but open calls.
 *
 *   service_open ──► (calls are refused) ── service_start ──► serving
 *       ── service_drain ──► no new calls ── service_close_server ──► idle ── service_close
 *
 * Everything runs on the loop's thread. */
#ifndef TIDEMARK_NODE_SERVICE_H
#define TIDEMARK_NODE_SERVICE_H

#include "base/err.h"
#include "base/log.h"
#include "io/io.h"
#include "node/member.h"

struct service;
struct uv_loop_s;

struct service_options {
    struct uv_loop_s *loop;
    const struct log *log;
    struct io *io;
    const char *address;     /* "host:port" to listen on */
    size_t message_size_max; /* of one request */
};

/* Binds. ERR_EXISTS: the address is in use. */
MUST_CHECK enum err_code service_open(const struct service_options *options, struct service **out,
                                      struct err *e);
/* The member is there. */
void service_start(struct service *s, struct member *m);
uint16_t service_port(const struct service *s);

void service_status_asked(struct service *s, uint64_t peer_id, uint64_t token);
void service_settings_changed(struct service *s);
void service_tick(struct service *s); /* health; now and then */

/* No new calls; open ones may end until grace_ms has passed. */
void service_drain(struct service *s, unsigned grace_ms, void (*done)(void *context),
                   void *context);
void service_close_server(struct service *s); /* NULL is fine */
/* After service_close_server(), when no job is out. */
void service_close(struct service *s);

#endif
