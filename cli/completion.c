/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/completion.h"

#include <string.h>

/* In the script: "path" is the words of the command so far, as "settings set";
 * "previous" the word before the one that is being typed, "current" that one. */
static const char script_head[] =
    "# bash completion for tidemark; made by 'tidemark completion bash'.\n"
    "_tidemark() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local path= word words= i skip=0\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if ((skip)); then skip=0; continue; fi\n"
    "        case $word in\n";

static const char script_words[] = "        --*) ;;\n"
                                   "        *) case \"$path $word\" in\n";

static const char script_values[] = "            esac ;;\n"
                                    "        esac\n"
                                    "    done\n"
                                    "    case $previous in\n";

static const char script_commands[] = "    esac\n"
                                      "    case $path in\n";

static const char script_tail[] = "    esac\n"
                                  "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                                  "}\n"
                                  "complete -o bashdefault -o default -F _tidemark tidemark\n";

struct flag_table {
    const struct flag_definition *flags;
    size_t count;
};

static struct flag_table global_table(void)
{
    struct flag_table t = {0};
    t.flags = cli_global_flags(&t.count);
    return t;
}

static void put_value_flags(struct text_sink *out, const struct flag_table *t, bool *some)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->flags[i].type != FLAG_SWITCH) {
            text_sink_printf(out, "%s--%s", *some ? "|" : "        ", t->flags[i].name);
            *some = true;
        }
    }
}

/* Flags of a name that have choices agree on them in every command. */
static void put_choices(struct text_sink *out, const struct flag_table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct flag_definition *f = &t->flags[i];
        if (f->type == FLAG_FILE) {
            text_sink_printf(
                out, "    --%s) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n", f->name);
        }
        if (f->type != FLAG_CHOICE) {
            continue;
        }
        text_sink_printf(out, "    --%s) COMPREPLY=($(compgen -W '", f->name);
        for (const char *p = f->choices; *p != '\0';) {
            size_t size = strcspn(p, "|");
            text_sink_printf(out, "%s%.*s", p == f->choices ? "" : " ", (int)size, p);
            p += size + (p[size] == '|' ? 1 : 0);
        }
        text_sink_str(out, "' -- \"$current\")); return ;;\n");
    }
}

static void put_flag_names(struct text_sink *out, const struct flag_table *t)
{
    for (size_t i = 0; i < t->count; i++) {
        text_sink_printf(out, " --%s", t->flags[i].name);
    }
}

static bool is_first_of_group(const struct cli_command *commands, size_t i, size_t size)
{
    for (size_t j = 0; j < i; j++) {
        if (strncmp(commands[j].path, commands[i].path, size) == 0 &&
            (commands[j].path[size] == ' ' || commands[j].path[size] == '\0')) {
            return false;
        }
    }
    return true;
}

/* The words that may come next: first words of all paths, or second ones of a group. */
static void put_next_words(struct text_sink *out, const struct cli_command *commands, size_t count,
                           const char *group)
{
    size_t skip = group == NULL ? 0 : strlen(group) + 1;
    for (size_t i = 0; i < count; i++) {
        const char *path = commands[i].path;
        if (group != NULL && (strncmp(path, group, skip - 1) != 0 || path[skip - 1] != ' ')) {
            continue;
        }
        size_t size = strcspn(path + skip, " ");
        if (group != NULL || is_first_of_group(commands, i, size)) {
            text_sink_printf(out, " %.*s", (int)size, path + skip);
        }
    }
}

/* Which words lead from one path to the next. */
static void put_paths(struct text_sink *out, const struct cli_command *commands, size_t count)
{
    text_sink_str(out, script_words);
    for (size_t i = 0; i < count; i++) {
        const char *path = commands[i].path;
        size_t first = strcspn(path, " ");
        if (path[first] == ' ' && is_first_of_group(commands, i, first)) {
            text_sink_printf(out, "            ' %.*s') path='%.*s' ;;\n", (int)first, path,
                             (int)first, path);
        }
        text_sink_printf(out, "            '%s%s') path='%s' ;;\n", path[first] == ' ' ? "" : " ",
                         path, path);
    }
}

static void put_commands(struct text_sink *out, const struct cli_command *commands, size_t count,
                         const struct flag_table *global)
{
    text_sink_str(out, "    '') words='");
    put_next_words(out, commands, count, NULL);
    put_flag_names(out, global);
    text_sink_str(out, "' ;;\n");
    for (size_t i = 0; i < count; i++) {
        const struct cli_command *c = &commands[i];
        size_t first = strcspn(c->path, " ");
        if (c->path[first] == ' ' && is_first_of_group(commands, i, first)) {
            char group[64];
            (void)snprintf(group, sizeof group, "%.*s", (int)first, c->path);
            text_sink_printf(out, "    '%s') words='", group);
            put_next_words(out, commands, count, group);
            text_sink_str(out, "' ;;\n");
        }
        text_sink_printf(out, "    '%s')\n", c->path);
        if (c->arguments_are_files) {
            text_sink_str(out, "        [[ $current == -* ]] || "
                               "{ COMPREPLY=($(compgen -f -- \"$current\")); return; }\n");
        }
        text_sink_str(out, "        words='");
        put_flag_names(out, &(struct flag_table){c->flags, c->flag_count});
        put_flag_names(out, global);
        text_sink_str(out, "' ;;\n");
    }
}

void completion_bash(const struct cli_command *commands, size_t count, struct text_sink *out)
{
    struct flag_table global = global_table();
    text_sink_str(out, script_head);
    bool some = false;
    put_value_flags(out, &global, &some);
    for (size_t i = 0; i < count; i++) {
        put_value_flags(out, &(struct flag_table){commands[i].flags, commands[i].flag_count},
                        &some);
    }
    text_sink_str(out, ") skip=1 ;;\n");
    put_paths(out, commands, count);
    text_sink_str(out, script_values);
    put_choices(out, &global);
    for (size_t i = 0; i < count; i++) {
        put_choices(out, &(struct flag_table){commands[i].flags, commands[i].flag_count});
    }
    text_sink_str(out, script_commands);
    put_commands(out, commands, count, &global);
    text_sink_str(out, script_tail);
}
