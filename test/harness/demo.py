"""The demo: a real failover, and the label that follows it. See scripts/demo."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from . import kube_fake
from .follow import RoleProbe, SwitchMasterLabeller, Writer, labelled_master
from .kube_api import KubeApi, Unavailable
from .topology import Member, Options, Topology

DOWN_AFTER_MS = 1000
FAILOVER_TIMEOUT_MS = 6000
STEP_TIMEOUT_S = 20
COLOUR = sys.stdout.isatty()


class Failed(Exception):
    """Something that the demo shows did not happen; the text says what."""


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if COLOUR else text


def green(text: str) -> str:
    return f"\033[32m{text}\033[0m" if COLOUR else text


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
    except AssertionError as error:
        say("failed")
        raise Failed(str(error)) from None
    say(f"{time.monotonic() - t:5.1f} s")


def start_api(name: str) -> KubeApi:
    if name == "real":
        from . import kube_real  # needs PyYAML, which the stand-in does without

        return kube_real.KubeServer().start()
    return kube_fake.KubeServer().start()


def table(top: Topology) -> None:
    """As `kubectl get pods -L role` shows it."""
    say()
    say(bold(f"  {'NAME':<10} {'READY':<7} {'ROLE':<10} {'EPOCH':<7} REDIS"))
    labels = top.labels()
    assert top.kube is not None
    for m in top.pods:
        pod = top.kube.get_pod(m.pod) or {}
        epoch = pod.get("metadata", {}).get("annotations", {}).get("redis-pod-agent/role-epoch")
        ready = "yes" if top.get(m, "/readyz")[0] == 200 else "no"
        role = labels[m.pod] or "-"
        state = f"{m.host}:{m.redis_port}" if m.redis and m.redis.alive else "dead"
        shown = green(f"{role:<10}") if role == "master" else f"{role:<10}"
        say(f"  {m.pod:<10} {ready:<7} {shown} {epoch or '-':<7} {state}")
    say()


class Failover:
    """Kills the master and collects when what was seen, with and without the agents."""

    def __init__(self, top: Topology) -> None:
        assert top.kube is not None
        self.top = top
        self.kube = top.kube
        self.baseline = SwitchMasterLabeller(top)
        self.writer = Writer(top, lambda: labelled_master(self.kube.label_history), "by-label")
        self.follower = Writer(top, lambda: self.baseline.master, "by-switch-master")

    def run(self, old: Member) -> Member:
        self.baseline.start(old)
        self.writer.start()
        self.follower.start()
        wait(lambda: self.writer.ledger and self.follower.ledger, "the writers write")
        probes = [RoleProbe(self.top, m) for m in self.top.pods if m is not old]
        for probe in probes:
            probe.start()
        killed = time.monotonic()
        self.top.kill_redis(old)
        try:
            wait(lambda: self._first_write(killed, old), "a write by the label")
            wait(
                lambda: self.follower.first_after(killed, old.pod),
                "a write by the +switch-master subscriber",
            )
        finally:
            for probe in probes:
                probe.stop()
        new = next(p.member for p in probes if p.flipped is not None)
        self._report(killed, old, new, next(p.flipped for p in probes if p.member is new))
        return new

    def _first_write(self, killed: float, old: Member) -> float | None:
        return self.writer.first_after(killed, old.pod)

    def _label_time(self, killed: float, new: Member) -> float | None:
        for change in self.kube.label_history:
            if change.pod == new.pod and change.label == "master" and change.t > killed:
                return change.t
        return None

    def _report(self, killed: float, old: Member, new: Member, flipped: float | None) -> None:
        label = self._label_time(killed, new)
        by_switch = next((t for t, pod in self.baseline.acknowledged if pod == new.pod), None)
        first = self._first_write(killed, old)
        first_by_switch = self.follower.first_after(killed, old.pod)
        rows: list[tuple[str, float | None, float | None]] = [
            ("a Sentinel misses it (+sdown)", self.baseline.first("+sdown", killed), None),
            ("a Sentinel is elected to act", self.baseline.first("+elected-leader", killed), None),
            (f"ROLE of {new.pod} turns to master", flipped, None),
            ("first +switch-master", None, self.baseline.first("+switch-master", killed)),
            ("label acknowledged", label, by_switch),
            ("first write by the label", first, first_by_switch),
        ]
        say(bold(f"  {'ms after kill -9':<36} {'with the agent':>16} {'by +switch-master':>19}"))
        for text, ours, theirs in rows:
            a = f"{(ours - killed) * 1000:.1f}" if ours else ""
            b = f"{(theirs - killed) * 1000:.1f}" if theirs else ""
            say(f"  {text:<36} {a:>16} {b:>19}")
        if flipped is None or label is None or first is None or first_by_switch is None:
            raise Failed("the timeline has a hole")
        say()
        followed, sooner = (label - flipped) * 1000, (first_by_switch - first) * 1000
        say(f"  The label followed {followed:.1f} ms after the new master was there;")
        say(f"  clients wrote {sooner:.0f} ms sooner than by +switch-master.")
        if first >= first_by_switch:
            raise Failed("the agents were not faster than +switch-master")

    def stop(self) -> None:
        for part in (self.writer, self.follower):
            if part.is_alive():
                part.stop()
        self.baseline.stop()


def restart_old(top: Topology, old: Member) -> None:
    assert top.kube is not None
    t = time.monotonic()
    say(f"  {old.pod} is restarted. Its ROLE says master until a Sentinel tells it otherwise;")
    top.start_redis(old, None)
    wait(lambda: top.labels()[old.pod] == "demoted", f"{old.pod} is labelled demoted", 5)
    took = (time.monotonic() - t) * 1000
    say(f"  its label says {bold('demoted')} after {took:.0f} ms, so no Service points at it.")
    wait(lambda: top.labels()[old.pod] == "replica", f"{old.pod} becomes a replica")
    say(f"  It is a {bold('replica')} after {time.monotonic() - t:.1f} s.")


def keep(top: Topology) -> None:
    assert top.kube is not None
    master, others = top.master(), top.pods
    say(bold("Everything keeps running; Ctrl-C ends it. In another terminal:"))
    say(f"  curl -s {top.url(others[0], '/status')}")
    say(f"  curl -s '{top.url(others[1], '/readyz?verbose')}'")
    say(f"  redis-cli -h {master.host} -p {master.redis_port} info replication")
    s = top.sentinels[0]
    say(f"  redis-cli -h {s.host} -p {s.sentinel_port} sentinel failover mymaster")
    if master.redis is not None:
        say(f"  kill -9 {master.redis.pid}          # {master.pod}, the master")
    say(f"  tail -f {top.folder}/redis-*/agent.log")
    seen = dict(top.labels())
    while True:
        time.sleep(0.05)
        now = top.labels()
        if now != seen:
            say(f"  {time.strftime('%H:%M:%S')}  " + "  ".join(f"{k}={v}" for k, v in now.items()))
            seen = dict(now)


def play(args: argparse.Namespace) -> None:
    options = Options(down_after_ms=DOWN_AFTER_MS, failover_timeout_ms=FAILOVER_TIMEOUT_MS)
    kube = start_api(args.api)
    top = Topology(kube, options)
    failover: Failover | None = None
    try:
        api = "kube-apiserver" if args.api == "real" else "a stand-in for the API server"
        say(bold(f"3 Redis, 3 Sentinels, 3 agents on loopback, and {api}"))
        step("starting Redis, Sentinels and agents", top.start)
        table(top)
        old = top.master()
        failover = Failover(top)
        say(f"A writer finds the master by the label alone. Now: {bold('kill -9')} of {old.pod}.")
        say()
        new = failover.run(old)
        table(top)
        restart_old(top, old)
        failover.stop()
        failover = None
        wait(top.settled, "labels, ROLE and Sentinels agree")
        table(top)
        say(green(f"Done: {new.pod} is master, {old.pod} its replica, and all labels are true."))
        if args.keep:
            keep(top)
    except Failed as error:
        top.keep_folder = True
        raise Failed(f"{error}; logs are in {top.folder}") from None
    finally:
        if failover is not None:
            failover.stop()
        top.stop()
        kube.stop()


def interrupted(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    parser.add_argument("--api", choices=("stand-in", "real"), default="stand-in")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    try:
        play(args)
    except KeyboardInterrupt:
        say("\nstopped")
        return 0 if args.keep else 130
    except (Failed, Unavailable) as error:
        say(f"\nfailed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
