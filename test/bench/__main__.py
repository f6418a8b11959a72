"""See scripts/bench."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from types import FrameType

from test.chaos import net

from . import crash, handover, idle, partition, probes, restart, role_latency, stage
from .report import Report, machine, note

# Each in network namespaces of its own.
FAILOVERS = {
    "crash": crash.run,
    "handover": handover.run,
    "restart": restart.run,
    "partition": partition.run,
}
NAMES = ("role-latency", "idle", "probes", *FAILOVERS)


def interrupted(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def measure(report: Report, name: str, args: argparse.Namespace, members: net.Net | None) -> None:
    start = time.monotonic()
    try:
        if name in FAILOVERS:
            if members is None:
                report.skipped(name, "all", net.unavailable() or "not in a namespace")
                return
            FAILOVERS[name](report, members, args.quick, args.rounds)
            return
        if name == "role-latency":
            apis = ("stand-in", "real") if args.api == "both" else (args.api,)
            role_latency.run(report, args.quick, apis)
        elif name == "idle":
            idle.run(report, args.quick)
        else:
            probes.run(report, args.quick)
    except (AssertionError, OSError) as error:
        report.missed(name, "the run", str(error))
    finally:
        note(f"{name}: {time.monotonic() - start:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="see scripts/bench --help")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--api", choices=("stand-in", "real", "both"), default="both")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in NAMES]
    if unknown:
        parser.error(f"unknown name '{unknown[0]}'; one of: {' '.join(NAMES)}")
    wanted = args.names or NAMES
    if set(wanted) & set(FAILOVERS) and not net.is_inside() and net.unavailable() is None:
        net.enter(["-m", "test.bench", *sys.argv[1:]])
    members = net.Net(stage.MEMBERS) if net.is_inside() else None
    signal.signal(signal.SIGTERM, interrupted)
    print(json.dumps(machine()), flush=True)
    report = Report()
    try:
        for name in wanted:
            measure(report, name, args, members)
    except KeyboardInterrupt:
        note("stopped")
        return 130
    report.table()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
