/* SPDX-License-Identifier: Apache-2.0 */
/* What every command has in common, and what bash makes of the completion. */
#include <stdio.h>
#include <string.h>

#include "cli/test/program.h"
#include "testkit/test.h"

TEST(program_usage, exit_codes_tell_what_happened)
{
    EXPECT_INT(RUN(NULL, "version")->code, 0);
    EXPECT_INT(RUN(NULL, "--help")->code, 0);
    EXPECT_INT(RUN(NULL, "stauts")->code, 2);
    EXPECT_INT(RUN(NULL, "status", "--wrong")->code, 2);
    EXPECT_INT(RUN("not:an:address", "db", "list")->code, 2);
    EXPECT_INT(RUN("127.0.0.1:1", "db", "list")->code, 3);
    EXPECT_INT(RUN("127.0.0.1:1", "status")->code, 3);
    EXPECT_INT(RUN(NULL, "wal", "verify", "/nowhere")->code, 1);
}

TEST(program_usage, version_is_also_for_programs)
{
    const struct ran *r = RUN(NULL, "version", "--format", "json");
    EXPECT(program_json_error(r) == NULL);
    EXPECT_CONTAINS(r->out, "\"commit\": \"");
    EXPECT_CONTAINS(r->out, "\"build_type\": \"");
    EXPECT_CONTAINS(r->out, "\"protocol\": \"tidemark.v1\"");
    EXPECT_CONTAINS(RUN(NULL, "version", "--format", "table")->out, "tidemark ");
}

/* Bash itself, asked for the words that may come next. */
static const char *completed(const char *line)
{
    static char offered[4096];
    static char script[8192];
    const char *file = program_file(RUN(NULL, "completion", "bash")->out);
    const char *answer = program_new_file();
    (void)snprintf(script, sizeof script,
                   "source %s\n"
                   "COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                   "_tidemark; echo \"${COMPREPLY[*]}\" > %s\n",
                   file, line, answer);
    const char *run = program_file(script);
    const char *const bash[] = {"bash", run, NULL};
    EXPECT_INT(program_other(bash), 0);
    (void)snprintf(offered, sizeof offered, "%s", program_read_file(answer));
    program_remove_files();
    return offered;
}

TEST(program_usage, bash_completes_commands_flags_and_choices)
{
    EXPECT_STR(completed("tidemark st"), "status\n");
    EXPECT_CONTAINS(completed("tidemark ''"), "settings");
    EXPECT_STR(completed("tidemark settings re"), "reset\n");
    EXPECT_STR(completed("tidemark --endpoints a settings re"), "reset\n");
    EXPECT_STR(completed("tidemark status --format j"), "json\n");
    EXPECT_STR(completed("tidemark scan db.t --time-format r"), "rfc3339\n");
    EXPECT_STR(completed("tidemark scan db.t --lim"), "--limit\n");
    EXPECT_STR(completed("tidemark status --lim"), "\n");
}
