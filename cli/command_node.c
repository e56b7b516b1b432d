/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark node list, add, promote, remove, replace, transfer */
#include <inttypes.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/value_text.h"
#include "proto/tidemark/v1/admin.pb-c.h"

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static enum cli_exit run_list(struct cli *cli)
{
    static const char *const columns[] = {"name", "id", "kind", "peer_address", "client_address"};
    Tidemark__V1__ClusterStatusRequest request;
    tidemark__v1__cluster_status_request__init(&request);
    ProtobufCMessage *message = NULL;
    struct err e = {0};
    if (cli_ask(cli, "/tidemark.v1.Admin/ClusterStatus", &request.base,
                &tidemark__v1__cluster_status_response__descriptor, &message, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    Tidemark__V1__ClusterStatusResponse *answer = (Tidemark__V1__ClusterStatusResponse *)message;
    struct record_writer *w = cli_list(cli, "nodes", columns, 5);
    for (size_t i = 0; i < answer->n_nodes; i++) {
        const Tidemark__V1__Member *m = answer->nodes[i]->self;
        if (m == NULL) {
            continue;
        }
        char id[17];
        (void)snprintf(id, sizeof id, "%016" PRIx64, m->id);
        record_str(w, text_or_empty(m->name));
        record_str(w, id);
        record_str(w, text_or_empty(m->kind));
        record_str(w, text_or_empty(m->peer_address));
        record_str(w, text_or_empty(m->client_address));
    }
    record_close(w);
    tidemark__v1__cluster_status_response__free_unpacked(answer, NULL);
    return cli_done(cli);
}

/* A change of members waits until the newcomer has caught up: slow. 'echo': what a
 * lost earlier attempt of the same command makes the answer be. */
static enum cli_exit change(struct cli *cli, const char *path, const ProtobufCMessage *request,
                            enum err_code echo)
{
    enum cli_exit exit = CLI_OK;
    if (cli_cluster(cli, &exit) == NULL) {
        return exit;
    }
    struct buf packed = {0};
    struct buf reply = {0};
    struct err e = {0};
    ProtobufCMessage *message = NULL;
    bool ambiguous = false;
    uint64_t index = 0;
    cluster_pack(request, &packed);
    struct cluster_request call = {path, buf_bytes(&packed), CLUSTER_SLOW};
    enum err_code code = cluster_call(cli->cluster, &call, &reply, &ambiguous, &e);
    bool echoed = code != ERR_OK && code == echo && ambiguous;
    if (code == ERR_OK) {
        code = cluster_unpack(&tidemark__v1__change_response__descriptor, buf_bytes(&reply),
                              &message, &e);
    }
    if (code == ERR_OK) {
        index = ((Tidemark__V1__ChangeResponse *)message)->index;
        protobuf_c_message_free_unpacked(message, NULL);
    }
    buf_deinit(&packed);
    buf_deinit(&reply);
    if (code != ERR_OK && !echoed) {
        return cli_fail(cli, &e);
    }
    static const char *const columns[] = {"node", "index"};
    struct record_writer *w = cli_single(cli, columns, 2);
    record_str(w, cli_argument(cli, 0));
    if (echoed) {
        record_null(w);
    } else {
        record_uint(w, index);
    }
    record_close(w);
    return cli_done(cli);
}

static bool read_id(struct cli *cli, uint64_t *id)
{
    const char *text = flag_text(cli->flags, "id");
    *id = 0;
    return text == NULL || value_text_hex64(bytes_str(text), id);
}

static enum cli_exit run_add(struct cli *cli)
{
    Tidemark__V1__AddNodeRequest request;
    tidemark__v1__add_node_request__init(&request);
    const char *peer = flag_text(cli->flags, "peer");
    if (peer == NULL || flag_text(cli->flags, "id") == NULL || !read_id(cli, &request.id)) {
        return cli_usage(cli, "--id (16 hexadecimal digits) and --peer HOST:PORT are needed; the "
                              "newcomer's 'tidemark status --local --format json' shows both");
    }
    request.name = (char *)(uintptr_t)cli_argument(cli, 0);
    request.peer_address = (char *)(uintptr_t)peer;
    return change(cli, "/tidemark.v1.Admin/AddNode", &request.base, ERR_EXISTS);
}

static enum cli_exit run_promote(struct cli *cli)
{
    Tidemark__V1__PromoteNodeRequest request;
    tidemark__v1__promote_node_request__init(&request);
    request.name = (char *)(uintptr_t)cli_argument(cli, 0);
    return change(cli, "/tidemark.v1.Admin/PromoteNode", &request.base, ERR_OK);
}

static enum cli_exit run_remove(struct cli *cli)
{
    Tidemark__V1__RemoveNodeRequest request;
    tidemark__v1__remove_node_request__init(&request);
    request.name = (char *)(uintptr_t)cli_argument(cli, 0);
    if (!read_id(cli, &request.id)) {
        return cli_usage(cli, "--id: up to 16 hexadecimal digits are needed");
    }
    char question[200];
    (void)snprintf(question, sizeof question,
                   "Remove node '%.80s'? Its directory can never be a member again.", request.name);
    if (!flag_switch(cli->flags, "yes") && !cli_confirm(cli, question)) {
        cli_note(cli, "nothing was removed");
        return CLI_FAILED;
    }
    return change(cli, "/tidemark.v1.Admin/RemoveNode", &request.base, ERR_NOT_FOUND);
}

static enum cli_exit run_replace(struct cli *cli)
{
    Tidemark__V1__ReplaceNodeRequest request;
    tidemark__v1__replace_node_request__init(&request);
    request.name = (char *)(uintptr_t)cli_argument(cli, 0);
    return change(cli, "/tidemark.v1.Admin/ReplaceNode", &request.base, ERR_OK);
}

static enum cli_exit run_transfer(struct cli *cli)
{
    static const char *const columns[] = {"leader", "term"};
    Tidemark__V1__TransferLeadershipRequest request;
    tidemark__v1__transfer_leadership_request__init(&request);
    request.name = (char *)(uintptr_t)text_or_empty(cli_argument(cli, 0));
    ProtobufCMessage *message = NULL;
    struct err e = {0};
    if (cli_ask(cli, "/tidemark.v1.Admin/TransferLeadership", &request.base,
                &tidemark__v1__transfer_leadership_response__descriptor, &message, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    Tidemark__V1__TransferLeadershipResponse *answer =
        (Tidemark__V1__TransferLeadershipResponse *)message;
    struct record_writer *w = cli_single(cli, columns, 2);
    record_str(w, text_or_empty(answer->leader));
    record_uint(w, answer->term);
    record_close(w);
    tidemark__v1__transfer_leadership_response__free_unpacked(answer, NULL);
    return cli_done(cli);
}

static const struct flag_definition add_flags[] = {
    {.name = "id", .type = FLAG_TEXT, .value_name = "ID", .help = "directory id of the newcomer"},
    {.name = "peer",
     .type = FLAG_TEXT,
     .value_name = "HOST:PORT",
     .help = "where other nodes reach the newcomer"},
};

static const struct flag_definition remove_flags[] = {
    {.name = "id",
     .type = FLAG_TEXT,
     .value_name = "ID",
     .help = "directory id, when two nodes have the name"},
    {.name = "yes", .type = FLAG_SWITCH, .help = "do not ask (only a terminal is asked)"},
};

static const struct cli_command commands[] = {
    {.path = "node list",
     .arguments = "",
     .summary = "the members of the cluster",
     .run = run_list},
    {.path = "node add",
     .arguments = "NAME",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "let a new node in, as a spare",
     .flags = add_flags,
     .flag_count = 2,
     .run = run_add},
    {.path = "node promote",
     .arguments = "NAME",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "make a node a voter, once it has caught up",
     .run = run_promote},
    {.path = "node remove",
     .arguments = "NAME",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "take a node out of the cluster",
     .flags = remove_flags,
     .flag_count = 2,
     .run = run_remove},
    {.path = "node replace",
     .arguments = "NAME",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "give the seat of a lost directory to the new one of that name",
     .run = run_replace},
    {.path = "node transfer",
     .arguments = "[NAME]",
     .arguments_max = 1,
     .summary = "hand leadership to a node; to the most up to date if none is named",
     .run = run_transfer},
};

struct cli_commands commands_of_nodes(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
