#!/usr/bin/env python3
"""Every header compiles alone, with the warnings of the build.

usage: headers.py BUILD_DIR

BUILD_DIR holds compile_commands.json; a header is compiled as a source beside it is.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("lib", "agent", "test")


def commands(build: Path) -> dict[Path, list[str]]:
    """The compiler's arguments by the folder of a source, without the source and the output."""
    result = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        args = shlex.split(entry["command"])
        if Path(args[0]).name == "ccache":
            args = args[1:]
        output = args.index("-o")
        kept = [a for i, a in enumerate(args) if a != "-c" and i not in (output, output + 1)]
        folder = Path(entry["file"]).parent
        # A source may be compiled twice, for two targets: the one that knows more counts.
        args = [a for a in kept if a != entry["file"]]
        result[folder] = max(args, result.get(folder, []), key=len)
    return result


def nearest(header: Path, known: dict[Path, list[str]]) -> list[str]:
    def shared(folder: Path) -> int:
        return len(os.path.commonpath([header.parent, folder]))

    return known[max(sorted(known), key=shared)]


def compile_alone(header: Path, args: list[str], build: Path) -> str:
    # Included twice, so that a missing guard shows too.
    text = f'#include "{header.relative_to(ROOT)}"\n' * 2
    # static inline functions that nothing here calls are no fault.
    command = [*args, "-Wno-unused-function", "-fsyntax-only", "-x", "c", "-"]
    done = subprocess.run(command, input=text, cwd=build, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{header.relative_to(ROOT)}:\n{done.stderr}"


def main() -> int:
    build = Path(sys.argv[1]).resolve()
    known = commands(build)
    headers = [h for folder in FOLDERS for h in sorted((ROOT / folder).rglob("*.h"))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        problems = [
            problem
            for problem in pool.map(lambda h: compile_alone(h, nearest(h, known), build), headers)
            if problem
        ]
    for problem in problems:
        print(f"headers: does not compile alone: {problem}", file=sys.stderr)
    print(f"{len(headers)} headers, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
