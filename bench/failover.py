# SPDX-License-Identifier: Apache-2.0
"""How long writes stop when the leader is killed or paused, beside etcd with the
same timers. A client writes one row after the other, each under its own key, and tries the
next server when one does not answer; the gap is the longest time between two
acknowledgements around the fault. At the end every acknowledged row must be there."""

import csv
import shutil
import signal
import sys
import tempfile
import threading
import time

import grpc

from load import Etcd, put_request, range_request, write_request
from nodes import Cluster, Failure
from report import Report

TRY_SECONDS = 0.25  # a server that says nothing for so long is left
BEFORE_SECONDS = 0.3  # of load before each fault


def raw(channel, path):
    return channel.unary_unary(path, request_serializer=None, response_deserializer=None)


class Writer(threading.Thread):
    """One write at a time, for ever, until told to end."""

    def __init__(self, addresses, path, make):
        super().__init__(daemon=True)
        options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 50),
                   ("grpc.min_reconnect_backoff_ms", 20)]
        self.calls = [raw(grpc.insecure_channel(a, options=options), path) for a in addresses]
        self.make = make
        self.acknowledged = []  # numbers
        self.times = []  # of acknowledgements, time.monotonic()
        self.ending = False
        self.at = 0

    def run(self):
        number = 0
        while not self.ending:
            number += 1
            if self.write(number):
                self.acknowledged.append(number)
                self.times.append(time.monotonic())

    def write(self, number):
        message = self.make(number)
        while not self.ending:
            try:
                self.calls[self.at](message, timeout=TRY_SECONDS)
                return True
            except grpc.RpcError:
                self.at = (self.at + 1) % len(self.calls)
                time.sleep(0.002)
        return False

    def wait_for(self, count, limit=30):
        """Until so many more writes are acknowledged."""
        goal = len(self.times) + count
        end = time.monotonic() + limit
        while len(self.times) < goal:
            if time.monotonic() > end:
                raise Failure(f"no writes for {limit} s")
            time.sleep(0.005)

    def gap_since(self, begin):
        times = [t for t in self.times if t >= begin - BEFORE_SECONDS]
        return max(b - a for a, b in zip(times, times[1:]))

    def end(self):
        self.ending = True
        self.join(30)


def kill_rounds(servers, writer, rounds):
    gaps = []
    for _ in range(rounds):
        leader = servers.wait_leader()
        writer.wait_for(20)
        begin = time.monotonic()
        servers.stop(leader, signal.SIGKILL)
        writer.wait_for(20)
        gaps.append(writer.gap_since(begin))
        servers.start_again(leader)
        servers.wait_whole()
    return gaps


def pause_rounds(servers, writer, rounds):
    gaps = []
    for _ in range(rounds):
        leader = servers.wait_leader()
        writer.wait_for(20)
        begin = time.monotonic()
        process = servers.processes[leader]
        process.send_signal(signal.SIGSTOP)
        try:
            writer.wait_for(20)
        finally:
            process.send_signal(signal.SIGCONT)
        gaps.append(writer.gap_since(begin))
        servers.wait_whole()
    return gaps


class Tidemark(Cluster):
    def wait_leader(self):
        def leader():
            i = self.leader()
            return None if i is None else (i,)

        return self.wait("a leader", leader)[0]

    def start_again(self, i):
        self.start(i)

    def wait_whole(self):
        self.wait("a healthy cluster", self.healthy)


class EtcdServers(Etcd):
    def start_again(self, i):
        self.start(i, "existing")

    def wait_whole(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if all("etcd_server_has_leader 1" in self.metrics(i) for i in range(self.count)):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Failure("etcd is not whole after 60 s")


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def lost_rows(cluster, acknowledged):
    done = cluster.run("scan", "bench.one", "--format", "csv", "--time-format", "epoch")
    found = {int(r["ts"]) for r in csv.DictReader(done.stdout.splitlines())}
    return sum(1 for n in acknowledged if n not in found)


def lost_keys(etcd, acknowledged):
    channel = grpc.insecure_channel(etcd.clients[etcd.wait_leader()])
    get = raw(channel, "/etcdserverpb.KV/Range")
    lost = 0
    for n in acknowledged[:: max(1, len(acknowledged) // 2000)]:
        lost += b"row-" not in get(range_request(f"row-{n}"), timeout=5)
    return lost


def ours(programs, folder, kills, pauses):
    cluster = Tidemark(programs, folder)
    try:
        cluster.start_all()
        cluster.run("db", "create", "bench")
        cluster.run("table", "create", "bench.one", "--column=v:double", "--tag=host:string:primary")
        writer = Writer(
            cluster.clients,
            "/tidemark.v1.Data/Write",
            lambda n: write_request("one", "web-17", [n], {"v": [float(n)]}),
        )
        writer.start()
        killed = kill_rounds(cluster, writer, kills)
        paused = pause_rounds(cluster, writer, pauses)
        writer.end()
        return killed, paused, lost_rows(cluster, writer.acknowledged), len(writer.acknowledged)
    finally:
        cluster.end()


def theirs(folder, kills, pauses):
    etcd = EtcdServers(folder)
    try:
        etcd.start_all()
        writer = Writer(
            etcd.clients,
            "/etcdserverpb.KV/Put",
            lambda n: put_request(f"row-{n}", "x" * 100),
        )
        writer.start()
        killed = kill_rounds(etcd, writer, kills)
        paused = pause_rounds(etcd, writer, pauses)
        writer.end()
        return killed, paused, lost_keys(etcd, writer.acknowledged)
    finally:
        etcd.end()


def judge(report, case, gaps, other, limits):
    for p, limit in zip((50, 99), limits):
        value = percentile(gaps, p) * 1000
        baseline = percentile(other, p) * 1000
        report.add(case, f"ms p{p}", value, baseline, "etcd")
        report.add(f"{case}, against the target", f"ms p{p}", value, target=limit, at_most=True)


def main():
    arguments = sys.argv[2:]
    quick = "--quick" in arguments
    kills, pauses = (10, 3) if quick else (100, 30)
    report = Report("failover", "--json" in arguments)
    folder = tempfile.mkdtemp(prefix="tidemark-bench-")
    try:
        killed, paused, lost, count = ours(sys.argv[1], folder, kills, pauses)
        their_kills, their_pauses, their_lost = theirs(folder, max(5, kills // 5), max(3, pauses // 5))
        judge(report, f"write gap, leader killed {kills} times", killed, their_kills, (300, 1000))
        judge(report, f"write gap, leader paused {pauses} times", paused, their_pauses, (1200, 2500))
        report.add(f"acknowledged rows lost of {count}", "rows", lost, target=0, at_most=True)
        report.add("acknowledged keys lost by etcd", "keys", their_lost)
        report.end()
        return 0
    except Failure as e:
        print(f"bench: could not measure: {e}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
