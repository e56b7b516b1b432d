/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/retry.h"

enum { FIRST_MS = 10, SOON_MS = 50, LATE_MS = 500, SOON_FAILURES = 40, DOUBLINGS_MAX = 6 };

enum retry_verdict retry_judge(enum grpc_status status)
{
    switch (status) {
    case GRPC_OK:
        return RETRY_DONE;
    case GRPC_RESOURCE_EXHAUSTED:
        return RETRY_LATER;
    case GRPC_CANCELLED:
    case GRPC_UNKNOWN:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_ABORTED:
    case GRPC_INTERNAL:
    case GRPC_UNAVAILABLE:
        return RETRY_ELSEWHERE;
    case GRPC_INVALID_ARGUMENT:
    case GRPC_NOT_FOUND:
    case GRPC_ALREADY_EXISTS:
    case GRPC_PERMISSION_DENIED:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNIMPLEMENTED:
    case GRPC_DATA_LOSS:
    case GRPC_UNAUTHENTICATED:
    case GRPC_STATUS_COUNT:
        break;
    }
    return RETRY_NEVER;
}

bool retry_may_have_happened(enum grpc_status status, bool unprocessed)
{
    enum retry_verdict verdict = retry_judge(status);
    return !unprocessed && (verdict == RETRY_ELSEWHERE || verdict == RETRY_LATER);
}

uint64_t retry_delay_ms(unsigned failures)
{
    if (failures == 0) {
        return 0;
    }
    unsigned limit = failures <= SOON_FAILURES ? SOON_MS : LATE_MS;
    unsigned doublings = failures <= SOON_FAILURES ? failures - 1 : failures - SOON_FAILURES;
    if (doublings >= DOUBLINGS_MAX) {
        return limit;
    }
    unsigned first = failures <= SOON_FAILURES ? FIRST_MS : SOON_MS;
    unsigned delay = first << doublings;
    return delay < limit ? delay : limit;
}
