/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_reads.h"

#include "base/check.h"
#include "base/mem.h"

void raft_round_begin(struct raft_round *r, uint64_t number, uint64_t index, uint64_t now_ms)
{
    CHECK(!r->running);
    CHECK(number > r->number);
    *r = (struct raft_round){
        .running = true, .number = number, .index = index, .asked_ms = now_ms, .began_ms = now_ms};
}

void raft_round_answer(struct raft_round *r, uint64_t number, uint64_t id)
{
    CHECK(id != 0);
    CHECK(r->id_count <= LIMIT_NODES_MAX);
    /* A full list means that the cluster changed under the round: its servers
     * of before are counted, and the round is asked again. */
    if (!r->running || number != r->number || raft_round_has(r, id) ||
        r->id_count == LIMIT_NODES_MAX) {
        return;
    }
    r->ids[r->id_count] = id;
    r->id_count++;
}

bool raft_round_has(const struct raft_round *r, uint64_t id)
{
    CHECK(r != NULL);
    CHECK(r->id_count <= LIMIT_NODES_MAX);
    for (size_t i = 0; i < r->id_count; i++) {
        if (r->ids[i] == id) {
            return true;
        }
    }
    return false;
}

void raft_reads_deinit(struct raft_reads *r)
{
    CHECK(r != NULL);
    CHECK(r->waiting_count <= r->waiting_capacity);
    mem_free(r->waiting);
    mem_free(r->served);
    *r = (struct raft_reads){0};
}

enum err_code raft_reads_add(struct raft_reads *r, uint64_t token, struct err *e)
{
    CHECK(r != NULL);
    CHECK(r->waiting_count + r->served_count <= LIMIT_READS_WAITING);
    if (r->waiting_count + r->served_count == LIMIT_READS_WAITING) {
        return err_set(e, ERR_FULL, "%d reads wait already", LIMIT_READS_WAITING);
    }
    r->waiting =
        mem_grow(r->waiting, &r->waiting_capacity, r->waiting_count + 1, sizeof *r->waiting);
    r->waiting[r->waiting_count] = token;
    r->waiting_count++;
    return ERR_OK;
}

void raft_reads_begin(struct raft_reads *r, uint64_t number, uint64_t index, uint64_t now_ms)
{
    CHECK(r->waiting_count > 0);
    CHECK(r->served_count == 0);
    raft_round_begin(&r->round, number, index, now_ms);
    uint64_t *tokens = r->served;
    size_t capacity = r->served_capacity;
    r->served = r->waiting;
    r->served_count = r->waiting_count;
    r->served_capacity = r->waiting_capacity;
    r->waiting = tokens;
    r->waiting_count = 0;
    r->waiting_capacity = capacity;
}
