"""The demo: a hand-over, a crash and a restart, beside Sentinel alone. See scripts/demo."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from . import kube_fake
from .demo_sets import STEP_TIMEOUT_S, Drain, Seen, Side, force_failover, make_sides
from .kube_api import KubeApi, Unavailable
from .topology import Member, Topology

OURS, THEIRS = "with the agents", "Sentinel alone"
KEEP_POLL_S = 0.05
KEEP_RESTART_S = 3
BAR_WIDTH = 40
TTY = sys.stdout.isatty()
COLOUR = TTY and "NO_COLOR" not in os.environ


class Failed(Exception):
    """Something that the demo shows did not happen; the text says what."""


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if COLOUR else text


def green(text: str) -> str:
    return f"\033[32m{text}\033[0m" if COLOUR else text


def dim(text: str) -> str:
    return f"\033[2m{text}\033[0m" if COLOUR else text


def say(text: str = "") -> None:
    print(text, flush=True)


def wait(condition: Callable[[], object], what: str, timeout_s: float = STEP_TIMEOUT_S) -> None:
    try:
        Topology.wait(condition, timeout_s, what)
    except AssertionError as error:
        raise Failed(str(error)) from None


def step(text: str, action: Callable[[], object]) -> None:
    """Tells what is being done, does it, and tells how long it took."""
    print(f"  {text:<44}", end="", flush=True)
    t = time.monotonic()
    try:
        action()
    except BaseException as error:
        say(" failed" if isinstance(error, Exception) else "")
        if isinstance(error, AssertionError):
            raise Failed(str(error)) from None
        raise
    say(f"{time.monotonic() - t:5.1f} s")


def make_api(name: str) -> KubeApi:
    if name == "real":
        from . import kube_real  # needs PyYAML, which the stand-in does without

        return kube_real.KubeServer()
    return kube_fake.KubeServer()


def pods_table(top: Topology) -> None:
    """As `kubectl get pods -L role` shows it."""
    assert top.kube is not None
    say()
    say(bold(f"  {'NAME':<10} {'READY':<7} {'ROLE':<10} {'EPOCH':<7} REDIS"))
    for m in top.pods:
        metadata = (top.kube.get_pod(m.pod) or {}).get("metadata", {})
        role = metadata.get("labels", {}).get(top.kube.role_label) or "-"
        epoch = metadata.get("annotations", {}).get("redis-pod-agent/role-epoch") or "-"
        ready = "yes" if top.get(m, "/readyz")[0] == 200 else "no"
        alive = m.redis is not None and m.redis.alive
        shown = green(f"{role:<10}") if role == "master" else f"{role:<10}"
        at = f"{m.host}:{m.redis_port}" if alive else dim("dead")
        say(f"  {m.pod:<10} {ready:<7} {shown} {epoch:<7} {at}")
    say()


Row = tuple[str, float | None, float | None]


def table(head: str, rows: list[Row], unit: str = "ms") -> None:
    """What was seen, ours and theirs; None: it did not happen, or nobody looked."""

    def cell(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:.1f}" if unit == "ms" and value < 100 else f"{value:.0f}"

    if head:
        say(bold(f"  {head:<46} {OURS:>16} {THEIRS:>16}"))
    for text, ours, theirs in rows:
        say(f"  {text:<46} {cell(ours):>16} {cell(theirs):>16}")


def bars(head: str, ours: float, theirs: float) -> None:
    say()
    say(bold(f"  {head}"))
    for text, ms in ((OURS, ours), (THEIRS, theirs)):
        bar = "█" * max(1, round(BAR_WIDTH * ms / max(ours, theirs)))
        paint = green if ms == ours else dim
        say(f"  {text:<16} {paint(f'{bar:<{BAR_WIDTH}}')} {ms:6.0f} ms")
    say()


def show_handover(ours: Seen, theirs: Seen, lost: tuple[int, int]) -> None:
    head = "ms after /drain, or SENTINEL FAILOVER"
    rows: list[Row] = [
        (f"ROLE of {ours.new.pod}, {theirs.new.pod} turns to master", ours.role_ms, theirs.role_ms),
        ("all Sentinels name it", ours.named_ms, theirs.named_ms),
        ("label acknowledged", ours.label_ms, theirs.label_ms),
        ("first write by the label", ours.write_ms, theirs.write_ms),
        ("longest gap between two writes", ours.gap_ms, theirs.gap_ms),
    ]
    table(head, rows)
    table("", [("acknowledged writes that are lost", *lost)], "writes")
    say()


def show_crash(ours: Seen, theirs: Seen) -> None:
    rows: list[Row] = [
        ("killed", 0.0, 0.0),
        ("a Sentinel misses it (+sdown)", ours.sdown_ms, theirs.sdown_ms),
        (f"ROLE of {ours.new.pod}, {theirs.new.pod} turns to master", ours.role_ms, theirs.role_ms),
        ("all Sentinels name it", ours.named_ms, theirs.named_ms),
        ("label acknowledged", ours.label_ms, theirs.label_ms),
        ("first write by the label", ours.write_ms, theirs.write_ms),
    ]
    table(f"ms after kill -9 of {ours.old.pod}, {theirs.old.pod}", rows)
    bars("for clients, no master to write to", ours.write_ms, theirs.write_ms)


@dataclass
class Return:
    """An old master that starts again, and clients that never left its address."""

    replica_ms: float
    taken: int  # writes by it
    thrown_away: int  # of these


class Acts:
    """What is shown, first with the agents, then with Sentinel alone."""

    def __init__(self, ours: Side, theirs: Side) -> None:
        self.ours = ours
        self.theirs = theirs
        self.drain: list[str] = []
        self.lost = {"hand-over": (0, 0), "crash": (0, 0)}

    def hand_over(self) -> tuple[Seen, Seen]:
        def drain(old: Member) -> None:
            call = Drain(old)
            call.start()
            self.drain = call.lines

        ours = self._change(self.ours, drain)
        theirs = self._change(self.theirs, lambda _: force_failover(self.theirs.top))
        wait(
            lambda: self.theirs.top.role(theirs.old) == "slave",
            f"{theirs.old.pod} becomes a replica",
        )
        self._count("hand-over", ours, theirs)
        return ours, theirs

    def crash(self) -> tuple[Seen, Seen]:
        for side in (self.ours, self.theirs):
            side.stray_at = side.top.master().pod  # they never leave its address
        ours = self._change(self.ours, self.ours.top.kill_redis)
        theirs = self._change(self.theirs, self.theirs.top.kill_redis)
        self._count("crash", ours, theirs)
        return ours, theirs

    def come_back(self, seen: Seen) -> Return:
        side, old = seen.side, seen.old
        wait(side.top.agreed, "the Sentinels agree on a master")
        began = time.monotonic()
        side.top.start_redis(old, None)
        wait(lambda: side.top.role(old) == "slave", f"{old.pod} becomes a replica")
        replica_ms = (time.monotonic() - began) * 1000
        side.stray_at = None
        wait(lambda: side.top._synced(old), f"{old.pod} is in sync")
        taken = [a for a in list(side.stray.ledger) if a.t > began]
        return Return(replica_ms, len(taken), side.missing(side.stray, taken))

    @staticmethod
    def _change(side: Side, begin: Callable[[Member], None]) -> Seen:
        try:
            seen = Seen(side, side.top.master(), begin)
            seen.wait()
        except AssertionError as error:
            raise Failed(str(error)) from None
        return seen

    def _count(self, what: str, ours: Seen, theirs: Seen) -> None:
        counts = []
        for seen in (ours, theirs):
            acks = [a for a in list(seen.side.writer.ledger) if a.t > seen.began - 1]
            counts.append(seen.side.missing(seen.side.writer, acks))
        self.lost[what] = (counts[0], counts[1])


def show_commands(top: Topology) -> None:
    master, other = top.master(), top.pods[1]
    s, cli = top.sentinels[0], top.options.make.cli
    say(bold("Everything keeps running, and what dies is started again; Ctrl-C ends it."))
    say("In another terminal:")
    if master.redis is not None:
        say(f"  kill -9 {master.redis.pid}                     # the redis-server of {master.pod}")
    say(f"  {cli} -h {s.host} -p {s.sentinel_port} sentinel failover mymaster")
    say(f"  {cli} -h {master.host} -p {master.redis_port} info replication")
    say(f"  curl -s {top.url(other, '/status')}")
    say(f"  curl -s '{top.url(other, '/readyz?verbose')}'")
    say(f"  tail -f {top.folder}/redis-*/agent.log")
    say()


class Keeper:
    """What kubelet would do, and a line whenever a label changes."""

    def __init__(self, top: Topology) -> None:
        self.top = top
        self.seen = dict(top.labels())
        self.died: dict[tuple[str, str], float] = {}

    @staticmethod
    def _say(text: str) -> None:
        say(f"  {time.strftime('%H:%M:%S')}  {text}")

    def run(self) -> None:
        while True:
            now = dict(self.top.labels())
            if now != self.seen:
                self._say("   ".join(f"{pod} {role or '-'}" for pod, role in now.items()))
                self.seen = now
            for m in self.top.pods:
                self._revive(m, "redis", lambda m=m: self.top.start_redis(m, None))
                self._revive(m, "sentinel", lambda m=m: self.top.start_sentinel(m))
                self._revive(m, "agent", lambda m=m: self.top.start_agent(m))
            time.sleep(KEEP_POLL_S)

    def _revive(self, member: Member, part: str, start: Callable[[], None]) -> None:
        process = getattr(member, part)
        key = (member.pod, part)
        if process is None or process.alive:
            return
        if key not in self.died:
            self.died[key] = time.monotonic()
            self._say(f"{part} of {member.pod} has died; started again in {KEEP_RESTART_S} s")
        elif time.monotonic() - self.died[key] >= KEEP_RESTART_S:
            del self.died[key]
            start()


def play(ours: Side, theirs: Side, stack: contextlib.ExitStack) -> None:
    step("Redis, Sentinels and agents start", ours.top.start)
    step("the same without agents, for comparison", theirs.top.start)
    pods_table(ours.top)
    for side in (ours, theirs):
        stack.callback(side.stop)
        side.start()
    acts = Acts(ours, theirs)
    say(f"Writers find the master by the label alone. {bold('A planned hand-over')}:")
    say()
    handed = acts.hand_over()
    say(f"  {dim(acts.drain[-1] if acts.drain else 'no verdict')}")
    show_handover(*handed, acts.lost["hand-over"])
    say(f"{bold('kill -9 of the master')}:")
    say()
    crashed = acts.crash()
    show_crash(*crashed)
    say(f"{bold('The old master comes back')}, and some clients never left its address:")
    say()
    back, their_back = (acts.come_back(seen) for seen in crashed)
    show_return(back, their_back)
    for side in (ours, theirs):
        side.stop()
    wait(ours.top.settled, "labels, ROLE and Sentinels agree")
    pods_table(ours.top)
    summary(acts, crashed, back, their_back)
    if crashed[0].write_ms >= crashed[1].write_ms:
        raise Failed("the agents were not faster than Sentinel alone")
    if acts.lost["hand-over"][0] > 0:
        raise Failed("acknowledged writes are lost in a planned hand-over")


def show_return(ours: Return, theirs: Return) -> None:
    table("ms after its start", [("it is a replica", ours.replica_ms, theirs.replica_ms)])
    rows: list[Row] = [
        ("writes it took before", ours.taken, theirs.taken),
        ("of these thrown away", ours.thrown_away, theirs.thrown_away),
    ]
    table("", rows, "writes")


def summary(acts: Acts, crashed: tuple[Seen, Seen], ours: Return, theirs: Return) -> None:
    a, b = crashed
    say(bold("Summary"))
    for what, text in (
        ("crash", f"clients wrote again after {a.write_ms:.0f} ms instead of {b.write_ms:.0f} ms"),
        (
            "hand-over",
            "{} acknowledged writes lost, with Sentinel alone {}".format(*acts.lost["hand-over"]),
        ),
        ("restart", f"{ours.thrown_away} writes thrown away, with Sentinel alone "
         f"{theirs.thrown_away}"),
        (
            "ledger",
            f"{len(acts.ours.writer.ledger)} writes acknowledged, lost in the crash: "
            f"{acts.lost['crash'][0]}",
        ),
    ):  # fmt: skip
        say(f"  {what:<10} {text}")
    say()
    say(green(f"{a.new.pod} is the master, {a.old.pod} its replica, and all labels are true."))


def run(args: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    kube = make_api(args.api)
    stack.callback(kube.stop)
    real = args.api == "real"
    step("etcd and kube-apiserver start" if real else "the stand-in API server starts", kube.start)
    ours, theirs = make_sides(kube)
    for side in (theirs, ours):
        stack.callback(side.top.stop)
    try:
        play(ours, theirs, stack)
    except Failed as error:
        ours.top.keep_folder = theirs.top.keep_folder = True
        folders = f"{ours.top.folder} and {theirs.top.folder}"
        raise Failed(f"{error}\nThe logs are in {folders}") from None
    if args.keep:
        theirs.top.stop()
        say()
        show_commands(ours.top)
        Keeper(ours.top).run()


def interrupted(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    parser.add_argument("--api", choices=("stand-in", "real"), default="stand-in")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    # A shell that starts this in the background ignores SIGINT for it.
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr] - the bars
    try:
        with contextlib.ExitStack() as stack:
            try:
                run(args, stack)
            finally:
                # A second Ctrl-C must not interrupt the clearing away.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        say("\nstopped")
        return 0 if args.keep else 130
    except (Failed, Unavailable, OSError, AssertionError) as error:
        say(f"\nfailed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
