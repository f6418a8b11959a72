"""A small client of the Kubernetes API for tests and for whoever plays the administrator.

One keep-alive connection a client; not for use by several threads at once. The agent has its own
client, in C: this one is the independent witness.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

Json = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"

# How a kept connection shows that the server has closed it in the meantime.
STALE = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)


@dataclass
class Response:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    version: int = 11  # of HTTP, as http.client counts: 11 is 1.1

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Of a Status object, "" for any other body."""
        return self.json.get("reason", "")

    @property
    def message(self) -> str:
        return self.json.get("message", "")


def ok(response: Response) -> Json:
    """The object of an answer that has to be a success."""
    if not 200 <= response.status < 300:
        raise AssertionError(f"{response.status}: {response.body[:500].decode(errors='replace')}")
    return response.json


def merge(uid: str | None, role: str | None = None, **annotations: str | None) -> Json:
    """The merge patch that an agent sends: role_epoch="3" is redis-pod-agent/role-epoch."""
    metadata: Json = {}
    if uid is not None:
        metadata["uid"] = uid
    if role is not None:
        metadata["labels"] = {"role": role}
    if annotations:
        metadata["annotations"] = {
            "redis-pod-agent/" + key.replace("_", "-"): value for key, value in annotations.items()
        }
    return {"metadata": metadata}


@dataclass
class Watch:
    """A watch in progress: an iterator of events with a deadline for each."""

    response: http.client.HTTPResponse
    connection: http.client.HTTPConnection
    status: int = field(init=False)
    deadline_s: float = 10.0

    def __post_init__(self) -> None:
        self.status = self.response.status

    def __iter__(self) -> Iterator[Json]:
        while True:
            event = self.next()
            if event is None:
                return
            yield event

    def next(self, timeout_s: float | None = None) -> Json | None:
        """The next event; None at the end of the stream; TimeoutError when nothing comes."""
        deadline = self.deadline_s if timeout_s is None else timeout_s
        if self.connection.sock is not None:
            self.connection.sock.settimeout(deadline)
        line = self.response.readline()
        return json.loads(line) if line else None

    def until(self, kind: str, name: str | None = None, timeout_s: float = 10.0) -> Json:
        """Reads on until an event of this type (and Pod) comes and returns it."""
        end = time.monotonic() + timeout_s
        seen = []
        while (left := end - time.monotonic()) > 0:
            event = self.next(left)
            if event is None:
                break
            seen.append((event["type"], event["object"].get("metadata", {}).get("name")))
            if event["type"] == kind and name in (None, seen[-1][1]):
                return event
        raise AssertionError(f"no {kind} of {name or 'anything'} came, only {seen}")

    def close(self) -> None:
        self.response.close()
        self.connection.close()


class KubeClient:
    """Requests with one token; token None is the anonymous user."""

    def __init__(
        self, url: str, ca_file: str | None = None, token: str | None = None, timeout_s: float = 10
    ) -> None:
        self.url = url
        self.ca_file = ca_file
        self.token = token
        self.timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def connect(self) -> http.client.HTTPConnection:
        """A new connection; the caller closes it."""
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            connection = http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        else:
            context = ssl.create_default_context(cafile=self.ca_file)
            connection = http.client.HTTPSConnection(
                host, port, timeout=self.timeout_s, context=context
            )
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def headers(self, content_type: str | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "redis-pod-agent-test"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if content_type is not None:
            headers["Content-Type"] = content_type
        return headers

    def request(
        self,
        method: str,
        path: str,
        body: Json | bytes | None = None,
        content_type: str = "application/json",
        **query: str | int,
    ) -> Response:
        """One request on the kept connection; a kept one that has gone stale is opened anew."""
        if query:
            path = f"{path}?{urlencode(query)}"
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = self.headers(content_type if data is not None else None)
        fresh = self._connection is None
        if self._connection is None:
            self._connection = self.connect()
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except STALE:
            self.close()
            if fresh:
                raise
            return self.request(method, path, data, content_type)
        except OSError:
            self.close()
            raise
        return Response(answer.status, answer.headers, content, answer.version)

    def get(self, path: str, **query: str | int) -> Response:
        return self.request("GET", path, **query)

    def patch(
        self, path: str, body: Json | bytes, content_type: str = MERGE_PATCH, **query: str | int
    ) -> Response:
        return self.request("PATCH", path, body, content_type, **query)

    def post(self, path: str, body: Json, **query: str | int) -> Response:
        return self.request("POST", path, body, **query)

    def delete(self, path: str, **query: str | int) -> Response:
        return self.request("DELETE", path, **query)

    def watch(self, path: str, **query: str | int) -> Watch:
        """A watch on a connection of its own."""
        connection = self.connect()
        query = {"watch": "1", **query}
        connection.request("GET", f"{path}?{urlencode(query)}", headers=self.headers(None))
        return Watch(connection.getresponse(), connection)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
