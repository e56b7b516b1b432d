/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <string.h>

enum { COMMAND_WIDTH = 34, FLAG_WIDTH = 30, LINE_WIDTH = 96 };

static void put_blanks(FILE *out, size_t count)
{
    (void)fprintf(out, "%*s", (int)count, "");
}

/* Text in lines of at most LINE_WIDTH, each but the first moved in by 'indent'. */
static void put_wrapped(FILE *out, const char *text, size_t indent)
{
    size_t column = indent;
    for (const char *p = text; *p != '\0';) {
        size_t word = strcspn(p, " ");
        if (column > indent && column + 1 + word > LINE_WIDTH) {
            (void)fputc('\n', out);
            put_blanks(out, indent);
            column = indent;
        } else if (column > indent) {
            (void)fputc(' ', out);
            column++;
        }
        (void)fwrite(p, 1, word, out);
        column += word;
        p += word + strspn(p + word, " ");
    }
    (void)fputc('\n', out);
}

/* A left column, and text beside it, or below when the left is too wide. */
static void put_entry(FILE *out, const char *left, size_t width, const char *text)
{
    int used = fprintf(out, "  %s", left);
    size_t size = used < 0 ? 0 : (size_t)used;
    if (size + 2 > width) {
        (void)fputc('\n', out);
        size = 0;
    }
    put_blanks(out, width - size);
    put_wrapped(out, text, width);
}

static void put_command(FILE *out, const struct cli_command *c)
{
    char left[128];
    (void)snprintf(left, sizeof left, "%s %s", c->path, c->arguments);
    put_entry(out, left, COMMAND_WIDTH, c->summary);
}

static void put_flag(FILE *out, const struct flag_definition *f)
{
    char left[128];
    char text[512];
    if (f->type == FLAG_SWITCH) {
        (void)snprintf(left, sizeof left, "--%s", f->name);
    } else {
        (void)snprintf(left, sizeof left, "--%s %s", f->name,
                       f->type == FLAG_CHOICE ? f->choices : f->value_name);
    }
    int used = snprintf(text, sizeof text, "%s", f->help);
    size_t at = used < 0 ? 0 : (size_t)used;
    if (f->default_value != NULL && at < sizeof text) {
        used = snprintf(text + at, sizeof text - at, " (default %s)", f->default_value);
        at += used < 0 ? 0 : (size_t)used;
    }
    if (f->type == FLAG_LIST && at < sizeof text) {
        used = snprintf(text + at, sizeof text - at, "; may be given again");
        at += used < 0 ? 0 : (size_t)used;
    }
    if (f->environment != NULL && at < sizeof text) {
        (void)snprintf(text + at, sizeof text - at, " [%s]", f->environment);
    }
    put_entry(out, left, FLAG_WIDTH, text);
}

static void put_global_flags(FILE *out)
{
    size_t count = 0;
    const struct flag_definition *flags = cli_global_flags(&count);
    (void)fprintf(out, "\nFor every command:\n");
    for (size_t i = 0; i < count; i++) {
        put_flag(out, &flags[i]);
    }
}

void help_overview(const struct cli_command *commands, size_t count, FILE *out)
{
    (void)fprintf(out, "tidemark: the client of a Tidemark cluster\n\n"
                       "  tidemark [FLAGS] COMMAND [ARGUMENTS]\n\nCommands:\n");
    for (size_t i = 0; i < count; i++) {
        put_command(out, &commands[i]);
    }
    put_global_flags(out);
    (void)fprintf(out, "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 unreachable or too late, "
                       "4 unhealthy.\n"
                       "'tidemark COMMAND --help' says more.\n");
}

void help_group(const struct cli_command *commands, size_t count, const char *group, FILE *out)
{
    size_t size = strlen(group);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(commands[i].path, group, size) == 0 && commands[i].path[size] == ' ') {
            put_command(out, &commands[i]);
        }
    }
}

void help_command(const struct cli_command *command, FILE *out)
{
    (void)fprintf(out, "tidemark %s%s%s%s\n\n  ", command->path, command->arguments[0] ? " " : "",
                  command->arguments, command->flag_count > 0 ? " [FLAGS]" : "");
    put_wrapped(out, command->summary, 2);
    if (command->details != NULL) {
        (void)fprintf(out, "\n%s\n", command->details);
    }
    if (command->flag_count > 0) {
        (void)fprintf(out, "\nFlags:\n");
    }
    for (size_t i = 0; i < command->flag_count; i++) {
        put_flag(out, &command->flags[i]);
    }
    put_global_flags(out);
}
