"""kill -9 of the master, of its whole Pod, or SIGSTOP: until it is named, labelled, written to."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field

from test.chaos.net import Net
from test.harness.follow import SentinelListener
from test.harness.topology import Member
from test.harness.wait import wait_for

from .load import Ack, Load, sleep_until
from .report import Goal, Report, note
from .stage import MEMBERS, ROUND_TIMEOUT_S, Rounds, Stage, at_most

BENCH = "crash"
CLIENTS, INTERVAL_US = 4, 2000
WARM_UP_S = 0.5
AFTER_S = 0.3  # of writes to the new master
CANDIDACY_S = 0.04  # within which the candidate's agent is killed
STANDS = "stands for election"  # in its log
POLL_S = 0.0002
AGENT_BACK_S = 1.0
COUNTS = {"ours": 105, "killed": 60, "baseline": 20, "frozen": 20, "frozen baseline": 10}
COUNTS_QUICK = {"ours": 6, "killed": 4, "baseline": 2, "frozen": 2, "frozen baseline": 1}
SENTINEL, PATCHER = "Sentinel and a Sentinel-aware client", "a label patcher by +switch-master"
FORCED_GOAL_MS, FROZEN_GOAL_MS = 500, 400


@dataclass
class Figures:
    """In ms after the fault, one for each round."""

    named: list[float] = field(default_factory=list)  # by all Sentinels
    write: list[float] = field(default_factory=list)  # by a client that follows the label
    aware: list[float] = field(default_factory=list)  # by one that listens to Sentinel
    label_after_naming: list[float] = field(default_factory=list)
    acked: int = 0
    lost: int = 0
    lost_late: int = 0


class Crash:
    """Rounds of kill -9 of the master; where `killed`, of its agent as well."""

    def __init__(self, net: Net, agents: bool, launch: bool = False, killed: bool = False) -> None:
        self.net, self.agents, self.launch, self.killed = net, agents, launch, killed
        self.figures = Figures()
        self._random = random.Random(f"{agents}{launch}{killed}")
        self._label: Load
        self._aware: Load | None = None

    def make(self) -> Stage:
        stage = Stage(self.net, self.agents, self.launch)
        self._label = stage.label_clients("label", CLIENTS, INTERVAL_US)
        self._aware = None
        if not self.agents:
            self._aware = stage.sentinel_clients("aware", CLIENTS, INTERVAL_US)
        return stage

    def play(self, stage: Stage, _: int) -> None:
        old = stage.rest()
        loads = [load for load in (self._label, self._aware) if load is not None]
        for load in loads:
            load.start()
        sleep_until(time.monotonic() + WARM_UP_S)
        stood = times_stood(old)
        began = time.monotonic()
        stage.cluster.kill_redis(old)
        if self.killed:
            self._kill_candidate(stage, old, stood)
        named, new = stage.wait_named(began, old)
        majority, _ = stage.wait_named(began, old, MEMBERS // 2 + 1)
        label = stage.wait_label(began, old)
        if self.killed:
            sleep_until(began + AGENT_BACK_S)
            stage.cluster.start_agent(old)
        sleep_until(time.monotonic() + AFTER_S)
        self._wait_new(stage, new, began)
        by_label, *by_sentinel = (load.stop() for load in loads)
        stage.start_redis(old)
        assert stage.rest() is new, f"{new.pod} was named, and is not the master in the end"
        f = self.figures
        f.named.append((named - began) * 1000)
        f.write.append((first_write(by_label, old, began) - began) * 1000)
        f.label_after_naming.append((label - majority) * 1000)
        for acks in by_sentinel:
            f.aware.append((first_write(acks, old, began) - began) * 1000)
        self._count_lost(stage, new, majority, [*by_label, *(a for s in by_sentinel for a in s)])
        stage.forget_keys()

    def _kill_candidate(self, stage: Stage, old: Member, stood: int) -> None:
        """At a random moment of its candidacy, which it has begun: one that dies with its Redis,
        before it has stood, leaves everything to Sentinel."""
        wait_for(
            lambda: times_stood(old) > stood,
            ROUND_TIMEOUT_S,
            f"the agent of {old.pod} stands for election",
            POLL_S,
        )
        sleep_until(time.monotonic() + self._random.uniform(0, CANDIDACY_S))
        stage.cluster.kill_agent(old, whole=True)

    def _wait_new(self, stage: Stage, new: Member, began: float) -> None:
        """Both kinds of clients have come to the new master, which says how many keys it took."""
        ends = {"label", "aware"} if self._aware is not None else {"label"}

        def arrived() -> bool:
            seen = set()
            for name in ends:
                tail = (stage.folder / f"{name}.ledger").read_bytes()[-4096:].decode()
                words = [line.split() for line in tail.splitlines()[1:]]
                if any(len(w) == 4 and w[2] == new.host for w in words):
                    seen.add(name)
            return seen == ends

        stage.cluster.wait(arrived, ROUND_TIMEOUT_S, "clients write to the new master")
        assert time.monotonic() > began

    def _count_lost(self, stage: Stage, new: Member, majority: float, acks: list[Ack]) -> None:
        lost = stage.missing(new, [a.key for a in acks])
        self.figures.acked += len(acks)
        self.figures.lost += len(lost)
        self.figures.lost_late += sum(a.key in lost and a.sent > majority for a in acks)


def times_stood(member: Member) -> int:
    log = member.folder / "agent.log"
    return log.read_text(errors="replace").count(STANDS) if log.exists() else 0


def first_write(acks: list[Ack], old: Member, began: float) -> float:
    found = next((a.t for a in acks if a.sent > began and a.host != old.host), None)
    assert found is not None, "no write was acknowledged after the crash"
    return found


class Gone:
    """The master's Pod is deleted with force: Redis, Sentinel and agent are gone at once, the Pod
    object with them. Or Redis is frozen, for a Sentinel to see it."""

    def __init__(self, net: Net, agents: bool, frozen: bool) -> None:
        self.net, self.agents, self.frozen = net, agents, frozen
        self.ms: list[float] = []
        self._odown: list[float] = []

    def make(self) -> Stage:
        stage = Stage(self.net, self.agents, launch=self.agents)
        for sentinel in stage.cluster.sentinels:
            listener = SentinelListener(stage.cluster, sentinel, self._on_event, ("+odown",))
            listener.start()
            listener.wait_subscribed()
        return stage

    def _on_event(self, _: str, payload: str, t: float) -> None:
        if payload.startswith("master "):
            self._odown.append(t)

    def play(self, stage: Stage, _: int) -> None:
        old = stage.rest()
        self._odown.clear()
        if self.frozen:
            self._freeze(stage, old)
        else:
            self._delete(stage, old)

    def _freeze(self, stage: Stage, old: Member) -> None:
        assert old.redis is not None
        began = time.monotonic()
        old.redis.freeze()
        label = stage.wait_label(began, old)
        stage.wait_named(began, old)
        odown = min((t for t in self._odown if t > began), default=None)
        assert odown is not None, "no Sentinel published +odown"
        old.redis.thaw()
        stage.rest()
        self.ms.append((label - odown) * 1000)

    def _delete(self, stage: Stage, old: Member) -> None:
        began = time.monotonic()
        # All at once, as the container runtime does: the agent has no time to stand.
        if self.agents:
            stage.cluster.signal_agent(old, signal.SIGKILL)
        for process in (old.sentinel, old.redis):
            assert process is not None
            process.signal(signal.SIGKILL)
        stage.kube.delete_pod(old.pod, 0)
        label = stage.wait_label(began, old)
        stage.wait_named(began, old, MEMBERS - 1)
        stage.replace_pod(old)
        stage.rest()
        self.ms.append((label - began) * 1000)


def measure(report: Report, crash: Crash, what: str, count: int, end_s: float | None) -> Figures:
    rounds = Rounds(crash.make, crash.play, f"{BENCH}, {what}")
    rounds.run(count, end_s)
    for why in rounds.failures:
        report.missed(BENCH, f"a round {what}", why)
    return crash.figures


def run(report: Report, net: Net, quick: bool, rounds: int | None) -> None:
    counts = at_most(COUNTS_QUICK if quick else COUNTS, rounds)
    note(f"{BENCH}: {counts}")
    base = measure(report, Crash(net, agents=False), "of the baselines", counts["baseline"], None)
    for launch, write_goal in ((True, Goal(p50=60, p99=250)), (False, Goal(p50=100, p99=250))):
        what = "with launch" if launch else "without launch"
        ours = measure(report, Crash(net, True, launch), what, counts["ours"], None)
        tell(report, ours, base, what, write_goal)
    killed = measure(
        report, Crash(net, True, True, killed=True), "with the agent killed", counts["killed"], None
    )
    tell_killed(report, killed, base)
    tell_gone(report, net, counts)


def tell(report: Report, ours: Figures, base: Figures, what: str, write_goal: Goal) -> None:
    named = f"kill -9 to all Sentinels name the new master, {what}"
    report.add(BENCH, named, "ms", ours.named, Goal(p50=40, p99=150), (SENTINEL, base.named))
    write = f"kill -9 to the first acknowledged write by the label, {what}"
    report.add(BENCH, write, "ms", ours.write, write_goal, (PATCHER, base.write))
    aware = f"{write}, beside"
    report.add(BENCH, aware, "ms", ours.write, write_goal, (SENTINEL, base.aware))
    label = f"majority names the master to label stored, {what}"
    theirs = (PATCHER, base.label_after_naming)
    report.add(BENCH, label, "ms", ours.label_after_naming, Goal(p99=30), theirs)
    lost(report, ours, base, what)


def lost(report: Report, ours: Figures, base: Figures, what: str) -> None:
    """An unplanned crash may lose what no replica had; never what was acknowledged later."""
    of = {"acknowledged": ours.acked, "lost": ours.lost, "baseline_lost": base.lost}
    report.add(
        BENCH,
        f"acknowledged writes lost after a majority named the new master, {what}",
        "writes",
        [float(ours.lost_late)],
        Goal(max=0),
        (SENTINEL, [float(base.lost_late)]),
        **of,
    )


def tell_killed(report: Report, killed: Figures, base: Figures) -> None:
    what = "its agent killed at a random step"
    named = f"kill -9 to all Sentinels name one master, {what}"
    report.add(BENCH, named, "ms", killed.named, Goal(max=3000), (SENTINEL, base.named))
    write = f"kill -9 to the first acknowledged write by the label, {what}"
    report.add(BENCH, write, "ms", killed.write, None, (PATCHER, base.write))
    lost(report, killed, base, what)


def tell_gone(report: Report, net: Net, counts: dict[str, int]) -> None:
    for frozen, name, goal_ms in (
        (False, "Pod deleted with force to label on the successor", FORCED_GOAL_MS),
        (True, "SIGSTOP: o_down to label on the successor", FROZEN_GOAL_MS),
    ):
        found: dict[bool, list[float]] = {}
        for agents in (False, True):
            gone = Gone(net, agents, frozen)
            rounds = Rounds(gone.make, gone.play, f"{BENCH}, {name}")
            rounds.run(counts["frozen" if agents else "frozen baseline"])
            for why in rounds.failures:
                report.missed(BENCH, f"a round: {name}", why)
            found[agents] = gone.ms
        report.add(BENCH, name, "ms", found[True], Goal(p50=goal_ms), (PATCHER, found[False]))
