"""A planned change of the master under load: what is lost, and for how long nobody writes."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, field

from test.chaos.net import Net
from test.harness.topology import Member

from .load import Ack, Load, longest_gap_of_a_client_s, longest_gap_s, sleep_until
from .report import Goal, Report, note
from .role_latency import FirstWrite
from .stage import GRACE_S, ROUND_TIMEOUT_S, BusyLoops, Rounds, Stage, at_most

BENCH = "handover"
CLIENTS, INTERVAL_US = 8, 1250
RATE_MIN = 5000
WARM_UP_S = 1.0
AFTER_S = 1.0
AFTER_BASELINE_S = 13.0  # the old master is a replica 11.3 s after SENTINEL FAILOVER
DRAIN_TIMEOUT_S = 40
BUSY_LOOPS = 4
COUNTS = {"ours": 105, "busy": 30, "baseline": 10}
COUNTS_QUICK = {"ours": 6, "busy": 2, "baseline": 1}
SENTINEL = "SENTINEL FAILOVER and Sentinel-aware clients"
PATCHER = "SENTINEL FAILOVER and a label patcher by +switch-master"


@dataclass
class Figures:
    lost: list[float] = field(default_factory=list)  # in each round
    accepted_ms: list[float] = field(default_factory=list)  # see _note_accepted()
    gap_ms: list[float] = field(default_factory=list)
    client_gap_ms: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)  # before the hand-over, a second
    acked: int = 0


def call_drain(member: Member) -> list[str]:
    """As preStop does: the lines of the answer, the verdict last."""
    connection = http.client.HTTPConnection(member.host, member.http_port, timeout=DRAIN_TIMEOUT_S)
    try:
        connection.request("POST", "/drain", headers={"Redis-Pod-Agent": "drain"})
        answer = connection.getresponse()
        lines = [line.decode(errors="replace").strip() for line in answer]
        assert answer.status == 200, f"/drain answers {answer.status}: {lines}"
        return lines
    finally:
        connection.close()


class Handover:
    """kind: "ours", "sentinel" or "patcher"."""

    def __init__(self, net: Net, kind: str) -> None:
        self.net, self.kind = net, kind
        self.figures = Figures()
        self._load: Load

    def make(self) -> Stage:
        stage = Stage(self.net, agents=self.kind == "ours", launch=self.kind == "ours")
        clients = stage.sentinel_clients if self.kind == "sentinel" else stage.label_clients
        self._load = clients("writers", CLIENTS, INTERVAL_US)
        return stage

    def play(self, stage: Stage, _: int) -> None:
        old = stage.rest()
        self._load.start()
        warm = time.monotonic()
        sleep_until(warm + WARM_UP_S)
        probes = [FirstWrite(m) for m in stage.cluster.pods if m is not old]
        try:
            began = time.monotonic()
            self._hand_over(stage, old)
            took = time.monotonic() - began
            _, new = stage.wait_named(began, old)
            probe = next(p for p in probes if p.member is new)
            accepted = stage.cluster.wait(
                lambda: probe.ended and probe.accepted(), ROUND_TIMEOUT_S, "a write is accepted"
            )
        finally:
            for probe in probes:
                probe.stop()
        sleep_until(began + (AFTER_S + took if self.kind == "ours" else AFTER_BASELINE_S))
        acks = self._load.stop()
        self._note(acks, warm, began, old, took)
        self._note_accepted(acks, began, old, accepted)
        keys = [a.key for a in acks]
        if self.kind == "ours":
            stage.replace_pod(old)
        assert stage.rest() is new, f"{new.pod} is not the master in the end"
        self.figures.lost.append(float(len(stage.missing(new, keys))))
        stage.forget_keys()

    def _hand_over(self, stage: Stage, old: Member) -> None:
        if self.kind != "ours":
            stage.force_failover()
            return
        stage.kube.delete_pod(old.pod, GRACE_S)  # its deletionTimestamp, as kubectl does
        lines = call_drain(old)
        assert lines and "handed over" in lines[-1], f"/drain: {lines}"

    def _note(self, acks: list[Ack], warm: float, began: float, old: Member, took: float) -> None:
        f = self.figures
        f.acked += len(acks)
        f.took_ms.append(took * 1000)
        f.rate.append(sum(warm < a.t <= began for a in acks) / (began - warm))
        f.gap_ms.append(longest_gap_s(acks, began) * 1000)
        f.client_gap_ms.append(longest_gap_of_a_client_s(acks, began) * 1000)

    def _note_accepted(self, acks: list[Ack], began: float, old: Member, accepted: float) -> None:
        """Ours: since writes are held, which begins 0.2 ms after the last write that the old
        master acknowledged, or sooner. The baselines, which hold none: since the call."""
        held = max((a.t for a in acks if a.host == old.host and a.t < accepted), default=began)
        since = held if self.kind == "ours" else began
        self.figures.accepted_ms.append((accepted - since) * 1000)


def measure(report: Report, net: Net, kind: str, what: str, count: int) -> Figures:
    handover = Handover(net, kind)
    rounds = Rounds(handover.make, handover.play, f"{BENCH}, {what}")
    rounds.run(count)
    for why in rounds.failures:
        report.missed(BENCH, f"a hand-over, {what}", why)
    return handover.figures


def run(report: Report, net: Net, quick: bool, rounds: int | None) -> None:
    counts = at_most(COUNTS_QUICK if quick else COUNTS, rounds)
    note(f"{BENCH}: {counts}")
    sentinel = measure(report, net, "sentinel", SENTINEL, counts["baseline"])
    patcher = measure(report, net, "patcher", PATCHER, counts["baseline"])
    ours = measure(report, net, "ours", "ours", counts["ours"])
    tell(report, ours, sentinel, patcher, f"{RATE_MIN} writes/s")
    busy = BusyLoops(BUSY_LOOPS)
    try:
        loaded = measure(report, net, "ours", f"{BUSY_LOOPS} busy loops", counts["busy"])
    finally:
        busy.stop()
    what = f"{BUSY_LOOPS} busy loops beside it"
    tell_lost(report, loaded, sentinel, what)
    report.add(BENCH, f"longest gap between two writes, {what}", "ms", loaded.gap_ms)


def tell(report: Report, ours: Figures, sentinel: Figures, patcher: Figures, what: str) -> None:
    tell_lost(report, ours, sentinel, what)
    tell_lost(report, ours, patcher, what, PATCHER)
    report.add(BENCH, "writes a second before the hand-over, missing to 5000", "1/s",
               [max(0.0, RATE_MIN - rate) for rate in ours.rate], Goal(p50=0),
               rate=round(sum(ours.rate) / max(1, len(ours.rate))))  # fmt: skip
    pause = f"writes are held to the first write accepted by the new master, {what}"
    called = ("SENTINEL FAILOVER, since its call", sentinel.accepted_ms)
    report.add(BENCH, pause, "ms", ours.accepted_ms, Goal(p50=5), called)
    gap = f"longest gap between two acknowledged writes, by the label, {what}"
    goal = Goal(p50=25, p99=80)
    report.add(BENCH, gap, "ms", ours.gap_ms, goal, (PATCHER, patcher.gap_ms))
    report.add(BENCH, f"{gap}, beside", "ms", ours.gap_ms, goal, (SENTINEL, sentinel.gap_ms))
    client = f"longest gap of any one client, {what}"
    report.add(BENCH, client, "ms", ours.client_gap_ms, None, (PATCHER, patcher.client_gap_ms))
    report.add(BENCH, "/drain until its verdict", "ms", ours.took_ms)


def tell_lost(
    report: Report, ours: Figures, base: Figures, what: str, name: str = SENTINEL
) -> None:
    of = {"acknowledged": ours.acked, "baseline_acknowledged": base.acked}
    of["lost_in_all"] = round(sum(ours.lost))
    of["baseline_lost_in_all"] = round(sum(base.lost))
    metric = f"acknowledged writes lost in a hand-over, {what}"
    report.add(BENCH, metric, "writes", ours.lost, Goal(max=0), (name, base.lost), **of)
