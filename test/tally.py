#!/usr/bin/env python3
"""Counts what scripts/test ran, from JUnit files and a list of single steps.

usage: tally.py DIR [LEVEL...]

DIR holds LEVEL.*.xml (JUnit, of ctest or pytest) and steps.tsv with the lines
LEVEL <tab> NAME <tab> passed|failed|skipped <tab> REASON. Prints what was skipped and why, what
failed, a table of the levels, and the totals as the last line. Exit status 1 if anything failed,
or nothing ran, or a LEVEL that was asked for left no result.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    level: str
    name: str
    status: str
    reason: str


def junit_reason(case: ElementTree.Element, status: ElementTree.Element) -> str:
    text = status.get("message") or ""
    # ctest only knows how a test ended; the test's last line says why.
    if text.startswith("SKIP_RETURN_CODE") or text in ("", "Failed"):
        lines = (case.findtext("system-out") or "").strip().splitlines()
        text = lines[-1] if lines else text
    return text.splitlines()[0] if text else ""


def junit_results(path: Path) -> list[Result]:
    level = path.name.split(".")[0]
    results = []
    for case in ElementTree.parse(path).iter("testcase"):
        name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
        name = case.get("name", "") if case.get("classname") == case.get("name") else name
        skipped = case.find("skipped")
        failed = next((e for e in case if e.tag in ("failure", "error")), None)
        if failed is not None or case.get("status") == "fail":
            reason = junit_reason(case, failed) if failed is not None else ""
            results.append(Result(level, name, "failed", reason))
        elif skipped is not None or case.get("status") in ("notrun", "disabled"):
            reason = junit_reason(case, skipped) if skipped is not None else "not run"
            results.append(Result(level, name, "skipped", reason))
        else:
            results.append(Result(level, name, "passed", ""))
    return results


def step_results(path: Path) -> list[Result]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Result(*(line.split("\t") + ["", "", ""])[:4]) for line in lines]


def print_reasons(results: list[Result], status: str) -> None:
    """One line for each reason, because a missing tool skips many tests at once."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.status == status:
            grouped.setdefault((result.level, result.reason), []).append(result.name)
    for (level, reason), names in grouped.items():
        shown = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        print(f"{status}: {level}: {shown}{': ' + reason if reason else ''}")


def main() -> int:
    folder = Path(sys.argv[1])
    results = step_results(folder / "steps.tsv")
    for path in sorted(folder.glob("*.xml"), key=lambda p: p.stat().st_mtime):
        results += junit_results(path)
    silent = set(sys.argv[2:]) - {result.level for result in results}
    results += [Result(level, "results", "failed", "there are none") for level in sorted(silent)]
    print_reasons(results, "skipped")
    print_reasons(results, "failed")
    print()
    print(f"{'level':<12} {'passed':>7} {'failed':>7} {'skipped':>7}")
    for level in dict.fromkeys([*sys.argv[2:], *(result.level for result in results)]):
        count = Counter(r.status for r in results if r.level == level)
        print(f"{level:<12} {count['passed']:>7} {count['failed']:>7} {count['skipped']:>7}")
    count = Counter(result.status for result in results)
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 0 if count["passed"] and not count["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
