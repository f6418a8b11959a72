"""A chaos run: builds the cluster, draws rounds, judges each, and tells one line about it."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from test.harness.topology import SYSTEM, Make, Member, Options

from .child import Child
from .clients import Clients
from .cluster import Cluster
from .kube import KubeProcess
from .net import Net
from .record import Recorder, Records
from .rounds import ROUNDS
from .verdict import Facts, Verdict, judge
from .world import Rules, World

MEMBERS = 3
WARM_UP_S = 0.7  # of writes before the first fault
REST_S = 1.0  # that all must have been at rest
CALM_S = 0.1
SETTLE_S = 60.0
TEARDOWN_S = 0.5
Tell = Callable[[str], None]


@dataclass
class Settings:
    agent: Path
    seed: int
    rounds: int
    names: list[str]  # of the rounds that are drawn from; in order, where `in_order`
    in_order: bool = False
    minutes: float | None = None
    writers: int = 8
    quick: bool = False
    make: Make = SYSTEM
    logs: Path | None = None  # of the rounds that failed; None: in a temporary folder
    agent_args: tuple[str, ...] = ()


class Stage:
    """Everything that runs. Rebuilt after a round that failed."""

    def __init__(self, settings: Settings, net: Net, rng: random.Random, logs: Path) -> None:
        """logs: where they are left if it does not come up."""
        self.net = net
        self._kube = KubeProcess()
        self.kube: Any = self._kube.proxy
        self.append_only = rng.random() < 0.5
        options = Options(
            agent=settings.agent,
            make=settings.make,
            down_after_ms=5000,
            engine=True,
            log_level="debug" if settings.rounds <= 3 else "info",
            agent_args=settings.agent_args,
        )
        launched = rng.random() < 0.5
        self.cluster = Cluster(self._kube.kube, net, options, self.append_only, launched)
        self.cluster.keep_folder = True  # removed by stop(), after a look at what the agents said
        self._children: list[Child] = []
        try:
            self.cluster.start()
            hosts = [member.host for member in self.cluster.members]
            self.clients = self._child(Clients, self._kube.url, self._kube.token, settings.writers)
            self.recorder = self._child(Recorder, hosts)
        except BaseException:
            self.cluster.save_logs(logs)
            self.stop()
            raise
        self.peers = self.cluster.peers()

    def _child(self, make: Callable[..., Any], *args: object) -> Child:
        child = Child(make, *args)
        self._children.append(child)
        return child

    def stop(self) -> None:
        self.net.heal()
        for child in self._children:
            child.stop()
        self.cluster.stop()
        self._kube.stop()
        shutil.rmtree(self.cluster.folder, ignore_errors=True)

    def bugs(self) -> str:
        """What an agent says of itself that it never should."""
        found = []
        for member in self.cluster.pods:
            log = member.folder / "agent.log"
            text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
            if any(mark in text for mark in ("Sanitizer", "bug:", "dumped core")):
                found.append(member.pod)
        return f"the agent of {', '.join(found)} has met a bug of its own" if found else ""


class Run:
    def __init__(self, settings: Settings, tell: Tell) -> None:
        self.settings = settings
        self.tell = tell
        self.net = Net(MEMBERS)
        self.failed: list[str] = []
        self.verdicts: list[tuple[str, Verdict]] = []
        self._stage: Stage | None = None

    def run(self) -> bool:
        """True: every round was as it should."""
        began = time.monotonic()
        try:
            for number in range(self.settings.rounds):
                spent_min = (time.monotonic() - began) / 60
                if self.settings.minutes is not None and spent_min >= self.settings.minutes:
                    self.tell(f"{self.settings.minutes:g} minutes are over")
                    break
                self._round(number)
        finally:
            if self._stage is not None:
                self._stage.stop()
        self._summary(time.monotonic() - began)
        return not self.failed and bool(self.verdicts)

    def _round(self, number: int) -> None:
        rng = random.Random(f"{self.settings.seed}:{number}")
        names = self.settings.names
        name = names[number % len(names)] if self.settings.in_order else rng.choice(names)
        if self._stage is None:
            self._stage = Stage(self.settings, self.net, rng, self._logs_of(f"start-{number}"))
            mode = "on" if self._stage.append_only else "off"
            launch = "with" if self._stage.cluster.launch else "without"
            self.tell(f"cluster is up: appendonly {mode}, {launch} the launch helper")
        stage = self._stage
        world = World(stage.cluster, self.net, stage.kube, rng, self.settings.quick)
        verdict = self._play(number, name, stage, world)
        self.verdicts.append((name, verdict))
        word = "ok" if verdict.ok else "FAIL"
        where = f"round {number:3d} seed {self.settings.seed}"
        self.tell(f"{where} {name:32s} {word:4s} {verdict.text()} [{story(world)}]")
        if not verdict.ok:
            self.failed.append(f"{number} {name}")
            folder = self._logs_of(f"round-{number}-{name}")
            stage.cluster.save_logs(folder)
            (folder / "story.txt").write_text(long_story(world, verdict), encoding="utf-8")
            self.tell(f"  logs: {folder}")
            stage.stop()
            self._stage = None

    def _logs_of(self, what: str) -> Path:
        return (self.settings.logs or Path(tempfile.gettempdir())) / f"chaos-{os.getpid()}-{what}"

    def _play(self, number: int, name: str, stage: Stage, world: World) -> Verdict:
        labels = stage.kube.roles()
        changes_since = time.monotonic()
        stage.recorder.begin(number)
        stage.clients.begin(number)
        rules = ROUNDS[name](world)
        wait_until(time.monotonic() + WARM_UP_S)
        world.begin()
        settled, unsettled = self._until_rest(stage.cluster, world)
        # What is left over of a round that did not end by itself.
        self.net.heal()
        ledger = stage.clients.end()
        records: Records = stage.recorder.end()
        last = stage.cluster.agreed()
        facts = Facts(
            began=world.started,
            settled=settled,
            unsettled=unsettled,
            first=world.master.pod,
            last=last.pod if last else None,
            labels=labels,
            changes=stage.kube.changes(changes_since),
            names=records.names,
            roles={m.pod: records.roles[m.host] for m in stage.cluster.pods},
            host_of={m.pod: m.host for m in stage.cluster.pods},
            ledger=ledger,
            missing=self._missing(stage.cluster, last, [a.key for a in ledger]),
            peers_changed=peers_changed(stage),
        )
        verdict = judge(facts, rules)
        self._judge_rest(verdict, stage, world, rules)
        return verdict

    @staticmethod
    def _judge_rest(verdict: Verdict, stage: Stage, world: World, rules: Rules) -> None:
        if bug := stage.bugs():
            verdict.failures.append(bug)
        for drain in world.drains:
            if drain.status in (404, 405):
                verdict.failures.append(f"/drain answers {drain.status}")
        if rules.excused and verdict.lost_late:
            world.tell(f"excused: {rules.excused}")

    def _until_rest(self, cluster: Cluster, world: World) -> tuple[float | None, str | None]:
        """(since when all is at rest, None), or (None, what is not)."""
        since: float | None = None
        last_fault = time.monotonic()
        looked = 0.0
        unsettled: str | None = "not looked at yet"
        while True:
            if world.pending:
                last_fault = time.monotonic()
                since = None
                world.step()
                continue
            now = time.monotonic()
            if now - last_fault > SETTLE_S:
                return None, unsettled
            if now - looked >= CALM_S:
                unsettled = cluster.unsettled()
                looked = time.monotonic()
                if unsettled is not None:
                    since = None
                elif since is None:
                    since = now
                elif now - since >= REST_S:
                    return since, None
            world.step()

    @staticmethod
    def _missing(cluster: Cluster, master: Member | None, keys: list[str]) -> set[str]:
        if master is None:
            return set()
        missing = cluster.missing(master, keys)
        with cluster.redis(master, 10) as redis:
            redis("FLUSHALL")
        return missing

    def _summary(self, seconds: float) -> None:
        total = len(self.verdicts)
        acked = sum(v.acked for _, v in self.verdicts)
        lost = sum(v.lost for _, v in self.verdicts)
        late = sum(v.lost_late for _, v in self.verdicts)
        self.tell(
            f"{total - len(self.failed)} of {total} rounds ok in {seconds:.0f} s; {acked} writes "
            f"acknowledged, {lost} lost, {late} of them after a majority had named the new master"
        )
        for name in ROUNDS:
            told = [v for n, v in self.verdicts if n == name]
            if told:
                self.tell(f"  {name:32s} {len(told):3d}  {middle(told)}")
        for failure in self.failed:
            self.tell(f"  failed: {failure}")


def middle(verdicts: list[Verdict]) -> str:
    """Median and worst of the figures of one kind of round."""
    parts = []
    for name in ("promoted_ms", "named_ms", "label_ms", "write_ms", "gap_ms", "settled_ms"):
        values = sorted(x for v in verdicts if (x := getattr(v, name)) is not None)
        if values:
            parts.append(f"{name[:-3]} {values[len(values) // 2]:.0f}/{values[-1]:.0f} ms")
    return "  ".join([*parts, f"lost {sum(v.lost for v in verdicts)}"])


def wait_until(t: float) -> None:
    while (left := t - time.monotonic()) > 0:
        time.sleep(left)


def peers_changed(stage: Stage) -> str:
    now = stage.cluster.peers()
    for pod, known in now.items():
        if known != stage.peers.get(pod):
            return f"the Sentinel of {pod} knew {sorted(stage.peers[pod])}, now {sorted(known)}"
    return "" if now else "the Sentinels' peers cannot be read"


def story(world: World) -> str:
    parts = [f"{(t - world.started) * 1000:.0f} {text}" for t, text in world.told if text]
    for drain in world.drains:
        took_ms = (drain.ended - drain.asked) * 1000
        parts.append(f"drain took {took_ms:.0f} ms: {drain.verdict}")
    return "; ".join(parts)


def long_story(world: World, verdict: Verdict) -> str:
    wall = time.time() - time.monotonic()
    lines = [verdict.text(), ""]
    for t, text in world.told:
        if text:
            stamp = time.strftime("%H:%M:%S", time.gmtime(t + wall))
            lines.append(
                f"{stamp}.{int((t + wall) % 1 * 1000):03d} "
                f"{(t - world.started) * 1000:8.1f} ms  {text}"
            )
    for drain in world.drains:
        lines += [f"/drain of {drain.member.pod}: HTTP {drain.status}", *drain.lines]
    return "\n".join(lines) + "\n"
