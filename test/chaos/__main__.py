"""scripts/chaos: see its --help."""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from pathlib import Path
from typing import TextIO

from test.harness.topology import AGENT, SYSTEM, find_make

from .net import enter, is_inside, unavailable
from .rounds import ROUNDS, SELECTIONS
from .run import Run, Settings

UNAVAILABLE = 77  # exit code: this machine cannot run it


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, help="how many (default: 20, or the selection)")
    parser.add_argument("--seed", type=int, help="draws rounds and moments (default: random)")
    parser.add_argument("--minutes", type=float, help="begin no round after so many")
    parser.add_argument("--only", help=f"names, by commas, of: {', '.join(ROUNDS)}")
    parser.add_argument("--selection", choices=sorted(SELECTIONS), help="a short fixed list")
    parser.add_argument("--quick", action="store_true", help="shorter waits for the API server")
    parser.add_argument("--make", default="redis-7.0", help="redis-7.0, redis-8 or valkey-8")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--out", type=Path, help="also write what is printed into this file")
    parser.add_argument("--logs", type=Path, help="where the logs of failed rounds are kept")
    parser.add_argument("agent_args", nargs="*", metavar="-- OPTION", help="for the agents")
    return parser.parse_args()


def settings_of(args: argparse.Namespace) -> Settings:
    names = list(ROUNDS)
    if args.selection:
        names = SELECTIONS[args.selection]
    elif args.only:
        names = args.only.split(",")
    unknown = [name for name in names if name not in ROUNDS]
    if unknown:
        sys.exit(f"no round {', '.join(unknown)}; there are: {', '.join(ROUNDS)}")
    make, (name, _, major) = SYSTEM, args.make.partition("-")
    if args.make != "redis-7.0":
        found = find_make(name, int(major.partition(".")[0]))
        if found is None:
            sys.exit(f"no {args.make} in the cache: scripts/setup --full builds it")
        make = found
    agent = Path(os.environ.get("REDIS_POD_AGENT_BINARY", AGENT))
    if not agent.exists():
        sys.exit(f"{agent} is not built; scripts/build release builds it")
    return Settings(
        agent=agent.resolve(),
        seed=args.seed if args.seed is not None else random.randrange(1_000_000),
        rounds=args.rounds or (len(names) if args.selection else 20),
        names=names,
        in_order=bool(args.selection),
        minutes=args.minutes,
        writers=args.writers,
        quick=args.quick,
        make=make,
        logs=args.logs,
        agent_args=tuple(args.agent_args),
    )


def end(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    args = parse()
    if not is_inside():
        if reason := unavailable():
            print(f"scripts/chaos: cannot run here: {reason}", file=sys.stderr)
            sys.exit(UNAVAILABLE)
        enter(["-m", "test.chaos", *sys.argv[1:]])
    settings = settings_of(args)
    out: TextIO | None = args.out.open("a", encoding="utf-8") if args.out else None

    def tell(line: str) -> None:
        for stream in (sys.stdout, out):
            if stream is not None:
                print(line, file=stream, flush=True)

    # Everything is torn down; also where a shell let its background job ignore SIGINT.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    tell(f"chaos with seed {settings.seed}: {settings.make.name}, {settings.agent.name}")
    ok = Run(settings, tell).run()
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
