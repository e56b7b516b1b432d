#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three containers from docker/compose.yaml, under a load of rows: the leader is
killed, paused, cut off, stopped; then all are made anew on the old volumes.
Every row that was acknowledged must be there, and rows must go on meanwhile.

    docker/test/test_compose.py --programs build/dev/bin [--full] [--limit SECONDS]

Without --full the image gets the programs of that folder, on the stage "runtime"
of docker/Dockerfile; with it (or TIDEMARK_ROUNDS=full, or where the programs
would not fit the image) the image is built from source by compose itself, as a
user does. The programs of the folder are also the client on this machine.

Ends with 77 where docker can't be used. All that it makes bears the name of its
own project and is removed however it ends; images stay as far as they are cache.
"""

import argparse
import csv
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker" / "compose.yaml"
NODES = ("n1", "n2", "n3")
TABLE = "test.rows"
TIME_FIRST = 1_700_000_000_000
SKIPPED = 77
UP_SECONDS = 60      # what README.md promises
FAULT_SECONDS = 60   # until rows go on, until all are healthy again
PROGRAM_SECONDS = 90
BUILD_SECONDS = 900

PROGRAMS_ON_RUNTIME = """
ARG RUNTIME
FROM ${RUNTIME}
COPY tidemarkd tidemark /usr/local/bin/
"""


class Failure(Exception):
    pass


def say(text):
    print(f"{time.monotonic() - say.start:6.1f}  {text}", flush=True)


say.start = time.monotonic()


def run(command, check=True, seconds=PROGRAM_SECONDS, **options):
    """The finished process; its output is text."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=seconds, **options)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{' '.join(map(str, command))}: no end after {seconds} s") from error
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit code {done.returncode}\n"
                      f"{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


def docker(*arguments, check=True, **options):
    return run(["docker", *arguments], check=check, **options)


def wait(what, seconds, condition):
    """Asks again until the condition gives something; returns that."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"waited {seconds} s for {what}")
        time.sleep(0.1)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


# --- can it run here, and with which image ---


def compose_command():
    """The words that start compose; ends with 77 where there is no docker."""
    if shutil.which("docker") is None:
        skip("there is no docker")
    if docker("info", check=False, seconds=60).returncode != 0:
        skip("the docker daemon can't be reached")
    if docker("compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose") is not None:
        return ["docker-compose"]
    return skip("there is no docker compose")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def fitting_base():
    """The base image of this machine's own release: programs linked here run there."""
    text = pathlib.Path("/etc/os-release").read_text()
    values = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]*)"?$', text, re.MULTILINE))
    name = f"{values.get('ID')}:{values.get('VERSION_ID')}-slim"
    return name if name in ("debian:12-slim", "debian:13-slim") else None


def check_versions():
    """The label of the image says the version that is built."""
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    label = re.search(r'image\.version="([^"]+)"', dockerfile)[1]
    built = re.search(r"project\(tidemark VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    if label != built:
        raise Failure(f"docker/Dockerfile is labelled {label}, CMakeLists.txt says {built}")


# --- the cluster ---


class Cluster:
    def __init__(self, compose, programs):
        self.project = f"tidemarktest{os.getpid()}"
        self.image = f"tidemark-test:{self.project}"
        self.compose_words = compose
        self.programs = pathlib.Path(programs).resolve()
        self.ports = dict(zip(NODES, free_ports(len(NODES))))
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TIDEMARK_", "COMPOSE_"))},
            "TIDEMARK_IMAGE": self.image,
            **{f"TIDEMARK_PORT_{n.upper()}": str(port) for n, port in self.ports.items()},
        }

    def compose(self, *arguments, check=True, seconds=PROGRAM_SECONDS):
        return run([*self.compose_words, "-p", self.project, "-f", COMPOSE_FILE, *arguments],
                   check=check, seconds=seconds, env=self.environment, cwd=COMPOSE_FILE.parent)

    def build(self, full):
        base = fitting_base()
        if full or base is None:
            say("building the image from source")
            run([ROOT / "scripts" / "docker-base"], seconds=BUILD_SECONDS)
            self.compose("build", "--force-rm", "n1", seconds=BUILD_SECONDS)
            return
        say(f"building the image on {base} with the programs of {self.programs}")
        run([ROOT / "scripts" / "docker-base", base], seconds=BUILD_SECONDS)
        runtime = "tidemark-runtime:" + base.replace(":", "-")
        docker("build", "--force-rm", "--target", "runtime", "--build-arg", f"BASE={base}", "-t", runtime,
               "-f", ROOT / "docker" / "Dockerfile", ROOT, seconds=BUILD_SECONDS)
        docker("build", "--force-rm", "--build-arg", f"RUNTIME={runtime}", "-t", self.image, "-f", "-",
               self.programs, input=PROGRAMS_ON_RUNTIME, seconds=BUILD_SECONDS)

    # --- containers ---

    def made(self, kind, node=None):
        """Ids of what bears the project's label."""
        label = "com.docker.compose."
        filters = ["--filter", f"label={label}project={self.project}"]
        if node is not None:
            filters += ["--filter", f"label={label}service={node}"]
        words = {"container": ["ps", "-aq", "--no-trunc"]}.get(kind, [kind, "ls", "-q"])
        return docker(*words, *filters).stdout.split()

    def container(self, node):
        found = self.made("container", node)
        if len(found) != 1:
            raise Failure(f"{node} has {len(found)} containers")
        return found[0]

    def inspect(self, node):
        return json.loads(docker("inspect", self.container(node)).stdout)[0]

    def state(self, node):
        return self.inspect(node)["State"]

    def network(self):
        found = self.made("network")
        if len(found) != 1:
            raise Failure(f"the project has {len(found)} networks")
        return found[0]

    def wait_healthy(self, seconds=FAULT_SECONDS):
        """By docker's own word, and by that of the cluster."""
        start = time.monotonic()
        for node in NODES:
            wait(f"container {node} to be healthy", seconds,
                 lambda n=node: self.state(n).get("Health", {}).get("Status") == "healthy")
        wait("a healthy cluster", seconds,
             lambda: self.client("status", "--check", check=False).returncode == 0)
        return time.monotonic() - start

    def remove(self):
        for container in self.made("container"):
            docker("unpause", container, check=False)
        self.compose("down", "-v", "--remove-orphans", "--timeout", "1", check=False)
        for container in self.made("container"):
            docker("rm", "-f", container, check=False)
        for kind in ("network", "volume"):
            for found in self.made(kind):
                docker(kind, "rm", found, check=False)
        docker("image", "rm", self.image, check=False)
        for kind in ("container", "network", "volume"):
            if self.made(kind):
                raise Failure(f"a {kind} was left: {self.made(kind)}")

    def show(self):
        """What each said last, for the one who reads a failure."""
        for node in NODES:
            for container in self.made("container", node):
                state = json.loads(docker("inspect", container).stdout)[0]["State"]
                last = docker("logs", "--tail", "15", container, check=False)
                print(f"--- {node}: {state['Status']}, exit code {state['ExitCode']}\n"
                      f"{last.stdout}{last.stderr}")

    # --- the client, on this machine ---

    def client_command(self, *arguments):
        endpoints = ",".join(f"127.0.0.1:{port}" for port in self.ports.values())
        return [self.programs / "tidemark", "--endpoints", endpoints, *arguments]

    def client(self, *arguments, check=True):
        return run(self.client_command(*arguments), check=check, env=self.environment)

    def leader(self):
        done = self.client("status", "--format", "json", check=False)
        try:
            nodes = json.loads(done.stdout).get("nodes", [])
        except json.JSONDecodeError:
            return None
        leaders = [n["name"] for n in nodes if n.get("role") == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def count(self):
        """Rows, by a linearizable read; None while nobody can tell."""
        done = self.client("scan", TABLE, "--count", "--format", "json", "--timeout", "5s",
                           check=False)
        found = re.search(r'"rows": (\d+)', done.stdout)
        return int(found[1]) if done.returncode == 0 and found else None


# --- the rows ---


def row(number):
    return (str(TIME_FIRST + number), str(number * 7), f"host{number % 5}")


class Load(threading.Thread):
    """One import that lasts as long as the test, fed slowly."""

    EACH, PAUSE_SECONDS = 10, 0.02

    def __init__(self, cluster, folder):
        super().__init__(daemon=True)
        self.sent = 0
        self.ending = threading.Event()
        self.messages = open(folder / "import.log", "w+", encoding="utf-8")  # closed in end()
        self.process = subprocess.Popen(
            cluster.client_command("import", "-", "--table", TABLE, "--batch-rows", "20",
                                   "--format", "json"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.messages, text=True,
            env=cluster.environment)

    def run(self):
        try:
            self.process.stdin.write("ts,v,host\n")
            while not self.ending.wait(self.PAUSE_SECONDS):
                for number in range(self.sent, self.sent + self.EACH):
                    self.process.stdin.write(",".join(row(number)) + "\n")
                self.process.stdin.flush()
                self.sent += self.EACH
            self.process.stdin.close()
        except OSError:
            pass  # it ended: end() says why

    def end(self):
        """Its summary; every row that was sent is acknowledged."""
        self.ending.set()
        self.join()
        out = self.process.stdout.read()
        code = self.process.wait(PROGRAM_SECONDS)
        self.messages.seek(0)
        if code != 0:
            raise Failure(f"import: exit code {code}: {self.messages.read()[-2000:]}{out}")
        self.messages.close()
        summary = json.loads(out)
        if summary["rows_acknowledged"] != self.sent:
            raise Failure(f"{self.sent} rows sent, {summary['rows_acknowledged']} acknowledged")
        return summary

    def kill(self):
        self.ending.set()
        self.process.kill()
        self.process.wait()


def check_rows(cluster, sent):
    done = cluster.client("scan", TABLE, "--format", "csv", "--time-format", "epoch")
    found = [(r["ts"], r["v"], r["host"]) for r in csv.DictReader(done.stdout.splitlines())]
    expected = {row(number) for number in range(sent)}
    lost = expected - set(found)
    extra = len(found) - len(expected & set(found))
    if lost or extra:
        raise Failure(f"{len(lost)} rows are lost, {extra} are others: {sorted(lost)[:5]}")
    if sent == 0:
        raise Failure("no row was sent, so nothing was tested")


# --- what is tested ---


def check_container(cluster, node):
    """What compose.yaml promises of each container."""
    about = cluster.inspect(node)
    host = about["HostConfig"]
    container = cluster.container(node)
    status = docker("exec", container, "cat", "/proc/1/status", "/proc/1/comm").stdout
    bindings = host["PortBindings"]
    facts = {
        "the node is process 1": status.splitlines()[-1] == "tidemarkd",
        "user 10001": re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.M),
        "no capability": re.search(r"^CapBnd:\t0+$", status, re.M),
        "no new privileges": re.search(r"^NoNewPrivs:\t1$", status, re.M),
        "root file system read-only": host["ReadonlyRootfs"],
        "published on 127.0.0.1 alone": list(bindings) == ["7070/tcp"]
        and all(b["HostIp"] == "127.0.0.1" for b in bindings["7070/tcp"]),
        "time to stop": about["Config"].get("StopTimeout") == 60,
        "host name": about["Config"]["Hostname"] == node,
        "log files are limited": "max-size" in host["LogConfig"]["Config"],
        "health from the program itself": about["Config"]["Healthcheck"]["Test"][1] == "tidemark",
    }
    wrong = [fact for fact, holds in facts.items() if not holds]
    if wrong:
        raise Failure(f"{node}: not so: {', '.join(wrong)}")


def rows_go_on(cluster, load):
    """Waits until rows that were sent after now are stored."""
    start, mark = time.monotonic(), load.sent
    wait("rows to go on", FAULT_SECONDS, lambda: (cluster.count() or 0) > mark)
    if load.process.poll() is not None:
        raise Failure("the import ended")
    return time.monotonic() - start


def with_fault(cluster, load, name, fault, heal):
    """The leader suffers; the others go on; then it comes back."""
    leader = wait("a leader", FAULT_SECONDS, cluster.leader)
    container = cluster.container(leader)
    fault(container, leader)
    went_on = rows_go_on(cluster, load)
    heal(container, leader)
    healthy = cluster.wait_healthy()
    say(f"{leader}, the leader, {name}: rows of later stored after {went_on:.1f} s; "
        f"all healthy {healthy:.1f} s after its return")


def stop(cluster, container, node):
    docker("stop", "--time", "60", container)
    expect_clean_end(cluster, node)


def expect_clean_end(cluster, node):
    state = cluster.state(node)
    if state["Status"] != "exited" or state["ExitCode"] != 0:
        raise Failure(f"{node} was asked to stop: {state['Status']}, exit code {state['ExitCode']}")


def faults(cluster, load):
    network = cluster.network()
    with_fault(cluster, load, "killed", lambda c, n: docker("kill", c), lambda c, n: docker("start", c))
    with_fault(cluster, load, "paused", lambda c, n: docker("pause", c),
               lambda c, n: docker("unpause", c))
    with_fault(cluster, load, "cut off", lambda c, n: docker("network", "disconnect", network, c),
               lambda c, n: docker("network", "connect", "--alias", n, network, c))
    with_fault(cluster, load, "stopped", lambda c, n: stop(cluster, c, n),
               lambda c, n: docker("start", c))


def restart_all(cluster):
    """New containers on the old volumes."""
    cluster.compose("stop")
    for node in NODES:
        expect_clean_end(cluster, node)
    before = [cluster.container(n) for n in NODES]
    cluster.compose("down")
    if cluster.made("container") or len(cluster.made("volume")) != len(NODES):
        raise Failure("after down there are containers, or volumes are gone")
    cluster.compose("up", "-d", "--no-build")
    seconds = cluster.wait_healthy(UP_SECONDS)
    if set(before) & {cluster.container(n) for n in NODES}:
        raise Failure("a container is the old one")
    say(f"all stopped with exit code 0, removed, made anew: healthy after {seconds:.1f} s")


def play(cluster, folder, full):
    check_versions()
    cluster.build(full)
    start = time.monotonic()
    cluster.compose("up", "-d", "--no-build")
    cluster.wait_healthy(UP_SECONDS)
    seconds = time.monotonic() - start
    if seconds > UP_SECONDS:
        raise Failure(f"healthy only after {seconds:.1f} s")
    say(f"up and healthy after {seconds:.1f} s")
    for node in NODES:
        check_container(cluster, node)

    cluster.client("db", "create", TABLE.split(".")[0])
    cluster.client("table", "create", TABLE, "--column", "v:int64", "--tag", "host:string:primary")
    load = Load(cluster, folder)
    try:
        load.start()
        rows_go_on(cluster, load)
        faults(cluster, load)
        summary = load.end()
    finally:
        load.kill()
    say(f"{load.sent} rows sent and acknowledged, longest gap {summary['gap_ms_max']} ms, "
        f"{summary['retries']} repeated writes")
    check_rows(cluster, load.sent)
    cluster.client("hash")
    restart_all(cluster)
    check_rows(cluster, load.sent)
    cluster.client("hash")
    inside = docker("exec", cluster.container("n2"), "tidemark", "scan", TABLE, "--count",
                    "--format", "json")
    if int(re.search(r'"rows": (\d+)', inside.stdout)[1]) != load.sent:
        raise Failure(f"asked inside a container: {inside.stdout}")
    say(f"{load.sent} rows found, none lost, states equal")


def interrupted(number, _frame):
    raise Failure("the time is over" if number == signal.SIGALRM else f"signal {number}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", required=True, help="folder of tidemarkd and tidemark")
    parser.add_argument("--full", action="store_true", help="build the image from source")
    parser.add_argument("--limit", type=int, default=0, help="seconds until it gives up")
    options = parser.parse_args()
    full = options.full or os.environ.get("TIDEMARK_ROUNDS") == "full"

    cluster = Cluster(compose_command(), options.programs)
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupted)
    signal.alarm(options.limit)
    code = 0
    with tempfile.TemporaryDirectory(prefix=cluster.project) as folder:
        try:
            play(cluster, pathlib.Path(folder), full)
        except Failure as failure:
            signal.alarm(0)
            say(f"FAILED: {failure}")
            cluster.show()
            code = 1
        finally:
            signal.alarm(0)
            cluster.remove()
    say("all removed")
    return code


if __name__ == "__main__":
    sys.exit(main())
