# SPDX-License-Identifier: Apache-2.0
"""Durable writes and linearizable reads of three nodes, beside etcd with the same
timers, on the same machine, in turns. h2load counts any answer as a success, so
each count is checked against the servers' own counters."""

import os
import shutil
import statistics
import sys
import tempfile
import time

from load import (
    Etcd,
    field,
    h2load,
    put_request,
    range_request,
    scan_request,
    write_request,
)
from nodes import Cluster, Failure
from report import Report

WRITE = "/tidemark.v1.Data/Write"
SCAN = "/tidemark.v1.Data/Scan"
PUT = "/etcdserverpb.KV/Put"
RANGE = "/etcdserverpb.KV/Range"
ROUNDS = 3
BATCH_ROWS = 1000
BATCH_COLUMNS = 10


def make_table(cluster, table, columns):
    flags = [f"--column=v{i}:double" for i in range(columns)]
    cluster.run("table", "create", f"bench.{table}", *flags, "--tag=host:string:primary")


def prepare(cluster):
    cluster.run("db", "create", "bench")
    make_table(cluster, "one", 3)
    make_table(cluster, "many", BATCH_COLUMNS)


def single_write():
    return write_request("one", "web-17", [1700000000000], {f"v{i}": [1.5 + i] for i in range(3)})


def batch_write():
    times = [1700000000000 + i * 1000 for i in range(BATCH_ROWS)]
    columns = {
        f"v{c}": [round(50 + (i * 7 + c * 13) % 100 / 4, 2) for i in range(BATCH_ROWS)]
        for c in range(BATCH_COLUMNS)
    }
    return write_request("many", "web-17", times, columns)


def checked(count_of, requests, run):
    """The servers must have counted what h2load took for successes."""
    before = count_of()
    figures = run()
    counted = count_of() - before
    if counted < requests * 0.999:
        raise Failure(f"the servers counted {counted} of {requests} requests")
    return figures


def ours(cluster, folder, path, message, requests, in_flight, counter):
    leader = cluster.leader()

    def count_of():
        return sum(n[counter] for n in cluster.nodes().values())

    return checked(
        count_of,
        requests,
        lambda: h2load(folder, cluster.clients[leader], path, message, requests, in_flight),
    )


def theirs(etcd, folder, path, message, requests, in_flight):
    leader = etcd.wait_leader()
    method = path.rsplit("/", 1)[1]

    def count_of():
        text = etcd.metrics(leader)
        total = 0.0
        for line in text.splitlines():
            if line.startswith("grpc_server_handled_total") and f'"{method}"' in line:
                if 'grpc_code="OK"' in line:
                    total += float(line.rsplit(" ", 1)[1])
        return total

    return checked(
        count_of,
        requests,
        lambda: h2load(folder, etcd.clients[leader], path, message, requests, in_flight),
    )


def median(figures, key):
    return statistics.median(f[key] for f in figures)


def compare(report, case, runs, targets):
    """runs: two functions, called in turns so that both see the same machine."""
    mine, others = [], []
    for _ in range(ROUNDS):
        mine.append(runs[0]())
        others.append(runs[1]())
    for key, unit, at_most in (
        ("rate", "1/s", False),
        ("mean_ms", "ms mean", True),
        ("p50_ms", "ms p50", True),
        ("p99_ms", "ms p99", True),
    ):
        report.add(
            case,
            unit,
            median(mine, key),
            median(others, key),
            "etcd",
            targets.get(key),
            at_most,
        )


def beside_etcd(report, cluster, etcd, folder, scale):
    write, scan = single_write(), scan_request("one", "web-17")
    put = put_request("web-17", "x" * 100)
    get = range_request("web-17")
    for in_flight in (1, 64, 512):
        n = max(200, (400 if in_flight == 1 else 8000) // scale)
        targets = {"mean_ms": 0.6} if in_flight == 1 else {"rate": 2.0}
        compare(
            report,
            f"write, {in_flight} in flight",
            (
                lambda: ours(cluster, folder, WRITE, write, n, in_flight, "writes"),
                lambda: theirs(etcd, folder, PUT, put, n, in_flight),
            ),
            targets,
        )
    for in_flight in (1, 64, 512):
        n = max(200, (400 if in_flight == 1 else 8000) // scale)
        compare(
            report,
            f"linearizable read, {in_flight} in flight",
            (
                lambda: ours(cluster, folder, SCAN, scan, n, in_flight, "reads"),
                lambda: theirs(etcd, folder, RANGE, get, n, in_flight),
            ),
            {"rate": 1.0},
        )


def batches(report, cluster, folder, scale):
    message = batch_write()
    n = max(100, 600 // scale)
    figures = [ours(cluster, folder, WRITE, message, n, 16, "writes") for _ in range(ROUNDS)]
    values = median(figures, "rate") * BATCH_ROWS * BATCH_COLUMNS
    report.add("batches of 1,000 rows x 10, three nodes", "values/s", values, target=3_000_000)


def levels(report, programs, folder, scale):
    for level in ("off", "sync", "flush", "byrl"):
        place = os.path.join(folder, level)
        os.mkdir(place)
        node = Cluster(programs, place, 1, [f"--wal-level={level}"])
        try:
            node.start_all()
            prepare(node)
            n = max(500, 8000 // scale)
            figures = ours(node, folder, WRITE, single_write(), n, 64, "writes")
            report.add(f"one node at level {level}, 64 in flight", "1/s", figures["rate"])
        finally:
            node.end()


def disk(report, folder):
    """What the machine itself can do: the frame for all figures above."""
    path = os.path.join(folder, "disk.bin")
    block = os.urandom(4096)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.pwrite(fd, b"\0" * (8 << 20), 0)
    os.fsync(fd)
    count, begin = 300, time.monotonic()
    for i in range(count):
        os.pwrite(fd, block, i * 4096)
        os.fdatasync(fd)
    report.add("machine: fdatasync after 4 KiB", "1/s", count / (time.monotonic() - begin))
    chunk, begin = os.urandom(1 << 20), time.monotonic()
    for i in range(128):
        os.pwrite(fd, chunk, i << 20)
    os.fdatasync(fd)
    report.add("machine: sequential write", "MB/s", 128 / (time.monotonic() - begin))
    os.close(fd)
    os.unlink(path)


def measure(report, programs, folder, scale):
    cluster = Cluster(programs, folder)
    etcd = Etcd(folder)
    try:
        cluster.start_all()
        idle = max(n["memory_bytes"] for n in cluster.nodes().values()) / 1e6
        report.add("resident, idle node", "MB", idle, target=40, at_most=True)
        prepare(cluster)
        etcd.start_all()
        beside_etcd(report, cluster, etcd, folder, scale)
        etcd.end()
        batches(report, cluster, folder, scale)
    finally:
        etcd.end()
        cluster.end()
    levels(report, programs, folder, scale)
    disk(report, folder)


def main():
    arguments = sys.argv[2:]
    report = Report("replication", "--json" in arguments)
    folder = tempfile.mkdtemp(prefix="tidemark-bench-")
    try:
        measure(report, sys.argv[1], folder, 10 if "--quick" in arguments else 1)
        report.end()
        return 0
    except Failure as e:
        print(f"bench: could not measure: {e}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
