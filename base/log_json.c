/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_json.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static const char end[] = "}\n";
static const char end_cut[] = ",\"cut\":true}\n";

enum { KEY_SIZE_MAX = 32, DIGITS_EXACT = 15, ROOM = LOG_LINE_SIZE_MAX - (int)sizeof end_cut };

struct out {
    char *text;
    size_t size; /* at most ROOM until the end is written */
    bool cut;
};

/* --- the words of a text line --- */

static bool is_key_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Of "key=..."; 0: there is none. */
static size_t key_size(const char *text)
{
    size_t size = 0;
    while (size < KEY_SIZE_MAX && is_key_character(text[size])) {
        size++;
    }
    return text[size] == '=' ? size : 0;
}

/* Behind a value: the end of the line, or another pair. */
static bool is_between_pairs(const char *text)
{
    return text[0] == '\0' || (text[0] == ' ' && key_size(text + 1) > 0);
}

static size_t quoted_size(const char *text)
{
    size_t size = 0;
    while (text[size] != '\0' && (text[size] != '"' || !is_between_pairs(text + size + 1))) {
        size++;
    }
    return size;
}

static size_t bare_size(const char *text)
{
    size_t size = 0;
    while (!is_between_pairs(text + size)) {
        size++;
    }
    return size;
}

static bool is_number(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return size > 0 && size <= DIGITS_EXACT && (size == 1 || text[0] != '0');
}

/* --- JSON --- */

/* The bytes of the UTF-8 sequence at 'text'; 0: it is none. */
static size_t utf8_size(const uint8_t *text, size_t left)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t min;
    } kinds[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t size = 1; size <= 4 && size <= left; size++) {
        uint8_t mask = kinds[size - 1].mask;
        if ((text[0] & mask) != kinds[size - 1].lead) {
            continue;
        }
        uint32_t code = (uint32_t)text[0] & (uint32_t)(uint8_t)~mask;
        for (size_t i = 1; i < size; i++) {
            if ((text[i] & 0xc0U) != 0x80U) {
                return 0;
            }
            code = code << 6 | (text[i] & 0x3fU);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        return code < kinds[size - 1].min || code > 0x10ffff || surrogate ? 0 : size;
    }
    return 0;
}

static bool put(struct out *o, const char *text, size_t size, size_t spare)
{
    if (o->cut || size + spare > ROOM - o->size) {
        o->cut = true;
        return false;
    }
    memcpy(o->text + o->size, text, size);
    o->size += size;
    return true;
}

/* One character of a string, and how many bytes of the text it was. */
static size_t put_character(struct out *o, const char *text, size_t left)
{
    char escaped[8];
    uint8_t c = (uint8_t)text[0];
    size_t size = utf8_size((const uint8_t *)text, left);
    if (size == 0) {
        (void)put(o, "?", 1, 1);
        return 1;
    }
    if (c == '"' || c == '\\') {
        (void)snprintf(escaped, sizeof escaped, "\\%c", c);
    } else if (c < 0x20 || c == 0x7f) {
        (void)snprintf(escaped, sizeof escaped, "\\u%04x", c);
    } else {
        (void)put(o, text, size, 1);
        return size;
    }
    (void)put(o, escaped, strlen(escaped), 1);
    return size;
}

static void put_string(struct out *o, const char *text, size_t size)
{
    if (!put(o, "\"", 1, 1)) {
        return;
    }
    for (size_t at = 0; at < size && !o->cut;) {
        at += put_character(o, text + at, size - at);
    }
    o->text[o->size++] = '"'; /* its place was spared */
    CHECK(o->size <= ROOM);
}

static void put_member(struct out *o, const char *key, size_t key_length, const char *value,
                       size_t size, bool number)
{
    char name[KEY_SIZE_MAX + sizeof ",\"\":"];
    int length =
        snprintf(name, sizeof name, "%s\"%.*s\":", o->size > 1 ? "," : "", (int)key_length, key);
    CHECK(length > 0 && (size_t)length < sizeof name);
    size_t least = number ? size : 2; /* a string can be cut, a number not */
    if (!put(o, name, (size_t)length, least)) {
        return;
    }
    if (number) {
        (void)put(o, value, size, 0);
    } else {
        put_string(o, value, size);
    }
}

static void put_word(struct out *o, const char *key, const char *value)
{
    put_member(o, key, strlen(key), value, strlen(value), false);
}

/* Words that are no pair (none of ours are) become "text". */
static void put_pairs(struct out *o, const char *at)
{
    while (*at != '\0' && !o->cut) {
        size_t key = key_size(at);
        const char *value = key == 0 ? at : at + key + 1;
        bool quoted = key > 0 && value[0] == '"';
        value += quoted ? 1 : 0;
        size_t size = quoted ? quoted_size(value) : bare_size(value);
        put_member(o, key == 0 ? "text" : at, key == 0 ? 4 : key, value, size,
                   !quoted && is_number(value, size));
        at = value + size;
        at += quoted && *at == '"' ? 1 : 0;
        at += *at == ' ' ? 1 : 0;
    }
}

void log_json_write(const struct log_json *line, char dst[LOG_LINE_SIZE_MAX + 1])
{
    struct out o = {.text = dst};
    (void)put(&o, "{", 1, 0);
    put_word(&o, "time", line->time);
    put_word(&o, "level", line->level);
    if (line->node[0] != '\0') {
        put_word(&o, "node", line->node);
    }
    put_word(&o, "room", line->room);
    put_word(&o, "verb", line->verb);
    put_pairs(&o, line->pairs);
    bool cut = o.cut || line->cut;
    (void)snprintf(dst + o.size, LOG_LINE_SIZE_MAX + 1 - o.size, "%s", cut ? end_cut : end);
}
