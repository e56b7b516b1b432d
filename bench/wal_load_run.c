/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds of a load on several logs in turns, and how figures are printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "bench/wal_load.h"

enum { PAYLOAD_SIZE_MAX = 4096 };

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    int rv = clock_gettime(clock, &now);
    CHECK(rv == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double load_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double load_busy(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

void load_must(enum err_code code, const struct err *e)
{
    if (code != ERR_OK) {
        (void)fprintf(stderr, "wal_load: %s\n", e != NULL ? e->text : err_name(code));
        exit(1); // NOLINT(concurrency-mt-unsafe): one thread
    }
}

void load_print(const char *name, const char *unit, const char *side, double value)
{
    (void)printf("{\"case\": \"%s\", \"unit\": \"%s\", \"side\": \"%s\", \"value\": %.6g}\n", name,
                 unit, side, value);
    (void)fflush(stdout);
}

void load_make_dir(const char *parent, const char *name, char path[LOAD_PATH_SIZE])
{
    (void)snprintf(path, LOAD_PATH_SIZE, "%s/%s", parent, name);
    for (char *c = path + strlen(parent) + 1; *c != '\0'; c++) {
        if (*c == ' ' || *c == ',') {
            *c = '-';
        }
    }
    if (mkdir(path, 0700) != 0) {
        perror(path);
        load_must(ERR_IO, NULL);
    }
}

/* Seconds that one side takes for its part of a round. */
static double seconds_of_side(const struct load *load, const struct load_side *side,
                              struct bytes payload)
{
    double (*seconds)(void) = load->busy ? load_busy : load_now;
    if (side->before != NULL) {
        side->before();
    }
    side->kind->tidy(side->log);
    double begin = seconds();
    for (size_t i = 0; i < side->batches; i++) {
        side->kind->write(side->log, payload, side->outstanding, load->sync);
    }
    return seconds() - begin;
}

/* All sides in order, and once more in the opposite order: whoever comes first finds
 * another cache than whoever comes second. */
static void run_round(const struct load *load, struct bytes payload, bool print)
{
    double took[LOAD_SIDES_MAX] = {0};
    for (size_t i = 0; i < 2 * load->side_count; i++) {
        size_t s = i < load->side_count ? i : 2 * load->side_count - 1 - i;
        took[s] += seconds_of_side(load, &load->sides[s], payload);
    }
    for (size_t s = 0; print && s < load->side_count; s++) {
        const struct load_side *side = &load->sides[s];
        load_print(load->name, "records/s", side->name,
                   (double)(2 * side->batches * side->outstanding) / took[s]);
    }
}

void load_run(struct load *load, const char *dir, size_t rounds)
{
    uint8_t payload[PAYLOAD_SIZE_MAX];
    char own[LOAD_PATH_SIZE];
    char of_load[LOAD_PATH_SIZE];
    CHECK(load->size <= sizeof payload);
    CHECK(load->side_count > 0);
    load_make_dir(dir, load->name, of_load);
    for (size_t i = 0; i < load->size; i++) {
        payload[i] = (uint8_t)(i * 7 + 1);
    }
    for (size_t s = 0; s < load->side_count; s++) {
        struct load_side *side = &load->sides[s];
        if (load->one_log && s > 0) {
            side->log = load->sides[0].log;
            continue;
        }
        load_make_dir(of_load, side->name, own);
        side->log = side->kind->open(own);
    }
    for (size_t r = 0; r <= rounds; r++) {
        run_round(load, bytes_of(payload, load->size), r > 0); /* the first one warms up */
    }
    for (size_t s = 0; s < (load->one_log ? 1 : load->side_count); s++) {
        load->sides[s].kind->close(load->sides[s].log);
    }
}

void load_add(struct load *load, const char *name, const struct load_kind *kind, size_t outstanding,
              size_t batches)
{
    CHECK(load->side_count < LOAD_SIDES_MAX);
    load->sides[load->side_count++] = (struct load_side){
        .name = name, .kind = kind, .outstanding = outstanding, .batches = batches};
}
