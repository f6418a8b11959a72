"""The set that is measured: 3 Redis, 3 Sentinels, each pair in a network namespace, their files
on the disk, with agents or with a subscriber of +switch-master in their place."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from test.chaos.cluster import Cluster
from test.chaos.kube import KubeProcess
from test.chaos.net import Net
from test.harness.resp import ReplyError
from test.harness.topology import AGENT, MASTER, Member, Options

from .load import Load, States, missing, start_feed
from .report import note

MEMBERS = 3
DOWN_AFTER_MS = 5000
REST_TIMEOUT_S = 60
ROUND_TIMEOUT_S = 60
GRACE_S = 30


@functools.cache
def own_agent() -> Path:
    """A copy for the whole run, since a build may replace the binary while it is measured."""
    folder = Path(tempfile.mkdtemp(prefix="redis-pod-agent-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in (AGENT.name, "redis-pod-agent-launch"):
        shutil.copy2(AGENT.parent / name, folder / name)
    return folder / AGENT.name


class Bare(Cluster):
    """Without agents. Labels are the baseline's, and late; nothing waits for them."""

    def labels(self) -> dict[str, str | None]:
        master = self.agreed()
        return {m.pod: "master" if m is master else "replica" for m in self.pods}


class Stage:
    """Owns all of its processes. One round after the other; see rounds()."""

    def __init__(
        self, net: Net, agents: bool, launch: bool = False, append_only: bool = False
    ) -> None:
        self.net = net
        self.agents = agents
        self.folder = Path(tempfile.mkdtemp(prefix="redis-pod-agent-bench-"))
        self._kube = KubeProcess()
        self.kube: Any = self._kube.proxy
        self._closers: list[Callable[[], None]] = []
        options = Options(
            agent=own_agent(), agents=agents, engine=True, down_after_ms=DOWN_AFTER_MS
        )
        make = Cluster if agents else Bare
        self.cluster = make(self._kube.kube, net, options, append_only, launch and agents)
        self.cluster.keep_folder = True  # removed by stop()
        try:
            for member in self.cluster.pods:
                self.kube.create_pod(member.pod, ip=member.host)
            self.cluster.start()
            redis = [f"{m.host}:{m.redis_port}" for m in self.cluster.pods]
            sentinels = [f"{m.host}:{m.sentinel_port}" for m in self.cluster.sentinels]
            self.states = States(redis, sentinels)
            self._closers.append(self.states.close)
            if not agents:
                self._start_patcher()
        except BaseException:
            self.stop()
            raise

    @property
    def sentinel_hosts(self) -> list[str]:
        return [m.host for m in self.cluster.sentinels]

    def _start_patcher(self) -> None:
        patcher = start_feed(["patch", self._kube.url, self._kube.token, *self.sentinel_hosts])
        self._closers.append(lambda: (patcher.kill(), patcher.wait(), None)[-1])

    def stop(self) -> None:
        self.net.heal()
        for close in reversed(self._closers):
            close()
        self.cluster.stop()
        self._kube.stop()
        shutil.rmtree(self.cluster.folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- clients ------------------------------------------------------------------------------

    def label_clients(self, name: str, clients: int, interval_us: int) -> Load:
        """They follow the label, as clients of a Service do."""
        return self._load(name, clients, interval_us, ("label", self._kube.url, self._kube.token))

    def sentinel_clients(self, name: str, clients: int, interval_us: int) -> Load:
        return self._load(name, clients, interval_us, ("sentinel", *self.sentinel_hosts))

    def clients_of(self, name: str, clients: int, interval_us: int, member: Member) -> Load:
        """They never go elsewhere. The caller closes it."""
        host, port = member.host, member.redis_port
        return Load(self.folder, name, clients, interval_us, host=host, port=port)

    def _load(self, name: str, clients: int, interval_us: int, feed: Sequence[str]) -> Load:
        load = Load(self.folder, name, clients, interval_us, feed)
        self._closers.append(load.close)
        return load

    # --- looking ------------------------------------------------------------------------------

    def rest(self) -> Member:
        """The master, once nothing is amiss and every Sentinel takes the replicas for fit."""
        last: list[str | None] = [None]

        def settled() -> bool:
            last[0] = self.cluster.unsettled()
            return last[0] is None

        try:
            self.cluster.wait(settled, REST_TIMEOUT_S, "all is at rest")
        except AssertionError as error:
            raise AssertionError(f"{error}: {last[0]}") from None
        return self.cluster.master()

    def find(self, host: str) -> Member:
        return next(m for m in self.cluster.pods if m.host == host)

    def wait_named(self, after: float, old: Member, count: int = MEMBERS) -> tuple[float, Member]:
        """When so many Sentinels named another."""
        t, host = self.cluster.wait(
            lambda: self.states.named(after, old.host, count),
            ROUND_TIMEOUT_S,
            f"{count} Sentinels name another master than {old.pod}",
        )
        return t, self.find(host)

    def wait_label(self, after: float, old: Member) -> float:
        """When the label master of another was stored."""
        found = self.cluster.wait(
            lambda: [
                c.t for c in self.kube.changes(after) if c.label == "master" and c.pod != old.pod
            ],
            ROUND_TIMEOUT_S,
            f"another than {old.pod} is labelled master",
        )
        return float(found[0])

    def wait_role(self, member: Member, role: str, after: float) -> float:
        found = self.cluster.wait(
            lambda: self.states.first("role", member.host, role, after),
            ROUND_TIMEOUT_S,
            f"ROLE of {member.pod} is {role}",
        )
        return float(found)

    def missing(self, member: Member, keys: Sequence[str]) -> set[str]:
        with self.cluster.redis(member, 10) as redis:
            return missing(redis, keys)

    def forget_keys(self) -> None:
        """Between rounds, so that no round is slower than the one before it."""
        master = self.cluster.agreed()
        if master is not None:
            self.cluster.ask(master, "FLUSHALL", "ASYNC")

    # --- doing --------------------------------------------------------------------------------

    def start_redis(self, member: Member, empty: bool = False) -> None:
        """From its own files. Without agents, a redis.conf that says nothing of a master."""
        if empty:
            self.cluster.empty_redis(member, and_conf=False)
        self.cluster.start_redis(member, None)

    def restart_agent(self, member: Member) -> None:
        self.cluster.kill_agent(member, whole=True)
        self.cluster.start_agent(member)

    def force_failover(self) -> None:
        """As a person does it; another Sentinel, where one refuses."""
        for sentinel in self.cluster.sentinels:
            try:
                self.cluster.failover(sentinel)
                return
            except (OSError, ReplyError) as error:
                note(f"SENTINEL FAILOVER {MASTER}: {error}")
        raise AssertionError("every Sentinel refuses SENTINEL FAILOVER")

    def replace_pod(self, member: Member) -> None:
        """What is left of a Pod ends, and a new one of its name starts with the old volume."""
        for kind in ("redis", "sentinel", "agent"):
            process = getattr(member, kind)
            if process is not None:
                process.stop()
        if self.kube.get_pod(member.pod) is not None:
            self.kube.delete_pod(member.pod, 0)
        self.kube.create_pod(member.pod, ip=member.host)
        if self.agents:
            self.kube.rotate_token(member.pod)  # the old one was the old Pod's
            self.cluster.start_agent(member)
        self.cluster.start_redis(member, None)
        self.cluster.start_sentinel(member)


class BusyLoops:
    """Other work on the machine."""

    def __init__(self, count: int) -> None:
        argv = ["sh", "-c", "while :; do :; done"]
        self._loops = [subprocess.Popen(argv) for _ in range(count)]

    def stop(self) -> None:
        for loop in self._loops:
            loop.kill()
            loop.wait()


class Rounds:
    """Runs rounds of one kind. A stage on which one failed is left, its logs are kept."""

    def __init__(
        self, make: Callable[[], Stage], play: Callable[[Stage, int], None], what: str
    ) -> None:
        self._make = make
        self._play = play
        self._what = what
        self.failures: list[str] = []
        self.done = 0

    def run(self, count: int, end_s: float | None = None) -> None:
        """No round is begun after end_s (time.monotonic())."""
        stage: Stage | None = None
        try:
            for i in range(count):
                if end_s is not None and time.monotonic() >= end_s and self.done:
                    break
                if len(self.failures) > 2 and len(self.failures) > self.done:
                    break
                try:
                    stage = stage or self._make()
                    self._play(stage, i)
                    self.done += 1
                except (AssertionError, OSError) as error:
                    self._fail(stage, i, str(error))
                    if stage is not None:
                        stage.stop()
                    stage = None
                if self.done % 20 == 0 and self.done:
                    note(f"{self._what}: {self.done} of {count}")
        finally:
            if stage is not None:
                stage.stop()

    def _fail(self, stage: Stage | None, i: int, why: str) -> None:
        self.failures.append(why)
        note(f"{self._what}: round {i}: {why}")
        if stage is not None:
            kept = Path(tempfile.mkdtemp(prefix="redis-pod-agent-bench-failed-"))
            stage.cluster.save_logs(kept)
            note(f"  logs: {kept}")


def at_most(counts: dict[str, int], rounds: int | None) -> dict[str, int]:
    return {what: min(n, rounds or n) for what, n in counts.items()}
