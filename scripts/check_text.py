# SPDX-License-Identifier: Apache-2.0
"""Rules about every text file: marks, licence lines, names, spelling, syntax."""

import re
import shutil
import subprocess

# In pieces, so that this file does not break the rules it enforces.
FIX_MARK = re.compile(r"\bFIX" r"ME\b")
TODO_MARK = re.compile(r"\bTO" r"DO\b(?!\(#\d+\))")
# Archives of packages: which one a machine uses is the machine's own matter.
ARCHIVE = re.compile(
    r"\b(?:(?:deb|ftp[\w.]*|httpredir|security|snapshot|archive|cdn[\w-]*)[.]debian[.](?:org|net)"
    r"|(?:archive|security|ports)[.]ubuntu[.]com)\b", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home|wo" r"rk|Users)/[\w.]+")
LICENCE = "SPDX-License-Identifier: Apache-2.0"
LICENSED_SUFFIXES = {".c", ".h", ".in", ".proto", ".cmake", ".py", ".sh", ".toml", ".yaml", ".yml"}
LICENSED_NAMES = {"CMakeLists.txt", "Dockerfile", ".clang-format", ".clang-tidy", ".gitignore"}


def check(tree):
    hosts = archive_hosts_of_this_machine()
    for file in tree.text_files():
        check_licence(tree, file)
        check_script(tree, file)
        for number, line in enumerate(file.lines, 1):
            check_line(tree, file, number, line, hosts)
    check_spelling(tree)


def archive_hosts_of_this_machine():
    """Names from apt's own configuration; empty where there is no apt."""
    if shutil.which("apt-get") is None:
        return set()
    run = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"],
                         capture_output=True, text=True, check=False)
    return set(re.findall(r"^\w+://(?:[^/@\s]*@)?([\w-]+(?:[.][\w-]+)+)", run.stdout, re.MULTILINE))


def check_line(tree, file, number, line, hosts):
    if FIX_MARK.search(line):
        tree.report(file.path, number, "mark", "a FIX" "ME may not be merged")
    if TODO_MARK.search(line):
        tree.report(file.path, number, "mark", "name the issue: TO" "DO(#12)")
    if ARCHIVE.search(line) or any(host in line for host in hosts):
        tree.report(file.path, number, "archive", "names the host of a package archive")
    if MACHINE_PATH.search(line):
        tree.report(file.path, number, "path", "a path of somebody's machine")
    if line.endswith((" ", "\t")) and file.suffix != ".md":
        tree.report(file.path, number, "space", "white space at the end of the line")


def is_script(file):
    return bool(file.lines) and file.lines[0].startswith("#!")


def check_licence(tree, file):
    licensed = (file.suffix in LICENSED_SUFFIXES or file.name in LICENSED_NAMES or is_script(file))
    if licensed and not any(LICENCE in line for line in file.lines[:3]):
        tree.report(file.path, 1, "licence", f"lacks the line {LICENCE}")


def check_script(tree, file):
    """Scripts parse, and those with a first line for the kernel can be run."""
    if file.suffix == ".py" or (is_script(file) and "python" in file.lines[0]):
        try:
            compile(file.text, file.path, "exec")
        except SyntaxError as error:
            tree.report(file.path, error.lineno or 0, "script", f"Python: {error.msg}")
    elif is_script(file) and re.search(r"\b(?:ba|da)?sh\b", file.lines[0]):
        shell = "bash" if "bash" in file.lines[0] else "sh"
        run = subprocess.run([shell, "-n", file.path], cwd=tree.root, capture_output=True,
                             text=True, check=False)
        if run.returncode != 0:
            tree.report(file.path, 1, "script", run.stderr.strip())
    if is_script(file) and not (tree.root / file.path).stat().st_mode & 0o100:
        tree.report(file.path, 1, "script", "has a #! line but may not be executed")


def check_spelling(tree):
    tool = shutil.which("codespell")
    paths = [f.path for f in tree.text_files() if f.name != "LICENSE" and f.suffix != ".csv"]
    if tool is None or not paths:
        return
    words = tree.root / "scripts" / "words.txt"
    command = [tool, "--quiet-level=7"]
    if words.exists():
        command += ["--ignore-words", str(words)]
    run = subprocess.run([*command, *paths], cwd=tree.root, capture_output=True, text=True,
                         check=False)
    for found in re.finditer(r"^(?:\./)?(\S+?):(\d+): (.*)$", run.stdout, re.MULTILINE):
        tree.report(found[1], int(found[2]), "spelling", found[3])
