/* SPDX-License-Identifier: Apache-2.0 */
/* Server reflection, v1 and v1alpha, over a serialized FileDescriptorSet.
 *
 * Answers list_services, file_by_filename and file_containing_symbol (a file comes
 * with all that it imports); extensions there are none. What is unknown is an
 * error response inside the stream, as tools expect. On the loop's thread. */
#ifndef TIDEMARK_RPC_GRPC_REFLECTION_H
#define TIDEMARK_RPC_GRPC_REFLECTION_H

#include "base/bytes.h"
#include "base/err.h"

struct grpc_reflection;
struct grpc_server;

/* Adds the methods to 's', which is closed first. Borrows 'descriptor_set' (proto/descriptors.h)
 * for its life. ERR_CORRUPT: it is not a FileDescriptorSet. */
MUST_CHECK enum err_code grpc_reflection_open(struct grpc_server *s, struct bytes descriptor_set,
                                              struct grpc_reflection **out, struct err *e);
/* After grpc_server_close(). NULL is fine. */
void grpc_reflection_close(struct grpc_reflection *r);

#endif
