/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/help.h"
#include "cli/suggestion.h"

static const struct flag_definition global_flags[] = {
    {.name = "endpoints",
     .type = FLAG_TEXT,
     .value_name = "ADDRESS,...",
     .default_value = "127.0.0.1:7070",
     .environment = "TIDEMARK_ENDPOINTS",
     .help = "servers to ask, tried in turn; the leader is found from any of them"},
    {.name = "timeout",
     .type = FLAG_DURATION,
     .value_name = "TIME",
     .default_value = "10s",
     .environment = "TIDEMARK_TIMEOUT",
     .help = "give up after this long without an answer",
     .min = 1,
     .max = UINT64_C(24) * 3600 * 1000},
    {.name = "format",
     .type = FLAG_CHOICE,
     .value_name = "FORMAT",
     .choices = "table|json|csv",
     .environment = "TIDEMARK_FORMAT",
     .help = "form of the output; table on a terminal, else csv"},
    {.name = "quiet",
     .type = FLAG_SWITCH,
     .environment = "TIDEMARK_QUIET",
     .help = "no messages and no progress on standard error, only errors"},
    {.name = "help", .type = FLAG_SWITCH, .help = "say what the command does, and end"},
};

const struct flag_definition *cli_global_flags(size_t *count)
{
    *count = sizeof global_flags / sizeof global_flags[0];
    return global_flags;
}

/* --- finding the command --- */

enum { WORDS_MAX = 2 };

struct words {
    const char *text[WORDS_MAX];
    int place[WORDS_MAX]; /* in argv */
    size_t count;
};

static bool takes_value(const char *flag)
{
    for (size_t i = 0; i < sizeof global_flags / sizeof global_flags[0]; i++) {
        if (strcmp(flag, global_flags[i].name) == 0) {
            return global_flags[i].type != FLAG_SWITCH;
        }
    }
    return false;
}

/* The first words that are neither global flags nor their values. */
static struct words find_words(int argc, char **argv)
{
    struct words w = {0};
    for (int i = 1; i < argc && w.count < WORDS_MAX; i++) {
        if (argv[i][0] != '-') {
            w.text[w.count] = argv[i];
            w.place[w.count++] = i;
        } else if (strncmp(argv[i], "--", 2) == 0 && takes_value(argv[i] + 2)) {
            i++;
        }
    }
    return w;
}

/* How many of the words are the command's path; 0: it is another command. */
static size_t path_matches(const char *path, const struct words *w)
{
    const char *blank = strchr(path, ' ');
    size_t first = blank == NULL ? strlen(path) : (size_t)(blank - path);
    if (w->count == 0 || strlen(w->text[0]) != first || memcmp(w->text[0], path, first) != 0) {
        return 0;
    }
    if (blank == NULL) {
        return 1;
    }
    return w->count > 1 && strcmp(w->text[1], blank + 1) == 0 ? 2 : 0;
}

static const struct cli_command *find_command(const struct cli *cli, const struct words *w,
                                              size_t *words_used)
{
    for (size_t i = 0; i < cli->command_count; i++) {
        *words_used = path_matches(cli->commands[i].path, w);
        if (*words_used > 0) {
            return &cli->commands[i];
        }
    }
    return NULL;
}

static bool is_group(const struct cli *cli, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i < cli->command_count; i++) {
        const char *path = cli->commands[i].path;
        if (strncmp(path, word, size) == 0 && path[size] == ' ') {
            return true;
        }
    }
    return false;
}

/* The word at fault, with what may have been meant. */
static enum cli_exit unknown_command(struct cli *cli, const struct words *w)
{
    bool group = is_group(cli, w->text[0]);
    if (group && w->count == 1) {
        (void)cli_usage(cli, "'%s' needs one more word", w->text[0]);
        help_group(cli->commands, cli->command_count, w->text[0], cli->err);
        return CLI_USAGE;
    }
    const char *word = w->text[group ? 1 : 0];
    char(*names)[SUGGESTION_WORD_SIZE_MAX] = mem_array(cli->command_count, sizeof *names);
    const char **words = mem_array(cli->command_count, sizeof *words);
    size_t count = 0;
    size_t skip = group ? strlen(w->text[0]) + 1 : 0;
    for (size_t i = 0; i < cli->command_count; i++) {
        const char *path = cli->commands[i].path;
        if (group && path_matches(path, &(struct words){.text = {w->text[0], path + skip},
                                                        .count = 2}) != 2) {
            continue;
        }
        const char *name = path + skip;
        (void)snprintf(names[count], sizeof names[count], "%.*s", (int)strcspn(name, " "), name);
        words[count] = names[count];
        count++;
    }
    const char *near = suggestion_find(word, words, count);
    if (near != NULL) {
        (void)cli_usage(cli, "unknown command '%s%s%s'; did you mean '%s'?",
                        group ? w->text[0] : "", group ? " " : "", word, near);
    } else {
        (void)cli_usage(cli, "unknown command '%s%s%s'; 'tidemark --help' lists them",
                        group ? w->text[0] : "", group ? " " : "", word);
    }
    mem_free(words);
    mem_free(names);
    return CLI_USAGE;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return false;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return false;
}

/* --- running it --- */

static enum output_format format_of(const char *text, bool terminal)
{
    if (text == NULL) {
        return terminal ? FORMAT_TABLE : FORMAT_CSV;
    }
    if (strcmp(text, "json") == 0) {
        return FORMAT_JSON;
    }
    return strcmp(text, "csv") == 0 ? FORMAT_CSV : FORMAT_TABLE;
}

static void configure(struct cli *cli, const struct cli_world *world)
{
    const char *no_color = world->environment == NULL ? NULL : world->environment("NO_COLOR");
    cli->format = format_of(flag_text(cli->flags, "format"), world->out_is_terminal);
    cli->quiet = flag_switch(cli->flags, "quiet");
    cli->terminal = world->out_is_terminal;
    cli->color = world->out_is_terminal && (no_color == NULL || no_color[0] == '\0');
    cli->progress = world->err_is_terminal && !cli->quiet;
    cli->timeout_ms = flag_uint(cli->flags, "timeout");
}

static enum cli_exit check_arguments(struct cli *cli)
{
    size_t count = flag_argument_count(cli->flags);
    const struct cli_command *c = cli->command;
    if (count >= c->arguments_min && count <= c->arguments_max) {
        return CLI_OK;
    }
    if (count > c->arguments_max) {
        return cli_usage(cli, "'%s' is one argument too many for: tidemark %s %s",
                         flag_argument(cli->flags, c->arguments_max), c->path, c->arguments);
    }
    return cli_usage(cli, "missing argument: tidemark %s %s", c->path, c->arguments);
}

/* argv without the words of the command. */
static char **without_words(int argc, char **argv, const struct words *w, size_t used, int *count)
{
    char **rest = mem_array((size_t)argc + 1, sizeof *rest);
    *count = 0;
    for (int i = 0; i < argc; i++) {
        bool word = (used > 0 && i == w->place[0]) || (used > 1 && i == w->place[1]);
        if (!word) {
            rest[(*count)++] = argv[i];
        }
    }
    return rest;
}

static enum cli_exit run_command(struct cli *cli, int argc, char **argv,
                                 const struct cli_world *world)
{
    const struct cli_command *c = cli->command;
    const struct flag_definition *tables[] = {global_flags, c->flags};
    const size_t counts[] = {sizeof global_flags / sizeof global_flags[0], c->flag_count};
    struct flag_request request = {tables, counts, 2, world->environment};
    struct flag_set *flags = NULL;
    struct err e = {0};
    if (flag_set_open(&request, argc, argv, &flags, &e) != ERR_OK) {
        return cli_usage(cli, "%s", e.text);
    }
    cli->flags = flags;
    configure(cli, world);
    enum cli_exit code = check_arguments(cli);
    if (code == CLI_OK) {
        code = c->run(cli);
    }
    if (!text_sink_flush(&cli->out) && code == CLI_OK) {
        (void)fprintf(cli->err, "tidemark: standard output: cannot be written\n");
        code = CLI_FAILED;
    }
    cluster_close(cli->cluster);
    flag_set_close(flags);
    return code;
}

static enum cli_exit find_and_run(struct cli *cli, int argc, char **argv,
                                  const struct cli_world *world)
{
    struct words words = find_words(argc, argv);
    bool help = wants_help(argc, argv);
    if (words.count == 0) {
        help_overview(cli->commands, cli->command_count, help ? world->out : world->err);
        return help ? CLI_OK : CLI_USAGE;
    }
    size_t used = 0;
    cli->command = find_command(cli, &words, &used);
    if (cli->command == NULL && help && is_group(cli, words.text[0])) {
        help_group(cli->commands, cli->command_count, words.text[0], world->out);
        return CLI_OK;
    }
    if (cli->command == NULL) {
        return unknown_command(cli, &words);
    }
    if (help) {
        help_command(cli->command, world->out);
        return CLI_OK;
    }
    int count = 0;
    char **rest = without_words(argc, argv, &words, used, &count);
    enum cli_exit code = run_command(cli, count, rest, world);
    mem_free(rest);
    return code;
}

int cli_run(const struct cli_command *commands, size_t command_count, int argc, char **argv,
            const struct cli_world *world)
{
    struct cli cli = {
        .commands = commands,
        .command_count = command_count,
        .err = world->err,
    };
    text_sink_init(&cli.out, world->out);
    enum cli_exit code = find_and_run(&cli, argc, argv, world);
    text_sink_deinit(&cli.out);
    return (int)code;
}

/* --- for commands --- */

const char *cli_argument(const struct cli *cli, size_t i)
{
    return i < flag_argument_count(cli->flags) ? flag_argument(cli->flags, i) : NULL;
}

static enum err_code open_cluster(struct cli *cli, struct err *e)
{
    if (cli->cluster != NULL) {
        return ERR_OK;
    }
    struct cluster_options options = {
        .endpoints = flag_text(cli->flags, "endpoints"),
        .timeout_ms = cli->timeout_ms,
    };
    enum err_code code = cluster_open(&options, &cli->cluster, e);
    cli->bad_endpoints = code == ERR_INVALID;
    return code == ERR_OK ? ERR_OK : err_wrap(e, "--endpoints");
}

struct cluster *cli_cluster(struct cli *cli, enum cli_exit *exit)
{
    struct err e = {0};
    if (open_cluster(cli, &e) != ERR_OK) {
        *exit = cli_fail(cli, &e);
        return NULL;
    }
    return cli->cluster;
}

enum err_code cli_ask(struct cli *cli, const char *path, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *answer_type, ProtobufCMessage **answer,
                      struct err *e)
{
    enum err_code code = open_cluster(cli, e);
    return code != ERR_OK ? code : cluster_ask(cli->cluster, path, request, answer_type, answer, e);
}

struct record_writer *cli_list(struct cli *cli, const char *name, const char *const *columns,
                               size_t count)
{
    struct record_style style = {cli->format, RECORD_LIST, cli->color, name};
    return record_open(&cli->out, &style, columns, count);
}

struct record_writer *cli_single(struct cli *cli, const char *const *columns, size_t count)
{
    struct record_style style = {cli->format, RECORD_SINGLE, cli->color, NULL};
    return record_open(&cli->out, &style, columns, count);
}

enum err_code cli_table_name(const char *text, struct cli_table *out, struct err *e)
{
    size_t size = strlen(text) + 1;
    const char *dot = strchr(text, '.');
    if (dot == NULL || dot == text || dot[1] == '\0' || size > sizeof out->copy) {
        return err_set(e, ERR_INVALID, "'%.80s' does not name a table: use DATABASE.TABLE", text);
    }
    memcpy(out->copy, text, size);
    out->copy[dot - text] = '\0';
    out->database = out->copy;
    out->table = out->copy + (dot - text) + 1;
    return ERR_OK;
}

bool cli_confirm(struct cli *cli, const char *question)
{
    if (isatty(STDIN_FILENO) == 0) {
        return true;
    }
    (void)fprintf(cli->err, "%s [y/N] ", question);
    (void)fflush(cli->err);
    char answer[16] = "";
    if (fgets(answer, sizeof answer, stdin) == NULL) {
        return false;
    }
    return answer[0] == 'y' || answer[0] == 'Y';
}

static void print_message(struct cli *cli, const char *format, va_list args) ERR_FORMAT(2, 0);
static void print_message(struct cli *cli, const char *format, va_list args)
{
    char text[ERR_TEXT_SIZE * 2];
    (void)vsnprintf(text, sizeof text, format, args);
    for (char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\n') {
            *p = '?';
        }
    }
    (void)fprintf(cli->err, "tidemark: %s\n", text);
}

void cli_note(struct cli *cli, const char *format, ...)
{
    if (cli->quiet) {
        return;
    }
    va_list args;
    va_start(args, format);
    print_message(cli, format, args);
    va_end(args);
}

enum cli_exit cli_usage(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_message(cli, format, args);
    va_end(args);
    return CLI_USAGE;
}

static void print_error(struct cli *cli, const char *format, ...) ERR_FORMAT(2, 3);
static void print_error(struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_message(cli, format, args);
    va_end(args);
}

enum cli_exit cli_fail(struct cli *cli, const struct err *e)
{
    print_error(cli, "%s", e->text);
    if (cli->bad_endpoints) {
        return CLI_USAGE;
    }
    return e->code == ERR_UNAVAILABLE || e->code == ERR_DEADLINE ? CLI_UNREACHABLE : CLI_FAILED;
}

enum cli_exit cli_done(struct cli *cli)
{
    if (text_sink_flush(&cli->out)) {
        return CLI_OK;
    }
    print_error(cli, "standard output: cannot be written");
    return CLI_FAILED;
}
