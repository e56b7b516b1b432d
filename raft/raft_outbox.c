/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_outbox.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_actions.h"

enum { COUNT_MAX = 4096, SIZE_MAX_WAITING = 4 * LIMIT_FRAME_SIZE_MAX };

static void put_send(struct actions *actions, uint64_t peer, struct buf *message)
{
    CHECK(peer != 0);
    CHECK(message->size > 0);
    struct action *a = raft_actions_put(actions, ACTION_SEND);
    a->id = peer;
    a->message = *message;
    *message = (struct buf){0};
}

void raft_outbox_deinit(struct raft_outbox *o)
{
    CHECK(o != NULL);
    CHECK(o->durable <= o->asked);
    for (size_t i = 0; i < o->count; i++) {
        buf_deinit(&o->items[i].message);
    }
    mem_free(o->items);
    *o = (struct raft_outbox){0};
}

void raft_outbox_send(struct raft_outbox *o, uint64_t peer, struct buf *message,
                      struct actions *actions)
{
    CHECK(o->durable <= o->asked);
    CHECK(peer != 0);
    if (!raft_outbox_waits(o) || o->leaks) {
        CHECK(o->count == 0);
        put_send(actions, peer, message);
        return;
    }
    if (o->count == COUNT_MAX || o->bytes + message->size > SIZE_MAX_WAITING) {
        buf_deinit(message);
        return;
    }
    o->items = mem_grow(o->items, &o->capacity, o->count + 1, sizeof *o->items);
    o->items[o->count] = (struct raft_outbox_item){o->asked, peer, *message};
    o->bytes += message->size;
    o->count++;
    *message = (struct buf){0};
}

void raft_outbox_hard_state(struct raft_outbox *o, uint64_t term, uint64_t voted_for,
                            struct actions *actions)
{
    CHECK(term > 0);
    CHECK(o->durable <= o->asked);
    struct action *a = raft_actions_put(actions, ACTION_HARD_STATE);
    a->term = term;
    a->id = voted_for;
    o->asked++;
}

enum err_code raft_outbox_durable(struct raft_outbox *o, struct actions *actions, struct err *e)
{
    if (!raft_outbox_waits(o)) {
        return err_set(e, ERR_STATE, "no hard state is being written");
    }
    o->durable++;
    size_t ready = 0;
    while (ready < o->count && o->items[ready].hard_state <= o->durable) {
        CHECK(o->bytes >= o->items[ready].message.size);
        o->bytes -= o->items[ready].message.size;
        put_send(actions, o->items[ready].peer, &o->items[ready].message);
        ready++;
    }
    if (ready > 0) {
        memmove(o->items, o->items + ready, (o->count - ready) * sizeof *o->items);
        o->count -= ready;
    }
    CHECK(raft_outbox_waits(o) || o->count == 0);
    return ERR_OK;
}

bool raft_outbox_waits(const struct raft_outbox *o)
{
    CHECK(o != NULL);
    CHECK(o->durable <= o->asked);
    return o->durable < o->asked;
}
