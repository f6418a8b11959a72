"""The contract, continued: what a watch tells, in which order, and how it ends."""

from __future__ import annotations

import http.client
import time

import pytest

from test.harness.kube_client import Json, Watch, merge, ok
from test.harness.wait import wait_for

from .contract import World, names, refused, role

OLDEST = "1"  # a resourceVersion from before everything


def told(event: Json | None) -> tuple[str, str, str | None]:
    assert event is not None, "the watch has ended"
    return event["type"], event["object"]["metadata"]["name"], role(event["object"])


def version(event: Json) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


def rest(watch: Watch) -> list[Json]:
    """What comes until the end, of which it does not matter whether it is an orderly one."""
    events = []
    try:
        events.extend(iter(watch))
    except (ConnectionError, http.client.HTTPException):
        pass
    return events


def test_no_gap_between_list_and_watch(world: World) -> None:
    """Each change after the list is told once and in order, those before the watch included."""
    since = world.version()
    world.kube.set_role("redis-1", "replica")
    world.kube.create_pod("redis-2")
    watch = world.watch(resourceVersion=since)
    assert watch.status == 200
    world.kube.set_role("redis-2", "pending")
    world.kube.delete_pod("redis-1")
    world.kube.set_role("redis-2", "replica")
    events = [watch.next()]
    while told(events[-1]) != ("MODIFIED", "redis-2", "replica"):
        events.append(watch.next())
    versions = [version(event) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(since)
    seen = [told(event) for event in events]
    # A Pod with a grace of zero may be shown once more before it goes.
    assert [e for e in seen if e[:2] != ("MODIFIED", "redis-1")] == [
        ("ADDED", "redis-2", None),
        ("MODIFIED", "redis-2", "pending"),
        ("DELETED", "redis-1", "replica"),
        ("MODIFIED", "redis-2", "replica"),
    ]
    assert seen[0] == ("MODIFIED", "redis-1", "replica")


def test_watch_shows_own_patch(world: World) -> None:
    watch = world.watch(resourceVersion=world.version())
    pod = ok(world.agent.patch(world.path(), merge(world.uid, "master", role_epoch="7")))
    event = watch.next()
    assert told(event) == ("MODIFIED", "redis-0", "master")
    assert event["object"] == pod
    ok(world.agent.patch(world.path(), merge(world.uid, "master", role_epoch="7")))
    ok(world.agent.patch(world.path(), merge(world.uid, "replica")))
    # The patch that changed nothing is not told.
    assert told(watch.next()) == ("MODIFIED", "redis-0", "replica")


def test_watch_shows_a_label_taken_off_by_hand(world: World) -> None:
    world.kube.set_role("redis-0", "replica")
    watch = world.watch(resourceVersion=world.version())
    world.kube.set_role("redis-0", None)
    assert told(watch.next()) == ("MODIFIED", "redis-0", None)
    world.kube.set_role("redis-0", "master")
    assert told(watch.next()) == ("MODIFIED", "redis-0", "master")


def test_watch_shows_a_pod_end_and_begin_anew(world: World) -> None:
    watch = world.watch(resourceVersion=world.version())
    world.kube.delete_pod("redis-0", grace=30)
    event = watch.next()
    assert told(event) == ("MODIFIED", "redis-0", None)
    assert event["object"]["metadata"]["deletionTimestamp"].endswith("Z")
    assert event["object"]["metadata"]["deletionGracePeriodSeconds"] == 30
    # It still can be labelled until it is gone.
    ok(world.agent.patch(world.path(), merge(world.uid, "draining")))
    assert told(watch.next()) == ("MODIFIED", "redis-0", "draining")
    world.kube.delete_pod("redis-0")
    gone = watch.until("DELETED", "redis-0")
    assert gone["object"]["metadata"]["uid"] == world.uid
    assert role(gone["object"]) == "draining"
    new = world.kube.create_pod("redis-0")
    added = watch.until("ADDED", "redis-0")
    assert added["object"]["metadata"]["uid"] == new["metadata"]["uid"] != world.uid
    assert version(added) > version(gone)


def test_watch_with_a_selector(world: World) -> None:
    """A Pod that begins to match is added for this watch, one that ceases to is deleted."""
    watch = world.watch(resourceVersion=world.version(), labelSelector="role=replica")
    world.kube.set_role("redis-1", "demoted")
    world.kube.set_role("redis-0", "replica")
    entered = watch.next()
    assert told(entered) == ("ADDED", "redis-0", "replica")
    world.kube.patch_pod("redis-0", merge(None, reason="x"))
    assert told(watch.next()) == ("MODIFIED", "redis-0", "replica")
    world.kube.set_role("redis-0", "pending")
    left = watch.next()
    assert left["type"] == "DELETED"
    assert version(left) > version(entered)


def test_watch_of_one_pod(world: World) -> None:
    watch = world.watch(resourceVersion=world.version(), fieldSelector="metadata.name=redis-0")
    world.kube.set_role("redis-1", "replica")
    world.kube.set_role("redis-0", "pending")
    assert told(watch.next()) == ("MODIFIED", "redis-0", "pending")


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
def test_watch_without_a_version_tells_what_there_is(world: World, query: Json) -> None:
    """Without bookmarks: with them kube-apiserver 1.36 on etcd 3.4 answers such a watch with an
    ERROR of code 500 (RequestWatchProgress is disabled). Agents watch from a list's version."""
    watch = world.watch(allowWatchBookmarks="false", **query)
    assert told(watch.next()) == ("ADDED", "redis-0", None)
    assert told(watch.next()) == ("ADDED", "redis-1", "master")
    world.kube.set_role("redis-0", "pending")
    assert told(watch.next()) == ("MODIFIED", "redis-0", "pending")


def test_bookmark_then_the_end(world: World) -> None:
    """The end that timeoutSeconds asks for is an orderly one, with a bookmark shortly before."""
    watch = world.watch(resourceVersion=world.version(), timeoutSeconds=3)
    began = time.monotonic()
    pod = world.kube.set_role("redis-0", "pending")
    assert told(watch.next()) == ("MODIFIED", "redis-0", "pending")
    bookmarks = list(watch)
    assert 2 < time.monotonic() - began < 5
    assert [event["type"] for event in bookmarks] == ["BOOKMARK"] * len(bookmarks) != []
    last = bookmarks[-1]
    assert last["object"]["kind"] == "Pod"
    assert set(last["object"]["metadata"]) == {"resourceVersion"}
    assert version(last) >= int(pod["metadata"]["resourceVersion"])
    # It is a version to watch from.
    again = world.watch(resourceVersion=version(last))
    world.kube.set_role("redis-0", "replica")
    assert told(again.next()) == ("MODIFIED", "redis-0", "replica")


def test_bookmarks_only_where_they_are_allowed(world: World) -> None:
    watch = world.watch(
        resourceVersion=world.version(), timeoutSeconds=3, allowWatchBookmarks="false"
    )
    assert watch.next() is None


def test_connection_outlives_a_watch(world: World) -> None:
    watch = world.watch(resourceVersion=world.version(), timeoutSeconds=1)
    sock = watch.connection.sock
    assert watch.next() is None
    watch.response.read()
    watch.connection.request("GET", world.path(), headers=world.agent.headers(None))
    answer = watch.connection.getresponse()
    answer.read()
    assert answer.status == 200
    assert watch.connection.sock is sock


def test_watch_from_too_old_a_version(world: World) -> None:
    watch = world.watch(resourceVersion=OLDEST)
    assert watch.status == 200
    event = watch.next()
    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert "too old resource version" in status["message"]
    assert watch.next() is None


def test_watch_from_the_future_is_silent(world: World) -> None:
    watch = world.watch(
        resourceVersion=999999999, timeoutSeconds=2, allowWatchBookmarks="false"
    )
    world.kube.set_role("redis-0", "pending")
    assert watch.next() is None


def test_watch_from_no_version(world: World) -> None:
    answer = world.agent.get(world.pods, watch="1", resourceVersion="abc")
    refused(answer, 500, "", "resourceVersion: Invalid value")


def test_watch_needs_the_right(world: World) -> None:
    answer = world.agent.get("/api/v1/namespaces/redis/secrets", watch="1")
    refused(answer, 403, "Forbidden", "cannot watch resource")
    client = world.kube.client("garbage")
    refused(client.get(world.pods, watch="1"), 401, "Unauthorized")
    client.close()


def test_forgotten_history(world: World) -> None:
    """A restart of the server, or too long an absence: 410, and a new list is the way on."""
    since = world.version()
    watch = world.watch(resourceVersion=since)
    world.kube.set_role("redis-0", "pending")
    assert told(watch.next()) == ("MODIFIED", "redis-0", "pending")
    world.kube.forget_history()
    codes = [e["object"].get("code") for e in rest(watch) if e["type"] != "BOOKMARK"]
    assert codes in ([], [410])
    event = world.watch(resourceVersion=since).next()
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    pods = ok(world.agent.get(world.pods))
    assert names(pods) == ["redis-0", "redis-1"]
    again = world.watch(resourceVersion=pods["metadata"]["resourceVersion"])
    world.kube.set_role("redis-0", "replica")
    assert told(again.next()) == ("MODIFIED", "redis-0", "replica")


def test_label_history_is_what_was_stored(world: World) -> None:
    """What tests of the agent are judged by."""
    for value in ("pending", "master", "master", "replica", None):
        ok(world.agent.patch(world.path(), {"metadata": {"labels": {"role": value}}}))
    world.kube.delete_pod("redis-1")
    history = world.kube.label_history
    wait_for(lambda: history[-1].pod == "redis-1", 5, "the history has come to the last change")
    told = [(change.pod, change.label) for change in history]
    own = [("redis-0", label) for label in ("pending", "master", "replica", None)]
    assert told == [("redis-1", "master"), *own, ("redis-1", None)]
    times = [change.t for change in history]
    assert times == sorted(times)
    assert times[-1] <= time.monotonic()
