/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/nodes.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/wire.h"

void nodes_deinit(struct nodes *n)
{
    mem_free(n->items);
    *n = (struct nodes){0};
}

/* The place of an id, or where it would stand. */
static bool find(const struct nodes *n, uint64_t directory_id, size_t *place)
{
    for (*place = 0; *place < n->count; (*place)++) {
        if (n->items[*place].directory_id >= directory_id) {
            return n->items[*place].directory_id == directory_id;
        }
    }
    return false;
}

const struct tsdb_node *nodes_find(const struct nodes *n, uint64_t directory_id)
{
    size_t place = 0;
    return find(n, directory_id, &place) ? &n->items[place] : NULL;
}

static struct tsdb_node *insert(struct nodes *n, size_t place, uint64_t directory_id)
{
    n->items = mem_grow(n->items, &n->capacity, n->count + 1, sizeof *n->items);
    memmove(n->items + place + 1, n->items + place, (n->count - place) * sizeof *n->items);
    n->count++;
    n->items[place] = (struct tsdb_node){.directory_id = directory_id};
    return &n->items[place];
}

static size_t count_removed(const struct nodes *n)
{
    size_t count = 0;
    for (size_t i = 0; i < n->count; i++) {
        count += n->items[i].removed ? 1 : 0;
    }
    return count;
}

static enum err_code read_start(struct bytes request, struct tsdb_node *out, struct err *e)
{
    *out = (struct tsdb_node){0};
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case 1:
            out->directory_id = wire_fixed64(&c, &f);
            break;
        case 2:
            out->start_counter = wire_uint(&c, &f);
            break;
        case 3:
            out->nonce = wire_fixed64(&c, &f);
            break;
        case 4:
            wire_str(&c, &f, out->name, sizeof out->name);
            break;
        case 5:
            wire_str(&c, &f, out->peer_address, sizeof out->peer_address);
            break;
        case 6:
            wire_str(&c, &f, out->client_address, sizeof out->client_address);
            break;
        default:
            break;
        }
    }
    if (c.bad || out->directory_id == 0 || out->start_counter == 0) {
        return err_set(e, ERR_INVALID, "the start of a node is malformed");
    }
    return ERR_OK;
}

/* Whether a start may follow what is known of its directory. */
static enum err_code check_start(const struct tsdb_node *known, const struct tsdb_node *start,
                                 struct err *e)
{
    if (known->removed) {
        return err_set(e, ERR_STATE, "directory %016" PRIx64 " was removed from the cluster",
                       start->directory_id);
    }
    if (start->start_counter < known->start_counter ||
        (start->start_counter == known->start_counter && start->nonce != known->nonce)) {
        return err_set(e, ERR_STATE,
                       "directory %016" PRIx64 " is rolled back: its start %" PRIu64
                       " with nonce %016" PRIx64 " is known, this is start %" PRIu64
                       " with nonce %016" PRIx64,
                       start->directory_id, known->start_counter, known->nonce,
                       start->start_counter, start->nonce);
    }
    return ERR_OK;
}

enum err_code nodes_start(struct nodes *n, struct bytes request, struct err *e)
{
    struct tsdb_node start;
    enum err_code code = read_start(request, &start, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t place = 0;
    struct tsdb_node *node = NULL;
    if (find(n, start.directory_id, &place)) {
        node = &n->items[place];
        code = check_start(node, &start, e);
        if (code != ERR_OK) {
            return code;
        }
    } else if (n->count - count_removed(n) >= LIMIT_NODES_MAX) {
        return err_set(e, ERR_FULL, "the cluster knows %d nodes, no more are allowed: remove one",
                       LIMIT_NODES_MAX);
    } else {
        node = insert(n, place, start.directory_id);
    }
    *node = start;
    return ERR_OK;
}

enum err_code nodes_remove(struct nodes *n, struct bytes request, struct err *e)
{
    uint64_t id = 0;
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            id = wire_fixed64(&c, &f);
        }
    }
    if (c.bad || id == 0) {
        return err_set(e, ERR_INVALID, "the removal of a node is malformed");
    }
    size_t place = 0;
    bool known = find(n, id, &place);
    if ((!known || !n->items[place].removed) && count_removed(n) >= LIMIT_REMOVED_NODES_MAX) {
        return err_set(e, ERR_FULL, "%d nodes were removed, no more are allowed",
                       LIMIT_REMOVED_NODES_MAX);
    }
    struct tsdb_node *node = known ? &n->items[place] : insert(n, place, id);
    *node = (struct tsdb_node){.directory_id = id, .removed = true};
    return ERR_OK;
}

enum err_code nodes_form(struct nodes *n, struct bytes request, struct err *e)
{
    uint64_t id = 0;
    struct cursor c = cursor_of(request);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            id = wire_fixed64(&c, &f);
        }
    }
    if (c.bad || id == 0) {
        return err_set(e, ERR_INVALID, "the forming of the cluster is malformed");
    }
    if (n->formed && n->cluster_id != id) {
        return err_set(e, ERR_STATE,
                       "the cluster was formed as %016" PRIx64 ", it can't be %016" PRIx64,
                       n->cluster_id, id);
    }
    n->formed = true;
    n->cluster_id = id;
    return ERR_OK;
}

void nodes_encode(const struct nodes *n, struct buf *out)
{
    buf_put_u8(out, n->formed ? 1 : 0);
    buf_put_u64(out, n->cluster_id);
    buf_put_varint(out, n->count);
    for (size_t i = 0; i < n->count; i++) {
        const struct tsdb_node *x = &n->items[i];
        buf_put_u64(out, x->directory_id);
        buf_put_u8(out, x->removed ? 1 : 0);
        buf_put_varint(out, x->start_counter);
        buf_put_u64(out, x->nonce);
        buf_put_str(out, x->name);
        buf_put_str(out, x->peer_address);
        buf_put_str(out, x->client_address);
    }
}

static void decode_node(struct cursor *in, struct nodes *n)
{
    uint64_t id = cursor_u64(in);
    size_t place = 0;
    if (in->bad || id == 0 || find(n, id, &place) || place != n->count) {
        in->bad = true;
        return;
    }
    struct tsdb_node *x = insert(n, place, id);
    uint8_t removed = cursor_u8(in);
    in->bad = in->bad || removed > 1;
    x->removed = removed == 1;
    x->start_counter = cursor_varint(in);
    x->nonce = cursor_u64(in);
    cursor_str(in, x->name, sizeof x->name);
    cursor_str(in, x->peer_address, sizeof x->peer_address);
    cursor_str(in, x->client_address, sizeof x->client_address);
}

enum err_code nodes_decode(struct cursor *in, struct nodes *n, struct err *e)
{
    *n = (struct nodes){0};
    uint8_t formed = cursor_u8(in);
    n->cluster_id = cursor_u64(in);
    uint64_t count = cursor_varint(in);
    in->bad = in->bad || formed > 1 || count > LIMIT_NODES_MAX + LIMIT_REMOVED_NODES_MAX;
    n->formed = formed == 1;
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        decode_node(in, n);
    }
    if (in->bad) {
        nodes_deinit(n);
        return err_set(e, ERR_CORRUPT, "the known nodes are cut short or malformed");
    }
    return ERR_OK;
}
