#!/usr/bin/env python3
"""Writes the files beside this script anew: what a real Redis and a real Sentinel said.

usage: capture.py [--redis-server PATH] [--out DIR]

Starts one master, two replicas and three Sentinels on loopback in a directory of its own, kills
the master, starts it again, asks for a second failover and for votes, resets a Sentinel and freezes
one until it is in tilt. Replies are stored as they came over the wire (*.resp), events and hellos
as lines of channel, tab, payload (*.txt). Takes about half a minute; ends all that it started.
"""

from __future__ import annotations

import argparse
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

MASTER = "mymaster"
WAIT_S = 30.0


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"capture: {what} did not happen in {WAIT_S:.0f} s")
        Event().wait(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Conn:
    """One connection that keeps the bytes of each reply."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        # Unbuffered, so that a selector on the socket sees all that has not been read.
        self.file = self.sock.makefile("rb", buffering=0)

    def read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (part := self.file.read(count - len(data))):
            data += part
        return data

    def read(self) -> tuple[bytes, object]:
        raw = self.file.readline()
        kind, rest = raw[:1], raw[1:].rstrip(b"\r\n")
        if not raw:
            raise ConnectionError("closed")
        if kind == b"$" and int(rest) >= 0:
            body = self.read_exactly(int(rest) + 2)
            return raw + body, body[:-2].decode()
        if kind == b"*" and int(rest) >= 0:
            parts = [self.read() for _ in range(int(rest))]
            return raw + b"".join(p[0] for p in parts), [p[1] for p in parts]
        return raw, None if rest == b"-1" and kind in b"$*" else rest.decode()

    def send(self, *words: str) -> None:
        parts = [f"*{len(words)}\r\n"] + [f"${len(w)}\r\n{w}\r\n" for w in words]
        self.sock.sendall("".join(parts).encode())

    def ask(self, *words: str) -> tuple[bytes, object]:
        self.send(*words)
        return self.read()


class Server:
    """A redis-server process, as a Redis or as a Sentinel."""

    def __init__(self, binary: str, directory: Path, port: int, lines: list[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = port
        self.command = [binary, str(directory / "server.conf")]
        if any(line.startswith("sentinel ") for line in lines):
            self.command.append("--sentinel")
        text = [f"port {port}", "bind 127.0.0.1", f"dir {directory}", *lines]
        (directory / "server.conf").write_text("\n".join(text) + "\n")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        wait_for(f"port {self.port}", self.is_up)

    def is_up(self) -> bool:
        try:
            return self.ask("PING")[1] == "PONG"
        except OSError:
            return False

    def ask(self, *words: str) -> tuple[bytes, object]:
        return Conn(self.port).ask(*words)

    def fields(self, *words: str) -> dict[str, str]:
        flat = self.ask(*words)[1]
        if not isinstance(flat, list):
            return {}
        return dict(zip(flat[::2], flat[1::2], strict=True))

    def kill(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


class Listener:
    """Everything published on some servers, in one list for each."""

    def __init__(self, command: str, channel: str, servers: list[Server]) -> None:
        self.selector = selectors.DefaultSelector()
        self.heard: list[list[str]] = [[] for _ in servers]
        for number, server in enumerate(servers):
            conn = Conn(server.port)
            conn.ask(command, channel)
            self.selector.register(conn.sock, selectors.EVENT_READ, (number, conn))

    def poll(self) -> None:
        while ready := self.selector.select(0):
            for key, _ in ready:
                number, conn = key.data
                message = conn.read()[1]
                if isinstance(message, list):
                    self.heard[number].append(f"{message[-2]}\t{message[-1]}")

    def everyone_heard(self, event: str) -> bool:
        self.poll()
        return all(any(e.startswith(f"{event}\t") for e in heard) for heard in self.heard)

    def anyone_heard(self, event: str) -> bool:
        self.poll()
        return any(e.startswith(f"{event}\t") for heard in self.heard for e in heard)


class Capture:
    def __init__(self, binary: str, out: Path, directory: Path) -> None:
        self.out = out
        ports = [free_port() for _ in range(6)]
        base = ["save ''", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1"]
        follow = [*base, f"replicaof 127.0.0.1 {ports[0]}"]
        self.redis = [
            Server(binary, directory / f"redis-{i}", ports[i], follow if i else base)
            for i in range(3)
        ]
        watch = [
            f"sentinel monitor {MASTER} 127.0.0.1 {ports[0]} 2",
            f"sentinel down-after-milliseconds {MASTER} 800",
            f"sentinel failover-timeout {MASTER} 4000",
        ]
        self.sentinels = [
            Server(binary, directory / f"sentinel-{i}", ports[3 + i], watch) for i in range(3)
        ]

    def save(self, name: str, raw: bytes) -> None:
        (self.out / name).write_bytes(raw)

    def save_lines(self, name: str, lines: list[str]) -> None:
        self.save(name, ("\n".join(lines) + "\n").encode())

    def sees(self, sentinel: Server, key: str, value: str) -> bool:
        return sentinel.fields("SENTINEL", "MASTER", MASTER).get(key) == value

    def quiet(self) -> None:
        """The group is whole: every Sentinel knows two others and two replicas."""
        for s in self.sentinels:
            wait_for("Sentinels meet", lambda s=s: self.sees(s, "num-other-sentinels", "2"))
            wait_for("replicas are found", lambda s=s: self.sees(s, "num-slaves", "2"))
            wait_for("the master is up", lambda s=s: self.sees(s, "flags", "master"))

    def replies(self) -> None:
        first = self.sentinels[0]
        self.save("role_master.resp", self.redis[0].ask("ROLE")[0])
        self.save("role_slave.resp", self.redis[1].ask("ROLE")[0])
        self.save("role_sentinel.resp", first.ask("ROLE")[0])
        self.save("master.resp", first.ask("SENTINEL", "MASTER", MASTER)[0])
        self.save("master_unknown.resp", first.ask("SENTINEL", "MASTER", "nobody")[0])
        self.save("addr.resp", first.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[0])
        self.save(
            "addr_unknown.resp", first.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "nobody")[0]
        )
        self.save("myid.resp", first.ask("SENTINEL", "MYID")[0])
        self.save("peers.resp", first.ask("SENTINEL", "SENTINELS", MASTER)[0])
        self.save("peers_unknown.resp", first.ask("SENTINEL", "SENTINELS", "nobody")[0])
        self.save("replicas.resp", first.ask("SENTINEL", "REPLICAS", MASTER)[0])
        self.save("config_get.resp", self.redis[0].ask("CONFIG", "GET", "min-replicas-*")[0])

    def crash(self) -> None:
        events = Listener("PSUBSCRIBE", "*", self.sentinels)
        self.redis[0].kill()
        wait_for("a replica lost its link", self.link_is_down)
        self.save("role_slave_link_down.resp", self.redis[1].ask("ROLE")[0])
        wait_for("a failover", lambda: events.anyone_heard("+try-failover"))
        wait_for("its flag", self.flag_is_shown)
        wait_for("+switch-master", lambda: events.everyone_heard("+switch-master"))
        wait_for("the old master is listed as down", self.replica_is_down)
        self.redis[0].start()
        wait_for("the old master is a replica", lambda: events.anyone_heard("+convert-to-slave"))
        self.quiet()
        events.poll()
        for number, heard in enumerate(events.heard):
            self.save_lines(f"events_crash_{number}.txt", heard)

    def link_is_down(self) -> bool:
        role = self.redis[1].ask("ROLE")[1]
        return isinstance(role, list) and role[0] == "slave" and role[3] != "connected"

    def replica_is_down(self) -> bool:
        raw = self.sentinels[0].ask("SENTINEL", "REPLICAS", MASTER)[0]
        self.save("replicas_down.resp", raw)
        return b"s_down" in raw

    def flag_is_shown(self) -> bool:
        for sentinel in self.sentinels:
            raw, _ = sentinel.ask("SENTINEL", "MASTER", MASTER)
            if b"failover_in_progress" in raw:
                self.save("master_failover.resp", raw)
                return True
        return False

    def hear_hellos(self, server: Server) -> list[str]:
        listener = Listener("SUBSCRIBE", "__sentinel__:hello", [server])
        wait_for("hellos", lambda: listener.poll() is None and len(listener.heard[0]) >= 6)
        return listener.heard[0]

    def planned(self) -> None:
        # Not of the one that was restarted: each Sentinel that demotes it closes its subscriptions.
        before = self.hear_hellos(self.redis[1])
        events = Listener("PSUBSCRIBE", "*", self.sentinels)
        self.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER)
        wait_for("+switch-master", lambda: events.everyone_heard("+switch-master"))
        for number, heard in enumerate(events.heard):
            self.save_lines(f"events_planned_{number}.txt", heard)
        self.save_lines("hellos.txt", before + self.hear_hellos(self.redis[0]))

    def vote(self, name: str, epoch: int, candidate: str, port: int | None = None) -> None:
        at = port if port is not None else self.master_port()
        words = ("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", str(at), str(epoch), candidate)
        self.save(f"vote_{name}.resp", self.sentinels[1].ask(*words)[0])

    def master_port(self) -> int:
        return int(self.sentinels[1].fields("SENTINEL", "MASTER", MASTER)["port"])

    def votes(self) -> None:
        voter = self.sentinels[1]
        self.vote("question", 0, "a" * 40)
        self.vote("granted", 100, "a" * 40)
        self.vote("other", 100, "b" * 40)
        self.vote("unknown_addr", 101, "b" * 40, port=1)
        voter.kill()
        voter.start()
        self.vote("restarted", 0, "b" * 40)
        voter.ask("ACL", "SETUSER", "nobody", "on", "nopass", "+ping")
        conn = Conn(voter.port)
        conn.ask("AUTH", "nobody", "x")
        question = ("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "127.0.0.1", "1", "0", "*")
        self.save("vote_noperm.resp", conn.ask(*question)[0])
        self.save("vote_no_sentinel.resp", self.redis[0].ask(*question)[0])
        promoted = next(r for r in self.redis if r.port == self.master_port())
        raw, _ = promoted.ask("INFO", "replication")
        self.save("info_promoted.txt", raw.partition(b"\r\n")[2])

    def rare(self) -> None:
        """Events outside a failover: reset, monitor, tilt."""
        events = Listener("PSUBSCRIBE", "*", self.sentinels[:1])
        sentinel = self.sentinels[0]
        sentinel.ask("SENTINEL", "RESET", MASTER)
        wait_for("+sentinel", lambda: events.everyone_heard("+sentinel"))
        sentinel.ask("SENTINEL", "MONITOR", "another", "127.0.0.1", str(self.redis[0].port), "1")
        wait_for("+monitor", lambda: events.everyone_heard("+monitor"))
        sentinel.process.send_signal(signal.SIGSTOP)
        Event().wait(2.5)  # the fault itself: tilt begins at a gap of more than two seconds
        self.save("peers_down.resp", self.sentinels[1].ask("SENTINEL", "SENTINELS", MASTER)[0])
        sentinel.process.send_signal(signal.SIGCONT)
        wait_for("+tilt", lambda: events.everyone_heard("+tilt"))
        self.save_lines("events_rare.txt", events.heard[0])

    def run(self) -> None:
        self.quiet()
        self.replies()
        self.crash()
        self.planned()
        self.votes()
        self.rare()
        version = subprocess.run(
            [self.redis[0].command[0], "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[2]
        self.save_lines("version.txt", [f"captured from redis-server {version}"])

    def stop(self) -> None:
        for server in [*self.sentinels, *self.redis]:
            server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis-server", default="redis-server")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        capture = Capture(args.redis_server, args.out, Path(directory))
        try:
            capture.run()
        finally:
            capture.stop()


if __name__ == "__main__":
    main()
