/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/suggestion.h"

#include <limits.h>
#include <string.h>

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned suggestion_distance(const char *a, const char *b)
{
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size > SUGGESTION_WORD_SIZE_MAX || b_size > SUGGESTION_WORD_SIZE_MAX) {
        return UINT_MAX;
    }
    /* rows[i % 3][j]: from the first i letters of a to the first j of b. */
    unsigned rows[3][SUGGESTION_WORD_SIZE_MAX + 1];
    for (size_t j = 0; j <= b_size; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned change = above[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0);
            row[j] = smaller(change, smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = smaller(row[j], rows[(i - 2) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a_size % 3][b_size];
}

const char *suggestion_find(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)(strlen(word) / 3 + 1);
    for (size_t i = 0; i < count; i++) {
        unsigned distance = suggestion_distance(word, words[i]);
        /* A word may be short for the one that begins with it. */
        if (strlen(word) >= 3 && strncmp(words[i], word, strlen(word)) == 0) {
            distance = smaller(distance, 1);
        }
        if (distance <= best_distance && (best == NULL || distance < best_distance)) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best;
}
