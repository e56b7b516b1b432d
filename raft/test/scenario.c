/* SPDX-License-Identifier: Apache-2.0 */
/* Plays scenarios/NAME.txt on a cluster of replicas and compares what happens
 * with what the file says, line by line.
 *
 *   # prose
 *   > command                what the test does
 *   1600 n2 leads in term 2  what must follow, until the next command
 *
 * scenario_raft FILE           compares; ends 1 and shows the first difference
 * scenario_raft --write FILE   prints the file with what really happens
 *
 * Commands (NODE is n1 .. n6, "leader", "follower" or "other", the next one):
 *   cluster N [voters N] [seed N] [cache BYTES] [without RULE]
 *   show TOPIC ...   of: roles votes promises writes applies appends acks heartbeats
 *                    rounds reads snapshots configurations disk faults
 *   run MS | run to a leader | submit NODE COUNT [SIZE] | read NODE
 *   transfer NODE [NODE] | gone NODE NODE | change NODE: NODE spare|standby|voter|gone
 *   checkpoint NODE keep N | crash NODE | start NODE | isolate NODE | cut NODE NODE | heal
 *   hold disk NODE | release disk NODE | status NODE | agree | count TOPIC */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_guard.h"
#include "raft/test/cluster.h"

enum { WORDS_MAX = 24, WORD_SIZE = 64, FILE_SIZE_MAX = 1 << 20 };

struct scenario {
    struct cluster *cluster;
    struct buf out; /* the file as it should be */
    char words[WORDS_MAX][WORD_SIZE];
    size_t word_count;
    const char *file;
    unsigned line;
};

static const struct rule {
    const char *name;
    enum raft_guard_number number;
} rules[] = {
    {"B1", RAFT_B1},
    {"B5-majorities", RAFT_B5_HELD},
    {"B5-votes", RAFT_B5_VOTE},
    {"rounds", RAFT_READS},
    {"barrier", RAFT_BARRIER_FIRST},
    {"G10", RAFT_G10},
    {"G11", RAFT_G11},
    {"G13", RAFT_G13},
    {"G15", RAFT_G15},
};

__attribute__((noreturn)) static void give_up(const struct scenario *s, const char *what)
{
    (void)fprintf(stderr, "%s:%u: %s\n", s->file, s->line, what);
    exit(2);
}

static void split(struct scenario *s, const char *text)
{
    s->word_count = 0;
    for (const char *p = text; *p != '\0' && *p != '\n';) {
        size_t size = strcspn(p, " :,\n");
        if (size >= WORD_SIZE || s->word_count == WORDS_MAX) {
            give_up(s, "too long");
        }
        if (size > 0) {
            (void)snprintf(s->words[s->word_count++], WORD_SIZE, "%.*s", (int)size, p);
        }
        p += size;
        p += *p != '\0' && *p != '\n' ? 1 : 0;
    }
}

static bool word_is(const struct scenario *s, size_t i, const char *text)
{
    return i < s->word_count && strcmp(s->words[i], text) == 0;
}

static uint64_t number(const struct scenario *s, size_t i)
{
    char *end = NULL;
    if (i >= s->word_count) {
        give_up(s, "a number is missing");
    }
    uint64_t n = strtoull(s->words[i], &end, 10);
    if (end == s->words[i] || *end != '\0') {
        give_up(s, "not a number");
    }
    return n;
}

static uint64_t follower(const struct scenario *s, unsigned nth)
{
    uint64_t leader = cluster_leader(s->cluster);
    for (uint64_t id = 1; id <= cluster_tune(s->cluster)->nodes; id++) {
        if (id != leader && cluster_node(s->cluster, id)->up && nth-- == 0) {
            return id;
        }
    }
    give_up(s, "there is no such node");
}

static uint64_t node(const struct scenario *s, size_t i)
{
    if (word_is(s, i, "leader")) {
        return cluster_leader(s->cluster);
    }
    if (word_is(s, i, "follower") || word_is(s, i, "other")) {
        return follower(s, word_is(s, i, "other") ? 1 : 0);
    }
    if (i >= s->word_count || s->words[i][0] != 'n') {
        give_up(s, "a node is missing");
    }
    uint64_t id = strtoull(s->words[i] + 1, NULL, 10);
    if (id == 0 || id > cluster_tune(s->cluster)->nodes) {
        give_up(s, "there is no such node");
    }
    return id;
}

static void say(struct scenario *s, uint64_t id, const char *text)
{
    buf_printf(cluster_trace(s->cluster), "%" PRIu64 " n%" PRIu64 " %s\n", cluster_now(s->cluster),
               id, text);
}

/* A refusal is part of the story. */
static void answer(struct scenario *s, uint64_t id, enum err_code code)
{
    if (code != ERR_OK) {
        char text[600];
        (void)snprintf(text, sizeof text, "refuses: %s", cluster_refusal(s->cluster));
        say(s, id, text);
    }
}

static unsigned rule_of(const struct scenario *s, size_t i)
{
    for (size_t k = 0; k < sizeof rules / sizeof rules[0]; k++) {
        if (word_is(s, i, rules[k].name)) {
            return 1U << (unsigned)rules[k].number;
        }
    }
    give_up(s, "there is no such rule");
}

static void do_cluster(struct scenario *s)
{
    struct cluster_options o = {.seed = 1,
                                .nodes = number(s, 1),
                                .net_min_ms = 2,
                                .net_max_ms = 2,
                                .disk_min_ms = 1,
                                .disk_max_ms = 1,
                                .fetch_ms = 20,
                                .cache_size_max = 1 << 20,
                                .trace = true};
    o.voters = o.nodes;
    for (size_t i = 2; i + 1 < s->word_count; i += 2) {
        if (word_is(s, i, "voters")) {
            o.voters = number(s, i + 1);
        } else if (word_is(s, i, "seed")) {
            o.seed = number(s, i + 1);
        } else if (word_is(s, i, "cache")) {
            o.cache_size_max = number(s, i + 1);
        } else if (word_is(s, i, "without")) {
            o.guards_off |= rule_of(s, i + 1);
        } else {
            give_up(s, "unknown option");
        }
    }
    if (s->cluster != NULL) {
        cluster_close(s->cluster);
    }
    s->cluster = cluster_open(&o);
    buf_reset(cluster_trace(s->cluster));
}

static void do_run(struct scenario *s)
{
    if (word_is(s, 1, "to")) {
        if (cluster_run_to_leader(s->cluster, 20000) == 0) {
            give_up(s, "nobody leads");
        }
        return;
    }
    cluster_run(s->cluster, number(s, 1));
}

static void do_change(struct scenario *s)
{
    static const char *const roles[] = {"spare", "standby", "voter", "gone"};
    uint64_t id = node(s, 1);
    for (int role = 0; role < 4; role++) {
        if (word_is(s, 3, roles[role])) {
            answer(s, id, cluster_change(s->cluster, id, node(s, 2), role));
            return;
        }
    }
    give_up(s, "unknown role");
}

static void do_status(struct scenario *s)
{
    static const char *const roles[] = {"follows", "stands for election", "leads"};
    uint64_t id = node(s, 1);
    const struct cluster_node *n = cluster_node(s->cluster, id);
    if (!n->up) {
        say(s, id, "is down");
        return;
    }
    char text[300];
    struct replica_status t = replica_status(n->replica);
    (void)snprintf(text, sizeof text,
                   "%s in term %" PRIu64 ", log %" PRIu64 "..%" PRIu64 " of term %" PRIu64
                   ", durable %" PRIu64 ", commit %" PRIu64 ", applied %" PRIu64 "%s",
                   roles[t.role], t.term, t.first_index, t.last_index, t.last_term, t.durable_index,
                   t.commit_index, t.applied_index, t.leader_ready ? ", ready" : "");
    say(s, id, text);
}

static void do_isolate(struct scenario *s)
{
    cluster_isolate(s->cluster, node(s, 1), true);
}

static void do_cut(struct scenario *s)
{
    cluster_cut(s->cluster, node(s, 1), node(s, 2), true);
    cluster_cut(s->cluster, node(s, 2), node(s, 1), true);
}

static void do_heal(struct scenario *s)
{
    cluster_heal(s->cluster);
}

static void do_submit(struct scenario *s)
{
    uint64_t id = node(s, 1);
    answer(s, id,
           cluster_submit(s->cluster, id, number(s, 2), s->word_count > 3 ? number(s, 3) : 8));
}

static void do_read(struct scenario *s)
{
    uint64_t id = node(s, 1);
    answer(s, id, cluster_read(s->cluster, id));
}

static void do_transfer(struct scenario *s)
{
    uint64_t id = node(s, 1);
    answer(s, id, cluster_transfer(s->cluster, id, s->word_count > 2 ? node(s, 2) : 0));
}

static void do_gone(struct scenario *s)
{
    uint64_t id = node(s, 1);
    answer(s, id, cluster_gone(s->cluster, id, node(s, 2)));
}

static void do_checkpoint(struct scenario *s)
{
    if (!cluster_checkpoint(s->cluster, node(s, 1), number(s, 3))) {
        give_up(s, "no checkpoint is possible");
    }
}

static void do_crash(struct scenario *s)
{
    cluster_crash(s->cluster, node(s, 1), false);
}

static void do_start(struct scenario *s)
{
    cluster_start(s->cluster, node(s, 1));
}

static void do_hold(struct scenario *s)
{
    cluster_hold_disk(s->cluster, node(s, 2), true);
}

static void do_release(struct scenario *s)
{
    cluster_hold_disk(s->cluster, node(s, 2), false);
}

static void do_agree(struct scenario *s)
{
    cluster_check_equal(s->cluster);
    uint64_t leader = cluster_leader(s->cluster);
    char text[100];
    (void)snprintf(text, sizeof text, "and all others hold the same %" PRIu64 " entries",
                   cluster_node(s->cluster, leader)->applied);
    say(s, leader, text);
}

static void do_show(struct scenario *s)
{
    cluster_show_none(s->cluster);
    for (size_t i = 1; i < s->word_count; i++) {
        if (!cluster_show(s->cluster, s->words[i])) {
            give_up(s, "there is no such topic");
        }
    }
}

static const struct command {
    const char *name;
    void (*run)(struct scenario *s);
} commands[] = {
    {"cluster", do_cluster}, {"show", do_show},     {"run", do_run},
    {"submit", do_submit},   {"read", do_read},     {"transfer", do_transfer},
    {"gone", do_gone},       {"change", do_change}, {"checkpoint", do_checkpoint},
    {"crash", do_crash},     {"start", do_start},   {"isolate", do_isolate},
    {"cut", do_cut},         {"heal", do_heal},     {"hold", do_hold},
    {"release", do_release}, {"status", do_status}, {"agree", do_agree},
};

static void run_command(struct scenario *s, const char *text)
{
    split(s, text);
    if (s->cluster == NULL && !word_is(s, 0, "cluster")) {
        give_up(s, "a scenario begins with a cluster");
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (word_is(s, 0, commands[i].name)) {
            commands[i].run(s);
            struct buf *trace = cluster_trace(s->cluster);
            buf_put(&s->out, trace->data, trace->size);
            buf_reset(trace);
            return;
        }
    }
    give_up(s, "unknown command");
}

/* Comments and commands are kept, what follows a command is made anew. */
static void play(struct scenario *s, char *text)
{
    for (char *line = text; line != NULL && *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        s->line++;
        if (*line == '#' || *line == '>' || *line == '\0') {
            buf_printf(&s->out, "%s\n", line);
        }
        if (line[0] == '>' && line[1] == ' ') {
            run_command(s, line + 2);
        }
        line = end == NULL ? NULL : end + 1;
    }
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb"); /* check: banned-call: the runner reads its scenario itself */
    if (f == NULL) {
        (void)fprintf(stderr, "can't read %s\n", path);
        exit(2);
    }
    char *text = mem_zalloc(FILE_SIZE_MAX);
    size_t size = fread(text, 1, FILE_SIZE_MAX - 1, f);
    CHECK(size < FILE_SIZE_MAX - 1);
    (void)fclose(f);
    return text;
}

static bool compare(const struct scenario *s, const char *want)
{
    const char *got = (const char *)s->out.data;
    for (unsigned line = 1; *want != '\0' || *got != '\0'; line++) {
        size_t want_size = strcspn(want, "\n");
        size_t got_size = strcspn(got, "\n");
        if (want_size != got_size || memcmp(want, got, want_size) != 0) {
            (void)fprintf(stderr,
                          "%s:%u: it happens otherwise\n  it says:  %.*s\n  it is:    %.*s\n",
                          s->file, line, (int)want_size, want, (int)got_size, got);
            return false;
        }
        want += want_size + (want[want_size] == '\n' ? 1 : 0);
        got += got_size + (got[got_size] == '\n' ? 1 : 0);
    }
    return true;
}

int main(int argc, char **argv)
{
    bool write = argc == 3 && strcmp(argv[1], "--write") == 0;
    if (argc != 2 && !write) {
        (void)fprintf(stderr, "scenario_raft [--write] FILE\n");
        return 2;
    }
    struct scenario s = {.file = argv[argc - 1]};
    char *want = read_all(s.file);
    char *text = mem_strdup(want);
    play(&s, text);
    if (s.cluster == NULL) {
        give_up(&s, "nothing happens");
    }
    buf_put_u8(&s.out, 0);
    bool same = write || compare(&s, want);
    if (write) {
        (void)fputs((const char *)s.out.data, stdout);
    }
    cluster_close(s.cluster);
    buf_deinit(&s.out);
    mem_free(text);
    mem_free(want);
    return same ? 0 : 1;
}
