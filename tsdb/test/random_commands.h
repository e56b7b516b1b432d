/* SPDX-License-Identifier: Apache-2.0 */
/* A random history of commands of every kind, valid and not, the same for one
 * seed: what determinism and recovery are tested with. */
#ifndef TIDEMARK_TSDB_TEST_RANDOM_COMMANDS_H
#define TIDEMARK_TSDB_TEST_RANDOM_COMMANDS_H

#include "base/random.h"
#include "tsdb/test/fixture.h"

struct history {
    struct buf entries[2000];
    bool checkpoint[2000]; /* the entry is a CHECKPOINT */
    size_t count;
    /* What the makers remember. */
    struct random random;
    uint64_t sequence;
};

UNUSED_OK static void random_row(struct random *r, struct buf *text)
{
    buf_printf(text, "%d", (int)random_below(r, 60));
    if (random_chance(r, 1, 4)) {
        buf_printf(text, " -");
    } else {
        buf_printf(text, " %d", (int)random_below(r, 1000) - 500);
    }
    buf_printf(text, " %d", (int)random_below(r, 100));
    buf_printf(text, ".%d", (int)random_below(r, 8) * 125);
    buf_printf(text, random_chance(r, 1, 3) ? " -" : " true");
    if (random_chance(r, 1, 3)) {
        buf_printf(text, " -\n");
    } else {
        buf_printf(text, " s%d\n", (int)random_below(r, 9));
    }
}

/* One more column of a write of so many rows. */
UNUSED_OK static void random_column(struct random *r, struct buf *body, uint64_t count)
{
    bool narrow = random_chance(r, 1, 2);
    size_t m = wire_begin(body, 7);
    wire_put_str(body, 1, narrow ? "z1" : "z2");
    size_t p = wire_begin(body, narrow ? 2 : 8);
    for (uint64_t i = 0; i < count && narrow; i++) {
        buf_put_u64(body, random_below(r, 1000) - 500);
    }
    for (uint64_t i = 0; i < count && !narrow; i++) {
        buf_put_u32(body, (uint32_t)random_u64(r));
    }
    wire_end(body, p);
    wire_end(body, m);
}

UNUSED_OK static void random_write(struct random *r, struct buf *body)
{
    static const char *const hosts[] = {"a", "b", "c", "d", "e", "f", "g"};
    struct buf rows = {0};
    char tags[64];
    uint64_t count = 1 + random_below(r, 12);
    count += random_chance(r, 1, 30) ? 150 : 0;
    for (uint64_t i = 0; i < count; i++) {
        random_row(r, &rows);
    }
    buf_put_u8(&rows, 0);
    const char *host = hosts[random_below(r, 7)];
    if (random_chance(r, 1, 2)) {
        (void)snprintf(tags, sizeof tags, "%s %d true", host, (int)random_below(r, 3));
    } else {
        (void)snprintf(tags, sizeof tags, "%s - -", host);
    }
    make_write_request(body,
                       random_chance(r, 1, 40)  ? "gone"
                       : random_chance(r, 1, 3) ? "n"
                                                : "m",
                       tags, (const char *)rows.data);
    if (random_chance(r, 1, 4)) {
        random_column(r, body, count);
    }
    buf_deinit(&rows);
}

/* What table.m gets and loses; writes name z1 and z2 whether they are there or not. */
UNUSED_OK static void random_alteration(struct random *r, struct buf *body)
{
    static const char *const names[] = {"z1", "z2", "z3", "up"};
    const char *name = names[random_below(r, 4)];
    uint64_t dice = random_below(r, 10);
    wire_put_str(body, 1, "d");
    wire_put_str(body, 2, random_chance(r, 1, 6) ? "n" : "m");
    if (dice < 4) {
        size_t m = wire_begin(body, 4);
        wire_put_str(body, 1, name);
        wire_put_uint(body, 2,
                      strcmp(name, "z1") == 0 ? TIDEMARK__V1__TYPE__INT16
                                              : TIDEMARK__V1__TYPE__FLOAT);
        wire_end(body, m);
    } else if (dice < 6) {
        wire_put_str(body, 6, name);
    } else if (dice < 8) {
        wire_put_str(body, 9, name);
        wire_put_uint(body, 10,
                      strcmp(name, "z1") == 0 ? TIDEMARK__V1__TYPE__INT32
                                              : TIDEMARK__V1__TYPE__DOUBLE);
    } else {
        wire_put_str(body, 7, dice == 8 ? "z3" : "z2");
        wire_put_str(body, 8, dice == 8 ? "z2" : "z3");
    }
}

UNUSED_OK static void random_start(struct random *r, struct buf *body)
{
    wire_put_fixed64(body, 1, 1 + random_below(r, 5));
    wire_put_uint(body, 2, 1 + random_below(r, 9));
    wire_put_fixed64(body, 3, 1 + random_below(r, 3));
    wire_put_str(body, 4, "node");
}

UNUSED_OK static enum command_kind random_body(struct random *r, struct buf *body)
{
    static const char *const settings[] = {"ts.wal.wal_level", "ts.scan.batch_size", "nothing"};
    uint64_t dice = random_below(r, 100);
    if (dice < 80) {
        random_write(r, body);
        return COMMAND_WRITE;
    }
    if (dice < 85) {
        wire_put_fixed64(body, 2, random_u64(r));
        return COMMAND_OPEN_SESSION;
    }
    if (dice < 89) {
        wire_put_str(body, 1, settings[random_below(r, 3)]);
        wire_put_str(body, 2, random_chance(r, 1, 2) ? "3" : "9999999");
        return COMMAND_SET_SETTING;
    }
    if (dice < 93) {
        make_table_request(body, "d", random_chance(r, 1, 2) ? "n" : "m");
        return COMMAND_CREATE_TABLE;
    }
    if (dice < 94) {
        wire_put_str(body, 1, "d");
        wire_put_str(body, 2, "n");
        return COMMAND_DROP_TABLE;
    }
    if (dice < 96) {
        random_alteration(r, body);
        return COMMAND_ALTER_TABLE;
    }
    if (dice < 97) {
        wire_put_fixed64(body, 1, 1 + random_below(r, 5));
        return random_chance(r, 1, 4) ? COMMAND_NODE_REMOVED : COMMAND_CLUSTER_FORMED;
    }
    random_start(r, body);
    return COMMAND_NODE_START;
}

UNUSED_OK static void add_entry(struct history *h, bool checkpoint)
{
    struct random *r = &h->random;
    struct buf *entry = &h->entries[h->count];
    h->checkpoint[h->count++] = checkpoint;
    if (checkpoint) {
        struct command c = {.kind = COMMAND_CHECKPOINT};
        command_put(entry, &c);
        return;
    }
    uint64_t commands = 1 + (random_chance(r, 1, 4) ? random_below(r, 6) : 0);
    for (uint64_t i = 0; i < commands; i++) {
        struct buf body = {0};
        struct command c = {.kind = random_body(r, &body), .body = buf_bytes(&body)};
        if (random_chance(r, 1, 3)) {
            c.session = 1 + random_below(r, 3); /* hardly ever a real one */
            c.sequence = 1;
        }
        command_put(entry, &c);
        buf_deinit(&body);
    }
}

/* 'count' entries; a checkpoint now and then. */
UNUSED_OK static struct history *history_new(uint64_t seed, size_t count)
{
    struct history *h = mem_zalloc(sizeof *h);
    h->random = random_seeded(seed);
    struct command database = {.kind = COMMAND_CREATE_DATABASE};
    struct buf body = {0};
    wire_put_str(&body, 1, "d");
    database.body = buf_bytes(&body);
    command_put(&h->entries[0], &database);
    buf_reset(&body);
    make_table_request(&body, "d", "m");
    struct command table = {.kind = COMMAND_CREATE_TABLE, .body = buf_bytes(&body)};
    command_put(&h->entries[0], &table);
    buf_deinit(&body);
    h->count = 1;
    while (h->count < count) {
        add_entry(h, random_chance(&h->random, 1, 12));
    }
    return h;
}

UNUSED_OK static void history_free(struct history *h)
{
    for (size_t i = 0; i < h->count; i++) {
        buf_deinit(&h->entries[i]);
    }
    mem_free(h);
}

#endif
