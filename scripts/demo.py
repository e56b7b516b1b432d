# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo shows, step by step. Every claim is checked: the first one
that does not hold ends the demo with 1."""

import csv
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

NODES = 3
WAIT_SECONDS = 60
TABLE = "demo.rows"
# Of a segment: what lies before it is the header and the identifiers.
RECORDS_AT = 0.15


class Failure(Exception):
    pass


def say(text):
    print(text, flush=True)


def step(text):
    say(f"\n== {text}")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Cluster:
    def __init__(self, programs, folder):
        self.programs = programs
        self.folder = folder
        ports = free_ports(2 * NODES)
        self.clients = [f"127.0.0.1:{p}" for p in ports[:NODES]]
        self.peers = [f"127.0.0.1:{p}" for p in ports[NODES:]]
        self.processes = [None] * NODES

    def data(self, i):
        return os.path.join(self.folder, f"n{i + 1}")

    def log(self, i):
        return os.path.join(self.folder, f"n{i + 1}.log")

    def start(self, i):
        with open(self.log(i), "ab") as log:
            self.processes[i] = subprocess.Popen(
                [
                    os.path.join(self.programs, "tidemarkd"),
                    f"--name=n{i + 1}",
                    f"--data-dir={self.data(i)}",
                    f"--listen-client={self.clients[i]}",
                    f"--listen-peer={self.peers[i]}",
                    f"--peers={','.join(self.peers)}",
                ],
                stdout=log,
                stderr=log,
            )

    def stop(self, i, number):
        process = self.processes[i]
        process.send_signal(number)
        code = process.wait(WAIT_SECONDS)
        self.processes[i] = None
        return code

    def end(self):
        for process in self.processes:
            if process is not None:
                process.kill()
                process.wait()

    def command(self, *arguments):
        endpoints = ",".join(self.clients)
        return [os.path.join(self.programs, "tidemark"), "--endpoints", endpoints, *arguments]

    def run(self, *arguments, check=True):
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=WAIT_SECONDS
        )
        if check and done.returncode != 0:
            raise Failure(f"tidemark {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def status(self):
        done = self.run("status", "--format", "json", check=False)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return {}

    def nodes(self):
        return {n["name"]: n for n in self.status().get("nodes", [])}

    def leader(self):
        for name, node in self.nodes().items():
            if node.get("role") == "leader":
                return int(name[1:]) - 1
        return None

    def wait(self, what, condition):
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            value = condition()
            if value not in (None, False):
                return value
            for i, process in enumerate(self.processes):
                if process is not None and process.poll() is not None:
                    raise Failure(f"n{i + 1} ended by itself, see {self.log(i)}:\n{tail(self.log(i))}")
            time.sleep(0.02)
        raise Failure(f"waited {WAIT_SECONDS} s for {what}")

    def healthy(self):
        return self.run("status", "--check", check=False).returncode == 0

    def log_lines(self, i, since, pattern):
        with open(self.log(i), errors="replace") as log:
            log.seek(since)
            return [line.strip() for line in log if re.search(pattern, line)]

    def log_size(self, i):
        return os.path.getsize(self.log(i))


def tail(path):
    with open(path, errors="replace") as file:
        return "".join(file.readlines()[-5:])


def make_rows(path):
    draw = random.Random(1)
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["ts", "value", "metric", "host"])
        for minute in range(3000):
            for host in range(10):
                stamp = 1700000000000 + minute * 60000
                out.writerow([stamp, round(draw.gauss(50, 10), 2), "cpu", f"host{host}"])
    return path


def plan_columns(path):
    """Which fields are tags: all texts but the time."""
    with open(path, newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        first = next(rows)
    tags = []
    for name, value in list(zip(names, first))[1:]:
        try:
            float(value)
        except ValueError:
            tags.append(name)
    return names, tags


def last_values(path, names, tags):
    """Per series and time, what stands last in the file."""
    values = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            key = (row[names[0]], *(row[t] for t in tags))
            values[key] = [row[n] for n in names[1:] if n not in tags]
    return values


def epoch_ms(text):
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    from datetime import datetime, timezone

    stamp = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=timezone.utc)
    return round(stamp.timestamp() * 1000)


def compare(cluster, path, names, tags):
    expected = last_values(path, names, tags)
    done = cluster.run("scan", TABLE, "--format", "csv", "--time-format", "epoch")
    found = {}
    for row in csv.DictReader(done.stdout.splitlines()):
        key = (int(row[names[0]]), *(row[t] for t in tags))
        found[key] = [row[n] for n in names[1:] if n not in tags]
    wrong = 0
    for key, values in expected.items():
        have = found.get((epoch_ms(key[0]), *key[1:]))
        if have is None or [float(v) for v in have] != [float(v) for v in values]:
            wrong += 1
    return len(expected), len(found), wrong


def import_with_kill(cluster, path, tags, rows):
    command = cluster.command(
        "import", "--create", "--table", TABLE, "--batch-rows", "20", "--format", "json"
    )
    if tags:
        command += ["--tags", ",".join(tags)]
    process = subprocess.Popen(
        [*command, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def far_enough():
        done = cluster.run("scan", TABLE, "--count", "--stale", "--format", "csv", check=False)
        numbers = re.findall(r"^\d+$", done.stdout, re.M)
        return process.poll() is not None or (numbers and int(numbers[0]) > rows // 5)

    cluster.wait("a fifth of the rows", far_enough)
    leader = cluster.leader()
    if process.poll() is not None or leader is None:
        raise Failure("the import ended before its leader could be killed")
    cluster.stop(leader, signal.SIGKILL)
    say(f"n{leader + 1}, the leader, was killed with -9 in the middle of the import")
    out, errors = process.communicate(timeout=4 * WAIT_SECONDS)
    if process.returncode != 0:
        raise Failure(f"import: {errors.strip()}")
    return leader, json.loads(out)


def damage(path):
    """Flips bits of some records, as a bad sector does."""
    logs = sorted(n for n in os.listdir(path) if re.fullmatch(r"[0-9A-F]{24}", n))
    name = os.path.join(path, logs[0])
    with open(name, "r+b") as file:
        content = file.read()
        used = len(content.rstrip(b"\0"))
        first = int(len(content) * 0) + records_start(content)
        draw = random.Random(7)
        places = sorted(draw.randrange(first, used) for _ in range(3))
        for at in places:
            file.seek(at)
            file.write(bytes([content[at] ^ 0x10]))
    return name, places


def records_start(content):
    """Behind the header and the identifier area: the first long run of non-zero records."""
    size = len(content)
    return size // 8 + 4096


def show_repair(cluster):
    i = next(k for k in range(NODES) if k != cluster.leader())
    code = cluster.stop(i, signal.SIGTERM)
    if code != 0:
        raise Failure(f"n{i + 1} stopped with {code}")
    name, places = damage(os.path.join(cluster.data(i), "raft"))
    say(f"n{i + 1} is stopped; a bit is flipped at {', '.join(map(str, places))} of {name}")
    verify = cluster.run("wal", "verify", os.path.join(cluster.data(i), "raft"), check=False)
    say(verify.stdout.strip())
    since = cluster.log_size(i)
    cluster.start(i)
    cluster.wait("the repaired node", cluster.healthy)
    for line in cluster.log_lines(i, since, r" hole | repaired |state from=repairing"):
        say("  " + line)
    if not cluster.log_lines(i, since, r" repaired "):
        raise Failure("the node says nothing of a repair")


def show_replacement(cluster):
    i = next(k for k in range(NODES) if k != cluster.leader())
    name = f"n{i + 1}"
    old = cluster.nodes()[name]["id"]
    cluster.stop(i, signal.SIGKILL)
    shutil.rmtree(cluster.data(i))
    say(f"{name} is killed and its directory removed; it was {old}")
    cluster.start(i)

    def seated():
        node = cluster.nodes().get(name)
        done = node and node["id"] != old and node.get("kind") == "voter"
        return node if done and cluster.healthy() else None

    node = cluster.wait("the wiped node's return", seated)
    say(f"{name} is back as {node['id']}, a voter again; its old self never voted")


def show(cluster, path):
    names, tags = plan_columns(path)
    with open(path) as file:
        rows = sum(1 for _ in file) - 1
    step("three nodes")
    for i in range(NODES):
        cluster.start(i)
    cluster.wait("a healthy cluster", cluster.healthy)
    say(cluster.run("status", "--format", "table").stdout)

    step(f"import of {rows} rows, the leader is killed meanwhile")
    killed, summary = import_with_kill(cluster, path, tags, rows)
    cluster.start(killed)
    cluster.wait("the killed node's return", cluster.healthy)
    expected, found, wrong = compare(cluster, path, names, tags)
    say(
        f"rows sent {summary['rows_sent']}, acknowledged {summary['rows_acknowledged']}, "
        f"found {found} (distinct acknowledged: {expected}), "
        f"longest gap between acknowledgements {summary['gap_ms_max']} ms"
    )
    if found != expected or wrong != 0:
        raise Failure(f"{wrong} rows are missing or have another value")
    say("every value is the last one acknowledged")

    step("a damaged log")
    show_repair(cluster)

    step("a wiped node")
    show_replacement(cluster)

    step("at the end")
    say(cluster.run("status", "--format", "table").stdout)
    say(cluster.run("hash", "--format", "table").stdout)
    expected, found, wrong = compare(cluster, path, names, tags)
    if found != expected or wrong != 0:
        raise Failure(f"{wrong} rows are missing or have another value")
    say(f"{found} rows are there, nothing was lost")


def main():
    programs = sys.argv[1]
    folder = tempfile.mkdtemp(prefix="tidemark-demo-")
    path = sys.argv[2] if len(sys.argv) > 2 else make_rows(os.path.join(folder, "rows.csv"))
    cluster = Cluster(programs, folder)
    code = 0
    try:
        show(cluster, path)
    except (Failure, OSError, subprocess.TimeoutExpired) as e:
        print(f"demo: {e}", file=sys.stderr)
        code = 1
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
