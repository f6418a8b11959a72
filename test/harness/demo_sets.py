"""The two sets of the demo, and what is seen of them: one with agents and the launch helper, one
with Sentinels alone and a subscriber of +switch-master that patches a label."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import Self

from .follow import Ack, RoleProbe, SwitchMasterLabeller, Writer, labelled_master
from .kube_api import KubeApi
from .procs import Process
from .resp import ReplyError
from .topology import AGENT, Member, Options, Topology

LAUNCH = AGENT.parent / "redis-pod-agent-launch"
DOWN_AFTER_MS = 5000
FAILOVER_TIMEOUT_MS = 6000
STEP_TIMEOUT_S = 25
DRAIN_TIMEOUT_S = 30
BASELINE_LABEL = "baseline-role"


class Launched(Topology):
    """Each redis-server is started by the helper, as in a Pod, where its agent runs first."""

    def start(self) -> Self:
        """Who is the master at first is decided here, without the helper; the replicas then start
        once more, with it, and the first master when it comes back."""
        super().start()
        for member in self.pods[1:]:
            assert member.redis is not None
            member.redis.stop()
            self.start_redis(member, None)
        self.wait(self._sentinels_settled, STEP_TIMEOUT_S, "the replicas are back")
        self.wait_settled(STEP_TIMEOUT_S)
        return self

    def spawn_redis(self, member: Member, argv: list[str]) -> Process:
        if member.agent is not None:
            argv = [str(LAUNCH), "--socket", self._socket(member), "--", *argv]
        return super().spawn_redis(member, argv)

    def agent_args(self, member: Member) -> list[str]:
        return [*super().agent_args(member), f"--launch-socket={self._socket(member)}"]

    def labels(self) -> dict[str, str | None]:
        """Without the Pods of the other set."""
        own = {m.pod for m in self.pods}
        return {pod: label for pod, label in super().labels().items() if pod in own}

    @staticmethod
    def _socket(member: Member) -> str:
        return str(member.folder / "launch.sock")


class PlainMember(Member):
    @property
    def pod(self) -> str:
        return f"plain-{self.index}"


class Plain(Topology):
    """Without agents, in the same API server under names of its own."""

    def _make_members(self) -> list[Member]:
        return [
            PlainMember(m.index, m.host, folder=self._rename(m)) for m in super()._make_members()
        ]

    def _rename(self, member: Member) -> object:
        folder = self.folder / f"plain-{member.index}"
        member.folder.rename(folder)
        return folder


class Side:
    """One set, a writer that follows its label, and one that stays where it is sent."""

    def __init__(self, top: Topology, name: str) -> None:
        self.top = top
        self.name = name
        self.stray_at: str | None = None
        self.baseline = SwitchMasterLabeller(top, BASELINE_LABEL)
        self.writer = Writer(top, self._find, "by-label")
        self.stray = Writer(top, lambda: self.stray_at, "stray")

    def _find(self) -> str | None:
        if not self.top.options.agents:
            return self.baseline.master
        assert self.top.kube is not None
        pods = {m.pod for m in self.top.pods}
        return labelled_master([c for c in self.top.kube.label_history if c.pod in pods])

    def start(self) -> None:
        self.baseline.start(self.top.master())
        self.writer.start()
        self.stray.start()
        self.top.wait(lambda: self.writer.ledger, STEP_TIMEOUT_S, "the writers write")

    def stop(self) -> None:
        """Idempotent."""
        for writer in (self.writer, self.stray):
            if writer.is_alive():
                writer.stop()
        self.baseline.stop()

    def missing(self, writer: Writer, acks: list[Ack]) -> int:
        """How many of these the master does not have."""
        have = set(self.top.ask(self.top.master(), "LRANGE", writer.key, "0", "-1") or [])
        return sum(str(ack.number) not in have for ack in acks)


class Seen:
    """When what was seen of a change of the master; ms after its begin."""

    def __init__(self, side: Side, old: Member, begin: Callable[[Member], None]) -> None:
        """begin: kills the old master, or asks for the change."""
        self.side = side
        self.old = old
        self.new: Member
        self._probes = [RoleProbe(side.top, m) for m in side.top.pods if m is not old]
        for probe in self._probes:
            probe.start()
        self.began = time.monotonic()
        begin(old)

    def wait(self) -> None:
        """Until a client writes to the new master, and all Sentinels name it."""
        side, old = self.side, self.old
        try:
            for condition, what in (
                (self._written, "a write by the label"),
                (lambda: side.top.agreed() not in (None, old), "the Sentinels agree"),
            ):
                side.top.wait(condition, STEP_TIMEOUT_S, f"{what} ({side.name})")
            self._agreed = time.monotonic()
        finally:
            for probe in self._probes:
                probe.stop()
        flipped = [p for p in self._probes if p.flipped is not None]
        assert len(flipped) == 1, f"{len(flipped)} replicas became masters, not one"
        self.new = flipped[0].member
        self.role_ms = self._ms(flipped[0].flipped)

    def _written(self) -> float | None:
        return self.side.writer.first_after(self.began, self.old.pod)

    def _ms(self, t: float | None) -> float:
        assert t is not None
        return (t - self.began) * 1000

    @property
    def write_ms(self) -> float:
        return self._ms(self._written())

    @property
    def sdown_ms(self) -> float | None:
        t = self.side.baseline.first("+sdown", self.began)
        return None if t is None or t > self.began + self.role_ms / 1000 else self._ms(t)

    @property
    def named_ms(self) -> float:
        """When the last of the Sentinels published +switch-master, or was seen to name it: the
        leader publishes late."""
        told = [t for c, t in self.side.baseline.events if c == "+switch-master" and t > self.began]
        count = len(self.side.top.sentinels)
        return self._ms(min([self._agreed, *sorted(told)[count - 1 : count]]))

    @property
    def label_ms(self) -> float:
        if not self.side.top.options.agents:
            patched = [t for t, p in self.side.baseline.acknowledged if p == self.new.pod]
            return self._ms(next(t for t in patched if t > self.began))
        assert self.side.top.kube is not None
        changes = self.side.top.kube.label_history
        stored = [c.t for c in changes if (c.pod, c.label) == (self.new.pod, "master")]
        return self._ms(next(t for t in stored if t > self.began))

    @property
    def gap_ms(self) -> float:
        """The longest between two acknowledged writes."""
        times = [a.t for a in list(self.side.writer.ledger)]
        pairs = zip(times, times[1:], strict=False)
        return max((b - a for a, b in pairs if b > self.began), default=0.0) * 1000


class Drain(threading.Thread):
    """POST /drain, as preStop does; `lines` is the answer so far."""

    def __init__(self, member: Member) -> None:
        super().__init__(daemon=True)
        self.member = member
        self.lines: list[str] = []

    def run(self) -> None:
        to = http.client.HTTPConnection(
            self.member.host, self.member.http_port, timeout=DRAIN_TIMEOUT_S
        )
        try:
            to.request("POST", "/drain", headers={"Redis-Pod-Agent": "drain"})
            for line in to.getresponse():
                self.lines.append(line.decode(errors="replace").strip())
        except (OSError, http.client.HTTPException) as error:
            self.lines.append(f"broken off: {error!r}")
        finally:
            to.close()


def force_failover(top: Topology) -> None:
    """As a person does it; another Sentinel, where one refuses."""
    for sentinel in top.sentinels:
        try:
            top.failover(sentinel)
            return
        except (OSError, ReplyError):
            continue
    raise AssertionError("every Sentinel refuses SENTINEL FAILOVER")


def make_sides(kube: KubeApi) -> tuple[Side, Side]:
    """(with the agents, Sentinels alone); neither is started."""
    times = {"down_after_ms": DOWN_AFTER_MS, "failover_timeout_ms": FAILOVER_TIMEOUT_MS}
    ours = Launched(kube, Options(engine=True, **times))  # type: ignore[arg-type]
    theirs = Plain(kube, Options(agents=False, **times))  # type: ignore[arg-type]
    for member in theirs.pods:
        kube.create_pod(member.pod, ip=member.host)
    return Side(ours, "with the agents"), Side(theirs, "Sentinel alone")
