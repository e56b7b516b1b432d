# SPDX-License-Identifier: Apache-2.0
"""Nodes on loopback for scripts/demo and bench/: started, asked, stopped by pid."""

import json
import os
import re
import signal
import socket
import subprocess
import time

WAIT_SECONDS = 60


class Failure(Exception):
    pass


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Cluster:
    """'count' nodes of one cluster, or one node alone with its own flags."""

    def __init__(self, programs, folder, count=3, flags=()):
        self.programs = programs
        self.folder = folder
        self.count = count
        self.flags = list(flags)
        ports = free_ports(2 * count)
        self.clients = [f"127.0.0.1:{p}" for p in ports[:count]]
        self.peers = [f"127.0.0.1:{p}" for p in ports[count:]]
        self.processes = [None] * count

    def data(self, i):
        return os.path.join(self.folder, f"n{i + 1}")

    def log(self, i):
        return os.path.join(self.folder, f"n{i + 1}.log")

    def start(self, i):
        command = [
            os.path.join(self.programs, "tidemarkd"),
            f"--name=n{i + 1}",
            f"--data-dir={self.data(i)}",
            f"--listen-client={self.clients[i]}",
            f"--listen-peer={self.peers[i]}",
            *self.flags,
        ]
        if self.count > 1:
            command.append(f"--peers={','.join(self.peers)}")
        with open(self.log(i), "ab") as log:
            self.processes[i] = subprocess.Popen(command, stdout=log, stderr=log)

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
        """Number of the leader (of the one node alone: 0), None if there is none."""
        for name, node in self.nodes().items():
            if node.get("role") in ("leader", "standalone"):
                return int(name[1:]) - 1
        return None

    def start_all(self):
        for i in range(self.count):
            self.start(i)
        self.wait("a healthy cluster", self.healthy)

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


