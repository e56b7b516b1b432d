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
import subprocess
import sys
import tempfile
from datetime import datetime, timezone

from nodes import WAIT_SECONDS, Cluster, Failure

TABLE = "demo.rows"


def say(text):
    print(text, flush=True)


def step(text):
    say(f"\n== {text}")


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
        first = records_start(content)
        draw = random.Random(7)
        places = sorted(draw.randrange(first, used) for _ in range(3))
        for at in places:
            file.seek(at)
            file.write(bytes([content[at] ^ 0x10]))
    return name, places


def records_start(content):
    """Behind the header and the identifier area, an eighth of the segment at most."""
    return len(content) // 8 + 4096


def show_repair(cluster):
    i = next(k for k in range(cluster.count) if k != cluster.leader())
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
    i = next(k for k in range(cluster.count) if k != cluster.leader())
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
    cluster.start_all()
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
