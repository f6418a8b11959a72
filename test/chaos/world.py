"""What a round does to the cluster: a timeline of actions, run by one thread.

One thread, because a child whose starting thread ends is killed (PR_SET_PDEATHSIG)."""

from __future__ import annotations

import http.client
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from test.harness.topology import Member

from .cluster import Cluster
from .net import API, Net

RESTART_S = (0.3, 3.0)
LATE_S = (6.0, 12.0)  # after Sentinel's own failover
LATE_PART = 0.15
POLL_S = 0.02
DRAIN_TIMEOUT_S = 40


@dataclass(frozen=True)
class Rules:
    """What is asked of a round beside the state at its end."""

    lose_none: bool = False  # of all acknowledged writes
    excused: str = ""  # why writes may be lost even after the new master was named
    volatile: bool = False  # every copy in memory ends, and there is none on a disk
    master_stays: bool = False
    gap_max_s: float = 60.0  # between two acknowledged writes, of all writers together
    no_overlap: bool = False  # not for a moment two that are labelled and take writes


@dataclass
class Action:
    due: float
    text: str
    do: Callable[[], object]


@dataclass
class Drain:
    """One call of /drain, in a thread of its own."""

    member: Member
    asked: float = 0.0
    ended: float = 0.0
    status: int = 0
    lines: list[str] = field(default_factory=list)
    thread: threading.Thread | None = None

    @property
    def verdict(self) -> str:
        return self.lines[-1] if self.lines else f"HTTP {self.status}"

    def call(self) -> None:
        connection = http.client.HTTPConnection(
            self.member.host, self.member.http_port, timeout=DRAIN_TIMEOUT_S
        )
        self.asked = time.monotonic()
        try:
            connection.request("GET", "/drain", headers={"Redis-Pod-Agent": "drain"})
            answer = connection.getresponse()
            self.status = answer.status
            for line in answer:
                self.lines.append(line.decode(errors="replace").strip())
        except (OSError, http.client.HTTPException) as error:
            self.lines.append(f"broken off: {error!r}")
        finally:
            self.ended = time.monotonic()
            connection.close()


class World:
    """The cluster, and what is yet to be done to it in this round."""

    def __init__(
        self,
        cluster: Cluster,
        net: Net,
        kube: Any,  # noqa: ANN401 - a proxy with the methods of kube.EXPOSED
        rng: random.Random,
        quick: bool,
    ) -> None:
        self.cluster = cluster
        self.net = net
        self.kube = kube
        self.rng = rng
        self.quick = quick
        self.master = cluster.master()
        self.replicas = [m for m in cluster.pods if m is not self.master]
        self.started = 0.0  # of the first action
        self.told: list[tuple[float, str]] = []
        self.drains: list[Drain] = []
        self._actions: list[Action] = []

    # --- the timeline -------------------------------------------------------------------------

    def at(self, after_s: float, text: str, do: Callable[[], object]) -> None:
        """Relative to the round's begin; before it has begun as well as from an action."""
        begin = self.started or 0.0
        self._actions.append(Action(begin + after_s, text, do))

    def begin(self) -> None:
        self.started = time.monotonic()
        for action in self._actions:
            action.due += self.started

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def pending(self) -> bool:
        busy = any(d.thread is not None and d.thread.is_alive() for d in self.drains)
        return bool(self._actions) or busy

    def step(self) -> None:
        """Does what is due, or waits a little."""
        self._actions.sort(key=lambda action: action.due)
        now = time.monotonic()
        if self._actions and self._actions[0].due <= now:
            action = self._actions.pop(0)
            self.tell(action.text)
            action.do()
            return
        due = self._actions[0].due if self._actions else now + POLL_S
        time.sleep(min(POLL_S, due - now))

    def tell(self, text: str) -> None:
        self.told.append((time.monotonic(), text))

    def uniform(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)

    # --- processes ----------------------------------------------------------------------------

    def process(self, kind: str, member: Member) -> Any:  # noqa: ANN401
        return getattr(member, kind)

    def kill(self, kind: str, member: Member, after_s: float = 0.0, restart: bool = True) -> None:
        """kill -9, and 0.3 to 3 s later, seldom much later, it is started again from its own
        files."""
        whole = self.rng.random() < 0.5
        late = self.rng.random() < LATE_PART
        back_s = after_s + self.uniform(*(LATE_S if late else RESTART_S))

        def do() -> None:
            if kind == "agent":
                self.cluster.kill_agent(member, whole)
            else:
                self.process(kind, member).kill()

        what = "agent's worker" if kind == "agent" and not whole else kind
        self.at(after_s, f"kill -9 {what} of {member.pod}", do)
        if restart and (kind != "agent" or whole):
            self.at(back_s, f"{kind} of {member.pod} starts", lambda: self.start(kind, member))

    def start(self, kind: str, member: Member) -> None:
        if self.process(kind, member).alive:
            return
        match kind:
            case "redis":
                self.cluster.start_redis(member, None)
            case "sentinel":
                self.cluster.start_sentinel(member)
            case "agent":
                self.cluster.start_agent(member)

    def freeze(self, kind: str, member: Member, after_s: float, for_s: float) -> None:
        def send(number: int) -> None:
            if kind == "agent":
                self.cluster.signal_agent(member, number)
            else:
                self.process(kind, member).signal(number)

        text = f"{kind} of {member.pod}"
        self.at(after_s, f"SIGSTOP {text}", lambda: send(signal.SIGSTOP))
        self.at(after_s + for_s, f"SIGCONT {text}", lambda: send(signal.SIGCONT))

    # --- network and API ----------------------------------------------------------------------

    def heal(self, after_s: float) -> None:
        self.at(after_s, "the network is healed", self.net.heal)

    def cut_off(self, member: Member, after_s: float, out: bool = True, into: bool = True) -> None:
        """From all other members; clients and the API server still reach it."""

        def do() -> None:
            for other in self.cluster.members:
                if other is member:
                    continue
                if out:
                    self.net.cut(member.index, other.host)
                if into:
                    self.net.cut(other.index, member.host)

        way = "" if out and into else " what it sends" if out else " what is sent to it"
        self.at(after_s, f"{member.pod} is cut off:{way or ' both ways'}", do)

    def cut_api(self, members: list[Member], after_s: float) -> None:
        def do() -> None:
            for member in members:
                self.net.cut(member.index, API)

        names = ", ".join(m.pod for m in members)
        self.at(after_s, f"the API server is cut off from {names}", do)

    def api_down(self, after_s: float, for_s: float) -> None:
        self.at(after_s, "the API server is killed", self.kube.refuse)
        self.at(after_s + for_s, "the API server is back", self.kube.accept)

    # --- hand-over ----------------------------------------------------------------------------

    def drain(self, member: Member, after_s: float = 0.0) -> Drain:
        drain = Drain(member)
        self.drains.append(drain)

        def do() -> None:
            drain.thread = threading.Thread(target=drain.call, daemon=True)
            drain.thread.start()

        self.at(after_s, f"/drain of {member.pod}", do)
        return drain

    def delete_pod(self, member: Member, after_s: float = 0.0) -> None:
        """As kubelet does: deletionTimestamp, preStop, SIGTERM; then a new Pod of that name with
        the old volume."""
        drain = Drain(member)
        self.drains.append(drain)

        def begin() -> None:
            self.kube.delete_pod(member.pod, 30)
            drain.thread = threading.Thread(target=drain.call, daemon=True)
            drain.thread.start()
            self.at(self.elapsed + 0.1, "", stop)

        def stop() -> None:
            if drain.thread is not None and drain.thread.is_alive():
                self.at(self.elapsed + 0.05, "", stop)
                return
            self.tell(f"the containers of {member.pod} stop")
            for kind in ("redis", "sentinel", "agent"):
                self.process(kind, member).signal(signal.SIGTERM)
            self.at(self.elapsed + 0.5, f"{member.pod} is gone", gone)

        def gone() -> None:
            for kind in ("redis", "sentinel", "agent"):
                self.process(kind, member).stop()
            self.kube.delete_pod(member.pod, 0)
            self.at(self.elapsed + self.uniform(*RESTART_S), f"a new {member.pod} starts", create)

        def create() -> None:
            self.kube.create_pod(member.pod, ip=member.host)
            self.kube.rotate_token(member.pod)  # the old one was the old Pod's
            for kind in ("agent", "redis", "sentinel"):
                self.start(kind, member)

        self.at(after_s, f"{member.pod} is deleted", begin)
