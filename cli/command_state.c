/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark checkpoint, hash */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "proto/tidemark/v1/admin.pb-c.h"

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* --- checkpoint --- */

static enum cli_exit run_checkpoint(struct cli *cli)
{
    static const char *const columns[] = {"index", "duration_ms", "bytes"};
    enum cli_exit exit = CLI_OK;
    if (cli_cluster(cli, &exit) == NULL) {
        return exit;
    }
    struct cluster_request request = {"/tidemark.v1.Admin/Checkpoint", {0}, CLUSTER_SLOW};
    struct buf reply = {0};
    struct err e = {0};
    ProtobufCMessage *message = NULL;
    enum err_code code = cluster_call(cli->cluster, &request, &reply, NULL, &e);
    if (code == ERR_OK) {
        code = cluster_unpack(&tidemark__v1__checkpoint_response__descriptor, buf_bytes(&reply),
                              &message, &e);
    }
    buf_deinit(&reply);
    if (code != ERR_OK) {
        return cli_fail(cli, &e);
    }
    Tidemark__V1__CheckpointResponse *answer = (Tidemark__V1__CheckpointResponse *)message;
    struct record_writer *w = cli_single(cli, columns, 3);
    record_uint(w, answer->index);
    record_uint(w, answer->duration_ms);
    record_uint(w, answer->bytes);
    record_close(w);
    tidemark__v1__checkpoint_response__free_unpacked(answer, NULL);
    return cli_done(cli);
}

/* --- hash --- */

enum { NODES_MAX = LIMIT_NODES_MAX, ROUNDS_MAX = 20, ROUND_WAIT_MS = 20 };

struct node {
    uint64_t id;
    char name[LIMIT_NAME_SIZE_MAX + 1];
    size_t endpoint; /* ENDPOINTS_MAX: not known */
    bool reached;
    uint64_t index;
    char hash[40];
};

struct hashes {
    struct cli *cli;
    struct node nodes[NODES_MAX];
    size_t count;
    uint64_t target; /* index that all are asked for */
};

static struct node *node_of_id(struct hashes *h, uint64_t id)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h->nodes[i].id == id) {
            return &h->nodes[i];
        }
    }
    return NULL;
}

/* Members that hold the state, with the addresses that they say are theirs. */
static enum err_code find_members(struct hashes *h, struct err *e)
{
    Tidemark__V1__ClusterStatusRequest request;
    tidemark__v1__cluster_status_request__init(&request);
    ProtobufCMessage *message = NULL;
    enum err_code code = cli_ask(h->cli, "/tidemark.v1.Admin/ClusterStatus", &request.base,
                                 &tidemark__v1__cluster_status_response__descriptor, &message, e);
    if (code != ERR_OK) {
        return code;
    }
    Tidemark__V1__ClusterStatusResponse *answer = (Tidemark__V1__ClusterStatusResponse *)message;
    for (size_t i = 0; i < answer->n_nodes && h->count < NODES_MAX; i++) {
        const Tidemark__V1__NodeStatusResponse *n = answer->nodes[i];
        if (n->self == NULL || strcmp(text_or_empty(n->self->kind), "spare") == 0) {
            continue;
        }
        struct node *node = &h->nodes[h->count++];
        *node = (struct node){.id = n->self->id, .endpoint = ENDPOINTS_MAX};
        (void)snprintf(node->name, sizeof node->name, "%s", text_or_empty(n->self->name));
        const char *address = text_or_empty(n->self->client_address);
        if (address[0] != '\0') {
            node->endpoint = endpoint_list_add(cluster_endpoints(h->cli->cluster), address);
        }
        h->target = n->applied_index > h->target ? n->applied_index : h->target;
    }
    tidemark__v1__cluster_status_response__free_unpacked(answer, NULL);
    return ERR_OK;
}

/* An address that the user gave is one that works from here: better than what the
 * nodes call themselves. */
static void prefer_given(struct hashes *h)
{
    const struct endpoint_list *endpoints = cluster_endpoints(h->cli->cluster);
    for (size_t i = 0; i < endpoints->given; i++) {
        ProtobufCMessage *message = NULL;
        if (cluster_ask_at(h->cli->cluster, i, "/tidemark.v1.Admin/NodeStatus",
                           &tidemark__v1__node_status_response__descriptor, &message,
                           NULL) != ERR_OK) {
            continue;
        }
        Tidemark__V1__NodeStatusResponse *n = (Tidemark__V1__NodeStatusResponse *)message;
        struct node *node = n->self == NULL ? NULL : node_of_id(h, n->self->id);
        if (node != NULL) {
            node->endpoint = i;
        }
        tidemark__v1__node_status_response__free_unpacked(n, NULL);
    }
}

static void ask_hash(struct hashes *h, struct node *node)
{
    Tidemark__V1__StateHashRequest request;
    tidemark__v1__state_hash_request__init(&request);
    request.index = h->target;
    struct buf packed = {0};
    ProtobufCMessage *message = NULL;
    cluster_pack(&request.base, &packed);
    struct cluster_request call = {"/tidemark.v1.Admin/StateHash", buf_bytes(&packed),
                                   CLUSTER_SLOW};
    struct err e = {0};
    enum err_code code =
        node->endpoint == ENDPOINTS_MAX
            ? err_set(&e, ERR_UNAVAILABLE, "its address is not known")
            : cluster_ask_one(h->cli->cluster, node->endpoint, &call,
                              &tidemark__v1__state_hash_response__descriptor, &message, &e);
    buf_deinit(&packed);
    node->reached = code == ERR_OK;
    if (code != ERR_OK) {
        cli_note(h->cli, "node %s: %s", node->name, e.text);
        return;
    }
    CHECK(message != NULL);
    Tidemark__V1__StateHashResponse *answer = (Tidemark__V1__StateHashResponse *)message;
    node->index = answer->index;
    (void)snprintf(node->hash, sizeof node->hash, "%s", text_or_empty(answer->hash));
    tidemark__v1__state_hash_response__free_unpacked(answer, NULL);
}

/* Asks those that are behind the furthest index seen, until all show the same one.
 * False: the cluster moved on every time. */
static bool meet_at_one_index(struct hashes *h)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        for (size_t i = 0; i < h->count; i++) {
            struct node *n = &h->nodes[i];
            if (round == 0 || (n->reached && n->index < h->target)) {
                ask_hash(h, n);
                h->target = n->reached && n->index > h->target ? n->index : h->target;
            }
        }
        bool together = true;
        for (size_t i = 0; i < h->count; i++) {
            together = together && (!h->nodes[i].reached || h->nodes[i].index == h->target);
        }
        if (together) {
            return true;
        }
        cluster_wait(h->cli->cluster, ROUND_WAIT_MS);
    }
    return false;
}

static void print_hashes(struct hashes *h, bool equal)
{
    static const char *const columns[] = {"name", "index", "hash"};
    struct record_writer *w = cli_list(h->cli, "nodes", columns, 3);
    struct json_writer *json = record_json(w);
    if (json != NULL) {
        json_put_bool(json, "equal", equal);
    }
    for (size_t i = 0; i < h->count; i++) {
        const struct node *n = &h->nodes[i];
        record_str(w, n->name);
        if (!n->reached) {
            record_null(w);
            record_null(w);
            continue;
        }
        record_uint(w, n->index);
        if (!equal) {
            record_mark(w);
        }
        record_str(w, n->hash);
    }
    record_close(w);
}

static bool hashes_equal(const struct hashes *h, size_t *reached)
{
    const struct node *first = NULL;
    bool equal = true;
    *reached = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct node *n = &h->nodes[i];
        if (!n->reached) {
            continue;
        }
        ++*reached;
        first = first == NULL ? n : first;
        equal = equal && n->index == first->index && strcmp(n->hash, first->hash) == 0;
    }
    return equal;
}

static enum cli_exit judge(struct hashes *h)
{
    bool together = meet_at_one_index(h);
    size_t reached = 0;
    bool equal = hashes_equal(h, &reached);
    struct err e = {0};
    print_hashes(h, equal);
    enum cli_exit exit = cli_done(h->cli);
    if (!together) {
        (void)err_set(&e, ERR_STATE,
                      "the nodes never stood at one index: too many writes just now");
        return cli_fail(h->cli, &e);
    }
    if (!equal) {
        (void)err_set(&e, ERR_CORRUPT, "the nodes' states differ at index %" PRIu64, h->target);
        return cli_fail(h->cli, &e);
    }
    if (reached < h->count || h->count == 0) {
        (void)err_set(&e, ERR_UNAVAILABLE, "%zu of %zu nodes could be asked", reached, h->count);
        return cli_fail(h->cli, &e);
    }
    return exit;
}

static enum cli_exit run_hash(struct cli *cli)
{
    struct hashes *h = mem_zalloc(sizeof *h);
    struct err e = {0};
    h->cli = cli;
    enum cli_exit exit = CLI_OK;
    if (find_members(h, &e) == ERR_OK) {
        prefer_given(h);
        exit = judge(h);
    } else {
        exit = cli_fail(cli, &e);
    }
    mem_free(h);
    return exit;
}

static const struct cli_command commands[] = {
    {.path = "checkpoint",
     .arguments = "",
     .summary = "move rows from memory to disk on every node, so that the logs can be cut",
     .run = run_checkpoint},
    {.path = "hash",
     .arguments = "",
     .summary = "compare the state of all nodes at one index",
     .details = "  Exit code 1 when they differ, 3 when not every node could be asked.",
     .run = run_hash},
};

struct cli_commands commands_of_state(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
