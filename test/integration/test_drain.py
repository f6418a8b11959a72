"""A planned hand-over as it is asked for: /drain, the command, a signal, an annotation."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from test.harness.follow import Writer, labelled_master
from test.harness.kube_fake import KubeServer
from test.harness.topology import Member, Topology

from .conftest import MakeTopology
from .history import overlaps

HEADER = {"Redis-Pod-Agent": "drain"}
NOTHING, UNAVAILABLE = "nothing to do", 69
GRACE_S = 30
DOWN_AFTER_MS = 5000  # a hand-over is faster than any Sentinel that misses a paused master


def drain(
    member: Member, method: str = "POST", headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    c = http.client.HTTPConnection(member.host, member.http_port, timeout=30)
    c.request(method, "/drain", headers=HEADER if headers is None else headers)
    answer = c.getresponse()
    body = answer.read().decode()
    c.close()
    return answer.status, body, dict(answer.getheaders())


def verdict(body: str) -> str:
    return body.splitlines()[-1].split(" ms  ", 1)[1]


def command(top: Topology, member: Member, *args: str) -> subprocess.CompletedProcess[str]:
    argv = [str(top.options.agent), *args, f"--http-addr={member.host}:{member.http_port}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


@contextmanager
def writers(top: Topology, kube: KubeServer, count: int = 4) -> Iterator[list[Writer]]:
    def find() -> str | None:
        return labelled_master(kube.label_history)

    running = [Writer(top, find, f"ledger-{i}") for i in range(count)]
    for w in running:
        w.start()
    top.wait(lambda: all(w.ledger for w in running), 5, "every writer has written")
    try:
        yield running
    finally:
        for w in running:
            w.stop()


def missing(top: Topology, ledger: list[Writer]) -> list[int]:
    """Acknowledged writes that the master does not have."""
    lost = []
    for w in ledger:
        with top.redis(top.master()) as r:
            there = set(map(int, r("LRANGE", w.key, 0, -1)))
        lost += [a.number for a in w.ledger if a.number not in there]
    return lost


def history_of(top: Topology, member: Member) -> list[dict[str, Any]]:
    return list(top.status(member)["history"])


def test_a_hand_over_loses_nothing(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS)
    old = top.master()
    began = time.monotonic()
    with writers(top, kube) as ledger:
        status, body, _ = drain(old, "GET")
        assert status == 200
        assert verdict(body).startswith("handed over to "), body
        assert verdict(body).endswith("0 bytes behind")
        new = top.master()
        assert new is not old
        top.wait(lambda: all(w.ledger[-1].pod == new.pod for w in ledger), 5, "all write there")
    assert missing(top, ledger) == []
    # The old master keeps its label until the successor has one: it takes no write by then.
    assert overlaps(kube.label_history) < 1
    top.wait_settled(10)
    told = top.status(old)["hand_over"]
    assert (told["verdict"], told["asked_by"]) == ("handed over", "/drain")
    assert told["lines"] == body.splitlines()
    assert 0 < told["writes_held_ms"] < 1000
    done = [e for e in history_of(top, old) if e["mechanism"] == "hand-over"]
    assert {e["order"] for e in done} >= {"pause", "follow", "promote"}
    assert all(e["outcome"] in (None, "ok") for e in done)
    metrics = top.get(old, "/metrics")[1]
    assert 'redis_pod_agent_handovers_total{verdict="handed-over"} 1' in metrics
    assert 'redis_pod_agent_failovers_total{mechanism="hand-over",outcome="committed"} 1' in metrics
    assert "redis_pod_agent_handover_seconds_count 1" in metrics
    gap = max(b.t - a.t for w in ledger for a, b in zip(w.ledger, w.ledger[1:], strict=False))
    assert gap < 2, f"a writer waited for {gap:.3f} s, {time.monotonic() - began:.1f} s in all"


def test_who_may_ask_and_how_often(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS)
    old = top.master()
    replica = next(m for m in top.pods if m is not old)
    assert drain(old, headers={})[0] == 403
    assert drain(old, headers={"Redis-Pod-Agent": "yes"})[0] == 403
    assert drain(old, "HEAD")[0] == 405
    assert drain(old, "PUT")[0] == 405
    for _ in range(2):  # nothing to do is no hand-over
        status, body, _ = drain(replica)
        assert (status, verdict(body)[: len(NOTHING)]) == (200, NOTHING)
    assert top.master() is old
    assert "/drain" not in top.get(old, "/")[1]
    assert drain(old)[0] == 200
    top.wait_settled(10)
    new = top.master()
    assert drain(new)[0] == 200  # another agent's first
    top.wait_settled(10)
    back = top.master()
    again, body, headers = drain(back) if back is old else (429, "less", {"Retry-After": "60"})
    assert (again, "less" in body) == (429, True)
    assert 0 < int(headers["Retry-After"]) <= 60


def test_a_second_caller_joins(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS)
    old = top.master()
    answers: list[tuple[int, str, dict[str, str]]] = []
    callers = [
        threading.Thread(target=lambda: answers.append(drain(old)), daemon=True) for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    bodies = {body for status, body, _ in answers if status == 200}
    assert len(bodies) == 1
    assert verdict(bodies.pop()).startswith("handed over to ")
    assert {status for status, _, _ in answers} <= {200, 429}  # who came after the verdict
    assert top.status(old)["hand_over"]["begun"] == 1


def test_the_commands(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS)
    old = top.master()
    replica = next(m for m in top.pods if m is not old)
    done = command(top, replica, "drain")
    assert (done.returncode, NOTHING in done.stdout) == (0, True), done
    done = command(top, old, "drain")
    assert (done.returncode, "handed over to" in done.stdout.splitlines()[-1]) == (0, True), done
    top.wait_settled(10)
    text = command(top, old, "status", "--history")
    assert text.returncode == 0
    for part in ("role ", "waits for ", "handed over", "order pause", "mechanisms "):
        assert part in text.stdout
    assert json.loads(command(top, old, "status", "--json").stdout)["pod"] == old.pod
    assert old.agent is not None
    old.agent.stop()
    gone = command(top, old, "status")
    assert (gone.returncode, "does not answer" in gone.stderr) == (UNAVAILABLE, True)
    assert command(top, old, "drain").returncode == UNAVAILABLE


def test_switched_off(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS, agent_args=["--hand-over=off"])
    old = top.master()
    status, body, _ = drain(old)
    assert (status, "switched off" in verdict(body)) == (200, True)
    assert top.master() is old
    assert [e for e in history_of(top, old) if e["what"] == "sent an order to Redis"] == []


def test_a_stop_hands_over_where_the_pod_goes(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS)
    old = top.master()
    assert old.agent is not None
    with writers(top, kube) as ledger:
        kube.delete_pod(old.pod, grace=GRACE_S)
        top.wait(lambda: top.status(old)["terminating"], 5, "the agent has seen it")
        old.agent.signal(signal.SIGTERM)
        assert old.agent.popen.wait(10) == 0
        new = top.master()
        assert new is not old
        top.wait(lambda: all(w.ledger[-1].pod == new.pod for w in ledger), 5, "all write there")
    assert missing(top, ledger) == []
    # The old master keeps its label until the successor has one: it takes no write by then.
    assert overlaps(kube.label_history) < 1
    assert labelled_master(kube.label_history) == new.pod
    logged = [line["msg"] for line in top.logged(old)]
    assert "handing over before the stop: this Pod is being deleted" in logged
    assert logged[-1] == "stopped"


def test_a_stop_of_a_replica_waits_for_nothing(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS)
    old = top.master()
    replica = next(m for m in top.pods if m is not old)
    assert replica.agent is not None
    kube.delete_pod(replica.pod, grace=GRACE_S)
    top.wait(lambda: top.status(replica)["terminating"], 5, "the agent has seen it")
    began = time.monotonic()
    replica.agent.signal(signal.SIGTERM)
    assert replica.agent.popen.wait(5) == 0
    assert time.monotonic() - began < 1
    assert top.master() is old


def test_a_person_asks_by_annotation(topology: MakeTopology, kube: KubeServer) -> None:
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS)
    old = top.master()
    wanted = [m for m in top.pods if m is not old][-1]
    wish = {"redis-pod-agent/handover": wanted.pod}
    kube.patch_pod(old.pod, {"metadata": {"annotations": wish}})
    top.wait(lambda: top.agreed() is wanted, 10, "the wanted one is master")

    def cleared() -> bool:
        pod = kube.get_pod(old.pod)
        return pod is not None and not wish.keys() & pod["metadata"]["annotations"].keys()

    top.wait(cleared, 5, "the wish is removed")
    top.wait_settled(10)
    assert top.status(old)["hand_over"]["asked_by"] == "annotation"


def test_a_stop_waits_for_its_hand_over(topology: MakeTopology, kube: KubeServer) -> None:
    """No replica answers: the worker tries for as long as it may, and its parent lets it."""
    top = topology(engine=True, down_after_ms=DOWN_AFTER_MS, agent_args=["--drain-timeout=3"])
    old = top.master()
    assert old.agent is not None
    frozen = [m.redis for m in top.pods if m is not old and m.redis is not None]
    kube.delete_pod(old.pod, grace=GRACE_S)
    top.wait(lambda: top.status(old)["terminating"], 5, "the agent has seen it")
    for redis in frozen:
        redis.freeze()
    began = time.monotonic()
    old.agent.signal(signal.SIGTERM)
    assert old.agent.popen.wait(10) == 0
    for redis in frozen:
        redis.thaw()
    assert time.monotonic() - began < 3 + 2
    assert top.logged(old)[-1]["msg"] == "stopped"
    assert top.ask(old, "SET", "still", "writable") == "OK"
    assert top.agreed() is old
