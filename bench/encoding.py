# SPDX-License-Identifier: Apache-2.0
"""Values as bytes: each encoding beside the same values through zstd -1 and copied
plainly, the rows of a fleet as a part, a sum over one column (encoding_load). Times are
of the processor, not of the clock."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from nodes import Failure
from report import Report

ROUNDS, ROUNDS_QUICK = 5, 1
PEER_BYTES = 1.5  # VictoriaMetrics, two-decimal fleet values, measured once
TARGETS = {  # (case, unit) -> (target, at most)
    ("fleet, 500 rows a block", "bytes per value"): (0.9 * PEER_BYTES, True),
    ("fleet, 4096 rows a block", "bytes per value"): (0.9 * PEER_BYTES, True),
    ("sum of 1 column of 1", "M values/s"): (200, False),
}


def figures(programs, folder, quick):
    """(case, unit) -> side -> figures, a round each."""
    command = [os.path.join(programs, "encoding_load"), folder]
    command += [str(ROUNDS_QUICK), "small"] if quick else [str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        raise Failure(f"encoding_load: {done.stderr.strip()}")
    cases = {}
    for line in done.stdout.splitlines():
        figure = json.loads(line)
        sides = cases.setdefault((figure["case"], figure["unit"]), {})
        sides.setdefault(figure["side"], []).append(figure["value"])
    if not cases:
        raise Failure("encoding_load printed nothing")
    return cases


def main():
    arguments = sys.argv[2:]
    report = Report("encoding", "--json" in arguments)
    folder = tempfile.mkdtemp(prefix="tidemark-bench-")
    try:
        for (case, unit), sides in figures(sys.argv[1], folder, "--quick" in arguments).items():
            if "ours" not in sides:
                continue
            mine = statistics.median(sides["ours"])
            target, at_most = TARGETS.get((case, unit), (None, False))
            others = [side for side in sides if side != "ours"]
            if not others:
                report.add(case, unit, mine, target=target, at_most=at_most)
            for side in others:
                report.add(case, unit, mine, statistics.median(sides[side]), side)
        report.end()
        return 0
    except Failure as e:
        print(f"bench: could not measure: {e}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
