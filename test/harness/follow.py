"""Clients that follow a label: what an application behind the Service redis-master sees."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from .kube_api import LabelChange
from .resp import ReplyError, Resp
from .topology import MASTER, Member, Topology

RETRY_S = 0.001


def labelled_master(history: list[LabelChange], role: str = "master") -> str | None:
    """The Pod that got the label last and still has it."""
    labels: dict[str, str | None] = {}
    last = None
    for change in list(history):
        labels[change.pod] = change.label
        if change.label == role:
            last = change.pod
    return last if last is not None and labels[last] == role else None


class Ack(NamedTuple):
    """A write that was acknowledged."""

    t: float  # time.monotonic() of the reply
    pod: str
    number: int


class Writer(threading.Thread):
    """Writes numbers to whatever Pod `find` names, one after the other, and keeps a ledger of
    those that were acknowledged. A refused or broken write is tried again at the Pod that is
    named then."""

    def __init__(self, top: Topology, find: Callable[[], str | None], key: str) -> None:
        super().__init__(daemon=True)
        self.top = top
        self.find = find
        self.key = key
        self.ledger: list[Ack] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            pod = self.find()
            member = next((m for m in self.top.pods if m.pod == pod), None)
            if member is None:
                time.sleep(RETRY_S)
                continue
            try:
                with self.top.redis(member, timeout_s=0.5) as redis:
                    number = self._write(redis, member, number)
            except (OSError, ReplyError):
                time.sleep(RETRY_S)

    def _write(self, redis: Resp, member: Member, number: int) -> int:
        while not self._stopping.is_set() and self.find() == member.pod:
            redis("RPUSH", self.key, number)
            self.ledger.append(Ack(time.monotonic(), member.pod, number))
            number += 1
            time.sleep(RETRY_S)
        return number

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def first_after(self, t: float, not_on: str) -> float | None:
        """When the first write was acknowledged elsewhere than on this Pod."""
        return next((a.t for a in self.ledger if a.t > t and a.pod != not_on), None)


class SentinelListener(threading.Thread):
    """Notes when each Sentinel published each event; `on_event` is called from its thread."""

    CHANNELS = ("+sdown", "+odown", "+elected-leader", "+selected-slave", "+switch-master")

    def __init__(
        self,
        top: Topology,
        member: Member,
        on_event: Callable[[str, str, float], None],
        channels: tuple[str, ...] = CHANNELS,
    ) -> None:
        super().__init__(daemon=True)
        self.channels = channels
        self._subscribed = threading.Event()
        self.top = top
        self.member = member
        self.on_event = on_event
        self._connection: Resp | None = None
        self._stopping = False

    def run(self) -> None:
        while not self._stopping:
            try:
                with self.top.sentinel(self.member) as s:
                    self._connection = s
                    s.subscribe(*self.channels)
                    s.set_timeout(None)
                    self._subscribed.set()
                    for channel, payload in s.messages():
                        self.on_event(channel, payload, time.monotonic())
            except OSError:
                time.sleep(RETRY_S)

    def wait_subscribed(self) -> None:
        assert self._subscribed.wait(5), f"no subscription to the Sentinel of {self.member.pod}"

    def stop(self) -> None:
        self._stopping = True
        if self._connection is not None:
            self._connection.shutdown()


class SwitchMasterLabeller:
    """The baseline: a program that subscribes to +switch-master of all Sentinels and PATCHes a
    label of its own, as careful sidecars do today. Nothing more."""

    def __init__(self, top: Topology, label: str = "baseline-role") -> None:
        assert top.kube is not None
        self.top = top
        self.label = label
        self.master: str | None = None  # the Pod whose label is acknowledged
        self.acknowledged: list[tuple[float, str]] = []
        self.events: list[tuple[str, float]] = []  # (channel, t), of all Sentinels
        self._client = top.kube.client(top.kube.admin_token)
        self._lock = threading.Lock()
        self._listeners = [SentinelListener(top, s, self._on_event) for s in top.sentinels]

    def start(self, master: Member) -> None:
        self._set(master.pod, "master")
        self.master = master.pod
        for listener in self._listeners:
            listener.start()

    def stop(self) -> None:
        """Idempotent; also before a start."""
        for listener in self._listeners:
            listener.stop()
        for listener in self._listeners:
            if listener.is_alive():
                listener.join(timeout=2)
        self._client.close()

    def _set(self, pod: str, role: str) -> None:
        assert self.top.kube is not None
        body = {"metadata": {"labels": {self.label: role}}}
        answer = self._client.patch(self.top.kube.pods_path(pod), body)
        assert answer.status == 200, answer.body

    def _on_event(self, channel: str, payload: str, t: float) -> None:
        self.events.append((channel, t))
        words = payload.split()
        if channel != "+switch-master" or words[0] != MASTER:
            return
        new = self.top.find(words[3], int(words[4]))
        with self._lock:
            if new is None or new.pod == self.master:
                return
            old = self.master
            self._set(new.pod, "master")
            self.acknowledged.append((time.monotonic(), new.pod))
            self.master = new.pod
            if old is not None:
                self._set(old, "replica")

    def first(self, channel: str, after: float) -> float | None:
        return min((t for c, t in self.events if c == channel and t > after), default=None)


class RoleProbe(threading.Thread):
    """Asks one Redis for its ROLE about a thousand times a second, until it says master."""

    def __init__(self, top: Topology, member: Member) -> None:
        super().__init__(daemon=True)
        self.top = top
        self.member = member
        self.flipped: float | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        while self.flipped is None and not self._stopping.is_set():
            try:
                with self.top.redis(self.member) as redis:
                    while redis("ROLE")[0] != "master" and not self._stopping.is_set():
                        time.sleep(RETRY_S)
                    if not self._stopping.is_set():
                        self.flipped = time.monotonic()
            except (OSError, ReplyError):
                continue

    def stop(self) -> None:
        self._stopping.set()
        self.join()
