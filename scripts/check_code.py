# SPDX-License-Identifier: Apache-2.0
"""Rules about C code: rooms, lengths, calls, modules and their tests."""

import re

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
README_LINES_MAX = 60
CHECKS_PER_FUNCTION = {"raft": 2.0, "wal": 2.0}
TESTED_BY_LINES = ("raft", "wal", "proto")  # at least as many lines of test

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">]', re.MULTILINE)

# Calls that no file may make.
BANNED = {
    "strcpy": "give the size", "strcat": "give the size", "stpcpy": "give the size",
    "strncpy": "may not terminate: use snprintf or memcpy", "strncat": "give the size",
    "sprintf": "use snprintf", "vsprintf": "use vsnprintf", "gets": "use fgets",
    "scanf": "decode it", "sscanf": "decode it", "fscanf": "decode it",
    "atoi": "hides errors: use strtol", "atol": "hides errors: use strtol",
    "atoll": "hides errors: use strtoll", "atof": "hides errors: use strtod",
    "strtok": "keeps state: use strchr or strspn", "alloca": "the stack has no limit check",
    "rand": "use base/random.h", "srand": "use base/random.h", "random": "use base/random.h",
    "system": "start the program itself", "popen": "start the program itself",
    "assert": "use CHECK", "sleep": "wait for an event", "usleep": "wait for an event",
    "signal": "use sigaction",
}

# Calls that would hide the world from the simulator, or memory from mem.h:
# only where a path starts with one of these.
REAL_WORLD = ("io/", "bench/", "cluster-tests/", "cli/")
RESTRICTED = {
    **dict.fromkeys(("open", "openat", "creat", "fopen", "freopen", "fdopen", "opendir",
                     "rename", "unlink", "mkdir", "rmdir", "fsync", "fdatasync", "pread", "pwrite",
                     "ftruncate", "fallocate", "posix_fallocate"),
                    (REAL_WORLD + ("testkit/fuzz_main.c",), "files go through io/")),
    **dict.fromkeys(("clock_gettime", "gettimeofday", "time", "nanosleep"),
                    (REAL_WORLD, "time goes through io/")),
    **dict.fromkeys(("getrandom", "getentropy"), (("io/",), "entropy goes through io/")),
    **dict.fromkeys(("malloc", "calloc", "realloc", "strdup", "strndup", "asprintf", "vasprintf",
                     "aligned_alloc", "posix_memalign", "free"),
                    (("base/mem.c",), "memory goes through base/mem.h")),
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(list(BANNED) + list(RESTRICTED)) + r")\s*\(")


def check(tree):
    for file in tree.c_files():
        check_includes(tree, file)
        check_calls(tree, file)
        check_lengths(tree, file)
    for room in tree.rooms:
        check_room(tree, room)


def may_include(tree, file, room):
    if file.room not in tree.rooms:
        return False
    allowed = tree.rooms[file.room] | {file.room}
    if file.is_test:
        allowed = allowed | {"testkit"}
    return room in allowed


def is_inside(path, places):
    """Whether one of 'places' holds the path: "room", or "start/of/path*"."""
    return any(path.startswith(p[:-1]) if p.endswith("*") else path.startswith(p + "/")
               for p in places)


def check_includes(tree, file):
    for found in INCLUDE.finditer(file.text):
        line = file.line_of(found.start(2))
        header = found[2]
        if found[1] == "<":
            for start, places in tree.outside.items():
                if f"<{header}>".startswith(start) and not is_inside(file.path, places):
                    tree.report(file.path, line, "room",
                                f"<{header}> may be included only in {' '.join(places)}")
            continue
        room = header.split("/")[0]
        if "/" not in header or room not in tree.rooms or ".." in header:
            tree.report(file.path, line, "room", f'"{header}" does not name its room')
        elif not may_include(tree, file, room):
            tree.report(file.path, line, "room", f"{file.room or file.path} may not include {room}")


def check_calls(tree, file):
    for found in CALL.finditer(file.code):
        name = found[1]
        line = file.line_of(found.start(1))
        if name in BANNED:
            tree.report(file.path, line, "banned-call", f"{name}(): {BANNED[name]}")
            continue
        places, reason = RESTRICTED[name]
        if not file.path.startswith(places):
            tree.report(file.path, line, "banned-call", f"{name}(): {reason}")


def functions_of(file):
    """(first line, last line) of each body; clang-format puts the outer braces
    of a function, and only those, alone in column 0."""
    start = None
    for number, line in enumerate(file.code.splitlines(), 1):
        if line.rstrip() == "{":
            start = number
        elif start is not None and line.startswith("}"):
            yield start, number
            start = None


def check_lengths(tree, file):
    if len(file.lines) > FILE_LINES_MAX:
        tree.report(file.path, len(file.lines), "length",
                    f"{len(file.lines)} lines, at most {FILE_LINES_MAX} per file")
    for first, last in functions_of(file):
        size = last - first + 1
        if size > FUNCTION_LINES_MAX:
            tree.report(file.path, first, "length",
                        f"function of {size} lines, at most {FUNCTION_LINES_MAX}")


def check_room(tree, room):
    sources = [f for f in tree.files if f.room == room and f.suffix == ".c" and len(f.parts) == 2]
    if not sources:
        return
    for file in sources:
        test = f"{room}/test/test_{file.stem}.c"
        if f"{room}/{file.stem}.h" in tree.by_path and test not in tree.by_path:
            tree.report(file.path, 1, "untested", f"a module without {test}")
    readme = tree.by_path.get(f"{room}/README.md")
    if readme is None:
        tree.report(f"{room}/README.md", 0, "readme", "a room without its README.md")
    elif len(readme.lines) > README_LINES_MAX:
        tree.report(readme.path, README_LINES_MAX, "readme",
                    f"{len(readme.lines)} lines, one screen ({README_LINES_MAX}) at most")
    if room in TESTED_BY_LINES:
        check_test_lines(tree, room)
    if room in CHECKS_PER_FUNCTION:
        check_density(tree, room, sources)


def check_test_lines(tree, room):
    of_source = sum(len(f.lines) for f in tree.c_files() if f.room == room and not f.is_test)
    of_test = sum(len(f.lines) for f in tree.text_files() if f.room == room and f.is_test)
    if of_test < of_source:
        tree.report(f"{room}/test", 0, "test-lines",
                    f"{of_test} lines of test for {of_source} of source")


def check_density(tree, room, sources):
    functions = sum(len(list(functions_of(f))) for f in sources)
    checks = sum(len(re.findall(r"\b(?:CHECK|VERIFY)\s*\(", f.code)) for f in sources)
    if functions > 0 and checks < CHECKS_PER_FUNCTION[room] * functions:
        tree.report(f"{room}", 0, "check-density",
                    f"{checks} CHECKs in {functions} functions, at least "
                    f"{CHECKS_PER_FUNCTION[room]:g} per function on average")
