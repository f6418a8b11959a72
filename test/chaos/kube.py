"""The stand-in for the API server in a process of its own, on the bridge's second address.

Its own process, because what it stores is timed, and the rest of a chaos run keeps Python busy.
"""

from __future__ import annotations

import signal
import socket
from multiprocessing.managers import BaseManager, BaseProxy
from typing import Any, Self, cast

from test.harness.kube_api import KubeApi, LabelChange
from test.harness.kube_fake import KubeServer
from test.harness.procs import die_with_parent

from .net import API


class BridgeKube(KubeServer):
    """A KubeServer that listens on the bridge."""

    def start(self) -> Self:
        super().start()
        self.url = f"http://{API}:{self.port}"
        return self

    @staticmethod
    def _bound_socket(port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((API, port))
        return bound

    def changes(self, after: float) -> list[LabelChange]:
        return [change for change in self.label_history if change.t > after]

    def open(self) -> tuple[str, str]:
        """Starts it: its address and an administrator's token."""
        self.start()
        return self.url, self.admin_token


EXPOSED = (
    *("open", "stop", "create_pod", "delete_pod", "get_pod", "list_pods", "patch_pod", "roles"),
    *("agent_args", "rotate_token", "refuse", "accept", "clear", "clear_faults", "changes"),
)


class _Manager(BaseManager):
    pass


_Manager.register("BridgeKube", BridgeKube, exposed=EXPOSED)


def _begin() -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends when its parent does


class KubeProcess:
    """Owns the process; `kube` has the methods of EXPOSED, each of which may be called from any
    thread."""

    def __init__(self) -> None:
        self._manager = _Manager()
        self._manager.start(_begin)
        self.proxy: Any = self._manager.BridgeKube()  # type: ignore[attr-defined]
        assert isinstance(self.proxy, BaseProxy)
        self.url, self.token = self.proxy.open()

    @property
    def kube(self) -> KubeApi:
        return cast(KubeApi, self.proxy)

    def stop(self) -> None:
        self.proxy.stop()
        self._manager.shutdown()
