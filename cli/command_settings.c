/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark settings list, get, set, reset */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/suggestion.h"
#include "proto/tidemark/v1/admin.pb-c.h"

static const char *const columns[] = {
    "name",  "value", "default", "type",          "unit",
    "range", "scope", "restart", "changed_index", "description",
};

enum { COLUMNS = sizeof columns / sizeof columns[0], BRIEF_COLUMNS = 6 };

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

/* A table of the list has no room for descriptions. */
static void put_setting(struct record_writer *w, const Tidemark__V1__Setting *s, size_t count)
{
    bool changed = strcmp(text_or_empty(s->value), text_or_empty(s->default_value)) != 0;
    record_str(w, text_or_empty(s->name));
    if (changed) {
        record_mark(w);
    }
    record_str(w, text_or_empty(s->value));
    record_str(w, text_or_empty(s->default_value));
    record_str(w, text_or_empty(s->type));
    record_str(w, text_or_empty(s->unit));
    record_str(w, text_or_empty(s->range));
    if (count == BRIEF_COLUMNS) {
        return;
    }
    record_str(w, text_or_empty(s->scope));
    record_bool(w, s->restart != 0);
    record_uint(w, s->changed_index);
    record_str(w, text_or_empty(s->description));
}

static enum cli_exit run_list(struct cli *cli)
{
    Tidemark__V1__ListSettingsRequest request;
    tidemark__v1__list_settings_request__init(&request);
    const char *pattern = cli_argument(cli, 0);
    request.pattern = (char *)(uintptr_t)text_or_empty(pattern);
    request.changed_only = flag_switch(cli->flags, "changed");
    ProtobufCMessage *message = NULL;
    struct err e = {0};
    if (cli_ask(cli, "/tidemark.v1.Admin/ListSettings", &request.base,
                &tidemark__v1__list_settings_response__descriptor, &message, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    Tidemark__V1__ListSettingsResponse *answer = (Tidemark__V1__ListSettingsResponse *)message;
    size_t count = cli->format == FORMAT_TABLE ? BRIEF_COLUMNS : COLUMNS;
    struct record_writer *w = cli_list(cli, "settings", columns, count);
    for (size_t i = 0; i < answer->n_settings; i++) {
        put_setting(w, answer->settings[i], count);
    }
    record_close(w);
    tidemark__v1__list_settings_response__free_unpacked(answer, NULL);
    return cli_done(cli);
}

/* Says which setting may have been meant. */
static enum cli_exit fail_with_suggestion(struct cli *cli, const char *name, struct err *e)
{
    Tidemark__V1__ListSettingsRequest request;
    tidemark__v1__list_settings_request__init(&request);
    ProtobufCMessage *message = NULL;
    if (e->code != ERR_NOT_FOUND ||
        cli_ask(cli, "/tidemark.v1.Admin/ListSettings", &request.base,
                &tidemark__v1__list_settings_response__descriptor, &message, NULL) != ERR_OK) {
        return cli_fail(cli, e);
    }
    Tidemark__V1__ListSettingsResponse *answer = (Tidemark__V1__ListSettingsResponse *)message;
    const char **words = mem_array(answer->n_settings + 1, sizeof *words);
    for (size_t i = 0; i < answer->n_settings; i++) {
        words[i] = text_or_empty(answer->settings[i]->name);
    }
    const char *near = suggestion_find(name, words, answer->n_settings);
    if (near != NULL) {
        (void)err_set(e, ERR_NOT_FOUND, "no setting '%.80s'; did you mean '%s'?", name, near);
    }
    mem_free(words);
    tidemark__v1__list_settings_response__free_unpacked(answer, NULL);
    return cli_fail(cli, e);
}

static enum cli_exit run_get(struct cli *cli)
{
    Tidemark__V1__GetSettingRequest request;
    tidemark__v1__get_setting_request__init(&request);
    request.name = (char *)(uintptr_t)cli_argument(cli, 0);
    ProtobufCMessage *message = NULL;
    struct err e = {0};
    if (cli_ask(cli, "/tidemark.v1.Admin/GetSetting", &request.base,
                &tidemark__v1__setting__descriptor, &message, &e) != ERR_OK) {
        return fail_with_suggestion(cli, request.name, &e);
    }
    Tidemark__V1__Setting *setting = (Tidemark__V1__Setting *)message;
    struct record_writer *w = cli_single(cli, columns, COLUMNS);
    put_setting(w, setting, COLUMNS);
    record_close(w);
    tidemark__v1__setting__free_unpacked(setting, NULL);
    return cli_done(cli);
}

static enum cli_exit finish_change(struct cli *cli, Tidemark__V1__SetSettingResponse *answer)
{
    static const char *const change_columns[] = {"name", "value", "index", "writes_blocked_ms",
                                                 "restart"};
    const Tidemark__V1__Setting *s = answer->setting;
    struct record_writer *w = cli_single(cli, change_columns, 5);
    record_str(w, s == NULL ? "" : text_or_empty(s->name));
    record_str(w, s == NULL ? "" : text_or_empty(s->value));
    record_uint(w, answer->index);
    record_uint(w, answer->writes_blocked_ms);
    record_bool(w, s != NULL && s->restart);
    record_close(w);
    if (s != NULL && s->restart) {
        cli_note(cli, "takes effect on each node after its next restart");
    }
    if (answer->note != NULL && answer->note[0] != '\0') {
        cli_note(cli, "%s", answer->note);
    }
    tidemark__v1__set_setting_response__free_unpacked(answer, NULL);
    return cli_done(cli);
}

/* A change of the level waits for a checkpoint: one attempt may take all the time. */
static enum cli_exit change(struct cli *cli, const char *path, const ProtobufCMessage *request,
                            const char *name)
{
    enum cli_exit exit = CLI_OK;
    if (cli_cluster(cli, &exit) == NULL) {
        return exit;
    }
    struct buf packed = {0};
    struct buf reply = {0};
    struct err e = {0};
    ProtobufCMessage *message = NULL;
    cluster_pack(request, &packed);
    struct cluster_request call = {path, buf_bytes(&packed), CLUSTER_SLOW};
    enum err_code code = cluster_call(cli->cluster, &call, &reply, NULL, &e);
    if (code == ERR_OK) {
        code = cluster_unpack(&tidemark__v1__set_setting_response__descriptor, buf_bytes(&reply),
                              &message, &e);
    }
    buf_deinit(&packed);
    buf_deinit(&reply);
    return code == ERR_OK ? finish_change(cli, (Tidemark__V1__SetSettingResponse *)message)
                          : fail_with_suggestion(cli, name, &e);
}

static enum cli_exit run_set(struct cli *cli)
{
    Tidemark__V1__SetSettingRequest request;
    tidemark__v1__set_setting_request__init(&request);
    request.name = (char *)(uintptr_t)cli_argument(cli, 0);
    request.value = (char *)(uintptr_t)cli_argument(cli, 1);
    return change(cli, "/tidemark.v1.Admin/SetSetting", &request.base, request.name);
}

static enum cli_exit run_reset(struct cli *cli)
{
    Tidemark__V1__ResetSettingRequest request;
    tidemark__v1__reset_setting_request__init(&request);
    request.name = (char *)(uintptr_t)cli_argument(cli, 0);
    return change(cli, "/tidemark.v1.Admin/ResetSetting", &request.base, request.name);
}

static const struct flag_definition list_flags[] = {
    {.name = "changed", .type = FLAG_SWITCH, .help = "only those that differ from their default"},
};

static const struct cli_command commands[] = {
    {.path = "settings list",
     .arguments = "[PREFIX]",
     .arguments_max = 1,
     .summary = "the cluster's settings and their values",
     .details = "  CSV and JSON also have scope, restart, changed_index and description.",
     .flags = list_flags,
     .flag_count = 1,
     .run = run_list},
    {.path = "settings get",
     .arguments = "NAME",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "everything about one setting",
     .run = run_get},
    {.path = "settings set",
     .arguments = "NAME VALUE",
     .arguments_min = 2,
     .arguments_max = 2,
     .summary = "change a setting on all nodes while they run",
     .details = "  Times are written 500ms, 90s, 1m30s; sizes 64KiB, 16MiB. Says for how long "
                "writes\n  had to wait for the change.",
     .run = run_set},
    {.path = "settings reset",
     .arguments = "NAME",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "back to the default",
     .run = run_reset},
};

struct cli_commands commands_of_settings(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
