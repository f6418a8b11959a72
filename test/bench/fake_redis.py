"""A Redis and its Sentinels that fail over when told to, hundreds of times a minute: not for what
an agent does right, but for what it leaves behind. RESP over loopback, one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Self

from test.harness.topology import MASTER

REPLID = "d" * 40
OTHER = ("127.0.0.2", 6379)
START_TIMEOUT_S = 5

Value = str | int | list["Value"]


def encode(value: Value) -> bytes:
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(encode(v) for v in value)
    raw = value.encode()
    return b"$%d\r\n%s\r\n" % (len(raw), raw)


class Peer:
    """One listener. `answer` maps the words of a command to its reply; None: an error reply."""

    def __init__(self, answer: Callable[[list[str]], bytes | None]) -> None:
        self.answer = answer
        self.address = ("127.0.0.1", 0)
        self.writers: set[asyncio.StreamWriter] = set()
        self.subscribers: dict[asyncio.StreamWriter, set[str]] = {}
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, *self.address)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = []
                for _ in range(count):
                    size = int((await reader.readuntil(b"\r\n"))[1:])
                    words.append((await reader.readexactly(size + 2))[:-2].decode())
                writer.write(self._reply(writer, words))
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            self.subscribers.pop(writer, None)
            writer.close()

    def _reply(self, writer: asyncio.StreamWriter, words: list[str]) -> bytes:
        verb = words[0].upper()
        if verb == "SUBSCRIBE":
            known = self.subscribers.setdefault(writer, set())
            reply = b""
            for channel in words[1:]:
                known.add(channel)
                reply += encode(["subscribe", channel, len(known)])
            return reply
        if verb == "PING":
            return encode(["pong", ""]) if writer in self.subscribers else b"+PONG\r\n"
        reply = self.answer(words)
        return b"-ERR unknown command\r\n" if reply is None else reply

    def publish(self, channel: str, payload: str) -> None:
        for writer, channels in self.subscribers.items():
            if channel in channels:
                writer.write(encode(["message", channel, payload]))

    def drop(self) -> None:
        """As CLIENT KILL TYPE normal and pubsub does to a Redis that is promoted."""
        for writer in list(self.writers):
            writer.transport.abort()


class FakeSet:
    """One Redis, at `redis.address`, and three Sentinels that name it or another as the master."""

    def __init__(self, sentinels: int = 3) -> None:
        self.epoch = 1
        self.is_master = False
        self.redis = Peer(self._answer_redis)
        self.sentinels = [
            Peer(lambda words, i=i: self._answer_sentinel(words, i)) for i in range(sentinels)
        ]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._stopping: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None and self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        for peer in (self.redis, *self.sentinels):
            await peer.listen()
        self._ready.set()
        await self._stopping.wait()
        for peer in (self.redis, *self.sentinels):
            peer.drop()

    def fail_over(self) -> None:
        """The mastership changes hands, at the next epoch."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._fail_over)

    def _fail_over(self) -> None:
        old = self.master
        self.is_master = not self.is_master
        self.epoch += 1
        for sentinel in self.sentinels:
            sentinel.publish("+new-epoch", str(self.epoch))
        if self.is_master:
            # Lets the agent watch ROLE closely, as when a Sentinel is about to promote.
            new = f"{self.master[0]} {self.master[1]}"
            selected = f"slave {self.master[0]}:{self.master[1]} {new} @ {MASTER} {old[0]} {old[1]}"
            self.sentinels[0].publish("+selected-slave", selected)
        else:
            self.redis.drop()
        for sentinel in self.sentinels:
            where = f"{MASTER} {old[0]} {old[1]} {self.master[0]} {self.master[1]}"
            sentinel.publish("+switch-master", where)

    @property
    def master(self) -> tuple[str, int]:
        return self.redis.address if self.is_master else OTHER

    # --- replies ------------------------------------------------------------------------------

    def _answer_redis(self, words: list[str]) -> bytes | None:
        verb = words[0].upper()
        if verb == "ROLE":
            if self.is_master:
                return encode(["master", 1000 + self.epoch, []])
            return encode(["slave", OTHER[0], OTHER[1], "connected", 1000 + self.epoch])
        if verb == "INFO":
            return encode(self._info(words[-1].lower()))
        return None

    def _info(self, section: str) -> str:
        offset = 1000 + self.epoch
        if section == "server":
            lines = ["# Server", "redis_version:7.0.15", "redis_mode:standalone"]
            lines += ["process_id:1", f"run_id:{'a' * 40}", "uptime_in_seconds:100"]
        elif section == "persistence":
            lines = ["# Persistence", "loading:0", "async_loading:0"]
        else:
            lines = ["# Replication", f"role:{'master' if self.is_master else 'slave'}"]
            if not self.is_master:
                lines += [f"master_host:{OTHER[0]}", f"master_port:{OTHER[1]}"]
                lines += ["master_link_status:up", "master_last_io_seconds_ago:0"]
                lines += ["master_sync_in_progress:0", f"slave_repl_offset:{offset}"]
                lines += ["slave_priority:100", "slave_read_only:1"]
            lines += ["connected_slaves:0", "master_failover_state:no-failover"]
            lines += [f"master_replid:{REPLID}", f"master_repl_offset:{offset}"]
        return "\r\n".join([*lines, ""])

    def _answer_sentinel(self, words: list[str], index: int) -> bytes | None:
        what = [w.upper() for w in words[:2]]
        if what == ["SENTINEL", "MYID"]:
            return encode(f"{index + 1:040x}")
        if what == ["SENTINEL", "GET-MASTER-ADDR-BY-NAME"]:
            return encode([self.master[0], str(self.master[1])])
        if what == ["SENTINEL", "MASTER"]:
            fields = {
                "name": MASTER,
                "ip": self.master[0],
                "port": str(self.master[1]),
                "runid": ("a" if self.is_master else "b") * 40,
                "flags": "master",
                "down-after-milliseconds": "1000",
                "config-epoch": str(self.epoch),
                "num-slaves": "1",
                "num-other-sentinels": str(len(self.sentinels) - 1),
                "quorum": "2",
                "failover-timeout": "6000",
            }
            return encode([word for pair in fields.items() for word in pair])
        return None
