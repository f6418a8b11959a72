"""A small RESP2 client: one socket, no pool, no retries, so that what is timed is Redis."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

Reply = Any  # str, int, None, ReplyError or a list of these


class ReplyError(Exception):
    """An error reply; its text is the whole line."""


class Resp:
    """Connects at once; OSError when that, or a later exchange, fails or times out."""

    def __init__(
        self, host: str, port: int, password: str | None = None, timeout_s: float = 2
    ) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        if password is not None:
            self("AUTH", password)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
            self._socket.close()

    def shutdown(self) -> None:
        """Ends a read that is under way in another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __call__(self, *args: str | int) -> Reply:
        self.send(*args)
        reply = self.read()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def send(self, *args: str | int) -> None:
        parts = [str(a).encode() for a in args]
        head = b"*%d\r\n" % len(parts)
        self._socket.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def set_timeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def read(self) -> Reply:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the connection was closed")
        kind, text = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"+":
            return text
        if kind == b"-":
            return ReplyError(text)
        if kind == b":":
            return int(text)
        if kind == b"$":
            size = int(text)
            return None if size < 0 else self._file.read(size + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return None if int(text) < 0 else [self.read() for _ in range(int(text))]
        raise ConnectionResetError(f"not RESP: {line!r}")

    def subscribe(self, *channels: str) -> None:
        """Returns when all of them are confirmed."""
        self.send("SUBSCRIBE", *channels)
        for _ in channels:
            reply = self.read()
            if isinstance(reply, ReplyError):
                raise reply

    def messages(self) -> Iterator[tuple[str, str]]:
        """(channel, payload) of what is published, for as long as the connection lives."""
        while True:
            reply = self.read()
            if reply[0] == "message":
                yield reply[1], reply[2]


def flat(reply: Reply) -> dict[str, str]:
    """[key, value, …] as SENTINEL MASTER answers it."""
    return dict(zip(reply[::2], reply[1::2], strict=True))
