"""The stand-in's etcd: Pods and Events of one namespace, with resourceVersions and a history.

Objects are never changed once stored: an update makes a new one, so that readers and the history
may keep what they were given. Refusals have the code, reason and text of the real server
(kube-apiserver 1.36; test/kube/test_contract.py compares).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
import uuid
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Json = dict[str, Any]

FIRST_VERSION = 100
HISTORY_MAX = 20_000
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
LABEL_VALUE_MAX = 63
ANNOTATIONS_MAX_BYTES = 256 * 1024
NAMESPACE_MISMATCH = (
    "the namespace of the provided object does not match the namespace sent on the request"
)
CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter."
)


def status(code: int, reason: str, message: str, details: Json | None = None) -> Json:
    """A metav1.Status that reports a failure."""
    body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body["message"] = message
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = details
    body["code"] = code
    return body


class Refusal(Exception):
    """An answer other than success."""

    def __init__(
        self, code: int, reason: str, message: str, details: Json | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.body = status(code, reason, message, details)


def invalid(kind: str, name: str, field: str, problem: str) -> Refusal:
    cause = {"reason": "FieldValueInvalid", "message": problem, "field": field}
    details = {"name": name, "kind": kind, "causes": [cause]}
    return Refusal(422, "Invalid", f'{kind} "{name}" is invalid: {field}: {problem}', details)


def not_found(plural: str, name: str) -> Refusal:
    return Refusal(
        404, "NotFound", f'{plural} "{name}" not found', {"name": name, "kind": plural}
    )


def expired(message: str) -> Refusal:
    return Refusal(410, "Expired", message)


def merge_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """RFC 7386. Shares the unchanged parts with `target`."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def timestamp(after_s: int = 0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=after_s)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Change(NamedTuple):
    version: int
    old: Json | None  # None: it was added
    new: Json | None  # None: it was removed; then `last` holds its final state
    last: Json
    t: float


class Page(NamedTuple):
    items: list[Json]
    version: int
    next: str  # continue token, "" at the end
    remaining: int


def matches(pod: Json | None, selector: dict[str, str]) -> bool:
    """selector: label equality, plus metadata.name under the key ""."""
    if pod is None:
        return False
    labels = pod["metadata"].get("labels", {})
    return all(
        pod["metadata"]["name"] == value if key == "" else labels.get(key) == value
        for key, value in selector.items()
    )


class Store:
    """Pods by name, Events by name, one counter of versions. Not for several threads."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.pods: dict[str, Json] = {}
        self.events: dict[str, Json] = {}
        self.version = FIRST_VERSION
        # A watch or a list from before this version is too old.
        self.oldest = FIRST_VERSION
        self.history: deque[Change] = deque()
        self.on_change: Callable[[Change], None] = lambda change: None

    # --- Pods -------------------------------------------------------------------------------

    def pod(self, name: str) -> Json:
        if name not in self.pods:
            raise not_found("pods", name)
        return self.pods[name]

    def create_pod(self, body: Json) -> Json:
        name = body["metadata"]["name"]
        if name in self.pods:
            details = {"name": name, "kind": "pods"}
            raise Refusal(409, "AlreadyExists", f'pods "{name}" already exists', details)
        metadata = {
            **body["metadata"],
            "namespace": self.namespace,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": timestamp(),
        }
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": metadata,
            "spec": {"restartPolicy": "Always", **body["spec"]},
            "status": body.get("status") or {"phase": "Pending", "qosClass": "BestEffort"},
        }
        return self._commit(None, pod)

    def merge_pod(
        self,
        name: str,
        patch: Json,
        admit: Callable[[Json, Json], None] | None = None,
        commit: bool = True,
    ) -> Json:
        """A merge patch; `admit` (old, new) may refuse. An update that changes nothing is not
        one: no new version, no event. commit=False only tells what would come of it."""
        old = self.pod(name)
        new = merge_patch(old, patch)
        self._check_update(old, new)
        self._keep_server_fields(old, new)
        if admit is not None:
            admit(old, new)
        return self._commit(old, new) if commit and new != old else new

    def merge_status(self, name: str, patch: Json) -> Json:
        old = self.pod(name)
        new = {**old, "status": merge_patch(old["status"], patch.get("status", {}))}
        return old if new == old else self._commit(old, new)

    def delete_pod(self, name: str, grace_s: int) -> Json:
        old = self.pod(name)
        metadata = {
            **old["metadata"],
            "generation": old["metadata"].get("generation", 1)
            + ("deletionTimestamp" not in old["metadata"]),
            "deletionTimestamp": timestamp(grace_s),
            "deletionGracePeriodSeconds": grace_s,
        }
        marked = {**old, "metadata": metadata}
        return self._commit(old, marked) if grace_s > 0 else self._remove(marked)

    def list_pods(self, selector: dict[str, str], limit: int, token: str) -> Page:
        version, start = (self.version, "") if not token else self._parse_continue(token)
        pods = self._pods_at(version)
        names = sorted(n for n in pods if n >= start and matches(pods[n], selector))
        taken = names[:limit] if limit > 0 else names
        left = len(names) - len(taken)
        following = self._make_continue(version, taken[-1]) if left else ""
        return Page([pods[n] for n in taken], version, following, left)

    # --- Events -----------------------------------------------------------------------------

    def create_event(self, body: Json) -> Json:
        metadata = dict(body.get("metadata") or {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        name = metadata.get("name", "")
        if metadata.get("namespace", self.namespace) != self.namespace:
            raise Refusal(400, "BadRequest", NAMESPACE_MISMATCH)
        if not name:
            problem = "Required value: name or generateName is required"
            raise invalid("Event", name, "metadata.name", problem)
        about = (body.get("involvedObject") or {}).get("namespace", "")
        if about != self.namespace:
            problem = f'Invalid value: "{about}": does not match event.namespace'
            raise invalid("Event", name, "involvedObject.namespace", problem)
        if name in self.events:
            details = {"name": name, "kind": "events"}
            raise Refusal(409, "AlreadyExists", f'events "{name}" already exists', details)
        self.version += 1
        metadata |= {
            "namespace": self.namespace,
            "uid": str(uuid.uuid4()),
            "resourceVersion": str(self.version),
            "creationTimestamp": timestamp(),
        }
        event = {"kind": "Event", "apiVersion": "v1", **body, "metadata": metadata}
        self.events[name] = event
        return event

    # --- history ----------------------------------------------------------------------------

    def changes_after(self, version: int) -> list[Change]:
        """Refusal 410 where the history does not reach back that far."""
        if version < self.oldest:
            raise expired(f"too old resource version: {version} ({self.oldest})")
        found = []
        for change in reversed(self.history):
            if change.version <= version:
                break
            found.append(change)
        return found[::-1]

    def forget_history(self) -> None:
        self.history.clear()
        self.version += 1  # or a reader of the last change would not be too late
        self.oldest = self.version

    def _commit(self, old: Json | None, new: Json) -> Json:
        self.version += 1
        metadata = {**new["metadata"], "resourceVersion": str(self.version)}
        for key in ("labels", "annotations"):
            if not metadata.get(key):
                metadata.pop(key, None)
        new = {**new, "metadata": metadata}
        self.pods[metadata["name"]] = new
        self._note(Change(self.version, old, new, new, time.monotonic()))
        return new

    def _remove(self, last: Json) -> Json:
        self.version += 1
        metadata = {**last["metadata"], "resourceVersion": str(self.version)}
        last = {**last, "metadata": metadata}
        old = self.pods.pop(metadata["name"])
        self._note(Change(self.version, old, None, last, time.monotonic()))
        return last

    def _note(self, change: Change) -> None:
        self.history.append(change)
        if len(self.history) > HISTORY_MAX:
            self.oldest = self.history.popleft().version
        self.on_change(change)

    def _pods_at(self, version: int) -> dict[str, Json]:
        if version == self.version:
            return self.pods
        if version < self.oldest:
            raise expired(CONTINUE_TOO_OLD)
        pods = dict(self.pods)
        for change in reversed(self.changes_after(version)):
            name = change.last["metadata"]["name"]
            if change.old is None:
                pods.pop(name, None)
            else:
                pods[name] = change.old
        return pods

    def _make_continue(self, version: int, last: str) -> str:
        token = {"v": "meta.k8s.io/v1", "rv": version, "start": last + "\0"}
        return base64.urlsafe_b64encode(json.dumps(token).encode()).rstrip(b"=").decode()

    def _parse_continue(self, token: str) -> tuple[int, str]:
        try:
            padded = token + "=" * (-len(token) % 4)
            parsed = json.loads(base64.urlsafe_b64decode(padded))
            return int(parsed["rv"]), str(parsed["start"])
        except (binascii.Error, ValueError, KeyError, TypeError):
            message = "invalid continue token: continue key is not valid"
            raise Refusal(400, "BadRequest", message) from None

    # --- validation ---------------------------------------------------------------------------

    def _check_update(self, old: Json, new: Json) -> None:
        name = old["metadata"]["name"]
        metadata = new.get("metadata")
        if metadata is None:
            message = (
                f"the name of the object ({name} based on URL) was undeterminable: "
                "name must be provided"
            )
            raise Refusal(400, "BadRequest", message)
        if not isinstance(metadata, dict) or not all(
            self._is_text_map(metadata.get(key, {})) for key in ("labels", "annotations")
        ) or any(new.get(key) != old[key] for key in ("kind", "apiVersion")):
            message = ' "" is invalid: patch: Invalid value: json: cannot unmarshal'
            raise Refusal(422, "Invalid", message)
        self._check_identity(old["metadata"], metadata)
        self._check_labels(name, metadata.get("labels", {}))
        size = sum(len(k) + len(v) for k, v in metadata.get("annotations", {}).items())
        if size > ANNOTATIONS_MAX_BYTES:
            problem = f"Too long: may not be more than {ANNOTATIONS_MAX_BYTES} bytes"
            raise invalid("Pod", name, "metadata.annotations", problem)

    def _check_identity(self, old: Json, new: Json) -> None:
        name = old["name"]
        if new.get("name") != name:
            message = (
                f"the name of the object ({new.get('name')}) does not match the name on the URL "
                f"({name})"
            )
            raise Refusal(400, "BadRequest", message)
        if new.get("namespace") != self.namespace:
            raise Refusal(400, "BadRequest", NAMESPACE_MISMATCH)
        # An absent or empty precondition is none.
        version = new.get("resourceVersion") or old["resourceVersion"]
        if version != old["resourceVersion"]:
            message = (
                f'Operation cannot be fulfilled on pods "{name}": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
            raise Refusal(409, "Conflict", message, {"name": name, "kind": "pods"})
        for field in ("uid", "deletionTimestamp"):
            value = new.get(field) or old.get(field)
            if value != old.get(field):
                problem = f'Invalid value: "{value}": field is immutable'
                raise invalid("Pod", name, f"metadata.{field}", problem)

    def _check_labels(self, name: str, labels: dict[str, str]) -> None:
        for value in labels.values():
            if len(value) > LABEL_VALUE_MAX:
                problem = f"must be no more than {LABEL_VALUE_MAX} bytes"
            elif not LABEL_VALUE.fullmatch(value):
                problem = "a valid label must be an empty string or consist of alphanumeric"
            else:
                continue
            raise invalid("Pod", name, "metadata.labels", f'Invalid value: "{value}": {problem}')

    @staticmethod
    def _is_text_map(value: object) -> bool:
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())

    @staticmethod
    def _keep_server_fields(old: Json, new: Json) -> None:
        """What a client cannot set through the main resource is put back in silence."""
        known = ("kind", "apiVersion", "metadata", "spec", "status")
        for key in [key for key in new if key not in known]:
            del new[key]
        new["status"] = old["status"]
        metadata = new["metadata"] = dict(new["metadata"])
        for key in (
            "namespace",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ):
            if key in old["metadata"]:
                metadata[key] = old["metadata"][key]
            else:
                metadata.pop(key, None)
        for key in ("labels", "annotations"):
            if not metadata.get(key):
                metadata.pop(key, None)
