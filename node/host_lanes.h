/* SPDX-License-Identifier: Apache-2.0 */
/* The threads behind the lanes (lane.h).
 *
 * A lane's thread takes everything that waits, works on it in order, and gives
 * it back in one piece; LANE_LOG syncs once in between: group commit. */
#ifndef TIDEMARK_NODE_HOST_LANES_H
#define TIDEMARK_NODE_HOST_LANES_H

#include "base/err.h"
#include "node/lane.h"

struct host_lanes;
struct storage;
struct uv_loop_s;

/* 'finished' is called on the loop when finished jobs wait in host_lanes_take(). */
MUST_CHECK enum err_code host_lanes_open(struct uv_loop_s *loop, struct storage *storage,
                                         void (*finished)(void *context), void *context,
                                         struct host_lanes **out, struct err *e);
void host_lanes_submit(struct host_lanes *l, struct job *job);
/* The jobs that are finished, in the order of their lanes; NULL: none. */
struct job *host_lanes_take(struct host_lanes *l);
/* No job may be out. Joins the threads; the loop must run on for its handle. */
void host_lanes_close(struct host_lanes *l);

#endif
