/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "testkit/test.h"

static char text[65536];

static void read_back(FILE *file)
{
    REQUIRE_INT(fseek(file, 0, SEEK_SET), 0);
    size_t got = fread(text, 1, sizeof text - 1, file);
    text[got] = '\0';
    (void)fclose(file);
}

TEST(help, names_every_command_and_every_flag)
{
    size_t count = 0;
    const struct cli_command *all = commands_all(&count);
    FILE *file = tmpfile();
    REQUIRE(file != NULL);
    help_overview(all, count, file);
    read_back(file);
    for (size_t i = 0; i < count; i++) {
        EXPECT_CONTAINS(text, all[i].path);
    }
    for (size_t i = 0; i < count; i++) {
        file = tmpfile();
        REQUIRE(file != NULL);
        help_command(&all[i], file);
        read_back(file);
        EXPECT_CONTAINS(text, all[i].summary);
        EXPECT_CONTAINS(text, "--endpoints");
        for (size_t f = 0; f < all[i].flag_count; f++) {
            EXPECT_CONTAINS(text, all[i].flags[f].help == NULL ? "?" : all[i].flags[f].name);
        }
    }
}

TEST(help, stays_within_a_hundred_columns)
{
    size_t count = 0;
    const struct cli_command *all = commands_all(&count);
    for (size_t i = 0; i < count; i++) {
        FILE *file = tmpfile();
        REQUIRE(file != NULL);
        help_command(&all[i], file);
        read_back(file);
        for (const char *p = text; *p != '\0';) {
            size_t size = strcspn(p, "\n");
            EXPECT(size <= 100);
            p += size + (p[size] == '\n' ? 1 : 0);
        }
    }
}

TEST(help, a_group_has_its_own_commands_alone)
{
    static const struct cli_command table[] = {
        {.path = "a one", .arguments = "", .summary = "first"},
        {.path = "ab two", .arguments = "", .summary = "second"},
        {.path = "a", .arguments = "", .summary = "third"},
    };
    FILE *file = tmpfile();
    REQUIRE(file != NULL);
    help_group(table, 3, "a", file);
    read_back(file);
    EXPECT_CONTAINS(text, "a one");
    EXPECT(strstr(text, "two") == NULL);
    EXPECT(strstr(text, "third") == NULL);
}
