/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/node_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"

/* --- calls --- */

enum { PAUSE_MS = 20 };

static enum err_code call_once(struct node_client *c, const char *path, struct bytes request,
                               struct buf *reply, struct err *e)
{
    struct grpc_call_request r = {
        .path = path,
        .message = request,
        .deadline_ms = grpc_blocking_now_ms(c->blocking) + c->timeout_ms,
    };
    return grpc_client_call_sync(c->blocking, c->channel, &r, reply, &c->outcome, e);
}

static enum err_code call(struct node_client *c, const char *service, const char *method,
                          struct bytes request, struct buf *reply, struct err *e)
{
    char path[128];
    struct buf answer = {0};
    uint64_t end_ms = grpc_blocking_now_ms(c->blocking) + c->patience_ms;
    (void)snprintf(path, sizeof path, "/tidemark.v1.%s/%s", service, method);
    enum err_code code = call_once(c, path, request, &answer, e);
    while ((code == ERR_UNAVAILABLE || code == ERR_UNKNOWN_OUTCOME) &&
           grpc_blocking_now_ms(c->blocking) < end_ms) {
        grpc_blocking_step(c->blocking, PAUSE_MS);
        buf_reset(&answer);
        code = call_once(c, path, request, &answer, e);
    }
    if (reply != NULL) {
        buf_put_bytes(reply, buf_bytes(&answer));
    }
    buf_deinit(&answer);
    return code;
}

enum err_code node_admin(struct node_client *c, const char *method, struct bytes request,
                         struct buf *reply, struct err *e)
{
    return call(c, "Admin", method, request, reply, e);
}

enum err_code node_data(struct node_client *c, const char *method, struct bytes request,
                        struct buf *reply, struct err *e)
{
    return call(c, "Data", method, request, reply, e);
}

/* --- status --- */

static void read_log(struct cursor c, struct node_status *s)
{
    struct node_log_status log = {0};
    char name[16] = "";
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case 1:
            wire_str(&c, &f, name, sizeof name);
            break;
        case 8:
            log.holes = wire_uint(&c, &f);
            break;
        case 9:
            log.holes_found = wire_uint(&c, &f);
            break;
        case 10:
            log.holes_filled = wire_uint(&c, &f);
            break;
        case 11:
            log.holes_dropped = wire_uint(&c, &f);
            break;
        case 12:
            log.records_torn = wire_uint(&c, &f);
            break;
        case 13:
            wire_str(&c, &f, log.waiting, sizeof log.waiting);
            break;
        case 22:
            wire_str(&c, &f, log.retained_by, sizeof log.retained_by);
            break;
        default:
            break;
        }
    }
    *(strcmp(name, "raft") == 0 ? &s->raft : &s->local) = log;
}

static void read_damage(struct cursor c, struct node_damage *d)
{
    uint64_t *const fields[] = {&d->parts_found,   &d->parts_refilled, &d->parts_waiting,
                                &d->parts_dropped, &d->scrubbed,       &d->rounds_parts,
                                &d->rounds_logs};
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number >= 1 && f.number <= sizeof fields / sizeof fields[0]) {
            *fields[f.number - 1] = wire_uint(&c, &f);
        }
    }
}

static void read_self(struct cursor c, struct node_status *s)
{
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            s->id = wire_fixed64(&c, &f);
        } else if (f.number == 2) {
            wire_str(&c, &f, s->name, sizeof s->name);
        } else if (f.number == 5) {
            wire_str(&c, &f, s->kind, sizeof s->kind);
        }
    }
}

/* Numbers by field; the others by hand. */
static uint64_t *number_field(struct node_status *s, uint32_t number)
{
    switch (number) {
    case 4:
        return &s->term;
    case 7:
        return &s->commit_index;
    case 8:
        return &s->applied_index;
    case 9:
        return &s->last_index;
    case 10:
        return &s->checkpoint_index;
    case 18:
        return &s->start_counter;
    case 20:
        return &s->rows_written;
    default:
        return NULL;
    }
}

static bool read_status(struct bytes message, struct node_status *s)
{
    *s = (struct node_status){0};
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        uint64_t *number = number_field(s, f.number);
        if (number != NULL) {
            *number = wire_uint(&c, &f);
        } else if (f.number == 1) {
            read_self(cursor_of(wire_bytes(&c, &f)), s);
        } else if (f.number == 2) {
            s->cluster_id = wire_fixed64(&c, &f);
        } else if (f.number == 3) {
            s->role = wire_uint32(&c, &f);
        } else if (f.number == 5) {
            s->leader_id = wire_fixed64(&c, &f);
        } else if (f.number == 11) {
            read_log(cursor_of(wire_bytes(&c, &f)), s);
        } else if (f.number == 24) {
            read_damage(cursor_of(wire_bytes(&c, &f)), &s->damage);
        } else if (f.number == 12) {
            s->wal_level = wire_uint32(&c, &f);
        } else if (f.number == 16) {
            wire_str(&c, &f, s->message, sizeof s->message);
        } else if (f.number == 17) {
            s->healthy = wire_bool(&c, &f);
        }
    }
    return !c.bad;
}

enum err_code node_status_get(struct node_client *c, struct node_status *out, struct err *e)
{
    struct buf reply = {0};
    enum err_code code = node_admin(c, "NodeStatus", (struct bytes){0}, &reply, e);
    if (code == ERR_OK && !read_status(buf_bytes(&reply), out)) {
        code = err_set(e, ERR_CORRUPT, "malformed NodeStatusResponse");
    }
    buf_deinit(&reply);
    return code;
}

enum err_code node_cluster_status_get(struct node_client *c, struct node_cluster_status *out,
                                      struct err *e)
{
    struct buf reply = {0};
    *out = (struct node_cluster_status){0};
    enum err_code code = node_admin(c, "ClusterStatus", (struct bytes){0}, &reply, e);
    struct cursor in = cursor_of(buf_bytes(&reply));
    struct wire_field f;
    bool good = true;
    while (code == ERR_OK && wire_next(&in, &f)) {
        if (f.number == 3 && out->count < LIMIT_NODES_MAX) {
            good = read_status(wire_bytes(&in, &f), &out->nodes[out->count++]) && good;
        } else if (f.number == 4) {
            out->healthy = wire_bool(&in, &f);
        }
    }
    if (code == ERR_OK && (in.bad || !good)) {
        code = err_set(e, ERR_CORRUPT, "malformed ClusterStatusResponse");
    }
    buf_deinit(&reply);
    return code;
}

enum err_code node_state_hash(struct node_client *c, uint64_t index, uint64_t *at, char hash[64],
                              struct err *e)
{
    struct buf request = {0};
    struct buf reply = {0};
    wire_put_uint(&request, 1, index);
    enum err_code code = node_admin(c, "StateHash", buf_bytes(&request), &reply, e);
    struct cursor in = cursor_of(buf_bytes(&reply));
    struct wire_field f;
    while (code == ERR_OK && wire_next(&in, &f)) {
        if (f.number == 1) {
            *at = wire_uint(&in, &f);
        } else if (f.number == 2) {
            wire_str(&in, &f, hash, 64);
        }
    }
    buf_deinit(&request);
    buf_deinit(&reply);
    return code;
}

/* --- settings, members, checkpoints --- */

enum err_code node_setting_set(struct node_client *c, const char *name, const char *value,
                               struct err *e)
{
    struct buf request = {0};
    wire_put_str(&request, 1, name);
    wire_put_str(&request, 2, value);
    enum err_code code = node_admin(c, "SetSetting", buf_bytes(&request), NULL, e);
    buf_deinit(&request);
    return code;
}

enum err_code node_setting_get(struct node_client *c, const char *name, char value[64],
                               struct err *e)
{
    struct buf request = {0};
    struct buf reply = {0};
    wire_put_str(&request, 1, name);
    enum err_code code = node_admin(c, "GetSetting", buf_bytes(&request), &reply, e);
    struct cursor in = cursor_of(buf_bytes(&reply));
    struct wire_field f;
    value[0] = '\0';
    while (code == ERR_OK && wire_next(&in, &f)) {
        if (f.number == 2) {
            wire_str(&in, &f, value, 64);
        }
    }
    buf_deinit(&request);
    buf_deinit(&reply);
    return code;
}

enum err_code node_change(struct node_client *c, const char *method, const char *name,
                          struct err *e)
{
    struct buf request = {0};
    wire_put_str(&request, 1, name);
    enum err_code code = node_admin(c, method, buf_bytes(&request), NULL, e);
    buf_deinit(&request);
    return code;
}

enum err_code node_add(struct node_client *c, const char *name, uint64_t id,
                       const char *peer_address, struct err *e)
{
    struct buf request = {0};
    wire_put_str(&request, 1, name);
    wire_put_fixed64(&request, 2, id);
    wire_put_str(&request, 3, peer_address);
    enum err_code code = node_admin(c, "AddNode", buf_bytes(&request), NULL, e);
    buf_deinit(&request);
    return code;
}

enum err_code node_checkpoint(struct node_client *c, uint64_t *index, struct err *e)
{
    struct buf reply = {0};
    enum err_code code = node_admin(c, "Checkpoint", (struct bytes){0}, &reply, e);
    struct cursor in = cursor_of(buf_bytes(&reply));
    struct wire_field f;
    while (code == ERR_OK && wire_next(&in, &f)) {
        if (f.number == 1) {
            *index = wire_uint(&in, &f);
        }
    }
    buf_deinit(&reply);
    return code;
}
