"""The same against etcd and kube-apiserver: bound tokens, RBAC, admission policy, HTTP/2."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.harness import kube_real
from test.harness.kube_api import KubeApi, Unavailable

from .conftest import MakeTopology
from .history import labels_of, overlaps


@pytest.fixture
def kube() -> Iterator[KubeApi]:
    server = kube_real.KubeServer()
    try:
        server.start()
    except Unavailable as why:
        pytest.skip(str(why))
    yield server
    server.stop()


def test_a_label_follows_a_failover_and_is_repaired(topology: MakeTopology, kube: KubeApi) -> None:
    top = topology()
    old = top.master()
    top.kill_redis(old)
    top.wait(
        lambda: [p for p, role in top.labels().items() if role == "master" and p != old.pod],
        20,
        "another Pod carries the master label",
    )
    top.start_redis(old, None)
    top.wait_settled(30)
    assert overlaps(kube.label_history) <= 1.0
    new = top.master()
    annotations = (kube.get_pod(new.pod) or {})["metadata"]["annotations"]
    assert annotations["redis-pod-agent/role-epoch"] == "1"
    assert annotations["redis-pod-agent/run-id"] == top.status(new)["redis"]["run_id"]

    def told() -> bool:
        return any(
            e["reason"] == "RoleChanged" and e["involvedObject"]["name"] == new.pod
            for e in kube.list_events()
        )

    top.wait(told, 5, "an Event tells of the change")
    kube.set_role(new.pod, "nonsense")
    top.wait_label(new, "master", 5)
    kube.delete_pod(old.pod, grace=30)
    top.wait_label(old, "draining", 5)
    assert None not in labels_of(kube.label_history, new.pod)


def test_watch_history_is_lost(topology: MakeTopology, kube: KubeApi) -> None:
    top = topology(sentinels=1, pods=2)
    replica = next(m for m in top.pods if m is not top.master())
    kube.forget_history()
    kube.set_role(replica.pod, "nonsense")
    top.wait_label(replica, "replica", 20)
    kube.rotate_token(replica.pod)
    kube.set_role(replica.pod, None)
    top.wait_label(replica, "replica", 20)
