/* SPDX-License-Identifier: Apache-2.0 */
/* What the end of one attempt means for the request, the same for every command. */
#ifndef TIDEMARK_CLI_RETRY_H
#define TIDEMARK_CLI_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "rpc/grpc_status.h"

enum retry_verdict {
    RETRY_DONE,      /* answered */
    RETRY_NEVER,     /* refused for what it is: the same request gets the same answer */
    RETRY_ELSEWHERE, /* this server can't now, or its answer is lost: another may know */
    RETRY_LATER,     /* this server has too much to do */
};

enum retry_verdict retry_judge(enum grpc_status status);

/* Whether the attempt may have taken effect although it was not answered with OK.
 * 'unprocessed': no server ever had it. A refusal (RETRY_NEVER) has no effect; about
 * everything else one can't be sure (a full server may have had no room for the
 * answer alone). */
bool retry_may_have_happened(enum grpc_status status, bool unprocessed);

/* How long to wait after so many attempts in a row that failed: short at first,
 * because a new leader is there within tens of milliseconds, never longer than half a second. */
uint64_t retry_delay_ms(unsigned failures);

#endif
