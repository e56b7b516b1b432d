/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_status.h"

#include "base/check.h"

static const struct {
    const char *name;
    enum err_code code; /* what the status means to our clients */
} statuses[GRPC_STATUS_COUNT] = {
    [GRPC_OK] = {"OK", ERR_OK},
    [GRPC_CANCELLED] = {"CANCELLED", ERR_CANCELLED},
    [GRPC_UNKNOWN] = {"UNKNOWN", ERR_IO},
    [GRPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", ERR_INVALID},
    [GRPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", ERR_DEADLINE},
    [GRPC_NOT_FOUND] = {"NOT_FOUND", ERR_NOT_FOUND},
    [GRPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", ERR_EXISTS},
    [GRPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", ERR_PERMISSION},
    [GRPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", ERR_FULL},
    [GRPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", ERR_STATE},
    [GRPC_ABORTED] = {"ABORTED", ERR_UNKNOWN_OUTCOME},
    [GRPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", ERR_RANGE},
    [GRPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", ERR_UNSUPPORTED},
    [GRPC_INTERNAL] = {"INTERNAL", ERR_IO},
    [GRPC_UNAVAILABLE] = {"UNAVAILABLE", ERR_UNAVAILABLE},
    [GRPC_DATA_LOSS] = {"DATA_LOSS", ERR_CORRUPT},
    [GRPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", ERR_PERMISSION},
};

static const enum grpc_status of_err[ERR_CODE_COUNT] = {
    [ERR_OK] = GRPC_OK,
    [ERR_INVALID] = GRPC_INVALID_ARGUMENT,
    [ERR_NOT_FOUND] = GRPC_NOT_FOUND,
    [ERR_EXISTS] = GRPC_ALREADY_EXISTS,
    [ERR_RANGE] = GRPC_OUT_OF_RANGE,
    [ERR_FULL] = GRPC_RESOURCE_EXHAUSTED,
    [ERR_NO_SPACE] = GRPC_RESOURCE_EXHAUSTED,
    [ERR_IO] = GRPC_INTERNAL,
    [ERR_CORRUPT] = GRPC_DATA_LOSS,
    [ERR_STATE] = GRPC_FAILED_PRECONDITION,
    [ERR_NOT_LEADER] = GRPC_UNAVAILABLE,
    [ERR_UNAVAILABLE] = GRPC_UNAVAILABLE,
    [ERR_UNKNOWN_OUTCOME] = GRPC_ABORTED,
    [ERR_DEADLINE] = GRPC_DEADLINE_EXCEEDED,
    [ERR_CANCELLED] = GRPC_CANCELLED,
    [ERR_UNSUPPORTED] = GRPC_UNIMPLEMENTED,
    [ERR_PERMISSION] = GRPC_PERMISSION_DENIED,
};

const char *grpc_status_name(enum grpc_status status)
{
    CHECK(status < GRPC_STATUS_COUNT);
    return statuses[status].name;
}

enum grpc_status grpc_status_of_err(enum err_code code)
{
    CHECK(code < ERR_CODE_COUNT);
    return of_err[code];
}

enum err_code grpc_status_to_err(enum grpc_status status)
{
    CHECK(status < GRPC_STATUS_COUNT);
    return statuses[status].code;
}

enum grpc_status grpc_status_of_http(unsigned http_status)
{
    switch (http_status) {
    case 400:
        return GRPC_INTERNAL;
    case 401:
        return GRPC_UNAUTHENTICATED;
    case 403:
        return GRPC_PERMISSION_DENIED;
    case 404:
        return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return GRPC_UNAVAILABLE;
    default:
        return GRPC_UNKNOWN;
    }
}

/* RFC 9113, section 7, has the numbers; their meaning is gRPC's. */
enum grpc_status grpc_status_of_http2_error(unsigned error_code)
{
    switch (error_code) {
    case 0x7: /* REFUSED_STREAM: never reached a handler */
        return GRPC_UNAVAILABLE;
    case 0x8: /* CANCEL */
        return GRPC_CANCELLED;
    case 0xb: /* ENHANCE_YOUR_CALM */
        return GRPC_RESOURCE_EXHAUSTED;
    case 0xc: /* INADEQUATE_SECURITY */
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}
