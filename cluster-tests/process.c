/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

enum { EXIT_NOT_EXECUTED = 127, OUTPUT_MODE = 0600, VARIABLES_MAX = 256 };

extern char **environ;

/* The environment without the variables that are meant for the test, which a
 * node would take for its own. */
struct environment {
    char *list[VARIABLES_MAX + 1];
};

static void copy_environment(struct environment *out)
{
    size_t count = 0;
    for (char **v = environ; *v != NULL && count < VARIABLES_MAX; v++) {
        if (strncmp(*v, "TIDEMARK_", strlen("TIDEMARK_")) != 0) {
            out->list[count++] = *v;
        }
    }
    out->list[count] = NULL;
}

/* Only what may be called between fork() and exec(). The child reports why it
 * could not execute by the number on 'report', which exec() closes. */
__attribute__((noreturn)) static void run_child(const char *const *argv, const char *output,
                                                const struct environment *environment, pid_t parent,
                                                int report)
{
    int fd = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, OUTPUT_MODE);
    if (fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0 &&
        prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) {
        if (getppid() != parent) {
            _exit(EXIT_NOT_EXECUTED); /* it died before the line above */
        }
        /* execve() takes char *const * for history's sake and changes nothing. */
        union {
            const char *const *in;
            char *const *out;
        } arguments = {.in = argv};
        (void)execve(argv[0], arguments.out, environment->list);
    }
    int reason = errno;
    (void)!write(report, &reason, sizeof reason);
    _exit(EXIT_NOT_EXECUTED);
}

enum err_code process_start(struct process *p, const char *const *argv, const char *output,
                            struct err *e)
{
    CHECK(p->id == 0);
    int report[2];
    int rv = pipe2(report, O_CLOEXEC);
    CHECK(rv == 0);
    struct environment environment;
    copy_environment(&environment);
    pid_t parent = getpid();
    pid_t id = fork();
    if (id == 0) {
        run_child(argv, output, &environment, parent, report[1]);
    }
    (void)close(report[1]);
    int reason = 0;
    ssize_t got = id < 0 ? -1 : read(report[0], &reason, sizeof reason);
    (void)close(report[0]);
    if (id < 0) {
        return err_set(e, ERR_IO, "fork: %s", strerror(errno));
    }
    if (got > 0) {
        (void)waitpid(id, NULL, 0);
        return err_set(e, ERR_IO, "%s: %s", argv[0], strerror(reason));
    }
    *p = (struct process){.id = id};
    return ERR_OK;
}

void process_signal(struct process *p, int number)
{
    CHECK(p->id > 0);
    int rv = kill(p->id, number);
    CHECK(rv == 0); /* until it is waited for, the id is ours */
}

void process_pause(struct process *p)
{
    process_signal(p, SIGSTOP);
    siginfo_t info = {0};
    int rv = waitid(P_PID, (id_t)p->id, &info, WSTOPPED | WEXITED | WNOWAIT);
    CHECK(rv == 0);
    p->paused = info.si_code == CLD_STOPPED;
}

void process_resume(struct process *p)
{
    process_signal(p, SIGCONT);
    p->paused = false;
}

bool process_has_ended(struct process *p, struct process_end *end)
{
    CHECK(p->id > 0);
    int status = 0;
    pid_t id = waitpid(p->id, &status, WNOHANG);
    CHECK(id >= 0);
    if (id == 0) {
        return false;
    }
    *end = (struct process_end){
        .code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .number = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
    };
    *p = (struct process){0};
    return true;
}

enum err_code process_wait(struct process *p, uint64_t timeout_ms, struct process_end *end,
                           struct err *e)
{
    CHECK(p->id > 0);
    int fd = (int)syscall(SYS_pidfd_open, p->id, 0); /* readable once it has ended */
    CHECK(fd >= 0);
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    int rv = poll(&ended, 1, (int)timeout_ms);
    CHECK(rv >= 0 || errno == EINTR);
    (void)close(fd);
    if (!process_has_ended(p, end)) {
        return err_set(e, ERR_DEADLINE, "process %ld still runs after %llu ms", (long)p->id,
                       (unsigned long long)timeout_ms);
    }
    return ERR_OK;
}

void process_kill(struct process *p)
{
    if (p->id > 0) {
        process_signal(p, SIGKILL);
        (void)waitpid(p->id, NULL, 0);
        *p = (struct process){0};
    }
}

uint64_t process_now_us(void)
{
    enum { US_PER_S = 1000000, NS_PER_US = 1000 };
    struct timespec t;
    int rv = clock_gettime(CLOCK_MONOTONIC, &t);
    CHECK(rv == 0);
    return (uint64_t)t.tv_sec * US_PER_S + (uint64_t)t.tv_nsec / NS_PER_US;
}
