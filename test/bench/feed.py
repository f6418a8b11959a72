"""Where clients write to, and the baseline's label. A process of its own, so that nothing else
delays it; what it prints is what write_load reads.

    feed.py label URL TOKEN                 to whom the label points, by a watch, as kube-proxy
    feed.py sentinel ADDRESS...             to whom the Sentinels point, by +switch-master
    feed.py patch URL TOKEN ADDRESS...      no client: patches the label at +switch-master
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from test.harness.kube_api import NAMESPACE
from test.harness.kube_client import KubeClient, Watch, ok
from test.harness.resp import ReplyError, Resp
from test.harness.topology import MASTER, REDIS_PORT, SENTINEL_PORT

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
RETRY_S = 0.01
WATCH_TIMEOUT_S = 3.0


def tell(verb: str, address: str) -> None:
    print(f"{verb} {address} {REDIS_PORT}", flush=True)


class LabelFeed:
    """The Pod that got the label last. While nobody has it, connections still go to the last."""

    def __init__(self, url: str, token: str) -> None:
        self._client = KubeClient(url, token=token, timeout_s=WATCH_TIMEOUT_S)
        self._roles: dict[str, str | None] = {}
        self._told = ""

    def run(self) -> None:
        while True:
            try:
                listed = ok(self._client.get(PODS))
                for pod in listed["items"]:
                    self._take("MODIFIED", pod)
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
        finally:
            watch.close()

    def _take(self, kind: str, pod: dict) -> None:
        name, address = pod["metadata"]["name"], pod.get("status", {}).get("podIP", "")
        role = pod["metadata"].get("labels", {}).get("role") if kind != "DELETED" else None
        before, self._roles[name] = self._roles.get(name), role
        if role == "master" and before != "master" and address and address != self._told:
            self._told = address
            tell("to", address)


class Switches:
    """Calls back with the master's address, once at first and then at each +switch-master that
    names another than before; the first Sentinel that says so counts."""

    def __init__(self, sentinels: list[str], on_master: Callable[[str], None]) -> None:
        self._sentinels = sentinels
        self._on_master = on_master
        self._lock = threading.Lock()
        self._master = ""

    def run(self) -> None:
        threads = [
            threading.Thread(target=self._listen, args=(address,), daemon=True)
            for address in self._sentinels
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _listen(self, address: str) -> None:
        first = True
        while True:
            try:
                with Resp(address, SENTINEL_PORT) as sentinel:
                    if first:
                        reply = sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
                        self._note(reply[0])
                        first = False
                    sentinel.subscribe("+switch-master")
                    sentinel.set_timeout(None)
                    for _, payload in sentinel.messages():
                        self._note(payload.split()[3])
            except (OSError, ReplyError):
                time.sleep(RETRY_S)

    def _note(self, address: str) -> None:
        with self._lock:
            if address != self._master:
                self._master = address
                self._on_master(address)


class Patcher:
    """What careful sidecars do today: the label follows +switch-master, and nothing more."""

    def __init__(self, url: str, token: str) -> None:
        self._client = KubeClient(url, token=token)
        self._master: str | None = None

    def on_master(self, address: str) -> None:
        pods = ok(self._client.get(PODS))["items"]
        names = {pod.get("status", {}).get("podIP"): pod["metadata"]["name"] for pod in pods}
        if address not in names:
            return
        new, old = names[address], self._master
        self._label(new, "master")
        self._master = new
        if old is not None:
            self._label(old, "replica")

    def _label(self, pod: str, role: str) -> None:
        body = {"metadata": {"labels": {"role": role}}}
        answer = self._client.patch(f"{PODS}/{pod}", body)
        assert answer.status in (200, 404), answer.body


def main() -> None:
    mode, *rest = sys.argv[1:]
    match mode:
        case "label":
            LabelFeed(*rest).run()
        case "sentinel":
            Switches(rest, lambda address: tell("move", address)).run()
        case "patch":
            url, token, *sentinels = rest
            Switches(sentinels, Patcher(url, token).on_master).run()


if __name__ == "__main__":
    main()
