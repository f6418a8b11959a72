"""What a measurement prints: JSON lines on stdout, a table on stderr."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from test.harness.topology import AGENT, SYSTEM

P99_MIN_SAMPLES = 100  # with fewer, a 99th percentile is the maximum under another name


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was measured."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(samples: Sequence[float]) -> dict[str, float]:
    return {
        "p50": round(percentile(samples, 0.50), 4),
        "p99": round(percentile(samples, 0.99), 4),
        "max": round(max(samples), 4),
    }


@dataclass
class Goal:
    """Upper bounds; None: none. A bound of p99 is left unjudged where there are too few."""

    p50: float | None = None
    p99: float | None = None
    max: float | None = None

    def text(self) -> str:
        bounds = [(k, getattr(self, k)) for k in ("p50", "p99", "max")]
        return ", ".join(f"{k} <= {v:g}" for k, v in bounds if v is not None) or "none"

    def met(self, samples: Sequence[float]) -> bool:
        s = summary(samples)
        judge_p99 = self.p99 is not None and len(samples) >= P99_MIN_SAMPLES
        p50 = self.p50
        if self.p99 is not None and not judge_p99 and p50 is None:
            p50 = self.p99
        return (
            (p50 is None or s["p50"] <= p50)
            and (not judge_p99 or s["p99"] <= self.p99)  # type: ignore[operator]
            and (self.max is None or s["max"] <= self.max)
        )


class Report:
    """Prints each figure as it is known; `failed` once a goal is missed."""

    def __init__(self) -> None:
        self.failed = False
        self.rows: list[tuple[str, ...]] = []

    def add(
        self,
        bench: str,
        metric: str,
        unit: str,
        ours: Sequence[float],
        goal: Goal | None = None,
        baseline: tuple[str, Sequence[float]] | None = None,
        **more: Any,  # noqa: ANN401 - any JSON
    ) -> None:
        goal = goal or Goal()
        if not ours:
            self.missed(bench, metric, "nothing was measured")
            return
        s, met = summary(ours), goal.met(ours)
        theirs: dict[str, Any] = {"name": "none"}
        if baseline is not None and baseline[1]:
            theirs = {"name": baseline[0], "n": len(baseline[1]), **summary(baseline[1])}
            if s["p50"] > 0:
                more["ratio_p50"] = round(theirs["p50"] / s["p50"], 1)
        line = {"bench": bench, "metric": metric, "unit": unit, "n": len(ours), "ours": s}
        line |= {"baseline": theirs, "goal": goal.text(), "met": met, **more}
        print(json.dumps(line), flush=True)
        self.failed = self.failed or not met
        ratio = f"{more['ratio_p50']:g} x" if "ratio_p50" in more else ""
        cells = [f"{s[k]:g}" for k in ("p50", "p99", "max")]
        verdict = "" if goal.text() == "none" else "met" if met else "MISSED"
        self.rows.append(
            (f"{bench} {metric}", unit, str(len(ours)), *cells, theirs["name"])
            + (f"{theirs['p50']:g}" if "p50" in theirs else "", ratio, goal.text(), verdict)
        )

    def missed(self, bench: str, metric: str, why: str) -> None:
        line = {"bench": bench, "metric": metric, "n": 0, "met": False, "error": why}
        print(json.dumps(line), flush=True)
        self.rows.append((f"{bench} {metric}", "", "0", "", "", "", "", "", "", why, "MISSED"))
        self.failed = True

    def skipped(self, bench: str, metric: str, why: str) -> None:
        print(json.dumps({"bench": bench, "metric": metric, "skipped": why}), flush=True)
        self.rows.append((f"{bench} {metric}", "", "0", "", "", "", "", "", "", why, "skipped"))

    def table(self) -> None:
        head = ("figure", "unit", "n", "p50", "p99", "max", "baseline", "p50", "ratio", "goal", "")
        rows = [head, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        for row in rows:
            cells = [
                cell.ljust(w) if i in (0, 1, 6, 9, 10) else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            print("  ".join(cells).rstrip(), file=sys.stderr)


def machine() -> dict[str, Any]:
    """What the figures depend on; no name and no path of this machine."""

    def first_line(*argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return (done.stdout.splitlines() or ["unknown"])[0]

    return {
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "arch": platform.machine(),
            "load_before": [round(load, 2) for load in os.getloadavg()],
            "redis": first_line(SYSTEM.server, "--version"),
            "agent": first_line(str(AGENT), "--version"),
            "python": platform.python_version(),
        }
    }


def note(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
