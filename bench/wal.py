# SPDX-License-Identifier: Apache-2.0
"""The log alone, beside a bare loop of the same system calls and, where its library
is installed, RocksDB: rounds in turns (wal_load), compared round by round. Then a
node that is killed with a gigabyte of log: how soon it serves again."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from load import h2load, write_request
from nodes import Cluster, Failure
from report import Report

ROUNDS, ROUNDS_QUICK = 15, 3
WRITE = "/tidemark.v1.Data/Write"
ROWS, COLUMNS, WRITES = 1000, 10, 500
SEGMENT_SIZE = 16 << 20

# What ours is compared with in a case: (case, other side, target for the ratio).
# Without an other side the target is for the figure itself.
COMPARED = (
    ("sync, 1 outstanding", "bare loop", 0.7),
    ("sync, 1 outstanding", "RocksDB", 1.0),
    ("sync, 16 outstanding", "bare loop", None),
    ("sync, 16 outstanding", "bare batches", None),
    ("sync, 16 outstanding", "RocksDB", 1.0),
    ("sync, 256 outstanding", "bare loop", 40),
    ("sync, 256 outstanding", "bare batches", None),
    ("sync, 256 outstanding", "RocksDB", 1.0),
    ("flush, 1 KiB one by one", "bare loop", 0.6),
    ("flush, 1 KiB one by one", "RocksDB", 1.0),
    ("sync method, 16 outstanding", "fsync", None),
    ("sync method, 16 outstanding", "open_datasync", None),
    ("sync method, 16 outstanding", "open_sync", None),
    ("buffer, 256 of 1 KiB at once", "64 KiB", None),
    ("sync, 64 in flight", "without identifiers", 0.96),
    ("flush, 64 in flight", "without identifiers", None),
    ("replay, 1000 bytes", None, 1.0),
    ("replay, 1000 bytes", "bare reads", None),
    ("replay, 1000 bytes", "RocksDB", 1.0),
    ("replay, 100 bytes", None, 5.0),
    ("replay, 100 bytes", "bare reads", None),
    ("replay, 100 bytes", "RocksDB", 1.0),
    ("read back, 1000 bytes", None, 1.0),
    ("read back, 100 bytes", None, 5.0),
)


def loads(programs, folder, quick):
    """case -> (unit, side -> figures, a round each)."""
    cases = {}
    for program in ("wal_load", "wal_cost"):
        place = os.path.join(folder, program)
        os.mkdir(place)
        command = [os.path.join(programs, program), place]
        command += [str(ROUNDS_QUICK), "small"] if quick else [str(ROUNDS)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        shutil.rmtree(place)
        if done.returncode != 0:
            raise Failure(f"{program}: {done.stderr.strip()}")
        for line in done.stdout.splitlines():
            figure = json.loads(line)
            _, sides = cases.setdefault(figure["case"], (figure["unit"], {}))
            sides.setdefault(figure["side"], []).append(figure["value"])
    return cases


def compare(report, cases):
    measured = 0
    for case, other, target in COMPARED:
        unit, sides = cases[case]
        mine = sides["ours"]
        if other is None:
            report.add(case, unit, statistics.median(mine), target=target)
        elif other in sides:
            ratios = [a / b for a, b in zip(mine, sides[other], strict=True)]
            report.add(case, unit, statistics.median(mine), statistics.median(sides[other]), other,
                       target, ratio=statistics.median(ratios))
        measured += other is None or other in sides
    if measured < len(COMPARED) // 2:
        raise Failure("too few figures were measured")


def batch(number):
    times = [1700000000000 + (number * ROWS + i) * 1000 for i in range(ROWS)]
    columns = {
        f"v{c}": [round(50 + (i * 7 + c * 13 + number) % 100 / 4, 2) for i in range(ROWS)]
        for c in range(COLUMNS)
    }
    return write_request("many", f"host-{number % 16}", times, columns)


def held(node):
    """Bytes in full segments; an eighth of each is for identifiers."""
    wal = os.path.join(node.data(0), "wal")
    return (sum(name[0] == "0" for name in os.listdir(wal)) - 1) * SEGMENT_SIZE * 7 // 8


def prepare(node):
    """A table, and no checkpoint that could cut the log."""
    flags = [f"--column=v{i}:double" for i in range(COLUMNS)]
    for setting in ("ts.wal.checkpoint_interval=365d", "max_wal_size=16TiB",
                    "ts.mem_segment_size.max_limit=16TiB"):
        node.run("settings", "set", *setting.split("="))
    node.run("db", "create", "bench")
    node.run("table", "create", "bench.many", *flags, "--tag=host:string:primary")


def restart(report, programs, folder, size):
    node = Cluster(programs, folder, 1)
    try:
        node.start_all()
        prepare(node)
        number = 0
        while held(node) < size:  # all of it is to be replayed
            h2load(folder, node.clients[0], WRITE, batch(number), WRITES, 16)
            number += 1
        size = held(node)
        node.stop(0, signal.SIGKILL)
        begin = time.monotonic()
        node.start(0)
        node.wait("the node to serve", node.healthy)
        report.add(f"killed with {size / 1e9:.2f} GB of log, until it serves", "s",
                   time.monotonic() - begin, target=5, at_most=True)
    finally:
        node.end()


def log_of(node):
    return next(log for log in node.nodes()["n1"]["logs"] if log["name"] == "local")


def settings(report, programs, folder, rounds):
    """What settings of the log make of a node at level flush, against their defaults."""
    choices = {
        "wal_compression": ("off", "lz4", "zstd"),
        "wal_writer_delay": ("200ms", "10ms", "10s"),
    }
    place = os.path.join(folder, "settings")
    os.mkdir(place)
    node = Cluster(programs, place, 1)
    try:
        node.start_all()
        prepare(node)
        for name, values in choices.items():
            rates, sizes = {v: [] for v in values}, {v: [] for v in values}
            for _ in range(rounds):
                for value in values:
                    node.run("settings", "set", name, value)
                    before = log_of(node)["bytes"]
                    figures = h2load(place, node.clients[0], WRITE, batch(1), WRITES // 5, 16)
                    rates[value].append(figures["rate"])
                    sizes[value].append((log_of(node)["bytes"] - before) / (WRITES // 5))
            node.run("settings", "set", name, values[0])
            for value in values[1:]:
                ratios = [a / b for a, b in zip(rates[value], rates[values[0]], strict=True)]
                report.add(f"{name} {value}: batches of {ROWS} rows x {COLUMNS}", "1/s",
                           statistics.median(rates[value]), statistics.median(rates[values[0]]),
                           values[0], ratio=statistics.median(ratios))
                if name == "wal_compression":
                    report.add(f"{name} {value}: log of such a batch", "bytes",
                               statistics.median(sizes[value]),
                               statistics.median(sizes[values[0]]), values[0])
    finally:
        node.end()


def main():
    arguments = sys.argv[2:]
    quick = "--quick" in arguments
    report = Report("wal", "--json" in arguments)
    folder = tempfile.mkdtemp(prefix="tidemark-bench-")
    try:
        compare(report, loads(sys.argv[1], folder, quick))
        settings(report, sys.argv[1], folder, ROUNDS_QUICK if quick else ROUNDS)
        restart(report, sys.argv[1], folder, 50_000_000 if quick else 1_000_000_000)
        report.end()
        return 0
    except Failure as e:
        print(f"bench: could not measure: {e}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
