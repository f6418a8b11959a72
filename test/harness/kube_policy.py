"""Who may do what at the stand-in: the Python twin of k8s/base.

test/kube/test_contract.py holds it and the manifests, on the real server, to the same answers.
"""

from __future__ import annotations

from typing import NamedTuple

from .kube_api import PREFIX, SERVICE_ACCOUNT, Json, set_of
from .kube_store import Refusal

POLICY = "redis-pod-agent"
PEER_ANNOTATIONS = frozenset({PREFIX + "reason", PREFIX + "demoted-by-epoch"})
# (resource, verb) that rbac.yaml grants.
GRANTED = frozenset(
    {("pods", verb) for verb in ("get", "list", "watch", "patch")} | {("events", "create")}
)


class User(NamedTuple):
    name: str
    pod: str = ""  # that the token is bound to
    uid: str = ""
    account: str = ""  # service account
    admin: bool = False

    @property
    def agent(self) -> bool:
        return self.account == SERVICE_ACCOUNT


ANONYMOUS = User("system:anonymous")


class Attributes(NamedTuple):
    """What a request asks for, in RBAC's terms."""

    verb: str
    resource: str
    name: str
    subresource: str
    namespace: str  # "": all


def authorize(user: User, a: Attributes, namespace: str) -> None:
    """Refusal 403 unless the user may."""
    if user.admin:
        return
    granted = user.agent and not a.subresource and a.namespace == namespace
    if granted and (a.resource, a.verb) in GRANTED:
        return
    resource = f"{a.resource}/{a.subresource}" if a.subresource else a.resource
    where = f'in the namespace "{a.namespace}"' if a.namespace else "at the cluster scope"
    what = f'{a.resource} "{a.name}"' if a.name else a.resource
    message = (
        f'{what} is forbidden: User "{user.name}" cannot {a.verb} resource "{resource}" '
        f'in API group "" {where}'
    )
    details = {"name": a.name, "kind": a.resource} if a.name else {"kind": a.resource}
    raise Refusal(403, "Forbidden", message, details)


def admit(user: User, old: Json, new: Json) -> None:
    """admission-policy.yaml: Refusal 422 for an update by an agent that it does not allow."""
    if not user.agent:
        return
    problem = _problem(user, old, new)
    if problem is None:
        return
    name = old["metadata"]["name"]
    denied = f"ValidatingAdmissionPolicy '{POLICY}' with binding '{POLICY}' denied request: "
    message = denied + problem
    details = {"name": name, "kind": "pods", "causes": [{"message": message}]}
    raise Refusal(422, "Invalid", f'pods "{name}" is forbidden: {message}', details)


def _problem(user: User, old: Json, new: Json) -> str | None:
    before, after = old["metadata"], new["metadata"]
    own = user.pod == before["name"] and user.uid == before["uid"]
    if not own and not (_same_set(user, old) and _is_demotion(before, after)):
        return "only the own Pod, or role master to demoted on a Pod of the same StatefulSet"
    if _changed(before, after, "labels") - {"role"}:
        return "only the role label"
    annotations = _changed(before, after, "annotations")
    if any(not key.startswith(PREFIX) for key in annotations):
        return "only annotations under redis-pod-agent/"
    if not own and annotations - PEER_ANNOTATIONS:
        return "on another Pod only the annotations reason and demoted-by-epoch"
    rest = ("finalizers", "ownerReferences")
    if old["spec"] != new["spec"] or any(before.get(k) != after.get(k) for k in rest):
        return "only labels and annotations"
    return None


def _same_set(user: User, pod: Json) -> bool:
    name = pod["metadata"]["name"]
    numbered = all(n.rpartition("-")[2].isdecimal() and "-" in n[1:] for n in (user.pod, name))
    account = pod["spec"].get("serviceAccountName")
    return numbered and set_of(user.pod) == set_of(name) and account == SERVICE_ACCOUNT


def _is_demotion(before: Json, after: Json) -> bool:
    roles = [metadata.get("labels", {}).get("role") for metadata in (before, after)]
    return roles == ["master", "demoted"]


def _changed(before: Json, after: Json, field: str) -> set[str]:
    old, new = before.get(field, {}), after.get(field, {})
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
