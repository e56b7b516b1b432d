/* SPDX-License-Identifier: Apache-2.0 */
/* The same loads through RocksDB's log. The memtable is its cheapest, a vector,
 * and nothing is flushed or compacted while it is measured. */
#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bench/wal_load.h"

enum { FILL_BATCH = 64 };

static const size_t WRITE_BUFFER_SIZE = (size_t)2 * 1024 * 1024 * 1024;

struct rocks {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *synced;
    rocksdb_writeoptions_t *unsynced;
    rocksdb_writebatch_t *batch;
    uint64_t key;
};

static void must_be_null(const char *error)
{
    if (error != NULL) {
        (void)fprintf(stderr, "rocksdb: %s\n", error);
    }
    load_must(error == NULL ? ERR_OK : ERR_IO, NULL);
}

static void *rocks_open(const char *dir)
{
    char *error = NULL;
    struct rocks *r = mem_zalloc(sizeof *r);
    rocksdb_options_t *plain = rocksdb_options_create();
    r->options = rocksdb_options_create();
    /* Else opening writes a table, and the next one finds nothing to replay. */
    rocksdb_get_options_from_string(plain, "avoid_flush_during_recovery=true", r->options, &error);
    must_be_null(error);
    rocksdb_options_destroy(plain);
    rocksdb_options_set_create_if_missing(r->options, 1);
    rocksdb_options_set_write_buffer_size(r->options, WRITE_BUFFER_SIZE);
    rocksdb_options_set_disable_auto_compactions(r->options, 1);
    rocksdb_options_set_allow_concurrent_memtable_write(r->options, 0);
    rocksdb_options_set_memtable_vector_rep(r->options);
    r->db = rocksdb_open(r->options, dir, &error);
    must_be_null(error);
    r->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->synced, 1);
    r->unsynced = rocksdb_writeoptions_create();
    r->batch = rocksdb_writebatch_create();
    return r;
}

static void rocks_write(void *log, struct bytes payload, size_t count, bool sync)
{
    struct rocks *r = log;
    char *error = NULL;
    rocksdb_writebatch_clear(r->batch);
    for (size_t i = 0; i < count; i++) {
        char key[sizeof r->key];
        bytes_put_u64((uint8_t *)key, ++r->key);
        rocksdb_writebatch_put(r->batch, key, sizeof key, (const char *)payload.data, payload.size);
    }
    rocksdb_write(r->db, sync ? r->synced : r->unsynced, r->batch, &error);
    must_be_null(error);
}

static void rocks_tidy(void *log)
{
    (void)log;
}

static void rocks_close(void *log)
{
    struct rocks *r = log;
    rocksdb_writebatch_destroy(r->batch);
    rocksdb_writeoptions_destroy(r->synced);
    rocksdb_writeoptions_destroy(r->unsynced);
    rocksdb_close(r->db);
    rocksdb_options_destroy(r->options);
    mem_free(r);
}

static void rocks_fill(const char *dir, size_t size, uint64_t count)
{
    struct rocks *r = rocks_open(dir);
    uint8_t *payload = mem_alloc(size);
    memset(payload, 0x5a, size);
    for (uint64_t done = 0; done < count;) {
        size_t n = count - done < FILL_BATCH ? (size_t)(count - done) : FILL_BATCH;
        rocks_write(r, bytes_of(payload, size), n, false);
        done += n;
    }
    mem_free(payload);
    rocks_close(r);
}

/* It replays while it opens. */
static uint64_t rocks_replay(const char *dir)
{
    struct rocks *r = rocks_open(dir);
    uint64_t count = rocksdb_get_latest_sequence_number(r->db);
    rocks_close(r);
    return count;
}

const struct load_kind load_rocksdb = {
    .name = "RocksDB",
    .open = rocks_open,
    .write = rocks_write,
    .tidy = rocks_tidy,
    .close = rocks_close,
    .fill = rocks_fill,
    .replay = rocks_replay,
};
