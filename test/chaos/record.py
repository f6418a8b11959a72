"""Asks every Redis for its ROLE, and every Sentinel whom it names, a hundred times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from test.harness.resp import ReplyError, Resp
from test.harness.topology import MASTER, REDIS_PORT, SENTINEL_PORT

PERIOD_S = 0.01
TIMEOUT_S = 0.2


class Sample(NamedTuple):
    """Times are of CLOCK_MONOTONIC, in seconds."""

    asked: float
    t: float  # of the answer
    value: str | None  # None: there was none


class Sampler(threading.Thread):
    """Keeps the samples whose value differs from the one before it."""

    def __init__(self, host: str, port: int, command: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self.count = 0
        self._last: str | None = ""
        self._where = (host, port)
        self._command = command

    def forget(self) -> None:
        self._last = ""
        self.samples = []
        self.count = 0

    def run(self) -> None:
        while True:
            try:
                with Resp(*self._where, timeout_s=TIMEOUT_S) as connection:
                    self._sample(connection)
            except (OSError, ReplyError):
                now = time.monotonic()
                self._note(Sample(now, now, None))
                time.sleep(PERIOD_S)

    def _sample(self, connection: Resp) -> None:
        due = time.monotonic()
        while True:
            asked = time.monotonic()
            reply = connection(*self._command)
            # ROLE: its first word; GET-MASTER-ADDR-BY-NAME: the address.
            self._note(Sample(asked, time.monotonic(), reply[0] if reply else None))
            due = max(due + PERIOD_S, asked)
            time.sleep(max(0.0, due - time.monotonic()))

    def _note(self, sample: Sample) -> None:
        self.count += 1
        if sample.value != self._last:
            self._last = sample.value
            self.samples.append(sample)


class Records(NamedTuple):
    """By the address of the member."""

    roles: dict[str, list[Sample]]
    names: dict[str, list[Sample]]  # whom its Sentinel names: an address
    count: int


class Recorder:
    """For child.Child: end() returns Records."""

    def __init__(self, hosts: list[str]) -> None:
        ask_name = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        self.roles = {host: Sampler(host, REDIS_PORT, ("ROLE",)) for host in hosts}
        self.names = {host: Sampler(host, SENTINEL_PORT, ask_name) for host in hosts}
        self._each(lambda sampler: sampler.start())

    def _each(self, do: Callable[[Sampler], None]) -> None:
        for sampler in (*self.roles.values(), *self.names.values()):
            do(sampler)

    def begin(self, _number: int) -> None:
        self._each(Sampler.forget)

    def end(self) -> Records:
        roles = {host: list(s.samples) for host, s in self.roles.items()}
        names = {host: list(s.samples) for host, s in self.names.items()}
        every = (*self.roles.values(), *self.names.values())
        return Records(roles, names, sum(s.count for s in every))
