/* SPDX-License-Identifier: Apache-2.0 */
/* What every command has in common, and what bash makes of the completion. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/test/fake_server.h"
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

#define AT_TERMINAL(endpoints, typed, no_color, ...)                                               \
    program_run_at_terminal((endpoints), (typed), (no_color),                                      \
                            (const char *const[]){__VA_ARGS__, NULL})

TEST(program_usage, a_person_is_asked_before_something_is_dropped)
{
    struct fake *f = fake_open(1, false);
    fake_table(f, "db", "t", "v:double", "host:string:primary");
    fake_start(f);
    const char *at = fake_endpoints(f);
    const struct ran *r = AT_TERMINAL(at, "n\n", true, "table", "drop", "db.t");
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->out, "Drop table 'db.t' with all its rows? [y/N]");
    EXPECT_CONTAINS(r->out, "tidemark: nothing was dropped");
    r = AT_TERMINAL(at, "\n", true, "db", "drop", "db", "--cascade");
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->out, "Drop database 'db' with all its tables and rows? [y/N]");
    EXPECT_INT(AT_TERMINAL(at, "n\n", true, "node", "remove", "n1")->code, 1);
    EXPECT_INT(AT_TERMINAL(at, "y\n", true, "table", "drop", "db.t")->code, 0);
    r = AT_TERMINAL(at, "", true, "db", "drop", "db", "--yes");
    EXPECT_INT(r->code, 0);
    EXPECT(strstr(r->out, "[y/N]") == NULL);
    fake_close(f);
}

TEST(program_usage, a_terminal_gets_a_table_with_colors_unless_not_wanted)
{
    struct fake *f = fake_open(2, false);
    fake_node_role(f, 1, TIDEMARK__V1__ROLE__ROLE_UNREACHABLE);
    fake_start(f);
    const struct ran *r = AT_TERMINAL(fake_endpoints(f), "", false, "status");
    EXPECT_CONTAINS(r->out, "\x1b[1mname\x1b[0m");
    EXPECT_CONTAINS(r->out, "\x1b[31munreachable\x1b[0m");
    r = AT_TERMINAL(fake_endpoints(f), "", true, "status");
    EXPECT_CONTAINS(r->out, "name  role");
    EXPECT(strstr(r->out, "\x1b") == NULL);
    fake_close(f);
}

TEST(program_usage, a_terminal_sees_how_far_an_import_is)
{
    struct fake *f = fake_open(1, false);
    fake_table(f, "db", "t", "v:double", "host:string:primary");
    fake_start(f);
    const char *file = program_file("ts,v,host\n1,1,a\n2,2,a\n");
    const struct ran *r =
        AT_TERMINAL(fake_endpoints(f), "", true, "import", "--table", "db.t", file);
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, "100% [========================]  2 rows");
    r = AT_TERMINAL(fake_endpoints(f), "", true, "import", "--quiet", "--table", "db.t", file);
    EXPECT_INT(r->code, 0);
    EXPECT(strstr(r->out, "100%") == NULL);
    EXPECT_CONTAINS(r->out, "rows_acknowledged  2");
    fake_close(f);
    program_remove_files();
}
