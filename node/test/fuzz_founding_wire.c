/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as messages of founding: refused, or something that is encoded and
 * decoded again. The first byte says which message. */
#include "base/check.h"
#include "node/founding_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_question(struct bytes b)
{
    struct founding_question q;
    struct buf again = {0};
    if (founding_question_decode(b, &q, NULL) == ERR_OK) {
        founding_question_encode(&q, &again);
        CHECK(founding_question_decode(buf_bytes(&again), &q, NULL) == ERR_OK);
    }
    buf_deinit(&again);
}

static void try_answer(struct bytes b)
{
    struct founding_answer a;
    struct buf again = {0};
    if (founding_answer_decode(b, &a, NULL) == ERR_OK) {
        founding_answer_encode(&a, &again);
        CHECK(founding_answer_decode(buf_bytes(&again), &a, NULL) == ERR_OK);
    }
    buf_deinit(&again);
}

static void try_record(struct bytes b)
{
    struct founding_record r;
    struct buf again = {0};
    if (founding_record_decode(b, &r, NULL) == ERR_OK) {
        founding_record_encode(&r, &again);
        CHECK(founding_record_decode(buf_bytes(&again), &r, NULL) == ERR_OK);
    }
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes b = bytes_of(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        try_question(b);
        break;
    case 1:
        try_answer(b);
        break;
    default:
        try_record(b);
        break;
    }
    return 0;
}
