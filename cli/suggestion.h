/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the known word that a mistyped one is nearest to. */
#ifndef TIDEMARK_CLI_SUGGESTION_H
#define TIDEMARK_CLI_SUGGESTION_H

#include <stddef.h>

enum { SUGGESTION_WORD_SIZE_MAX = 64 }; /* longer words are like nothing */

/* Letters to add, remove, change or swap with their neighbour to get from one to
 * the other. */
unsigned suggestion_distance(const char *a, const char *b);

/* The nearest of the words, NULL when none is near enough to be meant. */
const char *suggestion_find(const char *word, const char *const *words, size_t count);

#endif
