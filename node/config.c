/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "node/config_option.h"
#include "node/toml.h"
#include "rpc/net_address.h"

static const char prefix[] = "TIDEMARK_";

enum { FLAG_SIZE_MAX = 128, TOML_TEXT_SIZE = 32, HELP_COLUMN = 34, HELP_WIDTH = 100 };

/* Sets an option unless a source before this one has. */
static enum err_code set_from(struct config *c, size_t at, const char *text,
                              enum config_source source, struct err *e)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    CHECK(at < count);
    struct config *into = c;
    struct config unused; /* a value that does not count has to be right all the same */
    if (c->sources[at] > source) {
        unused = *c;
        into = &unused;
    }
    enum err_code code = config_option_set(&options[at], text, into, e);
    if (code == ERR_OK && into == c) {
        c->sources[at] = source;
    }
    return code;
}

/* --- unknown names --- */

/* " did you mean X?", or nothing. */
static const char *guess_text(const char *unknown, const char *before, bool in_file,
                              char dst[FLAG_SIZE_MAX])
{
    const char *names[CONFIG_OPTIONS_MAX];
    size_t count = 0;
    size_t known = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        if (!options[i].hidden && !(in_file && options[i].flag_only)) {
            names[known++] = options[i].name;
        }
    }
    const char *guess = config_option_guess(unknown, names, known);
    dst[0] = '\0';
    if (guess != NULL) {
        (void)snprintf(dst, FLAG_SIZE_MAX, ": did you mean %s%s?", before, guess);
    }
    return dst;
}

/* --- flags --- */

/* argv[*at] and, if it has none of its own, the value behind it. */
static enum err_code take_flag(const struct config_input *input, int *at, struct config *c,
                               struct err *e)
{
    const char *arg = input->argv[*at];
    if (strcmp(arg, "-h") == 0) {
        arg = "--help";
    }
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
        return err_set(e, ERR_INVALID, "unexpected argument '%.100s': see tidemarkd --help", arg);
    }
    const char *value = strchr(arg, '=');
    size_t size = value != NULL ? (size_t)(value - arg) - 2 : strlen(arg + 2);
    char name[FLAG_SIZE_MAX];
    char guess[FLAG_SIZE_MAX];
    (void)snprintf(name, sizeof name, "%.*s", size < FLAG_SIZE_MAX ? (int)size : FLAG_SIZE_MAX - 1,
                   arg + 2);
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    size_t option = config_option_find(name);
    if (option == count) {
        return err_set(e, ERR_INVALID, "unknown flag --%s%s", name,
                       guess_text(name, "--", false, guess));
    }
    if (value != NULL) {
        value++;
    } else if (options[option].kind == OPTION_SWITCH) {
        value = "true";
    } else if (*at + 1 < input->argc) {
        value = input->argv[++*at];
    } else {
        return err_set(e, ERR_INVALID, "--%s needs a value", name);
    }
    enum err_code code = set_from(c, option, value, CONFIG_FLAG, e);
    return code == ERR_OK ? ERR_OK : err_wrap(e, "--%s", name);
}

static enum err_code take_flags(const struct config_input *input, struct config *c, struct err *e)
{
    for (int at = 1; at < input->argc; at++) {
        enum err_code code = take_flag(input, &at, c, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* --- variables --- */

static bool has_variable(const struct config_option *option)
{
    return !option->flag_only || strcmp(option->name, "config") == 0;
}

/* A name that is none of ours: an error only when it is nearly one of them. The
 * client, the tests and whoever starts us have variables of that prefix, too; so
 * the prefix, which all share, makes no name more like another. */
static enum err_code check_unknown_variable(const char *name, struct err *e)
{
    char variables[CONFIG_OPTIONS_MAX][CONFIG_VARIABLE_SIZE];
    const char *names[CONFIG_OPTIONS_MAX];
    size_t options_count = 0;
    size_t count = 0;
    const struct config_option *options = config_options(&options_count);
    for (size_t i = 0; i < options_count; i++) {
        if (has_variable(&options[i])) {
            config_option_variable(&options[i], variables[count]);
            names[count] = variables[count] + sizeof prefix - 1;
            count++;
        }
    }
    const char *guess = config_option_guess(name + sizeof prefix - 1, names, count);
    return guess == NULL ? ERR_OK
                         : err_set(e, ERR_INVALID, "unknown variable %s: did you mean %s%s?", name,
                                   prefix, guess);
}

static enum err_code take_variable(const char *name, const char *value, struct config *c,
                                   struct err *e)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        char variable[CONFIG_VARIABLE_SIZE];
        config_option_variable(&options[i], variable);
        if (strcmp(variable, name) != 0 || !has_variable(&options[i])) {
            continue;
        }
        if (value[0] == '\0') {
            return ERR_OK;
        }
        enum err_code code = set_from(c, i, value, CONFIG_ENVIRONMENT, e);
        return code == ERR_OK ? ERR_OK : err_wrap(e, "%s", name);
    }
    return check_unknown_variable(name, e);
}

static enum err_code take_environment(const struct config_input *input, struct config *c,
                                      struct err *e)
{
    for (const char *const *p = input->environment; p != NULL && *p != NULL; p++) {
        const char *equals = strchr(*p, '=');
        if (equals == NULL || strncmp(*p, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        size_t size = (size_t)(equals - *p);
        char name[FLAG_SIZE_MAX];
        if (size >= sizeof name) {
            continue;
        }
        memcpy(name, *p, size);
        name[size] = '\0';
        enum err_code code = take_variable(name, equals + 1, c, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* --- the file --- */

/* The value as text into 'text'; ERR_INVALID when an option of that kind can't
 * have a value of that type. */
static enum err_code value_text(const struct config_option *option, const struct toml_entry *entry,
                                struct buf *text, struct err *e)
{
    bool number = option->kind == OPTION_SIZE;
    switch (entry->type) {
    case TOML_STRING:
        if (option->kind == OPTION_SWITCH) {
            return err_set(e, ERR_INVALID, "expected true or false without quotes");
        }
        buf_printf(text, "%s", entry->string);
        break;
    case TOML_INTEGER:
        if (!number) {
            return err_set(e, ERR_INVALID, "expected %s, not a number",
                           option->kind == OPTION_SWITCH ? "true or false" : "a text in quotes");
        }
        buf_printf(text, "%" PRId64, entry->integer);
        break;
    case TOML_BOOLEAN:
        if (option->kind != OPTION_SWITCH) {
            return err_set(e, ERR_INVALID, "expected a text in quotes, not true or false");
        }
        buf_printf(text, "%s", entry->boolean ? "true" : "false");
        break;
    case TOML_ARRAY:
        if (option->kind != OPTION_PEERS) {
            return err_set(e, ERR_INVALID, "expected one value, not an array");
        }
        for (size_t i = 0; i < entry->item_count; i++) {
            buf_printf(text, "%s%s", i == 0 ? "" : ",", entry->items[i]);
        }
        break;
    }
    buf_put_u8(text, 0);
    return ERR_OK;
}

static enum err_code take_entry(const struct toml_entry *entry, struct config *c, struct err *e)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    size_t at = config_option_find(entry->key);
    if (at == count || options[at].flag_only) {
        char guess[FLAG_SIZE_MAX];
        return err_set(e, ERR_INVALID, "line %u: unknown key '%s'%s", entry->line, entry->key,
                       guess_text(entry->key, "", true, guess));
    }
    struct buf text = {0};
    enum err_code code = value_text(&options[at], entry, &text, e);
    if (code == ERR_OK) {
        code = set_from(c, at, (const char *)text.data, CONFIG_FILE, e);
    }
    buf_deinit(&text);
    return code == ERR_OK ? ERR_OK : err_wrap(e, "line %u: %s", entry->line, entry->key);
}

static enum err_code take_entries(struct bytes text, struct config *c, struct err *e)
{
    struct toml *t = NULL;
    enum err_code code = toml_parse(text, &t, e);
    if (code != ERR_OK) {
        return code;
    }
    size_t count = 0;
    const struct toml_entry *entries = toml_entries(t, &count);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        code = take_entry(&entries[i], c, e);
    }
    toml_close(t);
    return code;
}

static enum err_code take_file(const struct config_input *input, struct config *c, struct err *e)
{
    if (c->file[0] == '\0') {
        return ERR_OK;
    }
    struct buf text = {0};
    enum err_code code = io_read_file(input->io, c->file, CONFIG_FILE_SIZE_MAX, &text, e);
    if (code == ERR_OK) {
        code = take_entries(buf_bytes(&text), c, e);
    }
    buf_deinit(&text);
    return code == ERR_OK ? ERR_OK : err_wrap(e, "configuration file %s", c->file);
}

/* --- what depends on other options --- */

static bool is_default(const struct config *c, const char *name)
{
    return c->sources[config_option_find(name)] == CONFIG_DEFAULT;
}

static bool is_reachable(const char *address)
{
    struct net_address a;
    if (net_address_parse(address, &a, NULL) != ERR_OK) {
        return false;
    }
    return a.port != 0 && strcmp(a.host, "0.0.0.0") != 0 && strcmp(a.host, "::") != 0;
}

static bool is_number_or_local(const char *host)
{
    return host[strspn(host, "0123456789.")] == '\0' || strchr(host, ':') != NULL ||
           strcmp(host, "localhost") == 0;
}

/* "n1" of "n1.example:7071"; "node-7071" of "127.0.0.1:7071". */
static void derive_name(struct config *c)
{
    struct net_address a;
    CHECK(net_address_parse(c->advertise_peer, &a, NULL) == ERR_OK);
    int size = (int)strcspn(a.host, ".");
    if (is_number_or_local(a.host) || size == 0 || size > LIMIT_NAME_SIZE_MAX) {
        (void)snprintf(c->name, sizeof c->name, "node-%u", (unsigned)a.port);
    } else {
        (void)snprintf(c->name, sizeof c->name, "%.*s", size, a.host);
    }
}

static enum err_code derive(struct config *c, struct err *e)
{
    if (is_default(c, "advertise-client")) {
        memcpy(c->advertise_client, c->listen_client, sizeof c->advertise_client);
    }
    if (is_default(c, "advertise-peer")) {
        memcpy(c->advertise_peer, c->listen_peer, sizeof c->advertise_peer);
    }
    if (is_default(c, "name")) {
        derive_name(c);
        size_t name = config_option_find("name");
        size_t count = 0;
        char text[sizeof c->name];
        memcpy(text, c->name, sizeof text);
        if (config_option_set(&config_options(&count)[name], text, c, e) != ERR_OK) {
            return err_wrap(e, "--name is needed: the one made from advertise-peer");
        }
    }
    c->wal_segment_size_given = !is_default(c, "wal-segment-size");
    c->recovery_mode_given = !is_default(c, "recovery-mode");
    c->cluster = c->peers.count > 0;
    return ERR_OK;
}

static enum err_code check_segment_size(const struct config *c, struct err *e)
{
    uint64_t size = c->wal_segment_size;
    bool small = size < LIMIT_SEGMENT_SIZE_MIN && !c->test_small_segments;
    if (small || (size & (size - 1)) != 0) {
        return err_set(e, ERR_INVALID,
                       "wal-segment-size: %" PRIu64 " is not a power of two from 4MiB to 1GiB",
                       size);
    }
    return ERR_OK;
}

static enum err_code check_cluster(const struct config *c, struct err *e)
{
    if (!c->cluster) {
        return ERR_OK;
    }
    if (!is_reachable(c->advertise_peer)) {
        return err_set(e, ERR_INVALID, "advertise-peer is needed: other nodes can't connect to %s",
                       c->advertise_peer);
    }
    if (!is_reachable(c->advertise_client)) {
        return err_set(e, ERR_INVALID,
                       "advertise-client is needed: clients sent here by another node can't "
                       "connect to %s",
                       c->advertise_client);
    }
    for (size_t i = 0; i < c->peers.count; i++) {
        if (strcmp(c->peers.items[i], c->advertise_peer) == 0) {
            return ERR_OK;
        }
    }
    return err_set(e, ERR_INVALID,
                   "peers does not hold this node's own address, %s: give every node the list of "
                   "all, and its own as advertise-peer",
                   c->advertise_peer);
}

/* --- all together --- */

static void set_defaults(struct config *c)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    memset(c, 0, sizeof *c);
    c->recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
    for (size_t i = 0; i < count; i++) {
        struct err e = {0};
        bool good = options[i].fallback == NULL ||
                    config_option_set(&options[i], options[i].fallback, c, &e) == ERR_OK;
        CHECK(good);
    }
}

static enum config_command command_of(const struct config *c)
{
    if (c->help) {
        return CONFIG_HELP;
    }
    if (c->version) {
        return CONFIG_VERSION;
    }
    return c->print_config ? CONFIG_PRINT : CONFIG_RUN;
}

enum err_code config_load(const struct config_input *input, struct config *out, struct err *e)
{
    set_defaults(out);
    enum err_code code = take_flags(input, out, e);
    out->command = command_of(out);
    if (code != ERR_OK || out->command == CONFIG_HELP || out->command == CONFIG_VERSION) {
        return code;
    }
    code = take_environment(input, out, e);
    if (code == ERR_OK) {
        code = take_file(input, out, e);
    }
    if (code == ERR_OK) {
        code = derive(out, e);
    }
    if (code == ERR_OK) {
        code = check_segment_size(out, e);
    }
    return code == ERR_OK ? check_cluster(out, e) : code;
}

/* --- printing --- */

static void print_source(const struct config *c, const struct config_option *option,
                         enum config_source source, struct buf *out)
{
    char variable[CONFIG_VARIABLE_SIZE];
    switch (source) {
    case CONFIG_DEFAULT:
        buf_printf(out, "default");
        if (option->fallback == NULL) {
            buf_printf(out, " (%s)", option->fallback_help);
        }
        break;
    case CONFIG_FILE:
        buf_printf(out, "file %s", c->file);
        break;
    case CONFIG_ENVIRONMENT:
        config_option_variable(option, variable);
        buf_printf(out, "variable %s", variable);
        break;
    case CONFIG_FLAG:
        buf_printf(out, "flag --%s", option->name);
        break;
    }
}

void config_print_origin(const struct config *c, struct buf *out)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_option *option = &options[i];
        bool none = option->kind == OPTION_CHOICE && option->fallback == NULL &&
                    c->sources[i] == CONFIG_DEFAULT;
        if (option->kind == OPTION_SWITCH && option->flag_only) {
            continue;
        }
        if (option->hidden && c->sources[i] == CONFIG_DEFAULT) {
            continue;
        }
        size_t start = out->size;
        buf_printf(out, "%s = ", option->name);
        if (!none) {
            config_option_format(option, c, out);
        }
        size_t used = out->size - start;
        buf_printf(out, "%*s# ", used < HELP_COLUMN ? (int)(HELP_COLUMN - used) : 1, "");
        print_source(c, option, c->sources[i], out);
        buf_printf(out, "\n");
    }
}

static const char *value_help(const struct config_option *option)
{
    if (option->value_help != NULL) {
        return option->value_help;
    }
    switch (option->kind) {
    case OPTION_TEXT:
        return "TEXT";
    case OPTION_NAME:
        return "NAME";
    case OPTION_ADDRESS:
        return "HOST:PORT";
    case OPTION_PEERS:
        return "HOST:PORT,...";
    case OPTION_SIZE:
        return "SIZE";
    case OPTION_DURATION:
        return "TIME";
    case OPTION_CHOICE:
        return "WORD";
    case OPTION_SWITCH:
        return "";
    }
    return "";
}

/* 'text' in lines from HELP_COLUMN to HELP_WIDTH, broken at blanks. */
static void print_wrapped(struct bytes text, struct buf *out)
{
    enum { WIDTH = HELP_WIDTH - HELP_COLUMN };
    const char *p = (const char *)text.data;
    size_t left = text.size;
    while (left > WIDTH) {
        size_t size = WIDTH;
        while (size > 1 && p[size] != ' ') {
            size--;
        }
        buf_printf(out, "%.*s\n%*s", (int)size, p, HELP_COLUMN, "");
        p += size + 1;
        left -= size + 1;
    }
    buf_printf(out, "%.*s\n", (int)left, p);
}

static void print_option_help(const struct config_option *option, struct buf *out)
{
    size_t start = out->size;
    buf_printf(out, "  --%s %s", option->name, value_help(option));
    size_t used = out->size - start;
    buf_printf(out, "%*s", used < HELP_COLUMN ? (int)(HELP_COLUMN - used) : 1, "");
    struct buf text = {0};
    buf_printf(&text, "%s", option->help);
    for (size_t i = 0; option->choices != NULL && option->choices[i] != NULL; i++) {
        buf_printf(&text, "%s%s", i == 0 ? ": " : ", ", option->choices[i]);
    }
    const char *fallback = option->fallback != NULL ? option->fallback : option->fallback_help;
    if (option->kind != OPTION_SWITCH) {
        buf_printf(&text, " [%s]", fallback);
    }
    print_wrapped(buf_bytes(&text), out);
    buf_deinit(&text);
}

void config_print_help(struct buf *out)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    buf_printf(out, "tidemarkd runs one node of Tidemark, alone or in a cluster.\n\n"
                    "usage: tidemarkd [--OPTION VALUE | --OPTION=VALUE]...\n"
                    "       tidemarkd salvage SRC NEWDIR [--name NAME] [--wal-segment-size SIZE]\n"
                    "         takes what still checks in the damaged directory SRC into a new "
                    "cluster\n\n");
    for (size_t i = 0; i < count; i++) {
        if (!options[i].hidden) {
            print_option_help(&options[i], out);
        }
    }
    buf_printf(out, "\nEvery option is also a variable (TIDEMARK_WAL_SEGMENT_SIZE) and a key of "
                    "the file given by\n--config (wal-segment-size). A flag counts before a "
                    "variable, a variable before the file.\n");
}
