/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

enum { TIMEOUT_DIGITS_MAX = 8, TIMEOUT_VALUE_MAX = 99999999, ESCAPE_SIZE = 3 };

static bool parse_digits(struct bytes text, uint64_t *value)
{
    if (text.size == 0 || text.size > TIMEOUT_DIGITS_MAX) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(text.data[i] - '0');
    }
    *value = v;
    return true;
}

bool grpc_timeout_parse(struct bytes text, uint64_t *ms)
{
    uint64_t value = 0;
    if (text.size < 2 || !parse_digits(bytes_of(text.data, text.size - 1), &value)) {
        return false;
    }
    switch (text.data[text.size - 1]) {
    case 'H':
        *ms = value * 3600 * 1000;
        return true;
    case 'M':
        *ms = value * 60 * 1000;
        return true;
    case 'S':
        *ms = value * 1000;
        return true;
    case 'm':
        *ms = value;
        return true;
    case 'u':
        *ms = (value + 999) / 1000;
        return true;
    case 'n':
        *ms = (value + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

void grpc_timeout_format(char dst[GRPC_TIMEOUT_TEXT_SIZE], uint64_t ms)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{1, 'm'}, {1000, 'S'}, {60 * 1000, 'M'}, {3600 * 1000, 'H'}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t value = ms / units[i].ms;
        if (value <= TIMEOUT_VALUE_MAX) {
            (void)snprintf(dst, GRPC_TIMEOUT_TEXT_SIZE, "%" PRIu64 "%c", value, units[i].unit);
            return;
        }
    }
    (void)snprintf(dst, GRPC_TIMEOUT_TEXT_SIZE, "%dH", TIMEOUT_VALUE_MAX);
}

bool grpc_status_parse(struct bytes text, enum grpc_status *status)
{
    uint64_t value = 0;
    if (!parse_digits(text, &value)) {
        return false;
    }
    *status = value < GRPC_STATUS_COUNT ? (enum grpc_status)value : GRPC_UNKNOWN;
    return true;
}

void grpc_message_encode(struct buf *out, const char *message, size_t size_max)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t room = size_max;
    for (const char *p = message; *p != '\0'; p++) {
        uint8_t byte = (uint8_t)*p;
        bool plain = byte >= 0x20 && byte <= 0x7e && byte != '%';
        size_t size = plain ? 1 : ESCAPE_SIZE;
        if (size > room) {
            return;
        }
        room -= size;
        if (plain) {
            buf_put_u8(out, byte);
        } else {
            uint8_t escape[ESCAPE_SIZE] = {'%', (uint8_t)hex[byte >> 4], (uint8_t)hex[byte & 15]};
            buf_put(out, escape, sizeof escape);
        }
    }
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void grpc_message_decode(struct bytes text, char *dst, size_t dst_size)
{
    CHECK(dst_size > 0);
    size_t n = 0;
    for (size_t i = 0; i < text.size && n + 1 < dst_size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '%' && text.size - i >= ESCAPE_SIZE) {
            int high = hex_value(text.data[i + 1]);
            int low = hex_value(text.data[i + 2]);
            if (high >= 0 && low >= 0) {
                byte = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        dst[n++] = (char)(byte == 0 ? (uint8_t)'?' : byte);
    }
    dst[n] = '\0';
}
