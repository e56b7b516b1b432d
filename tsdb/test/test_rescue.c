/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

enum { HOSTS = 12, PATH_SIZE = 128 };

/* A state of several parts, and an older checkpoint. */
static struct fixture build(uint64_t *before)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    *before = f.index;
    for (int i = 0; i < HOSTS; i++) {
        char host[16];
        (void)snprintf(host, sizeof host, "h%d", i);
        EXPECT_OK(put(&f, host, "5 5 - - -\n6 6 - - -"));
    }
    EXPECT_OK(checkpoint(&f, NULL));
    return f;
}

static struct tsdb_rescued rescue(struct fixture *f)
{
    struct tsdb_rescued r;
    REQUIRE_OK(tsdb_rescue(f->io, "tsdb", "saved", &r, &f->err));
    return r;
}

/* The rows of what was rescued, as scan_all() gives them. */
static const char *scan_rescued(struct fixture *f, const struct tsdb_rescued *r)
{
    const struct tsdb_options options = {.io = f->io, .dir = "saved", .checkpoint_index = r->index};
    tsdb_close(f->db);
    f->db = NULL;
    REQUIRE_OK(tsdb_open(&options, &f->db, &f->err));
    f->index = r->index;
    return scan_all(f);
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

/* The i-th file of 'from' whose name begins so. */
static void name_file(struct fixture *f, const char *start, size_t i, char dst[PATH_SIZE])
{
    struct io_name *names = NULL;
    size_t count = 0;
    dst[0] = '\0';
    REQUIRE_OK(io_list(f->io, "tsdb", &names, &count, &f->err));
    for (size_t n = 0; n < count; n++) {
        if (strncmp(names[n].name, start, strlen(start)) == 0 && i-- == 0) {
            (void)snprintf(dst, PATH_SIZE, "tsdb/%s", names[n].name);
        }
    }
    mem_free(names);
    REQUIRE(dst[0] != '\0');
}

TEST(rescue, a_whole_checkpoint_is_copied_whole)
{
    uint64_t before;
    struct fixture f = build(&before);
    struct buf all = {0};
    buf_put(&all, scan_all(&f), strlen(scan_all(&f)) + 1);
    uint64_t writes = fake_disk_calls_of(f.disk, FAKE_DISK_UNLINK);
    struct tsdb_rescued r = rescue(&f);
    EXPECT_UINT(r.index, f.index);
    EXPECT_UINT(r.manifests_bad, 0);
    EXPECT_UINT(r.parts_dropped, 0);
    EXPECT(r.parts_kept > 1);
    EXPECT_UINT(r.rows_kept, 2 * HOSTS + 1);
    EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_UNLINK), writes);
    EXPECT_STR(scan_rescued(&f, &r), (const char *)all.data);
    buf_deinit(&all);
    fixture_close(&f);
}

/* Flipped, unreadable, missing: the others stay. */
TEST(rescue, a_part_that_does_not_check_is_left_out)
{
    for (int damage = 0; damage < 3; damage++) {
        uint64_t before;
        char path[PATH_SIZE];
        struct fixture f = build(&before);
        name_file(&f, "part-", 1, path);
        if (damage == 0) {
            fake_disk_flip_bit(f.disk, path, fake_disk_file_size(f.disk, path) / 2, 1);
        } else if (damage == 1) {
            fake_disk_read_error(f.disk, path, 0, 64);
        } else {
            fake_disk_remove(f.disk, path);
        }
        struct tsdb_rescued r = rescue(&f);
        EXPECT_UINT(r.index, f.index);
        EXPECT_UINT(r.parts_dropped, 1);
        EXPECT(r.rows_dropped > 0);
        EXPECT_UINT(r.rows_kept + r.rows_dropped, 2 * HOSTS + 1);
        EXPECT(strlen(r.reason) > 0);
        EXPECT_UINT(lines_of(scan_rescued(&f, &r)), r.rows_kept);
        fixture_close(&f);
    }
}

TEST(rescue, an_older_checkpoint_is_taken_when_the_newest_can_not_be_read)
{
    uint64_t before;
    char path[PATH_SIZE];
    struct fixture f = build(&before);
    name_file(&f, "checkpoint-", 1, path);
    fake_disk_flip_bit(f.disk, path, 40, 1);
    struct tsdb_rescued r = rescue(&f);
    EXPECT_UINT(r.index, before);
    EXPECT_UINT(r.manifests_bad, 1);
    EXPECT_CONTAINS(r.reason, "checkpoint");
    EXPECT_STR(scan_rescued(&f, &r), "a,-,- 1 1 - - -\n");
    fixture_close(&f);
}

TEST(rescue, without_any_checkpoint_there_is_nothing_and_no_error)
{
    uint64_t before;
    char path[PATH_SIZE];
    struct fixture f = build(&before);
    for (size_t i = 0; i < 2; i++) {
        name_file(&f, "checkpoint-", i, path);
        fake_disk_truncate(f.disk, path, 10);
    }
    struct tsdb_rescued r = rescue(&f);
    EXPECT_UINT(r.index, 0);
    EXPECT_UINT(r.manifests_bad, 2);
    REQUIRE_OK(tsdb_rescue(f.io, "no/such", "other", &r, &f.err));
    EXPECT_UINT(r.index, 0);
    fixture_close(&f);
}

/* A new cluster has other members. */
TEST(rescue, nobody_is_a_member_of_what_was_rescued)
{
    uint64_t before;
    struct fixture f = build(&before);
    size_t count = 0;
    uint64_t index = 0;
    Tidemark__Log__V1__NodeStart start;
    tidemark__log__v1__node_start__init(&start);
    char name[] = "n1";
    start.directory_id = 7;
    start.start_counter = 1;
    start.name = name;
    struct buf body = {0};
    PACK(&body, &start, tidemark__log__v1__node_start);
    EXPECT_OK(apply_body(&f, COMMAND_NODE_START, buf_bytes(&body)));
    tsdb_apply_configuration(f.db, ++f.index, f.term, bytes_str("who votes"));
    EXPECT_OK(checkpoint(&f, NULL));
    (void)tsdb_nodes(f.db, &count);
    EXPECT_UINT(count, 1);
    struct tsdb_rescued r = rescue(&f);
    (void)scan_rescued(&f, &r);
    (void)tsdb_nodes(f.db, &count);
    EXPECT_UINT(count, 0);
    EXPECT_UINT(tsdb_configuration(f.db, &index).size, 0);
    EXPECT(!tsdb_cluster_formed(f.db));
    buf_deinit(&body);
    fixture_close(&f);
}

TEST(rescue, a_target_that_fails_is_an_error)
{
    uint64_t before;
    struct fixture f = build(&before);
    struct tsdb_rescued r;
    fake_disk_fail(f.disk,
                   (struct fake_disk_fault){
                       .call = FAKE_DISK_WRITE, .path = "saved/", .nth = 2, .code = ERR_NO_SPACE});
    EXPECT_ERR(tsdb_rescue(f.io, "tsdb", "saved", &r, &f.err), ERR_NO_SPACE);
    fixture_close(&f);
}
