/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of repair_lab.h: their logs, as text and as repair.h sees them, and
 * the configurations that they know. */
#ifndef TIDEMARK_RAFT_TEST_REPAIR_LAB_NODE_H
#define TIDEMARK_RAFT_TEST_REPAIR_LAB_NODE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/random.h"
#include "raft/repair.h"

enum {
    LAB_NODES = 8,
    LAB_LOG = 64, /* entries, unless lab_open_long() */
    LAB_INTERVAL_MS = 100,
    LAB_ROUNDS = 8, /* intervals that lab_run() goes on for */
};

struct lab_slot {
    struct slot slot; /* NEVER_HAD: nothing */
    uint64_t value;
};

struct lab_node {
    struct lab *lab;
    size_t number;
    uint64_t id;
    bool up;
    uint64_t term;
    uint64_t term_began; /* 0: not repairing */
    uint64_t leader;     /* that it follows, or is */
    uint64_t leader_term;
    uint64_t first;
    uint64_t last;
    uint64_t cut_term;
    bool end_unknown;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    struct lab_slot *log;                 /* by index */
    struct configuration *configurations; /* oldest first */
    size_t configuration_count;
    size_t configuration_capacity;
    struct repair *repair;
    struct repair_actions actions;
    char *waits; /* last text */
    unsigned waits_said;
    unsigned starts;
    unsigned cold_until; /* entries below must be read first; raised by a read */
    unsigned reads;
    uint64_t peers[LAB_NODES]; /* of a PEERS event */
};

struct lab_message {
    size_t from;
    size_t to;
    bool question;
    uint64_t due_ms; /* not before */
    struct buf bytes;
};

struct lab {
    size_t node_count;
    uint64_t log_max;
    struct lab_node nodes[LAB_NODES];
    struct lab_message *messages;
    size_t message_count;
    size_t message_capacity;
    struct random random;
    uint64_t now_ms;
    size_t entry_size; /* of payloads, at least 8 */
    uint64_t bytes_moved;
    unsigned steps;    /* changes of a disk so far */
    unsigned crash_at; /* the change at which its node crashes; 0: never */
    bool crash_after;  /* ... once it is made, before the module hears of it */
    bool cut[LAB_NODES][LAB_NODES];
    /* Changes an answer on its way; NULL: none does. */
    void (*tamper)(struct lab *lab, struct buf *answer);
    unsigned reads_left; /* for 'tamper' */
    unsigned installs_to_fail;
    unsigned slow_ticks; /* until an answer with entries arrives */
};

static inline uint64_t lab_value(uint64_t index, uint64_t term)
{
    return index * 1000 + term;
}

/* ---- logs ---- */

static inline uint64_t lab_first(void *context)
{
    return ((struct lab_node *)context)->first;
}

static inline uint64_t lab_last(void *context)
{
    return ((struct lab_node *)context)->last;
}

static inline bool lab_end_unknown(void *context)
{
    return ((struct lab_node *)context)->end_unknown;
}

static inline struct slot lab_at(void *context, uint64_t index)
{
    const struct lab_node *n = context;
    CHECK(index + 1 >= n->first);
    CHECK(index <= n->last || index + 1 == n->first);
    if (index < n->first) {
        return (struct slot){.kind = SLOT_CUT, .term = n->cut_term};
    }
    CHECK(n->log[index].slot.kind != SLOT_NEVER_HAD);
    return n->log[index].slot;
}

static inline struct log_view lab_view(struct lab_node *n)
{
    return (struct log_view){n, lab_first, lab_last, lab_end_unknown, lab_at};
}

static inline void lab_put(struct lab_node *n, uint64_t index, uint64_t term)
{
    CHECK(index <= n->lab->log_max);
    n->log[index] = (struct lab_slot){{.kind = SLOT_WHOLE, .term = term, .type = ENTRY_COMMAND},
                                      lab_value(index, term)};
}

static inline void lab_damage(struct lab_node *n, uint64_t index)
{
    CHECK(index >= n->first && index <= n->last);
    n->log[index].slot.kind = SLOT_DAMAGED;
    n->log[index].value = 0;
}

static inline void lab_lose(struct lab_node *n, uint64_t index)
{
    CHECK(index >= n->first && index <= n->last);
    n->log[index] = (struct lab_slot){{.kind = SLOT_UNKNOWN}, 0};
}

/* Terms from index 'first' on: "2" whole, "2!" damaged, "?" unknown; "..." at
 * the end: it is unknown. The stored term becomes the highest one named. */
static inline void lab_log_from(struct lab *lab, size_t number, uint64_t first, const char *text)
{
    struct lab_node *n = &lab->nodes[number];
    n->first = first;
    n->last = first - 1;
    n->end_unknown = false;
    for (const char *p = text; *p != '\0';) {
        if (*p == ' ') {
            p++;
        } else if (*p == '.') {
            n->end_unknown = true;
            p++;
        } else if (*p == '?') {
            n->last++;
            lab_lose(n, n->last);
            p++;
        } else {
            char *end;
            lab_put(n, ++n->last, strtoull(p, &end, 10));
            CHECK(end != p);
            uint64_t term = n->log[n->last].slot.term;
            n->term = term > n->term ? term : n->term;
            if (*end == '!') {
                lab_damage(n, n->last);
                end++;
            }
            p = end;
        }
    }
}

static inline void lab_log(struct lab *lab, size_t number, const char *text)
{
    lab_log_from(lab, number, 1, text);
}

/* The log in that notation; the caller's. */
static inline char *lab_text(const struct lab *lab, size_t number)
{
    const struct lab_node *n = &lab->nodes[number];
    struct buf b = {0};
    for (uint64_t i = n->first; i <= n->last; i++) {
        struct slot s = n->log[i].slot;
        buf_printf(&b, "%s", b.size == 0 ? "" : " ");
        if (s.kind == SLOT_UNKNOWN) {
            buf_printf(&b, "?");
        } else {
            bool good = s.kind == SLOT_DAMAGED || n->log[i].value == lab_value(i, s.term);
            buf_printf(&b, "%" PRIu64 "%s%s", s.term, s.kind == SLOT_DAMAGED ? "!" : "",
                       good ? "" : "(wrong)");
        }
    }
    buf_printf(&b, "%s", n->end_unknown ? " ..." : "");
    char *text = mem_format("%.*s", (int)b.size, b.size == 0 ? "" : (const char *)b.data);
    buf_deinit(&b);
    return text;
}

static inline bool lab_is_whole(struct lab_node *n)
{
    struct log_view view = lab_view(n);
    return !repair_is_needed(&view, n->snapshot_index);
}

/* ---- configurations ---- */

static inline void lab_add_server(struct configuration *c, uint64_t id, enum server_role role)
{
    struct server *s = &c->servers[c->count++];
    *s = (struct server){.id = id, .role = role};
    int size = snprintf(s->address, sizeof s->address, "n%" PRIu64 "@host:1", id);
    CHECK(size > 0);
}

/* Voters by node number, as a string of digits: "012". */
static inline struct configuration lab_configuration(uint64_t index, const char *voters,
                                                     const char *standbys)
{
    struct configuration c = {.index = index};
    for (const char *p = voters; *p != '\0'; p++) {
        lab_add_server(&c, (uint64_t)(*p - '0') + 1, SERVER_VOTER);
    }
    for (const char *p = standbys; *p != '\0'; p++) {
        lab_add_server(&c, (uint64_t)(*p - '0') + 1, SERVER_STANDBY);
    }
    return c;
}

/* In its place by index; one of the same index is replaced. */
static inline void lab_add_configuration(struct lab_node *n, const struct configuration *c)
{
    size_t at = n->configuration_count;
    while (at > 0 && n->configurations[at - 1].index >= c->index) {
        at--;
    }
    if (at < n->configuration_count && n->configurations[at].index == c->index) {
        n->configurations[at] = *c;
        return;
    }
    n->configurations = mem_grow(n->configurations, &n->configuration_capacity,
                                 n->configuration_count + 1, sizeof *n->configurations);
    for (size_t i = n->configuration_count; i > at; i--) {
        n->configurations[i] = n->configurations[i - 1];
    }
    n->configurations[at] = *c;
    n->configuration_count++;
}

/* One node knows it. The entry at its index, if it is in the log, becomes that change. */
static inline void lab_knows(struct lab *lab, size_t number, struct configuration c)
{
    struct lab_node *n = &lab->nodes[number];
    lab_add_configuration(n, &c);
    if (c.index >= n->first && c.index <= n->last && c.index > 0) {
        n->log[c.index].slot.type = ENTRY_CHANGE;
    }
}

/* All nodes know this one alone. */
static inline void lab_configure(struct lab *lab, struct configuration c)
{
    for (size_t i = 0; i < lab->node_count; i++) {
        lab->nodes[i].configuration_count = 0;
        lab_knows(lab, i, c);
    }
}

#endif
