/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_content.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { SECTOR = FAKE_DISK_SECTOR_SIZE };

static void forget_pieces(struct fake_content *c)
{
    for (size_t i = 0; i < c->piece_count; i++) {
        mem_free(c->pieces[i].data);
    }
    c->piece_count = 0;
    c->sectors_pending = 0;
}

static void add_piece(struct fake_content *c, struct piece piece)
{
    c->pieces = mem_grow(c->pieces, &c->piece_capacity, c->piece_count + 1, sizeof *c->pieces);
    c->pieces[c->piece_count++] = piece;
    c->sectors_pending += piece.sector_count;
}

void fake_content_deinit(struct fake_content *c)
{
    forget_pieces(c);
    mem_free(c->pieces);
    mem_free(c->bad_sectors);
    sparse_deinit(&c->cache);
    sparse_deinit(&c->platter);
    *c = (struct fake_content){0};
}

void fake_content_init_copy(struct fake_content *dst, const struct fake_content *src)
{
    CHECK(dst->piece_count == 0);
    sparse_init_copy(&dst->cache, &src->cache);
    sparse_init_copy(&dst->platter, &src->platter);
    dst->diverged = src->diverged;
    for (size_t i = 0; i < src->piece_count; i++) {
        struct piece piece = src->pieces[i];
        if (piece.data != NULL) {
            piece.data = mem_dup(piece.data, (size_t)piece.sector_count * SECTOR);
        }
        add_piece(dst, piece);
    }
    dst->bad_sectors = mem_grow(NULL, &dst->bad_capacity, src->bad_count, sizeof(uint64_t));
    for (size_t i = 0; i < src->bad_count; i++) {
        dst->bad_sectors[dst->bad_count++] = src->bad_sectors[i];
    }
}

/* Writing a sector makes it readable again, as a disk that remaps it. */
static void heal_sectors(struct fake_content *c, uint64_t first, uint64_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->bad_count; i++) {
        uint64_t sector = c->bad_sectors[i];
        if (sector < first || sector >= first + count) {
            c->bad_sectors[kept++] = sector;
        }
    }
    c->bad_count = kept;
}

static bool sector_is_zero(const struct fake_content *c, uint64_t sector)
{
    uint8_t data[SECTOR];
    size_t got = sparse_read(&c->cache, sector * SECTOR, data, sizeof data);
    return bytes_is_zero(bytes_of(data, got));
}

static bool edges_are_zero(const struct fake_content *c, uint64_t first, uint64_t count)
{
    return sector_is_zero(c, first) && sector_is_zero(c, first + count - 1);
}

void fake_content_write(struct fake_content *c, uint64_t offset, struct bytes data)
{
    CHECK(data.size > 0);
    uint64_t size_before = c->cache.size;
    sparse_write(&c->cache, offset, data);

    uint64_t first = offset / SECTOR;
    uint64_t count = (offset + data.size + SECTOR - 1) / SECTOR - first;
    struct piece piece = {first, count, NULL, size_before, c->cache.size};
    if (!bytes_is_zero(data) || !edges_are_zero(c, first, count)) {
        /* Whole sectors, with what the cache has around the bytes written. */
        piece.data = mem_alloc((size_t)count * SECTOR);
        size_t got = sparse_read(&c->cache, first * SECTOR, piece.data, (size_t)count * SECTOR);
        memset(piece.data + got, 0, (size_t)count * SECTOR - got);
    }
    add_piece(c, piece);
    heal_sectors(c, first, count);
}

void fake_content_resize(struct fake_content *c, uint64_t size)
{
    if (size != c->cache.size) {
        add_piece(c, (struct piece){.size_before = c->cache.size, .size_after = size});
        sparse_resize(&c->cache, size);
    }
}

static uint64_t piece_choices(const struct piece *piece)
{
    return piece->sector_count == 0
               ? 1
               : piece->sector_count + (piece->size_after > piece->size_before);
}

uint64_t fake_content_choices(const struct fake_content *c)
{
    uint64_t count = 0;
    for (size_t i = 0; i < c->piece_count; i++) {
        count += piece_choices(&c->pieces[i]);
    }
    return count;
}

/* One choice of a piece reaches 'image'. */
static void apply_choice(struct sparse *image, const struct piece *piece, uint64_t choice)
{
    if (piece->sector_count == 0) {
        sparse_resize(image, piece->size_after);
        return;
    }
    if (choice == piece->sector_count) {
        image->size = piece->size_after > image->size ? piece->size_after : image->size;
        return;
    }
    uint64_t begin = (piece->sector_first + choice) * SECTOR;
    CHECK(begin < piece->size_after);
    uint64_t size = piece->size_after - begin < SECTOR ? piece->size_after - begin : SECTOR;
    if (piece->data == NULL) {
        sparse_write_zeros(image, begin, size);
    } else {
        sparse_write(image, begin, bytes_of(piece->data + choice * SECTOR, (size_t)size));
    }
}

static void apply_piece(struct sparse *image, const struct piece *piece)
{
    for (uint64_t i = 0; i < piece_choices(piece); i++) {
        apply_choice(image, piece, i);
    }
}

/* Where the layers differ in pending pieces alone, the cache's page is right. */
static void share_piece(struct fake_content *c, const struct piece *piece)
{
    if (piece->sector_count == 0) {
        sparse_resize(&c->platter, piece->size_after);
        return;
    }
    uint64_t end = (piece->sector_first + piece->sector_count) * SECTOR;
    for (uint64_t page = piece->sector_first * SECTOR / SPARSE_PAGE_SIZE;
         page * SPARSE_PAGE_SIZE < end; page++) {
        sparse_share_page(&c->platter, &c->cache, page);
    }
}

void fake_content_sync(struct fake_content *c)
{
    for (size_t i = 0; i < c->piece_count; i++) {
        if (c->diverged) {
            apply_piece(&c->platter, &c->pieces[i]);
        } else {
            share_piece(c, &c->pieces[i]);
        }
    }
    if (c->diverged) {
        forget_pieces(c);
        return;
    }
    c->platter.size = c->cache.size;
    forget_pieces(c);
}

void fake_content_sync_failed(struct fake_content *c, uint64_t kept)
{
    for (size_t i = 0; i < c->piece_count; i++) {
        const struct piece *piece = &c->pieces[i];
        for (uint64_t choice = 0; choice < piece_choices(piece) && kept > 0; choice++, kept--) {
            apply_choice(&c->platter, piece, choice);
        }
    }
    c->diverged = c->diverged || c->piece_count > 0;
    forget_pieces(c);
}

void fake_content_write_back(struct fake_content *c, uint64_t sectors_max)
{
    size_t gone = 0;
    while (gone < c->piece_count && c->sectors_pending > sectors_max) {
        apply_piece(&c->platter, &c->pieces[gone]);
        c->sectors_pending -= c->pieces[gone].sector_count;
        mem_free(c->pieces[gone].data);
        gone++;
    }
    if (gone > 0) {
        c->piece_count -= gone;
        memmove(c->pieces, c->pieces + gone, c->piece_count * sizeof *c->pieces);
    }
}

bool fake_content_has_bad_sector(const struct fake_content *c, uint64_t offset, uint64_t size,
                                 uint64_t *bad_offset)
{
    for (size_t i = 0; i < c->bad_count && size > 0; i++) {
        uint64_t begin = c->bad_sectors[i] * SECTOR;
        if (begin < offset + size && offset < begin + SECTOR) {
            *bad_offset = begin > offset ? begin : offset;
            return true;
        }
    }
    return false;
}

void fake_content_add_bad_sectors(struct fake_content *c, uint64_t offset, uint64_t size)
{
    for (uint64_t sector = offset / SECTOR; sector * SECTOR < offset + size; sector++) {
        c->bad_sectors =
            mem_grow(c->bad_sectors, &c->bad_capacity, c->bad_count + 1, sizeof sector);
        c->bad_sectors[c->bad_count++] = sector;
    }
}

static void cache_from_platter(struct fake_content *c)
{
    sparse_deinit(&c->cache);
    sparse_init_copy(&c->cache, &c->platter);
    c->diverged = false;
}

void fake_content_evict(struct fake_content *c)
{
    if (!c->diverged) {
        return;
    }
    cache_from_platter(c);
    for (size_t i = 0; i < c->piece_count; i++) {
        apply_piece(&c->cache, &c->pieces[i]);
    }
}

void fake_content_power_fail(struct fake_content *c, size_t file,
                             const struct fake_disk_chooser *chooser)
{
    for (size_t i = 0; i < c->piece_count; i++) {
        const struct piece *piece = &c->pieces[i];
        for (uint64_t choice = 0; choice < piece_choices(piece); choice++) {
            if (chooser->keep(chooser->context, file)) {
                apply_choice(&c->platter, piece, choice);
            }
        }
    }
    if (c->piece_count > 0 || c->diverged) {
        forget_pieces(c);
        cache_from_platter(c);
    }
}

void fake_content_damage(struct fake_content *c, uint64_t offset, struct bytes data)
{
    CHECK(offset + data.size <= c->cache.size);
    sparse_write(&c->cache, offset, data);
    if (offset + data.size <= c->platter.size) {
        sparse_write(&c->platter, offset, data);
    } else {
        c->diverged = true;
    }
}

void fake_content_damage_size(struct fake_content *c, uint64_t size)
{
    CHECK(size <= c->cache.size);
    sparse_resize(&c->cache, size);
    if (size <= c->platter.size) {
        sparse_resize(&c->platter, size);
    } else {
        c->diverged = true;
    }
}
