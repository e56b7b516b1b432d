/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of a call, as gRPC numbers it, and the one table between it and
 * our error codes. Numbers are on the wire. */
#ifndef TIDEMARK_RPC_GRPC_STATUS_H
#define TIDEMARK_RPC_GRPC_STATUS_H

#include "base/err.h"

/* The trailer that names the leader, "host:port" of its gRPC service. */
#define GRPC_TRAILER_LEADER "tidemark-leader"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
    GRPC_STATUS_COUNT
};

/* "UNAVAILABLE". */
const char *grpc_status_name(enum grpc_status status);

/* ERR_NOT_LEADER and ERR_UNAVAILABLE give UNAVAILABLE, ERR_UNKNOWN_OUTCOME gives
 * ABORTED: the client retries both, the second only with the same request id. */
enum grpc_status grpc_status_of_err(enum err_code code);

/* The way back, for clients: grpc_status_of_err() of the answer is 'status'
 * wherever an err_code stands for it. */
enum err_code grpc_status_to_err(enum grpc_status status);

/* What an answer without a grpc-status means. */
enum grpc_status grpc_status_of_http(unsigned http_status);
enum grpc_status grpc_status_of_http2_error(unsigned error_code);

#endif
