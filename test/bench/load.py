"""Writers with a ledger, and what servers are seen to say; both are processes in C."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from test.harness.procs import die_with_parent
from test.harness.resp import Resp
from test.harness.topology import ROOT
from test.harness.wait import wait_for

PROGRAMS = ROOT / "build" / "release" / "bench"
STATES_PERIOD_US = 2000
MGET_KEYS = 500
STOP_TIMEOUT_S = 10


class Ack(NamedTuple):
    """A write that was acknowledged; times are of CLOCK_MONOTONIC, in seconds."""

    sent: float
    t: float  # of the reply
    host: str
    key: str

    @property
    def client(self) -> str:
        return self.key.rpartition(":")[0]


class Load:
    """`feed` gives the arguments of feed.py; without it the clients write to `host` alone."""

    def __init__(
        self,
        folder: Path,
        name: str,
        clients: int,
        interval_us: int,
        feed: Sequence[str] = (),
        host: str = "",
        port: int = 0,
    ) -> None:
        self.log = folder / f"{name}.ledger"
        read_end, self._commands = os.pipe()
        argv = [str(PROGRAMS / "write_load"), str(clients), str(interval_us), name]
        with self.log.open("wb") as out:
            self._writers = subprocess.Popen(  # noqa: PLW1509 - the child runs one system call
                argv, stdin=read_end, stdout=out, preexec_fn=die_with_parent
            )
        os.close(read_end)
        self._feed: subprocess.Popen[bytes] | None = None
        if feed:
            # Both ends of a line that short are written at once, so that two may write.
            self._feed = start_feed(feed, self._commands)
        else:
            self._tell(f"to {host} {port}")
        self._read = 0

    def _tell(self, line: str) -> None:
        os.write(self._commands, f"{line}\n".encode())

    def start(self) -> None:
        self._tell("start")
        wait_for(lambda: self.log.stat().st_size > self._read, 10, "writes are acknowledged")

    def stop(self) -> list[Ack]:
        """Since start(), ordered by the time of the answer."""
        self._tell("stop")
        wait_for(self._ended, STOP_TIMEOUT_S, "the writers rest")
        with self.log.open("rb") as ledger:
            ledger.seek(self._read)
            text = ledger.read()
            self._read += len(text)
        lines = (line.split() for line in text.decode().splitlines())
        acks = [Ack(int(w[0]) / 1e9, int(w[1]) / 1e9, w[2], w[3]) for w in lines if len(w) == 4]
        return sorted(acks, key=lambda ack: ack.t)

    def _ended(self) -> bool:
        with self.log.open("rb") as ledger:
            ledger.seek(max(self._read, self.log.stat().st_size - len(b"stopped\n")))
            return ledger.read().endswith(b"stopped\n")

    def close(self) -> None:
        """Idempotent."""
        for process in (self._feed, self._writers):
            if process is not None:
                process.kill()
                process.wait()
        if self._commands >= 0:
            os.close(self._commands)
            self._commands = -1


def start_feed(arguments: Sequence[str], stdout: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: PLW1509 - the child runs one system call
        [sys.executable, "-m", "test.bench.feed", *arguments],
        stdout=stdout,
        cwd=ROOT,
        preexec_fn=die_with_parent,
    )


class Change(NamedTuple):
    t: float
    what: str  # role or name
    host: str  # of the server that was asked
    value: str  # "-": no answer


class States:
    """The changes of ROLE of each Redis, and of whom each Sentinel names, polled every 2 ms."""

    def __init__(self, redis: Sequence[str], sentinels: Sequence[str]) -> None:
        """Each as HOST:PORT."""
        self.asked = [("role", r) for r in redis] + [("name", s) for s in sentinels]
        argv = [str(PROGRAMS / "poll_states"), str(STATES_PERIOD_US)]
        argv += [f"{what}:{address}" for what, address in self.asked]
        self.changes: list[Change] = []
        self._process = subprocess.Popen(  # noqa: PLW1509 - the child runs one system call
            argv, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            ns, index, value = line.split()
            what, address = self.asked[int(index)]
            self.changes.append(Change(int(ns) / 1e9, what, address.partition(":")[0], value))

    def first(self, what: str, host: str, value: str, after: float) -> float | None:
        for c in list(self.changes):
            if c.t > after and (c.what, c.host, c.value) == (what, host, value):
                return c.t
        return None

    def now(self, what: str) -> dict[str, str]:
        """The last answer of each."""
        return {c.host: c.value for c in list(self.changes) if c.what == what and c.value != "-"}

    def named(self, after: float, old: str, count: int) -> tuple[float, str] | None:
        """When `count` Sentinels had come to name another than `old`, and whom."""
        names: dict[str, str] = {}
        for c in list(self.changes):
            if c.what != "name" or c.value == "-":
                continue
            names[c.host] = c.value
            others = [v for v in names.values() if v != old]
            if c.t > after and others and others.count(c.value) >= count and c.value != old:
                return c.t, c.value
        return None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join(timeout=2)


def missing(redis: Resp, keys: Sequence[str]) -> set[str]:
    """Those of the keys that this Redis does not have."""
    found: set[str] = set()
    for at in range(0, len(keys), MGET_KEYS):
        part = keys[at : at + MGET_KEYS]
        values = redis("MGET", *part)
        found.update(k for k, v in zip(part, values, strict=True) if v is None)
    return found


def longest_gap_s(acks: Sequence[Ack], since: float) -> float:
    """Between two acknowledged writes, whoever made them, of which the later one is after
    `since`."""
    times = [a.t for a in acks]
    pairs = zip(times, times[1:], strict=False)
    return max((b - a for a, b in pairs if b > since), default=0.0)


def longest_gap_of_a_client_s(acks: Sequence[Ack], since: float) -> float:
    clients: dict[str, list[Ack]] = {}
    for ack in acks:
        clients.setdefault(ack.client, []).append(ack)
    return max((longest_gap_s(of_one, since) for of_one in clients.values()), default=0.0)


def sleep_until(t: float) -> None:
    while (left := t - time.monotonic()) > 0:
        time.sleep(left)
