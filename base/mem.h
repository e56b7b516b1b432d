/* SPDX-License-Identifier: Apache-2.0 */
/* Memory. These never return NULL: a node without memory can't keep its
 * promises, so the process stops and says how much it asked for (the replicas
 * carry on). Sizes that come from outside are bounded before they get here. */
#ifndef TIDEMARK_BASE_MEM_H
#define TIDEMARK_BASE_MEM_H

#include <stddef.h>

#include "base/err.h"

/* All return memory that the caller owns, to be given to mem_free(). */
MUST_CHECK void *mem_alloc(size_t size);                    /* not cleared */
MUST_CHECK void *mem_zalloc(size_t size);                   /* cleared */
MUST_CHECK void *mem_array(size_t count, size_t item_size); /* cleared */
MUST_CHECK void *mem_resize(void *p, size_t size);
MUST_CHECK char *mem_strdup(const char *s);
MUST_CHECK void *mem_dup(const void *p, size_t size);
MUST_CHECK char *mem_format(const char *format, ...) ERR_FORMAT(1, 2);

void mem_free(void *p); /* NULL is fine */

/* Grows an array to hold at least 'count_min' items, by doubling. */
MUST_CHECK void *mem_grow(void *p, size_t *capacity, size_t count_min, size_t item_size);

/* Bytes now held through this module, for limits and status; approximate. */
size_t mem_in_use(void);

#endif
