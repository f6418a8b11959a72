"""redis-pod-agent-launch with real redis-servers: beside a stand-in for the agent's socket, and
beside the agent itself."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from test.harness.procs import Process, free_port
from test.harness.resp import ReplyError, Resp
from test.harness.topology import Make
from test.harness.wait import wait_for

REQUEST = b"launch 1"
HELD = ["slave", "127.0.0.1", 1]
SIZE_MAX = 200_000
START_S, SOON_S = 10.0, 0.25
PT_INTERP = 3
X86_64, AARCH64 = 0xC000003E, 0xC00000B7  # AUDIT_ARCH of linux/audit.h
PIDFD_OPEN = 434


class StandIn:
    """Answers at the agent's socket as a test says. Every wait is bounded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(START_S)
        self.listener.bind(str(path))
        self.listener.listen()
        self.conn: socket.socket | None = None
        self.pidfds: list[int] = []

    def take(self) -> int | None:
        """The next request; its pidfd, if it came with one."""
        self.hang_up()
        self.conn, _ = self.listener.accept()
        self.conn.settimeout(START_S)
        text, fds, _, _ = socket.recv_fds(self.conn, 300, 4)
        assert text == REQUEST
        assert len(fds) <= 1
        self.pidfds += fds
        return fds[0] if fds else None

    def answer(self, text: str) -> None:
        assert self.conn is not None
        self.conn.sendall(text.encode())

    def hang_up(self) -> None:
        if self.conn is not None:
            self.conn.close()

    def close(self) -> None:
        self.hang_up()
        self.listener.close()
        for fd in self.pidfds:
            os.close(fd)


def readable(fd: int, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))


class Bench:
    """One redis-server behind the helper, at a port of its own."""

    def __init__(self, launch: Path, make: Make, folder: Path, stack: ExitStack) -> None:
        self.launch, self.make, self.folder, self.stack = launch, make, folder, stack
        self.path = folder / "launch.sock"
        self.port = free_port()
        self.process: Process

    def stand_in(self) -> StandIn:
        agent = StandIn(self.path)
        self.stack.callback(agent.close)
        return agent

    def argv(self, *args: str, timeout_ms: int = 10_000) -> list[str]:
        return [
            *(str(self.launch), "--socket", str(self.path), "--timeout", str(timeout_ms), "--"),
            *(self.make.server, *args, "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--dir", str(self.folder), "--save", "", "--appendonly", "no"),
        ]

    def run(self, argv: Sequence[str]) -> Process:
        self.process = Process(argv, self.folder / "redis.log", cwd=self.folder)
        self.stack.callback(self.process.stop)
        return self.process

    def start(self, *args: str, timeout_ms: int = 10_000) -> Process:
        return self.run(self.argv(*args, timeout_ms=timeout_ms))

    def ask(self, *command: str) -> object:
        """Of the redis-server, once it answers; an error reply as its text."""

        def answered() -> list[object]:
            try:
                with Resp("127.0.0.1", self.port) as r:
                    return [r(*command)]
            except ReplyError as error:
                return [str(error)]
            except OSError:
                return []

        return wait_for(answered, START_S, f"an answer to {command}")[0]

    def role(self) -> object:
        reply = self.ask("ROLE")
        assert isinstance(reply, list)
        return reply[:1] if reply[0] == "master" else reply[:3]


MakeBench = Callable[[Make], Bench]


@pytest.fixture
def launch(agent: Path) -> Path:
    return agent.parent / "redis-pod-agent-launch"


@pytest.fixture
def bench(launch: Path, make: Make, tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(launch, make, tmp_path, stack)


# --- the binary -------------------------------------------------------------------------------


def test_it_runs_in_any_image(launch: Path) -> None:
    data = launch.read_bytes()
    assert len(data) < SIZE_MAX
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    types = [struct.unpack_from("<I", data, table + i * size)[0] for i in range(count)]
    assert types
    assert PT_INTERP not in types


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ((), 64, "no command"),
        (("--",), 64, "no command"),
        (("--timeout", "1s", "--", "true"), 64, "--timeout"),
        (("--socket", "", "--", "true"), 64, "socket"),
        (("--socket", "/" + 107 * "x", "--", "true"), 64, "socket"),
        (("--soket", "x", "--", "true"), 64, "soket"),
        (("--timeout", "0", "--", "/nowhere/redis-server"), 127, "/nowhere/redis-server"),
        (("--timeout", "0", "--", "/dev/null"), 126, "/dev/null"),
        (("--timeout", "0", "--", "false"), 1, "held"),
        (("--help",), 0, ""),
    ],
)
def test_exit_codes(launch: Path, args: tuple[str, ...], code: int, said: str) -> None:
    env = {**os.environ, "REDIS_POD_AGENT_LAUNCH_SOCKET": "/nowhere/launch.sock"}
    done = subprocess.run(
        [launch, *args], env=env, capture_output=True, text=True, check=False, timeout=START_S
    )
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


# --- how redis-server starts --------------------------------------------------------------------


def test_without_an_agent_it_is_held(bench: Bench) -> None:
    bench.start(timeout_ms=50)
    assert bench.role() == HELD
    assert "READONLY" in str(bench.ask("SET", "k", "v"))


@pytest.mark.parametrize("written", ["", "replicaof 127.0.0.9 6000\n", "replicaof no one\n"])
@pytest.mark.parametrize(
    ("answer", "role"),
    [
        ("held", HELD),
        ("replica 127.0.0.8 7000", ["slave", "127.0.0.8", 7000]),
        ("replica ::1 7000", ["slave", "::1", 7000]),
        ("plain", None),
    ],
)
def test_the_answer_wins_over_the_file(
    bench: Bench, written: str, answer: str, role: list[object] | None
) -> None:
    """The file holds what a CONFIG REWRITE has left."""
    conf = bench.folder / "redis.conf"
    conf.write_text(written)
    agent = bench.stand_in()
    bench.start(str(conf))
    agent.take()
    agent.answer(answer)
    as_written = ["slave", "127.0.0.9", 6000] if "6000" in written else ["master"]
    assert bench.role() == (role or as_written)


@pytest.mark.parametrize(
    "answer",
    ["", "HELD", "master", "replica", "replica a", "replica a 0", "replica a 65536"]
    + ["replica a 1 2", "replica --x 1", "replica  1", "replica a;b 1", "plain "],
)
def test_an_answer_that_makes_no_sense_is_held(launch: Path, tmp_path: Path, answer: str) -> None:
    agent = StandIn(tmp_path / "launch.sock")
    argv = [launch, "--socket", agent.path, "--timeout", "2000", "--", "echo"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        agent.take()
        agent.answer(answer)
        agent.hang_up()
        agent.listener.close()
        out, _ = process.communicate(timeout=START_S)
    agent.close()
    assert out == "--replicaof 127.0.0.1 1\n"


def test_an_agent_that_comes_late_and_hangs_up_is_asked_again(bench: Bench) -> None:
    bench.start()
    wait_for(lambda: "waiting" in bench.process.output(), START_S, "it waits")
    agent = bench.stand_in()
    agent.take()
    agent.take()
    agent.answer("plain")
    assert bench.role() == ["master"]


def test_a_stop_ends_the_wait(bench: Bench) -> None:
    bench.start()
    wait_for(lambda: "waiting" in bench.process.output(), START_S, "it waits")
    began = time.monotonic()
    assert bench.process.stop() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 1


def test_what_redis_server_inherits(bench: Bench) -> None:
    """Of the helper itself: redis-server is told to leave both alone."""
    agent = bench.stand_in()
    argv = bench.argv("--disable-thp", "no", "--maxclients", "100")
    bench.run(["prlimit", "--nofile=1024:4096", *argv])
    agent.take()
    agent.answer("held")
    assert bench.role() == HELD
    proc = Path(f"/proc/{bench.process.pid}")
    status = dict(
        line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line
    )
    assert status["THP_enabled"] == "0"
    assert int(status["SigBlk"], 16) == 0
    (files,) = (s for s in (proc / "limits").read_text().splitlines() if "open files" in s)
    assert files.split()[3:5] == ["4096", "4096"]
    sockets = [f for f in os.listdir(proc / "fd") if is_unix_socket(proc / "fd" / f)]
    assert sockets == []


def is_unix_socket(fd: Path) -> bool:
    inodes = {row.split()[6] for row in Path("/proc/net/unix").read_text().splitlines()}
    try:
        target = os.readlink(fd)
    except FileNotFoundError:
        return False  # a client's, closed meanwhile
    return target.removeprefix("socket:[").removesuffix("]") in inodes


# --- the sign of its end ------------------------------------------------------------------------


def slow_save(bench: Bench) -> int:
    """A BGSAVE that goes on for minutes; the pid of its child, which outlives its parent."""
    bench.ask("SET", "k", "v")
    bench.ask("CONFIG", "SET", "rdb-key-save-delay", "100000000")
    bench.ask("BGSAVE")
    (child,) = wait_for(bench.process.children, START_S, "the child runs")
    bench.stack.callback(lambda: os.kill(child, signal.SIGKILL))
    return child


@pytest.mark.parametrize("saving", [False, True])
def test_the_end_shows_at_once(bench: Bench, saving: bool) -> None:
    agent = bench.stand_in()
    bench.start()
    pidfd = agent.take()
    assert pidfd is not None
    agent.answer("plain")
    agent.hang_up()
    assert bench.role() == ["master"]
    if saving:
        slow_save(bench)
    assert not readable(pidfd, 0)
    bench.process.signal(signal.SIGKILL)
    assert readable(pidfd, SOON_S)


def forbid_pidfd() -> None:
    """As a kernel that has none, by a seccomp filter: ENOSYS."""

    class Program(ctypes.Structure):
        _fields_ = (("count", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    # BPF: load the number; 434: ENOSYS; else allow (linux/seccomp.h, linux/filter.h).
    rows = [(0x20, 0, 0, 0), (0x15, 0, 1, PIDFD_OPEN), (0x06, 0, 0, 0x00050026)]
    rows.append((0x06, 0, 0, 0x7FFF0000))
    code = b"".join(struct.pack("<HBBI", *row) for row in rows)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, ctypes.byref(Program(len(rows), code))) == 0  # PR_SET_SECCOMP


def test_without_a_pidfd_the_connection_lives_as_long(bench: Bench) -> None:
    agent = bench.stand_in()
    process = subprocess.Popen(  # noqa: PLW1509 - the child makes two system calls
        bench.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=forbid_pidfd
    )
    bench.stack.callback(process.wait)
    bench.stack.callback(process.kill)
    assert agent.take() is None
    agent.answer("held")
    assert bench.role() == HELD
    assert agent.conn is not None
    assert not readable(agent.conn.fileno(), 0)
    process.kill()
    assert readable(agent.conn.fileno(), SOON_S)
    assert agent.conn.recv(10) == b""


# --- the agent itself ---------------------------------------------------------------------------


def messages(process: Process) -> list[str]:
    lines = [json.loads(s) for s in process.output().splitlines() if s.startswith("{")]
    return [line["msg"] for line in lines if line.get("mod") == "launch"]


def test_the_agent_sees_the_end_even_after_a_crash_of_its_own(bench: Bench, agent: Path) -> None:
    argv = [
        *(str(agent), "run", "--kube-url=none", "--pod-name=redis-0", "--pod-ip=127.0.0.1"),
        *(f"--redis-addr=127.0.0.1:{bench.port}", "--mode=standalone"),
        *(f"--http-addr=127.0.0.1:{free_port()}", f"--launch-socket={bench.path}"),
    ]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RPA_", "POD_", "KUBERNETES_"))}
    process = Process(argv, bench.folder / "agent.log", env=env)
    bench.stack.callback(process.stop)
    bench.start(timeout_ms=500)
    bench.role()
    (worker,) = process.children()
    os.kill(worker, signal.SIGKILL)
    wait_for(
        lambda: any("going on to watch" in m for m in messages(process)), START_S, "the next worker"
    )
    assert not any("ended" in m for m in messages(process))
    bench.process.signal(signal.SIGKILL)
    wait_for(lambda: any("ended" in m for m in messages(process)), START_S, "the end is seen")
    bench.process.popen.wait()
    bench.start(timeout_ms=500)
    bench.role()
    assert not any("second" in m for m in messages(process))
