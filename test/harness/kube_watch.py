"""The stand-in's watches: the history of the store, told line by line."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from .kube_api import Json
from .kube_faults import REASONS, Fault
from .kube_http import CHUNKED_HEAD, LAST_CHUNK, Connection, Request, chunk, encode_json
from .kube_resources import parse_version, selector_of
from .kube_store import Change, Refusal, Store, matches

# The real server ends a watch that asks for no other time after 30 to 60 minutes.
DEFAULT_TIMEOUT_S = 1800
# It sends a bookmark this long before the end.
BOOKMARK_BEFORE_END_S = 2.0


@dataclass
class WatchOptions:
    bookmark_s: float
    # 410 as the HTTP status of a new watch, as servers without a watch cache do, or as the first
    # event of its stream, as the others do.
    expired_as_status: bool = False
    paused: bool = False  # changes are kept back


class Cut(Exception):
    """The stream ends without its end."""


class Watch:
    """One watch, in the server's thread. It reads on from `cursor` whenever it is woken."""

    def __init__(
        self,
        store: Store,
        connection: Connection,
        request: Request,
        options: WatchOptions,
        fault: Fault | None = None,
    ) -> None:
        """Refusal where the request is none."""
        self.store = store
        self.connection = connection
        self.options = options
        self.fault = fault
        self.selector = selector_of(request)
        query = request.query
        self.bookmarks = query.get("allowWatchBookmarks", "") in ("1", "true")
        timeout_s = float(query.get("timeoutSeconds", "") or DEFAULT_TIMEOUT_S)
        self.end = time.monotonic() + timeout_s
        version = query.get("resourceVersion", "")
        self.from_now = version in ("", "0")
        self.cursor = store.version if self.from_now else parse_version(version)
        self.muted = fault is not None and fault.kind == "half_open"
        self._bookmarked = time.monotonic()
        self._wake = asyncio.Event()
        self._closing = False
        if options.expired_as_status and not self.from_now:
            store.changes_after(self.cursor)

    def wake(self) -> None:
        self._wake.set()

    def close(self) -> None:
        """Ends the stream cleanly."""
        self._closing = True
        self._wake.set()

    async def run(self) -> bool:
        """True: ended in good order, the connection can go on."""
        await self.connection.send(CHUNKED_HEAD)
        try:
            await self._stream()
        except Cut:
            return False
        except Refusal as refusal:
            await self._send([{"type": "ERROR", "object": refusal.body}])
        await self.connection.send(LAST_CHUNK)
        return True

    async def _stream(self) -> None:
        """Cut; Refusal is to be the last event."""
        if self.fault is not None and self.fault.kind == "error_event":
            code = self.fault.args["code"]
            raise Refusal(code, REASONS.get(code, ""), f"the stand-in was told to send {code}")
        if self.from_now and not self.muted:
            pods = [p for _, p in sorted(self.store.pods.items()) if matches(p, self.selector)]
            await self._send([{"type": "ADDED", "object": pod} for pod in pods])
        while True:
            self._wake.clear()
            if not self.muted:
                await self._send(self._new_events())
            now = time.monotonic()
            if self._closing or now >= self.end:
                return
            if not await self.connection.wait(self._wake, max(0.0, self._deadline() - now)):
                raise Cut

    def _new_events(self) -> list[Json]:
        events = []
        if not self.options.paused:
            for change in self.store.changes_after(self.cursor):
                self.cursor = change.version
                if event := self._event(change):
                    events.append(event)
        if self.bookmarks and time.monotonic() >= self._bookmark_time():
            self._bookmarked = time.monotonic()
            if not self.options.paused:
                self.cursor = self.store.version
            events.append(self._bookmark())
        return events

    async def _send(self, events: list[Json]) -> None:
        if not events:
            return
        if self.fault is not None and self.fault.kind == "truncate":
            line = encode_json(events[0])
            await self.connection.send(chunk(line[: len(line) // 2]))
            raise Cut
        await self.connection.send(chunk(b"".join(encode_json(event) for event in events)))

    def _event(self, change: Change) -> Json | None:
        """A Pod that begins or ceases to match is added or deleted, as far as this watch goes."""
        was, now = matches(change.old, self.selector), matches(change.new, self.selector)
        if now:
            return {"type": "MODIFIED" if was else "ADDED", "object": change.last}
        if not was:
            return None
        last = change.last
        if change.new is not None and change.old is not None:
            version = change.last["metadata"]["resourceVersion"]
            last = {**change.old, "metadata": {**change.old["metadata"]}}
            last["metadata"]["resourceVersion"] = version
        return {"type": "DELETED", "object": last}

    def _bookmark(self) -> Json:
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": str(self.cursor)},
            "spec": {"containers": None},
            "status": {},
        }
        return {"type": "BOOKMARK", "object": pod}

    def _bookmark_time(self) -> float:
        regular = self._bookmarked + self.options.bookmark_s
        last = self.end - BOOKMARK_BEFORE_END_S
        return min(regular, last) if self._bookmarked < last else regular

    def _deadline(self) -> float:
        return min(self.end, self._bookmark_time()) if self.bookmarks else self.end
