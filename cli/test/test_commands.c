/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "cli/commands.h"
#include "testkit/test.h"

TEST(commands, each_is_complete_and_named_once)
{
    size_t count = 0;
    const struct cli_command *all = commands_all(&count);
    REQUIRE(count > 0);
    for (size_t i = 0; i < count; i++) {
        EXPECT(all[i].run != NULL);
        REQUIRE(all[i].arguments != NULL);
        EXPECT(all[i].arguments_min <= all[i].arguments_max);
        EXPECT((all[i].arguments_max == 0) == (all[i].arguments[0] == '\0'));
        EXPECT(all[i].summary[strlen(all[i].summary) - 1] != '.');
        EXPECT(strlen(all[i].summary) < 80);
        for (size_t j = 0; j < i; j++) {
            EXPECT(strcmp(all[i].path, all[j].path) != 0);
        }
    }
    size_t again = 0;
    EXPECT(commands_all(&again) == all);
    EXPECT_UINT(again, count);
}

static void check_flag(const struct flag_definition *f)
{
    EXPECT(f->help != NULL);
    EXPECT((f->type == FLAG_SWITCH || f->type == FLAG_CHOICE) == (f->value_name == NULL) ||
           f->type == FLAG_CHOICE);
    EXPECT((f->type == FLAG_CHOICE) == (f->choices != NULL));
    for (const char *p = f->name; *p != '\0'; p++) {
        EXPECT(islower((unsigned char)*p) || *p == '-');
    }
}

TEST(commands, their_flags_are_well_defined_and_clash_with_no_global_one)
{
    size_t count = 0;
    size_t global_count = 0;
    const struct cli_command *all = commands_all(&count);
    const struct flag_definition *global = cli_global_flags(&global_count);
    for (size_t g = 0; g < global_count; g++) {
        check_flag(&global[g]);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t f = 0; f < all[i].flag_count; f++) {
            check_flag(&all[i].flags[f]);
            for (size_t g = 0; g < global_count; g++) {
                EXPECT(strcmp(all[i].flags[f].name, global[g].name) != 0);
            }
        }
    }
}
