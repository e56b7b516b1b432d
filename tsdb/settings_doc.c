/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/settings_doc.h"

#include "tsdb/settings.h"

static const char head[] =
    "# Settings of a cluster\n"
    "\n"
    "Generated from the table in `tsdb/settings.c` (a test compares them): change it "
    "there, then run\n"
    "`build/dev/bin/settings_doc > docs/settings.md`.\n"
    "\n"
    "Settings are part of the replicated state: one value for all nodes, changed while they run\n"
    "(`tidemark settings set NAME VALUE`, `tidemark settings reset NAME`), and seen by every node "
    "at the same place in\n"
    "the history. `tidemark settings list` shows the values in force.\n"
    "\n"
    "Times are written `500ms`, `90s`, `1m30s`, `2h`, `1d`; sizes `65536`, `64KiB`, `16MiB`, "
    "`1GiB`;\n"
    "fractions `0.5`, with at most three digits behind the point.\n";

void settings_doc(struct buf *out)
{
    buf_put(out, head, sizeof head - 1);
    for (size_t i = 0; i < settings_count(); i++) {
        const struct setting *s = settings_at(i);
        char range[SETTING_RANGE_SIZE];
        settings_range(s, range);
        buf_printf(out, "\n## `%s`\n\n%s\n\n", s->name, s->description);
        buf_printf(out, "| type | unit | range | default | scope | takes effect |\n");
        buf_printf(out, "|---|---|---|---|---|---|\n");
        buf_printf(out, "| %s | %s | `", settings_type_name(s->type),
                   s->unit[0] == '\0' ? "-" : s->unit);
        for (const char *c = range; *c != '\0'; c++) {
            buf_printf(out, *c == '|' ? "\\%c" : "%c", *c);
        }
        buf_printf(out, "` | `%s` | %s | %s |\n", s->initial, s->scope,
                   s->restart ? "after a restart" : "at once");
    }
}
