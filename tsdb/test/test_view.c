/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/view.h"

#include <pthread.h>

#include "base/random.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

static void scan_pinned(struct fixture *f, struct tsdb_view *v)
{
    struct buf request = {0};
    struct scan_totals totals;
    scan_of(&request, "m");
    EXPECT_OK(scan_view(f, v, buf_bytes(&request), 1 << 20, &totals));
    EXPECT_UINT(totals.index, tsdb_view_index(v));
    buf_deinit(&request);
}

TEST(view, stays_the_state_after_its_index)
{
    struct fixture f = fixture_open(false);
    struct tsdb_view *views[40];
    char *texts[40];
    struct hash128 hashes[40];
    struct random random = random_seeded(1);
    for (size_t i = 0; i < 40; i++) {
        char row[64];
        (void)snprintf(row, sizeof row, "%d %d - - -", (int)random_below(&random, 10), (int)i);
        EXPECT_OK(put(&f, i % 3 == 0 ? "a" : "b 1", row));
        if (i % 7 == 3) {
            EXPECT_OK(freeze(&f));
        }
        views[i] = tsdb_view_pin(f.db);
        EXPECT_UINT(tsdb_view_index(views[i]), f.index);
        texts[i] = mem_strdup(scan_all(&f));
        EXPECT_OK(tsdb_view_hash(views[i], &hashes[i], &f.err));
        if (tsdb_frozen(f.db) && i % 7 == 5) {
            struct tsdb_checkpoint c = {0};
            EXPECT_OK(tsdb_checkpoint_write(f.db, &c, &f.err));
            EXPECT_OK(tsdb_checkpoint_finish(f.db, &f.err));
        }
    }
    for (size_t i = 0; i < 40; i++) {
        size_t at = i * 17 % 40; /* unpinned in no order of age */
        struct hash128 hash;
        scan_pinned(&f, views[at]);
        EXPECT_STR((const char *)f.text.data, texts[at]);
        EXPECT_OK(tsdb_view_hash(views[at], &hash, &f.err));
        EXPECT_SAME_HASH(hash, hashes[at]);
        tsdb_view_unpin(views[at]);
        mem_free(texts[at]);
    }
    fixture_close(&f);
}

/* --- the hash --- */

static bool same_hash(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

/* Every kind of change is seen, and each state has a hash of its own. */
TEST(view, the_hash_covers_all_replicated_state)
{
    struct fixture f = fixture_open(false);
    struct hash128 hashes[16];
    size_t count = 0;
    hashes[count++] = state_hash(&f);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    hashes[count++] = state_hash(&f);
    EXPECT_OK(put(&f, "a", "1 2 - - -"));
    hashes[count++] = state_hash(&f);
    EXPECT_OK(put(&f, "a", "1 - - - -"));
    hashes[count++] = state_hash(&f);
    EXPECT_OK(put(&f, "a", "1 0 - - -")); /* a zero is no null */
    hashes[count++] = state_hash(&f);
    EXPECT_OK(put(&f, "b - true", "1 - - - x"));
    hashes[count++] = state_hash(&f);
    EXPECT_OK(set_setting(&f, "ts.wal.wal_level", "3"));
    hashes[count++] = state_hash(&f);
    EXPECT_OK(create_database(&f, "e"));
    hashes[count++] = state_hash(&f);
    EXPECT_OK(create_table(&f, "n"));
    hashes[count++] = state_hash(&f);
    (void)open_session(&f, 0);
    hashes[count++] = state_hash(&f);
    tsdb_apply_configuration(f.db, ++f.index, 1, bytes_str("voters"));
    hashes[count++] = state_hash(&f);
    struct buf body = {0};
    wire_put_fixed64(&body, 1, 5);
    EXPECT_OK(apply_body(&f, COMMAND_CLUSTER_FORMED, buf_bytes(&body)));
    buf_deinit(&body);
    hashes[count++] = state_hash(&f);
    EXPECT_OK(drop_table(&f, "m"));
    hashes[count++] = state_hash(&f);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            EXPECT(!same_hash(hashes[i], hashes[j]));
        }
    }
    struct hash128 before = state_hash(&f);
    tsdb_apply_barrier(f.db, ++f.index, 1);
    EXPECT_SAME_HASH(state_hash(&f), before);
    fixture_close(&f);
}

/* --- beside a writer --- */

enum { WRITES = 1500, READERS = 2 };

struct reader {
    pthread_mutex_t mutex;  /* of 'view' and 'ended' */
    struct tsdb_view *view; /* handed over; NULL: none waits */
    bool ended;
    unsigned read;
    unsigned wrong;
};

/* A view at index V must hold exactly the rows of the writes up to V: write n
 * put one row at time n * 7919 % WRITES, and one in series "b" at time 0. */
static bool view_is_right(struct tsdb_view *v, uint64_t first)
{
    struct buf request = {0};
    struct tsdb_scan *s = NULL;
    struct buf answer = {0};
    struct err e;
    scan_of(&request, "m");
    wire_put_uint(&request, 12, 1); /* count_only */
    bool done = false;
    bool good = tsdb_scan_open(v, buf_bytes(&request), &s, &e) == ERR_OK;
    while (good && !done) {
        buf_reset(&answer);
        good = tsdb_scan_next(s, 1000, &answer, &done, &e) == ERR_OK;
    }
    uint64_t total = 0;
    struct cursor c = cursor_of(buf_bytes(&answer));
    struct wire_field f;
    while (wire_next(&c, &f)) {
        total = f.number == 9 ? f.value : total;
    }
    uint64_t writes = tsdb_view_index(v) - first;
    uint64_t want = writes == 0 ? 0 : writes + 1;
    tsdb_scan_close(s);
    buf_deinit(&request);
    buf_deinit(&answer);
    return good && total == want;
}

static void *read_views(void *arg)
{
    struct reader *r = arg;
    for (;;) {
        (void)pthread_mutex_lock(&r->mutex);
        struct tsdb_view *v = r->view;
        r->view = NULL;
        bool ended = r->ended;
        (void)pthread_mutex_unlock(&r->mutex);
        if (v != NULL) {
            for (int i = 0; i < 3; i++) {
                r->wrong += view_is_right(v, 2) ? 0 : 1;
            }
            tsdb_view_unpin(v);
            r->read++;
        } else if (ended) {
            return NULL;
        }
    }
}

static void hand_over(struct fixture *f, struct reader *r)
{
    (void)pthread_mutex_lock(&r->mutex);
    if (r->view == NULL) {
        r->view = tsdb_view_pin(f->db);
    }
    (void)pthread_mutex_unlock(&r->mutex);
}

/* Memory only: the fake disk is one thread's. */
TEST(view, readers_beside_the_writer_see_their_state_and_nothing_else)
{
    struct fixture f = fixture_open(false);
    struct reader readers[READERS] = {{.view = NULL}, {.view = NULL}};
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++) {
        REQUIRE(pthread_mutex_init(&readers[i].mutex, NULL) == 0);
        REQUIRE(pthread_create(&threads[i], NULL, read_views, &readers[i]) == 0);
    }
    struct buf b = {0};
    make_write_request(&b, "m", "b", "0 1 - true text");
    struct command second = {.kind = COMMAND_WRITE, .body = buf_bytes(&b)};
    for (unsigned n = 0; n < WRITES; n++) {
        struct buf a = {0};
        struct buf entry = {0};
        char row[64];
        (void)snprintf(row, sizeof row, "%u %u - true text", n * 7919 % WRITES, n);
        make_write_request(&a, "m", "a", row);
        struct command first = {.kind = COMMAND_WRITE, .body = buf_bytes(&a)};
        command_put(&entry, &first);
        command_put(&entry, &second);
        EXPECT(apply_entry(&f, buf_bytes(&entry)) == ERR_OK);
        EXPECT(f.results.items[0].code == ERR_OK);
        if (n % 20 == 0) {
            hand_over(&f, &readers[n / 20 % READERS]);
        }
        buf_deinit(&a);
        buf_deinit(&entry);
    }
    for (int i = 0; i < READERS; i++) {
        (void)pthread_mutex_lock(&readers[i].mutex);
        readers[i].ended = true;
        (void)pthread_mutex_unlock(&readers[i].mutex);
        REQUIRE(pthread_join(threads[i], NULL) == 0);
        EXPECT_UINT(readers[i].wrong, 0);
        EXPECT(readers[i].read > 0);
        (void)pthread_mutex_destroy(&readers[i].mutex);
    }
    buf_deinit(&b);
    fixture_close(&f);
}
