/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of founding.h as bytes: FoundQuestion, FoundAnswer and Founding
 * of proto/tidemark/peer/v1/peer.proto.
 *
 * Decoders take bytes from a peer or the disk: ERR_CORRUPT (a text too long, too many
 * nodes, an id or number missing), never a crash. What they give borrows from 'b'. */
#ifndef TIDEMARK_NODE_FOUNDING_WIRE_H
#define TIDEMARK_NODE_FOUNDING_WIRE_H

#include "node/founding.h"

/* Append to 'out'. A record has at most FOUNDING_RECORD_SIZE_MAX bytes: CHECKed. */
void founding_record_encode(const struct founding_record *r, struct buf *out);
void founding_question_encode(const struct founding_question *q, struct buf *out);
void founding_answer_encode(const struct founding_answer *a, struct buf *out);

MUST_CHECK enum err_code founding_record_decode(struct bytes b, struct founding_record *out,
                                                struct err *e);
MUST_CHECK enum err_code founding_question_decode(struct bytes b, struct founding_question *out,
                                                  struct err *e);
MUST_CHECK enum err_code founding_answer_decode(struct bytes b, struct founding_answer *out,
                                                struct err *e);

#endif
