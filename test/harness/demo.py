"""The demo: a real failover, and the label that follows it. See scripts/demo."""

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
from .follow import RoleProbe, SwitchMasterLabeller, Writer, labelled_master
from .kube_api import KubeApi, Unavailable
from .topology import Member, Options, Topology

DOWN_AFTER_MS = 1000
FAILOVER_TIMEOUT_MS = 6000
STEP_TIMEOUT_S = 20
DEMOTED_TIMEOUT_S = 5
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


@dataclass
class Timeline:
    """When what was seen; milliseconds after the kill."""

    old: str
    new: str
    sdown: float
    elected: float
    role: float
    switch: float
    label: float
    baseline_label: float
    write: float
    baseline_write: float

    def show(self) -> None:
        rows = [
            ("killed", 0.0, 0.0),
            ("a Sentinel misses it (+sdown)", self.sdown, self.sdown),
            ("a Sentinel is elected (+elected-leader)", self.elected, self.elected),
            (f"ROLE of {self.new} turns to master", self.role, self.role),
            ("first +switch-master", None, self.switch),
            ("label acknowledged", self.label, self.baseline_label),
            ("first write by the label", self.write, self.baseline_write),
        ]
        head = f"ms after kill -9 of {self.old}"
        say(bold(f"  {head:<40} {'with the agents':>17} {'by +switch-master':>19}"))
        for text, ours, theirs in rows:
            a = "" if ours is None else f"{ours:.1f}"
            say(f"  {text:<40} {a:>17} {theirs:>19.1f}")
        say()
        say(bold("  for clients, no master to write to"))
        longest = max(self.write, self.baseline_write)
        for text, ms in (
            ("with the agents", self.write),
            ("by +switch-master", self.baseline_write),
        ):
            bar = "█" * max(1, round(BAR_WIDTH * ms / longest))
            paint = green if ms == self.write else dim
            say(f"  {text:<18} {paint(f'{bar:<{BAR_WIDTH}}')} {ms:5.0f} ms")


class Failover:
    """Kills the master and collects when what was seen, with and without the agents."""

    def __init__(self, top: Topology) -> None:
        assert top.kube is not None
        self.top = top
        self.kube = top.kube
        self.baseline = SwitchMasterLabeller(top)
        self.writer = Writer(top, lambda: labelled_master(self.kube.label_history), "by-label")
        self.follower = Writer(top, lambda: self.baseline.master, "by-switch-master")

    def start(self, master: Member) -> None:
        self.baseline.start(master)
        self.writer.start()
        self.follower.start()
        wait(lambda: self.writer.ledger and self.follower.ledger, "the writers write")

    def run(self, old: Member) -> tuple[Member, Timeline]:
        probes = [RoleProbe(self.top, m) for m in self.top.pods if m is not old]
        for probe in probes:
            probe.start()
        killed = time.monotonic()
        self.top.kill_redis(old)
        try:
            wait(lambda: self.writer.first_after(killed, old.pod), "a write by the label")
            wait(
                lambda: self.follower.first_after(killed, old.pod),
                "a write by the +switch-master subscriber",
            )
        finally:
            for probe in probes:
                probe.stop()
        flipped = [p for p in probes if p.flipped is not None]
        if len(flipped) != 1:
            raise Failed(f"{len(flipped)} replicas became masters, not one")
        return flipped[0].member, self._timeline(killed, old, flipped[0])

    def _timeline(self, killed: float, old: Member, probe: RoleProbe) -> Timeline:
        new = probe.member.pod

        def ms(what: str, t: float | None) -> float:
            if t is None:
                raise Failed(f"not seen: {what}")
            return (t - killed) * 1000

        labels = (c.t for c in self.kube.label_history if (c.pod, c.label) == (new, "master"))
        patches = (t for t, pod in self.baseline.acknowledged if pod == new)
        return Timeline(
            old=old.pod,
            new=new,
            sdown=ms("+sdown", self.baseline.first("+sdown", killed)),
            elected=ms("+elected-leader", self.baseline.first("+elected-leader", killed)),
            role=ms("the new ROLE", probe.flipped),
            switch=ms("+switch-master", self.baseline.first("+switch-master", killed)),
            label=ms("the label", next((t for t in labels if t > killed), None)),
            baseline_label=ms("the baseline's label", next((t for t in patches), None)),
            write=ms("a write by the label", self.writer.first_after(killed, old.pod)),
            baseline_write=ms(
                "a write by the baseline", self.follower.first_after(killed, old.pod)
            ),
        )

    def stop(self) -> None:
        """Idempotent."""
        for part in (self.writer, self.follower):
            if part.is_alive():
                part.stop()
        self.baseline.stop()

    def missing(self, master: Member) -> int:
        """How many acknowledged writes this Redis does not have."""
        have = set(self.top.ask(master, "LRANGE", self.writer.key, "0", "-1") or [])
        return sum(str(ack.number) not in have for ack in self.writer.ledger)


def restart_old(top: Topology, old: Member) -> tuple[float, float]:
    """(seconds to the label demoted, seconds to replica), from the start of the process."""
    t = time.monotonic()
    say(f"{bold(f'{old.pod} comes back')}, and its ROLE says master until a Sentinel corrects it.")
    say()
    top.start_redis(old, None)
    wait(lambda: top.labels()[old.pod] == "demoted", f"{old.pod} demoted", DEMOTED_TIMEOUT_S)
    demoted = time.monotonic() - t
    say(f"  {'labelled demoted: no Service points at it':<44} {demoted * 1000:6.0f} ms")
    say(f"  {dim('Sentinel takes about ten seconds to make it a replica …')}")
    wait(lambda: top.labels()[old.pod] == "replica", f"{old.pod} becomes a replica")
    replica = time.monotonic() - t
    say(f"  {'labelled replica':<44} {replica * 1000:6.0f} ms")
    return demoted, replica


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


def play(top: Topology, stack: contextlib.ExitStack) -> None:
    step("Redis, Sentinels and agents start", top.start)
    pods_table(top)
    old = top.master()
    failover = Failover(top)
    stack.callback(failover.stop)
    failover.start(old)
    say(f"A writer finds the master by the label alone. {bold(f'kill -9 of {old.pod}')}:")
    say()
    new, times = failover.run(old)
    times.show()
    pods_table(top)
    demoted, replica = restart_old(top, old)
    failover.stop()
    wait(top.settled, "labels, ROLE and Sentinels agree")
    pods_table(top)
    summary(failover, new, times, demoted, replica)
    if times.write >= times.baseline_write:
        raise Failed("the agents were not faster than +switch-master")


def summary(
    failover: Failover, new: Member, times: Timeline, demoted: float, replica: float
) -> None:
    writes, missing = len(failover.writer.ledger), failover.missing(new)
    sooner = times.baseline_write - times.write
    say(bold("Summary"))
    for what, text in (
        ("the label", f"followed ROLE by {times.label - times.role:.1f} ms"),
        ("clients", f"wrote {sooner:.0f} ms sooner than by +switch-master"),
        ("writes", f"{writes} acknowledged, {missing} of them missing on {new.pod}"),
        (times.old, f"demoted {demoted * 1000:.0f} ms after its return, a replica {replica:.1f} s"),
    ):
        say(f"  {what:<10} {text}")
    say()
    say(green(f"{new.pod} is the master, {times.old} its replica, and all labels are true."))


def run(args: argparse.Namespace, stack: contextlib.ExitStack) -> None:
    kube = make_api(args.api)
    stack.callback(kube.stop)
    real = args.api == "real"
    step("etcd and kube-apiserver start" if real else "the stand-in API server starts", kube.start)
    options = Options(down_after_ms=DOWN_AFTER_MS, failover_timeout_ms=FAILOVER_TIMEOUT_MS)
    top = Topology(kube, options)
    stack.callback(top.stop)
    try:
        play(top, stack)
    except Failed as error:
        top.keep_folder = True
        raise Failed(f"{error}\nThe logs are in {top.folder}") from None
    if args.keep:
        say()
        show_commands(top)
        Keeper(top).run()


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
