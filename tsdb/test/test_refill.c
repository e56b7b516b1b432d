/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that are damaged while they are in use or at the start, and are refilled
 * from a twin: the same part on another node's disk. */
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "tsdb/part.h"
#include "tsdb/test/fixture.h"

enum { SERIES = 12, CHUNK = 100 };

/* Two nodes that applied the same and made the same checkpoint. */
struct pair {
    struct fixture f;
    struct fixture twin;
    char *rows; /* of all series */
};

static void fill(struct fixture *f)
{
    for (int i = 0; i < SERIES; i++) {
        char tags[16];
        (void)snprintf(tags, sizeof tags, "h%d", i);
        EXPECT_OK(put(f, tags, "1 1 1.5 true x\n2 2 2.5 - some_text"));
    }
    EXPECT_OK(checkpoint(f, NULL));
}

static struct pair pair_open(void)
{
    struct pair p = {.f = fixture_open(false), .twin = fixture_open(false)};
    fill(&p.f);
    fill(&p.twin);
    p.rows = mem_strdup(scan_all(&p.f));
    return p;
}

static void pair_close(struct pair *p)
{
    mem_free(p->rows);
    fixture_close(&p->f);
    fixture_close(&p->twin);
}

/* The i-th part's file. */
static void part_file(struct fixture *f, size_t i, struct tsdb_file *out)
{
    struct io_name *names = NULL;
    size_t count = 0;
    REQUIRE_OK(io_list(f->io, "tsdb", &names, &count, &f->err));
    for (size_t k = 0; k < count; k++) {
        if (strncmp(names[k].name, "part-", 5) == 0 && i-- == 0) {
            char path[IO_PATH_MAX];
            (void)snprintf(out->name, sizeof out->name, "%.60s", names[k].name);
            REQUIRE_OK(io_join(path, "tsdb", out->name, &f->err));
            out->size = fake_disk_file_size(f->disk, path);
            break;
        }
    }
    mem_free(names);
}

static void flip(struct fixture *f, const struct tsdb_file *file, uint64_t at)
{
    char path[IO_PATH_MAX];
    REQUIRE_OK(io_join(path, "tsdb", file->name, &f->err));
    fake_disk_flip_bit(f->disk, path, at, 3);
}

/* How many bytes had to be fetched. */
static uint64_t refill(struct pair *p, const struct tsdb_file *file, enum err_code *code)
{
    struct tsdb_install *t = NULL;
    struct err *e = &p->f.err;
    struct tsdb_file next;
    uint64_t offset = 0;
    uint64_t fetched = 0;
    REQUIRE_OK(tsdb_refill_begin(p->f.io, "tsdb", file, &t, e));
    *code = ERR_OK;
    while (*code == ERR_OK && tsdb_install_next(t, &next, &offset)) {
        uint8_t bytes[CHUNK];
        char path[IO_PATH_MAX];
        EXPECT_STR(next.name, file->name);
        REQUIRE_OK(io_join(path, "tsdb", next.name, e));
        size_t size = fake_disk_peek(p->twin.disk, path, offset, bytes, sizeof bytes);
        *code = tsdb_install_chunk(t, next.name, offset, bytes_of(bytes, size), e);
        fetched += size;
    }
    uint64_t index = 1;
    uint64_t term = 1;
    if (*code == ERR_OK) {
        *code = tsdb_install_finish(t, &index, &term, e);
        EXPECT_UINT(index, *code == ERR_OK ? 0 : 1);
        EXPECT_UINT(term, *code == ERR_OK ? 0 : 1);
    }
    tsdb_install_close(t);
    return fetched;
}

static size_t damaged(struct fixture *f, struct tsdb_damage *first)
{
    struct tsdb_damage all[TSDB_DAMAGE_MAX];
    size_t count = tsdb_damaged(f->db, all);
    *first = all[0];
    return count;
}

/* Wherever the damage is, and whether it is found by a start or by a scan. */
TEST(refill, a_damaged_part_is_missed_and_then_read_as_before)
{
    for (int start = 0; start < 2; start++) {
        struct pair p = pair_open();
        struct tsdb_file file = {0};
        part_file(&p.f, 1, &file);
        const uint64_t places[] = {20, PART_HEADER_SIZE + 30, file.size - 70, file.size - 10};
        for (size_t i = 0; i < 4; i++) {
            flip(&p.f, &file, places[i]);
            if (start == 1) {
                tsdb_close(p.f.db);
                REQUIRE_OK(open_at(&p.f, p.f.index));
            }
            bool seen = start == 1 || i == 1; /* header and index were read at the start */
            EXPECT((strstr(scan_all(&p.f), file.name) != NULL) == seen);
            struct tsdb_damage d = {0};
            EXPECT_UINT(damaged(&p.f, &d), seen ? 1 : 0);
            if (seen) {
                EXPECT_STR(d.file.name, file.name);
                EXPECT_UINT(d.file.size, file.size);
                EXPECT(d.row_count > 0);
            }
            enum err_code code = ERR_OK;
            EXPECT_UINT(refill(&p, &file, &code), file.size);
            EXPECT_OK(code);
            EXPECT_OK(tsdb_refilled(p.f.db, file.name, &p.f.err));
            EXPECT_UINT(damaged(&p.f, &d), 0);
            EXPECT_STR(scan_all(&p.f), p.rows);
        }
        fake_disk_power_fail_lose_all(p.f.disk); /* it is durable */
        tsdb_close(p.f.db);
        REQUIRE_OK(open_at(&p.f, p.f.index));
        EXPECT_STR(scan_all(&p.f), p.rows);
        pair_close(&p);
    }
}

/* Series of other VGroups are served while one waits. */
TEST(refill, the_rest_can_be_read_and_written_meanwhile)
{
    struct pair p = pair_open();
    struct tsdb_file file = {0};
    part_file(&p.f, 0, &file);
    flip(&p.f, &file, file.size - 10);
    tsdb_close(p.f.db);
    REQUIRE_OK(open_at(&p.f, p.f.index));
    unsigned served = 0;
    for (int i = 0; i < SERIES; i++) {
        char host[8];
        struct buf request = {0};
        struct buf filter = {0};
        (void)snprintf(host, sizeof host, "h%d", i);
        scan_of(&request, "m");
        wire_put_str(&filter, 1, "host");
        wire_put_str(&filter, 2, host);
        wire_put_item(&request, 8, buf_bytes(&filter));
        const char *text = scan_text(&p.f, buf_bytes(&request));
        served += strstr(text, host) == text ? 1 : 0;
        EXPECT(strstr(text, host) == text || strstr(text, file.name) != NULL);
        buf_deinit(&filter);
        buf_deinit(&request);
        EXPECT_OK(put(&p.f, host, "3 3 - - -"));
    }
    EXPECT(served > 0);
    EXPECT(served < SERIES);
    pair_close(&p);
}

/* A read failed, but the disk has it whole: a cable, or memory. */
TEST(refill, a_part_that_is_whole_after_all_is_not_fetched)
{
    struct pair p = pair_open();
    struct tsdb_file file = {0};
    struct tsdb_damage d = {0};
    fake_disk_fail(p.f.disk,
                   (struct fake_disk_fault){
                       .call = FAKE_DISK_READ, .path = "part-", .nth = 1, .code = ERR_IO});
    EXPECT_CONTAINS(scan_all(&p.f), "part-");
    EXPECT_UINT(damaged(&p.f, &d), 1);
    file = d.file;
    for (int i = 0; i < 2; i++) {
        enum err_code code = ERR_OK;
        EXPECT_UINT(refill(&p, &file, &code), 0);
        EXPECT_OK(code);
        EXPECT_OK(tsdb_refilled(p.f.db, file.name, &p.f.err));
        EXPECT_STR(scan_all(&p.f), p.rows);
        EXPECT_UINT(damaged(&p.f, &d), 0);
        tsdb_suspect(p.f.db, file.name); /* somebody else says so */
        EXPECT_UINT(damaged(&p.f, &d), 1);
    }
    pair_close(&p);
}

/* Two nodes with damage in the same part: bytes that are not the twin's never count. */
TEST(refill, nothing_but_the_twin_counts)
{
    struct pair p = pair_open();
    struct tsdb_file file = {0};
    part_file(&p.f, 0, &file);
    flip(&p.f, &file, 100);
    flip(&p.twin, &file, 101);
    enum err_code code = ERR_OK;
    (void)refill(&p, &file, &code);
    EXPECT_INT(code, ERR_CORRUPT);
    EXPECT_CONTAINS(p.f.err.text, "does not have the hash of its name");
    flip(&p.twin, &file, 101);
    (void)refill(&p, &file, &code);
    EXPECT_OK(code);
    struct tsdb_install *t = NULL;
    struct tsdb_file other = {.name = "checkpoint-0000000000000001", .size = 1};
    EXPECT_ERR(tsdb_refill_begin(p.f.io, "tsdb", &other, &t, &p.f.err), ERR_INVALID);
    EXPECT_ERR(tsdb_refilled(p.f.db, "part-00000000000000000000000000000000", &p.f.err),
               ERR_NOT_FOUND);
    pair_close(&p);
}

/* A part that goes bad once more while it is written back. */
TEST(refill, what_does_not_read_back_does_not_count)
{
    struct pair p = pair_open();
    struct tsdb_file file = {0};
    part_file(&p.f, 0, &file);
    flip(&p.f, &file, 100);
    fake_disk_fail(p.f.disk,
                   (struct fake_disk_fault){
                       .call = FAKE_DISK_READ, .path = "part-", .nth = 3, .code = ERR_IO});
    enum err_code code = ERR_OK;
    (void)refill(&p, &file, &code); /* reads: what is there, what was fetched, what it left */
    EXPECT_INT(code, ERR_CORRUPT);
    EXPECT_CONTAINS(p.f.err.text, "does not read back");
    pair_close(&p);
}

/* A cluster's node waits for the refill and then writes what all others write; a
 * node alone keeps the damaged part as it is. */
TEST(refill, a_checkpoint_that_would_merge_a_damaged_part_waits_or_spares_it)
{
    for (int alone = 0; alone < 2; alone++) {
        struct pair p = pair_open();
        for (int i = 0; i <= LIMIT_PARTS_PER_VGROUP; i++) {
            EXPECT_OK(put(&p.f, "h1", "3 3 - - -"));
            EXPECT_OK(put(&p.twin, "h1", "3 3 - - -"));
            if (i < LIMIT_PARTS_PER_VGROUP - 1) {
                EXPECT_OK(checkpoint(&p.f, NULL));
                EXPECT_OK(checkpoint(&p.twin, NULL));
            }
        }
        size_t count = 0;
        struct io_name *names = NULL;
        REQUIRE_OK(io_list(p.f.io, "tsdb", &names, &count, &p.f.err));
        mem_free(names);
        struct tsdb_file file = {0};
        for (size_t i = 0; i < count; i++) { /* all of them: the merged ones among them */
            part_file(&p.f, i, &file);
            flip(&p.f, &file, PART_HEADER_SIZE + 30);
        }
        EXPECT_OK(freeze(&p.f));
        struct tsdb_checkpoint c = {0};
        EXPECT_ERR(tsdb_checkpoint_write(p.f.db, &c, &p.f.err), ERR_CORRUPT);
        EXPECT(c.unreadable);
        struct tsdb_damage d = {0};
        if (alone == 1) {
            tsdb_checkpoint_spare(p.f.db);
        }
        while (alone == 0 && tsdb_checkpoint_write(p.f.db, &c, &p.f.err) != ERR_OK) {
            enum err_code code = ERR_OK;
            REQUIRE_UINT(damaged(&p.f, &d), 1);
            (void)refill(&p, &d.file, &code);
            REQUIRE_OK(code);
            REQUIRE_OK(tsdb_refilled(p.f.db, d.file.name, &p.f.err));
        }
        if (alone == 1) {
            EXPECT_OK(tsdb_checkpoint_write(p.f.db, &c, &p.f.err));
            EXPECT_UINT(damaged(&p.f, &d), 1);
        }
        EXPECT_OK(tsdb_checkpoint_finish(p.f.db, &p.f.err));
        if (alone == 0) {
            char path[IO_PATH_MAX];
            char name[TSDB_NAME_SIZE];
            struct buf ours = {0};
            struct buf theirs = {0};
            EXPECT_OK(checkpoint(&p.twin, NULL));
            tsdb_manifest_name(p.f.index, name);
            REQUIRE_OK(io_join(path, "tsdb", name, &p.f.err));
            REQUIRE_OK(io_read_file(p.f.io, path, 1 << 20, &ours, &p.f.err));
            REQUIRE_OK(io_read_file(p.twin.io, path, 1 << 20, &theirs, &p.f.err));
            EXPECT(bytes_equal(buf_bytes(&ours), buf_bytes(&theirs)));
            buf_deinit(&ours);
            buf_deinit(&theirs);
        }
        pair_close(&p);
    }
}
