/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/import_report.h"
#include "testkit/test.h"

static char text[8192];

static void read_back(FILE *file)
{
    REQUIRE_INT(fseek(file, 0, SEEK_SET), 0);
    size_t got = fread(text, 1, sizeof text - 1, file);
    text[got] = '\0';
    (void)fclose(file);
}

TEST(import_report, shows_the_first_refused_lines)
{
    FILE *err = tmpfile();
    REQUIRE(err != NULL);
    struct import_rejects r;
    struct err e = {0};
    REQUIRE_OK(import_rejects_open(&r, NULL, 30, err, &e));
    for (uint64_t i = 1; i <= 30; i++) {
        EXPECT(import_rejects_add(&r, i, i == 1 ? "bad \x1b[2J" : "bad"));
    }
    EXPECT(!import_rejects_add(&r, 31, "one too many"));
    EXPECT_UINT(r.count, 31);
    EXPECT_OK(import_rejects_close(&r, &e));
    read_back(err);
    EXPECT_CONTAINS(text, "line 1: bad ?[2J\nline 2: bad\n");
    EXPECT_CONTAINS(text, "line 20: bad\nmore refused lines are counted, not shown");
    EXPECT(strstr(text, "line 21") == NULL);
}

TEST(import_report, none_is_tolerated_by_default)
{
    FILE *err = tmpfile();
    REQUIRE(err != NULL);
    struct import_rejects r;
    REQUIRE_OK(import_rejects_open(&r, NULL, 0, err, NULL));
    EXPECT(!import_rejects_add(&r, 3, "bad"));
    EXPECT_OK(import_rejects_close(&r, NULL));
    (void)fclose(err);
}

TEST(import_report, a_named_file_keeps_every_refused_line)
{
    char path[] = "/tmp/tidemark-rejects-XXXXXX";
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    (void)close(fd);
    struct import_rejects r;
    struct err e = {0};
    REQUIRE_OK(import_rejects_open(&r, path, 9, stderr, &e));
    EXPECT(import_rejects_add(&r, 7, "say \"what\", please"));
    EXPECT_OK(import_rejects_close(&r, &e));
    EXPECT_OK(import_rejects_close(&r, &e));
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    read_back(file);
    EXPECT_STR(text, "line,reason\n7,\"say \"\"what\"\", please\"\n");
    (void)unlink(path);
}

TEST(import_report, a_file_that_cannot_be_written_is_an_error)
{
    struct import_rejects r;
    struct err e = {0};
    EXPECT_ERR(import_rejects_open(&r, "/nowhere/at/all", 0, stderr, &e), ERR_IO);
    EXPECT_STR(e.text, "/nowhere/at/all: No such file or directory");
    REQUIRE_OK(import_rejects_open(&r, "/dev/full", 9, stderr, &e));
    EXPECT(import_rejects_add(&r, 7, "bad"));
    EXPECT_ERR(import_rejects_close(&r, &e), ERR_IO);
}

TEST(import_report, tells_how_far_it_is)
{
    char dst[IMPORT_PROGRESS_SIZE];
    struct import_progress p = {.size = 1000, .read = 500, .rows = 1234567, .elapsed_ms = 1000};
    EXPECT_STR(import_progress_text(&p, dst),
               " 50% [============            ]  1,234,567 rows  1,234,567 rows/s");
    p.read = 2000;
    p.retries = 3;
    p.rows = 0;
    EXPECT_STR(import_progress_text(&p, dst),
               "100% [========================]  0 rows  0 rows/s  3 retries");
    p.size = 0;
    p.rows = 12;
    p.elapsed_ms = 0;
    p.retries = 0;
    EXPECT_STR(import_progress_text(&p, dst), "12 rows  0 rows/s");
    p = (struct import_progress){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 1};
    EXPECT_CONTAINS(import_progress_text(&p, dst), "100%");
}
