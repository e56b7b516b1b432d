# SPDX-License-Identifier: Apache-2.0
"""Loads over gRPC with h2load, the protobuf bytes that they send, and etcd beside us."""

import os
import re
import struct
import subprocess
import time
import urllib.request

from nodes import Failure, free_ports


# --- protobuf by hand: only what the fixed requests need ---


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def column(name, values, kind):
    return field(7, field(1, name) + field(2 if kind == "q" else 3, struct.pack(f"<{len(values)}{kind}", *values)))


def write_request(table, host, times, columns, request_id=b""):
    """columns: name -> list of doubles."""
    body = field(1, request_id) if request_id else b""
    body += field(2, "bench") + field(3, table) + field(4, "host")
    body += field(5, field(1, host))
    body += column("ts", times, "q")
    for name, values in columns.items():
        body += column(name, values, "d")
    return body


def scan_request(table, host):
    return field(1, "bench") + field(2, table) + field(8, field(1, "host") + field(2, host))


def frame(message):
    return b"\0" + struct.pack(">I", len(message)) + message


# --- etcd ---


class Etcd:
    """Three etcd servers with the timers of Tidemark's defaults."""

    def __init__(self, folder, count=3):
        self.folder = folder
        self.count = count
        ports = free_ports(2 * count)
        self.clients = [f"127.0.0.1:{p}" for p in ports[:count]]
        self.peers = [f"127.0.0.1:{p}" for p in ports[count:]]
        self.processes = [None] * count

    def start(self, i, state="new"):
        cluster = ",".join(f"e{k + 1}=http://{p}" for k, p in enumerate(self.peers))
        command = [
            "etcd",
            f"--name=e{i + 1}",
            f"--data-dir={os.path.join(self.folder, f'e{i + 1}')}",
            f"--listen-client-urls=http://{self.clients[i]}",
            f"--advertise-client-urls=http://{self.clients[i]}",
            f"--listen-peer-urls=http://{self.peers[i]}",
            f"--initial-advertise-peer-urls=http://{self.peers[i]}",
            f"--initial-cluster={cluster}",
            f"--initial-cluster-state={state}",
            "--heartbeat-interval=100",
            "--election-timeout=500",
            "--logger=zap",
            "--log-level=error",
        ]
        with open(os.path.join(self.folder, f"e{i + 1}.log"), "ab") as log:
            environment = {**os.environ, "ETCD_UNSUPPORTED_ARCH": "arm64"}
            self.processes[i] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def start_all(self):
        for i in range(self.count):
            self.start(i)
        self.wait_leader()

    def leader(self):
        for i in range(self.count):
            if self.processes[i] is None:
                continue
            try:
                text = self.metrics(i)
            except OSError:
                continue
            if re.search(r"^etcd_server_is_leader 1", text, re.M):
                return i
        return None

    def wait_leader(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            i = self.leader()
            if i is not None:
                return i
            time.sleep(0.05)
        raise Failure("etcd has no leader after 60 s")

    def metrics(self, i):
        with urllib.request.urlopen(f"http://{self.clients[i]}/metrics", timeout=2) as answer:
            return answer.read().decode()

    def count_of(self, i, name):
        found = re.search(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+]+)$", self.metrics(i), re.M)
        return float(found.group(1)) if found else 0.0

    def stop(self, i, number):
        process = self.processes[i]
        process.send_signal(number)
        process.wait(60)
        self.processes[i] = None

    def end(self):
        for process in self.processes:
            if process is not None:
                process.kill()
                process.wait()


def put_request(key, value):
    return field(1, key) + field(2, value)


def range_request(key):
    return field(1, key)


# --- h2load ---


def h2load(folder, address, path, message, requests, in_flight):
    """One fixed request, again and again. Returns rate and latencies (mean, p50, p99 in ms)."""
    data = os.path.join(folder, "request.bin")
    log = os.path.join(folder, "h2load.log")
    with open(data, "wb") as file:
        file.write(frame(message))
    if os.path.exists(log):
        os.unlink(log)
    connections = min(8, in_flight)
    command = [
        "h2load",
        f"-n{requests}",
        f"-c{connections}",
        f"-m{in_flight // connections}",
        "-H", "content-type: application/grpc",
        "-H", "te: trailers",  # check: spelling: a header of gRPC
        f"-d{data}",
        f"--log-file={log}",
        f"http://{address}{path}",
    ]
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    seconds = time.monotonic() - begin
    found = re.search(r"finished in ([0-9.]+)(us|ms|s|m)", done.stdout)
    succeeded = re.search(r"(\d+) succeeded", done.stdout)
    if found:
        seconds = float(found.group(1)) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[found.group(2)]
    if done.returncode != 0 or not succeeded or int(succeeded.group(1)) != requests:
        raise Failure(f"h2load: {done.stdout[-400:]}{done.stderr[-400:]}")
    with open(log) as file:
        latencies = sorted(int(line.split("\t")[2]) for line in file)
    count = len(latencies)
    return {
        "rate": requests / seconds,
        "mean_ms": sum(latencies) / count / 1000,
        "p50_ms": latencies[count // 2] / 1000,
        "p99_ms": latencies[min(count - 1, count * 99 // 100)] / 1000,
    }
