"""Writers that reach the master through the role label, with a ledger of acknowledged writes."""

from __future__ import annotations

import random
import threading
import time
from typing import NamedTuple

from test.harness.kube_api import NAMESPACE
from test.harness.kube_client import KubeClient, Watch, ok
from test.harness.resp import ReplyError, Resp
from test.harness.topology import REDIS_PORT
from test.harness.wait import wait_for

RETRY_S = 0.002
PACE_S = 0.004
REPLY_TIMEOUT_S = 0.5
WATCH_TIMEOUT_S = 2.0
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


class Ack(NamedTuple):
    """A write that was acknowledged; times are of CLOCK_MONOTONIC, in seconds."""

    sent: float
    t: float  # of the reply
    pod: str
    key: str


class Follower(threading.Thread):
    """Knows who carries the label master, as kube-proxy does: by a watch. Where the API server
    cannot be had, what was known stays."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self.carriers: tuple[tuple[str, str], ...] = ()  # (Pod, address)
        self._client = KubeClient(url, token=token, timeout_s=WATCH_TIMEOUT_S)
        self._pods: dict[str, tuple[str | None, str]] = {}

    def run(self) -> None:
        while True:
            try:
                listed = ok(self._client.get(PODS))
                self._pods.clear()
                for pod in listed["items"]:
                    self._take("MODIFIED", pod)
                self._publish()
                version = listed["metadata"]["resourceVersion"]
                self._follow(self._client.watch(PODS, resourceVersion=version))
            except (OSError, ValueError, AssertionError):
                self._client.close()
                time.sleep(RETRY_S)

    def _follow(self, watch: Watch) -> None:
        try:
            while event := watch.next(WATCH_TIMEOUT_S):
                if event["type"] == "ERROR":
                    return
                self._take(event["type"], event["object"])
                self._publish()
        finally:
            watch.close()

    def _take(self, kind: str, pod: dict) -> None:
        name = pod["metadata"]["name"]
        if kind == "DELETED":
            self._pods.pop(name, None)
            return
        role = pod["metadata"].get("labels", {}).get("role")
        self._pods[name] = (role, pod.get("status", {}).get("podIP", ""))

    def _publish(self) -> None:
        found = [(name, ip) for name, (role, ip) in self._pods.items() if role == "master"]
        self.carriers = tuple(found)


class Writer(threading.Thread):
    """Sets keys that nobody else sets. A sticky one keeps its connection for as long as writes
    succeed, as clients behind a Service do; the others leave a Pod when it loses the label."""

    def __init__(self, name: str, follower: Follower, sticky: bool) -> None:
        super().__init__(daemon=True)
        self.follower = follower
        self.sticky = sticky
        self.prefix: str | None = None  # None: it rests
        self.resting = threading.Event()
        self.ledger: list[Ack] = []
        self._name = name
        self._number = 0
        self._random = random.Random(name)

    def run(self) -> None:
        while True:
            if self.prefix is None:
                self.resting.set()
                time.sleep(RETRY_S)
                continue
            carriers = self.follower.carriers
            if not carriers:
                time.sleep(RETRY_S)
                continue
            pod, address = self._random.choice(carriers)
            try:
                with Resp(address, REDIS_PORT, timeout_s=REPLY_TIMEOUT_S) as redis:
                    self._write(redis, pod, address)
            except (OSError, ReplyError):
                time.sleep(RETRY_S)

    def _write(self, redis: Resp, pod: str, address: str) -> None:
        while (prefix := self.prefix) is not None:
            if not self.sticky and (pod, address) not in self.follower.carriers:
                return
            self._number += 1
            key = f"{prefix}:{self._name}:{self._number}"
            sent = time.monotonic()
            redis("SET", key, "1")
            self.ledger.append(Ack(sent, time.monotonic(), pod, key))
            time.sleep(PACE_S)


class Clients:
    """For child.Child: end() returns the ledger, ordered by time."""

    def __init__(self, url: str, token: str, writers: int) -> None:
        self.follower = Follower(url, token)
        self.follower.start()
        self.writers = [Writer(f"w{i}", self.follower, i % 2 == 1) for i in range(writers)]
        for writer in self.writers:
            writer.start()

    def begin(self, number: int) -> None:
        for writer in self.writers:
            writer.ledger = []
            writer.prefix = f"r{number}"

    def end(self) -> list[Ack]:
        for writer in self.writers:
            writer.resting.clear()
            writer.prefix = None
        for writer in self.writers:
            wait_for(writer.resting.is_set, 5, "a writer rests")
        return sorted((ack for w in self.writers for ack in w.ledger), key=lambda ack: ack.t)
