/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a fake file, which cost memory only where they are not zero.
 *
 * Pages of 4 KiB, counted references: a copy shares all pages with its source
 * until one of them is written. A page is a hole (never written), zero (written,
 * no memory) or has bytes. Everything reads as zero until it is written.
 *
 * A sparse and all that share pages with it belong to one thread. */
#ifndef TIDEMARK_TESTKIT_SPARSE_H
#define TIDEMARK_TESTKIT_SPARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { SPARSE_PAGE_SIZE = 4096 };

struct sparse_page;

/* Embedded; all zero is an empty one. Fields are for reading only. */
struct sparse {
    struct sparse_page **pages;
    size_t page_count;  /* slots in use; all behind them are holes */
    size_t capacity;    /* slots */
    size_t pages_taken; /* slots that are no holes: what a disk would allocate */
    uint64_t size;
};

void sparse_deinit(struct sparse *s);
/* dst, empty before, becomes equal to src and shares its pages. */
void sparse_init_copy(struct sparse *dst, const struct sparse *src);

/* Reads up to 'size' bytes; returns how many there are before the end. */
size_t sparse_read(const struct sparse *s, uint64_t offset, void *dst, size_t size);
/* Extends the size as needed; what lies between reads as zero. */
void sparse_write(struct sparse *s, uint64_t offset, struct bytes data);
void sparse_write_zeros(struct sparse *s, uint64_t offset, uint64_t size);
/* Cuts, or extends by a hole. What was cut off is zero when extended again. */
void sparse_resize(struct sparse *s, uint64_t size);
/* Makes one page the same as src's, sharing it. Does not change the size. */
void sparse_share_page(struct sparse *dst, const struct sparse *src, uint64_t page);
/* Holes in [offset, offset + size), in pages. */
size_t sparse_holes(const struct sparse *s, uint64_t offset, uint64_t size);

#endif
