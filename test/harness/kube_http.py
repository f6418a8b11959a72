"""The server side of HTTP/1.1, as much of it as the stand-in needs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

HEADER_MAX = 64 * 1024
BODY_MAX = 3 * 1024 * 1024  # kube-apiserver's own limit
DISCARD_MAX = 64 * 1024 * 1024


class BadRequest(Exception):
    """Not HTTP; the connection is closed."""


class TooLarge(Exception):
    """A body over BODY_MAX; the connection is of no further use."""


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def keep_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


class Answer(NamedTuple):
    code: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        length = ("Content-Length", str(len(self.body)))
        return head(self.code, [("Content-Type", self.content_type), length, *self.headers]) + (
            self.body
        )


def head(code: int, fields: list[tuple[str, str]]) -> bytes:
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {code} {phrase}", "Cache-Control: no-cache, private"]
    lines += [f"{name}: {value}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


CHUNKED_HEAD = head(200, [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def encode_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Protocol(asyncio.StreamReaderProtocol):
    """Tells that the client has closed without reading from it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        super().__init__(reader, connected)
        self.gone = asyncio.Event()

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


class Connection:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.gone: asyncio.Event = writer.transport.get_protocol().gone
        # Set: what is sent goes out byte by byte, so many seconds apart.
        self.drip_s: float | None = None

    async def read_request(self) -> Request | None:
        """None: the client has closed."""
        try:
            raw = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise BadRequest("the connection ended inside a header") from None
            return None
        except asyncio.LimitOverrunError:
            raise BadRequest("the header is too long") from None
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        parts = first.split(" ")
        if len(parts) != 3 or parts[2] != "HTTP/1.1":
            raise BadRequest(first[:100])
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequest(line[:100])
            headers[name.strip().lower()] = value.strip()
        url = urlsplit(parts[1])
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        body = await self._read_body(headers)
        return Request(parts[0], unquote(url.path), query, headers, body)

    async def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._read_chunks()
        length = int(headers.get("content-length", "0"))
        if length > BODY_MAX:
            # A client that is still sending would see a reset and not the answer.
            left = min(length, DISCARD_MAX)
            while left > 0 and (read := await self.reader.read(min(left, HEADER_MAX))):
                left -= len(read)
            raise TooLarge
        return await self.reader.readexactly(length)

    async def _read_chunks(self) -> bytes:
        body = b""
        while True:
            size = int((await self.reader.readline()).split(b";")[0], 16)
            if len(body) + size > BODY_MAX:
                raise TooLarge
            body += (await self.reader.readexactly(size + 2))[:-2]
            if size == 0:
                return body

    async def send(self, data: bytes) -> None:
        """OSError: the client has closed."""
        if self.drip_s is None:
            self.writer.write(data)
            await self.writer.drain()
            return
        for byte in data:
            self.writer.write(bytes((byte,)))
            if not await self.wait(timeout_s=self.drip_s):
                raise ConnectionResetError

    async def wait(
        self, event: asyncio.Event | None = None, timeout_s: float | None = None
    ) -> bool:
        """Waits for the event or the time-out; False when the client has closed."""
        events = [self.gone] if event is None else [self.gone, event]
        tasks = [asyncio.create_task(e.wait()) for e in events]
        try:
            await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        return not self.gone.is_set()

    def reset(self) -> None:
        """Closes with a RST."""
        sock = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()
