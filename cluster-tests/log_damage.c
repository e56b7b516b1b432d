/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/log_damage.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/io_posix.h"
#include "testkit/test.h"

enum {
    FLIPS_MAX = 4,
    FLIP_SIZE_MAX = 600, /* more than a sector */
    SEGMENT_SIZE_MAX = 4 * LIMIT_MIB,
    SEGMENT_NAME_SIZE = 24,
};

/* The records come behind the header and the identifiers; those take the first
 * eighth of a segment. */
static uint64_t records_begin(uint64_t segment_size)
{
    return segment_size / 8;
}

static bool find_used(const char *path, struct log_place *p)
{
    struct buf content = {0};
    struct err e;
    REQUIRE_OK(io_read_file(io_posix(), path, SEGMENT_SIZE_MAX, &content, &e));
    p->begin = records_begin(content.size);
    p->end = content.size;
    while (p->end > p->begin && content.data[p->end - 1] == 0) {
        p->end--;
    }
    buf_deinit(&content);
    (void)snprintf(p->path, sizeof p->path, "%s", path);
    return p->end > p->begin;
}

void log_place_find(struct cluster *c, size_t node, const char *log, struct log_place *out)
{
    char dir[IO_PATH_MAX];
    char path[IO_PATH_MAX];
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    REQUIRE_OK(io_join(dir, cluster_data_dir(c, node), log, &e));
    REQUIRE_OK(io_list(io_posix(), dir, &names, &count, &e));
    bool found = false;
    for (size_t i = count; i > 0 && !found; i--) {
        if (!names[i - 1].is_dir && strlen(names[i - 1].name) == SEGMENT_NAME_SIZE) {
            REQUIRE_OK(io_join(path, dir, names[i - 1].name, &e));
            found = find_used(path, out);
        }
    }
    mem_free(names);
    if (!found) {
        cluster_fail(c, "no records in the log %s of %s", log, cluster_name(c, node));
    }
}

void log_damage(struct cluster *c, size_t node, const char *log, unsigned from, unsigned until)
{
    struct random *random = cluster_random(c);
    struct log_place p;
    log_place_find(c, node, log, &p);
    uint64_t size = p.end - p.begin;
    uint64_t begin = p.begin + size * from / 8;
    uint64_t end = p.begin + size * until / 8;
    unsigned flips = (unsigned)random_between(random, 1, FLIPS_MAX);
    for (unsigned i = 0; i < flips; i++) {
        uint64_t count = random_between(random, 1, FLIP_SIZE_MAX);
        if (begin + count < end) {
            tree_flip(p.path, random_between(random, begin, end - count), count);
        }
    }
}
