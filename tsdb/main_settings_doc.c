/* SPDX-License-Identifier: Apache-2.0 */
/* Prints docs/settings.md. */
#include <stdio.h>

#include "tsdb/settings_doc.h"

int main(void)
{
    struct buf out = {0};
    settings_doc(&out);
    size_t written = fwrite(out.data, 1, out.size, stdout);
    bool ok = written == out.size && fflush(stdout) == 0;
    buf_deinit(&out);
    return ok ? 0 : 1;
}
