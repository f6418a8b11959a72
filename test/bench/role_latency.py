"""From the first write that a new master accepts to its label, as stored by the API server.

Every round is a failover that a majority of real Sentinels elects after kill -9 of the master.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from test.harness import kube_fake
from test.harness.follow import SwitchMasterLabeller
from test.harness.kube_api import KubeApi, Unavailable
from test.harness.resp import flat
from test.harness.topology import MASTER, ROOT, Member, Options, Topology

from .report import Goal, Report, note

BENCH = "role-latency"
FIRST_WRITE = ROOT / "build" / "release" / "bench" / "first_write"
BASELINE = "subscriber of +switch-master"
# Much less, and a busy machine makes Sentinels take living ones for dead.
DOWN_AFTER_MS = 500
FAILOVER_TIMEOUT_MS = 1500
ROUND_TIMEOUT_S = 45
ROUNDS, ROUNDS_QUICK, ROUNDS_QUICK_REAL = 105, 8, 3
QUICK_END_S = {"stand-in": 36, "real": 52}  # since the beginning: no round is begun after this
GOALS = {"stand-in": Goal(p50=10, p99=30), "real": Goal(p99=60)}


class FirstWrite:
    """The prober of one replica, a process of its own: no Python thread delays it."""

    def __init__(self, member: Member) -> None:
        self.member = member
        argv = [FIRST_WRITE, member.host, str(member.redis_port), str(ROUND_TIMEOUT_S * 1000)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == "ready", f"the prober of {member.pod} says {line!r}"

    def accepted(self) -> float | None:
        """Once it has ended: when its write was accepted."""
        assert self.process.stdout is not None
        words = self.process.stdout.read().split()
        return int(words[1]) / 1e9 if words[:1] == ["accepted"] else None

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


class Rounds:
    """One topology, one failover after the other."""

    def __init__(self, top: Topology) -> None:
        assert top.kube is not None
        self.top = top
        self.kube = top.kube
        self.baseline = SwitchMasterLabeller(top)
        self.ours_ms: list[float] = []
        self.theirs_ms: list[float] = []
        self.kill_to_write_ms: list[float] = []

    def run(self, count: int, end_s: float | None) -> None:
        self.baseline.start(self.top.master())
        try:
            while len(self.ours_ms) < count and (end_s is None or time.monotonic() < end_s):
                self._round()
                if len(self.ours_ms) % 20 == 0:
                    note(f"{len(self.ours_ms)} of {count} failovers")
        finally:
            self.baseline.stop()

    def _round(self) -> None:
        top = self.top
        old = top.wait(self._ready, ROUND_TIMEOUT_S, "all agree, and the replicas can be chosen")
        probes: list[FirstWrite] = []
        try:
            probes = [FirstWrite(m) for m in top.pods if m is not old]
            killed = time.monotonic()
            top.kill_redis(old)
            done = top.wait(
                lambda: next((p for p in probes if p.ended), None),
                ROUND_TIMEOUT_S,
                "a write is accepted",
            )
        finally:
            for probe in probes:
                if not probe.ended:
                    probe.stop()
        write = done.accepted()
        assert write is not None, f"no write was accepted by {done.member.pod}"
        self._note(done.member, killed, write)
        top.wait(lambda: top.agreed() is done.member, ROUND_TIMEOUT_S, "the Sentinels agree")
        top.start_redis(old, done.member)

    def _note(self, new: Member, killed: float, write: float) -> None:
        label = self.top.wait(
            lambda: self._labelled(new, killed), ROUND_TIMEOUT_S, "the label is acknowledged"
        )
        switch = self.top.wait(
            lambda: next(
                (t for t, p in self.baseline.acknowledged if p == new.pod and t > killed), 0
            ),
            ROUND_TIMEOUT_S,
            "the baseline's label is acknowledged",
        )
        self.ours_ms.append((label - write) * 1000)
        self.theirs_ms.append((switch - write) * 1000)
        self.kill_to_write_ms.append((write - killed) * 1000)

    def _labelled(self, new: Member, killed: float) -> float | None:
        for change in list(self.kube.label_history):
            if change.pod == new.pod and change.label == "master" and change.t > killed:
                return change.t
        return None

    def logged_ms(self) -> list[float]:
        """What the agents say themselves, of each promotion whose line their log's rate limit let
        pass."""
        lines = [line for member in self.top.pods for line in self.top.logged(member)]
        told = [x for x in lines if x.get("msg") == "label acknowledged"]
        return [float(x["ms"]) for x in told if x["label"] == "master" and "ms" in x]

    def _ready(self) -> Member | None:
        """The master, once every Sentinel takes both replicas for fit to be chosen."""
        if not self.top.settled():
            return None
        for s in self.top.sentinels:
            known = [flat(r) for r in self.top.ask_sentinel(s, "REPLICAS", MASTER) or []]
            if [r["flags"] for r in known] != ["slave"] * (len(self.top.pods) - 1):
                return None
        return self.top.agreed()


def measure(report: Report, api: str, kube: KubeApi, count: int, end_s: float | None) -> None:
    options = Options(down_after_ms=DOWN_AFTER_MS, failover_timeout_ms=FAILOVER_TIMEOUT_MS)
    with kube, Topology(kube, options) as top:
        top.start()
        rounds = Rounds(top)
        try:
            rounds.run(count, end_s)
        except AssertionError as error:
            # What was measured until then is told all the same.
            report.missed(
                BENCH, f"failover {len(rounds.ours_ms) + 1} of {count}, {api}", str(error)
            )
        logged_ms = rounds.logged_ms()
    baseline = (BASELINE, rounds.theirs_ms)
    metric = "first write to label stored"
    report.add(BENCH, f"{metric}, {api}", "ms", rounds.ours_ms, GOALS[api], baseline)
    told = f"role proven to label acknowledged (agent's log), {api}"
    report.add(BENCH, told, "ms", logged_ms)
    report.add(BENCH, f"kill -9 to first write (Sentinel), {api}", "ms", rounds.kill_to_write_ms)


def real_server() -> KubeApi:
    from test.harness import control_plane, kube_real  # needs PyYAML

    control_plane.find_etcd()
    control_plane.find_apiserver()
    return kube_real.KubeServer()


def run(report: Report, quick: bool, apis: tuple[str, ...]) -> None:
    start_s = time.monotonic()
    servers: dict[str, Callable[[], KubeApi]] = {
        "stand-in": kube_fake.KubeServer,
        "real": real_server,
    }
    for api in apis:
        count = ROUNDS
        if quick:
            count = ROUNDS_QUICK if api == "stand-in" else ROUNDS_QUICK_REAL
        end_s = start_s + QUICK_END_S[api] if quick else None
        note(f"{BENCH}: up to {count} failovers, API server: {api}")
        try:
            measure(report, api, servers[api](), count, end_s)
        except (Unavailable, ImportError) as error:
            report.skipped(BENCH, f"first write to label stored, {api}", str(error))
