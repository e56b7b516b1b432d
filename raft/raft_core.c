/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_core.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

_Static_assert((int)ENTRY_COMMAND == (int)RAFT_COMMAND, "same numbers");
_Static_assert((int)ENTRY_BARRIER == (int)RAFT_BARRIER, "same numbers");
_Static_assert((int)ENTRY_CHANGE == (int)RAFT_CHANGE, "same numbers");

static void *must(void *p)
{
    if (p == NULL) {
        PANIC("out of memory in libraft's allocator");
    }
    return p;
}

static int role_of(enum server_role role)
{
    switch (role) {
    case SERVER_SPARE:
        return RAFT_SPARE;
    case SERVER_STANDBY:
        return RAFT_STANDBY;
    case SERVER_VOTER:
        return RAFT_VOTER;
    }
    PANIC("server role %d", (int)role);
}

void raft_core_address(uint64_t id, char out[RAFT_CORE_ADDRESS_SIZE])
{
    CHECK(id != 0);
    int n = snprintf(out, RAFT_CORE_ADDRESS_SIZE, "%016" PRIx64, id);
    CHECK(n == RAFT_CORE_ADDRESS_SIZE - 1);
}

void raft_core_configuration(const struct configuration *c, struct raft_configuration *out)
{
    CHECK(c->count > 0);
    CHECK(out != NULL);
    raft_configuration_init(out);
    for (size_t i = 0; i < c->count; i++) {
        char address[RAFT_CORE_ADDRESS_SIZE];
        raft_core_address(c->servers[i].id, address);
        int rv =
            raft_configuration_add(out, c->servers[i].id, address, role_of(c->servers[i].role));
        if (rv != 0) {
            PANIC("libraft refuses server %zu: %s", i, raft_strerror(rv));
        }
    }
}

bool raft_core_matches(const struct raft_configuration *r, const struct configuration *c)
{
    CHECK(r != NULL);
    CHECK(c != NULL);
    if (r->n != c->count) {
        return false;
    }
    for (size_t i = 0; i < c->count; i++) {
        if (r->servers[i].id != c->servers[i].id ||
            r->servers[i].role != role_of(c->servers[i].role)) {
            return false;
        }
    }
    return true;
}

/* The encoding that libraft reads. */
static struct raft_buffer encode_change(const struct configuration *c)
{
    CHECK(c->count > 0);
    struct raft_configuration theirs;
    raft_core_configuration(c, &theirs);
    struct raft_buffer out;
    int rv = raft_configuration_encode(&theirs, &out);
    CHECK(rv == 0);
    raft_configuration_close(&theirs);
    return out;
}

void raft_core_entries_reserve(struct raft_core_entries *out, size_t capacity)
{
    CHECK(out != NULL);
    CHECK(capacity > 0);
    *out = (struct raft_core_entries){0};
    out->items = must(raft_malloc(capacity * sizeof *out->items));
    out->token = must(raft_malloc(1));
}

void raft_core_entries_put_term(struct raft_core_entries *out, uint64_t term)
{
    CHECK(term > 0);
    CHECK(out->token != NULL);
    struct raft_entry *item = &out->items[out->count];
    memset(item, 0, sizeof *item);
    item->term = term;
    item->type = RAFT_COMMAND;
    item->batch = out->token;
    out->count++;
}

void raft_core_entries_put_change(struct raft_core_entries *out, uint64_t term,
                                  const struct configuration *c)
{
    CHECK(c != NULL);
    raft_core_entries_put_term(out, term);
    struct raft_entry *item = &out->items[out->count - 1];
    item->type = RAFT_CHANGE;
    item->buf = encode_change(c);
    CHECK(item->batch == out->token);
}

static void put_entry(struct raft_core_entries *out, const struct entry *e)
{
    CHECK(e != NULL);
    CHECK(e->term > 0);
    if (e->type != ENTRY_CHANGE) {
        raft_core_entries_put_term(out, e->term);
        out->items[out->count - 1].type = (enum raft_entry_type)e->type;
        return;
    }
    struct configuration c;
    if (configuration_decode(entry_payload(e), e->index, &c, NULL) != ERR_OK) {
        PANIC("entry %" PRIu64 " holds no configuration", e->index);
    }
    raft_core_entries_put_change(out, e->term, &c);
}

void raft_core_entries_init(struct raft_core_entries *out, struct entry *const *entries,
                            size_t count)
{
    CHECK(entries != NULL);
    CHECK(count > 0);
    raft_core_entries_reserve(out, count);
    for (size_t i = 0; i < count; i++) {
        put_entry(out, entries[i]);
    }
}

void raft_core_entries_deinit(struct raft_core_entries *c)
{
    CHECK(c != NULL);
    CHECK(c->items != NULL || c->count == 0);
    for (size_t i = 0; i < c->count; i++) {
        raft_free(c->items[i].buf.base);
    }
    raft_free(c->items);
    raft_free(c->token);
    *c = (struct raft_core_entries){0};
}
