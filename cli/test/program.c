/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test/program.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testkit/test.h"

enum { WORDS_MAX = 40, FILES_MAX = 16, PATH_SIZE = 256 };

static struct ran last;
static char files[FILES_MAX][PATH_SIZE];
static size_t file_count;

static void read_back(FILE *file, char *dst)
{
    REQUIRE_INT(fseek(file, 0, SEEK_SET), 0);
    size_t got = fread(dst, 1, PROGRAM_OUTPUT_SIZE - 1, file);
    dst[got] = '\0';
    (void)fclose(file);
}

static void become(char *const *argv, const char *endpoints)
{
    (void)unsetenv("TIDEMARK_ENDPOINTS");
    (void)unsetenv("TIDEMARK_TIMEOUT");
    (void)unsetenv("TIDEMARK_FORMAT");
    (void)unsetenv("TIDEMARK_QUIET");
    if (endpoints != NULL) {
        (void)setenv("TIDEMARK_ENDPOINTS", endpoints, 1);
    }
    if (argv[0] != NULL) {
        (void)execvp(argv[0], argv);
    }
    _exit(127);
}

static void run_child(char *const *argv, const char *endpoints, FILE *in, FILE *out, FILE *err)
{
    (void)dup2(fileno(in), STDIN_FILENO);
    (void)dup2(fileno(out), STDOUT_FILENO);
    (void)dup2(fileno(err), STDERR_FILENO);
    become(argv, endpoints);
}

static int wait_for(pid_t child)
{
    int status = 0;
    REQUIRE_INT(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(char *const *argv, const char *endpoints, const char *input, FILE *out, FILE *err)
{
    FILE *in = tmpfile();
    REQUIRE(in != NULL);
    (void)fputs(input, in);
    REQUIRE_INT(fseek(in, 0, SEEK_SET), 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        run_child(argv, endpoints, in, out, err);
    }
    (void)fclose(in);
    return wait_for(child);
}

const struct ran *program_run(const char *endpoints, const char *input, const char *const *words)
{
    char *argv[WORDS_MAX] = {(char *)(uintptr_t)TEST_PROGRAM_DIR "/tidemark"};
    for (size_t i = 0; words[i] != NULL; i++) {
        REQUIRE(i + 2 < WORDS_MAX);
        argv[i + 1] = (char *)(uintptr_t)words[i];
    }
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    REQUIRE(out != NULL);
    REQUIRE(err != NULL);
    last.code = run(argv, endpoints, input, out, err);
    read_back(out, last.out);
    read_back(err, last.err);
    return &last;
}

/* Until the program has closed the terminal. */
static void read_terminal(int fd, char *dst)
{
    size_t size = 0;
    for (;;) {
        ssize_t got = read(fd, dst + size, PROGRAM_OUTPUT_SIZE - 1 - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        size += (size_t)got;
    }
    dst[size] = '\0';
}

const struct ran *program_run_at_terminal(const char *endpoints, const char *typed, bool no_color,
                                          const char *const *words)
{
    char *argv[WORDS_MAX] = {(char *)(uintptr_t)TEST_PROGRAM_DIR "/tidemark"};
    for (size_t i = 0; words[i] != NULL; i++) {
        REQUIRE(i + 2 < WORDS_MAX);
        argv[i + 1] = (char *)(uintptr_t)words[i];
    }
    int fd = -1;
    pid_t child = forkpty(&fd, NULL, NULL, NULL);
    REQUIRE(child >= 0);
    if (child == 0) {
        (void)(no_color ? setenv("NO_COLOR", "1", 1) : unsetenv("NO_COLOR"));
        become(argv, endpoints);
    }
    REQUIRE_INT(write(fd, typed, strlen(typed)), (int64_t)strlen(typed));
    read_terminal(fd, last.out);
    (void)close(fd);
    last.err[0] = '\0';
    last.code = wait_for(child);
    return &last;
}

static int run_other(const char *const *words, const char *input, char *err)
{
    char *argv[WORDS_MAX] = {NULL};
    for (size_t i = 0; words[i] != NULL; i++) {
        REQUIRE(i + 1 < WORDS_MAX);
        argv[i] = (char *)(uintptr_t)words[i];
    }
    FILE *out = tmpfile();
    FILE *err_file = tmpfile();
    REQUIRE(out != NULL);
    REQUIRE(err_file != NULL);
    int code = run(argv, NULL, input, out, err_file);
    (void)fclose(out);
    read_back(err_file, err);
    return code;
}

const char *program_json_error(const struct ran *r)
{
    static char why[PROGRAM_OUTPUT_SIZE];
    static const char *const words[] = {"python3", "-m", "json.tool", NULL};
    return run_other(words, r->out, why) == 0 ? NULL : why;
}

int program_other(const char *const *words)
{
    static char err[PROGRAM_OUTPUT_SIZE];
    return run_other(words, "", err);
}

const char *program_new_file(void)
{
    REQUIRE(file_count < FILES_MAX);
    char *path = files[file_count++];
    (void)snprintf(path, PATH_SIZE, "/tmp/tidemark-cli-XXXXXX");
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    (void)close(fd);
    return path;
}

const char *program_file(const char *content)
{
    const char *path = program_new_file();
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    (void)fputs(content, file);
    (void)fclose(file);
    return path;
}

const char *program_read_file(const char *path)
{
    static char content[PROGRAM_OUTPUT_SIZE];
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    read_back(file, content);
    return content;
}

void program_remove_files(void)
{
    while (file_count > 0) {
        (void)unlink(files[--file_count]);
    }
}
