"""The stand-in's resources: what a request asks for, and what the store makes of it."""

from __future__ import annotations

import json

from .kube_api import Json
from .kube_http import Answer, Request, encode_json
from .kube_policy import Attributes, User, admit
from .kube_store import Refusal, Store

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
PATCH_TYPE = "application/merge-patch+json"
OPEN_PATHS = ("/readyz", "/livez", "/healthz", "/version")
VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.3-stand-in"}


def attributes_of(request: Request) -> Attributes | None:
    """None: the path is no resource of the core group."""
    parts = request.path.strip("/").split("/")
    if parts[:2] != ["api", "v1"] or len(parts) < 3:
        return None
    rest = parts[2:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = (rest + ["", ""])[:3]
    verb = VERBS.get(request.method, "get")
    if request.method == "GET" and not name:
        verb = "watch" if is_watch(request) else "list"
    elif verb == "delete" and not name:
        verb = "deletecollection"
    return Attributes(verb, resource, name, subresource, namespace)


def is_watch(request: Request) -> bool:
    return request.query.get("watch", "") in ("1", "true")


def selector_of(request: Request) -> dict[str, str]:
    """labelSelector (equalities) and fieldSelector (metadata.name); see kube_store.matches."""
    selector = {}
    for term in filter(None, request.query.get("labelSelector", "").split(",")):
        key, equals, value = term.replace("==", "=").partition("=")
        if not equals or key.endswith("!"):
            raise Refusal(400, "BadRequest", f"the stand-in knows equality only, not {term!r}")
        selector[key] = value
    for term in filter(None, request.query.get("fieldSelector", "").split(",")):
        key, _, value = term.replace("==", "=").partition("=")
        if key != "metadata.name":
            raise Refusal(400, "BadRequest", f"field label not supported: {key}")
        selector[""] = value
    return selector


def parse_version(text: str) -> int:
    if not text.isdecimal():
        message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: invalid syntax'
        raise Refusal(500, "", message)
    return int(text)


def without_kind(item: Json) -> Json:
    """As items of a list are written: their kind is the list's."""
    return {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}


class Resources:
    def __init__(self, store: Store) -> None:
        self.store = store

    def nonresource(self, request: Request, user: User) -> Answer:
        if request.path == "/version":
            return Answer(200, encode_json(VERSION))
        if request.path in OPEN_PATHS:
            return Answer(200, b"ok", "text/plain; charset=utf-8")
        if not user.admin:
            message = f'forbidden: User "{user.name}" cannot get path "{request.path}"'
            raise Refusal(403, "Forbidden", message, {})
        return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")

    def answer(self, request: Request, a: Attributes, user: User) -> Answer:
        """Everything but a watch, for a user who may; Refusal."""
        if a.resource == "pods" and not a.subresource:
            return self._pods(request, a, user)
        if a.resource == "pods" and a.subresource == "status" and a.verb == "patch":
            return Answer(200, encode_json(self.store.merge_status(a.name, patch_of(request))))
        if a.resource == "events" and not a.subresource:
            return self._events(request, a)
        message = "the server could not find the requested resource"
        raise Refusal(404, "NotFound", message, {})

    def _pods(self, request: Request, a: Attributes, user: User) -> Answer:
        match a.verb:
            case "get":
                return Answer(200, encode_json(self.store.pod(a.name)))
            case "list":
                return self._list_pods(request)
            case "create":
                return Answer(201, encode_json(self.store.create_pod(object_of(request, "Pod"))))
            case "patch":
                pod = self.store.merge_pod(
                    a.name,
                    patch_of(request),
                    lambda old, new: admit(user, old, new),
                    commit=request.query.get("dryRun") != "All",
                )
                return Answer(200, encode_json(pod))
            case "delete":
                grace = int(request.query.get("gracePeriodSeconds", "30"))
                return Answer(200, encode_json(self.store.delete_pod(a.name, grace)))
        raise not_allowed()

    def _list_pods(self, request: Request) -> Answer:
        wanted = request.query.get("resourceVersion", "")
        if wanted and parse_version(wanted) > self.store.version:
            message = (
                f"Timeout: Too large resource version: {wanted}, current: {self.store.version}"
            )
            raise Refusal(504, "Timeout", message, {"retryAfterSeconds": 1})
        page = self.store.list_pods(
            selector_of(request),
            int(request.query.get("limit", "0")),
            request.query.get("continue", ""),
        )
        metadata: Json = {"resourceVersion": str(page.version)}
        if page.next:
            metadata |= {"continue": page.next, "remainingItemCount": page.remaining}
        return Answer(200, encode_json(self._list("PodList", metadata, page.items)))

    def _events(self, request: Request, a: Attributes) -> Answer:
        match a.verb:
            case "create":
                event = self.store.create_event(object_of(request, "Event"))
                return Answer(201, encode_json(event))
            case "list":
                metadata = {"resourceVersion": str(self.store.version)}
                events = [self.store.events[name] for name in sorted(self.store.events)]
                return Answer(200, encode_json(self._list("EventList", metadata, events)))
        raise not_allowed()

    @staticmethod
    def _list(kind: str, metadata: Json, items: list[Json]) -> Json:
        shown = [without_kind(item) for item in items]
        return {"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": shown}


def not_allowed() -> Refusal:
    message = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", message, {})


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def patch_of(request: Request) -> Json:
    """Of the real server's kinds of patch only the one that agents send."""
    if media_type(request) != PATCH_TYPE:
        raise Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    try:
        patch = json.loads(request.body)
    except ValueError as error:
        raise Refusal(400, "BadRequest", f"error decoding patch: {error}") from None
    if not isinstance(patch, dict):
        message = "error decoding patch: json: cannot unmarshal into map[string]interface {}"
        raise Refusal(400, "BadRequest", message)
    return patch


def object_of(request: Request, kind: str) -> Json:
    if media_type(request) not in ("", "application/json"):
        message = (
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json"
        )
        raise Refusal(415, "UnsupportedMediaType", message)
    try:
        body = json.loads(request.body)
    except ValueError as error:
        message = (
            f"the object provided is unrecognized (must be of type {kind}): couldn't get "
            f"version/kind; json parse error: {error}"
        )
        raise Refusal(400, "BadRequest", message) from None
    given = body.get("kind", kind) if isinstance(body, dict) else "list"
    if given != kind:
        message = f'{given} in version "v1" cannot be handled as a {kind}'
        raise Refusal(400, "BadRequest", message)
    return body
