"""The real API server: etcd and kube-apiserver with the manifests of k8s/base. See kube_api for
the interface."""

from __future__ import annotations

import http.client
import shutil
import threading
import time
from collections.abc import Mapping
from typing import Self

import yaml

from .control_plane import ROOT, ControlPlane
from .kube_api import (
    NAMESPACE,
    SERVICE_ACCOUNT,
    Json,
    KubeApi,
    LabelRecorder,
    pod_body,
    pod_status,
)
from .kube_client import KubeClient, Response, ok
from .wait import wait_for

MANIFESTS = (ROOT / "k8s/base/rbac.yaml", ROOT / "k8s/base/admission-policy.yaml")
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
CLUSTER_SCOPED = {
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
}
NAMESPACED = {
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "Role": (RBAC, "roles"),
    "RoleBinding": (RBAC, "rolebindings"),
}
POLICY_TIMEOUT_S = 30
CLEAR_TIMEOUT_S = 10
TOKEN_LIFETIME_S = 3600


class KubeServer(KubeApi):
    """label_history is told by an administrator's watch: its times are those of arrival, some
    milliseconds after the write was stored.

    apiserver_args are appended to kube-apiserver's own, e.g. --goaway-chance=0.02."""

    def __init__(
        self,
        namespace: str = NAMESPACE,
        role_label: str = "role",
        apiserver_args: tuple[str, ...] = (),
    ) -> None:
        super().__init__(namespace, role_label)
        self.apiserver_args = apiserver_args
        self._plane: ControlPlane | None = None
        self._admin: KubeClient | None = None
        self._admin_lock = threading.Lock()  # one connection, any thread
        self._watcher: threading.Thread | None = None
        self._recorder = LabelRecorder(self.label_history, role_label)
        self._stopping = threading.Event()

    # --- start and stop ---------------------------------------------------------------------

    def start(self) -> Self:
        self.make_folder()
        self._stopping.clear()
        self._plane = ControlPlane(self.folder, self.apiserver_args)
        try:
            self._plane.start()
            self.url, self.ca_file = self._plane.url, self._plane.ca_file
            self.admin_token = self._plane.admin_token
            self._admin = self.client(self.admin_token)
            self._apply_manifests()
            self._await_policy()
            self._start_watcher()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._stopping.set()
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._plane is not None:
            self._plane.stop()  # which ends the watcher's connection, too
            self._plane = None
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        self.remove_folder()

    def _apply_manifests(self) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        ok(self.admin("POST", "/api/v1/namespaces", namespace))
        for path in MANIFESTS:
            for item in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                kind = item["kind"]
                if kind in NAMESPACED:
                    root, plural = NAMESPACED[kind]
                    where = f"{root}/namespaces/{self.namespace}/{plural}"
                    # As kustomize does for the namespace of an overlay.
                    for subject in item.get("subjects", []):
                        subject["namespace"] = self.namespace
                else:
                    where = CLUSTER_SCOPED[kind]
                ok(self.admin("POST", where, item))

    def _await_policy(self) -> None:
        """RBAC and policies are read by watches of the server's own: a moment passes."""
        self.create_pod("policy-0")
        probe = self.client(self.new_token("policy-0"))
        body = {"metadata": {"labels": {"policy": "absent"}}}
        try:
            wait_for(
                lambda: probe.patch(self.pods_path("policy-0"), body, dryRun="All").status == 422,
                POLICY_TIMEOUT_S,
                "the admission policy is in force",
            )
        finally:
            probe.close()
        self.delete_pod("policy-0")

    # --- what a watch of our own tells --------------------------------------------------------

    def _start_watcher(self) -> None:
        version = ok(self.admin("GET", self.pods_path()))["metadata"]["resourceVersion"]
        self._watcher = threading.Thread(target=self._watch, args=(version,), daemon=True)
        self._watcher.start()

    def _watch(self, version: str) -> None:
        client = self.client(self.admin_token)
        while not self._stopping.is_set():
            try:
                watch = client.watch(self.pods_path(), resourceVersion=version)
                watch.deadline_s = 3600
                for event in watch:
                    t = time.monotonic()
                    if event["type"] == "ERROR":
                        version = ""  # a restarted server: begin with what there is
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] == "DELETED":
                        self._recorder.removed(event["object"]["metadata"]["name"], t)
                    else:
                        self._recorder.stored(event["object"], t)
                watch.close()
            except (OSError, http.client.HTTPException):
                self._stopping.wait(0.05)

    # --- the administrator ----------------------------------------------------------------------

    def admin(
        self, method: str, path: str, body: Json | None = None, content_type: str | None = None
    ) -> Response:
        assert self._admin is not None, "the server was not started"
        with self._admin_lock:
            return self._admin.request(method, path, body, content_type or "application/json")

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
        body = pod_body(
            name, self.namespace, labels, annotations, ordinal, owner_uid, service_account
        )
        pod = ok(self.admin("POST", self.pods_path(), body))
        if ip is not None:
            status = {"status": pod_status(ip)}
            pod = self._merge(self.pods_path(name) + "/status", status)
        return pod

    def delete_pod(self, name: str, grace: int = 0) -> None:
        ok(self.admin("DELETE", f"{self.pods_path(name)}?gracePeriodSeconds={grace}"))

    def get_pod(self, name: str) -> Json | None:
        answer = self.admin("GET", self.pods_path(name))
        return None if answer.status == 404 else ok(answer)

    def list_pods(self) -> list[Json]:
        return ok(self.admin("GET", self.pods_path()))["items"]

    def patch_pod(self, name: str, body: Json) -> Json:
        return self._merge(self.pods_path(name), body)

    def list_events(self) -> list[Json]:
        return ok(self.admin("GET", self.events_path()))["items"]

    def new_token(self, pod_name: str) -> str:
        pod = self.get_pod(pod_name)
        if pod is None:
            raise KeyError(pod_name)
        bound = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod_name,
            "uid": pod["metadata"]["uid"],
        }
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_LIFETIME_S, "boundObjectRef": bound},
        }
        account = pod["spec"]["serviceAccountName"]
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
        return ok(self.admin("POST", path, request))["status"]["token"]

    def clear(self) -> None:
        ok(self.admin("DELETE", f"{self.pods_path()}?gracePeriodSeconds=0"))
        ok(self.admin("DELETE", self.events_path()))
        wait_for(lambda: not self._recorder.known, CLEAR_TIMEOUT_S, "all Pods are seen to go")
        shutil.rmtree(self.folder / "pods", ignore_errors=True)
        self.label_history.clear()

    def forget_history(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Ends kube-apiserver and starts it again, at the same address, with the same data."""
        assert self._plane is not None, "the server was not started"
        self._plane.restart_apiserver()

    def _merge(self, path: str, body: Json) -> Json:
        return ok(self.admin("PATCH", path, body, "application/merge-patch+json"))
