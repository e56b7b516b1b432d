/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/content_hash.h"

void content_hash_deinit(struct content_hash *h)
{
    buf_deinit(&h->piece);
    *h = (struct content_hash){0};
}

void content_hash_add(struct content_hash *h, struct bytes b)
{
    while (b.size > 0) {
        size_t room = CONTENT_PIECE_SIZE - h->piece.size;
        size_t take = b.size < room ? b.size : room;
        buf_put(&h->piece, b.data, take);
        b.data += take;
        b.size -= take;
        if (h->piece.size == CONTENT_PIECE_SIZE) {
            h->state = hash128_chain(h->state, buf_bytes(&h->piece));
            buf_reset(&h->piece);
        }
    }
}

struct hash128 content_hash_end(struct content_hash *h)
{
    if (h->piece.size > 0) {
        h->state = hash128_chain(h->state, buf_bytes(&h->piece));
        buf_reset(&h->piece);
    }
    return h->state;
}

enum err_code content_hash_file(struct file *file, uint64_t size, struct hash128 *out,
                                struct err *e)
{
    struct hash128 state = {0};
    struct buf piece = {0};
    enum err_code code = ERR_OK;
    for (uint64_t at = 0; at < size && code == ERR_OK;) {
        size_t take = size - at < CONTENT_PIECE_SIZE ? (size_t)(size - at) : CONTENT_PIECE_SIZE;
        buf_reset(&piece);
        code = file_read_exact(file, at, buf_extend(&piece, take), take, e);
        if (code == ERR_OK) {
            state = hash128_chain(state, buf_bytes(&piece));
        }
        at += take;
    }
    buf_deinit(&piece);
    *out = state;
    return code;
}
