"""What agents rely on at the API server, held against the real one and its stand-in alike.

A test that fails for `real` has found a wrong idea of Kubernetes, or of what k8s/base grants;
one that fails for `standin` only has found a stand-in that would let a wrong agent pass.
"""

from __future__ import annotations

import pytest

from test.harness.kube_client import MERGE_PATCH, Json, merge, ok

from .contract import World, names, refused, role

POLICY = "ValidatingAdmissionPolicy 'redis-pod-agent'"
ONLY_OWN = "only the own Pod, or role master to demoted on a Pod of the same StatefulSet"
DEMOTION = {"reason": "redis-0 is the master", "demoted_by_epoch": "4"}


# --- reading --------------------------------------------------------------------------------


def test_get_pod(world: World) -> None:
    answer = world.agent.get(world.path())
    pod = ok(answer)
    assert answer.headers["Content-Type"] == "application/json"
    assert (pod["kind"], pod["apiVersion"]) == ("Pod", "v1")
    metadata = pod["metadata"]
    assert (metadata["name"], metadata["uid"]) == ("redis-0", world.uid)
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["labels"]["app.kubernetes.io/instance"] == "redis"
    owner = metadata["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("StatefulSet", "redis", True)
    assert pod["spec"]["hostname"] == "redis-0"
    assert pod["status"]["podIP"] == "127.0.0.2"
    assert "deletionTimestamp" not in metadata


def test_unknown_pod_is_not_found(world: World) -> None:
    path = world.path("redis-9")
    for answer in (world.agent.get(path), world.agent.patch(path, merge(None, "master"))):
        body = refused(answer, 404, "NotFound", 'pods "redis-9" not found')
        assert body["details"] == {"name": "redis-9", "kind": "pods"}


def test_list(world: World) -> None:
    pods = ok(world.agent.get(world.pods, limit=100))
    assert (pods["kind"], pods["apiVersion"]) == ("PodList", "v1")
    assert names(pods) == ["redis-0", "redis-1"]
    assert "continue" not in pods["metadata"]
    newest = max(int(pod["metadata"]["resourceVersion"]) for pod in pods["items"])
    assert int(pods["metadata"]["resourceVersion"]) >= newest
    # The kind is told once, by the list.
    assert all("kind" not in pod for pod in pods["items"])


def test_list_in_pages_is_one_moment(world: World) -> None:
    first = ok(world.agent.get(world.pods, limit=1))
    assert names(first) == ["redis-0"]
    assert first["metadata"]["remainingItemCount"] == 1
    world.kube.set_role("redis-1", "replica")
    world.kube.create_pod("redis-2")
    token = first["metadata"]["continue"]
    second = ok(world.agent.get(world.pods, **{"limit": 1, "continue": token}))
    assert names(second) == ["redis-1"]
    assert role(second["items"][0]) == "master"
    assert "continue" not in second["metadata"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_bad_continue_token(world: World) -> None:
    answer = world.agent.get(world.pods, **{"limit": 1, "continue": "xyz"})
    refused(answer, 400, "BadRequest", "continue key is not valid")


def test_list_by_selector(world: World) -> None:
    world.kube.create_pod("other-0")
    query = {"labelSelector": "app.kubernetes.io/instance=redis,role=master"}
    assert names(ok(world.agent.get(world.pods, **query))) == ["redis-1"]
    query = {"fieldSelector": "metadata.name=redis-0"}
    assert names(ok(world.agent.get(world.pods, **query))) == ["redis-0"]
    assert names(ok(world.agent.get(world.pods, labelSelector="role=nobody"))) == []
    answer = world.agent.get(world.pods, fieldSelector="spec.colour=red")
    refused(answer, 400, "BadRequest", "field label not supported")


def test_list_from_the_future(world: World) -> None:
    """As after a restore of etcd: the agent knows a version that the server does not reach."""
    answer = world.agent.get(world.pods, resourceVersion="999999999")
    body = refused(answer, 504, "Timeout", "Too large resource version: 999999999")
    assert body["details"]["retryAfterSeconds"] == 1


# --- patching the own Pod -------------------------------------------------------------------


def test_patch_own_pod(world: World) -> None:
    before = int(world.kube.get_pod("redis-0")["metadata"]["resourceVersion"])
    pod = ok(world.agent.patch(world.path(), merge(world.uid, "replica", role_epoch="3")))
    assert role(pod) == "replica"
    assert pod["metadata"]["annotations"]["redis-pod-agent/role-epoch"] == "3"
    assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "redis"
    assert int(pod["metadata"]["resourceVersion"]) > before
    assert world.kube.get_pod("redis-0") == pod


def test_patch_null_removes(world: World) -> None:
    ok(world.agent.patch(world.path(), merge(world.uid, "replica", run_id="a", reason="b")))
    annotations = {"redis-pod-agent/run-id": None}
    patch = {"metadata": {"labels": {"role": None}, "annotations": annotations}}
    pod = ok(world.agent.patch(world.path(), patch))
    assert role(pod) is None
    assert pod["metadata"]["annotations"] == {"redis-pod-agent/reason": "b"}


def test_patch_that_changes_nothing_writes_nothing(world: World) -> None:
    first = ok(world.agent.patch(world.path(), merge(world.uid, "replica")))
    second = ok(world.agent.patch(world.path(), merge(world.uid, "replica")))
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


def test_other_uid_is_invalid(world: World) -> None:
    answer = world.agent.patch(world.path(), merge("no-such-uid", "master"))
    text = 'metadata.uid: Invalid value: "no-such-uid": field is immutable'
    body = refused(answer, 422, "Invalid", 'Pod "redis-0" is invalid: ' + text)
    assert body["details"]["causes"][0]["field"] == "metadata.uid"
    assert role(world.kube.get_pod("redis-0")) is None


def test_empty_uid_is_no_precondition(world: World) -> None:
    """Why an agent that does not know its uid must not write."""
    assert role(ok(world.agent.patch(world.path(), merge("", "master")))) == "master"


def test_stale_version_is_a_conflict(world: World) -> None:
    stale = world.kube.get_pod("redis-0")["metadata"]["resourceVersion"]
    world.kube.set_role("redis-0", "pending")
    patch = merge(world.uid, "master")
    patch["metadata"]["resourceVersion"] = stale
    text = "the object has been modified; please apply your changes to the latest version"
    refused(world.agent.patch(world.path(), patch), 409, "Conflict", text)
    assert world.kube.role_of("redis-0") == "pending"
    patch["metadata"]["resourceVersion"] = world.kube.get_pod("redis-0")["metadata"][
        "resourceVersion"
    ]
    assert role(ok(world.agent.patch(world.path(), patch))) == "master"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_other_content_type_is_refused(world: World, content_type: str) -> None:
    answer = world.agent.patch(world.path(), merge(world.uid, "master"), content_type)
    refused(answer, 415, "UnsupportedMediaType")
    assert world.kube.role_of("redis-0") is None


def test_content_type_may_have_parameters(world: World) -> None:
    kind = MERGE_PATCH + "; charset=utf-8"
    assert role(ok(world.agent.patch(world.path(), merge(world.uid, "master"), kind))) == "master"


@pytest.mark.parametrize("body", [b'{"metadata":', b"", b"[]"])
def test_body_that_is_no_patch(world: World, body: bytes) -> None:
    refused(world.agent.patch(world.path(), body), 400, "BadRequest", "error decoding patch")


@pytest.mark.parametrize("value", [3, "two words", "x" * 64, ["master"]])
def test_what_a_label_cannot_be(world: World, value: object) -> None:
    answer = world.agent.patch(world.path(), {"metadata": {"labels": {"role": value}}})
    refused(answer, 422, "Invalid", "nvalid")
    assert world.kube.role_of("redis-0") is None


def test_patch_too_large(world: World) -> None:
    answer = world.agent.patch(world.path(), merge(world.uid, reason="x" * 300_000))
    refused(answer, 422, "Invalid", "metadata.annotations: Too long")
    answer = world.agent.patch(world.path(), merge(world.uid, reason="x" * 4_000_000))
    refused(answer, 413, "RequestEntityTooLarge")


def test_patch_of_the_identity(world: World) -> None:
    answer = world.agent.patch(world.path(), {"metadata": {"name": "redis-5"}})
    refused(answer, 400, "BadRequest", "does not match the name on the URL")
    answer = world.agent.patch(world.path(), {"metadata": {"namespace": "other"}})
    refused(answer, 400, "BadRequest", "namespace")
    answer = world.agent.patch(
        world.path(), {"metadata": {"deletionTimestamp": "2000-01-01T00:00:00Z"}}
    )
    refused(answer, 422, "Invalid", "metadata.deletionTimestamp")


def test_patch_of_status_is_ignored(world: World) -> None:
    pod = ok(world.agent.patch(world.path(), {"status": {"podIP": "192.0.2.9"}}))
    assert pod["status"]["podIP"] == "127.0.0.2"


def test_patch_in_a_dry_run_is_not_stored(world: World) -> None:
    pod = ok(world.agent.patch(world.path(), merge(world.uid, "master"), dryRun="All"))
    assert role(pod) == "master"
    assert world.kube.role_of("redis-0") is None


# --- admission: what of a Pod an agent may change -------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ({"labels": {"tier": "gold"}}, "only the role label"),
        ({"labels": {"app.kubernetes.io/name": "x"}}, "only the role label"),
        ({"labels": {"app.kubernetes.io/name": None}}, "only the role label"),
        ({"labels": {"tier": ""}}, "only the role label"),
        ({"annotations": {"x/y": "z"}}, "only annotations under redis-pod-agent/"),
        ({"annotations": {"keep/me": None}}, "only annotations under redis-pod-agent/"),
        ({"finalizers": ["x/y"]}, "only labels and annotations"),
        ({"ownerReferences": []}, "only labels and annotations"),
    ],
)
def test_own_pod_admission(world: World, metadata: Json, text: str) -> None:
    world.kube.patch_pod("redis-0", {"metadata": {"annotations": {"keep/me": "x"}}})
    before = world.kube.get_pod("redis-0")
    body = refused(world.agent.patch(world.path(), {"metadata": metadata}), 422, "Invalid", text)
    assert POLICY in body["message"]
    assert body["details"]["name"] == "redis-0"
    assert world.kube.get_pod("redis-0") == before


def test_own_hand_over_is_cleared(world: World) -> None:
    """A person asks for one on the master's Pod; its agent removes the wish when it is done."""
    wish = {"redis-pod-agent/handover": "any"}
    for pod in ("redis-0", "redis-1"):
        world.kube.patch_pod(pod, {"metadata": {"annotations": wish}})
    cleared = {"metadata": {"uid": world.uid, "annotations": dict.fromkeys(wish)}}
    pod = ok(world.agent.patch(world.path(), cleared))
    assert "redis-pod-agent/handover" not in pod["metadata"].get("annotations", {})
    other = {"metadata": {"annotations": dict.fromkeys(wish)}}
    refused(world.agent.patch(world.path("redis-1"), other), 422, "Invalid", ONLY_OWN)


def test_own_spec_is_refused(world: World) -> None:
    spec = {"containers": [{"name": "redis", "image": "other"}]}
    refused(world.agent.patch(world.path(), {"spec": spec}), 422, "Invalid")


def test_peer_master_may_be_demoted(world: World) -> None:
    pod = ok(world.agent.patch(world.path("redis-1"), merge(world.peer_uid, "demoted", **DEMOTION)))
    assert role(pod) == "demoted"
    assert pod["metadata"]["annotations"]["redis-pod-agent/demoted-by-epoch"] == "4"


def test_demotion_sent_twice_is_refused(world: World) -> None:
    """A repeat after a lost answer: 422 does not say that the first one failed."""
    patch = merge(world.peer_uid, "demoted", **DEMOTION)
    ok(world.agent.patch(world.path("redis-1"), patch))
    refused(world.agent.patch(world.path("redis-1"), patch), 422, "Invalid", ONLY_OWN)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("master", "master"),
        ("master", "replica"),
        ("master", None),
        ("replica", "demoted"),
        ("demoted", "master"),
        (None, "demoted"),
    ],
)
def test_peer_gets_no_other_role(world: World, before: str | None, after: str | None) -> None:
    world.kube.set_role("redis-1", before)
    patch = merge(world.peer_uid, reason="x")
    patch["metadata"]["labels"] = {"role": after}
    body = refused(world.agent.patch(world.path("redis-1"), patch), 422, "Invalid", ONLY_OWN)
    assert POLICY in body["message"]
    assert world.kube.role_of("redis-1") == before


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"redis-pod-agent/fence": "true"}},
        {"annotations": {"redis-pod-agent/role-epoch": "9"}},
        {"annotations": {"redis-pod-agent/set-by-hand": None}},
        {"annotations": {"x/y": "z"}},
        {"labels": {"tier": "gold"}},
        {"finalizers": ["x/y"]},
    ],
)
def test_demotion_carries_nothing_else(world: World, metadata: Json) -> None:
    """No agent fences a peer, nor takes off a fence."""
    by_hand = {"redis-pod-agent/set-by-hand": "true"}
    world.kube.patch_pod("redis-1", {"metadata": {"annotations": by_hand}})
    metadata = {**metadata, "labels": {"role": "demoted", **metadata.get("labels", {})}}
    answer = world.agent.patch(world.path("redis-1"), {"metadata": metadata})
    refused(answer, 422, "Invalid", POLICY)
    assert world.kube.role_of("redis-1") == "master"


@pytest.mark.parametrize("name", ["other-0", "redis-x-0", "redis"])
def test_pod_of_another_set_is_not_demoted(world: World, name: str) -> None:
    world.kube.create_pod(name, labels={"role": "master"})
    answer = world.agent.patch(world.path(name), merge(None, "demoted"))
    refused(answer, 422, "Invalid", ONLY_OWN)
    assert world.kube.role_of(name) == "master"


def test_peer_uid_is_checked(world: World) -> None:
    answer = world.agent.patch(world.path("redis-1"), merge(world.uid, "demoted"))
    refused(answer, 422, "Invalid", "metadata.uid")


def test_peer_demotion_with_stale_version(world: World) -> None:
    stale = world.kube.get_pod("redis-1")["metadata"]["resourceVersion"]
    world.kube.patch_pod("redis-1", merge(None, role_epoch="7"))
    patch = merge(world.peer_uid, "demoted", **DEMOTION)
    patch["metadata"]["resourceVersion"] = stale
    refused(world.agent.patch(world.path("redis-1"), patch), 409, "Conflict")
    assert world.kube.role_of("redis-1") == "master"
