"""A set of real redis-servers, redis-sentinels and agents on loopback, an address each.

    with KubeServer() as kube, Topology(kube) as top:
        top.start()
        top.kill_redis(top.master())
        top.wait_labels(...)

Member i has the address 127.x.y.(i+1), where x.y is drawn for the topology, so that several run
beside each other with Redis's well-known ports. Pod i is `redis-i`.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .kube_api import KubeApi
from .procs import Process
from .resp import ReplyError, Resp, flat
from .wait import wait_for

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "build" / "release" / "redis-pod-agent"
MASTER = "mymaster"
SENTINELS = "sentinels.test"  # the one name of all
REDIS_PORT, SENTINEL_PORT, HTTP_PORT = 6379, 26379, 8080
PORT_MIN, PORT_MAX = 10_000, 32_000
PORT_ATTEMPTS = 100
MECHANISMS = "crash hand-over gone repair harmless enforce peer-demotion sweep fence".split()


@dataclass(frozen=True)
class Make:
    """A make and version of the servers."""

    name: str
    server: str
    sentinel: str
    cli: str


SYSTEM = Make("redis", "redis-server", "redis-sentinel", "redis-cli")


def free_ports(host: str, count: int) -> list[tuple[int, int, int]]:
    """`count` times a port for Redis, Sentinel and HTTP. Below those that the kernel gives to
    clients (net.ipv4.ip_local_port_range), or one of these could take them before they are used."""
    for _ in range(PORT_ATTEMPTS):
        base = random.randint(PORT_MIN, PORT_MAX - 3 * count)
        ports = range(base, base + 3 * count)
        if all(is_free(host, port) for port in ports):
            return [(base + 3 * i, base + 3 * i + 1, base + 3 * i + 2) for i in range(count)]
    raise OSError(f"no {3 * count} free ports in a row at {host}")


def is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        try:
            s.bind((host, port))
        except OSError:
            return False
    return True


def cache_dir() -> Path:
    own = os.environ.get("REDIS_POD_AGENT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "redis-pod-agent"


def find_make(name: str, major: int) -> Make | None:
    """The newest build of e.g. redis 8 in the cache; None: there is none."""
    for folder in sorted(cache_dir().glob(f"{name}-{major}.*"), reverse=True):
        server = folder / "bin" / f"{name}-server"
        if server.exists():
            sentinel = folder / "bin" / f"{name}-sentinel"
            cli = folder / "bin" / f"{name}-cli"
            return Make(folder.name, str(server), str(sentinel), str(cli))
    return None


@dataclass
class Options:
    """What differs between topologies; the defaults are a quick set of three."""

    pods: int = 3
    sentinels: int = 3
    make: Make = SYSTEM
    agent: Path = AGENT
    agents: bool = True
    engine: bool = False  # the agents act; off, they only label what Sentinels do
    down_after_ms: int = 1000
    failover_timeout_ms: int = 6000
    password: str | None = None
    sentinel_password: str | None = None
    ipv6: bool = False
    host_names: bool = False  # announced, and resolved by the Sentinels
    one_sentinel_name: bool = False  # all Sentinels behind one name, as a headless Service does
    agent_args: Sequence[str] = ()
    redis_args: Sequence[str] = ()
    sentinel_lines: Sequence[str] = ()
    log_level: str = "info"


@dataclass
class Member:
    """One Pod: its address, its ports and its processes."""

    index: int
    host: str
    redis_port: int = REDIS_PORT
    sentinel_port: int = SENTINEL_PORT
    http_port: int = HTTP_PORT
    folder: Path = field(default_factory=Path)
    redis: Process | None = None
    sentinel: Process | None = None
    agent: Process | None = None

    @property
    def pod(self) -> str:
        return f"redis-{self.index}"


class Topology:
    def __init__(self, kube: KubeApi | None, options: Options | None = None) -> None:
        self.kube = kube
        self.options = options or Options()
        self.folder = Path(tempfile.mkdtemp(prefix="redis-pod-agent-set-"))
        self.members = self._make_members()
        self.keep_folder = False

    def _make_members(self) -> list[Member]:
        count = max(self.options.pods, self.options.sentinels)
        if self.options.ipv6 or self.options.host_names:
            # One address for all, told apart by their ports.
            host = "::1" if self.options.ipv6 else "127.0.0.1"
            ports = free_ports(host, count)
            members = [Member(i, host, *ports[i]) for i in range(count)]
        else:
            block = f"127.{random.randint(10, 250)}.{random.randint(1, 250)}"
            members = [Member(i, f"{block}.{i + 1}") for i in range(count)]
        for member in members:
            member.folder = self.folder / member.pod
            member.folder.mkdir()
        return members

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.keep_folder = self.keep_folder or (kind is not None and kind is not GeneratorExit)
        self.stop()

    # --- start and stop -----------------------------------------------------------------------

    def start(self) -> Self:
        """Everything up, the Sentinels know each other, the labels are right."""
        for member in self.pods:
            self.start_redis(member, self.pods[0] if member.index else None)
        self.wait(self._replicas_synced, 15, "the replicas are in sync")
        for member in self.sentinels:
            self.start_sentinel(member)
        self.wait(self._sentinels_settled, 30, "the Sentinels know each other and the replicas")
        if self.options.agents:
            for member in self.pods:
                self.start_agent(member)
            self.wait_settled(15)
        return self

    def stop(self) -> None:
        """Idempotent. The folder stays where keep_folder is set."""
        running = [
            process
            for member in self.members
            for process in (member.agent, member.sentinel, member.redis)
            if process is not None
        ]
        for process in running:
            if process.alive and process.frozen:
                process.thaw()
            process.signal(15)
        for process in running:
            process.stop()
        if not self.keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def restart_agent(self, member: Member) -> None:
        assert member.agent is not None
        member.agent.stop()
        self.start_agent(member)

    @property
    def pods(self) -> list[Member]:
        return self.members[: self.options.pods]

    @property
    def sentinels(self) -> list[Member]:
        return self.members[: self.options.sentinels]

    def name_of(self, member: Member) -> str:
        """How Redis and Sentinel spell this member."""
        return "localhost" if self.options.host_names else member.host

    def start_redis(self, member: Member, master: Member | None, *extra: str) -> None:
        o = self.options
        argv = [
            o.make.server,
            *("--bind", member.host, "--port", str(member.redis_port)),
            *("--dir", str(member.folder), "--save", "", "--appendonly", "no"),
            *("--repl-diskless-sync-delay", "0", "--replica-announce-ip", self.name_of(member)),
        ]
        if o.password:
            argv += ["--requirepass", o.password, "--masterauth", o.password]
        if master is not None:
            argv += ["--replicaof", f"{self.name_of(master)} {master.redis_port}"]
        member.redis = self.spawn_redis(member, [*argv, *o.redis_args, *extra])
        self.wait(lambda: self._answers(member), 10, f"{member.pod} answers")

    def spawn_redis(self, member: Member, argv: list[str]) -> Process:
        return Process(argv, member.folder / "redis.log", cwd=member.folder)

    def start_sentinel(self, member: Member, master: Member | None = None) -> None:
        """From its own configuration where there is one, else from nothing."""
        path = member.folder / "sentinel.conf"
        if not path.exists():
            path.write_text(self._sentinel_conf(member, master or self.pods[0]), encoding="utf-8")
        argv = [self.options.make.sentinel, path]
        member.sentinel = Process(argv, member.folder / "sentinel.log", cwd=member.folder)

    def _sentinel_conf(self, member: Member, master: Member) -> str:
        o = self.options
        quorum = o.sentinels // 2 + 1
        lines = [
            f"bind {member.host}",
            f"port {member.sentinel_port}",
            f"dir {member.folder}",
            f"sentinel announce-ip {member.host}",
        ]
        if o.host_names:
            lines += ["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"]
        lines += [
            f"sentinel monitor {MASTER} {self.name_of(master)} {master.redis_port} {quorum}",
            f"sentinel down-after-milliseconds {MASTER} {o.down_after_ms}",
            f"sentinel failover-timeout {MASTER} {o.failover_timeout_ms}",
        ]
        if o.password:
            lines.append(f'sentinel auth-pass {MASTER} "{o.password}"')
        if o.sentinel_password:
            lines += [
                f'requirepass "{o.sentinel_password}"',
                f'sentinel sentinel-pass "{o.sentinel_password}"',
            ]
        return "\n".join([*lines, *o.sentinel_lines]) + "\n"

    def start_agent(self, member: Member, *extra: str) -> None:
        argv = [str(self.options.agent), "run", *self.agent_args(member), *extra]
        if self.options.one_sentinel_name:
            argv = self._with_hosts(argv)
        member.agent = Process(
            argv,
            member.folder / "agent.log",
            env=self._agent_env(),
        )

    def _with_hosts(self, argv: list[str]) -> list[str]:
        """Runs it in a mount namespace of its own, where SENTINELS has an address for each."""
        hosts = self.folder / "hosts"
        lines = [f"{s.host} {SENTINELS}" for s in self.sentinels]
        hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]), encoding="utf-8")
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh", str(hosts), *argv]

    @staticmethod
    def _agent_env() -> dict[str, str]:
        dropped = ("RPA_", "POD_", "KUBERNETES_")
        return {k: v for k, v in os.environ.items() if not k.startswith(dropped)}

    def agent_args(self, member: Member) -> list[str]:
        o = self.options

        def at(host: str, port: int) -> str:
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

        sentinels = ",".join(at(s.host, s.sentinel_port) for s in self.sentinels)
        if o.one_sentinel_name:
            sentinels = at(SENTINELS, SENTINEL_PORT)
        args = [
            f"--sentinel-count={o.sentinels}",
            f"--redis-addr={at(member.host, member.redis_port)}",
            f"--sentinel-addrs={sentinels}",
            f"--http-addr={at(member.host, member.http_port)}",
            f"--log-level={o.log_level}",
        ]
        if o.host_names:
            args.append(f"--announce-addrs={self.name_of(member)}")
        if o.password:
            args.append(f"--redis-password-file={self._secret('redis', o.password)}")
        if o.sentinel_password:
            path = self._secret("sentinel", o.sentinel_password)
            args.append(f"--sentinel-password-file={path}")
        if self.kube is None:
            args += ["--kube-url=none", f"--pod-name={member.pod}", f"--pod-ip={member.host}"]
        else:
            if self.kube.get_pod(member.pod) is None:
                self.kube.create_pod(member.pod, ip=member.host)
            args += self.kube.agent_args(member.pod)
        if not o.engine:
            args += [f"--{mechanism}=off" for mechanism in MECHANISMS]
        return [*args, *o.agent_args]

    def _secret(self, name: str, value: str) -> Path:
        path = self.folder / f"{name}.password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(value, encoding="utf-8")
        return path

    # --- looking ------------------------------------------------------------------------------

    @staticmethod
    def wait(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:  # noqa: ANN401
        return wait_for(condition, timeout_s, what, interval_s=0.01)

    def redis(self, member: Member, timeout_s: float = 2) -> Resp:
        return Resp(member.host, member.redis_port, self.options.password, timeout_s)

    def sentinel(self, member: Member, timeout_s: float = 2) -> Resp:
        password = self.options.sentinel_password
        return Resp(member.host, member.sentinel_port, password, timeout_s)

    def ask(self, member: Member, *command: str) -> Any:  # noqa: ANN401 - whatever Redis answers
        """One command on a connection of its own; None where it cannot be had."""
        try:
            with self.redis(member) as r:
                return r(*command)
        except (OSError, ReplyError):
            return None

    def ask_sentinel(self, member: Member, *command: str) -> Any:  # noqa: ANN401
        try:
            with self.sentinel(member) as s:
                return s("SENTINEL", *command)
        except (OSError, ReplyError):
            return None

    def _answers(self, member: Member) -> bool:
        return self.ask(member, "PING") == "PONG"

    def role(self, member: Member) -> str | None:
        reply = self.ask(member, "ROLE")
        return reply[0] if reply else None

    def view(self, member: Member) -> dict[str, str] | None:
        reply = self.ask_sentinel(member, "MASTER", MASTER)
        return flat(reply) if reply else None

    def named(self, member: Member) -> Member | None:
        """The master that this Sentinel gives to clients."""
        reply = self.ask_sentinel(member, "GET-MASTER-ADDR-BY-NAME", MASTER)
        return self.find(reply[0], int(reply[1])) if reply else None

    def find(self, host: str, port: int) -> Member | None:
        for member in self.pods:
            if port == member.redis_port and host in (member.host, self.name_of(member)):
                return member
        return None

    def agreed(self) -> Member | None:
        """The master, where all running Sentinels name the same one and it says so itself."""
        named = [self.named(s) for s in self.sentinels if s.sentinel and s.sentinel.alive]
        if not named or any(n is not named[0] for n in named) or named[0] is None:
            return None
        return named[0] if self.role(named[0]) == "master" else None

    def master(self) -> Member:
        member = self.wait(self.agreed, 30, "the Sentinels agree on a master")
        assert isinstance(member, Member)
        return member

    def labels(self) -> dict[str, str | None]:
        assert self.kube is not None
        return self.kube.roles()

    def status(self, member: Member) -> dict[str, Any]:
        with urllib.request.urlopen(self.url(member, "/status"), timeout=2) as answer:  # noqa: S310
            return dict(json.load(answer))

    def get(self, member: Member, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url(member, path), timeout=2) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    @staticmethod
    def url(member: Member, path: str) -> str:
        host = f"[{member.host}]" if ":" in member.host else member.host
        return f"http://{host}:{member.http_port}{path}"

    def logged(self, member: Member) -> list[dict[str, Any]]:
        assert member.agent is not None
        lines = member.agent.output().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    # --- conditions ---------------------------------------------------------------------------

    def _replicas_synced(self) -> bool:
        return all(self._synced(m) for m in self.pods[1:])

    def _synced(self, member: Member) -> bool:
        reply = self.ask(member, "ROLE")
        return bool(reply) and reply[0] == "slave" and reply[3] == "connected"

    def _sentinels_settled(self) -> bool:
        others, replicas = str(self.options.sentinels - 1), self.options.pods - 1
        for s in self.sentinels:
            view = self.view(s)
            if view is None or view["num-other-sentinels"] != others:
                return False
            known = self.ask_sentinel(s, "REPLICAS", MASTER) or []
            healthy = [r for r in map(flat, known) if r["flags"] == "slave"]
            if len([r for r in healthy if r["master-link-status"] == "ok"]) < replicas:
                return False
        return True

    def expected(self) -> dict[str, str] | None:
        master = self.agreed()
        if master is None:
            return None
        return {m.pod: "master" if m is master else "replica" for m in self.pods}

    def settled(self) -> bool:
        """All say the same: Sentinels, ROLE, the agents, and, where there is an API, labels."""
        expected = self.expected()
        if expected is None:
            return False
        if self.kube is not None:
            return self.labels() == expected
        roles = {}
        for member in self.pods:
            try:
                roles[member.pod] = self.status(member)["role"]["state"]
            except OSError:
                return False
        return roles == expected

    def wait_settled(self, timeout_s: float) -> None:
        self.wait(self.settled, timeout_s, "Sentinels, ROLE and labels agree")

    def wait_label(self, member: Member, label: str, timeout_s: float) -> None:
        self.wait(
            lambda: self.labels().get(member.pod) == label,
            timeout_s,
            f"{member.pod} carries the label {label}",
        )

    # --- doing --------------------------------------------------------------------------------

    def kill_redis(self, member: Member) -> None:
        assert member.redis is not None
        member.redis.kill()

    def failover(self, by: Member) -> None:
        """As a person forces it."""
        with self.sentinel(by) as s:
            s("SENTINEL", "FAILOVER", MASTER)
