#!/usr/bin/env python3
"""Writes the files beside this script anew: what a real kube-apiserver answered.

usage: python3 -m test.data.kube.capture

Starts etcd and kube-apiserver as the contract tests do, makes three Pods, and stores a Pod, a
list, a page of a list, a watch with its bookmark, and the Status objects of refusals, byte for
byte.
"""

from __future__ import annotations

import sys
from pathlib import Path

from test.harness.kube_api import Unavailable
from test.harness.kube_real import KubeServer

OUT = Path(__file__).parent
MERGE = "application/merge-patch+json"
BOOKMARK_S = 70  # the server sends one about every minute


class Capture:
    def __init__(self, kube: KubeServer) -> None:
        self.kube = kube

    def save(self, name: str, body: bytes) -> None:
        (OUT / name).write_bytes(body)

    def pods(self) -> None:
        path = self.kube.pods_path
        for i in range(3):
            role = "master" if i == 0 else "replica"
            notes = {
                "redis-pod-agent/role-epoch": str(7),
                "redis-pod-agent/role-since": "2026-01-02T03:04:05Z",
                "redis-pod-agent/run-id": f"{i}123456789abcdef" + 24 * "0",
                "redis-pod-agent/reason": f'named by 3 of 3 Sentinels, "epoch 7" \u2192 {role}',
            }
            self.kube.create_pod(f"redis-{i}", {"role": role}, notes, ip=f"10.0.0.{i}")
        self.save("pod.json", self.kube.admin("GET", path("redis-0")).body)
        self.save("list.json", self.kube.admin("GET", path()).body)
        self.save("list_page.json", self.kube.admin("GET", path() + "?limit=2").body)

    def refusals(self) -> None:
        path = self.kube.pods_path
        client = self.kube.pod_client("redis-1")
        other_uid = b'{"metadata":{"uid":"00000000-0000-0000-0000-000000000000"}}'
        old = b'{"metadata":{"resourceVersion":"1","labels":{"role":"x"}}}'
        self.save("status_403.json", client.delete(path("redis-1")).body)
        self.save("status_404.json", client.get(path("nobody")).body)
        self.save("status_409.json", client.patch(path("redis-1"), old).body)
        self.save("status_400.json", client.get(path(), **{"continue": "e30"}).body)
        self.save("status_422.json", client.patch(path("redis-1"), other_uid).body)

    def watch(self) -> None:
        path = self.kube.pods_path
        client = self.kube.pod_client("redis-1")
        version = client.get(path()).json["metadata"]["resourceVersion"]
        watch = client.watch(path(), resourceVersion=version, allowWatchBookmarks="true")
        self.kube.create_pod("redis-3", {"role": "pending"})
        self.kube.set_role("redis-3", "replica")
        self.kube.delete_pod("redis-3", grace=30)
        self.kube.delete_pod("redis-3", grace=0)
        lines = []
        watch.connection.sock.settimeout(BOOKMARK_S)
        while not lines or b'"BOOKMARK"' not in lines[-1]:
            lines.append(watch.response.readline())
        watch.close()
        gone = client.watch(path(), resourceVersion="1")
        lines.append(gone.response.readline())
        gone.close()
        self.save("watch.txt", b"".join(lines))


def main() -> None:
    try:
        with KubeServer() as kube:
            capture = Capture(kube)
            capture.pods()
            capture.refusals()
            capture.watch()
    except Unavailable as missing:
        sys.exit(f"capture: {missing}")


if __name__ == "__main__":
    main()
