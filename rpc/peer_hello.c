/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer_hello.h"

#include <string.h>

#include "base/check.h"
#include "proto/wire.h"

void peer_hello_encode(const struct peer_hello *h, struct buf *out)
{
    CHECK(h->directory_id != 0);
    wire_put_uint(out, 1, h->protocol);
    wire_put_fixed64(out, 2, h->cluster_id);
    wire_put_fixed64(out, 3, h->directory_id);
    wire_put_uint(out, 4, h->start_counter);
    wire_put_fixed64(out, 5, h->nonce);
    wire_put_str(out, 6, h->name);
    wire_put_str(out, 7, h->peer_address);
    wire_put_str(out, 8, h->client_address);
    wire_put_fixed64(out, 9, h->known_nonce);
    wire_put_str(out, 10, h->version);
    wire_put_uint(out, 11, h->known_counter);
}

static void read_hello_field(struct cursor *c, const struct wire_field *f, struct peer_hello *h)
{
    switch (f->number) {
    case 1:
        h->protocol = wire_uint32(c, f);
        break;
    case 2:
        h->cluster_id = wire_fixed64(c, f);
        break;
    case 3:
        h->directory_id = wire_fixed64(c, f);
        break;
    case 4:
        h->start_counter = wire_uint(c, f);
        break;
    case 5:
        h->nonce = wire_fixed64(c, f);
        break;
    case 6:
        wire_str(c, f, h->name, sizeof h->name);
        break;
    case 7:
        wire_str(c, f, h->peer_address, sizeof h->peer_address);
        break;
    case 8:
        wire_str(c, f, h->client_address, sizeof h->client_address);
        break;
    case 9:
        h->known_nonce = wire_fixed64(c, f);
        break;
    case 10:
        wire_str(c, f, h->version, sizeof h->version);
        break;
    case 11:
        h->known_counter = wire_uint(c, f);
        break;
    default:
        break; /* of a later version */
    }
}

enum err_code peer_hello_decode(struct bytes b, struct peer_hello *out, struct err *e)
{
    struct cursor c = cursor_of(b);
    struct wire_field f;
    *out = (struct peer_hello){0};
    while (wire_next(&c, &f)) {
        read_hello_field(&c, &f, out);
    }
    if (c.bad) {
        return err_set(e, ERR_CORRUPT, "not a Hello");
    }
    if (out->directory_id == 0) {
        return err_set(e, ERR_CORRUPT, "a Hello without a directory id");
    }
    return ERR_OK;
}

void peer_welcome_encode(const struct peer_welcome *w, struct buf *out)
{
    wire_put_uint(out, 1, w->accepted ? 1 : 0);
    wire_put_str(out, 2, w->refusal.reason);
    if (w->has_hello) {
        size_t mark = wire_begin(out, 3);
        peer_hello_encode(&w->hello, out);
        wire_end(out, mark);
    }
    wire_put_uint(out, 4, w->ask_nonce_of);
    wire_put_uint(out, 5, w->refusal.removed ? 1 : 0);
    wire_put_uint(out, 6, w->refusal.rolled_back ? 1 : 0);
    wire_put_uint(out, 7, w->refusal.seen_counter);
    wire_put_fixed64(out, 8, w->refusal.seen_nonce);
    wire_put_fixed64(out, 9, w->refusal.directory_id);
    wire_put_uint(out, 10, w->refusal.start_counter);
    wire_put_fixed64(out, 11, w->refusal.nonce);
    wire_put_uint(out, 12, w->duplicate ? 1 : 0);
}

/* For people: cut when too long, never a reason to refuse the message. */
static void read_reason(struct bytes text, struct peer_refusal *r)
{
    size_t size = text.size < sizeof r->reason - 1 ? text.size : sizeof r->reason - 1;
    for (size_t i = 0; i < size; i++) {
        r->reason[i] = (char)(text.data[i] == 0 ? (uint8_t)'?' : text.data[i]);
    }
    r->reason[size] = '\0';
}

static enum err_code read_welcome_field(struct cursor *c, const struct wire_field *f,
                                        struct peer_welcome *w, struct err *e)
{
    switch (f->number) {
    case 1:
        w->accepted = wire_bool(c, f);
        break;
    case 2:
        read_reason(wire_bytes(c, f), &w->refusal);
        break;
    case 3:
        w->has_hello = true;
        return peer_hello_decode(wire_bytes(c, f), &w->hello, e);
    case 4:
        w->ask_nonce_of = wire_uint(c, f);
        break;
    case 5:
        w->refusal.removed = wire_bool(c, f);
        break;
    case 6:
        w->refusal.rolled_back = wire_bool(c, f);
        break;
    case 7:
        w->refusal.seen_counter = wire_uint(c, f);
        break;
    case 8:
        w->refusal.seen_nonce = wire_fixed64(c, f);
        break;
    case 9:
        w->refusal.directory_id = wire_fixed64(c, f);
        break;
    case 10:
        w->refusal.start_counter = wire_uint(c, f);
        break;
    case 11:
        w->refusal.nonce = wire_fixed64(c, f);
        break;
    case 12:
        w->duplicate = wire_bool(c, f);
        break;
    default:
        break; /* of a later version */
    }
    return ERR_OK;
}

enum err_code peer_welcome_decode(struct bytes b, struct peer_welcome *out, struct err *e)
{
    struct cursor c = cursor_of(b);
    struct wire_field f;
    *out = (struct peer_welcome){0};
    while (wire_next(&c, &f)) {
        enum err_code code = read_welcome_field(&c, &f, out, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (c.bad || (out->accepted && out->ask_nonce_of != 0)) {
        return err_set(e, ERR_CORRUPT, "not a Welcome");
    }
    return ERR_OK;
}
