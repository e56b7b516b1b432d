/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target without libFuzzer: over every kept input, and over a fixed
 * set of mutations of each (cut short, bytes changed), so that every build and
 * every compiler has the target in its tests.
 *
 *   fuzz_x FILE-OR-DIRECTORY...
 *
 * Ends with failure when there was no input: then nothing was tested. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum {
    INPUT_SIZE_MAX = 1 << 20,
    PATH_SIZE = 4096,
    CUTS_MAX = 64,
    CHANGES = 192,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct counts {
    unsigned files;
    unsigned runs;
};

/* A copy of exactly the right size: a read past its end is seen by asan. */
static void run_one(const uint8_t *data, size_t size, struct counts *counts)
{
    uint8_t *copy = mem_alloc(size == 0 ? 1 : size);
    memcpy(copy, data, size);
    int result = LLVMFuzzerTestOneInput(copy, size);
    mem_free(copy);
    if (result != 0) {
        (void)fprintf(stderr, "the target returned %d\n", result);
        exit(1);
    }
    counts->runs++;
}

/* splitmix64: any fixed sequence will do. */
static uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = *state;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void run_mutations(uint8_t *data, size_t size, struct counts *counts)
{
    size_t step = size / CUTS_MAX + 1;
    for (size_t cut = 0; cut < size; cut += step) {
        run_one(data, cut, counts);
    }
    uint64_t state = size;
    for (unsigned i = 0; i < CHANGES && size > 0; i++) {
        uint64_t random = next_random(&state);
        size_t at = (size_t)(random >> 16) % size;
        uint8_t kept = data[at];
        uint64_t changed = i % 2 == 0 ? kept ^ 1U << random % 8 : random;
        data[at] = (uint8_t)(changed & 0xff);
        run_one(data, size, counts);
        data[at] = kept;
    }
}

static void run_file(const char *path, struct counts *counts)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    uint8_t *data = mem_alloc(INPUT_SIZE_MAX);
    size_t size = fread(data, 1, INPUT_SIZE_MAX, file);
    (void)fclose(file);
    counts->files++;
    run_one(data, size, counts);
    run_mutations(data, size, counts);
    mem_free(data);
}

static void run_directory(const char *path, DIR *directory, struct counts *counts)
{
    for (;;) {
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            break;
        }
        if (entry->d_name[0] == '.') {
            continue;
        }
        char file[PATH_SIZE];
        int size = snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (size < 0 || (size_t)size >= sizeof file) {
            (void)fprintf(stderr, "%s: name too long\n", path);
            exit(1);
        }
        run_file(file, counts);
    }
}

int main(int argc, char **argv)
{
    struct counts counts = {0, 0};
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (directory == NULL) {
            run_file(argv[i], &counts);
            continue;
        }
        run_directory(argv[i], directory, &counts);
        (void)closedir(directory);
    }
    (void)printf("%u inputs, %u runs\n", counts.files, counts.runs);
    if (counts.files == 0) {
        (void)fprintf(stderr, "no input: nothing was tested\n");
        return 1;
    }
    return 0;
}
