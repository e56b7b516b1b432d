/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark.v1.Data: OpenSession and Write. The bytes of a WriteRequest go into
 * the log as they came. */
#include "node/service_internal.h"

enum { DURABILITY_MEMORY = 1, DURABILITY_FILE_SYSTEM, DURABILITY_DISK, DURABILITY_MAJORITY };

static void release(struct call *c)
{
    mem_free(c);
}

static unsigned durability(const struct member *m)
{
    if (member_state(m) == MEMBER_RUNNING) {
        return DURABILITY_MAJORITY;
    }
    switch (member_status(m).wal_level) {
    case WAL_LEVEL_OFF:
        return DURABILITY_MEMORY;
    case WAL_LEVEL_SYNC:
        return DURABILITY_DISK;
    default:
        return DURABILITY_FILE_SYSTEM;
    }
}

static void done_write(struct member_request *r, const struct member_reply *reply)
{
    struct call *c = (struct call *)r;
    call_answered(c);
    if (reply->code != ERR_OK) {
        call_fail(c, reply->code, reply->text, reply->leader);
        return;
    }
    struct buf answer = {0};
    wire_put_uint(&answer, 1, reply->result.index);
    wire_put_uint(&answer, 2, reply->result.rows);
    wire_put_uint(&answer, 3, durability(c->service->member));
    call_reply(c, buf_bytes(&answer));
    buf_deinit(&answer);
}

/* WriteRequest.id, without looking at the rows. */
static bool read_id(struct bytes request, struct command *command)
{
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number != 1) {
            continue;
        }
        struct cursor id = cursor_of(wire_bytes(&c, &f));
        struct wire_field g;
        while (wire_next(&id, &g)) {
            if (g.number == 1) {
                command->session = wire_uint(&id, &g);
            } else if (g.number == 2) {
                command->sequence = wire_uint(&id, &g);
            } else if (g.number == 3) {
                command->sequence_open = wire_uint(&id, &g);
            }
        }
        if (id.bad) {
            return false;
        }
    }
    return !c.bad;
}

static struct call *begin(struct service *s, struct grpc_call *grpc,
                          void (*done)(struct member_request *, const struct member_reply *))
{
    struct call *c = mem_zalloc(sizeof *c);
    call_begin(c, s, grpc, release);
    c->request.done = done;
    c->asked = true;
    return c;
}

static void on_write(struct grpc_call *grpc, struct bytes message, void *context)
{
    struct service *s = context;
    struct command command = {.kind = COMMAND_WRITE, .body = message};
    if (!service_is_ready(s, grpc)) {
        return;
    }
    if (!read_id(message, &command)) {
        grpc_call_finish(grpc, GRPC_INVALID_ARGUMENT, "WriteRequest: not a valid message");
        return;
    }
    struct call *c = begin(s, grpc, done_write);
    member_propose(s->member, &command, &c->request);
}

static void done_open(struct member_request *r, const struct member_reply *reply)
{
    struct call *c = (struct call *)r;
    call_answered(c);
    if (reply->code != ERR_OK) {
        call_fail(c, reply->code, reply->text, reply->leader);
        return;
    }
    struct buf answer = {0};
    wire_put_uint(&answer, 1, reply->result.session);
    call_reply(c, buf_bytes(&answer));
    buf_deinit(&answer);
}

static void on_open(struct grpc_call *grpc, struct bytes message, void *context)
{
    struct service *s = context;
    if (!service_is_ready(s, grpc)) {
        return;
    }
    /* The id of a session that a power failure made the state forget must not
     * come again for another client: the node's own nonce, behind what the
     * client sent, decides. */
    struct buf body = {0};
    buf_put_bytes(&body, message);
    wire_put_fixed64(&body, 2, io_entropy_u64(storage_io(member_storage(s->member))));
    struct command command = {.kind = COMMAND_OPEN_SESSION, .body = buf_bytes(&body)};
    struct call *c = begin(s, grpc, done_open);
    member_propose(s->member, &command, &c->request);
    buf_deinit(&body);
}

size_t service_data_add(struct service *s, struct grpc_method *methods)
{
    methods[0] = (struct grpc_method){
        .path = "/tidemark.v1.Data/Write", .kind = GRPC_UNARY, .message = on_write, .context = s};
    methods[1] = (struct grpc_method){.path = "/tidemark.v1.Data/OpenSession",
                                      .kind = GRPC_UNARY,
                                      .message = on_open,
                                      .context = s};
    return 2;
}
