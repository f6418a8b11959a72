"""The label follows the failover: real redis-server, real redis-sentinel, real agents."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from test.harness.follow import RoleProbe, SentinelListener
from test.harness.kube_fake import KubeServer
from test.harness.procs import Process
from test.harness.topology import SENTINELS, Make, Member, Topology

from .conftest import MakeTopology
from .history import labels_of, overlaps, when

FAILOVER_S = 20  # for a failover, on a busy machine
CONVERT_S = 30  # until Sentinel has made the old master a replica (about 10 s)
# From the promotion to the stored label. The bench measures; this only tells "eager" from
# "when +switch-master came", which is 0.9 s or more.
PROMPT_S = 0.6


def wait_new_master(top: Topology, old: Member) -> Member:
    def find() -> Member | None:
        carriers = [m for m in top.pods if top.labels()[m.pod] == "master" and m is not old]
        return carriers[0] if carriers else None

    found = top.wait(find, FAILOVER_S, "another Pod carries the master label")
    assert isinstance(found, Member)
    return found


def kill_master(top: Topology) -> tuple[Member, Member, float]:
    """(old master, new master, when its ROLE turned)"""
    old = top.master()
    probes = [RoleProbe(top, m) for m in top.pods if m is not old]
    for probe in probes:
        probe.start()
    top.kill_redis(old)
    new = wait_new_master(top, old)
    seen = next(p for p in probes if p.member is new)
    top.wait(lambda: seen.flipped is not None, 2, "its probe has seen the promotion")
    for probe in probes:
        probe.stop()
    flipped = next(p.flipped for p in probes if p.member is new)
    assert flipped is not None
    return old, new, flipped


def check_history(top: Topology, kube: KubeServer, limit_s: float = 1.0) -> None:
    assert overlaps(kube.label_history) <= limit_s
    assert top.settled(), top.labels()


def test_kill_9_of_the_master(topology: MakeTopology, kube: KubeServer, make: Make) -> None:
    top = topology(make=make)
    old, new, flipped = kill_master(top)
    assert when(kube.label_history, new.pod, "master", 0) - flipped < PROMPT_S
    epoch = (kube.get_pod(new.pod) or {})["metadata"]["annotations"]["redis-pod-agent/role-epoch"]
    top.wait(top.agreed, FAILOVER_S, "all Sentinels name the new master")
    assert all((top.view(s) or {})["config-epoch"] == epoch for s in top.sentinels)

    restarted = time.monotonic()
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)
    assert "master" not in labels_of(kube.label_history, old.pod, restarted)
    assert labels_of(kube.label_history, old.pod, restarted)[-1] == "replica"
    check_history(top, kube)


def test_sentinel_failover_by_hand(topology: MakeTopology, kube: KubeServer, make: Make) -> None:
    """Two masters by ROLE for ten seconds, but never two by label: the old one is demoted when
    a Sentinel selects another, the new one is proven by the newest configuration."""
    top = topology(make=make)
    old = top.master()
    top.failover(next(s for s in top.sentinels if s is not old))
    new = wait_new_master(top, old)
    assert when(kube.label_history, old.pod, "demoted", 0) < when(
        kube.label_history, new.pod, "master", 0
    )
    top.wait_settled(CONVERT_S)
    check_history(top, kube, limit_s=0)
    events = [e["message"] for e in kube.list_events() if e["involvedObject"]["name"] == new.pod]
    assert sum("-> master" in message for message in events) == 1, events


def test_a_second_failover_right_after_the_first(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(failover_timeout_ms=2000)
    for _ in range(2):
        killed, new, _ = kill_master(top)
        top.start_redis(killed, None)
        top.wait_settled(CONVERT_S)
        assert new is not killed
    check_history(top, kube)


def test_one_sentinel_dead(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology()
    victim = top.sentinels[2]
    assert victim.sentinel is not None
    victim.sentinel.kill()
    old, _, _ = kill_master(top)
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)
    check_history(top, kube)


def test_two_sentinels_dead_hold_the_label(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology()
    master = top.master()
    for member in top.sentinels[1:]:
        assert member.sentinel is not None
        member.sentinel.kill()
    top.wait(
        lambda: top.status(master)["role"]["held_without_proof_for_ms"] is not None,
        10,
        "the agent holds the role for want of proof",
    )
    writes = len(kube.writes)
    status, body = top.get(master, "/readyz?verbose")
    assert status == 200
    assert "is held, for" in body
    assert top.get(master, "/master")[0] == 200
    assert top.labels()[master.pod] == "master"
    assert len(kube.writes) == writes
    for member in top.sentinels[1:]:
        top.start_sentinel(member)
    top.wait(
        lambda: top.status(master)["role"]["held_without_proof_for_ms"] is None, 15, "proven again"
    )


def test_a_replica_is_one_only_after_its_first_sync(
    topology: MakeTopology, kube: KubeServer
) -> None:
    top = topology(redis_args=["--repl-diskless-sync-delay", "3"])
    replica = next(m for m in top.pods if m is not top.master())
    top.kill_redis(replica)
    top.wait_label(replica, "pending", 10)
    (replica.folder / "dump.rdb").unlink()  # with it a partial sync would do
    restarted = time.monotonic()
    top.start_redis(replica, top.master())
    top.wait_label(replica, "replica", 20)
    assert labels_of(kube.label_history, replica.pod, restarted) == ["replica"]
    synced = when(kube.label_history, replica.pod, "replica", restarted)
    assert synced - restarted > 2.5, "labelled before the sync, which waits 3 s, can have begun"


def test_passwords(topology: MakeTopology, kube: KubeServer) -> None:
    secrets = ("one of our's", "Sentinel-s own")
    top = topology(password=secrets[0], sentinel_password=secrets[1])
    old, _, _ = kill_master(top)
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)
    check_history(top, kube)
    for member in top.pods:
        assert member.agent is not None
        assert not any(secret in member.agent.output() for secret in secrets)


def test_host_names(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(host_names=True)
    old, new, flipped = kill_master(top)
    assert when(kube.label_history, new.pod, "master", 0) - flipped < PROMPT_S
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)
    check_history(top, kube)


def test_one_name_for_all_sentinels(topology: MakeTopology, kube: KubeServer) -> None:
    """A majority is of the configured Sentinels, whatever the name resolves to."""
    if os.geteuid() != 0:
        pytest.skip("a hosts file of its own for the agent takes root (unshare --mount)")
    top = topology(one_sentinel_name=True)
    views = top.status(top.pods[0])["sentinel"]["views"]
    assert sorted(v["at"] for v in views) == sorted(f"{s.host}:26379" for s in top.sentinels)
    old, new, flipped = kill_master(top)
    assert when(kube.label_history, new.pod, "master", 0) - flipped < PROMPT_S
    hosts = top.folder / "hosts"
    hosts.write_text(f"{top.sentinels[0].host} {SENTINELS}\n", encoding="utf-8")
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)  # longer than it takes to look the name up again
    status = top.status(new)["sentinel"]
    assert (status["n"], status["fresh"]) == (3, 3), "who answers stays, listed or not"
    check_history(top, kube)


def test_ipv6(topology: MakeTopology, kube: KubeServer) -> None:
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this machine has no IPv6")
    top = topology(ipv6=True)
    old, _, _ = kill_master(top)
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)
    check_history(top, kube)


def test_sentinels_rebuilt_from_nothing(topology: MakeTopology, kube: KubeServer) -> None:
    """Their epoch starts again at 0: it is accepted when a majority has agreed for 10 s."""
    top = topology()
    old, new, _ = kill_master(top)
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)
    for member in top.sentinels:
        assert member.sentinel is not None
        member.sentinel.kill()
        (member.folder / "sentinel.conf").unlink()
    for member in top.sentinels:
        top.start_sentinel(member, new)

    def accepted() -> bool:
        role = top.status(new)["role"]
        return bool(role["state"] == "master" and role["epoch"] == role["token"] == 0)

    top.wait(accepted, 30, "the lower epoch is accepted")
    assert "pending" not in labels_of(kube.label_history, new.pod)
    top.wait(
        lambda: any(e["reason"] == "EpochRegressed" for e in kube.list_events()),
        5,
        "an Event tells of the lower epoch",
    )
    top.wait_settled(20)


def test_the_dead_master_never_restarts(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology()
    old, new, _ = kill_master(top)
    top.wait_label(old, "pending", 5)
    assert top.get(old, "/readyz")[0] == 503
    assert top.get(old, "/livez")[0] == 200
    assert overlaps(kube.label_history) <= 1.0
    assert top.get(new, "/master")[0] == 200


MOMENTS = ["+sdown", "+new-epoch", "+vote-for-leader", "+elected-leader", "+selected-slave"]
MOMENTS += ["+promoted-slave", "+switch-master"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_agents_killed_in_the_middle(topology: MakeTopology, kube: KubeServer, moment: str) -> None:
    """Every worker dies when the first Sentinel tells of `moment`; the parents start others,
    and the outcome is the same."""
    top = topology()
    old = top.master()
    # Some moments are told by the leading Sentinel only, so all are listened to.
    told: list[float] = []
    listeners = [
        SentinelListener(top, s, lambda _channel, _text, t: told.append(t), (moment,))
        for s in top.sentinels
    ]
    for listener in listeners:
        listener.start()
        listener.wait_subscribed()
    top.kill_redis(old)
    top.wait(lambda: told, FAILOVER_S, f"a Sentinel tells of {moment}")
    for listener in listeners:
        listener.stop()
    for member in top.pods:
        kill_worker(member.agent)
    wait_new_master(top, old)
    top.start_redis(old, None)
    top.wait_settled(CONVERT_S)
    check_history(top, kube)
    assert all(m.agent is not None and m.agent.alive for m in top.pods)


def kill_worker(process: Process | None) -> None:
    assert process is not None
    for pid in process.children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
