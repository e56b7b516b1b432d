# SPDX-License-Identifier: Apache-2.0
"""clang-tidy, on what changed or on everything.

A file that passed is not read again until it, a header it sees, or the
configuration differs: build/dev/tidy-passed keeps the hash of each preprocessed
source that had no finding."""

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess

TOOL = "clang-tidy-19"
DEFAULT_DEPTH = 10  # commits looked back over when no base is known
FOUND = re.compile(r"^(\S+?):(\d+):\d+: (?:error|warning): (.*)$", re.MULTILINE)


def check(tree, everything):
    """Reports findings; returns in words what was looked at."""
    if shutil.which(TOOL) is None:
        tree.report("scripts/check", 0, "tidy", f"{TOOL} is missing: run scripts/setup")
        return "no file"
    commands = compile_commands(tree)
    if commands is None:
        return "no file"
    chosen = sorted(commands) if everything else changed_sources(tree, commands)
    if everything:
        for file in tree.files:
            if file.suffix == ".c" and file.path not in commands:
                tree.report(file.path, 1, "tidy", "no target compiles this file")
    passed_dir = tree.root / "build" / "dev" / "tidy-passed"
    passed_dir.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(tidy_one, tree, commands[path], path, passed_dir) for path in chosen]
    for finding in sorted({f for job in jobs for f in job.result()}):
        tree.report(*finding)
    return f"{len(chosen)} of {len(commands)} sources"


def compile_commands(tree):
    """path -> (directory, arguments) of our own sources; configures when needed."""
    build = tree.root / "build" / "dev"
    steps = (["cmake", "--preset", "dev"], ["cmake", "--build", str(build), "--target", "generated"])
    for step in steps:
        run = subprocess.run(step, cwd=tree.root, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            tree.report("CMakeLists.txt", 0, "tidy", (run.stdout + run.stderr).strip()[-800:])
            return None
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), tree.root)
        if path in tree.by_path:
            commands[path] = (entry["directory"], shlex.split(entry["command"]))
    return commands


def changed_sources(tree, commands):
    base = os.environ.get("TIDEMARK_CHECK_BASE") or default_base(tree)
    if not base:
        return sorted(commands)
    names = set((tree.git("diff", "--name-only", base) or "").split("\n"))
    names |= set((tree.git("ls-files", "--others", "--exclude-standard") or "").split("\n"))
    if names & {".clang-tidy", "scripts/check_tidy.py"}:
        return sorted(commands)
    stems = {os.path.splitext(name)[0] for name in names if name.endswith(".h")}
    return sorted(path for path in commands
                  if path in names or os.path.splitext(path)[0] in stems)


def default_base(tree):
    head = (tree.git("rev-parse", "HEAD") or "").strip()
    left = (tree.git("merge-base", "origin/main", "HEAD") or "").strip()
    if left and left != head:
        return left
    return (tree.git("rev-parse", "--verify", "--quiet", f"HEAD~{DEFAULT_DEPTH}") or "").strip()


def tidy_one(tree, command, path, passed_dir):
    directory, arguments = command
    stamp = passed_dir / path.replace("/", "-")
    digest = digest_of(tree, directory, arguments)
    if digest and stamp.exists() and stamp.read_text() == digest:
        return []
    run = subprocess.run([TOOL, "--quiet", "-p", str(tree.root / "build" / "dev"),
                          "--extra-arg=-Wno-unknown-warning-option", path],
                         cwd=tree.root, capture_output=True, text=True, check=False)
    findings = [(os.path.relpath(f[1], tree.root), int(f[2]), "tidy", f[3])
                for f in FOUND.finditer(run.stdout)]
    if run.returncode != 0 and not findings:
        findings = [(path, 0, "tidy", (run.stdout + run.stderr).strip()[-500:])]
    if not findings and digest:
        stamp.write_text(digest)
    return findings


def digest_of(tree, directory, arguments):
    """Of all that decides the outcome; comments too, as they may hold NOLINT."""
    source = arguments[-1]
    preprocess = [a for a in arguments if not a.endswith("ccache")]
    for option in ("-o", "-MF", "-MT"):
        if option in preprocess:
            at = preprocess.index(option)
            del preprocess[at:at + 2]
    preprocess = [a for a in preprocess if a not in ("-c", "-MD")]
    run = subprocess.run([*preprocess, "-E", "-CC"], cwd=directory, capture_output=True,
                         check=False)
    if run.returncode != 0:
        return None
    digest = hashlib.sha256(run.stdout)
    digest.update(source.encode())
    digest.update((tree.root / ".clang-tidy").read_bytes())
    return digest.hexdigest()
