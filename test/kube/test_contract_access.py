"""The contract, continued: who may do what, Events, tokens and the connection itself."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from test.harness.kube_api import KubeApi
from test.harness.kube_client import MERGE_PATCH, Json, merge, ok
from test.harness.wait import wait_for

from .contract import World, names, refused, role

# The real server goes on believing a token that it has seen for up to 10 s.
TOKEN_CACHE_S = 15
USER = 'User "system:serviceaccount:redis:redis-pod-agent"'
NS = "/api/v1/namespaces/redis"


def event(name: str, **fields: object) -> Json:
    """A core/v1 Event as an agent writes it."""
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": "redis", "name": "redis-0"}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "redis"},
        "involvedObject": about,
        "reason": "RoleChanged",
        "message": "replica -> master",
        "type": "Normal",
        "source": {"component": "redis-pod-agent", "host": "node-0"},
        "firstTimestamp": "2000-01-01T00:00:00Z",
        "lastTimestamp": "2000-01-01T00:00:00Z",
        "count": 1,
        **fields,
    }


# --- RBAC ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", f"{NS}/secrets", f'{USER} cannot list resource "secrets"'),
        ("GET", f"{NS}/secrets/redis", f'{USER} cannot get resource "secrets"'),
        ("GET", f"{NS}/configmaps", f'{USER} cannot list resource "configmaps"'),
        ("DELETE", f"{NS}/pods/redis-0", f'{USER} cannot delete resource "pods"'),
        ("DELETE", f"{NS}/pods", f'{USER} cannot deletecollection resource "pods"'),
        ("POST", f"{NS}/pods", f'{USER} cannot create resource "pods"'),
        ("PUT", f"{NS}/pods/redis-0", f'{USER} cannot update resource "pods"'),
        ("PATCH", f"{NS}/pods/redis-0/status", f'{USER} cannot patch resource "pods/status"'),
        ("GET", f"{NS}/events", f'{USER} cannot list resource "events"'),
        ("PATCH", f"{NS}/events/x", f'{USER} cannot patch resource "events"'),
        ("GET", "/api/v1/pods", "at the cluster scope"),
        ("GET", "/api/v1/nodes", "at the cluster scope"),
        ("GET", "/api/v1/namespaces/default/pods", 'in the namespace "default"'),
        ("POST", "/api/v1/namespaces/default/events", 'in the namespace "default"'),
        ("GET", "/metrics", "cannot get path"),
    ],
)
def test_what_an_agent_may_not_do(world: World, method: str, path: str, text: str) -> None:
    body = None if method in ("GET", "DELETE") else {}
    kind = MERGE_PATCH if method == "PATCH" else "application/json"
    answer = world.agent.request(method, path, body, kind)
    refused(answer, 403, "Forbidden", text)
    assert names({"items": world.kube.list_pods()}) == ["redis-0", "redis-1"]


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz", "/version"])
def test_health_is_open_to_all(kube: KubeApi, path: str) -> None:
    client = kube.client(None)
    assert client.get(path).status == 200
    client.close()


# --- tokens -----------------------------------------------------------------------------------


def test_garbage_token_is_unauthorized(world: World) -> None:
    client = world.kube.client("garbage")
    for answer in (
        client.get(world.path()),
        client.patch(world.path(), merge(world.uid, "master")),
        client.post(world.events, event("redis-0.1")),
    ):
        refused(answer, 401, "Unauthorized", "Unauthorized")
    client.close()
    assert world.kube.role_of("redis-0") is None


def test_no_token_is_anonymous(world: World) -> None:
    client = world.kube.client(None)
    refused(client.get(world.path()), 403, "Forbidden", 'User "system:anonymous"')
    client.close()


def test_token_is_bound_to_its_pod(world: World) -> None:
    other = world.kube.pod_client("redis-1")
    refused(other.patch(world.path(), merge(world.uid, "master")), 422, "Invalid")
    pod = ok(other.patch(world.path("redis-1"), merge(world.peer_uid, "replica")))
    other.close()
    assert role(pod) == "replica"


def test_renewed_token(world: World) -> None:
    before = Path(world.kube.token_file("redis-0")).read_text(encoding="ascii")
    world.kube.rotate_token("redis-0")
    after = Path(world.kube.token_file("redis-0")).read_text(encoding="ascii")
    assert before != after
    client = world.kube.client(after)
    assert role(ok(client.patch(world.path(), merge(world.uid, "master")))) == "master"
    client.close()


def test_token_ends_with_its_pod(world: World) -> None:
    ok(world.agent.get(world.path()))
    world.kube.delete_pod("redis-0")
    wait_for(
        lambda: world.agent.get(world.path("redis-1")).status == 401,
        TOKEN_CACHE_S,
        "the token of a Pod that has gone is refused",
        interval_s=0.2,
    )


def test_old_token_and_new_pod_of_that_name(world: World) -> None:
    """What an agent that has missed its Pod's end can still do: nothing."""
    world.kube.delete_pod("redis-0")
    new = world.kube.create_pod("redis-0")
    assert new["metadata"]["uid"] != world.uid
    answer = world.agent.patch(world.path(), merge(world.uid, "master"))
    assert answer.status in (401, 422)
    answer = world.agent.patch(world.path(), merge(None, "master"))
    assert answer.status in (401, 422)
    assert world.kube.role_of("redis-0") is None


# --- Events -----------------------------------------------------------------------------------


def test_event_is_created(world: World) -> None:
    answer = world.agent.post(world.events, event("redis-0.17a"))
    assert answer.status == 201
    created = answer.json
    assert (created["kind"], created["apiVersion"]) == ("Event", "v1")
    assert created["metadata"]["uid"]
    (stored,) = world.kube.list_events()
    assert stored["metadata"]["name"] == "redis-0.17a"
    assert stored["reason"] == "RoleChanged"
    assert stored["message"] == "replica -> master"
    assert stored["involvedObject"]["name"] == "redis-0"


def test_event_of_the_same_name(world: World) -> None:
    ok(world.agent.post(world.events, event("redis-0.17a")))
    answer = world.agent.post(world.events, event("redis-0.17a", message="other"))
    refused(answer, 409, "AlreadyExists", 'events "redis-0.17a" already exists')
    (stored,) = world.kube.list_events()
    assert stored["message"] == "replica -> master"


def test_event_name_must_be_given(world: World) -> None:
    answer = world.agent.post(world.events, event(""))
    refused(answer, 422, "Invalid", "metadata.name: Required value")


def test_event_of_another_namespace(world: World) -> None:
    wrong = event("redis-0.1", metadata={"name": "redis-0.1", "namespace": "default"})
    refused(world.agent.post(world.events, wrong), 400, "BadRequest", "namespace")
    wrong = event("redis-0.1", involvedObject={"kind": "Pod", "namespace": "default"})
    refused(world.agent.post(world.events, wrong), 422, "Invalid", "involvedObject.namespace")
    assert world.kube.list_events() == []


def test_event_body(world: World) -> None:
    answer = world.agent.request("POST", world.events, b"{")
    refused(answer, 400, "BadRequest", "the object provided is unrecognized")
    answer = world.agent.request("POST", world.events, b"{}", "text/plain")
    refused(answer, 415, "UnsupportedMediaType", "application/json")
    refused(world.agent.post(world.events, event("x.1", kind="Pod")), 400, "BadRequest")


# --- the connection ---------------------------------------------------------------------------


def test_connection_is_kept(world: World) -> None:
    """Through success and refusal alike."""
    connection = world.agent.connect()
    headers = world.agent.headers(None)
    sock = connection.sock
    for path, status in ((world.path(), 200), (world.path("redis-9"), 404), ("/metrics", 403)):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.version) == (status, 11)
        assert connection.sock is sock
    connection.request("GET", world.path(), headers={"Authorization": "Bearer garbage"})
    answer = connection.getresponse()
    answer.read()
    assert (answer.status, connection.sock) == (401, sock)
    connection.close()


def test_connection_is_closed_on_demand(world: World) -> None:
    connection = world.agent.connect()
    headers = {**world.agent.headers(None), "Host": "kubernetes", "Connection": "close"}
    lines = [f"GET {world.path()} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    connection.sock.sendall("\r\n".join(lines).encode())
    received = b""
    while data := connection.sock.recv(65536):  # ends in TimeoutError where it stays open
        received += data
    assert received.startswith(b"HTTP/1.1 200 ")
    connection.close()


def patch_request(world: World, extra: dict[str, str]) -> dict[str, str]:
    return {**world.agent.headers(MERGE_PATCH), **extra}


def test_body_in_chunks(world: World) -> None:
    connection = world.agent.connect()
    body = json.dumps(merge(world.uid, "master")).encode()
    pieces = [body[:10], body[10:]]
    connection.request(
        "PATCH", world.path(), iter(pieces), patch_request(world, {}), encode_chunked=True
    )
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
    assert world.kube.role_of("redis-0") == "master"


def test_body_after_100_continue(world: World) -> None:
    connection = world.agent.connect()
    body = json.dumps(merge(world.uid, "master")).encode()
    connection.putrequest("PATCH", world.path())
    extra = {"Expect": "100-continue", "Content-Length": str(len(body))}
    for name, value in patch_request(world, extra).items():
        connection.putheader(name, value)
    connection.endheaders()
    interim = http.client.HTTPResponse(connection.sock)
    first = interim.fp.readline()
    assert first.startswith(b"HTTP/1.1 100 "), first
    interim.close()
    connection.send(body)
    answer = connection.getresponse()
    assert answer.status == 200
    connection.close()
    assert world.kube.role_of("redis-0") == "master"
