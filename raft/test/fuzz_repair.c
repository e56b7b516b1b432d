/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from a peer, as a question to a node and as an answer to a repair:
 * refused or taken, never a crash. The first byte says which log the node has,
 * and whether the ids of the message are set right, so that it gets further
 * than "not the open question". */
#include "raft/repair_wire.h"
#include "raft/test/repair_lab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const logs[] = {
    "1 1! 2", "1 ? 2 2", "1 1 ...", "? ? 1! 3", "1! 1! 1!", "1 1 1", "", "2! ? ...",
};

static void answer_it(struct lab *lab, struct bytes question)
{
    struct repair_self self = lab_self(&lab->nodes[0]);
    struct repair_reply reply;
    if (repair_answer(&self, 2, question, &reply, NULL) != ERR_OK) {
        return;
    }
    CHECK((reply.term_first != 0) + (reply.need_count != 0) + (reply.message.size != 0) == 1);
    if (reply.message.size > 0) { /* what we say can be read */
        struct repair_said said;
        CHECK(repair_said_decode(buf_bytes(&reply.message), &said, NULL) == ERR_OK);
        repair_said_deinit(&said);
    }
    buf_deinit(&reply.message);
}

/* The id of the question that the repair has just asked. */
static uint64_t asked(const struct repair_actions *actions)
{
    uint64_t id = 0;
    for (size_t i = 0; i < actions->count; i++) {
        struct repair_question q;
        const struct repair_action *a = &actions->items[i];
        if (a->type == REPAIR_ASK &&
            repair_question_decode(buf_bytes(&a->message), &q, NULL) == ERR_OK) {
            id = q.question;
        }
    }
    return id;
}

/* With the id of the open question in its place, if it can be decoded at all. */
static void step_with(struct repair *r, struct bytes message, bool open,
                      struct repair_actions *actions)
{
    struct repair_said said;
    struct buf b = {0};
    uint64_t question = asked(actions);
    repair_actions_reset(actions);
    if (open && question != 0 && repair_said_decode(message, &said, NULL) == ERR_OK) {
        said.question = question;
        repair_said_encode(&said, &b);
        repair_said_deinit(&said);
        message = buf_bytes(&b);
    }
    struct repair_event event = {.type = REPAIR_MESSAGE, .now_ms = 10, .id = 2, .message = message};
    enum err_code code = repair_step(r, &event, actions, NULL);
    CHECK(code == ERR_OK || code == ERR_CORRUPT);
    buf_deinit(&b);
}

static void repair_with(struct lab *lab, struct bytes answer, bool open)
{
    struct lab_node *n = &lab->nodes[0];
    struct repair_options options = {
        .id = n->id,
        .seed = 1,
        .term_began = n->term,
        .term = n->term,
        .configurations = n->configurations,
        .configuration_count = n->configuration_count,
        .log = lab_view(n),
        .ask_interval_ms = 100,
    };
    if (!repair_is_needed(&options.log, 0)) {
        return;
    }
    struct repair_actions actions = {0};
    struct repair *r = repair_start(&options, 0, &actions);
    const uint64_t peers[] = {2, 3};
    struct repair_event event = {
        .type = REPAIR_PEERS, .now_ms = 1, .peers = peers, .peer_count = 2};
    CHECK(repair_step(r, &event, &actions, NULL) == ERR_OK);
    for (unsigned i = 0; i < 3; i++) { /* as answers, and as the entries asked for */
        step_with(r, answer, open, &actions);
    }
    (void)repair_status(r);
    repair_close(r);
    repair_actions_deinit(&actions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes message = bytes_of(data + 1, size - 1);
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, logs[data[0] % (sizeof logs / sizeof logs[0])]);
    answer_it(lab, message);
    repair_with(lab, message, (data[0] & 0x80) != 0);
    lab_close(lab);
    return 0;
}
