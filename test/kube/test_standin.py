"""What only the stand-in can do: wrong, on demand. Whoever tests an agent with a fault relies on
its being the fault that was asked for."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from test.harness.kube_client import KubeClient, merge, ok
from test.harness.kube_fake import KubeServer
from test.harness.kube_faults import KINDS
from test.harness.wait import wait_for

from .contract import World, role

ROOT = Path(__file__).resolve().parents[2]
BROKEN = (http.client.HTTPException, ConnectionError)
SHORT_S = 0.3  # for which nothing is waited


@pytest.fixture
def kube(kube_standin: KubeServer) -> KubeServer:
    return kube_standin


@pytest.fixture
def world(kube: KubeServer) -> Iterator[World]:
    world = World(kube)
    world.agent.timeout_s = 5
    yield world
    world.close()


def patch(world: World, value: str = "master") -> int:
    return world.agent.patch(world.path(), merge(world.uid, value)).status


def silent(sock: socket.socket, seconds: float = SHORT_S) -> bool:
    return not select.select([sock], [], [], seconds)[0]


# --- instead of an answer -------------------------------------------------------------------


@pytest.mark.parametrize("code", [401, 403, 409, 410, 429, 500, 503])
def test_status(world: World, kube: KubeServer, code: int) -> None:
    fault = kube.fault("status", n=2, code=code)
    answers = [world.agent.patch(world.path(), merge(world.uid, "master")) for _ in range(3)]
    assert [a.status for a in answers] == [code, code, 200]
    assert answers[0].json["code"] == code
    assert fault.hits == 2
    assert [w.code for w in kube.writes] == [code, code, 200]


def test_retry_after(world: World, kube: KubeServer) -> None:
    kube.fault("status", code=429, retry_after_s=3)
    answer = world.agent.get(world.path())
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")
    assert answer.json["details"]["retryAfterSeconds"] == 3


def test_status_of_a_write_that_took_effect(world: World, kube: KubeServer) -> None:
    kube.fault("status", code=503, applied=True)
    assert patch(world) == 503
    assert kube.role_of("redis-0") == "master"


@pytest.mark.parametrize("kind", ["reset", "close"])
@pytest.mark.parametrize("applied", [False, True])
def test_connection_lost(world: World, kube: KubeServer, kind: str, applied: bool) -> None:
    kube.fault(kind, n=None, verb="patch", applied=applied)
    ok(world.agent.get(world.path()))
    with pytest.raises(BROKEN):
        patch(world)
    assert kube.role_of("redis-0") == ("master" if applied else None)
    kube.clear_faults()
    assert patch(world) == 200


def test_hang_until_cleared(world: World, kube: KubeServer) -> None:
    kube.fault("hang")
    connection = world.agent.connect()
    connection.request("GET", world.path(), headers=world.agent.headers(None))
    assert silent(connection.sock)
    kube.clear_faults()
    with pytest.raises(BROKEN):
        connection.getresponse()


@pytest.mark.parametrize("applied", [False, True])
def test_hang_for_a_while(world: World, kube: KubeServer, applied: bool) -> None:
    kube.fault("hang", seconds=SHORT_S, applied=applied)
    began = time.monotonic()
    assert patch(world) == 200
    assert time.monotonic() - began >= SHORT_S
    stored = kube.label_history[-1].t - began
    assert (stored < SHORT_S) == applied


def test_hang_ends_with_the_client(world: World, kube: KubeServer) -> None:
    """What was not applied never is."""
    fault = kube.fault("hang", verb="patch", seconds=SHORT_S)
    world.agent.timeout_s = SHORT_S / 3
    with pytest.raises(TimeoutError):
        patch(world)
    wait_for(lambda: [w.code for w in kube.writes] == [0], 5, "the request is given up")
    assert fault.hits == 1
    assert kube.role_of("redis-0") is None


def test_garbage(world: World, kube: KubeServer) -> None:
    kube.fault("garbage")
    answer = world.agent.get(world.path())
    assert answer.status == 200
    with pytest.raises(ValueError):
        json.loads(answer.body)


def test_not_http(world: World, kube: KubeServer) -> None:
    kube.fault("not_http", n=None)
    with pytest.raises(BROKEN):
        world.agent.get(world.path())


def test_huge(world: World, kube: KubeServer) -> None:
    kube.fault("huge", megabytes=3)
    connection = world.agent.connect()
    connection.request("GET", world.pods, headers=world.agent.headers(None))
    answer = connection.getresponse()
    received = 0
    with pytest.raises(http.client.IncompleteRead):
        while data := answer.read(65536):
            received += len(data)
    assert 2.9e6 < received < 3.2e6


# --- the answer, but ------------------------------------------------------------------------


def test_drip(world: World, kube: KubeServer) -> None:
    kube.fault("drip", interval_s=0.001)
    began = time.monotonic()
    pod = ok(world.agent.get(world.path()))
    assert pod["metadata"]["uid"] == world.uid
    assert time.monotonic() - began > 0.5
    assert patch(world) == 200


def test_truncated_answer(world: World, kube: KubeServer) -> None:
    kube.fault("truncate")
    with pytest.raises(http.client.IncompleteRead):
        world.agent.get(world.path())


# --- which requests ---------------------------------------------------------------------------


def test_a_fault_meets_what_it_is_meant_for(world: World, kube: KubeServer) -> None:
    other = kube.pod_client("redis-1")
    fault = kube.fault("status", n=None, verb="get", caller="redis-0", target="redis-1", code=500)
    assert world.agent.get(world.path()).status == 200
    assert world.agent.get(world.pods).status == 200
    assert other.get(world.path("redis-1")).status == 200
    assert fault.hits == 0
    assert world.agent.get(world.path("redis-1")).status == 500
    other.close()


def test_an_administrator_meets_no_fault(world: World, kube: KubeServer) -> None:
    kube.fault("status", n=None, code=500)
    admin = kube.client(kube.admin_token)
    assert admin.get(world.path()).status == 200
    admin.close()
    assert role(kube.set_role("redis-0", "pending")) == "pending"


def test_faults_are_taken_in_order(world: World, kube: KubeServer) -> None:
    kube.fault("status", code=500)
    kube.fault("status", n=2, code=503)
    assert [patch(world) for _ in range(4)] == [500, 503, 503, 200]


def test_unknown_faults(kube: KubeServer) -> None:
    with pytest.raises(ValueError, match="no fault 'explode'"):
        kube.fault("explode")
    with pytest.raises(TypeError, match="hang does not take code"):
        kube.fault("hang", code=1)
    assert set(KINDS) >= {"status", "half_open"}


# --- watches --------------------------------------------------------------------------------


def test_half_open_watch(world: World, kube: KubeServer) -> None:
    kube.watch_options.bookmark_s = SHORT_S / 10
    kube.fault("half_open")
    watch = world.watch(resourceVersion=world.version())
    assert watch.status == 200
    kube.set_role("redis-0", "pending")
    assert silent(watch.connection.sock)
    again = world.watch(resourceVersion=world.version())
    assert again.next()["type"] == "BOOKMARK"


def test_watches_muted_later(world: World, kube: KubeServer) -> None:
    kube.watch_options.bookmark_s = SHORT_S / 10
    watch = world.watch(resourceVersion=world.version())
    assert watch.next()["type"] == "BOOKMARK"
    kube.mute_watches()
    kube.set_role("redis-0", "pending")
    while not silent(watch.connection.sock):  # what had been sent before
        assert watch.next()["type"] == "BOOKMARK"


def test_bookmark_interval(world: World, kube: KubeServer) -> None:
    kube.watch_options.bookmark_s = 0.1
    watch = world.watch(resourceVersion=world.version())
    began = time.monotonic()
    assert [watch.next()["type"] for _ in range(5)] == ["BOOKMARK"] * 5
    assert 0.4 < time.monotonic() - began < 2


def test_watches_closed(world: World, kube: KubeServer) -> None:
    watch = world.watch(resourceVersion=world.version())
    kube.close_watches()
    assert watch.next() is None
    wait_for(lambda: kube.open_watches() == 0, 5, "the watch is over")


def test_truncated_event(world: World, kube: KubeServer) -> None:
    kube.fault("truncate", verb="watch")
    watch = world.watch(resourceVersion=world.version())
    kube.set_role("redis-0", "pending")
    with pytest.raises((ValueError, *BROKEN)):
        watch.next()


def test_error_event(world: World, kube: KubeServer) -> None:
    kube.fault("error_event", code=500)
    watch = world.watch(resourceVersion=world.version())
    event = watch.next()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 500)
    assert watch.next() is None


def test_too_old_as_http_status(world: World, kube: KubeServer) -> None:
    kube.watch_options.expired_as_status = True
    answer = world.agent.get(world.pods, watch="1", resourceVersion="1")
    assert (answer.status, answer.reason) == (410, "Expired")
    assert world.watch(resourceVersion=world.version()).status == 200


def test_dropped_changes(world: World, kube: KubeServer) -> None:
    watch = world.watch(resourceVersion=world.version())
    kube.drop_changes()
    kube.set_role("redis-0", "pending")
    assert silent(watch.connection.sock)
    kube.resume_changes()
    event = watch.next()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_old_continue_token(world: World, kube: KubeServer) -> None:
    token = ok(world.agent.get(world.pods, limit=1))["metadata"]["continue"]
    kube.set_role("redis-0", "pending")
    kube.forget_history()
    answer = world.agent.get(world.pods, **{"limit": 1, "continue": token})
    assert (answer.status, answer.reason) == (410, "Expired")


# --- the server itself ------------------------------------------------------------------------


def test_refused_connections(world: World, kube: KubeServer) -> None:
    watch = world.watch(resourceVersion=world.version())
    ok(world.agent.get(world.path()))
    url = kube.url
    kube.refuse()
    with pytest.raises(BROKEN):
        watch.next()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            world.agent.get(world.path())
    kube.set_role("redis-0", "pending")
    kube.accept()
    assert kube.url == url
    assert role(ok(world.agent.get(world.path()))) == "pending"


def test_revoked_token(world: World, kube: KubeServer) -> None:
    kube.revoke_tokens("redis-0")
    assert patch(world) == 401
    kube.rotate_token("redis-0")
    fresh = kube.pod_client("redis-0")
    assert fresh.patch(world.path(), merge(world.uid, "master")).status == 200
    fresh.close()


def test_records(world: World, kube: KubeServer) -> None:
    patch(world)
    world.agent.patch(world.path("redis-1"), merge(None, "master"))
    ok(world.agent.get(world.path()))
    first, second = kube.writes
    assert first[1:4] == ("patch", world.path(), "redis-0")
    assert first.code == 200
    assert first.body == merge(world.uid, "master")
    assert (second.code, second.body["metadata"]["labels"]) == (422, {"role": "master"})
    assert [seen.verb for seen in kube.requests] == ["patch", "patch", "get"]
    assert kube.requests[0].user_agent == "redis-pod-agent-test"
    kube.clear()
    assert (kube.writes, kube.list_pods(), list(kube.requests)) == ([], [], [])


def test_patch_takes_less_than_a_millisecond(world: World, kube: KubeServer) -> None:
    """So that what a benchmark measures is the agent."""
    took = []
    for i in range(300):
        began = time.perf_counter()
        assert patch(world, "replica" if i % 2 else "pending") == 200
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.001


def test_as_a_program() -> None:
    argv = [sys.executable, "-m", "test.harness.kube_fake", "--pods", "redis-0=127.0.0.9"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        told = json.loads(child.stdout.readline())
        mine = told["pods"]["redis-0"]
        token_file = Path(mine["token_file"])
        client = KubeClient(told["url"], token=token_file.read_text(encoding="ascii"))
        pod = ok(client.get(f"/api/v1/namespaces/{told['namespace']}/pods/redis-0"))
        assert pod["metadata"]["uid"] == mine["uid"]
        assert pod["status"]["podIP"] == "127.0.0.9"
        client.close()
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(10) == 0
    assert not token_file.exists()
