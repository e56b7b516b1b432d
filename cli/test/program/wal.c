/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark wal dump and verify, on logs that are made, and damaged, here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/test/program.h"
#include "io/io_posix.h"
#include "testkit/test.h"
#include "wal/wal.h"

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

/* Five entries, closed cleanly. */
static void make_log(const char *dir, enum wal_role role)
{
    struct wal_options options = {
        .io = io_posix(),
        .dir = dir,
        .role = role,
        .cluster_id = 1,
        .directory_id = 2,
        .timeline = 1,
        .segment_size = 64 * 1024,
        .recovery_mode = WAL_POINT_IN_TIME_RECOVERY,
        .fresh = true,
        .extent_changed = keep_extent,
    };
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
    unsigned lines = 0;
    for (const char *p = r->out; *p != '\0'; p++) {
        lines += *p == '\n' ? 1 : 0;
    }
    EXPECT_UINT(lines, 2);
    r = RUN(NULL, "wal", "dump", d.path, "--limit", "2", "--from-lsn", "0/1");
    EXPECT_INT(r->code, 0);
    EXPECT(strstr(r->out, "local,") == NULL);
    EXPECT_INT(RUN(NULL, "wal", "dump", d.path, "--from-lsn", "x")->code, 2);
    remove_dir(d.path);
}

TEST(program_wal, verify_is_content_with_a_sound_log)
{
    struct data_dir d = make_data_dir();
    const struct ran *r = RUN(NULL, "wal", "verify", d.path);
    EXPECT_INT(r->code, 0);
    EXPECT_STR(r->out, "log,problem,lsn,segment,index,term,kind,size\n");
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
    EXPECT_CONTAINS(r->out, "{\"log\": \"raft\", \"problem\": \"damaged\"");
    EXPECT_CONTAINS(r->out, "\"index\": 2, \"term\": 1, \"kind\": \"command\", \"size\": 128}");
    EXPECT_CONTAINS(r->out, "\"index\": 4, \"term\": 1, \"kind\": \"command\", \"size\": 128}");
    EXPECT_CONTAINS(r->out, "\"records_damaged\": 2");
    EXPECT_CONTAINS(r->err, "tidemark: 2 problems found\n");
    EXPECT_CONTAINS(r->err, "raft: damaged: 1 segments");
    EXPECT_CONTAINS(r->err, "local: ok: 1 segments");
    r = RUN(NULL, "wal", "dump", raft, "--index", "2", "--format", "csv");
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, ",damaged,false\n");
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
