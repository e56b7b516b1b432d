/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark wal dump and verify, on logs that are made, and damaged, here. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/test/program.h"
#include "io/io_posix.h"
#include "proto/command.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "testkit/test.h"
#include "wal/wal_inspect.h"

struct data_dir {
    char path[64];
};

static enum err_code keep_extent(void *context, const struct wal_extent *extent, struct err *e)
{
    (void)context;
    (void)extent;
    (void)e;
    return ERR_OK;
}

/* A log of one segment that was made before. */
static struct wal_options options_of(const char *dir, enum wal_role role)
{
    return (struct wal_options){
        .io = io_posix(),
        .dir = dir,
        .role = role,
        .cluster_id = 1,
        .directory_id = 2,
        .timeline = 1,
        .segment_size = 64 * 1024,
        .recovery_mode = WAL_POINT_IN_TIME_RECOVERY,
        .extent = {.segment_first = 1, .segment_last = 1},
        .extent_changed = keep_extent,
    };
}

static unsigned lines_of(const char *text)
{
    unsigned lines = 0;
    for (const char *p = text; *p != '\0'; p++) {
        lines += *p == '\n' ? 1 : 0;
    }
    return lines;
}

/* Five entries, closed cleanly. */
static void make_log(const char *dir, enum wal_role role)
{
    struct wal_options options = options_of(dir, role);
    options.fresh = true;
    struct wal *w = NULL;
    struct wal_report report;
    struct err e = {0};
    REQUIRE_OK(wal_open(&options, &w, &report, &e));
    for (uint64_t i = 1; i <= 5; i++) {
        char payload[128];
        memset(payload, (int)('a' + i), sizeof payload);
        struct wal_entry entry = {
            .index = i,
            .term = 1,
            .type = WAL_COMMAND,
            .payload = bytes_of(payload, sizeof payload),
        };
        REQUIRE_OK(wal_append(w, &entry, 1, i - 1, &e));
    }
    REQUIRE_OK(wal_sync(w, &e));
    REQUIRE_OK(wal_close(w, &e));
}

/* Entry 6, of term 2. */
static void append_write(const char *dir, char *database, char *table)
{
    struct wal_options options = options_of(dir, WAL_RAFT);
    struct wal *w = NULL;
    struct wal_report report;
    struct err e = {0};
    struct buf body = {0};
    struct buf payload = {0};
    Tidemark__V1__WriteRequest write;
    tidemark__v1__write_request__init(&write);
    write.database = database;
    write.table = table;
    size_t size = tidemark__v1__write_request__get_packed_size(&write);
    (void)tidemark__v1__write_request__pack(&write, buf_extend(&body, size));
    const struct command command = {.kind = COMMAND_WRITE, .body = buf_bytes(&body)};
    command_put(&payload, &command);
    const struct wal_entry entry = {
        .index = 6, .term = 2, .type = WAL_COMMAND, .payload = buf_bytes(&payload)};
    REQUIRE_OK(wal_open(&options, &w, &report, &e));
    REQUIRE_OK(wal_append(w, &entry, 1, 5, &e));
    REQUIRE_OK(wal_close(w, &e));
    buf_deinit(&body);
    buf_deinit(&payload);
}

/* As a node does with an entry that it got from another. */
static void repair(const char *dir, uint64_t index, char letter)
{
    struct wal_options options = options_of(dir, WAL_RAFT);
    struct wal *w = NULL;
    struct wal_report report;
    struct err e = {0};
    char payload[128];
    memset(payload, letter, sizeof payload);
    const struct wal_entry entry = {.index = index,
                                    .term = 1,
                                    .type = WAL_COMMAND,
                                    .payload = bytes_of(payload, sizeof payload)};
    REQUIRE_OK(wal_open(&options, &w, &report, &e));
    REQUIRE_OK(wal_repair(w, &entry, &e));
    REQUIRE_OK(wal_close(w, &e));
}

static struct data_dir make_data_dir(void)
{
    struct data_dir d = {"/tmp/tidemark-cli-wal-XXXXXX"};
    char path[IO_PATH_MAX];
    REQUIRE(mkdtemp(d.path) != NULL);
    REQUIRE_OK(io_join(path, d.path, "raft", NULL));
    make_log(path, WAL_RAFT);
    REQUIRE_OK(io_join(path, d.path, "wal", NULL));
    make_log(path, WAL_LOCAL);
    return d;
}

static void remove_dir(const char *path)
{
    struct io_name *names = NULL;
    size_t count = 0;
    REQUIRE_OK(io_list(io_posix(), path, &names, &count, NULL));
    for (size_t i = 0; i < count; i++) {
        char file[IO_PATH_MAX];
        REQUIRE_OK(io_join(file, path, names[i].name, NULL));
        if (names[i].is_dir) {
            struct io_name *inner = NULL;
            size_t inner_count = 0;
            REQUIRE_OK(io_list(io_posix(), file, &inner, &inner_count, NULL));
            for (size_t j = 0; j < inner_count; j++) {
                char inner_file[IO_PATH_MAX];
                REQUIRE_OK(io_join(inner_file, file, inner[j].name, NULL));
                REQUIRE_OK(io_unlink(io_posix(), inner_file, NULL));
            }
            mem_free(inner);
            REQUIRE_OK(io_rmdir(io_posix(), file, NULL));
        } else {
            REQUIRE_OK(io_unlink(io_posix(), file, NULL));
        }
    }
    mem_free(names);
    REQUIRE_OK(io_rmdir(io_posix(), path, NULL));
}

/* Turns one byte of the first payload that is filled with 'letter'. */
static void damage(const char *dir, char letter)
{
    char pattern[16];
    char path[IO_PATH_MAX];
    struct io_name *names = NULL;
    size_t count = 0;
    memset(pattern, letter, sizeof pattern);
    REQUIRE_OK(io_list(io_posix(), dir, &names, &count, NULL));
    bool done = false;
    for (size_t i = 0; i < count && !done; i++) {
        struct buf content = {0};
        REQUIRE_OK(io_join(path, dir, names[i].name, NULL));
        REQUIRE_OK(io_read_file(io_posix(), path, 1024 * 1024, &content, NULL));
        for (size_t at = 0; at + sizeof pattern <= content.size && !done; at++) {
            if (memcmp(content.data + at, pattern, sizeof pattern) == 0) {
                struct file *file = NULL;
                struct bytes bad = bytes_of("!", 1);
                REQUIRE_OK(io_open(io_posix(), path, IO_WRITE, &file, NULL));
                REQUIRE_OK(file_write_at(file, at + 3, &bad, 1, NULL));
                file_close(file);
                done = true;
            }
        }
        buf_deinit(&content);
    }
    mem_free(names);
    REQUIRE(done);
}

TEST(program_wal, dump_prints_the_records_of_both_logs)
{
    struct data_dir d = make_data_dir();
    const struct ran *r = RUN(NULL, "wal", "dump", d.path, "--format", "json");
    EXPECT_INT(r->code, 0);
    EXPECT(program_json_error(r) == NULL);
    EXPECT_CONTAINS(r->out, "{\"log\": \"raft\", \"lsn\": \"0/");
    EXPECT_CONTAINS(r->out, "{\"log\": \"local\", \"lsn\": \"0/");
    EXPECT_CONTAINS(r->out, "\"index\": 5, \"term\": 1, \"kind\": \"command\", \"size\": 128, "
                            "\"commit\": 4,");
    EXPECT(strstr(r->out, "\"damaged\"") == NULL);
    char raft[IO_PATH_MAX];
    REQUIRE_OK(io_join(raft, d.path, "raft", NULL));
    r = RUN(NULL, "wal", "dump", raft, "--index", "3");
    EXPECT_INT(r->code, 0);
    EXPECT_UINT(lines_of(r->out), 2);
    r = RUN(NULL, "wal", "dump", d.path, "--limit", "2", "--lsn", "0/1..");
    EXPECT_INT(r->code, 0);
    EXPECT(strstr(r->out, "local,") == NULL);
    EXPECT_UINT(lines_of(r->out), 3);
    remove_dir(d.path);
}

TEST(program_wal, dump_shows_what_was_asked_for)
{
    struct data_dir d = make_data_dir();
    char raft[IO_PATH_MAX];
    REQUIRE_OK(io_join(raft, d.path, "raft", NULL));
    char metrics[] = "metrics";
    char cpu[] = "cpu";
    append_write(raft, metrics, cpu);
    EXPECT_UINT(lines_of(RUN(NULL, "wal", "dump", raft, "--index", "2..4")->out), 4);
    EXPECT_UINT(lines_of(RUN(NULL, "wal", "dump", raft, "--term", "2..")->out), 3); /* and a MARK */
    EXPECT_UINT(lines_of(RUN(NULL, "wal", "dump", raft, "--type", "mark")->out), 3);
    EXPECT_UINT(lines_of(RUN(NULL, "wal", "dump", raft, "--lsn", "..0/1")->out), 1);
    const struct ran *r = RUN(NULL, "wal", "dump", raft, "--type", "write");
    EXPECT_UINT(lines_of(r->out), 2);
    EXPECT_CONTAINS(r->out, ",write,metrics.cpu,whole,held\n");
    r = RUN(NULL, "wal", "dump", raft, "--table", "metrics.cpu", "--format", "json");
    EXPECT_CONTAINS(r->out, "\"index\": 6, \"term\": 2, \"kind\": \"command\"");
    EXPECT_CONTAINS(r->out, "\"commands\": \"write\", \"tables\": \"metrics.cpu\"");
    EXPECT(strstr(r->out, "\"index\": 5") == NULL);
    EXPECT_UINT(lines_of(RUN(NULL, "wal", "dump", raft, "--table", "metrics.memory")->out), 1);
    EXPECT_CONTAINS(RUN(NULL, "wal", "dump", raft, "--index", "1")->out, ",not readable,");
    static const char *const ranges[] = {"--index", "--term", "--lsn"};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        r = RUN(NULL, "wal", "dump", raft, ranges[i], "x");
        EXPECT_INT(r->code, 2);
        EXPECT_CONTAINS(r->err, ranges[i]);
    }
    remove_dir(d.path);
}

/* A node that writes while the program reads along. */
struct writing {
    const char *dir;
    atomic_bool enough;
    bool good;
};

static void *write_on(void *context)
{
    enum { ENTRIES_MAX = 20000, PAUSE_MS = 2 };
    struct writing *writing = context;
    struct wal_report report;
    struct wal *w = NULL;
    struct err e = {0};
    struct wal_options options = options_of(writing->dir, WAL_RAFT);
    writing->good = wal_open(&options, &w, &report, &e) == ERR_OK;
    for (uint64_t i = 6; i < ENTRIES_MAX && writing->good && !writing->enough; i++) {
        struct wal_entry entry = {
            .index = i, .term = 1, .type = WAL_COMMAND, .payload = bytes_str("x")};
        writing->good = wal_append(w, &entry, 1, i - 1, &e) == ERR_OK && wal_sync(w, &e) == ERR_OK;
        (void)poll(NULL, 0, PAUSE_MS);
    }
    writing->good = writing->good && wal_close(w, &e) == ERR_OK;
    return NULL;
}

TEST(program_wal, dump_follows_a_log_that_is_written)
{
    struct data_dir d = make_data_dir();
    char raft[IO_PATH_MAX];
    REQUIRE_OK(io_join(raft, d.path, "raft", NULL));
    struct writing writing = {.dir = raft};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, write_on, &writing) == 0);
    const struct ran *r =
        RUN(NULL, "wal", "dump", raft, "--follow", "--limit", "40", "--type", "command");
    EXPECT_INT(r->code, 0);
    EXPECT_UINT(lines_of(r->out), 41);
    EXPECT_CONTAINS(r->out, ",40,1,command,1,39,");
    EXPECT(strstr(r->out, ",lost") == NULL);
    r = RUN(NULL, "wal", "dump", raft, "--follow", "--limit", "3", "--format", "json");
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, "\"index\": 1,");
    EXPECT_CONTAINS(r->out, "\"index\": 3,");
    writing.enough = true;
    REQUIRE(pthread_join(thread, NULL) == 0);
    EXPECT(writing.good);
    EXPECT_INT(RUN(NULL, "wal", "verify", raft)->code, 0);
    remove_dir(d.path);
}

TEST(program_wal, verify_is_content_with_a_sound_log)
{
    struct data_dir d = make_data_dir();
    const struct ran *r = RUN(NULL, "wal", "verify", d.path);
    EXPECT_INT(r->code, 0);
    EXPECT_STR(r->out, "log,problem,state,lsn,segment,index,index_last,term,kind,size\n");
    EXPECT_CONTAINS(r->err, "raft: ok: 1 segments");
    EXPECT_CONTAINS(r->err, "local: ok: 1 segments");
    remove_dir(d.path);
}

TEST(program_wal, verify_lists_every_damage)
{
    struct data_dir d = make_data_dir();
    char raft[IO_PATH_MAX];
    REQUIRE_OK(io_join(raft, d.path, "raft", NULL));
    damage(raft, 'c');
    damage(raft, 'e');
    const struct ran *r = RUN(NULL, "wal", "verify", d.path, "--format", "json");
    EXPECT_INT(r->code, 1);
    EXPECT(program_json_error(r) == NULL);
    EXPECT_CONTAINS(r->out, "{\"log\": \"raft\", \"problem\": \"damaged\", \"state\": \"lost\"");
    EXPECT_CONTAINS(r->out, "\"index\": 2, \"index_last\": 2, \"term\": 1, \"kind\": \"command\", "
                            "\"size\": 128}");
    EXPECT_CONTAINS(r->out, "\"index\": 4, \"index_last\": 4, \"term\": 1");
    EXPECT_CONTAINS(r->out, "\"records_damaged\": 2");
    EXPECT_CONTAINS(r->err, "tidemark: 2 problems found\n");
    EXPECT_CONTAINS(r->err, "raft: damaged: 1 segments");
    EXPECT_CONTAINS(r->err, "local: ok: 1 segments");
    r = RUN(NULL, "wal", "dump", raft, "--index", "2", "--format", "csv");
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, ",damaged,lost\n");
    remove_dir(d.path);
}

/* Fetched from another node, it stands in the segment's side file: not a problem. */
TEST(program_wal, what_was_repaired_is_no_problem)
{
    struct data_dir d = make_data_dir();
    char raft[IO_PATH_MAX];
    REQUIRE_OK(io_join(raft, d.path, "raft", NULL));
    damage(raft, 'c');
    damage(raft, 'e');
    repair(raft, 2, 'c');
    const struct ran *r = RUN(NULL, "wal", "verify", raft);
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "tidemark: 1 problem found\n");
    repair(raft, 4, 'x'); /* another entry of that term: it can't stand in the old place */
    r = RUN(NULL, "wal", "verify", raft, "--format", "json");
    EXPECT_INT(r->code, 0);
    EXPECT(program_json_error(r) == NULL);
    EXPECT_CONTAINS(r->out, "\"problem\": \"damaged\", \"state\": \"repaired\"");
    EXPECT_CONTAINS(r->out, "\"problems\": 0, \"repaired\": 1, \"settled\": 0");
    EXPECT_CONTAINS(r->err, ": ok: 1 segments");
    EXPECT_CONTAINS(RUN(NULL, "wal", "dump", raft, "--index", "4")->out, ",damaged,repaired\n");
    remove_dir(d.path);
}

TEST(program_wal, a_directory_without_a_log_is_refused)
{
    char path[] = "/tmp/tidemark-cli-wal-XXXXXX";
    REQUIRE(mkdtemp(path) != NULL);
    const struct ran *r = RUN(NULL, "wal", "verify", path);
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->out, "no segment");
    r = RUN(NULL, "wal", "dump", path);
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "no segment");
    r = RUN(NULL, "wal", "dump", "/nowhere/at/all");
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "No such file or directory");
    remove_dir(path);
}
