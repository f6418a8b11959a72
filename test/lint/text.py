#!/usr/bin/env python3
"""Rules that the text of the tree itself can break.

usage: text.py [--root DIR] [CHECK...]

Checks (all of them by default): banned names sizes top. Looks at the files that git tracks, or at
all files where there is no git. Prints each violation; exit status 1 if any.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

TOP_LEVEL = frozenset(
    {
        ".ci",
        ".clang-format",
        ".clang-tidy",
        ".gitignore",
        "CMakeLists.txt",
        "README.md",
        "agent",
        "k8s",
        "lib",
        "scripts",
        "test",
    }
)

# Calls that have no place in C code here, and why.
BANNED_CALLS = {
    "strcpy strcat strncpy strncat sprintf vsprintf gets": "unbounded or unterminated",
    "strtok strtok_r": "writes into its input",
    "atoi atol atoll atof": "cannot report an error",
    "gmtime localtime asctime ctime": "shares a buffer",
    "system popen": "runs a shell",
    "alloca": "unbounded stack",
    "sleep usleep nanosleep": "blocks; wait for a condition with a deadline",
    "setjmp longjmp": "leaves scopes without cleaning up",
    "rand srand": "not seeded per test; use struct rng",
}
BANNED = [
    (re.compile(rf"(?<![\w.>])(?:{calls.replace(' ', '|')})\s*\("), reason)
    for calls, reason in BANNED_CALLS.items()
]
PYTHON_SLEEP = re.compile(r"\bsleep\(")
# Tests may stand in for it; the program may not call it.
BLOCKING = re.compile(r"(?<![\w.>])(?:getaddrinfo|gethostbyname)\s*\(")
TYPEDEF = re.compile(r"^\s*typedef\s+(struct|enum|union)\b")

# A machine's own places: tests and scripts must run anywhere.
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.])/(work|root|farm)/")
# Where packages come from is the business of the machine's configuration.
REGISTRY = re.compile(
    r"\b(?:(?:deb|ftp|security|snapshot|archive)\.(?:debian|ubuntu)"
    r"|(?:files\.)?py(?:pi|thonhosted)|(?:static\.)?crates|registry\.(?:npmjs|yarnpkg)"
    r"|(?:proxy|sum)\.golang|repo1?\.maven(?:\.apache)?)\.(?:org|io|com)\b"
)

# Data, generated text and locks are as long as they are.
LINE_LIMIT = 100
FILE_LIMIT = 600
CODE_SUFFIXES = frozenset({".c", ".h", ".py", ".cmake", ".sh"})

Problem = tuple[str, int, str]


def tracked(root: Path) -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.split("\0") if name]
        return [root / name for name in names if (root / name).is_file()]
    return [p for p in root.rglob("*") if p.is_file() and "build" not in p.parts]


def lines_of(path: Path) -> list[str]:
    data = path.read_bytes()
    return [] if b"\0" in data else data.decode("utf-8", "replace").splitlines()


def is_code(path: Path) -> bool:
    if path.suffix in CODE_SUFFIXES:
        return True
    return path.suffix == "" and any(line.startswith("#!") for line in lines_of(path)[:1])


def strip_c(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Lines of C without comments and without the insides of string literals."""
    text = "\n".join(lines)
    token = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        return "\n" * found.count("\n") if found.startswith("/") else found[0] * 2

    yield from enumerate(token.sub(blank, text).split("\n"), 1)


def check_banned(root: Path, files: list[Path]) -> Iterator[Problem]:
    for path in files:
        if path.suffix == ".py" and path.name.startswith("test_"):
            name = str(path.relative_to(root))
            for number, line in enumerate(lines_of(path), 1):
                if PYTHON_SLEEP.search(line):
                    yield name, number, "a test waits for a condition, never for a time"
        if path.suffix not in {".c", ".h"} or path.name == "banned.h":
            continue
        name = str(path.relative_to(root))
        for number, line in strip_c(lines_of(path)):
            for pattern, reason in BANNED:
                match = pattern.search(line)
                if match:
                    yield name, number, f"{match[0].rstrip('( ')} is banned: {reason}"
            if BLOCKING.search(line) and name.startswith(("agent/", "lib/")):
                yield name, number, "resolving blocks the loop; use uv_getaddrinfo"
            if TYPEDEF.match(line):
                yield name, number, "structs, enums and unions are not hidden behind a typedef"


def check_names(root: Path, files: list[Path]) -> Iterator[Problem]:
    for path in files:
        name = str(path.relative_to(root))
        for number, line in enumerate(lines_of(path), 1):
            if MACHINE_PATH.search(line):
                yield name, number, "names a path of one machine"
            if REGISTRY.search(line):
                yield name, number, "names the host of a package registry"


def check_sizes(root: Path, files: list[Path]) -> Iterator[Problem]:
    for path in files:
        if not is_code(path):
            continue
        name = str(path.relative_to(root))
        lines = lines_of(path)
        if len(lines) > FILE_LIMIT:
            yield name, len(lines), f"has {len(lines)} lines; the limit is {FILE_LIMIT}"
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_LIMIT:
                yield name, number, f"has {len(line)} columns; the limit is {LINE_LIMIT}"
            if line != line.rstrip():
                yield name, number, "ends in white space"


def check_top(root: Path, files: list[Path]) -> Iterator[Problem]:
    found = {path.relative_to(root).parts[0] for path in files}
    for name in sorted(found - TOP_LEVEL):
        yield name, 0, "does not belong to the top level"
    for name in sorted(TOP_LEVEL - found):
        yield name, 0, "is missing from the top level"


CHECKS: dict[str, Callable[[Path, list[Path]], Iterator[Problem]]] = {
    "banned": check_banned,
    "names": check_names,
    "sizes": check_sizes,
    "top": check_top,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("checks", nargs="*", metavar="CHECK", default=[])
    args = parser.parse_args()
    unknown = set(args.checks) - set(CHECKS)
    if unknown:
        parser.error(f"unknown check: {', '.join(sorted(unknown))}; one of {', '.join(CHECKS)}")
    files = tracked(args.root)
    count = 0
    for check in args.checks or CHECKS:
        for name, line, text in CHECKS[check](args.root, files):
            print(f"{name}:{line}: {text} [{check}]", file=sys.stderr)
            count += 1
    print(f"{len(files)} files, {count} problems")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
