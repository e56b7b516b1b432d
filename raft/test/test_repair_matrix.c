/* SPDX-License-Identifier: Apache-2.0 */
/* The damage matrix: four entries committed on three nodes, every one of the
 * 4,096 combinations of damaged copies, every node repairing at once. Of an entry
 * one copy is enough, so that (8 - 1)^4 = 2,401 can be repaired; the others must
 * wait and say for what, and nothing may be lost or changed. */
#include "raft/repair.h"
#include "raft/test/repair_lab.h"
#include "testkit/test.h"

enum {
    NODES = 3,
    ENTRIES = 4,
    PATTERNS = 1 << (NODES * ENTRIES),
    ROUNDS = 8,
};

enum damage {
    DAMAGE_PAYLOAD, /* identity from the record's own header */
    DAMAGE_HEADER,  /* identity from elsewhere, the type of the entry lost */
    DAMAGE_UNKNOWN, /* identity lost */
};

struct outcome {
    unsigned whole; /* all entries on all nodes */
    unsigned waits;
    unsigned wrong;
};

static bool is_damaged(unsigned pattern, size_t node, uint64_t index)
{
    return (pattern >> (node * ENTRIES + index - 1) & 1U) != 0;
}

static struct lab *set_up(unsigned pattern, enum damage damage, uint64_t term)
{
    struct lab *lab = lab_open(NODES);
    for (size_t n = 0; n < NODES; n++) {
        lab_log(lab, n, "1 1 1 1");
        lab->nodes[n].term = term;
        for (uint64_t i = 1; i <= ENTRIES; i++) {
            if (!is_damaged(pattern, n, i)) {
                continue;
            }
            if (damage == DAMAGE_UNKNOWN) {
                lab_lose(&lab->nodes[n], i);
            } else {
                lab_damage(&lab->nodes[n], i);
                lab->nodes[n].log[i].slot.type = damage == DAMAGE_HEADER ? 0 : ENTRY_COMMAND;
            }
        }
    }
    return lab;
}

/* No copy of it was left. */
static bool is_gone(unsigned pattern, uint64_t index)
{
    for (size_t n = 0; n < NODES; n++) {
        if (!is_damaged(pattern, n, index)) {
            return false;
        }
    }
    return true;
}

/* What a node must say that waits for every entry of which no copy is left. */
static char *wanted_text(unsigned pattern, size_t node)
{
    struct buf b = {0};
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        uint64_t last = i;
        if (!is_gone(pattern, i)) {
            continue;
        }
        while (last < ENTRIES && is_gone(pattern, last + 1)) {
            last++;
        }
        buf_printf(&b, "%s", b.size == 0 ? "waits for " : "; ");
        if (last == i) {
            buf_printf(&b, "entry %" PRIu64 " (term 1)", i);
        } else {
            buf_printf(&b, "entries %" PRIu64 " to %" PRIu64 " (term 1)", i, last);
        }
        const char *before = ": ";
        for (size_t n = 0; n < NODES; n++) {
            if (n != node) {
                buf_printf(&b, "%sdamaged at node %016zx (n%zu@host:1)", before, n + 1, n + 1);
                before = ", ";
            }
        }
        i = last;
    }
    char *text = mem_format("%.*s", (int)b.size, b.size == 0 ? "" : (const char *)b.data);
    buf_deinit(&b);
    return text;
}

/* Every entry of which a copy was left is whole everywhere, the others are as
 * they were, and each node that waits says so. */
static bool is_as_it_must_be(const struct lab *lab, unsigned pattern)
{
    bool right = true;
    for (size_t n = 0; n < NODES; n++) {
        const struct lab_node *node = &lab->nodes[n];
        bool holes = false;
        right = right && node->first == 1 && node->last == ENTRIES && !node->end_unknown;
        for (uint64_t i = 1; i <= ENTRIES && right; i++) {
            bool gone = is_gone(pattern, i);
            struct lab_slot s = node->log[i];
            right = s.slot.term == 1 && s.slot.kind == (gone ? SLOT_DAMAGED : SLOT_WHOLE) &&
                    s.value == (gone ? 0 : lab_value(i, 1));
            holes = holes || gone;
        }
        right = right && (node->repair != NULL) == holes;
        if (right && holes) {
            char *want = wanted_text(pattern, n);
            right = node->waits != NULL && strcmp(node->waits, want) == 0;
            if (!right) {
                printf("pattern %03x node %zu: \"%s\", not \"%s\"\n", pattern, n,
                       node->waits == NULL ? "" : node->waits, want);
            }
            mem_free(want);
        }
    }
    return right;
}

static struct outcome play_known(enum damage damage)
{
    struct outcome o = {0};
    for (unsigned pattern = 0; pattern < PATTERNS; pattern++) {
        struct lab *lab = set_up(pattern, damage, 1);
        lab_run_for(lab, ROUNDS);
        o.whole += lab_is_done(lab);
        o.waits += !lab_is_done(lab);
        o.wrong += !is_as_it_must_be(lab, pattern);
        lab_close(lab);
    }
    return o;
}

TEST(repair_matrix, every_damage_of_payloads)
{
    struct outcome o = play_known(DAMAGE_PAYLOAD);
    EXPECT_UINT(o.whole, 2401);
    EXPECT_UINT(o.waits, 1695);
    EXPECT_UINT(o.wrong, 0);
}

TEST(repair_matrix, every_damage_of_headers)
{
    struct outcome o = play_known(DAMAGE_HEADER);
    EXPECT_UINT(o.whole, 2401);
    EXPECT_UINT(o.waits, 1695);
    EXPECT_UINT(o.wrong, 0);
}

/* ---- identities lost: an oracle written from rule C3 of safety.md alone ----
 *
 * All logs were equal, "1 1 1 1". A peer that knows an entry of ours has the same
 * ones before it, and nobody leads, so of each slot all that matters is whether it
 * is whole. What the oracle does not know of: messages, their order, efforts. */

struct matrix {
    bool whole[NODES][ENTRIES + 2]; /* by index; 0 and ENTRIES + 1 are no entries */
};

static struct matrix matrix_of(unsigned pattern)
{
    struct matrix m = {0};
    for (size_t n = 0; n < NODES; n++) {
        for (uint64_t i = 1; i <= ENTRIES; i++) {
            m.whole[n][i] = !is_damaged(pattern, n, i);
        }
    }
    return m;
}

static bool has_all(const struct matrix *m, size_t node)
{
    bool all = true;
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        all = all && m->whole[node][i];
    }
    return all;
}

/* Node n may take entry i from peer p, which has it whole. */
static bool may_take(const struct matrix *m, size_t n, size_t p, uint64_t i, uint64_t term)
{
    uint64_t next = i + 1;
    uint64_t below = i - 1;
    while (next <= ENTRIES && !m->whole[n][next]) {
        next++;
    }
    while (below > 0 && !m->whole[n][below]) {
        below--;
    }
    bool pinned = next <= ENTRIES && m->whole[p][next];
    bool top = term == 1 && (below == 0 || m->whole[p][below]);
    return m->whole[p][i] && (pinned || top);
}

/* The log of one of two others decides: neither has lost anything. */
static bool may_replace(const struct matrix *m, size_t n)
{
    return has_all(m, (n + 1) % NODES) && has_all(m, (n + 2) % NODES);
}

static bool may_fill(const struct matrix *m, size_t n, uint64_t i, uint64_t term)
{
    return may_take(m, n, (n + 1) % NODES, i, term) || may_take(m, n, (n + 2) % NODES, i, term) ||
           may_replace(m, n);
}

/* One thing that a rule allows; false: none. */
static bool apply_rule(struct matrix *m, uint64_t term)
{
    for (size_t n = 0; n < NODES; n++) {
        for (uint64_t i = 1; i <= ENTRIES; i++) {
            if (!m->whole[n][i] && may_fill(m, n, i, term)) {
                m->whole[n][i] = true;
                return true;
            }
        }
    }
    return false;
}

static bool is_as_the_rules_say(const struct lab *lab, unsigned pattern, uint64_t term)
{
    struct matrix m = matrix_of(pattern);
    while (apply_rule(&m, term)) {
    }
    for (size_t n = 0; n < NODES; n++) {
        for (uint64_t i = 1; i <= ENTRIES; i++) {
            if (m.whole[n][i] != (lab->nodes[n].log[i].slot.kind == SLOT_WHOLE)) {
                printf("pattern %03x node %zu entry %" PRIu64 ": by the rules it %s\n", pattern, n,
                       i, m.whole[n][i] ? "is filled" : "can't be told");
                return false;
            }
        }
    }
    return true;
}

/* Safe: what is whole is right, a node that starts has all four, and while a
 * node waits it has lost nothing that it held. */
static bool is_safe(const struct lab *lab, unsigned pattern)
{
    for (size_t n = 0; n < NODES; n++) {
        const struct lab_node *node = &lab->nodes[n];
        if (node->first != 1 || node->last != ENTRIES || node->end_unknown) {
            return false;
        }
        for (uint64_t i = 1; i <= ENTRIES; i++) {
            struct lab_slot s = node->log[i];
            bool whole =
                s.slot.kind == SLOT_WHOLE && s.slot.term == 1 && s.value == lab_value(i, 1);
            bool waits =
                node->repair != NULL && is_damaged(pattern, n, i) && s.slot.kind == SLOT_UNKNOWN;
            if (!whole && !waits) {
                return false;
            }
        }
    }
    return true;
}

static struct outcome play_unknown(uint64_t term)
{
    struct outcome o = {0};
    for (unsigned pattern = 0; pattern < PATTERNS; pattern++) {
        struct lab *lab = set_up(pattern, DAMAGE_UNKNOWN, term);
        lab_run_for(lab, ROUNDS);
        o.whole += lab_is_done(lab);
        o.waits += !lab_is_done(lab);
        o.wrong += !is_safe(lab, pattern) || !is_as_the_rules_say(lab, pattern, term);
        lab_close(lab);
    }
    return o;
}

/* Our stored term is that of the entries: any whole copy of one is proof (C3),
 * if what is below it can be compared. */
TEST(repair_matrix, every_loss_of_identities)
{
    struct outcome o = play_unknown(1);
    EXPECT_UINT(o.whole + o.waits, PATTERNS);
    EXPECT_UINT(o.whole, 2401);
    EXPECT_UINT(o.wrong, 0);
}

/* The stored term is a later one: an entry of it can have been lost. */
TEST(repair_matrix, every_loss_of_identities_in_a_later_term)
{
    struct outcome o = play_unknown(2);
    EXPECT_UINT(o.whole + o.waits, PATTERNS);
    EXPECT_UINT(o.whole, 1135);
    EXPECT_UINT(o.wrong, 0);
}
