/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config.h"

#include <stdio.h>

#include "base/mem.h"
#include "node/config_option.h"
#include "testkit/fake_disk.h"
#include "testkit/test.h"

enum { ARGS_MAX = 16 };

struct fixture {
    struct fake_disk *disk;
    struct config config;
    struct err err;
    const char *args[ARGS_MAX];
    int arg_count;
    const char *environment[ARGS_MAX];
    size_t variable_count;
};

static struct fixture *fixture_open(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->disk = fake_disk_create(1);
    f->args[f->arg_count++] = "tidemarkd";
    return f;
}

static void fixture_close(struct fixture *f)
{
    fake_disk_destroy(f->disk);
    mem_free(f);
}

static void arg(struct fixture *f, const char *text)
{
    REQUIRE(f->arg_count < ARGS_MAX);
    f->args[f->arg_count++] = text;
}

static void variable(struct fixture *f, const char *text)
{
    REQUIRE(f->variable_count < ARGS_MAX - 1);
    f->environment[f->variable_count++] = text;
}

static void file(struct fixture *f, const char *text)
{
    REQUIRE_OK(io_replace_file(fake_disk_io(f->disk), "/", "t.toml", bytes_str(text), &f->err));
    arg(f, "--config=t.toml");
}

static enum err_code load(struct fixture *f)
{
    struct config_input input = {f->arg_count, f->args, f->environment, fake_disk_io(f->disk)};
    return config_load(&input, &f->config, &f->err);
}

static void expect_refused(struct fixture *f, const char *why)
{
    EXPECT_ERR(load(f), ERR_INVALID);
    EXPECT_STR(f->err.text, why);
    fixture_close(f);
}

static enum config_source source_of(const struct fixture *f, const char *name)
{
    return f->config.sources[config_option_find(name)];
}

TEST(config, started_bare_it_is_a_node_alone)
{
    struct fixture *f = fixture_open();
    EXPECT_OK(load(f));
    EXPECT_INT(f->config.command, CONFIG_RUN);
    EXPECT(!f->config.cluster);
    EXPECT_UINT(f->config.peers.count, 0);
    EXPECT_STR(f->config.name, "node-7071");
    EXPECT_STR(f->config.data_dir, "tidemark-data");
    EXPECT_STR(f->config.listen_client, "127.0.0.1:7070");
    EXPECT_STR(f->config.advertise_client, "127.0.0.1:7070");
    EXPECT_STR(f->config.listen_peer, "127.0.0.1:7071");
    EXPECT_STR(f->config.advertise_peer, "127.0.0.1:7071");
    EXPECT_UINT(f->config.wal_segment_size, 16 * LIMIT_MIB);
    EXPECT_INT(f->config.wal_level, WAL_LEVEL_FLUSH);
    EXPECT(!f->config.recovery_mode_given);
    EXPECT_UINT(f->config.message_size_max, LIMIT_MESSAGE_SIZE_MAX);
    EXPECT_UINT(f->config.drain_limit_ms, 30000);
    EXPECT_INT(f->config.log_level, LOG_INFO);
    EXPECT_INT(f->config.log_format, CONFIG_LOG_TEXT);
    fixture_close(f);
}

/* Three values that differ from the default and from each other. */
struct sample {
    const char *name;
    const char *values[3];
    bool bare; /* not in quotes in a file */
};

static const struct sample samples[] = {
    {"name", {"a", "b", "c"}, false},
    {"data-dir", {"a", "b", "c"}, false},
    {"peers", {"h:1", "h:1,i:2", "h:1,i:2,j:3"}, false},
    {"listen-client", {"h:1", "i:2", "j:3"}, false},
    {"advertise-client", {"h:1", "i:2", "j:3"}, false},
    {"listen-peer", {"h:1", "i:2", "j:3"}, false},
    {"advertise-peer", {"h:1", "i:2", "j:3"}, false},
    {"wal-segment-size", {"4MiB", "8MiB", "32MiB"}, false},
    {"wal-level", {"off", "sync", "byrl"}, false},
    {"recovery-mode",
     {"absolute_consistency", "skip_any_corrupted_records", "tolerate_corrupted_tail_records"},
     false},
    {"message-size-max", {"1MiB", "2MiB", "3MiB"}, false},
    {"drain-limit", {"1s", "2s", "3s"}, false},
    {"log-level", {"debug", "warn", "error"}, false},
    {"log-format", {"json", "text", "json"}, false},
    {"test-small-segments", {"true", "false", "true"}, true},
};

enum { SAMPLE_COUNT = sizeof samples / sizeof samples[0] };

/* Gives the option in the sources of the bits of 'given'; the highest counts. */
static void check_sources(const struct sample *s, unsigned given)
{
    struct fixture *f = fixture_open();
    const struct config_option *option = &config_options(&(size_t){0})[config_option_find(s->name)];
    char flag[128];
    char name[CONFIG_VARIABLE_SIZE];
    char text[256];
    char toml[128];
    if ((given & 1U << CONFIG_FILE) != 0) {
        const char *quote = s->bare ? "" : "\"";
        (void)snprintf(toml, sizeof toml, "%s = %s%s%s\n", s->name, quote, s->values[0], quote);
        file(f, toml);
    }
    if ((given & 1U << CONFIG_ENVIRONMENT) != 0) {
        config_option_variable(option, name);
        (void)snprintf(text, sizeof text, "%s=%s", name, s->values[1]);
        variable(f, text);
    }
    if ((given & 1U << CONFIG_FLAG) != 0) {
        (void)snprintf(flag, sizeof flag, "--%s=%s", s->name, s->values[2]);
        arg(f, flag);
    }
    if (strcmp(s->name, "peers") == 0) {
        arg(f, "--advertise-peer=h:1");
    }
    EXPECT_OK(load(f));
    enum config_source highest = CONFIG_FILE;
    for (enum config_source source = CONFIG_FILE; source <= CONFIG_FLAG; source++) {
        highest = (given & 1U << source) != 0 ? source : highest;
    }
    struct buf value = {0};
    config_option_format(option, &f->config, &value);
    buf_put_u8(&value, 0);
    EXPECT_STR((const char *)value.data, s->values[highest - CONFIG_FILE]);
    EXPECT_INT(source_of(f, s->name), highest);
    buf_deinit(&value);
    fixture_close(f);
}

TEST(config, every_option_comes_from_every_source_in_their_order)
{
    size_t count = 0;
    size_t sampled = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        sampled += !options[i].flag_only;
    }
    EXPECT_UINT(sampled, SAMPLE_COUNT);
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        for (unsigned given = 1; given < 8; given++) {
            check_sources(&samples[i], given << CONFIG_FILE);
        }
    }
}

TEST(config, flags_take_their_value_either_way_and_the_last_counts)
{
    struct fixture *f = fixture_open();
    arg(f, "--name");
    arg(f, "a");
    arg(f, "--name=b=c");
    EXPECT_ERR(load(f), ERR_INVALID);
    f->args[3] = "--name=b";
    EXPECT_OK(load(f));
    EXPECT_STR(f->config.name, "b");
    fixture_close(f);
}

TEST(config, an_empty_variable_is_none)
{
    struct fixture *f = fixture_open();
    variable(f, "TIDEMARK_NAME=");
    variable(f, "TIDEMARK_CONFIG=");
    EXPECT_OK(load(f));
    EXPECT_INT(source_of(f, "name"), CONFIG_DEFAULT);
    fixture_close(f);
}

TEST(config, the_file_can_be_named_by_a_variable)
{
    struct fixture *f = fixture_open();
    file(f, "name = 'x'\n");
    f->arg_count--; /* not by the flag */
    variable(f, "TIDEMARK_CONFIG=t.toml");
    EXPECT_OK(load(f));
    EXPECT_STR(f->config.name, "x");
    EXPECT_STR(f->config.file, "t.toml");
    fixture_close(f);
}

TEST(config, help_and_version_look_at_nothing_else)
{
    static const struct {
        const char *flag;
        enum config_command command;
    } cases[] = {{"--help", CONFIG_HELP}, {"-h", CONFIG_HELP}, {"--version", CONFIG_VERSION}};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = fixture_open();
        arg(f, cases[i].flag);
        arg(f, "--config=missing.toml");
        variable(f, "TIDEMARK_DRAIN_LIMIT=x");
        EXPECT_OK(load(f));
        EXPECT_INT(f->config.command, cases[i].command);
        fixture_close(f);
    }
    struct fixture *f = fixture_open();
    arg(f, "--print-config");
    EXPECT_OK(load(f));
    EXPECT_INT(f->config.command, CONFIG_PRINT);
    fixture_close(f);
}

/* --- errors --- */

TEST(config, unknown_flags_are_errors_with_a_guess)
{
    struct fixture *f = fixture_open();
    arg(f, "--wal-segmnt-size=4MiB");
    expect_refused(f, "unknown flag --wal-segmnt-size: did you mean --wal-segment-size?");
    f = fixture_open();
    arg(f, "--colour");
    expect_refused(f, "unknown flag --colour");
    f = fixture_open();
    arg(f, "n1:7071");
    expect_refused(f, "unexpected argument 'n1:7071': see tidemarkd --help");
    f = fixture_open();
    arg(f, "--");
    expect_refused(f, "unexpected argument '--': see tidemarkd --help");
    f = fixture_open();
    arg(f, "--name");
    expect_refused(f, "--name needs a value");
}

TEST(config, unknown_variables_are_errors_when_they_look_like_ours)
{
    struct fixture *f = fixture_open();
    variable(f, "TIDEMARK_PERS=a:1");
    expect_refused(f, "unknown variable TIDEMARK_PERS: did you mean TIDEMARK_PEERS?");
    f = fixture_open();
    variable(f, "TIDEMARK_ENDPOINTS=a:1"); /* the client's */
    variable(f, "TIDEMARK_SERVICE_HOST=10.0.0.1");
    variable(f, "TIDEMARK_PORT_7070_TCP=tcp://10.0.0.1:7070");
    variable(f, "PATH=/bin");
    variable(f, "NOEQUALS");
    EXPECT_OK(load(f));
    fixture_close(f);
    static const char *const others[] = {
        "TIDEMARK_FORMAT=json", "TIDEMARK_TIMEOUT=5s", "TIDEMARK_QUIET=true",  /* the client's */
        "TIDEMARK_KEEP=1",      "TIDEMARK_SEED=1",     "TIDEMARK_ROUNDS=full", /* the tests' */
        "TIDEMARK_SIM_SEEDS=5", "TIDEMARK_TRACE=1",    "TIDEMARK_WEAK=x",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        test_context("%s", others[i]);
        f = fixture_open();
        variable(f, others[i]);
        EXPECT_OK(load(f));
        fixture_close(f);
    }
    static const struct {
        const char *typo, *meant;
    } typos[] = {{"TIDEMARK_PEESR", "TIDEMARK_PEERS"},
                 {"TIDEMARK_DATADIR", "TIDEMARK_DATA_DIR"},
                 {"TIDEMARK_WAL_LEVLE", "TIDEMARK_WAL_LEVEL"},
                 {"TIDEMARK_NAMES", "TIDEMARK_NAME"},
                 {"TIDEMARK_LOGFORMAT", "TIDEMARK_LOG_FORMAT"}};
    for (size_t i = 0; i < sizeof typos / sizeof typos[0]; i++) {
        char set[64];
        char refusal[128];
        (void)snprintf(set, sizeof set, "%s=x", typos[i].typo);
        (void)snprintf(refusal, sizeof refusal, "unknown variable %s: did you mean %s?",
                       typos[i].typo, typos[i].meant);
        f = fixture_open();
        variable(f, set);
        expect_refused(f, refusal);
    }
}

TEST(config, unknown_keys_are_errors_with_line_and_guess)
{
    struct fixture *f = fixture_open();
    file(f, "# mine\nlog_level = 'debug'\n");
    expect_refused(f, "configuration file t.toml: line 2: unknown key 'log_level': did you mean "
                      "log-level?");
    f = fixture_open();
    file(f, "[wal]\nsegment-size = '4MiB'\n");
    expect_refused(f, "configuration file t.toml: line 2: unknown key 'wal.segment-size': did you "
                      "mean wal-segment-size?");
    f = fixture_open();
    file(f, "help = true\n");
    expect_refused(f, "configuration file t.toml: line 1: unknown key 'help'");
    f = fixture_open();
    file(f, "name = \n");
    expect_refused(f, "configuration file t.toml: line 1, column 8: expected a string, an integer, "
                      "true, false or an array");
}

TEST(config, values_say_where_they_stood)
{
    struct fixture *f = fixture_open();
    arg(f, "--drain-limit=soon");
    expect_refused(f, "--drain-limit: 'soon' is not a time such as 30s (units: ms, s, m, h)");
    f = fixture_open();
    variable(f, "TIDEMARK_LOG_LEVEL=loud");
    expect_refused(f, "TIDEMARK_LOG_LEVEL: 'loud' is not one of debug, info, warn, error");
    f = fixture_open();
    file(f, "\nname = 'a b'\n");
    expect_refused(f, "configuration file t.toml: line 2: name: 'a b' is not a name: letters, "
                      "digits, '_', '-' and '.', not first '-' or '.'");
    /* A wrong value is an error also where it does not count. */
    f = fixture_open();
    arg(f, "--name=good");
    variable(f, "TIDEMARK_NAME=a b");
    expect_refused(f, "TIDEMARK_NAME: 'a b' is not a name: letters, digits, '_', '-' and '.', not "
                      "first '-' or '.'");
}

TEST(config, a_value_of_the_wrong_type_is_refused)
{
    static const struct {
        const char *text;
        const char *why;
    } cases[] = {
        {"name = 5", "name: expected a text in quotes, not a number"},
        {"name = true", "name: expected a text in quotes, not true or false"},
        {"name = ['a']", "name: expected one value, not an array"},
        {"drain-limit = 30", "drain-limit: expected a text in quotes, not a number"},
        {"test-small-segments = 'true'",
         "test-small-segments: expected true or false without quotes"},
        {"test-small-segments = 1", "test-small-segments: expected true or false, not a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_open();
        char why[256];
        file(f, cases[i].text);
        (void)snprintf(why, sizeof why, "configuration file t.toml: line 1: %s", cases[i].why);
        expect_refused(f, why);
    }
    struct fixture *f = fixture_open();
    file(f, "peers = ['n2:1', 'n1:1']\nmessage-size-max = 1048576\nadvertise-peer='n1:1'\n");
    EXPECT_OK(load(f));
    EXPECT_UINT(f->config.peers.count, 2);
    EXPECT_UINT(f->config.message_size_max, LIMIT_MIB);
    fixture_close(f);
}

TEST(config, a_missing_file_is_an_error)
{
    struct fixture *f = fixture_open();
    arg(f, "--config=missing.toml");
    EXPECT_ERR(load(f), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f->err.text, "configuration file missing.toml: ");
    fixture_close(f);
}

/* --- what depends on other options --- */

TEST(config, segments_have_a_power_of_two_and_are_small_only_in_tests)
{
    struct fixture *f = fixture_open();
    arg(f, "--wal-segment-size=5MiB");
    expect_refused(f, "wal-segment-size: 5242880 is not a power of two from 4MiB to 1GiB");
    f = fixture_open();
    arg(f, "--wal-segment-size=64KiB");
    expect_refused(f, "wal-segment-size: 65536 is not a power of two from 4MiB to 1GiB");
    f = fixture_open();
    arg(f, "--wal-segment-size=64KiB");
    arg(f, "--test-small-segments");
    EXPECT_OK(load(f));
    EXPECT_UINT(f->config.wal_segment_size, 64 * LIMIT_KIB);
    fixture_close(f);
}

TEST(config, a_cluster_needs_its_own_address_among_the_peers)
{
    struct fixture *f = fixture_open();
    arg(f, "--peers=n2:7071,n1:7071");
    arg(f, "--listen-peer=0.0.0.0:7071");
    arg(f, "--advertise-peer=n1:7071");
    EXPECT_OK(load(f));
    EXPECT(f->config.cluster);
    EXPECT_STR(f->config.name, "n1");
    EXPECT_STR(f->config.peers.items[0], "n1:7071");
    fixture_close(f);

    f = fixture_open();
    arg(f, "--peers=n2:7071,n1:7071");
    expect_refused(f, "peers does not hold this node's own address, 127.0.0.1:7071: give every "
                      "node the list of all, and its own as advertise-peer");
}

TEST(config, a_cluster_needs_addresses_that_others_can_reach)
{
    static const char *const wild[] = {"0.0.0.0:7071", "[::]:7071", "n1:0"};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *f = fixture_open();
        char listen[64];
        char why[128];
        (void)snprintf(listen, sizeof listen, "--listen-peer=%s", wild[i]);
        arg(f, "--peers=n1:7071");
        arg(f, listen);
        (void)snprintf(why, sizeof why, "advertise-peer is needed: other nodes can't connect to %s",
                       wild[i]);
        expect_refused(f, why);
    }
    struct fixture *f = fixture_open();
    arg(f, "--peers=n1:7071");
    arg(f, "--advertise-peer=n1:7071");
    arg(f, "--listen-client=0.0.0.0:7070");
    expect_refused(f, "advertise-client is needed: clients sent here by another node can't "
                      "connect to 0.0.0.0:7070");
    f = fixture_open(); /* alone it does not matter */
    arg(f, "--listen-client=0.0.0.0:7070");
    arg(f, "--listen-peer=0.0.0.0:0");
    EXPECT_OK(load(f));
    fixture_close(f);
}

TEST(config, the_name_is_made_from_the_address)
{
    static const char *const cases[][2] = {
        {"n1:7071", "n1"},           {"n1.rack.example:7071", "n1"}, {"10.0.0.5:9000", "node-9000"},
        {"localhost:80", "node-80"}, {"[::1]:7071", "node-7071"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = fixture_open();
        char text[64];
        (void)snprintf(text, sizeof text, "--advertise-peer=%s", cases[i][0]);
        arg(f, text);
        EXPECT_OK(load(f));
        EXPECT_STR(f->config.name, cases[i][1]);
        EXPECT_INT(source_of(f, "name"), CONFIG_DEFAULT);
        fixture_close(f);
    }
    struct fixture *f = fixture_open();
    arg(f, "--advertise-peer=a~b:7071");
    EXPECT_ERR(load(f), ERR_INVALID);
    EXPECT_CONTAINS(f->err.text, "--name is needed: the one made from advertise-peer: 'a~b'");
    fixture_close(f);
}

TEST(config, a_recovery_mode_is_for_this_start_only_when_given)
{
    struct fixture *f = fixture_open();
    arg(f, "--recovery-mode=absolute_consistency");
    EXPECT_OK(load(f));
    EXPECT(f->config.recovery_mode_given);
    EXPECT_INT(f->config.recovery_mode, WAL_ABSOLUTE_CONSISTENCY);
    fixture_close(f);
}

/* --- printing --- */

TEST(config, prints_each_value_and_where_it_came_from)
{
    struct fixture *f = fixture_open();
    struct buf out = {0};
    file(f, "drain-limit = '90s'\n");
    variable(f, "TIDEMARK_LOG_LEVEL=debug");
    arg(f, "--peers=n2:1,n1:1");
    arg(f, "--advertise-peer=n1:1");
    EXPECT_OK(load(f));
    config_print_origin(&f->config, &out);
    buf_put_u8(&out, 0);
    EXPECT_STR((const char *)out.data,
               "name = n1                         # default (from advertise-peer)\n"
               "data-dir = tidemark-data          # default\n"
               "peers = n1:1,n2:1                 # flag --peers\n"
               "listen-client = 127.0.0.1:7070    # default\n"
               "advertise-client = 127.0.0.1:7070 # default (listen-client)\n"
               "listen-peer = 127.0.0.1:7071      # default\n"
               "advertise-peer = n1:1             # flag --advertise-peer\n"
               "wal-segment-size = 16MiB          # default\n"
               "wal-level = flush                 # default\n"
               "recovery-mode =                   # default (as stored by ts.wal.recovery_mode)\n"
               "message-size-max = 4MiB           # default\n"
               "drain-limit = 90s                 # file t.toml\n"
               "log-level = debug                 # variable TIDEMARK_LOG_LEVEL\n"
               "log-format = text                 # default\n"
               "config = t.toml                   # flag --config\n");
    buf_deinit(&out);
    fixture_close(f);
}

TEST(config, help_names_every_option_but_the_hidden)
{
    struct buf out = {0};
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    config_print_help(&out);
    buf_put_u8(&out, 0);
    const char *text = (const char *)out.data;
    for (size_t i = 0; i < count; i++) {
        char flag[64];
        (void)snprintf(flag, sizeof flag, "\n  --%s ", options[i].name);
        EXPECT((strstr(text, flag) != NULL) == !options[i].hidden);
    }
    EXPECT_CONTAINS(text, "  --wal-segment-size SIZE         size of one log file, a power of two "
                          "from 4MiB to 1GiB; fixed when\n                                  the "
                          "data directory is made [16MiB]\n");
    size_t line = 0;
    for (const char *p = text; *p != '\0'; p++) {
        line = *p == '\n' ? 0 : line + 1;
        EXPECT(line <= 100);
    }
    buf_deinit(&out);
}
