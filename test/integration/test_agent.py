"""One agent and what happens to it: crashes, hands that edit, an API server that fails."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time

import pytest

from test.harness.kube_fake import KubeServer
from test.harness.procs import Process
from test.harness.topology import Member, Topology

from .conftest import MakeTopology
from .history import labels_of, overlaps

STOP_S = 1.0


def worker_of(process: Process | None) -> int:
    assert process is not None
    (pid,) = process.children()
    return pid


def replica_of(top: Topology) -> Member:
    master = top.master()
    return next(m for m in top.pods if m is not master)


def check_of(body: str, name: str) -> str:
    return next(line for line in body.splitlines() if line[3:].startswith(f"{name} "))


class Prober(threading.Thread):
    """What kubelet does, a hundred times as often, on a new connection each time."""

    def __init__(self, member: Member, path: str) -> None:
        super().__init__(daemon=True)
        self.member, self.path = member, path
        self.answers: list[int | str] = []
        self.slowest_s = 0.0
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                c = http.client.HTTPConnection(self.member.host, self.member.http_port, timeout=2)
                c.request("GET", self.path)
                self.answers.append(c.getresponse().status)
                c.close()
            except OSError as error:
                self.answers.append(type(error).__name__)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self._stopping.wait(0.01)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


def test_kubelet_sees_nothing_of_a_crashed_worker(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology()
    master = top.master()
    writes, began = len(kube.writes), time.monotonic()
    prober = Prober(master, "/livez")
    prober.start()
    old = worker_of(master.agent)
    os.kill(old, signal.SIGKILL)

    def replaced() -> bool:
        with contextlib.suppress(ValueError):
            return worker_of(master.agent) != old
        return False

    top.wait(replaced, 5, "a new worker")
    top.wait(lambda: top.status(master)["role"]["state"] == "master", 5, "proven again")
    prober.stop()
    # A request that the worker had already taken dies with it; none is refused or left waiting.
    # The end of a connection whose process dies: a reset, or a close without an answer.
    cut = [a for a in prober.answers if a in ("ConnectionResetError", "RemoteDisconnected")]
    assert set(prober.answers) - set(cut) <= {200}
    assert len(cut) <= 1
    assert prober.slowest_s < 1
    assert top.status(master)["worker_restarts"] == 1
    assert labels_of(kube.label_history, master.pod, began) == []
    assert [w for w in kube.writes[writes:] if w.pod == master.pod] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_quick_and_changes_no_label(
    topology: MakeTopology, kube: KubeServer, number: signal.Signals
) -> None:
    top = topology()
    writes = len(kube.writes)
    for member in top.pods:
        assert member.agent is not None
        began = time.monotonic()
        member.agent.signal(number)
        assert member.agent.popen.wait(5) == 0
        assert time.monotonic() - began < STOP_S
        assert top.logged(member)[-1]["msg"] == "stopped"
    assert len(kube.writes) == writes


def test_the_worker_dies_with_its_parent(topology: MakeTopology) -> None:
    top = topology()
    member = top.pods[0]
    pid = worker_of(member.agent)
    assert member.agent is not None
    member.agent.kill()
    top.wait(lambda: not os.path.exists(f"/proc/{pid}"), 5, "the worker is gone")


def test_a_label_edited_by_hand_is_repaired(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology()
    replica, master = replica_of(top), top.master()
    for member, wrong in ((replica, "master"), (replica, None), (master, "nonsense")):
        right = top.labels()[member.pod]
        assert right is not None
        kube.set_role(member.pod, wrong)
        top.wait_label(member, right, 5)
    top.wait_settled(10)
    assert overlaps(kube.label_history) <= 1.0


def test_a_fence_takes_the_pod_out_until_it_is_lifted(
    topology: MakeTopology, kube: KubeServer
) -> None:
    top = topology()
    master = top.master()
    fence = "redis-pod-agent/fence"
    kube.patch_pod(master.pod, {"metadata": {"annotations": {fence: "true"}}})
    top.wait_label(master, "fenced", 5)
    status, body = top.get(master, "/readyz")
    assert status == 503
    assert "fence" in check_of(body, "role")
    kube.patch_pod(master.pod, {"metadata": {"annotations": {fence: None}}})
    top.wait_label(master, "master", 5)


def test_a_terminating_replica_drains_and_a_terminating_master_does_not(
    topology: MakeTopology, kube: KubeServer
) -> None:
    top = topology()
    replica, master = replica_of(top), top.master()
    kube.delete_pod(replica.pod, grace=30)
    top.wait_label(replica, "draining", 5)
    assert top.get(replica, "/readyz")[0] == 503
    kube.delete_pod(master.pod, grace=30)
    top.wait(lambda: top.status(master)["terminating"], 5, "the agent knows that its Pod ends")
    assert top.labels()[master.pod] == "master"
    assert top.get(master, "/readyz")[0] == 200


def test_a_pod_of_the_same_name_is_not_touched(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology()
    replica = replica_of(top)
    kube.delete_pod(replica.pod)
    kube.create_pod(replica.pod, ip=replica.host, labels={"role": "other"})
    top.wait(
        lambda: top.status(replica)["label"]["foreign"], 5, "the agent sees that it is another"
    )
    assert top.labels()[replica.pod] == "other"


def test_a_frozen_redis_costs_a_probe_nothing(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(down_after_ms=30000)
    replica = replica_of(top)
    assert replica.redis is not None
    prober = Prober(replica, "/readyz")
    prober.start()
    replica.redis.freeze()
    top.wait(lambda: top.get(replica, "/readyz")[0] == 503, 6, "not ready without proof")
    top.wait_label(replica, "pending", 3)
    replica.redis.thaw()
    top.wait_label(replica, "replica", 10)
    prober.stop()
    assert set(prober.answers) == {200, 503}
    assert prober.slowest_s < 0.5
    assert top.get(replica, "/livez")[0] == 200


def test_a_busy_redis_is_alive_but_not_ready(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(down_after_ms=30000, redis_args=["--lua-time-limit", "100"])
    replica = replica_of(top)
    began = time.monotonic()
    with top.redis(replica, timeout_s=30) as redis:
        redis.send("EVAL_RO", "while true do end", "0")
        top.wait(lambda: top.get(replica, "/readyz")[0] == 503, 6, "not ready while busy")
        assert "BUSY" in check_of(top.get(replica, "/readyz")[1], "redis")
        assert top.get(replica, "/startupz")[0] == 200
        top.ask(replica, "SCRIPT", "KILL")
    top.wait(lambda: top.get(replica, "/readyz")[0] == 200, 6, "ready again")
    assert "pending" not in labels_of(kube.label_history, replica.pod, began)


def test_a_wrong_password_is_told_and_a_right_one_is_picked_up(topology: MakeTopology) -> None:
    top = topology(password="first")
    replica = replica_of(top)
    path = top.folder / "redis.password"
    for member in top.pods:
        top.ask(member, "CONFIG", "SET", "requirepass", "second", "masterauth", "second")
    top.options.password = "second"
    top.restart_agent(replica)
    top.wait_label(replica, "pending", 10)
    assert "credentials" in top.get(replica, "/readyz?verbose")[1]
    fresh = path.with_suffix(".new")
    fresh.write_text("second\n", encoding="utf-8")
    fresh.rename(path)
    top.wait_label(replica, "replica", 10)


def failover_with_the_api_in_trouble(top: Topology, old: Member) -> Member:
    top.kill_redis(old)

    def promoted() -> Member | None:
        return next((m for m in top.pods if m is not old and is_master(top, m)), None)

    new = top.wait(promoted, 20, "an agent knows that its Redis is the master")
    assert isinstance(new, Member)
    assert top.get(new, "/master")[0] == 200, "the answer does not wait for the API"
    return new


def is_master(top: Topology, member: Member) -> bool:
    return bool(top.status(member)["role"]["state"] == "master")


def test_the_api_server_is_down_during_a_failover(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology()
    old = top.master()
    kube.refuse()
    new = failover_with_the_api_in_trouble(top, old)
    kube.accept()
    top.wait_label(new, "master", 10)
    top.wait_label(old, "pending", 10)
    assert overlaps(kube.label_history) <= 1.0


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("status", {"code": 403}),
        ("status", {"code": 409}),
        ("status", {"code": 429, "retry_after_s": 1}),
        ("status", {"code": 500}),
        ("status", {"code": 503}),
        ("reset", {}),
        ("reset", {"applied": True}),
        ("garbage", {}),
        ("not_http", {}),
        ("huge", {"megabytes": 16}),
        ("truncate", {}),
        ("drip", {}),
    ],
    ids=lambda value: str(value),
)
def test_patches_go_wrong(
    topology: MakeTopology, kube: KubeServer, kind: str, args: dict[str, object]
) -> None:
    top = topology(sentinels=1, pods=2)
    replica = replica_of(top)
    fault = kube.fault(kind, 3, verb="patch", caller=replica.pod, **args)
    kube.set_role(replica.pod, "nonsense")
    top.wait_label(replica, "replica", 15)
    top.wait(lambda: top.status(replica)["label"]["synced"], 10, "the agent knows it")
    assert fault.hits > 0
    assert top.get(replica, "/readyz")[0] == 200


def test_a_token_is_rotated(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(sentinels=1, pods=2)
    replica = replica_of(top)
    kube.revoke_tokens(replica.pod)
    kube.rotate_token(replica.pod)
    kube.set_role(replica.pod, "nonsense")
    kube.close_watches()
    top.wait_label(replica, "replica", 15)


def test_watch_history_is_lost(topology: MakeTopology, kube: KubeServer) -> None:
    """410: what happened meanwhile is learned from a new list."""
    top = topology(sentinels=1, pods=2)
    replica = replica_of(top)
    kube.drop_changes()
    kube.set_role(replica.pod, "nonsense")
    kube.resume_changes()
    top.wait_label(replica, "replica", 15)


def test_a_bystander_writes_nothing(topology: MakeTopology, kube: KubeServer) -> None:
    """Nobody changes: over two seconds of cadence there is no write at all."""
    top = topology()
    writes = len(kube.writes)
    began = top.status(top.pods[0])["up_ms"]
    top.wait(lambda: top.status(top.pods[0])["up_ms"] > began + 2000, 10, "two seconds")
    assert len(kube.writes) == writes


def test_replication_mode_follows_role(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(agents=False)
    first, second = top.pods[0], top.pods[1]
    for member in top.sentinels:
        assert member.sentinel is not None
        member.sentinel.kill()
    for member in top.pods:
        top.start_agent(member, "--sentinel-addrs=", "--sentinel-count=0", "--mode=replication")
    top.wait_label(first, "master", 10)
    top.wait_label(second, "replica", 10)
    top.ask(first, "REPLICAOF", second.host, str(second.redis_port))
    top.ask(second, "REPLICAOF", "NO", "ONE")
    top.wait_label(second, "master", 10)
    top.wait_label(first, "replica", 10)


def test_log_lines_are_json_and_name_no_secret(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(password="a-secret-of-redis")
    master = top.master()
    top.restart_agent(master)
    top.wait_settled(10)
    assert master.agent is not None
    output = master.agent.output()
    assert len(top.logged(master)) == len(output.splitlines())
    for line in top.logged(master):
        assert {"ts", "level", "mod", "msg"} <= line.keys()
    token = (kube.folder / "pods" / master.pod / "token").read_text(encoding="ascii")
    assert "a-secret-of-redis" not in output
    assert token not in output
