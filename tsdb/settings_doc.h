/* SPDX-License-Identifier: Apache-2.0 */
/* The manual page of all settings, docs/settings.md, made from their table. */
#ifndef TIDEMARK_TSDB_SETTINGS_DOC_H
#define TIDEMARK_TSDB_SETTINGS_DOC_H

#include "base/bytes.h"

void settings_doc(struct buf *out);

#endif
