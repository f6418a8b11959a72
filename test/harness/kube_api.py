"""What the stand-in and the real API server have in common: the interface that tests use, the
names of the manifests in k8s/base, and the shape of a Pod.

    with kube_fake.KubeServer() as kube:        # or kube_real.KubeServer()
        pod = kube.create_pod("redis-0", ip="127.0.0.2")
        run([agent, "run", *kube.agent_args("redis-0")])

Nothing runs the Pods: there is no kubelet, and the node they name does not exist.
"""

from __future__ import annotations

import abc
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from .kube_client import Json, KubeClient

NAMESPACE = "redis"
SERVICE_ACCOUNT = "redis-pod-agent"  # k8s/base/rbac.yaml
PREFIX = "redis-pod-agent/"  # of our annotations
NODE = "node-0"


class Unavailable(Exception):
    """This machine cannot run the server; the text says in one line why and what helps."""


class LabelChange(NamedTuple):
    pod: str
    label: str | None  # None: the label is absent, or the Pod is gone
    t: float  # time.monotonic()


def set_of(pod_name: str) -> str:
    """The StatefulSet whose Pod would have this name."""
    return pod_name.rpartition("-")[0] or pod_name


def set_uid(namespace: str, set_name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{set_name}.{namespace}"))


def pod_body(
    name: str,
    namespace: str = NAMESPACE,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    ordinal: int | None = None,
    owner_uid: str | None = None,
    service_account: str = SERVICE_ACCOUNT,
) -> Json:
    """A Pod as the StatefulSet controller creates it, already bound to a node.

    Bound, because the API server removes a Pod without a node at once, whatever the grace."""
    set_name = set_of(name)
    if ordinal is None:
        tail = name.rpartition("-")[2]
        ordinal = int(tail) if tail.isdecimal() else 0
    owner = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": set_name,
        "uid": owner_uid or set_uid(namespace, set_name),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/name": "redis",
                "app.kubernetes.io/instance": set_name,
                "apps.kubernetes.io/pod-index": str(ordinal),
                "statefulset.kubernetes.io/pod-name": name,
                **(labels or {}),
            },
            "annotations": dict(annotations or {}),
            "ownerReferences": [owner],
        },
        "spec": {
            "hostname": name,
            "subdomain": f"{set_name}-headless",
            "serviceAccountName": service_account,
            "nodeName": NODE,
            "terminationGracePeriodSeconds": 30,
            "containers": [{"name": "redis", "image": "redis"}],
        },
    }


def pod_status(ip: str) -> Json:
    return {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}


class LabelRecorder:
    """Appends to `history` what a series of Pods, as stored, makes of the role label."""

    def __init__(self, history: list[LabelChange], role_label: str) -> None:
        self.history = history
        self.role_label = role_label
        self._last: dict[str, str | None] = {}

    @property
    def known(self) -> set[str]:
        """The Pods that were stored and not removed."""
        return set(self._last)

    def stored(self, pod: Json, t: float) -> None:
        name = pod["metadata"]["name"]
        label = pod["metadata"].get("labels", {}).get(self.role_label)
        before = self._last.get(name)
        self._last[name] = label
        if label != before:
            self.history.append(LabelChange(name, label, t))

    def removed(self, name: str, t: float) -> None:
        if self._last.pop(name, None) is not None:
            self.history.append(LabelChange(name, None, t))


class KubeApi(abc.ABC):
    """An API server with the manifests of k8s/base applied, and the hand that a kubelet and an
    administrator would be. Started once; a context manager stops it and removes its folder."""

    def __init__(self, namespace: str = NAMESPACE, role_label: str = "role") -> None:
        self.namespace = namespace
        self.role_label = role_label
        self.url = ""
        self.ca_file: str | None = None
        self.admin_token = ""
        self.label_history: list[LabelChange] = []
        self.folder = Path()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def make_folder(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="redis-pod-agent-kube-"))

    def remove_folder(self) -> None:
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = Path()

    @abc.abstractmethod
    def start(self) -> Self:
        """Returns when requests are answered and the policy is in force. Unavailable, where
        this machine lacks a binary."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Idempotent."""

    @abc.abstractmethod
    def create_pod(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        ordinal: int | None = None,
        ip: str | None = None,
        owner_uid: str | None = None,
        service_account: str = SERVICE_ACCOUNT,
    ) -> Json:
        """A Pod NAME = SET-ORDINAL, with status.podIP where ip is given; returns it."""

    @abc.abstractmethod
    def delete_pod(self, name: str, grace: int = 0) -> None:
        """grace 0 removes the Pod. Otherwise it gets its deletionTimestamp, `grace` seconds from
        now, and stays until it is removed by a second call, as it would by kubelet."""

    @abc.abstractmethod
    def get_pod(self, name: str) -> Json | None:
        """None: there is no such Pod."""

    @abc.abstractmethod
    def list_pods(self) -> list[Json]: ...

    @abc.abstractmethod
    def patch_pod(self, name: str, body: Json) -> Json:
        """A JSON merge patch with an administrator's rights; returns the Pod."""

    @abc.abstractmethod
    def list_events(self) -> list[Json]: ...

    @abc.abstractmethod
    def new_token(self, pod_name: str) -> str:
        """A token of the Pod's service account, bound to the Pod (TokenRequest)."""

    @abc.abstractmethod
    def clear(self) -> None:
        """Removes all Pods, Events, token files and what was recorded."""

    @abc.abstractmethod
    def forget_history(self) -> None:
        """From now on a watch from an earlier resourceVersion is too old (410), and those that
        are open end."""

    def client(self, token: str | None) -> KubeClient:
        """A client with this token (None: anonymous); the caller closes it."""
        return KubeClient(self.url, self.ca_file, token)

    def pod_client(self, pod_name: str) -> KubeClient:
        """A client with the rights of the agent of this Pod."""
        return self.client(Path(self.token_file(pod_name)).read_text(encoding="ascii"))

    def set_role(self, name: str, role: str | None) -> Json:
        """Edits the role label as a person would; None removes it."""
        return self.patch_pod(name, {"metadata": {"labels": {self.role_label: role}}})

    def role_of(self, name: str) -> str | None:
        pod = self.get_pod(name)
        return None if pod is None else pod["metadata"].get("labels", {}).get(self.role_label)

    def roles(self) -> dict[str, str | None]:
        return {
            pod["metadata"]["name"]: pod["metadata"].get("labels", {}).get(self.role_label)
            for pod in self.list_pods()
        }

    def token_file(self, pod_name: str) -> str:
        """The file that kubelet would mount into the Pod; made by the first call."""
        path = self.folder / "pods" / pod_name / "token"
        if not path.exists():
            self.rotate_token(pod_name)
        return str(path)

    def rotate_token(self, pod_name: str) -> None:
        """Replaces the token file in one step, as kubelet does."""
        path = self.folder / "pods" / pod_name / "token"
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(self.new_token(pod_name), encoding="ascii")
        fresh.rename(path)

    def agent_args(self, pod_name: str) -> list[str]:
        """The options with which the agent of this Pod finds the server and itself."""
        pod = self.get_pod(pod_name)
        if pod is None:
            raise KeyError(pod_name)
        args = [
            f"--kube-url={self.url}",
            f"--kube-token-file={self.token_file(pod_name)}",
            f"--pod-name={pod_name}",
            f"--pod-namespace={self.namespace}",
            f"--pod-uid={pod['metadata']['uid']}",
        ]
        if self.ca_file:
            args.append(f"--kube-ca-file={self.ca_file}")
        if ip := pod.get("status", {}).get("podIP"):
            args.append(f"--pod-ip={ip}")
        return args

    def pods_path(self, name: str = "") -> str:
        base = f"/api/v1/namespaces/{self.namespace}/pods"
        return f"{base}/{name}" if name else base

    def events_path(self, name: str = "") -> str:
        base = f"/api/v1/namespaces/{self.namespace}/events"
        return f"{base}/{name}" if name else base
