/* SPDX-License-Identifier: Apache-2.0 */
/* Starts that are refused: a clear message, an exit code, and nothing happens to
 * the nodes that run. */
#include <stdio.h>
#include <string.h>

#include "cluster-tests/load.h"
#include "io/io_posix.h"
#include "io/io_twin.h"
#include "testkit/test.h"

enum { ACKS = 50, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Its output must have 'part'. */
static void expect_refused(struct cluster *c, const char *const *flags, int code, const char *part)
{
    struct buf output = {0};
    EXPECT_INT(cluster_try(c, flags, &output), code);
    EXPECT_CONTAINS((const char *)output.data, part);
    EXPECT_CONTAINS((const char *)output.data, "tidemarkd: ");
    buf_deinit(&output);
}

TEST(refuse, wrong_flags_and_files_are_named)
{
    struct cluster_options options = {.name = "flags"};
    struct cluster *c = cluster_open(&options);
    static const struct {
        const char *flag;
        const char *message;
    } cases[] = {
        {"--listen-clinet=127.0.0.1:1", "did you mean --listen-client"},
        {"--no-such-thing", "unknown flag --no-such-thing"},
        {"--listen-client=nonsense", "nonsense"},
        {"--listen-peer=127.0.0.1:99999", "99999"},
        {"--wal-segment-size=5MiB", "wal-segment-size"},
        {"--wal-segment-size=1KiB", "wal-segment-size"},
        {"--wal-segment-size=lots", "lots"},
        {"--wal-level=fast", "fast"},
        {"--drain-limit=-1s", "drain-limit"},
        {"--recovery-mode=hope", "hope"},
        {"--peers=127.0.0.1:1", "peers"}, /* this node's own is not among them */
        {"--name=-x", "-x"},
        {"--config=/no/such/file.toml", "/no/such/file.toml"},
        {"positional", "positional"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_context("%s", cases[i].flag);
        const char *const flags[] = {cases[i].flag, NULL};
        struct buf output = {0};
        int code = cluster_try(c, flags, &output);
        EXPECT(code == EXIT_USAGE || code == EXIT_FAILED);
        EXPECT_CONTAINS((const char *)output.data, cases[i].message);
        buf_deinit(&output);
    }
    cluster_close(c);
}

TEST(refuse, a_wrong_configuration_file_is_named_with_its_line)
{
    struct cluster_options options = {.name = "toml"};
    struct cluster *c = cluster_open(&options);
    char dir[IO_PATH_MAX];
    char flag[IO_PATH_MAX + 16];
    struct err e;
    workdir_path(cluster_workdir(c), ".", dir);
    REQUIRE_OK(io_replace_file(io_posix(), dir, "bad.toml",
                               bytes_str("name = \"x\"\nwal-levle = \"sync\"\n"), &e));
    (void)snprintf(flag, sizeof flag, "--config=%s/bad.toml", dir);
    const char *const flags[] = {flag, NULL};
    expect_refused(c, flags, EXIT_USAGE, "did you mean wal-level?");
    expect_refused(c, flags, EXIT_USAGE, "bad.toml: line 2: unknown key");
    cluster_close(c);
}

static struct cluster *open_three(const char *name, struct load **l)
{
    struct cluster_options options = {.name = name, .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    *l = load_open(c, &load);
    load_run(*l, ACKS);
    return c;
}

static void close_checked(struct cluster *c, struct load *l)
{
    load_run(l, ACKS);
    load_check(l);
    load_close(l);
    cluster_close(c);
}

TEST(refuse, a_second_process_on_the_same_directory)
{
    struct load *l = NULL;
    struct cluster *c = open_three("twice", &l);
    char flag[IO_PATH_MAX + 16];
    (void)snprintf(flag, sizeof flag, "--data-dir=%s", cluster_data_dir(c, 1));
    const char *const flags[] = {flag, "--listen-client=127.0.0.1:0", "--listen-peer=127.0.0.1:0",
                                 NULL};
    expect_refused(c, flags, EXIT_FAILED, "held by process");
    close_checked(c, l);
}

TEST(refuse, an_address_that_is_in_use)
{
    struct load *l = NULL;
    struct cluster *c = open_three("in-use", &l);
    char flag[64];
    (void)snprintf(flag, sizeof flag, "--listen-client=%s", cluster_client_address(c, 0));
    const char *const client[] = {flag, "--listen-peer=127.0.0.1:0", NULL};
    expect_refused(c, client, EXIT_FAILED, cluster_client_address(c, 0));
    (void)snprintf(flag, sizeof flag, "--listen-peer=%s", cluster_peer_address(c, 0));
    const char *const peer[] = {flag, "--listen-client=127.0.0.1:0", NULL};
    expect_refused(c, peer, EXIT_FAILED, cluster_peer_address(c, 0));
    close_checked(c, l);
}

/* A directory that a newer program wrote: the number of the format stands first. */
static void make_newer(struct cluster *c, size_t node, const char *twin)
{
    char path[IO_PATH_MAX];
    char name[64];
    struct buf copy = {0};
    struct io_twin *t = NULL;
    struct err e;
    (void)snprintf(name, sizeof name, "%s.0", twin);
    REQUIRE_OK(io_join(path, cluster_data_dir(c, node), name, &e));
    REQUIRE_OK(io_read_file(io_posix(), path, IO_TWIN_SIZE, &copy, &e));
    uint32_t magic = bytes_get_u32(copy.data);
    buf_reset(&copy);
    REQUIRE_OK(io_twin_open(io_posix(), cluster_data_dir(c, node), twin, magic, &t, &e));
    buf_put_bytes(&copy, io_twin_payload(t));
    bytes_put_u32(copy.data, bytes_get_u32(copy.data) + 1);
    REQUIRE_OK(io_twin_write(t, buf_bytes(&copy), &e));
    io_twin_close(t);
    buf_deinit(&copy);
}

TEST(refuse, a_directory_of_a_newer_format)
{
    static const char *const twins[] = {"control", "hard-state"};
    static const char *const said[] = {"newer tidemarkd (format 3, this one knows up to 2)",
                                       "newer tidemarkd (format 2, this one knows up to 1)"};
    struct load *l = NULL;
    struct cluster *c = open_three("newer", &l);
    char copy[IO_PATH_MAX];
    workdir_path(cluster_workdir(c), "copy", copy);
    cluster_stop(c, 2);
    tree_copy(cluster_data_dir(c, 2), copy);
    for (size_t i = 0; i < 2; i++) {
        make_newer(c, 2, twins[i]);
        cluster_start(c, 2, NULL);
        EXPECT_INT(cluster_wait_exit(c, 2), EXIT_FAILED);
        EXPECT(cluster_said(c, 2, said[i]));
        tree_remove(cluster_data_dir(c, 2));
        tree_copy(copy, cluster_data_dir(c, 2)); /* it never ran as a member meanwhile */
    }
    load_run(l, ACKS);
    cluster_start(c, 2, NULL);
    (void)cluster_wait_healthy(c);
    close_checked(c, l);
}

static bool is_told_that_it_is_foreign(struct cluster *c, void *context)
{
    (void)context;
    return cluster_said(c, 2, "node refused") && cluster_said(c, 2, "belongs to cluster") &&
           cluster_said(c, 0, "node hello-refused") && cluster_said(c, 1, "node hello-refused");
}

static bool says_that_it_is_foreign(struct cluster *c, void *context)
{
    struct node_status *s = context;
    return cluster_status(c, 2, s) && strstr(s->message, "belongs to cluster") != NULL;
}

/* The directory of another cluster at the address of a member: all say so, it
 * takes no part, and does no harm. It runs on, because the word of a stranger
 * is no reason for a node to end. */
TEST(refuse, a_directory_of_another_cluster)
{
    struct load *l = NULL;
    struct cluster_options options = {.name = "foreign", .founders = 3};
    struct cluster *other = cluster_open(&options);
    cluster_start_all(other);
    (void)cluster_wait_healthy(other);
    for (size_t i = 0; i < 3; i++) {
        cluster_stop(other, i); /* else it would go on with those, from its new address */
    }
    struct cluster *c = open_three("home", &l);
    struct node_status before = cluster_wait_status(c, 0);
    cluster_stop(c, 2);
    char own[IO_PATH_MAX];
    workdir_path(cluster_workdir(c), "own", own);
    tree_copy(cluster_data_dir(c, 2), own);
    tree_remove(cluster_data_dir(c, 2));
    tree_copy(cluster_data_dir(other, 2), cluster_data_dir(c, 2));
    cluster_start(c, 2, NULL);
    cluster_wait(c, is_told_that_it_is_foreign, NULL, 0, "nobody says that n3 is foreign");
    load_run(l, ACKS);
    struct node_status s;
    cluster_wait(c, says_that_it_is_foreign, &s, 0, "the status of n3 does not say it");
    EXPECT_CONTAINS(s.message, "refused by another node: n3 belongs to cluster");
    EXPECT_CONTAINS(s.message, "another's data directory");
    struct err e;
    struct node_write write = {.series = 50, .count = 1, .value = 1};
    EXPECT_ERR(node_write(cluster_client(c, 2), &write, &e), ERR_UNAVAILABLE);
    EXPECT_CONTAINS(e.text, "belongs to cluster");
    EXPECT(!s.healthy);
    EXPECT(s.cluster_id != before.cluster_id);
    cluster_stop(c, 2);
    s = cluster_wait_status(c, 0);
    EXPECT_UINT(s.cluster_id, before.cluster_id);

    tree_remove(cluster_data_dir(c, 2));
    tree_copy(own, cluster_data_dir(c, 2));
    cluster_start(c, 2, NULL);
    (void)cluster_wait_healthy(c);
    close_checked(c, l);
    cluster_close(other);
}
