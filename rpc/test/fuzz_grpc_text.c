/* SPDX-License-Identifier: Apache-2.0 */
/* grpc-timeout, grpc-status and grpc-message from arbitrary bytes. */
#include <string.h>

#include "base/check.h"
#include "rpc/grpc_text.h"
#include "rpc/net_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_timeout(struct bytes text)
{
    uint64_t ms = 0;
    if (!grpc_timeout_parse(text, &ms)) {
        return;
    }
    CHECK(ms <= UINT64_C(99999999) * 3600 * 1000);
    char formatted[GRPC_TIMEOUT_TEXT_SIZE];
    grpc_timeout_format(formatted, ms);
    uint64_t again = 0;
    CHECK(grpc_timeout_parse(bytes_str(formatted), &again));
    CHECK(again <= ms); /* a coarser unit rounds down */
}

static void fuzz_message(struct bytes text)
{
    char decoded[100];
    grpc_message_decode(text, decoded, sizeof decoded);
    CHECK(memchr(decoded, 0, sizeof decoded) != NULL);
    struct buf encoded = {0};
    grpc_message_encode(&encoded, decoded, 1000);
    char again[100];
    grpc_message_decode(buf_bytes(&encoded), again, sizeof again);
    CHECK(strcmp(decoded, again) == 0);
    buf_deinit(&encoded);
}

static void fuzz_address(struct bytes text)
{
    char copy[300];
    size_t size = text.size < sizeof copy - 1 ? text.size : sizeof copy - 1;
    memcpy(copy, text.data, size);
    copy[size] = '\0';
    struct net_address address;
    if (net_address_parse(copy, &address, NULL) == ERR_OK) {
        CHECK(address.host[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes text = bytes_of(data, size);
    enum grpc_status status = GRPC_OK;
    if (grpc_status_parse(text, &status)) {
        CHECK(status < GRPC_STATUS_COUNT);
    }
    fuzz_timeout(text);
    fuzz_message(text);
    fuzz_address(text);
    return 0;
}
