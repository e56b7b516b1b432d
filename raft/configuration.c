/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/configuration.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

enum { FORMAT_VERSION = 1 };

_Static_assert(LIMIT_NODES_MAX <= UINT8_MAX, "the count is one byte");

static void check_invariants(const struct configuration *c)
{
    CHECK(c != NULL);
    CHECK(c->count <= LIMIT_NODES_MAX);
    for (size_t i = 0; i < c->count; i++) {
        VERIFY(c->servers[i].id != 0);
        VERIFY(configuration_find(c, c->servers[i].id) == &c->servers[i]);
    }
}

void configuration_encode(const struct configuration *c, struct buf *out)
{
    check_invariants(c);
    CHECK(c->count > 0);
    buf_put_u8(out, FORMAT_VERSION);
    buf_put_u8(out, (uint8_t)c->count);
    for (size_t i = 0; i < c->count; i++) {
        CHECK(c->servers[i].id != 0);
        buf_put_u64(out, c->servers[i].id);
        buf_put_u8(out, (uint8_t)c->servers[i].role);
        buf_put_str(out, c->servers[i].address);
    }
}

static enum err_code decode_server(struct cursor *in, struct server *s, struct err *e)
{
    CHECK(in != NULL);
    CHECK(s != NULL);
    s->id = cursor_u64(in);
    uint8_t role = cursor_u8(in);
    cursor_str(in, s->address, sizeof s->address);
    if (in->bad) {
        return err_set(e, ERR_CORRUPT,
                       "configuration: a server is cut short or its address is bad");
    }
    if (s->id == 0) {
        return err_set(e, ERR_CORRUPT, "configuration: a server without id");
    }
    if (role > SERVER_VOTER) {
        return err_set(e, ERR_CORRUPT, "configuration: role %u of server %016" PRIx64, role, s->id);
    }
    s->role = (enum server_role)role;
    return ERR_OK;
}

enum err_code configuration_decode(struct bytes b, uint64_t index, struct configuration *out,
                                   struct err *e)
{
    CHECK(out != NULL);
    struct cursor in = cursor_of(b);
    memset(out, 0, sizeof *out);
    uint8_t version = cursor_u8(&in);
    uint8_t count = cursor_u8(&in);
    if (in.bad || version != FORMAT_VERSION) {
        return err_set(e, ERR_CORRUPT, "configuration: format %u, %zu bytes", version, b.size);
    }
    if (count == 0 || count > LIMIT_NODES_MAX) {
        return err_set(e, ERR_CORRUPT, "configuration: %u servers", count);
    }
    for (size_t i = 0; i < count; i++) {
        struct server server;
        if (decode_server(&in, &server, e) != ERR_OK) {
            return ERR_CORRUPT;
        }
        if (configuration_find(out, server.id) != NULL) {
            return err_set(e, ERR_CORRUPT, "configuration: server %016" PRIx64 " twice", server.id);
        }
        CHECK(out->count < LIMIT_NODES_MAX);
        out->servers[out->count] = server;
        out->count++;
    }
    if (!cursor_done(&in)) {
        return err_set(e, ERR_CORRUPT, "configuration: %zu bytes too many", in.size);
    }
    if (configuration_voters(out) == 0) {
        return err_set(e, ERR_CORRUPT, "configuration: no voter");
    }
    out->index = index;
    check_invariants(out);
    return ERR_OK;
}

const struct server *configuration_find(const struct configuration *c, uint64_t id)
{
    CHECK(c != NULL);
    CHECK(c->count <= LIMIT_NODES_MAX);
    for (size_t i = 0; i < c->count; i++) {
        if (c->servers[i].id == id) {
            return &c->servers[i];
        }
    }
    return NULL;
}

size_t configuration_voters(const struct configuration *c)
{
    CHECK(c != NULL);
    CHECK(c->count <= LIMIT_NODES_MAX);
    size_t voters = 0;
    for (size_t i = 0; i < c->count; i++) {
        voters += c->servers[i].role == SERVER_VOTER ? 1U : 0U;
    }
    return voters;
}

bool configuration_is_voter(const struct configuration *c, uint64_t id)
{
    const struct server *server = configuration_find(c, id);
    return server != NULL && server->role == SERVER_VOTER;
}

static bool server_equal(const struct server *a, const struct server *b)
{
    CHECK(a != NULL);
    CHECK(b != NULL);
    return a->id == b->id && a->role == b->role && strcmp(a->address, b->address) == 0;
}

bool configuration_equal(const struct configuration *a, const struct configuration *b)
{
    check_invariants(a);
    check_invariants(b);
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!server_equal(&a->servers[i], &b->servers[i])) {
            return false;
        }
    }
    return true;
}

/* One server more: at the end, and not a voter before it holds the log. */
static enum err_code check_added(const struct configuration *from, const struct configuration *to,
                                 struct err *e)
{
    CHECK(to->count == from->count + 1);
    for (size_t i = 0; i < from->count; i++) {
        if (!server_equal(&from->servers[i], &to->servers[i])) {
            return err_set(e, ERR_INVALID, "adding a server changes server %zu as well", i);
        }
    }
    CHECK(from->count < LIMIT_NODES_MAX);
    const struct server *added = &to->servers[from->count];
    if (added->id == 0 || configuration_find(from, added->id) != NULL) {
        return err_set(e, ERR_INVALID, "the added server has no id of its own");
    }
    if (added->role == SERVER_VOTER) {
        return err_set(e, ERR_INVALID, "a new server starts as spare or standby, not as voter");
    }
    return ERR_OK;
}

static enum err_code check_removed(const struct configuration *from, const struct configuration *to,
                                   struct err *e)
{
    CHECK(to->count + 1 == from->count);
    size_t gap = 0;
    while (gap < to->count && server_equal(&from->servers[gap], &to->servers[gap])) {
        gap++;
    }
    CHECK(gap < from->count);
    for (size_t i = gap; i < to->count; i++) {
        if (!server_equal(&from->servers[i + 1], &to->servers[i])) {
            return err_set(e, ERR_INVALID, "removing a server changes another one as well");
        }
    }
    return ERR_OK;
}

static enum err_code check_changed(const struct configuration *from, const struct configuration *to,
                                   struct err *e)
{
    CHECK(from->count == to->count);
    size_t changes = 0;
    for (size_t i = 0; i < from->count; i++) {
        const struct server *a = &from->servers[i];
        const struct server *b = &to->servers[i];
        if (a->id != b->id) {
            return err_set(e, ERR_INVALID, "server %zu is another one", i);
        }
        bool moved = strcmp(a->address, b->address) != 0;
        int steps = (int)b->role - (int)a->role;
        if (steps > 1 || steps < -1) {
            return err_set(e, ERR_INVALID, "server %016" PRIx64 " changes its role by two steps",
                           a->id);
        }
        changes += (moved ? 1U : 0U) + (steps != 0 ? 1U : 0U);
    }
    if (changes != 1) {
        return err_set(e, ERR_INVALID, "%zu changes instead of one", changes);
    }
    return ERR_OK;
}

enum err_code configuration_check_step(const struct configuration *from,
                                       const struct configuration *to, struct err *e)
{
    CHECK(from != NULL);
    CHECK(to != NULL);
    if (to->count == 0 || to->count > LIMIT_NODES_MAX) {
        return err_set(e, ERR_INVALID, "%zu servers, 1 to %d are possible", to->count,
                       LIMIT_NODES_MAX);
    }
    size_t voters = configuration_voters(to);
    if (voters == 0 || voters > LIMIT_VOTERS_MAX) {
        return err_set(e, ERR_INVALID, "%zu voters, 1 to %d are possible", voters,
                       LIMIT_VOTERS_MAX);
    }
    if (to->count == from->count + 1) {
        return check_added(from, to, e);
    }
    if (to->count + 1 == from->count) {
        return check_removed(from, to, e);
    }
    if (to->count == from->count) {
        return check_changed(from, to, e);
    }
    return err_set(e, ERR_INVALID, "from %zu to %zu servers in one step", from->count, to->count);
}

bool configuration_has_majority(const struct configuration *c, const uint64_t *ids, size_t count)
{
    CHECK(c != NULL);
    CHECK(ids != NULL || count == 0);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK(ids[i] != 0);
        found += configuration_is_voter(c, ids[i]) ? 1U : 0U;
    }
    return found > configuration_voters(c) / 2;
}
