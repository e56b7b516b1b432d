/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/completion.h"
#include "testkit/test.h"

static const struct flag_definition flags[] = {
    {.name = "kind", .type = FLAG_CHOICE, .choices = "red|green", .help = ""},
    {.name = "fast", .type = FLAG_SWITCH, .help = ""},
};

static const struct cli_command table[] = {
    {.path = "thing show", .arguments = "", .flags = flags, .flag_count = 2},
    {.path = "thing hide", .arguments = ""},
    {.path = "read", .arguments = "FILE", .arguments_are_files = true},
};

/* What the script offers for a line is tested with bash itself, in the tests of the
 * program; here, that everything is in it. */
TEST(completion, the_script_knows_commands_flags_and_choices)
{
    struct text_sink out;
    text_sink_init(&out, NULL);
    completion_bash(table, 3, &out);
    const char *script = text_sink_text(&out);
    EXPECT_CONTAINS(script, "    '') words=' thing read --endpoints");
    EXPECT_CONTAINS(script, "    'thing') words=' show hide' ;;");
    EXPECT_CONTAINS(script, "--kind) COMPREPLY=($(compgen -W 'red green' ");
    EXPECT_CONTAINS(script, "words=' --kind --fast --endpoints");
    EXPECT_CONTAINS(script, "--endpoints|--timeout|--format|--kind) skip=1");
    EXPECT_CONTAINS(script, "complete -o bashdefault -o default -F _tidemark tidemark\n");
    text_sink_deinit(&out);
}

TEST(completion, a_quote_in_the_table_would_break_the_script)
{
    size_t count = 0;
    const struct cli_command *all = commands_all(&count);
    for (size_t i = 0; i < count; i++) {
        EXPECT(strchr(all[i].path, '\'') == NULL);
        for (size_t f = 0; f < all[i].flag_count; f++) {
            EXPECT(strchr(all[i].flags[f].name, '\'') == NULL);
        }
    }
}
