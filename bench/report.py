# SPDX-License-Identifier: Apache-2.0
"""How figures are printed: a table, or with --json a line per figure."""

import json


class Report:
    def __init__(self, bench, as_json):
        self.bench = bench
        self.as_json = as_json
        self.lines = []

    def add(self, case, unit, ours, baseline=None, baseline_name="", target=None, at_most=False, ratio=None):
        """'target' is for the ratio ours / baseline if there is a baseline, else for ours.
        'ratio': where it was taken round by round."""
        if ratio is None and baseline:
            ratio = ours / baseline
        judged = ours if baseline is None else ratio
        met = None
        if target is not None and judged is not None:
            met = judged <= target if at_most else judged >= target
        line = {
            "bench": self.bench,
            "case": case,
            "unit": unit,
            "ours": round(ours, 3),
            "baseline": None if baseline is None else round(baseline, 3),
            "baseline_name": baseline_name,
            "ratio": None if ratio is None else round(ratio, 3),
            "target": target,
            "met": met,
        }
        self.lines.append(line)
        if self.as_json:
            print(json.dumps(line), flush=True)

    def end(self):
        if self.as_json:
            return
        head = ("case", "unit", "ours", "baseline", "", "ratio", "target", "")
        rows = [head]
        for l in self.lines:
            rows.append(
                (
                    l["case"],
                    l["unit"],
                    f"{l['ours']:,}",
                    "" if l["baseline"] is None else f"{l['baseline']:,}",
                    l["baseline_name"],
                    "" if l["ratio"] is None else f"{l['ratio']:.2f}",
                    "" if l["target"] is None else f"{l['target']:,}",
                    {None: "", True: "met", False: "MISSED"}[l["met"]],
                )
            )
        widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
        for r in rows:
            print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())
