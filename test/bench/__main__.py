"""See scripts/bench."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from types import FrameType

from . import idle, probes, role_latency
from .report import Report, machine, note

NAMES = ("role-latency", "idle", "probes")


def interrupted(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def measure(report: Report, name: str, args: argparse.Namespace) -> None:
    start = time.monotonic()
    try:
        if name == "role-latency":
            apis = ("stand-in", "real") if args.api == "both" else (args.api,)
            role_latency.run(report, args.quick, apis)
        elif name == "idle":
            idle.run(report, args.quick)
        else:
            probes.run(report, args.quick)
    except (AssertionError, OSError) as error:
        report.missed(name, "the run", str(error))
    note(f"{name}: {time.monotonic() - start:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="see scripts/bench --help")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--api", choices=("stand-in", "real", "both"), default="both")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in NAMES]
    if unknown:
        parser.error(f"unknown name '{unknown[0]}'; one of: {' '.join(NAMES)}")
    signal.signal(signal.SIGTERM, interrupted)
    print(json.dumps(machine()), flush=True)
    report = Report()
    try:
        for name in args.names or NAMES:
            measure(report, name, args)
    except KeyboardInterrupt:
        note("stopped")
        return 130
    report.table()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
