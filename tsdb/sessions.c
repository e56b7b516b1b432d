/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/sessions.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    NONE = LIMIT_SESSIONS, /* no slot */
    BUCKETS = 2 * LIMIT_SESSIONS,
    ID_BITS = 48 /* short as a varint, exact as a double */
};

_Static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a power of two");

struct answer {
    uint64_t sequence;
    uint64_t index;
    uint64_t rows;
    enum command_kind kind;
    enum err_code code;
    char *text; /* owned; NULL when OK */
};

struct session {
    uint64_t id; /* 0: the slot is free */
    uint64_t floor;
    uint64_t used;
    struct answer *answers; /* by rising sequence */
    size_t count;
    size_t capacity;
    unsigned chain;        /* next slot of the bucket, or of the free list */
    unsigned newer, older; /* by use */
};

struct sessions {
    struct session slots[LIMIT_SESSIONS];
    unsigned buckets[BUCKETS];
    unsigned free;
    unsigned newest, oldest;
    size_t count;
    uint64_t use_next;
    struct hash128 hash; /* sum of the hashes of all sessions and answers */
};

static void check_invariants(const struct sessions *s)
{
    CHECK(s->count <= LIMIT_SESSIONS);
    CHECK((s->count == 0) == (s->newest == NONE));
    CHECK((s->count == 0) == (s->oldest == NONE));
}

/* --- hash: a sum, so that one change costs one term --- */

static struct hash128 session_term(const struct session *x)
{
    uint8_t b[25];
    b[0] = 's';
    bytes_put_u64(b + 1, x->id);
    bytes_put_u64(b + 9, x->floor);
    bytes_put_u64(b + 17, x->used);
    return hash128(bytes_of(b, sizeof b));
}

static struct hash128 answer_term(const struct session *x, const struct answer *a)
{
    uint8_t b[43];
    b[0] = 'a';
    bytes_put_u64(b + 1, x->id);
    bytes_put_u64(b + 9, a->sequence);
    bytes_put_u64(b + 17, a->index);
    bytes_put_u64(b + 25, a->rows);
    b[33] = (uint8_t)a->kind;
    b[34] = (uint8_t)a->code;
    bytes_put_u64(b + 35, a->text == NULL ? 0 : hash64(bytes_str(a->text)));
    return hash128(bytes_of(b, sizeof b));
}

static void hash_add(struct sessions *s, struct hash128 term)
{
    s->hash.low += term.low;
    s->hash.high += term.high;
}

static void hash_remove(struct sessions *s, struct hash128 term)
{
    s->hash.low -= term.low;
    s->hash.high -= term.high;
}

/* --- slots --- */

struct sessions *sessions_new(void)
{
    struct sessions *s = mem_zalloc(sizeof *s);
    for (unsigned i = 0; i < LIMIT_SESSIONS; i++) {
        s->slots[i].chain = i + 1; /* the last one's is NONE */
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        s->buckets[i] = NONE;
    }
    s->newest = NONE;
    s->oldest = NONE;
    s->use_next = 1;
    return s;
}

static void drop_answers(struct sessions *s, struct session *x, size_t count)
{
    CHECK(count <= x->count);
    for (size_t i = 0; i < count; i++) {
        hash_remove(s, answer_term(x, &x->answers[i]));
        mem_free(x->answers[i].text);
    }
    x->count -= count;
    if (x->count > 0 && count > 0) {
        memmove(x->answers, x->answers + count, x->count * sizeof *x->answers);
    }
}

void sessions_close(struct sessions *s)
{
    if (s == NULL) {
        return;
    }
    for (unsigned i = 0; i < LIMIT_SESSIONS; i++) {
        drop_answers(s, &s->slots[i], s->slots[i].count);
        mem_free(s->slots[i].answers);
    }
    mem_free(s);
}

static unsigned *bucket_of(struct sessions *s, uint64_t id)
{
    uint8_t b[8];
    bytes_put_u64(b, id);
    return &s->buckets[hash64(bytes_of(b, sizeof b)) & (BUCKETS - 1)];
}

static unsigned find(struct sessions *s, uint64_t id)
{
    unsigned i = *bucket_of(s, id);
    while (i != NONE && s->slots[i].id != id) {
        i = s->slots[i].chain;
    }
    return i;
}

static void unlink_use(struct sessions *s, unsigned i)
{
    struct session *x = &s->slots[i];
    if (x->newer != NONE) {
        s->slots[x->newer].older = x->older;
    } else {
        s->newest = x->older;
    }
    if (x->older != NONE) {
        s->slots[x->older].newer = x->newer;
    } else {
        s->oldest = x->newer;
    }
}

static void link_newest(struct sessions *s, unsigned i)
{
    struct session *x = &s->slots[i];
    x->newer = NONE;
    x->older = s->newest;
    if (s->newest != NONE) {
        s->slots[s->newest].newer = i;
    } else {
        s->oldest = i;
    }
    s->newest = i;
}

static void close_slot(struct sessions *s, unsigned i)
{
    struct session *x = &s->slots[i];
    CHECK(x->id != 0);
    drop_answers(s, x, x->count);
    hash_remove(s, session_term(x));
    unsigned *at = bucket_of(s, x->id);
    while (*at != i) {
        at = &s->slots[*at].chain;
    }
    *at = x->chain;
    unlink_use(s, i);
    mem_free(x->answers);
    *x = (struct session){.chain = s->free};
    s->free = i;
    s->count--;
    check_invariants(s);
}

/* The newest by use; the least used one makes room. */
static struct session *open_slot(struct sessions *s, uint64_t id, uint64_t floor, uint64_t used)
{
    if (s->free == NONE) {
        close_slot(s, s->oldest);
    }
    unsigned i = s->free;
    struct session *x = &s->slots[i];
    s->free = x->chain;
    unsigned *bucket = bucket_of(s, id);
    *x = (struct session){.id = id, .floor = floor, .used = used, .chain = *bucket};
    *bucket = i;
    link_newest(s, i);
    hash_add(s, session_term(x));
    s->count++;
    check_invariants(s);
    return x;
}

static uint64_t make_id(uint64_t nonce, uint64_t index, uint64_t use, uint64_t attempt)
{
    uint8_t b[32];
    bytes_put_u64(b, nonce);
    bytes_put_u64(b + 8, index);
    bytes_put_u64(b + 16, use);
    bytes_put_u64(b + 24, attempt);
    return hash64(bytes_of(b, sizeof b)) >> (64 - ID_BITS);
}

uint64_t sessions_open(struct sessions *s, uint64_t nonce, uint64_t close_session, uint64_t index)
{
    unsigned old = close_session == 0 ? NONE : find(s, close_session);
    if (old != NONE) {
        close_slot(s, old);
    }
    uint64_t id = 0;
    for (uint64_t attempt = 0; id == 0 || find(s, id) != NONE; attempt++) {
        CHECK(attempt < 1000);
        id = make_id(nonce, index, s->use_next, attempt);
    }
    (void)open_slot(s, id, 0, s->use_next++);
    return id;
}

/* --- judging --- */

/* Place of the first answer of a sequence not below 'sequence'. */
static size_t answer_place(const struct session *x, uint64_t sequence)
{
    size_t low = 0;
    size_t high = x->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (x->answers[middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void note_use(struct sessions *s, unsigned i, uint64_t sequence_open)
{
    struct session *x = &s->slots[i];
    hash_remove(s, session_term(x));
    if (sequence_open > 0 && sequence_open - 1 > x->floor) {
        x->floor = sequence_open - 1;
        drop_answers(s, x, answer_place(x, sequence_open));
    }
    x->used = s->use_next++;
    hash_add(s, session_term(x));
    unlink_use(s, i);
    link_newest(s, i);
}

static void refuse(struct tsdb_result *r, enum err_code code, const char *text)
{
    r->code = code;
    (void)snprintf(r->text, sizeof r->text, "%s", text);
}

static void give_again(const struct answer *a, struct tsdb_result *r)
{
    r->kind = a->kind;
    r->code = a->code;
    r->repeated = true;
    r->index = a->index;
    r->rows = a->rows;
    if (a->text != NULL) {
        (void)snprintf(r->text, sizeof r->text, "%s", a->text);
    }
}

enum session_verdict sessions_judge(struct sessions *s, const struct command *command,
                                    struct tsdb_result *result)
{
    if (command->session == 0) {
        return SESSION_NONE;
    }
    unsigned i = find(s, command->session);
    if (i == NONE) {
        refuse(result, ERR_UNKNOWN_OUTCOME,
               "the session is not known (any more): whether the request took effect can't be "
               "said");
        return SESSION_ANSWERED;
    }
    if (command->sequence == 0 || command->sequence_open > command->sequence) {
        refuse(result, ERR_INVALID,
               "a request of a session needs a sequence from 1 on, not below its sequence_open");
        return SESSION_ANSWERED;
    }
    note_use(s, i, command->sequence_open);
    const struct session *x = &s->slots[i];
    if (command->sequence <= x->floor) {
        refuse(result, ERR_UNKNOWN_OUTCOME,
               "the answer to that sequence is not kept any more: whether the request took effect "
               "can't be said");
        return SESSION_ANSWERED;
    }
    size_t place = answer_place(x, command->sequence);
    if (place < x->count && x->answers[place].sequence == command->sequence) {
        give_again(&x->answers[place], result);
        return SESSION_ANSWERED;
    }
    return SESSION_NEW;
}

static void insert_answer(struct sessions *s, struct session *x, const struct answer *a)
{
    size_t place = answer_place(x, a->sequence);
    CHECK(place == x->count || x->answers[place].sequence != a->sequence);
    x->answers = mem_grow(x->answers, &x->capacity, x->count + 1, sizeof *x->answers);
    memmove(x->answers + place + 1, x->answers + place, (x->count - place) * sizeof *x->answers);
    x->answers[place] = *a;
    x->count++;
    hash_add(s, answer_term(x, a));
}

void sessions_record(struct sessions *s, const struct command *command,
                     const struct tsdb_result *result)
{
    unsigned i = find(s, command->session);
    CHECK(i != NONE);
    struct session *x = &s->slots[i];
    CHECK(command->sequence > x->floor);
    struct answer a = {
        .sequence = command->sequence,
        .index = result->index,
        .rows = result->rows,
        .kind = result->kind,
        .code = result->code,
        .text = result->code == ERR_OK ? NULL : mem_strdup(result->text),
    };
    insert_answer(s, x, &a);
    if (x->count > LIMIT_SESSION_ANSWERS) {
        hash_remove(s, session_term(x));
        x->floor = x->answers[0].sequence;
        hash_add(s, session_term(x));
        drop_answers(s, x, 1);
    }
}

size_t sessions_count(const struct sessions *s)
{
    return s->count;
}

struct hash128 sessions_hash(const struct sessions *s)
{
    struct hash128 h = s->hash;
    h.low += s->use_next;
    return h;
}

/* --- files --- */

void sessions_encode(const struct sessions *s, struct buf *out)
{
    buf_put_varint(out, s->use_next);
    buf_put_varint(out, s->count);
    for (unsigned i = s->oldest; i != NONE; i = s->slots[i].newer) {
        const struct session *x = &s->slots[i];
        buf_put_u64(out, x->id);
        buf_put_varint(out, x->floor);
        buf_put_varint(out, x->used);
        buf_put_varint(out, x->count);
        for (size_t j = 0; j < x->count; j++) {
            const struct answer *a = &x->answers[j];
            buf_put_varint(out, a->sequence);
            buf_put_u8(out, (uint8_t)a->kind);
            buf_put_u8(out, (uint8_t)a->code);
            buf_put_varint(out, a->index);
            buf_put_varint(out, a->rows);
            buf_put_str(out, a->text == NULL ? "" : a->text);
        }
    }
}

static void decode_answer(struct cursor *in, struct sessions *s, struct session *x)
{
    char text[sizeof((struct tsdb_result *)NULL)->text];
    struct answer a = {.sequence = cursor_varint(in)};
    uint8_t kind = cursor_u8(in);
    uint8_t code = cursor_u8(in);
    a.index = cursor_varint(in);
    a.rows = cursor_varint(in);
    cursor_str(in, text, sizeof text);
    uint64_t before = x->count == 0 ? x->floor : x->answers[x->count - 1].sequence;
    if (in->bad || kind == 0 || kind >= COMMAND_KIND_COUNT || code >= ERR_CODE_COUNT ||
        a.sequence <= before) {
        in->bad = true;
        return;
    }
    a.kind = (enum command_kind)kind;
    a.code = (enum err_code)code;
    a.text = a.code == ERR_OK ? NULL : mem_strdup(text);
    insert_answer(s, x, &a);
}

static void decode_session(struct cursor *in, struct sessions *s, uint64_t used_min)
{
    uint64_t id = cursor_u64(in);
    uint64_t floor = cursor_varint(in);
    uint64_t used = cursor_varint(in);
    uint64_t count = cursor_varint(in);
    if (in->bad || id == 0 || find(s, id) != NONE || count > LIMIT_SESSION_ANSWERS ||
        used < used_min || used >= s->use_next) {
        in->bad = true;
        return;
    }
    struct session *x = open_slot(s, id, floor, used);
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        decode_answer(in, s, x);
    }
}

enum err_code sessions_decode(struct cursor *in, struct sessions **out, struct err *e)
{
    *out = NULL;
    struct sessions *s = sessions_new();
    s->use_next = cursor_varint(in);
    uint64_t count = cursor_varint(in);
    in->bad = in->bad || count > LIMIT_SESSIONS;
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        decode_session(in, s, i == 0 ? 0 : s->slots[s->newest].used + 1);
    }
    if (in->bad) {
        sessions_close(s);
        return err_set(e, ERR_CORRUPT, "the sessions are cut short or malformed");
    }
    *out = s;
    return ERR_OK;
}
