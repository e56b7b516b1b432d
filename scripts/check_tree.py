# SPDX-License-Identifier: Apache-2.0
"""The files that scripts/check looks at, and what it found."""

import os
import pathlib
import re
import subprocess
from typing import NamedTuple

BUILD = pathlib.Path("build")
EXCUSE = re.compile(r"check: ([a-z-]+): \S+ \S+")  # the rule, then a reason in words
STRING_OR_COMMENT = re.compile(
    r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def blank(found):
    """Replaces a string or comment by spaces of the same shape."""
    return re.sub(r"[^\n]", " ", found[0])


class File:
    """One file: its path from the root, its text, and what kind it is."""

    def __init__(self, root, path):
        self.path = path
        self.parts = pathlib.PurePosixPath(path).parts
        self.name = self.parts[-1]
        self.stem, self.suffix = pathlib.PurePosixPath(path).stem, pathlib.PurePosixPath(path).suffix
        self.room = self.parts[0] if len(self.parts) > 1 else ""
        self.is_test = len(self.parts) > 2 and self.parts[1] == "test"
        self.is_c = self.suffix in (".c", ".h")
        data = (root / path).read_bytes()
        self.is_text = b"\0" not in data and "corpus" not in self.parts and "golden" not in self.parts
        try:
            self.text = data.decode() if self.is_text else ""
        except UnicodeDecodeError:
            self.text, self.is_text = "", False
        self.lines = self.text.splitlines()
        # Code alone: strings and comments are blank, lines keep their numbers.
        self.code = STRING_OR_COMMENT.sub(blank, self.text) if self.is_c else ""

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1


class Tree:
    def __init__(self, root):
        self.root = root.resolve()
        self.findings = []
        self.rooms = {}    # room -> set of rooms it may include
        self.outside = {}  # start of <header> -> list of rooms and path prefixes
        self.files = [File(self.root, path) for path in self.list_paths()]
        self.by_path = {f.path: f for f in self.files}
        self.read_rooms()

    def git(self, *args):
        run = subprocess.run(["git", *args], cwd=self.root, capture_output=True, text=True,
                             check=False)
        return run.stdout if run.returncode == 0 else None

    def list_paths(self):
        """What git tracks or would add; without git all but build results."""
        listed = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        if listed is not None:
            paths = sorted({path for path in listed.split("\0") if path})
        else:
            paths = sorted(self.walk())
        return [p for p in paths if (self.root / p).is_file() and not (self.root / p).is_symlink()]

    def walk(self):
        for directory, names, files in os.walk(self.root):
            inside = pathlib.Path(directory).relative_to(self.root)
            names[:] = [n for n in names if n not in (".git", "__pycache__") and inside / n != BUILD]
            yield from (str(inside / name) for name in files)

    def read_rooms(self):
        table = self.root / "scripts" / "rooms.txt"
        for line in table.read_text().splitlines() if table.exists() else []:
            line = line.split("#")[0].strip()
            if not line:
                continue
            name, names = line.split(":", 1)
            if name.startswith("<"):
                self.outside[name] = names.split()
            else:
                self.rooms[name] = set(names.split())
        if not self.rooms:
            self.report("scripts/rooms.txt", 0, "room", "no table of rooms")

    def c_files(self):
        return [f for f in self.files if f.is_c]

    def text_files(self):
        return [f for f in self.files if f.is_text]

    def report(self, path, line, rule, text):
        if not self.is_excused(path, line, rule):
            self.findings.append(Finding(path, line, rule, text))

    def is_excused(self, path, line, rule):
        known = self.by_path.get(path) if hasattr(self, "by_path") else None
        if known is None or not 0 < line <= len(known.lines):
            return False
        excuse = EXCUSE.search(known.lines[line - 1])
        return excuse is not None and excuse[1] == rule
